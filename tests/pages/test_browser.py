"""The tests open the web page of a training step in Chromium, and use the page's keys as readers do."""

import re
from itertools import pairwise

import numpy as np
import pytest

from numbanet import Network, load_digits
from tests.helpers.colours import luminance
from tests.helpers.engines import each
from tests.helpers.steps import NETWORKS, RATE, mazur, traced

# The numbers that Mazur published, with keys (symbol, layer, input, neuron). The input is None for symbols with a single index.
PUBLISHED = {
    ("z", 1, None, 1): 0.3775,
    ("a", 1, None, 1): 0.593269992,
    ("a", 1, None, 2): 0.596884378,
    ("z", 2, None, 1): 1.105905967,
    ("a", 2, None, 1): 0.75136507,
    ("a", 2, None, 2): 0.772928465,
    ("w_after", 2, 1, 1): 0.35891648,
    ("w_after", 2, 2, 1): 0.408666186,
    ("w_after", 2, 1, 2): 0.511301270,
    ("w_after", 2, 2, 2): 0.561370121,
    ("w_after", 1, 1, 1): 0.149780716,
    ("w_after", 1, 2, 1): 0.19956143,
    ("w_after", 1, 1, 2): 0.24975114,
    ("w_after", 1, 2, 2): 0.29950229,
}
# Published numbers that are twice as large with SSE as with Mazur's loss, 1/2 SSE; keys are (symbol, layer, input, neuron).
PUBLISHED_HALVES = {
    ("L_i", 2, None, 1): 0.274811083,
    ("L_i", 2, None, 2): 0.023560026,
    ("L_s", 2, None, None): 0.298371109,
    ("dl_da", 2, None, 1): 0.74136507,
    ("delta", 2, None, 1): 0.138498562,
    ("dw", 2, 1, 1): 0.082167041,
    ("dw", 1, 1, 1): 0.000438568,
}
COLLECT = """window.reachesOut = (node) => {
  const circle = node.querySelector('.body'), [cx, cy, r] = ['cx', 'cy', 'r'].map((name) => circle.getAttribute(name));
  return [...node.querySelectorAll('text')].filter((text) => text.textContent).some((text) => {
    const { x, width } = text.getBBox(), y = text.getAttribute('y');
    return [x, x + width].some((end) => [y, y - 8].some((height) => Math.hypot(end - cx, height - cy) > r - 2));
  });
};
window.collect = () => ({
  number: state.number, title: document.querySelector('#symbol h2').innerText,
  results: [...document.querySelectorAll('.result')].map((result) => [{...result.dataset}, result.innerText]),
  lines: [...document.querySelectorAll('.step > :last-child')].map((line) => line.innerText),
  notes: [...document.querySelectorAll('#symbol .note')].map((note) => note.innerText).join(' '),
  rows: [...document.querySelectorAll('#symbol tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText)),
  marked: [...document.querySelectorAll('#code .marked')].map((line) => line.innerText),
  formulas: document.querySelectorAll('.sheet .formula').length,
  text: document.getElementById('symbol').innerText + document.getElementById('drawing').textContent,
  isCut: document.documentElement.scrollWidth > window.innerWidth,
  hands: document.querySelectorAll('.hand').length,
  cutCode: [...document.querySelectorAll('#code pre')].filter((code) => code.scrollWidth > code.clientWidth).length,
  outside: [...document.querySelectorAll('.node')].filter(reachesOut).map((node) => node.textContent),
})"""


FIRST_PAINT = """new Promise((found) => new PerformanceObserver((list) =>
  found(list.getEntries()[0].startTime)).observe({type: 'paint', buffered: true}))"""

ROWS_ALONE = ("Backward: weight gradients", "Update")  # the stages with a table, but without a result in the last line


@pytest.fixture
def opened(visit, tmp_path):
    """Returns a function that writes the web page of a trace, and opens the page in the browser."""

    def open_(trace, **options):
        trace.page(tmp_path / "step.html", learning_rate=RATE)
        return visit(tmp_path / "step.html", **options)

    return open_


