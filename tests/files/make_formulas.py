"""Writes formulas.json: losses and gradients from PyTorch, in float64, for networks with the formulas of equations/beyond.py.

The script needs torch: python tests/files/make_formulas.py
"""

import itertools
import json
from pathlib import Path

import numpy as np

SAMPLES, WIDTH = 4, 2
ACTIVATIONS = ("silu", "gelu", "gelu_tanh", "elu", "selu", "mish", "hard_sigmoid", "softsign", "exponential", "softplus")
LOSSES = ("poisson", "mae", "huber", "huber(delta=0.75)", "log_cosh", "quantile", "quantile(q=0.875)", "hinge")


def layers(loss):
    """Returns the layers' activations for a loss: every second element of ACTIVATIONS, in an order that depends on the loss.

    Networks with the same set of activations share their compiled loops. The network with the loss poisson ends with the
    activation exponential.
    """
    k = LOSSES.index(loss)
    half, first = ACTIVATIONS[k % 2 :: 2], k // 2
    names = [*half[first:], *half[:first]]
    return names if loss != "poisson" else [*(name for name in names if name != "exponential"), "exponential"]


def numbers(count, seed):
    """Returns an array of `count` different numbers in [-1, 1] with few digits; another `seed` gives another array."""
    return np.array([(k * 37 + seed * 53 + 11) % 101 - 50 for k in range(count)]) / 50


def problem(loss):
    """Returns the samples x, the targets y and the parameters [(w, b), ...] of the network that is tested with the loss."""
    seed = LOSSES.index(loss)
    x, y = 2 * numbers(SAMPLES * 3, seed).reshape(SAMPLES, 3), 2 * numbers(SAMPLES * WIDTH, seed + 7).reshape(SAMPLES, WIDTH)
    y = {"poisson": np.abs(y.round()), "hinge": np.where(y < 0, -1.0, 1.0)}.get(loss, y)
    sizes = [3, *[WIDTH] * len(layers(loss))]
    return (
        x,
        y,
        [
            (2 * numbers(n_in * n_out, seed + 3 * l).reshape(n_in, n_out), numbers(n_out, seed + 5 * l + 1))
            for l, (n_in, n_out) in enumerate(itertools.pairwise(sizes))
        ],
    )


def main():
    import torch
    from torch.nn import functional

    def pinball(q):
        return lambda y, y_hat: torch.maximum(q * (y - y_hat), (q - 1) * (y - y_hat)).sum()

    def poisson(y, y_hat):
        negative_log_likelihood = functional.poisson_nll_loss(y_hat, y, log_input=False, eps=0.0, reduction="sum")
        return negative_log_likelihood + (torch.xlogy(y, y) - y).sum()

    phi = {
        "silu": functional.silu,
        "gelu": functional.gelu,
        "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
        "elu": functional.elu,
        "selu": functional.selu,
        "mish": functional.mish,
        "hard_sigmoid": lambda z: functional.relu6(z + 3) / 6,  # hardsigmoid takes 1/6 of float32 for its derivative in float64
        "softsign": functional.softsign,
        "exponential": torch.exp,
        "softplus": functional.softplus,
    }
    losses = {
        "poisson": poisson,
        "mae": lambda y, y_hat: functional.l1_loss(y_hat, y, reduction="sum"),
        "huber": lambda y, y_hat: functional.huber_loss(y_hat, y, reduction="sum"),
        "huber(delta=0.75)": lambda y, y_hat: functional.huber_loss(y_hat, y, reduction="sum", delta=0.75),
        "log_cosh": lambda y, y_hat: torch.log(torch.cosh(y - y_hat)).sum(),
        "quantile": pinball(0.5),
        "quantile(q=0.875)": pinball(0.875),
        "hinge": lambda y, y_hat: functional.relu(1 - y * y_hat).sum(),
    }
    results = {}
    for loss in LOSSES:
        x, y, parameters = problem(loss)
        tensors = [torch.tensor(array, requires_grad=True) for pair in parameters for array in pair]
        a = torch.tensor(x)
        for w, b, name in zip(tensors[::2], tensors[1::2], layers(loss), strict=True):
            a = phi[name](a @ w + b)
        value = losses[loss](torch.tensor(y), a) / SAMPLES
        value.backward()
        results[loss] = {"y_hat": a.tolist(), "loss": value.item(), "gradients": [tensor.grad.tolist() for tensor in tensors]}
    facts = {"torch": torch.__version__, "networks": results}
    Path(__file__).with_name("formulas.json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
