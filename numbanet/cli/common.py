"""Code that several subcommands share: the parser, data sets, options, and functions that parse values and read arrays."""

import argparse
import csv
import io
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from numbanet import checks, load_digits, load_fashion_mnist
from numbanet.files import naming, read_arrays, refuse_model
from numbanet.inputs import DEVICES, KERNELS
from numbanet.training.metrics import METRICS

INTERRUPTED = 130  # the exit status that a shell reports for a program that Ctrl-C ended
MODEL_HELP = "a file written by numbanet train or Network.save"
STANDARD = "-"  # this file name stands for standard input or output


class DataSet(NamedTuple):
    """A data set that has a name on the command line: its loader, its default training options, and the shape of its images."""

    load: Callable[[], tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]]
    images: str
    defaults: dict[str, Any]
    shape: tuple[int, int]


DATA_SETS = {
    "digits": DataSet(
        load_digits,
        "handwritten digits",
        {"output": "digits.npz", "epochs": 60, "batch_size": 16, "hidden": [128], "optimizer": "gradient_descent"},
        (8, 8),
    ),
    "fashion-mnist": DataSet(
        load_fashion_mnist,
        "images of clothes",
        {"output": "fashion-mnist.npz", "epochs": 10, "batch_size": 64, "hidden": [128], "optimizer": "gradient_descent"},
        (28, 28),
    ),
}


class Parser(argparse.ArgumentParser):
    """A command-line parser whose error messages show the help of the wrong argument instead of a list of all options."""

    def error(self, message: str) -> NoReturn:
        """Prints the message, the help of the arguments that the message names, and a hint on --help; exits with status 2."""
        if unknown := re.fullmatch(r"argument COMMAND: invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL):
            known = unknown[2].replace("'", "")
            message = f"unknown command {unknown[1]!r}{checks.suggestion(unknown[1], known.split(', '))}; known are {known}"
        elif message.startswith("unrecognized arguments: "):
            wrong = message.removeprefix("unrecognized arguments: ").split()[0]
            message += checks.suggestion(wrong.partition("=")[0], self._options()) if wrong.startswith("-") else ""
        formatter = self.formatter_class(prog=self.prog)
        formatter.add_arguments([action for action in self._actions if self._is_about(action, message)])
        help_of = formatter.format_help().rstrip("\n")
        lines = [f"{self.prog}: {message}", *([help_of] if help_of else []), f"see {self.prog} --help"]
        self.exit(2, "\n".join(lines) + "\n")

    def _options(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings if option.startswith("--")]

    @staticmethod
    def _is_about(action: argparse.Action, message: str) -> bool:
        """Returns whether the error message is about the argument defined by `action`."""
        name = "/".join(action.option_strings) or action.metavar
        suggested = any(f"did you mean {option!r}?" in message for option in action.option_strings)
        required = message.removeprefix("the following arguments are required: ")
        return suggested or message.startswith(f"argument {name}:") or (required != message and name in required.split(", "))


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


def add_choice(parser: argparse._ActionsContainer, option: str, known: Iterable[str], **settings: Any) -> None:
    """Adds an option whose value must be one of the known names; the error for another value suggests the most similar name."""
    known = tuple(known)
    noun = option.lstrip("-").replace("-", "_")

    def name(text: str) -> str:
        try:
            return checks.choice(noun, text, known)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    parser.add_argument(option, type=name, metavar=f"{{{','.join(known)}}}", **settings)


def add_device_options(parser: argparse._ActionsContainer) -> None:
    """Adds the options --device and --kernels."""
    add_choice(
        parser,
        "--device",
        DEVICES,
        default="cpu",
        help="device to compute on; auto: a GPU if one is usable, else the CPU (default: %(default)s)",
    )
    add_choice(
        parser,
        "--kernels",
        KERNELS,
        default="fast",
        help="fast: optimised kernels; reference: the plain loops of numbanet.equations (default: %(default)s)",
    )


def sizes(text: str) -> list[int]:
    """Parses numbers of neurons, such as 64,32."""
    try:
        counts = [int(size) for size in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be whole numbers separated by commas, such as 64,32, not {text!r}") from None
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(f"every layer needs at least 1 neuron, not {text!r}")
    return counts


def names(text: str) -> list[str]:
    """Parses a list of names, such as age,sex; a name that contains a comma must be in double quotes."""
    try:
        return next(csv.reader([text], strict=True), [""])
    except csv.Error as error:
        raise argparse.ArgumentTypeError(f"cannot read the names {text!r}: {error}") from None


def add_metrics_option(parser: argparse._ActionsContainer) -> None:
    """Adds the option --metrics."""
    parser.add_argument(
        "--metrics", type=names, default=(), metavar="NAME[,...]", help=f"further metrics to print: {', '.join(METRICS)}"
    )


def read_array(path: str, name: str = "x") -> NDArray[Any]:
    """Reads the array `name` from an NPZ file; reads x also from an NPY or text file. The path - is standard input."""
    known = "a .csv, .npy or .npz file" if name == "x" else f"an .npz file with x and {name}"
    refused = f"cannot read {path!r}{checks.suggestion(path, DATA_SETS)}: DATA must be {', '.join(DATA_SETS)}, or {known}"
    if path != STANDARD and not Path(path).exists() and Path(path).suffix.lower() not in (".csv", ".npy", ".npz"):
        raise ValueError(refused)
    content = sys.stdin.buffer.read() if path == STANDARD else Path(path).read_bytes()
    refuse_model(io.BytesIO(content), path)
    with naming(path, "cannot read {}: {}"):
        if content.startswith((b"PK", b"\x93NUMPY")):
            return np.array(read_arrays(io.BytesIO(content), name)[0])
        if name == "x" and Path(path).suffix.lower() not in (".npy", ".npz"):
            try:
                return np.loadtxt(io.BytesIO(content), delimiter=",", ndmin=2)
            except ValueError as error:
                raise ValueError(
                    f"{error}; for a network that was trained on arrays, a text file must contain only numbers, separated by "
                    "commas, without a line of column names"
                ) from None
    raise ValueError(refused)


def refuse_overwriting(output: str, *inputs: str) -> None:
    """Raises ValueError if the file `output` is one of the files `inputs`; ignores inputs that do not exist, such as -."""
    for path in inputs:
        if Path(output).exists() and Path(path).exists() and Path(output).samefile(path):
            raise ValueError(f"{output} is the file to read: choose another name for the file to write")
