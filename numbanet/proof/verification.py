"""Checks every loop of this installation, on this machine, against the oracle: equation by equation, and whole steps."""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from numbanet import _cuda, checks, inputs
from numbanet.engines import make_engine
from numbanet.engines.epoch import epoch_of
from numbanet.engines.loops import CpuLoops, CudaLoops
from numbanet.engines.topology import ACTIVATIONS, LOSSES, Topology
from numbanet.equations import activations, backprop, descent, dropout, losses, neuron
from numbanet.inputs.architecture import ALLOWED_OUTPUTS
from numbanet.proof import oracle

PRECISE = oracle.PRECISE
DTYPES = tuple(np.dtype(name) for name in inputs.DTYPES)
SCALAR_ULP = 4  # of a scalar formula, for every finite argument
STEP_ULP = 64  # of a whole step: forward, loss and gradients through up to three layers
EXTREMES = (0.0, 1e-30, 1.0, 50.0, 700.0, 1e4)
SAMPLES, INPUTS, OUTPUTS = 7, 5, 6


class Row(NamedTuple):
    """One line of the report.

    Parameters
    ----------
    equation : str
        As the sheet writes it, or what else was checked.
    rung : str
        Which code ran: "reference cpu", "fast cpu", "reference cuda", "fast cuda".
    float32, float64 : float
        Largest error in each dtype, in units in the last place (ulp). Of a sum: in ulp of the sum of its terms' magnitudes;
        of a whole step: in ulp of the largest number in its array.
    bound : float
        The largest error that passes.
    """

    equation: str
    rung: str
    float32: float
    float64: float
    bound: float

    @property
    def passed(self) -> bool:
        """Whether both errors are within the bound; NaN is not."""
        return self.float32 <= self.bound and self.float64 <= self.bound


class Case(NamedTuple):
    """One equation to run: the loop, its inputs, and what must come out.

    `outputs` has a triple per output array: the exact value, the magnitude whose ulp measures the error, and the bound.
    `start` is what the last outputs hold before, where the loop updates them.
    """

    equation: str
    loop: Callable
    inputs: tuple
    outputs: list[tuple[np.ndarray, np.ndarray, float]]
    start: tuple[np.ndarray, ...] = ()


def verify(device: str = "auto", *, report: Callable[[str], None] | None = print) -> list[Row]:
    """Runs every loop of every rung on this machine, in float32 and float64, against the oracle.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto" takes the CPU and, where one can be used, the GPU.
    report : callable, optional
        Gets each line of the report; None for no report.

    Returns
    -------
    list of Row
        All is well where every `row.passed`.

    Raises
    ------
    ValueError
        Unknown device.
    RuntimeError
        device="cuda" where no GPU can be used.
    """
    checks.choice("device", device, ("auto", "cpu", "cuda"))
    reason = _cuda.unusable_reason() if device != "cpu" else "not asked for"
    if device == "cuda" and reason:
        raise RuntimeError(reason)
    devices = ([] if device == "cuda" else ["cpu"]) + ([] if reason else ["cuda"])
    say = report or (lambda line: None)
    say(f"largest error in ulp{'':44}{'rung':15}{'float32':>9}{'float64':>9}{'bound':>8}")
    rows = []
    for row in itertools.chain.from_iterable(_rows(where) for where in devices):
        rows.append(row)
        verdict = "ok" if row.passed else "WRONG"
        say(f"{row.equation:64}{row.rung:15}{row.float32:9.2f}{row.float64:9.2f}{row.bound:8.1f}  {verdict}")
    wrong = sum(not row.passed for row in rows)
    say(f"{len(rows)} rows, {wrong or 'none'} out of bounds")
    return rows


def _rows(device: str) -> Iterator[Row]:
    loops = CpuLoops() if device == "cpu" else CudaLoops()
    for cases in zip(*map(_cases, DTYPES), strict=True):
        errors, bounds = zip(*(_run(case, loops, dtype) for case, dtype in zip(cases, DTYPES, strict=True)), strict=True)
        yield Row(cases[0].equation, f"reference {device}", *errors, max(bounds))
    for kernels in ("reference", "fast"):
        yield from _steps(device, kernels)


