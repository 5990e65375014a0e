"""Dropout: during training, a neuron's activation is set to 0 with probability p, and otherwise divided by 1 - p.

Dropout was introduced by Srivastava et al., 2014, JMLR 15:1929-1958. The counter-based random generator Philox 4x32-10 (Salmon
et al., 2011, doi:10.1145/2063384.2063405) computes a random number from a key and the indices of a sample s, a neuron j and a
layer l. Because the random number depends only on the key and on the indices s, j and l, the same neurons drop out on every
device, with any number of threads.
"""

import numpy as np

from numbanet._compile import njit, njit_formula
from numbanet._cuda import cuda

# Philox multiplies parts of its counter by M_0 and M_1, and adds W_0 and W_1 to the halves of its key. The four numbers have 32
# bits, but are stored in 64-bit variables, which can hold the product of two 32-bit numbers.
M_0, M_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W_0, W_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOW, HIGH = np.uint64(0xFFFFFFFF), np.uint64(32)


@njit_formula
def philox(key, group, sample, layer):
    """Returns four 32-bit random numbers, computed from a 64-bit key and three 32-bit counters: group, sample and layer."""
    key = np.uint64(key)
    c_0, c_1, c_2, c_3 = np.uint64(group), np.uint64(sample), np.uint64(layer), np.uint64(0)
    k_0, k_1 = key & LOW, key >> HIGH
    for _ in range(10):
        p_0, p_1 = M_0 * c_0, M_1 * c_2
        c_0, c_1, c_2, c_3 = (p_1 >> HIGH) ^ c_1 ^ k_0, p_1 & LOW, (p_0 >> HIGH) ^ c_3 ^ k_1, p_0 & LOW
        k_0, k_1 = (k_0 + W_0) & LOW, (k_1 + W_1) & LOW
    return c_0, c_1, c_2, c_3


@njit
def random_number(key, sample, neuron, layer):
    """Returns the random number for a neuron: one of the four numbers that philox computes for a group of four neurons."""
    numbers = philox(key, neuron // 4, sample, layer)
    return numbers[neuron % 4]


@njit
def dropped(scale, limit, number, value):
    """Returns 0 if the random number `number` is less than `limit`, and value * scale otherwise.

    `limit` is p * 2^32, and `scale` is 1 / (1 - p), where p is the probability that a neuron drops out. In the forward pass,
    the function maps the activation a_j to the next layer's input x_j. In the backward pass, the function maps dL/dx_j to
    dL/da_j.
    """
    return scale * value if number >= limit else type(value)(0)


@njit
def drop(key, layer, scale, limit, first, rows):
    """Sets rows_sj to 0 if neuron j drops out (with probability p), and multiplies rows_sj by `scale` = 1 / (1 - p) otherwise.

    `limit` is p * 2^32. `rows` contains activations in the forward pass, and dL/dx in the backward pass. Row s belongs to the
    epoch's sample with the index first + s.
    Updates rows (n, n_out). Twin: drop_cuda.
    """
    for s in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            number = random_number(key, first + s, j, layer)
            rows[s, j] = dropped(scale, limit, number, rows[s, j])


@cuda.jit
def drop_cuda(key, layer, scale, limit, first, rows):
    """Sets rows_sj to 0 if neuron j drops out, or multiplies rows_sj by `scale`, with one thread per s and j. Twin: drop."""
    j, s = cuda.grid(2)
    if s < rows.shape[0] and j < rows.shape[1]:
        number = random_number(key, first + s, j, layer)
        rows[s, j] = dropped(scale, limit, number, rows[s, j])
