"""Draws predictions of numbers against the targets, their residuals, samples as images, and the importance of columns."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from numbanet import checks, inputs
from numbanet.pages import shortened
from numbanet.pictures import style
from numbanet.pictures.labels import refuse_empty
from numbanet.pictures.space import cut, label, rows_that_fit, width_of, wrapped

NAME_SHARE = 0.4  # the largest part of the width that the names of columns take
BAR_SHARE = 0.75  # the largest part of the height that the label of a colour bar takes
LEAST_POINTS = 6.0  # the size of the smallest letters in the titles of images
OPAQUE = 500  # the number of points above which points are transparent
MOST_POINTS = 2000  # more points are drawn as an image, because each point of a vector graphic takes 100 bytes


def predicted_against_true(y: ArrayLike, y_hat: ArrayLike, *, name: str = "y", ax: Axes | None = None) -> Axes:
    """Draws the predictions (y axis) over the targets (x axis). A point on the diagonal is an exact prediction.

    Parameters
    ----------
    y, y_hat : array_like, (n,) or (n, 1)
        The targets and the predictions.
    name : str
        The name of the predicted quantity, for the labels of the axes.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        y or y_hat does not contain finite numbers, or y and y_hat differ in length.
    """
    y, y_hat = _pair(y, y_hat)
    ax = style.axes(ax, (4.4, 4.2))
    low, high = min(y.min(), y_hat.min()), max(y.max(), y_hat.max())
    margin = 0.04 * (high - low) or 1.0
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, color=style.theme(ax).grey, lw=1, dashes=(4, 3), zorder=1)
    opacity = 0.7 * min(1.0, (OPAQUE / y.size) ** 0.75)  # where many points overlap, their number determines the shade
    look = {"s": 16, "color": style.theme(ax).colours[0], "alpha": opacity, "lw": 0, "rasterized": y.size > MOST_POINTS}
    ax.scatter(y, y_hat, **look, zorder=2)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    style.calm(ax)
    label(ax, f"true {shortened(name)}", f"predicted {shortened(name)}")
    return ax


def residuals(y: ArrayLike, y_hat: ArrayLike, *, name: str = "y", ax: Axes | None = None) -> Axes:
    """Draws a histogram of the residuals, the predictions minus the targets.

    Parameters
    ----------
    y, y_hat : array_like, (n,) or (n, 1)
        The targets and the predictions.
    name : str
        The name of the predicted quantity, for the label of the axis.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        y or y_hat does not contain finite numbers, or y and y_hat differ in length.
    """
    y, y_hat = _pair(y, y_hat)
    ax = style.axes(ax, (4.8, 4.2))
    errors = y_hat - y
    bins = int(np.clip(np.sqrt(y.size), 8, 40)) if np.ptp(errors) else 9  # the middle bar contains equal residuals
    ax.hist(errors, bins=bins, color=style.theme(ax).colours[0], alpha=0.75, edgecolor=style.theme(ax).paper, lw=0.6)
    ax.axvline(0, color=style.theme(ax).grey, lw=1, dashes=(4, 3))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    style.calm(ax)
    label(ax, f"predicted minus true {shortened(name)}", "samples")
    return ax


def _pair(y: ArrayLike, y_hat: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Returns targets and predictions as arrays (n,) of float64."""
    given = (("y", y), ("y_hat", y_hat))
    truth, answer = (inputs.finite(name, inputs.real_array(name, value), np.dtype(float)).reshape(-1) for name, value in given)
    for name, array in (("y", truth), ("y_hat", answer)):
        refuse_empty(name, array)
    if truth.size != answer.size:
        raise ValueError(f"y and y_hat must have the same number of values, not {truth.size} and {answer.size}")
    return truth, answer


