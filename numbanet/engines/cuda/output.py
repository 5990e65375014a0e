"""What looks at whole rows of a layer: softmax, and at the output loss, hits and delta. One thread does a row.

The loops are those of `numbanet.equations`, called with matrices of a single row.
"""

from numbanet._cuda import callable_in_kernels, cuda, device_function
from numbanet.engines import samples
from numbanet.engines.epoch import N
from numbanet.equations import activations, backprop, losses
from numbanet.equations.activations import SIGMOID, SOFTMAX
from numbanet.equations.losses import BCE, CCE, weighted

activation, softmax_sum, softmax_activation, softmax_logit = map(
    callable_in_kernels,
    (activations.activation, activations.softmax_sum, activations.softmax_activation, activations.softmax_logit),
)
loss, d_loss, bce_from_z_loss, cce_loss = map(
    callable_in_kernels, (losses.loss, losses.d_loss, losses.bce_from_z_loss, losses.cce_loss)
)
activation_error, short_error, softmax_error, softmax_logit_error = map(
    callable_in_kernels,
    (backprop.activation_error, backprop.short_error, backprop.softmax_error, backprop.softmax_logit_error),
)
hits, weigh = callable_in_kernels(samples.hits), callable_in_kernels(losses.weigh)


@device_function
def output_row(loss_kind, kind, epsilon, n, y, z, a, delta, u, dl, z_max, others, loss_of_sample, hits_of_sample):
    """a, delta, loss and hits of one sample, in a batch of n samples, from y and z.

    Reads y, z (1, n_out); writes a, delta (1, n_out), loss_of_sample, hits_of_sample (1,); works in u, dl (1, n_out) and z_max,
    others (1,).
    """
    if kind == SOFTMAX:
        softmax_sum(z, z_max, others)
        softmax_activation(z, z_max, others, a)
    else:
        activation(kind, epsilon, z, a)
    hits(loss_kind, y, a, hits_of_sample)
    if loss_kind == CCE:
        cce_loss(1, y, z, z_max, others, loss_of_sample)
        short_error(n, y, a, delta)
    elif loss_kind == BCE and kind == SIGMOID:
        bce_from_z_loss(1, y, z, loss_of_sample)
        short_error(n, y, a, delta)
    elif loss_kind == BCE:
        softmax_logit(z, u)
        bce_from_z_loss(1, y, u, loss_of_sample)
        short_error(n, y, a, dl)
        softmax_logit_error(dl, z, u, delta)
    else:
        loss(loss_kind, 1, y, a, loss_of_sample)
        d_loss(loss_kind, n, y, a, dl)
        if kind == SOFTMAX:
            softmax_error(dl, a, delta)
        else:
            activation_error(kind, epsilon, dl, z, a, delta)


@cuda.jit
def output_rows(
    loss_kind, kind, epsilon, rates, weights, y, order, z, a, delta, u, dl, z_max, others, loss_of_sample, hits_of_sample
):
    """`output_row` for every sample s, whose y is row order_s; loss and delta times its weight.

    Reads rates (4,) of the step, weights (m,), y (N, n_out), order (m,), z (m, n_out); writes a, delta (m, n_out),
    loss_of_sample, hits_of_sample (m,).
    """
    s = cuda.grid(1)
    if s < order.shape[0]:
        row = order[s]
        output_row(
            *(loss_kind, kind, epsilon, rates[N], y[row : row + 1], z[s : s + 1], a[s : s + 1], delta[s : s + 1], u[s : s + 1]),
            *(dl[s : s + 1], z_max[s : s + 1], others[s : s + 1], loss_of_sample[s : s + 1], hits_of_sample[s : s + 1]),
        )
        loss_of_sample[s] = weighted(weights[s], loss_of_sample[s])
        weigh(weights[s : s + 1], delta[s : s + 1])
