"""Creates networks, samples and targets for tests."""

import numpy as np

from numbanet.engines import make_engine
from numbanet.engines.topology import ACTIVATIONS, LOSSES, Topology
from numbanet.inputs.architecture import ALLOWED_OUTPUTS

# All valid combinations of an output activation and a loss.
PAIRS = [(output, loss) for loss in LOSSES for output in ALLOWED_OUTPUTS.get(loss, ACTIVATIONS)]
EPSILON = 0.0625  # exact in every dtype


def topology(sizes, activations, loss, dtype, formulas=()) -> Topology:
    return Topology(tuple(sizes), tuple(activations), loss, dtype, EPSILON, formulas=formulas)


def engine_with_parameters(top: Topology, device: str, kernels: str, seed: int = 0):
    """Returns an engine with random parameters, and its parameters as a flat vector.

    The parameters are random numbers in [-1, 1], so that all neurons differ.
    """
    engine = make_engine(top, device, kernels)
    flat = np.random.default_rng(seed).uniform(-1, 1, top.parameter_count).astype(top.dtype)
    engine.write(flat)
    return engine, flat


def data(top: Topology, n: int, seed: int = 1):
    """Returns n random samples, and random targets that suit the loss: probabilities for bce and cce, otherwise any numbers."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((n, top.sizes[0])).astype(top.dtype)
    n_out = top.sizes[-1]
    if top.loss == "cce":
        y = random.dirichlet(np.ones(n_out), n)
    elif top.loss == "bce":
        y = random.random((n, n_out))
    else:
        y = random.standard_normal((n, n_out))
    y = y.astype(top.dtype)
    x.flags.writeable = y.flags.writeable = False
    return x, y


def flatten(w, b) -> np.ndarray:
    """Returns the weights w and the biases b, each a list of one array per layer, as one flat parameter vector."""
    return np.concatenate([np.concatenate([w_l.ravel(), b_l]) for w_l, b_l in zip(w, b, strict=True)])
