"""What README says is what happens."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from numbanet import _cuda
from numbanet.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
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


def test_a_table_takes_three_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    commands = [shlex.split(line.removeprefix(".venv/bin/numbanet ")) for line in block("tables").splitlines()]
    assert [command[0] for command in commands] == ["train", "evaluate", "predict"]
    for command in commands[:2]:
        assert main(command) == 0
    found, shown = capsys.readouterr().out.splitlines()[-1], block("tables-output").strip()
    assert NUMBER.sub("#", found) == NUMBER.sub("#", shown)
    assert [float(n) for n in NUMBER.findall(found)] == pytest.approx([float(n) for n in NUMBER.findall(shown)], abs=0.02)
    assert main(commands[2]) == 0
    answers = (tmp_path / "answers.csv").read_text().splitlines()
    assert answers[0] == "species" and len(answers) == 69 and set(answers[1:]) == {"Adelie", "Chinstrap", "Gentoo"}


def test_every_python_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    runnable = [code for code in blocks if "import" in code]
    assert len(runnable) == 3
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    with contextlib.redirect_stdout(io.StringIO()):
        for code in runnable:
            exec(code, {})


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target


def test_the_quoted_loop_is_the_one_there_is():
    from numbanet.equations import backprop

    source = Path(backprop.__file__).read_text()
    quoted = re.search(r"```python\n(@njit.*?)```", README, re.DOTALL)[1]
    body = [line for line in quoted.splitlines() if '"""' not in line]
    assert "\n".join(body[2:]) in source
