"""`fit` prints one line per epoch; on a terminal, but not in a file, each line after the tenth replaces the line before it."""

import sys

import numpy as np
import pytest

from numbanet import Callback, Network
from numbanet.training import live, reporting

X, Y = np.linspace(-1, 1, 12).reshape(6, 2), np.zeros(6)


@pytest.fixture
def terminal(monkeypatch):
    """Makes numbanet treat standard output as a terminal, and print every line immediately."""
    monkeypatch.setattr(live, "on_terminal", lambda stream: stream is sys.stdout)
    monkeypatch.setattr(reporting, "LIVE_SECONDS", 0)


def fit(**options):
    net = Network([2, 1], "identity", "mse", seed=0, kernels="reference")
    return net.fit(X, Y, epochs=30, **options)


def screen(text):
    """Returns the lines that a terminal shows after it receives a text with carriage returns."""
    lines, column = [""], 0
    for sign in text:
        if sign == "\r":
            column = 0
        elif sign == "\n":
            lines.append("")
            column = 0
        else:
            lines[-1] = lines[-1][:column] + sign + lines[-1][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


def epochs_of(lines):
    return [int(line.split("/")[0].removeprefix("epoch ")) for line in lines]


def test_a_file_contains_a_line_per_epoch(capsys):
    fit()
    out = capsys.readouterr().out
    assert "\r" not in out and epochs_of(out.splitlines()) == list(range(1, 31))


def test_a_terminal_shows_one_live_line_after_ten(terminal, capsys):
    history = fit()
    out = capsys.readouterr().out
    assert out.count("\r") == 21  # twenty epochs, and the end
    *lines, last = screen(out)
    assert epochs_of(lines) == [*range(1, 11), 30] and last == ""
    assert f"loss {history['loss'][-1]:.4f}" in lines[-1]


def test_the_line_changes_at_most_ten_times_per_second(terminal, monkeypatch, capsys):
    monkeypatch.setattr(reporting, "LIVE_SECONDS", 1000)
    fit()
    out = capsys.readouterr().out
    assert out.count("\r") == 2 and epochs_of(screen(out)[:-1]) == [*range(1, 11), 30]


def test_a_line_that_is_too_wide_is_cut_until_the_end(terminal, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    fit()
    *parts, last = capsys.readouterr().out.split("\r")
    assert max(map(len, parts[1:])) == 19 and len(last) > 20


def test_a_shorter_line_erases_the_longer_line_before_it(capsys):
    line = live.TerminalLine()
    line.replace("epoch 11: 0.125")
    line.end("epoch 12: 1")
    assert screen(capsys.readouterr().out) == ["epoch 12: 1", ""]


def test_an_interruption_stands_below_the_live_line(terminal, capsys):
    class Interrupting(Callback):
        def on_epoch_begin(self, epoch, logs):
            if epoch == 20:
                raise KeyboardInterrupt

    history = fit(callbacks=Interrupting())
    *lines, message, _ = screen(capsys.readouterr().out)
    assert epochs_of(lines) == [*range(1, 11), 19] and message.startswith("interrupted in epoch 20")
    assert history.interrupted


def test_small_figures_have_significant_digits():
    assert reporting.line(1, 9, {"loss": 3.2123e-05, "mae": 0.00012, "r2": 0.0, "seconds": 1.0}) == (
        "epoch 1/9  loss 3.212e-05  mae 0.0001  r2 0.0000  1.00 s"
    )


def test_no_line_is_live_without_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert live.live_line() is None and not live.in_notebook()
