"""Most kernels in this module are wrong on purpose; the software GPU must find their errors, and report no other errors."""

import re

import numpy as np
import pytest
from numba import float32

from numbanet._cuda import configured, cuda, launching_on
from numbanet.engines.cuda.limits import allow_shared_memory, free_bytes, stream_beside
from numbanet.engines.cuda.memory import (
    arrive,
    arrived,
    await_copies,
    copy_later,
    get,
    get_quad,
    own_memory,
    put,
    shared_numbers,
)
from tests.helpers.engines import SOFTWARE_GPU, each
from tests.software_gpu import findings
from tests.software_gpu.translation.ptx import UnsupportedError

pytestmark = pytest.mark.simulator

if not SOFTWARE_GPU:
    pytest.skip("needs the software GPU: python -m tests.software_gpu pytest", allow_module_level=True)

THREADS, SPACES, BLOCKS = 8, 9, 3


def array(n=THREADS, dtype=np.float32):
    """Returns an array on the GPU, to which the host has written the numbers 0, 1, ..., n - 1."""
    return cuda.to_device(np.arange(n, dtype=dtype))


def run(kernel, *arguments, blocks=1, threads=THREADS, shared_bytes=0):
    """Runs a kernel; returns the name of the CUDA error, or None, and the kinds of the findings (errors), such as RACE."""
    error = None
    try:
        configured(kernel, blocks, threads, shared_bytes)(*arguments)
        cuda.synchronize()
    except Exception as raised:  # numba-cuda and cuda.core raise errors without a common base class
        error = name_of(raised)
        findings.revive()
    return error, [finding.split(":")[0] for finding in findings.take()]


def name_of(raised):
    """Returns the name of a CUDA error, such as CUDA_ERROR_LAUNCH_TIMEOUT; re-raises an error that is not from CUDA."""
    found = re.search(r"CUDA_ERROR_\w+", str(raised))
    if found is None:
        raise raised
    return found[0]


def test_a_right_kernel_makes_no_findings():
    @cuda.jit
    def reverse(x, y):
        near, i = shared_numbers(THREADS, float32), cuda.threadIdx.x
        put(near, i, get(x, i))
        cuda.syncthreads()
        put(y, i, get(near, THREADS - 1 - i))

    x, y = array(), cuda.device_array(THREADS, np.float32)
    assert run(reverse, x, y) == (None, [])
    assert y.copy_to_host().tolist() == [7, 6, 5, 4, 3, 2, 1, 0]


# Addresses


@each("index", [-1, THREADS, 10**6])
def test_outside_of_an_array(index):
    @cuda.jit
    def read(x, index, y):
        put(y, 0, get(x, index))

    assert run(read, array(), index, array()) == ("CUDA_ERROR_ILLEGAL_ADDRESS", ["OUTSIDE"])


def test_outside_of_shared_memory():
    @cuda.jit
    def shift(x, y):
        near, i = shared_numbers(THREADS, float32), cuda.threadIdx.x
        put(near, i + 1, get(x, i))
        cuda.syncthreads()
        put(y, i, get(near, i))

    assert run(shift, array(), array()) == ("CUDA_ERROR_ILLEGAL_ADDRESS", ["OUTSIDE"])


