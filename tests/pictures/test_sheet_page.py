"""The drawn cheat sheet shows every formula of docs/sheet.md in legible letters beside a correct curve, in all file formats."""

import base64
import io
import itertools
import math
import re
from html import unescape
from pathlib import Path

import mpmath
import numpy as np
import pytest

from tests.equations.test_sheet import PAGE
from tests.helpers.engines import each

pytest.importorskip("matplotlib")

import matplotlib
from fontTools.ttLib import TTFont
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure

from numbanet.cli import main
from numbanet.formulas import BEYOND_ACTIVATIONS, BEYOND_LOSSES
from numbanet.pages import rows
from numbanet.pictures import curves, descents, draw_sheet, files, style
from numbanet.pictures.curve import Z
from numbanet.pictures.page import MARGIN
from tests.pictures.test_pictures import drawn_texts

SECTIONS = rows.sections()
FORMULA_ROWS = [row for section in SECTIONS for row in section.rows if isinstance(row, rows.Row)]
MORE = "More activations and losses"


def page_of(section):
    """Returns the number of the drawn page, counted from 0, that contains a section of docs/sheet.md."""
    return 2 if section.title == MORE else int(section.title not in [first.title for first in SECTIONS[:6]])


PAGE_OF = {row: page_of(section) for section in SECTIONS for row in section.rows}


@pytest.fixture(scope="module")
def pages():
    """Returns the three pages of the sheet in light colours, drawn once for all tests, with one pixel per point."""
    drawn = [draw_sheet(number) for number in (1, 2, 3)]
    for figure in drawn:
        figure.set_dpi(72)
    return drawn


@pytest.fixture(scope="module")
def box_of(pages):
    """Returns a function that returns the bounding box of a text on one of the `pages`, in points."""
    renderer = RendererSVG(*pages[0].bbox.size, io.StringIO())
    return lambda text: text.get_window_extent(renderer)


@pytest.fixture(scope="module")
def written(pages, tmp_path_factory):
    """Returns, by name, the contents of the sheet's SVG files, which are written once for all tests."""
    return contents(pages, tmp_path_factory.mktemp("sheet"), "svg")


def contents(drawn, folder, *formats):
    """Saves the pages in the given formats; returns a dict from the names of the files to their contents."""
    functions = [lambda page=page: page for page in drawn]
    paths = [Path(name) for kind in formats for name in files.save(functions, folder / f"sheet.{kind}", "numbanet: the sheet")]
    return {path.name: path.read_bytes() for path in paths}


SHORT = re.sub(r"(\n\|-[-|]*\n.*)(?:\n\|.*)+", r"\1", rows.page())  # docs/sheet.md with only the first row of each table


@pytest.fixture
def few_rows(monkeypatch):
    """Lets the sheet be drawn from SHORT, which is fast."""
    monkeypatch.setattr(rows, "page", lambda: SHORT)


