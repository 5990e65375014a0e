"""The functions of numbanet.pictures draw the right data on the given Axes, and no texts overlap."""

import math
from itertools import combinations

import mpmath
import numpy as np
import pytest

from numbanet import History, Network
from tests.helpers.engines import each

matplotlib = pytest.importorskip("matplotlib")

from matplotlib import pyplot  # noqa: E402
from matplotlib.collections import LineCollection  # noqa: E402
from matplotlib.colors import to_hex, to_rgb  # noqa: E402
from matplotlib.patches import Circle  # noqa: E402

from numbanet import pictures, tables  # noqa: E402
from numbanet.pictures import style  # noqa: E402
from tests.helpers.pages import ROOT  # noqa: E402
from tests.pictures.drawings import (  # noqa: E402
    DIGITS,
    DRAWINGS,
    HISTORY,
    LABELS,
    LOSS,
    PENGUINS,
    PLANE,
    REFERENCES,
    SPECIES,
    SURFACE,
    VAL_LOSS,
    WIDE,
    history_of,
    reference,
    rendered,
)


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def drawn_with(network, parameters):
    network.set_parameters(parameters)
    return network


# Each function draws on the given Axes, or on new Axes.
@each("name", DRAWINGS)
def test_a_picture_is_drawn_on_the_axes_given_or_on_new_ones(name):
    _, (left, right) = pyplot.subplots(1, 2, figsize=(14, 7))
    assert DRAWINGS[name](left) is left
    assert left.has_data() and not right.has_data()
    new = DRAWINGS[name](None)
    assert new.figure is not left.figure and new.has_data()


@each("name", DRAWINGS)
def test_no_text_lies_over_another_or_beyond_the_figure(name):
    figure = DRAWINGS[name](None).figure
    figure.draw_without_rendering()
    check_texts(figure)


def drawn_texts(figure):
    """Returns all visible texts of a figure; tick labels outside the axis limits are not visible."""
    beyond = set()
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        hidden = not axis.axes.axison
        places = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
        beyond |= {label for place, label in places if hidden or not low <= place <= high}
        beyond |= {tick.label2 for tick in axis.get_major_ticks()} | set(axis.get_minorticklabels())
    texts = figure.findobj(matplotlib.text.Text)
    return [text for text in texts if text not in beyond and text.get_visible() and text.get_text().strip()]


def check_texts(figure):
    """Checks that no texts of a drawn figure overlap, and that no text extends beyond the figure."""
    boxes = [(text.get_text(), text.get_tightbbox()) for text in drawn_texts(figure)]
    page = figure.bbox.padded(1)
    for text, box in boxes:
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, (
            f"{text!r} leaves the figure"
        )
    for (text, box), (other, other_box) in combinations(boxes, 2):
        over = min(box.x1, other_box.x1) - max(box.x0, other_box.x0), min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
        assert min(over) < 1.0, f"{text!r} lies over {other!r}"


@each("name", ["confusion_matrix", "names", "long names", "large numbers"])
def test_the_numbers_of_a_confusion_matrix_lie_inside_their_cells(name):
    ax = DRAWINGS[name](None)
    ax.figure.draw_without_rendering()
    for text in ax.texts:
        column, row = text.get_position()[0], round(text.get_position()[1])
        (left, bottom), (right, top) = ax.transData.transform([(column - 0.5, row + 0.5), (column + 0.5, row - 0.5)])
        box = text.get_window_extent()
        assert left < box.x0 and box.x1 < right and bottom < box.y0 and box.y1 < top, text.get_text()


def test_string_labels_are_classes():
    ax = pictures.confusion_matrix(["b", "a", "b"], ["b", "b", "b"])
    np.testing.assert_allclose(ax.get_images()[0].get_array(), [[0, 1], [0, 1]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.7, 0.3]])  # the classes b, y and y, in the order of `names`
    ax = pictures.confusion_matrix(["b", "y", "b"], outputs, names=["y", "b"])
    np.testing.assert_allclose(ax.get_images()[0].get_array(), [[1, 0], [0.5, 0.5]])
    ax = pictures.decision_boundary(WIDE, PLANE, SPECIES, names=PENGUINS)
    for c, line in enumerate(ax.get_lines()):
        np.testing.assert_array_equal(line.get_xydata(), PLANE[c == LABELS])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == PENGUINS


