"""Converts a model to the content of a file (a `Description` and flat vectors), and restores a model from this content."""

from typing import Any

import numpy as np

from numbanet.persist.description import Description
from numbanet.training.model import Model, Snapshot


def description_of(model: Model, training: dict[str, Any] | None = None) -> Description:
    """Returns the description of a model; for a checkpoint, the description includes the training state `training`."""
    state = model.generator.bit_generator.state
    names = model.columns, model.target_columns
    return Description(model.topology, dict(state), model.optimizer, model.step, training, model.table, *names)


def vectors_of(snapshot: Snapshot) -> dict[str, np.ndarray]:
    """Returns the flat vectors to save, by name: the parameters and, after at least one step, the optimizer's moments."""
    return {"parameters": snapshot.parameters} | {f"moment_{k}": moment for k, moment in enumerate(snapshot.moments, start=1)}


def restore(model: Model, description: Description, vectors: dict[str, np.ndarray]) -> None:
    """Gives a model the state in `description` and `vectors`, read from the file of a model with the same topology."""
    model.engine.write(vectors["parameters"])
    model.reset(description.optimizer)
    if description.step:
        model.engine.write_moments([vectors[name] for name in description.vectors if name.startswith("moment")])
    model.step, model.table = description.step, description.table
    model.columns = description.columns or model.columns
    model.target_columns = description.target_columns or model.target_columns
    model.generator.bit_generator.state = description.generator
