"""Imports optional packages when a function needs them."""

import importlib
import importlib.util
import sys
from typing import Any

# The packages that each extra of numbanet installs. pyproject.toml contains the same lists.
REQUIREMENTS = {
    "cuda12": ("numba-cuda[cu12]>=0.29",),
    "cuda13": ("numba-cuda[cu13]>=0.29",),
    "keras": ("h5py>=3.12",),
    "mpi": ("mpi4py>=4.0", "mpich>=4.2"),
    "onnx": ("onnx>=1.17",),
    "plot": ("matplotlib>=3.8",),
    "safetensors": ("safetensors>=0.4.3",),
    "sklearn": ("scikit-learn>=1.7",),
    "tables": ("pyarrow>=14",),
}


def imported(module: str, extra: str) -> Any:
    """Imports a module of an optional package, and returns the module.

    Parameters
    ----------
    module : str
        The module's full name, such as "safetensors.numpy".
    extra : str
        The name of numbanet's extra that installs the package, such as "safetensors", or the name of the package itself.

    Returns
    -------
    module
        The module. The return annotation is Any, because type checkers cannot assume that the package is installed.

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
            f"the package {package} is needed, but not installed: {installing(extra)}", name=package
        ) from None


def installing(extra: str) -> str:
    """Returns the command that installs the packages of a numbanet extra for this Python interpreter.

    The command lists the packages instead of the extra's name, because numbanet may not have been installed from a package
    index.
    """
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable or "python"
    tool = f"{python} -m pip install" if importlib.util.find_spec("pip") else f"uv pip install --python {python}"
    return f"{tool} {packages(extra)}"


def packages(extra: str) -> str:
    """Returns the packages of a numbanet extra as arguments of `pip install`.

    If numbanet has no extra of this name, returns `extra`, which then is the name of a package.
    """
    return " ".join(f'"{name}"' if set(name) & set("[<>=") else name for name in REQUIREMENTS.get(extra, (extra,)))
