"""The fast CPU engine, which owns a network's memory and calls the compiled function `run` for each part of an epoch."""

import math
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from numbanet._compile import collection_paused
from numbanet.engines.cpu import routines, threads
from numbanet.engines.cpu.arguments import Draw, Job, Samples, Workspace
from numbanet.engines.cpu.blocks import (
    BLOCK_NEURONS,
    BLOCK_ROWS,
    BLOCK_WEIGHTS,
    FORWARD_ROWS,
    MR,
    SHARED_WEIGHTS,
    THREADS,
    TURN_WEIGHTS,
)
from numbanet.engines.cpu.epoch import DESCEND, EVALUATE, LOGITS, PREDICT, TRAIN
from numbanet.engines.cpu.kernels.descent import constants_of
from numbanet.engines.cpu.kernels.layout import Layout, up_to
from numbanet.engines.cpu.team import POSITION, new_team
from numbanet.engines.epoch import RATES, Epoch, epoch_of, rows_between
from numbanet.engines.interface import NotFiniteError, Pace, Totals
from numbanet.engines.loops import weighted_hits
from numbanet.engines.rule import PLAIN, Rule
from numbanet.engines.topology import Topology

NOTHING, NO_RATES, NO_DRAW = Totals(0, 0.0, 0), np.empty((0, RATES)), Draw(np.uint64(0), 0)
ONE_POSITION = np.zeros(1, np.int64)  # the value of `Samples.order` for the task DESCEND, which reads no sample


class Terms(NamedTuple):
    """The options of a training call: the update rule, its rates, dropout, and the choice of the array for the gradients.

    Parameters
    ----------
    rule : Rule
        The update rule.
    rates : (steps, 4) float64
        For each step, the loss divisor n, the learning rate eta, and Adam's eta_t and epsilon_t (see `UpdateRule`).
    draw : Draw or None
        The key and counter of dropout's random numbers; None for no dropout.
    spare : bool
        If `spare` is True, the gradients are added up in the second array for gradients, at the offset `Layout.spare`. A caller
        that sets `spare` to True must hold the engine's lock from the first to the last block (part) of a batch.
    reached : list, optional
        A list to which the training call appends `team`, the array through which its threads communicate. If a signal handler
        raises an exception, the caller reads from team[POSITION] the index in `Samples.order` that the call has reached (see
        `threads.Crew.call`).
    """

    rule: Rule
    rates: np.ndarray = NO_RATES
    draw: Draw | None = None
    spare: bool = False
    reached: list[np.ndarray] | None = None


NO_TERMS = Terms(PLAIN)


class Claim:
    """Reserves the first array for gradients (at `Layout.gradients`) for one epoch, as long as the `Claim` object exists."""


