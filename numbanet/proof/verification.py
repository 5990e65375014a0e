"""Compares every reference loop, and whole training steps, with the oracle, an independent implementation in NumPy."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet import _cuda, checks, inputs
from numbanet.engines import make_engine
from numbanet.engines.epoch import epoch_of
from numbanet.engines.loops import CpuLoops, CudaLoops
from numbanet.engines.topology import ACTIVATIONS, LOSSES, Topology
from numbanet.inputs.architecture import ALLOWED_OUTPUTS
from numbanet.proof import oracle
from numbanet.proof.cases import INPUTS, OUTPUTS, PRECISE, SAMPLES, Case, cases

DTYPES = tuple(np.dtype(name) for name in inputs.DTYPES)
STEP_ULP = 64  # largest allowed error, in ulp, of a whole training step, which computes predictions, loss and gradients


class Row(NamedTuple):
    """The result of one check, which is one line of the report.

    Parameters
    ----------
    equation : str
        The equation, as written in the cheat sheet, or the description of a whole training step.
    rung : str
        The implementation that was checked: "reference cpu", "fast cpu", "reference cuda" or "fast cuda".
    float32, float64 : float
        The largest error in each dtype, in units in the last place (ulp) of the exact value. For a sum, the unit of the error
        is the ulp of the sum of the terms' magnitudes. For a whole training step, the unit of the error is the ulp of the
        largest value in the array.
    bound : float
        The largest error that is allowed.
    """

    equation: str
    rung: str
    float32: float
    float64: float
    bound: float

    @property
    def passed(self) -> bool:
        """True if the errors in float32 and in float64 are at most `bound`. If an error is NaN, the property is False."""
        return self.float32 <= self.bound and self.float64 <= self.bound


def verify(device: str = "auto", *, report: Callable[[str], object] | None = print) -> list[Row]:
    """Checks, in float32 and float64, the results of the reference loops and of whole training steps on this machine.

    `verify` compares every reference loop, and training steps of the reference engine and the fast engine, with an independent
    implementation in NumPy that uses extended precision.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        The device to check. "auto" checks the CPU and, if this process can use a GPU, also the GPU.
    report : callable, optional
        A function that is called with each line of the report, such as `print`. If `report` is None, no report is written.

    Returns
    -------
    list of Row
        One row per check. The installation is correct if `row.passed` is True for all rows.

    Raises
    ------
    ValueError
        If `device` is not "auto", "cpu" or "cuda".
    RuntimeError
        If `device` is "cuda", but this process cannot use a GPU.
    """
    checks.choice("device", device, ("auto", "cpu", "cuda"))
    reason = _cuda.unusable_reason() if device != "cpu" else "not requested"
    if device == "cuda" and reason:
        raise RuntimeError(reason)
    devices = ([] if device == "cuda" else ["cpu"]) + ([] if reason else ["cuda"])
    write_line = report or (lambda line: None)
    write_line(f"largest error in ulp{'':44}{'rung':15}{'float32':>9}{'float64':>9}{'bound':>8}")
    rows = []
    for row in itertools.chain.from_iterable(map(_rows, devices)):
        rows.append(row)
        verdict = "ok" if row.passed else "WRONG"
        write_line(f"{row.equation:64}{row.rung:15}{row.float32:9.2f}{row.float64:9.2f}{row.bound:8.1f}  {verdict}")
    wrong = sum(not row.passed for row in rows)
    write_line(f"{len(rows)} checks, {wrong or 'none'} out of bounds")
    return rows


def _rows(device: str) -> Iterator[Row]:
    loops = CpuLoops() if device == "cpu" else CudaLoops()
    for case_32, case_64 in zip(*map(cases, DTYPES), strict=True):
        (error_32, bound_32), (error_64, bound_64) = (
            _run(case, loops, dtype) for case, dtype in zip((case_32, case_64), DTYPES, strict=True)
        )
        yield Row(case_32.equation, f"reference {device}", error_32, error_64, max(bound_32, bound_64))
    without_fast = device == "cuda" and _cuda.no_fast_kernels()
    for kernels in ("reference",) if without_fast else ("reference", "fast"):
        yield from _steps(device, kernels)


def _run(case: Case, loops: CpuLoops | CudaLoops, dtype: np.dtype) -> tuple[float, float]:
    """Runs the loop of `case` with the inputs of `case`, and compares the outputs with their exact values.

    Returns the error (in ulp) and the bound of the output whose ratio of error to bound is largest.
    """
    arguments = [loops.upload(value) if isinstance(value, np.ndarray) else value for value in case.inputs]
    outputs = [loops.upload(np.zeros(output.exact.shape, dtype)) for output in case.outputs]
    for place, start in enumerate(case.start, start=len(outputs) - len(case.start)):
        outputs[place] = loops.upload(start.copy())
    loops.run(case.loop, *arguments, *outputs)
    errors = [
        (in_ulp(loops.download(computed), output.exact, output.magnitude), output.bound)
        for computed, output in zip(outputs, case.outputs, strict=True)
    ]
    return max(errors, key=lambda pair: np.nan_to_num(pair[0] / pair[1], nan=np.inf))


def in_ulp(computed: NDArray[Any], exact: NDArray[Any], magnitude: NDArray[Any] | None = None) -> float:
    """Returns the largest |computed - exact|, in ulp of `magnitude`, which is |exact| by default.

    Returns NaN if a computed value is not finite.
    """
    if not np.isfinite(computed).all():
        return float("nan")
    magnitude = np.abs(exact if magnitude is None else magnitude).astype(computed.dtype)
    return float(np.max(np.abs(computed - exact) / np.spacing(magnitude).astype(PRECISE), initial=0))


def _steps(device: str, kernels: str) -> Iterator[Row]:
    """Yields a `Row` of the verification table for each combination of a loss and an output layer's activation function.

    Each error in a row is the largest error over several training steps, one for each activation function of the hidden layer.
    """
    for loss in LOSSES:
        for output in ALLOWED_OUTPUTS.get(loss, tuple(ACTIVATIONS)):
            error_32, error_64 = (
                float(np.max([_step_error(device, kernels, dtype, (hidden, output), loss) for hidden in ACTIVATIONS]))
                for dtype in DTYPES
            )
            equation = f"a whole step: any hidden layer, {output} output, {loss}"
            yield Row(equation, f"{kernels} {device}", error_32, error_64, STEP_ULP)


def _step_error(device: str, kernels: str, dtype: np.dtype, names: tuple[str, ...], loss: str) -> float:
    """Returns the largest difference between the results of an engine and of the oracle, in training a small network.

    The results are the predictions, the loss, the gradients and the updated parameters. The unit of the differences of an
    array is the ulp of the array's largest value. `names` contains the activations of the layers.
    """
    random = np.random.default_rng(1)
    topology = Topology((INPUTS, 4, OUTPUTS), names, loss, dtype, 0.01)
    engine = make_engine(topology, device, kernels)
    flat = random.uniform(-1, 1, topology.parameter_count).astype(dtype)
    x = random.standard_normal((SAMPLES, INPUTS)).astype(dtype)
    y = random.dirichlet(np.ones(OUTPUTS), SAMPLES).astype(dtype)
    order, batch_size, eta = random.permutation(SAMPLES), 4, dtype.type(0.1)
    x.flags.writeable = y.flags.writeable = False
    device_x, device_y = engine.upload(x), engine.upload(y)
    engine.write(flat)
    total, gradients = engine.loss_and_gradients(device_x, device_y)
    computed = [
        engine.predict(device_x),
        np.array([oracle.mean_or_sum(loss, value, SAMPLES) for value in (total, engine.evaluate(device_x, device_y).loss)]),
        *itertools.chain.from_iterable(topology.views(gradients)),
    ]
    for _ in engine.train_epoch(device_x, device_y, epoch_of(order, batch_size, eta)):
        pass
    computed += itertools.chain.from_iterable(topology.views(engine.read()))

    parameters, epsilon = topology.views(flat.astype(PRECISE)), PRECISE(dtype.type(topology.epsilon))
    exact = oracle.step(parameters, names, loss, x, y, epsilon)
    expected = [exact["y_hat"], np.full(2, exact["loss"], PRECISE), *_alternate(exact["dw"], exact["db"])]
    for first in range(0, SAMPLES, batch_size):
        rows = order[first : first + batch_size]
        exact = oracle.step(parameters, names, loss, x[rows], y[rows], epsilon)
        for parameter, gradient in zip(
            _alternate(*zip(*parameters, strict=True)), _alternate(exact["dw"], exact["db"]), strict=True
        ):
            parameter -= eta * gradient
    expected += _alternate(*zip(*parameters, strict=True))
    pairs = zip(computed, expected, strict=True)
    return max(in_ulp(c.astype(dtype), e, np.full(e.shape, np.abs(e).max())) for c, e in pairs)


def _alternate(w: Iterable[NDArray[Any]], b: Iterable[NDArray[Any]]) -> list[NDArray[Any]]:
    """Returns weights and biases in one list: [w of layer 1, b of layer 1, w of layer 2, ...]."""
    return list(itertools.chain.from_iterable(zip(w, b, strict=True)))
