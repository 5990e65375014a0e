"""Writes drawings to files in which text is selectable: PDF, PNG, SVG and HTML."""

import base64
import io
import os
import re
from collections.abc import Callable, Sequence
from html import unescape
from pathlib import Path
from typing import Any

from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib import pyplot
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont

from numbanet.files import replacing

FORMATS = ("pdf", "png", "svg", "html")
# With these settings, the page does not depend on the user's matplotlib settings, and the file always has the same bytes.
SETTINGS = {"mathtext.fontset": "stix", "svg.hashsalt": "numbanet", "svg.fonttype": "none", "pdf.fonttype": 42}
DPI = 200
# The tables of a font that drawings do not need: rules of layout, which take long to read, and the dates of FontForge.
UNUSED = {"FFTM", "GDEF", "GPOS", "GSUB", "MATH"}


def save(pages: Sequence[Callable[[], Figure]], path: str | os.PathLike[str], title: str) -> list[str]:
    """Draws pages and writes them to one file, or to one file per page; returns the paths of the files.

    The suffix of the path determines the format. The formats .pdf and .html hold all pages in one file. The title is written
    into the files' metadata.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ValueError(f"cannot draw {os.fspath(path)!r}: its name must end in {', '.join('.' + name for name in FORMATS)}")
    with pyplot.style.context(["default", SETTINGS]):
        figures = [draw() for draw in pages]
        if kind == "pdf":
            contents = [_pdf(figures, title)]
        elif kind == "png":
            contents = [_written(figure, kind, title) for figure in figures]
        else:
            drawings = [_svg(figure, title) for figure in figures]
            contents = [_html(drawings, title)] if kind == "html" else [_with_fonts(drawing).encode() for drawing in drawings]
    paths = [path, *(path.with_stem(f"{path.stem}-{number}") for number in range(2, len(contents) + 1))]
    for name, content in zip(paths, contents, strict=True):
        with replacing(name) as file:
            file.write(content)
    return [os.fspath(name) for name in paths]


def _pdf(figures: list[Figure], title: str) -> bytes:
    written = io.BytesIO()
    with PdfPages(written, metadata={"Title": title, "CreationDate": None, "Creator": None, "Producer": None}) as pages:
        for figure in figures:
            pages.savefig(figure)
    return written.getvalue()


def _written(figure: Figure, kind: str, title: str) -> bytes:
    written = io.BytesIO()
    metadata = {"Title": title} | ({"Software": None} if kind == "png" else {"Date": None, "Creator": None})
    figure.savefig(written, format=kind, dpi=DPI, metadata=metadata)
    return written.getvalue()


def _svg(figure: Figure, title: str) -> str:
    """Returns a figure as an SVG drawing with selectable text; sorts the letters of each formula from left to right."""
    svg = re.sub(r"\n *", "\n", _written(figure, "svg", title).decode())
    svg = re.sub(r"(font-family: '[^']*')[^;\"]*", r"\1", svg)  # without matplotlib's list of similar fonts
    svg = re.sub(r"(?:<tspan [^\n]*\n)+", lambda match: "".join(sorted(match[0].splitlines(True), key=_left)), svg)
    return re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), svg)  # coordinates with two decimals


def _left(tspan: str) -> float:
    match = re.search(r' x="([-\d.]+)', tspan)
    return float(match[1]) if match else 0.0


def _with_fonts(svg: str) -> str:
    """Returns the drawing with the letters of its fonts embedded, so that every browser draws the same page."""
    return svg.replace("</style>", f"{_font_faces(svg)}</style>", 1)


def _font_faces(text: str) -> str:
    """Returns CSS that embeds the fonts of the SVG drawings in `text`, reduced to the letters that the drawings use."""
    letters: dict[tuple[str, str, str], set[str]] = {}
    for style, words in re.findall(r'<t(?:ext|span) [^>]*style="([^"]*)"[^>]*>([^<]+)<', text):
        declarations = dict(re.findall(r"font-(family|style|weight): ([^;]+)", style))
        font = declarations["family"].strip("'"), declarations.get("style", "normal"), declarations.get("weight", "normal")
        letters.setdefault(font, set()).update(unescape(words))
    return "".join(_font_face(*font, "".join(sorted(letters[font]))) for font in sorted(letters))


def _font_face(family: str, style: str, weight: str, letters: str) -> str:
    """Returns the CSS rule that embeds the given letters of a font."""
    options = subset.Options(flavor="woff", layout_features=[], hinting=False, name_IDs=[])
    described: dict[str, Any] = {"family": family, "style": style, "weight": weight}
    font = TTFont(findfont(FontProperties(**described), fallback_to_default=False), recalcTimestamp=False)
    for table in {*font.keys()} & UNUSED:
        del font[table]
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=letters)
    subsetter.subset(font)
    font.flavor = "woff"
    written = io.BytesIO()
    font.save(written)
    source = f"url(data:font/woff;base64,{base64.b64encode(written.getvalue()).decode()})"
    return f"\n@font-face {{font-family: '{family}'; font-style: {style}; font-weight: {weight}; src: {source}}}"


def _html(drawings: list[str], title: str) -> bytes:
    """Returns one HTML page with all drawings; when it is printed, each drawing fills an A4 page."""
    paper = re.findall(r"fill: (#\w+)", drawings[0])[0]
    style = (
        f"body {{ margin: 0; background: {paper} }} svg {{ display: block; width: 100%; height: auto }}\n"
        f"@page {{ size: A4 landscape; margin: 0 }} svg {{ break-after: page }}{_font_faces(''.join(drawings))}"
    )
    body = "".join(drawing[drawing.index("<svg") :] for drawing in drawings)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    ).encode()
