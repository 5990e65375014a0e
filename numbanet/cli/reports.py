"""The options --report and --curves of the subcommands train and evaluate, and the files that they write."""

import argparse
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from numbanet import History, Network
from numbanet.cli.common import DATA_SETS, STANDARD, refuse_overwriting
from numbanet.files import refuse_unwritable

IMAGES = (".png", ".svg", ".pdf")


def add_report_option(parser: argparse._ActionsContainer) -> None:
    """Adds the option --report."""
    parser.add_argument(
        "--report",
        metavar="FILE.html",
        help="write a report as one HTML file: data, settings, results, the largest errors and the importance of the columns",
    )


def add_curves_option(parser: argparse._ActionsContainer) -> None:
    """Adds the option --curves."""
    parser.add_argument("--curves", metavar="FILE.png", help="draw the learning curve of the loss: .png, .svg or .pdf")


def check_pictures(options: argparse.Namespace, *inputs: str) -> None:
    """Raises an error if a file of --report or --curves cannot be written or is an input file, or if matplotlib is missing."""
    curves = getattr(options, "curves", None)
    if options.report is not None:
        from numbanet.pages import refuse_other_names

        if options.report == STANDARD:
            raise ValueError("--report - is not possible, because a report needs a file: name a file that ends in .html")
        refuse_other_names(options.report)
    if curves is not None and not curves.lower().endswith(IMAGES):
        raise ValueError(f"cannot write {curves!r}: let the name end in {', '.join(IMAGES[:-1])} or {IMAGES[-1]}")
    for path in (options.report, curves):
        if path is not None:
            import numbanet.pictures  # noqa: F401 - raises ImportError before the training if matplotlib is missing

            refuse_unwritable(path)
            refuse_overwriting(path, *inputs)


def write_report(
    options: argparse.Namespace,
    network: Network,
    samples: tuple[Any, Any],
    noun: str,
    history: History | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Writes the report that --report names, if any, and prints the name of the file on standard error.

    Parameters
    ----------
    options : Namespace
    network : Network
    samples : tuple of (x, y)
        The samples on which the network is measured: two arrays, or a table as x and None as y.
    noun : str
        The words with which the report calls the samples, such as "held-out rows".
    history, settings
        As for `numbanet.pictures.report`.
    """
    if options.report is None:
        return
    from numbanet.pictures import report

    known = DATA_SETS.get(options.data)
    report(
        options.report,
        network,
        *samples,
        history=history,
        metrics=options.metrics,
        data="{}, images of {} x {} pixels".format(options.data, *known.shape) if known else None,
        samples=noun,
        total=sum(map(len, known.load()[1::2])) if known else None,
        shape=known.shape if known else None,
        settings=settings,
        command=shlex.join(["numbanet", *options.arguments]),
    )
    print(f"wrote {options.report}", file=sys.stderr)


def write_curves(options: argparse.Namespace, history: History) -> None:
    """Draws the learning curve into the file that --curves names, if any, and prints the file's name on standard error."""
    if options.curves is None:
        return
    if not len(history):
        print(f"{options.curves} was not written, because the training finished no epoch", file=sys.stderr)
        return
    from numbanet.pictures import save_curves

    save_curves(options.curves, history)
    print(f"wrote {options.curves}", file=sys.stderr)
