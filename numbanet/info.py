"""What this installation runs on: for bug reports, and to see which rung a network gets."""

import importlib.metadata
import os
import platform

import llvmlite.binding
import numba
import numpy as np

from numbanet import _compile, _cuda
from numbanet.engines import Topology, get_num_threads
from numbanet.engines.cpu.kernels.vector import REGISTER_BYTES
from numbanet.engines.cuda import planning
from numbanet.engines.cuda.memory.limits import present_limits

NOTED_CPU_FEATURES = ("sse4.2", "avx", "avx2", "fma", "avx512f", "neon", "sve")


def info() -> dict[str, str]:
    """Versions, CPU, threads, GPU, and the rungs, as lines of text by name."""
    features = llvmlite.binding.get_host_cpu_features()
    reason = _cuda.unusable_reason()
    return {
        "numbanet": importlib.metadata.version("numbanet"),
        "python": f"{platform.python_version()} on {platform.platform()}",
        "numba": f"{numba.__version__}, llvmlite {llvmlite.__version__}",
        "numpy": np.__version__,
        "cpu": f"{llvmlite.binding.get_host_cpu_name()}, {os.cpu_count()} cores",
        "cpu features": ", ".join(name for name in NOTED_CPU_FEATURES if features.get(name)) or "none of note",
        "threads": f"{get_num_threads()} at most, of Python's own: no threading layer is involved",
        "compile cache": _compile.cache_folder() or "none: no folder can be written",
        "mpi": _mpi(),
        "cuda": _cuda.provider() if _cuda.SIMULATED else f"{_cuda.provider()}; {_cuda.versions()}",
        "gpu": "; ".join(_cuda.devices()) or f"none. {reason}",
        "cpu fast": f"whole epochs in one compiled call; products in tiles of {REGISTER_BYTES}-byte vectors",
        "cpu reference": "the loops of numbanet.equations",
        "cuda fast": "training in one thread block, or in many at once, where shared memory suffices, else products in tiles",
        "cuda reference": "the kernels of numbanet.equations",
    }


def _mpi() -> str:
    """Which mpi4py there is; its MPI is not started."""
    try:
        return f"mpi4py {importlib.metadata.version('mpi4py')}"
    except importlib.metadata.PackageNotFoundError:
        return "none: pip install 'numbanet[mpi]'"


def plans(topology: Topology, batch_size: int) -> dict[str, str]:
    """How a network is trained on the GPU of this machine; without one, how on GPUs of each compute capability."""
    known = {"this gpu": present_limits()} if _cuda.unusable_reason() is None else planning.KNOWN_LIMITS
    return {
        name: f"{planning.plan(topology, batch_size, having).way}: {planning.reason(topology, batch_size, having)}"
        for name, having in known.items()
    }
