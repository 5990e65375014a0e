"""What every family of benchmarks shares: its implementations, its check, its timed call."""

import statistics
import timeit
from abc import ABC, abstractmethod
from functools import partial

import numpy as np

from numbanet import _cuda
from numbanet.engines import make_engine
from numbanet.engines.loops import CpuLoops, CudaLoops

from .peers import installed

# Arrays over the neurons of a hidden layer, and of ten classes: (n, n_out). asv times each call alone, so none of them
# may be over in less than some 20 us.
HIDDEN = (1024, 512)
OUTPUT = (8192, 10)

# Layers for the products, (n, n_in, n_out): a small one of 64-32-10, and the first of 784-512-256-10.
LAYERS = ((32, 64, 32), (128, 784, 512))

PARAMETERS = 535_818  # all w and b of 784-512-256-10


class Equation(ABC):
    """One equation: the reference loop, its CUDA twin, and whole-array NumPy.

    A family names its `loop` and says two things more: `arguments(draw)`, what the loop is called with, and
    `numpy(*arguments)`, which does with NumPy what the loop does, results in the last arguments.

    asv starts new results when the code of `setup` or `time_equation` changes, and does not look at what they call:
    a family whose `arguments` change takes a new `version`, an attribute of any string.
    """

    params = ("reference", "cuda", "numpy")
    param_names = ("impl",)
    call = None
    tolerance = 4e-6  # of an array's largest number: float32, and sums of up to 1,024 terms

    @abstractmethod
    def arguments(self, draw, *size):
        """The arguments of the loop in float32; draw(shape) gives normally distributed numbers, the same every time."""

    @abstractmethod
    def numpy(self, *arguments):
        """The loop in whole-array NumPy, in the dtype of its arguments."""

    def setup(self, impl, *size):
        if self.call is None:  # asv sets up again before every single call, which would leave the caches cold
            self.call, self.wait = self.checked(impl, *size)
            self.time_equation(impl, *size)

    def checked(self, impl, *size):
        """The call of this implementation and the wait for its end, once its results agree with NumPy in float64."""
        if impl == "cuda":
            need_gpu()
        loops = CudaLoops() if impl == "cuda" else CpuLoops()
        run = self.numpy if impl == "numpy" else partial(loops.run, self.loop)
        arguments = self.arguments(partial(np.random.default_rng(0).standard_normal, dtype=np.float32), *size)
        expected = [argument if isinstance(argument, int) else argument.astype(np.float64) for argument in arguments]
        self.numpy(*expected)
        arguments = [loops.upload(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments]
        run(*arguments)
        for argument, values in zip(arguments, expected, strict=True):
            if isinstance(values, np.ndarray):
                bound = self.tolerance * np.abs(values).max()
                np.testing.assert_allclose(loops.download(argument), values, rtol=0, atol=bound)
        return partial(run, *arguments), loops.wait

    def time_equation(self, impl, *size):
        self.call()
        self.wait()


class LayerEquation(Equation):
    """An equation of a whole layer; `arguments(draw, size)`, size being (n, n_in, n_out) of each of LAYERS."""

    params = (Equation.params, LAYERS)
    param_names = ("impl", "n, n_in, n_out")


def engine(impl, topology):
    """The engine of a topology: fast or reference on the CPU, or cuda."""
    if impl == "cuda":
        need_gpu()
    return make_engine(topology, "cuda" if impl == "cuda" else "cpu", "reference" if impl == "reference" else "fast")


def contestant(name, rung, start):
    """One of `benchmarks.peers`; skips the benchmark where it is not installed, or cannot do this rung."""
    if name == "CUDA":
        need_gpu()
    found = installed([name], rung, start)
    if not found:
        raise NotImplementedError(f"no {name} here, or it cannot do {rung.name}")
    return found[name]


def seconds_per_call(call):
    """For what is over in less than some 20 us: the median of turns of many calls, each turn some 20 ms long."""
    timer = timeit.Timer(call)
    number = max(1, int(0.02 / (timer.timeit(10) / 10)))
    return statistics.median(timer.repeat(7, number)) / number


def need_gpu():
    """Skips a benchmark where there is no GPU; the simulator's times mean nothing."""
    if _cuda.SIMULATED or _cuda.unusable_reason():
        raise NotImplementedError("no GPU")


def unset(*shape):
    """An array to be written; what is not written stays NaN, and the check fails."""
    return np.full(shape, np.nan, np.float32)


def one_hot(labels):
    """Targets y of ten classes, (n, 10)."""
    return np.eye(10, dtype=np.float32)[labels]


def softmax_sum(z):
    """z_max and others of `numbanet.equations.activations.softmax_sum`, (n,) each."""
    z_max = z.max(axis=1)
    return z_max, np.exp(z - z_max[:, None]).sum(axis=1) - 1
