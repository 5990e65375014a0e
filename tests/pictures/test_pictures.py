"""The functions of numbanet.pictures draw the right data on the given Axes, and no texts overlap."""

import functools
import math
import re

import mpmath
import numpy as np
import pytest

from numbanet import History, Network
from tests.helpers.engines import each

matplotlib = pytest.importorskip("matplotlib")

from matplotlib import pyplot  # noqa: E402
from matplotlib.collections import LineCollection  # noqa: E402
from matplotlib.colors import to_hex, to_rgb  # noqa: E402
from matplotlib.contour import ContourSet  # noqa: E402
from matplotlib.patches import Circle  # noqa: E402

from numbanet import pictures, tables  # noqa: E402
from numbanet.pictures import boundary, style  # noqa: E402
from tests.helpers.pages import ROOT  # noqa: E402
from tests.pictures.drawings import (  # noqa: E402
    DIGITS,
    DRAWINGS,
    HISTORY,
    LABELS,
    LOSS,
    MANY,
    PENGUINS,
    PLANE,
    RANDOM,
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


# The drawings whose SVG elements the tests inspect. Together, they contain each kind of line, area and text of each function.
ON_PAGES = (
    "learning_curves",
    "many classes",
    "surface",
    "names",
    "predicted_against_true",
    "many predictions",
    "residuals",
    "importances",
    "importance_image",
    "sample_images",
    "weight_images",
    "network_diagram",
    "neuron_diagram",
    "one input",
    "relu",
)


@functools.cache
def picture_of(name):
    """Returns the new Axes on which a drawing draws, its SVG element and its pixels; an element and pixels only if tested.

    Several tests read the same Axes, and none of them changes the Axes.
    """
    open_figure = pyplot.figure()
    ax = DRAWINGS[name](None)
    assert ax.has_data() and ax.figure is not open_figure
    pixels = rendered(ax.figure) if name in REFERENCES else None
    element = pictures.svg(lambda: ax, "picture", "a picture") if name in ON_PAGES else None
    ax.figure.draw_without_rendering()
    return ax, element, pixels


def drawing_of(name):
    return picture_of(name)[0]


def drawn_with(network, parameters):
    network.set_parameters(parameters)
    return network


@each("name", DRAWINGS)
def test_no_text_of_a_new_figure_lies_over_another_or_beyond_the_figure(name):
    check_texts(drawing_of(name).figure)


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
    drawn, page = drawn_texts(figure), figure.bbox.padded(1)
    texts = np.array([text.get_text() for text in drawn])
    low, high = np.array([text.get_tightbbox().get_points() for text in drawn]).transpose(1, 0, 2)
    assert not texts[(low < page.min).any(axis=1) | (high > page.max).any(axis=1)].tolist(), "texts that leave the figure"
    over = np.minimum(high[:, np.newaxis], high) - np.maximum(low[:, np.newaxis], low)
    assert not texts[np.argwhere(np.triu(over.min(axis=2) >= 1, 1))].tolist(), "pairs of texts that lie over each other"


@each("name", ["confusion_matrix", "names", "long names", "large numbers"])
def test_the_numbers_of_a_confusion_matrix_lie_inside_their_cells(name):
    ax = drawing_of(name)
    for text in ax.texts:
        column, row = text.get_position()[0], round(text.get_position()[1])
        (left, bottom), (right, top) = ax.transData.transform([(column - 0.5, row + 0.5), (column + 0.5, row - 0.5)])
        box = text.get_window_extent()
        assert left < box.x0 and box.x1 < right and bottom < box.y0 and box.y1 < top, text.get_text()


@each("classes, side, kinds", [(10, 4, 2), (10, 2.5, 1), (15, 3.8, 1), (30, 3, 0)])
def test_a_confusion_matrix_omits_letters_that_would_be_too_small(classes, side, kinds):
    """A small cell shows only the number of samples, and a tiny cell shows no letters."""
    y = np.random.default_rng(0).integers(0, classes, 20 * classes)
    _, ax = pyplot.subplots(figsize=(side, side), layout="constrained")
    pictures.confusion_matrix(y, np.where(np.arange(y.size) % 4, y, np.roll(y, 1)), ax=ax)
    ax.figure.draw_without_rendering()
    check_texts(ax.figure)
    cells = np.count_nonzero(ax.images[0].get_array())
    assert len(ax.texts) == kinds * cells
    assert ("shade: share of the row" in ax.get_ylabel()) == (kinds < 2)
    for text in ax.texts:
        column, row = text.get_position()[0], round(text.get_position()[1])
        left, right = ax.transData.transform([(column - 0.5, row), (column + 0.5, row)])[:, 0]
        box = text.get_window_extent()
        assert left < box.x0 and box.x1 < right and text.get_fontsize() >= 5, text.get_text()


@each(
    "hits, of, expected",
    [(1, 3, "33.3 %"), (1, 2, "50 %"), (9_999, 10_000, "> 99.9 %"), (1, 10_000, "< 0.1 %"), (1, 1, "100 %")],
)
def test_percentages_are_not_rounded_to_none_or_all(hits, of, expected):
    ax = pictures.confusion_matrix(np.zeros(of, int), np.arange(of) >= hits)
    assert ax.texts[1].get_text() == expected


def test_the_ends_of_long_names_remain():
    names = [f"{30 * 'long '}{k}" for k in range(3)]
    ax = pictures.confusion_matrix([0, 1, 2], [0, 1, 1], names=names)
    assert [label.get_text()[-6:] for label in ax.get_yticklabels()] == ["long 0", "long 1", "long 2"]
    assert max(len(label.get_text()) for label in ax.get_xticklabels()) == 28
    ax.figure.draw_without_rendering()
    check_texts(ax.figure)


def test_names_with_dollars_are_no_formulas():
    names = ["5 $ to 10 $", "$_", "US$"]
    ax = pictures.confusion_matrix([0, 1, 2], [0, 1, 1], names=names)
    ax.figure.draw_without_rendering()
    check_texts(ax.figure)
    for layout in (None, "constrained"):
        network, ax = Network([2, 8, 8], "tanh", "cce", seed=0), pyplot.figure(layout=layout).subplots()
        pictures.decision_boundary(network, PLANE, names=[*names, *"abcd$"], ax=ax)
        ax.figure.draw_without_rendering()
        assert not any(text.get_parse_math() for text in [*ax.get_legend().get_texts(), *ax.texts])
    pictures.sample_images(np.zeros((3, 4)), (2, 2), names).figure.draw_without_rendering()


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


@each(
    "classes, size, names, layout",
    [
        (20, (6.4, 4.8), None, None),
        (30, (6.4, 4.8), None, "constrained"),
        (20, (5.8, 4.6), "species number {}", None),
        (20, (5.8, 4.6), "species number {}", "constrained"),
        (30, (3, 2), None, None),
        (30, (3, 2), None, "constrained"),
    ],
)
def test_a_long_legend_covers_neither_the_axes_nor_their_neighbours(classes, size, names, layout, monkeypatch):
    """A legend that cannot be longer ends with the number of names that it omits. Coarse regions are drawn fast."""
    monkeypatch.setattr(boundary, "GRID", 60)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(2 * size[0], size[1]), layout=layout)
    right.set(xticks=[], yticks=[0, 1])
    x, named = RANDOM.normal(size=(2 * classes, 2)), names and [names.format(c) for c in range(classes)]
    network = Network([2, 8, classes], "tanh", "cce", seed=0)
    pictures.decision_boundary(network, x, np.arange(2 * classes) % classes, names=named, ax=left)
    figure.draw_without_rendering()
    legend, drawn = left.get_legend().get_window_extent(), left.get_window_extent()
    assert drawn.x1 <= legend.x0 and legend.x1 <= right.get_tightbbox().x0 and legend.y0 >= 0 and legend.y1 <= figure.bbox.y1
    shown = [text.get_text() for text in left.get_legend().get_texts()]
    assert shown[:2] == [named[c] if named else f"class {c}" for c in range(2)]
    assert len(shown) == classes or shown[-1] == f"and {classes - len(shown) + 1} more"
    assert (len(shown) == classes) == (size != (3, 2))


