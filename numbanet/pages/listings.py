"""The formula and the source code of each stage of a training step, from docs/sheet.md and from the installed package."""

import inspect
import re
from functools import cache
from typing import Any, NamedTuple

from numbanet import equations
from numbanet.pages.mathml import inline
from numbanet.pages.rows import Row, sections
from numbanet.pages.values import Step


class Listing(NamedTuple):
    """A stage of a training step: the rows of the cheat sheet that define the stage, and the functions that compute it.

    `rows` identifies each row of the cheat sheet by the names of its scalar function and its loop. `loop` is the name of the
    loop that computes the stage. The HTML page highlights the lines of this loop that contain one of the strings `marks`.
    `scalars` are the names of the scalar functions that the loop calls.
    """

    rows: tuple[tuple[str, str], ...]
    loop: str
    marks: tuple[str, ...]
    scalars: tuple[str, ...] = ()


STAGES = {
    "z": Listing((("weighted_input", "forward_sum"),), "forward_sum", ("weighted_input(",), ("weighted_input",)),
    "a softmax": Listing((("softmax", "softmax_activation"),), "softmax_activation", ("softmax(",), ("softmax",)),
    "delta short": Listing((("d_cce", "short_error"),), "short_error", ("d_cce(",), ("d_cce",)),
    "delta softmax": Listing((("d_softmax", "softmax_error"),), "softmax_error", ("error_term(",), ("d_softmax",)),
    "delta logit": Listing(
        (("d_softmax_logit", "softmax_logit_error"),), "softmax_logit_error", ("error_term(",), ("d_softmax_logit",)
    ),
    "dl_da hidden": Listing(
        (("weighted_error", "delta_recurrence"),), "delta_recurrence", ("weighted_error(",), ("weighted_error",)
    ),
    "dw": Listing((("d_weight", "weight_gradient"),), "weight_gradient", ("d_weight(",), ("d_weight",)),
    "db": Listing((("d_bias", "bias_gradient"),), "bias_gradient", ("d_bias(",), ("d_bias",)),
    "update": Listing((("descend", "gradient_descent"),), "gradient_descent", ("descend(",), ("descend",)),
}
for _name in ("identity", "sigmoid", "tanh", "relu", "leaky_relu"):
    STAGES[f"a {_name}"] = Listing(((_name, "activation"),), "activation", ("phi(",), (_name,))
    _slope = (f"d_{_name}", "d_activation")
    STAGES[f"delta output {_name}"] = Listing(
        (("error_term", "activation_error"), _slope), "activation_error", ("error_term(",), (f"d_{_name}",)
    )
    STAGES[f"delta hidden {_name}"] = Listing(
        (("weighted_error", "delta_recurrence"), _slope),
        "delta_recurrence",
        ("weighted_error(", "error_term("),
        (f"d_{_name}",),
    )
for _name in ("sse", "mse"):
    STAGES[f"term {_name}"] = Listing(((_name, "loss"),), "loss", ("loss_term(",), (_name,))
    STAGES[f"loss {_name}"] = Listing(((_name, "loss"),), "loss", ("loss_of_sample[s] =",))
    STAGES[f"dl_da {_name}"] = Listing(((f"d_{_name}", "d_loss"),), "d_loss", ("d_loss_term(",), (f"d_{_name}",))
for _name, _scalar, _loop in (("bce", "bce_from_z", "bce_from_z_loss"), ("cce", "cce", "cce_loss")):
    _rows = (("bce", "loss"), (_scalar, _loop)) if _name == "bce" else ((_scalar, _loop),)
    STAGES[f"term {_name}"] = Listing(_rows, _loop, (f"{_scalar}(",), (_scalar,))
    STAGES[f"loss {_name}"] = Listing(_rows, _loop, ("loss_of_sample[s] =",))


