"""The engines, devices and dtypes every test runs over, on this machine."""

import os
import sys

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # scikit-learn's checks want it, and SciPy sees it only when it is imported

import numpy as np
import pytest

from numbanet import _cuda

os.environ.setdefault("MPLBACKEND", "agg")  # pictures are drawn, and not shown

CUDA = _cuda.unusable_reason() is None
# In the simulator only the kernels are of interest: the CPU's loops have their own run.
DEVICES = ["cuda"] if _cuda.SIMULATED else ["cpu", "cuda"] if CUDA else ["cpu"]
ENGINES = [pytest.param(device, kernels, id=f"{kernels}-{device}") for device in DEVICES for kernels in ("fast", "reference")]
DTYPES = [pytest.param(np.dtype(name), id=name) for name in ("float32", "float64")]

if _cuda.SIMULATED:
    sys.setswitchinterval(1e-4)  # simulated threads mostly wait for each other


def each(names, values):
    """A decorator that runs a test for each value of a fixture or argument."""
    return pytest.mark.parametrize(names, values)


@pytest.fixture
def only_on_the_device(request):
    """In the simulator what does not ask for its device has its own run, on the CPU."""
    if _cuda.SIMULATED and "device" not in request.fixturenames:
        pytest.skip("runs on the CPU")
