"""Whole epochs in one compiled call, so that one compilation serves every network of a dtype.

Samples pass through in blocks of a fixed number of rows, which may be fewer than the batch has: the gradients of the blocks
add up, in their order, until the batch is complete. So memory stays small, and the call can stop between any two blocks.
Sums of losses are handed in and continued, so that where a call stops does not change how they are rounded.

Any number of threads runs `run` for the same arguments. They share each phase of a block, and meet before the next phase reads
what this one wrote; the numbers of a phase do not depend on who computes them.
"""

from typing import NamedTuple

import numpy as np

from numbanet._compile import njit_entry, njit_merged, njit_part
from numbanet.engines.cpu.kernels import dropout, output, product
from numbanet.engines.cpu.kernels.descent import descend_from_memory
from numbanet.engines.cpu.kernels.layout import DEPTH, ROWS
from numbanet.engines.cpu.kernels.subnormals import flush_subnormals, restore_subnormals
from numbanet.engines.cpu.kernels.vector import get, lanes, load, prefetch, put, store
from numbanet.engines.cpu.team import (
    CLOSED,
    POSITION,
    ROUND,
    await_helpers,
    await_round,
    barrier,
    join,
    open_round,
    publish,
    read,
    share,
    size_of,
)
from numbanet.engines.epoch import EPSILON_T, ETA, ETA_T, RATES, N
from numbanet.equations.activations import IDENTITY, SOFTMAX

PREDICT, EVALUATE, TRAIN, DESCEND = range(4)
ROWS_AHEAD = 2  # are fetched from memory while a row is copied


class Workspace(NamedTuple):
    """A network in memory, see `layout`.

    Parameters
    ----------
    memory : (numbers,) float32 or float64
    nets : (1,) record
    layers : (L,) record
    numbers : (3 rows,) int32
        Whole numbers that `output` notes of each sample.
    random : (1024 threads,) uint64
        Random numbers for `dropout`.
    """

    memory: np.ndarray
    nets: np.ndarray
    layers: np.ndarray
    numbers: np.ndarray
    random: np.ndarray


