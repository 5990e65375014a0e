"""What looks at whole rows of a layer: softmax, and at the output loss, hits and delta. On tables (n, n_out), row by row.

Rows are copied from the panels of `layout` into tables, where the loops of `numbanet.equations` take them, and back. Every
function works on a range of samples, so that threads can share a block.
"""

from numbanet._compile import njit, njit_inline
from numbanet.engines import samples
from numbanet.engines.cpu.matrix import matrix
from numbanet.engines.cpu.vector import get, lanes, put
from numbanet.equations import activations, backprop, losses
from numbanet.equations.activations import SIGMOID, SOFTMAX
from numbanet.equations.losses import BCE, CCE

Z, A, DELTA, DL_DA, U = range(5)  # the tables; U is where softmax_logit goes


@njit_inline
def table(memory, plan, number, n_out, begin, end):
    """Rows begin to end - 1 of a table, (end - begin, n_out)."""
    return matrix(memory, plan.tables + number * plan.table_size + begin * n_out, end - begin, n_out)


@njit
def fill(rows, memory, plan, panels, begin):
    """rows[s, j], from the panels that begin at that place and their row `begin`."""
    width = 2 * lanes(memory)
    for s in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            rows[s, j] = get(memory, panels + (j // width * plan.rows + begin + s) * width + j % width)


@njit
def pour(rows, memory, plan, panels, begin):
    """The inverse of fill."""
    width = 2 * lanes(memory)
    for s in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            put(memory, panels + (j // width * plan.rows + begin + s) * width + j % width, rows[s, j])


@njit
def softmax(memory, plan, l, z_max, others, begin, end):
    """a of a softmax layer whose panels hold z; leaves z and a in their tables."""
    n_out, panels = plan.sizes[l + 1], plan.a[l + 1]
    z, a = table(memory, plan, Z, n_out, begin, end), table(memory, plan, A, n_out, begin, end)
    fill(z, memory, plan, panels, begin)
    activations.softmax_sum(z, z_max[begin:end], others[begin:end])
    activations.softmax_activation(z, z_max[begin:end], others[begin:end], a)
    pour(a, memory, plan, panels, begin)


@njit
def softmax_error(memory, plan, l, begin, end):
    """delta of a softmax layer whose panels of delta hold dL/da."""
    n_out = plan.sizes[l + 1]
    a, dl_da = table(memory, plan, A, n_out, begin, end), table(memory, plan, DL_DA, n_out, begin, end)
    delta = table(memory, plan, DELTA, n_out, begin, end)
    fill(a, memory, plan, plan.a[l + 1], begin)
    fill(dl_da, memory, plan, plan.delta[l], begin)
    backprop.softmax_error(dl_da, a, delta)
    pour(delta, memory, plan, plan.delta[l], begin)


@njit
def activation(memory, plan, z_max, others, begin, end):
    """The last layer's a from its z; leaves both in their tables."""
    last = plan.kinds.size - 1
    if plan.kinds[last] == SOFTMAX:
        softmax(memory, plan, last, z_max, others, begin, end)
    else:
        n_out = plan.sizes[last + 1]
        z, a = table(memory, plan, Z, n_out, begin, end), table(memory, plan, A, n_out, begin, end)
        fill(z, memory, plan, plan.a[last + 1], begin)
        activations.activation(plan.kinds[last], plan.epsilon, z, a)


@njit_inline
def logit(plan, z, u):
    """u of every sample, which sigmoid turns into y_hat: z itself for a sigmoid output, see softmax_logit for softmax."""
    if plan.kinds[-1] == SIGMOID:
        return z
    activations.softmax_logit(z, u)
    return u


@njit
def score(memory, plan, y, z_max, others, loss_of_sample, hits_of_sample, begin, end):
    """Losses (with n = 1) and hits of samples; y (end - begin, n_out) are their targets. After activation."""
    n_out = y.shape[1]
    z, a = table(memory, plan, Z, n_out, begin, end), table(memory, plan, A, n_out, begin, end)
    samples.hits(plan.loss_kind, y, a, hits_of_sample[begin:end])
    if plan.loss_kind == CCE:
        losses.cce_loss(1, y, z, z_max[begin:end], others[begin:end], loss_of_sample[begin:end])
    elif plan.loss_kind == BCE:
        losses.bce_from_z_loss(1, y, logit(plan, z, table(memory, plan, U, n_out, begin, end)), loss_of_sample[begin:end])
    else:
        losses.loss(plan.loss_kind, 1, y, a, loss_of_sample[begin:end])


@njit
def error(memory, plan, y, n, begin, end):
    """delta of the last layer, of a batch of n samples; after activation and score."""
    n_out, kind = y.shape[1], plan.kinds[-1]
    z, a = table(memory, plan, Z, n_out, begin, end), table(memory, plan, A, n_out, begin, end)
    delta, dl_da = table(memory, plan, DELTA, n_out, begin, end), table(memory, plan, DL_DA, n_out, begin, end)
    if plan.loss_kind == BCE and kind == SOFTMAX:
        backprop.short_error(n, y, a, dl_da)  # dL/du
        backprop.softmax_logit_error(dl_da, z, table(memory, plan, U, n_out, begin, end), delta)
    elif plan.loss_kind == BCE or plan.loss_kind == CCE:
        backprop.short_error(n, y, a, delta)
    else:
        losses.d_loss(plan.loss_kind, n, y, a, dl_da)
        if kind == SOFTMAX:
            backprop.softmax_error(dl_da, a, delta)
        else:
            backprop.activation_error(kind, plan.epsilon, dl_da, z, a, delta)
    pour(delta, memory, plan, plan.delta[-1], begin)
