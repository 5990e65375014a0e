"""Dropout on the GPU, with the formulas of `numbanet.equations.dropout`.

The kernel computes its random numbers from counters in GPU memory, so that a CUDA graph recorded for one batch can be replayed
for other batches.
"""

from typing import Any

from numbanet._cuda import SIMULATED, configured, cuda
from numbanet.engines.cuda.products.batch import FIRST, KEY
from numbanet.engines.dropout import limit_and_scale
from numbanet.equations.dropout import dropped, random_number

# The numbers of threads in a block, along the neurons and along the samples. In the simulator, a block has few threads, because
# each CUDA thread is a Python thread.
THREADS = (2, 2) if SIMULATED else (32, 8)
MOST_BLOCKS = 65535  # largest number of blocks along the samples; with more samples, a thread processes several samples


@cuda.jit
def drop_rows(counter, layer, scale, limit, rows, to):
    """Computes to_sj = 0 if neuron j drops out for sample s, and rows_sj / (1 - p) otherwise. Twin (CPU loop): drop.

    A neuron drops out with probability p. `scale` is 1 / (1 - p), `limit` is p * 2^32. `to` may be the same array as `rows`.
    Reads rows (n, n_out), counter[KEY] (the key of the random numbers) and counter[FIRST] (the index, within the epoch, of the
    first row's sample). Writes to (n, n_out).
    """
    j, first = cuda.grid(2)
    if j < rows.shape[1]:
        for s in range(first, rows.shape[0], cuda.gridDim.y * cuda.blockDim.y):
            number = random_number(counter[KEY], counter[FIRST] + s, j, layer)
            to[s, j] = dropped(scale, limit, number, rows[s, j])


def drop(rate: float, layer: int, counter: Any, rows: Any, to: Any) -> None:
    """Launches `drop_rows`, which sets the values of a layer's dropped-out neurons to 0.

    `layer` is the index of the layer, counted from 1; `rate` is the probability that a neuron of the layer drops out.
    """
    limit, scale = limit_and_scale(rate, rows.dtype)
    n, width = rows.shape
    across, down = -(-width // THREADS[0]), min(-(-n // THREADS[1]), MOST_BLOCKS)
    configured(drop_rows, (across, down), THREADS)(counter, layer, scale, limit, rows, to)
