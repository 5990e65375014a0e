"""Keeps parameters and history equal in all processes.

Only the first process, rank 0, prints, writes files, and decides when to stop.
"""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from numbanet.distributed.communicators import Communicator
from numbanet.distributed.partition import zeros
from numbanet.engines.cpu.registers import REGISTERS
from numbanet.engines.epoch import BatchShare
from numbanet.training.processes import ARRAYS, Pass, SharedBatches

if TYPE_CHECKING:
    from numbanet.training.loop import Training


class Agreement:
    """Keeps parameters, moments and history equal in all processes of distributed training.

    Before training, all processes copy the parameters, moments and history of the first process, rank 0. After each epoch, all
    processes copy the losses and metrics of rank 0.

    Parameters
    ----------
    communicator : Communicator
    conditions : dict
        JSON-serializable arguments of `Network.fit` that must be equal in all processes, by name.
    """

    interruptible = False  # Ctrl-C must not end a single process, because the other processes would wait for it

    def __init__(self, communicator: Communicator, conditions: dict[str, Any]):
        self.communicator, self.conditions = communicator, conditions
        self.follows = communicator.rank > 0

    @contextmanager
    def session(self) -> Iterator[None]:
        """Converts SystemExit to RuntimeError, because SystemExit would end this process silently while others wait for it."""
        try:
            yield
        except SystemExit as end:
            raise RuntimeError(
                f"exit({end.code}) was called during training, while other processes wait for this process"
            ) from end

    def begin(self, training: "Training") -> None:
        """Compares the arguments of `fit` with those of rank 0, copies the state of rank 0, and compiles the training step.

        Raises
        ------
        ValueError
            An argument or the data differ between this process and rank 0; or the SIMD registers of their processors differ in
            width, so that the processes would add up gradients in different orders.
        """
        self._compare(training)
        self._take_over(training)
        # One process of each machine compiles first, so that the other processes load the machine code from the cache.
        first = getattr(self.communicator, "first_of_node", self.communicator.rank == 0)
        for turn in (True, False):
            if first is turn:
                _compile(training)
            self.communicator.barrier()

    def settle(self, training: "Training", logs: dict[str, float]) -> bool:
        """Copies `logs` (the loss and metrics) from rank 0, and returns whether a callback of rank 0 requests to stop training.

        If rank 0 has callbacks, this process also copies the parameters of rank 0, which the callbacks may have changed.

        Raises
        ------
        RuntimeError
            The parameters of this process differ from the parameters of rank 0, although rank 0 has no callbacks that could
            change them.
        """
        engine = training.model.engine
        own = {
            "logs": {name: float(value) for name, value in logs.items()},
            "stop": training.stop_requested(),
            "callbacks": bool(training.settings.callbacks),
            "parameters": zlib.crc32(engine.read().data),
        }
        first = self._of_rank_0(own)
        logs.clear()
        logs.update(first["logs"])
        training.callbacks_anywhere = first["callbacks"]
        if first["callbacks"]:
            engine.write(self._vector_of_rank_0(engine.read()))
        elif own["parameters"] != first["parameters"]:
            raise RuntimeError(
                f"the parameters of rank {self.communicator.rank} have diverged from the parameters of rank 0: "
                "the processors or the MPI libraries of the two ranks add numbers in different orders; "
                "use equal processors and MPI libraries"
            )
        return first["stop"]

    def _compare(self, training: "Training") -> None:
        formulas = [formula.digest for formula in training.model.topology.formulas]
        own = json.loads(json.dumps(self.conditions | {"formulas": formulas, "width of SIMD registers": REGISTERS.width}))
        for name, value in self._of_rank_0(own).items():
            if own.get(name) != value:
                advice = "; if each process has its own samples, pass sharded=True" if name in ARRAYS else ""
                difference = f"rank {self.communicator.rank} differs from rank 0 in {name}"
                raise ValueError(f"{difference}, which must be the same in all processes{advice}")

    def _take_over(self, training: "Training") -> None:
        """Copies parameters, moments, random generator and history from the process with rank 0 to this process."""
        model, history = training.model, training.history
        own = {
            "generator": model.generator.bit_generator.state,
            "step": model.step,
            "epoch": history.epoch,
            "history": history.history,
            "best_epoch": history.best_epoch,
            "best": training.best is not None,
        }
        first = self._of_rank_0(own)
        model.generator.bit_generator.state, model.step = first["generator"], first["step"]
        history.epoch, history.history, history.best_epoch = first["epoch"], first["history"], first["best_epoch"]
        parameters, moments, _ = model.snapshot()
        model.engine.write(self._vector_of_rank_0(parameters))
        model.engine.write_moments([self._vector_of_rank_0(moment) for moment in moments])
        if first["best"]:
            training.best = self._vector_of_rank_0(parameters if training.best is None else training.best)

    def _of_rank_0(self, value: Any) -> Any:
        """Returns the value that the process with rank 0 passes to this method; the value must be JSON-serializable."""
        text = np.frombuffer(json.dumps(value).encode(), np.uint8).copy()
        length = np.array([text.size], np.int64)
        self.communicator.broadcast(length)
        text = np.resize(text, int(length[0]))
        self.communicator.broadcast(text)
        return json.loads(text.tobytes())

    def _vector_of_rank_0(self, vector: np.ndarray) -> np.ndarray:
        """Returns the vector that the process with rank 0 passes to this method."""
        vector = vector.copy()
        self.communicator.broadcast(vector)
        return vector


def _compile(training: "Training") -> None:
    """Compiles the training step: trains one step on a sample of zeros, without the other processes, and undoes this step."""
    model = training.model
    before, data, one = model.snapshot(), zeros(model.topology).uploaded(model.engine), np.ones(1, np.int64)
    alone = SharedBatches(BatchShare(one, one - 1, lambda flat: None), one)
    epoch = Pass(data, one - 1, 1, 1.0, alone).epoch(1.0, training.rule, 1, 0)
    for _ in model.engine.train_epoch(data.x, data.y, epoch):
        pass
    model.restore(before)
