"""What training came to: learning curves, confusion matrix, weights of the first layer as images."""

import numpy as np

from numbanet import checks, inputs
from numbanet.pictures import style
from numbanet.training.history import History


def learning_curves(history, metric="loss", *, ax=None):
    """Draws how the loss, or another metric, went in training and validation, epoch by epoch.

    Where there was validation data, the best epoch is marked: the one that early stopping chose, else that of the lowest
    validation loss.

    Parameters
    ----------
    history : History
        What `Network.fit` returned.
    metric : str
        One that the history holds, such as "loss" or "accuracy"; its twin "val_..." is drawn beside it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        Not a History, one of no epoch, or a metric it does not hold.
    """
    if not isinstance(history, History):
        raise TypeError(f"history must be a History, which fit returns, not {type(history).__name__}")
    if not history.epoch:
        raise ValueError("history holds no finished epoch")
    metric = checks.choice("metric", metric, [name for name in history.history if not name.startswith("val_")])
    ax = style.axes(ax)
    lines = []
    for name, title, colour in ((metric, "training", style.BLUE), (f"val_{metric}", "validation", style.VERMILION)):
        if name in history.history:
            marker = "o" if len(history.epoch) == 1 else ""
            lines += [(ax.plot(history.epoch, history.history[name], marker=marker, color=colour, lw=2)[0], title)]
    _mark_best(ax, history, lines)
    ax.set(xlabel="epoch", xlim=(history.epoch[0], history.epoch[-1]) if len(history.epoch) > 1 else None)
    ax.set_ylabel(metric.replace("_", " "))
    ax.xaxis.get_major_locator().set_params(integer=True)
    style.calm(ax)
    style.label_ends(ax, lines)
    return ax


def _mark_best(ax, history, lines) -> None:
    """A ring on the validation curve, and the epoch's number."""
    if "val_loss" not in history.history or len(lines) < 2:
        return
    line = lines[1][0]
    stopped = history.best_epoch is not None
    best = history.epoch.index(history.best_epoch) if stopped else int(np.argmin(history.history["val_loss"]))
    epoch, value = history.epoch[best], line.get_ydata()[best]
    ax.plot([epoch], [value], "o", ms=8, mfc="white", mec=line.get_color(), mew=2, zorder=3, clip_on=False)
    rising = value > np.mean(line.get_ydata())
    late = best > 0.6 * len(history.epoch)
    ax.annotate(
        f"best, epoch {epoch}: {value:.4g}",
        (epoch, value),
        (0, -16 if rising else 16),
        textcoords="offset points",
        ha="right" if late else "left",
        va="center",
        size=style.LABEL_POINTS,
        color=line.get_color(),
        path_effects=style.HALO,
    )


def confusion_matrix(y, y_hat, *, names=None, ax=None):
    """Draws how often samples of each class were taken for each other class.

    A cell holds the count and its share of the samples of that true class, which also is its shade.

    Parameters
    ----------
    y : array_like, (n,) or (n, classes)
        Integer labels from 0, or rows of probabilities.
    y_hat : array_like, (n,) or (n, classes) or (n, 1)
        Labels, or what `Network.predict` answers: the largest output of a row wins; a single one says yes above 1/2.
    names : list of str, optional
        Of the classes; their numbers by default.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        y and y_hat are not as many, are no labels, or exceed the names.
    """
    counts = _confusion(_labels("y", y), _labels("y_hat", y_hat), None if names is None else len(names))
    classes = len(counts)
    names = [str(c) for c in range(classes)] if names is None else list(map(str, names))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.62 * classes + 1, 3.2, 14))
    ax = style.axes(ax, (side, side))
    box = ax.get_window_extent()
    cell = min(box.width, box.height) / ax.figure.dpi * 72 / classes  # in points
    ax.imshow(shares, cmap=style.SHADES, vmin=0, vmax=1, aspect="equal")
    for i, j in np.argwhere(counts):
        colour = "white" if shares[i, j] > 0.45 else style.INK
        ax.text(j, i - 0.12, f"{counts[i, j]}", ha="center", va="center", color=colour, size=min(10, cell / 3))
        ax.text(j, i + 0.23, f"{100 * shares[i, j]:.3g} %", ha="center", va="center", color=colour, size=min(7, cell / 5))
    ticks = np.arange(classes)
    slanted = max(map(len, names)) > 5
    ax.set_xticks(ticks, names, rotation=40 if slanted else 0, ha="right" if slanted else "center", rotation_mode="anchor")
    ax.set_yticks(ticks, names)
    ax.set_xticks(ticks[1:] - 0.5, minor=True)
    ax.set_yticks(ticks[1:] - 0.5, minor=True)
    ax.grid(which="minor", color=style.FAINT, lw=0.8)
    right = counts.trace() / counts.sum()
    ax.set(xlabel="prediction", ylabel="truth")
    ax.set_title(f"{counts.trace()} of {counts.sum()} right, {100 * right:.1f} %", loc="left", size=10, color=style.INK)
    style.calm(ax)
    ax.spines[:].set(visible=True, color=style.FAINT)
    ax.tick_params(which="both", length=0)
    return ax


