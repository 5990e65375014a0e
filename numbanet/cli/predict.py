"""The subcommand `numbanet predict`: prints the predictions of a saved network."""

import argparse
import csv
import io
import json
import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet import Network, tables
from numbanet.cli.common import (
    DATA_SETS,
    MODEL_HELP,
    STANDARD,
    add_command,
    add_device_options,
    names,
    read_array,
    refuse_overwriting,
)
from numbanet.cli.table_options import add_table_options, add_unknown_option, read_rows
from numbanet.files import refuse_other_ending, refuse_unwritable, replacing
from numbanet.tables.targets import Classes

INK = " .:-=+*#%@"
EXAMPLES = """examples:
  numbanet predict model.npz new.csv -o out.csv             one line per row, in a column named like the target
  numbanet predict model.npz new.csv --id customer          the same, with the column customer before the predictions
  numbanet predict model.npz new.csv --probabilities        with a column for the probability of each class
  cat new.csv | numbanet predict model.npz -                read the table from standard input
  numbanet predict digits.npz digits --draw 3               classify the held-out images, draw three of them
  numbanet predict net.npz numbers.csv                      a network trained on arrays: one line per line of numbers
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand `predict` and its options."""
    predict = add_command(commands, "predict", _predict, "print the predictions of a saved network line by line", EXAMPLES)
    predict.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    predict.add_argument(
        "data",
        metavar="DATA",
        help="a table, or - for standard input; for a network trained on arrays: "
        f"{', '.join(DATA_SETS)} (the held-out images), a .csv file of numbers, an .npy file, or an .npz file with an array x",
    )
    predict.add_argument(
        "-o", "--output", metavar="FILE", help="write to FILE instead of standard output; - is standard output"
    )
    predict.add_argument("--json", action="store_true", help="print the predictions as one JSON object")
    predict.add_argument("--probabilities", action="store_true", help="for a table: add the probability of each class")
    predict.add_argument(
        "--id",
        type=names,
        metavar="COLUMN[,...]",
        help="for a table: columns to copy to the output, before the predictions",
    )
    predict.add_argument(
        "--outputs",
        action="store_true",
        help="if the input is an array instead of a table: print all outputs of the network instead of the class",
    )
    predict.add_argument(
        "--draw",
        type=int,
        default=0,
        metavar="N",
        help="for digits: draw the first N images with their predictions instead of listing classes",
    )
    add_table_options(predict)
    add_unknown_option(predict)
    add_device_options(predict)


def _predict(options: argparse.Namespace) -> int:
    to_file = options.output not in (None, STANDARD)
    if to_file:
        _check_output(options)
    network = Network.load(options.model, device=options.device, kernels=options.kernels)
    encoding = network.table
    text = _from_arrays(network, options) if encoding is None else _from_table(network, encoding, options)
    if not to_file:
        print(text, end="", flush=True)
        return 0
    with replacing(options.output) as file:
        file.write(text.encode())
    print(f"wrote {options.output}", file=sys.stderr)
    return 0


def _check_output(options: argparse.Namespace) -> None:
    """Raises ValueError or OSError if the output file cannot be written, is an input file, or has another format's ending."""
    own, kind = ((".json",), "JSON") if options.json else ((".csv", ".txt"), "CSV")
    other = ", and JSON with --json" if not options.json else ", and CSV without --json"
    refuse_other_ending(options.output, own, f"predict writes {kind}{other}")
    refuse_unwritable(options.output)
    refuse_overwriting(options.output, options.model, options.data)


