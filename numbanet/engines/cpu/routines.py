"""Chooses the routines of a network, and compiles each routine that a task needs and that has not been compiled before.

The addresses of the routines are stored in the header and in the layers' records; the module `kernels.layout` describes both.
"""

from typing import Any

import numpy as np

from numbanet.engines.cpu.epoch import DESCEND, EVALUATE, TRAIN
from numbanet.engines.cpu.kernels.descent import FROM_MEMORY, descend_from_memory
from numbanet.engines.cpu.kernels.dropout import DROP, drop
from numbanet.engines.cpu.kernels.elementwise import (
    ACTIVATION,
    ACTIVATION_ERROR,
    FORMULAS,
    Formula,
    activation,
    activation_error,
    users_formula,
)
from numbanet.engines.cpu.kernels.losses import ERROR, SCORE, score_and_error
from numbanet.engines.cpu.kernels.softmax import (
    SOFTMAX_LAYER,
    hidden_softmax_activation,
    hidden_softmax_error,
    softmax_activation,
)
from numbanet.engines.topology import OWN_ACTIVATION, Topology
from numbanet.equations.activations import IDENTITY, SOFTMAX


def _formula_of(topology: Topology, kind: int) -> Formula:
    return FORMULAS[kind] if kind in FORMULAS else users_formula(topology.own_activations[kind - OWN_ACTIVATION])


def prepare(topology: Topology, task: int, header: Any, layers: np.ndarray, clips: bool) -> None:
    """Writes the addresses of all routines that a task needs to the header record and the layers' records.

    `layers` may have only the first layers of the network. `clips` is true if the update rule clips gradients.
    """
    dtype, trains, last = topology.dtype, task == TRAIN, len(layers) - 1
    for l, layer in enumerate(layers):
        if layer["kind"] == SOFTMAX and l < last:
            layer["phi"] = SOFTMAX_LAYER.address(hidden_softmax_activation, dtype)
            if trains:
                layer["d_phi"] = SOFTMAX_LAYER.address(hidden_softmax_error, dtype)
        elif layer["kind"] == SOFTMAX:
            header["softmax"] = SOFTMAX_LAYER.address(softmax_activation, dtype)
        elif layer["kind"] != IDENTITY:
            formula = _formula_of(topology, int(layer["kind"]))
            layer["phi"] = ACTIVATION.address(activation(formula), dtype)
            if trains:
                layer["d_phi"] = ACTIVATION_ERROR.address(activation_error(formula), dtype)
    if task in (EVALUATE, TRAIN):
        score, error = score_and_error(topology)
        header["score"] = SCORE.address(score, dtype)
        if trains:
            header["error"] = ERROR.address(error, dtype)
    if trains and layers["limit"].any():
        header["drop"] = DROP.address(drop, dtype)
    if clips or task == DESCEND:
        header["descend"] = FROM_MEMORY.address(descend_from_memory, dtype)
