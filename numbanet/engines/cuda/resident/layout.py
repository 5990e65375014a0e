"""The places of a network's numbers in the shared memory of the one block that trains it.

Shared memory is one flat array. A matrix begins at a place; its pitch, the step from row to row, is odd, so that the numbers of
a column lie in different banks. Row n_in of w is b; column n_in of x is 1, the input of b. a of a layer is x of the next one.
"""

from enum import auto
from typing import NamedTuple

import numpy as np

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.columns import Columns
from numbanet.engines.topology import Topology
from numbanet.equations.activations import SOFTMAX

THREADS = 4 if SIMULATED else 256  # of the block; each has 4 sums of a tile at a time. A simulated one costs a thread of Python


class Layer(Columns):
    """The first columns of the table of layers."""

    N_IN = auto()  # neurons of the layer before
    N_OUT = auto()  # neurons of this layer
    KIND = auto()  # activation constant


class Matrix(Columns):
    """The matrices of a layer. Each has a place and a pitch in the table of layers: see `PLACES` and `PITCHES`."""

    W = auto()  # w and b, (n_in + 1, n_out)
    X = auto()  # x, (batch, n_in + 1)
    A = auto()  # a, (batch, n_out + 1)
    DELTA = auto()  # delta, (batch, n_out)


class Output(Columns):
    """The entries of the table of places that whole rows of a layer are computed in: softmax, and `output_row`."""

    Z = auto()  # z, (batch, n_out)
    U = auto()  # work space of `output_row`, (batch, n_out)
    DL = auto()  # dL/da, (batch, n_out)
    Z_MAX = auto()  # the largest z of each sample, (batch,)
    OTHERS = auto()  # the sum of e^(z - z_max) without its largest term, (batch,)


PLACES = len(Layer)  # the column of the place of the first `Matrix`; the places of the others follow
PITCHES = PLACES + len(Matrix)  # the column of the pitch of the first `Matrix`, likewise
LAYER_COLUMNS = PITCHES + len(Matrix)


class Tables(NamedTuple):
    """The places of all numbers; see `tables`.

    Parameters
    ----------
    layers : (L, LAYER_COLUMNS) int32
        `Layer` and `Matrix` name its columns.
    output : (len(Output),) int32
    numbers : int
        Numbers of shared memory.
    """

    layers: np.ndarray
    output: np.ndarray
    numbers: int


def odd(count: int) -> int:
    """Returns the smallest odd number that is at least count."""
    return count | 1


def tables(topology: Topology, batch_size: int) -> Tables:
    """Returns the tables of a network that is trained on batches of a size.

    Parameters
    ----------
    topology : Topology
    batch_size : int

    Returns
    -------
    Tables
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
    """Returns the bytes of shared memory that training takes."""
    return tables(topology, batch_size).numbers * topology.dtype.itemsize