def _run(case: Case, loops, dtype: np.dtype) -> tuple[float, float]:
    """Largest error in ulp over the outputs of a case, and its bound."""
    arguments = [loops.upload(value) if isinstance(value, np.ndarray) else value for value in case.inputs]
    outputs = [loops.upload(np.zeros(exact.shape, dtype)) for exact, _, _ in case.outputs]
    for place, start in enumerate(case.start, start=len(outputs) - len(case.start)):
        outputs[place] = loops.upload(start.copy())
    loops.run(case.loop, *arguments, *outputs)
    errors = [
        (in_ulp(loops.download(output), exact, magnitude), bound)
        for output, (exact, magnitude, bound) in zip(outputs, case.outputs, strict=True)
    ]
    return max(errors, key=lambda pair: np.nan_to_num(pair[0] / pair[1], nan=np.inf))


def in_ulp(found: np.ndarray, exact: np.ndarray, magnitude: np.ndarray | None = None) -> float:
    """Largest |found - exact| in ulp of the magnitude (of exact itself by default); NaN where found is not finite."""
    if not np.isfinite(found).all():
        return float("nan")
    magnitude = np.abs(exact if magnitude is None else magnitude).astype(found.dtype)
    return float(np.max(np.abs(found - exact) / np.spacing(magnitude).astype(PRECISE), initial=0))


def _cases(dtype: np.dtype) -> Iterator[Case]:
    random = np.random.default_rng(0)

    def normal(*shape, scale=1.0):
        return (random.standard_normal(shape) * scale).astype(dtype)

    yield from _activation_cases(dtype, normal)
    yield from _loss_cases(dtype, normal, random)
    yield from _layer_cases(dtype, normal)
    yield from _descent_cases(dtype, normal, random)


def _scalar(exact):
    return [(exact, None, SCALAR_ULP)]


def _sum(terms, axis):
    """A sum of terms: its rounding errors are bounded by half an ulp, of the magnitudes' sum, per term and addition."""
    return [(terms.sum(axis=axis), np.abs(terms).sum(axis=axis), SCALAR_ULP + terms.shape[axis])]


def _activation_cases(dtype, normal) -> Iterator[Case]:
    epsilon = dtype.type(0.01)
    extremes = np.array([sign * z for z in EXTREMES for sign in (1, -1)], dtype)
    z = np.concatenate([extremes, normal(1000, scale=4), normal(500, scale=30)]).reshape(-1, 4)
    precise = z.astype(PRECISE)
    for name, kind in ACTIVATIONS.items():
        if name == "softmax":
            continue
        exact = oracle.ACTIVATIONS[name](precise, PRECISE(epsilon))
        a = exact.astype(dtype)
        yield Case(f"a = {name}(z)", activations.activation, (kind, epsilon, z), _scalar(exact))
        exact = _slope(name, z, a, epsilon)
        yield Case(f"da/dz of {name}", activations.d_activation, (kind, epsilon, z, a), _scalar(exact))
        dl_da = normal(*z.shape)
        error = dl_da * exact
        yield Case(f"delta = dL/da da/dz of {name}", backprop.activation_error, (kind, epsilon, dl_da, z, a), _scalar(error))
    yield from _softmax_cases(dtype, normal)


def _slope(name, z, a, epsilon):
    """da/dz exactly: from a where the loops take a, as it was rounded; else from z."""
    a = a.astype(PRECISE)
    if name in ("sigmoid", "tanh"):
        return (1 - a) * (a if name == "sigmoid" else 1 + a)
    return oracle.D_ACTIVATIONS[name](z.astype(PRECISE), PRECISE(epsilon))


