"""Shows the user the progress of `Network.fit`: a line for each epoch, a progress bar, and a warning if the loss has grown."""

import contextlib
import math
import sys
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from tqdm import tqdm

from numbanet.engines import make_engine
from numbanet.engines.topology import Topology
from numbanet.inputs import Data
from numbanet.inputs.gpu import on_gpu
from numbanet.training.model import Model

if TYPE_CHECKING:
    from numbanet.training.loop import Training

# If an epoch takes longer than this time, a progress bar appears.
BAR_AFTER_SECONDS = 1.0
# `fit` warns if the final loss is more than FAR times the loss before training.
FAR = 10.0
# The number of samples from which the loss before training is computed. The number is small, so that this computation takes
# little time even in comparison with a short epoch.
SAMPLES = 256


class NoBar:
    """Replaces a hidden progress bar. A disabled `tqdm` object would take 9 us, half the time of a small training step."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, samples: int) -> None:
        """Does nothing, because there is no bar to update."""


NO_BAR = NoBar()


class Bar(tqdm):
    """A progress bar. If Ctrl-C interrupts its constructor, Python deletes it without a message about missing attributes."""

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            super().__del__()


def bar(title: str, samples: int | None) -> Bar:
    """Returns a progress bar, which appears on the terminal when the epoch has taken `BAR_AFTER_SECONDS` seconds."""
    return Bar(total=samples, desc=title, unit=" samples", delay=BAR_AFTER_SECONDS, leave=False)


def on_terminal(stream: Any) -> bool:
    """Returns whether `stream`, such as standard error, is a terminal. It may be None, closed, or an object without isatty."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False


def say(text: str) -> None:
    """Prints a line of text.

    If standard output is absent, closed or not writable, nothing is printed and no error is raised.
    """
    text += "\n"  # a single write, because Ctrl-C may stop `print` between the text and its end
    try:
        print(text, end="", flush=True)
    except (AttributeError, ValueError, OSError) as error:
        if isinstance(error, UnicodeError):
            print(text.encode("ascii", "replace").decode(), end="", flush=True)


def say_after_interruption(text: str) -> None:
    """Prints a line of text after Ctrl-C. On a terminal, the text begins in a new line, below the ^C of the terminal."""
    say(f"\n{text}" if on_terminal(sys.stdout) else text)


def line(epoch: int, epochs: int, logs: dict[str, float]) -> str:
    """Returns the line of text that `fit` prints after an epoch."""
    figures = "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if name not in ("seconds", "learning_rate"))
    rate = f"  learning_rate {logs['learning_rate']:.3g}" if "learning_rate" in logs else ""
    return f"epoch {epoch:{len(str(epochs))}d}/{epochs}  {figures}{rate}  {logs['seconds']:.2f} s"


def worse_than_at_first(training: "Training", start: np.ndarray, loss: float) -> str | None:
    """Returns a warning message if the loss after training is far above the loss before training; otherwise returns None.

    The function returns a message only if the loss also exceeds the loss of a network that gives the same answer for every
    sample. An increase of the loss from 1e-12 to 1e-10 therefore causes no warning.

    Parameters
    ----------
    training : Training
    start : (parameters,) ndarray
        The parameters before training.
    loss : float
        The loss of the epoch that ended with the current parameters of the network.
    """
    model, data = training.model, training.data
    if not isinstance(data, Data):
        first, when = training.first_loss or 0.0, "in the first epoch"
        worse = loss > max(FAR * first, _loss_of_guessing(model.topology))
    else:
        scale, part = data.n if model.topology.loss == "sse" else 1, data.rows(slice(0, SAMPLES))
        on_host = None if on_gpu(part.y) else part.y
        if not loss > scale * _loss_of_guessing(model.topology, on_host):
            return None
        first, when = scale * _loss_with(start, model, part), "before the first epoch"
        worse = loss > FAR * first
        if on_host is None:  # y stays on the GPU: evaluate a network with parameters 0, whose answers are all equal
            worse = worse and loss > scale * _loss_with(np.zeros_like(start), model, part)
    if not worse:
        return None
    return (
        f"the training made the network worse: the loss is {loss:.4g} at the end, but was {first:.4g} {when}; try a smaller "
        "learning rate, or scale the inputs and targets to values of about 1"
    )


def _loss_of_guessing(topology: Topology, y: np.ndarray | None = None) -> float:
    """Returns the loss per sample of a network that gives the same answer for every sample.

    For the losses cce and bce, the answer is equal probabilities; for mse and sse, the answer is 0. For mse and sse without y,
    the function returns 0, which is a lower bound of the loss. It also returns 0 for a loss that the user wrote.
    """
    n_out = topology.sizes[-1]
    if topology.own_loss:
        return 0.0
    if topology.loss in ("cce", "bce"):
        return math.log(n_out) if topology.loss == "cce" else n_out * math.log(2)
    return 0.0 if y is None else float(np.einsum("sj,sj->", y, y)) / y.shape[0]


def _loss_with(parameters: np.ndarray, model: Model, data: Data) -> float:
    """Returns the loss per sample of a network with the topology of `model` and the given parameters."""
    engine = make_engine(model.topology, model.device, model.kernels)
    engine.write(parameters)
    return engine.evaluate(data.x, data.y).loss / data.n
