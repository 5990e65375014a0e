"""Checks samples, which may be tensors, with scikit-learn's functions; an error names the invalid column of a DataFrame."""

from typing import Any

import numpy as np
from sklearn.utils import check_array, validation

from numbanet import inputs


def validate_data(estimator: Any, X: Any, y: Any = "no_validation", **options: Any) -> Any:  # noqa: N803
    """Checks X and y with scikit-learn's `validate_data`, and has the same arguments and return values as that function.

    Unlike in scikit-learn's function, X and y may be PyTorch tensors that require a gradient, are sparse, or have a dtype that
    NumPy lacks.

    Raises
    ------
    ValueError, TypeError
        scikit-learn raises an error for X or y; if X is a DataFrame, the error message names the invalid column.
    """
    X, y = inputs.without_tensors("X", X), inputs.without_tensors("y", y)
    try:
        return validation.validate_data(estimator, X, y, **options)
    except Exception:  # because the DataFrame's library may raise any exception
        _check_columns(X)
        raise


def _check_columns(X: Any) -> None:  # noqa: N803
    """If scikit-learn's `check_array` rejects a column of the DataFrame X, raises an error that names the column."""
    if not inputs.is_frame(X):
        return
    try:
        check_array(X, dtype="float64")
    except Exception:
        inputs.finite("X", inputs.real_array("X", X), np.dtype(np.float64), X)
