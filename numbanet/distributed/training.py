"""Data-parallel training: several processes train one network, each on its part of every batch.

All hold the same parameters. In each step every process finds the gradients of its share of the batch, they are added up, and
everybody takes the same step with the sum: but for rounding, what one process would do with the whole batch.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from numbanet import inputs
from numbanet._compile import announced
from numbanet.distributed.communicators import Communicator
from numbanet.engines.cpu.kernels.vector import REGISTER_BYTES
from numbanet.engines.epoch import BatchShare, Epoch, epoch_of, rates_of
from numbanet.engines.interface import Totals
from numbanet.training.history import History
from numbanet.training.loop import Data, Settings, State, Training, judged

NOTHING = Totals(0, 0.0, 0)


class Part(NamedTuple):
    """What one process has of an epoch.

    Parameters
    ----------
    order : (m,) int
        Which rows of its x and y, in which order.
    ends : (steps,) int
        Where the share of each step ends in that order.
    firsts : (steps,) int
        Which sample of the whole epoch the first one of each share is.
    sizes : (steps,) int
        How many samples the whole batches have.
    """

    order: np.ndarray
    ends: np.ndarray
    firsts: np.ndarray
    sizes: np.ndarray


def part_of_whole(order: np.ndarray, batch_size: int, rank: int, size: int) -> Part:
    """The part of a process where all have all samples: of each batch of the order, a piece of about the size of the others."""
    starts = np.arange(0, order.size, batch_size)
    sizes = np.minimum(batch_size, order.size - starts)
    firsts, lasts = starts + sizes * rank // size, starts + sizes * (rank + 1) // size
    batch, position = np.arange(order.size) // batch_size, np.arange(order.size)
    mine = (firsts[batch] <= position) & (position < lasts[batch])
    return Part(order[mine], np.cumsum(lasts - firsts), firsts, sizes)


def part_of_shards(order: np.ndarray, counts: np.ndarray, batch_size: int, rank: int) -> Part:
    """The part of a process where each has samples of its own, so many: each batch has a proportional piece of all of them."""
    steps = -(-int(counts.sum()) // batch_size)
    ends = counts[:, None] * np.arange(steps + 1) // steps  # (size, steps + 1)
    pieces = np.diff(ends)
    sizes = pieces.sum(axis=0)
    firsts = np.cumsum(sizes) - sizes + pieces[:rank].sum(axis=0)
    return Part(order, ends[rank, 1:], firsts, sizes)


class DistributedTraining(Training):
    """One call of `Network.fit`, which every process makes.

    Rank 0 decides, speaks and writes: its parameters are everybody's at the start, and its figures after each epoch.

    Parameters
    ----------
    engine, topology, state, settings
        As for `Training`.
    communicator : Communicator
    sharded : bool
        Whether each process has samples of its own, to train on and to validate with, instead of all of them.
    conditions : dict
        What has to be the same in all processes, by the names that `fit` has for it, in JSON.
    """

    def __init__(self, engine, topology, state: State, settings: Settings, communicator: Communicator, sharded, conditions):
        self.communicator, self.sharded, self.conditions = communicator, sharded, conditions
        self.apart, self.hooked, self.stopped = sharded, bool(settings.callbacks), False
        self.counts = np.zeros(communicator.size, np.int64)
        if communicator.rank:
            settings = replace(settings, callbacks=[], verbose=False, save=None)
        super().__init__(engine, topology, state, settings)

    def run(self, data: Data | Callable[[], Iterable[Data]], validation: Data | None) -> History:
        """Trains on data, or on batches of which each process reads a part, from a callable that gives them for each epoch."""
        self._compare()
        self._follow_rank_0()
        with announced() if self.settings.verbose else nullcontext():
            self._compile_in_turn()
        if not isinstance(data, Data):
            self.apart = True
        elif self.sharded:
            self.counts = self._counts(data.x.shape[0])
        try:
            return super().run(data, validation)
        except SystemExit as end:  # which Python would take for a good end, while the others wait
            raise RuntimeError(f"the training was left by exit({end.code})") from end

    # Before the first epoch

    def _compare(self) -> None:
        """ValueError where this process was told something else than rank 0, or keeps gradients in another order."""
        mine = json.loads(json.dumps(self.conditions | {"width of SIMD registers": REGISTER_BYTES}))
        for name, value in self._of_rank_0(mine).items():
            if mine.get(name) != value:
                advice = "; where each process has samples of its own, say sharded=True" if "data" in name else ""
                raise ValueError(f"rank {self.communicator.rank} has another {name} than rank 0{advice}")

    def _follow_rank_0(self) -> None:
        """Parameters, what they remember, and the state of the training become those of rank 0."""
        state, moments = self.state, self.settings.rule.moments
        history = state.history
        told = self._of_rank_0(
            {
                "generator": state.generator.bit_generator.state,
                "step": state.step,
                "epoch": history.epoch,
                "history": history.history,
                "best_epoch": history.best_epoch,
                "best": state.best is not None,
            }
        )
        state.generator.bit_generator.state, state.step = told["generator"], told["step"]
        history.epoch, history.history, history.best_epoch = told["epoch"], told["history"], told["best_epoch"]
        self.engine.write(self._vector_of_rank_0(self.engine.read()))
        self.engine.write_moments([self._vector_of_rank_0(moment) for moment in self.engine.read_moments(moments)])
        if told["best"]:
            state.best = self._vector_of_rank_0(self.engine.read() if state.best is None else state.best)

    def _compile_in_turn(self) -> None:
        """One process of each machine compiles, the others then find it in the cache."""
        first = getattr(self.communicator, "first_of_node", self.communicator.rank == 0)
        for turn in (True, False):
            if first is turn:
                self._compile()
            self.communicator.barrier()

    def _compile(self) -> None:
        """Takes one step on a sample of zeros, alone, and takes it back."""
        before, data, one = self._snapshot(), self._uploaded(self._zeros(1)), np.ones(1, np.int64)
        this = epoch_of(np.zeros(1, np.int64), 1, 1.0, self.settings.rule)
        for _ in self.engine.train_epoch(data.x, data.y, this._replace(share=BatchShare(one, one - 1, lambda flat: None))):
            pass
        self.engine.write(before.parameters)
        self.engine.write_moments(before.moments)

    def _zeros(self, n: int) -> Data:
        """Samples of zeros."""
        x, y = (np.zeros((n, self.topology.sizes[k]), self.topology.dtype) for k in (0, -1))
        x.flags.writeable = y.flags.writeable = False
        return Data(x, y)

    # An epoch

    def _batches(self, data: Callable[[], Iterable[Data]]) -> Iterator[tuple[Data, np.ndarray, int]]:
        """The parts of the next batch that the processes have read; one that has read all goes along with nothing."""
        source = iter(data())
        while True:
            batch = next(source, None)
            n = 0 if batch is None else batch.x.shape[0]
            self.counts = self._counts(n)
            if not self.counts.any():
                return
            yield self._zeros(1) if batch is None else batch, np.arange(n), int(self.counts.sum())

    def _count(self, data: Data) -> int:
        return int(self.counts.sum()) if self.apart else super()._count(data)

    def _weight(self, data: Data) -> float:
        if not self.apart:
            return super()._weight(data)
        return self._sums(super()._weight(data) if self.counts[self.communicator.rank] else 0.0)[0]

    def _order(self, count: int) -> np.ndarray:
        """Drawn by all alike: of all samples, or for each process of those that it has."""
        if not self.apart:
            return super()._order(count)
        return [super(DistributedTraining, self)._order(int(n)) for n in self.counts][self.communicator.rank]

    def _pass(self, data: Data, order: np.ndarray, batch_size: int, eta: float, bar: tqdm | None) -> Totals:
        state, rule = self.state, self.settings.rule
        part = self._part(order, batch_size)
        rates = rates_of(self._weights_of_batches(data.weights, part), eta, rule, state.step + 1)
        share = BatchShare(part.ends, part.firsts, self.communicator.sum)
        this = Epoch(part.order, batch_size, rule, rates, data.weights, self._dropout_key(), share)
        done, totals = 0, NOTHING
        for totals in self.engine.train_epoch(data.x, data.y, this):  # noqa: B007 - the last ones count
            if done < part.sizes.size:  # some engines yield once more at the end
                state.step += 1
                if bar is not None:
                    bar.update(int(part.sizes[done]))
                    self._call("on_train_batch_end", done + 1, {})
                done += 1
        return self._of_all(totals)

    def _part(self, order: np.ndarray, batch_size: int) -> Part:
        rank, size = self.communicator.rank, self.communicator.size
        if self.apart:
            return part_of_shards(order, self.counts, batch_size, rank)
        return part_of_whole(order, min(batch_size, order.size), rank, size)

    def _weights_of_batches(self, weights: np.ndarray | None, part: Part) -> np.ndarray:
        """What the weights of the samples of each whole batch add up to; 1 where they are all 0."""
        if weights is None and not self.apart:
            return part.sizes
        step = np.searchsorted(part.ends, np.arange(part.order.size), side="right")
        of_samples = np.ones(part.order.size) if weights is None else weights[part.order].astype(np.float64)
        n = np.bincount(step, of_samples, part.ends.size)
        self.communicator.sum(n)
        n[n == 0] = 1
        return n

    # What is found of samples

    def _evaluated(self, data: Data) -> Totals:
        rows = self._rows(data)
        if rows.start == rows.stop:
            return self._of_all(NOTHING)
        return self._of_all(self.engine.evaluate(data.x[rows], data.y[rows]))

    def _measured(self, data: Data) -> dict[str, float]:
        if not self.settings.metrics:
            return {}
        rows, y = self._rows(data), inputs.on_host(data.y)
        y_hat = self.engine.predict(data.x[rows]) if rows.start < rows.stop else np.empty((0, y.shape[1]), y.dtype)
        y, y_hat = (self._gathered(array) for array in (y[rows], y_hat))
        return judged(y, y_hat, self.settings.metrics)

    def _rows(self, data: Data) -> slice:
        """Which rows of its x and y this process looks at: all of its own, or a piece of those that everybody has."""
        n, rank, size = data.x.shape[0], self.communicator.rank, self.communicator.size
        return slice(0, n) if self.sharded else slice(n * rank // size, n * (rank + 1) // size)

    def _gathered(self, rows: np.ndarray) -> np.ndarray:
        """The rows of all processes, in the order of their ranks."""
        counts, rank = self._counts(rows.shape[0]), self.communicator.rank
        everybodys = np.zeros((int(counts.sum()), rows.shape[1]), rows.dtype)
        first = int(counts[:rank].sum())
        everybodys[first : first + rows.shape[0]] = rows
        self.communicator.sum(everybodys.reshape(-1))
        return everybodys

    # What all agree on

    def _call(self, hook: str, *arguments) -> None:
        """Rank 0 has the callbacks. What it says of an epoch, and whether it goes on, holds for all."""
        super()._call(hook, *arguments)
        if hook in ("on_train_begin", "on_epoch_end"):
            logs = arguments[-1]
            figures = {name: float(value) for name, value in logs.items()}
            told = self._of_rank_0({"logs": figures, "stop": super()._is_over(), "parameters": self._checksum()})
            logs.clear()
            logs.update(told["logs"])
            self.stopped = told["stop"]
            if self.hooked:  # a callback may have changed them
                self.engine.write(self._vector_of_rank_0(self.engine.read()))
            elif self._checksum() != told["parameters"]:
                raise RuntimeError(
                    f"the parameters of rank {self.communicator.rank} are not those of rank 0 any more: "
                    "its processor or its MPI adds up in another way"
                )

    def _is_over(self) -> bool:
        return self.stopped or super()._is_over()

    def _interrupted(self) -> None:
        raise  # the others would wait for this process

    def _checksum(self) -> int:
        return zlib.crc32(self.engine.read())

    def _counts(self, n: int) -> np.ndarray:
        """What each process has of something, (size,)."""
        counts = np.zeros(self.communicator.size, np.int64)
        counts[self.communicator.rank] = n
        self.communicator.sum(counts)
        return counts

    def _sums(self, *numbers: float) -> list[float]:
        """The numbers, each added up over all processes."""
        sums = np.array(numbers, np.float64)
        self.communicator.sum(sums)
        return sums.tolist()

    def _of_all(self, totals: Totals) -> Totals:
        samples, loss, hits = self._sums(*totals)
        return Totals(int(samples), loss, int(hits))

    def _of_rank_0(self, value: Any) -> Any:
        """What rank 0 has here, of JSON's types."""
        text = np.frombuffer(json.dumps(value).encode(), np.uint8).copy()
        length = np.array([text.size], np.int64)
        self.communicator.broadcast(length)
        text = np.resize(text, int(length[0]))
        self.communicator.broadcast(text)
        return json.loads(text.tobytes())

    def _vector_of_rank_0(self, vector: np.ndarray) -> np.ndarray:
        vector = vector.copy()
        self.communicator.broadcast(vector)
        return vector