class Samples(NamedTuple):
    """What passes through: rows `order` (n,) of x (N, n_in) and y (N, n_out), to predictions y_hat (n, n_out).

    weights (N,) are those of the samples, or (0,) where all weigh 1.
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    order: np.ndarray
    y_hat: np.ndarray


class Descent(NamedTuple):
    """How parameters descend.

    Parameters
    ----------
    rule, decay, clip_norm
        See `numbanet.engines.cpu.kernels.descent.constants`.
    rates : (steps, 4) float64
        Of each step, see `numbanet.engines.rule`.
    """

    rule: NamedTuple
    decay: np.floating | None
    clip_norm: np.floating
    rates: np.ndarray


@njit_part
def gather(memory, net, place, x, order, position, begin, end):
    """The panels of x, which begin at a place, for samples begin to end - 1 of the block at that position of the order.

    The rows of shuffled samples lie where the hardware does not look ahead.
    """
    half, n_in = lanes(memory), x.shape[1]
    width = 2 * half
    for s in range(begin, end):
        row = get(order, position + s) * n_in
        row_ahead = get(order, min(position + s + ROWS_AHEAD, order.size - 1)) * n_in
        for i in range(0, n_in, width):
            prefetch(x, row_ahead + i)
            at = place + (i // width * net.rows + s) * width
            if i + width <= n_in:
                store(memory, at, load(x, row + i))
                store(memory, at + half, load(x, row + i + half))
            else:
                for q in range(n_in - i):
                    put(memory, at + q, get(x, row + i + q))


@njit_merged
def tiles_of(layer, groups, width):
    """How many tiles the activations of a layer have, in this many groups of samples."""
    return -(-layer.n_out // width) * groups


@njit_merged
def forward(memory, net, layers, numbers, random, n, key, position, team, me, size):
    """a of every layer, from the panels of x."""
    groups, last = -(-n // ROWS), layers.size - 1
    first_group, end_group = share(groups, size, me)
    begin, end = first_group * ROWS, min(end_group * ROWS, n)
    for l in range(last + 1):
        barrier(team, size)
        layer = layers[l]
        first_tile, end_tile = share(tiles_of(layer, groups, 2 * lanes(memory)), size, me)
        product.forward(memory, net, layer, IDENTITY if l == last else layer.kind, groups, first_tile, end_tile)
        if layer.kind == SOFTMAX and l < last:
            barrier(team, size)
            output.hidden_softmax_activation(memory, net, layer, numbers, begin, end)
        if key is not None and layer.limit > 0:
            barrier(team, size)
            dropout.forward(memory, random, net, layers, l, key, position, me, begin, end)
    barrier(team, size)
    output.activation(memory, net, layers[last], numbers, begin, end)


@njit_merged
def rate(memory, table, at):
    """A number of the table of rates, rounded to those in memory."""
    return memory.dtype.type(get(table, at))


@njit_merged
def rates_of(memory, net, table, at):
    """The rates that begin at a place of the table, and how far behind a parameter lies what it remembers."""
    eta, eta_t, epsilon_t = rate(memory, table, at + ETA), rate(memory, table, at + ETA_T), rate(memory, table, at + EPSILON_T)
    return eta, eta_t, epsilon_t, net.moment_1, net.moment_2


@njit_merged
def backward(memory, net, layers, random, n, opens, closes, descent, at, jacobian, key, position, team, me, size):
    """Deltas of all layers but the last, whose delta is there, and the updates; or their gradients, see `product.update`.

    The rates of the step begin at that place.
    """
    rule, decay, clip_norm, table = descent
    rates, clips = rates_of(memory, net, table, at), clip_norm < np.inf
    width, groups = 2 * lanes(memory), -(-n // ROWS)
    first_group, end_group = share(groups, size, me)
    for l in range(layers.size - 1, -1, -1):
        barrier(team, size)
        layer = layers[l]
        if l > 0:
            before = layers[l - 1]
            first_tile, end_tile = share(tiles_of(before, groups, width), size, me)
            packed = net.packed + me * DEPTH * width
            product.backward(memory, net, layer, before, groups, first_tile, end_tile, packed)
            barrier(team, size)  # the update changes the weights that the recurrence reads
            begin, end = first_group * ROWS, min(end_group * ROWS, n)
            if key is not None and before.limit > 0:
                dropout.backward(memory, random, net, layers, l - 1, key, position, me, begin, end)
            if before.kind == SOFTMAX:
                output.through_hidden_softmax(memory, net, before, jacobian, begin, end)
        first_tile, end_tile = share(tiles_of(layer, layer.w_rows // ROWS, width), size, me)
        product.update(memory, net, layer, n, opens, closes and not clips, rule, rates, decay, first_tile, end_tile)
    if closes and clips:
        descend_from_memory(memory, net, layers, rule, rates, decay, clip_norm, team, me, size)


@njit_merged
def block(
    task, memory, net, layers, numbers, random, samples, position, n, opens, closes, descent, at, options, team, me, size
):
    """One block: the n samples from that position of the order on, of the batch whose rates begin at that place."""
    jacobian, key, before = options
    x, y, weights, order, y_hat = samples
    last = layers[layers.size - 1]
    first_group, end_group = share(-(-n // ROWS), size, me)
    begin, end = first_group * ROWS, min(end_group * ROWS, n)
    gather(memory, net, layers[0].x, x, order, position, begin, end)
    forward(memory, net, layers, numbers, random, n, key, before + position, team, me, size)
    if task == PREDICT:
        for s in range(begin, end):
            for j in range(last.n_out):
                y_hat[position + s, j] = get(memory, net.table_a + j * net.rows + s)
    else:
        output.score(memory, net, last, numbers, y, weights, order, position, jacobian, begin, end)
        if task == TRAIN:
            n_batch = rate(memory, descent.rates, at + N)
            output.error(memory, net, last, n_batch, weights.size > 0, jacobian, begin, end)
            sample = before + position
            backward(memory, net, layers, random, n, opens, closes, descent, at, jacobian, key, sample, team, me, size)
    barrier(team, size)


@njit_entry
def run(task, workspace, samples, batch_size, updates, descent, first, stop, loss, hits, options, team, helps):
    """From position `first` of the order, block by block, until position `stop` is reached or passed.

    PREDICT writes y_hat; EVALUATE and TRAIN add up losses and hits; TRAIN changes the parameters where it `updates`, else
    leaves gradients. The gradients hold what the present batch has given so far, and must be left alone between two calls.
    DESCEND takes one step from gradients that are there, and passes over its single position. The options are `jacobian` and
    the key of `dropout`, None where the network has no use for one, and how many samples of the epoch are before this order.
    Returns the position reached, and loss and hits plus those of the samples since `first`; not for a thread that `helps`.
    """
    me, round_, size, position = 0, 0, 1, first
    subnormals = flush_subnormals()
    if helps:
        me = join(team)
    else:
        await_helpers(team)
    memory, nets, layers, numbers, random = workspace
    net = nets[0]
    blocks = -(-batch_size // net.rows)
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
        batch = position // batch_size
        batch_first = batch * batch_size
        batch_last = min(batch_first + batch_size, samples.order.size)
        last = min(position + block_rows, batch_last)
        opens, closes = position == batch_first, updates and last == batch_last
        n, at = last - position, batch * RATES
        if task == DESCEND:
            rates = rates_of(memory, net, descent.rates, at)
            constants = descent.rule, rates, descent.decay, descent.clip_norm
            descend_from_memory(memory, net, layers, *constants, team, me, size)
            barrier(team, size)
        else:
            block(
                *(task, memory, net, layers, numbers, random, samples, position, n, opens, closes, descent, at, options),
                *(team, me, size),
            )
        if not helps:
            if task != PREDICT and task != DESCEND:
                for s in range(n):
                    loss += get(memory, net.loss + s)
                    hits += get(numbers, output.HITS * net.rows + s)
            position = last
    restore_subnormals(subnormals)
    return position, loss, hits
