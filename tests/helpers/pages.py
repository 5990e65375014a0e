"""Extracts the code blocks of the README and of the pages in docs/.

A comment before a block tells the tests how to run the block.

`python -m tests.helpers.pages FOLDER` writes the Python code of all pages to files in FOLDER, for `pyright -p FOLDER`.
"""

import importlib.util
import json
import os
import re
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

from numbanet import _cuda

ROOT = Path(__file__).resolve().parents[2]  # resolve(), because `tests` may be a symbolic link
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:^ *<!-- ([^\n]+) -->\n)?^( *)```(\w+)\n(.*?)^\2```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A code block of a page: the comment before the block (`note`), the language, and the code."""

    note: str
    language: str
    code: str

    def can_run(self) -> bool:
        """Returns True if the tests should run the block together with its page, and can run it with the installed packages."""
        needed = self.note.removeprefix("needs ").split(", ") if self.note.startswith("needs ") else []
        return not self.note.startswith(("not run", "quoted", "run by")) and all(map(is_there, needed))

    def is_script(self) -> bool:
        """Returns True if the block is a separate script, which the tests run with mpiexec."""
        return self.note == "run by mpiexec"

    def is_part(self) -> bool:
        """Returns True if the block is not a complete program, but a quotation from a file or some lines to copy."""
        return self.quoted() is not None or self.note == "not run: a recipe"

    def quoted(self) -> str | None:
        """Returns the path of the file that the block quotes, or None."""
        return self.note.removeprefix("quoted from ") if self.note.startswith("quoted from ") else None


def is_there(name: str) -> bool:
    """Returns True if the package `name` is installed or, if `name` is "GPU", if this process can use a GPU."""
    return _cuda.unusable_reason() is None if name == "GPU" else importlib.util.find_spec(name) is not None


def blocks_of(page: Path) -> list[Block]:
    """Returns the code blocks of a page in their order on the page."""
    return [Block(note, language, textwrap.dedent(code)) for note, _, language, code in BLOCK.findall(page.read_text())]


# Modules whose type annotations would make pyright reject correct examples, such as `cuda.grid(1)`.
UNTYPED = ["numba/__init__", "onnxruntime/__init__", "sklearn/__init__", "sklearn/neural_network"]
STUB = "from typing import Any\n\ndef __getattr__(name: str) -> Any: ...\n"


def write_examples(folder: Path) -> None:
    """Writes the Python blocks of each page to one file, because the blocks of a page share a namespace.

    A block that is a separate script gets its own file. In the folder, pyright uses the rules of pyproject.toml, and finds
    numbanet as an installed package, as in a user's project.
    """
    folder.mkdir(parents=True)
    extends = os.path.relpath(ROOT / "pyproject.toml", folder)
    (folder / "pyrightconfig.json").write_text(json.dumps({"extends": extends, "include": ["."]}))
    for module in UNTYPED:
        (folder / module).parent.mkdir(exist_ok=True)
        (folder / f"{module}.pyi").write_text(STUB)
    for page in PAGES:
        blocks = [block for block in blocks_of(page) if block.language == "python" and not block.is_part()]
        scripts = [block.code for block in blocks if block.is_script()]
        shared = "\n".join(block.code for block in blocks if not block.is_script())
        for number, code in enumerate([shared, *scripts] if shared else scripts):
            (folder / f"{page.stem.lower().replace('-', '_')}_{number}.py").write_text(code)


if __name__ == "__main__":
    write_examples(Path(sys.argv[1]))