@pytest.fixture(scope="module")
def short_pages():
    """Returns the three pages of the sheet with only the first row of each table, drawn once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "page", lambda: SHORT)
        return [draw_sheet(number) for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def texts(pages):
    return [[text.get_text() for text in drawn_texts(drawn)] for drawn in pages]


def bare(formula):
    """Returns a formula without the TeX commands that affect only its layout."""
    return formula.replace(r"\dfrac", r"\frac").replace(r"\left\{\genfrac{}{}{0}{0}{", "").strip("$ ")


def is_drawn(formula, drawn):
    """Returns True if the texts `drawn` contain a formula, in one piece or, if it is too wide, divided before a plus sign."""
    parts = [bare(rows.mathtext(f"${part}$")) for part in re.split(r" (?=\+)", formula.strip("$"))]
    return bare(rows.mathtext(formula)) in drawn or all(part in drawn for part in parts)


@each("row", [pytest.param(row, id=row.formula or row.computed_as) for row in FORMULA_ROWS])
def test_every_formula_is_drawn_with_its_names(row, texts):
    """Each formula is on the drawn page of its section; the forms without overflow ("computed as") are on the last page."""
    drawn = "\n".join(map(bare, texts[PAGE_OF[row]]))
    for formula in re.findall(r"\$[^$]+\$", row.formula or row.computed_as):
        assert is_drawn(formula, drawn), formula
    for formula in re.findall(r"\$[^$]+\$", row.computed_as if row.formula else ""):
        assert is_drawn(formula, "\n".join(map(bare, texts[2]))), formula
    names = [name.partition(".")[2] for name in (row.scalar, row.loop) if name]
    assert " · ".join(names) in drawn or "\n".join(names) in drawn


def test_every_section_is_on_its_page(texts):
    headings = re.findall(r"^## (.*)", PAGE.read_text(), re.M)
    assert [section.title for section in SECTIONS] == headings[:-1]  # the last one has no table
    assert headings[:6] == [
        "Notation", "The neuron", "Activation functions", "Loss functions", "Backpropagation", "Gradient descent updates"
    ]  # fmt: skip
    assert "A network" in texts[0]
    for section in SECTIONS:
        assert section.title in texts[page_of(section)]


def test_headings_name_the_files_of_the_loops(texts):
    for section in SECTIONS:
        loops = {row.loop.partition(".")[0] for row in section.rows if isinstance(row, rows.Row)}
        named = {f"{name}.py" for name in loops} | ({"beyond.py"} if section.title == MORE else set())
        assert not loops or any(set(re.split(r",\s", text)) == named for text in itertools.chain(*texts))


def test_every_symbol_of_the_notation_is_there(texts):
    for title, drawn, count in (("Notation", texts[0], 14), ("More notation", texts[1], 18)):
        (notation,) = (section for section in SECTIONS if section.title == title)
        assert len(notation.rows) == count
        for symbol in notation.rows:
            code = re.sub("[`—]", "", symbol.code)
            assert {rows.mathtext(symbol.symbol), code, rows.mathtext(symbol.meaning)} - {""} <= set(drawn)


# TeX commands that are not letters, and letters that need no explanation: k is an index, as are i and j; Phi has its own row;
# sigma is explained at u_i.
LAYOUT = r"\frac \sum \sqrt \hat \cdot \left \right \Big \leftarrow \le \ge \ne \neq \vert \lVert \rVert \partial \approx"
PLAIN_LETTERS = r"k e d \pi \Phi \sigma \log \max \min \tanh \cosh sign erfc max"


def letters(formulas):
    return set(re.findall(r"\\[A-Za-z]+|[A-Za-z]{3,}|[A-Za-z]", " ".join(formulas))) - set(LAYOUT.split())


@each("number", [0, 1, 2])
def test_every_letter_of_a_formula_is_explained(number):
    """Each letter is explained in the notation on its page or an earlier page, or defined by a formula or curve on its page."""
    symbols = [row.symbol for row, page in PAGE_OF.items() if isinstance(row, rows.Symbol) and page <= number]
    formulas = [row for row, page in PAGE_OF.items() if isinstance(row, rows.Row) and page == number]
    parts = [formula for row in formulas for formula in row.formula.split("$")[1::2]]
    parts += [part for row in formulas if (curve := curves.curve(row)) for part in curve.note.split("$")[1::2]]
    defined = letters(match[1] for part in parts if (match := re.match(r"(\\?[A-Za-z]+) (=|\\approx) ", part)))
    used = letters(parts)
    assert not used - letters(symbols) - set(PLAIN_LETTERS.split()) - defined and len(used) > 10


def test_both_diagrams_are_there(texts):
    assert {r"$\Sigma$", "$w_1$", "$x_n$"} <= set(texts[0])
    assert {"input", "layer 1", "tanh\n6 neurons", "softmax\n3 neurons"} <= set(texts[0])


@each("number", [1, 2, 3])
def test_every_text_is_legible_on_a4_and_lies_over_no_other(number, pages, box_of):
    figure = pages[number - 1]
    np.testing.assert_allclose(figure.get_size_inches() * 25.4, (297, 210))
    drawn = drawn_texts(figure)
    assert min(text.get_fontsize() for text in drawn) >= 7
    boxes = np.array([box_of(text).extents for text in drawn])
    assert boxes.min() > 0 and (boxes.max(axis=0)[2:] < figure.bbox.size).all()
    margin = MARGIN / 25.4 * 72 - 1  # in points
    assert boxes[:, 0].min() >= margin and boxes[:, 2].max() <= figure.bbox.width - margin
    low, high = boxes[:, :2], boxes[:, 2:]
    over = np.minimum(high[:, np.newaxis], high) - np.maximum(low[:, np.newaxis], low)
    pairs = np.argwhere(np.triu(over.min(axis=2) > 0.18, 1))  # in points
    assert not [(drawn[i].get_text(), drawn[j].get_text()) for i, j in pairs]


def test_every_curve_has_its_name_at_its_line(pages, box_of):
    """The name of a curve has the colour of the curve and is near the curve, and no line crosses the name."""
    for panel in (
        ax for figure in pages for ax in figure.axes if any("." in (line.get_gid() or "") for line in ax.get_lines())
    ):
        lines = [line for line in panel.get_lines() if len(line.get_xydata()) > 2]
        names = [text for text in panel.texts if text.get_color() != style.LIGHT.ink and text.get_text()]
        assert {line.get_color() for line in lines} == {text.get_color() for text in names}
        for text in names:
            box = box_of(text)
            paths = [line.get_path().transformed(line.get_transform()) for line in lines]
            assert not any(path.intersects_bbox(box.padded(-0.7), filled=False) for path in paths), text.get_text()
            own = [path for line, path in zip(lines, paths, strict=True) if line.get_color() == text.get_color()]
            assert any(path.intersects_bbox(box.padded(9), filled=False) for path in own), text.get_text()  # 3 mm


def test_the_name_of_a_piece_is_nearest_to_its_piece(pages, box_of):
    """The curves of SSE, MSE and BCE have the same colour, so only the distance shows to which curve a name belongs."""
    (line,) = (line for ax in pages[1].axes for line in ax.get_lines() if "loss_term" in (line.get_gid() or ""))
    pieces = [line.axes.transData.transform(piece[:-1]) for piece in np.split(line.get_xydata(), 3)]
    names = [text for text in line.axes.texts if text.get_text() in ("SSE", "MSE", "BCE")]
    assert [text.get_text() for text in names] == ["SSE", "MSE", "BCE"]
    for number, text in enumerate(names):
        box = box_of(text)
        gaps = [np.maximum(0, np.maximum(box.min - piece, piece - box.max)) for piece in pieces]
        own, *others = (np.hypot(*gap.T).min() for gap in (gaps[number], *(gaps[:number] + gaps[number + 1 :])))
        assert 1.7 * own < min(others), text.get_text()


def test_equal_curves_are_both_visible_and_named_as_equal(pages):
    (panel,) = (ax for ax in pages[2].axes if any("d_exponential" in (line.get_gid() or "") for line in ax.get_lines()))
    a, slope = (line for line in panel.get_lines() if line.get_gid())
    np.testing.assert_array_equal(a.get_xydata(), slope.get_xydata())
    assert slope.is_dashed() and not a.is_dashed() and slope.get_zorder() >= a.get_zorder()
    assert {"$a$", "$da/dz = a$"} <= {text.get_text() for text in panel.texts}


def test_no_panel_is_small(pages):
    """A panel is at least 13 mm wide and 13 mm high."""
    for figure in pages:
        for ax in figure.axes:
            if any("." in (line.get_gid() or "") for line in ax.get_lines()):
                assert min(ax.get_window_extent().size) / 72 * 25.4 > 13, [line.get_gid() for line in ax.get_lines()]


def test_the_examples_of_tangents_are_stated(texts):
    for variable, page in (("w", 0), ("b", 0), ("z", 0)):
        assert f"to $L({variable})$" in " ".join(texts[page])
    stated = re.sub(r"[{}]", "", " ".join(texts[0]))
    samples = re.search(r"x = ([^$]*)\$, \$?y = ([^$]*)\$", stated)
    np.testing.assert_array_equal([[float(number) for number in part.split(",")] for part in samples.groups()], [X, Y])


def test_the_courses_of_the_update_rules_are_comparable(texts):
    """On the drawn sheet, all update rules take 12 steps from the same start.

    The learning rate eta of each rule is the smallest multiple of 0.05 with which 12 steps lead to the minimum.
    """
    least = min(neuron_loss(w, 0.5) for w in np.linspace(-4, 4, 801)) + 0.01
    for make in descents.DESCENTS.values():
        course, eta = make(), float(make().eta[8:-1])
        assert course.note.startswith(f"12 steps from $w = -3.6$, $\\eta = {eta}$") and course.x[0] == -3.6
        assert course.x.size == 13 and round(eta / 0.05, 6) == round(eta / 0.05)
        assert course.y[-1] < least <= make(eta - 0.05).y[-1]
    assert sum("12 steps from" in text for text in itertools.chain(*texts)) == len(descents.DESCENTS) + 1  # panels, comparison


@each("number", [1, 2, 3])
def test_dark_pages_have_light_text_on_a_dark_background(number, few_rows, pages):
    """For speed, the dark pages contain only the first row of each table; these rows contain every kind of text.

    The test does not check the colours of the curves, which come from the same theme as the colours of their names.
    """
    for figure, sign in ((draw_sheet(number, dark=True), 1), (pages[number - 1], -1)):
        paper = np.mean(matplotlib.colors.to_rgb(figure.get_facecolor()))
        ink = np.mean([matplotlib.colors.to_rgb(text.get_color()) for text in drawn_texts(figure)], axis=1)
        assert (sign * (ink - paper) > 0.35).all()


def test_rows_that_do_not_fit_raise_an_error(few_rows, monkeypatch):
    new = r"| Momentum $v \leftarrow \mu v + \frac1n g$ | `descent.descend` | `descent.gradient_descent` | `descent.x` |" + "\n"
    for count in (1, 20):
        text = SHORT.replace("\n## Weight decay", count * new + "\n## Weight decay")
        monkeypatch.setattr(rows, "page", lambda text=text: text)
        if count == 1:
            assert "Momentum" in [drawn.get_text() for drawn in draw_sheet(2).findobj(matplotlib.text.Text)]
        else:
            with pytest.raises(ValueError, match="too many formulas: a column of the sheet is"):
                draw_sheet(2)


@each("number", [0, 4, 1.5])
def test_only_three_pages_exist(number):
    with pytest.raises((ValueError, TypeError), match="page must be"):
        draw_sheet(number)


# The expected curves, computed with NumPy and mpmath. New rows in the sections GROWING of the sheet may have no curve.

GROWING = ("Parts of the losses", "Optimizers", "Weight decay and clipping", "Sample weights and dropout")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z_1):
    power = np.exp(np.stack([z_1, np.ones_like(z_1), np.zeros_like(z_1)]))
    return power / power.sum(axis=0)


def softmax_with(d_loss):
    """Returns the function of z_1 that computes softmax's delta_1 = sum_i dL/da_i da_i/dz_1; d_loss(a, y) returns dL/da."""

    def delta(z_1):
        a = softmax(z_1)
        jacobian = np.einsum("is,ij->ijs", a, np.eye(3)) - np.einsum("is,js->ijs", a, a)
        return np.einsum("is,is->s", d_loss(a, np.array([[1.0], [0.0], [0.0]])), jacobian[:, 0])

    return delta


