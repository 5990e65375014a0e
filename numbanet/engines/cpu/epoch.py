"""The compiled function `run`, which computes whole epochs. `run` is compiled once for all networks of a dtype.

`run` processes samples in blocks with a fixed number of rows, so that the intermediate results take little memory. If a batch
is divided into several blocks, `run` adds up the blocks' gradients, in order, until the batch is complete. `run` can return
after any block. The sum of the losses so far is an argument of `run`, which adds the next losses to the sum. The rounding
errors of this sum therefore do not depend on where a call of `run` ends and the next call begins.

Any number of threads may call `run` with the same arguments. In training, the threads share the work of each operation, such as
a matrix product, and wait for each other before the next operation reads the results. In predictions and evaluations, each
thread computes whole blocks of samples. The results do not depend on which thread computes which part of the work.
"""

import numpy as np

from numbanet._compile import njit_entry, njit_merged, njit_part
from numbanet.engines.cpu.arguments import Block, Draw, Job, Samples, Workspace
from numbanet.engines.cpu.blocks import KC, MR, NR_VECTORS, ROWS_AHEAD, STRIP
from numbanet.engines.cpu.kernels import dropout, output
from numbanet.engines.cpu.kernels.descent import UpdateRule, call_from_memory, rate, step_of
from numbanet.engines.cpu.kernels.product import call_backward, call_forward, call_update
from numbanet.engines.cpu.kernels.softmax import call_softmax
from numbanet.engines.cpu.kernels.subnormals import flush_subnormals, restore_subnormals
from numbanet.engines.cpu.kernels.tables import HITS
from numbanet.engines.cpu.kernels.vector import broadcast, get, lanes, load, prefetch, put, store
from numbanet.engines.cpu.team import (
    INVALID,
    Span,
    barrier,
    enlist,
    fetch_add,
    finish,
    next_round,
    next_turn,
    read,
    thread_range,
)
from numbanet.engines.epoch import RATES, N
from numbanet.equations.activations import SOFTMAX

PREDICT, LOGITS, EVALUATE, TRAIN, DESCEND = range(5)


