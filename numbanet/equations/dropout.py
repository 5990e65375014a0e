"""Dropout: in training, the activation of a neuron is set to 0 with probability p, and otherwise divided by 1 - p.

Dropout was introduced by Srivastava et al., 2014, JMLR 15:1929-1958. A counter-based generator, Philox 4x32-10 (Salmon et al.,
2011, doi:10.1145/2063384.2063405), computes a random number from the indices of sample s, neuron j and layer l. Every device,
with any number of threads, therefore drops the same neurons.
"""

import numpy as np

from numbanet._compile import njit, njit_formula
from numbanet._cuda import cuda

# Philox multiplies parts of its counter by M, and adds W to the halves of its key. Its numbers have 32 bits; they are stored in
# variables of 64 bits, which can hold the product of two such numbers.
M_0, M_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W_0, W_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOW, HIGH = np.uint64(0xFFFFFFFF), np.uint64(32)


@njit_formula
def philox(key, group, sample, layer):
    """Returns four random numbers of 32 bits, from a key of 64 bits and three counters of 32 bits: group, sample and layer."""
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
    """Returns the random number of a neuron: one of the four numbers that philox computes for a group of four neurons."""
    numbers = philox(key, neuron // 4, sample, layer)
    return numbers[neuron % 4]


@njit
def dropped(scale, limit, number, value):
    """Returns value / (1 - p), or 0 if the random number is below the limit p 2^32; scale is 1 / (1 - p).

    In the forward pass it maps the activation a_j to the input x_j of the next layer; in the backward pass, dL/dx_j to dL/da_j.
    """
    return scale * value if number >= limit else type(value)(0)


@njit
def drop(key, layer, scale, limit, first, rows):
    """Sets rows_sj to 0 for dropped neurons, and divides it by 1 - p for all others; rows hold activations or their errors.

    Row s belongs to sample number first + s of the epoch. Updates rows (n, n_out). Twin: drop_cuda.
    """
    for s in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            number = random_number(key, first + s, j, layer)
            rows[s, j] = dropped(scale, limit, number, rows[s, j])


@cuda.jit
def drop_cuda(key, layer, scale, limit, first, rows):
    """Sets rows_sj to 0 for dropped neurons, or divides it by 1 - p, one thread per sample s and neuron j. Twin: drop."""
    j, s = cuda.grid(2)
    if s < rows.shape[0] and j < rows.shape[1]:
        number = random_number(key, first + s, j, layer)
        rows[s, j] = dropped(scale, limit, number, rows[s, j])
