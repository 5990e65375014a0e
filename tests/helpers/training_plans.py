"""Training plans for tests: one or more for each way to train a network on a GPU."""

import itertools

from numbanet.engines.cuda import planning
from numbanet.engines.cuda.cooperative import tiling
from numbanet.engines.cuda.cooperative.layout import GridPlan


def ways(top):
    """Returns training plans by name.

    The cooperative plans have 1 or 4 thread blocks, which divide among them the first layer, the first two layers, and so on.
    """
    plans = {way: planning.TrainingPlan(way, 0, 0.0) for way in (planning.RESIDENT, planning.PRODUCTS)}
    if "softmax" in top.activations[:-1]:
        return plans
    for blocks, spread in itertools.product((1, 4), range(1, len(top.kinds) + 1)):
        layers = tuple(tiling.cut(n_in, n_out, 1 if blocks == 1 else 2, blocks) for n_in, n_out in top.layers)
        together = GridPlan(layers, spread, blocks)
        plans[f"{blocks} blocks, {spread} layers"] = planning.TrainingPlan(planning.COOPERATIVE, 0, 0.0, together)
    return plans
