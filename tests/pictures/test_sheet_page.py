"""The drawn sheet shows every formula of docs/sheet.md beside a correct curve, in every format, identically in every run."""

import math
import re
from pathlib import Path

import mpmath
import numpy as np
import pytest

from tests.equations.test_sheet import PAGE, ROWS
from tests.helpers.engines import each

pytest.importorskip("matplotlib")

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg

from numbanet.cli import main
from numbanet.pages import rows
from numbanet.pictures import curves, draw_sheet
from numbanet.pictures.sheet import NOT_DRAWN
from tests.pictures.test_pictures import drawn_texts

COMMITTED = PAGE.with_name("sheet.svg")
SECTIONS = [section for section in rows.sections() if section.title != NOT_DRAWN]
FORMULA_ROWS = [row for section in SECTIONS for row in section.rows if isinstance(row, rows.Row)]


@pytest.fixture(scope="module")
def figure():
    drawn = draw_sheet()
    drawn.set_dpi(200)
    FigureCanvasAgg(drawn)  # measures texts
    drawn.draw_without_rendering()
    return drawn


OTHER_SETTINGS = {"font.size": 20, "lines.linewidth": 5, "axes.grid": True, "font.family": "serif"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Returns the files that the command writes, by format; the PDF file is written with other settings of matplotlib."""
    return files_of("pdf", "svg", folder=tmp_path_factory.mktemp("sheet"), other=["pdf"])


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Returns the files of a sheet with one row per table, written with the default settings and with other settings."""
    folder, whole = tmp_path_factory.mktemp("short"), rows.page()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "page", lambda: re.sub(r"((?:^\|.*\n){3})(?:^\|.*\n)+", r"\1", whole, flags=re.M))
        assert sum(len(section.rows) for section in rows.sections()) < len(FORMULA_ROWS) / 2
        others = ("pdf", "html", "png")
        return files_of("pdf", "svg", folder=folder), files_of(*others, folder=folder, other=others)


def files_of(*kinds, folder, other=()):
    """Returns the files that the command writes, by format; the formats `other` use other settings of matplotlib."""
    contents = {}
    for kind in kinds:
        with matplotlib.rc_context(OTHER_SETTINGS if kind in other else {}):
            assert main(["sheet", "--output", str(folder / f"sheet.{kind}")]) == 0
        contents[kind] = (folder / f"sheet.{kind}").read_bytes()
    return contents


@pytest.fixture(scope="module")
def texts(figure):
    return [text.get_text() for text in drawn_texts(figure)]


def bare(formula):
    """Returns a formula without differences that affect only its typesetting."""
    return formula.replace(r"\dfrac", r"\frac").strip("$ ")


@each("row", [pytest.param(row, id=row[0]) for row in ROWS if "`beyond." not in row[1]])
def test_every_formula_of_the_page_is_drawn_with_its_names(row, texts):
    formulas, scalar, loop, _ = row
    drawn = [bare(text) for text in texts]
    for formula in re.findall(r"\$[^$]+\$", formulas):
        assert any(bare(rows.mathtext(formula)) in text for text in drawn), formula
    names = [name.strip("`").partition(".")[2] for name in (scalar, loop) if name != "—"]
    line = re.compile(r" · ".join(rf"(\w+\.)?{name}" for name in names) + r"\[_cuda\]")
    assert any(line.fullmatch(text) for text in texts)


def test_every_section_of_the_original_is_there(texts):
    for title in (
        "The neuron",
        "A network",
        "Activation functions",
        "Loss functions",
        "Backpropagation",
        "Gradient descent updates",
        "Notation",
    ):
        assert title in texts
    headings = re.findall(r"^## (.*)", PAGE.read_text(), re.M)
    assert [section.title for section in SECTIONS] == [title for title in headings[:-1] if title != NOT_DRAWN]  # the last section of the page has no table


