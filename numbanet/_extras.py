"""Imports optional packages when they are used, and raises an error that says what to install if one is missing."""

import importlib
from typing import Any


def imported(module: str, requirement: str) -> Any:
    """Imports and returns a module of an optional package.

    Parameters
    ----------
    module : str
        Full name of the module, such as "safetensors.numpy".
    requirement : str
        The argument of `pip install` that the error message recommends, such as "numbanet[safetensors]".

    Returns
    -------
    module
        The module, typed as Any because type checkers cannot assume that the package is installed.

    Raises
    ------
    ModuleNotFoundError
        The package is not installed; the message says what to install.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ModuleNotFoundError(
            f"this needs the package {package}, which is not installed: pip install '{requirement}'", name=package
        ) from None
