"""The sections of a report: each public function returns a section as HTML."""

import dataclasses
import datetime
import functools
import html
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet import checks, pages
from numbanet.evaluation import (
    ClassPredictions,
    LabelPredictions,
    NumberPredictions,
    Predictions,
    environment,
    figure,
    unit_of,
)
from numbanet.network import Network
from numbanet.pictures import predictions
from numbanet.pictures.blocks import listing, paragraph, wide
from numbanet.pictures.diagrams import network_diagram
from numbanet.pictures.results import confusion, learning_curves
from numbanet.pictures.svg import svg
from numbanet.tables import Encoding, Table, notes
from numbanet.tables.features import Boolean, Categorical
from numbanet.tables.notes import standardisation
from numbanet.tables.targets import Classes, Quantity
from numbanet.training.history import History

MOST_COLUMNS = 40  # the largest number of columns that the report lists
MOST_OUTPUTS = 3  # the largest number of outputs of a regression whose predictions are drawn
MACHINE = ("numbanet", "python", "numba", "numpy", "cpu", "cpu features", "threads")


# Data and settings


def data(network: Network, x: NDArray[Any], table: Table | None, measured: str) -> str:
    """Describes the samples and, if the network was trained on a table, the encoding of each column.

    Parameters
    ----------
    network : Network
    x : ndarray, (n, n_in)
        The samples on which the network is measured.
    table : Table, optional
        The samples as rows of a table.
    measured : str
        The number of samples in words, such as "359 held-out images, of 1,797 in all".
    """
    encoding = network.table
    if encoding is None:
        extent = f"; their values range from {checks.quantity(x.min())} to {checks.quantity(x.max())}" if x.size else ""
        inputs = f"Each sample has {checks.count(x.shape[1], 'input')}{extent}."
        return paragraph(f"The report measures the network on {measured}. {inputs}")
    parts = []
    if table is not None:
        whole = table.whole or table
        rows = f"{table.rows:,} of the {whole.rows:,} rows" if whole is not table else checks.count(table.rows, "row")
        parts.append(paragraph(f"The report measures the network on {rows} of {whole.source}."))
        if said := "".join(f"<li>{html.escape(note, quote=False)}</li>" for note in notes(whole, encoding)):
            parts.append(f"<ul>{said}</ul>")
    parts.append(paragraph(_target(encoding)))
    groups = _groups(encoding.features)
    rows = [_encoded(group) for group in groups[:MOST_COLUMNS]]
    head = ["column", "kind", "encoded as", "missing values become", "inputs"]
    parts.append(wide(pages.table(head, rows, texts=4), "columns and their encoding"))
    if others := [feature.name for group in groups[MOST_COLUMNS:] for feature in group]:
        parts.append(paragraph(f"{checks.count(len(others), 'more column')}: {listing(others)}."))
    if encoding.ignored:
        parts.append(paragraph(f"Ignored: {listing(encoding.ignored)}."))
    return "\n".join(parts)


def _target(encoding: Encoding) -> str:
    target = encoding.target
    if isinstance(target, Classes):
        return f"The target {target.name} has {len(target.labels)} classes: {listing(target.labels)}."
    return f"The target {target.name} is a number, standardised as {standardisation(target.name, target.mean, target.scale)}."


def _groups(features: Iterable[Any]) -> list[list[Any]]:
    """Returns the columns in groups: columns next to each other with the same encoding, such as pixels, form a group."""
    groups: list[list[Any]] = []
    for feature in features:
        if groups and dataclasses.replace(groups[-1][0], name=feature.name) == feature:
            groups[-1].append(feature)
        else:
            groups.append([feature])
    return groups


def _encoded(group: list[Any]) -> list[str]:
    """Returns a table row about columns encoded alike: name, kind, encoding, value for missing ones, and number of inputs."""
    first, last = group[0], group[-1]
    name = first.name if first is last else f"{first.name} to {last.name}, {len(group):,} columns"
    if isinstance(first, Categorical):
        categories = ", ".join(first.categories[:8]) + ", …" * (len(first.categories) > 8)
        encoded, fill = f"one input per category: {categories}", first.fill or "an error"
    else:
        encoded = "true is 1, false is 0; " * isinstance(first, Boolean) + standardisation("value", first.mean, first.scale)
        fill = "an error" if first.fill is None else checks.quantity(first.fill)
    return [name, first.kind, encoded, fill, f"{first.width * len(group):,}"]