class FastCpuEngine:
    """The fast engine for the CPU.

    To train, the engine calls a compiled function, which processes a slice (some successive steps) of an epoch per call. The
    method `train_epoch` may yield between two blocks of a batch, when the gradients of only some of the batch's samples have
    been added up. Callbacks and other threads may then call the engine, and must not change the unfinished gradients. The
    memory layout of the network therefore has two arrays for gradients. At most one epoch at a time reserves the first array,
    with a `Claim`, and adds up its gradients in this array. Calls without a `Claim` use the second array, and hold the engine's
    lock until their gradients are complete.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    """

    finds_not_finite = True

    def __init__(self, topology: Topology):
        self.topology = topology
        limits = BLOCK_WEIGHTS // topology.parameter_count, BLOCK_NEURONS // sum(topology.sizes)
        self.most_rows = max(1, min(BLOCK_ROWS, *limits))
        self.training_pace, self.forward_pace = Pace(FORWARD_ROWS), Pace(FORWARD_ROWS)
        self.no_outputs, self.no_targets = np.empty((2, 0, topology.sizes[-1]), topology.dtype)
        self.no_weights = np.empty(0, topology.dtype)
        # Targets are read-only arrays. For a writable array, which has a different type, Numba would compile again.
        self.no_targets.flags.writeable = False
        self.lock = threads.Lock()
        self.claim: Callable[[], Claim | None] = lambda: None  # a weak reference to the `Claim` of an epoch
        # In predictions and evaluations, at most `turns` threads compute, and each of these threads processes whole blocks. A
        # block has at most `turn_rows` samples.
        self.turn_rows = min(FORWARD_ROWS, self.most_rows)
        self.turns = max(1, min(os.cpu_count() or 1, THREADS, BLOCK_NEURONS // sum(topology.sizes) // self.turn_rows))
        self.layout = Layout(topology, self.most_rows, self.turns * self.turn_rows)
        # The last update rule, whether its updates read gradients from memory, and its constants in the network's dtype.
        self.constants: tuple[Rule | None, bool, tuple] = None, False, ()
        # The fields of a `Workspace` and `run`, for each combination of a task, a block size and other settings.
        self.workspaces: dict[tuple[int, int, bool, bool, bool, int | None], tuple[tuple, Callable]] = {}

    def read(self) -> np.ndarray:
        with self.lock.here:
            return self.layout.read()

    def write(self, parameters: np.ndarray) -> None:
        with self.lock.here:
            self.layout.write(parameters)

    def read_moments(self, count: int) -> list[np.ndarray]:
        with self.lock.here:
            return [self.layout.read(offset) for offset in self.layout.moments[:count]]

    def write_moments(self, moments: list[np.ndarray]) -> None:
        with self.lock.here:
            for moment, offset in zip(moments, self.layout.moments, strict=False):
                self.layout.write(moment, offset)

    def upload(self, array: np.ndarray) -> np.ndarray:
        return array

    def predict(self, x: np.ndarray, out: Any = None, *, logits: bool = False) -> Any:
        outputs = np.empty((x.shape[0], self.topology.sizes[-1]), self.topology.dtype) if out is None else out
        return self._outputs_of_layer(len(self.topology.kinds), x, outputs, logits)

    def evaluate(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> Totals:
        totals, hits_of_sample = NOTHING, np.empty(0 if weights is None else x.shape[0], self.topology.dtype)
        for rows in self._slices(x.shape[0]):
            scores = np.empty((rows.size, 2), self.topology.dtype)  # the loss and the hits of each sample
            samples = self._samples(x, y, rows, weights, scores)
            sums = self._run_turns(EVALUATE, samples, totals._replace(samples=0))
            if weights is not None:  # `run` counts each correct output as 1
                hits_of_sample[totals.samples : totals.samples + rows.size] = scores[:, 1]
            totals = sums._replace(samples=totals.samples + rows.size)
        return totals if weights is None else totals._replace(hits=weighted_hits(hits_of_sample, weights))

    def loss_and_gradients(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        with self.lock.here:
            *_, totals = self._gradient_blocks(x, y, weights)
            return totals.loss, self.layout.read(self.layout.spare)

    def train_epoch(self, x: np.ndarray, y: np.ndarray, epoch: Epoch) -> Iterator[Totals]:
        train = self._train_share if epoch.share else self._train
        # An epoch of one batch and one slice needs no claim, because the lock is held until its gradients are complete.
        short = epoch.order.size <= min(epoch.batch_size, self.training_pace.samples)
        return train(x, y, epoch, True) if short else self._train_with_claim(train, x, y, epoch)

    def _train_with_claim(self, train: Callable[..., Iterator[Totals]], x, y, epoch: Epoch) -> Iterator[Totals]:
        claim = self._claim()
        try:
            yield from train(x, y, epoch, claim is None)
        finally:
            del claim  # explicitly, because a traceback may keep this frame and its variables alive

    def _claim(self) -> Claim | None:
        """Returns a new `Claim` of the first array for gradients, or None if another epoch has reserved that array."""
        with self.lock.here:
            if self.claim() is not None:
                return None
            claim = Claim()
            self.claim = weakref.ref(claim)
            return claim

    def _train(self, x, y, epoch: Epoch, spare: bool) -> Iterator[Totals]:
        totals, count, size = NOTHING, epoch.order.size, epoch.batch_size
        samples = self._samples(x, y, epoch.order, epoch.weights)
        reached: list[np.ndarray] = []
        draw = Draw(np.uint64(epoch.dropout_key), 0) if self.topology.dropout else None
        terms = Terms(epoch.rule, epoch.rates, draw, spare, reached)
        while totals.samples < count:
            first, most, start = totals.samples, self.training_pace.samples, time.perf_counter()
            stop = min(first + most, count)
            run = self._run_whole_batches if spare and count > most else self._run
            reached.clear()
            try:
                totals = run(Job(TRAIN, size, stop, True), samples, totals, terms)
                if stop == first + most:  # a shorter slice says little about the speed
                    self.training_pace.took(totals.samples - first, time.perf_counter() - start)
            except NotFiniteError:  # the step with this batch is not finished
                raise
            except BaseException:  # for example Ctrl-C; tells the caller, before the exception, which samples were processed
                position = max((int(team[POSITION]) for team in reached), default=0)
                if position > first:
                    yield totals._replace(samples=position)
                raise
            yield totals

    def _run_whole_batches(self, job: Job, samples: Samples, totals: Totals, terms: Terms) -> Totals:
        """Calls `_run` repeatedly, until the end of the batch that contains the position `job.stop`.

        Holds the engine's lock until the last call of `_run` has returned.
        """
        stop = min(-(-job.stop // job.batch_size) * job.batch_size, samples.order.size)
        with self.lock.here:
            while totals.samples < stop:
                part = job._replace(stop=min(totals.samples + self.training_pace.samples, stop))
                totals = self._run(part, samples, totals, terms)
        return totals

    def _train_share(self, x, y, epoch: Epoch, spare: bool) -> Iterator[Totals]:
        """Trains for one epoch whose batches are divided among several processes.

        In each step, the processes add up their gradients, and then each process updates its parameters.
        """
        assert epoch.share is not None
        gradients, totals = self.layout.all_gradients(self.layout.spare if spare else self.layout.gradients), NOTHING
        samples = self._samples(x, y, epoch.order, epoch.weights)
        for k, (first, last, position) in enumerate(epoch.steps()):
            terms = Terms(epoch.rule, epoch.rates[k : k + 1], Draw(np.uint64(epoch.dropout_key), position), spare)
            with self.lock.here if spare else nullcontext():
                if first < last:
                    job, of_step = (
                        Job(TRAIN, last - first, last - first, False),
                        samples._replace(order=samples.order[first:last]),
                    )
                    totals = self._run(job, of_step, totals._replace(samples=0), terms)._replace(samples=last)
                else:
                    gradients[:] = 0
                epoch.share.add_up(gradients)
                order = samples._replace(order=ONE_POSITION)
                self._run(Job(DESCEND, 1, 1, True), order, NOTHING, terms._replace(draw=None))
            yield totals

    def trace(self, x: np.ndarray, y: np.ndarray) -> dict[str, list[np.ndarray]]:
        n, dtype, sizes = x.shape[0], self.topology.dtype, self.topology.sizes[1:]
        z, a, delta = ([np.empty((n, n_out), dtype) for n_out in sizes] for _ in range(3))
        with self.lock.here:
            for l in range(len(sizes)):
                self._outputs_of_layer(l + 1, x, z[l], logits=True)
                self._outputs_of_layer(l + 1, x, a[l])
            first, rows = 0, self._block_rows(n)
            (header,), layers, _ = self.layout.records(rows, spare=True)
            for totals in self._gradient_blocks(x, y):
                for l, n_out in enumerate(sizes):
                    block = self.layout.rows_of(layers["delta"][l], header["rows"], totals.samples - first, n_out)
                    delta[l][first : totals.samples] = block
                first = totals.samples
        return {"z": z, "a": a, "delta": delta}

    def _outputs_of_layer(self, count: int, x, outputs, logits: bool = False):
        """Writes the activations a of a layer to `outputs`, or its pre-activations z if `logits` is True; returns `outputs`.

        `count` is the index of the layer, counted from 1.
        """
        for rows in self._slices(x.shape[0]):
            part = outputs if rows.size == x.shape[0] else outputs[rows[0] : rows[-1] + 1]
            samples = self._samples(x, self.no_targets, rows, outputs=part)
            self._run_turns(LOGITS if logits else PREDICT, samples, layers=count)
        return outputs

    def _gradient_blocks(self, x, y, weights=None) -> Iterator[Totals]:
        """Adds up the gradients of one batch in the second of the two arrays for gradients.

        The caller must hold the engine's lock. Yields after each block of samples, so that the caller can read the block's
        values of delta in memory.
        """
        n, totals = x.shape[0], NOTHING
        batch = epoch_of(rows_between(0, n), n, 0.0)
        samples, terms = self._samples(x, y, batch.order, weights), Terms(batch.rule, batch.rates, spare=True)
        while totals.samples < n:
            totals = self._run(Job(TRAIN, n, totals.samples + 1, False), samples, totals, terms)
            yield totals

    def _samples(self, x, y, order, weights=None, outputs=None) -> Samples:
        """Returns the arrays in the types that the compiled function `run` expects, because `run` does not check types.

        The network's methods have checked that x, y and outputs are contiguous in C order and have the network's dtype.
        """
        # astype returns a copy, which is always writable and aligned
        weights = self.no_weights if weights is None else weights.astype(self.topology.dtype)
        outputs = self.no_outputs if outputs is None else outputs
        return Samples(x, y, weights, np.ascontiguousarray(order, np.int64), outputs)

    def _block_rows(self, batch_size: int) -> int:
        """Returns the number of samples in a block: a batch is cut into as few blocks as possible, of (almost) equal size."""
        blocks = -(-batch_size // self.most_rows)
        return -(-batch_size // blocks)

    def _run(self, job: Job, samples: Samples, totals=NOTHING, terms=NO_TERMS) -> Totals:
        """Calls the compiled function `run` for the task TRAIN or DESCEND, from index `totals.samples` of `samples.order`.

        TRAIN computes gradients and, if `job.updates` is true, updates the parameters. DESCEND only updates the parameters.
        """
        if job.batch_size > samples.order.size:
            job = job._replace(batch_size=samples.order.size)
        rows = self._block_rows(job.batch_size)
        if rows * self.topology.parameter_count >= SHARED_WEIGHTS:
            most = self.layout.threads
        else:  # one thread
            short = (job.stop - totals.samples) * self.topology.parameter_count < TURN_WEIGHTS
            most = threads.UNCOUNTED if short else 1
        return self._call(job, rows, most, samples, totals, terms)

    def _run_turns(self, task: int, samples: Samples, totals=NOTHING, layers: int | None = None) -> Totals:
        """Calls `run` for the task PREDICT, LOGITS or EVALUATE, with all samples of `samples` and the first `layers` layers."""
        count, most = samples.order.size, threads.UNCOUNTED
        rows = min(count, self.turn_rows)
        if count * self.topology.parameter_count >= TURN_WEIGHTS:
            most = min(threads.get_num_threads(), self.turns)
            if most > 1:  # each thread processes the same number of blocks, which have (almost) the same size
                rows = up_to(MR, -(-count // up_to(most, -(-count // self.turn_rows))))
        return self._call(Job(task, rows, count, False), rows * max(most, 1), most, samples, totals, NO_TERMS, layers)

    def _call(self, job: Job, rows: int, most: int, samples: Samples, totals, terms, layers: int | None = None) -> Totals:
        """Calls the compiled function `run` in at most `most` threads, with memory for `rows` samples and `layers` layers."""
        rule, rates, draw, spare, reached = terms
        clips, descends = rule.clip_norm < math.inf, job.task == DESCEND
        with self.lock.here:
            key = job.task, rows, clips, draw is not None, spare, layers
            workspace, run = self.workspaces.get(key) or self._new_workspace(rows, draw is not None, spare, layers)
            last, last_descends, constants = self.constants
            if last is not rule or last_descends != descends:
                with np.errstate(all="ignore"):
                    constants = constants_of(rule, self.topology.dtype, descends)
                self.constants = rule, descends, constants
            update = *constants, rates
            arguments = tuple(job), workspace, tuple(samples), update, tuple(totals), tuple(draw or NO_DRAW)
            if run is None:
                with collection_paused():
                    task, arguments_of_all = job.task, (*arguments, new_team(0), False)
                    run = routines.prepare(self.topology, task, arguments_of_all, Workspace(*workspace), clips)
                self.workspaces[key] = workspace, run
            position, loss, hits, invalid = threads.crew.call(run, arguments, most, reached)
        if invalid:
            raise NotFiniteError
        return Totals(position, loss, hits)

    def _new_workspace(self, rows: int, drops: bool, spare: bool, layers: int | None) -> tuple[tuple, None]:
        """Returns a `Workspace`'s fields for blocks of `rows` samples, and None in place of `run`, which the caller compiles.

        `drops` is true if dropout is applied, and `spare` is true if gradients are added up in the second array for gradients.
        The workspace contains only the first `layers` layers of the network.
        """
        layout = self.layout
        header, records, _ = layout.records(rows, drops, spare)
        workspace = Workspace(layout.memory, header, records[:layers], layout.integers, layout.random)
        return tuple(workspace), None

    def _slices(self, count: int) -> Iterator[np.ndarray]:
        """Yields slices (arrays of successive row indices) of the indices 0 to count - 1.

        The network processes the samples of a slice in about 50 ms.
        """
        first, size = 0, self.forward_pace.samples
        while first + size <= count:
            start = time.perf_counter()
            yield rows_between(first, first + size)
            self.forward_pace.took(size, time.perf_counter() - start)
            first, size = first + size, self.forward_pace.samples
        if first < count:  # a shorter slice says little about the speed
            yield rows_between(first, count)
