"""Gradient descent, w <- w - eta dL/dw and b <- b - eta dL/db, and the optimizers derived from gradient descent.

Each loop updates a flat vector of parameters: all or some of the weights w and biases b. Some optimizers keep a state for each
parameter: a velocity, or two moments. An optimizer's state is initialised with 0. In most equations of this module, w stands
for any parameter, weight or bias.
"""

import math

from numbanet._compile import njit
from numbanet._cuda import cuda


@njit
def descend(eta, gradient, parameter):
    """Returns w - eta dL/dw for a weight w, or b - eta dL/db for a bias b."""
    return parameter - eta * gradient


@njit
def gradient_descent(eta, gradients, parameters):
    """Updates w <- w - eta dL/dw and b <- b - eta dL/db, for every parameter p.

    Reads gradients (p,). Updates parameters (p,). Twin: gradient_descent_cuda.
    """
    for p in range(parameters.shape[0]):
        parameters[p] = descend(eta, gradients[p], parameters[p])


@cuda.jit
def gradient_descent_cuda(eta, gradients, parameters):
    """Updates w <- w - eta dL/dw and b <- b - eta dL/db, with one thread per parameter p. Twin: gradient_descent."""
    p = cuda.grid(1)
    if p < parameters.shape[0]:
        parameters[p] = descend(eta, gradients[p], parameters[p])


# Momentum (Polyak, 1964, doi:10.1016/0041-5553(64)90137-5) and Nesterov momentum (Sutskever et al., 2013, PMLR 28(3):1139-1147)


@njit
def velocity_after(mu, gradient, velocity):
    """Returns mu v + dL/dw, which is the velocity after a step; `velocity` is v before the step."""
    return mu * velocity + gradient


@njit
def nesterov_gradient(mu, gradient, velocity):
    """Returns dL/dw + mu v, the direction of a Nesterov step; `velocity` is v after this step."""
    return gradient + mu * velocity


@njit
def momentum(eta, mu, gradients, velocities, parameters):
    """Updates v <- mu v + dL/dw, then w <- w - eta v, for every parameter p.

    Reads gradients (p,). Updates velocities and parameters, both (p,). Twin: momentum_cuda.
    """
    for p in range(parameters.shape[0]):
        velocities[p] = velocity_after(mu, gradients[p], velocities[p])
        parameters[p] = descend(eta, velocities[p], parameters[p])


@cuda.jit
def momentum_cuda(eta, mu, gradients, velocities, parameters):
    """Updates v <- mu v + dL/dw, then w <- w - eta v, with one thread per parameter p. Twin: momentum."""
    p = cuda.grid(1)
    if p < parameters.shape[0]:
        velocities[p] = velocity_after(mu, gradients[p], velocities[p])
        parameters[p] = descend(eta, velocities[p], parameters[p])


@njit
def nesterov(eta, mu, gradients, velocities, parameters):
    """Updates v <- mu v + dL/dw, then w <- w - eta (dL/dw + mu v), for every parameter p.

    Reads gradients (p,). Updates velocities and parameters, both (p,). Twin: nesterov_cuda.
    """
    for p in range(parameters.shape[0]):
        velocities[p] = velocity_after(mu, gradients[p], velocities[p])
        parameters[p] = descend(eta, nesterov_gradient(mu, gradients[p], velocities[p]), parameters[p])


@cuda.jit
def nesterov_cuda(eta, mu, gradients, velocities, parameters):
    """Updates v <- mu v + dL/dw, then w <- w - eta (dL/dw + mu v), with one thread per parameter p. Twin: nesterov."""
    p = cuda.grid(1)
    if p < parameters.shape[0]:
        velocities[p] = velocity_after(mu, gradients[p], velocities[p])
        parameters[p] = descend(eta, nesterov_gradient(mu, gradients[p], velocities[p]), parameters[p])


# Adam (Kingma and Ba, 2015, arXiv:1412.6980): m and v are moving averages of g = dL/dw and of g^2, and w <- w - eta m_hat /
# (sqrt(v_hat) + epsilon). The moving averages m and v are initialised with 0. In step t, m_hat = m / (1 - beta_1^t) and v_hat =
# v / (1 - beta_2^t) correct the bias that results from the initial 0. The loops use the faster form at the end of the paper's
# section 2, which applies both corrections once per step, in eta_t = eta sqrt(1 - beta_2^t) / (1 - beta_1^t) and epsilon_t =
# epsilon sqrt(1 - beta_2^t).


@njit
def moment(one_minus_beta, value, average):
    """Returns the new moving average, beta m + (1 - beta) value, where m is the old average.

    The function takes 1 - beta instead of beta, because computing 1 - beta from a rounded beta near 1 would lose digits.
    """
    return average + one_minus_beta * (value - average)


@njit
def adam_gradient(epsilon_t, m, v):
    """Returns m / (sqrt(v) + epsilon_t), which is the direction of an Adam step."""
    return m / (math.sqrt(v) + epsilon_t)


