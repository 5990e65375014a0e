"""Pictures as SVG elements of an HTML page. Their colours are CSS variables, so that the page can be light or dark."""

import html
import io
import re
from collections.abc import Callable
from typing import Any

from matplotlib import pyplot
from matplotlib.axes import Axes

from numbanet.pictures import style

# The CSS variable for each colour. Without a value of the variable, a page shows the colour itself.
VARIABLES = {
    style.LIGHT.ink.lower(): "ink",
    style.LIGHT.grey.lower(): "quiet",
    style.LIGHT.faint.lower(): "line",
    style.BLUE.lower(): "blue",
    style.VERMILION.lower(): "vermilion",
    style.GREEN.lower(): "green",
    "#ffffff": "card",
}
COLOUR = re.compile("|".join(VARIABLES))
IDENTIFIER = re.compile(r'( id="|xlink:href="#|url\(#)')


def svg(draw: Callable[[], Axes], name: str, title: str) -> str:
    """Returns a picture as an SVG element, with text that a reader can select.

    Parameters
    ----------
    draw : callable
        A function that draws a picture on a new figure and returns its Axes, such as
        `functools.partial(learning_curves, history)`. The figure is closed, so that a notebook does not show it twice.
    name : str
        A word that begins all identifiers in the element. The word must differ between the pictures of a page.
    title : str
        A description of the picture for readers who do not see it.
    """
    file = io.StringIO()
    with pyplot.style.context(["default", {"svg.fonttype": "none", "svg.hashsalt": name}]), pyplot.ioff():
        figure: Any = draw().figure
        try:
            figure.savefig(file, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.05, metadata={"Date": None})
        finally:
            pyplot.close(figure)
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], count=1, flags=re.DOTALL)
    text = COLOUR.sub(lambda match: f"var(--{VARIABLES[match[0]]}, {match[0]})", text)
    text = IDENTIFIER.sub(lambda match: f"{match[0]}{name}-", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)
