"""What a network of two inputs answers over the plane: areas of classes, or the surface of a regression."""

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator

from numbanet.network import Network
from numbanet.pictures import style
from numbanet.pictures.results import class_numbers

GRID = 300  # points along each axis


def decision_boundary(network, x, y=None, *, ax=None):
    """Draws what a network of two inputs answers over the plane, and the samples.

    The answer of a classifier is a coloured area, the paler the less sure, with a line where one class gives way to another;
    that of a regression on one output is a surface in shades.

    Parameters
    ----------
    network : Network
        With 2 inputs.
    x : array_like, (n, 2)
        Samples; they decide what part of the plane is drawn.
    y : array_like, optional
        Their targets, as `Network.evaluate` takes them; the samples take the colours of their classes or targets.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        A network of other than 2 inputs, or of several outputs that are not classes; x or y as for `Network.evaluate`.
    """
    n_in, n_out = network.sizes[0], network.sizes[-1]
    if n_in != 2:
        raise ValueError(f"decision_boundary draws networks of 2 inputs, and this one has {n_in}")
    classes = _classes(network)
    if classes is None and n_out != 1:
        raise ValueError(f"decision_boundary draws classes or one output, and this network has {n_out} independent outputs")
    if y is None:
        network.predict(x)  # refuses a bad x
    else:
        network.evaluate(x, y)  # refuses a bad x or y
        y = np.asarray(y)
    x = np.asarray(x, float)
    ax = style.axes(ax, (5.2, 4.2))
    low, high = x.min(axis=0), x.max(axis=0)
    margin = np.where(high > low, 0.12 * (high - low), 1.0)
    x_1, x_2 = (np.linspace(*ends, GRID) for ends in zip(low - margin, high + margin, strict=True))
    plane = np.stack(np.meshgrid(x_1, x_2), axis=-1)
    y_hat = network.predict(plane.reshape(-1, 2)).reshape(GRID, GRID, n_out)
    if classes is None:
        _surface(ax, x_1, x_2, y_hat[..., 0], x, None if y is None else y.reshape(-1))
    else:
        _areas(ax, x_1, x_2, y_hat, classes, x, None if y is None else class_numbers(y))
    ax.set(xlabel="$x_1$", ylabel="$x_2$", xlim=x_1[[0, -1]], ylim=x_2[[0, -1]])
    style.calm(ax)
    return ax


def _classes(network: Network) -> int | None:
    """How many classes the network tells apart; None where its outputs are not classes."""
    n_out = network.sizes[-1]
    if network.loss == "bce" and n_out == 1:
        return 2
    return n_out if network.activations[-1] == "softmax" and n_out > 1 else None


def _areas(ax, x_1, x_2, y_hat, classes, x, labels) -> None:
    probability = np.concatenate([1 - y_hat, y_hat], axis=2) if y_hat.shape[2] == 1 else y_hat
    winner = probability.argmax(axis=2)
    colours = np.array([to_rgb(style.colour(c)) for c in range(classes)])
    sureness = np.clip((probability.max(axis=2) - 1 / classes) / (1 - 1 / classes), 0, 1)[..., np.newaxis]
    picture = 1 - (1 - colours[winner]) * (0.08 + 0.34 * sureness)
    ax.imshow(picture, origin="lower", extent=(*x_1[[0, -1]], *x_2[[0, -1]]), aspect="auto", interpolation="bilinear", zorder=0)
    for c in range(classes):
        rival = np.delete(probability, c, axis=2).max(axis=2)
        if (winner == c).any() and (winner != c).any():
            ax.contour(x_1, x_2, probability[..., c] - rival, [0], colors=style.INK, linewidths=1.2, zorder=1)
    if labels is None:
        ax.plot(*x.T, "o", ms=5, mfc=style.INK, mec="white", mew=0.6)
        return
    for c in np.unique(labels):
        of_class = x[labels == c]
        marker = style.MARKERS[(c + c // len(style.COLOURS)) % len(style.MARKERS)]
        ax.plot(*of_class.T, marker, ms=5.5, mfc=colours[c], mec="white", mew=0.7, ls="", label=f"class {c}")
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False, borderpad=0, handletextpad=0.2, columnspacing=1.2
    )


def _surface(ax, x_1, x_2, y_hat, x, y) -> None:
    lowest, highest = y_hat.min(), y_hat.max()
    if y is not None:
        lowest, highest = min(lowest, y.min()), max(highest, y.max())
    levels = MaxNLocator(12).tick_values(lowest, highest)
    surface = ax.contourf(x_1, x_2, y_hat, levels, cmap="cividis", extend="neither")
    ax.contour(x_1, x_2, y_hat, levels, colors="white", linewidths=0.4, alpha=0.6)
    inside = {"c": "white"} if y is None else {"c": y, "cmap": surface.cmap, "norm": surface.norm}
    ax.scatter(*x.T, s=30, edgecolors=style.INK if y is None else "white", linewidths=0.9, **inside)
    bar = ax.figure.colorbar(surface, ax=ax, label=r"$\hat y$" if y is None else r"$\hat y$ (area), $y$ (points)")
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=style.GREY, labelcolor=style.INK, labelsize=style.LABEL_POINTS)
