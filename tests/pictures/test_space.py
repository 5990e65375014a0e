"""Long names and small figures: every text of every picture lies inside the figure and over no other text."""

import inspect
import warnings
from itertools import pairwise

import numpy as np
import pytest

from tests.helpers.engines import each

pytest.importorskip("matplotlib")

from matplotlib import pyplot

from numbanet import pictures
from numbanet.formulas import Activation
from numbanet.pictures import space, style
from tests.pictures.drawings import (
    DIGITS,
    DRAWINGS,
    LABELS,
    LOSS,
    MANY,
    PLANE,
    SURFACE,
    VAL_LOSS,
    WIDE,
    history_of,
)
from tests.pictures.test_pictures import check_texts, closed, drawn_texts, texts_of  # noqa: F401 - the fixture closes all figures

WORDS, WORD = "a remarkably long name of a class or a column", "an_uninterruptedly_long_name_of_a_metric"
NAMES = [f"{WORDS} {k}" for k in range(20)]
HISTORY = history_of(**{"loss": LOSS, "val_loss": VAL_LOSS, WORD: LOSS, f"val_{WORD}": VAL_LOSS, "empty": 5 * [np.nan]})
ENDS = history_of(loss=[1, 0.8, np.nan, np.inf], val_loss=[1, 0.9, np.nan, np.inf])
PIXELS = [0.1, 0.3, -0.2, np.nan, 0, 0.2]
TITLES = 7 * [f"row 1203: true {WORDS},\npredicted {WORDS}"]
LARGE = 1e6 * PLANE
DROPS = np.random.default_rng(1).random((64, 5))


def phi(z):
    return z


def d_phi(z, a):
    return 1.0


LONG_NAMED = Activation(WORD, phi, d_phi)


# Functions that draw a picture with long texts, by the name of the function of `numbanet.pictures` and a description.
LONG = {
    "learning_curves, long metric": lambda ax: pictures.learning_curves(HISTORY, WORD, ax=ax),
    "learning_curves, loss": lambda ax: pictures.learning_curves(HISTORY, ax=ax),
    "learning_curves, not finite": lambda ax: pictures.learning_curves(HISTORY, "empty", ax=ax),
    "learning_curves, end with nan": lambda ax: pictures.learning_curves(ENDS, ax=ax),
    "confusion_matrix": lambda ax: pictures.confusion_matrix(LABELS, np.roll(LABELS, 7), names=NAMES[:3], ax=ax),
    "decision_boundary, three": lambda ax: pictures.decision_boundary(WIDE, PLANE, LABELS, names=NAMES[:3], ax=ax),
    "decision_boundary, many": lambda ax: pictures.decision_boundary(MANY, PLANE, np.arange(40) % 20, names=NAMES, ax=ax),
    "decision_boundary, surface": lambda ax: pictures.decision_boundary(SURFACE, PLANE, LARGE[:, 0], ax=ax),
    "predicted_against_true, words": lambda ax: pictures.predicted_against_true(*LARGE.T, name=WORDS, ax=ax),
    "predicted_against_true, word": lambda ax: pictures.predicted_against_true(*LARGE.T, name=WORD, ax=ax),
    "residuals": lambda ax: pictures.residuals(*LARGE.T, name=WORDS, ax=ax),
    "importances, long": lambda ax: pictures.importances(NAMES[:3], DROPS[:3], score=WORD, ax=ax),
    "importances, 64": lambda ax: pictures.importances([f"x[{k}]" for k in range(64)], DROPS, ax=ax),
    "importance_image": lambda ax: pictures.importance_image(PIXELS, (2, 3), score=WORD, ax=ax),
    "sample_images": lambda ax: pictures.sample_images(PLANE[:7], (1, 2), TITLES, ax=ax),
    "weight_images": DRAWINGS["weight_images"],
    "network_diagram, large": DRAWINGS["network_diagram"],
    "network_diagram, deep": DRAWINGS["deep network"],
    "network_diagram, small": DRAWINGS["small network"],
    "neuron_diagram, symbols": DRAWINGS["neuron_diagram"],
    "neuron_diagram, eight": DRAWINGS["eight inputs"],
    "activation_function, softmax": DRAWINGS["softmax"],
    "activation_function, long": lambda ax: pictures.activation_function(LONG_NAMED, ax=ax),
}


def is_drawing(name):
    """Returns True if the picture `LONG[name]` is also in DRAWINGS; test_pictures.py checks its texts on a new figure."""
    return LONG[name] in DRAWINGS.values()


