"""Compiled functions (routines) for the loss and the correct outputs (hits) of each sample, and delta of the output layer.

The functions read y, z and a from tables (arrays indexed [neuron][sample], see the module `tables`).

To add a loss, add a row to the table LOSSES.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from numba import types

from numbanet._compile import njit_merged, njit_part, njit_routine, parts_of
from numbanet.engines.cpu.kernels.elementwise import call_activation_error
from numbanet.engines.cpu.kernels.routine import INTEGERS, SPAN, Signature, header_type, layer_type, named
from numbanet.engines.cpu.kernels.softmax import become_logits, through_logits, through_softmax
from numbanet.engines.cpu.kernels.tables import HITS, INDEX, TARGET, find_largest, pour
from numbanet.engines.cpu.kernels.vector import get, put
from numbanet.engines.topology import Topology
from numbanet.equations import losses
from numbanet.equations.activations import SOFTMAX
from numbanet.equations.losses import BCE, CCE, MSE, SSE

sse, bce_from_z, cce, log_softmax_sum = parts_of(losses.sse, losses.bce_from_z, losses.cce, losses.log_softmax_sum)
d_sse, d_mse, d_cce, weighted = parts_of(losses.d_sse, losses.d_mse, losses.d_cce, losses.weighted)


# The arguments are memory, header, layer, integers, has_weights, span.
SCORE = Signature(lambda number: (header_type(number), layer_type(number), INTEGERS, types.boolean, SPAN))
# The arguments are memory, header, layer, n, has_weights, span.
ERROR = Signature(lambda number: (header_type(number), layer_type(number), number, types.boolean, SPAN))
call_score, call_error = SCORE.call, ERROR.call


@njit_part
def weigh(memory, header, values, span):
    """Multiplies one value per sample by the sample's weight. The value of sample s is memory[values + s]."""
    for s in range(span.begin, span.end):
        put(memory, values + s, weighted(get(memory, header.weight + s), get(memory, values + s)))


@njit_part
def count_hits(memory, header, n_out, integers, span):
    """Counts, for each sample, the outputs y_hat that are on the same side of 1/2 as the target y."""
    hits = HITS * header.rows
    for s in range(span.begin, span.end):
        put(integers, hits + s, 0)
    for j in range(n_out):
        y, y_hat = header.table_y + j * header.rows, header.table_a + j * header.rows
        for s in range(span.begin, span.end):
            half = type(get(memory, y + s))(0.5)
            hit = 1 if (get(memory, y + s) > half) == (get(memory, y_hat + s) > half) else 0
            put(integers, hits + s, get(integers, hits + s) + hit)


@njit_part
def count_hits_of_classes(memory, header, n_out, integers, span):
    """Counts, for each sample, 1 correct output if the largest y_hat and the largest y have the same index, else 0.

    The memory that will hold the samples' losses serves as scratch memory.
    """
    guess, target, hits = INDEX * header.rows, TARGET * header.rows, HITS * header.rows
    find_largest(memory, header, header.table_a, n_out, header.loss, integers, guess, span)
    find_largest(memory, header, header.table_y, n_out, header.loss, integers, target, span)
    for s in range(span.begin, span.end):
        put(integers, hits + s, 1 if get(integers, guess + s) == get(integers, target + s) else 0)


@njit_routine
def cce_score(memory, header, layer, integers, has_weights, span):
    """Computes the loss cce and the correct outputs of the samples in `span`, from the tables of y, z and a."""
    n_out, rows, loss, z_max, others = layer.n_out, header.rows, header.loss, header.z_max, header.others
    count_hits_of_classes(memory, header, n_out, integers, span)
    for s in range(span.begin, span.end):
        put(memory, loss + s, 0)
        put(memory, others + s, log_softmax_sum(get(memory, others + s)))
    for j in range(n_out):
        y_j, z = header.table_y + j * rows, header.table_z + j * rows
        for s in range(span.begin, span.end):
            term = cce(1, get(memory, y_j + s), get(memory, z + s), get(memory, z_max + s), get(memory, others + s))
            put(memory, loss + s, get(memory, loss + s) + term)
    if has_weights:
        weigh(memory, header, loss, span)


class Loss(NamedTuple):
    """A loss that is a sum of terms, one for each output, and the derivatives of the terms.

    Parameters
    ----------
    name : str
        The name of the loss.
    term : callable
        term(y, z, a) computes the term of one output of one sample. The term is not divided by the number n of samples in the
        batch.
    d_term : callable
        d_term(n, y, a) computes dL/da or, for the losses bce and cce, whose formulas include the output layer's activation
        function, dL/dz.
    """

    name: str
    term: Callable
    d_term: Callable


