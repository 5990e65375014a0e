"""Golden vectors, with which ports are checked: all values that one training step computes, for five small networks.

A port is an implementation of the network in another language; the page docs/porting.md describes ports.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet.network import Network
from numbanet.persist import vectors

# Together, the networks cover all activation functions, all losses, and all forms of the output error: the short form a - y,
# the general form, and the form with the full Jacobian of softmax.
NETWORKS = {
    "regression": ([3, 4, 2], ["tanh", "identity"], "mse"),
    "two-classes": ([2, 3, 1], ["relu", "sigmoid"], "bce"),
    "classes": ([4, 5, 3], ["leaky_relu", "softmax"], "cce"),
    "deep": ([3, 4, 3, 4, 2], ["sigmoid", "tanh", "relu", "identity"], "sse"),
    "jacobian": ([3, 4, 3], ["softmax", "softmax"], "mse"),
}
SAMPLES = 4
LEARNING_RATE = 0.5
SUFFIXES = (".json", ".npz")


def step(name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Computes one training step in float64 with the reference loops on the CPU.

    Inputs, targets, weights and biases are rounded to two decimals.

    Parameters
    ----------
    name : str
        The name of the network, which is a key of NETWORKS.

    Returns
    -------
    (dict, dict)
        The first dict describes the network and contains the learning rate. The second dict contains all arrays of the step by
        name. The last arrays of the second dict, w1_after, b1_after, ..., are the parameters after the update w <- w - eta
        dL/dw.
    """
    sizes, activations, loss = NETWORKS[name]
    net = Network(sizes, activations, loss, dtype="float64", kernels="reference")
    random = np.random.Generator(np.random.PCG64(sorted(NETWORKS).index(name)))
    net.set_parameters([(_rounded(random, *w.shape), _rounded(random, *b.shape)) for w, b in net.parameters()])
    x, y = _rounded(random, SAMPLES, sizes[0]), _targets(random, loss, sizes[-1])
    arrays = net.trace(x, y).symbols()
    net.train_step(x, y, LEARNING_RATE)
    for l, (w, b) in enumerate(net.parameters(), start=1):
        arrays |= {f"w{l}_after": w, f"b{l}_after": b}
    network = {"sizes": sizes, "activations": activations, "loss": loss, "epsilon": net.epsilon, "dtype": net.dtype}
    return {"network": network, "learning_rate": LEARNING_RATE}, arrays


def write(folder: str | os.PathLike[str]) -> list[Path]:
    """Writes the golden vectors of all networks to a folder, and returns the paths of the files.

    If the folder does not exist, `write` creates the folder.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = [Path(folder) / f"{name}{suffix}" for name in NETWORKS for suffix in SUFFIXES]
    for path in paths:
        vectors.write(path, *step(path.stem))
    return paths


def _rounded(random: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    return random.normal(0, 1, shape).round(2)


def _targets(random: np.random.Generator, loss: str, n_out: int) -> NDArray[np.float64]:
    if loss == "cce":
        return np.eye(n_out)[random.integers(0, n_out, SAMPLES)]
    return random.integers(0, 2, (SAMPLES, n_out)).astype(float) if loss == "bce" else _rounded(random, SAMPLES, n_out)
