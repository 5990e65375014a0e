"""Whole epochs in one compiled call, over flat arrays, so that one compilation serves every network of a dtype.

Samples pass through in blocks of a fixed number of rows, which may be fewer than the batch has: the gradients of the blocks
add up, in their order, until the batch is complete. So buffers stay small, and the call can stop between any two blocks.
Sums of losses are handed in and continued, so that where a call stops does not change how they are rounded.
"""

from typing import NamedTuple

import numpy as np

from numbanet._compile import njit, njit_inline
from numbanet.engines import samples
from numbanet.engines.cpu import elementwise, product
from numbanet.engines.cpu.matrix import matrix
from numbanet.equations import activations, backprop, descent, losses
from numbanet.equations.activations import SIGMOID, SOFTMAX
from numbanet.equations.losses import BCE, CCE


class Plan(NamedTuple):
    """A topology as the compiled functions read it. Layer 1 has index 0 everywhere but in sizes.

    Parameters
    ----------
    sizes : (L + 1,) int64
    kinds : (L,) int64
        Activation constants.
    starts : (L,) int64
        Where w of a layer begins in the flat parameter vector; b follows w.
    columns : (L + 1,) int64
        Neurons in all layers before this one.
    loss_kind : int
    epsilon : float
        Leaky slope, a scalar of the network's dtype.
    """

    sizes: np.ndarray
    kinds: np.ndarray
    starts: np.ndarray
    columns: np.ndarray
    loss_kind: int
    epsilon: np.floating


class Workspace(NamedTuple):
    """Buffers for one block of at most `rows` rows; of each layer z, a and delta, one layer after another."""

    z: np.ndarray
    a: np.ndarray
    delta: np.ndarray
    x: np.ndarray
    y: np.ndarray
    scratch: np.ndarray
    packed: product.Packed
    z_max: np.ndarray
    others: np.ndarray
    loss_of_sample: np.ndarray
    hits_of_sample: np.ndarray
    rows: int


@njit_inline
def weights(plan, l, flat):
    """w (n_in, n_out) of a layer, a view into the flat vector."""
    n_in, n_out, start = plan.sizes[l], plan.sizes[l + 1], plan.starts[l]
    return matrix(flat, start, n_in, n_out)


@njit_inline
def biases(plan, l, flat):
    """b (n_out,) of a layer, a view into the flat vector."""
    n_in, n_out = plan.sizes[l], plan.sizes[l + 1]
    start = plan.starts[l] + n_in * n_out
    return flat[start : start + n_out]


@njit_inline
def block(plan, l, n, workspace, buffer):
    """The first n rows (n, n_out) of a layer, a view into workspace.z, .a or .delta."""
    n_out = plan.sizes[l + 1]
    start = workspace.rows * plan.columns[l]
    return matrix(buffer, start, n, n_out)


@njit_inline
def table(buffer, n, n_out):
    """The head of a buffer as an array (n, n_out)."""
    return matrix(buffer, 0, n, n_out)


@njit_inline
def input_of(plan, l, n, workspace):
    """x (n, n_in) of a layer: the samples gathered by forward, or the activations of the layer before."""
    return table(workspace.x, n, plan.sizes[0]) if l == 0 else block(plan, l - 1, n, workspace, workspace.a)


@njit_inline
def forward(plan, parameters, workspace, x, order):
    """z and a of every layer, for the rows `order` of x."""
    n = order.size
    samples.gather(x, order, table(workspace.x, n, x.shape[1]))
    for l in range(plan.kinds.size):
        w, b = weights(plan, l, parameters), biases(plan, l, parameters)
        z, a = block(plan, l, n, workspace, workspace.z), block(plan, l, n, workspace, workspace.a)
        product.forward_sum(input_of(plan, l, n, workspace), w, b, z, workspace.packed)
        if plan.kinds[l] == SOFTMAX:
            z_max, others = workspace.z_max[:n], workspace.others[:n]
            activations.softmax_sum(z, z_max, others)
            activations.softmax_activation(z, z_max, others, a)
        else:
            elementwise.activation(plan.kinds[l], plan.epsilon, z, a)


@njit_inline
def logit(plan, z, u):
    """u of every sample, which sigmoid turns into y_hat: z itself for a sigmoid output, see softmax_logit for softmax."""
    if plan.kinds[-1] == SIGMOID:
        return z
    activations.softmax_logit(z, u)
    return u


@njit_inline
def score(plan, workspace, y, order, loss, hits):
    """loss (with n = 1) and hits, plus those of the rows `order` one by one; after forward."""
    n, last = order.size, plan.kinds.size - 1
    z, a = block(plan, last, n, workspace, workspace.z), block(plan, last, n, workspace, workspace.a)
    y_block = table(workspace.y, n, y.shape[1])
    loss_of_sample, hits_of_sample = workspace.loss_of_sample[:n], workspace.hits_of_sample[:n]
    samples.gather(y, order, y_block)
    samples.hits(plan.loss_kind, y_block, a, hits_of_sample)
    if plan.loss_kind == CCE:
        losses.cce_loss(1, y_block, z, workspace.z_max[:n], workspace.others[:n], loss_of_sample)
    elif plan.loss_kind == BCE:
        u = logit(plan, z, table(workspace.scratch, n, y.shape[1]))
        losses.bce_from_z_loss(1, y_block, u, loss_of_sample)
    else:
        losses.loss(plan.loss_kind, 1, y_block, a, loss_of_sample)
    for s in range(n):
        loss += loss_of_sample[s]
        hits += hits_of_sample[s]
    return loss, hits


