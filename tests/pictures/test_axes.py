"""Pictures fit into the Axes that a caller passes, and refuse everything else as `ax`."""

import re

import numpy as np
import pytest

from tests.helpers.engines import each

pytest.importorskip("matplotlib")

from matplotlib import pyplot

from numbanet import pictures
from tests.pictures.drawings import DRAWINGS, HISTORY, LABELS
from tests.pictures.test_pictures import check_texts, closed  # noqa: F401 - the fixture closes all figures
from tests.pictures.test_space import LONG


def removed():
    ax = pyplot.figure().add_subplot()
    ax.remove()
    return ax


# For each value that is not an Axes with the coordinates x and y: a function that makes it, the error and the message.
WRONG = {
    "array": (lambda: pyplot.subplots(2, 2)[1], TypeError, "not an array of 4 Axes: pass one of them, such as ax[0, 0]"),
    "row": (lambda: pyplot.subplots(1, 2)[1], TypeError, "not an array of 2 Axes: pass one of them, such as ax[0]"),
    "tuple": (pyplot.subplots, TypeError, "not a tuple: pass one of the Axes in it"),
    "figure": (pyplot.figure, TypeError, "not a Figure: pass one of its Axes, such as figure.add_subplot()"),
    "subfigure": (lambda: pyplot.figure().subfigures(), TypeError, "not a SubFigure: pass one of its Axes"),
    "polar": (lambda: pyplot.figure().add_subplot(projection="polar"), ValueError, "ax has the projection 'polar', but"),
    "3d": (lambda: pyplot.figure().add_subplot(projection="3d"), ValueError, "ax has the projection '3d', but"),
    "removed": (removed, ValueError, "ax has been removed from its figure"),
    "empty": (lambda: np.array([]), TypeError, "ax must be the matplotlib Axes to draw on, not array([]"),
    "False": (lambda: False, TypeError, "ax must be the matplotlib Axes to draw on, not False"),
    "pyplot": (lambda: pyplot, TypeError, "ax must be the matplotlib Axes to draw on, not <module"),
}


@each("wrong", WRONG)
@each("name", {name.partition(",")[0]: name for name in LONG}.values())
def test_a_wrong_ax_is_refused(name, wrong):
    make, error, message = WRONG[wrong]
    with pytest.raises(error, match=re.escape(message)):
        LONG[name](make())


@each("drawn", [None, False])
def test_svg_refuses_a_function_that_returns_no_axes(drawn):
    with pytest.raises(TypeError, match=f"^draw must return the Axes of the picture, not {drawn}$"):
        pictures.svg(lambda: drawn, "picture", "a picture")
    with pytest.raises(TypeError, match=f"^draw must be a function .* returns its Axes, not {drawn}$"):
        pictures.svg(drawn, "picture", "a picture")


@each("size", [(6.4, 4.8), (4, 3)])
@each("name", ["learning_curves, loss", "confusion_matrix", "importances, long", "predicted_against_true, word", "surface"])
def test_a_figure_without_a_layout_cuts_off_no_label(name, size):
    figure, ax = pyplot.subplots(figsize=size)
    before = ax.get_position(original=True)
    {**DRAWINGS, **LONG}[name](ax)
    figure.draw_without_rendering()
    check_texts(figure)
    assert (ax.get_position(original=True).size <= before.size + 1e-9).all()


def test_axes_whose_labels_fit_stay_where_they_are():
    _, ax = pyplot.subplots(figsize=(9, 6), gridspec_kw={"right": 0.8})
    before = ax.get_position().bounds
    assert pictures.learning_curves(HISTORY, ax=ax).get_position().bounds == before


@each("part", [False, True])
def test_the_label_of_an_axis_ends_with_the_axes_beside_other_axes(part):
    whole = pyplot.figure(figsize=(9, 4))
    ax, _ = (whole.subfigures(1, 2)[0] if part else whole).subplots(2, 1)
    pictures.confusion_matrix(LABELS, LABELS, ax=ax)
    whole.draw_without_rendering()
    assert ax.yaxis.label.get_window_extent().height <= ax.get_window_extent().height + 1
