"""All libraries in the benchmark `ladder` do the same work, and the benchmark fails if a library computes something else."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.ladder import calls, epochs, prediction, processes
from benchmarks.measuring import Settings, take_turns
from benchmarks.rungs import Rung, problem
from numbanet import _cuda
from numbanet._compile import config

pytestmark = [
    pytest.mark.skipif(_cuda.SIMULATED or config.DISABLE_JIT, reason="measures compiled loops on the CPU"),
    pytest.mark.filterwarnings("default"),  # of the peers
]


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Leaves out the pauses before measurements, and lets JAX compile without optimizations: no test reads the times."""
    monkeypatch.setattr(take_turns, "__defaults__", (0.0,))
    try:
        import jax
    except ImportError:
        yield
        return
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def tiny(**variant):
    rung = Rung("tiny", (7, 5, 6, 3), 4, 24, **variant)
    return rung, problem(rung)


@pytest.mark.parametrize(("activation", "dtype"), [("relu", "float32"), ("sigmoid", "float64"), ("tanh", "float32")])
def test_all_contestants_compute_the_same(activation, dtype):
    contestants = peers.installed(("NumPy", *epochs.CONTESTANTS), *tiny(activation=activation, dtype=dtype))
    assert {"numbanet", "reference", "NumPy"} <= contestants.keys()
    epochs.check(contestants, [np.random.default_rng(seed).permutation(24) for seed in range(2)])
    x = np.random.default_rng(2).standard_normal((3, 7), dtype)
    prediction.check(contestants, {name: peer.ready(x) for name, peer in contestants.items()})


def test_another_learning_rate_is_noticed():
    rung, start = tiny()
    contestants = {
        "numbanet": peers.Numbanet(rung, start),
        "other": peers.Numpy(dataclasses.replace(rung, eta=0.02), start),
    }
    with pytest.raises(AssertionError, match="other computes something else"):
        epochs.check(contestants, [np.arange(24)] * 2)


def test_a_rung_is_measured(capsys, monkeypatch):
    monkeypatch.setattr(epochs, "CONTESTANTS", ("numbanet", "reference"))
    monkeypatch.setattr(peers, "PEERS", {})
    rung, _ = tiny(activation="tanh")
    [result] = epochs.measure([rung], Settings(rounds=2, cores=1, markdown=True))
    assert len(result["seconds of an epoch"]["numbanet"]) == 2
    steps, rate = result["microseconds per step"]["numbanet"], result["GFLOP/s"]["numbanet"]
    assert rate == pytest.approx(4 * (6 * (35 + 30 + 18) - 2 * 35) / steps / 1e3)
    assert result["of the ceiling"] == pytest.approx(rate / result["ceiling GFLOP/s"])
    assert "| tiny 7-5-6-3 tanh | 4 |" in capsys.readouterr().out
    json.dumps(result)


def test_the_calls_of_all_contestants_compute_the_same(capsys, monkeypatch):
    monkeypatch.setattr(calls, "TIMES", dict.fromkeys(calls.TIMES, 1))
    rung, _ = tiny()
    results = calls.measure([rung], Settings(rounds=2, cores=1, markdown=True))
    assert [result["call"] for result in results] == ["train_step", "partial_fit", "fit, 1 epoch"]
    assert all(len(result["seconds"]["numbanet"]) == 2 for result in results)
    assert "| tiny 7-5-6-3 | train_step |" in capsys.readouterr().out
    json.dumps(results)


def test_a_call_that_computes_something_else_is_noticed():
    rung, start = tiny()
    contestants = {
        "numbanet": peers.Numbanet(rung, start),
        "other": peers.Numbanet(dataclasses.replace(rung, eta=0.5), start),
    }
    for name in calls.TIMES:
        with pytest.raises(AssertionError, match="other computes something else"):
            calls.check({each: calls.calls_of(peer, peer.rung)[name] for each, peer in contestants.items()})


def test_a_whole_process_reports_its_memory():
    rung, _ = tiny()
    assert 20 < processes.run_process("numbanet", rung, epochs=1) < 2_000
