"""The devices, engines and dtypes that tests run over on this machine."""

import numpy as np
import pytest

from numbanet import _cuda

CUDA = _cuda.unusable_reason() is None
# The simulator runs the kernels only: the CPU's loops have a run of their own.
DEVICES = ["cuda"] if _cuda.SIMULATED else ["cpu", "cuda"] if CUDA else ["cpu"]
ENGINES = [pytest.param(device, kernels, id=f"{kernels}-{device}") for device in DEVICES for kernels in ("fast", "reference")]
DTYPES = [pytest.param(np.dtype(name), id=name) for name in ("float32", "float64")]


def each(names, values):
    """A decorator that runs a test for each value of a fixture or argument."""
    return pytest.mark.parametrize(names, values)
