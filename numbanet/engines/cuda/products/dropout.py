"""Dropout on the GPU, by the formulas of `numbanet.equations.dropout`.

The kernel reads the counter of its random numbers from GPU memory, so that a recorded CUDA graph is valid for every batch.
"""

from typing import Any

from numbanet._cuda import SIMULATED, configured, cuda
from numbanet.engines.cuda.products.batch import FIRST, KEY
from numbanet.engines.dropout import limit_and_scale
from numbanet.equations.dropout import dropped, random_number

# Threads of a block along the neurons and along the samples. In the simulator, a thread is a Python thread.
THREADS = (2, 2) if SIMULATED else (32, 8)
MOST_BLOCKS = 65535  # along the samples; if there are more samples than threads, a thread takes several of them


@cuda.jit
def drop_rows(counter, layer, scale, limit, rows, to):
    """to_sj = rows_sj / (1 - p), or 0 if neuron j drops out, with probability p, for sample s of the batch. Twin: drop.

    Reads the elements KEY and FIRST of counter, see `batch`; scale = 1 / (1 - p); limit = p 2^32; rows (n, n_out). Writes the
    array `to` (n, n_out), which may be the same array as `rows`.
    """
    j, first = cuda.grid(2)
    if j < rows.shape[1]:
        for s in range(first, rows.shape[0], cuda.gridDim.y * cuda.blockDim.y):
            number = random_number(counter[KEY], counter[FIRST] + s, j, layer)
            to[s, j] = dropped(scale, limit, number, rows[s, j])


def drop(rate: float, layer: int, counter: Any, rows: Any, to: Any) -> None:
    """Launches `drop_rows`, which sets the values of dropped-out neurons of a layer to 0.

    `layer` is the index of the layer, counted from 1; `rate` is the probability that a neuron of the layer drops out.
    """
    limit, scale = limit_and_scale(rate, rows.dtype)
    n, width = rows.shape
    across, down = -(-width // THREADS[0]), min(-(-n // THREADS[1]), MOST_BLOCKS)
    configured(drop_rows, (across, down), THREADS)(counter, layer, scale, limit, rows, to)
