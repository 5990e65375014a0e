"""The three products of a layer, by one tile loop that keeps its sums in registers.

All three are z[r, j] = sum_k x[r, k] w[k, j]: the forward sum with k = i, the delta recurrence with k = j, the weight gradient
with k = s. Only addresses differ, for what they read and write lies in panels (see `layout`). Work is counted in tiles, panel
by panel, so that it can be shared among threads: each takes a range of tiles. The order in which the terms of a sum are added
does not depend on the range. The terms are those of their namesakes in `numbanet.equations`.
"""

from numbanet._compile import njit_merged, njit_part, parts_of
from numbanet.engines.cpu.kernels import elementwise
from numbanet.engines.cpu.kernels.descent import descend_tile
from numbanet.engines.cpu.kernels.layout import DEPTH, ROWS
from numbanet.engines.cpu.kernels.vector import (
    broadcast,
    get,
    lanes,
    load,
    load_square,
    put,
    store,
    store_square,
    transpose,
)
from numbanet.equations import neuron
from numbanet.equations.activations import SOFTMAX

(weighted_input,) = parts_of(neuron.weighted_input)

SLAB_TILES = 43  # 258 rows of x, DEPTH deep, are 132 KB in float32: they stay in the L2 cache while the panels of w pass by
BLOCK_TILES = 16  # 96 columns of x stay in L2 while the panels of delta pass by


@njit_merged
def tile(memory, start, step, x_0, x_1, x_2, x_3, x_4, x_5, x_step, chunk, chunk_step, w, depth):
    """start[r, j] + sum_k x[r, k] w[k, j], for 6 rows r and a panel of columns j, as 12 vectors.

    All arguments but depth, the number of k's, are places in memory, or steps between places. Row r begins at start + r step,
    and at x_r; w is a panel. From k to k + 1 x goes x_step on, and chunk_step more after every `chunk` of them.
    """
    width = lanes(memory)
    c_00, c_01 = load(memory, start), load(memory, start + width)
    c_10, c_11 = load(memory, start + step), load(memory, start + step + width)
    c_20, c_21 = load(memory, start + 2 * step), load(memory, start + 2 * step + width)
    c_30, c_31 = load(memory, start + 3 * step), load(memory, start + 3 * step + width)
    c_40, c_41 = load(memory, start + 4 * step), load(memory, start + 4 * step + width)
    c_50, c_51 = load(memory, start + 5 * step), load(memory, start + 5 * step + width)
    p = 0
    while depth > 0:
        for _ in range(min(chunk, depth)):
            w_0, w_1 = load(memory, w), load(memory, w + width)
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
            w += 2 * width
        p += chunk_step
        depth -= chunk
    return c_00, c_01, c_10, c_11, c_20, c_21, c_30, c_31, c_40, c_41, c_50, c_51


@njit_merged
def store_tile(memory, at, c):
    """Writes the sums of a tile to 6 successive rows of a panel."""
    width = lanes(memory)
    store(memory, at, c[0])
    store(memory, at + 1 * width, c[1])
    store(memory, at + 2 * width, c[2])
    store(memory, at + 3 * width, c[3])
    store(memory, at + 4 * width, c[4])
    store(memory, at + 5 * width, c[5])
    store(memory, at + 6 * width, c[6])
    store(memory, at + 7 * width, c[7])
    store(memory, at + 8 * width, c[8])
    store(memory, at + 9 * width, c[9])
    store(memory, at + 10 * width, c[10])
    store(memory, at + 11 * width, c[11])