def _softmax_cases(dtype, normal) -> Iterator[Case]:
    z = np.concatenate([normal(20, OUTPUTS, scale=scale) for scale in (1e-30, 1, 50, 700, 1e4)])
    precise = z.astype(PRECISE)
    z_max = z.max(axis=1)
    powers = np.exp(precise - precise.max(axis=1, keepdims=True))
    rest = np.sort(powers, axis=1)[:, :-1]  # the largest is the 1 that is kept apart
    sums = [*_scalar(z_max.astype(PRECISE)), *_sum(rest, 1)]
    yield Case("sum_k e^(z_k - z_max) = 1 + others", activations.softmax_sum, (z,), sums)
    others = rest.sum(axis=1).astype(dtype)
    exact = powers / (1 + others.astype(PRECISE))[:, None]
    yield Case("a_j = e^z_j / sum_k e^z_k", activations.softmax_activation, (z, z_max, others), _scalar(exact))
    a = oracle.ACTIVATIONS["softmax"](precise, 0).astype(dtype)
    jacobian = oracle.softmax_jacobian(a.astype(PRECISE))
    yield Case("da_i/dz_j = a_i (delta_ij - a_j)", activations.softmax_jacobian, (a,), _scalar(jacobian))
    dl_da = normal(*z.shape)
    terms = dl_da[:, :, None] * jacobian
    yield Case("delta_j = sum_i dL/da_i da_i/dz_j of softmax", backprop.softmax_error, (dl_da, a), _sum(terms, 1))
    z = normal(20, OUTPUTS, scale=8)
    u, d_u = _softmax_logit(z.astype(PRECISE))
    scale = np.abs(u) + np.abs(z).max(axis=1, keepdims=True)
    equation = "u_i = z_i - log(sum_k!=i e^z_k)"
    yield Case(equation, activations.softmax_logit, (z,), [(u, scale, SCALAR_ULP + OUTPUTS)])
    # The rounding of u, a number of about the size of z, is an absolute error in an exponent.
    dl_du, u = normal(*z.shape), u.astype(dtype)
    terms = dl_du[:, :, None] * d_u
    magnitude = (np.abs(terms) * (1 + np.abs(scale)[:, :, None])).sum(axis=1)
    outputs = [(terms.sum(axis=1), magnitude, SCALAR_ULP + OUTPUTS)]
    yield Case("delta_j = sum_i dL/du_i du_i/dz_j of softmax", backprop.softmax_logit_error, (dl_du, z, u), outputs)


def _softmax_logit(z):
    """u_i = z_i - log(sum_{k != i} e^z_k), (n, n_out), and du_i/dz_j, (n, n_out, n_out)."""
    without = np.where(np.eye(z.shape[1], dtype=bool), -np.inf, z[:, None, :])  # [s, i, k]
    rest = np.logaddexp.reduce(without, axis=2)
    return z - rest, np.eye(z.shape[1]) - np.exp(without - rest[:, :, None])


def _loss_cases(dtype, normal, random) -> Iterator[Case]:
    n = 3
    y, y_hat = normal(SAMPLES, OUTPUTS), normal(SAMPLES, OUTPUTS)
    share, share_hat = (random.random((SAMPLES, OUTPUTS)).astype(dtype) for _ in range(2))
    for name in ("sse", "mse", "bce"):
        target, guess = (share, share_hat) if name == "bce" else (y, y_hat)
        t, g = target.astype(PRECISE), guess.astype(PRECISE)
        if name == "bce":
            terms, gradient = -(t * np.log(g) + (1 - t) * np.log1p(-g)), (g - t) / (g * (1 - g))
        else:
            terms, gradient = (t - g) ** 2, 2 * (g - t)
        by = 1 if name == "sse" else n
        yield Case(f"L of {name}, from y_hat", losses.loss, (LOSSES[name], n, target, guess), _sum(terms / by, 1))
        yield Case(f"dL/dy_hat of {name}", losses.d_loss, (LOSSES[name], n, target, guess), _scalar(gradient / by))
    extremes = np.array([sign * z for z in EXTREMES for sign in (1, -1)], dtype).reshape(-1, OUTPUTS)
    z = np.concatenate([extremes, extremes, normal(SAMPLES, OUTPUTS, scale=5)])
    y = random.random(z.shape).astype(dtype)
    y[: len(extremes)] = np.arange(OUTPUTS) % 3 == 0
    terms = oracle.loss_terms("bce", y.astype(PRECISE), z.astype(PRECISE), None, "sigmoid") / n
    yield Case("L of bce, from z", losses.bce_from_z_loss, (n, y, z), _sum(terms, 1))
    one_hot = np.eye(OUTPUTS, dtype=dtype)[np.arange(len(z)) % OUTPUTS]
    precise = z.astype(PRECISE)
    z_max = z.max(axis=1)
    others = np.sort(np.exp(precise - precise.max(axis=1, keepdims=True)), axis=1)[:, :-1].sum(axis=1).astype(dtype)
    minus_log_a = (z_max.astype(PRECISE)[:, None] - precise) + np.log1p(others.astype(PRECISE))[:, None]
    terms = one_hot * minus_log_a / n
    yield Case("L of cce", losses.cce_loss, (n, one_hot, z, z_max, others), _sum(terms, 1))
    a = oracle.ACTIVATIONS["softmax"](precise, 0).astype(dtype)
    exact = (a.astype(PRECISE) - y) / n
    yield Case("delta_j = 1/n (a_j - y_j)", backprop.short_error, (n, y, a), _scalar(exact))


