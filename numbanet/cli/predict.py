"""numbanet predict"""

import csv
import io
import json
import sys

import numpy as np

from numbanet import Network, load_digits, persist, tables
from numbanet.cli.common import add_command, add_device_options, add_table_options, read_array, refuse_unwritable
from numbanet.tables.encoding import Classes

INK = " .:-=+*#%@"
EXAMPLES = """examples:
  numbanet predict model.npz new.csv -o out.csv             a line per row of the table, under the name of the target
  numbanet predict model.npz new.csv --probabilities        of every class, too
  numbanet predict digits.npz digits --draw 3               what it makes of the held-out images
  numbanet predict net.npz numbers.csv                      of a network of arrays: an answer per line of numbers
"""


def add(commands) -> None:
    """The command's options."""
    predict = add_command(commands, "predict", _predict, "print what a saved network answers, a line per sample", EXAMPLES)
    predict.add_argument("model", metavar="MODEL", help="a file that train, or Network.save, wrote")
    predict.add_argument(
        "data",
        metavar="DATA",
        help="a table; or, of a network of arrays, 'digits' for the held-out images, or a .csv of numbers, a .npy, or a .npz "
        "with an array x",
    )
    predict.add_argument("-o", "--output", metavar="FILE", help="write there, not on the screen")
    predict.add_argument("--json", action="store_true", help="as one JSON object")
    predict.add_argument("--probabilities", action="store_true", help="of every class of a table, too")
    predict.add_argument("--outputs", action="store_true", help="print all outputs, not the class")
    predict.add_argument("--draw", type=int, default=0, metavar="N", help="draw the first N images of digits")
    add_table_options(predict)
    add_device_options(predict)


def _predict(options) -> int:
    if options.output is not None:
        refuse_unwritable(options.output)
    network = Network.load(options.model, device=options.device, kernels=options.kernels)
    text = _of_arrays(network, options) if network.table is None else _of_table(network, options)
    if options.output is None:
        print(text, end="", flush=True)
        return 0
    with persist.replacing(options.output) as file:
        file.write(text.encode())
    print(f"wrote {options.output}", file=sys.stderr)
    return 0


def _of_table(network: Network, options) -> str:
    """The answers to the rows of a table, as CSV or JSON."""
    encoding = network.table
    if options.outputs or options.draw:
        raise ValueError("--outputs and --draw are for networks of arrays; of a table there are --probabilities")
    if options.probabilities and not isinstance(encoding.target, Classes):
        raise ValueError(f"--probabilities are of classes, but {encoding.target.name!r} is a quantity")
    table = tables.read(options.data, separator=options.separator)
    y_hat = network.predict(encoding.x(table, network.dtype, ignore=options.ignore or ()))
    answers = encoding.target.answers(y_hat)
    columns = {}
    if options.probabilities:
        columns = dict(zip(encoding.target.labels, encoding.target.probabilities(y_hat).T.tolist(), strict=True))
    if options.json:
        found = {"target": encoding.target.name, "answers": answers}
        return json.dumps(found | ({"probabilities": columns} if columns else {})) + "\n"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([encoding.target.name, *(f"p({label})" for label in columns)])
    for row in zip(answers, *columns.values(), strict=True):
        writer.writerow(value if isinstance(value, str) else f"{value:.7g}" for value in row)
    return text.getvalue()


def _of_arrays(network: Network, options) -> str:
    """The answers to samples, a line for each or JSON; drawings and the number of right ones go to stderr."""
    if options.probabilities:
        raise ValueError("--probabilities are for networks of tables; of arrays there are --outputs")
    labels = None
    if options.data == "digits":
        _, _, x, labels = load_digits()
    else:
        x = read_array(options.data)
    if options.draw and labels is None:
        raise ValueError("--draw draws digits only")
    y_hat = network.predict(x)
    classes = y_hat.argmax(axis=1) if network.loss == "cce" else (y_hat > 0.5).astype(int) if network.loss == "bce" else y_hat
    answers = y_hat if options.outputs else classes
    for s in range(min(options.draw, len(x))):
        print(f"\nimage {s}: a {labels[s]}, seen as {classes[s]} with probability {y_hat[s].max():.3f}", file=sys.stderr)
        print(_drawing(x[s]), file=sys.stderr)
    if labels is not None:
        print(f"{(classes == labels).sum()} of {len(labels)} right", file=sys.stderr)
    if options.json:
        return json.dumps({"answers": answers.tolist()}) + "\n"
    return "".join(",".join(f"{value:.7g}" for value in np.atleast_1d(row)) + "\n" for row in answers)


def _drawing(image: np.ndarray) -> str:
    """An 8x8 image in characters, two to a pixel."""
    shades = (image.reshape(8, 8) * (len(INK) - 1)).round().astype(int)
    return "\n".join("".join(INK[shade] * 2 for shade in line) for line in shades)
