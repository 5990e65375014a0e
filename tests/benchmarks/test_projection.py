"""The model of many nodes is worked by hand, and what it is fed with is measured by processes that compute the same."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config

from benchmarks import distributed, projection
from benchmarks.projection import Line, Wire, Work
from numbanet import _cuda
from numbanet.distributed.communicators import SerialCommunicator
from tests.helpers.engines import each

ROOT = Path(__file__).parents[2]
compiled = pytest.mark.skipif(_cuda.SIMULATED or config.DISABLE_JIT, reason="measures compiled loops on the CPU")
WIRE = Wire("hand", latency=1e-5, bandwidth=1e9)
FREE = Wire("free", latency=0.0, bandwidth=math.inf)
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))


def work(fixed=0.0, rate=0.0, size=0.0, batch=64, layers=((10, 10), (10, 10)), adding=0.0):
    line = Line(fixed, rate, 0.0)
    return Work(line.seconds(batch), line, batch, size, layers, adding)


@each(
    ("n", "adding", "seconds"),
    [
        (1, 1e-10, 0.0),
        (2, 0.0, 2e-5 + 1e-3),
        (4, 0.0, 4e-5 + 1.5e-3),
        (4, 1e-10, 4e-5 + 1.5e-3 + 0.075e-3),
        (5, 0.0, 6e-5 + 1.6e-3),
        (1024, 0.0, 20e-5 + 2e-3 * 1023 / 1024),
    ],
)
def test_an_allreduce_of_a_megabyte_by_hand(n, adding, seconds):
    assert projection.allreduce(n, 1e6, WIRE, adding) == pytest.approx(seconds, rel=1e-12)


@given(n=st.integers(1, 2000), size=st.floats(1, 1e9), latency=st.floats(1e-7, 1e-3), bandwidth=st.floats(1e6, 1e12))
def test_an_allreduce_takes_longer_with_more_nodes_and_more_bytes(n, size, latency, bandwidth):
    wire = Wire("any", latency, bandwidth)
    seconds = projection.allreduce(n, size, wire)
    assert seconds <= projection.allreduce(n + 1, size, wire)
    assert seconds <= projection.allreduce(n, 2 * size, wire)
    assert seconds <= (2 * (math.log2(n) + 1) * latency + 2 * size / bandwidth) * (1 + 1e-12)


@given(fixed=st.floats(1e-7, 1e-2), rate=st.floats(1e-12, 1e-8))
def test_a_line_is_found_again(fixed, rate):
    x = np.array([4.0**k for k in range(5, 14)])
    line = projection.line_of(x, fixed + rate * x)
    np.testing.assert_allclose([line.seconds(value) for value in x], fixed + rate * x, rtol=1e-9)
    assert line.error < 1e-9


@given(noise=st.lists(st.floats(0.5, 2), min_size=9, max_size=9))
def test_no_other_line_misses_by_less(noise):
    x = np.array([4.0**k for k in range(5, 14)])
    seconds = (1e-5 + 1e-9 * x) * noise
    line = projection.line_of(x, seconds)

    def error(fixed, rate):
        return np.sqrt(np.mean(((fixed + rate * x) / seconds - 1) ** 2))

    assert line.error == pytest.approx(error(line.fixed, line.rate))
    for step in (-1e-8, 1e-8):
        assert line.error <= error(line.fixed + step, line.rate) * (1 + 1e-12)
        assert line.error <= error(line.fixed, line.rate + step * 1e-4) * (1 + 1e-12)


def test_steps_by_hand():
    one = work(fixed=1e-3, rate=1e-4, size=1e6)
    assert one.alone == pytest.approx(7.4e-3)
    assert one.weak(4, WIRE) == pytest.approx((7.4e-3 + 1.54e-3, 1.54e-3))
    assert one.strong(4, WIRE) == pytest.approx((2.6e-3 + 1.54e-3, 1.54e-3))
    assert one.strong(5, WIRE)[0] == pytest.approx(1e-3 + 13e-4 + 1.66e-3)  # somebody has 13 of 64 samples
    assert one.strong(1024, FREE)[0] == pytest.approx(1.1e-3)  # and somebody has one, however many there are
    assert one.strong(1, WIRE) == one.weak(1, WIRE) == (pytest.approx(one.alone), 0.0)


def test_efficiencies_at_their_limits():
    samples, update = work(rate=1e-4), work(fixed=1e-3)
    for n in (1, 2, 16, 64):
        assert projection.efficiency_strong(samples, n, FREE) == pytest.approx(1)
        assert projection.efficiency_strong(update, n, FREE) == pytest.approx(1 / n)
        assert projection.efficiency_weak(update, n, FREE) == projection.efficiency_weak(samples, n, FREE) == 1


def test_where_the_allreduce_takes_over():
    wire = Wire("latency alone", 0.9e-4, math.inf)
    assert projection.taken_over(work(fixed=1e-3).weak, wire) == 64  # 12 times 0.09 ms, after 10 times on 32
    assert projection.taken_over(work(fixed=1e-3).weak, FREE) is None


@each(("half", "seconds"), [(0.5, 5.5), (1.5, 6.5), (3.0, 9.0)])
def test_overlap_by_hand(half, seconds):
    """Forward 2 s, dw of layer 2 until 3, delta of layer 1 until 4, dw of layer 1 until 5; then each half of the gradients."""
    two = work(fixed=0.25, rate=5 / 64, size=2 * half)
    wire = Wire("a byte per second and direction", 0.0, 1.0)
    assert two.overlapped(2, wire) == pytest.approx(seconds + 0.25)
    assert two.weak(2, wire)[0] == pytest.approx(5.25 + 2 * half)


def test_remedies_where_nothing_but_bytes_takes_time():
    wire, node = Wire("bytes", 0.0, 1e6), Wire("memory", 0.0, math.inf)
    gains = projection.remedies(work(size=1e6), 64, wire, node, processes=8, times=8)
    assert gains["8 times the batch"] == gains["every 8 steps"] == pytest.approx(8)
    assert gains["half the bits"] == pytest.approx(2)
    assert gains["overlap"] == pytest.approx(1, rel=1e-12)
    assert gains["by node first"] == pytest.approx(8 * (511 / 512) / (63 / 64))


class Askew(SerialCommunicator):
    """Adds up what nobody has."""

    def sum(self, flat):
        flat *= 1.01


@compiled
def test_ranks_that_compute_something_else_are_noticed():
    from benchmarks.ranks import Rank
    from benchmarks.rungs import Rung

    rung = Rung("tiny", (7, 5, 3), 4, 24)
    before = Rank(rung, SerialCommunicator(), 1e3).engine.read()
    right, wrong = Rank(rung, SerialCommunicator(), 1e3), Rank(rung, Askew(), 1e3)
    right.check(4)
    np.testing.assert_array_equal(right.engine.read(), before)
    with pytest.raises(AssertionError, match="tiny 7-5-3: other losses than those of one process"):
        wrong.check(4)


@compiled
@pytest.mark.skipif(MPIEXEC is None, reason="no mpiexec")
def test_processes_are_measured(tmp_path):
    pytest.importorskip("mpi4py")
    command = [sys.executable, str(ROOT / "benchmarks" / "distributed.py"), "--quick", "--markdown", "--json"]
    done = subprocess.run([*command, str(tmp_path / "figures.json")], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "Measured, each has a batch" in done.stdout and "| R3 784-128-10 | 2 | 128 |" in done.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    for kind in ("strong", "weak"):
        parts = figures["medians"]["2"][kind]["R3 784-128-10"]
        assert min(parts.values()) > 0
        assert parts["compute"] + parts["wait"] + parts["allreduce"] == pytest.approx(parts["step"])
    assert figures["medians"]["1"]["bytes"]["R3 784-128-10"] >= 4 * (785 * 128 + 129 * 10)
    assert set(figures["projections"]["weak"]["R3 784-128-10, 10 Gbit/s"]) == set(map(str, projection.NODES))


def test_a_launch_that_fails_reports_nothing(tmp_path, capfd):
    options = distributed.argparse.Namespace(launcher=["false"], ranks=[1], rounds=1, quick=True)
    with pytest.raises(SystemExit, match="1 processes failed with status 1; nothing is reported"):
        distributed.take_turns(options, [], 1)
