"""The base classes for benchmarks of equations.

The base classes check the implementations of an equation, and time one call of each implementation.
"""

import statistics
import timeit
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers, rungs
from numbanet import _cuda
from numbanet.engines import Topology, make_engine
from numbanet.engines.interface import Engine
from numbanet.engines.loops import CpuLoops, CudaLoops

# Shapes (n, n_out) of arrays for a hidden layer, and for an output layer with ten classes. asv times each call separately;
# therefore a call must take 20 microseconds or more.
HIDDEN = (1024, 512)
OUTPUT = (8192, 10)

# Shapes (n, n_in, n_out) of layers: the first layer of a network 64-32-10, and the first layer of a network 784-512-256-10.
LAYERS = ((32, 64, 32), (128, 784, 512))

PARAMETERS = 535_818  # number of all w and b in a network 784-512-256-10

Array = NDArray[Any]
# The type of a function that takes a shape and returns normally distributed float32 numbers, the same numbers in every run.
Draw = Callable[..., NDArray[np.float32]]


class Equation(ABC):
    """Base class for benchmarks of an equation with three implementations: the reference loop, its CUDA kernel, and NumPy.

    A subclass sets the attribute `loop`, and defines the methods `arguments` and `numpy`. The method `arguments(draw)` returns
    the loop's arguments. The method `numpy(*arguments)` computes the same results as the loop, with NumPy operations on whole
    arrays, and writes the results to the last arguments.

    asv starts a new series of results if the code of `setup` or `time_equation` changes, but does not notice changes of the
    methods that they call. If the method `arguments` of a subclass changes, set the attribute `version` of the subclass to a
    new string.
    """

    params: ClassVar[tuple[Any, ...]] = ("reference", "cuda", "numpy")
    param_names: ClassVar[tuple[str, ...]] = ("impl",)
    loop: ClassVar[Callable[..., None]]
    call: Callable[[], None] | None = None
    wait: Callable[[], None]
    tolerance = 4e-6  # relative to an array's largest value, for float32 sums with up to 1,024 terms

    @abstractmethod
    def arguments(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Returns arguments for the loop `self.loop`, in float32."""

    @abstractmethod
    def numpy(self, *args: Any, **kwargs: Any) -> None:
        """Computes the equation from the loop's arguments, with NumPy operations on whole arrays, in the arguments' dtype."""

    def setup(self, impl: str, *size: Any) -> None:
        """Checks an implementation, and calls it once so that its data is in the caches of the CPU or GPU.

        asv calls `setup` before each timed call. Only the first call to `setup` does anything, so that the data stays in the
        caches from one timed call to the next.
        """
        if self.call is None:
            self.call, self.wait = self.checked(impl, *size)
            self.time_equation(impl, *size)

    def checked(self, impl: str, *size: Any) -> tuple[Callable[[], None], Callable[[], None]]:
        """Returns two functions: the first calls the implementation `impl`, and the second waits until the call is complete.

        Raises AssertionError if the results differ from the results of NumPy in float64.
        """
        if impl == "cuda":
            need_gpu()
        loops = CudaLoops() if impl == "cuda" else CpuLoops()
        run = self.numpy if impl == "numpy" else partial(loops.run, self.loop)
        arguments = self.arguments(partial(np.random.default_rng(0).standard_normal, dtype=np.float32), *size)
        expected = [argument if isinstance(argument, int) else argument.astype(np.float64) for argument in arguments]
        self.numpy(*expected)
        uploaded = [loops.upload(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments]
        run(*uploaded)
        for argument, values in zip(uploaded, expected, strict=True):
            if isinstance(values, np.ndarray):
                bound = self.tolerance * np.abs(values).max()
                np.testing.assert_allclose(loops.download(argument), values, rtol=0, atol=bound)
        return partial(run, *uploaded), loops.wait

    def time_equation(self, impl: str, *size: Any) -> None:
        """Times a call of the implementation, until the call is complete."""
        assert self.call is not None
        self.call()
        self.wait()


class LayerEquation(Equation):
    """Base class for benchmarks of an equation of a whole layer.

    The method `arguments(draw, size)` of a subclass also takes the size (n, n_in, n_out) of the layer, which is one of LAYERS.
    """

    params = (Equation.params, LAYERS)
    param_names = ("impl", "n, n_in, n_out")


def engine(impl: str, topology: Topology) -> Engine:
    """Returns an engine for a network with the given topology (layer sizes, activations, loss and dtype).

    `impl` is "fast" or "reference" for an engine on the CPU, or "cuda" for the fast engine on the GPU.
    """
    if impl == "cuda":
        need_gpu()
    return make_engine(topology, "cuda" if impl == "cuda" else "cpu", "reference" if impl == "reference" else "fast")


def contestant(name: str, rung: rungs.Rung, start: rungs.Problem) -> Any:
    """Returns an object that trains the benchmark network `rung`, from the values in `start`, with the library `name`.

    `name` is a key of `benchmarks.peers.CONTESTANTS`. Skips the benchmark if the library is not installed or does not support
    the network.
    """
    if name == "CUDA":
        need_gpu()
    contestants = peers.installed([name], rung, start)
    if not contestants:
        raise NotImplementedError(f"{name} is not installed, or does not support the network {rung.name}")
    return contestants[name]


def seconds_per_call(call: Callable[[], Any]) -> float:
    """Returns the duration, in seconds, of a call that is too short to be timed by asv.

    The function calls `call` repeatedly for about 20 ms, 7 times, and returns the median of the 7 mean durations of a call.
    """
    timer = timeit.Timer(call)
    number = max(1, int(0.02 / (timer.timeit(10) / 10)))
    return statistics.median(timer.repeat(7, number)) / number


def need_gpu() -> None:
    """Skips the benchmark if there is no GPU, or if kernels run in the simulator, in which times are meaningless."""
    if _cuda.SIMULATED or _cuda.unusable_reason():
        raise NotImplementedError("skipped, because this machine has no usable GPU")


def unset(*shape: int) -> NDArray[np.float32]:
    """Returns an array for results, filled with NaN, so that the check of the results fails if a value is not written."""
    return np.full(shape, np.nan, np.float32)


def ten_classes(n: int) -> Array:
    """Returns one-hot targets y of shape (n, 10), for the labels 0, 1, ..., 9, 0, 1, ..."""
    return rungs.one_hot(np.arange(n) % 10, 10, np.float32)


def softmax_sum(z: Array) -> tuple[Array, Array]:
    """Returns two arrays (n,) for softmax: each sample's largest z, and the sum of e^(z - largest z) over the other neurons."""
    z_max = z.max(axis=1)
    return z_max, np.exp(z - z_max[:, None]).sum(axis=1) - 1
