"""What several commands share."""

import argparse
import csv
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numbanet import load_digits, load_fashion_mnist
from numbanet.network import DEVICES, KERNELS

INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended


class DataSet(NamedTuple):
    """What `train` can train on by name, and what it then does unless told otherwise."""

    load: Callable
    images: str
    defaults: dict


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


def add_command(commands, name: str, function, summary: str, examples: str | None = None) -> argparse.ArgumentParser:
    """The parser of a command that runs this function."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=function, misused=parser.error)
    return parser


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Where to compute."""
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="(%(default)s)")
    parser.add_argument("--kernels", choices=KERNELS, default="fast", help="(%(default)s)")


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """How to read a table, other than by its look."""
    parser.add_argument("--separator", type=_separator, metavar="S", help="of the columns of a .csv or .tsv, or tab")
    parser.add_argument("--ignore", type=names, metavar="COLUMN[,...]", help="columns not to look at")


def _separator(text: str) -> str:
    return {"tab": "\t", "\\t": "\t"}.get(text, text)


def sizes(text: str) -> list[int]:
    """Numbers of neurons, from 64,32."""
    return [int(size) for size in text.split(",")]


def names(text: str) -> list[str]:
    """Names, from age,sex; one with a comma stands in quotes."""
    return next(csv.reader([text], strict=True))


def refuse_unwritable(path: str) -> None:
    """An error before hours of work rather than after."""
    folder = Path(path).absolute().parent
    if Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OSError(f"cannot write {path}: {folder} is no folder that can be written to, or {path} is itself a folder")


def read_array(path: str, name: str = "x") -> np.ndarray:
    """The samples in a file, (n, n_in), or its array of another name."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".npy", ".npz") or (name != "x" and suffix != ".npz"):
        known = "a .csv, .npy or .npz file" if name == "x" else f"a .npz file with x and {name}"
        raise ValueError(f"cannot read {path!r}: DATA must be digits, or {known}")
    try:
        if suffix == ".csv":
            return np.loadtxt(path, delimiter=",", ndmin=2)
        with Path(path).open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if suffix == ".npy":
                return loaded
            if name not in loaded:
                raise ValueError(f"it holds {', '.join(loaded) or 'nothing'}, but no array {name}")
            return loaded[name]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot read {path}: {error}") from None
