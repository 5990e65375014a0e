"""The section of a report about the samples with the largest errors: their values or images, targets and predictions."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet import checks, pages
from numbanet.evaluation import ClassPredictions, Importances, LabelPredictions, NumberPredictions, Predictions
from numbanet.network import Network
from numbanet.pictures import predictions
from numbanet.pictures.blocks import paragraph, wide
from numbanet.pictures.svg import svg
from numbanet.tables import Table
from numbanet.training.reporting import shown

MOST_WRONG = 10
MOST_VALUES = 5  # the largest number of columns whose values are shown beside a wrong prediction
MOST_OUTPUTS = 3  # the largest number of outputs of a regression whose predictions are listed


class Samples(NamedTuple):
    """The samples on which a report measures a network: the inputs x, a row per sample; the table and image shape, or None."""

    network: Network
    x: NDArray[Any]
    table: Table | None
    shape: tuple[int, int] | None

    @property
    def lines(self) -> Sequence[int] | None:
        """The number of the line of the file in which each sample begins; None if the samples are not rows of a file."""
        return None if self.table is None else self.table.lines

    def place(self, row: int) -> str:
        """Returns the line of the file in which a sample begins or, without a file, the sample's number, counted from 1."""
        return str(row + 1 if self.lines is None else self.lines[row])

    def values(self, names: Sequence[str], row: int) -> list[str]:
        """Returns a sample's values in the named columns: the texts of the table, or the inputs of the network."""
        if self.table is not None:
            return [self.table.column(name).strings[row] or "(missing)" for name in names]
        known = self.network.columns or [f"x[{i}]" for i in range(self.x.shape[1])]
        return [checks.quantity(self.x[row, known.index(name)]) for name in names]


def worst(found: Predictions, samples: Samples, importances: Importances) -> str:
    """Lists the samples with the largest errors, with their images or their values in the most important columns."""
    rows = found.worst(MOST_WRONG)
    head, lines = _errors(found, rows)
    encoded = samples.table is None and samples.network.table is not None
    names = [importances.names[k] for k in importances.order()[:MOST_VALUES]] if not (samples.shape or encoded) else []
    cells = [[samples.place(row), *line, *samples.values(names, row)] for row, line in zip(rows, lines, strict=True)]
    place = "row" if samples.lines is None else "line"
    texts = 1 + len(head) if isinstance(found, LabelPredictions) else 3 if isinstance(found, ClassPredictions) else 1
    key = "the predicted probability of the true class" if isinstance(found, ClassPredictions) else "the size of the error"
    of = f" of {samples.table.source}" if samples.table and samples.lines else ", counted from 1 among these samples"
    text = f"The {checks.count(len(rows), 'sample')} with the largest errors, sorted by {key}; {place}s{of}."
    if isinstance(found, ClassPredictions) and (right := sum(found.truth[row] == found.answer[row] for row in rows)):
        text += f" The network predicts the class of {'all' if right == len(rows) else right} of these samples correctly."
    drawn = ""
    if samples.shape is not None:
        titles = [_title(found, place, line) for line in cells]
        draw = functools.partial(predictions.sample_images, samples.x[rows], samples.shape, titles)
        alt = f"The {checks.count(len(rows), 'sample')} with the largest errors, as images. "
        picture = svg(draw, "images", alt + "; ".join(title.replace("\n", " ") for title in titles))
        drawn = f'<div class="figures images">{picture}</div>'
    return paragraph(text) + drawn + wide(pages.table([place, *head, *names], cells, texts=texts), "largest errors")


def _title(found: Predictions, place: str, cells: Sequence[str]) -> str:
    """Returns an image's title: the sample's line or number, the target and, unless targets are multilabel, the prediction."""
    kind = "" if isinstance(found, LabelPredictions) else "true "
    title = f"{place} {cells[0]}: {kind}{pages.shortened(cells[1])}"
    return title if kind == "" else f"{title},\npredicted {pages.shortened(cells[2])}"


def _errors(found: Predictions, rows: list[int]) -> tuple[list[str], list[list[str]]]:
    """Returns the titles and the cells of the columns that compare targets and predictions, for the samples `rows`."""
    if isinstance(found, NumberPredictions):
        names, several = found.names[:MOST_OUTPUTS], len(found.names) > 1
        head = [f"{word} {name}" if several else word for name in names for word in ("true", "predicted", "residual")]
        arrays = (found.truth, found.answer, found.residuals)
        return head, [[checks.quantity(array[row, j]) for j in range(len(names)) for array in arrays] for row in rows]
    if isinstance(found, ClassPredictions):
        pairs = [(found.truth[row], found.answer[row]) for row in rows]
        cells = [
            [*(found.names[k] for k in pair), *(shown(found.probabilities[row, k]) for k in pair)]
            for row, pair in zip(rows, pairs, strict=True)
        ]
        return ["true class", "predicted class", "p(true)", "p(predicted)"], cells
    arrays = (found.truth > 0.5, found.probabilities > 0.5)
    texts = [[", ".join(np.array(found.names)[array[row]].tolist()) or "none" for array in arrays] for row in rows]
    return ["true labels", "predicted labels"], texts