def test_a_network_of_a_table_names_its_columns_and_classes():
    table = tables.read(ROOT / "docs" / "penguins" / "more-penguins.csv")
    ignored = [name for name in table.columns if name not in ("bill_length_mm", "bill_depth_mm", "species")]
    encoding = tables.learn(table, "species", ignore=ignored, impute="median")
    network = Network([2, 3], "softmax", "cce", seed=0)
    network.table = encoding
    ax = pictures.decision_boundary(network, encoding.x(table), encoding.y(table))
    assert ax.get_xlabel() == "bill_length_mm (encoded)" and ax.get_ylabel() == "bill_depth_mm (encoded)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(encoding.target.labels)


def test_a_legend_inside_the_axes_leaves_the_layout_of_the_caller_alone():
    ax = pictures.decision_boundary(WIDE, PLANE, LABELS, ax=pyplot.figure().subplots())
    ax.figure.draw_without_rendering()
    legend, inside = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert inside.x0 <= legend.x0 and legend.x1 <= inside.x1 and inside.y0 <= legend.y0 and legend.y1 <= inside.y1


@each("name", REFERENCES)
def test_a_picture_looks_like_its_reference(name):
    """The test compares means over squares of 5 x 5 pixels, so that the exact shapes of letters do not matter."""
    drawn, expected = rendered(name), pyplot.imread(reference(name))[..., :3]
    assert drawn.shape == expected.shape, "python -m tests.pictures.drawings"
    difference = np.abs(blurred(drawn) - blurred(expected))
    assert difference.mean() < 0.004 and difference.max() < 0.25, "python -m tests.pictures.drawings"


