"""The engines, devices and dtypes every test runs over, on this machine."""

import sys

import numpy as np
import pytest

from numbanet import _cuda
from numbanet.engines.cuda import arrays, engine, product, resident, steps
from numbanet.engines.reference import CudaLoops

CUDA = _cuda.unusable_reason() is None
# In the simulator only the kernels are of interest: the CPU's loops have their own run.
DEVICES = ["cuda"] if _cuda.SIMULATED else ["cpu", "cuda"] if CUDA else ["cpu"]
ENGINES = [pytest.param(device, kernels, id=f"{kernels}-{device}") for device in DEVICES for kernels in ("fast", "reference")]
DTYPES = [pytest.param(np.dtype(name), id=name) for name in ("float32", "float64")]

if _cuda.SIMULATED:
    sys.setswitchinterval(1e-4)  # simulated threads mostly wait for each other
    # A simulated thread costs a thread: few to a block, so that small arrays still take several ragged blocks.
    CudaLoops.block_shapes = ((4,), (4, 2), (2, 2, 2))
    arrays.THREADS, engine.ROW_THREADS, resident.THREADS, steps.THREADS = 4, 2, 4, 2
    product.TILES = dict.fromkeys(product.TILES, (product.Tile(16, 16, 8, 1, 128, 2, 1.0),))


def each(names, values):
    """A decorator that runs a test for each value of a fixture or argument."""
    return pytest.mark.parametrize(names, values)
