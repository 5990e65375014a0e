"""Dropout on the GPU, see `numbanet.equations.dropout`. The counter lies on the GPU, so that recorded steps stay valid."""

from typing import Any

from numbanet._cuda import SIMULATED, configured, cuda
from numbanet.engines.cuda.products.batch import FIRST, KEY
from numbanet.engines.dropout import limit_and_scale
from numbanet.equations.dropout import dropped, random_number

# Neurons and samples of a block. A simulated thread is a Python thread.
THREADS = (2, 2) if SIMULATED else (32, 8)
MOST_BLOCKS = 65535  # for samples; a thread takes several samples if these are too few


@cuda.jit
def drop_rows(counter, layer, scale, limit, rows, to):
    """to_sj = rows_sj / (1 - p), or 0 where neuron j drops out of sample s of a batch. Twin: drop.

    Reads counter of the step, rows (n, n_out); writes to (n, n_out), which may be rows.
    """
    j, first = cuda.grid(2)
    if j < rows.shape[1]:
        for s in range(first, rows.shape[0], cuda.gridDim.y * cuda.blockDim.y):
            number = random_number(counter[KEY], counter[FIRST] + s, j, layer)
            to[s, j] = dropped(scale, limit, number, rows[s, j])


def drop(rate: float, layer: int, counter: Any, rows: Any, to: Any) -> None:
    """Launches `drop_rows` for a layer, counted from 1, whose neurons drop out with probability rate."""
    limit, scale = limit_and_scale(rate, rows.dtype)
    n, width = rows.shape
    across, down = -(-width // THREADS[0]), min(-(-n // THREADS[1]), MOST_BLOCKS)
    configured(drop_rows, (across, down), THREADS)(counter, layer, scale, limit, rows, to)
