"""Writes a report: one HTML file of sections, which a browser shows without scripts and without an Internet connection."""

import html
from collections.abc import Sequence
from typing import NamedTuple

from numbanet.files import Location
from numbanet.pages import files


class Section(NamedTuple):
    """A section of a report: its name in links, its title, and its content as HTML. Sections without content are left out."""

    name: str
    title: str
    content: str


def write_report(path: Location, title: str, result: str, sections: Sequence[Section]) -> None:
    """Writes a report.

    Parameters
    ----------
    path : path or binary file object
        The file to write, whose name must end in .html or .htm.
    title, result : str
        The title, and the result in one line, as text.
    sections : list of Section

    Raises
    ------
    ValueError
        The name of the file does not end in .html or .htm.
    OSError
        The file cannot be written.
    """
    shown = [section for section in sections if section.content]
    parts = {
        "title": html.escape(title, quote=False),
        "style": files.asset("base.css") + files.asset("report.css"),
        "result": html.escape(result, quote=False),
        "links": " ".join(f'<a href="#{section.name}">{html.escape(section.title)}</a>' for section in shown),
        "sections": "\n".join(map(_section, shown)),
    }
    files.write(path, files.filled("report.html", parts))


def _section(section: Section) -> str:
    heading = f'<h2 id="{section.name}-title">{html.escape(section.title)}</h2>'
    return f'<section id="{section.name}" aria-labelledby="{section.name}-title">{heading}\n{section.content}\n</section>'
