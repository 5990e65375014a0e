"""Checks of the package's source: imports between its folders, lengths of functions and modules, wording, and annotations."""

import ast
import functools
import io
import re
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numbanet
from numbanet._compile import folder
from tests.helpers.engines import each

PACKAGE = Path(numbanet.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(PACKAGE.rglob("*.py"))
KERNELS = PACKAGE / "engines" / "cpu" / "kernels"  # all code in this folder is compiled, or tells Numba how to compile

# For each room, the other rooms from which it may import. A room is a folder, or a module at the package's root; `numbanet`
# stands for __init__.py, the public interface. docs/architecture.md contains the same table.
SEAMS = {"_compile", "_cuda", "_elementary"}
CORE = {"checks", "engines", "inputs"}
MAY_IMPORT: dict[str, set[str]] = {
    # access to Numba, to CUDA and to optional packages, and checks of single values
    "_extras": set(),
    "_cuda": {"_extras"},
    "_compile": set(),
    "_elementary": {"_compile", "_cuda"},
    "files": {"_extras"},
    "checks": set(),
    # the sheet, and the code that computes with it
    "equations": SEAMS,
    "formulas": {"_compile", "_elementary", "checks", "equations"},
    "engines": SEAMS | {"equations", "formulas"},
    "inputs": {"_cuda", "checks", "engines", "formulas"},
    "training": CORE | {"_compile"},
    "distributed": CORE | {"_compile", "_cuda", "_extras", "training"},
    # data and files
    "datasets": {"checks", "files"},
    "tables": {"_compile", "_extras", "checks", "datasets", "files", "inputs", "training"},
    "persist": CORE | {"_extras", "equations", "files", "formulas", "tables", "training"},
    "pages": {"checks", "engines", "equations", "files"},
    "trace": {"checks", "files", "pages", "persist"},
    "perceptron": CORE | {"files", "formulas", "pages", "persist", "tables", "trace", "training"},
    "fitting": CORE | {"distributed", "persist", "training"},
    "network": CORE | {"distributed", "files", "fitting", "formulas", "perceptron", "persist", "training"},
    # surfaces: what users meet
    "interchange": CORE | {"_extras", "files", "formulas", "network"},
    "evaluation": {"_compile", "_cuda", "_extras", "checks", "engines", "network", "tables", "training"},
    "pictures": CORE
    | {"_extras", "equations", "evaluation", "files", "formulas", "network", "pages", "persist", "tables", "training"},
    "notebook": {"checks", "network", "pages", "perceptron", "pictures", "training"},
    "proof": CORE | {"_cuda", "equations", "network", "persist"},
    "sklearn": CORE | {"_extras", "formulas", "network", "training"},
    "numbanet": {
        "datasets",
        "distributed",
        "engines",
        "formulas",
        "interchange",
        "network",
        "notebook",
        "persist",
        "proof",
        "trace",
        "training",
    },
    "cli": CORE
    | {
        "_compile",
        "_cuda",
        "_extras",
        "distributed",
        "evaluation",
        "files",
        "network",
        "numbanet",
        "pages",
        "persist",
        "pictures",
        "proof",
        "tables",
        "training",
    },
    "__main__": {"cli"},
}

MOST_ROOT_MODULES = 10  # besides __init__ and __main__
MOST_LINES = 400  # of a module
MOST_CODE_LINES = 60  # the largest length of a function, without docstring, comments and blank lines
MOST_PARAMETERS = 8

# Functions that may have more than 8 parameters, and the reasons.
FRONT_DOOR = "users call it, and name all arguments but the first few"
DOCUMENTED = (
    "a microkernel, or a CUDA kernel that the host launches: arrays and numbers one by one, each with its documentation"
)
MANY_PARAMETERS = {
    "network.Network.fit": FRONT_DOOR,
    "network.Network.__init__": FRONT_DOOR,
    "pictures.report.report": FRONT_DOOR,
    "sklearn.classifier.MLPClassifier.__init__": FRONT_DOOR,
    "sklearn.regressor.MLPRegressor.__init__": FRONT_DOOR,
    "engines.cpu.kernels.tile.microkernel": DOCUMENTED,
    "engines.cuda.cooperative.kernel.training_kernel.train_cooperative": DOCUMENTED,
    "engines.cuda.output.output_rows": DOCUMENTED,
    "engines.cuda.resident.kernel.training_kernel.train_resident": DOCUMENTED,
}

OPENERS = re.compile(r"(What|Who|How|Where|By which)\b")
COMPILED = re.compile(r"njit|cuda\.jit|device_function|intrinsic|overload|register_")


def id_of(path: Path) -> str:
    """Returns the path of a file relative to the package, which names the file in test reports."""
    return path.relative_to(PACKAGE).as_posix()


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """Returns the syntax tree of a file."""
    return ast.parse(path.read_text())


def found_in_files(find: Callable[[Path], Any]) -> dict[str, Any]:
    """Calls `find` with each module's path; returns a dict from the paths to the results, without empty results."""
    return {id_of(path): found for path in FILES if (found := find(path))}


# Rooms


def room_of(path: Path) -> str:
    """Returns the room of a file: the folder of the package that contains it, or the module itself if it is at the root."""
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "numbanet" if name == "__init__" else name


def imported(path: Path) -> list[str]:
    """Returns the dotted names of the modules that a file imports, also inside functions."""
    names = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{id_of(path)}: relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def rooms_imported(path: Path) -> set[str]:
    """Returns the rooms (folders or root modules) from which a file imports; the public interface is the room `numbanet`."""
    parts = [name.split(".") for name in imported(path)]
    rooms = {name[1] if name[1:] and name[1] in MAY_IMPORT else "numbanet" for name in parts if name[0] == "numbanet"}
    return rooms - {room_of(path)}


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Returns the rooms (folders and root modules) in a cycle of imports, and those that import from it, even indirectly.

    `arrows` contains, for each room, the rooms from which it imports.
    """
    left = {room: set(targets) for room, targets in arrows.items()}
    while free := [room for room, targets in left.items() if not targets & left.keys()]:
        for room in free:
            del left[room]
    return sorted(left)


def test_a_room_imports_only_from_the_rooms_it_may():
    assert not found_in_files(lambda path: rooms_imported(path) - MAY_IMPORT[room_of(path)])


def test_the_table_names_every_room_and_no_other():
    assert MAY_IMPORT.keys() == {room_of(path) for path in FILES}
    assert set().union(*MAY_IMPORT.values()) <= MAY_IMPORT.keys()


def test_the_rooms_have_no_circle():
    assert not circle(MAY_IMPORT)
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["a", "b", "c"]


def test_the_table_keeps_the_design():
    assert MAY_IMPORT["equations"] == SEAMS
    assert MAY_IMPORT["engines"] <= SEAMS | {"equations", "formulas"}
    assert all("network" not in MAY_IMPORT[room] for room in ("training", "persist", "distributed", "tables", "fitting"))
    surfaces = {"cli", "sklearn", "pictures", "interchange", "notebook"}
    assert all("network" in MAY_IMPORT[room] for room in surfaces)
    below = MAY_IMPORT.keys() - surfaces - {"numbanet", "__main__"}
    assert all(not MAY_IMPORT[room] & surfaces for room in below)


def test_the_architecture_page_shows_the_same_table():
    """Each row of the table in docs/architecture.md names a room (folder or module), and the rooms from which it may import."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = re.search(r"^\| *room *\|[^\n]*may import[^\n]*\n\|[-:| ]+\n((?:\|[^\n]*\n)+)", page, re.MULTILINE | re.IGNORECASE)
    assert table, "docs/architecture.md has no table `| room | may import |`"
    shown = {}
    for row in table[1].splitlines():
        room, targets = (re.findall(r"`(\w+)`", cell) for cell in row.strip("|").split("|")[:2])
        assert len(room) == 1 and room[0] not in shown, row
        shown[room[0]] = set(targets)
    assert shown == MAY_IMPORT


def test_numba_cuda_is_imported_in_one_place():
    found = found_in_files(lambda path: [name for name in imported(path) if f"{name}.".startswith("numba.cuda.")])
    assert found.keys() == {"_cuda/numba_cuda.py"}


def test_folders_that_the_compile_cache_ignores_contain_no_compiled_functions():
    """Folders and root modules with compiled functions import nothing from folders that the cache ignores, even indirectly."""
    compiling = {room_of(path) for path in FILES if re.search(r"@njit|_compile import .*njit|@cuda\.jit", path.read_text())}
    assert compiling >= {"engines", "equations"}
    reached = set()
    while compiling - reached:
        reached |= compiling
        compiling = reached.union(*(MAY_IMPORT[room] for room in reached))
    assert not reached & folder.NOT_COMPILED


def test_flags_of_the_compiler_are_chosen_in_one_place():
    assert {room_of(path) for path in FILES if "fastmath" in path.read_text()} == {"_compile"}


# Sizes


class Function(NamedTuple):
    """A function or method with its dotted name in the package; `depth` is the number of functions that contain it."""

    name: str
    node: ast.FunctionDef
    depth: int
    path: Path

    @property
    def parameters(self) -> list[ast.arg]:
        """All parameters of the function except self and cls, including *args and **kwargs."""
        a = self.node.args
        extra = [argument for argument in (a.vararg, a.kwarg) if argument]
        named = [*a.posonlyargs, *a.args]
        if named and named[0].arg in ("self", "cls"):
            named = named[1:]
        return [*named, *a.kwonlyargs, *extra]

    @property
    def is_compiled(self) -> bool:
        """True if Numba compiles the function, or if the function tells Numba how to compile other code."""
        decorators = map(ast.unparse, self.node.decorator_list)
        return KERNELS in self.path.parents or any(COMPILED.search(decorator) for decorator in decorators)

    @property
    def undocumented(self) -> list[str]:
        """The names of the parameters that neither the docstring nor a comment on the parameter's line explains."""
        lines, text = self.path.read_text().splitlines(), ast.get_docstring(self.node) or ""
        names = [parameter.arg for parameter in self.parameters if " # " not in lines[parameter.lineno - 1]]
        return [name for name in names if not re.search(rf"\b{name}\b", text)]

    @property
    def is_public(self) -> bool:
        """True if the function is not nested, and its name (except `__init__`) and its class's name begin without `_`."""
        parts = self.name.removeprefix(module_name(self.path) + ".").split(".")
        return self.depth == 0 and not any(part.startswith("_") for part in parts if part != "__init__")


def module_name(path: Path) -> str:
    """Returns the dotted name of a file in the package, such as "cli" or "engines.rule"."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "numbanet"


def functions_in(node: ast.AST, name: str, path: Path, depth: int = 0) -> list[Function]:
    """Returns all functions and methods in a node of a syntax tree, in the order of the source."""
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            found.append(Function(f"{name}.{child.name}", child, depth, path))
            found += functions_in(child, f"{name}.{child.name}", path, depth + 1)
        elif isinstance(child, ast.ClassDef):
            found += functions_in(child, f"{name}.{child.name}", path, depth)
        else:
            found += functions_in(child, name, path, depth)
    return found


@functools.cache
def functions_of(path: Path) -> list[Function]:
    """Returns all functions and methods in a file."""
    return functions_in(tree_of(path), module_name(path), path)


@functools.cache
def lines_with_code(path: Path) -> set[int]:
    """Returns the numbers of the lines of a file that contain code."""
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return {line for token in tokens if token.type not in nothing for line in range(token.start[0], token.end[0] + 1)}


def code_lines(function: Function) -> int:
    """Returns the number of lines of a function from `def` to the end, without docstring, comments and blank lines."""
    node = function.node
    lines = lines_with_code(function.path) & set(range(node.lineno, node.end_lineno + 1))
    if ast.get_docstring(node) is not None:
        lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_few_modules_lie_at_the_root():
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert len(modules) <= MOST_ROOT_MODULES, sorted(modules)


def test_modules_are_short():
    lines = {id_of(path): len(path.read_text().splitlines()) for path in FILES}
    assert not {name: count for name, count in lines.items() if count > MOST_LINES}


def test_functions_are_short():
    lines = {function.name: code_lines(function) for path in FILES for function in functions_of(path)}
    assert not {name: count for name, count in lines.items() if count > MOST_CODE_LINES}


def test_functions_have_few_parameters():
    functions = [function for path in FILES for function in functions_of(path)]
    assert {function.name for function in functions if len(function.parameters) > MOST_PARAMETERS} == MANY_PARAMETERS.keys()


@each("name", MANY_PARAMETERS)
def test_exceptions_are_what_they_say(name):
    (function,) = [function for path in FILES for function in functions_of(path) if function.name == name]
    assert len(function.parameters) > MOST_PARAMETERS, "no exception is needed any more"
    if MANY_PARAMETERS[name] == FRONT_DOOR:
        assert len(function.node.args.args) - 1 <= 4 and function.node.args.kwonlyargs
    else:
        assert function.is_compiled and not function.undocumented


# Prose and types


def docstrings() -> list[tuple[str, str]]:
    """Returns a pair for each docstring of the package: the name of the documented object, and the text."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [(path, node) for path in FILES for node in ast.walk(tree_of(path)) if isinstance(node, kinds)]
    return [(f"{id_of(path)} {getattr(node, 'name', '')}", text) for path, node in nodes if (text := ast.get_docstring(node))]


def test_docstrings_begin_with_a_verb_or_a_noun():
    texts = docstrings()
    pseudo_clefts = [where for where, text in texts if OPENERS.match(text)]
    assert len(pseudo_clefts) <= len(texts) / 100, pseudo_clefts


def test_public_functions_are_annotated():
    missing = []
    for function in [function for path in FILES for function in functions_of(path)]:
        if function.is_public and not function.is_compiled:
            missing += [f"{function.name}({p.arg})" for p in function.parameters if p.annotation is None]
            if function.node.returns is None and function.node.name != "__init__":
                missing.append(f"{function.name} -> ?")
    assert not missing
