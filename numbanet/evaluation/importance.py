"""Measures how much a network's predictions depend on each column, by permuting the values of the column."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbanet import checks
from numbanet.network import Network
from numbanet.training.reporting import Bar

MOST_ROWS = 2000  # more rows would take longer, and change the order of the columns little
MOST_SECONDS = 20  # the images of a data set have hundreds of columns, and a reader waits for the report


class Importances(NamedTuple):
    """The importance of columns.

    Parameters
    ----------
    names : list of str
        The measured columns: all columns or, if Ctrl-C or the time limit ended the measurement, the columns measured until
        then.
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
    columns : list of str
        All columns of the network.
    """

    names: list[str]
    drops: NDArray[np.float64]
    score: str
    baseline: float
    rows: int
    interrupted: bool
    columns: list[str]

    @property
    def left_out(self) -> list[str]:
        """The columns that were not measured."""
        measured = set(self.names)
        return [name for name in self.columns if name not in measured]

    @property
    def means(self) -> NDArray[np.float64]:
        """The mean drop of the score for each of the network's columns, with nan for the columns that were not measured."""
        found = dict(zip(self.names, self.drops.mean(axis=1).tolist(), strict=True))
        return np.array([found.get(name, np.nan) for name in self.columns])

    def order(self) -> list[int]:
        """Returns the indices of the columns, from the largest to the smallest mean drop of the score."""
        return np.argsort(-self.drops.mean(axis=1), kind="stable").tolist()


def permutation_importance(
    network: Network,
    x: ArrayLike,
    y: ArrayLike,
    *,
    repeats: int = 5,
    seed: int = 0,
    seconds: float = MOST_SECONDS,
    verbose: bool = True,
) -> Importances:
    """Measures the importance of each column: how much worse the network becomes if the values of the column are permuted.

    The permutations are the same as in scikit-learn's function `permutation_importance` with `random_state=seed` (Breiman,
    2001, doi:10.1023/A:1010933404324). The score is the accuracy for the losses cce and bce, and R^2 for mse and sse. The
    inputs that encode a column of a table are permuted together. Columns with large weights and widely spread values are
    measured first. Ctrl-C and the time limit end the measurement; the function then returns the results for the columns
    measured until then.

    Parameters
    ----------
    network : Network
    x, y : array_like
        Inputs and targets, as for `Network.evaluate`. If there are more than 2000 rows, the function uses 2000 rows drawn at
        random.
    repeats : int
        The number of permutations of each column.
    seed : int
        The seed of the permutations.
    seconds : float
        The time limit, after which the function measures no further column; the first column is always measured.
    verbose : bool
        Whether a progress bar appears on a terminal if the measurement takes longer than a second.

    Raises
    ------
    ValueError, TypeError
        An argument does not match its description above.
    """
    repeats, seed = checks.integer("repeats", repeats), checks.integer("seed", seed, 0, 2**32 - 1)
    network._model.refuse_other_columns(x, y)
    x, y = np.asarray(x), np.asarray(y)
    generator = np.random.RandomState(seed)
    if len(x) > MOST_ROWS:
        rows = np.sort(np.random.RandomState(seed).choice(len(x), MOST_ROWS, replace=False))
        x, y = x[rows], y[rows]
    score = "accuracy" if network.loss in ("cce", "bce") else "r2"
    metrics = ["r2"] if score == "r2" else []
    baseline = network.evaluate(x, y, metrics=metrics)[score]
    columns, drops, interrupted = columns_of(network), {}, False
    orders, start = _orders(generator, len(x), repeats), time.monotonic()
    try:
        with Bar("importance of the columns", len(columns) * repeats, "permutations", verbose) as bar:
            for column in _promising(network, x, columns):
                if drops and time.monotonic() - start > seconds:
                    break
                inputs, found, permuted = columns[column][1], [], x.copy()
                if (x[:, inputs] == x[:1, inputs]).all():  # a permutation of equal values changes nothing
                    drops[column] = [0.0] * repeats
                    bar.update(repeats)
                    continue
                for order in orders:
                    permuted[:, inputs] = permuted[order, inputs]
                    found.append(baseline - network.evaluate(permuted, y, metrics=metrics)[score])
                    bar.update(1)
                drops[column] = found
    except KeyboardInterrupt:
        interrupted = True
    measured, names = sorted(drops), [name for name, _ in columns]
    values = np.array([drops[column] for column in measured]).reshape(len(drops), repeats)
    return Importances([names[column] for column in measured], values, score, baseline, len(x), interrupted, names)


def _promising(network: Network, x: NDArray[Any], columns: Sequence[tuple[str, slice]]) -> list[int]:
    """Returns the columns in descending order of estimated importance.

    The estimate is the sum of |w| * (standard deviation of x_i) over all weights w of the inputs x_i that encode the column.
    """
    weights = np.abs(network.parameters()[0][0]).sum(axis=1, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = weights * x.std(axis=0, dtype=np.float64)
    return np.argsort([-spread[inputs].sum() for _, inputs in columns], kind="stable").tolist()


def _orders(generator: np.random.RandomState, rows: int, repeats: int) -> list[NDArray[Any]]:
    """Returns `repeats` permutations of the rows, drawn as in scikit-learn; every column uses the same permutations."""
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
