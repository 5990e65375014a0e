"""The output layer: its activations, the loss and the correct outputs (hits) of each sample, and delta.

The functions fill tables (arrays indexed [neuron][sample]), and call the compiled functions for the activation function and the
loss. Every function processes the samples in the range `span`, so that threads can divide a block of samples among themselves.
"""

from numbanet._compile import njit_merged
from numbanet.engines.cpu.kernels.elementwise import call_activation
from numbanet.engines.cpu.kernels.losses import call_error, call_score
from numbanet.engines.cpu.kernels.softmax import call_softmax
from numbanet.engines.cpu.kernels.tables import fill
from numbanet.engines.cpu.kernels.vector import get, put
from numbanet.equations.activations import SOFTMAX


@njit_merged
def activation(workspace, span):
    """Computes the activations a of the last layer from z, for the samples in `span`.

    Also writes z and a to two tables, which are indexed [neuron][sample].
    """
    memory, header, last = workspace.memory, workspace.header, workspace.layers[workspace.layers.size - 1]
    if last.kind == SOFTMAX:
        call_softmax(header.softmax, (memory, header, last, workspace.integers, span))
    else:
        fill(memory, header, header.table_z, last.n_out, last.a, span)
        fill(memory, header, header.table_a, last.n_out, last.a, span)
        for j in range(last.n_out if last.phi != 0 else 0):
            a = header.table_a + j * header.rows + span.begin
            call_activation(last.phi, (memory, header.epsilon, a, a, span.end - span.begin))


@njit_merged
def score(workspace, samples, position, span):
    """Computes the loss and the number of correct outputs (hits) of each sample in `span`.

    The index s in `span` stands for the sample with the row index samples.order[position + s]. The loss of a sample is
    multiplied by the sample's weight, but not divided by n, the divisor of the mean loss. The caller must have called
    `activation`, which fills the tables of z and a.
    """
    memory, header, last = workspace.memory, workspace.header, workspace.layers[workspace.layers.size - 1]
    n_out, rows, order, weights = last.n_out, header.rows, samples.order, samples.weights
    for s in range(span.begin, span.end):
        row = get(order, position + s) * n_out
        for j in range(n_out):
            put(memory, header.table_y + j * rows + s, get(samples.y, row + j))
        if weights.size > 0:
            put(memory, header.weight + s, get(weights, get(order, position + s)))
    call_score(header.score, (memory, header, last, workspace.integers, weights.size > 0, span))


@njit_merged
def error(workspace, n, has_weights, span):
    """Computes delta of the last layer; n is the number of samples in the batch.

    If `has_weights` is true, multiplies delta of each sample by the sample's weight. Reads y, z and a from tables, which are
    indexed [neuron][sample]. The caller must have called `activation` and `score`, which fill the tables of y, z and a.
    """
    memory, header, last = workspace.memory, workspace.header, workspace.layers[workspace.layers.size - 1]
    call_error(header.error, (memory, header, last, n, has_weights, span))