def _layer_cases(dtype, normal) -> Iterator[Case]:
    epsilon, eta = dtype.type(0.01), dtype.type(0.1)
    x, w, b = normal(SAMPLES, INPUTS), normal(INPUTS, OUTPUTS), normal(OUTPUTS)
    delta = normal(SAMPLES, OUTPUTS)
    terms = np.concatenate([x[:, :, None] * w.astype(PRECISE), np.broadcast_to(b, (SAMPLES, 1, OUTPUTS))], axis=1)
    yield Case("z_j = sum_i w_ij x_i + b_j", neuron.forward_sum, (x, w, b), _sum(terms, 1))
    terms = x[:, :, None] * delta.astype(PRECISE)[:, None, :]
    yield Case("dL/dw_ij = sum_s delta_j x_i", backprop.weight_gradient, (x, delta), _sum(terms, 0))
    yield Case("dL/db_j = sum_s delta_j", backprop.bias_gradient, (delta,), _sum(delta.astype(PRECISE), 0))
    for name in ("identity", "sigmoid", "tanh", "relu", "leaky_relu"):
        z_prev = normal(SAMPLES, INPUTS, scale=2)
        a_prev = oracle.ACTIVATIONS[name](z_prev.astype(PRECISE), PRECISE(epsilon)).astype(dtype)
        slope = _slope(name, z_prev, a_prev, epsilon)
        terms = w * delta.astype(PRECISE)[:, None, :] * slope[:, :, None]
        arguments = (ACTIVATIONS[name], epsilon, w, delta, z_prev, a_prev)
        equation = f"delta_i = (sum_j w_ij delta_j) da_i/dz_i, {name}"
        yield Case(equation, backprop.delta_recurrence, arguments, _sum(terms, 2))
    gradients, start = normal(50), normal(50)
    step = eta * gradients.astype(PRECISE)
    outputs = [(start - step, np.abs(start) + np.abs(step), SCALAR_ULP)]
    yield Case("w <- w - eta dL/dw", descent.gradient_descent, (eta, gradients), outputs, (start,))


