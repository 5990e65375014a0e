"""The common style of all pictures: colours that colour-blind readers can distinguish, plain axes, labels at curve ends."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import patheffects, pyplot
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgba
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from numbanet import checks

# The colours of Okabe and Ito (Color Universal Design, 2008) except yellow and black.
BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LABEL_POINTS = 9
SMALL_POINTS = 7  # instead of LABEL_POINTS in a small picture
SMALL = (200.0, 100.0)  # the width and height of a small picture, in points
MARGIN = 3.0  # the least distance of a label from the border of a figure without a layout, in pixels


class Theme(NamedTuple):
    """The colours of a picture on a light or on a dark background.

    `colours` are the colours of curves and classes; `negative` and `positive` are the colours of weights and biases.
    """

    paper: str
    ink: str
    grey: str
    faint: str
    heading: str
    band: str  # the background of headings
    colours: tuple[str, ...]
    negative: str
    positive: str
    diverging: LinearSegmentedColormap  # from negative numbers through zero to positive numbers
    shades: LinearSegmentedColormap  # from 0 to 1

    def colour(self, number: int) -> str:
        """Returns the colour of the curve or class with the given number; after the last colour, the colours repeat."""
        return self.colours[number % len(self.colours)]


LIGHT = Theme(
    "#FFFFFF",
    "#222B33",
    "#5F6A73",
    "#D9DEE2",
    "#004A75",
    "#E8F0F6",
    (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY),
    BLUE,
    VERMILION,
    LinearSegmentedColormap.from_list("numbanet", [BLUE, "#F7F7F7", VERMILION]),
    LinearSegmentedColormap.from_list("numbanet_shades", ["#FFFFFF", SKY, BLUE, "#00334F"]),
)
DARK = Theme(
    "#14191D",
    "#E6EAED",
    "#A3AEB7",
    "#3A444C",
    "#A8D8F8",
    "#20303C",
    (SKY, "#FF8A3D", "#2CC79B", ORANGE, "#E29CC4", "#3D9BDB"),
    SKY,
    "#FF8A3D",
    LinearSegmentedColormap.from_list("numbanet_dark", [SKY, "#20272D", "#FF8A3D"]),
    LinearSegmentedColormap.from_list("numbanet_dark_shades", ["#14191D", "#0B4A73", "#2E8CC9", "#A8D8F8"]),
)


def theme(ax: Axes) -> Theme:
    """Returns the theme for the background of the figure that contains the Axes; a transparent background counts as light.

    The colour `paper` of the theme is the colour of the background.
    """
    whole = ax.figure.figure  # a part of a figure (SubFigure) is transparent, unless it has a colour of its own
    colours = (to_rgba(figure.get_facecolor()) for figure in (ax.figure, whole))
    red, green, blue, opacity = next((colour for colour in colours if colour[3]), (1.0, 1.0, 1.0, 0.0))
    if not opacity:
        return LIGHT
    paper = to_hex((red, green, blue)).upper()
    return (DARK if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.4 else LIGHT)._replace(paper=paper)


def halo(ax: Axes) -> list[patheffects.AbstractPathEffect]:
    """Returns the path effects that surround text with a border in the colour of the background."""
    return [patheffects.withStroke(linewidth=2.5, foreground=theme(ax).paper)]


def room(ax: Axes) -> tuple[float, float]:
    """Returns the width and the height of the space that the Axes share with their labels, in points."""
    width, height = (float(length) / ax.figure.dpi * 72 for length in ax.figure.bbox.size)
    if (spec := ax.get_subplotspec()) is None:
        return width, height
    grid = spec.get_gridspec()
    columns, rows = np.asarray(grid.get_width_ratios(), float), np.asarray(grid.get_height_ratios(), float)
    in_columns, in_rows = columns[spec.colspan.start : spec.colspan.stop], rows[spec.rowspan.start : spec.rowspan.stop]
    return width * in_columns.sum() / columns.sum(), height * in_rows.sum() / rows.sum()


def points_of(ax: Axes) -> int:
    """Returns the font size of the texts of a picture: LABEL_POINTS, or SMALL_POINTS if the picture is small."""
    width, height = room(ax)
    return SMALL_POINTS if width < SMALL[0] or height < SMALL[1] else LABEL_POINTS


def axes(ax: Axes | None, size: tuple[float, float] = (5.6, 3.6)) -> Axes:
    """Returns `ax`; if `ax` is None, returns the Axes of a new figure whose width and height in inches are `size`.

    Raises
    ------
    TypeError, ValueError
        `ax` is not a matplotlib Axes, has been removed from its figure, or has polar or other coordinates that are not x and y.
    """
    if ax is None:
        return pyplot.subplots(figsize=size, layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be the matplotlib Axes to draw on, not {_described(ax)}")
    if ax.figure is None:
        raise ValueError("ax has been removed from its figure: pass the Axes of a figure, or leave out ax")
    if ax.name != "rectilinear":
        raise ValueError(
            f"ax has the projection {ax.name!r}, but numbanet draws on Axes with the coordinates x and y: pass Axes without a "
            "projection, such as figure.add_subplot()"
        )
    return ax


def _described(value: Any) -> str:
    """Returns words for a value that is not an Axes, with advice for figures and arrays of Axes."""
    if isinstance(value, FigureBase):
        return f"a {type(value).__name__}: pass one of its Axes, such as figure.add_subplot()"
    if isinstance(value, np.ndarray) and value.size and isinstance(value.flat[0], Axes):
        return f"an array of {value.size} Axes: pass one of them, such as ax[{', '.join('0' * value.ndim)}]"
    if isinstance(value, list | tuple) and any(isinstance(each, Axes) for each in value):
        return f"a {type(value).__name__}: pass one of the Axes in it"
    return checks.shown(value)


def lay_out(ax: Axes) -> None:
    """Lays out the Axes and their labels without drawing the figure; afterwards, the sizes of the Axes and labels are known.

    This takes half the time of drawing the figure.
    """
    figure = ax.figure.figure  # the whole figure, if ax.figure is a part of it (SubFigure)
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    make_room(ax)
    ax.apply_aspect()


def make_room(ax: Axes) -> None:
    """Makes the Axes smaller, as a colour bar does, if a figure without a layout engine would cut off a label at its border."""
    if ax.figure.get_layout_engine() is not None:
        return
    page, inwards = ax.figure.bbox.get_points(), np.array([[1], [-1]])  # the lower left and the upper right corner, in pixels
    for _ in range(2):  # Axes with equal scales become smaller in both directions, and move
        ax.apply_aspect()
        labels = ax.get_tightbbox()
        if labels is None or ((beyond := (page - labels.get_points()) * inwards) <= 1).all():
            return
        corners = ax.get_position(original=True).transformed(ax.figure.transSubfigure).get_points()  # type: ignore[union-attr]
        moved = corners + np.maximum(beyond + MARGIN, 0) * inwards
        if (np.diff(moved, axis=0) < np.diff(corners, axis=0) / 3).any():
            return
        ax.set_position(Bbox(moved).transformed(ax.figure.transSubfigure.inverted()))
        ax.set_in_layout(True)  # a later layout may place the Axes


def shrink(ax: Axes, size: tuple[float, float]) -> float:
    """Returns a factor of at most 1 that scales a drawing of the size `size` (in inches) so that the drawing fits into `ax`."""
    box = ax.get_window_extent()
    return min(1.0, box.width / ax.figure.dpi / size[0], box.height / ax.figure.dpi / size[1])


def calm(ax: Axes) -> None:
    """Removes the top and the right border of the Axes, and draws the other two borders and the ticks in grey."""
    ax.spines[["top", "right"]].set_visible(False)
    colours = theme(ax)
    ax.set_facecolor("none")
    ax.spines[["left", "bottom"]].set_color(colours.grey)
    ax.tick_params(which="both", colors=colours.grey, labelcolor=colours.ink, labelsize=points_of(ax))
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_color(colours.ink)
        axis.get_offset_text().set_fontsize(points_of(ax))
        if points_of(ax) == SMALL_POINTS:
            axis.label.set_fontsize(SMALL_POINTS)


def calm_bar(ax: Axes, bar: Colorbar) -> None:
    """Sets the colours of a colour bar's ticks and labels, and the font sizes of the labels, to suit the picture in `ax`."""
    colours, label = theme(ax), bar.ax.yaxis.label
    bar.ax.tick_params(colors=colours.grey, labelcolor=colours.ink, labelsize=points_of(ax))
    label.set_color(colours.ink)
    if points_of(ax) == SMALL_POINTS:
        label.set_fontsize(SMALL_POINTS)