@njit_merged
def row_tile(memory, net, start, step, x, group, k, w, depth):
    """`tile` for the samples of a group of 6 and terms k, k + 1, ... of their rows; x is where the panels of the rows begin."""
    width = 2 * lanes(memory)
    x_0 = x + (k // width * net.rows + group * ROWS) * width
    rows = x_0, x_0 + width, x_0 + 2 * width, x_0 + 3 * width, x_0 + 4 * width, x_0 + 5 * width
    return tile(memory, start, step, *rows, 1, width, (net.rows - 1) * width, w, depth)


@njit_merged
def panels_of(first, last, groups):
    """The range of panels that tiles first to last - 1 belong to, where a panel has this many groups of 6 rows."""
    if last <= groups:  # a very small network has one panel, and no time for divisions
        return range(0, 1)
    return range(first // groups, -(-last // groups))


@njit_merged
def groups_of(panel, first, last, groups, slab):
    """The range of groups of a panel that are tiles first to last - 1, and in the slab that begins with that group."""
    begin = panel * groups
    return max(slab, first - begin), min(slab + SLAB_TILES, groups, last - begin)


@njit_part
def forward(memory, net, layer, kind, groups, first, last):
    """a_j = phi(z_j), z_j = sum_i w_ij x_i + b_j, for tiles first to last - 1 of a layer; softmax has yet to be done.

    Reads x (n, n_in), w (n_in, n_out), b (n_out,); writes a (n, n_out).
    """
    width, n_in, x, a = 2 * lanes(memory), layer.n_in, layer.x, layer.a
    for slab in range(0, groups, SLAB_TILES):
        for i in range(0, n_in, DEPTH):
            depth = min(DEPTH, n_in - i)
            for panel in panels_of(first, last, groups):
                w = layer.w + panel * layer.w_rows * width
                column = a + panel * net.rows * width
                begin, end = groups_of(panel, first, last, groups, slab)
                for group in range(begin, end):
                    z = column + group * ROWS * width
                    start, step = (w + n_in * width, 0) if i == 0 else (z, width)
                    store_tile(memory, z, row_tile(memory, net, start, step, x, group, i, w + i * width, depth))
                if i + depth == n_in:
                    at, count = column + begin * ROWS * width, (end - begin) * ROWS * width
                    elementwise.activation(kind, net.epsilon, memory, at, count)


@njit_part
def backward(memory, net, layer, before, groups, first, last, packed):
    """delta_i = (sum_j w_ij delta_j) da_i/dz_i, for tiles first to last - 1 of the layer before.

    Of softmax, and where neurons drop out, it leaves the sums alone.

    Reads w (n_in, n_out), delta (n, n_out), a (n, n_in) of the layer before; writes delta_prev (n, n_in).
    """
    width, n_out, delta = 2 * lanes(memory), layer.n_out, layer.delta
    for slab in range(0, groups, SLAB_TILES):
        for j in range(0, n_out, DEPTH):
            depth = min(DEPTH, n_out - j)
            for panel in panels_of(first, last, groups):
                column = before.delta + panel * net.rows * width
                begin, end = groups_of(panel, first, last, groups, slab)
                if begin < end:
                    pack_transposed(memory, layer, panel, j, depth, packed)
                for group in range(begin, end):
                    dl_da = column + group * ROWS * width
                    start, step = (net.zeros, 0) if j == 0 else (dl_da, width)
                    store_tile(memory, dl_da, row_tile(memory, net, start, step, delta, group, j, packed, depth))
                if j + depth == n_out and before.kind != SOFTMAX and before.limit == 0:
                    at, count = begin * ROWS * width, (end - begin) * ROWS * width
                    a = before.a + panel * net.rows * width
                    elementwise.activation_error(before.kind, net.epsilon, memory, a + at, column + at, count)


@njit_part
def pack_transposed(memory, layer, panel, j, depth, packed):
    """packed[k, i] = w[i, j + k], for the inputs i of a panel and k < depth; inputs beyond the last are 0."""
    half = lanes(memory)
    width = 2 * half
    inputs = min(width, layer.n_in - panel * width)
    for k in range(0, depth, width):
        w = layer.w + ((j + k) // width * layer.w_rows + panel * width) * width
        if inputs == width:
            for p in range(0, width, half):
                for q in range(0, width, half):
                    square = transpose(load_square(memory, w + p * width + q, width))
                    store_square(memory, packed + (k + q) * width + p, width, square)
        else:
            for q in range(min(width, depth - k)):
                for i in range(width):
                    put(memory, packed + (k + q) * width + i, get(memory, w + i * width + q) if i < inputs else 0)


@njit_merged
def column_of(memory, net, layer, i):
    """Where the column of input i of a layer begins; of i = n_in, the input of b, and of the rows of 0 behind it."""
    width, n_in = 2 * lanes(memory), layer.n_in
    return layer.x + i // width * net.rows * width + i % width if i < n_in else net.ones + i - n_in


@njit_part
def update(memory, net, layer, n, opens, closes, rule, rates, decay, first, last):
    """A step of w_ij by a rule, from dL/dw_ij = sum_s delta_j x_i, and of b, for tiles first to last - 1 of a layer.

    Reads x (n, n_in), delta (n, n_out). A batch in several blocks: gradients begin where it opens, at 0, and become an update
    where it closes.
    """
    width, groups = 2 * lanes(memory), layer.w_rows // ROWS
    for block in range(0, groups, BLOCK_TILES):
        for panel in panels_of(first, last, groups):
            delta = layer.delta + panel * net.rows * width
            w = layer.w + panel * layer.w_rows * width
            begin = panel * groups
            for group in range(max(block, first - begin), min(block + BLOCK_TILES, groups, last - begin)):
                i = group * ROWS
                at = w + i * width
                start, step = (net.zeros, 0) if opens else (at + net.gradients, width)
                x_0, x_1 = column_of(memory, net, layer, i), column_of(memory, net, layer, i + 1)
                x_2, x_3 = column_of(memory, net, layer, i + 2), column_of(memory, net, layer, i + 3)
                x_4, x_5 = column_of(memory, net, layer, i + 4), column_of(memory, net, layer, i + 5)
                c = tile(memory, start, step, x_0, x_1, x_2, x_3, x_4, x_5, width, n, width, delta, n)
                if closes:
                    descend_tile(memory, at, rule, rates, decay, i, layer.n_in, c)
                else:
                    store_tile(memory, at + net.gradients, c)