@njit_inline
def output_error(plan, workspace, n, rows):
    """delta of the last layer, for the rows of a block out of a batch of n samples, after score."""
    last = plan.kinds.size - 1
    kind, n_out = plan.kinds[last], plan.sizes[last + 1]
    z, a = block(plan, last, rows, workspace, workspace.z), block(plan, last, rows, workspace, workspace.a)
    delta, y = block(plan, last, rows, workspace, workspace.delta), table(workspace.y, rows, n_out)
    scratch = table(workspace.scratch, rows, n_out)
    if plan.loss_kind == BCE and kind == SOFTMAX:
        u = table(workspace.scratch[scratch.size :], rows, n_out)
        activations.softmax_logit(z, u)
        backprop.short_error(n, y, a, scratch)
        backprop.softmax_logit_error(scratch, z, u, delta)
    elif plan.loss_kind == BCE or plan.loss_kind == CCE:
        backprop.short_error(n, y, a, delta)
    else:
        losses.d_loss(plan.loss_kind, n, y, a, scratch)
        if kind == SOFTMAX:
            backprop.softmax_error(scratch, a, delta)
        else:
            elementwise.activation_error(kind, plan.epsilon, scratch, z, a, delta)


@njit_inline
def delta_recurrence(plan, parameters, workspace, l, rows):
    """delta of layer l - 1 from delta of layer l."""
    w = weights(plan, l, parameters)
    z_prev = block(plan, l - 1, rows, workspace, workspace.z)
    a_prev = block(plan, l - 1, rows, workspace, workspace.a)
    delta = block(plan, l, rows, workspace, workspace.delta)
    delta_prev = block(plan, l - 1, rows, workspace, workspace.delta)
    dl_da = table(workspace.scratch, rows, w.shape[0])
    dl_da_t = matrix(workspace.scratch, dl_da.size, w.shape[0], rows)
    product.error_sum(w, delta, dl_da_t, dl_da, workspace.packed)
    if plan.kinds[l - 1] == SOFTMAX:
        backprop.softmax_error(dl_da, a_prev, delta_prev)
    else:
        elementwise.activation_error(plan.kinds[l - 1], plan.epsilon, dl_da, z_prev, a_prev, delta_prev)


@njit_inline
def add_gradients(plan, parameters, workspace, x, y, order, n, gradients, loss, hits):
    """Adds what the rows `order`, out of a batch of n samples, give to the gradients; returns loss and hits plus theirs."""
    rows = order.size
    forward(plan, parameters, workspace, x, order)
    loss, hits = score(plan, workspace, y, order, loss, hits)
    output_error(plan, workspace, n, rows)
    for l in range(plan.kinds.size - 1, -1, -1):
        delta = block(plan, l, rows, workspace, workspace.delta)
        dw, db = weights(plan, l, gradients), biases(plan, l, gradients)
        product.add_gradients(input_of(plan, l, rows, workspace), delta, dw, db, workspace.packed)
        if l > 0:
            delta_recurrence(plan, parameters, workspace, l, rows)
    return loss, hits


@njit
def train(plan, parameters, workspace, gradients, x, y, order, batch_size, eta, first, stop, loss, hits):
    """Gradient descent from position `first` of the order, block by block, until position `stop` is reached or passed.

    Updates parameters, if eta is not 0; gradients holds what the present batch has given so far, and must be left alone between
    two calls.
    Returns the position reached, and loss and hits plus those of the samples since `first`.
    """
    position = first
    blocks = -(-batch_size // workspace.rows)
    block_rows = -(-batch_size // blocks)  # blocks of a batch are of one size
    while position < stop:
        batch_first = position // batch_size * batch_size
        batch_last = min(batch_first + batch_size, order.size)
        last = min(position + block_rows, batch_last)
        if position == batch_first:
            for p in range(gradients.size):
                gradients[p] = 0
        rows, n = order[position:last], batch_last - batch_first
        loss, hits = add_gradients(plan, parameters, workspace, x, y, rows, n, gradients, loss, hits)
        if last == batch_last and eta > 0:
            descent.gradient_descent(eta, gradients, parameters)
        position = last
    return position, loss, hits


@njit
def evaluate(plan, parameters, workspace, x, y, order, loss, hits):
    """loss and hits plus those of the rows `order` of x and y, block by block."""
    for first in range(0, order.size, workspace.rows):
        rows = order[first : first + workspace.rows]
        forward(plan, parameters, workspace, x, rows)
        loss, hits = score(plan, workspace, y, rows, loss, hits)
    return loss, hits


@njit
def predict(plan, parameters, workspace, x, order, y_hat):
    """y_hat (n, n_out) of the rows `order` (n,) of x, block by block."""
    for first in range(0, order.size, workspace.rows):
        rows = order[first : first + workspace.rows]
        forward(plan, parameters, workspace, x, rows)
        a = block(plan, plan.kinds.size - 1, rows.size, workspace, workspace.a)
        for s in range(rows.size):
            for j in range(y_hat.shape[1]):
                y_hat[first + s, j] = a[s, j]