def test_every_picture_has_long_texts():
    functions = {name for name, value in vars(pictures).items() if inspect.isfunction(value)}
    drawing = {name for name in functions if "ax" in inspect.signature(getattr(pictures, name)).parameters}
    assert {name.partition(",")[0] for name in LONG} == drawing


@each("name, size", [(name, size) for name in LONG for size in [None, (2, 1.5), (3, 2.2)] if size or not is_drawing(name)])
def test_long_texts_fit(name, size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning says that there is no space for the Axes
        ax = None if size is None else pyplot.subplots(figsize=size, layout="constrained")[1]
        figure = LONG[name](ax).figure
        figure.draw_without_rendering()
    check_texts(figure)
    assert max(ax.get_window_extent().width for ax in figure.axes) > 12


@each("name", LONG)
def test_long_texts_fit_in_a_part_of_a_figure(name):
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 2.4), width_ratios=[1, 2, 1], layout="constrained")
    for neighbour in axes[::2]:
        neighbour.set(xticks=[0, 1], yticks=[0, 1])  # the numbers nearest to the picture
    LONG[name](axes[1])
    figure.draw_without_rendering()
    check_texts(figure)


@each("name", {name.partition(",")[0]: name for name in LONG}.values())
def test_a_subfigure_has_the_same_title_and_labels_as_a_figure_of_its_size(name):
    """The picture on the SubFigure also takes its colours from the dark figure that contains the SubFigure."""
    whole = pyplot.figure(figsize=(9, 2.4), layout="constrained", facecolor=style.DARK.paper)
    part = whole.subfigures(1, 3, width_ratios=[1, 2, 1])[2]
    ax, alone = LONG[name](part.subplots()), LONG[name](pyplot.subplots(figsize=(2.25, 2.4), layout="constrained")[1])
    assert ax.figure is part and style.theme(ax).ink == style.DARK.ink
    found, expected = ((each.get_title("left"), each.get_xlabel(), each.get_ylabel()) for each in (ax, alone))
    assert found == expected


@each("size, count", [((6, 3), None), ((3, 2), None), (None, 64)])
def test_the_most_important_columns_are_shown_and_the_others_counted(size, count):
    names, drops = [f"x[{k}]" for k in range(64)], DROPS
    ax = pictures.importances(names, drops, ax=size and pyplot.subplots(figsize=size, layout="constrained")[1])
    ax.figure.draw_without_rendering()
    labels = [label.get_text() for label in ax.get_yticklabels()]
    shown = [int(label[2:-1]) for label in labels if label.startswith("x[")]
    order = np.argsort(-drops.mean(axis=1)) if size else np.arange(64)
    assert shown == order[: len(shown)].tolist() and len(shown) >= 4
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], drops.mean(axis=1)[shown])
    assert labels[len(shown) :] == ([f"and {64 - len(shown)} more"] if size else []) and count in (None, len(shown))
    places = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(below.y1 <= above.y0 for above, below in pairwise(places))
    assert min(label.get_fontsize() for label in ax.get_yticklabels()) >= 7


@each("width", [30, 60, 150, 1000])
@each("text", [WORDS, WORD, "a", "", "two  spaces", "_x_", "US$ and $", " ".join(50 * ["word"])])
def test_lines_are_not_too_wide_and_lose_nothing_if_they_fit(text, width):
    lines = space.wrapped(text, 9, width).split("\n")
    assert len(lines) <= space.MOST_LINES and all(space.width_of(line, 9) <= width for line in lines)
    if not any("…" in line for line in lines):
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    if space.width_of(text, 9) <= width:
        assert lines == [text.strip()]


@each("letters, whole", [(60, False), (11, False), (1, False), (20, True)])
def test_a_name_that_is_cut_keeps_both_ends(letters, whole):
    name = "the ten columns" if whole else "the first of ten columns and the last of ten"
    width = space.width_of(letters * "n", 9)
    short = space.cut(name, 9, width)
    assert (short == name) == whole and len(short) <= 28
    assert letters == 1 or (short[:3] == "the" and short[-3:] == name[-3:] and space.width_of(short, 9) <= width)


def test_a_network_diagram_explains_its_lines_and_circles():
    legend = {"a line is a weight, a thicker line is larger\nthe colour in a circle is the bias", "positive", "negative"}
    assert legend <= set(texts_of(pictures.network_diagram(DIGITS)))
