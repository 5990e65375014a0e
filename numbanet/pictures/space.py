"""Fits texts to the space of a picture: divides labels into lines, and shortens names."""

import re

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from numbanet.pages import shortened
from numbanet.pictures import style
from numbanet.pictures.page import POINT, extent
from numbanet.pictures.placing import without_formulas

MOST_LINES = 3  # of the label of an axis
LEADING = 1.25  # the distance of lines of text, per font size
SHARE = 0.95  # the part of the space that a label may fill


def width_of(text: str, points: float) -> float:
    """Returns the width of a text in points; a $ in the text does not begin a formula."""
    return extent(without_formulas(text))[0] * points / POINT


def cut(name: str, points: float, width: float) -> str:
    """Returns `name`; an ellipsis replaces its middle if it is wider than `width` points or longer than 28 letters."""
    lengths = range(max(len(shortened(name)), 3), 2, -1)
    return next((short for most in lengths if width_of(short := shortened(name, most), points) <= width), name[:1])


def wrapped(text: str, points: float, width: float, lines: int = MOST_LINES) -> str:
    """Returns a text divided, after spaces and underscores, into lines that are at most `width` points wide.

    If the text needs more than `lines` lines, the last line contains all words that remain. In each line that is still too
    wide, an ellipsis replaces the middle.
    """
    found = [""]
    for piece in re.findall(r"[^ _]*[ _]|[^ _]+", text):
        if found[-1] and width_of(found[-1] + piece.rstrip(), points) > width:
            found.append("")
        found[-1] += piece
    found[lines - 1 :] = ["".join(found[lines - 1 :])] if len(found) >= lines else []
    return "\n".join(_fitting(line.strip(), points, width) for line in found)


def _fitting(line: str, points: float, width: float) -> str:
    return line if width_of(line, points) <= width else cut(line, points, width)


def label(ax: Axes, x_label: str, y_label: str) -> None:
    """Writes the labels of the axes, in lines that end before the borders of the figure.

    With other Axes above or below, the lines of the y label are not longer than `ax` is high.

    Set the ticks before the call, because the position of the Axes depends on the ticks.
    """
    for _ in range(2):  # the lines of the labels move the Axes
        style.lay_out(ax)
        box, page, scale = ax.get_window_extent(), ax.figure.bbox, 72 / ax.figure.dpi
        widest, highest = style.room(ax)
        if highest < 0.99 * page.height * scale:  # other Axes are above or below
            highest = box.height * scale
        for axis, text, low, high, whole, most in (
            (ax.xaxis, x_label, box.x0 - page.x0, box.x1 - page.x0, page.width, widest),
            (ax.yaxis, y_label, box.y0 - page.y0, box.y1 - page.y0, page.height, highest),
        ):
            middle = (low + high) / 2
            width = min(2 * min(middle, whole - middle) * scale, most)
            points = float(axis.label.get_fontsize())
            axis.set_label_text(wrapped(text, points, SHARE * width), parse_math=False)
    ax.xaxis.get_tightbbox()  # determines the factor of the numbers
    if ax.xaxis.get_offset_text().get_text():  # the factor of the numbers is at the right, above the label
        ax.xaxis.labelpad += float(ax.xaxis.get_offset_text().get_fontsize())
    style.make_room(ax)


def rows_that_fit(ax: Axes, points: float) -> int:
    """Returns the number of lines of text, of the font size `points`, that fit into the height of the Axes."""
    style.lay_out(ax)
    return int(ax.get_window_extent().height / ax.figure.dpi * 72 / (LEADING * points))


def leave_out_texts(ax: Axes) -> None:
    """Hides each text of a small diagram that is not completely inside the figure, or overlaps a shorter text that is shown."""
    style.lay_out(ax)
    page = ax.figure.bbox.padded(1)
    kept: list[Bbox] = []
    for text in sorted(ax.texts, key=lambda text: len(text.get_text())):
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in kept) or not all(page.contains(*corner) for corner in box.corners()):
            text.set_visible(False)
        else:
            kept.append(box)
