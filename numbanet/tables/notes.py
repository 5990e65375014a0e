"""Describes the choices that were made when a table was read and encoded, such as replaced missing values."""

from collections import Counter
from collections.abc import Collection

import numpy as np

from numbanet import checks
from numbanet.checks import listed
from numbanet.tables.columns import Table
from numbanet.tables.encoding import Encoding
from numbanet.tables.features import Categorical, as_option
from numbanet.tables.frames import Frame, as_table
from numbanet.tables.targets import Quantity

MOST_NOTES = 20
# The words for true and false in tables, in lower case.
_TRUE, _FALSE = ("true", "yes", "y", "t", "on", "1"), ("false", "no", "n", "f", "off", "0")
TRUTH: dict[str, bool] = {word: word in _TRUE for word in (*_TRUE, *_FALSE)}


def notes(table: Table | Frame, encoding: Encoding) -> list[str]:
    """Returns sentences about the choices made for a table, such as missing values, similar labels, and columns without a name.

    Parameters
    ----------
    table : Table or DataFrame
    encoding : Encoding
        The encoding that `learn` returned for the table.

    Returns
    -------
    list of str
        At most 20 sentences about columns. If there would be more than 20 sentences, an additional last sentence says how many
        columns are left out.
    """
    table = as_table(table)
    found = list(table.notes)
    for each in (*encoding.features, encoding.target):
        if word := next(iter(table.values.get(each.name, ())), None):
            kind = "category" if each in encoding.features else "class"
            found.append(
                f"column {each.name!r}: {word!r} is a {kind}; if it means a missing value, use {as_option('--missing', [word])}"
            )
        if alike := _alike(getattr(each, "labels", getattr(each, "categories", ()))):
            found.append(
                f"column {each.name!r}: {listed(alike)} count as different values; if some of them mean the same, spell them "
                "alike in the file"
            )
    if isinstance(encoding.target, Quantity) and np.ptp(encoding.target.encode(table)) == 0:
        found.append(f"column {encoding.target.name!r}: the target has the same value in every row")
    for feature in encoding.features:
        if feature.fill is not None and (count := int(np.count_nonzero(feature.missing(table)))):
            words = table.column(feature.name).words - {""}
            spelled = f" ({listed(sorted(words))})" if words and isinstance(feature, Categorical) else ""
            fill = repr(feature.fill) if isinstance(feature, Categorical) else checks.quantity(feature.fill)
            found.append(f"column {feature.name!r}: {count} missing values{spelled} are replaced by {fill}")
    more = len(found) - MOST_NOTES
    return found if more <= 0 else [*found[:MOST_NOTES], f"and {more} more such columns"]


def standardisation(name: str, mean: float, scale: float) -> str:
    """Returns the formula that standardises a number, such as "(price - 152.1) / 77.09"."""
    return f"({name} {'+' if mean < 0 else '-'} {checks.quantity(abs(mean))}) / {checks.quantity(scale)}"


def _alike(labels: Collection[str]) -> list[str]:
    """Returns the labels that differ from another label only in capitals.

    If all labels are words for true or false, such as yes and on, returns the labels with the truth value of another label.
    """
    folded = [label.casefold() for label in labels]
    if all(label in TRUTH for label in folded):
        folded = [str(TRUTH[label]) for label in folded]
    counts = Counter(folded)
    return [label for label, fold in zip(labels, folded, strict=True) if counts[fold] > 1]
