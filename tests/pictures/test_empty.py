"""Pictures and reports of no samples, or of impossible numbers of samples, are refused before anything is drawn."""

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
