"""Compiles the function `run` and the routines that a network needs for a task, unless they are compiled already.

A routine is a compiled function that `run`, the loop over blocks of samples, calls by its address. The addresses of the
routines are stored in NumPy records: the network's header, and one record per layer (see the module `kernels.layout`).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from numbanet._compile import compiled_for, must_be_compiled, types_of
from numbanet._compile.aside import called_aside
from numbanet.engines.cpu import threads
from numbanet.engines.cpu.arguments import Workspace
from numbanet.engines.cpu.epoch import DESCEND, EVALUATE, TRAIN, run
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
from numbanet.engines.cpu.kernels.product import BACKWARD, FORWARD, UPDATE, backward, forward, update
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


# The routines that take the longest to compile: the matrix products. The keys are names of fields of the header.
LONGEST = {
    "forward": (FORWARD, forward),
    "backward": (BACKWARD, backward),
    "update": (UPDATE, update),
}

# For each dtype for which this process has compiled `run`: `run` for this dtype.
COMPILED: dict[np.dtype, Callable] = {}


def compile_longest(dtype: str, *names: str) -> None:
    """Compiles the matrix products `names` ("forward", "backward", "update") for numbers of a type such as "float32"."""
    for name in names:
        signature, routine = LONGEST[name]
        signature.address(routine, np.dtype(dtype))


def prepare(topology: Topology, task: int, arguments: tuple, workspace: Workspace, clips: bool) -> Callable:
    """Returns the compiled function `run` for the types of `arguments`.

    Compiles `run` and all routines that `task` needs, unless they are compiled already. Writes the routines' addresses to
    `workspace.header` and to `workspace.layers`, an array with one record for each layer to compute. `clips` is true if the
    update rule clips gradients. If this process may use two or more cores, a second process compiles matrix products at the
    same time.
    """
    dtype, header, layers, trains = topology.dtype, workspace.header[0], workspace.layers, task == TRAIN
    longest = _longest(task)
    missing = [name for name in longest if LONGEST[name][0].must_be_compiled(LONGEST[name][1], dtype)]
    argument_types = () if dtype in COMPILED else types_of(arguments)
    aside = missing if argument_types and must_be_compiled(run, argument_types) else missing[1:]
    with _compiled_aside(dtype, aside if threads.get_num_threads() > 1 else []) as wait:
        if argument_types:
            COMPILED[dtype] = compiled_for(run, argument_types)
        _prepare_layers(topology, trains, header, layers)
        if task in (EVALUATE, TRAIN):
            score, error = score_and_error(topology)
            header["score"] = SCORE.address(score, dtype)
            if trains:
                header["error"] = ERROR.address(error, dtype)
        if trains and layers["limit"].any():
            header["drop"] = DROP.address(drop, dtype)
        if clips or task == DESCEND:
            header["descend"] = FROM_MEMORY.address(descend_from_memory, dtype)
        wait()
        for name in longest:
            header[name] = LONGEST[name][0].address(LONGEST[name][1], dtype)
    return COMPILED[dtype]


def _longest(task: int) -> list[str]:
    """Returns the names of the matrix products that a task needs, in the order in which they are compiled."""
    if task == DESCEND:
        return []
    return ["forward", "backward", "update"] if task == TRAIN else ["forward"]


def _compiled_aside(dtype: np.dtype, names: list[str]) -> AbstractContextManager[Callable[[], None]]:
    """Returns a context manager that compiles routines in a second process and yields a function that awaits that process."""
    return called_aside(compile_longest, (dtype.name, *names)) if names else nullcontext(lambda: None)


def _prepare_layers(topology: Topology, trains: bool, header: Any, layers: np.ndarray) -> None:
    """Writes to `header` and `layers` the addresses of the routines for a = phi(z) and, if `trains` is true, for delta."""
    dtype, last = topology.dtype, len(layers) - 1
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
