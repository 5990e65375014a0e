"""In docs/architecture.md, the tree of files and the drawing of the folders match the package."""

import re

from tests.helpers.pages import ROOT
from tests.test_house import FILES, MAY_IMPORT, PACKAGE

PAGE = (ROOT / "docs" / "architecture.md").read_text()


def block_after(heading: str) -> list[str]:
    """Returns the lines of the first `text` block after a heading."""
    section = PAGE[PAGE.index(f"\n## {heading}\n") :]
    return re.search(r"^```text\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)[1].splitlines()


def test_the_tree_names_every_module():
    """If the tree in docs/architecture.md names one module of a folder, the tree must name all modules of the folder."""
    path, modules, folders = [], set(), set()
    for line in block_after("The tree")[1:]:
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        path = [*path[: depth - 1], name]
        (modules if name.endswith(".py") else folders).add("".join(path))
    in_package = {file.relative_to(PACKAGE).as_posix() for file in FILES}
    opened = {module.rpartition("/")[0] for module in modules}
    expected = {file for file in in_package if file.rpartition("/")[0] in opened and not file.endswith("/__init__.py")}
    assert modules == expected
    assert {folder.rstrip("/") for folder in folders} == {file.rpartition("/")[0] for file in in_package} - {""}


def test_the_drawing_shows_rooms_above_those_they_import():
    layers = [[room for room in line.split("  ") if room.strip() in MAY_IMPORT] for line in block_after("Who may import whom")]
    layer_of = {room.strip(): number for number, layer in enumerate(layers) for room in layer}
    assert layer_of.keys() == MAY_IMPORT.keys()
    assert not [(room, target) for room in MAY_IMPORT for target in MAY_IMPORT[room] if layer_of[target] <= layer_of[room]]
