"""Measures the limits of a GPU: times of kernel launches, CUDA graphs and barriers, and rates of copies and multiply-adds.

Each measurement is a function with the argument `dry` (whether this is a dry run). In a dry run, a measurement makes only a few
calls, to show that it works, and its result is meaningless.
"""

import statistics
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.measuring import seconds_of
from numbanet._cuda import SIMULATED, configured, cuda, unusable_reason
from numbanet.engines.cuda.cooperative import kernel as cooperative
from numbanet.engines.cuda.resident.layout import THREADS as RESIDENT_THREADS

ROUNDS = 5
LAUNCHES = 1_000
GRAPH_NODES = 100
BARRIERS, DRY_BARRIERS = 10_000, 2
COPIED_BYTES = 2**28  # larger than any L2 cache
COPIES = 20
SECONDS = 0.02  # duration of a measurement of the ceiling
THREADS, BLOCKS_PER_MULTIPROCESSOR = 256, 8
# Names of the measurements from which `benchmarks.gpu.constants` takes constants of the planner.
BLOCK_BARRIER = "barrier of the threads of a block, as in training in one block, us"
GRAPH = f"replay of a CUDA graph of {GRAPH_NODES} empty kernels, us"
MEETING = "meeting of one block per multiprocessor, as in cooperative training, us"
# In the kernel `multiply_add`: REPEATS is the number of multiply-adds per turn and sum; CHAINS is the number of sums.
REPEATS, CHAINS = 32, 8


def in_words(error: BaseException) -> str:
    """Describes an error by the name of its class and the first two lines of its message.

    For a missing module, the description begins with "not installed" instead of the name of the error's class.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = "not installed" if isinstance(error, ModuleNotFoundError) else type(error).__name__
    return f"{kind}: {' '.join(lines[:2])}" if lines else kind


@cuda.jit
def nothing():
    """Does nothing."""


@cuda.jit
def nothing_of_4(a, b, c, d):
    """A kernel that takes 4 arrays and does nothing, to measure the time of its launch."""


@cuda.jit
def nothing_of_8(a, b, c, d, e, f, g, h):
    """A kernel that takes 8 arrays and does nothing, to measure the time of its launch."""


@cuda.jit
def block_barriers(turns):
    """Synchronises the threads of each block `turns` times."""
    for _ in range(turns):
        cuda.syncthreads()


@cuda.jit
def barriers(turns):
    """Synchronises all threads of the grid `turns` times, with CUDA's cooperative groups."""
    grid = cuda.cg.this_grid()
    for _ in range(turns):
        grid.sync()


@cuda.jit
def meetings(turns, counter):
    """Synchronises all blocks of the grid `turns` times, with `meet`, numbanet's own barrier of all blocks."""
    for turn in range(turns):
        cooperative.meet(counter, turn + 1)


@cuda.jit(fastmath=True)
def multiply_add(x, turns, sums):
    """In each thread, performs `turns` * REPEATS multiply-adds for each of CHAINS sums, on values that stay in registers.

    The sums are independent, because a multiply-add must wait several cycles for the previous one of the same sum. The sums
    start from different numbers, because otherwise the compiler would merge the sums. The array x, of shape (2 + CHAINS,),
    contains the factor, the term to add, and the first values of the sums. Each thread writes the total of its sums to the
    array `sums`, of shape (number of threads,).
    """
    factor, term = x[0], x[1]
    c_0, c_1, c_2, c_3, c_4, c_5, c_6, c_7 = x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9]
    for _ in range(turns):
        for _ in range(REPEATS):
            c_0 = c_0 * factor + term
            c_1 = c_1 * factor + term
            c_2 = c_2 * factor + term
            c_3 = c_3 * factor + term
            c_4 = c_4 * factor + term
            c_5 = c_5 * factor + term
            c_6 = c_6 * factor + term
            c_7 = c_7 * factor + term
    sums[cuda.grid(1)] = c_0 + c_1 + c_2 + c_3 + c_4 + c_5 + c_6 + c_7


def on_gpu() -> bool:
    """Returns True if kernels run on a GPU, and False in Numba's simulator or without a GPU."""
    return not SIMULATED and unusable_reason() is None


def launcher(kernel: Any, grid: int, block: int, *arguments: Any) -> Callable[[], None]:
    """Compiles a kernel, runs the kernel once, and returns a function that launches the kernel."""
    launch = partial(configured(kernel, grid, block), *arguments)
    launch()
    cuda.synchronize()
    return launch


def seconds_each(call: Callable[[], Any], times: int) -> float:
    """Measures ROUNDS rounds of `times` calls; returns the median of the rounds' mean durations of a call, in seconds.

    At the end of each round, the host waits for the GPU once.
    """

    def turn() -> None:
        for _ in range(times):
            call()
        cuda.synchronize()

    turn()
    return statistics.median(seconds_of(turn) for _ in range(ROUNDS)) / times


def _multiprocessors(dry: bool) -> int:
    return 1 if dry else cuda.get_current_device().MULTIPROCESSOR_COUNT


