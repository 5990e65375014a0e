"""The layout of a network in shared memory, for training in one thread block: the offset of every matrix.

Shared memory is one flat array. Each matrix begins at an offset, called its place. The pitch of a matrix is the step from one
row to the next in the flat array. The pitch is odd, so that the values of a column lie in different memory banks. Row n_in of
matrix W holds b. Column n_in of matrix X is 1, the constant input that is multiplied by b. Matrix A of a layer and matrix X of
the next layer are stored at the same offset, because the outputs of a layer are the inputs of the next layer.
"""

from enum import auto
from typing import NamedTuple

import numpy as np

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.columns import Columns
from numbanet.engines.topology import Topology
from numbanet.equations.activations import SOFTMAX

# Threads of the block. Each thread computes the 4 sums of a 2 x 2 tile at a time. A simulated thread takes a Python thread.
THREADS = 4 if SIMULATED else 256


class Layer(Columns):
    """The first columns of the table of layers, which has one row per layer: the sizes and the activation of the layer."""

    N_IN = auto()  # number of inputs of the layer
    N_OUT = auto()  # number of neurons of the layer
    KIND = auto()  # integer constant of the activation


class Matrix(Columns):
    """The matrices that a layer has in shared memory.

    The table of layers has two columns for each matrix m of this enumeration. Column `PLACES + m` holds the offset of the
    matrix in shared memory. Column `PITCHES + m` holds the pitch of the matrix, which is the step from row to row.
    """

    W = auto()  # w, and b as row n_in, (n_in + 1, n_out)
    X = auto()  # x, and 1 as column n_in, (batch, n_in + 1)
    A = auto()  # a, (batch, n_out + 1)
    DELTA = auto()  # delta, (batch, n_out)


class Output(Columns):
    """Work arrays in shared memory for softmax and for the loss and delta of the last layer.

    The table `output`, which kernels read, holds the offset of each array in shared memory.
    """

    Z = auto()  # z, (batch, n_out)
    U = auto()  # scratch matrix of `output_row`, (batch, n_out)
    DL = auto()  # dL/da, (batch, n_out)
    Z_MAX = auto()  # the largest z of each sample, (batch,)
    OTHERS = auto()  # the sum of e^(z - z_max) without its largest term, (batch,)


PLACES = len(Layer)  # the column with the offset of the first `Matrix`; the offsets of the other matrices follow
PITCHES = PLACES + len(Matrix)  # the column with the pitch of the first `Matrix`; the pitches of the other matrices follow
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
        The number of values that the whole network takes in shared memory.
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
        Sizes, activations, loss and dtype of the network.
    batch_size : int
        Number of samples of a batch.

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
    """Returns the number of bytes of shared memory that training a network on batches of `batch_size` samples takes."""
    return tables(topology, batch_size).numbers * topology.dtype.itemsize
