"""The subcommand `numbanet sheet`: draws the cheat sheet of all formulas."""

import argparse

from numbanet.cli.common import add_command
from numbanet.files import refuse_unwritable


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the subcommand `sheet` and its options."""
    drawing = add_command(
        commands, "sheet", _sheet, "draw the whole cheat sheet, each formula beside the curve that its loop computes"
    )
    drawing.add_argument(
        "-o",
        "--output",
        default="sheet.pdf",
        metavar="FILE",
        help="file to write, in A3 format: .pdf, .png, .svg or .html (default: %(default)s)",
    )


def _sheet(options: argparse.Namespace) -> int:
    from numbanet.pictures import save_sheet  # imported here because only this subcommand needs matplotlib

    refuse_unwritable(options.output)
    save_sheet(options.output)
    print(f"saved {options.output}")
    return 0