def by_mpmath(function):
    return lambda z: np.array([float(function(mpmath.mpf(x))) for x in z])


def each_loss(y_hat):
    """Returns the values of SSE, MSE and BCE with two outputs, one curve after the other, separated by NaN."""
    losses = (lambda p: (1 - p) ** 2, lambda p: (1 - p) ** 2 / 2, lambda p: -np.log(p) / 2)
    return np.concatenate([[*loss(p[:-1]), np.nan] for loss, p in zip(losses, np.split(y_hat, 3), strict=True)])


def slope(x):
    return 0.6 * x + 0.3


# The activations, and the losses of one output for y = 1, that are not on the original sheet.
PHI = {
    "silu": lambda z: z * sigmoid(z),
    "gelu": by_mpmath(lambda z: z * mpmath.ncdf(z)),
    "gelu_tanh": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543773 * (np.exp(z) - 1)),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
    "hard_sigmoid": lambda z: np.clip((z + 3) / 6, 0, 1),
    "softsign": lambda z: z / (1 + abs(z)),
    "exponential": np.exp,
    "softplus": lambda z: np.logaddexp(0, z),
}
LOSS = {
    "mae": lambda y_hat: abs(1 - y_hat),
    "huber": lambda y_hat: np.where(abs(y_hat - 1) > 1, abs(y_hat - 1) - 0.5, (y_hat - 1) ** 2 / 2),
    "log_cosh": lambda y_hat: np.log(np.cosh(y_hat - 1)),
    "poisson": lambda y_hat: y_hat - 1 - np.log(y_hat),
    "quantile": lambda y_hat: abs(1 - y_hat) / 2,
    "hinge": lambda y_hat: np.maximum(0, 1 - y_hat),
}
MORE_CURVES = {(name, "activation"): PHI[name] for name in BEYOND_ACTIVATIONS} | {
    (name, "loss"): LOSS[name] for name in BEYOND_LOSSES
}
EXPECTED = {
    ("weighted_input", "forward_sum"): slope,
    ("phi", "activation"): lambda x: np.tanh(slope(x)),
    ("d_phi", "d_activation"): lambda x: 1 - np.tanh(slope(x)) ** 2,
    ("identity", "activation"): lambda z: z,
    ("d_identity", "d_activation"): np.ones_like,
    ("sigmoid", "activation"): by_mpmath(lambda z: 1 / (1 + mpmath.exp(-z))),
    ("d_sigmoid", "d_activation"): by_mpmath(lambda z: mpmath.exp(-z) / (1 + mpmath.exp(-z)) ** 2),
    ("tanh", "activation"): by_mpmath(mpmath.tanh),
    ("d_tanh", "d_activation"): by_mpmath(lambda z: mpmath.sech(z) ** 2),
    ("relu", "activation"): lambda z: np.maximum(z, 0),
    ("d_relu", "d_activation"): lambda z: np.where(z > 0, 1, 0),
    ("leaky_relu", "activation"): lambda z: np.where(z > 0, z, 0.1 * z),
    ("d_leaky_relu", "d_activation"): lambda z: np.where(z > 0, 1, 0.1),
    ("exp_difference", "softmax_sum"): lambda z: (np.exp(z) + np.e + 1) / np.exp(np.maximum(z, 1)),
    ("softmax", "softmax_activation"): lambda z: softmax(z)[0],
    ("d_softmax", "softmax_jacobian"): lambda z: softmax(z)[0] * (1 - softmax(z)[0]),
    (None, "softmax_logit"): lambda z: z - math.log(math.e + 1),
    ("sse", "loss"): lambda y_hat: (1 - y_hat) ** 2,
    ("d_sse", "d_loss"): lambda y_hat: -2 * (1 - y_hat),
    ("mse", "loss"): lambda y_hat: (1 - y_hat) ** 2 / 2,
    ("d_mse", "d_loss"): lambda y_hat: y_hat - 1,
    ("bce", "loss"): lambda y_hat: -np.log(y_hat),
    ("d_bce", "d_loss"): lambda y_hat: -1 / y_hat,
    ("loss_term", "loss"): each_loss,
    ("bce_from_z", "bce_from_z_loss"): by_mpmath(lambda z: mpmath.log(1 + mpmath.exp(-z))),
    ("softplus", "bce_from_z_loss"): by_mpmath(lambda z: mpmath.log(1 + mpmath.exp(z))),
    ("cce", "cce_loss"): lambda z: -np.log(softmax(z)[0]),
    ("log_softmax_sum", "cce_loss"): lambda z: -np.log(softmax(z).max(axis=0)),
    ("d_cce", "short_error"): lambda z: softmax(z)[0] - 1,
    ("error_term", "activation_error"): lambda z: 2 * (sigmoid(z) - 1) * sigmoid(z) * (1 - sigmoid(z)),
    ("d_softmax", "softmax_error"): softmax_with(lambda a, y: 2 * (a - y)),
    ("d_softmax_logit", "softmax_logit_error"): softmax_with(lambda a, y: -y / a + (1 - y) / (1 - a)),
}
X, Y = np.array([-2.0, -0.5, 0.5, 2.0]), np.array([0.0, 1.0, 0.0, 1.0])


