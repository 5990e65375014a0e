"""In the simulator, threads wait at barriers, a missing barrier gives wrong results, and a failing thread ends its block."""

import threading
import time

import numpy as np
import pytest

from numbanet import _cuda
from numbanet._cuda import configured, cuda

pytestmark = [
    pytest.mark.simulator,
    pytest.mark.skipif(not _cuda.SIMULATED, reason="the scheduler of Numba's simulator"),
]


@cuda.jit
def rotate(x, y, with_barriers):
    t, n = cuda.threadIdx.x, cuda.blockDim.x
    x[t] = 10 * cuda.blockIdx.x + t
    if t == n - 1:
        return  # a thread that has ended is not awaited
    for _ in range(2):
        if with_barriers:
            cuda.syncthreads()
        y[t] = x[t + 1]
        if with_barriers:
            cuda.syncthreads()
        x[t] = y[t]


def test_threads_wait_for_each_other_at_barriers():
    x, y = np.zeros(5), np.zeros(5)
    configured(rotate, 2, 5)(x, y, True)
    assert x.tolist() == [12, 13, 14, 14, 14]
    x[:] = 0
    configured(rotate, 2, 5)(x, y, False)
    assert x.tolist() != [12, 13, 14, 14, 14]


@cuda.jit
def fail(x):
    cuda.syncthreads()
    if cuda.threadIdx.x == 1:
        raise ValueError("wrong")
    cuda.syncthreads()


def test_a_failing_thread_ends_its_block():
    before = threading.active_count()
    with pytest.raises(ValueError, match="wrong") as raised:
        configured(fail, 1, 4)(np.zeros(1))
    assert raised.value.__notes__ == ["in thread (1, 0, 0) of block (0, 0, 0)"]
    deadline = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threading.active_count() == before
