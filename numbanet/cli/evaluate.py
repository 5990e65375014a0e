"""The subcommand `numbanet evaluate`: computes the loss and the metrics of a saved network on other data."""

import argparse
import json

from numbanet import Network
from numbanet.cli.common import MODEL_HELP, add_command, add_device_options
from numbanet.cli.figures import add_metrics_option, figures, line, unit_of
from numbanet.cli.table_options import add_samples, add_table_options, add_unknown_option, samples_of

EXAMPLES = """examples:
  numbanet evaluate model.npz more.csv                      rows with the same columns and target as the training table
  numbanet evaluate model.npz more.csv --metrics f1 --json
  numbanet evaluate model.npz t10k-images-idx3-ubyte.gz --target t10k-labels-idx1-ubyte.gz
  numbanet evaluate digits.npz digits                       the held-out images of digits
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand `evaluate` and its options."""
    evaluate = add_command(commands, "evaluate", _evaluate, "evaluate a saved network on other data", EXAMPLES)
    evaluate.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    add_samples(evaluate)
    add_metrics_option(evaluate)
    add_table_options(evaluate)
    add_unknown_option(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print the results as one JSON object")
    add_device_options(evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    network = Network.load(options.model, device=options.device, kernels=options.kernels)
    encoding = network.table
    x, y = samples_of(encoding, options)
    values, unit = figures(network, x, y, options.metrics), unit_of(encoding)
    if options.json:
        print(json.dumps({"rows": len(x), "figures": values} | ({"unit": unit} if unit else {}), indent=2))
    else:
        print(f"{line(values, unit)}, on {len(x)} {'samples' if encoding is None else 'rows'}")
    return 0
