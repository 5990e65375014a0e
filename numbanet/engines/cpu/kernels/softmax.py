"""Compiled functions (routines) for softmax, which compute a layer's activations a, and delta from the full Jacobian.

The functions read and write tables (arrays indexed [neuron][sample], see the module `tables`). Few networks need the full
Jacobian of softmax, and it has no optimised code: the plain loops of `numbanet.equations` compute it, one sample at a time.
"""

from numbanet._compile import njit_merged, njit_part, njit_routine, parts_of
from numbanet.engines.cpu.kernels.matrix import matrix
from numbanet.engines.cpu.kernels.routine import INTEGERS, SPAN, Signature, header_type, layer_type
from numbanet.engines.cpu.kernels.tables import INDEX, fill, find_largest, pour
from numbanet.engines.cpu.kernels.vector import get, put
from numbanet.equations import activations
from numbanet.equations.activations import softmax_logit
from numbanet.equations.backprop import softmax_error, softmax_logit_error

exp_difference, softmax = parts_of(activations.exp_difference, activations.softmax)

# The arguments of the routines of a softmax layer: memory, header, layer, integers, span.
SOFTMAX_LAYER = Signature(lambda number: (header_type(number), layer_type(number), INTEGERS, SPAN))
call_softmax = SOFTMAX_LAYER.call


@njit_merged
def softmax_tables(memory, header, layer, integers, span):
    """Computes softmax, a_j = e^z_j / sum_k e^z_k, for the samples in `span`.

    Reads z from the panels at `layer.a`, to which the forward product of a softmax layer writes z in place of a. Writes z and a
    to two tables, which are indexed [neuron][sample].
    """
    n_out, k_max, z_max, others = layer.n_out, INDEX * header.rows, header.z_max, header.others
    fill(memory, header, header.table_z, n_out, layer.a, span)
    find_largest(memory, header, header.table_z, n_out, z_max, integers, k_max, span)
    for s in range(span.begin, span.end):
        put(memory, others + s, 0)
    for k in range(n_out):
        z, power = header.table_z + k * header.rows, header.table_a + k * header.rows
        for s in range(span.begin, span.end):
            power_k = exp_difference(get(memory, z + s), get(memory, z_max + s))
            put(memory, power + s, power_k)
            put(memory, others + s, get(memory, others + s) + (power_k if k != get(integers, k_max + s) else type(power_k)(0)))
    for j in range(n_out):
        a = header.table_a + j * header.rows
        for s in range(span.begin, span.end):
            put(memory, a + s, softmax(get(memory, a + s), get(memory, others + s)))


@njit_routine
def softmax_activation(memory, header, layer, integers, span):
    """Computes the activations a of a softmax output layer, for the samples in `span`."""
    softmax_tables(memory, header, layer, integers, span)


@njit_routine
def hidden_softmax_activation(memory, header, layer, integers, span):
    """Replaces z of a hidden softmax layer with a = softmax(z) in memory, for the samples in `span`."""
    softmax_tables(memory, header, layer, integers, span)
    pour(memory, header, header.table_a, layer.n_out, layer.a, span)


# The full Jacobian of softmax


@njit_merged
def row(header, number, s, n_out):
    """Returns the offset in memory of a sample's scratch row, a row for intermediate results; `s` is the sample's index.

    Each sample has JACOBIAN_ROWS scratch rows of shape (1, n_out); `number` selects one of them.
    """
    return header.jacobian_rows + number * header.table_size + s * n_out


@njit_part
def read_row(memory, header, table, s, row):
    """Copies the values of sample s from a table indexed [neuron][sample] to a row: row[0, j] = table[j][s]."""
    for j in range(row.shape[1]):
        row[0, j] = get(memory, table + j * header.rows + s)


@njit_part
def write_row(memory, header, table, s, row):
    """Copies a row to a table indexed [neuron][sample], as the values of sample s: table[j][s] = row[0, j]."""
    for j in range(row.shape[1]):
        put(memory, table + j * header.rows + s, row[0, j])


@njit_part
def through_softmax(memory, header, layer, span):
    """Replaces dL/da of a softmax layer with delta_j = sum_i dL/da_i da_i/dz_j, in the table that holds delta."""
    n_out = layer.n_out
    for s in range(span.begin, span.end):
        a = matrix(memory, row(header, 0, s, n_out), 1, n_out)
        dl_da = matrix(memory, row(header, 1, s, n_out), 1, n_out)
        delta = matrix(memory, row(header, 2, s, n_out), 1, n_out)
        read_row(memory, header, header.table_a, s, a)
        read_row(memory, header, header.table_delta, s, dl_da)
        softmax_error(dl_da, a, delta)
        write_row(memory, header, header.table_delta, s, delta)


@njit_routine
def hidden_softmax_error(memory, header, layer, integers, span):
    """Replaces dL/da of a hidden softmax layer with delta_j = sum_i dL/da_i da_i/dz_j, in the memory at `layer.delta`."""
    fill(memory, header, header.table_a, layer.n_out, layer.a, span)
    fill(memory, header, header.table_delta, layer.n_out, layer.delta, span)
    through_softmax(memory, header, layer, span)
    pour(memory, header, header.table_delta, layer.n_out, layer.delta, span)


@njit_part
def become_logits(memory, header, layer, span):
    """Replaces z with u = softmax_logit(z), for which sigmoid(u) = softmax(z), in the table that holds z.

    Each sample has scratch rows, which are rows for intermediate results. The function also writes each sample's z to its
    scratch row 0, and its u to its scratch row 1, from which the function `through_logits` reads z and u.
    """
    n_out = layer.n_out
    for s in range(span.begin, span.end):
        z = matrix(memory, row(header, 0, s, n_out), 1, n_out)
        u = matrix(memory, row(header, 1, s, n_out), 1, n_out)
        read_row(memory, header, header.table_z, s, z)
        softmax_logit(z, u)
        write_row(memory, header, header.table_z, s, u)


@njit_part
def through_logits(memory, header, layer, span):
    """Replaces dL/du with delta_j = sum_i dL/du_i du_i/dz_j in the table that holds delta, for u with sigmoid(u) = softmax(z).

    Reads each sample's z from its scratch row 0, and its u from its scratch row 1, to which `become_logits` has written them.
    """
    n_out = layer.n_out
    for s in range(span.begin, span.end):
        z = matrix(memory, row(header, 0, s, n_out), 1, n_out)
        u = matrix(memory, row(header, 1, s, n_out), 1, n_out)
        dl_du = matrix(memory, row(header, 2, s, n_out), 1, n_out)
        delta = matrix(memory, row(header, 3, s, n_out), 1, n_out)
        read_row(memory, header, header.table_delta, s, dl_du)
        softmax_logit_error(dl_du, z, u, delta)
        write_row(memory, header, header.table_delta, s, delta)