def neuron_loss(w, b):
    a = sigmoid(w * X + b)
    return -np.mean(Y * np.log(a) + (1 - Y) * np.log(1 - a))


# The loss curves to which tangents are drawn.
LOSSES = {
    ("d_weight", "weight_gradient"): lambda w: neuron_loss(w, 0.5),
    ("d_bias", "bias_gradient"): lambda b: neuron_loss(-1.0, b),
    ("weighted_error", "delta_recurrence"): lambda z: -np.log(sigmoid(np.array([1.8, -1.2]) * np.tanh(z))).sum(),
}


@each("key", [pytest.param(key, id="/".join(map(str, key))) for key in EXPECTED | MORE_CURVES])
def test_a_curve_is_what_its_formula_says(key):
    curve = curves.CURVES[key]()
    np.testing.assert_allclose(curve.y, (EXPECTED | MORE_CURVES)[key](curve.x), rtol=1e-12, atol=1e-14)


def derivative(key):
    return tuple(f"d_{name}" for name in key)


@each("key", [pytest.param(key, id=key[0]) for key in MORE_CURVES])
def test_the_integral_of_a_derivative_is_the_curve(key):
    """The integral and the curve differ by at most 2 % of the range of the curve's values.

    The tolerance is this large because a derivative may jump between two neighbouring points, which are up to 1/80 of the range
    of x apart.
    """
    curve, slope = curves.CURVES[key](), curves.CURVES[derivative(key)]()
    np.testing.assert_array_equal(curve.x, slope.x)
    integral = np.cumsum((slope.y[1:] + slope.y[:-1]) / 2 * np.diff(slope.x))
    np.testing.assert_allclose(integral, curve.y[1:] - curve.y[0], atol=0.02 * np.ptp(curve.y))


