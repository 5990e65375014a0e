"""Dropout over the panels of a layer, see `numbanet.equations.dropout`.

Random numbers are made for some rows of a panel at a time, in a loop that vectorises: four columns are one group of the
generator, and the four numbers of a group lie in the order of the columns.
"""

from numbanet._compile import njit_merged, njit_part, parts_of
from numbanet.engines.cpu.blocks import NR_VECTORS, RANDOM_NUMBERS
from numbanet.engines.cpu.kernels import elementwise
from numbanet.engines.cpu.kernels.vector import get, lanes, put
from numbanet.equations import dropout
from numbanet.equations.activations import SOFTMAX

philox, dropped = parts_of(dropout.philox, dropout.dropped)

GROUP = 4


@njit_part
def fill(random, at, key, layer, panel, nr, sample, count):
    """Makes the random numbers of `count` rows of a panel, the first of which is that sample of the epoch."""
    groups = nr // GROUP
    for i in range(count * groups):
        numbers = philox(key, panel * groups + i % groups, sample + i // groups, layer)
        put(random, at + GROUP * i, numbers[0])
        put(random, at + GROUP * i + 1, numbers[1])
        put(random, at + GROUP * i + 2, numbers[2])
        put(random, at + GROUP * i + 3, numbers[3])


@njit_part
def drop(workspace, l, draw, block, number, span, source, target):
    """target = source / (1 - p), or 0 where a neuron of layer l drops out, for a span of the rows of a block.

    Reads the panels that begin at place source; writes those that begin at place target. `number` is that of the thread.
    """
    memory, header, layer = workspace.memory, workspace.header, workspace.layers[l]
    nr, at, first = NR_VECTORS * lanes(memory), number * RANDOM_NUMBERS, draw.first_sample + block.position
    rows = RANDOM_NUMBERS // nr
    for panel in range(-(-layer.n_out // nr)):
        for row in range(span.begin, span.end, rows):
            count = min(rows, span.end - row)
            fill(workspace.random, at, draw.key, l + 1, panel, nr, first + row, count)
            start = (panel * header.rows + row) * nr
            for p in range(count * nr):
                random, value = get(workspace.random, at + p), get(memory, source + start + p)
                put(memory, target + start + p, dropped(layer.scale, layer.limit, random, value))


@njit_merged
def forward(workspace, l, draw, block, number, span):
    """x of the layer after layer l, from its a."""
    if draw is not None:
        drop(workspace, l, draw, block, number, span, workspace.layers[l].a, workspace.layers[l + 1].x)


@njit_part
def backward(workspace, l, draw, block, number, span):
    """delta of layer l, whose panels of delta hold dL/dx of the layer after it; dL/da if the layer is softmax."""
    if draw is None:
        return
    memory, header, layer = workspace.memory, workspace.header, workspace.layers[l]
    nr = NR_VECTORS * lanes(memory)
    drop(workspace, l, draw, block, number, span, layer.delta, layer.delta)
    if layer.kind != SOFTMAX:
        for panel in range(-(-layer.n_out // nr)):
            start, count = (panel * header.rows + span.begin) * nr, (span.end - span.begin) * nr
            z, a, delta = layer.z + start, layer.a + start, layer.delta + start
            elementwise.activation_error(layer.kind, header.epsilon, memory, z, a, delta, count)
