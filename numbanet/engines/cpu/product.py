"""The three products of a layer, by one tile loop that keeps its sums in registers.

All three are z[r, j] += sum_k x[r, k] w[k, j]: the forward sum with k = i, the delta recurrence with k = j, the weight gradient
with k = s. Only addresses differ. Both factors are packed so that the tile loop reads them in order: x in slabs of groups of 6
rows, which stay in the L2 cache, w in panels of two vectors, which stay in L1. The terms are those of their namesakes in
`numbanet.equations`.
"""

from typing import NamedTuple

import numpy as np

from numbanet._compile import njit, njit_inline
from numbanet.engines.cpu.vector import REGISTER_BYTES, broadcast, get, lanes, load, put, store
from numbanet.equations.backprop import d_bias
from numbanet.equations.neuron import weighted_input

ROWS = 6  # x 2 vectors are 12 sums; with 2 vectors of the panel and 1 of x they fill the 16 registers of AVX2
DEPTH = 256  # k's at a time: a panel of them is 16 KB with AVX2, half of L1
SLAB_ROWS = 43 * ROWS  # a slab of them is 258 KB in float32, half of L2
SQUARE = 16  # numbers of float32 in a line of the cache


class Packed(NamedTuple):
    """Room for what is packed: a slab of x, a panel of w, and a tile for what reaches beyond the edge of z."""

    slab: np.ndarray
    panel: np.ndarray
    edge: np.ndarray


def room(dtype) -> Packed:
    """Room for the products of any network of this dtype."""
    width = 2 * REGISTER_BYTES // dtype.itemsize
    return Packed(np.empty(SLAB_ROWS * DEPTH, dtype), np.empty(DEPTH * width, dtype), np.empty(ROWS * width, dtype))


@njit
def tile(slab, at, panel, depth, z, start, z_step):
    """z[r, j] += sum_k x[r, k] w[k, j], for 6 rows r and two vectors of columns j.

    x[r, k] is number at + 6 k + r of the slab, w[k, 0] number 2 width k of the panel, z[r, 0] number start + r z_step of z.
    """
    width = lanes(z)
    p = 0
    c_00, c_01 = load(z, start + 0 * z_step), load(z, start + 0 * z_step + width)
    c_10, c_11 = load(z, start + 1 * z_step), load(z, start + 1 * z_step + width)
    c_20, c_21 = load(z, start + 2 * z_step), load(z, start + 2 * z_step + width)
    c_30, c_31 = load(z, start + 3 * z_step), load(z, start + 3 * z_step + width)
    c_40, c_41 = load(z, start + 4 * z_step), load(z, start + 4 * z_step + width)
    c_50, c_51 = load(z, start + 5 * z_step), load(z, start + 5 * z_step + width)
    for _ in range(depth):
        w_0, w_1 = load(panel, p), load(panel, p + width)
        x_0 = broadcast(get(slab, at + 0))
        c_00 += weighted_input(w_0, x_0)
        c_01 += weighted_input(w_1, x_0)
        x_1 = broadcast(get(slab, at + 1))
        c_10 += weighted_input(w_0, x_1)
        c_11 += weighted_input(w_1, x_1)
        x_2 = broadcast(get(slab, at + 2))
        c_20 += weighted_input(w_0, x_2)
        c_21 += weighted_input(w_1, x_2)
        x_3 = broadcast(get(slab, at + 3))
        c_30 += weighted_input(w_0, x_3)
        c_31 += weighted_input(w_1, x_3)
        x_4 = broadcast(get(slab, at + 4))
        c_40 += weighted_input(w_0, x_4)
        c_41 += weighted_input(w_1, x_4)
        x_5 = broadcast(get(slab, at + 5))
        c_50 += weighted_input(w_0, x_5)
        c_51 += weighted_input(w_1, x_5)
        at += ROWS
        p += 2 * width
    store(z, start + 0 * z_step, c_00)
    store(z, start + 0 * z_step + width, c_01)
    store(z, start + 1 * z_step, c_10)
    store(z, start + 1 * z_step + width, c_11)
    store(z, start + 2 * z_step, c_20)
    store(z, start + 2 * z_step + width, c_21)
    store(z, start + 3 * z_step, c_30)
    store(z, start + 3 * z_step + width, c_31)
    store(z, start + 4 * z_step, c_40)
    store(z, start + 4 * z_step + width, c_41)
    store(z, start + 5 * z_step, c_50)
    store(z, start + 5 * z_step + width, c_51)


@njit_inline
def steps(x):
    """How far apart the numbers of a matrix lie in memory: from row to row, and from column to column."""
    return x.strides[0] // x.itemsize, x.strides[1] // x.itemsize


