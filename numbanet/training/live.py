"""A line of text that later lines replace, on a terminal or in a notebook."""

import contextlib
import importlib
import shutil
import sys
from typing import Any, Protocol


class LiveLine(Protocol):
    """A line of text on the screen that can be replaced."""

    def replace(self, text: str) -> None:
        """Shows a text in place of the previous text."""
        ...

    def end(self, text: str) -> None:
        """Shows the final text, which no later text replaces."""
        ...


class TerminalLine:
    """A line of a terminal. A text that is wider than the terminal is cut off, unless it is the final text."""

    def __init__(self) -> None:
        self.width = 0  # the width of the visible text

    def replace(self, text: str) -> None:
        """Shows a text in place of the previous text."""
        self._write(text[: shutil.get_terminal_size().columns - 1], "")

    def end(self, text: str) -> None:
        """Shows the final text, and moves the cursor to the next line."""
        self._write(text, "\n")

    def _write(self, text: str, end: str) -> None:
        with contextlib.suppress(ValueError, OSError):  # the terminal was closed
            print(f"\r{text.ljust(self.width)}", end=end, flush=True)
        self.width = len(text)


class NotebookOutput:
    """An output of a notebook's cell, whose content can be replaced.

    The saved notebook contains only the last content of this output.
    """

    def __init__(self) -> None:
        self.handle: Any = None

    def show(self, content: Any, raw: bool = False) -> None:
        """Shows an object or, if `raw` is True, a dict of representations by media type, in place of the previous content."""
        if self.handle is None:
            self.handle = importlib.import_module("IPython.display").display(content, raw=raw, display_id=True)
        else:
            self.handle.update(content, raw=raw)


class NotebookLine(NotebookOutput):
    """A line of text in an output of a notebook's cell."""

    def replace(self, text: str) -> None:
        """Shows a text in place of the previous text."""
        self.show({"text/plain": text}, raw=True)

    end = replace

    # The methods of a file, which let tqdm write a progress bar of text to this line.

    encoding = "utf-8"

    def write(self, text: str) -> None:
        """Shows only the text after the last carriage return; on a terminal, this text would overwrite the text before it."""
        self.replace(text.rstrip().rpartition("\r")[2])

    def flush(self) -> None:
        """Does nothing, because the text is visible already."""


def live_line() -> LiveLine | None:
    """Returns a line that can be replaced; None if standard output is neither a terminal nor the output of a notebook."""
    if on_terminal(sys.stdout):
        return TerminalLine()
    return NotebookLine() if in_notebook() else None


def on_terminal(stream: Any) -> bool:
    """Returns whether `stream`, such as standard error, is a terminal. `stream` may be None."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False


def in_notebook() -> bool:
    """Returns True if standard output is the output of a notebook's cell."""
    return type(sys.stdout).__module__.startswith("ipykernel.")


def shows_bars() -> bool:
    """Returns True if a progress bar can be shown: if standard error is a terminal, or in a notebook."""
    return on_terminal(sys.stderr) or in_notebook()
