"""numbanet info"""

import json

from numbanet import checks, inputs
from numbanet.cli.common import add_command, sizes
from numbanet.info import info, plans


def add(commands) -> None:
    """The command's options."""
    about = add_command(commands, "info", _info, "show versions, CPU features, threads, GPU and rungs")
    about.add_argument("--json", action="store_true", help="as one JSON object")
    about.add_argument("--plan", type=sizes, metavar="N,N[,N...]", help="say how a network of these sizes trains on a GPU")
    about.add_argument("--batch-size", type=int, default=32, metavar="N", help="with --plan (%(default)s)")
    about.add_argument("--dtype", choices=inputs.DTYPES, default="float32", help="with --plan (%(default)s)")


def _plans(options) -> dict[str, str]:
    topology = inputs.topology(options.plan, "relu", "cce", options.dtype, 0.01)
    return plans(topology, checks.integer("batch_size", options.batch_size))


def _info(options) -> int:
    facts = info() if options.plan is None else _plans(options)
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        width = max(map(len, facts))
        for name, fact in facts.items():
            print(f"{name:{width}}  {fact}")
    return 0
