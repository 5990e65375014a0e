"""Draws the predictions of a network with two inputs in the plane: the regions of the classes, or a regression surface."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from numbanet import inputs
from numbanet.network import Network
from numbanet.pictures import style
from numbanet.pictures.labels import are_texts, class_numbers, indices_of

GRID = 300  # the number of points along each axis
MOST_IN_COLUMN = 14  # the largest number of classes in one column of the legend


def decision_boundary(
    network: Network,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws the predictions of a network with two inputs as colours in the plane, and samples as points.

    For classification, each class is a coloured region, and lines separate the regions. A region is paler at points with a
    lower probability of the class. For regression with one output, the predictions are drawn as a coloured surface.

    Parameters
    ----------
    network : Network
        A network with 2 inputs.
    x : array_like, (n, 2)
        The samples, which are drawn as points. The drawing shows a part of the plane that contains all samples.
    y : array_like, optional
        The targets of the samples, as for `Network.evaluate`, or the names of the classes as strings. The targets determine
        the colours of the points.
    names : list of str, optional
        The names of the classes, in the order of the network's outputs; by default the class labels of the table on which the
        network was trained, otherwise the class indices.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        The network does not have 2 inputs, the network has several outputs that are not classes, or `Network.evaluate` does not
        accept x and y, or the number of names is not the number of classes.
    """
    n_in, n_out = network.sizes[0], network.sizes[-1]
    if n_in != 2:
        raise ValueError(f"decision_boundary needs a network with 2 inputs, but this network has {n_in}")
    classes = _classes(network)
    if classes is None and n_out != 1:
        raise ValueError(
            f"decision_boundary needs a network with classes or one output, but this network has {n_out} independent outputs"
        )
    named = _names(network, names, classes or 0)
    if y is not None and are_texts(y) and named:
        y = indices_of("y", y, named)
    if y is None:
        network.predict(x)  # raises an error if x is invalid
    else:
        network.evaluate(x, y)  # raises an error if x or y is invalid
    samples, targets = inputs.real_array("x", x).astype(float), None if y is None else inputs.real_array("y", y)
    ax = style.axes(ax, (5.2, 4.2))
    low, high = samples.min(axis=0), samples.max(axis=0)
    margin = np.where(high > low, 0.12 * (high - low), 1.0)
    x_1, x_2 = (np.linspace(*ends, GRID) for ends in zip(low - margin, high + margin, strict=True))
    plane = np.stack(np.meshgrid(x_1, x_2), axis=-1)
    y_hat = network.predict(plane.reshape(-1, 2)).reshape(GRID, GRID, n_out)
    if classes is None:
        _surface(ax, (x_1, x_2), y_hat[..., 0], samples, None if targets is None else targets.reshape(-1))
    else:
        _areas(ax, (x_1, x_2), y_hat, classes)
        labels = None if targets is None else class_numbers(targets)
        _points(ax, samples, labels, named or [f"class {c}" for c in range(classes)])
    columns = [f"{feature.name} (encoded)" for feature in network.table.features] if network.table else []
    x_label, y_label = columns if len(columns) == 2 else ("$x_1$", "$x_2$")
    ax.set(xlabel=x_label, ylabel=y_label, xlim=x_1[[0, -1]], ylim=x_2[[0, -1]])
    style.calm(ax)
    return ax


def _classes(network: Network) -> int | None:
    """Returns the number of classes that the network distinguishes, or None if its outputs are not classes."""
    n_out = network.sizes[-1]
    if network.loss == "bce" and n_out == 1:
        return 2
    return n_out if network.activations[-1] == "softmax" and n_out > 1 else None


def _names(network: Network, names: Sequence[str] | None, classes: int) -> list[str] | None:
    """Returns the names of the classes; None if neither the caller nor the network's table has names."""
    if names is None:
        return list(getattr(network.table and network.table.target, "labels", ())) or None
    if len(names) != classes:
        raise ValueError(f"names has {len(names)} entries, but the network has {classes} classes")
    return list(map(str, names))