@njit
def adam(eta_t, one_minus_beta_1, one_minus_beta_2, epsilon_t, gradients, m, v, parameters):
    """Updates m <- beta_1 m + (1 - beta_1) g, v <- beta_2 v + (1 - beta_2) g^2, w <- w - eta_t m / (sqrt(v) + epsilon_t).

    g is dL/dw. In step t, eta_t = eta sqrt(1 - beta_2^t) / (1 - beta_1^t) and epsilon_t = epsilon sqrt(1 - beta_2^t).
    Each parameter p, weight or bias, has its own m and v.
    Reads gradients (p,). Updates m, v and parameters, each (p,). Twin: adam_cuda.
    """
    for p in range(parameters.shape[0]):
        m[p] = moment(one_minus_beta_1, gradients[p], m[p])
        v[p] = moment(one_minus_beta_2, gradients[p] * gradients[p], v[p])
        parameters[p] = descend(eta_t, adam_gradient(epsilon_t, m[p], v[p]), parameters[p])


@cuda.jit
def adam_cuda(eta_t, one_minus_beta_1, one_minus_beta_2, epsilon_t, gradients, m, v, parameters):
    """Updates w <- w - eta_t m / (sqrt(v) + epsilon_t), with one thread per parameter p. Twin: adam."""
    p = cuda.grid(1)
    if p < parameters.shape[0]:
        m[p] = moment(one_minus_beta_1, gradients[p], m[p])
        v[p] = moment(one_minus_beta_2, gradients[p] * gradients[p], v[p])
        parameters[p] = descend(eta_t, adam_gradient(epsilon_t, m[p], v[p]), parameters[p])


# Weight decay: as L2 regularisation, and decoupled as in AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101)


@njit
def penalised(decay, parameter, gradient):
    """Returns dL/dw + lambda w, which is the gradient of the penalised loss L + lambda/2 sum w^2; `decay` is lambda."""
    return gradient + decay * parameter


@njit
def l2_gradient(decay, parameters, gradients):
    """Updates dL/dw <- dL/dw + lambda w, for every parameter p; the argument decay is lambda.

    Reads parameters (p,). Updates gradients (p,). Twin: l2_gradient_cuda.
    """
    for p in range(gradients.shape[0]):
        gradients[p] = penalised(decay, parameters[p], gradients[p])


@cuda.jit
def l2_gradient_cuda(decay, parameters, gradients):
    """Updates dL/dw <- dL/dw + lambda w, with one thread per parameter p. Twin: l2_gradient."""
    p = cuda.grid(1)
    if p < gradients.shape[0]:
        gradients[p] = penalised(decay, parameters[p], gradients[p])


@njit
def decayed(eta, decay, parameter):
    """Returns w - eta lambda w, which is the weight after decoupled weight decay; `decay` is lambda."""
    return parameter - eta * decay * parameter


@njit
def weight_decay(eta, decay, parameters):
    """Updates w <- w - eta lambda w, for every parameter p; the argument decay is lambda.

    Updates parameters (p,). Twin: weight_decay_cuda.
    """
    for p in range(parameters.shape[0]):
        parameters[p] = decayed(eta, decay, parameters[p])


@cuda.jit
def weight_decay_cuda(eta, decay, parameters):
    """Updates w <- w - eta lambda w, with one thread per parameter p. Twin: weight_decay."""
    p = cuda.grid(1)
    if p < parameters.shape[0]:
        parameters[p] = decayed(eta, decay, parameters[p])


# Clipping by the norm of all gradients (Pascanu et al., 2013, PMLR 28(3):1310-1318)


@njit
def clip_scale(most, squares):
    """Returns min(1, most / |g|), where g is the vector of all gradients, and `most` is the largest allowed norm |g|.

    The argument `squares` is |g|^2. If g is multiplied by the returned factor, the norm of g is at most `most`.
    """
    norm = math.sqrt(squares)
    return most / norm if norm > most else type(most)(1)


@njit
def sum_of_squares(gradients, squares):
    """Computes |g|^2 = sum_p g_p^2. Reads gradients (p,). Writes squares (1,). Twin: sum_of_squares_cuda."""
    for s in range(squares.shape[0]):
        total = type(gradients[0])(0)
        for k in range(gradients.shape[0]):
            total += gradients[k] * gradients[k]
        squares[s] = total


@cuda.jit
def sum_of_squares_cuda(gradients, squares):
    """Computes |g|^2 = sum_p g_p^2, with a single thread. Twin: sum_of_squares."""
    s = cuda.grid(1)
    if s < squares.shape[0]:
        total = type(gradients[0])(0)
        for k in range(gradients.shape[0]):
            total += gradients[k] * gradients[k]
        squares[s] = total


@njit
def clip(most, squares, gradients):
    """Scales the gradients: g_p <- g_p min(1, most / |g|) for every parameter p; |g| is the norm of the whole vector g.

    `most` is the largest allowed norm; `squares` contains |g|^2. Reads squares (1,). Updates gradients (p,). Twin: clip_cuda.
    """
    for p in range(gradients.shape[0]):
        gradients[p] = gradients[p] * clip_scale(most, squares[0])


@cuda.jit
def clip_cuda(most, squares, gradients):
    """Scales the gradients: g_p <- g_p min(1, most / |g|), with one thread per parameter p. Twin: clip."""
    p = cuda.grid(1)
    if p < gradients.shape[0]:
        gradients[p] = gradients[p] * clip_scale(most, squares[0])