def _from_table(network: Network, encoding: tables.Encoding, options: argparse.Namespace) -> str:
    """Returns the predictions for the rows of a table, as CSV or JSON."""
    target = encoding.target
    if options.outputs or options.draw:
        raise ValueError("--outputs and --draw apply to networks trained on arrays; for a table use --probabilities")
    if options.probabilities and not isinstance(target, Classes):
        raise ValueError(
            f"--probabilities applies to classification, but the target {target.name!r} is a number: leave out --probabilities"
        )
    table = read_rows(options, encoding, target=False)
    ids = {name: [text or "" for text in table.column(name).strings] for name in options.id or ()}
    if target.name in ids:
        raise ValueError(
            f"--id names {target.name!r}, but the predictions are written to the column {target.name!r}: leave this name out"
        )
    ignore = (*(options.ignore or ()), *ids)
    y_hat = network.predict(encoding.x(table, network.dtype, ignore=ignore, unknown=options.unknown))
    columns: dict[str, list[float]] = {}
    if isinstance(target, Classes):
        answers = target.answers(y_hat)
        if options.probabilities:
            columns = {label: _shortest(p) for label, p in zip(target.labels, target.probabilities(y_hat).T, strict=True)}
    else:
        answers = _rounded(target.answers(y_hat), target.scale * float(np.finfo(y_hat.dtype).eps))
    if options.json:
        record: dict[str, Any] = {"target": target.name} | ({"ids": ids} if ids else {}) | {"answers": answers}
        return json.dumps(record | ({"probabilities": columns} if columns else {})) + "\n"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*ids, target.name, *(f"p({label})" for label in columns)])
    writer.writerows(zip(*ids.values(), answers, *columns.values(), strict=True))
    return text.getvalue()


def _shortest(values: NDArray[np.floating]) -> list[float]:
    """Rounds numbers to the fewest digits that identify them in their dtype: 0.1 instead of 0.10000000149011612."""
    return [float(str(value)) for value in values]


def _rounded(values: list[float], resolution: float) -> list[float]:
    """Rounds numbers to a power of ten that is between a hundredth and a tenth of the positive number `resolution`."""
    digits = 1 - math.floor(math.log10(resolution))
    return [round(value, digits) for value in values]


def _from_arrays(network: Network, options: argparse.Namespace) -> str:
    """Returns predictions for arrays as lines, JSON or drawings.

    For a data set of `DATA_SETS` without --draw, the function prints the number of correct predictions on standard error.
    """
    if options.probabilities or options.id:
        raise ValueError("--probabilities and --id apply to networks trained on a table; for arrays use --outputs")
    labels = None
    if options.data in DATA_SETS:
        _, _, x, labels = DATA_SETS[options.data].load()
    else:
        x = read_array(options.data)
    if options.draw and options.data != "digits":
        raise ValueError(f"--draw applies to the data set digits only, not to {options.data}")
    y_hat = network.predict(x)
    classes = y_hat.argmax(axis=1) if network.loss == "cce" else (y_hat > 0.5).astype(int) if network.loss == "bce" else y_hat
    answers = y_hat if options.outputs else classes
    if labels is not None:
        if options.draw:
            return _drawings(x[: max(0, options.draw)], labels, classes, y_hat)
        print(f"{(classes == labels).sum()} of {len(labels)} correct", file=sys.stderr)
    if options.json:
        return json.dumps({"answers": answers.tolist()}) + "\n"
    return "".join(",".join(map(str, np.atleast_1d(row))) + "\n" for row in answers)


def _drawings(x: NDArray[Any], labels: NDArray[Any], classes: NDArray[Any], y_hat: NDArray[Any]) -> str:
    """Returns images of digits as text, and a last line that counts the correct predictions.

    The title above each image names the digit that was written and the predicted digit.
    """
    correct = classes == labels
    wrong = np.where(correct, "", "  <- wrong")
    titles = (
        f"image {s}: written {labels[s]}, predicted {classes[s]} with probability {y_hat[s].max():.3f}{wrong[s]}"
        for s in range(len(x))
    )
    drawings = "".join(f"{title}\n{_drawing(image)}\n\n" for title, image in zip(titles, x, strict=True))
    return (
        f"{drawings}{correct[: len(x)].sum()} of the {len(x)} images above are predicted correctly, and {correct.sum()} of all "
        f"{len(labels)} held-out images.\n"
    )


def _drawing(image: NDArray[Any]) -> str:
    """Returns an image of 8 x 8 pixels as text, with two characters per pixel."""
    shades = (image.reshape(8, 8) * (len(INK) - 1)).round().astype(int)
    return "\n".join("".join(INK[shade] * 2 for shade in line) for line in shades)
