"""Output of a training for its user: a line for each epoch, a progress bar, and a warning if the loss has grown."""

import sys
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from tqdm import tqdm

from numbanet.engines import make_engine
from numbanet.inputs import Data, on_host

if TYPE_CHECKING:
    from numbanet.training.loop import Training

# An epoch that takes longer than this shows a progress bar.
BAR_AFTER_SECONDS = 1.0
# A training that ends with a loss of more than FAR times the loss of its beginning made things worse.
FAR = 10.0
# Number of samples from which the loss of the beginning is computed.
SAMPLES = 4096


class NoBar:
    """Replaces the progress bar when none is shown, because a disabled `tqdm` takes 9 us, half the time of a small step."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, samples: int) -> None:
        """Does nothing, because there is no bar to update."""


NO_BAR = NoBar()


def bar(title: str, samples: int | None) -> "tqdm | NoBar":
    """Returns a progress bar, which appears on a terminal once the epoch has lasted for `BAR_AFTER_SECONDS`."""
    return tqdm(total=samples, desc=title, unit=" samples", delay=BAR_AFTER_SECONDS, leave=False)


def on_terminal() -> bool:
    """Returns whether standard error is a terminal; it may be absent, closed, or an object that only has write and flush."""
    try:
        return bool(sys.stderr.isatty())  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return False


def say(text: str) -> None:
    """Prints a line; if standard output is absent, closed or cannot be written to, the training continues without the line."""
    try:
        print(text, flush=True)
    except (AttributeError, ValueError, OSError) as error:
        if isinstance(error, UnicodeError):
            print(text.encode("ascii", "replace").decode(), flush=True)


def line(epoch: int, epochs: int, logs: dict[str, float]) -> str:
    """Returns the line of text about a finished epoch."""
    figures = "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if name not in ("seconds", "learning_rate"))
    rate = f"  learning_rate {logs['learning_rate']:.3g}" if "learning_rate" in logs else ""
    return f"epoch {epoch:{len(str(epochs))}d}/{epochs}  {figures}{rate}  {logs['seconds']:.2f} s"


def worse_than_at_first(training: "Training", start: np.ndarray, loss: float) -> str | None:
    """Returns a message if a training ended with a loss far above the loss of the network that it began with.

    The loss must also exceed the loss of a network that answers the same to every sample. Otherwise a training would be
    suspicious that increases a loss of 1e-12 to 1e-10.

    Parameters
    ----------
    training : Training
    start : (parameters,) ndarray
        The parameters at the beginning.
    loss : float
        The loss in the epoch whose parameters the network has now.
    """
    topology, data = training.model.topology, training.data
    if isinstance(data, Data):
        scale = data.n if topology.loss == "sse" else 1
        data = data.rows(slice(0, SAMPLES))
        guess = scale * _loss_of_guessing(topology.loss, topology.sizes[-1], data.y)
    else:
        scale, guess = 1, _loss_of_guessing(topology.loss, topology.sizes[-1], None)
    if not loss > guess:
        return None
    if isinstance(data, Data):
        engine = make_engine(topology, training.model.device, training.model.kernels)
        engine.write(start)
        first, when = scale * engine.evaluate(data.x, data.y).loss / data.n, "before the first epoch"
    else:
        first, when = training.first_loss or 0.0, "in the first epoch"
    if not loss > FAR * first:
        return None
    return (
        f"the training made the network worse: the loss is {loss:.4g} at the end, but was {first:.4g} {when}; try a smaller "
        "learning rate, or scale the inputs and targets to values of about 1"
    )


def _loss_of_guessing(loss: str, n_out: int, y: Any) -> float:
    """Returns the loss per sample of equal probabilities for all classes or, for mse and sse, of the answer 0."""
    if loss in ("cce", "bce"):
        return float(np.log(n_out)) if loss == "cce" else n_out * float(np.log(2))
    return 0.0 if y is None else float(np.square(on_host(y), dtype=np.float64).sum(axis=1).mean())