@each("key", [pytest.param(key, id="/".join(key)) for key in LOSSES])
def test_tangents_have_the_slope_of_the_loss(key):
    curve, loss = curves.CURVES[key](), LOSSES[key]
    np.testing.assert_allclose(curve.ground, [loss(x) for x in Z], rtol=1e-12)
    for left, right in zip(*(np.column_stack([curve.x, curve.y])[k::3] for k in (0, 1)), strict=True):
        middle, h = (left + right) / 2, 1e-5
        central = (loss(middle[0] + h) - loss(middle[0] - h)) / (2 * h)
        assert middle[1] == pytest.approx(loss(middle[0]), rel=1e-12)
        assert (right[1] - left[1]) / (right[0] - left[0]) == pytest.approx(central, rel=1e-7, abs=1e-9)


def momentum(g, t, v):
    v[0] = 0.6 * v[0] + g
    return 0.25 * v[0]


def nesterov(g, t, v):
    v[0] = 0.6 * v[0] + g
    return 0.25 * (g + 0.6 * v[0])


def adam(g, t, moments):
    moments[:] = 0.9 * moments[0] + 0.1 * g, 0.999 * moments[1] + 0.001 * g * g
    return 0.4 * (moments[0] / (1 - 0.9**t)) / (np.sqrt(moments[1] / (1 - 0.999**t)) + 1e-8)


