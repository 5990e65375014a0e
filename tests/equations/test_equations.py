"""The scalar formulas agree with mpmath's values of 50 digits, and all checks of `numbanet.verify` pass on every device."""

import importlib
import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numbanet
from numbanet import _cuda
from numbanet.equations import activations, backprop, beyond, descent, losses, neuron
from tests.helpers.engines import DEVICES, DTYPES, each
from tests.helpers.values import lists_of

mpmath.mp.dps = 50
mp = mpmath.mpf
ULP = 4
# e^-z is a subnormal number in float32 at z = 100, and in float64 at z = 740.
EXTREMES = [sign * z for z in (0.0, 1e-30, 1.0, 50.0, 100.0, 700.0, 740.0, 1e4) for sign in (1, -1)]


def log1p_exp(z):
    return mpmath.log1p(mpmath.exp(z))


def exp_difference_sum(z, z_max):
    return mpmath.exp(z - z_max)


def huber(error, delta):
    return error**2 / 2 if error <= delta else delta * (error - delta / 2)


SELU = mp("1.0507009873554804934193349852946"), mp("1.6732632423543772848170429916717")  # lambda and alpha


def gelu_tanh_exponent(z):
    return mpmath.sqrt(8 / mpmath.pi) * (z + mp("0.044715") * z**3)


def d_gelu_tanh(z):
    part = 1 / (1 + mpmath.exp(-gelu_tanh_exponent(z)))
    return part + z * part / (1 + mpmath.exp(gelu_tanh_exponent(z))) * mpmath.sqrt(8 / mpmath.pi) * (1 + mp("0.134145") * z**2)


def mish_slope(z):
    """Returns the factor tanh(log(1 + e^z)) of mish, and the derivative of the factor."""
    if z > 500:
        return mp(1), mp(0)
    return mpmath.tanh(log1p_exp(z)), mpmath.sech(log1p_exp(z)) ** 2 / (1 + mpmath.exp(-z))


def log_cosh(e):
    return mpmath.log1p(2 * mpmath.sinh(e / 2) ** 2) if abs(e) < 100 else abs(e) - mpmath.log(2)


