"""The layout of a network in shared memory, for training in one thread block: the offset of every matrix.

Shared memory is one flat array. The offset at which a matrix begins is called the matrix's place. The distance between two
successive rows of a matrix is called the matrix's pitch. The pitch of each matrix is odd, so that the values of a column lie in
different memory banks. Row n_in of matrix W holds the biases b. The values in column n_in of matrix X are 1, the constant input
that is multiplied by b. Matrix A of a layer and matrix X of the next layer have the same offset, because the outputs of a layer
are the inputs of the next layer.
"""

from enum import auto
from typing import NamedTuple

import numpy as np

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.columns import Columns
from numbanet.engines.topology import Topology
from numbanet.equations.activations import SOFTMAX

# The number of threads in the block. Each thread computes a tile of 2 x 2 sums at a time. In the simulator, the block has few
# threads, because each CUDA thread is a Python thread.
THREADS = 4 if SIMULATED else 256


class Layer(Columns):
    """Names of the first columns of the table of layers (one row per layer): the layer's sizes and activation function."""

    N_IN = auto()  # number of inputs of the layer
    N_OUT = auto()  # number of neurons of the layer
    KIND = auto()  # integer constant of the activation function


class Matrix(Columns):
    """The matrices that a layer has in shared memory.

    In the table of layers, column `PLACES + m` holds the offset of matrix m in shared memory. Column `PITCHES + m` holds the
    matrix's pitch, which is the distance between two successive rows.
    """

    W = auto()  # w, with b as row n_in, of shape (n_in + 1, n_out)
    X = auto()  # x, with the constant input 1 in column n_in, of shape (batch, n_in + 1)
    A = auto()  # a, of shape (batch, n_out + 1)
    DELTA = auto()  # delta, of shape (batch, n_out)


class Output(Columns):
    """Work arrays in shared memory for softmax and for the loss and delta of the last layer."""

    Z = auto()  # z, of shape (batch, n_out)
    U = auto()  # the scratch matrix for `output_row`, of shape (batch, n_out)
    DL = auto()  # dL/da, of shape (batch, n_out)
    Z_MAX = auto()  # the largest z of each sample, of shape (batch,)
    OTHERS = auto()  # each sample's sum of e^(z - z_max) without the largest term, of shape (batch,)


PLACES = len(Layer)  # the column with the offset of the first `Matrix`; the offsets of the other matrices follow
PITCHES = PLACES + len(Matrix)  # the column with the pitch (row distance) of the first `Matrix`; the other pitches follow
LAYER_COLUMNS = PITCHES + len(Matrix)


class Tables(NamedTuple):
    """The tables from which the training kernel reads the sizes of all layers and the offsets of all matrices.

    Parameters
    ----------
    layers : (L, LAYER_COLUMNS) int32
        The table of layers, one row for each of the L layers; the enumerations `Layer` and `Matrix` name its columns.
    output : (len(Output),) int32
        The offsets in shared memory of the work arrays that the enumeration `Output` names.
    numbers : int
        The number of values in shared memory that the whole network needs.
    """

    layers: np.ndarray
    output: np.ndarray
    numbers: int


def odd(count: int) -> int:
    """Returns the smallest odd number that is at least `count`."""
    return count | 1


def tables(topology: Topology, batch_size: int) -> Tables:
    """Assigns an offset in shared memory to each matrix of a network, and returns the tables of these offsets.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    batch_size : int
        Number of samples in a batch.

    Returns
    -------
    Tables
        The table of layers and the table of work arrays, from which the training kernel reads all offsets.
    """
    end = 0

    def take(count: int) -> int:
        nonlocal end
        start, end = end, end + count
        return start

    def take_matrix(layer: np.ndarray, matrix: Matrix, rows: int, width: int) -> None:
        layer[PLACES + matrix], layer[PITCHES + matrix] = take(rows * odd(width)), odd(width)

    layers = np.zeros((len(topology.kinds), LAYER_COLUMNS), np.int32)
    x = take(batch_size * odd(topology.sizes[0] + 1))
    for layer, kind, (n_in, n_out) in zip(layers, topology.kinds, topology.layers, strict=True):
        layer[[Layer.N_IN, Layer.N_OUT, Layer.KIND]] = n_in, n_out, kind
        layer[PLACES + Matrix.X], layer[PITCHES + Matrix.X] = x, odd(n_in + 1)
        take_matrix(layer, Matrix.W, n_in + 1, n_out)
        take_matrix(layer, Matrix.A, batch_size, n_out + 1)
        take_matrix(layer, Matrix.DELTA, batch_size, n_out)
        x = layer[PLACES + Matrix.A]
    softmax_widths = [n_out for kind, n_out in zip(topology.kinds, topology.sizes[1:], strict=True) if kind == SOFTMAX]
    widest = max([topology.sizes[-1], *softmax_widths])
    output = np.zeros(len(Output), np.int32)
    for entry in (Output.Z, Output.U, Output.DL):
        output[entry] = take(batch_size * widest)
    output[Output.Z_MAX], output[Output.OTHERS] = take(batch_size), take(batch_size)
    return Tables(layers, output, end)


def shared_bytes(topology: Topology, batch_size: int) -> int:
    """Returns the number of bytes of shared memory that training a network on batches of `batch_size` samples needs."""
    return tables(topology, batch_size).numbers * topology.dtype.itemsize
