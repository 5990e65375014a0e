"""Arguments with which a picture or a report would show nothing or something wrong are refused before anything is drawn."""

import numpy as np
import pytest

from numbanet import Network
from tests.helpers.engines import each

pytest.importorskip("matplotlib")

from matplotlib import pyplot

from numbanet import pictures, tables

NONE = np.empty((0, 3))


@each(
    "draw, message",
    [
        (lambda: pictures.confusion_matrix([], []), r"y is empty, with shape \(0,\): pass at least one sample"),
        (lambda: pictures.confusion_matrix(["a"], []), r"y_hat is empty, with shape \(0,\)"),
        (lambda: pictures.confusion_matrix([0], NONE), r"y_hat is empty, with shape \(0, 3\)"),
        (lambda: pictures.residuals([], []), r"y is empty, with shape \(0,\): pass at least one sample"),
        (lambda: pictures.predicted_against_true([1], []), r"y_hat is empty, with shape \(0,\)"),
        (lambda: pictures.sample_images(NONE, (1, 3), []), r"x is empty, with shape \(0, 3\): pass at least one sample"),
        (lambda: pictures.importances([], NONE), r"drops is empty, with shape \(0, 3\): pass at least one column and one per"),
        (lambda: pictures.importances(["a"], NONE.T[:1]), r"drops is empty, with shape \(1, 0\)"),
        (lambda: pictures.neuron_diagram(NONE.T, NONE.T, 0), r"n_in from 1 to 8, not \(3, 0\) and \(3, 0\)"),
    ],
)
def test_what_is_empty_is_not_drawn(draw, message):
    figures = pyplot.get_fignums()
    with pytest.raises(ValueError, match=message):
        draw()
    assert pyplot.get_fignums() == figures


@each(
    "total, error, message",
    [(3, ValueError, "total is 3, but x alone has 4"), (0, ValueError, "is 0"), ("4", TypeError, "int")],
)
@each("as_table", [False, True])
def test_a_report_refuses_a_total_below_its_samples(total, error, message, as_table, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2, 3, 4], "b": [1.0, 2, 1, 3], "t": list("uvuv")})
    net = Network([2, 2], "relu", "cce", seed=0, kernels="reference")
    data = frame[["a", "b"]].to_numpy(), [0, 1, 0, 1]
    if as_table:
        net.table, data = tables.learn(frame, "t"), (frame,)
    with pytest.raises(error, match=message):
        pictures.report(tmp_path / "report.html", net, *data, total=total)
    assert not list(tmp_path.iterdir())


@each("labels", [["no", "yes"], ["a", "of"]])
def test_short_names_of_classes_are_written_in_full(labels):
    ax = pictures.confusion_matrix(labels, labels)
    assert [text.get_text() for text in ax.get_yticklabels()] == labels
    pyplot.close(ax.figure)


def test_labels_may_be_a_column_of_strings():
    ax = pictures.confusion_matrix([["b"], ["a"]], ["a", "a"])
    assert ax.get_title(loc="left") == "1 of 2 correct, 50.0 %"
    pyplot.close(ax.figure)


@each("names", [{1: "b", 0: "a"}, {"a", "b"}, "ab"])
def test_names_of_classes_have_an_order(names):
    with pytest.raises(TypeError, match="names must be a list with the name of each class"):
        pictures.confusion_matrix([0, 1], [0, 1], names=names)


@each(
    "y, message",
    [
        ([[0, 1], [1, 1]], "row 1 of y contains 2 classes, but each sample must have exactly one"),
        ([[0, 0], [0, 1]], "row 0 of y contains 0 classes"),
        ([2019, 2020], "there are 2021 classes, .* at most 500"),
    ],
)
def test_what_is_not_one_of_a_few_classes_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        pictures.confusion_matrix(y, [0, 1])
