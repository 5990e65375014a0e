"""A layer's three matrix products.

All three products use the same innermost loop, the microkernel, which keeps its sums in registers.

Each of the three products has the form c[r, j] += sum_k x[r, k] * w[k, j]:

    product     r           j        k        x            w                   c
    forward     sample s    j        i        x (n, n_in)  w (n_in, n_out)     z (n, n_out), beginning with b
    backward    sample s    i        j        delta        w transposed        dL/da of the layer before
    update      input i     j        s        x transposed delta (n, n_out)    dL/dw, and dL/db for the input that is 1

All matrices are stored in panels, which are blocks of NR columns (see the module `layout`). The three products therefore differ
only in the memory offsets of their factors. The result c is divided into tiles of MR rows and NR columns. The tiles are
numbered panel by panel, and each thread computes a range of tiles. MR successive rows are called a group. The terms of a sum
are always added in the same order, independently of the thread that adds them. The names and formulas of the terms come from
`numbanet.equations`.
"""

import numpy as np

from numbanet._compile import njit_merged, njit_part, parts_of
from numbanet.engines.cpu.blocks import GRADIENT_MC, KC, MC, MR, NR_VECTORS
from numbanet.engines.cpu.kernels import elementwise
from numbanet.engines.cpu.kernels.descent import descend_stored_tile, descend_tile
from numbanet.engines.cpu.kernels.vector import (
    broadcast,
    get,
    lanes,
    load,
    load_rows,
    load_square,
    put,
    store_rows,
    transpose,
)
from numbanet.engines.rule import GRADIENT_DESCENT
from numbanet.equations import neuron
from numbanet.equations.activations import SOFTMAX

(weighted_input,) = parts_of(neuron.weighted_input)


@njit_merged
def microkernel(memory, start, step, x, x_step, chunk, chunk_step, w, depth):
    """Returns c[r, j] = start[r, j] + sum_k x[r, k] * w[k, j], for MR = 6 rows r, NR columns j and `depth` terms k.

    The result c is a tuple of 12 SIMD vectors, two for each row. A vector has q lanes, and NR = 2 * q. The diagram shows the
    memory that the function reads:

               start, c                   x                                    w
               0 ...    q ... NR-1        k = 0   1   ...    chunk             0 ......... NR-1
              +--------+---------+       +------------------+--------+        +----------------+
    start ->  | c_00   | c_01    |  x_0> |  .   .            .       |   w -> | w_0    w_1     |  k = 0
    + step    | c_10   | c_11    |  x_1> |  .   .            .       |  + NR  | w_0    w_1     |      1
    + 2 step  | c_20   | c_21    |  x_2> |  .   .            .       |        |   .      .     |      .
              | c_30   | c_31    |  x_3> |  .   .            .       |        |   .      .     |      .
              | c_40   | c_41    |  x_4> |  .   .            .       |        |   .      .     |      .
    + 5 step  | c_50   | c_51    |  x_5> |  .   .            .       |        |   .      .     |  depth - 1
              +--------+---------+       +------------------+--------+        +----------------+

    For each term k, the function performs 2 loads of w, 6 broadcasts of x and 12 fused multiply-adds. The function keeps 12 + 2
    + 1 vectors in registers.

    Parameters
    ----------
    memory : (numbers,) float32 or float64
        The flat array that contains all operands. An offset is an index into `memory`.
    start : int
        Offset of the first row of the start values, to which the terms are added.
    step : int
        Distance between successive rows of the start values, which is NR in a panel, or 0 if all rows have the same start
        values, such as b or zeros.
    x : tuple of MR ints
        The offset of x[r, 0] for each row r. The rows of x may be anywhere in memory.
    x_step : int
        Distance from x[r, k] to x[r, k + 1], which is the same for all rows.
    chunk, chunk_step : int
        After every `chunk` terms, the distance to the next term of x is greater by `chunk_step`, because rows of x are cut into
        panels of NR columns.
    w : int
        Offset of a panel of w, which contains NR numbers for each k, without gaps.
    depth : int
        Number of terms, at least 0. The terms are added to c in the order of k.

    Notes
    -----
    The function does not write to memory. `start` and `w` need no alignment, but vectors that begin at multiples of CACHE_LINE
    bytes are loaded faster. Elements of `x` are read one at a time. The edges of a matrix need no additional code, because
    panels have room for whole tiles. Rows beyond the last sample or input, and columns beyond the last neuron, are computed
    like all others; they do not affect other rows or columns.
    """
    half = lanes(memory)
    x_0, x_1, x_2, x_3, x_4, x_5 = x
    c_00, c_10, c_20, c_30, c_40, c_50 = load_rows(memory, start, step)
    c_01, c_11, c_21, c_31, c_41, c_51 = load_rows(memory, start + half, step)
    p = 0
    while depth > 0:
        for _ in range(min(chunk, depth)):
            w_0, w_1 = load(memory, w), load(memory, w + half)
            x_k = broadcast(get(memory, x_0 + p))
            c_00 += weighted_input(w_0, x_k)
            c_01 += weighted_input(w_1, x_k)
            x_k = broadcast(get(memory, x_1 + p))
            c_10 += weighted_input(w_0, x_k)
            c_11 += weighted_input(w_1, x_k)
            x_k = broadcast(get(memory, x_2 + p))
            c_20 += weighted_input(w_0, x_k)
            c_21 += weighted_input(w_1, x_k)
            x_k = broadcast(get(memory, x_3 + p))
            c_30 += weighted_input(w_0, x_k)
            c_31 += weighted_input(w_1, x_k)
            x_k = broadcast(get(memory, x_4 + p))
            c_40 += weighted_input(w_0, x_k)
            c_41 += weighted_input(w_1, x_k)
            x_k = broadcast(get(memory, x_5 + p))
            c_50 += weighted_input(w_0, x_k)
            c_51 += weighted_input(w_1, x_k)
            p += x_step
            w += 2 * half
        p += chunk_step
        depth -= chunk
    return c_00, c_01, c_10, c_11, c_20, c_21, c_30, c_31, c_40, c_41, c_50, c_51


