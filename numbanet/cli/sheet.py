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
        help="file to write, with three pages of the size A4: .pdf, .html, .svg or .png. The second page of sheet.svg is "
        "sheet-2.svg, the third page is sheet-3.svg (default: %(default)s)",
    )
    drawing.add_argument("--dark", action="store_true", help="draw on a dark background")


def _sheet(options: argparse.Namespace) -> int:
    from numbanet.pictures import save_sheet  # imported here because only this subcommand needs matplotlib

    refuse_unwritable(options.output)
    print(f"saved {', '.join(save_sheet(options.output, dark=options.dark))}")
    return 0