def stages_of(step: Step) -> dict[str, Any]:
    """Returns, for each symbol of a training step, the name of the stage that shows it; the names are keys of `STAGES`.

    Returns
    -------
    dict
        The keys "z", "term", "loss", "dw", "db" and "update" map to names of stages: "loss", for example, to "loss mse". The
        key "layers" maps to a list with one dict per layer, whose keys "a", "dl_da" and "delta" map to names of stages: "a",
        for example, to "a relu". "dl_da" maps to None if the step computes the layer's delta without dL/da.
    """
    layers = [
        {"a": f"a {layer.activation}", "dl_da": None, "delta": f"delta hidden {layer.activation}"} for layer in step.layers
    ]
    for layer, stages in zip(step.layers, layers, strict=True):
        if layer.is_softmax:
            stages |= {"dl_da": "dl_da hidden", "delta": "delta softmax"}
    last = step.layers[-1]
    if step.has_short_error:
        is_short = step.loss_kind == equations.CCE or not last.is_softmax
        layers[-1] |= {"dl_da": None, "delta": "delta short" if is_short else "delta logit"}
    else:
        delta = "delta softmax" if last.is_softmax else f"delta output {last.activation}"
        layers[-1] |= {"dl_da": f"dl_da {step.loss_name}", "delta": delta}
    common = {name: name for name in ("z", "dw", "db", "update")}
    return common | {"term": f"term {step.loss_name}", "loss": f"loss {step.loss_name}", "layers": layers}


def listing(stage: str) -> dict[str, Any]:
    """Returns the formulas of a stage as HTML, and the source code of its functions.

    Returns
    -------
    dict
        "formulas" is a list of dicts with the keys "title", "html" and "computed_as". "sources" is a list of dicts with the
        keys "name", "lines", "marked" (the numbers of the lines to highlight) and "quiet" (the number of the line with the
        docstring). "lines" is None if the installation contains no source files.
    """
    described = STAGES[stage]
    formulas = [
        {"title": row.title, "html": inline(row.formula), "computed_as": inline(row.computed_as)}
        for key in described.rows
        for row in _by_names()[key]
    ]
    loops = [_source(described.loop, described.marks), *(_source(scalar, ("return ",)) for scalar in described.scalars)]
    return {"formulas": formulas, "sources": loops}


@cache
def _by_names() -> dict[tuple[str, str], list[Row]]:
    """Returns a dict from (scalar function, loop), as names without their modules, to rows of the cheat sheet.

    If rows of two sections have the same names, the dict contains only the rows of the later section.
    """
    found: dict[tuple[str, str], list[Row]] = {}
    for section in sections():
        here: dict[tuple[str, str], list[Row]] = {}
        for row in section.rows:
            if isinstance(row, Row) and row.scalar:
                names = row.scalar.partition(".")[2], row.loop.partition(".")[2]
                here.setdefault(names, []).append(row)
        found |= here
    return found


def _source(name: str, marks: tuple[str, ...]) -> dict[str, Any]:
    """Returns the source code of a function of `numbanet.equations`, and the numbers of the lines that contain one of `marks`.

    The returned source code contains only the first line of the function's docstring.
    """
    function = inspect.unwrap(getattr(equations, name))
    module = function.__module__.removeprefix("numbanet.")
    try:
        text = inspect.getsource(getattr(function, "py_func", function))
    except OSError:  # an installation may contain compiled modules only
        return {"name": f"{module}.{name}", "lines": None, "marked": [], "quiet": None}
    lines = text.rstrip().splitlines()
    first, last = [number for number, line in enumerate(lines) for _ in re.findall('"""', line)][:2]
    if first < last:  # shorten the docstring to its first line
        lines[first : last + 1] = [f'{lines[first]} ..."""']
    code = [(number, line) for number, line in enumerate(lines) if number != first and not line.startswith("def ")]
    marked = [number for number, line in code if any(mark in line for mark in marks)]
    return {"name": f"{module}.{name}", "lines": lines, "marked": marked, "quiet": first}
