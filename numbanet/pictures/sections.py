"""The sections of a report, each as HTML."""

import datetime
import functools
import html
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet import checks, pages
from numbanet.evaluation import (
    ClassPredictions,
    Importances,
    LabelPredictions,
    NumberPredictions,
    Predictions,
    environment,
    figure,
)
from numbanet.network import Network
from numbanet.pictures import predictions
from numbanet.pictures.diagrams import network_diagram
from numbanet.pictures.results import confusion, learning_curves
from numbanet.pictures.svg import svg
from numbanet.tables import Encoding, Table, notes
from numbanet.tables.features import Boolean, Categorical
from numbanet.tables.targets import Classes, Quantity
from numbanet.training.history import History

MOST_COLUMNS = 40  # the largest number of columns that the report lists
MOST_BARS = 20
MOST_WRONG = 10
MOST_VALUES = 5  # the largest number of columns whose values are shown beside a wrong prediction
MOST_OUTPUTS = 3  # the largest number of outputs of a regression whose predictions are drawn
MACHINE = ("numbanet", "python", "numba", "numpy", "cpu", "cpu features", "threads")


def paragraph(text: str) -> str:
    """Returns a paragraph that contains a text."""
    return f"<p>{html.escape(text, quote=False)}</p>"


def wide(table: str) -> str:
    """Returns a table that scrolls, also with the keyboard, if it is wider than the page."""
    return f'<div class="wide" tabindex="0" role="group" aria-label="Table">{table}</div>'


# Data and settings


def data(network: Network, x: NDArray[Any], table: Table | None) -> str:
    """Describes the samples and, if the network was trained on a table, the encoding of each column."""
    encoding = network.table
    if encoding is None:
        extent = f", with values from {x.min():.4g} to {x.max():.4g}" if x.size else ""
        return paragraph(
            f"The report measures the network on {len(x):,} samples with {checks.count(x.shape[1], 'input')}{extent}."
        )
    parts = []
    if table is not None:
        whole = table.whole or table
        rows = f"{table.rows:,} of the {whole.rows:,} rows" if whole is not table else checks.count(table.rows, "row")
        parts.append(paragraph(f"{rows} of {whole.source}."))
        if said := "".join(f"<li>{html.escape(note, quote=False)}</li>" for note in notes(whole, encoding)):
            parts.append(f"<ul>{said}</ul>")
    parts.append(paragraph(_target(encoding)))
    features = encoding.features
    rows = [[each.name, each.kind, *_encoded(each)] for each in features[:MOST_COLUMNS]]
    parts.append(wide(pages.table(["column", "kind", "encoded as", "missing values become", "inputs"], rows, texts=4)))
    if len(features) > MOST_COLUMNS:
        parts.append(paragraph(f"And {len(features) - MOST_COLUMNS} more columns."))
    if encoding.ignored:
        parts.append(paragraph(f"Ignored: {', '.join(encoding.ignored)}."))
    return "\n".join(parts)


def _target(encoding: Encoding) -> str:
    target = encoding.target
    if isinstance(target, Classes):
        return f"The target {target.name} has {len(target.labels)} classes: {', '.join(target.labels)}."
    return f"The target {target.name} is a number, standardised as ({target.name} - {target.mean:.4g}) / {target.scale:.4g}."


def _encoded(feature: Any) -> list[str]:
    """Returns the encoding of a column, the value that replaces missing values, and the number of inputs."""
    if isinstance(feature, Categorical):
        categories = ", ".join(feature.categories[:8]) + ", …" * (len(feature.categories) > 8)
        return [f"one input per category: {categories}", feature.fill or "an error", str(feature.width)]
    values = "true is 1, false is 0; " if isinstance(feature, Boolean) else ""
    fill = "an error" if feature.fill is None else f"{feature.fill:.4g}"
    return [f"{values}(value - {feature.mean:.4g}) / {feature.scale:.4g}", fill, "1"]


def settings(network: Network, given: Mapping[str, Any]) -> str:
    """Shows a drawing and a table of the network, and the settings of the training."""
    head, *rows = pages.layers(network)
    draw = functools.partial(network_diagram, network, most=8)
    drawing = svg(draw, "network", "The network: layers, neurons and weights")
    layers = f"{wide(pages.table(head, rows, texts=2))}{paragraph(pages.facts(network))}{pages.entries(given)}"
    return f'<div class="figures beside">{drawing}<div>{layers}</div></div>'


# Results


def curves(network: Network, history: History) -> str:
    """Draws the curve of each figure over the epochs, and lists the figures of the first, the best and the last epoch."""
    if not len(history):
        return paragraph("The training was interrupted in its first epoch.")
    drawn = [
        svg(functools.partial(learning_curves, history, name), f"curve{k}", f"{name} by epoch")
        for k, name in enumerate(name for name in history.history if not name.startswith("val_") and name != "seconds")
    ]
    parts = [f'<div class="figures even">{"".join(drawn)}</div>']
    if network.table is not None and isinstance(network.table.target, Quantity):
        parts.append(paragraph("The losses are of the standardised target."))
    if history.interrupted:
        parts.append(paragraph("Ctrl-C interrupted the training."))
    rows = list(history)
    chosen = {"first": rows[0]}
    if history.best_epoch is not None:
        chosen["best"] = rows[history.epoch.index(history.best_epoch)]
    lines = [[word, *(f"{value:.4g}" for value in row.values())] for word, row in (chosen | {"last": rows[-1]}).items()]
    return "\n".join([*parts, wide(pages.table(["", *rows[0]], lines))])


