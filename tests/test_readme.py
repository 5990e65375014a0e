"""What README says is what happens."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from numbanet import _cuda

README = (Path(__file__).parents[1] / "README.md").read_text()
NUMBER = re.compile(r"\d+\.\d+")

pytestmark = pytest.mark.skipif(_cuda.SIMULATED, reason="trains on the CPU")


def block(marker):
    """The code block that follows a marker."""
    return re.search(rf"<!-- {marker} -->\n```\w+\n(.*?)```", README, re.DOTALL)[1]


def test_the_example_prints_what_readme_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(block("example"), {})
    lines = printed.getvalue().splitlines()
    assert len(lines) == 31
    for found, shown in zip([lines[0], *lines[-2:]], block("output").splitlines(), strict=True):
        found, shown = (re.sub(r"[\d.]+ s$", "", line) for line in (found, shown))
        assert NUMBER.sub("#", found) == NUMBER.sub("#", shown)
        # Another processor's exp may round otherwise, and an epoch magnifies it.
        assert [float(n) for n in NUMBER.findall(found)] == pytest.approx([float(n) for n in NUMBER.findall(shown)], abs=0.02)
    assert (tmp_path / "digits.npz").exists()


def test_every_python_block_runs(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    runnable = [code for code in blocks if "import" in code]
    assert len(runnable) == 4
    with contextlib.redirect_stdout(io.StringIO()):
        for code in runnable:
            exec(code, {})
    pixels = slice(16, 24)  # of a PNG: width and height
    committed = Path(__file__).parents[1] / "docs" / "digits.png"
    assert (tmp_path / "digits.png").read_bytes()[pixels] == committed.read_bytes()[pixels]


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target


def test_the_quoted_loop_is_the_one_there_is():
    from numbanet.equations import backprop

    source = Path(backprop.__file__).read_text()
    quoted = re.search(r"```python\n(@njit.*?)```", README, re.DOTALL)[1]
    body = [line for line in quoted.splitlines() if '"""' not in line]
    assert "\n".join(body[2:]) in source
