"""Displays networks and training histories in notebooks. Without matplotlib, a notebook shows tables in place of pictures."""

import functools
import html
import importlib.util

from numbanet import checks, pages
from numbanet.network import Network
from numbanet.perceptron import MultilayerPerceptron
from numbanet.training.history import History

# The colours of pictures, by the colours of the text and of the background of the notebook, which may be light or dark.
COLOURS = (
    "--ink:currentColor;--quiet:currentColor;--line:color-mix(in srgb,currentColor 20%,transparent);"
    "--card:var(--jp-layout-color0,var(--vscode-editor-background,Canvas));"
    "--blue:color-mix(in srgb,#0072B2 75%,currentColor);--vermilion:color-mix(in srgb,#D55E00 85%,currentColor)"
)


def network_html(network: Network) -> str:
    """Returns a drawing of the network, a table of its layers, and the number of its parameters, as HTML."""
    head, *rows = pages.layers(network)
    parts = [pages.table(head, rows, texts=2), f"<p>{html.escape(pages.facts(network))}</p>"]
    if _can_draw():
        from numbanet import pictures

        parts.insert(0, pictures.svg(functools.partial(pictures.network_diagram, network), "network", "The network"))
    return _framed(parts)


def history_html(history: History) -> str:
    """Returns the curves of the loss and of the accuracy, if any, and a line about the last epoch, as HTML."""
    if not history.epoch:
        return "<p>History of 0 epochs</p>"
    parts = [f"<p>{html.escape(_last(history))}</p>"]
    if _can_draw():
        from numbanet import pictures

        names = [name for name in ("loss", "accuracy") if name in history]
        curves = (
            pictures.svg(functools.partial(pictures.learning_curves, history, name), name, f"The {name} of each epoch")
            for name in names
        )
        parts.insert(0, f'<div style="display:flex;flex-wrap:wrap">{"".join(curves)}</div>')
    return _framed(parts)


def _last(history: History) -> str:
    """Returns one line with the loss and metrics of the last epoch and, with early stopping, the number of the best epoch."""
    row = list(history)[-1]
    text = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
    best = f"; the network has the parameters of epoch {history.best_epoch}" if history.best_epoch is not None else ""
    return f"{checks.count(len(history), 'epoch')}{', interrupted' * history.interrupted}; in the last epoch: {text}{best}"


def _framed(parts: list[str]) -> str:
    return "\n".join([f'<div class="numbanet" style="{COLOURS}">', *parts, "</div>"])


def _can_draw() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


MultilayerPerceptron._repr_html_ = network_html  # the method that a notebook calls to display an object
History._repr_html_ = history_html