def _areas(ax: Axes, axes: tuple[NDArray[Any], NDArray[Any]], y_hat: NDArray[Any], classes: int) -> None:
    """Draws the regions of the classes, and the boundaries between the regions."""
    theme = style.theme(ax)
    x_1, x_2 = axes
    probability = np.concatenate([1 - y_hat, y_hat], axis=2) if y_hat.shape[2] == 1 else y_hat
    winner = probability.argmax(axis=2)
    colours, paper = np.array([to_rgb(theme.colour(c)) for c in range(classes)]), np.array(to_rgb(theme.paper))
    confidence = np.clip((probability.max(axis=2) - 1 / classes) / (1 - 1 / classes), 0, 1)[..., np.newaxis]
    picture = paper + (colours[winner] - paper) * (0.08 + 0.34 * confidence)
    ax.imshow(picture, origin="lower", extent=(*x_1[[0, -1]], *x_2[[0, -1]]), aspect="auto", interpolation="bilinear", zorder=0)
    for c in range(classes):
        rival = np.delete(probability, c, axis=2).max(axis=2)
        if (winner == c).any() and (winner != c).any():
            ax.contour(x_1, x_2, probability[..., c] - rival, [0], colors=theme.ink, linewidths=1.2, zorder=1)


def _points(ax: Axes, x: NDArray[Any], labels: NDArray[Any] | None, names: list[str]) -> None:
    """Draws the samples x of shape (n, 2), with a marker and a colour for each class, and a legend."""
    theme = style.theme(ax)
    if labels is None:
        ax.plot(*x.T, "o", ms=5, mfc=theme.ink, mec=theme.paper, mew=0.6)
        return
    for c in np.unique(labels):
        marker = style.MARKERS[c % len(style.MARKERS)]
        look = {"marker": marker, "ms": 5.5, "mfc": theme.colour(c), "mec": theme.paper, "mew": 0.7, "ls": ""}
        ax.plot(*x[labels == c].T, **look, label=names[c])
    spare = {"frameon": False, "handletextpad": 0.2, "labelcolor": theme.ink, "fontsize": style.LABEL_POINTS}
    if ax.figure.get_layout_engine() is None:  # only a layout engine makes room beside the Axes
        ax.legend(loc="best", **spare | {"frameon": True, "framealpha": 0.8, "facecolor": theme.paper})
    else:
        columns = -(-len(np.unique(labels)) // MOST_IN_COLUMN)
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1), ncols=columns, borderaxespad=0.2, columnspacing=0.8, **spare)


def _surface(
    ax: Axes, axes: tuple[NDArray[Any], NDArray[Any]], y_hat: NDArray[Any], x: NDArray[Any], y: NDArray[Any] | None
) -> None:
    """Draws a regression surface, and the samples x of shape (n, 2), coloured by their targets."""
    theme = style.theme(ax)
    x_1, x_2 = axes
    lowest, highest = y_hat.min(), y_hat.max()
    if y is not None:
        lowest, highest = min(lowest, y.min()), max(highest, y.max())
    levels = MaxNLocator(12).tick_values(lowest, highest)
    surface = ax.contourf(x_1, x_2, y_hat, levels, cmap="cividis", extend="neither")
    ax.contour(x_1, x_2, y_hat, levels, colors="white", linewidths=0.4, alpha=0.6)
    inside: dict[str, Any] = {"c": "white"} if y is None else {"c": y, "cmap": surface.cmap, "norm": surface.norm}
    ax.scatter(*x.T, s=30, edgecolors=theme.ink if y is None else "white", linewidths=0.9, **inside)
    bar = ax.figure.colorbar(surface, ax=ax, label=r"$\hat y$" if y is None else r"$\hat y$ (area), $y$ (points)")
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=theme.grey, labelcolor=theme.ink, labelsize=style.LABEL_POINTS)
