"""Optional packages: imported where they are used, with one clear error if they are missing."""

import importlib
from typing import Any


def imported(module: str, requirement: str) -> Any:
    """Imports and returns a module of an optional package.

    Parameters
    ----------
    module : str
        Name of the module, such as "safetensors.numpy".
    requirement : str
        Argument of the `pip install` that the error recommends, such as "numbanet[safetensors]".

    Returns
    -------
    module
        Typed as Any: type checkers cannot assume that the package is installed.

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