# For each name: the formula, a function for the exact value with 50 digits, and the domain of each argument.
ANY, PART, POSITIVE, ABOVE, UNIT = "any z", "a in (0, 1)", "at least 0", "at least 2", "-1 or 1"
FORMULAS = {
    "identity": (activations.identity, lambda z: z, [ANY]),
    "d_identity": (activations.d_identity, lambda z: mp(1), [ANY]),
    "sigmoid": (activations.sigmoid, lambda z: 1 / (1 + mpmath.exp(-z)), [ANY]),
    "d_sigmoid": (activations.d_sigmoid, lambda a: a * (1 - a), [PART]),
    "tanh": (activations.tanh, mpmath.tanh, [ANY]),
    "d_tanh": (activations.d_tanh, lambda a: 1 - a**2, [PART]),
    "relu": (activations.relu, lambda z: max(mp(0), z), [ANY]),
    "d_relu": (activations.d_relu, lambda z: mp(int(z > 0)), [ANY]),
    "leaky_relu": (activations.leaky_relu, lambda z, epsilon: z if z > 0 else epsilon * z, [ANY, PART]),
    "d_leaky_relu": (activations.d_leaky_relu, lambda z, epsilon: mp(1) if z > 0 else epsilon, [ANY, PART]),
    "softmax": (lambda z, others: activations.softmax(activations.exp_difference(min(z, type(z)(0)), type(z)(0)), others),
                lambda z, others: mpmath.exp(min(z, mp(0))) / (1 + others), [ANY, POSITIVE]),
    "sse": (losses.sse, lambda y, y_hat: (y - y_hat) ** 2, [PART, PART]),
    "d_sse": (losses.d_sse, lambda y, y_hat: -2 * (y - y_hat), [PART, PART]),
    "mse": (lambda y, y_hat: losses.mse(3, y, y_hat), lambda y, y_hat: (y - y_hat) ** 2 / 3, [PART, PART]),
    "d_mse": (lambda y, y_hat: losses.d_mse(3, y, y_hat), lambda y, y_hat: -2 * (y - y_hat) / 3, [PART, PART]),
    "bce": (lambda y, y_hat: losses.bce(3, y, y_hat),
            lambda y, y_hat: -(y * mpmath.log(y_hat) + (1 - y) * mpmath.log1p(-y_hat)) / 3, [PART, PART]),
    "d_bce": (lambda y, y_hat: losses.d_bce(3, y, y_hat),
              lambda y, y_hat: -(y / y_hat - (1 - y) / (1 - y_hat)) / 3, [PART, PART]),
    "softplus": (losses.softplus, log1p_exp, [ANY]),
    "bce_from_z": (lambda y, z: losses.bce_from_z(3, y, z),
                   lambda y, z: (y * log1p_exp(-z) + (1 - y) * log1p_exp(z)) / 3, [PART, ANY]),
    "log_softmax_sum": (losses.log_softmax_sum, mpmath.log1p, [POSITIVE]),
    "cce": (lambda y, z, others: losses.cce(3, y, -abs(z), type(z)(0), losses.log_softmax_sum(others)),
            lambda y, z, others: y * (abs(z) + mpmath.log1p(others)) / 3, [PART, ANY, POSITIVE]),
    "d_cce": (lambda y, a: losses.d_cce(3, y, a), lambda y, a: (a - y) / 3, [PART, PART]),
    "silu": (beyond.silu, lambda z: z / (1 + mpmath.exp(-z)), [ANY]),
    "d_silu": (beyond.d_silu, lambda z: (1 + z / (1 + mpmath.exp(z))) / (1 + mpmath.exp(-z)), [POSITIVE]),
    "gelu": (beyond.gelu, lambda z: z * mpmath.ncdf(z), [POSITIVE]),
    "d_gelu": (beyond.d_gelu, lambda z: mpmath.ncdf(z) + z * mpmath.npdf(z), [POSITIVE]),
    "gelu_tanh_exponent": (beyond.gelu_tanh_exponent, gelu_tanh_exponent, [POSITIVE]),
    "gelu_tanh": (beyond.gelu_tanh, lambda z: z / (1 + mpmath.exp(-gelu_tanh_exponent(z))), [POSITIVE]),
    "d_gelu_tanh": (beyond.d_gelu_tanh, d_gelu_tanh, [POSITIVE]),
    "elu": (beyond.elu, lambda z: mpmath.expm1(z) if z <= 0 else z, [ANY]),
    "d_elu": (beyond.d_elu, lambda z: mpmath.exp(z) if z <= 0 else mp(1), [ANY]),
    "selu": (beyond.selu, lambda z: SELU[0] * (z if z > 0 else SELU[1] * mpmath.expm1(z)), [ANY]),
    "d_selu": (beyond.d_selu, lambda z: SELU[0] * (mp(1) if z > 0 else SELU[1] * mpmath.exp(z)), [ANY]),
    "mish": (beyond.mish, lambda z: z * mish_slope(z)[0], [ANY]),
    "d_mish": (beyond.d_mish, lambda z: mish_slope(z)[0] + z * mish_slope(z)[1], [POSITIVE]),
    "hard_sigmoid": (beyond.hard_sigmoid, lambda z: max(mp(0), min(mp(1), (z + 3) / 6)), [ANY]),
    "d_hard_sigmoid": (beyond.d_hard_sigmoid, lambda a: mp(1) / 6, [PART]),
    "softsign": (beyond.softsign, lambda z: z / (1 + abs(z)), [ANY]),
    "d_softsign": (beyond.d_softsign, lambda a: (1 - abs(a)) ** 2, [PART]),
    "exponential": (beyond.exponential, mpmath.exp, [ANY]),
    "d_exponential": (beyond.d_exponential, lambda a: a, [POSITIVE]),
    "d_softplus": (beyond.d_softplus, lambda a: -mpmath.expm1(-a), [POSITIVE]),
    "mae": (beyond.mae, lambda y, y_hat: abs(y - y_hat), [ANY, PART]),
    "d_mae": (beyond.d_mae, lambda y, y_hat: mpmath.sign(y_hat - y), [ANY, PART]),
    "huber": (beyond.huber, lambda y, y_hat, delta: huber(abs(y - y_hat), delta), [ANY, PART, PART]),
    "d_huber": (beyond.d_huber, lambda y, y_hat, delta: max(-delta, min(delta, y_hat - y)), [ANY, PART, PART]),
    "log_cosh": (lambda e: beyond.log_cosh(e, type(e)(0)), log_cosh, [ANY]),
    "d_log_cosh": (lambda e: beyond.d_log_cosh(type(e)(0), e), mpmath.tanh, [ANY]),
    "poisson": (beyond.poisson, lambda y, y_hat: y_hat - y - y * mpmath.log(y_hat / y), [PART, ABOVE]),
    "d_poisson": (beyond.d_poisson, lambda y, y_hat: 1 - y / y_hat, [ANY, PART]),
    "quantile": (beyond.quantile, lambda y, y_hat, q: max(q * (y - y_hat), (q - 1) * (y - y_hat)), [ANY, PART, PART]),
    "d_quantile": (beyond.d_quantile,
                   lambda y, y_hat, q: -q if y > y_hat else (1 - q if y < y_hat else mp(0)), [ANY, PART, PART]),
    "hinge": (beyond.hinge, lambda y, y_hat: max(mp(0), 1 - y * y_hat), [UNIT, ANY]),
    "d_hinge": (beyond.d_hinge, lambda y, y_hat: -y if y * y_hat < 1 else mp(0), [UNIT, ANY]),
    "error_term": (backprop.error_term, lambda dl_da, da_dz: dl_da * da_dz, [PART, PART]),
    "weighted_input": (neuron.weighted_input, lambda w, x: w * x, [PART, PART]),
    "weighted_error": (backprop.weighted_error, lambda w, delta: w * delta, [PART, PART]),
    "d_weight": (backprop.d_weight, lambda delta, x: delta * x, [PART, PART]),
    "d_bias": (backprop.d_bias, lambda delta: delta, [ANY]),
}  # fmt: skip


