"""Draws the results of training: learning curves, the confusion matrix, and the weights of the first layer as images."""

import math
import os
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from numbanet import checks
from numbanet.network import Network
from numbanet.pages import shortened
from numbanet.pictures import style
from numbanet.pictures.files import save
from numbanet.pictures.labels import classified
from numbanet.pictures.page import POINT, extent
from numbanet.pictures.placing import name_point
from numbanet.pictures.predictions import image_shape
from numbanet.pictures.space import cut, label, wrapped
from numbanet.training.history import History

TITLE_POINTS = 10
CLASS_LABELS = ("predicted class", "true class (each row: 100\N{NO-BREAK SPACE}%)")
NAME_SHARE = 0.45  # the largest part of the width, and of the height, that the names of classes take
LEAST_SIDE = 70.0  # the smallest side of a confusion matrix with the label of its axis, in points
MOST_CLASSES = 500  # with more classes, a confusion matrix would take minutes, and its cells would be below a point
LEAST_POINTS = 5.0  # the size of the smallest letters in a cell of a confusion matrix


def learning_curves(history: History, metric: str = "loss", *, ax: Axes | None = None) -> Axes:
    """Draws the training curve and the validation curve of the loss, or of another metric, over the epochs.

    If the history contains validation data, a ring marks an epoch: with early stopping, the best epoch, whose parameters the
    network keeps; without early stopping, the epoch with the lowest validation loss.

    Parameters
    ----------
    history : History
        The history that `Network.fit` returned.
    metric : str
        The name of the training metric in the history, such as "loss" or "accuracy". The validation curve shows the metric
        whose name has the prefix "val_", such as "val_loss", if the history contains it.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        history is not a History, contains no finished epoch, or does not contain the metric.
    """
    if not isinstance(history, History):
        raise TypeError(f"history must be a History, as returned by fit, not {type(history).__name__}")
    if not history.epoch:
        raise ValueError("history has no finished epoch, so that there is no curve to draw")
    metric = checks.choice("metric", metric, [name for name in history.history if not name.startswith("val_")])
    ax = style.axes(ax)
    colours = style.theme(ax).colours
    named = ((metric, "training", colours[0]), (f"val_{metric}", "validation", colours[1]))
    lines = [_draw_curve(ax, history, *each) for each in named if each[0] in history.history]
    ax.set(xlim=(history.epoch[0], history.epoch[-1]) if len(history.epoch) > 1 else None)
    if len(history.epoch) == 1:
        ax.set_xticks(history.epoch)
    else:
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    style.calm(ax)
    points = style.points_of(ax)
    if not any(np.isfinite(line.get_ydata()).any() for line, _ in lines):
        ax.set_yticks([])
        text = wrapped(f"no finite {metric}", points, 0.6 * style.room(ax)[0])
        ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=style.theme(ax).ink, size=points)
    ax.margins(y=0.12)
    label(ax, "epoch", metric.replace("_", " "))
    style.label_ends(ax, [(line, wrapped(name, points, 0.3 * style.room(ax)[0])) for line, name in lines], points)
    _mark_best(ax, history, [line for line, _ in lines])
    return ax


def _draw_curve(ax: Axes, history: History, name: str, title: str, colour: str) -> tuple[Line2D, str]:
    """Draws the finite values of a metric over the epochs, and returns the line and its name.

    A finite value without a finite neighbour is drawn as a point, because no line leads to it. If the last value is not
    finite, the returned name ends with this value, as in "loss, then nan".
    """
    values = np.array(history.history[name], float)
    finite = np.isfinite(values)
    before, after = np.append(False, finite[:-1]), np.append(finite[1:], False)
    alone = np.flatnonzero(finite & ~before & ~after).tolist()
    drawn = np.where(finite, values, np.nan)
    (line,) = ax.plot(history.epoch, drawn, color=colour, lw=2, marker="o" if alone else "", markevery=alone)
    return line, title if finite[-1] else f"{title}, then {values[-1]}"


