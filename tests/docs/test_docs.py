"""The examples in the README and in docs/ print the output that the pages show, quotations match the source, and links work.

The Python blocks and the `numbanet` commands of a page run in their order on the page. All blocks of a page share one namespace
and one folder. A `text` block after a Python block or a command shows lines that the block or command prints. A comment in the
line before a block describes how the test treats the block:

`needs torch, GPU`: the block is skipped if the package torch or a GPU is missing. `quoted from FILE`: the block is not run;
FILE must contain the lines of the block, apart from docstrings. `run by mpiexec`: the block is a separate script, which two
processes run in `test_mpi.py`. `not run: WHY`: the block is not run; with `not run: a recipe`, the block contains lines that
are not a complete program.

The pages with the comment `runs in the simulator` run in Numba's simulator, together in a separate process. The functions that
these pages compile are cached until the page, numbanet or Numba changes.
"""

import ast
import contextlib
import hashlib
import io
import json
import linecache
import os
import re
import shlex
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest

from numbanet._compile.cache import FunctionCache
from numbanet.cli import main
from tests.helpers.engines import each
from tests.helpers.pages import BLOCK, PAGES, ROOT, Block, blocks_of

NUMBER = re.compile(r"-?\d+\.\d*(?:e[+-]\d+)?|-?\d+")
SECONDS = re.compile(r"\d+\.\d+ s$")
IMAGE = re.compile(r"!\[[^]]*\]\(([^)]+\.png)\)")
LINK = re.compile(r"""(?:\]\(|(?:src|href)=")(?!http|#)([^)#"]+)""")


def commands_of(code: str) -> list[list[str]]:
    """Returns the arguments of every call of the command `numbanet` in the shell commands `code`."""
    parts = [shlex.split(part, comments=True) for line in code.splitlines() for part in line.split("&&")]
    return [part[1:] for part in parts if part and Path(part[0]).name == "numbanet"]


def run(page: Path) -> None:
    """Runs all blocks of a page that can be run, in the current folder."""
    names, printed = {"__name__": "__main__"}, None
    for block in blocks_of(page):
        if block.language == "text" and printed is not None:
            shows(page.name, block.code, printed)
        elif block.language in ("python", "sh"):
            printed = printed_by(block, page.name, names) if block.can_run() else None


def printed_by(block: Block, page: str, names: dict) -> str | None:
    """Runs a block of a page and returns its output, or None if a shell block does not call the command `numbanet`."""
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
    """Fails unless the output contains all lines that the page shows, in the same order."""
    lines = iter(printed.splitlines())
    for line in shown.splitlines():
        assert any(alike(line, candidate) for candidate in lines), f"{name} shows {line!r}, not in order in:\n{printed}"


def alike(one: str, other: str) -> bool:
    """Returns True if two lines are equal apart from times and from the rounding errors of different processors."""
    one, other = SECONDS.sub("", one).rstrip(), SECONDS.sub("", other).rstrip()
    numbers = [[float(number) for number in NUMBER.findall(line)] for line in (one, other)]
    return NUMBER.sub("#", one).split() == NUMBER.sub("#", other).split() and numbers[0] == pytest.approx(numbers[1], abs=0.02)


@each("page", [pytest.param(page, id=page.name) for page in PAGES if "```" in page.read_text()])
def test_a_page_does_what_it_says(page, tmp_path, monkeypatch, request):
    if page in IN_SIMULATOR:
        assert not request.getfixturevalue("failures_in_simulator")[page.name]
        return
    monkeypatch.chdir(tmp_path)
    prepare_folder()
    run(page)
    same_sizes(page)


IN_SIMULATOR = [page for page in PAGES if "<!-- runs in the simulator -->" in page.read_text()]


@pytest.fixture(scope="module")
def failures_in_simulator(tmp_path_factory):
    """Runs the pages marked `runs in the simulator` in one process; returns each page's traceback or an empty string."""
    folder = tmp_path_factory.mktemp("simulator")
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(ROOT)}
    code = "from tests.docs.test_docs import run_in_simulator; run_in_simulator()"
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=folder, check=True)
    return json.loads((folder / "failures.json").read_text())


def run_in_simulator() -> None:
    """Runs the pages marked `runs in the simulator`, each in its own folder, and writes their tracebacks to failures.json."""
    folder, failures = Path.cwd(), {}
    for page in IN_SIMULATOR:
        (folder / page.stem).mkdir()
        os.chdir(folder / page.stem)
        prepare_folder()
        try:
            with compiled_functions_cached(page):
                run(page)
            failures[page.name] = ""
        except Exception:
            failures[page.name] = traceback.format_exc()
    (folder / "failures.json").write_text(json.dumps(failures))


@contextlib.contextmanager
def compiled_functions_cached(page: Path) -> Iterator[None]:
    """Returns a context manager in which `@numba.njit` stores the machine code of a page's functions in the compile cache.

    The tutorial's functions take three seconds to compile. `FunctionCache` does not notice if a function that a cached function
    calls has changed. The hash of the whole page in the key therefore replaces the cached code after every edit of the page.
    """
    numba_njit, stamp = numba.njit, hashlib.sha256(page.read_bytes()).hexdigest()

    class PageCache(FunctionCache):
        def _key(self, sig, codegen):
            return stamp, *super()._key(sig, codegen)

    def njit(function=None, **options):
        if function is None:
            return numba_njit(**options)
        dispatcher = numba_njit(function)
        dispatcher._cache = PageCache(function, counts_references=True)
        return dispatcher

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba, "njit", njit)
        yield


def prepare_folder() -> None:
    """Makes links in the current folder to the folders `docs` and `tests`, from which the examples of pages read files."""
    Path("docs").symlink_to(ROOT / "docs")
    Path("tests").symlink_to(ROOT / "tests")


def same_sizes(page: Path) -> None:
    """Fails if a picture on a page has a different size than the picture that the code of the page has just drawn."""
    pixels = slice(16, 24)  # the bytes of a PNG file that contain its width and height
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
    """Returns the code without any indentation."""
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
    same = library.keys() & tutorial.keys()  # the tutorial's other functions are versions between the loop and the fast tile
    assert len(same) == 9
    assert {name: library[name] for name in same} == {name: tutorial[name] for name in same}


@each("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_every_link_leads_somewhere(page):
    for target in LINK.findall(BLOCK.sub("", page.read_text())):
        assert (page.parent / target).exists(), target
