"""Dropout of a layer's neurons, with the formulas of `numbanet.equations.dropout`.

A layer's activations are stored in panels, which have NR columns (neurons) and one row per sample. A loop that LLVM can
vectorise generates the random numbers for several samples at a time. The random generator Philox computes four numbers at once.
The four random numbers are used for four neighbouring neurons, in the order of the neurons.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from numbanet._compile import njit_merged, njit_part, njit_routine, parts_of
from numbanet.engines.cpu.blocks import NR_VECTORS, RANDOM_NUMBERS
from numbanet.engines.cpu.kernels.elementwise import call_activation_error
from numbanet.engines.cpu.kernels.routine import SPAN, Signature, header_type, layer_type
from numbanet.engines.cpu.kernels.vector import get, lanes, put
from numbanet.equations import dropout
from numbanet.equations.activations import SOFTMAX

philox, dropped = parts_of(dropout.philox, dropout.dropped)

GROUP = 4


class Stream(NamedTuple):
    """The random numbers of a layer: the key and counters of the generator Philox, and the thread's buffer for the numbers.

    Parameters
    ----------
    key : uint64
        The key of the random generator.
    layer : int
        The index of the layer, counted from 1.
    first : int
        The index, within the epoch, of the first sample of a block (samples that are processed together).
    at : int
        The thread's buffer of random numbers begins at random[at].
    """

    key: np.uint64
    layer: int
    first: int
    at: int


# The arguments are memory, header, layer, random, stream, source, target, span.
DROP = Signature(
    lambda number: (
        header_type(number),
        layer_type(number),
        types.Array(types.uint64, 1, "C"),
        types.NamedTuple((types.uint64, *3 * [types.int64]), Stream),
        types.intp,
        types.intp,
        SPAN,
    )
)
call_drop = DROP.call


@njit_part
def fill(random, stream, panel, nr, row, count):
    """Fills the thread's buffer with random numbers for `count` samples and the `nr` neurons of a panel.

    A panel has one column per neuron and one row per sample. `panel` is the panel's index, `row` the row of the first sample.
    """
    groups = nr // GROUP
    for i in range(count * groups):
        numbers = philox(stream.key, panel * groups + i % groups, stream.first + row + i // groups, stream.layer)
        put(random, stream.at + GROUP * i, numbers[0])
        put(random, stream.at + GROUP * i + 1, numbers[1])
        put(random, stream.at + GROUP * i + 2, numbers[2])
        put(random, stream.at + GROUP * i + 3, numbers[3])


@njit_routine
def drop(memory, header, layer, random, stream, source, target, span):
    """Drops each neuron of a layer with probability p: target = source / (1 - p), or 0 if the neuron drops out.

    Reads, for the samples in `span`, the panels (blocks of NR neurons) that begin at memory[source]. Writes the results to the
    panels that begin at memory[target].
    """
    nr = NR_VECTORS * lanes(memory)
    rows = RANDOM_NUMBERS // nr
    for panel in range(-(-layer.n_out // nr)):
        for row in range(span.begin, span.end, rows):
            count = min(rows, span.end - row)
            fill(random, stream, panel, nr, row, count)
            start = (panel * header.rows + row) * nr
            for p in range(count * nr):
                value = get(memory, source + start + p)
                put(memory, target + start + p, dropped(layer.scale, layer.limit, get(random, stream.at + p), value))


@njit_merged
def stream_of(l, draw, block, thread):
    """Returns the `Stream` of random numbers of layer l for a block of samples.

    `draw` holds the key of the epoch's random numbers. `thread` is the index of the thread, which has its own buffer for random
    numbers.
    """
    return Stream(draw.key, l + 1, draw.first_sample + block.position, thread * RANDOM_NUMBERS)


@njit_merged
def forward(workspace, l, draw, block, thread, span):
    """Applies dropout to the activations a of layer l, and stores the results as the inputs x of layer l + 1."""
    memory, header, layer = workspace.memory, workspace.header, workspace.layers[l]
    stream = stream_of(l, draw, block, thread)
    call_drop(header.drop, (memory, header, layer, workspace.random, stream, layer.a, workspace.layers[l + 1].x, span))


@njit_part
def backward(workspace, l, draw, block, thread, span):
    """Replaces dL/dx of layer l + 1 with delta of layer l, or with dL/da of layer l if layer l has softmax.

    The new values overwrite the old values in memory, in the panels (blocks of NR neurons) for delta of layer l.
    """
    memory, header, layer = workspace.memory, workspace.header, workspace.layers[l]
    nr = NR_VECTORS * lanes(memory)
    stream = stream_of(l, draw, block, thread)
    call_drop(header.drop, (memory, header, layer, workspace.random, stream, layer.delta, layer.delta, span))
    if layer.kind != SOFTMAX and layer.d_phi != 0:
        for panel in range(-(-layer.n_out // nr)):
            start, count = (panel * header.rows + span.begin) * nr, (span.end - span.begin) * nr
            z, a, delta = layer.z + start, layer.a + start, layer.delta + start
            call_activation_error(layer.d_phi, (memory, header.epsilon, z, a, delta, count))