def class_numbers(y) -> np.ndarray:
    """(n,) of labels, or of the classes that rows of probabilities (n, classes) favour; one column is a yes or no at 1/2."""
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(axis=1)
    y = y.reshape(-1)
    return (y > 0.5).astype(int) if y.dtype.kind == "f" else y.astype(int)


def _labels(name: str, y) -> np.ndarray:
    """Class numbers (n,), checked."""
    y = inputs.real_array(name, y)
    if y.ndim not in (1, 2) or y.size == 0:
        raise ValueError(f"{name} must have shape (n,) or (n, classes), not {y.shape}")
    if y.ndim == 1 and y.dtype.kind == "f":
        raise TypeError(f"labels must be integers, but {name} holds {y.dtype}")
    if not np.isfinite(y).all():
        raise ValueError(f"{name} must be finite")
    labels = class_numbers(y)
    if labels.min() < 0:
        raise ValueError(f"{name} holds {labels.min()}: labels count from 0")
    return labels


def _confusion(y, y_hat, classes: int | None) -> np.ndarray:
    """counts[truth, prediction]."""
    if y.size != y_hat.size:
        raise ValueError(f"y has {y.size} samples, but y_hat has {y_hat.size}")
    needed = 1 + max(y.max(), y_hat.max())
    if classes is not None and classes < needed:
        raise ValueError(f"names has {classes} classes, but the labels go to {needed - 1}")
    counts = np.zeros((classes or needed,) * 2, int)
    np.add.at(counts, (y, y_hat), 1)
    return counts


def weight_images(network, shape, *, ax=None):
    """Draws the weights of the first layer as images, one for each neuron: what it looks for in its input.

    Parameters
    ----------
    network : Network
        Its inputs are the pixels of an image.
    shape : (int, int)
        Height and width of it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        A shape of another number of pixels than the network has inputs.
    """
    try:
        height, width = (checks.integer("shape", length) for length in shape)
    except (TypeError, ValueError):
        raise ValueError(f"shape must be height and width of an image, such as (8, 8), not {shape!r}") from None
    if height * width != network.sizes[0]:
        raise ValueError(f"shape {height} x {width} has {height * width} pixels, but the network {network.sizes[0]} inputs")
    w, _ = network.parameters()[0]
    columns = int(np.ceil(np.sqrt(2 * w.shape[1] * height / width)))
    rows = -(-w.shape[1] // columns)
    wall = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for j, image in enumerate(w.T.reshape(-1, height, width)):
        top, left = j // columns * (height + 1), j % columns * (width + 1)
        wall[top : top + height, left : left + width] = image
    ax = style.axes(ax, (6.4, 6.4 * wall.shape[0] / wall.shape[1]))
    limit = np.abs(w).max() or 1.0
    image = ax.imshow(wall, cmap=style.DIVERGING, vmin=-limit, vmax=limit)
    ax.set_title(f"$w$ of the {w.shape[1]} neurons of layer 1", loc="left", size=10, color=style.INK)
    ax.set_axis_off()
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=style.GREY, labelcolor=style.INK, labelsize=style.LABEL_POINTS)
    return ax
