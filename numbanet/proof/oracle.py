"""The oracle: an independent implementation of all equations in NumPy, with extended precision.

`numbanet verify` and the tests compare the loops with the oracle; training does not use the oracle. The oracle shares no code
with the loops. Unlike the loops, the oracle uses operations on whole arrays, and einsum for sums. Many formulas are written
differently: sigmoid, for example, is computed with np.logaddexp. delta of the output layer is always computed by the general
chain rule dL/da da/dz, and not by a shortcut such as delta = 1/n (a - y).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# longdouble has 80 bits on x86. On platforms on which longdouble is float64, float64 errors include the oracle's own rounding.
PRECISE = np.longdouble


def _softmax(z: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


ACTIVATIONS: dict[str, Callable[[NDArray[Any], Any], NDArray[Any]]] = {
    "identity": lambda z, epsilon: z,
    "sigmoid": lambda z, epsilon: np.exp(-np.logaddexp(z.dtype.type(0), -z)),
    "tanh": lambda z, epsilon: np.tanh(z),
    "relu": lambda z, epsilon: np.maximum(z, 0),
    "leaky_relu": lambda z, epsilon: np.maximum(z, 0) + epsilon * np.minimum(z, 0),
    "softmax": lambda z, epsilon: _softmax(z),
}

# For each activation function: da/dz, computed from z element by element.
D_ACTIVATIONS: dict[str, Callable[[NDArray[Any], Any], NDArray[Any]]] = {
    "identity": lambda z, epsilon: np.ones_like(z),
    "sigmoid": lambda z, epsilon: np.exp(-np.logaddexp(z.dtype.type(0), z) - np.logaddexp(z.dtype.type(0), -z)),
    "tanh": lambda z, epsilon: np.cosh(z) ** -2,
    "relu": lambda z, epsilon: np.heaviside(z, 0),
    "leaky_relu": lambda z, epsilon: np.where(z > 0, z.dtype.type(1), epsilon),
}


def softmax_jacobian(a: NDArray[Any]) -> NDArray[Any]:
    """Returns the Jacobian da_i/dz_j of softmax for every sample, as an array of shape (n, n_out, n_out).

    `a` is the softmax layer's output, of shape (n, n_out).
    """
    return np.einsum("si,sij->sij", a, np.eye(a.shape[1]) - a[:, None, :])


def delta_from(dl_da: NDArray[Any], name: str, z: NDArray[Any], a: NDArray[Any], epsilon: Any) -> NDArray[Any]:
    """Returns a layer's error, delta = dL/da da/dz, as an array of shape (n, n_out).

    `dl_da`, `z` and `a` are arrays of the layer, of the same shape. `name` is the name of the layer's activation function, and
    `epsilon` is the slope of leaky_relu for z <= 0.
    """
    if name == "softmax":
        return np.einsum("si,sij->sj", dl_da, softmax_jacobian(a))
    return dl_da * D_ACTIVATIONS[name](z, epsilon)


def loss_terms(loss: str, y: NDArray[Any], z: NDArray[Any], a: NDArray[Any] | None, activation: str) -> NDArray[Any]:
    """Returns the loss of each output and sample, not divided by n, as an array of shape (n, n_out).

    `activation` is the name of the output layer's activation function. Only the losses sse and mse read the output
    `a`; for other losses, `a` may be None.
    """
    if loss in ("sse", "mse"):
        assert a is not None
        return np.square(a - y)
    if loss == "cce":
        return -y * (z - np.logaddexp.reduce(z, axis=1, keepdims=True))
    if activation == "softmax":  # the log-odds of class i are z_i minus log(sum_{k != i} e^z_k)
        others = [np.logaddexp.reduce(np.delete(z, i, axis=1), axis=1) for i in range(z.shape[1])]
        z = z - np.stack(others, axis=1)
    zero = z.dtype.type(0)
    return y * np.logaddexp(zero, -z) + (1 - y) * np.logaddexp(zero, z)


def loss_gradient(loss: str, y: NDArray[Any], a: NDArray[Any]) -> NDArray[Any]:
    """Returns the gradient dL/da of the loss with respect to the network's outputs a, as an array of shape (n, n_out)."""
    n = 1 if loss == "sse" else y.shape[0]
    if loss in ("sse", "mse"):
        return 2 * (a - y) / n
    if loss == "bce":
        return ((1 - y) / (1 - a) - y / a) / n
    return -y / a / n