def results(values: Mapping[str, float], unit: str | None, found: Predictions) -> str:
    """Shows the figures, and then the confusion matrix and the scores of classes, or predictions against targets."""
    shown = {name: figure(name, value, unit) for name, value in values.items()}
    parts = [pages.entries(shown)]
    if unit:
        squared = ", and mse in the square of these units" * ("mse" in values)
        parts.append(paragraph(f"rmse and mae are in units of {unit}{squared}."))
    if isinstance(found, NumberPredictions):
        parts += [_drawings(found, j) for j in range(min(MOST_OUTPUTS, len(found.names)))]
        parts.append(wide(pages.table(["", *found.names], _residuals(found), caption="Residuals: prediction minus target")))
        return "\n".join(parts)
    noun = "class" if isinstance(found, ClassPredictions) else "label"
    rows = [[s.name, f"{s.precision:.4f}", f"{s.recall:.4f}", f"{s.f1:.4f}", f"{s.samples:,}"] for s in found.scores()]
    scores = wide(pages.table([noun, "precision", "recall", "F1", "samples"], rows, caption=f"Scores of each {noun}"))
    if isinstance(found, LabelPredictions):
        return "\n".join([*parts, scores])
    right = f"{(found.truth == found.answer).sum():,} of {len(found.truth):,} samples are predicted correctly."
    legend = "In the confusion matrix, rows are true classes, columns are predictions, and percentages are of the true class."
    parts.append(paragraph(f"{right} {legend}"))
    return "\n".join([*parts, f'<div class="figures">{wide(_confusion(found))}{scores}</div>'])


