"""Settings and fixtures of all tests."""

import os
import sys

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # SciPy reads it when it is imported; scikit-learn's estimator checks need it
os.environ.setdefault("MPLBACKEND", "agg")  # draws without a screen

import pytest

from numbanet import _cuda

if _cuda.SIMULATED:
    sys.setswitchinterval(1e-4)  # simulated threads mostly wait for each other


@pytest.fixture
def only_on_the_device(request):
    """Skips a test that does not ask for a device in the simulator: it has its own run, on the CPU."""
    if _cuda.SIMULATED and "device" not in request.fixturenames:
        pytest.skip("runs on the CPU")
