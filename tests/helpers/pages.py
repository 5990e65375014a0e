"""README and the pages of docs/: their blocks of code, and the comments that say how each is run.

`python -m tests.helpers.pages FOLDER` writes the Python of every page into files there, for `pyright -p FOLDER`.
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

ROOT = Path(__file__).resolve().parents[2]  # `tests` may be a link
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:^ *<!-- ([^\n]+) -->\n)?^( *)```(\w+)\n(.*?)^\2```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """Code of a page, its language, and the comment before it."""

    note: str
    language: str
    code: str

    def can_run(self) -> bool:
        """True if the block is to be run in its page's namespace, and all that it needs is installed."""
        needed = self.note.removeprefix("needs ").split(", ") if self.note.startswith("needs ") else []
        return not self.note.startswith(("not run", "quoted", "run by")) and all(map(is_there, needed))

    def is_script(self) -> bool:
        """True if the block is a script of its own, which mpiexec runs."""
        return self.note == "run by mpiexec"

    def is_part(self) -> bool:
        """True if the block is no program by itself: a quotation, or lines of a recipe."""
        return self.quoted() is not None or self.note == "not run: a recipe"

    def quoted(self) -> str | None:
        """The file that the block quotes."""
        return self.note.removeprefix("quoted from ") if self.note.startswith("quoted from ") else None


def is_there(name: str) -> bool:
    """True if a package is installed; `GPU` is true if there is a usable one."""
    return _cuda.unusable_reason() is None if name == "GPU" else importlib.util.find_spec(name) is not None


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    return [Block(note, language, textwrap.dedent(code)) for note, _, language, code in BLOCK.findall(page.read_text())]


# Their types refuse what the examples do with them, such as `cuda.grid(1)` and the difference of two predictions.
UNTYPED = ["numba/__init__", "onnxruntime/__init__", "sklearn/__init__", "sklearn/neural_network"]
STUB = "from typing import Any\n\ndef __getattr__(name: str) -> Any: ...\n"


def write_examples(folder: Path) -> None:
    """Writes the Python of each page into one file, since its blocks share a namespace, and each script into its own.

    Pyright takes the rules of pyproject.toml, and the package as its users see it: installed.
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
