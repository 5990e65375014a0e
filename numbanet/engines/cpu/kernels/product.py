"""The three products of a layer, by one microkernel that keeps its sums in registers.

All three are c[r, j] += sum_k x[r, k] w[k, j]:

    product     r           j        k        x            w                   c
    forward     sample s    j        i        x (n, n_in)  w (n_in, n_out)     z (n, n_out), beginning with b
    backward    sample s    i        j        delta        w transposed        dL/da of the layer before
    update      input i     j        s        x transposed delta (n, n_out)    dL/dw, and dL/db for the input that is 1

Only the places differ, since all that they read and write lies in panels (see `layout`). Work is counted in tiles of MR rows
and NR columns, panel by panel; each thread takes a span of tiles. A sum adds its terms in the same order whatever the span.
The terms have the names and formulas of `numbanet.equations`.
"""

import numpy as np

from numbanet._compile import njit_merged, njit_part, parts_of
from numbanet.engines.cpu.blocks import GRADIENT_MC, KC, MC, MR, NR_VECTORS
from numbanet.engines.cpu.kernels import elementwise
from numbanet.engines.cpu.kernels.descent import descend_tile
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
from numbanet.equations import neuron
from numbanet.equations.activations import SOFTMAX

(weighted_input,) = parts_of(neuron.weighted_input)


@njit_merged
def microkernel(memory, start, step, x, x_step, chunk, chunk_step, w, depth):
    """Returns c[r, j] = start[r, j] + sum_k x[r, k] w[k, j], for MR = 6 rows r, NR columns j and `depth` terms k.

    The kernel does not write: c is a tuple of 12 vectors, row by row, two to a row (q is a vector's number of lanes, NR = 2 q):

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

    Each term costs 2 loads of w, 6 broadcasts of x and 12 fused multiply-adds; 12 + 2 + 1 vectors stay in registers.

    Parameters
    ----------
    memory : (numbers,) float32 or float64
        All operands lie in it. A place is an index into it, a step a difference of two places.
    start : place
        Of the first row of the values that c begins with.
    step : int
        From row to row of `start`: NR in a panel; 0 where all rows begin with the same values, such as b or zeros.
    x : tuple of MR places
        Of x[r, 0] in each row r. The rows may lie anywhere.
    x_step : int
        From x[r, k] to x[r, k + 1], the same for all rows.
    chunk, chunk_step : int
        After every `chunk` terms, x moves on by `chunk_step` in addition: rows of x are cut into panels of NR columns.
    w : place
        Of a panel of w: NR numbers for each k, without gaps.
    depth : int
        Number of terms, at least 0. The terms are added to c in the order of k.

    Notes
    -----
    Alignment: `start` and `w` need none, but vectors that begin at multiples of CACHE_LINE bytes are loaded faster. `x` is read
    number by number. Edges: there are none. Panels have room for whole tiles, so that rows beyond the last sample or input, and
    columns beyond the last neuron, are read and computed like the rest; each of them reaches only itself.
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
    """Returns the places of column k of the MR samples of a group, in panels that begin at a place."""
    nr = NR_VECTORS * lanes(memory)
    x_0 = panels + (k // nr * header.rows + group * MR) * nr
    return x_0, x_0 + nr, x_0 + 2 * nr, x_0 + 3 * nr, x_0 + 4 * nr, x_0 + 5 * nr


@njit_merged
def input_column(memory, header, layer, i):
    """Returns the place of the column of input i of a layer; i = n_in is the input of b, and behind it are columns of 0."""
    nr, n_in = NR_VECTORS * lanes(memory), layer.n_in
    return layer.x + i // nr * header.rows * nr + i % nr if i < n_in else header.ones + i - n_in


@njit_merged
def input_columns(memory, header, layer, i):
    """Returns the places of the columns of the MR inputs i, i + 1, ... of a layer."""
    x_0, x_1 = input_column(memory, header, layer, i), input_column(memory, header, layer, i + 1)
    x_2, x_3 = input_column(memory, header, layer, i + 2), input_column(memory, header, layer, i + 3)
    return x_0, x_1, x_2, x_3, input_column(memory, header, layer, i + 4), input_column(memory, header, layer, i + 5)


@njit_merged
def panels_of(tiles, groups):
    """Returns the range of panels that a span of tiles belongs to, each panel having `groups` groups of MR rows."""
    if tiles.end <= groups:  # a very small network has one panel, and no time for divisions
        return range(0, 1)
    return range(tiles.begin // groups, -(-tiles.end // groups))


@njit_merged
def groups_of(panel, tiles, groups, slab, rows):
    """Returns begin and end of a panel's groups that are in a span of tiles, and in the slab of `rows` rows from `slab` on."""
    begin = panel * groups
    return max(slab, tiles.begin - begin), min(slab + rows // MR, groups, tiles.end - begin)


@njit_part
def forward(memory, header, layer, kind, groups, tiles):
    """a_j = phi(z_j), z_j = sum_i w_ij x_i + b_j, for a span of a layer's tiles; softmax leaves z.

    Reads x (n, n_in), w (n_in, n_out), b (n_out,); writes a (n, n_out).
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
    """delta_i = (sum_j w_ij delta_j) da_i/dz_i, for a span of tiles of the layer before.

    Leaves the sums, which are dL/da_i, if that layer is softmax or its neurons drop out.
    Reads w (n_in, n_out), delta (n, n_out), a (n, n_in) of the layer before; writes delta_prev (n, n_in).
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
    """packed[k, i] = w[i, j + k], for the inputs i of a panel and k < depth; inputs beyond the last are 0."""
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
def update(memory, header, layer, block, step, tiles):
    """One step of w_ij, from dL/dw_ij = sum_s delta_j x_i, and of b, for a span of a layer's tiles.

    If the block does not close its batch, or gradients are clipped, the gradients stay in memory: they begin at 0 where a batch
    opens. Reads x (n, n_in), delta (n, n_out); updates w (n_in, n_out) and b (n_out,), or dw and db.
    """
    half, groups, n = lanes(memory), layer.w_rows // MR, block.n
    nr, descends = NR_VECTORS * half, block.closes and not step.clip_norm < np.inf
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
                if descends:
                    descend_tile(memory, at, step, i, layer.n_in, c)
                else:
                    store_rows(memory, at + header.gradients, half, c)
