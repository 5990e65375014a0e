"""The subcommand `numbanet evaluate`: computes the loss and the metrics of a saved network on the data that the user names."""

import argparse
import json

from numbanet import Network
from numbanet.cli.common import DATA_SETS, MODEL_HELP, add_command, add_device_options, add_metrics_option
from numbanet.cli.reports import add_report_option, check_pictures, write_report
from numbanet.cli.table_options import add_samples, add_table_options, add_unknown_option, samples_of
from numbanet.evaluation import figures, line, unit_of

EXAMPLES = """examples:
  numbanet evaluate model.npz more.csv                      rows with the same columns and target as the training table
  numbanet evaluate model.npz more.csv --metrics f1 --json
  numbanet evaluate model.npz more.csv --report more.html   a page with the most wrong rows and the importance of columns
  numbanet evaluate model.npz t10k-images-idx3-ubyte.gz --target t10k-labels-idx1-ubyte.gz
  numbanet evaluate digits.npz digits                       the held-out images of digits
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand `evaluate` and its options."""
    summary = "compute the loss and the metrics of a saved network on a table or on arrays"
    evaluate = add_command(commands, "evaluate", _evaluate, summary, EXAMPLES)
    evaluate.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    add_samples(evaluate)
    add_metrics_option(evaluate)
    add_report_option(evaluate)
    add_table_options(evaluate)
    add_unknown_option(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print the results as one JSON object")
    add_device_options(evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    check_pictures(options, options.model, options.data)
    network = Network.load(options.model, device=options.device, kernels=options.kernels)
    encoding = network.table
    x, y, table = samples_of(encoding, options)
    values, unit = figures(network, x, y, options.metrics), unit_of(encoding)
    noun = "held-out images" if options.data in DATA_SETS else "samples" if encoding is None else "rows"
    if options.json:
        print(json.dumps({"rows": len(x), "figures": values} | ({"unit": unit} if unit else {}), indent=2))
    else:
        print(f"{line(values, unit)}, on {len(x):,} {noun}")
    write_report(options, network, (x, y) if table is None else (table, None), noun)
    return 0