STEPS = {  # the amount by which w decreases in step t
    ("descend", "gradient_descent"): lambda g, t, _: 0.65 * g,
    ("velocity_after", "momentum"): momentum,
    ("nesterov_gradient", "nesterov"): nesterov,
    ("adam_gradient", "adam"): adam,
}


@each("key", [pytest.param(key, id=key[1]) for key in STEPS])
def test_descent_goes_down_by_its_rule(key):
    curve, memory, h = curves.CURVES[key](), [0.0, 0.0], 1e-5
    np.testing.assert_allclose(curve.y, [neuron_loss(w, 0.5) for w in curve.x], rtol=1e-12)
    for t, (w, w_next) in enumerate(zip(curve.x, curve.x[1:], strict=False), start=1):
        gradient = (neuron_loss(w + h, 0.5) - neuron_loss(w - h, 0.5)) / (2 * h)
        assert w_next == pytest.approx(w - STEPS[key](gradient, t, memory), abs=1e-7)


def test_every_curve_is_held_to_a_formula_and_every_row_has_one():
    more = MORE_CURVES.keys() | {derivative(key) for key in MORE_CURVES}
    assert curves.CURVES.keys() == EXPECTED.keys() | LOSSES.keys() | STEPS.keys() | more
    for section in SECTIONS:
        for row in section.rows:
            is_part = (
                section.title == MORE and not row.title and ".d_" not in row.scalar
            )  # such as Phi, which is a part of GELU
            if isinstance(row, rows.Row) and section.title not in GROWING and not is_part:
                assert curves.curve(row), row