def blurred(picture):
    """Returns the picture with each square of 5 x 5 pixels replaced by its mean."""
    height, width = (5 * (length // 5) for length in picture.shape[:2])
    return picture[:height, :width].reshape(height // 5, 5, width // 5, 5, 3).mean(axis=(1, 3))


@each("name", REFERENCES)
def test_on_a_dark_figure_a_picture_has_light_text_on_dark(name):
    """The pixel in a corner of the picture must be dark, and the brightest pixels, those of the text, nearly white."""
    drawn = rendered(name, dark=True)
    assert drawn[0, 0].max() < 0.15 and drawn.min(axis=2).max() > 0.7


def lines_by_colour(ax):
    return {line.get_color(): line for line in ax.get_lines()}


def texts_of(ax):
    return [text.get_text() for text in ax.texts]


@each("metric, train, validation", [("loss", LOSS, VAL_LOSS), ("accuracy", LOSS[::-1], VAL_LOSS[::-1])])
def test_learning_curves_hold_the_history_and_mark_the_epoch_of_the_lowest_validation_loss(metric, train, validation):
    ax = pictures.learning_curves(HISTORY, metric)
    trained, validated, ring = ax.get_lines()
    np.testing.assert_array_equal(trained.get_xydata(), np.column_stack([range(1, 6), train]))
    np.testing.assert_array_equal(validated.get_xydata(), np.column_stack([range(1, 6), validation]))
    np.testing.assert_array_equal(ring.get_xydata(), [[3, validation[2]]])
    assert ax.get_ylabel() == metric and ax.get_xlabel() == "epoch"
    assert {"training", "validation", "lowest val_loss, epoch 3: 0.4"} == set(texts_of(ax))


def test_learning_curves_without_validation_mark_nothing():
    ax = pictures.learning_curves(history_of(loss=LOSS))
    assert len(ax.get_lines()) == 1 and texts_of(ax) == ["training"]


def test_areas_have_the_colour_of_the_predicted_class():
    ax = pictures.decision_boundary(WIDE, PLANE, LABELS)
    (image,) = ax.get_images()
    left, right, bottom, top = image.get_extent()
    picture = np.asarray(image.get_array())
    height, width, _ = picture.shape
    x_1, x_2 = np.linspace(left, right, width), np.linspace(bottom, top, height)
    hue = np.argmin(
        [np.abs((1 - picture) @ np.cross(1 - np.array(to_rgb(c)), (1, 0, 0))) for c in style.LIGHT.colours[:3]], axis=0
    )
    rows, columns = np.arange(5, height, 29), np.arange(5, width, 31)
    points = np.stack(np.meshgrid(x_1[columns], x_2[rows]), axis=-1).reshape(-1, 2)
    expected = WIDE.predict(points).argmax(axis=1)
    assert len(set(expected)) > 1
    np.testing.assert_array_equal(hue[np.ix_(rows, columns)].ravel(), expected)
    for c, line in enumerate(ax.get_lines()):
        np.testing.assert_array_equal(line.get_xydata(), PLANE[c == LABELS])
        assert to_hex(line.get_markerfacecolor()) == style.LIGHT.colours[c].lower() and line.get_label() == f"class {c}"


def test_targets_may_be_rows_of_probabilities():
    ax = pictures.decision_boundary(WIDE, PLANE, np.eye(3)[LABELS])
    np.testing.assert_array_equal(ax.get_lines()[1].get_xydata(), PLANE[LABELS == 1])


def test_a_surface_shows_the_predictions_and_the_targets_of_a_regression():
    y = PLANE[:, :1] * 3
    ax = pictures.decision_boundary(SURFACE, PLANE, y)
    samples = next(c for c in ax.collections if isinstance(c, matplotlib.collections.PathCollection))
    np.testing.assert_array_equal(samples.get_offsets(), PLANE)
    np.testing.assert_array_equal(samples.get_array(), y[:, 0])
    assert samples.norm.vmin <= y.min() and samples.norm.vmax >= y.max()


def test_a_confusion_matrix_shows_counts_and_fractions():
    ax = pictures.confusion_matrix([0, 0, 0, 1, 2, 2], np.eye(3)[[0, 0, 1, 1, 2, 0]], names=["a", "b", "c"])
    shares = np.array([[2 / 3, 1 / 3, 0], [0, 1, 0], [0.5, 0, 0.5]])
    np.testing.assert_allclose(ax.get_images()[0].get_array(), shares)
    texts = {(text.get_position()[0], round(text.get_position()[1])): [] for text in ax.texts}
    for text in ax.texts:
        texts[text.get_position()[0], round(text.get_position()[1])].append(text.get_text())
    assert texts == {
        (0, 0): ["2", "66.7 %"],
        (1, 0): ["1", "33.3 %"],
        (1, 1): ["1", "100 %"],
        (0, 2): ["1", "50 %"],
        (2, 2): ["1", "50 %"],
    }
    assert ax.get_title("left") == "4 of 6 correct, 66.7 %"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]


def test_one_output_is_class_1_above_a_half():
    ax = pictures.confusion_matrix([0, 1, 1], np.array([[0.4], [0.6], [0.5]]))
    np.testing.assert_allclose(ax.get_images()[0].get_array(), [[1, 0], [0.5, 0.5]])


def test_predictions_residuals_importances_and_images_hold_the_numbers():
    y, y_hat = PLANE.T
    points = pictures.predicted_against_true(y, y_hat[:, np.newaxis]).collections[0].get_offsets()
    np.testing.assert_array_equal(points, PLANE)
    bars = pictures.residuals(y, y_hat).patches
    counts, edges = np.histogram(y_hat - y, len(bars))
    assert [bar.get_height() for bar in bars] == counts.tolist() and bars[0].get_x() == pytest.approx(edges[0])
    ax = pictures.importances(["a", "b"], PLANE[:10].T)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], PLANE[:10].mean(axis=0))
    lines = np.array(ax.collections[0].get_segments())[:, :, 0]
    np.testing.assert_allclose(lines.mean(axis=1), PLANE[:10].mean(axis=0))
    np.testing.assert_allclose(np.ptp(lines, axis=1), 2 * PLANE[:10].std(axis=0))
    (image,) = pictures.importance_image([0.1, -0.3, np.nan, 0, 0, 0.2], (2, 3)).images
    np.testing.assert_array_equal(image.get_array().filled(9), [[0.1, -0.3, 9], [0, 0, 0.2]])
    assert image.get_clim() == (-0.3, 0.3) and image.get_extent() == [0.5, 3.5, 2.5, 0.5]
    images = pictures.sample_images(PLANE[:6].reshape(2, 6), (2, 3), ["one", "two"]).images
    np.testing.assert_array_equal(images[1].get_array(), PLANE[3:6].reshape(2, 3))