LOSSES = {
    SSE: Loss("sse", lambda y, z, a: sse(y, a), lambda n, y, a: d_sse(y, a)),
    MSE: Loss("mse", lambda y, z, a: sse(y, a), lambda n, y, a: d_mse(n, y, a)),
    BCE: Loss("bce", lambda y, z, a: bce_from_z(1, y, z), lambda n, y, a: d_cce(n, y, a)),
    CCE: Loss("cce", cce, lambda n, y, a: d_cce(n, y, a)),  # `cce` also needs sums over all outputs, so `cce_score` calls it
}


@cache  # so that networks with equal losses share their routines; machine code must exist as long as the process
def users_loss(own: Any, outputs: int) -> Loss:
    """Returns the formulas of a `Loss` that a user wrote.

    The names of the compiled functions in the compile cache contain `own.digest`, a hash of the user's functions.
    """
    loss, d_loss, by = own.loss, own.d_loss, outputs if own.per == "output" else 1
    return Loss(
        f"own_{own.digest}_{by}",
        lambda y, z, a: loss(y, a) / type(y)(by),
        lambda n, y, a: d_loss(y, a) / (n * type(y)(by)),
    )


@njit_part
def nothing(memory, header, layer, span):
    """Does nothing: `score_routine` gets it as `prepare`, and `error_routine` as `through`, if no values need changing."""


@njit_part
def through_phi(memory, header, layer, span):
    """Replaces dL/da of the output layer with delta = dL/da da/dz, in the table of delta (indexed [neuron][sample])."""
    for j in range(layer.n_out if layer.d_phi != 0 else 0):
        at = j * header.rows + span.begin
        z, a, delta = header.table_z + at, header.table_a + at, header.table_delta + at
        call_activation_error(layer.d_phi, (memory, header.epsilon, z, a, delta, span.end - span.begin))


@cache
def score_routine(loss: Loss, prepare: Any) -> Any:
    """Returns the compiled function that computes a loss and the correct outputs of samples, from the tables of y, z and a.

    The compiled function first calls `prepare`, which may replace z in its table (an array indexed [neuron][sample]).
    """
    of_output = njit_merged(loss.term)

    def loop(memory, header, layer, integers, has_weights, span):
        rows, of_sample = header.rows, header.loss
        count_hits(memory, header, layer.n_out, integers, span)
        prepare(memory, header, layer, span)
        for s in range(span.begin, span.end):
            put(memory, of_sample + s, 0)
        for j in range(layer.n_out):
            y, z, a = header.table_y + j * rows, header.table_z + j * rows, header.table_a + j * rows
            for s in range(span.begin, span.end):
                term = of_output(get(memory, y + s), get(memory, z + s), get(memory, a + s))
                put(memory, of_sample + s, get(memory, of_sample + s) + term)
        if has_weights:
            weigh(memory, header, of_sample, span)

    return njit_routine(named(loop, f"{loss.name}_score_{prepare.__name__}"))


@cache
def error_routine(loss: Loss, through: Any) -> Any:
    """Returns the compiled function that computes delta of the output layer, for a range of samples.

    The compiled function writes the gradient of the loss to the table of delta (an array indexed [neuron][sample]), multiplies
    the gradient by the sample weights, and calls `through`, which replaces dL/da with delta. The argument n of the compiled
    function is the number of samples in the batch.
    """
    gradient = njit_merged(loss.d_term)

    def loop(memory, header, layer, n, has_weights, span):
        rows = header.rows
        for j in range(layer.n_out):
            y, a, delta = header.table_y + j * rows, header.table_a + j * rows, header.table_delta + j * rows
            for s in range(span.begin, span.end):
                put(memory, delta + s, gradient(n, get(memory, y + s), get(memory, a + s)))
            if has_weights:
                weigh(memory, header, delta, span)
        through(memory, header, layer, span)
        pour(memory, header, header.table_delta, layer.n_out, layer.delta, span)

    return njit_routine(named(loop, f"{loss.name}_error_{through.__name__}"))


def score_and_error(topology: Topology) -> tuple[Any, Any]:
    """Returns two compiled functions for a network: one for the loss and correct outputs, one for delta of the output layer."""
    own, softmax_output = topology.own_loss, topology.kinds[-1] == SOFTMAX
    loss = users_loss(own, topology.sizes[-1]) if own else LOSSES[topology.loss_kind]
    if topology.loss_kind == CCE:
        return cce_score, error_routine(loss, nothing)
    if topology.loss_kind == BCE:
        prepare, through = (become_logits, through_logits) if softmax_output else (nothing, nothing)
        return score_routine(loss, prepare), error_routine(loss, through)
    return score_routine(loss, nothing), error_routine(loss, through_softmax if softmax_output else through_phi)
