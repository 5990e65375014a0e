"""A layer's three matrix products: forward computes z, backward dL/da of the previous layer, and update dL/dw.

All three products use the same innermost loop, the microkernel, which keeps its sums in registers. Each product has the form
c[r, j] += sum_k x[r, k] * w[k, j]. For each product, the table names the factors x and w, the result c, and the indices: s is a
sample, i an input and j a neuron of the layer.

    product     r           j        k        x            w                   c
    forward     sample s    j        i        x (n, n_in)  w (n_in, n_out)     z (n, n_out), beginning with b
    backward    sample s    i        j        delta        w transposed        dL/da of the layer before
    update      input i     j        s        x transposed delta (n, n_out)    dL/dw, and dL/db for the input that is 1

All matrices are stored in panels, which are blocks of NR columns (see the module `layout`), so that the code of the three
products differs only in the memory offsets of the factors. MR successive rows of a matrix are called a group. The result c is
divided into tiles of MR rows and NR columns. The tiles are numbered panel by panel, and each thread computes a range of tile
numbers. A strip consists of one or two adjacent panels. The microkernel computes the same MR rows in all panels of a strip at
the same time. On a CPU with 32 SIMD registers, a strip has two panels, which need fewer loads than two single panels. The terms
of a sum are always added in the same order, whichever thread adds them, and whether the microkernel computes one or two panels
at the same time.
"""

import numpy as np
from numba import types

from numbanet._compile import njit_merged, njit_part, njit_routine
from numbanet.engines.cpu.arguments import Block
from numbanet.engines.cpu.blocks import GRADIENT_MC, KC, MC, MR, NR_VECTORS, PAIRS, STRIP
from numbanet.engines.cpu.kernels.descent import call_tile, descend, step_type
from numbanet.engines.cpu.kernels.elementwise import call_activation, call_activation_error
from numbanet.engines.cpu.kernels.routine import SPAN, Signature, header_type, layer_type
from numbanet.engines.cpu.kernels.tile import microkernel, places, replace_tile, shifted, store_tile
from numbanet.engines.cpu.kernels.vector import broadcast, get, lanes, load_square, put, store, store_square, transpose
from numbanet.engines.cpu.team import Span
from numbanet.engines.rule import GRADIENT_DESCENT
from numbanet.equations.activations import SOFTMAX

_BLOCK = types.NamedTuple((types.int64, types.int64, types.int64, types.boolean, types.boolean, types.int64), Block)

# The arguments are memory, header, layer, phi, groups, tiles.
FORWARD = Signature(lambda number: (header_type(number), layer_type(number), types.int64, SPAN, SPAN))
# The arguments are memory, header, layer, before, groups, tiles, packed.
BACKWARD = Signature(lambda number: (header_type(number), *2 * [layer_type(number)], types.int64, SPAN, types.int64))
# The arguments are memory, header, layer, block, step, tiles, scratch.
UPDATE = Signature(lambda number: (header_type(number), layer_type(number), _BLOCK, step_type(number), SPAN, types.int64))
call_forward, call_backward, call_update = FORWARD.call, BACKWARD.call, UPDATE.call


