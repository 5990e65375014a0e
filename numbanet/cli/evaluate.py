"""The subcommand `numbanet evaluate`: computes the loss and the metrics of a saved network on other data."""

import argparse
import json
from typing import Any

from numpy.typing import NDArray

from numbanet import Network, tables
from numbanet.cli.common import DATA_SETS, MODEL_HELP, add_command, add_device_options, read_array
from numbanet.cli.figures import add_metrics_option, figures, line, unit_of
from numbanet.cli.table_options import add_table_options, add_unknown_option, read_rows

EXAMPLES = """examples:
  numbanet evaluate model.npz more.csv                      rows with the same columns and target as the training table
  numbanet evaluate model.npz more.csv --metrics f1 --json
  numbanet evaluate model.npz t10k-images-idx3-ubyte.gz --target t10k-labels-idx1-ubyte.gz
  numbanet evaluate digits.npz digits                       the held-out images of digits
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand and its options."""
    evaluate = add_command(commands, "evaluate", _evaluate, "evaluate a saved network on other data", EXAMPLES)
    evaluate.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    evaluate.add_argument(
        "data",
        metavar="DATA",
        help="a table, or - for standard input; for a network trained on arrays: "
        f"{', '.join(DATA_SETS)} (the held-out images), or an .npz file with x and y",
    )
    evaluate.add_argument("--target", metavar="FILE", help="if DATA is an IDX file: the IDX file that contains its labels")
    add_metrics_option(evaluate)
    add_table_options(evaluate)
    add_unknown_option(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print the results as one JSON object")
    add_device_options(evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    network = Network.load(options.model, device=options.device, kernels=options.kernels)
    encoding = network.table
    x, y = _arrays(options.data) if encoding is None else _encoded(encoding, options)
    values, unit = figures(network, x, y, options.metrics), unit_of(encoding)
    if options.json:
        print(json.dumps({"rows": len(x), "figures": values} | ({"unit": unit} if unit else {}), indent=2))
    else:
        print(f"{line(values, unit)}, on {len(x)} {'samples' if encoding is None else 'rows'}")
    return 0


def _encoded(encoding: tables.Encoding, options: argparse.Namespace) -> tuple[NDArray[Any], NDArray[Any]]:
    """Reads the table `options.data`, and encodes it as x and y of the network."""
    table = read_rows(options, encoding, target=True)
    return encoding.x(table, ignore=options.ignore or (), unknown=options.unknown), encoding.y(table)


def _arrays(data: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the held-out x and y of a named data set, or x and y from a file of arrays."""
    if data in DATA_SETS:
        return DATA_SETS[data].load()[2:]
    return read_array(data, "x"), read_array(data, "y")
