"""Opens pages in Chromium.

The tests in a browser need the package playwright (the extra `browser`) and Chromium; without them, pytest skips these tests.
"""

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """Returns a function that opens a file in the browser; after the test, checks that there were no requests and no errors."""
    requests, faults, contexts, addresses = [], [], [], set()

    def open_(path, **options):
        contexts.append(context := browser.new_context(offline=True, **options))
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        addresses.add(path.as_uri())
        page.goto(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert faults == [] and set(requests) <= addresses
