"""Draws the two diagrams of the cheat sheet: a neuron, and a network with a coloured line for each weight."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle, FancyArrowPatch
from numpy.typing import ArrayLike, NDArray

from numbanet import checks, equations, inputs
from numbanet.network import Network
from numbanet.pictures import style
from numbanet.pictures.functions import activation_of, grid
from numbanet.pictures.space import leave_out_texts, wrapped

SMALLEST = 7.0  # the smallest font size, in points
LEGEND = ("a line is a weight, a thicker line is larger", "the colour in a circle is the bias")
SYMBOLS = {
    "identity": "z",
    "sigmoid": r"\sigma(z)",
    "tanh": r"\tanh(z)",
    "relu": r"\max(0, z)",
    "leaky_relu": r"\max(\epsilon z, z)",
}


def neuron_diagram(
    x: ArrayLike | None = None,
    w: ArrayLike | None = None,
    b: ArrayLike | None = None,
    activation: str = "sigmoid",
    *,
    epsilon: float = 0.01,
    ax: Axes | None = None,
) -> Axes:
    """Draws a neuron with its inputs, weights, sum and activation.

    If x, w and b are given, the diagram shows their values, and the values of z and a that the compiled loops compute. If x, w
    and b are not given, the diagram shows symbols.

    Parameters
    ----------
    x, w : array_like, (n_in,), optional
        The inputs and the weights of the neuron. n_in is at most 8.
    b : float, optional
        The bias of the neuron.
    activation : str
        The name of the activation. softmax is not allowed, because it depends on all neurons of a layer.
    epsilon : float
        The slope of leaky_relu for z <= 0.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        The activation is unknown, only some of x, w and b are given, or x, w or b has a wrong shape.
    """
    activation = checks.choice("activation", activation, SYMBOLS)
    epsilon = checks.positive("epsilon", epsilon, np.dtype(float))
    if x is not None and w is not None and b is not None:
        neuron = _computed(x, w, b, activation, epsilon)
        size = (8.0, max(3.0, 0.52 * len(neuron.rows) + 0.5))
    elif x is None and w is None and b is None:
        neuron = Neuron([("$x_1$", "", "$w_1$"), ("$x_2$", "", "$w_2$"), None, ("$x_n$", "", "$w_n$")], "$b$", "$z$", "$a$")
        size = (5.7, 2.3)
    else:
        raise ValueError("neuron_diagram needs x, w and b together, or none of them")
    ax = style.axes(ax, size)
    _draw_neuron(ax, neuron, activation, epsilon, style.shrink(ax, size))
    leave_out_texts(ax)
    return ax


def points(size: float, scale: float) -> float:
    """Returns the font size `size` multiplied by the factor `scale` of a diagram, but at least the smallest legible size."""
    return max(SMALLEST, size * scale)


class Neuron(NamedTuple):
    """The words and numbers in the diagram of a neuron.

    `rows` has the entry (symbol, value, weight) for each input, and None in place of omitted inputs.
    """

    rows: list[tuple[str, str, str] | None]
    b: str
    z: str
    a: str


def _computed(x_given: ArrayLike, w_given: ArrayLike, b_given: ArrayLike, activation: str, epsilon: float) -> Neuron:
    """Computes a neuron's sum z and output a with the compiled loops; returns the `Neuron` to draw."""
    given = {"x": x_given, "w": w_given, "b": b_given}
    x, w, b = (inputs.finite(name, inputs.real_array(name, value), np.dtype(float)) for name, value in given.items())
    if x.ndim != 1 or not 1 <= x.size <= 8 or w.shape != x.shape:
        raise ValueError(f"x and w must have shape (n_in,) with n_in from 1 to 8, not {x.shape} and {w.shape}")
    if b.size != 1:
        raise ValueError(f"b must be one number, but has shape {b.shape}")
    z = np.empty((1, 1))
    equations.forward_sum(x[np.newaxis], w[:, np.newaxis], b.reshape(1), z)
    a = activation_of(activation, z[0], epsilon)
    rows: list[tuple[str, str, str] | None] = [
        (f"$x_{i}$", f"${_number(x_i)}$", f"$w_{i} = {_number(w_i)}$")
        for i, (x_i, w_i) in enumerate(zip(x, w, strict=True), start=1)
    ]
    return Neuron(rows, f"$b = {_number(b.item())}$", f"$z = {_number(z.item())}$", f"$a = {_number(a.item())}$")


