"""Compiles the software GPU's driver, and kernels that have been translated to C++, with g++.

The software GPU runs CUDA kernels on a machine without a GPU; the page docs/software-gpu.md describes it.
"""

import functools
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "build" / "software-gpu"  # git ignores it
KERNELS = FOLDER / "kernels"
DRIVER = "libcuda.so.1"  # programs load NVIDIA's driver under this name

# The compiler must not contract or reorder operations, so that a kernel computes the same bits as its PTX specifies.
FLAGS = ("-std=c++17", "-mfma", "-ffp-contract=off", "-fno-strict-aliasing", "-shared", "-fPIC")
DRIVER_FLAGS = ("-O2", "-fvisibility=hidden", "-Wall", "-Wextra", f"-Wl,-soname,{DRIVER}")
KERNEL_FLAGS = ("-O1", "-w")
KERNEL_SOURCES = ("translation/*.py", "driver/kernels.h", "driver/arithmetic.h", "driver/access.h")


def build_driver() -> None:
    """Compiles the software GPU's driver, unless it has already been compiled from the current sources."""
    include = headers()
    if include is None:
        raise SystemExit("the software GPU needs cuda.h, numba-cuda and the CUDA toolkit: pip install 'numbanet[sass]'")
    stamp, now = FOLDER / "sources", fingerprint(("driver/*",), FLAGS, DRIVER_FLAGS)
    if stamp.exists() and stamp.read_text() == now:
        return
    KERNELS.mkdir(parents=True, exist_ok=True)
    compiled(FOLDER / DRIVER, sorted((HERE / "driver").glob("*.cpp")), (*DRIVER_FLAGS, f"-I{include}"))
    stamp.write_text(now)


def headers() -> str | None:
    """Returns the folder that contains cuda.h, or None if cuda.h is not installed."""
    try:
        from cuda import pathfinder
    except ImportError:
        return None
    return pathfinder.find_nvidia_header_directory("cudart")


def build_kernels(library: Path, code: str) -> None:
    """Compiles kernels that have been translated to C++ (`code`) to a library that the software GPU's driver can load."""
    with tempfile.NamedTemporaryFile("w", suffix=".cpp") as source:
        source.write(code)
        source.flush()
        include = f"-I{HERE / 'driver'}"
        compiled(library, [Path(source.name)], (*KERNEL_FLAGS, include), (f"-L{FOLDER}", f"-l:{DRIVER}"))


def compiled(library: Path, sources: list[Path], flags: tuple[str, ...], linked: tuple[str, ...] = ()) -> None:
    """Compiles a library with g++.

    The library gets its final name only when it is complete, so that other processes never load an incomplete library.
    """
    part = library.with_suffix(f".{os.getpid()}")
    command = ["g++", *FLAGS, *flags, "-o", str(part), *map(str, sources), *linked]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        raise SystemExit("the software GPU needs the C++ compiler g++") from None
    part.replace(library)


@functools.cache
def fingerprint(patterns: tuple[str, ...], *flags: tuple[str, ...]) -> str:
    """Returns a hash of the source files that match `patterns`, and of the compiler flags `flags`."""
    files = sorted(path for pattern in patterns for path in HERE.glob(pattern))
    return hashlib.sha256(b"\0".join([*(path.read_bytes() for path in files), repr(flags).encode()])).hexdigest()
