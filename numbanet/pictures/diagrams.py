"""The two diagrams of the sheet: one neuron, and a network of them, its weights as colour and width."""

from typing import NamedTuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle, FancyArrowPatch

from numbanet import checks, equations, inputs
from numbanet.network import Network
from numbanet.pictures import style
from numbanet.pictures.functions import activation_of, grid

SYMBOLS = {
    "identity": "z",
    "sigmoid": r"\sigma(z)",
    "tanh": r"\tanh(z)",
    "relu": r"\max(0, z)",
    "leaky_relu": r"\max(\epsilon z, z)",
}


def neuron_diagram(x=None, w=None, b=None, activation="sigmoid", *, epsilon=0.01, ax=None):
    """Draws one neuron: inputs, weights, sum, activation.

    With symbols only, or, given x, w and b, with the numbers that the loops compute from them.

    Parameters
    ----------
    x, w : array_like, (n_in,), optional
        Inputs and weights; up to 8.
    b : float, optional
        Bias.
    activation : str
        Any but softmax, which is not of one neuron.
    epsilon : float
        Slope of leaky_relu for z <= 0.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        An unknown activation; only some of x, w and b, or not of the shapes above.
    """
    activation = checks.choice("activation", activation, SYMBOLS)
    epsilon = checks.positive("epsilon", epsilon, np.dtype(float))
    given = [value is not None for value in (x, w, b)]
    if any(given) and not all(given):
        raise ValueError("neuron_diagram takes x, w and b together, or none of them")
    if all(given):
        neuron = _computed(x, w, b, activation, epsilon)
    else:
        neuron = Neuron([("$x_1$", "", "$w_1$"), ("$x_2$", "", "$w_2$"), None, ("$x_n$", "", "$w_n$")], "$b$", "$z$", "$a$")
    size = (7.4, max(3.0, 0.52 * len(neuron.rows) + 0.5)) if all(given) else (5.4, 2.3)
    ax = style.axes(ax, size)
    _draw_neuron(ax, neuron, activation, epsilon, style.shrink(ax, size))
    return ax


class Neuron(NamedTuple):
    """What a neuron's diagram says: of each input its symbol, value and weight, or None where some are left out."""

    rows: list
    b: str
    z: str
    a: str


def _computed(x, w, b, activation, epsilon) -> Neuron:
    """The numbers of a neuron, by the loops."""
    given = {"x": x, "w": w, "b": b}
    x, w, b = (inputs.finite(name, inputs.real_array(name, value), np.dtype(float)) for name, value in given.items())
    if x.ndim != 1 or not 1 <= x.size <= 8 or w.shape != x.shape:
        raise ValueError(f"x and w must have shape (n_in,), n_in from 1 to 8, not {x.shape} and {w.shape}")
    if b.size != 1:
        raise ValueError(f"b must be one number, not of shape {b.shape}")
    z = np.empty((1, 1))
    equations.forward_sum(x[np.newaxis], w[:, np.newaxis], b.reshape(1), z)
    a = activation_of(activation, z[0], epsilon)
    rows = [
        (f"$x_{i}$", f"${x_i:.4g}$", f"$w_{i} = {w_i:.4g}$") for i, (x_i, w_i) in enumerate(zip(x, w, strict=True), start=1)
    ]
    return Neuron(rows, f"$b = {b.item():.4g}$", f"$z = {z.item():.4g}$", f"$a = {a.item():.4g}$")