def walked(page):
    """Walks through the page with the right arrow key, and returns the values that the page shows at each stage."""
    page.evaluate(COLLECT)
    page.evaluate("window.found = [collect()]; document.addEventListener('keyup', () => found.push(collect()))")
    for _ in range(int(page.locator("#slider").get_attribute("max"))):
        page.keyboard.press("ArrowRight")
    assert page.locator("#next").is_disabled()
    shown = page.evaluate("found")
    assert [stage["number"] for stage in shown] == list(range(len(shown)))
    return shown


def visited(page):
    """Returns the values that the page shows at each stage; a script selects the stages, which is faster than pressing keys."""
    page.evaluate(COLLECT)
    return page.evaluate("stages.map((_, number) => { go(number); return collect(); })")


PLAIN = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")


def plain(text):
    """Translates a formula on the page to Python: with e instead of powers of ten, and with Python's operators."""
    text = re.sub(" \N{MULTIPLICATION SIGN} 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda match: "e" + match[1].translate(PLAIN), text)
    return text.replace("·", "*").replace("\N{MINUS SIGN}", "-").replace("²", "**2")


def calculated(text):
    """Returns the value of an expression of numbers, such as "2 · 3 + 1", or None if the text contains symbols."""
    text = re.sub(r"(?<=[\d.)]) *\(", "*(", plain(re.sub(r"\(\d+ more \w+\)|\s", " ", text)))
    return eval(text) if set(NUMBER.sub("", text)) <= set("-+*/() ") else None


def results(shown):
    """Returns a dict of the results that the page shows at all stages, with keys (symbol, layer, input, neuron)."""
    names = ("layer", "input", "neuron")
    return {
        (marks["symbol"], *(int(marks[name]) if name in marks else None for name in names)): float(plain(text))
        for stage in shown
        for marks, text in stage["results"]
    }


def test_the_published_example_is_found_at_its_symbols(opened):
    page = opened(mazur())
    shown = walked(page)
    found = results(shown)
    for key, published in PUBLISHED.items():
        decimals = len(str(published).partition(".")[2])
        assert round(found[key], decimals) == float(f"{published:.9g}"), key  # the page shows nine significant digits
    for key, published in PUBLISHED_HALVES.items():
        assert abs(found[key] / 2 - published) < 0.6e-9, key
    assert shown[0]["lines"][1] == "0.15 · 0.05 + 0.2 · 0.1 + 0.35"
    assert "z_j += weighted_input(w[i, j], x[s, i])" in shown[0]["marked"][0]
    phases = [stage["title"].partition(":")[0] for stage in shown]
    assert list(dict.fromkeys(phases)) == ["Forward", "Loss", "Backward", "Update"]


@each("name, n", [*((name, 2) for name in NETWORKS), ("mse-tanh", 1), ("cce-softmax", 1), ("sse-relu", 9)])
def test_the_numbers_that_are_written_out_give_the_result(name, n, opened):
    count = 0
    for stage in visited(opened(traced(name, n))):
        assert stage["formulas"] and stage["marked"] and not stage["isCut"] and stage["hands"]
        assert not stage["cutCode"] and not stage["outside"]
        assert not re.search(r"undefined|NaN|\[object|function", stage["text"])
        values = [[row[-2] if len(row) == 3 else row[1] + row[2], row[-1]] for row in stage["rows"]]
        values += [line for line in pairwise(stage["lines"]) if stage["results"] and not stage["title"].startswith(ROWS_ALONE)]
        for line, result in values:
            if (value := calculated(line)) is not None:
                np.testing.assert_allclose(value, calculated(result), rtol=2e-6, atol=1e-8, err_msg=f"{stage['title']}: {line}")
                count += 1
    assert count > 50


@each("name", ["sse-relu", "mse-tanh", "bce-sigmoid", "cce-softmax"])
@each("n", [1, 3, 5])
def test_the_loss_of_a_batch_follows_from_the_numbers_before_it(n, name, opened):
    """The stages of each sample show its terms of the loss L, in symbols and numbers; a later stage adds up all terms."""
    trace = traced(name, n)
    page = opened(trace)
    page.evaluate(COLLECT)
    terms = {}  # the terms of the samples that the stage about the batch lists
    loss = page.evaluate("stages.map((stage, number) => [stage.kind, number]).filter(([kind]) => /term|loss/.test(kind))")
    for s in range(min(n, 3)):
        page.locator("#samples").evaluate("(at) => { at.hidden = false; }")
        page.locator("#sample").select_option(str(s))
        stages = [page.evaluate(f"(go({number}), collect())") for kind, number in loss if kind == "term"]
        terms[s] = [stage["lines"][-1] for stage in stages]
        shares = {(stage["lines"][0].count("1/n"), stage["lines"][1].count(f"1/{n}")) for stage in stages}
        assert shares == {(1, 1) if n > 1 and name != "sse-relu" else (0, 0)}
        assert all((f"n = {n} is the number of samples" in stage["notes"]) == ((1, 1) in shares) for stage in stages)
    last = page.evaluate(f"(go({loss[-1][1]}), collect())")
    assert calculated(last["lines"][-1]) == pytest.approx(trace.loss, rel=1e-8)
    if n == 1:
        assert last["lines"][-2] == " + ".join(terms[0]) and not last["rows"]
        return
    assert [row[1] for row in last["rows"]] == [" + ".join(terms[s]) for s in range(3)]
    assert last["lines"][-2].startswith(" + ".join(row[2] for row in last["rows"]))
    assert re.sub(r"\s", "", last["lines"][1]) == "+".join(["Ls=1", "Ls=2", "Ls=3", *["…"] * (n > 3)])
    assert ("choose the sample" in last["notes"]) == (n > 3)


def test_a_network_for_digits(opened):
    x, y, _, _ = load_digits()
    net = Network([64, 32, 10], ["relu", "softmax"], "cce", seed=0, kernels="reference")
    trace = net.trace(x[:3], y[:3])
    page = opened(trace)
    assert page.evaluate(FIRST_PAINT) < 1000  # milliseconds
    page.keyboard.press("ArrowRight")
    assert page.locator("#symbol h2").inner_text() == "Forward: activation, neuron 1 of layer 1"
    page.keyboard.press("End")
    assert page.locator("#symbol h2").inner_text() == "Update: new weights and bias, neuron 10 of layer 2"
    shown = visited(page)
    found = results(shown)
    for l in (1, 2):
        for symbol in ("z", "a", "delta"):
            for j, expected in enumerate(getattr(trace, symbol)[l - 1][0], start=1):
                assert np.float32(found[symbol, l, None, j]) == expected
    last = {key: value for key, value in found.items() if key[0] == "w_after" and key[1] == 2}
    assert len(last) == 60  # the page shows a window of 6 weights for each of the 10 neurons
    for (_, _, i, j), value in last.items():
        np.testing.assert_allclose(value, trace.w[1][i - 1, j - 1] - RATE * trace.dw[1][i - 1, j - 1], rtol=1e-5, atol=1e-7)
    assert not any(stage["isCut"] for stage in shown)


def test_windows_of_wide_layers_move(opened):
    net = Network([20, 12, 2], "tanh", "mse", seed=0, kernels="reference")
    page = opened(net.trace(np.arange(20.0)[np.newaxis] / 20, [[0, 1]]))
    assert "x₁" in page.locator("#net").text_content() and "14 more terms" in page.locator("#symbol").inner_text()
    page.locator("#window-0-later").press("Enter")
    page.locator("#window-0-later").press("Enter")
    assert page.evaluate("document.activeElement.id") == "window-0-later"
    assert "13\N{EN DASH}18 of 20" in page.locator("#columns").inner_text()
    assert "0.6" in page.locator(".step").nth(1).inner_text()  # x_13
    page.locator("#window-0-later").press("Enter")
    assert "15\N{EN DASH}20 of 20" in page.locator("#columns").inner_text() and page.locator("#window-0-later").is_disabled()
    page.evaluate("go(2 * 9)")  # the window of layer 1 moves to the neuron of the current stage
    assert "5\N{EN DASH}10 of 12" in page.locator("#columns").inner_text() and page.locator(".node.hand").count() == 1


def test_keys_slider_phases_and_samples(opened):
    page = opened(traced("cce-softmax", 3))
    last = int(page.locator("#slider").get_attribute("max"))

    def here():
        return page.evaluate("state.number")

    for key, expected in (("End", last), ("ArrowRight", last), ("ArrowLeft", last - 1), ("Home", 0), ("ArrowLeft", 0)):
        page.keyboard.press(key)
        assert here() == expected
    page.locator("#slider").focus()
    page.keyboard.press("ArrowRight")
    assert here() == 1 and "stage 2 of" in page.locator("#slider").get_attribute("aria-valuetext")
    page.get_by_role("button", name="Backward").click()
    assert page.locator("#symbol h2").inner_text().startswith("Backward: error term, neuron 1 of layer 2")
    assert page.locator("#phases [aria-current=step]").inner_text() == "Backward"
    before = page.locator(".result").inner_text()
    page.locator("#sample").select_option("1")
    assert page.locator(".result").inner_text() != before and page.locator(".result").get_attribute("data-sample") == "2"


def test_a_weight_shows_both_of_its_ends(opened):
    page = opened(mazur())
    page.evaluate("go(4)")
    edge = page.locator(".edge.work:not(.bias)").nth(1)
    x, y = page.evaluate(
        "(() => { const line = document.querySelectorAll('.edge.work:not(.bias) .line')[1];"
        "const point = line.getPointAtLength(0.3 * line.getTotalLength()).matrixTransform(line.getScreenCTM());"
        "return [point.x, point.y]; })()"
    )
    for begin, end in (
        (edge.focus, edge.blur),
        (lambda: page.mouse.move(x, y), lambda: page.mouse.move(0, 0)),
    ):
        begin()
        assert page.locator(".node.end .name").all_text_contents() == ["a₂", "z₁"]
        readout = page.locator("#readout").inner_text()
        assert "0.45" in readout and "neuron 2 of layer 1" in readout and "neuron 1 of layer 2" in readout
        assert edge.get_attribute("aria-label").startswith("w 21 = 0.45, from neuron 2 of layer 1, a 2 = 0.5969")
        end()
        assert page.locator(".node.end").count() == 0 and page.locator("#readout").inner_text() == ""


def test_the_focus_is_visible_everywhere(opened):
    page = opened(mazur())
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        name, outline, halo = page.evaluate(
            "(() => { const at = document.activeElement, reach = at.querySelector('.reach');"
            "return [at.id || at.className.baseVal || at.tagName, getComputedStyle(at).outlineStyle,"
            "reach ? getComputedStyle(reach).strokeOpacity !== '0' && getComputedStyle(reach).stroke : '']; })()"
        )
        if name == "BODY":
            break
        seen.append(name)
        assert outline == "solid" or (halo and halo != "rgba(0, 0, 0, 0)"), name
    assert {"slider", "next"} <= set(seen) and sum("edge" in name for name in seen) == 3


@each("scheme", ["light", "dark"])
def test_text_has_contrast(scheme, opened):
    page = opened(mazur(), color_scheme=scheme)
    page.keyboard.press("ArrowRight")

    ground = luminance(page.evaluate("getComputedStyle(document.getElementById('symbol')).backgroundColor"))
    assert (ground < 0.5) == (scheme == "dark")
    for selector in ("#symbol h2", ".result", ".computed", "#code pre", "#code .docstring", "#count", "#columns span"):
        text = luminance(page.evaluate(f"getComputedStyle(document.querySelector({selector!r})).color"))
        assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) >= 4.5, selector


