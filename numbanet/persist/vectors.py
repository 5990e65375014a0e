"""Writes named values and arrays to a file for other programs, as NPZ or as JSON with one matrix row per line."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet.persist.atomic import replacing


def write(path: str | os.PathLike[str], facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes JSON if the path ends in .json, else NPZ; an NPZ file stores each of the facts as an array with one JSON text."""
    if Path(path).suffix.lower() == ".json":
        entries = [f" {json.dumps(name)}: {json.dumps(fact)}" for name, fact in facts.items()]
        entries += [f" {json.dumps(name)}: {_text(name, array)}" for name, array in arrays.items()]
        text = "{\n" + ",\n".join(entries) + "\n}\n"
        with replacing(path) as file:
            file.write(text.encode())
    else:
        named: dict[str, Any] = {name: np.array(json.dumps(fact)) for name, fact in facts.items()} | dict(arrays)
        with replacing(path) as file:
            np.savez(file, **named)


def _text(name: str, array: NDArray[Any]) -> str:
    """Returns an array as JSON, one matrix row per line, each number with the fewest digits that identify it in its dtype."""
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains inf or nan, which JSON cannot represent: save it as .npz")
    if array.ndim == 0:
        return str(array[()])
    if array.ndim == 1:
        return f"[{', '.join(map(str, array))}]"
    return "[\n" + ",\n".join(f"  {_text(name, row)}" for row in array) + "\n ]"
