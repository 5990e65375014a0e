"""The command `numbanet`: one module per subcommand (train, evaluate, predict, trace, export, golden, verify, info, sheet)."""

import argparse
import os
import sys
import warnings
from contextlib import nullcontext
from typing import Any

from numbanet import __version__
from numbanet._compile import announced
from numbanet.cli import evaluate, export, golden, info, predict, sheet, trace, train, verify
from numbanet.cli.common import INTERRUPTED, Parser
from numbanet.distributed.communicators import end_all
from numbanet.training.live import on_terminal

EXAMPLES = """examples:
  numbanet train digits                          train on the bundled handwritten digits, save digits.npz
  numbanet train digits --hidden 64,32 --activation tanh --epochs 100
  numbanet train fashion-mnist                   train on Fashion-MNIST, if it is installed
  numbanet predict digits.npz digits --draw 3    classify the held-out images, draw three of them
  numbanet train sales.csv --target price        train on a table, save model.npz
  numbanet evaluate model.npz more.csv           measure the accuracy or error on other rows
  numbanet predict model.npz new.csv -o out.csv  predict one value per row; - is standard input or output
  numbanet trace digits.npz digits -o step.html  write a page to walk through a training step, symbol by symbol
  numbanet export model.npz model.onnx           export for ONNX Runtime and other programs
  numbanet verify                                check the results of every compiled loop on this machine
  numbanet sheet -o sheet.svg                    draw every formula beside the curve that its loop computes

numbanet COMMAND --help describes the options of a command.
"""
GREETING = f"""numbanet {__version__}: neural networks whose every equation is a loop that you can read. Three commands to try:

  numbanet train digits                        # trains on 1,438 handwritten digits, in seconds
  numbanet predict digits.npz digits --draw 3  # reads three other digits, and draws them
  numbanet sheet -o sheet.pdf                  # draws every formula beside its curve; needs matplotlib

numbanet --help lists all commands.
"""
COMMANDS = (train, evaluate, predict, trace, export, golden, verify, info, sheet)


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand; without arguments, prints a greeting with commands to try.

    Parameters
    ----------
    arguments : list of str, optional
        The command-line arguments after `numbanet`; by default the arguments of this process.

    Returns
    -------
    int
        The exit status: 0 for success, 1 for an error or a failed check, 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        The arguments are invalid (status 2), or ask for help or the version (status 0).
    """
    try:
        try:
            return _run(arguments)
        finally:
            print(end="", flush=True)  # raises BrokenPipeError here, where it is caught, and not when the process ends
    except BrokenPipeError:  # the program that reads the output, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: list[str] | None) -> int:
    """Runs one subcommand; prints a message about an error, except BrokenPipeError, and returns the exit status."""
    if not (sys.argv[1:] if arguments is None else arguments):
        print(GREETING, end="")
        return 0
    options, unrecognized = _parser().parse_known_args(arguments)
    if unrecognized:
        options.misused(f"unrecognized arguments: {' '.join(unrecognized)}")
    options.arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with nullcontext() if getattr(options, "quiet", False) else announced(), warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return options.command(options)
    except BrokenPipeError:
        raise
    except (ValueError, TypeError, OSError, RuntimeError, FloatingPointError, ImportError) as error:
        message = f"numbanet: {_message(error)}"
        end_all(lambda: print(message, file=sys.stderr))
        return 1
    except KeyboardInterrupt:
        line_break = "\n" if on_terminal(sys.stderr) else ""  # a line break after ^C, which a terminal shows
        end_all(lambda: print(f"{line_break}numbanet: interrupted", file=sys.stderr), INTERRUPTED)
        return INTERRUPTED


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Prints a warning without the line of code that issued it, because users of the command do not know the code."""
    print(f"numbanet: warning: {message}", file=sys.stderr)


def _message(error: Exception) -> str:
    """Returns the message of an exception.

    If a file cannot be opened, the message does not contain the error number of the system.
    """
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"cannot read {os.fspath(error.filename)!r}: no such file"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"cannot open {os.fspath(error.filename)!r}: {error.strerror[0].lower()}{error.strerror[1:]}"
    return str(error)


def _parser() -> Parser:
    parser = Parser(
        prog="numbanet",
        description="Neural networks written as readable loops, compiled for the CPU and for NVIDIA GPUs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"numbanet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