def blank(ax: Axes) -> None:
    """Prepares the Axes for a diagram: removes borders and ticks, and gives the x axis and the y axis the same scale."""
    ax.set_axis_off()
    ax.set_aspect("equal")


def label_ends(ax: Axes, curves: Sequence[tuple[Line2D, str]], points: float) -> None:
    """Writes the name of each curve at the curve's last finite point, in the curve's colour, and moves overlapping names apart.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        The Axes with the curves. The limits of the Axes must be final, because later changes would misplace the names.
    curves : list of (line, name)
        For each curve, the line in the Axes and the name.
    points : float
        The font size of the names, in points.
    """
    ax.autoscale_view()
    scale = ax.get_window_extent().height / ax.figure.dpi * 72
    finite = [np.asarray(line.get_xydata())[np.isfinite(line.get_ydata())] for line, _ in curves]
    named = [(line, name, drawn[-1]) for (line, name), drawn in zip(curves, finite, strict=True) if len(drawn)]
    to_points = ax.transData + ax.transAxes.inverted()
    heights = np.array([to_points.transform(place)[1] * scale for _, _, place in named])
    lines = max((name.count("\n") + 1 for _, name in curves), default=1)
    for (line, name, place), shift in zip(named, _apart(heights, 1.25 * points * lines) - heights, strict=True):
        ax.annotate(name, place, (7, shift), textcoords="offset points", va="center", size=points, color=line.get_color())
    make_room(ax)


def _apart(heights: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Returns the heights in the same order, changed as little as necessary, so that any two differ by at least `least`."""
    order = np.argsort(heights, kind="stable")
    groups = []  # names that would touch each other form a group: [mean of the wanted heights, number of names]
    for height in heights[order]:
        groups.append([height, 1])
        while len(groups) > 1 and groups[-1][0] - groups[-2][0] < least * (groups[-1][1] + groups[-2][1]) / 2:
            (upper, n_upper), (lower, n_lower) = groups.pop(), groups.pop()
            groups.append([(lower * n_lower + upper * n_upper) / (n_lower + n_upper), n_lower + n_upper])
    placed = np.empty_like(heights)
    placed[order] = [middle + least * (k - (n - 1) / 2) for middle, n in groups for k in range(int(n))]
    return placed
