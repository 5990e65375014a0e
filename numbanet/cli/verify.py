"""The subcommand `numbanet verify`: checks the results of every compiled loop."""

import argparse

from numbanet.cli.common import add_choice, add_command
from numbanet.inputs import DEVICES
from numbanet.proof.verification import verify


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand `verify` and its options."""
    check = add_command(
        commands, "verify", _verify, "compare the results of every compiled loop with an independent NumPy computation"
    )
    add_choice(
        check,
        "--device",
        DEVICES,
        default="auto",
        help="device to check; auto: the CPU and, if one is usable, the GPU (default: %(default)s)",
    )


def _verify(options: argparse.Namespace) -> int:
    return 0 if all(row.passed for row in verify(options.device)) else 1
