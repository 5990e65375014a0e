"""The subcommand `numbanet info`: prints versions and hardware for bug reports, or how a network would train on a GPU."""

import argparse
import importlib.metadata
import json
import os
import platform

import llvmlite.binding
import numba
import numpy as np

from numbanet import _compile, _cuda, checks, inputs
from numbanet._extras import installing
from numbanet.cli.common import add_choice, add_command, sizes
from numbanet.engines import Topology, get_num_threads
from numbanet.engines.cpu.registers import REGISTERS
from numbanet.engines.cuda import planning
from numbanet.engines.cuda.memory.limits import present_limits

LISTED_CPU_FEATURES = ("sse4.2", "avx", "avx2", "fma", "avx512f", "neon", "sve")
EXAMPLES = """examples:
  numbanet info                                  versions, CPU, GPU and kernels, for a bug report
  numbanet info --plan 784,128,10 --batch-size 64
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand and its options."""
    about = add_command(commands, "info", _info, "show versions, CPU features, threads, GPU and kernels", EXAMPLES)
    about.add_argument("--json", action="store_true", help="print the information as one JSON object")
    about.add_argument(
        "--plan",
        type=sizes,
        metavar="N,N[,N...]",
        help="show instead how a network with layers of these sizes (the input size first) would be trained on a GPU, and why",
    )
    about.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="samples per update for --plan (default: %(default)s)"
    )
    add_choice(about, "--dtype", inputs.DTYPES, default="float32", help="floating-point type (default: %(default)s)")


def _info(options: argparse.Namespace) -> int:
    if options.plan is None:
        facts = environment()
    else:
        topology = inputs.make_topology(options.plan, "relu", "cce", options.dtype, 0.01)
        facts = plans(topology, checks.integer("batch_size", options.batch_size))
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        width = max(map(len, facts))
        for name, fact in facts.items():
            print(f"{name:{width}}  {fact}")
    return 0


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


def plans(topology: Topology, batch_size: int) -> dict[str, str]:
    """Returns the way to train a network, and the reason, for this machine's GPU or for each of several known GPUs."""
    known = {"this gpu": present_limits()} if _cuda.unusable_reason() is None else planning.KNOWN_LIMITS
    return {
        name: f"{planning.plan(topology, batch_size, having).way}: {planning.reason(topology, batch_size, having)}"
        for name, having in known.items()
    }
