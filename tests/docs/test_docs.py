"""README and docs/: the examples run and print what is shown, quotations match the source, links lead somewhere.

A page's blocks of Python run in their order, in one namespace and a folder of their own, as do its commands `numbanet ...`. A
`text` block behind one shows lines that it prints. A comment in the line before a block says what is special about it:

`needs torch, GPU`: skipped if a package, or a GPU, is missing.
`quoted from FILE`: not run; the file has these lines, apart from docstrings.
`run by mpiexec`: a script of its own, which two processes run in `test_mpi.py`.
`not run: WHY`; `not run: a recipe` has lines that are no program by themselves.

A page with the comment `runs in the simulator` does so, in a process of its own.
"""

import ast
import contextlib
import io
import linecache
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from numbanet.cli import main
from tests.helpers.engines import each
from tests.helpers.pages import BLOCK, PAGES, ROOT, Block, blocks_of

NUMBER = re.compile(r"-?\d+\.\d*(?:e[+-]\d+)?|-?\d+")
SECONDS = re.compile(r"\d+\.\d+ s$")
IMAGE = re.compile(r"!\[[^]]*\]\(([^)]+\.png)\)")
LINK = re.compile(r"\]\((?!http|#)([^)#]+)")


def commands_of(code: str) -> list[list[str]]:
    """The arguments of every command `numbanet` in lines of a shell."""
    parts = [shlex.split(part, comments=True) for line in code.splitlines() for part in line.split("&&")]
    return [part[1:] for part in parts if part and Path(part[0]).name == "numbanet"]


def run(page: Path) -> None:
    """Runs all that can run, in the present folder."""
    names, printed = {"__name__": "__main__"}, None
    for block in blocks_of(page):
        if block.language == "text" and printed is not None:
            shows(page.name, block.code, printed)
        elif block.language in ("python", "sh"):
            printed = printed_by(block, page.name, names) if block.can_run() else None


def printed_by(block: Block, page: str, names: dict) -> str | None:
    """The output of a block; None if it has no command of numbanet."""
    commands = commands_of(block.code) if block.language == "sh" else []
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        if block.language == "python":
            file = f"<{page}, {block.code[:40]}>"
            linecache.cache[file] = len(block.code), None, block.code.splitlines(keepends=True), file  # for inspect.getsource
            exec(compile(block.code, file, "exec"), names)
        for command in commands:
            assert main(command) == 0, f"{page}: numbanet {shlex.join(command)}"
    return stdout.getvalue() if commands or block.language == "python" else None


def shows(name: str, shown: str, printed: str) -> None:
    """Fails unless the lines shown are among those printed, in this order."""
    lines = iter(printed.splitlines())
    for line in shown.splitlines():
        assert any(alike(line, candidate) for candidate in lines), f"{name} shows {line!r}, not in order in:\n{printed}"


def alike(one: str, other: str) -> bool:
    """True if two lines differ only in times, and a little in numbers: another processor's exp may round otherwise."""
    one, other = SECONDS.sub("", one).rstrip(), SECONDS.sub("", other).rstrip()
    numbers = [[float(number) for number in NUMBER.findall(line)] for line in (one, other)]
    return NUMBER.sub("#", one).split() == NUMBER.sub("#", other).split() and numbers[0] == pytest.approx(numbers[1], abs=0.02)


@each("page", [pytest.param(page, id=page.name) for page in PAGES if "```" in page.read_text()])
def test_a_page_does_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("docs").symlink_to(ROOT / "docs")
    Path("tests").symlink_to(ROOT / "tests")
    if "<!-- runs in the simulator -->" not in page.read_text():
        run(page)
        return same_sizes(page)
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(ROOT)}
    code = f"from pathlib import Path; from tests.docs.test_docs import run; run(Path({str(page)!r}))"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def same_sizes(page: Path) -> None:
    """Pictures that a page shows are as large as those that its code has just made."""
    pixels = slice(16, 24)  # of a PNG: width and height
    for image in IMAGE.findall(page.read_text()):
        made = Path(Path(image).name)
        if made.exists():
            assert made.read_bytes()[pixels] == (page.parent / image).read_bytes()[pixels], image


@each("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_what_a_page_quotes_stands_there(page):
    for block in blocks_of(page):
        if file := block.quoted():
            source = textwrap.dedent((ROOT / file).read_text())
            for part in re.split(r'^ *""".*"""\n', block.code, flags=re.MULTILINE):
                assert flush(part) in flush(source), f"{file} has no\n{part}"


def flush(code: str) -> str:
    """Every line without its indentation."""
    return "\n".join(line.strip() for line in code.splitlines())


def test_the_tutorials_functions_are_the_librarys():
    def functions(code):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                node.body = node.body[1:]  # without the docstring
                yield node.name, ast.unparse(node)

    sources = "\n".join(path.read_text() for path in (ROOT / "numbanet" / "equations").glob("*.py"))
    library, blocks = dict(functions(sources)), blocks_of(ROOT / "docs" / "tutorial.md")
    tutorial = dict(functions("\n".join(block.code for block in blocks if block.language == "python")))
    same = library.keys() & tutorial.keys()  # the others are the steps from the loop to the fast tile
    assert len(same) == 9
    assert {name: library[name] for name in same} == {name: tutorial[name] for name in same}


@each("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_every_link_leads_somewhere(page):
    for target in LINK.findall(BLOCK.sub("", page.read_text())):
        assert (page.parent / target).exists(), target
