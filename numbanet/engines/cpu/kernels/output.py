"""The loops that need all neurons of a layer: softmax, and in the output layer the losses, correct predictions and delta.

The loops copy values from panels (blocks of NR columns; see the module `layout`) to tables indexed [neuron j][sample s], and
the results back to panels. LLVM can vectorise a loop over the samples s of a table. Every function processes
the samples in the range `span`, so that threads can divide a block of samples among themselves.

Few networks need the full Jacobian of softmax. The loops of `numbanet.equations` compute the Jacobian, one sample at a time. If
a network does not need the Jacobian, `jacobian` is None, and the code for the Jacobian is not compiled.
"""

from numbanet._compile import njit_merged, njit_part, parts_of
from numbanet.engines.cpu.blocks import NR_VECTORS
from numbanet.engines.cpu.kernels import elementwise
from numbanet.engines.cpu.kernels.matrix import matrix
from numbanet.engines.cpu.kernels.vector import get, lanes, put
from numbanet.equations import activations, losses
from numbanet.equations.activations import SOFTMAX, softmax_logit
from numbanet.equations.backprop import softmax_error, softmax_logit_error
from numbanet.equations.losses import BCE, CCE, MSE, SSE

exp_difference, softmax, log_softmax_sum = parts_of(activations.exp_difference, activations.softmax, losses.log_softmax_sum)
sse, bce_from_z, cce = parts_of(losses.sse, losses.bce_from_z, losses.cce)
d_sse, d_mse, d_cce, weighted = parts_of(losses.d_sse, losses.d_mse, losses.d_cce, losses.weighted)

# Rows of the array `integers`, each with one integer per sample: predicted class, target class, number of correct predictions.
INDEX, TARGET, HITS = range(3)