def test_every_symbol_of_the_notation_is_there(texts):
    notation = next(section for section in SECTIONS if section.title == "Notation")
    assert len(notation.rows) == 12
    for symbol in notation.rows:
        assert {rows.mathtext(symbol.symbol), symbol.code.replace("`", ""), rows.mathtext(symbol.meaning)} <= set(texts)


def test_both_diagrams_are_there(texts):
    assert {r"$\Sigma$", "$w_1$", "$x_n$"} <= set(texts)
    assert {"input", "layer 1", "tanh\n5", "softmax\n2"} <= set(texts)


def test_no_text_lies_over_another_or_beyond_the_page(figure):
    drawn = drawn_texts(figure)
    boxes = np.array([text.get_tightbbox().extents for text in drawn])
    assert boxes.min() > 0 and (boxes.max(axis=0)[2:] < figure.bbox.size).all()
    low, high = boxes[:, :2], boxes[:, 2:]
    over = np.minimum(high[:, np.newaxis], high) - np.maximum(low[:, np.newaxis], low)
    pairs = np.argwhere(np.triu(over.min(axis=2) > 0.5, 1))  # in pixels, at 200 pixels per inch
    assert not [(drawn[i].get_text(), drawn[j].get_text()) for i, j in pairs]


def test_a_new_row_of_the_page_is_drawn_and_what_does_not_fit_makes_the_page_larger(monkeypatch, figure):
    page = rows.page()
    new = r"| Momentum $v \leftarrow \mu v + \frac1n g$ | `descent.descend` | `descent.gradient_descent` | `descent.x` |" + "\n"
    words = "| words alone | — | `descent.gradient_descent` | `descent.x` |\n"
    monkeypatch.setattr(rows, "page", lambda: page.replace("\n## Accuracy", 9 * new + words + "\n## Accuracy"))
    larger = draw_sheet()
    drawn = [text.get_text() for text in drawn_texts(larger)]
    assert drawn.count("Momentum") == 9 + ("momentum" in page) and drawn.count(r"$v \leftarrow \mu v + \dfrac{1}{n} g$") == 9
    assert "words alone" in {text.lower() for text in drawn}
    assert larger.get_figwidth() > figure.get_figwidth()
    assert larger.get_figwidth() / larger.get_figheight() == pytest.approx(420 / 297)


# The expected curves, computed with NumPy and mpmath. New rows in the sections GROWING of the sheet may have no curve.

GROWING = ("Gradient descent updates", "Sample weights and dropout")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z_1):
    power = np.exp(np.stack([z_1, np.ones_like(z_1), np.zeros_like(z_1)]))
    return power / power.sum(axis=0)


def softmax_with(d_loss):
    """Returns delta_1 of softmax as a function of z_1, computed with the full Jacobian."""

    def delta(z_1):
        a = softmax(z_1)
        jacobian = np.einsum("is,ij->ijs", a, np.eye(3)) - np.einsum("is,js->ijs", a, a)
        return np.einsum("is,is->s", d_loss(a, np.array([[1.0], [0.0], [0.0]])), jacobian[:, 0])

    return delta


def by_mpmath(function):
    return lambda z: np.array([float(function(mpmath.mpf(x))) for x in z])


def each_loss(sse, bce):
    """Returns the curves of SSE, MSE and BCE for n = 2 over the same range of y_hat, separated by NaN."""
    return lambda y_hat: np.concatenate(
        [
            [*curve(piece[:-1]), np.nan]
            for curve, piece in zip((sse, lambda p: sse(p) / 2, bce), np.split(y_hat, 3), strict=True)
        ]
    )


def slope(x):
    return 0.6 * x + 0.3


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
    ("loss_term", "loss"): each_loss(lambda p: (1 - p) ** 2, lambda p: -np.log(p) / 2),
    ("d_loss_term", "d_loss"): each_loss(lambda p: 2 * (p - 1), lambda p: -0.5 / p),
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


