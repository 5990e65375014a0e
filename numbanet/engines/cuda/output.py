"""Computes softmax, and the loss, correct predictions and delta of the output layer, which need all neurons of a layer at once.

One thread computes one row, which holds the values of one sample. The loops come from `numbanet.equations`; each thread calls
them with matrices of a single row.
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


# Threads of a block: few, so that a batch is spread over many multiprocessors. In the simulator, a thread is a Python thread.
THREADS = 2 if SIMULATED else 32


class OutputLayer(NamedTuple):
    """The loss of a network, the activation of its last layer, and the slope epsilon of leaky ReLU."""

    loss_kind: Any
    kind: Any
    epsilon: Any


class OutputWork(NamedTuple):
    """Scratch arrays of `output_row` for one sample.

    `u` and `dl` (1, n_out) hold u with sigmoid(u) = y_hat, and dL/da. `z_max` and `others` (1,) hold the largest z, and the sum
    of e^(z - z_max) without its largest term.
    """

    u: Any
    dl: Any
    z_max: Any
    others: Any


@device_function
def output_row(layer, n, y, z, a, delta, work, notes):
    """Computes a, delta, the loss and the number of correct predictions of one sample, from its target y and its z.

    `layer` is an `OutputLayer`; `n` is the divisor of the batch's mean loss. Reads y, z (1, n_out); writes a, delta (1, n_out),
    and the two arrays (1,) of `notes`; uses the scratch arrays in `work`.
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
    """Calls `output_row` for every sample s, one thread each, and multiplies loss and delta by the sample's weight.

    The arrays are passed separately, not in a tuple, because numba-cuda takes about 10 us more at every launch for each array
    in a tuple.

    Parameters
    ----------
    layer : OutputLayer
        The loss and the activation of the last layer.
    rates : array (4,)
        The divisor n of the mean loss, eta, eta_t and epsilon_t of the training step; the kernel reads only n.
    weights : array (m,)
        Weight of each sample of the batch.
    y : array (N, n_out)
        Targets of all samples.
    order : array (m,)
        Row indices into y of the samples of the batch.
    z, a, delta : array (m, n_out)
        Arrays of the last layer: the kernel reads z, and writes a and delta.
    u, dl, z_max, others : array (m, n_out), (m, n_out), (m,), (m,)
        Scratch arrays, one row per sample, whose contents `OutputWork` describes.
    loss_of_sample, hits_of_sample : array (m,)
        The loss and the number of correct predictions of each sample, which the kernel writes.
    """
    s = cuda.grid(1)
    if s < order.shape[0]:
        row = order[s]
        notes = Notes(loss_of_sample[s : s + 1], hits_of_sample[s : s + 1])
        work = OutputWork(u[s : s + 1], dl[s : s + 1], z_max[s : s + 1], others[s : s + 1])
        output_row(layer, rates[N], y[row : row + 1], z[s : s + 1], a[s : s + 1], delta[s : s + 1], work, notes)
        loss_of_sample[s] = weighted(weights[s], loss_of_sample[s])
        weigh(weights[s : s + 1], delta[s : s + 1])
