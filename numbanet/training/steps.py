"""Trains on one pass over samples, in one or two calls of the engine; adds up the losses and the correct outputs."""

import math
from collections.abc import Iterator

from numbanet.engines.epoch import Epoch, epoch_of, rows_between
from numbanet.engines.interface import Totals
from numbanet.inputs import Data
from numbanet.training.model import Model
from numbanet.training.processes import finished_batches

NO_TOTALS = Totals(0, 0.0, 0)


def train_in_order(model: Model, data: Data, batch_size: int, eta: float) -> Totals:
    """Trains on the samples in order, and returns the sums of losses and correct outputs.

    Keeps no copy of the model's state: the updates before an error remain.
    """
    before, n, totals = model.step, data.n, NO_TOTALS
    updates = epoch_of(
        rows_between(0, n),
        batch_size,
        eta,
        model.optimizer.rule(),
        first_step=before + 1,
        weights=data.weights,
        dropout_key=model.dropout_key(),
    )
    try:
        for totals in train_parts(model, data, updates):
            model.step = before + finished_batches(totals.samples, n, batch_size)
            if not math.isfinite(totals.loss):
                break
    except BaseException:  # for example Ctrl-C after the updates of `totals`, but before they were counted
        model.step = before + finished_batches(totals.samples, n, batch_size)
        raise
    return totals


def train_parts(model: Model, data: Data, updates: Epoch) -> Iterator[Totals]:
    """Trains for an epoch in one or two calls of the engine (see `Epoch.parts`); yields the `Totals` of all samples so far."""
    parts = updates.parts()
    if len(parts) == 1:
        return model.engine.train_epoch(data.x, data.y, parts[0])
    return _joined([model.engine.train_epoch(data.x, data.y, part) for part in parts])


def _joined(passes: list[Iterator[Totals]]) -> Iterator[Totals]:
    """Trains by iterating over each iterator in `passes` in turn; yields the `Totals` of all samples so far."""
    before = NO_TOTALS
    for each in passes:
        last = NO_TOTALS
        for last in each:
            yield added(before, last)
        before = added(before, last)


def added(a: Totals, b: Totals) -> Totals:
    """Adds the numbers of samples, the losses and the numbers of correct outputs of two `Totals` objects."""
    return Totals(a.samples + b.samples, a.loss + b.loss, a.hits + b.hits)