def _draw_neuron(ax, neuron, activation, epsilon, scale) -> None:
    style.blank(ax)
    rows, wide, narrow = neuron.rows, 0.72, 0.34
    heights = 0.95 * (np.arange(len(rows))[::-1] - (len(rows) - 1) / 2)
    total, phi, end = (4.3, 0.0), (7.3, 0.0), (9.2, 0.0)
    for row, height in zip(rows, heights, strict=True):
        if row is None:
            ax.text(0, height, r"$\vdots$", ha="center", va="center", size=14 * scale, color=style.GREY)
            continue
        symbol, value, weight = row
        _node(ax, (0, height), narrow, style.BLUE, symbol, 12, scale)
        ax.text(-narrow - 0.15, height, value, ha="right", va="center", size=11 * scale, color=style.INK)
        _arrow(ax, (0, height), total, narrow, wide, scale)
        ax.text(1.5, height * (1 - 1.5 / total[0]), weight, ha="center", va="center", size=11 * scale, color=style.INK,
                bbox={"fc": "white", "ec": "none", "pad": 1.2 * scale}, zorder=2)  # fmt: skip
    bias = (total[0], 1.75)
    _node(ax, bias, narrow, style.GREEN, "$1$", 11, scale)
    _arrow(ax, bias, total, narrow, wide, scale)
    ax.text(
        bias[0] + 0.14, (bias[1] - narrow + wide) / 2 + 0.05, neuron.b, ha="left", va="center", size=11 * scale, color=style.INK
    )
    _node(ax, total, wide, style.ORANGE, r"$\Sigma$", 20, scale)
    ax.text(total[0], -wide - 0.2, r"$z = \sum_i w_i x_i + b$", ha="center", va="top", size=11 * scale, color=style.INK)
    _arrow(ax, total, phi, wide, wide, scale)
    ax.text((total[0] + phi[0]) / 2, 0.14, neuron.z, ha="center", va="bottom", size=11 * scale, color=style.INK)
    _node(ax, phi, wide, style.VERMILION, "", 12, scale)
    z = grid(-4, 4)
    a = activation_of(activation, z, epsilon)
    ax.plot(phi[0] + 0.42 * z / 4, 0.56 * ((a - a.min()) / np.ptp(a) - 0.5), color=style.VERMILION, lw=2 * scale, gid="phi")
    ax.text(
        phi[0], -wide - 0.2, rf"$a = \phi(z) = {SYMBOLS[activation]}$", ha="center", va="top", size=11 * scale, color=style.INK
    )
    _arrow(ax, phi, end, wide, 0.0, scale)
    ax.text(end[0] + 0.12, 0, neuron.a, ha="left", va="center", size=11 * scale, color=style.INK)
    numbers = rows[0][1] != ""
    lowest = min(heights[-1] - narrow, -wide - 0.95)
    ax.set(
        xlim=(-1.7 if numbers else -0.5, end[0] + (2.2 if numbers else 0.6)),
        ylim=(lowest - 0.1, max(heights[0] + narrow, bias[1] + narrow) + 0.1),
    )


def _node(ax, centre, radius, colour, text, size, scale) -> None:
    ax.add_patch(Circle(centre, radius, fc="white", ec=colour, lw=1.8 * scale, zorder=2))
    ax.text(*centre, text, ha="center", va="center", size=size * scale, color=style.INK, zorder=3)


def _arrow(ax, start, end, start_radius, end_radius, scale) -> None:
    """From the rim of one circle to the rim of another."""
    start, end = np.array(start, float), np.array(end, float)
    along = (end - start) / np.linalg.norm(end - start)
    start, end = start + start_radius * along, end - end_radius * along
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=10 * scale,
            lw=1.1 * scale,
            color=style.GREY,
            shrinkA=0,
            shrinkB=1,
            zorder=1,
        )
    )


