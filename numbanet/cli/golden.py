"""The subcommand `numbanet golden`: writes golden vectors for checks of a port."""

import argparse

from numbanet.cli.common import add_command
from numbanet.proof import golden


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand and its options."""
    summary = "write golden vectors (all values of one training step of five networks), for checking a port"
    vectors = add_command(commands, "golden", _golden, summary)
    vectors.add_argument("folder", metavar="FOLDER", help="folder for the files, as JSON and as NPZ; created if missing")


def _golden(options: argparse.Namespace) -> int:
    for path in golden.write(options.folder):
        print(f"wrote {path}")
    return 0
