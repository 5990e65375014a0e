"""Before the engine allocates memory, it queries how many bytes of GPU memory are free, and gets the right number."""

import numpy as np
import pytest

from numbanet._cuda import cuda
from numbanet.engines.cuda import limits
from tests.helpers.engines import CUDA, each

pytestmark = [
    pytest.mark.simulator,
    pytest.mark.skipif(not CUDA or limits.SIMULATED, reason="the memory of a GPU, which the simulator does not have"),
]

KIBIBYTES = 512


@each("count", [1, 5])
def test_memory_of_deleted_arrays_is_free(count):
    """numba-cuda itself frees the memory of deleted arrays only after many arrays have been deleted."""
    before = limits.free_bytes()
    arrays = [cuda.device_array(KIBIBYTES << 10, np.int8) for _ in range(count)]
    assert limits.free_bytes() == before - count * (KIBIBYTES << 10)
    del arrays
    assert limits.free_bytes() == before
