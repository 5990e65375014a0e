"""Shows the user the progress of `Network.fit`: a line for each epoch, a progress bar, and a warning if the loss has grown."""

import contextlib
import functools
import math
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from numbanet.engines import make_engine
from numbanet.engines.topology import Topology
from numbanet.inputs import Data
from numbanet.inputs.gpu import on_gpu
from numbanet.training.live import NotebookLine, in_notebook, live_line, on_terminal, shows_bars
from numbanet.training.model import Model

if TYPE_CHECKING:
    from numbanet.training.loop import Training

# If an epoch takes longer than this time, a progress bar appears.
BAR_AFTER_SECONDS = 1.0
# The number of epochs whose lines stay on the terminal. The lines of later epochs replace each other.
FIRST_LINES = 10
# The shortest time for which the line of an epoch is visible before another line replaces it.
LIVE_SECONDS = 0.1
# Figures below this number are shown with significant digits, because four decimals would show 0.0000.
SMALL = 1e-4
# `fit` warns if the final loss is more than FAR times the loss before training.
FAR = 10.0
# The end of messages about values that are too large.
SCALE = "scale the inputs and targets to values of about 1"
# The number of samples from which the loss before training is computed. The number is small, so that this computation takes
# little time even in comparison with a short epoch.
SAMPLES = 256


class Bar:
    """A progress bar, which appears once the work has taken `BAR_AFTER_SECONDS` seconds, and disappears at the end.

    On a terminal, the bar consists of text; in a notebook with the package ipywidgets, it is a widget. If the output goes
    neither to a terminal nor to a notebook, no bar appears.

    Parameters
    ----------
    title : str
        The text before the bar.
    total : int or None
        The amount of work, or None if it is unknown.
    unit : str
        The noun for a piece of work.
    shown : bool
        If False, the bar never appears.
    line : NotebookLine, optional
        The output of a notebook's cell in which the bar appears, so that several bars can share one output.
    """

    def __init__(self, title: str, total: int | None, unit: str, shown: bool = True, line: NotebookLine | None = None):
        self.title, self.total, self.unit, self.line = title, total, unit, line
        self.done, self.bar, self.since = 0, None, time.monotonic() if shown and shows_bars() else math.inf

    def __enter__(self) -> Self:
        return self

    def update(self, count: int) -> None:
        """Adds `count` to the amount of finished work, and redraws the bar."""
        self.done += count
        if self.bar is not None:
            self.bar.update(count)
        elif time.monotonic() - self.since >= BAR_AFTER_SECONDS:
            self._appear()

    def _appear(self) -> None:
        options = {"total": self.total, "initial": self.done, "desc": self.title, "unit": f" {self.unit}", "leave": False}
        bar_class = _bar_class()
        if not in_notebook():
            self.bar = bar_class(**options, file=sys.stderr)
            return
        self.line = self.line or NotebookLine()
        if bar_class.is_widget:
            self.bar = bar_class(**options, display=False)
            self.line.show(self.bar.container)
        else:
            self.bar = bar_class(**options, file=self.line)

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()
            if self.line is not None and in_notebook():
                self.line.replace("")


