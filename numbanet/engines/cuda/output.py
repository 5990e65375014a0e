"""Computes the activations, the loss, the correct outputs and delta of the output layer.

Some of these values depend on all neurons of the layer. Each thread therefore computes one whole sample, by calling the loops
of `numbanet.equations` with matrices of a single row.
"""

from typing import Any, NamedTuple

from numbanet._cuda import SIMULATED, callable_in_kernels, cuda, device_function
from numbanet.engines import samples
from numbanet.engines.cuda.notes import Notes
from numbanet.engines.epoch import N
from numbanet.equations import activations, backprop, losses
from numbanet.equations.activations import SIGMOID, SOFTMAX
from numbanet.equations.losses import BCE, CCE, weighted

activation, softmax_sum, softmax_activation, softmax_logit = map(
    callable_in_kernels,
    (activations.activation, activations.softmax_sum, activations.softmax_activation, activations.softmax_logit),
)
loss, d_loss, bce_from_z_loss, cce_loss = map(
    callable_in_kernels, (losses.loss, losses.d_loss, losses.bce_from_z_loss, losses.cce_loss)
)
activation_error, short_error, softmax_error, softmax_logit_error = map(
    callable_in_kernels,
    (backprop.activation_error, backprop.short_error, backprop.softmax_error, backprop.softmax_logit_error),
)
hits, weigh = callable_in_kernels(samples.hits), callable_in_kernels(losses.weigh)


# The number of threads in a block. Blocks are small, so that the samples of a batch occupy many multiprocessors. In the
# simulator, which runs each CUDA thread as a Python thread, blocks are even smaller.
THREADS = 2 if SIMULATED else 32


class OutputLayer(NamedTuple):
    """The integer constants of the loss and of the last layer's activation function, and epsilon, the slope of leaky_relu."""

    loss_kind: Any
    kind: Any
    epsilon: Any


class OutputWork(NamedTuple):
    """The scratch arrays that `output_row` uses for one sample.

    `u` (1, n_out) holds the values u_j for which sigmoid(u_j) = a_j. `dl` (1, n_out) holds dL/da_j, or dL/du_j for softmax with
    BCE. `z_max` (1,) holds the largest z_j. `others` (1,) holds the sum of e^(z_j - z_max) without its largest term.
    """

    u: Any
    dl: Any
    z_max: Any
    others: Any


@device_function
def output_row(layer, n, y, z, a, delta, work, notes):
    """Computes the activations a, delta, the loss and the number of correct outputs of one sample, from its y and z.

    `layer` is an `OutputLayer`, and `n` is the divisor of the batch's mean loss. Reads y and z, both (1, n_out). Writes a and
    delta, both (1, n_out), and notes.loss and notes.hits, both (1,). Overwrites the scratch arrays in `work`.
    """
    loss_kind, kind, epsilon = layer
    u, dl, z_max, others = work
    if kind == SOFTMAX:
        softmax_sum(z, z_max, others)
        softmax_activation(z, z_max, others, a)
    else:
        activation(kind, epsilon, z, a)
    hits(loss_kind, y, a, notes.hits)
    if loss_kind == CCE:
        cce_loss(1, y, z, z_max, others, notes.loss)
        short_error(n, y, a, delta)
    elif loss_kind == BCE and kind == SIGMOID:
        bce_from_z_loss(1, y, z, notes.loss)
        short_error(n, y, a, delta)
    elif loss_kind == BCE:
        softmax_logit(z, u)
        bce_from_z_loss(1, y, u, notes.loss)
        short_error(n, y, a, dl)
        softmax_logit_error(dl, z, u, delta)
    else:
        loss(loss_kind, 1, y, a, notes.loss)
        d_loss(loss_kind, n, y, a, dl)
        if kind == SOFTMAX:
            softmax_error(dl, a, delta)
        else:
            activation_error(kind, epsilon, dl, z, a, delta)


@cuda.jit
def output_rows(layer, rates, weights, y, order, z, a, delta, u, dl, z_max, others, loss_of_sample, hits_of_sample):
    """Calls `output_row` for every sample s, with one thread per sample, and multiplies loss and delta by the sample's weight.

    The arrays are passed as separate arguments, because every array in a tuple would make each launch by numba-cuda about 10
    microseconds slower.

    Parameters
    ----------
    layer : OutputLayer
        The loss, and the last layer's activation function.
    rates : array (4,)
        The rates of the training step: the divisor n of the mean loss, the learning rate eta, and Adam's eta_t and epsilon_t.
        The kernel reads only the divisor n.
    weights : array (m,)
        The weight of each of the m samples in the batch.
    y : array (N, n_out)
        The targets of all N samples.
    order : array (m,)
        The row indices into y of the batch's samples.
    z, a, delta : array (m, n_out)
        Arrays of the last layer: the kernel reads z, and writes a and delta.
    u, dl : array (m, n_out)
        Scratch arrays with one row per sample; `OutputWork` describes their contents.
    z_max, others : array (m,)
        Scratch arrays with one value per sample; `OutputWork` describes their contents.
    loss_of_sample, hits_of_sample : array (m,)
        The kernel writes the loss of each sample to `loss_of_sample`, and the number of correct outputs of each sample to
        `hits_of_sample`.
    """
    s = cuda.grid(1)
    if s < order.shape[0]:
        row = order[s]
        notes = Notes(loss_of_sample[s : s + 1], hits_of_sample[s : s + 1])
        work = OutputWork(u[s : s + 1], dl[s : s + 1], z_max[s : s + 1], others[s : s + 1])
        output_row(layer, rates[N], y[row : row + 1], z[s : s + 1], a[s : s + 1], delta[s : s + 1], work, notes)
        loss_of_sample[s] = weighted(weights[s], loss_of_sample[s])
        weigh(weights[s : s + 1], delta[s : s + 1])
