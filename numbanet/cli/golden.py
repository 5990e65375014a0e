"""The subcommand `numbanet golden`: writes golden vectors, the expected values for tests of a port of numbanet."""

import argparse

from numbanet.cli.common import add_command
from numbanet.proof import golden


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand `golden` and its options."""
    summary = "write golden vectors (all values of one training step, for five networks) to check a port against"
    vectors = add_command(commands, "golden", _golden, summary)
    vectors.add_argument("folder", metavar="FOLDER", help="folder for the JSON and NPZ files; created if it does not exist")


def _golden(options: argparse.Namespace) -> int:
    for path in golden.write(options.folder):
        print(f"wrote {path}")
    return 0
