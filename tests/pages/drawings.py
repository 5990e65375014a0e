"""Draws a picture of the web page that shows a training step: `python -m tests.pages.drawings docs/step.png`.

Look at the picture before you commit it.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.helpers.steps import RATE, mazur
from tests.pages.conftest import CHROMIUM

STAGE = 20  # the error term of a hidden neuron, counted from 0


def draw(path: str, scheme: str = "light") -> None:
    """Writes a picture of the whole web page of Mazur's example, on which the stage STAGE is selected."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        page_path = Path(folder) / "step.html"
        mazur().page(page_path, learning_rate=RATE)
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
        page.goto(page_path.as_uri())
        page.evaluate(f"go({STAGE})")
        page.screenshot(path=path, full_page=True)
        browser.close()


if __name__ == "__main__":
    draw(*sys.argv[1:])