@njit_part
def fill(memory, header, table, n_out, panels, span):
    """Copies a matrix from panels (blocks of NR columns) to a transposed table: table[j][s] = panels[s, j], for s in `span`.

    `table` and `panels` are offsets into `memory`.
    """
    rows, nr = header.rows, NR_VECTORS * lanes(memory)
    for j in range(n_out):
        for s in range(span.begin, span.end):
            put(memory, table + j * rows + s, get(memory, panels + (j // nr * rows + s) * nr + j % nr))


@njit_part
def pour(memory, header, table, n_out, panels, span):
    """Copies a transposed table to a matrix in panels (blocks of NR columns): panels[s, j] = table[j][s], for s in `span`.

    `table` and `panels` are offsets into `memory`.
    """
    rows, nr = header.rows, NR_VECTORS * lanes(memory)
    for j in range(n_out):
        for s in range(span.begin, span.end):
            put(memory, panels + (j // nr * rows + s) * nr + j % nr, get(memory, table + j * rows + s))


@njit_part
def find_largest(memory, header, table, n_out, top, neurons, largest, span):
    """Finds the largest value of each sample s in a table indexed [neuron][sample], for s in `span`.

    Writes the largest value to memory[top + s]. Writes the index of the first neuron that has the largest value to
    neurons[largest + s].
    """
    rows = header.rows
    for s in range(span.begin, span.end):
        put(memory, top + s, get(memory, table + s))
        put(neurons, largest + s, 0)
    for j in range(1, n_out):
        column_j, neuron = table + j * rows, type(get(neurons, largest))(j)
        for s in range(span.begin, span.end):
            value, best = get(memory, column_j + s), get(memory, top + s)
            # max gives the right index, because j is greater than all earlier indices. With a conditional expression, LLVM
            # would emit a slow masked store.
            put(neurons, largest + s, max(get(neurons, largest + s), neuron if value > best else 0))
            put(memory, top + s, value if value > best else best)


@njit_part
def softmax_activation(memory, header, layer, integers, span):
    """Computes softmax, a_j = e^z_j / sum_k e^z_k, for the samples in `span`.

    Reads z from the panels (blocks of NR columns) of a. Writes z and a to their tables, which are indexed [neuron][sample].
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


@njit_merged
def hidden_softmax_activation(workspace, layer, span):
    """Replaces z with a = softmax(z) in the memory of a hidden softmax layer, for the samples in `span`."""
    memory, header = workspace.memory, workspace.header
    softmax_activation(memory, header, layer, workspace.integers, span)
    pour(memory, header, header.table_a, layer.n_out, layer.a, span)


@njit_merged
def activation(workspace, span):
    """Computes a of the last layer from z, for the samples in `span`.

    Writes z and a to their tables, which are indexed [neuron][sample].
    """
    memory, header, last = workspace.memory, workspace.header, workspace.layers[workspace.layers.size - 1]
    if last.kind == SOFTMAX:
        softmax_activation(memory, header, last, workspace.integers, span)
    else:
        fill(memory, header, header.table_z, last.n_out, last.a, span)
        fill(memory, header, header.table_a, last.n_out, last.a, span)
        for j in range(last.n_out):
            a = header.table_a + j * header.rows + span.begin
            elementwise.activation(last.kind, header.epsilon, memory, a, a, span.end - span.begin)


@njit_merged
def score(workspace, samples, position, span):
    """Computes the loss and the number of correct outputs (hits) of each sample in `span`.

    `position` is the position in `samples.order` of the block's first sample. The loss of a sample is multiplied by the
    sample's weight, but not divided by n. The function `activation` must have filled the tables of z and a before.
    """
    memory, header, last = workspace.memory, workspace.header, workspace.layers[workspace.layers.size - 1]
    n_out, rows, order, weights = last.n_out, header.rows, samples.order, samples.weights
    for s in range(span.begin, span.end):
        row = get(order, position + s) * n_out
        for j in range(n_out):
            put(memory, header.table_y + j * rows + s, get(samples.y, row + j))
    count_hits(memory, header, n_out, workspace.integers, span)
    if header.loss_kind == BCE and last.kind == SOFTMAX:
        become_logits(memory, header, n_out, workspace.jacobian, span)
    loss, z_max, others = header.loss, header.z_max, header.others
    for s in range(span.begin, span.end):
        put(memory, loss + s, 0)
        if header.loss_kind == CCE:
            put(memory, others + s, log_softmax_sum(get(memory, others + s)))
    for j in range(n_out):
        y_j, z, a = header.table_y + j * rows, header.table_z + j * rows, header.table_a + j * rows
        if header.loss_kind == CCE:
            for s in range(span.begin, span.end):
                term = cce(1, get(memory, y_j + s), get(memory, z + s), get(memory, z_max + s), get(memory, others + s))
                put(memory, loss + s, get(memory, loss + s) + term)
        elif header.loss_kind == BCE:
            for s in range(span.begin, span.end):
                put(memory, loss + s, get(memory, loss + s) + bce_from_z(1, get(memory, y_j + s), get(memory, z + s)))
        else:  # MSE with n = 1 is SSE
            for s in range(span.begin, span.end):
                put(memory, loss + s, get(memory, loss + s) + sse(get(memory, y_j + s), get(memory, a + s)))
    if weights.size > 0:
        for s in range(span.begin, span.end):
            put(memory, header.weight + s, get(weights, get(order, position + s)))
            put(memory, loss + s, weighted(get(memory, header.weight + s), get(memory, loss + s)))


@njit_merged
def count_hits(memory, header, n_out, integers, span):
    """Writes the number of correct outputs (hits) of each sample in `span`.

    With the loss cce, the number is 1 if the largest y_hat and the largest y have the same index, and 0 otherwise. With all
    other losses, the number counts those outputs y_hat that are on the same side of 1/2 as y.
    """
    guess, target, hits = INDEX * header.rows, TARGET * header.rows, HITS * header.rows
    if header.loss_kind == CCE:  # the memory of the losses, which are computed later, serves as scratch memory
        find_largest(memory, header, header.table_a, n_out, header.loss, integers, guess, span)
        find_largest(memory, header, header.table_y, n_out, header.loss, integers, target, span)
        for s in range(span.begin, span.end):
            put(integers, hits + s, 1 if get(integers, guess + s) == get(integers, target + s) else 0)
    else:
        for s in range(span.begin, span.end):
            put(integers, hits + s, 0)
        for j in range(n_out):
            y, y_hat = header.table_y + j * header.rows, header.table_a + j * header.rows
            for s in range(span.begin, span.end):
                half = type(get(memory, y + s))(0.5)
                hit = 1 if (get(memory, y + s) > half) == (get(memory, y_hat + s) > half) else 0
                put(integers, hits + s, get(integers, hits + s) + hit)


@njit_merged
def error(workspace, n, has_weights, span):
    """Computes delta of the last layer; n is the number of samples in the batch.

    Reads the tables of y, z and a, which are indexed [neuron][sample]. The functions `activation` and `score` must have filled
    the tables before.
    """
    memory, header, last = workspace.memory, workspace.header, workspace.layers[workspace.layers.size - 1]
    rows, begin, end = header.rows, span.begin, span.end
    for j in range(last.n_out):
        y, a, delta = header.table_y + j * rows, header.table_a + j * rows, header.table_delta + j * rows
        if header.loss_kind == CCE or header.loss_kind == BCE:
            for s in range(begin, end):
                put(memory, delta + s, d_cce(n, get(memory, y + s), get(memory, a + s)))
        elif header.loss_kind == SSE:
            for s in range(begin, end):
                put(memory, delta + s, d_sse(get(memory, y + s), get(memory, a + s)))
        else:
            for s in range(begin, end):
                put(memory, delta + s, d_mse(n, get(memory, y + s), get(memory, a + s)))
        if has_weights:
            for s in range(begin, end):
                put(memory, delta + s, weighted(get(memory, header.weight + s), get(memory, delta + s)))
        if header.loss_kind == SSE or header.loss_kind == MSE:
            z = header.table_z + j * rows + begin
            elementwise.activation_error(last.kind, header.epsilon, memory, z, a + begin, delta + begin, end - begin)
    if last.kind == SOFTMAX and header.loss_kind == BCE:
        through_logits(memory, header, last.n_out, workspace.jacobian, span)
    elif last.kind == SOFTMAX and header.loss_kind != CCE:
        through_softmax(memory, header, last.n_out, workspace.jacobian, span)
    pour(memory, header, header.table_delta, last.n_out, last.delta, span)


# The full Jacobian of softmax


@njit_merged
def row(header, number, s, n_out):
    """Returns the offset in memory of scratch row `number` of sample s.

    Each sample has JACOBIAN_ROWS scratch rows, which are matrices of shape (1, n_out).
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
def through_softmax(memory, header, n_out, jacobian, span):
    """Replaces dL/da of a softmax layer with delta_j = sum_i dL/da_i da_i/dz_j, in the table of delta."""
    if jacobian is None:
        return
    for s in range(span.begin, span.end):
        a = matrix(memory, row(header, 0, s, n_out), 1, n_out)
        dl_da = matrix(memory, row(header, 1, s, n_out), 1, n_out)
        delta = matrix(memory, row(header, 2, s, n_out), 1, n_out)
        read_row(memory, header, header.table_a, s, a)
        read_row(memory, header, header.table_delta, s, dl_da)
        softmax_error(dl_da, a, delta)
        write_row(memory, header, header.table_delta, s, delta)


@njit_part
def through_hidden_softmax(memory, header, layer, jacobian, span):
    """Replaces dL/da of a hidden softmax layer with delta_j = sum_i dL/da_i da_i/dz_j, in the panels of `layer.delta`."""
    if jacobian is None:
        return
    fill(memory, header, header.table_a, layer.n_out, layer.a, span)
    fill(memory, header, header.table_delta, layer.n_out, layer.delta, span)
    through_softmax(memory, header, layer.n_out, jacobian, span)
    pour(memory, header, header.table_delta, layer.n_out, layer.delta, span)


@njit_part
def become_logits(memory, header, n_out, jacobian, span):
    """Replaces z in its table with u, for which sigmoid(u) = softmax(z), as `softmax_logit` computes it.

    Keeps z and u of each sample in the sample's scratch rows 0 and 1.
    """
    if jacobian is None:
        return
    for s in range(span.begin, span.end):
        z = matrix(memory, row(header, 0, s, n_out), 1, n_out)
        u = matrix(memory, row(header, 1, s, n_out), 1, n_out)
        read_row(memory, header, header.table_z, s, z)
        softmax_logit(z, u)
        write_row(memory, header, header.table_z, s, u)


@njit_part
def through_logits(memory, header, n_out, jacobian, span):
    """Replaces dL/du in the table of delta with delta_j = sum_i dL/du_i du_i/dz_j, where sigmoid(u) = softmax(z).

    Reads z and u of each sample from the sample's scratch rows 0 and 1, to which `become_logits` has written them.
    """
    if jacobian is None:
        return
    for s in range(span.begin, span.end):
        z = matrix(memory, row(header, 0, s, n_out), 1, n_out)
        u = matrix(memory, row(header, 1, s, n_out), 1, n_out)
        dl_du = matrix(memory, row(header, 2, s, n_out), 1, n_out)
        delta = matrix(memory, row(header, 3, s, n_out), 1, n_out)
        read_row(memory, header, header.table_delta, s, dl_du)
        softmax_logit_error(dl_du, z, u, delta)
        write_row(memory, header, header.table_delta, s, delta)