def philox_numbers(key: int, samples: int, neurons: int, layer: int) -> NDArray[np.uint64]:
    """Returns dropout's random numbers, as an array of shape (samples, neurons).

    The function runs the random generator Philox 4x32-10 with Python integers.
    """
    numbers = np.zeros((samples, neurons), np.uint64)
    for s, j in np.ndindex(samples, neurons):
        counter, halves = [j // 4, s, layer, 0], [key % 2**32, key // 2**32]
        for _ in range(10):
            (high_0, low_0), (high_1, low_1) = divmod(0xD2511F53 * counter[0], 2**32), divmod(0xCD9E8D57 * counter[2], 2**32)
            counter = [high_1 ^ counter[1] ^ halves[0], low_1, high_0 ^ counter[3] ^ halves[1], low_0]
            halves = [(halves[0] + 0x9E3779B9) % 2**32, (halves[1] + 0xBB67AE85) % 2**32]
        numbers[s, j] = counter[j % 4]
    return numbers


def mean_or_sum(loss: str, total: Any, n: int) -> Any:
    """Returns the loss L of n samples.

    `total` is the sum of the samples' losses. The function divides `total` by n unless the loss is sse.
    """
    return total if loss == "sse" else total / n


def step(
    parameters: Sequence[tuple[ArrayLike, ArrayLike]],
    activations: Sequence[str],
    loss: str,
    x: ArrayLike,
    y: ArrayLike,
    epsilon: Any = 0.01,
) -> dict[str, Any]:
    """Computes all values of a training step for one batch: loss, predictions, z, a, the errors delta, and the gradients.

    Parameters
    ----------
    parameters : list of (w, b)
        One pair per layer. w has the shape (n_in, n_out), and b has the shape (n_out,).
    activations : list of str
        The names of the layers' activation functions.
    loss : str
        The name of the loss.
    x : array_like, (n, n_in)
        The inputs.
    y : array_like, (n, n_out)
        The targets.
    epsilon : float
        The slope of leaky_relu for z <= 0.

    Returns
    -------
    dict
        "loss" is a float, and "y_hat" is an array. "w", "b", "z", "a", "delta", "dw" and "db" are lists with one array per
        layer.
    """
    x, y = np.asarray(x, PRECISE), np.asarray(y, PRECISE)
    w, b = ([np.asarray(p[k], PRECISE) for p in parameters] for k in (0, 1))
    z, a = [], []
    for w_l, b_l, name in zip(w, b, activations, strict=True):
        z.append(np.einsum("si,ij->sj", a[-1] if a else x, w_l) + b_l)
        a.append(ACTIVATIONS[name](z[-1], epsilon))
    delta = [delta_from(loss_gradient(loss, y, a[-1]), activations[-1], z[-1], a[-1], epsilon)]
    for l in range(len(w) - 1, 0, -1):
        dl_da = np.einsum("ij,sj->si", w[l], delta[0])
        delta.insert(0, delta_from(dl_da, activations[l - 1], z[l - 1], a[l - 1], epsilon))
    dw = [np.einsum("si,sj->ij", x_l, delta_l) for x_l, delta_l in zip([x, *a[:-1]], delta, strict=True)]
    db = [delta_l.sum(axis=0) for delta_l in delta]
    total = loss_terms(loss, y, z[-1], a[-1], activations[-1]).sum()
    value = float(mean_or_sum(loss, total, x.shape[0]))
    return {"loss": value, "y_hat": a[-1], "w": w, "b": b, "z": z, "a": a, "delta": delta, "dw": dw, "db": db}
