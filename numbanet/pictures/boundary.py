"""Draws the predictions of a network with two inputs in the plane: the regions of the classes, or a regression surface."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from numbanet import inputs
from numbanet.network import Network
from numbanet.pages import shortened
from numbanet.pictures import style
from numbanet.pictures.labels import are_texts, class_names, class_numbers, indices_of
from numbanet.pictures.page import POINT, SMALLEST
from numbanet.pictures.placing import size_in_mm, size_of, without_formulas
from numbanet.pictures.space import cut, label

GRID = 300  # the number of points along each axis
LEADING, SPACE = 1.65, 3.6  # of the legend: the height of a line, and the width of a marker and of spaces, per font size
MOST_COVERED = 0.12  # the largest part of the Axes that a legend may cover
AROUND_NAME, DEEPER = 0.8, 5  # the space around the name of a region, in mm; the steps of the search for the best place
LOW = 200.0  # the height of a picture below which the label of the colours has two lines, in points
FAINT = 0.6  # the opacity of a regression surface, on which the points of the samples have the full colours


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
        The network does not have 2 inputs, or has several outputs that are not classes; `Network.evaluate` does not accept x
        and y; or the number of names is not the number of classes.
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
    columns = [f"{shortened(feature.name)} (encoded)" for feature in network.table.features] if network.table else []
    ax.set(xlim=x_1[[0, -1]], ylim=x_2[[0, -1]])
    style.calm(ax)
    if len(columns) == 2:
        label(ax, columns[0], columns[1])
    else:
        ax.set(xlabel="$x_1$", ylabel="$x_2$")
    if classes is None:
        _surface(ax, (x_1, x_2), y_hat[..., 0], samples, None if targets is None else targets.reshape(-1))
    else:
        named = named or [f"class {c}" for c in range(classes)]
        winner, handles = _areas(ax, (x_1, x_2), y_hat, classes)
        handles |= _points(ax, samples, None if targets is None else class_numbers(targets), named)
        shown = sorted(handles)
        _legend(ax, [handles[c] for c in shown], [[*named, "samples"][c] for c in shown])
        if classes > len(style.theme(ax).colours):  # regions of several classes have the same colour
            _name_regions(ax, (x_1, x_2), winner, named)
    style.make_room(ax)
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
    names = class_names(names)
    if len(names) != classes:
        raise ValueError(f"names has {len(names)} entries, but the network has {classes} classes")
    return names


def _areas(
    ax: Axes, axes: tuple[NDArray[Any], NDArray[Any]], y_hat: NDArray[Any], classes: int
) -> tuple[NDArray[np.integer], dict[int, Artist]]:
    """Draws the regions of the classes, and the boundaries between the regions.

    Returns the predicted class at each point of the grid, whose coordinates are `axes`, and a dict for the legend. The dict
    maps each class that has a region to a rectangle in the colour of the region.
    """
    theme = style.theme(ax)
    x_1, x_2 = axes
    probability = np.concatenate([1 - y_hat, y_hat], axis=2) if y_hat.shape[2] == 1 else y_hat
    winner = probability.argmax(axis=2)
    colours, paper = np.array([to_rgb(theme.colour(c)) for c in range(classes)]), np.array(to_rgb(theme.paper))
    confidence = np.clip((probability.max(axis=2) - 1 / classes) / (1 - 1 / classes), 0, 1)[..., np.newaxis]
    picture = paper + (colours[winner] - paper) * (0.08 + 0.34 * confidence)
    ax.imshow(picture, origin="lower", extent=(*x_1[[0, -1]], *x_2[[0, -1]]), aspect="auto", interpolation="bilinear", zorder=0)
    shown = np.unique(winner).tolist()
    second, first = np.partition(probability, -2, axis=2)[..., -2:].transpose(2, 0, 1)
    for c in shown if len(shown) > 1 else ():
        rival = np.where(winner == c, second, first)
        ax.contour(x_1, x_2, probability[..., c] - rival, [0], colors=theme.ink, linewidths=1.2, zorder=1)
    return winner, {c: Patch(fc=paper + 0.42 * (colours[c] - paper), ec="none") for c in shown}


def _points(ax: Axes, x: NDArray[Any], labels: NDArray[Any] | None, names: list[str]) -> dict[int, Artist]:
    """Draws the samples x of shape (n, 2), with a marker and a colour for each class.

    Returns a dict that maps each class index to the plotted points of the class. If `labels` is None, the points of all samples
    have the first index after the classes, len(names).
    """
    theme = style.theme(ax)
    if labels is None:
        return {len(names): ax.plot(*x.T, "o", ms=5, mfc=theme.ink, mec=theme.paper, mew=0.6)[0]}
    lines: dict[int, Artist] = {}
    for c in np.unique(labels).tolist():
        marker = style.MARKERS[c % len(style.MARKERS)]
        look = {"marker": marker, "ms": 5.5, "mfc": theme.colour(c), "mec": theme.paper, "mew": 0.7, "ls": ""}
        (lines[c],) = ax.plot(*x[labels == c].T, **look, label=names[c])
    return lines


def _legend(ax: Axes, handles: list[Artist], names: list[str]) -> None:
    """Writes a legend inside the Axes if the legend covers little space, else to the right of the Axes, which becomes narrower.

    If the figure has a layout engine, which makes room beside the Axes, the legend is always to the right of the Axes. A
    legend that would need more than half of the width of the Axes has smaller letters. If it is still too wide, names are
    omitted, and the last entry is the number of omitted names.
    """
    style.lay_out(ax)
    width, height = size_in_mm(ax)
    names = list(map(shortened, names))
    points, rows, columns, wide = style.LABEL_POINTS, 1, 1, 0.0
    for points in (style.LABEL_POINTS, SMALLEST):
        rows = max(1, int(height / (LEADING * points * POINT)))
        if points == SMALLEST:
            names = [cut(name, points, width / POINT / 2 - SPACE * points) for name in names]
        columns = -(-len(names) // rows)
        wide = (
            max(size_of(without_formulas(name), points)[0] for name in [*names, f"and {len(names)} more"])
            + SPACE * points * POINT
        )
        if columns * wide <= width / 2:
            break
    most = max(1, int(width / 2 / wide))
    if columns > most:
        columns, shown = most, rows * most - 1
        handles, names = [*handles[:shown], Line2D([], [], ls="")], [*names[:shown], f"and {len(names) - shown} more"]
    spare = {"frameon": False, "handletextpad": 0.2, "handlelength": 1.6, "columnspacing": 0.8, "fontsize": points}
    spare |= {"labelcolor": style.theme(ax).ink, "ncols": columns}
    taken = columns * wide, -(-len(names) // columns) * LEADING * points * POINT
    if ax.figure.get_layout_engine() is None:
        if np.prod(taken) < MOST_COVERED * width * height:
            framed = {"frameon": True, "framealpha": 0.8, "facecolor": style.theme(ax).paper}
            _written(ax.legend(handles, names, loc="best", **spare | framed))
            return
        _make_narrower(ax, taken[0] / width)
    _written(ax.legend(handles, names, loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0.2, **spare))


def _written(legend: Legend) -> None:
    """Lets the legend show dollar signs in names, which matplotlib would otherwise read as the start and end of formulas."""
    for text in legend.get_texts():
        text.set_parse_math(False)


def _make_narrower(ax: Axes, share: float) -> None:
    """Reduces the width of the Axes by a share of their width. The other Axes of the figure remain as they are."""
    spec = ax.get_subplotspec()
    if spec is None:
        left, bottom, width, height = ax.get_position().bounds
        ax.set_position((left, bottom, width * (1 - share), height))
    else:
        ax.set_subplotspec(spec.subgridspec(1, 2, width_ratios=[1 - share, share], wspace=0)[0])


def _name_regions(ax: Axes, axes: tuple[NDArray[Any], NDArray[Any]], winner: NDArray[np.integer], names: list[str]) -> None:
    """Writes the name of each class into its region, as far as possible from other regions; omits a name that does not fit."""
    style.lay_out(ax)
    for c, name in enumerate(map(shortened, names)):
        size = (size_of(without_formulas(name), style.LABEL_POINTS) + 2 * AROUND_NAME) / size_in_mm(ax) * GRID
        half = np.ceil(size[::-1] / 2).astype(int)  # in rows and columns of the grid
        best = None
        while (fits := _fits(winner == c, half)).any():
            best, half = fits, half + DEEPER
        if best is not None:
            row, column = np.argwhere(best)[best.sum() // 2]
            look = {"ha": "center", "va": "center", "color": style.theme(ax).ink, "path_effects": style.halo(ax)}
            place = float(axes[0][column]), float(axes[1][row])
            ax.text(*place, name, size=style.LABEL_POINTS, parse_math=False, **look)


def _fits(region: NDArray[np.bool_], half: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Returns a boolean array that is True at each point of the grid around which a rectangle lies inside `region`.

    The rectangle extends half[0] rows up and down from the point, and half[1] columns to the left and to the right.
    """
    sums = np.pad(region.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    height, width = 2 * half + 1
    if height > len(region) or width > len(region):
        return np.zeros_like(region)
    filled = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    return np.pad(filled == height * width, [(half[0], half[0]), (half[1], half[1])])


def _surface(
    ax: Axes, axes: tuple[NDArray[Any], NDArray[Any]], y_hat: NDArray[Any], x: NDArray[Any], y: NDArray[Any] | None
) -> None:
    """Draws a regression surface, and the samples x of shape (n, 2), coloured by their targets."""
    theme = style.theme(ax)
    x_1, x_2 = axes
    values = y_hat if y is None else np.append(y_hat, y)
    lowest, highest = float(values.min()), float(values.max())
    if highest - lowest <= 1e-6 * max(abs(lowest), abs(highest)):  # a constant, except for rounding errors
        lowest, highest = lowest - (0.5 * abs(lowest) or 0.5), highest + (0.5 * abs(highest) or 0.5)
    ticks = MaxNLocator(12).tick_values(lowest, highest)
    levels = [lowest, *(tick for tick in ticks if lowest < tick < highest), highest]
    surface = ax.contourf(x_1, x_2, y_hat, levels, cmap="cividis")
    ax.contour(x_1, x_2, y_hat, levels[1:-1], colors=theme.ink, linewidths=0.4, alpha=0.5)
    inside: dict[str, Any] = {"c": theme.ink} if y is None else {"c": y, "cmap": surface.cmap, "norm": surface.norm}
    ax.scatter(*x.T, s=30, edgecolors=theme.paper, linewidths=0.6, **inside)
    is_low = style.room(ax)[1] < LOW
    parts = [r"$\hat y$"] if y is None else [rf"$\hat y$ (area, {'paler' if is_low else 'in paler colours'})", "$y$ (points)"]
    bar = ax.figure.colorbar(surface, ax=ax, ticks=levels[1 : -1 : 6 if is_low else 2], spacing="proportional")
    style.calm_bar(ax, bar)
    bar.set_label((",\n" if is_low else ", ").join(parts))
    if y is not None:
        surface.set_alpha(FAINT)  # after the colour bar, which keeps the full colours
    bar.outline.set_visible(False)
