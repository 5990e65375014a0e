"""Compares the outputs of a model and of the network imported from it, because a model may do more than apply its layers."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from numbanet.network import Network

SCALES = (1.0, 10.0, 100.0)  # factors of the random inputs; only large inputs reveal a bounded activation such as ReLU6
BOUNDED = ("sigmoid", "tanh", "softmax")
ROWS = 16  # number of random inputs per scale


def check_reproduces(
    net: Network, model: Callable[[NDArray[np.floating]], NDArray[np.floating]], rtol: float, remedy: str
) -> None:
    """Raises ValueError if the network and the model compute different outputs for random inputs.

    Parameters
    ----------
    net : Network
        The imported network.
    model : callable
        A function that returns the model's outputs for inputs (n, n_in). The model may return predictions, logits (z of the
        last layer) or, for a softmax, logarithms of predictions.
    rtol : float
        The largest allowed difference between two outputs, relative to the largest absolute logit. The inputs are random
        numbers of several scales, and the largest logit is determined for each scale separately.
    remedy : str
        The last sentence of the error message, which says which models are supported.
    """
    random = np.random.Generator(np.random.PCG64(0))
    x = np.concatenate([scale * random.standard_normal((ROWS, net.sizes[0])) for scale in SCALES]).astype(net.dtype)
    y = model(x)
    if net.sizes[-1] == 1 and y.shape == (len(x),):
        y = y[:, np.newaxis]
    logits = net.predict(x, logits=True).astype(np.float64)
    if y.shape != logits.shape:
        raise ValueError(
            f"for inputs of shape {x.shape}, the model returns outputs of shape {y.shape}, but its layers alone return "
            f"{logits.shape}: {remedy}"
        )
    forms = {"logits": logits, "predictions": net.predict(x).astype(np.float64)}
    if net.activations[-1] == "softmax":
        shifted = logits - logits.max(axis=1, keepdims=True)
        forms["logarithms"] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    bounded = "predictions" if net.activations[-1] in BOUNDED else None
    gaps = {name: _largest_gap(y, expected, logits, rtol, name == bounded) for name, expected in forms.items()}
    if not min(gaps.values()) <= 1:  # the negation also rejects NaN
        gap = float(min(np.abs(y - expected).max() for expected in forms.values()))
        raise ValueError(
            f"the model does not just apply its layers one after the other, with the activations "
            f"{', '.join(net.activations)}: for random inputs, the outputs differ by up to {gap:.3g}. {remedy}"
        )


def _largest_gap(
    y: NDArray[np.floating], expected: NDArray[np.float64], logits: NDArray[np.float64], rtol: float, is_bounded: bool
) -> float:
    """Returns the largest difference between the outputs `y` and `expected`, divided by the tolerance.

    For each scale of the random inputs, the tolerance is `rtol` times the largest absolute logit. If `is_bounded` is True
    (`expected` contains predictions of sigmoid, tanh or softmax), the tolerance is at least `rtol`.
    """
    gaps = []
    for rows in np.split(np.arange(len(y)), len(SCALES)):
        size = np.abs(logits[rows]).max()
        # A rounding error of a logit changes a probability by at most the same amount.
        tolerance = rtol * (max(size, 1) if is_bounded else size)
        gap = np.abs(y[rows] - expected[rows]).max()
        gaps.append(gap / tolerance if tolerance else gap and np.inf)
    return float(np.max(gaps))
