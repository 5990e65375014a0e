"""numbanet evaluate"""

import json

from numbanet import Network, tables
from numbanet.cli.common import (
    DATA_SETS,
    add_command,
    add_device_options,
    add_table_options,
    names,
    read_array,
)
from numbanet.cli.figures import add_metrics_option, figures, line

EXAMPLES = """examples:
  numbanet evaluate model.npz more.csv                      rows with the columns and the target it was trained on
  numbanet evaluate model.npz more.csv --metrics f1 --json
  numbanet evaluate model.npz t10k-images-idx3-ubyte.gz --target t10k-labels-idx1-ubyte.gz
  numbanet evaluate digits.npz digits                       the held-out images
"""


def add(commands) -> None:
    """The command's options."""
    evaluate = add_command(commands, "evaluate", _evaluate, "say how right a saved network is about other data", EXAMPLES)
    evaluate.add_argument("model", metavar="MODEL", help="a file that train, or Network.save, wrote")
    evaluate.add_argument(
        "data", metavar="DATA", help=f"a table; or, of a network of arrays, {', '.join(DATA_SETS)} or a .npz with x and y"
    )
    evaluate.add_argument("--target", metavar="FILE", help="of IDX: the file of labels")
    add_metrics_option(evaluate, names)
    add_table_options(evaluate)
    evaluate.add_argument("--json", action="store_true", help="as one JSON object")
    add_device_options(evaluate)


def _evaluate(options) -> int:
    network = Network.load(options.model, device=options.device, kernels=options.kernels)
    x, y = _of_arrays(options.data) if network.table is None else _of_table(network.table, options)
    found = figures(network, x, y, options.metrics)
    if options.json:
        print(json.dumps({"rows": len(x), "figures": found}, indent=2))
    else:
        print(f"{line(found)}, on {len(x)} {'samples' if network.table is None else 'rows'}")
    return 0


def _of_table(encoding: tables.Encoding, options):
    target = options.target if tables.is_idx(options.data) else encoding.target.name
    table = tables.read(options.data, separator=options.separator, target=target)
    return encoding.x(table, ignore=options.ignore or ()), encoding.y(table)


def _of_arrays(data: str):
    if data in DATA_SETS:
        return DATA_SETS[data].load()[2:]
    return read_array(data, "x"), read_array(data, "y")