def settings(network: Network, given: Mapping[str, Any]) -> str:
    """Shows a drawing and a table of the network, and the settings of the training."""
    head, *rows = pages.layers(network)
    draw = functools.partial(network_diagram, network, most=8)
    described = (f"layer {number} with {neurons} {kind} neurons" for number, kind, _, neurons, *_ in rows)
    drawing = svg(draw, "network", f"The network: {network.sizes[0]} inputs, {', '.join(described)}")
    layers = f"{wide(pages.table(head, rows, texts=2), 'layers')}{paragraph(pages.facts(network))}{pages.entries(given)}"
    return f'<div class="figures beside">{drawing}<div>{layers}</div></div>'


# Results


def curves(network: Network, history: History) -> str:
    """Draws the curve of each metric over the epochs, and lists the metrics of the first, the best and the last epoch."""
    if not len(history):
        return paragraph("The training was interrupted in its first epoch.")
    names = [name for name in history.history if not name.startswith("val_") and name != "seconds"]
    drawn = [
        svg(functools.partial(learning_curves, history, name), f"curve{k}", _curve(history, name))
        for k, name in enumerate(names)
    ]
    parts = [f'<div class="figures even">{"".join(drawn)}</div>']
    if network.table is not None and isinstance(network.table.target, Quantity):
        parts.append(paragraph("The losses are computed from the standardised target."))
    if history.interrupted:
        parts.append(paragraph("Ctrl-C interrupted the training."))
    rows = list(history)
    lines = [[word, *(_of_epoch(*each) for each in rows[k].items())] for k, word in _epochs(history).items()]
    parts.append(wide(pages.table(["", *rows[0]], lines), "figures of some epochs"))
    why = "the last epoch" if history.best_epoch is None else "the best epoch of early stopping"
    parts.append(paragraph(f"The network keeps the parameters of epoch {history.best_epoch or history.epoch[-1]}, {why}."))
    return "\n".join(parts)


def _curve(history: History, name: str) -> str:
    """Describes a learning curve in words, for readers who do not see the drawing."""
    texts = []
    for key, data in ((name, "on the training data"), (f"val_{name}", "on the validation data")):
        if key in history.history:
            first, last = (_of_epoch(name, history.history[key][index]) for index in (0, -1))
            texts.append(f"{data} from {first} in epoch {history.epoch[0]} to {last} in epoch {history.epoch[-1]}")
    return f"Learning curve of {name}: {'; '.join(texts)}"


def _epochs(history: History) -> dict[int, str]:
    """Returns a dict from the index of each epoch that the report lists to words such as "first" or "lowest val_loss"."""
    last, losses = len(history) - 1, np.array(history.history.get("val_loss", []))
    kept = last if history.best_epoch is None else history.epoch.index(history.best_epoch)
    words: dict[int, list[str]] = {0: ["first"], last: []}
    if np.isfinite(losses).any():
        words.setdefault(int(np.nanargmin(losses)), []).append("lowest val_loss")
    words[last].append("last")
    words.setdefault(kept, []).append("kept")
    return {index: ", ".join(words[index]) for index in sorted(words)}


def _of_epoch(name: str, value: float) -> str:
    """Returns a value of the history as text, in the format that `fit` prints; seconds get three significant digits."""
    if name == "epoch":
        return str(value)
    return f"{value:.3g}" if name in ("learning_rate", "seconds") else figure(name, value)


def results(network: Network, values: Mapping[str, float], found: Predictions) -> str:
    """Shows the loss and the metrics in `values`, and compares the predictions in `found` with the targets.

    If the network predicts numbers, the function draws the predictions against the targets, and lists the residuals. If the
    network predicts classes or labels, the function lists the precision, recall and F1 score of each class or label. For
    classes, the function also draws the confusion matrix.
    """
    unit = unit_of(network.table)
    shown = {name: figure(name, value, unit) for name, value in values.items()}
    parts = [pages.entries(shown)]
    if unit:
        and_mse = ", and mse in the square of these units" * ("mse" in values)
        parts.append(paragraph(f"rmse and mae are in units of {unit}{and_mse}."))
    if isinstance(found, NumberPredictions):
        if len(found.names) == 1:
            parts.append(paragraph(_mean_as_prediction(found)))
        parts += [_drawings(found, j) for j in range(min(MOST_OUTPUTS, len(found.names)))]
        table = pages.table(["", *found.names], _residuals(found), caption="Residuals: prediction minus target")
        parts.append(wide(table, "residuals"))
        return "\n".join(parts)
    noun = "class" if isinstance(found, ClassPredictions) else "label"
    if means := [name for name in values if name in ("precision", "recall", "f1")]:
        single = isinstance(found, ClassPredictions) and network.loss == "bce"
        of = f"of the class {found.names[1]!r}" if single else f"means over the {'classes' if noun == 'class' else 'labels'}"
        parts.append(paragraph(f"These metrics are {of}: {', '.join(means)}."))
    rows = [[s.name, f"{s.precision:.4f}", f"{s.recall:.4f}", f"{s.f1:.4f}", f"{s.samples:,}"] for s in found.scores()]
    scores = pages.table([noun, "precision", "recall", "F1", "samples"], rows, caption=f"Scores of each {noun}")
    scores = wide(scores, f"scores of each {noun}")
    if isinstance(found, LabelPredictions):
        return "\n".join([*parts, scores])
    parts.append(paragraph(_class_as_prediction(found)))
    legend = "In the confusion matrix, rows are true classes, columns are predictions, and percentages are of the true class."
    parts.append(paragraph(legend))
    matrix = wide(_confusion(found), "confusion matrix")
    return "\n".join([*parts, f'<div class="figures">{matrix}{scores}</div>'])


