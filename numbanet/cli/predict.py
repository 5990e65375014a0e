"""The subcommand `numbanet predict`: prints the predictions of a saved network."""

import argparse
import csv
import io
import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet import Network, load_digits, tables
from numbanet.cli.common import MODEL_HELP, add_command, add_device_options, add_table_options, read_array
from numbanet.files import refuse_unwritable, replacing
from numbanet.tables.encoding import Classes

INK = " .:-=+*#%@"
EXAMPLES = """examples:
  numbanet predict model.npz new.csv -o out.csv             one line per row, in a column named like the target
  numbanet predict model.npz new.csv --probabilities        the same, and a column with the probability of each class
  numbanet predict digits.npz digits --draw 3               classify the held-out images, draw three of them
  numbanet predict net.npz numbers.csv                      a network trained on arrays: one line per line of numbers
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand and its options."""
    predict = add_command(commands, "predict", _predict, "print the predictions of a saved network line by line", EXAMPLES)
    predict.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    predict.add_argument(
        "data",
        metavar="DATA",
        help="a table; for a network trained on arrays: 'digits' (the held-out images), a .csv of numbers, a .npy, or a .npz "
        "with an array x",
    )
    predict.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of stdout")
    predict.add_argument("--json", action="store_true", help="print one JSON object")
    predict.add_argument("--probabilities", action="store_true", help="for a table: add the probability of every class")
    predict.add_argument("--outputs", action="store_true", help="for arrays: print all outputs instead of the class")
    predict.add_argument("--draw", type=int, default=0, metavar="N", help="for digits: draw the first N images as text")
    add_table_options(predict)
    add_device_options(predict)


def _predict(options: argparse.Namespace) -> int:
    if options.output is not None:
        refuse_unwritable(options.output)
    network = Network.load(options.model, device=options.device, kernels=options.kernels)
    encoding = network.table
    text = _from_arrays(network, options) if encoding is None else _from_table(network, encoding, options)
    if options.output is None:
        print(text, end="", flush=True)
        return 0
    with replacing(options.output) as file:
        file.write(text.encode())
    print(f"wrote {options.output}", file=sys.stderr)
    return 0


def _from_table(network: Network, encoding: tables.Encoding, options: argparse.Namespace) -> str:
    """Returns the predictions for the rows of a table, as CSV or JSON."""
    target = encoding.target
    if options.outputs or options.draw:
        raise ValueError("--outputs and --draw apply to networks trained on arrays; for a table use --probabilities")
    if options.probabilities and not isinstance(target, Classes):
        raise ValueError(f"--probabilities needs a target of classes, but {target.name!r} is a quantity")
    table = tables.read(options.data, separator=options.separator)
    y_hat = network.predict(encoding.x(table, network.dtype, ignore=options.ignore or ()))
    answers, columns = target.answers(y_hat), {}
    if options.probabilities and isinstance(target, Classes):
        columns = dict(zip(target.labels, target.probabilities(y_hat).T.tolist(), strict=True))
    if options.json:
        return json.dumps({"target": target.name, "answers": answers} | ({"probabilities": columns} if columns else {})) + "\n"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([target.name, *(f"p({label})" for label in columns)])
    for row in zip(answers, *columns.values(), strict=True):
        writer.writerow(value if isinstance(value, str) else f"{value:.7g}" for value in row)
    return text.getvalue()


def _from_arrays(network: Network, options: argparse.Namespace) -> str:
    """Returns the predictions for arrays as lines or JSON; for digits, prints drawings and the correct count on stderr."""
    if options.probabilities:
        raise ValueError("--probabilities applies to networks trained on a table; for arrays use --outputs")
    labels = None
    if options.data == "digits":
        _, _, x, labels = load_digits()
    else:
        x = read_array(options.data)
    if options.draw and labels is None:
        raise ValueError(f"--draw applies to the data set digits only, not to {options.data}")
    y_hat = network.predict(x)
    classes = y_hat.argmax(axis=1) if network.loss == "cce" else (y_hat > 0.5).astype(int) if network.loss == "bce" else y_hat
    answers = y_hat if options.outputs else classes
    if labels is not None:
        for s in range(min(options.draw, len(x))):
            print(f"\nimage {s}: a {labels[s]}, predicted {classes[s]} with probability {y_hat[s].max():.3f}", file=sys.stderr)
            print(_drawing(x[s]), file=sys.stderr)
        print(f"{(classes == labels).sum()} of {len(labels)} correct", file=sys.stderr)
    if options.json:
        return json.dumps({"answers": answers.tolist()}) + "\n"
    return "".join(",".join(f"{value:.7g}" for value in np.atleast_1d(row)) + "\n" for row in answers)


def _drawing(image: NDArray[Any]) -> str:
    """Returns an image of 8 x 8 pixels as text, with two characters per pixel."""
    shades = (image.reshape(8, 8) * (len(INK) - 1)).round().astype(int)
    return "\n".join("".join(INK[shade] * 2 for shade in line) for line in shades)
