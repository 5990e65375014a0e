"""Draws the results of training: learning curves, the confusion matrix, and the weights of the first layer as images."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from numbanet import checks
from numbanet.network import Network
from numbanet.pictures import style
from numbanet.pictures.files import save
from numbanet.pictures.labels import classified
from numbanet.pictures.predictions import image_shape
from numbanet.training.history import History


def learning_curves(history: History, metric: str = "loss", *, ax: Axes | None = None) -> Axes:
    """Draws the training curve and the validation curve of the loss, or of another metric, over the epochs.

    If the history contains validation data, a ring marks an epoch: with early stopping, the best epoch, whose parameters the
    network keeps; without early stopping, the epoch with the lowest validation loss.

    Parameters
    ----------
    history : History
        The history that `Network.fit` returned.
    metric : str
        The name of the training metric in the history, such as "loss" or "accuracy". If the history also contains a metric of
        this name with the prefix "val_", the validation curve shows the metric with the prefix.
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
    lines: list[tuple[Line2D, str]] = []
    colours = style.theme(ax).colours
    for name, title, colour in ((metric, "training", colours[0]), (f"val_{metric}", "validation", colours[1])):
        if name in history.history:
            marker = "o" if len(history.epoch) == 1 else ""
            lines += [(ax.plot(history.epoch, history.history[name], marker=marker, color=colour, lw=2)[0], title)]
    _mark_best(ax, history, lines)
    ax.set(xlabel="epoch", xlim=(history.epoch[0], history.epoch[-1]) if len(history.epoch) > 1 else None)
    if len(history.epoch) == 1:
        ax.set_xticks(history.epoch)
    else:
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    ax.set_ylabel(metric.replace("_", " "))
    style.calm(ax)
    style.label_ends(ax, lines)
    return ax


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


def _mark_best(ax: Axes, history: History, lines: Sequence[tuple[Line2D, str]]) -> None:
    """Marks an epoch with a ring on the validation curve, and writes the epoch and its value beside the ring.

    With early stopping, the epoch is the best epoch; without early stopping, it is the epoch with the lowest validation loss.
    """
    if "val_loss" not in history.history or len(lines) < 2:
        return
    line = lines[1][0]
    heights = np.asarray(line.get_ydata())
    chosen = history.best_epoch
    best = int(np.argmin(history.history["val_loss"])) if chosen is None else history.epoch.index(chosen)
    epoch, value = history.epoch[best], heights[best]
    ax.plot([epoch], [value], "o", ms=8, mfc=style.theme(ax).paper, mec=line.get_color(), mew=2, zorder=3, clip_on=False)
    beside = np.concatenate([heights[max(0, best - 1) : best], heights[best + 1 : best + 2], [value]])
    is_peak = value >= np.mean(beside)
    late = best > 0.6 * len(history.epoch)
    ax.margins(y=0.12)
    ax.annotate(
        f"{'lowest val_loss' if chosen is None else 'best'}, epoch {epoch}: {value:.4g}",
        (epoch, value),
        (0, 14 if is_peak else -14),
        textcoords="offset points",
        ha="right" if late else "left",
        va="center",
        size=style.LABEL_POINTS,
        color=line.get_color(),
        path_effects=style.halo(ax),
    )


def confusion_matrix(y: ArrayLike, y_hat: ArrayLike, *, names: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draws the confusion matrix, which shows the number of samples for each pair of a true and a predicted class.

    Each cell shows a number of samples, and the same number as a fraction of all samples of the true class. The fraction
    determines the shade of the cell.

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
    counts = confusion(true, predicted, None if classes is None else len(classes))
    classes = classes or [str(c) for c in range(len(counts))]
    longest = max(map(len, classes))
    side = float(np.clip(0.62 * len(classes) + 1, 3.4, 14))
    ax = style.axes(ax, (side + 0.07 * min(longest, 30), side + 0.05 * min(longest, 30)))
    theme = style.theme(ax)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(fractions, cmap=theme.shades, vmin=0, vmax=1, aspect="equal")
    ticks = np.arange(len(classes))
    if longest <= 5:
        ax.set_xticks(ticks, classes)
    else:  # slanted names that are long would overlap
        upright: dict[str, Any] = {"rotation": 90, "va": "center"} if longest > 10 else {"rotation": 40}
        ax.set_xticks(ticks, classes, ha="right", rotation_mode="anchor", **upright)
    ax.set_yticks(ticks, classes)
    ax.set_xticks(ticks[1:] - 0.5, minor=True)
    ax.set_yticks(ticks[1:] - 0.5, minor=True)
    ax.grid(which="minor", color=theme.faint, lw=0.8)
    correct = f"{counts.trace()} of {counts.sum()} correct, {100 * counts.trace() / counts.sum():.1f} %"
    ax.set(xlabel="predicted class", ylabel="true class (each row: 100 %)")
    ax.set_title(correct, loc="left", size=10, color=theme.ink)
    style.calm(ax)
    ax.spines[:].set(visible=True, color=theme.faint)
    ax.tick_params(which="both", length=0)
    _write_counts(ax, counts, fractions)
    return ax


def _write_counts(ax: Axes, counts: NDArray[np.integer], fractions: NDArray[np.floating]) -> None:
    """Writes the number of samples and the fraction into each cell, as large as the cell allows."""
    theme = style.theme(ax)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]  # places the Axes, so that the size of a cell is known
    cell = ax.get_window_extent().width / ax.figure.dpi * 72 / len(counts)  # the width of a cell in points
    number = min(10.0, 0.4 * cell, 1.3 * cell / len(str(counts.max())))
    percent = min(7.5, 0.24 * cell)
    for i, j in np.argwhere(counts):
        red, green, blue, _ = theme.shades(fractions[i, j])
        ink = "#FFFFFF" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45 else style.LIGHT.ink
        ax.text(j, i - 0.14, f"{counts[i, j]}", ha="center", va="center", color=ink, size=number)
        ax.text(j, i + 0.24, f"{100 * fractions[i, j]:.3g} %", ha="center", va="center", color=ink, size=percent)


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
    ax = style.axes(ax, (6.4, 6.4 * wall.shape[0] / wall.shape[1]))
    theme = style.theme(ax)
    limit = np.abs(w).max() or 1.0
    image = ax.imshow(wall, cmap=theme.diverging, vmin=-limit, vmax=limit)
    title = f"weights $w$ of the {w.shape[1]} neurons of layer 1, one image per neuron"
    ax.set_title(title, loc="left", size=10, color=theme.ink)
    ax.set_axis_off()
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=theme.grey, labelcolor=theme.ink, labelsize=style.LABEL_POINTS)
    return ax
