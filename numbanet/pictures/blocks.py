"""The blocks of HTML that several sections of a report contain: paragraphs, wide tables, and lists of names."""

import html
from collections.abc import Sequence

MOST_NAMES = 20  # the largest number of names in a sentence


def paragraph(text: str) -> str:
    """Returns a paragraph that contains a text."""
    return f"<p>{html.escape(text, quote=False)}</p>"


def wide(table: str, label: str) -> str:
    """Returns a table with a label for screen readers; if the page is too narrow, the table scrolls, also with the keyboard."""
    return f'<div class="wide" tabindex="0" role="group" aria-label="Table: {html.escape(label)}">{table}</div>'


def listing(names: Sequence[str]) -> str:
    """Returns text with at most 20 names, separated by commas, and the number of further names."""
    more = len(names) - MOST_NAMES
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:MOST_NAMES])} and {more:,} more"