def _descent_cases(dtype, normal, random) -> Iterator[Case]:
    eta, mu, decay, root = (dtype.type(value) for value in (0.1, 0.9, 0.01, 1e-4))
    shares = dtype.type(0.1), dtype.type(0.001)
    w, g, v, m = (normal(50) for _ in range(4))
    squares = np.square(normal(50))
    precise_w, precise_g, precise_v = (array.astype(PRECISE) for array in (w, g, v))
    velocity = mu * precise_v + g
    size = np.abs(mu * precise_v) + np.abs(g)
    for name, loop, step, factor in (
        ("w <- w - eta v", descent.momentum, velocity, 1),
        ("w <- w - eta (dL/dw + mu v)", descent.nesterov, precise_g + mu * velocity, 2),
    ):
        outputs = [(velocity, size, SCALAR_ULP), (w - eta * step, np.abs(w) + factor * eta * size, 2 * SCALAR_ULP)]
        yield Case(f"v <- mu v + dL/dw, {name}", loop, (eta, mu, g), outputs, (v, w))
    m_next = m + shares[0] * (precise_g - m)
    v_next = squares + shares[1] * (precise_g**2 - squares)
    step = eta * m_next / (np.sqrt(v_next) + root)
    sizes = np.abs(m) + np.abs(g), squares + precise_g**2
    outputs = [(exact, magnitude, SCALAR_ULP) for exact, magnitude in zip((m_next, v_next), sizes, strict=True)]
    outputs.append((w - step, np.abs(w) + eta * (sizes[0] / np.sqrt(v_next)) * (1 + sizes[1] / v_next), 2 * SCALAR_ULP))
    yield Case("w <- w - eta_t m / (sqrt(v) + epsilon_t)", descent.adam, (eta, *shares, root, g), outputs, (m, squares, w))
    sums = np.abs(g) + np.abs(decay * precise_w)
    yield Case("dL/dw <- dL/dw + lambda w", descent.l2_gradient, (decay, w), [(g + decay * precise_w, sums, SCALAR_ULP)], (g,))
    exact = precise_w - precise_w * eta * decay
    yield Case("w <- w - eta lambda w", descent.weight_decay, (eta, decay), [(exact, None, SCALAR_ULP)], (w,))
    yield Case("|g|^2 = sum_p g_p^2", descent.sum_of_squares, (g,), _sum(precise_g[:, None] ** 2, 0))
    for most in (1.0, 100.0):
        norm = np.sqrt((precise_g**2).sum())
        exact = precise_g * min(PRECISE(1), most / norm)
        rounded = np.array([norm**2], dtype)
        yield Case(f"g <- g min(1, {most:g} / |g|)", descent.clip, (dtype.type(most), rounded), _scalar(exact), (g,))
    weights, rows = random.random(SAMPLES).astype(dtype), normal(SAMPLES, OUTPUTS)
    exact = weights[:, None] * rows.astype(PRECISE)
    yield Case("weight_s L_s, weight_s delta_j", losses.weigh, (weights,), _scalar(exact), (rows,))
    limit, scale = np.uint64(1 << 30), dtype.type(4 / 3)
    keeps = oracle.philox_numbers(key=(1 << 40) + 7, samples=SAMPLES, neurons=OUTPUTS, layer=2) >= 1 << 30
    exact = np.where(keeps, rows.astype(PRECISE) * scale, 0)
    yield Case(
        "x_j = a_j / (1 - p), or 0", dropout.drop, (np.uint64((1 << 40) + 7), 2, scale, limit, 0), _scalar(exact), (rows,)
    )


def _steps(device: str, kernels: str) -> Iterator[Row]:
    """Whole steps through an engine, for every hidden activation, and for every loss with every output it allows."""
    for loss in LOSSES:
        for output in ALLOWED_OUTPUTS.get(loss, tuple(ACTIVATIONS)):
            errors = [
                np.max([_step_error(device, kernels, dtype, (hidden, output), loss) for hidden in ACTIVATIONS])
                for dtype in DTYPES
            ]
            yield Row(f"a whole step: any hidden layer, {output} output, {loss}", f"{kernels} {device}", *errors, STEP_ULP)


def _step_error(device, kernels, dtype, names, loss) -> float:
    """Largest error of prediction, loss, gradients and parameters an epoch later, in ulp of each array's largest number."""
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
    found = [
        engine.predict(device_x),
        np.array([oracle.mean_or_sum(loss, value, SAMPLES) for value in (total, engine.evaluate(device_x, device_y).loss)]),
        *itertools.chain.from_iterable(topology.views(gradients)),
    ]
    for _ in engine.train_epoch(device_x, device_y, epoch_of(order, batch_size, eta)):
        pass
    found += itertools.chain.from_iterable(topology.views(engine.read()))

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
    pairs = zip(found, expected, strict=True)
    return max(in_ulp(f.astype(dtype), e, np.full(e.shape, np.abs(e).max())) for f, e in pairs)


def _alternate(w, b) -> list[np.ndarray]:
    """[w of layer 1, b of layer 1, w of layer 2, ...]."""
    return list(itertools.chain.from_iterable(zip(w, b, strict=True)))