@each("key", [pytest.param(key, id="/".join(map(str, key))) for key in EXPECTED])
def test_a_curve_is_what_its_formula_says(key):
    curve = curves.CURVES[key]()
    np.testing.assert_allclose(curve.y, EXPECTED[key](curve.x), rtol=1e-12, atol=1e-14)


@each("key", [pytest.param(key, id="/".join(key)) for key in LOSSES])
def test_tangents_have_the_slope_of_the_loss(key):
    curve, loss = curves.CURVES[key](), LOSSES[key]
    np.testing.assert_allclose(curve.ground, [loss(x) for x in curves.Z], rtol=1e-12)
    for left, right in zip(*(np.column_stack([curve.x, curve.y])[k::3] for k in (0, 1)), strict=True):
        middle, h = (left + right) / 2, 1e-5
        central = (loss(middle[0] + h) - loss(middle[0] - h)) / (2 * h)
        assert middle[1] == pytest.approx(loss(middle[0]), rel=1e-12)
        assert (right[1] - left[1]) / (right[0] - left[0]) == pytest.approx(central, rel=1e-7, abs=1e-9)


def momentum(g, t, v):
    v[0] = 0.6 * v[0] + g
    return 0.75 * v[0]


def nesterov(g, t, v):
    v[0] = 0.6 * v[0] + g
    return 0.75 * (g + 0.6 * v[0])


def adam(g, t, moments):
    moments[:] = 0.9 * moments[0] + 0.1 * g, 0.999 * moments[1] + 0.001 * g * g
    return 0.75 * (moments[0] / (1 - 0.9**t)) / (np.sqrt(moments[1] / (1 - 0.999**t)) + 1e-8)


STEPS = {  # the amount by which w decreases in step t
    ("descend", "gradient_descent"): lambda g, t, _: 1.5 * g,
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
    assert curves.CURVES.keys() == EXPECTED.keys() | LOSSES.keys() | STEPS.keys()
    for section in SECTIONS:
        if section.title not in GROWING:
            assert all(curves.curve(row) for row in section.rows if isinstance(row, rows.Row))


def test_the_curves_on_the_page_are_those(figure):
    drawn = {line.get_gid(): line.get_xydata() for ax in figure.axes for line in ax.get_lines() if line.get_gid()}
    for row in FORMULA_ROWS:
        curve = curves.curve(row)
        if curve:
            name = "/".join(filter(None, (row.scalar, row.loop)))
            np.testing.assert_array_equal(drawn[name], np.column_stack([curve.x, curve.y]))


def comments(svg):
    """Returns the texts of a drawing, which matplotlib also writes as comments."""
    return re.findall(r"<!-- (.*?) -->", svg)


def test_the_committed_page_is_up_to_date(written):
    new, committed = written["svg"].decode(), COMMITTED.read_text()
    assert comments(new) == comments(committed) and len(comments(new)) > 150, "numbanet sheet -o docs/sheet.svg"
    for structure in (r'<g id="([^"]*/[^"]*)"', r'viewBox="[^"]*"'):  # the names of the curves, and the size of the page
        assert re.findall(structure, new) == re.findall(structure, committed)
    assert COMMITTED.stat().st_size < 600_000


@each("kind, start", [("pdf", b"%PDF-"), ("svg", b"<?xml"), ("html", b"<!DOCTYPE html>"), ("png", b"\x89PNG")])
def test_every_format_is_written(kind, start, written, short):
    for files in (*short, written):
        assert kind not in files or files[kind].startswith(start)


def test_the_same_page_is_the_same_bytes_whatever_the_reader_s_settings(short):
    default, other = short
    assert default["pdf"] == other["pdf"]
    svg = default["svg"].decode()
    assert svg[svg.index("<svg") :] in other["html"].decode()


def test_the_html_page_is_in_one_piece(short):
    text = short[1]["html"].decode()
    assert text.count("<svg") == 1 and text.endswith("</svg>\n</body>\n</html>\n")
    assert not re.findall(r'(?:src|href)="(?!#)', text)


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