@each("width", [360, 768, 1440])
def test_the_page_fits_into_the_window(width, opened):
    page = opened(traced("mse-softmax", 3), viewport={"width": width, "height": 800})
    assert not any(stage["isCut"] or stage["cutCode"] for stage in visited(page))


def test_small_numbers_fit_into_their_circles(opened):
    net = Network([3, 3], "identity", "sse", dtype="float64", seed=0, kernels="reference")
    for scale in (1e-2, 1e-12, 1e6):
        numbers = -scale * np.array([0.76543, 0.99999, 0.10101])
        for stage in visited(opened(net.trace([numbers], [numbers]))):
            assert not stage["outside"]


def test_the_error_term_of_a_hidden_neuron_names_its_layers(opened):
    page = opened(mazur())
    page.evaluate("go(20)")
    assert page.locator("#symbol h2").inner_text() == "Backward: error term, neuron 2 of layer 1"
    symbols = re.sub(r"\s", "", page.locator(".step").first.text_content())
    assert symbols == "=(w(2)21δ(2)1+w(2)22δ(2)2)·da(1)2/dz(1)2"


def boxes_of(page, selector):
    """Returns the bounding boxes of all elements with the CSS selector `selector`, in one call of the browser."""
    script = "selector => [...document.querySelectorAll(selector)].map(element => element.getBoundingClientRect().toJSON())"
    return page.evaluate(script, selector)


