"""Writes named values and arrays for other programs, as an NPZ file or as a JSON file with one matrix row per line."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet.files import Location, refuse_other_ending, replacing, suffix_of


def write(target: Location, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes facts and arrays to `target`: as JSON if its name ends in .json, else as NPZ with each fact as a JSON string."""
    refuse_other_ending(target, (".json", ".npz"), "let the name end in .json or .npz")
    if suffix_of(target) == ".json":
        entries = [f" {json.dumps(name)}: {json.dumps(fact)}" for name, fact in facts.items()]
        entries += [f" {json.dumps(name)}: {_text(name, array)}" for name, array in arrays.items()]
        text = "{\n" + ",\n".join(entries) + "\n}\n"
        with replacing(target) as file:
            file.write(text.encode())
    else:
        named: dict[str, Any] = {name: np.array(json.dumps(fact)) for name, fact in facts.items()} | dict(arrays)
        with replacing(target) as file:
            np.savez(file, **named)


def _text(name: str, array: NDArray[Any]) -> str:
    """Converts an array to JSON, one matrix row per line; numbers have the fewest digits that identify them in their dtype."""
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains inf or nan, which JSON cannot represent: save it as .npz")
    if array.ndim == 0:
        return str(array[()])
    if array.ndim == 1:
        return f"[{', '.join(map(str, array))}]"
    return "[\n" + ",\n".join(f"  {_text(name, row)}" for row in array) + "\n ]"
