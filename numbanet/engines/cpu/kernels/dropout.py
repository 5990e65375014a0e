"""Dropout of a layer's neurons, with the formulas of `numbanet.equations.dropout`.

A layer's activations are stored in panels, which have NR columns (neurons) and one row per sample. Random numbers are generated
for several rows of a panel at a time, in a loop that LLVM can vectorise. The random generator Philox computes four numbers at
once. The four random numbers are used for four neighbouring neurons, in the order of the neurons.
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
    """Generates the random numbers for `count` rows of a panel, and writes them to random[at], random[at + 1], ...

    A row of a panel belongs to `nr` = NR neurons of one sample. `sample` is the index, within the epoch, of the first row's
    sample. `layer` is the layer's index, counted from 1.
    """
    groups = nr // GROUP
    for i in range(count * groups):
        numbers = philox(key, panel * groups + i % groups, sample + i // groups, layer)
        put(random, at + GROUP * i, numbers[0])
        put(random, at + GROUP * i + 1, numbers[1])
        put(random, at + GROUP * i + 2, numbers[2])
        put(random, at + GROUP * i + 3, numbers[3])


@njit_part
def drop(workspace, l, draw, block, number, span, source, target):
    """Applies dropout to layer l, for the samples in `span`: target = source / (1 - p), or 0 if the neuron drops out.

    p is the probability that a neuron drops out. Reads the panels (blocks of NR neurons) that begin at memory[source]. Writes
    the panels that begin at memory[target]. `number` is the thread's index, which selects the thread's buffer of random
    numbers.
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
    """Computes the inputs x of layer l + 1 from the activations a of layer l by dropout."""
    drop(workspace, l, draw, block, number, span, workspace.layers[l].a, workspace.layers[l + 1].x)


@njit_part
def backward(workspace, l, draw, block, number, span):
    """Replaces dL/dx of layer l + 1 with delta of layer l, or with dL/da of layer l if it is a softmax layer.

    dL/dx, delta and dL/da are stored in the same panels (blocks of NR neurons), which are those of delta of layer l.
    """
    memory, header, layer = workspace.memory, workspace.header, workspace.layers[l]
    nr = NR_VECTORS * lanes(memory)
    drop(workspace, l, draw, block, number, span, layer.delta, layer.delta)
    if layer.kind != SOFTMAX:
        for panel in range(-(-layer.n_out // nr)):
            start, count = (panel * header.rows + span.begin) * nr, (span.end - span.begin) * nr
            z, a, delta = layer.z + start, layer.a + start, layer.delta + start
            elementwise.activation_error(layer.kind, header.epsilon, memory, z, a, delta, count)
