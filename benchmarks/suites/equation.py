"""The base classes of the families of benchmarks: an equation alone, its implementations, its check and its timed call."""

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

# Arrays over the neurons of a hidden layer, and of ten classes: (n, n_out). asv times each call on its own, so each must
# last 20 us or more.
HIDDEN = (1024, 512)
OUTPUT = (8192, 10)

# Layers for the products, (n, n_in, n_out): a small one of 64-32-10, and the first of 784-512-256-10.
LAYERS = ((32, 64, 32), (128, 784, 512))

PARAMETERS = 535_818  # all w and b of 784-512-256-10

Array = NDArray[Any]
# Takes a shape and returns normally distributed float32 numbers, the same in every run.
Draw = Callable[..., NDArray[np.float32]]


class Equation(ABC):
    """An equation in three implementations: the reference loop, its CUDA twin, and whole-array NumPy.

    A family sets `loop`, and defines `arguments(draw)`, the arguments of the loop, and `numpy(*arguments)`, which does with
    NumPy what the loop does and writes its results into the last arguments.

    asv starts a new series of results when the code of `setup` or `time_equation` changes, but does not look at what they call:
    a family whose `arguments` change needs a new `version`, an attribute with any string.
    """

    params: ClassVar[tuple[Any, ...]] = ("reference", "cuda", "numpy")
    param_names: ClassVar[tuple[str, ...]] = ("impl",)
    loop: ClassVar[Callable[..., None]]
    call: Callable[[], None] | None = None
    wait: Callable[[], None]
    tolerance = 4e-6  # relative to an array's largest number: float32, and sums of up to 1,024 terms

    @abstractmethod
    def arguments(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Returns the arguments of the loop, in float32; called with draw, and the size in a `LayerEquation`."""

    @abstractmethod
    def numpy(self, *args: Any, **kwargs: Any) -> None:
        """Computes the equation in whole-array NumPy, in the dtype of its arguments; called with the loop's."""

    def setup(self, impl: str, *size: Any) -> None:
        """Checks the implementation and warms up, once: asv repeats the setup before each call, which would cool the caches."""
        if self.call is None:
            self.call, self.wait = self.checked(impl, *size)
            self.time_equation(impl, *size)

    def checked(self, impl: str, *size: Any) -> tuple[Callable[[], None], Callable[[], None]]:
        """Returns the call of an implementation and the wait for its end.

        Raises AssertionError unless its results agree with NumPy's in float64.
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
        """Times a call and the wait for its end."""
        assert self.call is not None
        self.call()
        self.wait()


class LayerEquation(Equation):
    """An equation of a whole layer: `arguments(draw, size)`, where size is (n, n_in, n_out), one of LAYERS."""

    params = (Equation.params, LAYERS)
    param_names = ("impl", "n, n_in, n_out")


def engine(impl: str, topology: Topology) -> Engine:
    """Returns the engine of a topology; impl is fast or reference, on the CPU, or cuda."""
    if impl == "cuda":
        need_gpu()
    return make_engine(topology, "cuda" if impl == "cuda" else "cpu", "reference" if impl == "reference" else "fast")


def contestant(name: str, rung: rungs.Rung, start: rungs.Problem) -> Any:
    """Returns a contestant of `benchmarks.peers`; skips the benchmark if it is not installed or cannot do the rung."""
    if name == "CUDA":
        need_gpu()
    contestants = peers.installed([name], rung, start)
    if not contestants:
        raise NotImplementedError(f"{name} is not installed, or cannot do {rung.name}")
    return contestants[name]


def seconds_per_call(call: Callable[[], Any]) -> float:
    """Returns the seconds of a call too short for asv: the median of turns of 20 ms, of as many calls as fit."""
    timer = timeit.Timer(call)
    number = max(1, int(0.02 / (timer.timeit(10) / 10)))
    return statistics.median(timer.repeat(7, number)) / number


def need_gpu() -> None:
    """Skips the benchmark if there is no GPU; times in the simulator would mean nothing."""
    if _cuda.SIMULATED or _cuda.unusable_reason():
        raise NotImplementedError("no GPU")


def unset(*shape: int) -> NDArray[np.float32]:
    """Returns an array for results: NaN, so that the check fails for numbers that are not written."""
    return np.full(shape, np.nan, np.float32)


def ten_classes(n: int) -> Array:
    """Returns the targets y (n, 10) of labels that take turns."""
    return rungs.one_hot(np.arange(n) % 10, 10, np.float32)


def softmax_sum(z: Array) -> tuple[Array, Array]:
    """Returns z_max and others (n,) of `numbanet.equations.activations.softmax_sum`."""
    z_max = z.max(axis=1)
    return z_max, np.exp(z - z_max[:, None]).sum(axis=1) - 1