def save_curves(path: str | os.PathLike[str], history: History) -> None:
    """Draws the learning curve of the loss and, if the history contains it, of the accuracy, and writes them to a file.

    Parameters
    ----------
    path : str or path-like
        The file to write. The suffix of the path determines the format: .pdf, .png, .svg, or .html with an SVG drawing inside.
    history : History
        The history that `Network.fit` returned.

    Raises
    ------
    ValueError, TypeError
        The suffix is not .pdf, .png, .svg or .html, or the history contains no finished epoch.
    OSError
        The file cannot be written.
    """
    names = [name for name in ("loss", "accuracy") if name in history] or ["loss"]

    def draw() -> Figure:
        figure = Figure(figsize=(5.6 * len(names), 3.6), layout="constrained")
        for name, ax in zip(names, figure.subplots(1, len(names), squeeze=False)[0], strict=True):
            learning_curves(history, name, ax=ax)
        return figure

    save([draw], path, "numbanet: learning curves")


def _mark_best(ax: Axes, history: History, lines: Sequence[Line2D]) -> None:
    """Marks an epoch with a ring on the validation curve, and writes the epoch and its value where they cover no curve.

    With early stopping, the function marks the best epoch; without early stopping, the epoch with the lowest validation loss.
    """
    losses = np.array(history.history.get("val_loss", []), float)
    if len(lines) < 2 or not np.isfinite(losses).any():
        return
    line, chosen = lines[1], history.best_epoch
    best = int(np.argmin(np.where(np.isfinite(losses), losses, np.inf))) if chosen is None else history.epoch.index(chosen)
    epoch, value = history.epoch[best], float(np.asarray(line.get_ydata())[best])
    if not np.isfinite(value):
        return
    ax.plot([epoch], [value], "o", ms=8, mfc=style.theme(ax).paper, mec=line.get_color(), mew=2, zorder=3, clip_on=False)
    what = "lowest val_loss" if chosen is None else "best"
    names = f"epoch {epoch} ({what}): {value:.4g}", f"epoch {epoch}\n({what}):\n{value:.4g}", f"epoch {epoch}:\n{value:.4g}"
    name_point(ax, (epoch, value), names, lines, color=line.get_color())