@functools.cache
def _bar_class() -> Any:
    """Returns a subclass of tqdm's progress bar for this terminal or notebook.

    tqdm is imported only when the function is called, because the import takes 50 ms.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in a notebook without ipywidgets, tqdm warns that the bar consists of text
        from tqdm.auto import tqdm

    class InterruptibleBar(tqdm):
        """A bar that shows no AttributeError when Python deletes it after Ctrl-C interrupted its constructor."""

        is_widget = any(parent.__name__ == "tqdm_notebook" for parent in tqdm.__mro__)

        def __del__(self) -> None:
            with contextlib.suppress(AttributeError):
                super().__del__()

    return InterruptibleBar


class EpochLines:
    """Shows a line of text after each epoch.

    On a terminal and in a notebook, the lines of the first ten epochs stay visible, and each later line replaces the line
    before it. If the output goes to a file or a pipe, there is one line per epoch.
    """

    def __init__(self) -> None:
        self.count, self.text, self.shown_at = 0, "", 0.0
        self.live = live_line()
        self.bars = NotebookLine()  # the place of the progress bars of all epochs in a notebook

    def show(self, text: str) -> None:
        """Shows the text of the epoch that has just ended."""
        self.count += 1
        if self.live is None or self.count <= FIRST_LINES:
            say(text)
            return
        self.text = text
        if (now := time.monotonic()) - self.shown_at >= LIVE_SECONDS:
            self.live.replace(text)
            self.shown_at = now

    def end(self) -> bool:
        """Writes the last epoch's text into the line that epochs after the tenth share; returns False if none used it."""
        if self.live is None or not self.text:
            return False
        self.live.end(self.text)
        self.text = ""
        return True

    def end_by_interruption(self, message: str) -> None:
        """Shows the text of the last epoch and, in the line below it, a message."""
        if self.end():
            say(message)
        else:
            say_after_interruption(message)


def say(text: str) -> None:
    """Prints a line of text.

    If standard output is absent, closed or not writable, nothing is printed and no error is raised.
    """
    text += "\n"  # a single write, because Ctrl-C may stop `print` between the text and the line break
    try:
        print(text, end="", flush=True)
    except (AttributeError, ValueError, OSError) as error:
        if isinstance(error, UnicodeError):
            print(text.encode("ascii", "replace").decode(), end="", flush=True)


def say_after_interruption(text: str) -> None:
    """Prints a line of text after Ctrl-C.

    On a terminal, the text begins on a new line, below the ^C that the terminal displays.
    """
    say(f"\n{text}" if on_terminal(sys.stdout) else text)


def shown(value: float) -> str:
    """Returns a number as text with four decimals, or with four significant digits if the number is small: 3.21e-05."""
    return f"{value:.4g}" if 0 < abs(value) < SMALL else f"{value:.4f}"


def line(epoch: int, epochs: int, logs: dict[str, float]) -> str:
    """Returns the line of text that `fit` prints after an epoch."""
    metrics = "  ".join(f"{name} {shown(value)}" for name, value in logs.items() if name not in ("seconds", "learning_rate"))
    rate = f"  learning_rate {logs['learning_rate']:.3g}" if "learning_rate" in logs else ""
    return f"epoch {epoch:{len(str(epochs))}d}/{epochs}  {metrics}{rate}  {logs['seconds']:.2f} s"


def worse_than_at_first(training: "Training", start: np.ndarray, loss: float) -> str | None:
    """Returns a warning message if the loss after training is more than `FAR` times the loss before training, otherwise None.

    There is a message only if the loss after training also exceeds the loss of a network that predicts the same values for
    every sample. For example, an increase of the loss from 1e-12 to 1e-10 causes no warning. If a function supplies the
    batches, the loss in the first epoch stands for the loss before training.

    Parameters
    ----------
    training : Training
    start : (parameters,) ndarray
        The parameters before training.
    loss : float
        The loss of the epoch whose parameters the network keeps: the best epoch if fit restores it, else the last epoch.
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
        if on_host is None:  # y is on the GPU; with parameters 0, the network predicts the same values for every sample
            worse = worse and loss > scale * _loss_with(np.zeros_like(start), model, part)
    if not worse:
        return None
    return (
        f"the training made the network worse: the loss is {loss:.4g} at the end, but was {first:.4g} {when}; try a smaller "
        f"learning rate, or {SCALE}"
    )


def _loss_of_guessing(topology: Topology, y: np.ndarray | None = None) -> float:
    """Returns the loss per sample of a network that predicts the same values for every sample.

    For the losses cce and bce, this network predicts equal probabilities of all classes; for mse and sse, it predicts 0.
    Without the targets `y`, the function returns 0 for mse and sse, a lower bound of the loss. It returns 0 for every other
    loss, too.
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
