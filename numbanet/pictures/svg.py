"""Draws pictures as SVG elements of an HTML page, with CSS variables as colours, so that the page can be light or dark."""

import html
import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from numbanet import checks
from numbanet.pictures import style

# The CSS variable for each colour. Without a value of the variable, a page shows the colour itself.
VARIABLES = {
    style.LIGHT.ink: "ink",
    style.LIGHT.grey: "quiet",
    style.LIGHT.faint: "line",
    style.LIGHT.paper: "card",
    style.BLUE: "blue",
    style.VERMILION: "vermilion",
    style.GREEN: "green",
    style.ORANGE: "orange",
    style.PURPLE: "purple",
    style.SKY: "sky",
}
COLOUR = re.compile("#[0-9a-f]{6}")
ADAPTING = {"gray_r", "importance"}  # the colour maps of images that are legible on a light and on a dark page
ROUNDING = 0.02  # the largest difference between a mixture of colours and one of the 256 colours of a colour map
IDENTIFIER = re.compile(r'( id="|xlink:href="#|url\(#)')


def svg(draw: Callable[[], Axes], name: str, title: str) -> str:
    """Returns a picture as an SVG element, with text that a reader can select.

    The picture takes the colours of the page, light or dark. Only a picture with an image whose colours do not suit both light
    and dark pages, such as a confusion matrix, keeps its own colours and a white background on every page.

    Parameters
    ----------
    draw : callable
        A function that draws a picture on a new figure and returns its Axes, such as
        `functools.partial(learning_curves, history)`. The figure is closed, so that a notebook does not show it twice.
    name : str
        A word that begins all identifiers in the element. The word must differ between the pictures of a page.
    title : str
        A description of the picture for readers who do not see it.

    Raises
    ------
    TypeError
        draw is not a function without arguments, or does not return an Axes.
    """
    if not callable(draw):
        raise TypeError(f"draw must be a function that draws a picture and returns its Axes, not {checks.shown(draw)}")
    file = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": name}
    with pyplot.style.context(["default", settings]), pyplot.ioff(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ ")  # letters that only matplotlib's font lacks, not the browser's fonts
        drawn = draw()
        if not isinstance(drawn, Axes):
            raise TypeError(f"draw must return the Axes of the picture, not {checks.shown(drawn)}")
        figure: Any = drawn.figure
        has_pixels = any(image.get_cmap().name not in ADAPTING for ax in figure.axes for image in ax.images)
        look = {"transparent": not has_pixels, "bbox_inches": "tight", "pad_inches": 0.05, "metadata": {"Date": None}}
        try:
            figure.savefig(file, format="svg", **look)
        finally:
            pyplot.close(figure)
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], count=1, flags=re.DOTALL)
    if not has_pixels:
        text = COLOUR.sub(lambda match: _in_css(match[0]), text)
    text = IDENTIFIER.sub(lambda match: f"{match[0]}{name}-", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)


def _in_css(colour: str) -> str:
    """Converts a colour such as "#0072b2" to CSS that depends on the colours of the page.

    In a network diagram, the colour of a bias is a mixture of two colours: the background, and the colour of positive or of
    negative biases. The CSS mixes the page's versions of these two colours.
    """
    if colour.upper() in VARIABLES:
        return f"var(--{VARIABLES[colour.upper()]}, {colour})"
    rgb, neutral = np.array(to_rgb(colour)), np.array(style.LIGHT.diverging(0.5)[:3])
    for pure in (style.LIGHT.negative, style.LIGHT.positive):
        along = np.array(to_rgb(pure)) - neutral
        share = float(np.clip(((rgb - neutral) * along).sum() / (along * along).sum(), 0, 1))
        if np.abs(neutral + share * along - rgb).max() < ROUNDING:
            return f"color-mix(in srgb, {_in_css(pure.lower())} {100 * share:.0f}%, {_in_css(style.LIGHT.paper.lower())})"
    return colour