@njit_inline
def pack_slab(x, at, row_step, k_step, rows, depth, slab):
    """x[r, k], which is number at + r row_step + k k_step, in groups of 6 rows, k after k; rows beyond the edge are 0."""
    p = 0
    for first in range(0, rows, ROWS):
        start, here = at + first * row_step, min(ROWS, rows - first)
        for k in range(depth):
            if here == ROWS:
                for r in range(ROWS):
                    put(slab, p + r, get(x, start + k * k_step + r * row_step))
            else:
                for r in range(ROWS):
                    put(slab, p + r, get(x, start + k * k_step + r * row_step) if r < here else 0)
            p += ROWS


@njit_inline
def pack_panel(w, at, k_step, column_step, depth, columns, panel):
    """w[k, j], which is number at + k k_step + j column_step, k after k; columns beyond the edge are 0."""
    half = lanes(panel)
    if column_step == 1 and columns == 2 * half:
        for k in range(depth):
            store(panel, 2 * half * k, load(w, at + k * k_step))
            store(panel, 2 * half * k + half, load(w, at + k * k_step + half))
    else:
        for j in range(2 * half):
            for k in range(depth):
                put(panel, 2 * half * k + j, get(w, at + k * k_step + j * column_step) if j < columns else 0)


@njit_inline
def add_tiles(slab, panel, depth, z, first_row, last_row, first_column, edge):
    """z += slab panel, for rows first_row to last_row - 1 and the columns of the panel."""
    width, z_step = 2 * lanes(z), z.shape[1]
    columns = min(width, z_step - first_column)
    for row in range(first_row, last_row, ROWS):
        at, rows = (row - first_row) * depth, min(ROWS, last_row - row)
        if rows == ROWS and columns == width:
            tile(slab, at, panel, depth, z, row * z_step + first_column, z_step)
        else:
            for p in range(edge.size):
                edge[p] = 0
            tile(slab, at, panel, depth, edge, 0, width)
            for r in range(rows):
                for j in range(columns):
                    z[row + r, first_column + j] += edge[r * width + j]


@njit
def add_product(x, x_steps, w, w_steps, depth, z, packed):
    """z[r, j] += sum_k x[r, k] w[k, j] for all of z; the steps of x are those of r and k, the steps of w those of k and j."""
    rows, columns = z.shape
    for k in range(0, depth, DEPTH):
        depth_here = min(DEPTH, depth - k)
        for row in range(0, rows, SLAB_ROWS):
            last_row = min(row + SLAB_ROWS, rows)
            at = row * x_steps[0] + k * x_steps[1]
            pack_slab(x, at, x_steps[0], x_steps[1], last_row - row, depth_here, packed.slab)
            for j in range(0, columns, 2 * lanes(z)):
                at, columns_here = k * w_steps[0] + j * w_steps[1], min(2 * lanes(z), columns - j)
                pack_panel(w, at, w_steps[0], w_steps[1], depth_here, columns_here, packed.panel)
                add_tiles(packed.slab, packed.panel, depth_here, z, row, last_row, j, packed.edge)


@njit_inline
def forward_sum(x, w, b, z, packed):
    """z_j = sum_i w_ij x_i + b_j.

    Reads x (n, n_in), w (n_in, n_out), b (n_out,); writes z (n, n_out).
    """
    for s in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[s, j] = b[j]
    add_product(x, steps(x), w, steps(w), w.shape[0], z, packed)


@njit
def transpose(x, x_t):
    """x_t[j, i] = x[i, j], square by square: a whole column of x_t would touch as many pages of memory as it has rows."""
    rows, columns = x.shape
    for i in range(0, rows, SQUARE):
        for j in range(0, columns, SQUARE):
            for q in range(j, min(j + SQUARE, columns)):
                for p in range(i, min(i + SQUARE, rows)):
                    put(x_t, q * rows + p, get(x, p * columns + q))


@njit_inline
def error_sum(w, delta, dl_da_t, dl_da, packed):
    """dL/da_i = sum_j w_ij delta_j, the sum inside the delta recurrence.

    Reads w (n_in, n_out), delta (n, n_out); writes dl_da (n, n_in), by way of its transpose dl_da_t (n_in, n): so both
    factors are packed along their rows.
    """
    n_in, n = dl_da_t.shape
    for i in range(n_in):
        for s in range(n):
            dl_da_t[i, s] = 0
    add_product(w, steps(w), delta, steps(delta)[::-1], w.shape[1], dl_da_t, packed)
    transpose(dl_da_t, dl_da)


@njit_inline
def add_gradients(x, delta, dw, db, packed):
    """dL/dw_ij = delta_j x_i and dL/db_j = delta_j, added for all samples s.

    Reads x (n, n_in), delta (n, n_out); adds to dw (n_in, n_out), db (n_out,).
    """
    add_product(x, steps(x)[::-1], delta, steps(delta), x.shape[0], dw, packed)
    for s in range(delta.shape[0]):
        for j in range(db.shape[0]):
            db[j] += d_bias(delta[s, j])
