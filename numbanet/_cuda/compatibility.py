"""Finds the versions of the driver, the CUDA toolkit and numba-cuda, checks that they are compatible, and says what to install.

The drivers that each CUDA version needs, and the GPUs that each toolkit supports, are taken from NVIDIA's "CUDA Toolkit,
Driver, and Architecture Matrix" and from the release notes of CUDA 12 and 13.
"""

import ctypes
import importlib.metadata
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

from numbanet._extras import installing, packages

# For each major CUDA version that an extra of numbanet installs: the oldest supported driver (DRIVERS), and the lowest
# supported compute capability (CAPABILITIES).
DRIVERS, CAPABILITIES = {12: 525, 13: 580}, {12: (5, 0), 13: (7, 5)}
# Values of CUDA_VISIBLE_DEVICES that hide every GPU.
NONE_VISIBLE = ("", "-1", "NoDevFiles")


class Versions(NamedTuple):
    """The versions found on this machine. A field is None if its value was not found.

    Parameters
    ----------
    driver : str
        The release number of the NVIDIA driver, such as "550.54.15".
    driver_cuda : tuple of int
        The newest CUDA version that the driver supports; None if the driver library cannot be loaded.
    toolkit : tuple of int
        The version of the CUDA toolkit in this Python environment. The toolkit contains the compiler.
    numba_cuda : str
        The version of the package numba-cuda. Without the package numba-cuda, Numba's built-in CUDA target compiles kernels.
    capability : tuple of int
        The compute capability of the current GPU.
    visible : str
        The value of the environment variable CUDA_VISIBLE_DEVICES.
    """

    driver: str | None = None
    driver_cuda: tuple[int, int] | None = None
    toolkit: tuple[int, int] | None = None
    numba_cuda: str | None = None
    capability: tuple[int, int] | None = None
    visible: str | None = None

    def __str__(self) -> str:
        driver = f"driver {self.driver or 'of unknown release'} for CUDA {_dotted(self.driver_cuda)}"
        parts = [
            driver if self.driver_cuda else "no driver library",
            f"CUDA toolkit {_dotted(self.toolkit)}" if self.toolkit else "no CUDA toolkit",
            f"numba-cuda {self.numba_cuda}" if self.numba_cuda else "no numba-cuda",
        ]
        if self.capability:
            parts.append(f"a GPU of compute capability {_dotted(self.capability)}")
        if self.visible is not None:
            parts.append(f"CUDA_VISIBLE_DEVICES={self.visible!r}")
        return ", ".join(parts)


def find(toolkit: tuple[int, int] | None, capability: tuple[int, int] | None) -> Versions:
    """Returns the versions of the driver, the toolkit and numba-cuda. The caller gets the two arguments from `numba.cuda`."""
    return Versions(
        driver=driver_release(),
        driver_cuda=driver_cuda(),
        toolkit=toolkit,
        numba_cuda=numba_cuda(),
        capability=capability,
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def what_to_do(found: Versions, error: str) -> str:
    """Returns a diagnosis and a remedy, which depend on the versions found and on the error message `error`."""
    newest, extra = max(DRIVERS), _extra(found)
    drivers = f"{DRIVERS[newest]} or newer for `{installing('cuda13')}`, or at least {DRIVERS[12]} for {packages('cuda12')}"
    if found.driver_cuda is None:
        return f"This machine has no NVIDIA driver, or Python cannot load its library. Install a driver: {drivers}."
    if found.visible is not None and found.visible.strip() in NONE_VISIBLE:
        return f"CUDA_VISIBLE_DEVICES={found.visible!r} hides every GPU. Unset this variable, or set it to a GPU such as 0."
    if found.driver_cuda[0] < min(DRIVERS):
        return f"The driver is too old: numbanet needs a driver for CUDA {min(DRIVERS)} at least. Install a driver: {drivers}."
    if found.numba_cuda is None:
        return f"numba-cuda, which compiles the kernels, is not installed. Run `{installing(extra)}`."
    if found.toolkit is None or re.search(r"nvvm.*(find|found)|(find|found).*nvvm", error, re.IGNORECASE | re.DOTALL):
        return f"The CUDA toolkit, which compiles the kernels, is missing or incomplete. Run `{installing(extra)}`."
    if found.toolkit[0] > found.driver_cuda[0]:
        return (
            f"The driver is too old for this CUDA toolkit. Install {packages(extra)} in a fresh environment with numbanet, or "
            f"install driver {DRIVERS.get(found.toolkit[0], DRIVERS[newest])} or newer."
        )
    least = CAPABILITIES.get(found.toolkit[0], CAPABILITIES[newest])
    if found.capability and found.capability < CAPABILITIES[12]:
        return f"The GPU is too old: numbanet needs compute capability {_dotted(CAPABILITIES[12])} at least, with CUDA 12."
    if found.capability and found.capability < least:
        return (
            f"This CUDA toolkit compiles for compute capability {_dotted(least)} and newer. "
            f"Install {packages('cuda12')} in a fresh environment with numbanet."
        )
    if found.toolkit > found.driver_cuda and "PTX" in error:
        return (
            "The CUDA toolkit is newer than the driver, and the driver cannot load its kernels. Install a newer driver, or run "
            f"`{installing(f'cuda-toolkit=={_dotted(found.driver_cuda)}.*')}`."
        )
    if "NO_DEVICE" in error:
        return "The driver finds no NVIDIA GPU."
    return "The driver, the toolkit and the GPU seem to be compatible, but running a kernel failed."


def _extra(found: Versions) -> str:
    """Returns the extra (optional dependencies of numbanet), "cuda12" or "cuda13", that is compatible with driver and GPU."""
    old_gpu = found.capability is not None and found.capability < CAPABILITIES[13]
    return "cuda13" if found.driver_cuda and found.driver_cuda[0] >= 13 and not old_gpu else "cuda12"


def _dotted(version: tuple[int, ...] | None) -> str:
    return ".".join(map(str, version or ()))


def numba_cuda() -> str | None:
    """Returns the installed version of the package numba-cuda, or None if it is not installed."""
    try:
        return importlib.metadata.version("numba-cuda")
    except importlib.metadata.PackageNotFoundError:
        return None


def driver_cuda() -> tuple[int, int] | None:
    """Returns the newest CUDA version that the driver supports, or None if the driver library is missing or fails.

    The driver library reports a version even without a GPU.
    """
    version = ctypes.c_int()
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        failed = library.cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return None if failed else parsed_cuda(version.value)


def parsed_cuda(version: int) -> tuple[int, int]:
    """Converts a CUDA version from the driver's integer to a pair of major and minor version: 13010 becomes (13, 1)."""
    return version // 1000, version % 1000 // 10


def driver_release(path: str = "/proc/driver/nvidia/version") -> str | None:
    """Returns the release number that the driver's kernel module reports on Linux, or None if it does not report a number."""
    try:
        match = re.search(r"Kernel Module(?: for \S+)?\s+([\d.]+)", Path(path).read_text())
    except OSError:
        return None
    return match and match[1]