def test_the_legend_has_the_classes_of_all_regions():
    present = LABELS != 2
    legend = pictures.decision_boundary(WIDE, PLANE[present], LABELS[present]).get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["class 0", "class 1", "class 2"]
    legend = pictures.decision_boundary(WIDE, PLANE).get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["class 0", "class 1", "class 2", "samples"]


def test_a_region_has_its_name_if_classes_share_a_colour():
    assert not texts_of(pictures.decision_boundary(WIDE, PLANE))
    ax = drawing_of("many classes")
    assert len(ax.texts) > 2
    for text in ax.texts:
        box = text.get_window_extent()
        assert ax.get_window_extent().contains(box.x0, box.y0) and ax.get_window_extent().contains(box.x1, box.y1)
        inside = np.stack(np.meshgrid(np.linspace(box.x0, box.x1, 20), np.linspace(box.y0, box.y1, 20)), axis=-1).reshape(-1, 2)
        classes = MANY.predict(ax.transData.inverted().transform(inside)).argmax(axis=1)
        assert {f"class {c}" for c in classes} == {text.get_text()}


@each("name", REFERENCES)
def test_a_picture_looks_like_its_reference(name):
    """The test compares means over squares of 5 x 5 pixels, so that the exact shapes of letters do not matter."""
    drawn, expected = picture_of(name)[2], pyplot.imread(reference(name))[..., :3]
    assert drawn.shape == expected.shape, "python -m tests.pictures.drawings"
    difference = np.abs(blurred(drawn) - blurred(expected))
    assert difference.mean() < 0.004 and difference.max() < 0.25, "python -m tests.pictures.drawings"


