"""A table holds the values of a layer's neurons for the samples of a block, and is indexed [neuron j][sample s].

The functions of this module copy values from panels (blocks of NR columns; see the module `layout`) to tables, and from tables
to panels. In a table, the samples of a neuron are neighbours in memory, so that LLVM can vectorise loops over the samples.
Every function processes the samples in the range `span`, so that threads can divide a block of samples among themselves.
"""

from numbanet._compile import njit_part
from numbanet.engines.cpu.blocks import NR_VECTORS
from numbanet.engines.cpu.kernels.vector import get, lanes, put

# Rows of the array `integers`, each with one integer per sample: predicted class, target class, number of correct predictions.
INDEX, TARGET, HITS = range(3)


@njit_part
def fill(memory, header, table, n_out, panels, span):
    """Copies a matrix from panels (blocks of NR columns) to a transposed table: table[j][s] = panels[s, j], for s in `span`.

    `table` and `panels` are offsets into `memory`.
    """
    rows, nr = header.rows, NR_VECTORS * lanes(memory)
    for j in range(n_out):
        for s in range(span.begin, span.end):
            put(memory, table + j * rows + s, get(memory, panels + (j // nr * rows + s) * nr + j % nr))


@njit_part
def pour(memory, header, table, n_out, panels, span):
    """Copies a transposed table to a matrix in panels (blocks of NR columns): panels[s, j] = table[j][s], for s in `span`.

    `table` and `panels` are offsets into `memory`.
    """
    rows, nr = header.rows, NR_VECTORS * lanes(memory)
    for j in range(n_out):
        for s in range(span.begin, span.end):
            put(memory, panels + (j // nr * rows + s) * nr + j % nr, get(memory, table + j * rows + s))


@njit_part
def find_largest(memory, header, table, n_out, top, neurons, largest, span):
    """Finds the largest value of each sample s in a table indexed [neuron][sample], for s in `span`.

    Writes the largest value to memory[top + s]. Writes the index of the first neuron that has the largest value to
    neurons[largest + s].
    """
    rows = header.rows
    for s in range(span.begin, span.end):
        put(memory, top + s, get(memory, table + s))
        put(neurons, largest + s, 0)
    for j in range(1, n_out):
        column_j, neuron = table + j * rows, type(get(neurons, largest))(j)
        for s in range(span.begin, span.end):
            value, best = get(memory, column_j + s), get(memory, top + s)
            # max gives the right index, because j is greater than all earlier indices. With a conditional expression, LLVM
            # would emit a slow masked store.
            put(neurons, largest + s, max(get(neurons, largest + s), neuron if value > best else 0))
            put(memory, top + s, value if value > best else best)
