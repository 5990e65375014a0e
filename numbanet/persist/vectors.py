"""Named numbers and arrays for other programs: as NPZ, or as JSON laid out to be read by eye."""

import json
from pathlib import Path

import numpy as np

from numbanet.persist.atomic import replacing


def write(path, facts: dict, arrays: dict[str, np.ndarray]) -> None:
    """Writes JSON where the path ends in .json, else NPZ. `facts` are JSON; in NPZ each is an array of one JSON text."""
    if Path(path).suffix.lower() == ".json":
        entries = [f" {json.dumps(name)}: {json.dumps(fact)}" for name, fact in facts.items()]
        entries += [f" {json.dumps(name)}: {_text(name, array)}" for name, array in arrays.items()]
        text = "{\n" + ",\n".join(entries) + "\n}\n"
        with replacing(path) as file:
            file.write(text.encode())
    else:
        texts = {name: np.array(json.dumps(fact)) for name, fact in facts.items()}
        with replacing(path) as file:
            np.savez(file, **texts, **arrays)


def _text(name: str, array: np.ndarray) -> str:
    """A matrix has a line per row. Each number has as few digits as tell it from all others of its dtype."""
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds inf or nan, which JSON has not: save it as .npz")
    if array.ndim == 0:
        return str(array[()])
    if array.ndim == 1:
        return f"[{', '.join(map(str, array))}]"
    return "[\n" + ",\n".join(f"  {_text(name, row)}" for row in array) + "\n ]"
