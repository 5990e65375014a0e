"""The subcommand `numbanet info`: prints versions and hardware for bug reports, or how a network would train on a GPU."""

import argparse
import json

from numbanet import _cuda, checks, inputs
from numbanet.cli.common import add_choice, add_command, sizes
from numbanet.engines import Topology
from numbanet.evaluation import environment

EXAMPLES = """examples:
  numbanet info                                  versions, CPU, GPU and kernels, for a bug report
  numbanet info --plan 784,128,10 --batch-size 64
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand `info` and its options."""
    about = add_command(commands, "info", _info, "show versions, CPU features, threads, GPU and kernels", EXAMPLES)
    about.add_argument("--json", action="store_true", help="print the information as one JSON object")
    about.add_argument(
        "--plan",
        type=sizes,
        metavar="N,N[,N...]",
        help="show only how a network with layers of these sizes (the input size first) would be trained on a GPU, and why",
    )
    about.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="samples per update for --plan (default: %(default)s)"
    )
    add_choice(about, "--dtype", inputs.DTYPES, default="float32", help="floating-point type (default: %(default)s)")


def _info(options: argparse.Namespace) -> int:
    if options.plan is None:
        facts = environment()
    else:
        topology = inputs.make_topology(options.plan, "relu", "cce", options.dtype, 0.01)
        facts = plans(topology, checks.integer("batch_size", options.batch_size))
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        width = max(map(len, facts))
        for name, fact in facts.items():
            print(f"{name:{width}}  {fact}")
    return 0


def plans(topology: Topology, batch_size: int) -> dict[str, str]:
    """Returns how a network would be trained, and why, on this machine's GPU or, without a usable GPU, on each known GPU."""
    # These two modules import numba.cuda. At the top of this module, they would delay every subcommand by 0.1 s.
    from numbanet.engines.cuda import planning
    from numbanet.engines.cuda.limits import present_limits

    known = {"this gpu": present_limits()} if _cuda.unusable_reason() is None else planning.KNOWN_LIMITS
    return {
        name: f"{planning.plan(topology, batch_size, having).way}: {planning.reason(topology, batch_size, having)}"
        for name, having in known.items()
    }
