"""Whole epochs in one compiled call, so that one compilation serves every network of a dtype.

Samples pass through in blocks of a fixed number of rows, which may be fewer than the batch has: the gradients of the blocks
add up, in their order, until the batch is complete. So memory stays small, and the call can stop between any two blocks.
Sums of losses are handed in and continued, so that where a call stops does not change how they are rounded.

Any number of threads runs `run` for the same arguments. They share each phase of a block, and meet before the next phase reads
what this one wrote; the numbers of a phase do not depend on who computes them.
"""

from typing import NamedTuple

import numpy as np

from numbanet._compile import njit, njit_merged
from numbanet.engines import samples
from numbanet.engines.cpu import output, product
from numbanet.engines.cpu.layout import DEPTH, ROWS
from numbanet.engines.cpu.team import CLOSED, POSITION, ROUND, await_round, barrier, join, open_round, publish, read, share, size_of
from numbanet.engines.cpu.vector import get, lanes, load, put, store
from numbanet.equations.activations import IDENTITY, SOFTMAX

PREDICT, EVALUATE, TRAIN = range(3)


class Scores(NamedTuple):
    """What is noted of each sample of a block, (rows,) each; and its targets, (rows, n_out)."""

    y: np.ndarray
    z_max: np.ndarray
    others: np.ndarray
    loss_of_sample: np.ndarray
    hits_of_sample: np.ndarray


@njit
def gather(memory, plan, x, order, begin, end):
    """The panels of x, for samples begin to end - 1 of the order."""
    half, n_in = lanes(memory), x.shape[1]
    width = 2 * half
    for s in range(begin, end):
        row = order[s] * n_in
        for i in range(0, n_in, width):
            at = plan.a[0] + (i // width * plan.rows + s) * width
            if i + width <= n_in:
                store(memory, at, load(x, row + i))
                store(memory, at + half, load(x, row + i + half))
            else:
                for q in range(n_in - i):
                    put(memory, at + q, get(x, row + i + q))


@njit_merged
def tiles_of(plan, l, groups, width):
    """How many tiles the activations of a layer have, in this many groups of samples."""
    return -(-plan.sizes[l + 1] // width) * groups


@njit
def forward(memory, plan, z_max, others, n, team, me, size):
    """a of every layer, from the panels of x."""
    groups, last = -(-n // ROWS), plan.kinds.size - 1
    first_group, end_group = share(groups, size, me)
    begin, end = first_group * ROWS, min(end_group * ROWS, n)
    for l in range(last + 1):
        barrier(team, size)
        kind = plan.kinds[l]
        first_tile, end_tile = share(tiles_of(plan, l, groups, 2 * lanes(memory)), size, me)
        product.forward(memory, plan, l, IDENTITY if l == last else kind, groups, first_tile, end_tile)
        if kind == SOFTMAX and l < last:
            barrier(team, size)
            output.softmax(memory, plan, l, z_max, others, begin, end)
    barrier(team, size)
    output.activation(memory, plan, z_max, others, begin, end)


@njit
def backward(memory, plan, n, opens, closes, eta, team, me, size):
    """Deltas of all layers but the last, whose delta is there, and the updates; or their gradients, see `product.update`."""
    width, groups, last = 2 * lanes(memory), -(-n // ROWS), plan.kinds.size - 1
    first_group, end_group = share(groups, size, me)
    packed = plan.packed + me * DEPTH * width
    for l in range(last, -1, -1):
        barrier(team, size)
        if l > 0:
            first_tile, end_tile = share(tiles_of(plan, l - 1, groups, width), size, me)
            product.backward(memory, plan, l, groups, first_tile, end_tile, packed)
            barrier(team, size)  # the update changes the weights that the recurrence reads
            if plan.kinds[l - 1] == SOFTMAX:
                output.softmax_error(memory, plan, l - 1, first_group * ROWS, min(end_group * ROWS, n))
        first_tile, end_tile = share(-(-plan.sizes[l + 1] // width) * (plan.w_rows[l] // ROWS), size, me)
        product.update(memory, plan, l, n, opens, closes, eta, first_tile, end_tile)


@njit
def block(task, memory, plan, scores, x, y, order, n_batch, opens, closes, eta, y_hat, team, me, size):
    """One block: the rows `order` (n,) of x and y, out of a batch of n_batch samples."""
    n = order.size
    first_group, end_group = share(-(-n // ROWS), size, me)
    begin, end = first_group * ROWS, min(end_group * ROWS, n)
    gather(memory, plan, x, order, begin, end)
    forward(memory, plan, scores.z_max, scores.others, n, team, me, size)
    if task == PREDICT:
        a = output.table(memory, plan, output.A, y_hat.shape[1], begin, end)
        for s in range(begin, end):
            for j in range(y_hat.shape[1]):
                y_hat[s, j] = a[s - begin, j]
    else:
        y_block = scores.y[begin:end]
        samples.gather(y, order[begin:end], y_block)
        output.score(memory, plan, y_block, scores.z_max, scores.others, scores.loss_of_sample, scores.hits_of_sample, begin, end)
        if task == TRAIN:
            output.error(memory, plan, y_block, n_batch, begin, end)
            backward(memory, plan, n, opens, closes, eta, team, me, size)
    barrier(team, size)


@njit
def run(task, memory, plan, scores, x, y, order, batch_size, updates, eta, first, stop, loss, hits, y_hat, team, helps):
    """From position `first` of the order, block by block, until position `stop` is reached or passed.

    PREDICT writes y_hat; EVALUATE and TRAIN add up losses and hits; TRAIN does gradient descent where it `updates`, else leaves
    gradients. The gradients hold what the present batch has given so far, and must be left alone between two calls.
    Returns the position reached, and loss and hits plus those of the samples since `first`; not for a thread that `helps`.
    """
    me, round_, size, position = join(team) if helps else 0, 0, 1, first
    blocks = -(-batch_size // plan.rows)
    block_rows = -(-batch_size // blocks)  # blocks of a batch are of one size
    while True:
        if helps:
            round_ = await_round(team, me, round_)
            if round_ == CLOSED:
                break
            size, position = size_of(round_), read(team, POSITION)
        elif position < stop:
            size = open_round(team, position)
        else:
            publish(team, ROUND, CLOSED)
            break
        batch_first = position // batch_size * batch_size
        batch_last = min(batch_first + batch_size, order.size)
        last = min(position + block_rows, batch_last)
        opens, closes = position == batch_first, updates and last == batch_last
        rows, n_batch = order[position:last], batch_last - batch_first
        block(task, memory, plan, scores, x, y, rows, n_batch, opens, closes, eta, y_hat[position:last], team, me, size)
        if not helps:
            if task != PREDICT:
                for s in range(last - position):
                    loss += scores.loss_of_sample[s]
                    hits += scores.hits_of_sample[s]
            position = last
    return position, loss, hits
