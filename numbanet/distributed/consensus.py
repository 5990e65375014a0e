"""The agreement of several processes that train one network: rank 0 decides, prints and writes."""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from numbanet.distributed.communicators import Communicator
from numbanet.distributed.partition import zeros
from numbanet.engines.cpu.kernels.vector import REGISTER_BYTES
from numbanet.engines.epoch import BatchShare
from numbanet.training.processes import Pass, SharedBatches

if TYPE_CHECKING:
    from numbanet.training.loop import Training


class Agreement:
    """The agreement of several processes.

    All start with the parameters, moments and history of rank 0, and take over its figures after each epoch.

    Parameters
    ----------
    communicator : Communicator
    conditions : dict
        JSON values that must be the same in all processes, by the names of the arguments of `fit`.
    """

    interruptible = False  # the other processes would wait for this one

    def __init__(self, communicator: Communicator, conditions: dict[str, Any]):
        self.communicator, self.conditions = communicator, conditions

    @contextmanager
    def session(self) -> Iterator[None]:
        """Turns SystemExit into an error: Python would end this process without one, while the others wait."""
        try:
            yield
        except SystemExit as end:
            raise RuntimeError(f"exit({end.code}) was called during training") from end

    def begin(self, training: "Training") -> None:
        """Compares the conditions, takes over the state of rank 0, and compiles.

        Raises
        ------
        ValueError
            This process has another condition than rank 0, or adds gradients in another order.
        """
        self._compare()
        self._take_over(training)
        # One process of each machine compiles first; the others then find its machine code in the cache.
        first = getattr(self.communicator, "first_of_node", self.communicator.rank == 0)
        for turn in (True, False):
            if first is turn:
                _compile(training)
            self.communicator.barrier()

    def settle(self, training: "Training", logs: dict[str, float]) -> bool:
        """Takes over the logs, the wish to stop and, if callbacks may have changed them, the parameters of rank 0.

        Raises
        ------
        RuntimeError
            Without callbacks, the parameters differ from rank 0's.
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
        if first["callbacks"]:
            engine.write(self._vector_of_rank_0(engine.read()))
        elif own["parameters"] != first["parameters"]:
            raise RuntimeError(
                f"the parameters of rank {self.communicator.rank} have diverged from the parameters of rank 0: "
                "its processor or its MPI adds in a different order"
            )
        return first["stop"]

    def _compare(self) -> None:
        own = json.loads(json.dumps(self.conditions | {"width of SIMD registers": REGISTER_BYTES}))
        for name, value in self._of_rank_0(own).items():
            if own.get(name) != value:
                advice = "; if each process has its own samples, pass sharded=True" if "data" in name else ""
                raise ValueError(f"rank {self.communicator.rank} has another {name} than rank 0{advice}")

    def _take_over(self, training: "Training") -> None:
        """Copies parameters, moments, generator and history from rank 0."""
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
        """Returns the JSON value that rank 0 passes."""
        text = np.frombuffer(json.dumps(value).encode(), np.uint8).copy()
        length = np.array([text.size], np.int64)
        self.communicator.broadcast(length)
        text = np.resize(text, int(length[0]))
        self.communicator.broadcast(text)
        return json.loads(text.tobytes())

    def _vector_of_rank_0(self, vector: np.ndarray) -> np.ndarray:
        """Returns the vector that rank 0 passes."""
        vector = vector.copy()
        self.communicator.broadcast(vector)
        return vector


def _compile(training: "Training") -> None:
    """Compiles the training step: takes one, on a sample of zeros and without the other processes, and undoes it."""
    model = training.model
    before, data, one = model.snapshot(), zeros(model.topology).uploaded(model.engine), np.ones(1, np.int64)
    alone = SharedBatches(BatchShare(one, one - 1, lambda flat: None), one, one)
    epoch = Pass(data, one - 1, 1, 1.0, alone).epoch(1.0, training.rule, 1, 0)
    for _ in model.engine.train_epoch(data.x, data.y, epoch):
        pass
    model.restore(before)