def test_the_curves_on_the_pages_are_those(pages):
    lines = [line for figure in pages for ax in figure.axes for line in ax.get_lines()]
    drawn = {line.get_gid(): line.get_xydata() for line in lines if line.get_gid()}
    for row in FORMULA_ROWS:
        curve = curves.curve(row)
        if curve:
            name = "/".join(filter(None, (row.scalar, row.loop)))
            np.testing.assert_array_equal(drawn[name], np.column_stack([curve.x, curve.y]))


# Files

SVG_FILES = ["sheet.svg", "sheet-2.svg", "sheet-3.svg"]


def words(svg):
    """Returns the texts of an SVG drawing; the texts of formulas contain no spaces."""
    lines = re.findall(r"<text[^>]*>(.*?)</text>", svg, re.S)
    return [unescape(re.sub(r"\n|<[^>]*>", "", line)) for line in lines]


@each("name", SVG_FILES)
def test_the_committed_pages_are_up_to_date(name, written):
    new, committed = written[name].decode(), (PAGE.parent / name).read_text()
    assert words(new) == words(committed) and len(words(new)) > 100, "numbanet sheet -o docs/sheet.svg"
    for structure in (r'<g id="([^"]*/[^"]*)"', r'viewBox="[^"]*"'):  # the curves by name; the page's size
        assert re.findall(structure, new) == re.findall(structure, committed)
    assert (PAGE.parent / name).stat().st_size < 350_000


def test_every_format_is_written(written, short_pages, tmp_path):
    """Each page has its own SVG and PNG file; PDF and HTML files contain all pages.

    To save time, the PNG, PDF and HTML files of the test contain only small pages.
    """
    assert list(written) == SVG_FILES
    small = contents([Figure(), Figure()], tmp_path, "png", "pdf") | contents(2 * short_pages[2:], tmp_path, "html")
    starts = {"pdf": b"%PDF-", "svg": b"<?xml", "html": b"<!DOCTYPE html>", "png": b"\x89PNG"}
    assert list(small) == ["sheet.png", "sheet-2.png", "sheet.pdf", "sheet.html"]
    for name, content in (written | small).items():
        assert content.startswith(starts[name.rpartition(".")[2]])
    html = small["sheet.html"].decode()
    assert words(html).count(MORE) == 2 and "silu · activation" in words(html)  # of both pages
    assert_that_fonts_are_complete(html)


def test_text_is_selectable_in_every_drawing(written, short_pages, few_rows, tmp_path):
    """In PDF and SVG files, the names of functions and sections and the letters of formulas are text, not shapes.

    To save time, the PDF file contains only the first row of each table.
    """
    pypdf = pytest.importorskip("pypdf")
    content = contents(short_pages, tmp_path, "pdf")["sheet.pdf"]
    pdf = [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(content)).pages]
    svg = [" ".join(words(written[name].decode())) for name in SVG_FILES]
    for sections, drawn in ((rows.sections(), pdf), (SECTIONS, svg)):
        for number, section in ((page_of(section), section) for section in sections):
            formulas = [row for row in section.rows if isinstance(row, rows.Row)]
            named = [name.partition(".")[2] for row in formulas for name in (row.scalar, row.loop) if name]
            titles = [re.sub(r" \(.*\d{4}\)", "", row.title) for row in formulas]
            assert all(name in drawn[number] for name in (section.title, *named, *titles))
    assert "zj=∑iwijxi+bj" in svg[0].replace(" ", "") and "zj = ∑ i wijxi + bj" in pdf[0]


