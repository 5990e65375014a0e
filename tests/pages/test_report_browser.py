"""Opened in Chromium, the reports of a classification and a regression are complete, legible, and usable with the keyboard."""

import pytest

from numbanet.cli import main
from tests.helpers import penguins
from tests.helpers.colours import luminance
from tests.helpers.engines import each

pytest.importorskip("matplotlib")

TARGETS = ("species", "body_mass_g")
REPORTS = (*TARGETS, "digits")
TITLES = [
    "Data",
    "Network and settings",
    "Learning curves",
    "Results",
    "Largest errors",
    "Importance of the columns",
    "Time and machine",
    "Repeat",
]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Trains on each target of the penguins; returns a dict from the targets to the paths of the reports."""
    folder = tmp_path_factory.mktemp("reports")
    for target in TARGETS:
        penguins.train(target, folder)
    files = [f"--report={folder / 'digits.html'}", "-o", str(folder / "digits.npz")]
    assert main(["train", "digits", "--epochs", "1", "--hidden", "8", *files]) == 0
    return {name: folder / f"{name}.html" for name in REPORTS}


@each("target", REPORTS)
def test_every_section_is_found_and_reached_by_keyboard(target, reports, visit):
    page = visit(reports[target])
    assert page.locator("section h2").all_inner_texts() == TITLES == page.locator("nav a").all_inner_texts()
    for title in TITLES:
        assert page.get_by_role("region", name=title, exact=True).count() == 1
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.innerText") == title
        page.keyboard.press("Enter")
        assert page.evaluate("document.querySelector(':target h2').innerText") == title
        page.locator("nav a", has_text=title).focus()
    pictures = {"species": 5, "body_mass_g": 6, "digits": 5}[target]  # network, curves, importance; residuals; samples
    assert page.get_by_role("img").count() == pictures
    for picture in page.get_by_role("img").all():
        assert picture.get_attribute("aria-label") and min(picture.bounding_box()[side] for side in ("width", "height")) > 100


@each("width", [360, 768, 1280])
@each("target", REPORTS)
def test_a_report_fits_into_the_window(width, target, reports, visit):
    page = visit(reports[target], viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = page.evaluate("[...document.querySelectorAll('table')].map((table) => table.closest('.wide').tabIndex)")
    assert len(boxes) > 4 and set(boxes) == {0}  # a table that is too wide scrolls, and the keyboard reaches it
    sizes = page.evaluate(
        "[...document.querySelectorAll('svg text')].map((at) => at.ownerSVGElement.getScreenCTM().a"
        " * parseFloat(getComputedStyle(at).fontSize))"
    )
    assert len(sizes) > 50 and min(sizes) > 7.5  # in pixels; a picture with smaller letters is wider than a phone, and scrolls
    names = page.evaluate("[...document.querySelectorAll('.wide')].map((at) => at.getAttribute('aria-label'))")
    assert len(set(names)) == len(names) and all(name.startswith("Table: ") for name in names)


@each("scheme", ["light", "dark"])
@each("target", REPORTS)
def test_text_has_contrast(scheme, target, reports, visit):
    page = visit(reports[target], color_scheme=scheme)
    ground = luminance(page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor"))
    assert (ground < 0.5) == (scheme == "dark")
    styles = page.evaluate(
        "[...document.querySelectorAll('h2, p, th, td, dt, dd, code, a, caption, svg text')].map((at) => "
        "[at.outerHTML.slice(0, 80), getComputedStyle(at)[at.closest('svg') ? 'fill' : 'color'],"
        " getComputedStyle(at).backgroundColor])"
    )
    assert len(styles) > 200
    for text, colour, behind in styles:
        if not behind.startswith("color("):  # the shaded cells of the confusion matrix
            darker, lighter = sorted([luminance(colour), ground])
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, colour)


def test_a_printed_report_is_dark_on_white(reports, visit):
    page = visit(reports["species"], color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("nav").is_hidden() and page.locator("section").count() == len(TITLES)
    assert luminance(page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")) > 0.95
    assert luminance(page.evaluate("getComputedStyle(document.querySelector('section p')).color")) < 0.05


def test_cells_of_the_confusion_matrix_have_contrast(reports, visit):
    for scheme in ("light", "dark"):
        page = visit(reports["species"], color_scheme=scheme)
        shades = page.evaluate(
            "[...document.querySelectorAll('.confusion td')].map((at) => {"
            " const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});"
            " const styles = getComputedStyle(at);"
            " return [styles.color, styles.backgroundColor].map((colour) => { canvas.fillStyle = colour;"
            " canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data.slice(0, 3).join(','); }); })"
        )
        assert len(shades) == 9
        for text, ground in shades:
            darker, lighter = sorted([luminance(text), luminance(ground)])
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (scheme, text, ground)
