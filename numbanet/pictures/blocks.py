"""The blocks of HTML that several sections of a report contain: paragraphs, wide tables, and lists of names."""

import html
from collections.abc import Sequence

MOST_NAMES = 20  # in a sentence


def paragraph(text: str) -> str:
    """Returns a paragraph that contains a text."""
    return f"<p>{html.escape(text, quote=False)}</p>"


def wide(table: str, label: str) -> str:
    """Returns a table that scrolls if it is wider than the page; the keyboard can reach it, and a screen reader names it."""
    return f'<div class="wide" tabindex="0" role="group" aria-label="Table: {html.escape(label)}">{table}</div>'


def listing(names: Sequence[str]) -> str:
    """Returns at most 20 names, separated by commas, and the number of the other names."""
    more = len(names) - MOST_NAMES
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:MOST_NAMES])} and {more:,} more"