def network_diagram(network, *, most=12, ax=None):
    """Draws a network, layer by layer: weights as colour and width, biases as the neurons' colour.

    Of a large layer the first and last neurons are drawn, and the number of the others is said. Widths and colours are relative
    to the largest weight and bias of each layer.

    Parameters
    ----------
    network : Network
    most : int
        Neurons drawn of a layer, at most; 3 or more.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        Not a network, or fewer neurons than 3.
    """
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, not {type(network).__name__}")
    most = checks.integer("most", most, 3)
    sizes, parameters = network.sizes, network.parameters()
    shown = [_shown(size, most) for size in sizes]
    places = [_heights(size, neurons) for size, neurons in zip(sizes, shown, strict=True)]
    tallest = max(place[0] - place[-1] for place in places)
    columns = np.arange(len(sizes)) * max(3.0, 0.5 * tallest)  # neurons of a layer are 1 apart
    size = 1.2 + 0.34 * columns[-1], 1.9 + 0.34 * max(tallest, 2)
    ax = style.axes(ax, size)
    scale = style.shrink(ax, size)
    style.blank(ax)
    for l, (w, _) in enumerate(parameters, start=1):
        ends = columns[l - 1], places[l - 1], columns[l], places[l]
        _draw_weights(ax, f"w{l}", w[np.ix_(shown[l - 1], shown[l])], np.abs(w).max(), *ends, scale)
    for l, size in enumerate(sizes):
        _draw_layer(ax, size, shown[l], columns[l], places[l], parameters[l - 1][1] if l else None, scale)
    floor, ceiling = -tallest / 2 - 0.9, tallest / 2 + 0.9
    for l, (column, size) in enumerate(zip(columns, sizes, strict=True)):
        title, what = (f"layer {l}", network.activations[l - 1].replace("_", " ")) if l else ("input", "$x$")
        ax.text(column, ceiling, title, ha="center", va="bottom", size=10 * scale, color=style.INK, weight="bold")
        ax.text(column, floor, f"{what}\n{size}", ha="center", va="top", size=9 * scale, color=style.INK, linespacing=1.4)
    key, centre = floor - 2.4, columns[-1] / 2
    ax.text(centre - 0.2, key, "positive", ha="right", va="center", size=9 * scale, color=style.VERMILION, weight="bold")
    ax.text(centre + 0.2, key, "negative", ha="left", va="center", size=9 * scale, color=style.BLUE, weight="bold")
    ax.text(centre, key - 0.6, "weights: lines; biases: filling", ha="center", va="top", size=8 * scale, color=style.GREY)
    ax.set(xlim=(-1.6, columns[-1] + 1.6), ylim=(key - 1.4, ceiling + 0.9))
    return ax


def _shown(size: int, most: int) -> np.ndarray:
    """Indices of the neurons drawn: all, or the first and the last."""
    if size <= most:
        return np.arange(size)
    first = most // 2
    return np.concatenate([np.arange(first), np.arange(size - (most - 1 - first), size)])


def _heights(size: int, shown: np.ndarray) -> np.ndarray:
    """Where the neurons shown stand, the first on top; those left out take the room of two."""
    steps = np.where(np.diff(shown) > 1, 2.4, 1.0)
    heights = -np.concatenate([[0.0], np.cumsum(steps)])
    return heights - heights.mean() if size == shown.size else heights - (heights[0] + heights[-1]) / 2


def _draw_weights(ax, name, w, largest, from_column, from_heights, to_column, to_heights, scale) -> None:
    i, j = np.indices(w.shape).reshape(2, -1)
    order = np.argsort(np.abs(w).ravel(), kind="stable")  # the strongest on top
    i, j = i[order], j[order]
    strength = np.abs(w[i, j]) / (largest or 1.0)
    ends = np.stack([np.full(i.size, from_column), from_heights[i], np.full(i.size, to_column), to_heights[j]], axis=1)
    colours = np.where(w[i, j] >= 0, style.VERMILION, style.BLUE)
    alpha = (0.08 + 0.82 * strength) * min(1.0, 2.6 / np.sqrt(max(w.shape)))
    lines = LineCollection(
        ends.reshape(-1, 2, 2),
        colors=colours,
        linewidths=scale * (0.3 + 2.4 * strength),
        alpha=alpha,
        capstyle="round",
        zorder=1,
    )
    lines.set_gid(name)
    ax.add_collection(lines)


def _draw_layer(ax, size, shown, column, heights, b, scale) -> None:
    limit = 1.0 if b is None else np.abs(b).max() or 1.0
    for k, height in zip(shown, heights, strict=True):
        colour = "white" if b is None else style.DIVERGING(0.5 + 0.5 * b[k] / limit)
        ax.add_patch(Circle((column, height), 0.36, fc=colour, ec=style.INK, lw=scale, zorder=2))
    gap = np.flatnonzero(np.diff(shown) > 1)
    if gap.size:
        middle = (heights[gap[0]] + heights[gap[0] + 1]) / 2
        ax.text(
            column,
            middle,
            f"{size - shown.size} more",
            ha="center",
            va="center",
            size=8.5 * scale,
            color=style.INK,
            zorder=3,
            bbox={"fc": "white", "ec": style.FAINT, "boxstyle": "round,pad=0.35"},
        )