def _number(value: float) -> str:
    """Returns a number with four significant digits, in Matplotlib's notation of formulas (mathtext)."""
    mantissa, _, exponent = f"{value:.4g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _draw_neuron(ax: Axes, neuron: Neuron, activation: str, epsilon: float, scale: float) -> None:
    style.blank(ax)
    theme = style.theme(ax)
    rows, wide, narrow = neuron.rows, 0.72, 0.34
    heights = 0.95 * (np.arange(len(rows))[::-1] - (len(rows) - 1) / 2)
    numbers = rows[0] is not None and rows[0][1] != ""
    total, phi, end = (4.3, 0.0), (8.3 if numbers else 7.9, 0.0), (10.2 if numbers else 9.8, 0.0)
    for row, height in zip(rows, heights, strict=True):
        if row is None:
            ax.text(0, height, r"$\vdots$", ha="center", va="center", size=points(14, scale), color=theme.grey)
            continue
        symbol, value, weight = row
        _node(ax, (0, height), narrow, theme.colours[0], symbol, 12, scale)
        ax.text(-narrow - 0.15, height, value, ha="right", va="center", size=points(11, scale), color=theme.ink)
        _arrow(ax, (0, height), total, narrow, wide, scale)
        ax.text(1.5, height * (1 - 1.5 / total[0]), weight, ha="center", va="center", size=points(11, scale), color=theme.ink,
                bbox={"fc": theme.paper, "ec": "none", "pad": 1.2 * scale}, zorder=2)  # fmt: skip
    bias = (total[0], 1.75)
    _node(ax, bias, narrow, theme.colours[2], "$1$", 11, scale)
    _arrow(ax, bias, total, narrow, wide, scale)
    ax.text(
        bias[0] + 0.14,
        (bias[1] - narrow + wide) / 2 + 0.05,
        neuron.b,
        ha="left",
        va="center",
        size=points(11, scale),
        color=theme.ink,
    )
    _node(ax, total, wide, theme.colours[3], r"$\Sigma$", 20, scale)
    ax.text(total[0], -wide - 0.2, r"$z = \sum_i w_i x_i + b$", ha="center", va="top", size=points(11, scale), color=theme.ink)
    _arrow(ax, total, phi, wide, wide, scale)
    ax.text((total[0] + phi[0]) / 2, 0.14, neuron.z, ha="center", va="bottom", size=points(11, scale), color=theme.ink)
    _node(ax, phi, wide, theme.colours[1], "", 12, scale)
    z = grid(-4, 4)
    a = activation_of(activation, z, epsilon)
    ax.plot(phi[0] + 0.42 * z / 4, 0.56 * ((a - a.min()) / np.ptp(a) - 0.5), color=theme.colours[1], lw=2 * scale, gid="phi")
    ax.text(
        phi[0],
        -wide - 0.2,
        rf"$a = \phi(z) = {SYMBOLS[activation]}$",
        ha="center",
        va="top",
        size=points(11, scale),
        color=theme.ink,
    )
    _arrow(ax, phi, end, wide, 0.0, scale)
    ax.text(end[0] + 0.12, 0, neuron.a, ha="left", va="center", size=points(11, scale), color=theme.ink)
    lowest = min(heights[-1] - narrow, -wide - 0.95)
    ax.set(
        xlim=(-1.7 if numbers else -0.5, end[0] + (2.2 if numbers else 0.6)),
        ylim=(lowest - 0.1, max(heights[0] + narrow, bias[1] + narrow) + 0.1),
    )


