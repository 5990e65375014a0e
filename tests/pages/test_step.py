"""The web page of a training step contains the right numbers, formulas and code; unsuitable files and steps are rejected."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from numbanet import Network, equations, load_digits
from numbanet.pages import listings
from numbanet.pages.mathml import inline, mathml
from numbanet.pages.rows import Row, sections
from tests.helpers.engines import each
from tests.helpers.steps import NETWORKS, RATE, Content, content_of, mazur, traced


def written(trace, folder):
    path = folder / "step.html"
    trace.page(path, learning_rate=RATE)
    return content_of(path)


@each("dtype", ["float32", "float64"])
@each("name", NETWORKS)
def test_the_numbers_are_those_of_the_trace(name, dtype, tmp_path):
    trace = traced(name, dtype=dtype)
    page = written(trace, tmp_path)
    # The page contains nine digits of float64 numbers, and all digits of float32 numbers.
    close = {"rtol": 1e-8} if dtype == "float64" else {"rtol": 0}
    for l, layer in enumerate(page["layers"]):
        for symbol in ("w", "b", "z", "a", "delta", "dw", "db"):
            np.testing.assert_allclose(np.array(layer[symbol], dtype), getattr(trace, symbol)[l], **close)
        for symbol, gradient in (("w", trace.dw), ("b", trace.db)):
            expected = getattr(trace, symbol)[l] - RATE * gradient[l]
            np.testing.assert_allclose(layer[f"{symbol}_after"], expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(np.array(page["x"], dtype), trace.x, **close)
    np.testing.assert_allclose(page["loss"], trace.loss, rtol=1e-6)


@each("name", NETWORKS)
def test_values_between_the_symbols_fit_together(name, tmp_path):
    """The values on the web page of a training step agree with each other.

    Loss terms add up to the losses of the samples, dL/da times da/dz is delta, and each (z, a) is on its activation's curve.
    """
    trace = traced(name)
    page = written(trace, tmp_path)
    np.testing.assert_allclose(np.sum(page["terms"], axis=1), page["losses"], rtol=1e-8)
    np.testing.assert_allclose(np.sum(page["losses"]), trace.loss, rtol=1e-8)
    for layer in page["layers"]:
        z, a = np.array(layer["curve"])
        shift = 0 if layer["shift"] is None else np.array(layer["shift"])
        np.testing.assert_allclose(np.interp(np.array(layer["z"]) - shift, z, a), layer["a"], atol=2e-2)
        if layer["dl_da"] and layer["da_dz"]:
            np.testing.assert_allclose(np.multiply(layer["dl_da"], layer["da_dz"]), layer["delta"], rtol=1e-7)


def test_dl_da_of_a_hidden_layer_is_the_change_of_the_loss(tmp_path):
    """For a hidden layer with softmax, the page computes dL/da itself, because a trace does not contain dL/da."""
    net = Network([3, 4, 3], ["softmax", "identity"], "sse", dtype="float64", seed=0, kernels="reference")
    page = written(net.trace([[1, -2, 0.5]], [[1, 0, 2]]), tmp_path)
    after = page["layers"][1]

    def loss(a):
        return np.sum((a @ np.array(after["w"]) + after["b"] - page["y"][0]) ** 2)

    a, step = np.array(page["layers"][0]["a"][0]), 1e-6
    found = [(loss(a + step * unit) - loss(a - step * unit)) / (2 * step) for unit in np.eye(4)]
    np.testing.assert_allclose(page["layers"][0]["dl_da"][0], found, rtol=1e-6, atol=1e-8)


@each("stage", listings.STAGES)
def test_each_stage_shows_its_formula_and_marks_the_line_at_work(stage):
    shown = listings.listing(stage)
    assert shown["formulas"] and all(formula["html"] or formula["computed_as"] for formula in shown["formulas"])
    for source in shown["sources"]:
        module, name = source["name"].split(".")[1:]
        assert hasattr(equations, name) and f"def {name}(" in "\n".join(source["lines"])
        assert module in ("neuron", "activations", "losses", "backprop", "descent")
        assert source["marked"], source["name"]
    loop = shown["sources"][0]
    marked = [loop["lines"][number].strip() for number in loop["marked"]]
    assert len(marked) == len(listings.STAGES[stage].marks)
    assert not any(line.startswith(("for ", "def ")) for line in marked)


def test_every_formula_of_the_sheet_becomes_mathml():
    for section in sections():
        for row in section.rows:
            for text in (row.formula, row.computed_as) if isinstance(row, Row) else (row.symbol, row.meaning):
                for part in text.split("$")[1::2]:
                    element = ElementTree.fromstring(mathml(part))
                    letters = "".join(element.itertext())
                    assert element.tag == "math" and letters and not set(letters) & set("\\{}_$")


def test_a_formula_keeps_its_structure():
    fraction = ElementTree.fromstring(mathml(r"a = \frac{1}{1 + e^{-z}}")).find(".//mfrac")
    assert "".join(fraction[0].itertext()) == "1" and "".join(fraction[1].itertext()) == "1+e\N{MINUS SIGN}z"
    total = ElementTree.fromstring(mathml(r"\sum_i w_{ij} x_i")).find(".//munder")
    assert [part.text for part in total] == ["∑", "i"]
    assert inline("w < 1 for $x$") == f"w &lt; 1 for {mathml('x')}"


@each("formula", [r"\unknown x", r"\frac{1}", "{x"])
def test_a_formula_that_cannot_be_read_is_refused(formula):
    with pytest.raises(ValueError, match=r"the formula .* (contains the unknown command|ends too early)"):
        mathml(formula)


def test_the_page_names_no_address(tmp_path):
    trace = mazur()
    trace.page(tmp_path / "step.html")
    text = (tmp_path / "step.html").read_text("utf-8")
    assert Content(text).addresses == ["data:,"]
    assert "default-src 'none'" in text and "//" not in text.replace("http://www.w3.org/2000/svg", "").split("<script>")[0]


def test_a_page_can_be_written_to_a_file_object():
    buffer = io.BytesIO()
    mazur().page(buffer)
    assert buffer.getvalue().startswith(b"<!DOCTYPE html>")


@each("name", ["step.npz", "step.json", "step.png", "step.pt"])
def test_other_endings_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=f"cannot write .*{name}.*let the name end in .html"):
        mazur().page(tmp_path / name)
    assert not list(tmp_path.iterdir())


@each("rate", [0, -1, np.nan, np.inf])
def test_other_learning_rates_are_refused(rate, tmp_path):
    with pytest.raises(ValueError, match="learning_rate must be"):
        mazur().page(tmp_path / "step.html", learning_rate=rate)


def test_a_step_that_is_not_finite_is_refused(tmp_path):
    net = Network([1, 1], ["identity"], "sse", kernels="reference")
    net.set_parameters([([[1e38]], [0])])
    with pytest.raises(ValueError, match="z1 contains inf or nan, which a page cannot show"):
        net.trace([[1e2]], [0]).page(tmp_path / "step.html")


def test_the_largest_page_is_below_2_mb_and_larger_ones_are_refused(tmp_path):
    def page(size):
        net = Network([size, size], "identity", "sse", dtype="float64", seed=0, kernels="reference")
        net.set_parameters([(1e-5 * w, b - 1e-5) for w, b in net.parameters()])
        net.trace(np.full((1, size), 1 / 3), np.full((1, size), 1 / 3)).page(tmp_path / "step.html")

    page(180)
    assert 1_200_000 < (tmp_path / "step.html").stat().st_size < 2_000_000
    with pytest.raises(
        ValueError, match=r"a network 190-190 with 1 sample consists of 11.,... numbers, but .* at most 100,000"
    ):
        page(190)


def test_a_page_of_digits_is_small(tmp_path):
    x, y, _, _ = load_digits()
    Network([64, 32, 10], ["relu", "softmax"], "cce", seed=0, kernels="reference").trace(x[:3], y[:3]).page(
        tmp_path / "step.html"
    )
    assert (tmp_path / "step.html").stat().st_size < 300_000