def check(name, arguments, dtype):
    """Rounds the arguments to the dtype, and compares the formula's result for these arguments with the exact value."""
    formula, exact, _ = FORMULAS[name]
    rounded = [dtype.type(value) for value in arguments]
    found = formula(*rounded)
    expected = exact(*(mp(float(value)) for value in rounded))
    if abs(expected) > np.finfo(dtype).max:
        return  # the exact value overflows the dtype
    ulp = mp(float(np.spacing(dtype.type(abs(float(expected))))))
    assert abs(mp(float(found)) - expected) <= ULP * ulp, f"{name}{tuple(rounded)} = {found}, exactly {expected}"


def domains(dtype, names):
    """Returns a Hypothesis strategy that draws a formula's arguments; `names` lists their domains, such as ANY (any z)."""
    width = 32 if dtype == np.float32 else 64
    any_z = st.floats(-1e4, 1e4, width=width, allow_subnormal=True) | st.floats(
        float(np.finfo(dtype).min) / 4, float(np.finfo(dtype).max) / 4, width=width
    )
    smallest = float(np.finfo(dtype).tiny)
    part = st.floats(2.0**-30, 1 - 2.0**-20, width=width) | st.floats(smallest, 0.5, width=width)
    ranges = {ANY: any_z, PART: part, POSITIVE: st.floats(0, 1000, width=width), ABOVE: st.floats(2, 1000, width=width)}
    ranges[UNIT] = st.sampled_from([-1.0, 1.0])
    return st.tuples(*(ranges[name] for name in names))