def _confusion(found: ClassPredictions) -> str:
    """Returns the confusion matrix as a table; the shade of a cell shows its share of the samples of the true class."""
    counts, names = confusion(found.truth, found.answer, len(found.names)), list(map(html.escape, found.names))
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    lines = []
    for i, name in enumerate(names):
        shares = counts[i] / max(1, counts[i].sum())
        cells = "".join(
            f'<td class="{"right" if i == j else "other"}" style="--share:{share:.3f}">{count}'
            f"{f'<small>{100 * share:.3g} %</small>' if count else ''}</td>"
            for j, (count, share) in enumerate(zip(counts[i].tolist(), shares.tolist(), strict=True))
        )
        lines.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    corner = '<th scope="col">true \\ predicted</th>'
    return (
        f'<table class="confusion"><caption>Confusion matrix</caption><thead><tr>{corner}{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _drawings(found: NumberPredictions, j: int) -> str:
    pair, name = (found.truth[:, j], found.answer[:, j]), found.names[j]
    against = functools.partial(predictions.predicted_against_true, *pair, name=name)
    histogram = functools.partial(predictions.residuals, *pair, name=name)
    drawn = svg(against, f"predicted{j}", f"Predicted over true {name}")
    return f'<div class="figures">{drawn}{svg(histogram, f"residuals{j}", f"Residuals of {name}")}</div>'


def _residuals(found: NumberPredictions) -> list[list[str]]:
    """Returns rows with the mean, the standard deviation and quantiles of the residuals of each output."""
    residuals = found.residuals
    statistics = {"mean": residuals.mean(axis=0), "standard deviation": residuals.std(axis=0)}
    for name, share in (("smallest", 0), ("lower quartile", 0.25), ("median", 0.5), ("upper quartile", 0.75), ("largest", 1)):
        statistics[name] = np.quantile(residuals, share, axis=0)
    return [[name, *(f"{value:.4g}" for value in values)] for name, values in statistics.items()]


class Samples(NamedTuple):
    """The samples on which a network is measured: x (n, n_in), as a table, if they are rows of a table, and as images."""

    network: Network
    x: NDArray[Any]
    table: Table | None
    shape: tuple[int, int] | None

    @property
    def lines(self) -> Sequence[int] | None:
        """The line of the file in which each sample begins, if the samples are rows of a file."""
        return None if self.table is None else self.table.lines

    def place(self, row: int) -> str:
        """Returns the line or, without a file, the number of a sample, counted from 1."""
        return str(row + 1 if self.lines is None else self.lines[row])

    def values(self, names: Sequence[str], row: int) -> list[str]:
        """Returns a sample's values in the named columns: the texts of the table, or the inputs of the network."""
        if self.table is not None:
            return [self.table.column(name).strings[row] or "" for name in names]
        known = self.network.columns or [f"x[{i}]" for i in range(self.x.shape[1])]
        return [f"{self.x[row, known.index(name)]:.6g}" for name in names]


def worst(found: Predictions, samples: Samples, importances: Importances) -> str:
    """Lists the samples with the largest errors, with their images or their values in the most important columns."""
    rows = found.worst(MOST_WRONG)
    head, lines = _errors(found, rows)
    encoded = samples.table is None and samples.network.table is not None
    names = [importances.names[k] for k in importances.order()[:MOST_VALUES]] if not (samples.shape or encoded) else []
    shown = [[samples.place(row), *line, *samples.values(names, row)] for row, line in zip(rows, lines, strict=True)]
    place = "row" if samples.lines is None else "line"
    texts = 1 + len(head) if isinstance(found, LabelPredictions) else 3 if isinstance(found, ClassPredictions) else 1
    key = "the predicted probability of the true class" if isinstance(found, ClassPredictions) else "the size of the error"
    of = f" of {samples.table.source}" if samples.table and samples.lines else ", counted from 1 among these samples"
    text = f"The {checks.count(len(rows), 'sample')} with the largest errors, sorted by {key}; {place}s{of}."
    drawn = ""
    if samples.shape is not None:
        titles = [f"{line[0]}: {line[1]}" + f",\npredicted {line[2]}" * isinstance(found, ClassPredictions) for line in shown]
        draw = functools.partial(predictions.sample_images, samples.x[rows], samples.shape, titles)
        drawn = svg(draw, "images", "The samples with the largest errors")
    return paragraph(text) + drawn + wide(pages.table([place, *head, *names], shown, texts=texts))


def _errors(found: Predictions, rows: list[int]) -> tuple[list[str], list[list[str]]]:
    """Returns the titles and the cells of the columns that compare targets and predictions, for the given samples."""
    if isinstance(found, NumberPredictions):
        names, several = found.names[:MOST_OUTPUTS], len(found.names) > 1
        head = [f"{word} {name}" if several else word for name in names for word in ("true", "predicted", "residual")]
        arrays = (found.truth, found.answer, found.residuals)
        return head, [[f"{array[row, j]:.6g}" for j in range(len(names)) for array in arrays] for row in rows]
    if isinstance(found, ClassPredictions):
        pairs = [(found.truth[row], found.answer[row]) for row in rows]
        cells = [
            [*(found.names[k] for k in pair), *(f"{found.probabilities[row, k]:.3g}" for k in pair)]
            for row, pair in zip(rows, pairs, strict=True)
        ]
        return ["true class", "predicted class", "p(true)", "p(predicted)"], cells
    arrays = (found.truth > 0.5, found.probabilities > 0.5)
    texts = [[", ".join(np.array(found.names)[array[row]].tolist()) for array in arrays] for row in rows]
    return ["true labels", "predicted labels"], texts


def importance(found: Importances) -> str:
    """Draws and lists the decrease in the score if the values of a column are permuted."""
    order = found.order()
    shown = order[:MOST_BARS]
    repeats = found.drops.shape[1]
    score = {"accuracy": "accuracy", "r2": "R²"}[found.score]
    text = (
        f"The importance of a column is the decrease in {score}, from {found.baseline:.4f}, if the values of the column are "
        f"permuted among the rows: the mean of {repeats} permutations, measured on {found.rows:,} samples. Columns with "
        "the same information can replace each other, and then seem unimportant."
    )
    parts = [paragraph(text)]
    if found.interrupted:
        measured = checks.count(len(order), "column")
        parts.append(paragraph(f"Ctrl-C ended the measurement after {measured}; the other columns are missing."))
    if not shown:
        return "\n".join(parts)
    names, drops = [found.names[k] for k in shown], found.drops[shown]
    draw = functools.partial(predictions.importances, names, drops, score=score)
    rows = [[name, f"{each.mean():.4f}", f"{each.std():.4f}"] for name, each in zip(names, drops, strict=True)]
    table = wide(pages.table(["column", "mean decrease", "standard deviation"], rows))
    parts.append(f'<div class="figures">{svg(draw, "importances", "Importance of the columns")}{table}</div>')
    if len(order) > len(shown):
        parts.append(paragraph(f"And {len(order) - len(shown)} less important columns."))
    return "\n".join(parts)


# Time and machine


def machine(network: Network, history: History | None) -> str:
    """Lists the time of the training, the date, the versions and the machine."""
    facts: dict[str, str] = {}
    if history is not None and len(history):
        seconds = history["seconds"]
        epochs = checks.count(len(seconds), "epoch")
        facts["training"] = f"{seconds.sum():.2f} s in {epochs}; the median epoch took {np.median(seconds):.3g} s"
    facts["written"] = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    facts["computed on"] = f"{network.device}, {network.kernels} kernels"
    about, names = environment(), (*MACHINE, *["gpu"] * (network.device == "cuda"))
    return pages.entries(facts | {name: about[name] for name in names})


def repeat(command: str | None) -> str:
    """Shows the command that repeats the training or the evaluation."""
    return "" if command is None else f"<pre><code>{html.escape(command, quote=False)}</code></pre>"