def test_each_image_holds_the_weights_of_a_neuron():
    w, _ = DIGITS.parameters()[0]
    wall = np.asarray(pictures.weight_images(DIGITS, (8, 8)).get_images()[0].get_array())
    images = [wall[i : i + 8, j : j + 8] for i in range(0, wall.shape[0], 9) for j in range(0, wall.shape[1], 9)]
    np.testing.assert_array_equal(np.array(images[:32]).reshape(32, 64).T, w)


def test_a_network_diagram_has_a_line_for_each_weight_and_a_circle_for_each_neuron():
    w, b = np.array([[1.0, -2.0], [0.5, 0.25], [-0.125, 0.0]]), np.array([0.5, -1.0])
    ax = pictures.network_diagram(drawn_with(Network([3, 2], "sigmoid", "mse"), [(w, b)]))
    (lines,) = (c for c in ax.collections if isinstance(c, LineCollection))
    order = np.argsort(np.abs(w).ravel())
    assert len(lines.get_segments()) == 6
    widths = np.array(lines.get_linewidths())
    assert (np.diff(widths) >= 0).all() and widths[-1] / widths[0] > 5
    colours = [to_hex(colour) for colour in lines.get_colors()]
    assert colours == [(style.VERMILION if w.ravel()[k] >= 0 else style.BLUE).lower() for k in order]
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    assert len(circles) == 5
    red, blue = (circle.get_facecolor() for circle in circles[3:])
    assert red[0] > red[2] and to_hex(blue) == style.BLUE.lower()
    assert {"input", "layer 1", "$x$\n3 inputs", "identity\n2 neurons"} <= set(texts_of(ax))


def test_a_large_network_is_drawn_in_part():
    ax = pictures.network_diagram(DIGITS)
    assert {"53 more", "21 more", "$x$\n64 inputs", "relu\n32 neurons", "softmax\n10 neurons"} <= set(texts_of(ax))
    assert sum(isinstance(patch, Circle) for patch in ax.patches) == 11 + 11 + 10
    assert [len(c.get_segments()) for c in ax.collections] == [11 * 11, 11 * 10]
    assert "61 more" in texts_of(pictures.network_diagram(Network([64, 2], "tanh", "cce"), most=4))


def test_a_neuron_diagram_computes():
    texts = texts_of(pictures.neuron_diagram([1, 0.5, -2], [0.3, -1.25, 0.7], 0.1, "sigmoid"))
    z = 0.3 - 0.625 - 1.4 + 0.1
    assert {f"$z = {z:.4g}$", f"$a = {1 / (1 + math.exp(-z)):.4g}$", "$b = 0.1$", "$w_2 = -1.25$", "$x_3$", "$-2$"} <= set(
        texts
    )


FORMULAS = {  # exact values of a and da/dz, computed with mpmath
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "tanh": mpmath.tanh,
    "relu": lambda z: max(z, 0),
    "leaky_relu": lambda z: z if z > 0 else z / 4,
    "softmax": lambda z: mpmath.exp(z) / (mpmath.exp(z) + mpmath.e + 1),
}


@each("name", FORMULAS)
def test_an_activation_function_is_drawn_as_the_loops_compute_it(name):
    ax = pictures.activation_function(name, epsilon=0.25)
    lines = lines_by_colour(ax)
    a, da_dz = (lines[colour].get_xydata() for colour in (style.BLUE, style.VERMILION))
    for z, value in a:
        assert value == pytest.approx(float(FORMULAS[name](mpmath.mpf(z))), rel=1e-14)
    for z, value in da_dz:
        if z <= 0 or z > 1e-3 or name not in ("relu", "leaky_relu"):
            side = -1 if z == 0 and "relu" in name else 0
            expected = mpmath.diff(FORMULAS[name], mpmath.mpf(z), direction=side, h=mpmath.mpf("1e-8"))
            assert value == pytest.approx(float(expected), rel=1e-6, abs=1e-7)
    assert ax.get_title("left") == name and len(ax.texts) == 2


