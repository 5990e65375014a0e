"""The section of a report about the importance of the columns: bars or, for images, an image, and a table."""

import functools
import html

from numbanet import checks, pages
from numbanet.evaluation import Importances
from numbanet.evaluation.importance import MOST_SECONDS
from numbanet.pictures import predictions
from numbanet.pictures.blocks import listing, paragraph, wide
from numbanet.pictures.svg import svg

MOST_BARS = 20
MOST_PIXELS = 10
SCORES = {"accuracy": "accuracy", "r2": "R²"}


def importance(found: Importances, samples: int, shape: tuple[int, int] | None) -> str:
    """Draws and lists, for each column, how much the score decreases if the values of the column are permuted.

    Parameters
    ----------
    found : Importances
    samples : int
        The number of samples in the report; the importance was measured on all or on some of these samples.
    shape : (int, int), optional
        The height and the width of the samples, if they are images.
    """
    columns, repeats = checks.count(len(found.columns), "column"), found.drops.shape[1]
    rows = f"{samples:,} samples" if found.rows == samples else f"{found.rows:,} of the {samples:,} samples, drawn at random"
    parts = [
        paragraph(
            f"The importance of a column is the mean decrease in {SCORES[found.score]}, from {found.baseline:.4f}, over "
            f"{repeats} permutations of the column's values among the rows. The network has {columns}; the importance is "
            f"measured on {rows}. Columns with the same information can replace each other, and then seem unimportant."
        )
    ]
    if found.left_out:
        reason = "Ctrl-C" if found.interrupted else f"The time limit of {MOST_SECONDS} seconds"
        parts.append(
            paragraph(
                f"{reason} ended the measurement after {len(found.names):,} of the {columns}. The columns with large weights "
                f"and widely spread values were measured first. The measurement left out {listing(found.left_out)}."
            )
        )
    if found.names:
        parts.append(_bars(found) if shape is None else _image(found, shape))
    return "\n".join(parts)


def _bars(found: Importances) -> str:
    order = found.order()
    shown = order[:MOST_BARS]
    names, drops = [found.names[k] for k in shown], found.drops[shown]
    rows = [[name, f"{each.mean():.4f}", f"{each.std():.4f}"] for name, each in zip(names, drops, strict=True)]
    draw = functools.partial(predictions.importances, names, drops, score=SCORES[found.score])
    alt = "Importance of the columns, as bars: " + ", ".join(f"{name} {mean}" for name, mean, _ in rows)
    table = wide(pages.table(["column", "mean decrease", "standard deviation"], rows), "importance of the columns")
    text = f'<div class="figures bars">{_with_titles(svg(draw, "importances", alt), names)}{table}</div>'
    if others := [found.names[k] for k in order[MOST_BARS:]]:
        text += paragraph(f"{checks.count(len(others), 'less important column')}: {listing(others)}.")
    return text


def _with_titles(picture: str, names: list[str]) -> str:
    """Adds the whole name to each label with a shortened name; a browser shows it while the mouse is above the label."""
    for name in names:
        if (short := pages.shortened(name)) != name:
            label, title = html.escape(short, quote=False), html.escape(name, quote=False)
            picture = picture.replace(f">{label}</text>", f"><title>{title}</title>{label}</text>", 1)
    return picture


def _image(found: Importances, shape: tuple[int, int]) -> str:
    place = {name: divmod(k, shape[1]) for k, name in enumerate(found.columns)}
    rows = []
    for k in found.order()[:MOST_PIXELS]:
        i, j = place[found.names[k]]
        rows.append([f"row {i + 1}, column {j + 1}", f"{found.drops[k].mean():.4f}", f"{found.drops[k].std():.4f}"])
    draw = functools.partial(predictions.importance_image, found.means, shape, score=SCORES[found.score])
    alt = f"Importance of the pixels, as an image of {shape[0]} by {shape[1]} pixels. The most important: "
    alt += "; ".join(f"{pixel}, {mean}" for pixel, mean, _ in rows[:3])
    caption = f"The {checks.count(len(rows), 'most important pixel')}"
    head = ["pixel", "mean decrease", "standard deviation"]
    table = wide(pages.table(head, rows, caption=caption), "importance of the pixels")
    colours = "A pixel is orange if its permutation makes the network worse, and blue if it makes the network better."
    grey = " Pixels that were not measured are grey." * bool(found.left_out)
    return f'{paragraph(colours + grey)}<div class="figures">{svg(draw, "importances", alt)}{table}</div>'
