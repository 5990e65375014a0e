"""The benchmark `scaling` notices processes that compute different results, and fits straight lines to its times correctly."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rungs import Rung
from benchmarks.scaling import __main__ as command
from benchmarks.scaling.lines import fitted_line
from benchmarks.scaling.ranks import Rank
from numbanet import _cuda
from numbanet._compile import config
from numbanet.distributed.communicators import SerialCommunicator

compiled = pytest.mark.skipif(_cuda.SIMULATED or config.DISABLE_JIT, reason="measures compiled loops on the CPU")
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))


@given(fixed=st.floats(1e-7, 1e-2), rate=st.floats(1e-12, 1e-8))
def test_a_line_is_recovered(fixed, rate):
    x = np.array([4.0**k for k in range(5, 14)])
    line = fitted_line(x, fixed + rate * x)
    np.testing.assert_allclose(line.fixed + line.rate * x, fixed + rate * x, rtol=1e-9)
    assert line.error < 1e-9


@given(noise=st.lists(st.floats(0.5, 2), min_size=9, max_size=9))
def test_no_other_line_has_a_smaller_error(noise):
    x = np.array([4.0**k for k in range(5, 14)])
    seconds = (1e-5 + 1e-9 * x) * noise
    line = fitted_line(x, seconds)

    def error(fixed, rate):
        return np.sqrt(np.mean(((fixed + rate * x) / seconds - 1) ** 2))

    assert line.error == pytest.approx(error(line.fixed, line.rate))
    for step in (-1e-8, 1e-8):
        assert line.error <= error(line.fixed + step, line.rate) * (1 + 1e-12)
        assert line.error <= error(line.fixed, line.rate + step * 1e-4) * (1 + 1e-12)


class Askew(SerialCommunicator):
    """A faulty communicator that returns a wrong sum."""

    def sum(self, flat):
        flat *= 1.01


@compiled
def test_ranks_that_compute_something_else_are_noticed():
    rung = Rung("tiny", (7, 5, 3), 4, 24)
    before = Rank(rung, SerialCommunicator(), 1e3).engine.read()
    right, wrong = Rank(rung, SerialCommunicator(), 1e3), Rank(rung, Askew(), 1e3)
    right.check(4)
    np.testing.assert_array_equal(right.engine.read(), before)
    with pytest.raises(AssertionError, match="tiny 7-5-3: the losses differ from one process's losses"):
        wrong.check(4)


@compiled
@pytest.mark.skipif(MPIEXEC is None, reason="no mpiexec")
def test_processes_are_measured(tmp_path, monkeypatch, capsys):
    pytest.importorskip("mpi4py")
    monkeypatch.setattr(sys, "argv", ["scaling", "--quick", "--markdown", "--json", str(tmp_path / "figures.json")])
    command.main()
    out = capsys.readouterr().out
    assert "Each has a batch: microseconds per step" in out and "| R3 784-128-10 | 2 | 128 |" in out
    figures = json.loads((tmp_path / "figures.json").read_text())
    for kind in ("strong", "weak"):
        parts = figures["medians"]["2"][kind]["R3 784-128-10"]
        assert min(parts.values()) > 0
        assert parts["compute"] + parts["wait"] + parts["allreduce"] == pytest.approx(parts["step"])
    assert figures["medians"]["1"]["bytes"]["R3 784-128-10"] >= 4 * (785 * 128 + 129 * 10)
    assert figures["fits"].keys() == {"allreduce", "compute"}


def test_a_launch_that_fails_reports_nothing(tmp_path, capfd):
    options = argparse.Namespace(launcher=["false"], ranks=[1], rounds=1, quick=True)
    with pytest.raises(SystemExit, match="1 processes failed with status 1; nothing is reported"):
        command.take_turns(options, [], 1)
