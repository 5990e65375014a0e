"""The three products of a layer, with the sheet's loops interchanged: the innermost one runs along a row of memory.

They add up the same terms as their namesakes in `numbanet.equations`, and take the terms from there.
"""

from numbanet._compile import njit
from numbanet.equations.backprop import d_bias, d_weight, weighted_error
from numbanet.equations.neuron import weighted_input


@njit
def forward_sum(x, order, w, b, z):
    """z_j = sum_i w_ij x_i + b_j, x being the rows `order` of an array.

    Reads x (N, n_in), order (n,), w (n_in, n_out), b (n_out,); writes z (n, n_out).
    """
    for s in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[s, j] = b[j]
        for i in range(w.shape[0]):
            x_i = x[order[s], i]
            for j in range(z.shape[1]):
                z[s, j] += weighted_input(w[i, j], x_i)


@njit
def add_gradients(x, order, delta, dw, db):
    """dL/dw_ij = delta_j x_i and dL/db_j = delta_j, added for the samples given, x being the rows `order` of an array.

    Reads x (N, n_in), order (n,), delta (n, n_out); adds to dw (n_in, n_out), db (n_out,).
    """
    for i in range(dw.shape[0]):
        for s in range(delta.shape[0]):
            x_i = x[order[s], i]
            for j in range(dw.shape[1]):
                dw[i, j] += d_weight(delta[s, j], x_i)
    for s in range(delta.shape[0]):
        for j in range(db.shape[0]):
            db[j] += d_bias(delta[s, j])


@njit
def transpose(w, w_t):
    """w_t[j, i] = w[i, j]."""
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            w_t[j, i] = w[i, j]


@njit
def error_sum(w_t, delta, dl_da):
    """dL/da_i = sum_j w_ij delta_j, the sum inside the delta recurrence.

    Reads w_t (n_out, n_in), delta (n, n_out); writes dl_da (n, n_in).
    """
    for s in range(dl_da.shape[0]):
        for i in range(dl_da.shape[1]):
            dl_da[s, i] = 0
        for j in range(w_t.shape[0]):
            delta_j = delta[s, j]
            for i in range(dl_da.shape[1]):
                dl_da[s, i] += weighted_error(w_t[j, i], delta_j)
