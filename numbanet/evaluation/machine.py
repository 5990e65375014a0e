"""Describes this installation and this machine: versions, CPU, threads and GPU."""

import importlib.metadata
import os
import platform

import llvmlite.binding
import numba
import numpy as np

from numbanet import _compile, _cuda
from numbanet._extras import installing
from numbanet.engines import get_num_threads
from numbanet.engines.cpu.registers import REGISTERS

LISTED_CPU_FEATURES = ("sse4.2", "avx", "avx2", "fma", "avx512f", "neon", "sve")


def environment() -> dict[str, str]:
    """Returns a dict that describes this installation: versions, CPU, threads, GPU and kernels."""
    features = llvmlite.binding.get_host_cpu_features()
    reason = _cuda.unusable_reason()
    return {
        "numbanet": importlib.metadata.version("numbanet"),
        "python": f"{platform.python_version()} on {platform.platform()}",
        "numba": f"{numba.__version__}, llvmlite {llvmlite.__version__}",
        "numpy": np.__version__,
        "cpu": f"{llvmlite.binding.get_host_cpu_name()}, {os.cpu_count()} cores",
        "cpu features": ", ".join(name for name in LISTED_CPU_FEATURES if features.get(name))
        or f"none of {', '.join(LISTED_CPU_FEATURES)}",
        "threads": f"at most {get_num_threads()}, Python threads (no threading layer of Numba)",
        "compile cache": str(_compile.cache_folder() or "none: no folder can be used"),
        "mpi": _mpi(),
        "cuda": _cuda.provider() if _cuda.SIMULATED else f"{_cuda.provider()}; {_cuda.versions()}",
        "gpu": "; ".join(_cuda.devices()) or f"none. {reason}",
        "cpu fast": f"whole epochs in one compiled call; products in tiles of {REGISTERS.width}-byte vectors",
        "cpu reference": "the loops of numbanet.equations",
        "cuda fast": _cuda.no_fast_kernels()
        or "training in one thread block, or in many at once, if shared memory suffices, else products in tiles",
        "cuda reference": "the kernels of numbanet.equations",
    }


def _mpi() -> str:
    """Returns the version of the package mpi4py without importing the package, because the import would start MPI."""
    try:
        return f"mpi4py {importlib.metadata.version('mpi4py')}"
    except importlib.metadata.PackageNotFoundError:
        return f"none: {installing('mpi')}"