def _mean_as_prediction(found: NumberPredictions) -> str:
    """Returns a sentence about the rmse that a network would have if it predicted the mean of the targets for every sample."""
    mean, deviation = (checks.quantity(float(value)) for value in (found.truth.mean(), found.truth.std()))
    return f"For comparison: if every prediction were {mean}, the mean of these targets, the rmse would be {deviation}."


def _class_as_prediction(found: ClassPredictions) -> str:
    """Compares, in sentences, the correct predictions with those of a network that always predicts the most frequent class."""
    counts = np.bincount(found.truth)
    return (
        f"{(found.truth == found.answer).sum():,} of {len(found.truth):,} samples are predicted correctly. For comparison: if "
        f"every prediction were {found.names[counts.argmax()]!r}, the most frequent class, {counts.max():,} samples would be "
        f"predicted correctly, and the accuracy would be {counts.max() / counts.sum():.4f}."
    )


def _confusion(found: ClassPredictions) -> str:
    """Returns the confusion matrix as a table; a cell's shade shows its number divided by the sum of its row."""
    counts, names = confusion(found.truth, found.answer, len(found.names)), list(map(html.escape, found.names))
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    lines = []
    for i, name in enumerate(names):
        shares = counts[i] / max(1, counts[i].sum())
        cells = "".join(
            f'<td class="{"right" if i == j else "other"}" style="--share:{share:.3f}">{count:,}'
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
    drawn = svg(against, f"predicted{j}", f"Predictions against targets of {name}: {checks.count(len(found.truth), 'point')}")
    low, high = (checks.quantity(float(value)) for value in (found.residuals[:, j].min(), found.residuals[:, j].max()))
    alt = f"Histogram of the residuals of {name}, which range from {low} to {high}"
    return f'<div class="figures">{drawn}{svg(histogram, f"residuals{j}", alt)}</div>'


def _residuals(found: NumberPredictions) -> list[list[str]]:
    """Returns rows with the mean, the standard deviation and quantiles of the residuals of each output."""
    residuals = found.residuals
    statistics = {"mean": residuals.mean(axis=0), "standard deviation": residuals.std(axis=0)}
    for name, share in (("smallest", 0), ("lower quartile", 0.25), ("median", 0.5), ("upper quartile", 0.75), ("largest", 1)):
        statistics[name] = np.quantile(residuals, share, axis=0)
    return [[name, *map(checks.quantity, values)] for name, values in statistics.items()]


# Time and machine


def machine(network: Network, history: History | None) -> str:
    """Lists the duration of the training, the date, the versions and the machine."""
    facts: dict[str, str] = {}
    if history is not None and len(history):
        seconds = history["seconds"]
        epochs = checks.count(len(seconds), "epoch")
        facts["training"] = f"{seconds.sum():.2f} s in {epochs}; the median epoch took {np.median(seconds):.3g} s"
        if seconds[0] > 10 * np.median(seconds):
            facts["training"] += f"; the first epoch, which includes any compilation, took {seconds[0]:.3g} s"
    facts["written"] = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    facts["computed on"] = f"{network.device}, {network.kernels} kernels"
    about, names = environment(), (*MACHINE, *["gpu"] * (network.device == "cuda"))
    return pages.entries(facts | {name: about[name] for name in names})


def repeat(command: str | None) -> str:
    """Shows the command that repeats the training or the evaluation."""
    return "" if command is None else f"<pre><code>{html.escape(command, quote=False)}</code></pre>"