@each("index, error", [(7, None), (8, "CUDA_ERROR_ILLEGAL_ADDRESS")])
def test_local_memory(index, error):
    @cuda.jit
    def turn(x, index, y):
        own = cuda.local.array(THREADS, float32)
        for k in range(THREADS):
            put(own, (k + index) % index, get(x, k))
        put(y, 0, get(own, index - 1) + get(own, index * (index // THREADS)))

    y = array()
    assert run(turn, array(), index, y, threads=1) == (error, ["OUTSIDE"] if error else [])
    assert error or y.copy_to_host()[0] == 6 + 7


def test_memory_that_was_freed():
    @cuda.jit
    def read(x, y):
        put(y, 0, get(x, 0))

    x, y = array(), array()
    stale = cuda.from_cuda_array_interface(x.__cuda_array_interface__)
    del x
    free_bytes()
    assert run(read, stale, y) == ("CUDA_ERROR_ILLEGAL_ADDRESS", ["OUTSIDE"])


def test_misaligned():
    @cuda.jit
    def read(x, y):
        put(y, 0, get_quad(x, 1)[0])

    assert run(read, array(), array()) == ("CUDA_ERROR_MISALIGNED_ADDRESS", ["MISALIGNED"])


def test_after_a_failed_kernel_everything_fails():
    @cuda.jit
    def read(x, y):
        put(y, 0, get(x, -1))

    x = array()
    configured(read, 1, 1)(x, x)
    for _ in range(2):
        with pytest.raises(Exception, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
            x.copy_to_host()
    assert len(findings.take()) == 1


# Values


def test_a_value_that_nobody_has_written():
    @cuda.jit
    def read(x, y):
        put(y, 0, get(x, 0))

    assert run(read, cuda.device_array(4, np.float32), array(), threads=1) == (None, ["UNWRITTEN"])


def test_a_value_of_shared_memory_that_nobody_has_written():
    @cuda.jit
    def shift(x, y):
        near, i = shared_numbers(SPACES, float32), cuda.threadIdx.x
        put(near, i, get(x, i))
        cuda.syncthreads()
        put(y, i, get(near, i + 1))

    assert run(shift, array(), array()) == (None, ["UNWRITTEN"])


# Races


def test_a_missing_barrier():
    @cuda.jit
    def reverse(x, y):
        near, i = shared_numbers(THREADS, float32), cuda.threadIdx.x
        put(near, i, get(x, i))
        put(y, i, get(near, THREADS - 1 - i))

    _, kinds = run(reverse, array(), array())
    assert "RACE" in kinds and set(kinds) <= {"RACE", "UNWRITTEN"}


def test_a_missing_barrier_before_the_next_value():
    @cuda.jit
    def shift(x, y):
        near, i = shared_numbers(THREADS, float32), cuda.threadIdx.x
        put(near, i, get(x, i))
        cuda.syncthreads()
        value = get(near, (i + 1) % THREADS)
        put(near, i, value + value)
        cuda.syncthreads()
        put(y, i, get(near, i))

    error, kinds = run(shift, array(), array())
    assert error is None and kinds and set(kinds) == {"RACE"}


def test_threads_that_write_the_same_number():
    @cuda.jit
    def write(x, y):
        put(y, cuda.threadIdx.x // 2, get(x, 0))

    assert run(write, array(), array()) == (None, ["RACE"])


def test_blocks_that_read_what_others_write():
    @cuda.jit
    def shift(y):
        put(y, cuda.blockIdx.x, get(y, (cuda.blockIdx.x + 1) % BLOCKS))

    _, kinds = run(shift, array(), blocks=BLOCKS, threads=1)
    assert kinds and set(kinds) == {"RACE"}


def test_atomic_operations_are_no_race():
    @cuda.jit
    def count(least, x):
        cuda.atomic.min(least, 0, x[cuda.grid(1)])

    least, x = cuda.to_device(np.full(1, 99)), cuda.to_device(np.arange(BLOCKS * THREADS)[::-1] + 7)
    assert run(count, least, x, blocks=BLOCKS) == (None, [])
    assert least.copy_to_host().tolist() == [7]


def test_an_atomic_operation_beside_a_plain_read():
    @cuda.jit
    def count(least, x):
        cuda.atomic.min(least, 0, x[cuda.grid(1)])
        x[cuda.grid(1)] = least[0]

    error, kinds = run(count, cuda.to_device(np.full(1, 99)), cuda.to_device(np.arange(THREADS)))
    assert error is None and kinds and set(kinds) == {"RACE"}


# Barriers


def test_threads_at_different_barriers():
    @cuda.jit
    def diverge(x, y):
        near, i = shared_numbers(THREADS, float32), cuda.threadIdx.x
        put(near, i, get(x, i))
        if i < 4:
            cuda.syncthreads()
            put(y, i, get(near, i))
        else:
            put(near, i, get(x, i - 4))
            cuda.syncthreads()
            put(y, i, get(near, i - 1))

    assert "DIVERGENCE" in run(diverge, array(), array())[1]


def meeting(fault):
    """Returns a kernel whose blocks each write a number, wait for each other, and add up the numbers of all blocks.

    In each block, the last thread writes a number, and the first thread waits for the other blocks. `fault` names a fault of
    the barrier at which the blocks wait. If `fault` is None, the barrier is correct, like the barrier of numbanet's cooperative
    kernel.
    """
    excess = {"waits for too few": -1, "looks once": -2 * BLOCKS, "waits for too many": 1}.get(fault, 0)
    has_barrier_before, has_barrier_after = fault != "no barrier before", fault != "no barrier after"
    has_release, looks, loads = fault != "no release", fault != "does not look", fault == "waits with plain loads"

    @cuda.jit
    def add_up(counter, numbers, sums):
        block = cuda.blockIdx.x
        for turn in range(2):
            if cuda.threadIdx.x == THREADS - 1:
                put(numbers, turn * BLOCKS + block, float32(block + 1))
            if has_barrier_before:
                cuda.syncthreads()
            if cuda.threadIdx.x == 0:
                if has_release or block == BLOCKS:  # without any call to `arrive`, the launch would not be cooperative
                    arrive(counter)
                else:
                    cuda.atomic.add(counter, 0, 1)
                if loads:
                    while get(counter, 0) < (turn + 1) * BLOCKS:
                        await_copies()  # so that the compiler does not move the load out of the loop
                elif looks:
                    while arrived(counter) < (turn + 1) * BLOCKS + excess:
                        pass
            if has_barrier_after:
                cuda.syncthreads()
            total = float32(0)
            for other in range(BLOCKS):
                total += get(numbers, turn * BLOCKS + other)
            if cuda.threadIdx.x == 0:
                put(sums, turn * BLOCKS + block, total)

    return add_up


def meet(fault, blocks=BLOCKS):
    """Runs the kernel that `meeting` returns for `fault`.

    Returns the kernel's sums, the name of the CUDA error, and the kinds of the findings (errors), such as RACE.
    """
    counter, numbers, sums = cuda.to_device(np.zeros(1, np.int32)), array(2 * BLOCKS), array(2 * BLOCKS)
    error, kinds = run(meeting(fault), counter, numbers, sums, blocks=blocks)
    return sums.copy_to_host().tolist(), error, kinds


def test_blocks_that_meet():
    assert meet(None) == ([6.0] * 6, None, [])


@each(
    "fault",
    [
        "waits for too few",
        "waits with plain loads",
        "looks once",
        "does not look",
        "no barrier before",
        "no barrier after",
        "no release",
    ],
)
def test_blocks_that_do_not_wait_for_all(fault):
    _, error, kinds = meet(fault)
    assert error is None and "RACE" in kinds and set(kinds) == {"RACE"}


def test_blocks_that_wait_for_ever():
    _, error, kinds = meet("waits for too many")
    assert (error, kinds) == ("CUDA_ERROR_LAUNCH_TIMEOUT", ["DEADLOCK"])


def test_more_blocks_than_can_meet():
    """cuda.core and the driver reject a cooperative launch with more blocks than the GPU can run at once.

    cuda.core asks the driver for the largest number of blocks, and raises ValueError before the launch.
    """
    from cuda.bindings import driver

    arguments = cuda.to_device(np.zeros(1, np.int32)), array(), array()
    kernel = meeting(None)
    with pytest.raises(ValueError, match="exceeds the limit"):
        run(kernel, *arguments, blocks=10**5)
    compiled = kernel.compile(tuple(kernel.typeof_pyval(argument) for argument in arguments))
    function = driver.cuKernelGetFunction(compiled._codelibrary.get_cufunc().handle)[1]
    (error,) = driver.cuLaunchCooperativeKernel(function, 10**5, 1, 1, THREADS, 1, 1, 0, 0, 0)
    assert error == driver.CUresult.CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE


def test_blocks_that_wait_in_a_launch_whose_blocks_run_in_turn():
    @cuda.jit
    def wait(counter):
        while get(counter, 0) < 0 or arrived(counter) < 1:
            pass

    error, kinds = run(wait, cuda.to_device(np.zeros(1, np.int32)), blocks=2, threads=1)
    assert (error, kinds) == ("CUDA_ERROR_LAUNCH_TIMEOUT", ["DEADLOCK"])


def test_a_barrier_of_all_blocks_that_the_software_gpu_cannot_run():
    @cuda.jit
    def wait(x):
        cuda.cg.this_grid().sync()

    with pytest.raises(UnsupportedError, match=r"calls the function cudaCG.*cannot run cuda\.cg\.this_grid\(\)\.sync\(\)"):
        configured(wait, BLOCKS, 1)(array())


# Asynchronous copies


def copying(fault):
    """Returns a kernel that copies x to y asynchronously, through shared memory.

    `fault` names a fault of the kernel; if `fault` is None, the kernel is correct.
    """

    @cuda.jit
    def copy(x, y):
        near, i = shared_numbers(THREADS, float32), cuda.threadIdx.x
        copy_later(near, i, x, i)
        if fault == "source":
            put(x, i, float32(-1))
        elif fault == "target":
            put(near, i, float32(-1))
        if fault != "not awaited":
            await_copies()
        if fault != "no barrier":
            cuda.syncthreads()
        put(y, i, get(near, THREADS - 1 - i))

    return copy


@each("fault", ["source", "target", "not awaited"])
def test_asynchronous_copies_that_are_used_too_early(fault):
    _, kinds = run(copying(fault), array(), array())
    assert "COPY" in kinds and set(kinds) <= {"COPY", "RACE"}


def test_an_asynchronous_copy_without_a_barrier():
    _, kinds = run(copying("no barrier"), array(), array())
    assert "RACE" in kinds and set(kinds) <= {"RACE", "COPY", "UNWRITTEN"}


def test_an_asynchronous_copy():
    y = array()
    assert run(copying(None), array(), y) == (None, [])
    assert y.copy_to_host().tolist() == [7, 6, 5, 4, 3, 2, 1, 0]


# Limits of launches


@cuda.jit
def fill(x, y):
    """In one thread, writes to dynamic shared memory and to 4 KiB of static shared memory."""
    near, table = own_memory(y, y.size), shared_numbers(1024, float32)
    for k in range(4):
        put(near, k, get(x, k))
        put(table, k, get(x, k + 1))
    cuda.syncthreads()
    for k in range(4):
        put(y, k, get(near, 3 - k) + get(table, 3 - k))


@each("kibibytes, error", [(44, None), (45, "CUDA_ERROR_INVALID_VALUE"), (48, "CUDA_ERROR_INVALID_VALUE")])
def test_shared_memory_that_nobody_has_asked_for(kibibytes, error):
    assert run(fill, array(), array(), threads=1, shared_bytes=kibibytes << 10) == (error, [])


def test_shared_memory_that_has_been_asked_for():
    arguments, kibibytes = (array(), array()), 223
    allow_shared_memory(fill, arguments, kibibytes << 10, 4096)
    assert run(fill, *arguments, threads=1, shared_bytes=kibibytes << 10) == (None, [])
    with pytest.raises(Exception, match="CUDA_ERROR_INVALID_VALUE"):
        allow_shared_memory(fill, arguments, (kibibytes + 1) << 10, 4096)


def test_too_many_threads_in_a_block():
    assert run(increment, array(), threads=1025) == ("CUDA_ERROR_INVALID_VALUE", [])


# Recorded streams


@cuda.jit
def increment(y):
    """In one thread, adds 1 to the first number of y."""
    put(y, 0, get(y, 0) + float32(1))


def recorded(action, mode="global"):
    """Records a kernel and the call action(y) as a CUDA graph, for an array y on the GPU.

    Returns the name of the CUDA error, or None, and the kinds of the findings (errors), such as CAPTURE.
    """
    from cuda.core import Device

    y = array()
    configured(increment, 1, 1)(y)
    builder, error = Device().create_graph_builder(), None
    builder.begin_building(mode)
    try:
        with launching_on(builder):
            configured(increment, 1, 1)(y)
        action(y)
    except Exception as raised:  # numba-cuda and cuda.core raise errors without a common base class
        error = name_of(raised)
    try:
        builder.end_building()
    except Exception as raised:
        error = error or name_of(raised)
    return error, [finding.split(":")[0] for finding in findings.take()]


def test_recording_a_kernel():
    assert recorded(lambda y: None) == (None, [])


@each(
    "action",
    [
        pytest.param(lambda y: cuda.device_array(3), id="allocate"),
        pytest.param(lambda y: y.copy_to_host(), id="copy"),
        pytest.param(lambda y: cuda.synchronize(), id="synchronize"),
    ],
)
def test_what_is_not_allowed_while_a_kernel_is_recorded(action):
    error, kinds = recorded(action)
    assert error.startswith("CUDA_ERROR_STREAM_CAPTURE") and set(kinds) == {"CAPTURE"}


def test_what_is_not_allowed_in_any_mode():
    """In CUDA's relaxed recording mode, which numbanet uses, a call may allocate memory, but not wait for the GPU."""
    assert recorded(lambda y: cuda.device_array(3), "relaxed") == (None, [])
    error, kinds = recorded(lambda y: cuda.synchronize(), "relaxed")
    assert error.startswith("CUDA_ERROR_STREAM_CAPTURE") and set(kinds) == {"CAPTURE"}


# Streams and events


def test_a_stream_that_waits_for_an_event():
    """If a stream waits for an event in another stream, the driver first executes the work that precedes the event."""
    streams, y, pinned = [cuda.stream(), cuda.stream()], array(1), cuda.pinned_array(1, np.float32)
    events = [cuda.event(), cuda.event()]
    events[0].record(streams[0])
    with launching_on(streams[0]):
        configured(increment, 1, 1)(y)
    events[1].record(streams[0])
    events[1].wait(streams[1])
    y.copy_to_host(pinned, stream=streams[1])
    streams[1].synchronize()
    assert pinned[0] == 1
    assert cuda.event_elapsed_time(*events) > 0


def test_a_result_that_is_used_before_it_is_there():
    """The driver executes the work of a CUDA stream as late as possible, so that tests notice a missing synchronisation."""
    stream, y = stream_beside(), array(1)
    with launching_on(stream):
        configured(increment, 1, 1)(y)
    pinned = cuda.pinned_array(1, np.float32)
    pinned[0] = -1
    y.copy_to_host(pinned, stream=cuda.external_stream(int(stream.handle)))
    assert pinned[0] == -1
    stream.sync()
    assert pinned[0] == 1


@each("early, found", [("0", 2), ("1", 7)])
def test_a_copy_that_does_not_wait_for_the_kernel_before_it(monkeypatch, early, found):
    """The kernel and the copy are in different CUDA streams.

    The driver executes the copy as late as possible or, if SOFTWARE_GPU_EARLY is 1, at once.
    """
    monkeypatch.setenv("SOFTWARE_GPU_EARLY", early)
    y, pinned, stream = array(2), cuda.pinned_array(1, np.float32), stream_beside()
    y[:1].copy_to_device(np.ones(1, np.float32))
    pinned[0] = 6
    configured(increment, 1, 1)(y)
    y[:1].copy_to_device(pinned, stream=stream)
    cuda.default_stream().synchronize()
    assert y.copy_to_host()[0] == found
    stream.sync()
