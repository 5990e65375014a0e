"""Writes the page of a training step: one HTML file in which a reader steps through the symbols, such as z, one by one."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet import checks
from numbanet.engines.topology import ACTIVATIONS, LOSSES
from numbanet.files import Location
from numbanet.pages import files, values
from numbanet.pages.listings import listing, stages_of
from numbanet.pages.values import Layer as Layer
from numbanet.pages.values import Step as Step

MOST_NUMBERS = 100_000  # each number takes at most 17 bytes, so that a page stays below 2 MB
DIGITS = 9  # significant digits of a number in float64; numbers in float32 have the digits that identify them
SCRIPTS = ("format.js", "stages.js", "drawing.js", "panels.js", "walk.js")


def write_step(path: Location, step: Step) -> None:
    """Writes a page that shows, for each symbol of a training step, its formula, its numbers and the loop that computes it.

    Parameters
    ----------
    path : path or binary file object
        The file to write, whose name must end in .html or .htm.
    step : Step
        The values of the step.

    Raises
    ------
    ValueError
        The name has an ending other than .html or .htm, a value is infinite or NaN, or the step contains too many numbers for a
        page.
    OSError
        The file cannot be written.
    """
    files.refuse_other_names(path)
    _check(step)
    files.write(path, _page(_content(step)))


def _check(step: Step) -> None:
    """Raises ValueError if a page cannot show the step."""
    for name in (*(layer.activation for layer in step.layers), step.loss_name):
        if name not in {*ACTIVATIONS, *LOSSES}:
            raise ValueError(
                f"a page cannot show {name!r}, a function that is not on the cheat sheet; save the trace with Trace.save"
            )
    n, parameters = len(step.x), sum(layer.w.size + layer.b.size for layer in step.layers)
    count = n * (step.x.shape[1] + step.y.shape[1] + 6 * sum(step.sizes[1:])) + 3 * parameters
    if count > MOST_NUMBERS:
        network = "-".join(map(str, step.sizes))
        raise ValueError(
            f"the step of a network {network} with {checks.count(n, 'sample')} consists of {count:,} numbers, but a page shows "
            f"at most {MOST_NUMBERS:,}; pass fewer samples, trace a network with fewer weights, or save the trace with "
            "Trace.save"
        )
    arrays = {"x": step.x, "y": step.y}
    for l, layer in enumerate(step.layers, start=1):
        arrays |= {f"{name}{l}": array for name, array in layer._asdict().items() if name != "activation"}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} contains inf or nan, which a page cannot show: save the trace as .npz instead")


def _content(step: Step) -> dict[str, Any]:
    """Returns the content of the page as a dict, which `_page` writes as JSON for the page's scripts."""
    terms, losses = values.loss_terms(step)
    stages = stages_of(step)
    names = {name for part in (stages, *stages["layers"]) for name in part.values() if isinstance(name, str)}
    return {
        "sizes": step.sizes,
        "loss_name": step.loss_name,
        "learning_rate": _number(step.x.dtype.type(step.learning_rate)),
        "epsilon": _number(step.x.dtype.type(step.epsilon)),
        "dtype": step.x.dtype.name,
        "n": len(step.x),
        "x": _numbers(step.x),
        "y": _numbers(step.y),
        "terms": _numbers(terms),
        "losses": _numbers(losses),
        "loss": _number(np.float64(step.loss) if step.x.dtype == np.float64 else np.float32(step.loss)),
        "layers": [_layer(step, l) for l in range(len(step.layers))],
        "stages": stages,
        "listings": {name: listing(name) for name in sorted(names)},
    }


def _layer(step: Step, l: int) -> dict[str, Any]:
    """Returns the values of layer l, counted from 0, that the page shows."""
    layer = step.layers[l]
    z, a = values.curve(layer, step.epsilon)
    shown = {
        "dl_da": values.error_of_activations(step, l),
        "da_dz": values.slopes(layer, step.epsilon),
        "shift": layer.z - values.logit(layer) if layer.is_softmax else None,
        "w_after": values.updated(step.learning_rate, layer.w, layer.dw),
        "b_after": values.updated(step.learning_rate, layer.b, layer.db),
        "curve": np.array([z, a], np.float32),
    }
    shown |= {name: array for name, array in layer._asdict().items() if name != "activation"}
    return {"activation": layer.activation} | {name: _numbers(array) for name, array in shown.items()}


def _numbers(array: NDArray[Any] | None) -> Any:
    """Returns an array as nested lists of numbers."""
    if array is None:
        return None
    return [_numbers(row) for row in array] if array.ndim > 1 else [_number(value) for value in array]


def _number(value: Any) -> float | int:
    """Rounds a number to the digits that the page shows."""
    number = float(f"{value:.{DIGITS}g}") if value.dtype == np.float64 else float(str(value))
    return int(number) if number.is_integer() and abs(number) < 1e9 else number


def _page(content: dict[str, Any]) -> str:
    """Returns the HTML of the page, with its style sheet, its scripts and the given content."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    style, script = files.asset("base.css") + files.asset("step.css"), "\n".join(map(files.asset, SCRIPTS))
    return files.filled("step.html", {"style": style, "script": script, "content": text})