def sample_images(x: ArrayLike, shape: tuple[int, int], titles: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Draws samples as images in frames, with a title above each image.

    The largest input of a sample is black, the smallest is white.

    Parameters
    ----------
    x : array_like, (n, n_in)
        The samples, each of which consists of the pixels of an image, row by row.
    shape : (int, int)
        The height and the width of the images.
    titles : list of str
        One title per sample, in at most two lines.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        shape is not a pair of integers, or does not fit the number of inputs, or the number of titles differs from n.
    """
    height, width = image_shape(shape)
    values = inputs.finite("x", inputs.real_array("x", x), np.dtype(float))
    refuse_empty("x", values)
    if values.ndim != 2 or values.shape[1] != height * width or len(values) != len(titles):
        raise ValueError(f"x must have shape ({len(titles)}, {height * width}) for {len(titles)} images, not {values.shape}")
    columns = min(5, len(values))
    rows = -(-len(values) // columns)
    wide, tall = 1.1, 1.1 * height / width + 0.4  # the distances between images, if an image has the width 1
    size = 1.55 * columns, 1.55 * rows * tall / wide
    ax = style.axes(ax, size)
    theme, widest = style.theme(ax), max(width_of(line, 1) for title in titles for line in title.split("\n"))
    room = 0.95 * style.shrink(ax, size) * size[0] * 72 / columns
    points = float(np.clip(room / widest, LEAST_POINTS, style.LABEL_POINTS - 1)) if widest else LEAST_POINTS
    for s, (sample, title) in enumerate(zip(values, titles, strict=True)):
        left, top = wide * (s % columns), -tall * (s // columns)
        ax.imshow(sample.reshape(height, width), cmap="gray_r", extent=(left, left + 1, top - height / width, top))
        ax.add_patch(Rectangle((left, top - height / width), 1, height / width, fill=False, ec=theme.grey, lw=0.6))
        title = "\n".join(cut(line, points, room) for line in title.split("\n"))
        ax.text(left, top + 0.05, title, size=points, va="bottom", color=theme.ink, parse_math=False)
    style.blank(ax)
    ax.set(xlim=(-0.02, wide * columns), ylim=(0.4 - tall * rows, 0.4))
    return ax


def image_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Checks and returns the height and the width of images; raises ValueError unless shape is a pair of positive integers."""
    try:
        height, width = (checks.integer("shape", length) for length in shape)
    except (TypeError, ValueError):
        raise ValueError(f"shape must be the height and width of an image, such as (8, 8), not {shape!r}") from None
    return height, width


def importances(names: Sequence[str], drops: ArrayLike, *, score: str = "score", ax: Axes | None = None) -> Axes:
    """Draws each column's importance, the mean of its drops, as a bar, with a line of one standard deviation to both sides.

    Parameters
    ----------
    names : list of str
        The names of the columns, from top to bottom. If the Axes are too low for all names to be legible, the drawing shows the
        most important columns, the most important at the top, and the number of the other columns.
    drops : array_like, (columns, repeats)
        For each column, the decrease in the score with each permutation of the column.
    score : str
        The name of the score, for the label of the axis.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        drops does not contain finite numbers, or has another number of rows than names.
    """
    values = inputs.finite("drops", inputs.real_array("drops", drops), np.dtype(float))
    refuse_empty("drops", values, "column and one permutation")
    if values.ndim != 2 or len(values) != len(names):
        raise ValueError(
            f"drops must have shape ({len(names)}, repeats), because there are {len(names)} names, not {values.shape}"
        )
    ax = style.axes(ax, (6.4, 0.9 + 0.27 * len(names)))
    style.calm(ax)
    text = f"decrease in {score} ± one standard deviation"
    label(ax, text, "")
    means, deviations = values.mean(axis=1), values.std(axis=1)
    points = style.points_of(ax)
    shown = _most_important(means, rows_that_fit(ax, points))
    more = len(names) - shown.size
    labels = [cut(str(names[k]), points, NAME_SHARE * style.room(ax)[0]) for k in shown] + [f"and {more:,} more"] * (more > 0)
    places = np.arange(shown.size)
    ax.barh(places, means[shown], height=0.62, color=style.theme(ax).colours[0], alpha=0.75)
    ends = means[shown] - deviations[shown], means[shown] + deviations[shown]
    ax.hlines(places, *ends, color=style.theme(ax).ink, lw=1.2)
    ax.axvline(0, color=style.theme(ax).grey, lw=1)
    ax.set_yticks(np.arange(len(labels)), labels, parse_math=False)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    label(ax, text, "")  # again, because the names have moved the Axes
    return ax


def _most_important(means: NDArray[np.floating], most: int) -> NDArray[np.intp]:
    """Returns the indices of the columns to draw: of all columns in order or, if they do not fit, of the most important ones.

    If there are more than `most` columns, only most - 1 (but at least one) are drawn; the row below shows the number of the
    columns left out.
    """
    return np.arange(means.size) if means.size <= most else np.argsort(-means, kind="stable")[: max(1, most - 1)]


def importance_image(drops: ArrayLike, shape: tuple[int, int], *, score: str = "score", ax: Axes | None = None) -> Axes:
    """Draws the importance of the pixels of images as an image, with the rows and columns of pixels counted from 1.

    Parameters
    ----------
    drops : array_like, (pixels,)
        For each pixel, row by row, the mean decrease in the score if the pixel is permuted. A pixel that is nan, because it was
        not measured, is grey.
    shape : (int, int)
        The height and the width of the images.
    score : str
        The name of the score, for the label of the colours.
    ax : matplotlib.axes.Axes, optional
        The Axes to draw on; by default the Axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes that contains the drawing.

    Raises
    ------
    ValueError, TypeError
        shape is not a pair of integers, or does not fit the number of pixels; or drops contains no finite number.
    """
    height, width = image_shape(shape)
    values = inputs.real_array("drops", drops).astype(np.float64)
    if values.shape != (height * width,):
        raise ValueError(f"drops must have shape ({height * width},), with one number per pixel, but has shape {values.shape}")
    if np.isinf(values).any() or np.isnan(values).all():
        raise ValueError("drops must be finite for at least one pixel, and nan for each pixel that was not measured")
    ax = style.axes(ax, (4.8, 0.6 + 3.8 * height / width))
    theme = style.theme(ax)
    limit = float(np.nanmax(np.abs(values))) or 1.0
    (low, high) = (to_rgba(colour) for colour in (theme.negative, theme.positive))
    # Zero is transparent, so that the picture suits a light and a dark page.
    stops = [(0.0, low), (0.5, (*low[:3], 0.0)), (0.5, (*high[:3], 0.0)), (1.0, high)]
    colours = LinearSegmentedColormap.from_list("importance", stops).with_extremes(bad=(*to_rgba(theme.grey)[:3], 0.4))
    ends = (0.5, width + 0.5, height + 0.5, 0.5)
    image = ax.imshow(np.ma.masked_invalid(values).reshape(height, width), colours, vmin=-limit, vmax=limit, extent=ends)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    style.calm(ax)
    ax.spines[:].set(visible=True, color=theme.grey)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02)
    bar.outline.set_edgecolor(theme.grey)
    style.calm_bar(ax, bar)
    points, most = float(bar.ax.yaxis.label.get_fontsize()), BAR_SHARE * style.room(ax)[1]
    text = wrapped(f"mean decrease in {score}", points, most, 2)
    missing = "\n(grey: not measured)" if np.isnan(values).any() else ""
    bar.set_label(text + missing)
    label(ax, "column of pixels", "row of pixels")
    return ax
