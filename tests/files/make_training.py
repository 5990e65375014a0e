"""Writes training.json: the parameters of a network after PyTorch has trained it for 20 steps with each optimizer, in float64.

The script needs torch.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch

SIZES, COUNT, BATCH, STEPS = (3, 5, 4), 12, 5, 20
CASES = {
    "gradient_descent": ("SGD", {}, {}),
    "weight_decay": ("SGD", {"weight_decay": 0.05}, {}),
    "momentum": ("SGD", {"momentum": 0.9, "weight_decay": 0.05}, {}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}, {}),
    "adam": ("Adam", {}, {}),
    "adam_weight_decay": ("Adam", {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.05}, {}),
    "adamw": ("AdamW", {"weight_decay": 0.05}, {}),
    "label_smoothing": ("Adam", {}, {"label_smoothing": 0.2}),
    "class_weight": ("Adam", {}, {"weight": [1.0, 0.5, 2.0, 3.0]}),
}


def trained(problem, optimizer, options, loss):
    """Trains with PyTorch; returns the flat parameter vector, which contains w (n_in, n_out) and then b for each layer."""
    layers = [torch.nn.Linear(n_in, n_out, dtype=torch.float64) for n_in, n_out in itertools.pairwise(SIZES)]
    for layer, (w, b) in zip(layers, problem["parameters"], strict=True):
        layer.weight.data, layer.bias.data = torch.tensor(w).T.contiguous(), torch.tensor(b)
    model = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1])
    decay = options.pop("weight_decay", 0.0)  # applies to the weights, not to the biases
    groups = [
        {"params": [layer.weight for layer in layers], "weight_decay": decay},
        {"params": [layer.bias for layer in layers], "weight_decay": 0.0},
    ]
    descent = getattr(torch.optim, optimizer)(groups, lr=0.1, **options)
    loss = torch.nn.CrossEntropyLoss(**{name: torch.tensor(v) if name == "weight" else v for name, v in loss.items()})
    x, y = torch.tensor(problem["x"]), torch.tensor(problem["y"])
    for step in range(STEPS):
        first = step * BATCH % 15  # the batches of an epoch have 5, 5 and 2 samples
        descent.zero_grad()
        loss(model(x[first : first + BATCH]), y[first : first + BATCH]).backward()
        descent.step()
    return np.concatenate(
        [np.concatenate([layer.weight.detach().numpy().T.ravel(), layer.bias.detach().numpy()]) for layer in layers]
    )


def main():
    torch.set_default_dtype(torch.float64)
    random = np.random.default_rng(0)
    problem = {
        "x": random.standard_normal((COUNT, SIZES[0])).tolist(),
        "y": random.integers(0, SIZES[-1], COUNT).tolist(),
        "parameters": [
            (random.uniform(-1, 1, (n_in, n_out)).tolist(), random.uniform(-1, 1, n_out).tolist())
            for n_in, n_out in itertools.pairwise(SIZES)
        ],
    }
    results = {
        name: trained(problem, optimizer, dict(options), loss).tolist() for name, (optimizer, options, loss) in CASES.items()
    }
    facts = {"torch": torch.__version__, **problem, "trained": results}
    Path(__file__).with_name("training.json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
