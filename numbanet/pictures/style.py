"""What all pictures share: colours that colour-blind readers tell apart, calm axes, labels at the ends of curves."""

import numpy as np
from matplotlib import patheffects, pyplot
from matplotlib.colors import LinearSegmentedColormap

# Okabe and Ito, Color Universal Design, 2008; their yellow and black left out.
BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, GREY, FAINT, NAVY = "#222B33", "#6B7680", "#D9DEE2", "#004A75"
# Negative, zero, positive.
DIVERGING = LinearSegmentedColormap.from_list("numbanet", [BLUE, "#F7F7F7", VERMILION])
SHADES = LinearSegmentedColormap.from_list("numbanet_shades", ["#FFFFFF", SKY, BLUE, "#00334F"])

LABEL_POINTS = 9
HALO = [patheffects.withStroke(linewidth=2.5, foreground="white")]


def colour(number: int) -> str:
    """The colour of a curve or class."""
    return COLOURS[number % len(COLOURS)]


def axes(ax, size=(5.6, 3.6)):
    """The axes given, or those of a new figure of this size in inches."""
    return pyplot.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def shrink(ax, size) -> float:
    """By how much what is drawn for axes of this size in inches has to be smaller to fit into these."""
    box = ax.get_window_extent()
    return min(1.0, box.width / ax.figure.dpi / size[0], box.height / ax.figure.dpi / size[1])


def calm(ax) -> None:
    """Two thin spines, grey ticks, nothing else."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(colors=GREY, labelcolor=INK, labelsize=LABEL_POINTS)
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)


def blank(ax) -> None:
    """A drawing's axes: no frame, no ticks, one unit as long across as up."""
    ax.set_axis_off()
    ax.set_aspect("equal")


def label_ends(ax, curves, points: float = LABEL_POINTS) -> None:
    """Writes each curve's name at its right end, in its colour, names pushed apart where curves end close together.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Its limits have to stay as they are.
    curves : list of (line, name)
        Lines of these axes.
    points : float
        Size of the names.
    """
    ax.autoscale_view()
    scale = ax.get_window_extent().height / ax.figure.dpi * 72
    places = [(line.get_xdata()[-1], line.get_ydata()[-1]) for line, _ in curves]
    to_points = ax.transData + ax.transAxes.inverted()
    heights = np.array([to_points.transform(place)[1] * scale for place in places])
    for (line, name), place, shift in zip(curves, places, _apart(heights, 1.25 * points) - heights, strict=True):
        ax.annotate(name, place, (5, shift), textcoords="offset points", va="center", size=points, color=line.get_color())


def _apart(heights: np.ndarray, least: float) -> np.ndarray:
    """The heights moved as little as it takes to be at least this far from each other, their order kept."""
    order = np.argsort(heights, kind="stable")
    groups = []  # runs of labels that touch, as [mean of where each wants its run's middle, count]
    for height in heights[order]:
        groups.append([height, 1])
        while len(groups) > 1 and groups[-1][0] - groups[-2][0] < least * (groups[-1][1] + groups[-2][1]) / 2:
            (upper, n_upper), (lower, n_lower) = groups.pop(), groups.pop()
            groups.append([(lower * n_lower + upper * n_upper) / (n_lower + n_upper), n_lower + n_upper])
    placed = np.empty_like(heights)
    placed[order] = np.concatenate([middle + least * (np.arange(n) - (n - 1) / 2) for middle, n in groups])
    return placed
