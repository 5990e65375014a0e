"""Packages that not everybody needs: imported where they are used, with one clear error where they are missing."""

import importlib


def imported(module: str, requirement: str):
    """The module; where its package is not installed, an error that says what to install for it."""
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ModuleNotFoundError(
            f"this needs the package {package}, which is not installed: pip install '{requirement}'", name=package
        ) from None