@each("dtype", DTYPES)
@each("name", list(FORMULAS))
def test_formulas_are_within_4_ulp(name, dtype):
    @settings(max_examples=4, deadline=None, derandomize=True)
    @given(cases=lists_of(domains(dtype, FORMULAS[name][2])))
    def holds(cases):
        for arguments in cases:
            check(name, arguments, dtype)

    holds()


@each("dtype", DTYPES)
@each("name", [name for name in FORMULAS if ANY in FORMULAS[name][2]])
def test_formulas_are_within_4_ulp_at_the_extremes(name, dtype):
    for z, other in itertools.product(EXTREMES, (0.25, 1.0)):
        check(name, [z if domain == ANY else other for domain in FORMULAS[name][2]], dtype)


@each("dtype", DTYPES)
def test_powers_of_differences_are_within_4_ulp(dtype):
    @settings(max_examples=10, deadline=None, derandomize=True)
    @given(cases=lists_of(domains(dtype, [ANY, ANY])))
    def holds(cases):
        for arguments in cases:
            z, z_max = sorted(dtype.type(value) for value in arguments)
            found = activations.exp_difference(z, z_max)
            expected = mpmath.exp(mp(float(z)) - mp(float(z_max)))
            assert abs(mp(float(found)) - expected) <= ULP * mp(float(np.spacing(dtype.type(float(expected)))))

    holds()


@each("dtype", DTYPES)
def test_a_step_of_descent(dtype):
    w, dw, eta = (dtype.type(value) for value in (0.7, 0.3, 0.1))
    exact = float(w) - float(eta) * float(dw)
    assert abs(descent.descend(eta, dw, w) - exact) <= 2 * np.spacing(dtype.type(exact))


@each("dtype", DTYPES)
@each("name", [name for name in FORMULAS if name not in ("d_identity", "softmax", "cce")])
def test_nan_in_gives_nan_out(name, dtype):
    formula, _, names = FORMULAS[name]
    for place in range(len(names)):
        arguments = [dtype.type(0.5)] * len(names)
        arguments[place] = dtype.type("nan")
        if (name, place) in {("leaky_relu", 1), ("d_leaky_relu", 1), ("d_huber", 2), ("d_quantile", 2)}:
            continue  # for these arguments, the formula does not use the parameter
        assert math.isnan(formula(*arguments))


@each("dtype", DTYPES)
def test_nan_in_a_layer_gives_nan_in_softmax(dtype):
    for place in range(3):
        z, z_max, others = np.array([[1, 3, 2]], dtype), np.zeros(1, dtype), np.zeros(1, dtype)
        z[0, place] = np.nan
        activations.softmax_sum(z, z_max, others)
        a = np.zeros_like(z)
        activations.softmax_activation(z, z_max, others, a)
        assert np.isnan(a).all()


@each("device", DEVICES)
def test_every_loop_passes_verification(device, capsys, monkeypatch):
    if _cuda.SIMULATED:  # test_engines.py checks whole steps, which would take minutes in the simulator
        monkeypatch.setattr(importlib.import_module("numbanet.proof.verification"), "_steps", lambda device, kernels: [])
    rows = numbanet.verify(device)
    assert rows and not [row for row in rows if not row.passed]
    assert capsys.readouterr().out.endswith(f"{len(rows)} checks, none out of bounds\n")


@pytest.mark.skipif(_cuda.SIMULATED, reason="replaces a loop of the CPU")
def test_verification_notices_a_wrong_loop(monkeypatch):
    def without_bias(x, w, b, z):
        neuron_sum(x, w, np.zeros_like(b), z)

    neuron_sum = neuron.forward_sum
    monkeypatch.setattr(neuron, "forward_sum", without_bias)
    wrong = {row.equation for row in numbanet.verify("cpu", report=None) if not row.passed}
    assert "z_j = sum_i w_ij x_i + b_j" in wrong
    assert len(wrong) > 1  # the checks of whole training steps also fail