def _node(ax: Axes, centre: tuple[float, float], radius: float, colour: str, text: str, size: float, scale: float) -> None:
    """Draws a circle that contains text."""
    theme = style.theme(ax)
    ax.add_patch(Circle(centre, radius, fc=theme.paper, ec=colour, lw=1.8 * scale, zorder=2))
    ax.text(*centre, text, ha="center", va="center", size=points(size, scale), color=theme.ink, zorder=3)


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], start_radius: float, end_radius: float, scale: float
) -> None:
    """Draws an arrow from the edge of one circle to the edge of another; start and end are the centres of the circles."""
    first, last = np.array(start, float), np.array(end, float)
    along = (last - first) / np.linalg.norm(last - first)
    first, last = first + start_radius * along, last - end_radius * along
    ax.add_patch(
        FancyArrowPatch(
            (first[0], first[1]),
            (last[0], last[1]),
            arrowstyle="-|>",
            mutation_scale=10 * scale,
            lw=1.1 * scale,
            color=style.theme(ax).grey,
            shrinkA=0,
            shrinkB=1,
            zorder=1,
        )
    )


class Column(NamedTuple):
    """A layer in the diagram: its size, and the indices, the y coordinates and the common x coordinate of the drawn neurons."""

    size: int
    shown: NDArray[np.integer]
    heights: NDArray[np.float64]
    x: float


def network_diagram(network: Network, *, most: int = 12, ax: Axes | None = None) -> Axes:
    """Draws a network layer by layer. The colours and widths of lines show the weights; the colours of neurons show the biases.

    For a large layer, only the first and the last neurons are drawn; between them, the drawing shows the number of omitted
    neurons. The widths and colours are relative to the largest weight and the largest bias of each layer.

    Parameters
    ----------
    network : Network
        The network to draw.
    most : int
        The maximum number of neurons that are drawn per layer, at least 3.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        network is not a Network, or most is less than 3.
    """
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, not {type(network).__name__}")
    most = checks.integer("most", most, 3)
    parameters, columns = network.parameters(), _columns(network.sizes, most)
    tallest = max(column.heights[0] - column.heights[-1] for column in columns)
    size = 1.2 + 0.34 * columns[-1].x, 2.2 + 0.34 * max(tallest, 2)
    ax = style.axes(ax, size)
    scale, theme = style.shrink(ax, size), style.theme(ax)
    style.blank(ax)
    for l, (w, _) in enumerate(parameters, start=1):
        _draw_weights(ax, f"w{l}", w, columns[l - 1], columns[l], scale)
    for l, column in enumerate(columns):
        _draw_layer(ax, column, parameters[l - 1][1] if l else None, scale)
    floor, ceiling = -tallest / 2 - 0.9, tallest / 2 + 0.9
    for l, column in enumerate(columns):
        title, noun = (f"layer {l}", network.activations[l - 1].replace("_", " ")) if l else ("input", "$x$")
        ax.text(column.x, ceiling, title, ha="center", va="bottom", size=points(10, scale), color=theme.ink, weight="bold")
        below = f"{noun}\n{checks.count(column.size, 'neuron' if l else 'input')}"
        ax.text(column.x, floor, below, ha="center", va="top", size=points(9, scale), color=theme.ink, linespacing=1.4)
    key, centre = floor - 2.4, columns[-1].x / 2
    ax.text(centre - 0.2, key, "positive", ha="right", va="center", size=points(9, scale), color=theme.positive, weight="bold")
    ax.text(centre + 0.2, key, "negative", ha="left", va="center", size=points(9, scale), color=theme.negative, weight="bold")
    words = wrapped(LEGEND[0], points(8, scale), 0.95 * style.room(ax)[0]) + "\n" + LEGEND[1]
    ax.text(centre, key - 0.6, words, ha="center", va="top", size=points(8, scale), color=theme.grey, linespacing=1.4)
    ax.set(xlim=(-1.6, columns[-1].x + 1.6), ylim=(key - 2.2, ceiling + 0.9))
    leave_out_texts(ax)
    return ax