def blurred(picture):
    """Returns the picture with each square of 5 x 5 pixels replaced by its mean."""
    height, width = (5 * (length // 5) for length in picture.shape[:2])
    return picture[:height, :width].reshape(height // 5, 5, width // 5, 5, 3).mean(axis=(1, 3))


@each("name", REFERENCES[::6])
def test_on_a_dark_figure_a_picture_has_light_text_on_dark(name):
    """The pixel in a corner of the picture must be dark, and the brightest pixels, those of the text, nearly white."""
    with pyplot.style.context("dark_background"):
        drawn = rendered(DRAWINGS[name](None).figure)
    assert drawn[0, 0].max() < 0.15 and drawn.min(axis=2).max() > 0.7


COLOURED = {"many classes", "names", "weight_images"}  # the drawings with coloured pixels


@each("name", ON_PAGES)
def test_the_colours_of_a_picture_on_a_page_are_those_of_the_page(name):
    """A picture with coloured pixels keeps its white background; all other pictures take the colours of the page."""
    _, drawn, _ = picture_of(name)
    literal = set(re.findall(r"(?<!, )#[0-9a-f]{6}", drawn))
    if name in COLOURED:
        assert re.search(r'<path d="[^"]*"\s+style="fill: #ffffff', drawn) and "var(" not in drawn
    else:
        assert "var(--ink" in drawn
        assert not literal or name == "surface"


@each("bias, expected", [(0.0, (255, 255, 255)), (-0.5, (128, 184, 216)), (1.0, (213, 94, 0))])
def test_a_small_bias_has_nearly_the_colour_of_the_page(bias, expected):
    parameters = [(np.ones((1, 2)), np.array([bias, 1.0]))]
    network = drawn_with(Network([1, 2], "tanh", "mse"), parameters)
    drawn = pictures.svg(lambda: pictures.network_diagram(network), "network", "a network")
    fill = re.findall(r"style=\"fill: ([^;]*); stroke: var\(--ink", drawn)[1]
    mixed = re.fullmatch(r"color-mix\(in srgb, var\(--(\w+), (#\w+)\) (\d+)%, var\(--card, #ffffff\)\)", fill)
    if mixed:
        colour = float(mixed[3]) / 100 * np.array(to_rgb(mixed[2])) + (1 - float(mixed[3]) / 100)
    else:
        colour = np.array(to_rgb(re.fullmatch(r"var\(--vermilion, (#\w+)\)", fill)[1]))
    np.testing.assert_allclose(255 * colour, expected, atol=3)


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
    assert {"training", "validation", "epoch 3 (lowest val_loss): 0.4"} == set(texts_of(ax))


def test_learning_curves_without_validation_mark_nothing():
    ax = pictures.learning_curves(history_of(loss=LOSS))
    assert len(ax.get_lines()) == 1 and texts_of(ax) == ["training"]


FALLING = 2 * np.exp(-np.arange(60) / 8) + 0.05
HISTORIES = {
    "validation above training": history_of(loss=FALLING, val_loss=FALLING + 0.07 + np.arange(60) / 600),
    "curves that meet": history_of(loss=FALLING, val_loss=FALLING + 0.02),
    "curves that cross": history_of(
        loss=np.linspace(1, 0.2, 60), val_loss=np.linspace(0.9, 0.25, 60) + 0.1 * np.sin(np.arange(60))
    ),
    "two epochs": history_of(loss=[1.0, 0.5], val_loss=[1.2, 0.7]),
    "one epoch": history_of(loss=[1.0], val_loss=[1.2]),
    "nan": history_of(loss=[1, 0.8, math.nan, math.nan], val_loss=[1, 0.9, math.nan, math.nan]),
    "long metric": history_of(loss=FALLING, val_loss=FALLING + 0.1, **{16 * "word_": FALLING, "val_" + 16 * "word_": FALLING}),
}


@each("name, size", [(name, (3.6, 2.8)) for name in HISTORIES] + [("curves that cross", (5.6, 3.6))])
def test_the_name_of_the_best_epoch_lies_on_no_curve_and_on_no_other_text(name, size):
    figure, ax = pyplot.subplots(figsize=size, layout="constrained")
    pictures.learning_curves(HISTORIES[name], [*HISTORIES[name].history][-1].removeprefix("val_"), ax=ax)
    figure.draw_without_rendering()
    check_texts(figure)
    (text,) = (text for text in ax.texts if text.get_text().startswith("epoch"))
    box = matplotlib.text.Text.get_window_extent(text)
    for line in ax.get_lines():
        path = line.get_path().cleaned(remove_nans=True).transformed(line.get_transform())
        assert not path.intersects_bbox(box, filled=False)


def test_values_that_are_not_finite_are_named_and_the_values_between_them_are_drawn():
    history = history_of(loss=[1, math.inf, 0.7, math.nan], val_loss=[math.nan, 0.9, 0.8, math.inf])
    ax = pictures.learning_curves(history)
    trained, validated, ring = ax.get_lines()
    assert trained.get_marker() == "o" and trained.get_markevery() == [0, 2]
    np.testing.assert_array_equal(validated.get_ydata(), [math.nan, 0.9, 0.8, math.nan])
    np.testing.assert_array_equal(ring.get_xydata(), [[3, 0.8]])
    assert {"training, then nan", "validation, then inf", "epoch 3 (lowest val_loss): 0.8"} == set(texts_of(ax))
    assert {text.xy[0] for text in ax.texts} == {3}
    ax = pictures.learning_curves(history_of(loss=[math.nan, math.inf], val_loss=[math.nan, math.nan]))
    assert texts_of(ax) == ["no finite loss"] and len(ax.get_lines()) == 2


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
    (surface,) = (c for c in ax.collections if isinstance(c, ContourSet) and c.filled)
    extreme = [min(y.min(), surface.zmin), max(y.max(), surface.zmax)]
    np.testing.assert_allclose(ax.figure.axes[1].get_ylim(), extreme)
    np.testing.assert_allclose([samples.norm.vmin, samples.norm.vmax], extreme)
    assert surface.get_alpha() < 1 and ax.figure.axes[1].collections[-1].get_alpha() is None  # the colour bar is not faint


@each("value", [0.0, 5.0, -1e9])
def test_a_constant_surface_has_a_legible_colour_bar(value):
    network = Network([2, 1], "identity", "mse")
    network.set_parameters([(np.zeros((2, 1)), [value])])
    ax = pictures.decision_boundary(network, PLANE, np.full(40, value))
    low, high = ax.figure.axes[1].get_ylim()
    assert low < value < high and high - low == pytest.approx(abs(value) or 1)


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


@each("layout", [None, "constrained"])
@each("size", [(3, 2.4), (15, 4), (4, 9)])
def test_the_title_of_weight_images_is_not_over_the_colour_bar(size, layout):
    figure, ax = pyplot.subplots(figsize=size, layout=layout)
    pictures.weight_images(DIGITS, (8, 8), ax=ax)
    figure.draw_without_rendering()
    check_texts(figure)
    title, bar = ax._left_title.get_window_extent(), figure.axes[1].get_window_extent()
    assert bar.y1 <= title.y0 and bar.height <= ax.get_window_extent().height


def test_the_title_of_weight_images_counts_the_neurons():
    ax = pictures.weight_images(Network([4, 1], "tanh", "bce"), (2, 2))
    assert ax.get_title("left").startswith("weights $w$ of the 1 neuron of")


def test_every_image_has_a_frame():
    """The images of white samples are visible on a white page."""
    ax = pictures.sample_images(np.zeros((7, 6)), (2, 3), 7 * ["white"])
    frames = [patch.get_bbox() for patch in ax.patches]
    assert [(frame.x0, frame.x1, frame.y0, frame.y1) for frame in frames] == [tuple(image.get_extent()) for image in ax.images]
    assert all(patch.get_edgecolor()[:3] == to_rgb(style.LIGHT.grey) for patch in ax.patches)


@each("columns", [1, 5])
def test_the_titles_of_images_do_not_overlap(columns):
    titles = columns * ["1203: a fairly long name,\npredicted another long name"]
    ax = pictures.sample_images(np.zeros((columns, 4)), (2, 2), titles)
    ax.figure.draw_without_rendering()
    check_texts(ax.figure)


def test_equal_residuals_are_one_bar_in_the_middle():
    ax = pictures.residuals([3.0, 4.0], [3.0, 4.0])
    (bar,) = (bar for bar in ax.patches if bar.get_height())
    assert bar.get_height() == 2 and bar.get_x() + bar.get_width() / 2 == pytest.approx(0)
    assert all(float(tick).is_integer() for tick in ax.get_yticks())


def test_many_points_are_transparent():
    opacities = [
        pictures.predicted_against_true(np.arange(n), np.arange(n)).collections[0].get_alpha() for n in (1, 400, 5000, 100_000)
    ]
    assert opacities[0] == opacities[1] == 0.7 and opacities[1] > opacities[2] > opacities[3] > 0.005


@each("draw", [pictures.predicted_against_true, pictures.residuals])
def test_long_names_of_quantities_fit(draw):
    ax = draw(np.arange(9) * 1e12, np.arange(9)[::-1] * 1e12, name=6 * "long_name_")
    ax.figure.draw_without_rendering()
    check_texts(ax.figure)


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


def test_large_and_small_numbers_of_a_neuron_are_powers_of_ten():
    ax = pictures.neuron_diagram([1.23456e9, 1e-12], [-3.4567e-8, 1e20], 1e15, "identity")
    assert {
        r"$1.235 \cdot 10^{9}$",
        r"$w_1 = -3.457 \cdot 10^{-8}$",
        r"$w_2 = 1 \cdot 10^{20}$",
        r"$b = 1 \cdot 10^{15}$",
    } <= set(texts_of(ax))
    ax.figure.draw_without_rendering()
    check_texts(ax.figure)


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
    constants = {"softmax": ", $z_2 = 1$, $z_3 = 0$", "leaky_relu": r", $\epsilon = 0.25$"}
    assert ax.get_title("left") == name + constants.get(name, "") and len(ax.texts) == 2


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
            "must be from 0 to 2, because the network has 3",
        ),
        (lambda: pictures.confusion_matrix([0, 1], [0]), ValueError, "y has 2 samples, but y_hat has 1"),
        (lambda: pictures.confusion_matrix([0, 1], [0.0, 1.0]), TypeError, "y_hat contains float64"),
        (lambda: pictures.confusion_matrix([0, -1], [0, 1]), ValueError, "y contains -1"),
        (lambda: pictures.confusion_matrix([], []), ValueError, "y is empty"),
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
        (lambda: pictures.predicted_against_true([1, 2], [1]), ValueError, "the same number of values, not 2 and 1"),
        (lambda: pictures.residuals([1, math.nan], [1, 2]), ValueError, "y must be finite"),
        (lambda: pictures.importances(["a"], [[1], [2]]), ValueError, r"drops must have shape \(1, repeats\)"),
        (lambda: pictures.importance_image([1, 2], (2, 2)), ValueError, r"drops must have shape \(4,\), with one number"),
        (lambda: pictures.importance_image([np.nan], (1, 1)), ValueError, "drops must be finite for at least one pixel"),
        (lambda: pictures.importance_image([1, np.inf], (1, 2)), ValueError, "drops must be finite for at least one pixel"),
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
