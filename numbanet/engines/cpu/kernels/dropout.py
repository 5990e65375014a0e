"""Dropout over the panels of a layer, see `numbanet.equations.dropout`.

Random numbers are made some rows of a panel at a time, in a loop that vectorises: four columns are one group of the generator,
and the four numbers of a group lie where the columns do.
"""

from numbanet._compile import njit_merged, njit_part, parts_of
from numbanet.engines.cpu.kernels import elementwise
from numbanet.engines.cpu.kernels.layout import NUMBERS
from numbanet.engines.cpu.kernels.vector import get, lanes, put
from numbanet.equations import dropout
from numbanet.equations.activations import SOFTMAX

philox, dropped = parts_of(dropout.philox, dropout.dropped)

GROUP = 4


@njit_part
def fill(random, at, key, layer, panel, width, sample, count):
    """Random numbers for so many rows of a panel, the first being that sample of the epoch."""
    groups = width // GROUP
    for i in range(count * groups):
        numbers = philox(key, panel * groups + i % groups, sample + i // groups, layer)
        put(random, at + GROUP * i, numbers[0])
        put(random, at + GROUP * i + 1, numbers[1])
        put(random, at + GROUP * i + 2, numbers[2])
        put(random, at + GROUP * i + 3, numbers[3])


@njit_part
def drop(memory, random, net, layer, key, l, position, me, begin, end, source, target):
    """target = source / (1 - p), or 0 where a neuron drops out, for rows begin to end - 1 of the panels that begin at both.

    The first row of the block is that position of the epoch, and l counts from 1.
    """
    width, at = 2 * lanes(memory), me * NUMBERS
    rows = NUMBERS // width
    for panel in range(-(-layer.n_out // width)):
        for row in range(begin, end, rows):
            count = min(rows, end - row)
            fill(random, at, key, l, panel, width, position + row, count)
            start = (panel * net.rows + row) * width
            for p in range(count * width):
                number, value = get(random, at + p), get(memory, source + start + p)
                put(memory, target + start + p, dropped(layer.scale, layer.limit, number, value))


@njit_merged
def forward(memory, random, net, layers, l, key, position, me, begin, end):
    """x of the layer after layer l, from its a."""
    if key is not None and layers[l].limit > 0:
        layer = layers[l]
        drop(memory, random, net, layer, key, l + 1, position, me, begin, end, layer.a, layers[l + 1].x)


@njit_part
def backward(memory, random, net, layers, l, key, position, me, begin, end):
    """delta of layer l, whose panels of delta hold dL/dx of the layer after it; of softmax, dL/da."""
    if key is None:
        return
    layer, width = layers[l], 2 * lanes(memory)
    drop(memory, random, net, layer, key, l + 1, position, me, begin, end, layer.delta, layer.delta)
    if layer.kind != SOFTMAX:
        for panel in range(-(-layer.n_out // width)):
            start, count = (panel * net.rows + begin) * width, (end - begin) * width
            elementwise.activation_error(layer.kind, net.epsilon, memory, layer.a + start, layer.delta + start, count)