@njit_merged
def sample_rows(memory, header, panels, group, k):
    """Returns the offsets of the MR elements in column k of a matrix that belong to the group with index `group`.

    A group is MR successive rows (samples). The matrix is stored in panels (blocks of NR columns) that begin at memory[panels].
    """
    nr = NR_VECTORS * lanes(memory)
    x_0 = panels + (k // nr * header.rows + group * MR) * nr
    return x_0, x_0 + nr, x_0 + 2 * nr, x_0 + 3 * nr, x_0 + 4 * nr, x_0 + 5 * nr


@njit_merged
def input_column(memory, header, layer, i):
    """Returns the offset of the column with a layer's input i. Column n_in holds 1, the input of b; later columns hold 0."""
    nr, n_in = NR_VECTORS * lanes(memory), layer.n_in
    return layer.x + i // nr * header.rows * nr + i % nr if i < n_in else header.ones + i - n_in


@njit_merged
def input_columns(memory, header, layer, i):
    """Returns the offsets of the MR columns with a layer's inputs i, i + 1, ..., i + MR - 1."""
    x_0, x_1 = input_column(memory, header, layer, i), input_column(memory, header, layer, i + 1)
    x_2, x_3 = input_column(memory, header, layer, i + 2), input_column(memory, header, layer, i + 3)
    return x_0, x_1, x_2, x_3, input_column(memory, header, layer, i + 4), input_column(memory, header, layer, i + 5)


@njit_merged
def panels_of(tiles, groups):
    """Returns the range of panels (blocks of NR columns) that contain the tiles with indices in the range `tiles`.

    Each panel consists of `groups` tiles, which have MR rows each.
    """
    if tiles.end <= groups:  # one panel, as in very small networks, which would be slowed down by the divisions below
        return range(0, 1)
    return range(tiles.begin // groups, -(-tiles.end // groups))


@njit_merged
def groups_of(panel, tiles, groups, slab, rows):
    """Returns the range (begin, end) of the groups (MR rows each) of a panel that this thread computes within a slab.

    The slab is a block of `rows` rows that begins with the group `slab`. `tiles` is the range of all tiles that this thread
    computes.
    """
    begin = panel * groups
    return max(slab, tiles.begin - begin), min(slab + rows // MR, groups, tiles.end - begin)


@njit_part
def forward(memory, header, layer, kind, groups, tiles):
    """Computes a_j = phi(z_j), where z_j = sum_i w_ij x_i + b_j, for a range of a layer's tiles (MR samples x NR neurons).

    In a softmax layer, the function writes z in place of a.
    Reads x (n, n_in), w (n_in, n_out) and b (n_out,). Writes a (n, n_out).
    """
    half, n_in = lanes(memory), layer.n_in
    nr, x_panel = NR_VECTORS * half, header.rows * NR_VECTORS * half
    for slab in range(0, groups, MC // MR):
        for i in range(0, n_in, KC):
            depth = min(KC, n_in - i)
            for panel in panels_of(tiles, groups):
                w = layer.w + panel * layer.w_rows * nr
                a = layer.a + panel * x_panel
                begin, end = groups_of(panel, tiles, groups, slab, MC)
                for group in range(begin, end):
                    z = a + group * MR * nr
                    start, step = (w + n_in * nr, 0) if i == 0 else (z, nr)
                    x = sample_rows(memory, header, layer.x, group, i)
                    c = microkernel(memory, start, step, x, 1, nr, x_panel - nr, w + i * nr, depth)
                    store_rows(memory, z, half, c)
                if i + depth == n_in:
                    at, count = panel * x_panel + begin * MR * nr, (end - begin) * MR * nr
                    elementwise.activation(kind, header.epsilon, memory, layer.z + at, layer.a + at, count)


@njit_part
def backward(memory, header, layer, before, groups, tiles, packed):
    """Computes delta_i = (sum_j w_ij delta_j) da_i/dz_i for a range of the previous layer's tiles (MR samples x NR inputs i).

    If the previous layer has softmax or dropout, the function writes the sums dL/da_i in place of delta_i.
    Reads w (n_in, n_out) and delta (n, n_out) of the layer, and a (n, n_in) of the previous layer. Writes delta (n, n_in) of
    the previous layer.
    """
    half, n_out = lanes(memory), layer.n_out
    nr, x_panel = NR_VECTORS * half, header.rows * NR_VECTORS * half
    for slab in range(0, groups, MC // MR):
        for j in range(0, n_out, KC):
            depth = min(KC, n_out - j)
            for panel in panels_of(tiles, groups):
                dl_da_panel = before.delta + panel * x_panel
                begin, end = groups_of(panel, tiles, groups, slab, MC)
                if begin < end:
                    pack_transposed(memory, layer, panel, j, depth, packed)
                for group in range(begin, end):
                    dl_da = dl_da_panel + group * MR * nr
                    start, step = (header.zeros, 0) if j == 0 else (dl_da, nr)
                    x = sample_rows(memory, header, layer.delta, group, j)
                    c = microkernel(memory, start, step, x, 1, nr, x_panel - nr, packed, depth)
                    store_rows(memory, dl_da, half, c)
                if j + depth == n_out and before.kind != SOFTMAX and before.limit == 0:
                    at, count = panel * x_panel + begin * MR * nr, (end - begin) * MR * nr
                    z, a, delta = before.z + at, before.a + at, before.delta + at
                    elementwise.activation_error(before.kind, header.epsilon, memory, z, a, delta, count)


@njit_part
def pack_transposed(memory, layer, panel, j, depth, packed):
    """Copies the transpose of a part of w: packed[k, i] = w[i, j + k] for the NR inputs i of a panel and k < depth.

    Elements that belong to inputs beyond the last input are set to 0.
    """
    half = lanes(memory)
    nr = NR_VECTORS * half
    inputs = min(nr, layer.n_in - panel * nr)
    for k in range(0, depth, nr):
        w = layer.w + ((j + k) // nr * layer.w_rows + panel * nr) * nr
        if inputs == nr:
            for p in range(0, nr, half):
                for q in range(0, nr, half):
                    square = transpose(load_square(memory, w + p * nr + q, nr))
                    store_rows(memory, packed + (k + q) * nr + p, nr, square)
        else:
            for q in range(min(nr, depth - k)):
                for i in range(nr):
                    put(memory, packed + (k + q) * nr + i, get(memory, w + i * nr + q) if i < inputs else 0)


@njit_part
def update(memory, header, layer, block, step, tiles, scratch):
    """Computes dL/dw_ij = sum_s delta_j x_i and updates w_ij with it, for a range of a layer's tiles (MR inputs x NR neurons).

    b is updated in the same way. If the block of samples is not the last of its batch, or if gradients are clipped, w and b are
    not updated. Instead, the sums are added to the gradients in memory; in the first block of a batch, the sums replace the
    gradients. Reads x (n, n_in) and delta (n, n_out). Updates w (n_in, n_out) and b (n_out,), or their gradients. May overwrite
    the MR * NR numbers that begin at memory[scratch].
    """
    half, groups, n = lanes(memory), layer.w_rows // MR, block.n
    nr, descends = NR_VECTORS * half, block.closes and not step.clip_norm < np.inf
    from_registers = step.kind == GRADIENT_DESCENT and step.decay == 0
    for slab in range(0, groups, GRADIENT_MC // MR):
        for panel in panels_of(tiles, groups):
            delta = layer.delta + panel * header.rows * nr
            w = layer.w + panel * layer.w_rows * nr
            begin, end = groups_of(panel, tiles, groups, slab, GRADIENT_MC)
            for group in range(begin, end):
                i = group * MR
                at = w + i * nr
                start, start_step = (header.zeros, 0) if block.opens else (at + header.gradients, nr)
                x = input_columns(memory, header, layer, i)
                c = microkernel(memory, start, start_step, x, nr, n, nr, delta, n)
                if not descends:
                    store_rows(memory, at + header.gradients, half, c)
                elif from_registers:
                    descend_tile(memory, at, step, c)
                else:
                    store_rows(memory, scratch, half, c)
                    descend_stored_tile(memory, at, scratch, step, i, layer.n_in)
