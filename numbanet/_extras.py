"""Imports optional packages when they are needed. If a package is missing, the error message says what to install."""

import importlib
from typing import Any


def imported(module: str, requirement: str) -> Any:
    """Imports a module of an optional package, and returns the module.

    Parameters
    ----------
    module : str
        The module's full name, such as "safetensors.numpy".
    requirement : str
        The argument of `pip install` that the error message recommends, such as "numbanet[safetensors]".

    Returns
    -------
    module
        The module. Its declared type is Any, because type checkers cannot assume that the package is installed.

    Raises
    ------
    ModuleNotFoundError
        The package is not installed. The error message says what to install.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ModuleNotFoundError(
            f"the package {package} is needed, but not installed: run pip install '{requirement}'", name=package
        ) from None
