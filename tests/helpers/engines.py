"""The devices, engines and dtypes for which tests are repeated on this machine."""

import numpy as np
import pytest

from numbanet import _cuda

if _cuda.SIMULATED:
    from tests.helpers import simulator

    simulator.install()

CUDA = _cuda.unusable_reason() is None
# CUDA kernels can run in three places: in Numba's simulator, on the software GPU (see tests/software_gpu), and on hardware.
SOFTWARE_GPU = CUDA and _cuda.devices()[0].startswith("software GPU")
# In the simulator and on the software GPU, only the CUDA kernels are tested. The loops of the CPU are tested in a separate run
# of pytest.
DEVICES = ["cuda"] if _cuda.SIMULATED or SOFTWARE_GPU else ["cpu", "cuda"] if CUDA else ["cpu"]
ENGINES = [
    pytest.param(device, kernels, id=f"{kernels}-{device}")
    for device in DEVICES
    for kernels in ("fast", "reference")
    if not (device == "cuda" and kernels == "fast" and _cuda.no_fast_kernels())
]
DTYPES = [pytest.param(np.dtype(name), id=name) for name in ("float32", "float64")]


def each(names, values):
    """Returns a decorator that runs a test once for each value of the fixture or argument `names`."""
    return pytest.mark.parametrize(names, values)
