"""Compares an imported network with its model by a forward pass, because a model can compute more than its layers show."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from numbanet.network import Network

SCALES = (1.0, 10.0, 100.0)  # of the inputs: bounds of an activation, such as 6 of ReLU6, appear with large ones
BOUNDED = ("sigmoid", "tanh", "softmax")
ROWS = 16  # for each scale


def check_reproduces(
    net: Network, model: Callable[[NDArray[np.floating]], NDArray[np.floating]], rtol: float, remedy: str
) -> None:
    """Raises ValueError if the network and the model compute different outputs for random inputs.

    Parameters
    ----------
    net : Network
        The imported network.
    model : callable
        Returns the outputs of the model for inputs (n, n_in). These outputs may be the network's predictions, the logits
        (z of the last layer), or the logarithms of the predictions of a softmax.
    rtol : float
        Largest difference of outputs, relative to the largest logit of the inputs with the same scale.
    remedy : str
        What to do if the outputs differ, for the message.
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
    if not min(gaps.values()) <= 1:  # NaN is not, either
        gap = float(min(np.abs(y - expected).max() for expected in forms.values()))
        raise ValueError(
            f"the model computes another function than its layers one after the other, with the activations "
            f"{', '.join(net.activations)}: for random inputs, the outputs differ by up to {gap:.3g}. {remedy}"
        )


def _largest_gap(
    y: NDArray[np.floating], expected: NDArray[np.float64], logits: NDArray[np.float64], rtol: float, is_bounded: bool
) -> float:
    """Returns the largest difference in units of the tolerance; the differences for each scale have their own tolerance."""
    gaps = []
    for rows in np.split(np.arange(len(y)), len(SCALES)):
        size = np.abs(logits[rows]).max()
        # A rounding error of a logit changes a probability by as much at most.
        tolerance = rtol * (max(size, 1) if is_bounded else size)
        gap = np.abs(y[rows] - expected[rows]).max()
        gaps.append(gap / tolerance if tolerance else gap and np.inf)
    return float(np.max(gaps))