def confusion_matrix(y: ArrayLike, y_hat: ArrayLike, *, names: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draws the confusion matrix, which shows the number of samples for each pair of a true and a predicted class.

    Each cell shows a number of samples, and the same number as a fraction of all samples of the true class. The fraction
    determines the shade of the cell. Cells that are too small for legible letters show only the number, or only the shade.

    Parameters
    ----------
    y : array_like, (n,) or (n, classes)
        The true classes, as integer labels that begin with 0, as strings, or as rows of probabilities.
    y_hat : array_like, (n,) or (n, classes) or (n, 1)
        The predicted classes, as integer labels, as strings, or as the outputs that `Network.predict` returned. The class of
        a row of outputs is the index of the largest output. For a network with a single output, the class is 1 if the output
        is above 1/2, otherwise 0.
    names : list of str, optional
        The names of the classes; by default the class indices or, if y and y_hat are strings, these strings in alphabetical
        order.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        y and y_hat differ in length, y or y_hat does not contain valid classes, or there are more classes than names.
    """
    true, predicted, classes = classified(y, y_hat, names)
    number = 1 + max(true.max(), predicted.max()) if classes is None else len(classes)
    if number > MOST_CLASSES:
        raise ValueError(
            f"there are {number} classes, but a confusion matrix can show at most {MOST_CLASSES}: if the labels are not class "
            "indices, but for example years, pass them as strings"
        )
    counts = confusion(true, predicted, number)
    classes = [shortened(name) for name in classes or map(str, range(len(counts)))]
    longest = max(map(len, classes))
    side = float(np.clip(0.62 * len(classes) + 1, 3.4, 14))
    ax = style.axes(ax, (side + 0.07 * longest, side + 0.05 * longest))
    theme = style.theme(ax)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(fractions, cmap=theme.shades, vmin=0, vmax=1, aspect="equal")
    style.calm(ax)
    points = style.points_of(ax)
    _name_classes(ax, classes, points)
    ax.grid(which="minor", color=theme.faint, lw=0.8)
    ax.spines[:].set(visible=True, color=theme.faint)
    ax.tick_params(which="both", length=0)
    label(ax, *CLASS_LABELS)
    _write_title(ax, f"{counts.trace()} of {counts.sum()} correct, {100 * counts.trace() / counts.sum():.1f} %")
    cell = ax.get_window_extent().width / ax.figure.dpi * 72 / len(counts)  # in points
    if cell < 1.25 * points:
        _name_classes(ax, classes, points, math.ceil(1.25 * points / cell))
    if not _write_counts(ax, counts, fractions, cell):
        label(ax, CLASS_LABELS[0], "true class (shade: share of the row)")
    return ax


def _write_title(ax: Axes, title: str) -> None:
    """Writes a left-aligned title above the Axes, in lines that fit into the figure, and lays out the figure."""
    points = min(TITLE_POINTS, style.points_of(ax) + 1)
    for _ in range(2):  # the second line of a title moves the Axes
        style.lay_out(ax)
        space = (ax.figure.bbox.x1 - ax.get_window_extent().x0) / ax.figure.dpi * 72
        lines = wrapped(title, points, 0.95 * space)
        if lines == ax.get_title(loc="left"):
            return
        ax.set_title(lines, loc="left", size=points, color=style.theme(ax).ink)
    style.lay_out(ax)


def _name_classes(ax: Axes, classes: list[str], points: float, step: int = 1) -> None:
    """Writes the name of every `step`-th class, beginning with the first, beside its row and below its column."""
    beside, below = (
        [cut(name, points, min(NAME_SHARE * length, length - LEAST_SIDE)) for name in classes] for length in style.room(ax)
    )
    ticks, longest = np.arange(0, len(classes), step), max(map(len, classes))
    turned: dict[str, Any] = {}
    if longest > 5 or step > 1:  # slanted names that are long would overlap
        upright = {"rotation": 90, "va": "center"} if longest > 10 or step > 1 else {"rotation": 40}
        turned = {"ha": "right", "rotation_mode": "anchor", **upright}
    ax.set_xticks(ticks, below[::step], parse_math=False, **turned)
    ax.set_yticks(ticks, beside[::step], parse_math=False)
    borders = np.arange(1, len(classes)) - 0.5
    ax.set_xticks(borders, minor=True)
    ax.set_yticks(borders, minor=True)


def _write_counts(ax: Axes, counts: NDArray[np.integer], fractions: NDArray[np.floating], cell: float) -> bool:
    """Writes the number of samples and the fraction into each cell, as large as the cell allows.

    `cell` is the side length of a cell in points. Numbers and fractions that fit only in letters of less than five points
    (LEAST_POINTS) are omitted. Returns True if the cells contain fractions.
    """
    theme = style.theme(ax)
    fractions_as_text = {(i, j): _percent(float(fractions[i, j])) for i, j in np.argwhere(counts)}
    percent = min(7.5, 0.26 * cell, 0.9 * cell / _width(fractions_as_text.values()))
    shows_both = percent >= LEAST_POINTS
    number = min(10.0, (0.4 if shows_both else 0.6) * cell, 0.9 * cell / _width(map(str, counts[counts > 0])))
    for (i, j), text in fractions_as_text.items():
        ink = _legible(theme.shades(float(fractions[i, j])))
        if number >= LEAST_POINTS:
            ax.text(j, i - 0.14 * shows_both, f"{counts[i, j]}", ha="center", va="center", color=ink, size=number)
        if shows_both:
            ax.text(j, i + 0.24, text, ha="center", va="center", color=ink, size=percent)
    return shows_both


def _width(texts: Iterable[str]) -> float:
    """Returns the width of the widest text, divided by the font size."""
    return max(extent(text)[0] for text in texts) / POINT


def _legible(background: Sequence[float]) -> str:
    """Returns the colour in which text is legible on the colour `background`: white or nearly black."""
    red, green, blue = background[:3]
    return "#FFFFFF" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45 else style.LIGHT.ink


def _percent(fraction: float) -> str:
    """Returns a fraction as a percentage with at most one decimal; only the fractions 0 and 1 are shown as 0 % and 100 %."""
    percent = 100 * fraction
    if 0 < percent < 0.1 or 99.9 < percent < 100:
        return "< 0.1 %" if percent < 1 else "> 99.9 %"
    return f"{percent:.1f}".removesuffix(".0") + " %"


def confusion(y: NDArray[np.integer], y_hat: NDArray[np.integer], classes: int | None) -> NDArray[np.integer]:
    """Returns the confusion matrix, whose element [i, j] is the number of samples of class i that were predicted as class j."""
    if y.size != y_hat.size:
        raise ValueError(f"y has {y.size} samples, but y_hat has {y_hat.size}")
    needed = 1 + max(y.max(), y_hat.max())
    if classes is not None and classes < needed:
        raise ValueError(f"names has {classes} entries, but labels 0 to {needed - 1} need {needed}")
    counts = np.zeros((classes or needed,) * 2, int)
    np.add.at(counts, (y, y_hat), 1)
    return counts


def weight_images(network: Network, shape: tuple[int, int], *, ax: Axes | None = None) -> Axes:
    """Draws the weights of the first layer as images, one image per neuron.

    Parameters
    ----------
    network : Network
        A network whose inputs are the pixels of an image.
    shape : (int, int)
        The height and the width of the images that the network takes as inputs.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        shape is not a pair of integers, or its number of pixels differs from the number of inputs of the network.
    """
    height, width = image_shape(shape)
    if height * width != network.sizes[0]:
        raise ValueError(f"shape {height} x {width} has {height * width} pixels, but the network has {network.sizes[0]} inputs")
    w, _ = network.parameters()[0]
    columns = int(np.ceil(np.sqrt(2 * w.shape[1] * height / width)))
    rows = -(-w.shape[1] // columns)
    wall = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for j, image in enumerate(w.T.reshape(-1, height, width)):
        top, left = j // columns * (height + 1), j % columns * (width + 1)
        wall[top : top + height, left : left + width] = image
    inches = float(np.clip(0.012 * wall.shape[1], 6.4, 14))
    ax = style.axes(ax, (inches, inches * wall.shape[0] / wall.shape[1]))
    theme = style.theme(ax)
    limit = np.abs(w).max() or 1.0
    image = ax.imshow(wall, cmap=theme.diverging, vmin=-limit, vmax=limit)
    ax.set_axis_off()
    style.lay_out(ax)
    room = ax.get_position(original=True).transformed(ax.figure.transSubfigure)  # type: ignore[union-attr]
    title = f"weights $w$ of the {checks.count(w.shape[1], 'neuron')} of layer 1, one image per neuron"
    letters = len(title) * room.width / ax.figure.dpi * 72 / (extent(title)[0] / POINT * TITLE_POINTS)
    ax.set_title(textwrap.fill(title, max(1, int(letters))), loc="left", size=TITLE_POINTS, color=theme.ink)
    high = 0.75 * ax.get_window_extent().height  # the height of the colour bar, which is below the title
    ticks = MaxNLocator(int(np.clip(high / ax.figure.dpi * 72 / (2 * style.LABEL_POINTS), 2, 8)))
    bar = ax.figure.colorbar(image, ax=ax, shrink=high / room.height, ticks=ticks, pad=0.02)
    bar.outline.set_visible(False)
    style.calm_bar(ax, bar)
    style.lay_out(ax)  # the next drawing places the title and the bar finally
    return ax
