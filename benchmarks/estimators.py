"""Compares the scores of numbanet's estimators with the scores of scikit-learn's estimators: `python -m benchmarks.estimators`.

The script prints one row for each combination of a learning rate, a data set, raw or standardised inputs, and training with or
without early stopping. For each of several seeds, the script trains both estimators with the same hyperparameters on the same
samples, and scores them on the same test samples.

The column "errors" contains numbanet's mean score minus scikit-learn's, divided by the standard error of this difference over
the seeds. The column "equal" counts the seeds for which numbanet and scikit-learn have equal scores. The last two columns count
the diverged training runs, first numbanet's and then scikit-learn's. The script fails if, in any row, the column "errors" is
less than `LIMIT`, or numbanet has more diverged training runs than scikit-learn.
"""

import argparse
import itertools
import warnings
from typing import Any

import numpy as np
from sklearn import datasets, neural_network
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import numbanet.sklearn

DATASETS = ("iris", "wine", "breast_cancer", "digits", "diabetes")
RATES = (0.001, 0.01, 0.1)
LIMIT = -2.0  # the smallest allowed difference of the mean scores, in units of its standard error
DIGITS = 6  # scores are rounded to this number of decimal places, because smaller differences are rounding errors


def scores(name: str, scaled: bool, options: dict[str, Any], seeds: int) -> np.ndarray:
    """Returns the test scores as an array of shape (2, seeds): numbanet's in the first row, scikit-learn's in the second.

    If a training run diverges, its score is NaN.
    """
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    kind = "MLPRegressor" if name == "diabetes" else "MLPClassifier"
    found = np.full((2, seeds), np.nan)
    for seed in range(seeds):
        stratify = None if name == "diabetes" else y
        x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, random_state=seed, stratify=stratify)
        if scaled:
            scaler = StandardScaler().fit(x_train)
            x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)
        for i, module in enumerate((numbanet.sklearn, neural_network)):
            try:
                fitted = getattr(module, kind)(random_state=seed, **options).fit(x_train, y_train)
                found[i, seed] = round(fitted.score(x_test, y_test), DIGITS)
            except ValueError as error:
                if "non-finite" not in str(error):
                    raise
    return found


def compare(row: str, name: str, scaled: bool, options: dict[str, Any], seeds: int) -> bool:
    """Compares the estimators of numbanet and scikit-learn on the data set `name`, and prints their row of the table.

    Returns True if numbanet is worse: the row's value in the column "errors" is less than `LIMIT`, or more training runs
    diverged with numbanet than with scikit-learn.
    """
    found = scores(name, scaled, options, seeds)
    lost = np.isnan(found).sum(axis=1)
    both = found[:, ~np.isnan(found).any(axis=0)]
    difference = both[0] - both[1]
    mean, ratio = (difference.mean() if difference.size else 0.0), 0.0
    if difference.any():
        with np.errstate(divide="ignore"):
            ratio = mean / (difference.std(ddof=1) / np.sqrt(difference.size))
    means = both.mean(axis=1) if both.size else [np.nan, np.nan]
    equal = np.count_nonzero(difference == 0)
    print(f"{row:34} {means[0]:9.4f} {means[1]:12.4f} {mean:10.6f} {ratio:7.2f} {equal:6} {lost[0]:4} {lost[1]:4}", flush=True)
    return bool(ratio < LIMIT or lost[0] > lost[1])


def main() -> None:
    """Prints the rows that the command line selects, and exits with an error if numbanet is worse in any row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="*", default=DATASETS)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--max-iter", type=int, default=100)
    parser.add_argument("--solver", default="adam", choices=("adam", "sgd"))
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn warns of training runs that stop at max_iter
    print(f"{'':34} {'numbanet':>9} {'scikit-learn':>12} {'difference':>10} {'errors':>7} {'equal':>6}  diverged", flush=True)
    options = {"max_iter": arguments.max_iter, "solver": arguments.solver}
    failed = False
    for rate, name, scaled, stopping in itertools.product(arguments.rates, arguments.datasets, (False, True), (False, True)):
        row = f"{rate:g} {name} {'standardised' if scaled else 'raw'}{' early' if stopping else ''}"
        both = options | {"early_stopping": stopping, "learning_rate_init": rate}
        failed |= compare(row, name, scaled, both, arguments.seeds)
    if failed:
        raise SystemExit("numbanet's estimators score worse than scikit-learn's in a row above")


if __name__ == "__main__":
    main()