@njit_part
def gather(memory, header, panels, samples, position, span, scratch):
    """Copies the inputs x of samples to memory[panels:], which is divided into panels (blocks of NR columns).

    For each s in `span`, copies row samples.order[position + s] of x to row s of the panels (see the module `layout`), and asks
    the CPU to load the sample's row of y into its cache. Returns True if all copied values are finite. `scratch` is the offset
    of scratch memory for one SIMD vector.
    """
    half, zero = lanes(memory), get(memory, header.zeros)
    x, y, order = samples.x, samples.y, samples.order
    nr, n_in, n_out = NR_VECTORS * half, x.shape[1], y.shape[1]
    rest, nans = zero, broadcast(zero)  # sums of x - x, which stay 0 if all x are finite, because inf - inf is nan
    for s in range(span.begin, span.end):
        row = get(order, position + s) * n_in
        prefetch(y, get(order, position + s) * n_out)
        row_ahead = get(order, min(position + s + ROWS_AHEAD, order.size - 1)) * n_in
        for i in range(0, n_in, nr):
            prefetch(x, row_ahead + i)
            at = panels + (i // nr * header.rows + s) * nr
            if i + nr <= n_in:
                left, right = load(x, row + i), load(x, row + i + half)
                store(memory, at, left)
                store(memory, at + half, right)
                nans = nans + (left - left) + (right - right)
            else:
                for q in range(n_in - i):
                    value = get(x, row + i + q)
                    put(memory, at + q, value)
                    rest += value - value
    if n_in >= nr:
        store(memory, scratch, nans)
        for lane in range(half):
            rest += get(memory, scratch + lane)
    return rest == 0


@njit_merged
def tiles_of(layer, groups, nr):
    """Returns the number of tiles (MR = 6 rows x `nr` columns) of a matrix with groups * MR rows and layer.n_out columns."""
    return -(-layer.n_out // nr) * groups


@njit_merged
def rows_of(block, member):
    """Returns the range of the block's rows in memory that the thread `member` processes.

    The range consists of groups of MR = 6 rows; only the last group of the block may have fewer rows.
    """
    groups = thread_range(-(-block.n // MR), member)
    return Span(block.first + groups.begin * MR, block.first + min(groups.end * MR, block.n))


@njit_merged
def forward(workspace, samples, block, draw, member):
    """Computes the activations a of every layer for the samples of a block.

    Also writes z and a of the last layer to tables that are indexed [neuron][sample]. If an input is not finite, adds 1 to
    member.team[INVALID], the number of times that a thread has found an input that is not finite.
    """
    memory, header, layers = workspace.memory, workspace.header, workspace.layers
    last, rows = layers.size - 1, rows_of(block, member)
    groups = Span(block.first // MR, -(-(block.first + block.n) // MR))
    scratch = header.packed + member.number * KC * NR_VECTORS * lanes(memory)  # memory of this thread
    if not gather(memory, header, layers[0].x, samples, block.position - block.first, rows, scratch):
        fetch_add(member.team, INVALID, 1)
    for l in range(last + 1):
        barrier(member)
        layer = layers[l]
        tiles = thread_range(tiles_of(layer, groups.end - groups.begin, NR_VECTORS * lanes(memory)), member)
        phi = 0 if l == last or layer.kind == SOFTMAX else layer.phi
        call_forward(header.forward, (memory, header, layer, phi, groups, tiles))
        if layer.kind == SOFTMAX and l < last:
            barrier(member)
            call_softmax(layer.phi, (memory, header, layer, workspace.integers, rows))
        if layer.limit > 0:
            barrier(member)
            dropout.forward(workspace, l, draw, block, member.number, rows)
    barrier(member)
    output.activation(workspace, rows)


@njit_merged
def backward(workspace, block, step, draw, member):
    """Computes delta of all layers from delta of the last layer.

    If `block.closes` is true (after the last block of a batch), also updates w and b. Otherwise, only stores the gradients in
    memory.
    """
    memory, header, layers = workspace.memory, workspace.header, workspace.layers
    nr, groups, rows = NR_VECTORS * lanes(memory), -(-block.n // MR), rows_of(block, member)
    packed = header.packed + member.number * STRIP * KC * nr  # memory of this thread
    for l in range(layers.size - 1, -1, -1):
        barrier(member)
        layer = layers[l]
        if l > 0:
            before = layers[l - 1]
            tiles = thread_range(tiles_of(before, groups, nr), member)
            call_backward(header.backward, (memory, header, layer, before, groups, tiles, packed))
            barrier(member)  # the routine `update` changes the weights that the routine `backward` reads
            if before.limit > 0:
                dropout.backward(workspace, l - 1, draw, block, member.number, rows)
            if before.kind == SOFTMAX:
                call_softmax(before.d_phi, (memory, header, before, workspace.integers, rows))
        tiles = thread_range(tiles_of(layer, layer.w_rows // MR, nr), member)
        call_update(header.update, (memory, header, layer, block, step, tiles, packed))
    if block.closes and step.clip_norm < np.inf:
        call_from_memory(header.descend, (memory, header, layers, step, member))


@njit_merged
def block_at(position, first, block_rows, count, job):
    """Returns the block of at most `block_rows` samples that begins at `position`.

    In the matrices in memory, the block begins with row `first`. `count` is the length of `Samples.order`.
    """
    batch = position // job.batch_size
    begin = batch * job.batch_size
    end = min(begin + job.batch_size, count)
    n = min(block_rows, end - position)
    return Block(position, first, n, position == begin, job.updates and position + n == end, batch * RATES)


@njit_merged
def copy_outputs(memory, header, table, outputs, position, span):
    """Copies z or a of the last layer to the caller's array: outputs[position + s, j] = table[j][s], for each s in `span`."""
    n_out, rows = outputs.shape[1], header.rows
    for s in range(span.begin, span.end):
        row = (position + s) * n_out
        for j in range(n_out):
            put(outputs, row + j, get(memory, table + j * rows + s))


@njit_merged
def copy_scores(workspace, scores, position, span):
    """Copies the loss and the number of correct outputs (hits) of each sample s in `span` to the row scores[position + s]."""
    memory, header, integers = workspace.memory, workspace.header, workspace.integers
    for s in range(span.begin, span.end):
        scores[position + s, 0] = get(memory, header.loss + s)
        scores[position + s, 1] = get(integers, HITS * header.rows + s)


@njit_merged
def added_up(workspace, n, loss, hits):
    """Returns `loss` and `hits`, increased by the losses and the numbers of correct outputs of a block's n samples."""
    memory, header, integers = workspace.memory, workspace.header, workspace.integers
    for s in range(n):
        loss += get(memory, header.loss + s)
        hits += get(integers, HITS * header.rows + s)
    return loss, hits


@njit_entry
def run(job, workspace, samples, rule, totals, draw, team, helps):
    """Processes blocks of samples of `samples.order`, from position `totals.samples` on, until it reaches position `job.stop`.

    `job.task` selects the task. The task PREDICT writes y_hat. The task LOGITS writes z of the last layer. The tasks EVALUATE
    and TRAIN add up the losses and count the correct outputs; EVALUATE also writes the loss and the number of correct outputs
    of each sample. If `job.updates` is true, TRAIN also updates the parameters. If `job.updates` is false, TRAIN leaves the
    gradients of the unfinished batch in memory, and the next call of `run` adds to these gradients. The task DESCEND updates
    the parameters from the gradients in memory. If an input is not finite, TRAIN no longer updates the parameters, from this
    input's batch on. In the thread that calls the engine, `run` returns the position reached, the sum of the losses, the number
    of correct outputs, and a number that is 0 if all inputs are finite. The values that `run` returns in helping threads are
    not used.
    """
    subnormals = flush_subnormals()
    # The arguments are plain tuples, because Numba determines the types of plain tuples 6 microseconds faster than the types of
    # named tuples.
    job, samples, rule, draw = Job(*job), Samples(*samples), UpdateRule(*rule), Draw(*draw)
    memory, headers, layers, integers, random = workspace
    header = headers[0]
    network = Workspace(memory, header, layers, integers, random)
    batch_blocks = -(-job.batch_size // header.rows)
    block_rows = -(-job.batch_size // batch_blocks)  # blocks of (almost) equal size
    position, loss, hits = totals
    shares_blocks = job.task == TRAIN or job.task == DESCEND  # for other tasks, each thread processes whole blocks
    member = enlist(team, helps, shares_blocks)
    while True:
        if shares_blocks:
            member, position = next_round(member, position, job.stop)
        else:
            member, position = next_turn(member, job.batch_size, job.stop)
        if member.size == 0:
            break
        block = block_at(position, 0 if shares_blocks else member.number * job.batch_size, block_rows, samples.order.size, job)
        if job.task == DESCEND:
            step = step_of(memory, header, rule, block.rates_at)
            call_from_memory(header.descend, (memory, header, layers, step, member))
        else:
            forward(network, samples, block, draw, member)
            rows, at = rows_of(block, member), position - block.first
            if job.task == PREDICT or job.task == LOGITS:
                table = header.table_z if job.task == LOGITS else header.table_a
                copy_outputs(memory, header, table, samples.outputs, at, rows)
            else:
                output.score(network, samples, at, rows)
                if job.task == EVALUATE:
                    copy_scores(network, samples.outputs, at, rows)
                elif read(team, INVALID) == 0:
                    output.error(network, rate(memory, rule.rates, block.rates_at + N), samples.weights.size > 0, rows)
                    backward(network, block, step_of(memory, header, rule, block.rates_at), draw, member)
        barrier(member)
        if shares_blocks and not helps:
            if job.task == TRAIN:
                loss, hits = added_up(network, block.n, loss, hits)
            position += block.n
    if not shares_blocks:
        finish(member)
        if job.task == EVALUATE and not helps:
            for s in range(samples.outputs.shape[0]):
                loss += samples.outputs[s, 0]
                hits += int(samples.outputs[s, 1])
            position = job.stop
    restore_subnormals(subnormals)
    return position, loss, hits, read(team, INVALID)
