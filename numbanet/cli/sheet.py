"""numbanet sheet"""

from numbanet.cli.common import add_command, refuse_unwritable


def add(commands) -> None:
    """The command's options."""
    drawing = add_command(
        commands, "sheet", _sheet, "draw the whole cheat sheet, each formula beside the curve its loop computes"
    )
    drawing.add_argument(
        "-o", "--output", default="sheet.pdf", metavar="FILE", help="a .pdf, .png, .svg or .html, to print on A3 (%(default)s)"
    )


def _sheet(options) -> int:
    from numbanet.pictures import save_sheet  # needs matplotlib, which nothing else here does

    refuse_unwritable(options.output)
    save_sheet(options.output)
    print(f"saved {options.output}")
    return 0