@each("width", [360, 390, 640])
def test_on_a_phone_a_network_is_visible_as_a_whole(width, opened):
    page = opened(traced("mse-tanh", 3), viewport={"width": width, "height": 800})
    page.evaluate(COLLECT)
    assert page.evaluate("document.querySelector('.scroll').scrollWidth <= document.querySelector('.scroll').clientWidth")
    section = page.locator(".scroll").bounding_box()
    for number in page.evaluate("stages.map((_, number) => number)")[::4]:
        assert not page.evaluate(f"(go({number}), collect())")["outside"]
        boxes = boxes_of(page, "#net text:not(:empty)")
        assert min(box["x"] for box in boxes) >= section["x"] and max(box["height"] for box in boxes) >= 12
        assert max(box["x"] + box["width"] for box in boxes) <= section["x"] + section["width"] + 0.5
        circles = boxes_of(page, ".node:not(.one) .body")
        for box in boxes_of(page, "#net .label"):
            level = [
                circle for circle in circles if abs(circle["y"] + circle["height"] / 2 - box["y"] - box["height"] / 2) < 12
            ]
            over = [min(box["x"] + box["width"], at["x"] + at["width"]) - max(box["x"], at["x"]) for at in level]
            assert max(over, default=0) < 3


def test_a_turned_phone_draws_the_network_anew(opened):
    page = opened(mazur(), viewport={"width": 390, "height": 800})
    assert page.locator("#net").get_attribute("viewBox").split()[2] != "700"
    page.set_viewport_size({"width": 800, "height": 390})
    page.wait_for_function("document.getElementById('net').getAttribute('viewBox').split(' ')[2] === '700'")


@each("width", [390, 800])
def test_a_deep_network_scrolls_to_the_layer_in_hand_and_to_its_inputs(width, opened):
    net = Network([2] * 9, "tanh", "mse", seed=0, kernels="reference")
    page = opened(net.trace([[0.5, -1]], [[0, 1]]), viewport={"width": width, "height": 800})
    assert page.evaluate("getComputedStyle(document.querySelector('.scroll')).backgroundAttachment").count("local") == 2
    for number in page.evaluate("stages.map((stage, number) => number).filter((number) => number % 9 === 0)"):
        page.evaluate(f"go({number})")
        section = page.locator(".scroll").bounding_box()
        for at in [page.locator(".node.hand .body").first, *page.locator(".work .line").all()]:
            box = at.bounding_box()
            assert section["x"] <= box["x"] and box["x"] + box["width"] <= section["x"] + section["width"]