@njit_merged
def sample_rows(memory, header, panels, group, k):
    """Returns the offsets in memory of MR elements of a matrix: the elements in column k and in the rows of a group.

    A group consists of MR successive rows; `group` is the index of the group. The matrix is stored in panels (blocks of NR
    columns) that begin at memory[panels].
    """
    nr = NR_VECTORS * lanes(memory)
    x_0 = panels + (k // nr * header.rows + group * MR) * nr
    return x_0, x_0 + nr, x_0 + 2 * nr, x_0 + 3 * nr, x_0 + 4 * nr, x_0 + 5 * nr


@njit_merged
def input_column(memory, header, layer, i):
    """Returns the offset in memory of the column of x that holds a layer's input i.

    For i = layer.n_in, the column holds ones, the constant input that is multiplied by b; for a larger i, it holds zeros.
    """
    nr, n_in = NR_VECTORS * lanes(memory), layer.n_in
    return layer.x + i // nr * header.rows * nr + i % nr if i < n_in else header.ones + i - n_in


@njit_merged
def input_columns(memory, header, layer, i):
    """Returns the offsets in memory of the MR columns of x that hold a layer's inputs i, i + 1, ..., i + MR - 1."""
    x_0, x_1 = input_column(memory, header, layer, i), input_column(memory, header, layer, i + 1)
    x_2, x_3 = input_column(memory, header, layer, i + 2), input_column(memory, header, layer, i + 3)
    return x_0, x_1, x_2, x_3, input_column(memory, header, layer, i + 4), input_column(memory, header, layer, i + 5)


@njit_merged
def panels_of(memory, columns):
    """Returns the number of panels (blocks of NR columns) of a matrix with `columns` columns."""
    return -(-columns // (NR_VECTORS * lanes(memory)))


@njit_merged
def strips_of(tiles, groups):
    """Returns, as a `range`, the index of the first panel of each strip that contains a tile of the range `tiles`.

    A strip consists of STRIP (1 or 2) adjacent panels of NR columns each; the last strip may be a single panel. Each panel
    consists of `groups` tiles of MR rows.
    """
    if tiles.end <= groups:  # one panel, as in very small networks, which would be slowed down by the divisions below
        return range(0, 1, STRIP)
    return range(tiles.begin // (STRIP * groups) * STRIP, -(-tiles.end // groups), STRIP)


@njit_merged
def groups_of(panel, width, tiles, groups, slab, rows):
    """Returns, as a `Span`, the groups (MR rows each) that this thread computes in `width` panels and a slab of `rows` rows.

    The panels (blocks of NR columns) are adjacent, and `panel` is the index of the first. `slab` is the index of the first
    group in the slab. `tiles` is the range of all tiles (MR rows x NR columns) that this thread computes in the whole product.
    """
    begin, end = max(tiles.begin - panel * groups, 0), max(tiles.end - panel * groups, 0)
    if width > 1:
        begin, end = begin // width, end // width
    return Span(max(slab, begin), min(slab + rows // MR, groups, end))


@njit_routine
def forward(memory, header, layer, phi, groups, tiles):
    """Computes a_j = phi(z_j), where z_j = sum_i w_ij x_i + b_j, for a range of a layer's tiles (MR samples x NR neurons).

    `groups` is a range of groups (MR samples each). The tiles of these groups are numbered panel by panel, and `tiles` is a
    range of tile numbers. `phi` is the address of the compiled function that applies the activation function. If `phi` is 0,
    the function writes z in place of a. Reads x (n, n_in), w (n_in, n_out) and b (n_out,). Writes a (n, n_out).
    """
    nr, panels, size = NR_VECTORS * lanes(memory), panels_of(memory, layer.n_out), groups.end - groups.begin
    for slab in range(0, size, MC // MR):
        for i in range(0, layer.n_in, KC):
            for panel in strips_of(tiles, size):
                width = min(STRIP, panels - panel)
                within = groups_of(panel, width, tiles, size, slab, MC)
                span = Span(groups.begin + within.begin, groups.begin + within.end)
                if PAIRS and width > 1:
                    forward_strip(memory, header, layer, (panel, panel + 1), i, span)
                else:
                    forward_strip(memory, header, layer, (panel,), i, span)
                if i + KC >= layer.n_in and phi != 0:
                    for p in range(panel, panel + width):
                        at, count = (p * header.rows + span.begin * MR) * nr, (span.end - span.begin) * MR * nr
                        call_activation(phi, (memory, header.epsilon, layer.z + at, layer.a + at, count))


@njit_merged
def forward_strip(memory, header, layer, strip, i, groups):
    """Adds w_ij x_i to z_j for a block of inputs: at most KC inputs, from input `i` on.

    `groups` is a range of groups (MR samples each). `strip` holds the indices of one or two panels of NR neurons each.
    """
    nr, n_in = NR_VECTORS * lanes(memory), layer.n_in
    w = places(strip, layer.w, layer.w_rows * nr)
    a = places(strip, layer.a, header.rows * nr)
    for group in range(groups.begin, groups.end):
        z = shifted(a, group * MR * nr)
        start, step = (shifted(w, n_in * nr), 0) if i == 0 else (z, nr)
        x = sample_rows(memory, header, layer.x, group, i)
        c = microkernel(memory, start, step, x, 1, nr, (header.rows - 1) * nr, shifted(w, i * nr), min(KC, n_in - i))
        store_tile(memory, z, nr, c)


@njit_routine
def backward(memory, header, layer, before, groups, tiles, packed):
    """Computes delta_i = (sum_j w_ij delta_j) da_i/dz_i for a range of the previous layer's tiles (MR samples x NR inputs i).

    If the previous layer has softmax or dropout, the function writes the sums dL/da_i in place of delta_i.
    Reads w (n_in, n_out) and delta (n, n_out) of the layer, and a (n, n_in) of the previous layer. Writes delta (n, n_in) of
    the previous layer. Stores a transposed part of w in scratch memory, from memory[packed] on.
    """
    nr, panels = NR_VECTORS * lanes(memory), panels_of(memory, layer.n_in)
    for slab in range(0, groups, MC // MR):
        for j in range(0, layer.n_out, KC):
            for panel in strips_of(tiles, groups):
                width = min(STRIP, panels - panel)
                span = groups_of(panel, width, tiles, groups, slab, MC)
                if span.begin >= span.end:
                    continue
                for p in range(width):
                    pack_transposed(memory, layer, panel + p, j, min(KC, layer.n_out - j), packed + p * KC * nr)
                if PAIRS and width > 1:
                    backward_strip(memory, header, layer, before, (panel, panel + 1), j, span, packed)
                else:
                    backward_strip(memory, header, layer, before, (panel,), j, span, packed)
                if j + KC >= layer.n_out and before.kind != SOFTMAX and before.limit == 0 and before.d_phi != 0:
                    for p in range(panel, panel + width):
                        at, count = (p * header.rows + span.begin * MR) * nr, (span.end - span.begin) * MR * nr
                        z, a, delta = before.z + at, before.a + at, before.delta + at
                        call_activation_error(before.d_phi, (memory, header.epsilon, z, a, delta, count))


@njit_merged
def backward_strip(memory, header, layer, before, strip, j, groups, packed):
    """Adds w_ij delta_j to dL/da_i for a block of neurons: at most KC neurons, from neuron `j` on.

    `groups` is a range of groups (MR samples each). `strip` holds the indices of one or two panels of NR inputs each. The
    caller must have copied the weights of these neurons and inputs to memory[packed] (see `pack_transposed`).
    """
    nr = NR_VECTORS * lanes(memory)
    w = places(strip, packed - strip[0] * KC * nr, KC * nr)
    dl_da_panels = places(strip, before.delta, header.rows * nr)
    for group in range(groups.begin, groups.end):
        dl_da = shifted(dl_da_panels, group * MR * nr)
        start, step = (places(strip, header.zeros, 0), 0) if j == 0 else (dl_da, nr)
        x = sample_rows(memory, header, layer.delta, group, j)
        c = microkernel(memory, start, step, x, 1, nr, (header.rows - 1) * nr, w, min(KC, layer.n_out - j))
        store_tile(memory, dl_da, nr, c)


@njit_part
def pack_transposed(memory, layer, panel, j, depth, packed):
    """Copies the transpose of a part of w: packed[k, i] = w[i, j + k] for the NR inputs i of a panel and k < depth.

    Elements that belong to inputs beyond the last input are set to 0.
    """
    half = lanes(memory)
    nr = NR_VECTORS * half
    inputs, zeros = min(nr, layer.n_in - panel * nr), broadcast(memory.dtype.type(0))
    for k in range(0, depth, nr):
        w = layer.w + ((j + k) // nr * layer.w_rows + panel * nr) * nr
        if inputs == nr:
            for p in range(0, nr, half):
                for q in range(0, nr, half):
                    square = transpose(load_square(memory, w + p * nr + q, nr))
                    store_square(memory, packed + (k + q) * nr + p, nr, square)
        else:
            for q in range(min(nr, depth - k)):
                row = packed + (k + q) * nr
                store(memory, row, zeros)
                store(memory, row + half, zeros)
                for i in range(inputs):
                    put(memory, row + i, get(memory, w + i * nr + q))


@njit_routine
def update(memory, header, layer, block, step, tiles, scratch):
    """Computes dL/dw_ij = sum_s delta_j x_i and updates w_ij, for a range of a layer's tiles (MR inputs x NR neurons).

    Also computes dL/db_j = sum_s delta_j, and updates b_j. If the block of samples is not the last of its batch, or if
    gradients are clipped, `update` does not change w and b, but adds the block's dL/dw and dL/db to the gradients in memory.
    For the first block of a batch, the gradients in memory count as 0. Reads x (n, n_in) and delta (n, n_out). Updates w (n_in,
    n_out) and b (n_out,), or their gradients. `scratch` is the offset of memory for STRIP (1 or 2) tiles of gradients.
    """
    groups, panels = layer.w_rows // MR, panels_of(memory, layer.n_out)
    for slab in range(0, groups, GRADIENT_MC // MR):
        for panel in strips_of(tiles, groups):
            width = min(STRIP, panels - panel)
            span = groups_of(panel, width, tiles, groups, slab, GRADIENT_MC)
            if PAIRS and width > 1:
                update_strip(memory, header, layer, block, step, (panel, panel + 1), span, scratch)
            else:
                update_strip(memory, header, layer, block, step, (panel,), span, scratch)


@njit_merged
def update_strip(memory, header, layer, block, step, strip, groups, scratch):
    """Computes dL/dw for groups of MR inputs and one or two panels of NR neurons, and updates w as in `update`."""
    nr, descends = NR_VECTORS * lanes(memory), block.closes and not step.clip_norm < np.inf
    from_registers = step.kind == GRADIENT_DESCENT and step.decay == 0
    w, delta = places(strip, layer.w, layer.w_rows * nr), places(strip, layer.delta, header.rows * nr)
    for group in range(groups.begin, groups.end):
        i = group * MR
        tile = shifted(w, i * nr)
        gradients = shifted(tile, header.gradients)
        start, start_step = (places(strip, header.zeros, 0), 0) if block.opens else (gradients, nr)
        x = input_columns(memory, header, layer, i)
        c = microkernel(memory, start, start_step, x, nr, block.n, nr, delta, block.n)
        if not descends:
            store_tile(memory, gradients, nr, c)
        elif from_registers:
            replace_tile(descend, broadcast(step.eta), memory, tile, nr, c)
        else:
            store_tile(memory, places(strip, scratch - strip[0] * MR * nr, MR * nr), nr, c)
            for p in range(len(strip)):
                call_tile(step.tile, (memory, tile[p], scratch + p * MR * nr, step, i, layer.n_in))