def test_drawings_contain_every_letter_of_their_fonts(written):
    for name in SVG_FILES:
        assert_that_fonts_are_complete(written[name].decode())


def assert_that_fonts_are_complete(content):
    """Checks that each font embedded in an SVG or HTML file contains all letters that the file writes in this font."""
    assert not re.findall(r'(?:src|href)="(?!#)|url\((?!data:|#)', content)
    fonts = {}
    for face, data in re.findall(r"@font-face {(.*?) src: url\(data:font/woff;base64,([^)]*)\)}", content):
        described = re.findall(r"font-(?:family|style|weight): '?([^';]+)", face)
        fonts[tuple(described)] = TTFont(io.BytesIO(base64.b64decode(data))).getBestCmap()
    for css, text in re.findall(r'<t(?:ext|span) [^>]*style="([^"]*)"[^>]*>([^<]+)<', content):
        found = dict(re.findall(r"font-(family|style|weight): '?([^';]+)", css))
        font = found["family"], found.get("style", "normal"), found.get("weight", "normal")
        assert set(map(ord, unescape(text))) <= fonts[font].keys()


OTHER_SETTINGS = {"font.size": 20, "lines.linewidth": 5, "axes.grid": True, "font.family": "serif", "figure.facecolor": "black"}


def test_a_page_is_the_same_bytes_with_any_settings_of_the_reader(short_pages, few_rows, tmp_path):
    expected = contents(short_pages[2:], tmp_path, "svg")
    with matplotlib.rc_context(OTHER_SETTINGS):
        assert contents([draw_sheet(3)], tmp_path, "svg") == expected


def test_the_command_names_the_files_that_it_saves(tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr("numbanet.pictures.sheet.draw_sheet", lambda page, dark: drawn.append((page, dark)) or Figure())
    assert main(["sheet", "--output", str(tmp_path / "sheet.svg"), "--dark"]) == 0
    assert capsys.readouterr().out == f"saved {', '.join(str(tmp_path / name) for name in SVG_FILES)}\n"
    assert drawn == [(1, True), (2, True), (3, True)] and len(list(tmp_path.iterdir())) == 3


@each("name", ["sheet", "sheet.docx", "sheet.pdf.gz"])
def test_other_formats_are_refused(name, tmp_path, capsys):
    assert main(["sheet", "-o", str(tmp_path / name)]) == 1
    assert "its name must end in .pdf, .png, .svg, .html" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["sheet", "-o", str(tmp_path / "missing" / "sheet.svg")]) == 1
    assert "missing" in capsys.readouterr().err


def test_the_wheel_brings_the_page_along():
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert '"docs/sheet.md" = "numbanet/sheet.md"' in project


def test_rows_are_read_as_they_are_written(monkeypatch):
    monkeypatch.setattr(
        rows,
        "page",
        lambda: (
            r"""# Page

| the sheet | of an introduction |
|---|---|
| is not | read |

## One

| the sheet | scalar | loop | kernel |
|---|---|---|---|
| Big $\Big(\frac1n\Big) \le 1$, of all; *computed as:* $x$ | — | `a.b` | `a.b_cuda` |
| words alone | `a.c` | `a.b` | `a.b_cuda` |

| name | of another | kind |
|---|---|---|
| is not | read | either |

## Two

No table.
"""
        ),
    )
    (section,) = rows.sections()
    assert section.title == "One"
    assert section.rows == [
        rows.Row("Big", r"$\Big(\frac1n\Big) \le 1$, of all", "$x$", None, "a.b", "a.b_cuda"),
        rows.Row("", "words alone", "", "a.c", "a.b", "a.b_cuda"),
    ]
    assert rows.mathtext(section.rows[0].formula) == r"$\left(\frac{1}{n}\right) \leq 1$, of all"
