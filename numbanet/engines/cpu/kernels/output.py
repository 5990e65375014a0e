"""What looks at whole rows of a layer: softmax, and at the output loss, hits and delta.

Rows are copied from the panels of `layout` into tables, [neuron j][sample s], where the loops over s vectorise, and back. Every
function works on samples begin to end - 1 of a block, so that threads can share it. What needs the full Jacobian of softmax is
rare, and goes row by row through the loops of `numbanet.equations`; `jacobian` is None where a network has no use for it, and
that code is then not compiled.
"""

from numbanet._compile import njit_merged, njit_part, parts_of
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

INDEX, TARGET, HITS = range(3)  # rows of the whole numbers that are noted of each sample


@njit_part
def fill(memory, net, table, n_out, panels, begin, end):
    """table[j][s] = panels[s, j]; both begin at their places."""
    rows, width = net.rows, 2 * lanes(memory)
    for j in range(n_out):
        for s in range(begin, end):
            put(memory, table + j * rows + s, get(memory, panels + (j // width * rows + s) * width + j % width))


@njit_part
def pour(memory, net, table, n_out, panels, begin, end):
    """panels[s, j] = table[j][s]; both begin at their places."""
    rows, width = net.rows, 2 * lanes(memory)
    for j in range(n_out):
        for s in range(begin, end):
            put(memory, panels + (j // width * rows + s) * width + j % width, get(memory, table + j * rows + s))


@njit_part
def find_largest(memory, net, table, n_out, top, neurons, largest, begin, end):
    """The largest number of each sample in a table, noted at place top; the first neuron with it, at place largest."""
    rows = net.rows
    for s in range(begin, end):
        put(memory, top + s, get(memory, table + s))
        put(neurons, largest + s, 0)
    for j in range(1, n_out):
        column_j, neuron = table + j * rows, type(get(neurons, largest))(j)
        for s in range(begin, end):
            value, best = get(memory, column_j + s), get(memory, top + s)
            # max, as j exceeds all before it: a choice between the two would become a slow store under a mask
            put(neurons, largest + s, max(get(neurons, largest + s), neuron if value > best else 0))
            put(memory, top + s, value if value > best else best)


@njit_part
def softmax_activation(memory, net, layer, numbers, begin, end):
    """a_j = e^z_j / sum_k e^z_k: the tables of z and a, from the panels of a, which hold z."""
    n_out, k_max, z_max, others = layer.n_out, INDEX * net.rows, net.z_max, net.others
    fill(memory, net, net.table_z, n_out, layer.a, begin, end)
    find_largest(memory, net, net.table_z, n_out, z_max, numbers, k_max, begin, end)
    for s in range(begin, end):
        put(memory, others + s, 0)
    for k in range(n_out):
        z, power = net.table_z + k * net.rows, net.table_a + k * net.rows
        for s in range(begin, end):
            power_k = exp_difference(get(memory, z + s), get(memory, z_max + s))
            put(memory, power + s, power_k)
            put(memory, others + s, get(memory, others + s) + (power_k if k != get(numbers, k_max + s) else type(power_k)(0)))
    for j in range(n_out):
        a = net.table_a + j * net.rows
        for s in range(begin, end):
            put(memory, a + s, softmax(get(memory, a + s), get(memory, others + s)))


@njit_merged
def hidden_softmax_activation(memory, net, layer, numbers, begin, end):
    """The panels of a of a softmax layer, which hold z before."""
    softmax_activation(memory, net, layer, numbers, begin, end)
    pour(memory, net, net.table_a, layer.n_out, layer.a, begin, end)


@njit_merged
def activation(memory, net, last, numbers, begin, end):
    """The tables of the last layer's z and a, from its panels, which hold z."""
    if last.kind == SOFTMAX:
        softmax_activation(memory, net, last, numbers, begin, end)
    else:
        fill(memory, net, net.table_z, last.n_out, last.a, begin, end)
        fill(memory, net, net.table_a, last.n_out, last.a, begin, end)
        for j in range(last.n_out):
            elementwise.activation(last.kind, net.epsilon, memory, net.table_a + j * net.rows + begin, end - begin)


@njit_merged
def score(memory, net, last, numbers, y, weights, order, position, jacobian, begin, end):
    """Losses (with n = 1, times the samples' weights) and hits of the block at that position of the order. After activation."""
    n_out, rows, targets = last.n_out, net.rows, net.table_y
    for s in range(begin, end):
        row = get(order, position + s) * n_out
        for j in range(n_out):
            put(memory, targets + j * rows + s, get(y, row + j))
    count_hits(memory, net, n_out, numbers, begin, end)
    if net.loss_kind == BCE and last.kind == SOFTMAX:
        become_logits(memory, net, n_out, jacobian, begin, end)
    loss, z_max, others = net.loss, net.z_max, net.others
    for s in range(begin, end):
        put(memory, loss + s, 0)
        if net.loss_kind == CCE:
            put(memory, others + s, log_softmax_sum(get(memory, others + s)))
    for j in range(n_out):
        y_j, z, a = net.table_y + j * net.rows, net.table_z + j * net.rows, net.table_a + j * net.rows
        if net.loss_kind == CCE:
            for s in range(begin, end):
                term = cce(1, get(memory, y_j + s), get(memory, z + s), get(memory, z_max + s), get(memory, others + s))
                put(memory, loss + s, get(memory, loss + s) + term)
        elif net.loss_kind == BCE:
            for s in range(begin, end):
                put(memory, loss + s, get(memory, loss + s) + bce_from_z(1, get(memory, y_j + s), get(memory, z + s)))
        else:  # MSE with n = 1 is SSE
            for s in range(begin, end):
                put(memory, loss + s, get(memory, loss + s) + sse(get(memory, y_j + s), get(memory, a + s)))
    if weights.size > 0:
        for s in range(begin, end):
            put(memory, net.weight + s, get(weights, get(order, position + s)))
            put(memory, loss + s, weighted(get(memory, net.weight + s), get(memory, loss + s)))


@njit_merged
def count_hits(memory, net, n_out, numbers, begin, end):
    """1 where the largest y_hat is the largest y (cce); else the number of outputs on the right side of 1/2."""
    guess, target, hits = INDEX * net.rows, TARGET * net.rows, HITS * net.rows
    if net.loss_kind == CCE:
        find_largest(memory, net, net.table_a, n_out, net.loss, numbers, guess, begin, end)  # where there is no loss yet
        find_largest(memory, net, net.table_y, n_out, net.loss, numbers, target, begin, end)
        for s in range(begin, end):
            put(numbers, hits + s, 1 if get(numbers, guess + s) == get(numbers, target + s) else 0)
    else:
        for s in range(begin, end):
            put(numbers, hits + s, 0)
        for j in range(n_out):
            y, y_hat = net.table_y + j * net.rows, net.table_a + j * net.rows
            for s in range(begin, end):
                half = type(get(memory, y + s))(0.5)
                hit = 1 if (get(memory, y + s) > half) == (get(memory, y_hat + s) > half) else 0
                put(numbers, hits + s, get(numbers, hits + s) + hit)


@njit_merged
def error(memory, net, last, n, has_weights, jacobian, begin, end):
    """delta of the last layer, of a batch of n samples, or of weight n; after activation and score."""
    for j in range(last.n_out):
        y, a, delta = net.table_y + j * net.rows, net.table_a + j * net.rows, net.table_delta + j * net.rows
        if net.loss_kind == CCE or net.loss_kind == BCE:
            for s in range(begin, end):
                put(memory, delta + s, d_cce(n, get(memory, y + s), get(memory, a + s)))
        elif net.loss_kind == SSE:
            for s in range(begin, end):
                put(memory, delta + s, d_sse(get(memory, y + s), get(memory, a + s)))
        else:
            for s in range(begin, end):
                put(memory, delta + s, d_mse(n, get(memory, y + s), get(memory, a + s)))
        if has_weights:
            for s in range(begin, end):
                put(memory, delta + s, weighted(get(memory, net.weight + s), get(memory, delta + s)))
        if net.loss_kind == SSE or net.loss_kind == MSE:
            elementwise.activation_error(last.kind, net.epsilon, memory, a + begin, delta + begin, end - begin)
    if last.kind == SOFTMAX and net.loss_kind == BCE:
        through_logits(memory, net, last.n_out, jacobian, begin, end)
    elif last.kind == SOFTMAX and net.loss_kind != CCE:
        through_softmax(memory, net, last.n_out, jacobian, begin, end)
    pour(memory, net, net.table_delta, last.n_out, last.delta, begin, end)


# Where the full Jacobian of softmax is needed


@njit_merged
def row(net, number, s, n_out):
    """Place of a row (1, n_out) of a sample; there are 4 of them."""
    return net.jacobian_rows + number * net.table_size + s * n_out


@njit_part
def read_row(memory, net, table, s, row):
    """row_j = table[j][s]."""
    for j in range(row.shape[1]):
        row[0, j] = get(memory, table + j * net.rows + s)


@njit_part
def write_row(memory, net, table, s, row):
    """table[j][s] = row_j."""
    for j in range(row.shape[1]):
        put(memory, table + j * net.rows + s, row[0, j])


@njit_part
def through_softmax(memory, net, n_out, jacobian, begin, end):
    """delta_j = sum_i dL/da_i da_i/dz_j of a softmax layer, in the table of delta, which holds dL/da."""
    if jacobian is None:
        return
    for s in range(begin, end):
        a = matrix(memory, row(net, 0, s, n_out), 1, n_out)
        dl_da = matrix(memory, row(net, 1, s, n_out), 1, n_out)
        delta = matrix(memory, row(net, 2, s, n_out), 1, n_out)
        read_row(memory, net, net.table_a, s, a)
        read_row(memory, net, net.table_delta, s, dl_da)
        softmax_error(dl_da, a, delta)
        write_row(memory, net, net.table_delta, s, delta)


@njit_part
def through_hidden_softmax(memory, net, layer, jacobian, begin, end):
    """delta of a hidden softmax layer, whose panels of delta hold dL/da."""
    if jacobian is None:
        return
    fill(memory, net, net.table_a, layer.n_out, layer.a, begin, end)
    fill(memory, net, net.table_delta, layer.n_out, layer.delta, begin, end)
    through_softmax(memory, net, layer.n_out, jacobian, begin, end)
    pour(memory, net, net.table_delta, layer.n_out, layer.delta, begin, end)


@njit_part
def become_logits(memory, net, n_out, jacobian, begin, end):
    """The table of z becomes u of softmax_logit; z and u stay in rows 0 and 1 of the samples."""
    if jacobian is None:
        return
    for s in range(begin, end):
        z = matrix(memory, row(net, 0, s, n_out), 1, n_out)
        u = matrix(memory, row(net, 1, s, n_out), 1, n_out)
        read_row(memory, net, net.table_z, s, z)
        softmax_logit(z, u)
        write_row(memory, net, net.table_z, s, u)


@njit_part
def through_logits(memory, net, n_out, jacobian, begin, end):
    """delta_j = sum_i dL/du_i du_i/dz_j, in the table of delta, which holds dL/du; after become_logits."""
    if jacobian is None:
        return
    for s in range(begin, end):
        z = matrix(memory, row(net, 0, s, n_out), 1, n_out)
        u = matrix(memory, row(net, 1, s, n_out), 1, n_out)
        dl_du = matrix(memory, row(net, 2, s, n_out), 1, n_out)
        delta = matrix(memory, row(net, 3, s, n_out), 1, n_out)
        read_row(memory, net, net.table_delta, s, dl_du)
        softmax_logit_error(dl_du, z, u, delta)
        write_row(memory, net, net.table_delta, s, delta)
