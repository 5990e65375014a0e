"""The devices, engines and dtypes with which tests are repeated on this machine."""

import numpy as np
import pytest

from numbanet import _cuda

CUDA = _cuda.unusable_reason() is None
# With Numba's CUDA simulator, only the CUDA kernels are tested. The CPU's loops are tested in a separate run of pytest.
DEVICES = ["cuda"] if _cuda.SIMULATED else ["cpu", "cuda"] if CUDA else ["cpu"]
ENGINES = [pytest.param(device, kernels, id=f"{kernels}-{device}") for device in DEVICES for kernels in ("fast", "reference")]
DTYPES = [pytest.param(np.dtype(name), id=name) for name in ("float32", "float64")]


def each(names, values):
    """Returns a decorator that runs a test once for each value of the fixture or argument `names`."""
    return pytest.mark.parametrize(names, values)
