"""The subcommand `numbanet trace`: writes or prints all values of one training step of a saved network."""

import argparse

from numbanet import Network, checks
from numbanet.cli.common import MODEL_HELP, add_command, add_device_options, refuse_overwriting
from numbanet.cli.table_options import add_samples, add_table_options, add_unknown_option, samples_of
from numbanet.files import refuse_unwritable

PAGES, VECTORS = (".html", ".htm"), (".json", ".npz")
EXAMPLES = """examples:
  numbanet trace digits.npz digits --rows 3 -o step.html    a page to walk through, from symbol to symbol
  numbanet trace model.npz more.csv -o step.html            the first row of a table
  numbanet trace model.npz more.csv --rows 4 -o step.json   the values as JSON, for tests of a port; or .npz
  numbanet trace model.npz more.csv                         print the values
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand `trace` and its options."""
    trace = add_command(commands, "trace", _trace, "show every value of one training step of a saved network", EXAMPLES)
    trace.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    add_samples(trace)
    trace.add_argument("--rows", type=int, default=1, metavar="N", help="trace the first N rows (default: %(default)s)")
    trace.add_argument(
        "--learning-rate",
        type=float,
        default=0.01,
        metavar="ETA",
        help="for an .html file: learning rate of the update (default: %(default)s)",
    )
    trace.add_argument(
        "-o", "--output", metavar="FILE", help="file to write: .html, .json or .npz; without this option, print the values"
    )
    add_table_options(trace)
    add_unknown_option(trace)
    add_device_options(trace)


def _trace(options: argparse.Namespace) -> int:
    rows = checks.integer("--rows", options.rows)
    if options.output is not None:
        if not options.output.lower().endswith((*PAGES, *VECTORS)):
            raise ValueError(f"cannot write {options.output!r}: let the name end in .html for a page, or in .json or .npz")
        refuse_unwritable(options.output)
        refuse_overwriting(options.output, options.model, options.data)
    network = Network.load(options.model, device=options.device, kernels=options.kernels)
    x, y, _ = samples_of(network.table, options)
    traced = network.trace(x[:rows], y[:rows])
    if options.output is None:
        print(traced.table())
        return 0
    if options.output.lower().endswith(PAGES):
        traced.page(options.output, learning_rate=options.learning_rate)
    else:
        traced.save(options.output)
    print(f"wrote {options.output}")
    return 0
