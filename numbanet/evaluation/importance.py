"""Measures how much a network's predictions depend on each column, by permuting the values of the column."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbanet import checks
from numbanet.network import Network
from numbanet.training.reporting import Bar

MOST_ROWS = 2000  # more rows would take longer, and change the order of the columns little


class Importances(NamedTuple):
    """The importance of columns.

    Parameters
    ----------
    names : list of str
        The measured columns; after Ctrl-C, the columns that were measured before Ctrl-C.
    drops : ndarray (columns, repeats)
        The score without a permutation, minus the score after each permutation of a column.
    score : str
        The name of the score: "accuracy" or "r2".
    baseline : float
        The score without a permutation.
    rows : int
        The number of rows on which the score was computed.
    interrupted : bool
        Whether Ctrl-C ended the measurement.
    """

    names: list[str]
    drops: NDArray[np.float64]
    score: str
    baseline: float
    rows: int
    interrupted: bool

    def order(self) -> list[int]:
        """Returns the indices of the columns, from the largest to the smallest mean drop."""
        return np.argsort(-self.drops.mean(axis=1), kind="stable").tolist()


def permutation_importance(
    network: Network, x: ArrayLike, y: ArrayLike, *, repeats: int = 5, seed: int = 0, verbose: bool = True
) -> Importances:
    """Measures the importance of each column: how much worse the network becomes if the values of the column are permuted.

    The permutations are the same as in scikit-learn's function `permutation_importance` with `random_state=seed` (Breiman,
    2001, doi:10.1023/A:1010933404324). The score is the accuracy for the losses cce and bce, and R^2 for mse and sse. The
    inputs that encode a column of a table are permuted together. Ctrl-C ends the measurement; the columns measured before are
    kept.

    Parameters
    ----------
    network : Network
    x, y : array_like
        Inputs and targets, as for `Network.evaluate`. Of more than 2000 rows, 2000 are drawn at random.
    repeats : int
        The number of permutations of each column.
    seed : int
        The seed of the permutations.
    verbose : bool
        Whether a progress bar appears on a terminal if the measurement takes longer than a second.

    Raises
    ------
    ValueError, TypeError
        An argument does not match its description above.
    """
    repeats, seed = checks.integer("repeats", repeats), checks.integer("seed", seed, 0, 2**32 - 1)
    x, y = np.asarray(x), np.asarray(y)
    generator = np.random.RandomState(seed)
    if len(x) > MOST_ROWS:
        rows = np.sort(np.random.RandomState(seed).choice(len(x), MOST_ROWS, replace=False))
        x, y = x[rows], y[rows]
    score = "accuracy" if network.loss in ("cce", "bce") else "r2"
    metrics = ["r2"] if score == "r2" else []
    baseline = network.evaluate(x, y, metrics=metrics)[score]
    columns, drops, interrupted = columns_of(network), [], False
    orders = _orders(generator, len(x), repeats)
    try:
        with Bar("importance of the columns", len(columns) * repeats, "permutations", verbose) as bar:
            for _, inputs in columns:
                drops.append([])
                permuted = x.copy()
                for order in orders:
                    permuted[:, inputs] = permuted[order, inputs]
                    drops[-1].append(baseline - network.evaluate(permuted, y, metrics=metrics)[score])
                    bar.update(1)
    except KeyboardInterrupt:
        interrupted = True
        drops = [each for each in drops if len(each) == repeats]
    names = [name for name, _ in columns[: len(drops)]]
    return Importances(names, np.array(drops).reshape(len(drops), repeats), score, baseline, len(x), interrupted)


def _orders(generator: np.random.RandomState, rows: int, repeats: int) -> list[NDArray[Any]]:
    """Returns the permutations of the rows that scikit-learn applies to every column, one after the other."""
    generator = np.random.RandomState(generator.randint(np.iinfo(np.int32).max + 1))
    order, orders = np.arange(rows), []
    for _ in range(repeats):
        generator.shuffle(order)
        orders.append(order.copy())
    return orders


def columns_of(network: Network) -> Sequence[tuple[str, slice]]:
    """Returns the name of each column, and the inputs of the network that encode the column."""
    if network.table is None:
        names = network.columns or [f"x[{i}]" for i in range(network.sizes[0])]
        return [(name, slice(i, i + 1)) for i, name in enumerate(names)]
    columns, start = [], 0
    for feature in network.table.features:
        columns.append((feature.name, slice(start, start + feature.width)))
        start += feature.width
    return columns