def _columns(sizes: list[int], most: int) -> list[Column]:
    """Returns one `Column` for the inputs and one for each layer, in the order of the network."""
    shown = [_shown(size, most) for size in sizes]
    heights = [_heights(size, neurons) for size, neurons in zip(sizes, shown, strict=True)]
    tallest = max(place[0] - place[-1] for place in heights)
    places = np.arange(len(sizes)) * max(3.0, 0.5 * tallest)  # the distance between neighbouring neurons of a layer is 1
    return [Column(*column) for column in zip(sizes, shown, heights, places, strict=True)]


def _shown(size: int, most: int) -> NDArray[np.integer]:
    """Returns the indices of the neurons to draw: all neurons, or the first and the last neurons of a large layer."""
    if size <= most:
        return np.arange(size)
    first = most // 2
    return np.concatenate([np.arange(first), np.arange(size - (most - 1 - first), size)])


def _heights(size: int, shown: NDArray[np.integer]) -> NDArray[np.float64]:
    """Returns the y coordinates of the drawn neurons, from top to bottom: 1 apart, or 2.4 where neurons are omitted."""
    steps = np.where(np.diff(shown) > 1, 2.4, 1.0)
    heights = -np.concatenate([[0.0], np.cumsum(steps)])
    return heights - heights.mean() if size == shown.size else heights - (heights[0] + heights[-1]) / 2


def _draw_weights(ax: Axes, name: str, weights: NDArray[Any], left: Column, right: Column, scale: float) -> None:
    """Draws a line for each weight between the drawn neurons of two layers; larger weights are drawn over smaller weights."""
    w = weights[np.ix_(left.shown, right.shown)]
    i, j = np.indices(w.shape).reshape(2, -1)
    order = np.argsort(np.abs(w).ravel(), kind="stable")
    i, j = i[order], j[order]
    strength = np.abs(w[i, j]) / (np.abs(weights).max() or 1.0)
    ends = np.stack([np.full(i.size, left.x), left.heights[i], np.full(i.size, right.x), right.heights[j]], axis=1)
    colours = np.where(w[i, j] >= 0, style.theme(ax).positive, style.theme(ax).negative)
    alpha = (0.08 + 0.82 * strength) * min(1.0, 2.6 / np.sqrt(max(w.shape)))
    lines = LineCollection(
        list(ends.reshape(-1, 2, 2)),
        colors=colours,
        linewidths=scale * (0.3 + 2.4 * strength),
        alpha=alpha,
        capstyle="round",
        zorder=1,
    )
    lines.set_gid(name)
    ax.add_collection(lines)


def _draw_layer(ax: Axes, column: Column, b: NDArray[Any] | None, scale: float) -> None:
    """Draws the neurons of a layer in colours that show their biases, and writes the number of omitted neurons."""
    theme = style.theme(ax)
    limit = 1.0 if b is None else np.abs(b).max() or 1.0
    for k, height in zip(column.shown, column.heights, strict=True):
        colour = theme.paper if b is None else theme.diverging(0.5 + 0.5 * b[k] / limit)
        ax.add_patch(Circle((column.x, height), 0.36, fc=colour, ec=theme.ink, lw=scale, zorder=2))
    gap = np.flatnonzero(np.diff(column.shown) > 1)
    if gap.size:
        middle = float(column.heights[gap[0]] + column.heights[gap[0] + 1]) / 2
        ax.text(
            column.x,
            middle,
            f"{column.size - column.shown.size} more",
            ha="center",
            va="center",
            size=points(8.5, scale),
            color=theme.ink,
            zorder=3,
            bbox={"fc": theme.paper, "ec": theme.faint, "boxstyle": "round,pad=0.35"},
        )