@each(
    "draw, error, message",
    [
        (lambda: pictures.learning_curves({"loss": [1]}), TypeError, "history must be a History"),
        (lambda: pictures.learning_curves(History()), ValueError, "no finished epoch"),
        (lambda: pictures.learning_curves(HISTORY, "acuracy"), ValueError, "did you mean 'accuracy'"),
        (lambda: pictures.decision_boundary(DIGITS, np.zeros((3, 64))), ValueError, "2 inputs, but this network has 64"),
        (lambda: pictures.decision_boundary(Network([2, 2], "tanh", "mse"), PLANE), ValueError, "2 independent outputs"),
        (lambda: pictures.decision_boundary(Network([2, 2], "tanh", "bce"), PLANE), ValueError, "2 independent outputs"),
        (lambda: pictures.decision_boundary(WIDE, PLANE[:, :1]), ValueError, "x has shape .* 2 inputs"),
        (
            lambda: pictures.decision_boundary(WIDE, PLANE, LABELS + 1),
            ValueError,
            "must lie in 0 to 2, because the network has 3",
        ),
        (lambda: pictures.confusion_matrix([0, 1], [0]), ValueError, "y has 2 samples, but y_hat has 1"),
        (lambda: pictures.confusion_matrix([0, 1], [0.0, 1.0]), TypeError, "y_hat contains float64"),
        (lambda: pictures.confusion_matrix([0, -1], [0, 1]), ValueError, "y contains -1"),
        (lambda: pictures.confusion_matrix([], []), ValueError, "y must have shape"),
        (lambda: pictures.confusion_matrix([0, 2], [0, 1], names=["a", "b"]), ValueError, "names has 2 entries, but"),
        (lambda: pictures.confusion_matrix(["a"], [0]), ValueError, "y contains strings, but y_hat does not: pass names"),
        (
            lambda: pictures.confusion_matrix(["a"], ["b"], names=["a", "c"]),
            ValueError,
            "y_hat contains 'b', which is not a class",
        ),
        (
            lambda: pictures.decision_boundary(WIDE, PLANE, names=["a", "b"]),
            ValueError,
            "names has 2 entries, but the network has 3",
        ),
        (lambda: pictures.confusion_matrix([[0.5, np.nan]], [1]), ValueError, "y must be finite"),
        (lambda: pictures.weight_images(DIGITS, (8, 9)), ValueError, "72 pixels, but the network has 64 inputs"),
        (lambda: pictures.weight_images(DIGITS, 64), ValueError, "shape must be the height and width"),
        (lambda: pictures.predicted_against_true([1, 2], [1]), ValueError, "the same number of values, .* not 2 and 1"),
        (lambda: pictures.residuals([1, math.nan], [1, 2]), ValueError, "y must be finite"),
        (lambda: pictures.importances(["a"], [[1], [2]]), ValueError, r"drops must have shape \(1, repeats\)"),
        (lambda: pictures.importance_image([1, 2], (2, 2)), ValueError, r"drops must have shape \(4,\) and contain a number"),
        (lambda: pictures.importance_image([np.nan], (1, 1)), ValueError, "and contain a number"),
        (lambda: pictures.sample_images(PLANE[:2], (2, 2), ["a", "b"]), ValueError, r"x must have shape \(2, 4\)"),
        (lambda: pictures.network_diagram([64, 10]), TypeError, "network must be a Network"),
        (lambda: pictures.network_diagram(DIGITS, most=2), ValueError, "most must be at least 3"),
        (lambda: pictures.neuron_diagram(x=[1]), ValueError, "x, w and b together"),
        (lambda: pictures.neuron_diagram([1, 2], [1], 0), ValueError, "x and w must have shape"),
        (lambda: pictures.neuron_diagram([1], [1], [0, 1]), ValueError, "b must be one number"),
        (lambda: pictures.neuron_diagram([math.nan], [1], 0), ValueError, "x must be finite"),
        (lambda: pictures.neuron_diagram(activation="softmax"), ValueError, "unknown activation 'softmax'"),
        (lambda: pictures.activation_function("reul"), ValueError, "did you mean 'relu'"),
        (lambda: pictures.activation_function("relu", epsilon=-1), ValueError, "epsilon must be positive"),
    ],
)
def test_errors_name_the_argument_and_draw_nothing(draw, error, message):
    with pytest.raises(error, match=message):
        draw()
    assert not pyplot.get_fignums()


def test_every_class_of_a_decision_boundary_looks_different():
    classes = 20
    x = np.random.default_rng(0).normal(size=(2 * classes, 2))
    ax = pictures.decision_boundary(Network([2, classes], "softmax", "cce", seed=0), x, np.arange(2 * classes) % classes)
    looks = {
        (line.get_marker(), line.get_markerfacecolor()) for line in ax.lines if line.get_marker() not in ("", "None", None)
    }
    assert len(looks) == classes