class Ceiling:
    """Measures how many float32 operations per second the GPU performs if all multiprocessors perform only multiply-adds."""

    def __init__(self, dry: bool = False):
        self.blocks, self.threads = (1, 2) if dry else (_multiprocessors(dry) * BLOCKS_PER_MULTIPROCESSOR, THREADS)
        self.turns = 2 if dry else 1_000
        x = np.linspace(0, 1, 2 + CHAINS, dtype=np.float32)
        x[:2] = 0.5, 0.25  # c <- c / 2 + 1/4 converges to 1/2, so that sums neither overflow nor become subnormal
        self.x = cuda.to_device(x)
        self.sums = cuda.device_array(self.blocks * self.threads, np.float32)
        self._run()  # compiles
        if not dry:
            self.turns = max(1, int(self.turns * SECONDS / seconds_of(self._run)))

    def _run(self) -> None:
        configured(multiply_add, self.blocks, self.threads)(self.x, self.turns, self.sums)
        cuda.synchronize()

    def measure(self) -> float:
        """Runs the kernel once, and returns the number of operations per second."""
        operations = 2 * REPEATS * CHAINS * self.turns * self.blocks * self.threads
        return operations / seconds_of(self._run)


class Product:
    """Measures how many operations per second cuBLAS performs in the product of two square float32 matrices.

    PyTorch calls cuBLAS.

    Parameters
    ----------
    size : int
        The number of rows of each matrix, which is also the number of columns.
    """

    def __init__(self, size: int):
        import torch

        torch.set_float32_matmul_precision("highest")
        self.torch, self.size = torch, size
        self.a, self.b = torch.randn(2, size, size, device="cuda")
        self.c = torch.empty_like(self.a)
        self._run()

    def _run(self) -> None:
        self.torch.mm(self.a, self.b, out=self.c)
        self.torch.cuda.synchronize()

    def measure(self) -> float:
        """Runs the kernel once, and returns the number of operations per second."""
        return 2 * self.size**3 / seconds_of(self._run)


# The measurements


def _launch_and_wait(dry: bool) -> float:
    launch = launcher(nothing, 1, 1 if dry else 32)

    def call() -> None:
        launch()
        cuda.synchronize()

    return seconds_each(call, 2 if dry else LAUNCHES) * 1e6


def _launches(kernel: Any, arrays: int, dry: bool) -> float:
    arguments = [cuda.device_array(32, np.float32) for _ in range(arrays)]
    return seconds_each(launcher(kernel, 1, 1 if dry else 32, *arguments), 2 if dry else LAUNCHES) * 1e6


def _graph_replay(dry: bool) -> float:
    try:
        from cuda.core import Device
    except ImportError:  # cuda.core before version 1.0
        from cuda.core.experimental import Device

    launcher(nothing, 1, 32)  # compiles and loads the kernel before the capture
    device = Device()
    device.set_current()
    stream, builder = device.create_stream(), device.create_graph_builder()
    builder.begin_building()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Numba warns about the small grid
        node = nothing[1, 32, builder]
    for _ in range(GRAPH_NODES):
        node()
    graph = builder.end_building().complete()
    return seconds_each(lambda: graph.launch(stream), 1 if dry else LAUNCHES // GRAPH_NODES) * 1e6


def _block_barrier(dry: bool) -> float:
    turns = DRY_BARRIERS if dry else BARRIERS
    return seconds_each(launcher(block_barriers, 1, 2 if dry else RESIDENT_THREADS, turns), 1) / turns * 1e6


def _barrier(blocks: int | None, dry: bool) -> float:
    turns = DRY_BARRIERS if dry else BARRIERS
    grid, block = (1, 2) if dry else (blocks or _multiprocessors(dry), THREADS)
    return seconds_each(launcher(barriers, grid, block, turns), 1) / turns * 1e6


def _meeting(dry: bool) -> float:
    turns, kernel = DRY_BARRIERS if dry else BARRIERS, configured(meetings, _multiprocessors(False), THREADS)

    def run() -> None:
        kernel(turns, cuda.to_device(np.zeros(1, np.int32)))

    return seconds_each(run, 1) / turns * 1e6


def _copy(dry: bool) -> float:
    size = 64 if dry else COPIED_BYTES
    source, target = cuda.to_device(np.zeros(size, np.uint8)), cuda.device_array(size, np.uint8)
    seconds = seconds_each(lambda: target.copy_to_device(source), 2 if dry else COPIES)
    return 2 * size / seconds / 1e9


def _ceiling(dry: bool) -> float:
    ceiling = Ceiling(dry)
    return statistics.median(ceiling.measure() for _ in range(ROUNDS)) / 1e9


MEASUREMENTS: dict[str, Callable[..., float]] = {
    "launch of an empty kernel and the wait for it, us": _launch_and_wait,
    "launch of a kernel without arguments, us": partial(_launches, nothing, 0),
    "launch of a kernel of 4 arrays, us": partial(_launches, nothing_of_4, 4),
    "launch of a kernel of 8 arrays, us": partial(_launches, nothing_of_8, 8),
    "copy on the device, read and written, GB/s": _copy,
    "ceiling of multiply-adds in float32, GFLOP/s": _ceiling,
    BLOCK_BARRIER: _block_barrier,
    # These measurements are the last, because some versions of numba.cuda do not support them, and because a barrier may hang.
    GRAPH: _graph_replay,
    "barrier of a grid of 32 blocks, us": partial(_barrier, 32),
    "barrier of a grid of one block per multiprocessor, us": partial(_barrier, None),
    MEETING: _meeting,
}
# Measurements that the simulator cannot run.
UNSIMULATED = {_graph_replay, _meeting}


def measure(name: str, dry: bool) -> float | str:
    """Performs the measurement `name`, and returns its result or, if the measurement fails, the reason as a string."""
    try:
        if SIMULATED and MEASUREMENTS[name] in UNSIMULATED:
            return "needs a GPU"
        value = MEASUREMENTS[name](dry=dry)
    except Exception as error:  # any exception, so that the next measurement is still performed
        return in_words(error)
    return "needs a GPU" if SIMULATED else value
