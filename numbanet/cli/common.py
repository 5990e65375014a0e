"""Code that several subcommands share: data sets known by name, common options, readers of option values and of arrays."""

import argparse
import csv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet import load_digits, load_fashion_mnist
from numbanet.inputs import DEVICES, KERNELS

INTERRUPTED = 130  # the exit status that shells report for a program ended by Ctrl-C
MODEL_HELP = "a file written by numbanet train or Network.save"


class DataSet(NamedTuple):
    """A data set that the subcommand `train` knows by name, with the default options for training on it."""

    load: Callable[[], tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]]
    images: str
    defaults: dict[str, Any]


DATA_SETS = {
    "digits": DataSet(
        load_digits,
        "handwritten digits",
        {"output": "digits.npz", "epochs": 60, "batch_size": 16, "hidden": [128], "optimizer": "gradient_descent"},
    ),
    "fashion-mnist": DataSet(
        load_fashion_mnist,
        "images of clothes",
        {"output": "fashion-mnist.npz", "epochs": 10, "batch_size": 64, "hidden": [128], "optimizer": "gradient_descent"},
    ),
}


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    function: Callable[[argparse.Namespace], int],
    summary: str,
    examples: str | None = None,
) -> argparse.ArgumentParser:
    """Adds a subcommand that runs `function`, and returns its parser."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=function, misused=parser.error)
    return parser


def add_device_options(parser: argparse._ActionsContainer) -> None:
    """Adds the options --device and --kernels."""
    parser.add_argument(
        "--device", choices=DEVICES, default="cpu", help="device to compute on; auto: a GPU if usable (default: %(default)s)"
    )
    parser.add_argument(
        "--kernels",
        choices=KERNELS,
        default="fast",
        help="fast: optimised kernels; reference: the plain loops of numbanet.equations (default: %(default)s)",
    )


def add_table_options(parser: argparse._ActionsContainer) -> None:
    """Adds the options that control how a table is read."""
    parser.add_argument(
        "--separator",
        type=_separator,
        metavar="S",
        help="character between the columns of a .csv or .tsv file, or 'tab' (default: detected)",
    )
    parser.add_argument("--ignore", type=names, metavar="COLUMN[,...]", help="columns to ignore")


def _separator(text: str) -> str:
    return {"tab": "\t", "\\t": "\t"}.get(text, text)


def sizes(text: str) -> list[int]:
    """Returns the numbers of neurons in a text such as 64,32."""
    try:
        counts = [int(size) for size in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be whole numbers separated by commas, such as 64,32, not {text!r}") from None
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(f"every layer needs at least 1 neuron, not {text!r}")
    return counts


def names(text: str) -> list[str]:
    """Returns the names in a text such as age,sex; a name that contains a comma must be in double quotes."""
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise argparse.ArgumentTypeError(f"cannot read the names {text!r}: {error}") from None


def read_array(path: str, name: str = "x") -> NDArray[Any]:
    """Returns the samples x (n, n_in) in a .csv, .npy or .npz file, or the array `name` in a .npz file."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".npy", ".npz") or (name != "x" and suffix != ".npz"):
        known = "a .csv, .npy or .npz file" if name == "x" else f"a .npz file with x and {name}"
        raise ValueError(f"cannot read {path!r}: DATA must be digits, or {known}")
    Path(path).stat()  # raises FileNotFoundError with the file's name, which np.loadtxt leaves out
    try:
        if suffix == ".csv":
            return np.loadtxt(path, delimiter=",", ndmin=2)
        with Path(path).open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if suffix == ".npy":
                return loaded
            if name not in loaded:
                raise ValueError(f"it contains {', '.join(loaded) or 'nothing'}, but no array {name}")
            return loaded[name]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot read {path}: {error}") from None
