"""The ladder measures the same work of everybody, and says so when it is not the same."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from numba import config

from numbanet import _cuda

pytestmark = [
    pytest.mark.skipif(_cuda.SIMULATED or config.DISABLE_JIT, reason="measures compiled loops on the CPU"),
    pytest.mark.filterwarnings("default"),  # of the peers
]


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


def tiny(**variant):
    from benchmarks.rungs import Rung, problem

    rung = Rung("tiny", (7, 5, 6, 3), 4, 24, **variant)
    return rung, problem(rung)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_everybody_computes_the_same(activation, dtype):
    from benchmarks import epochs, peers, prediction

    contestants = peers.installed(("NumPy", *epochs.CONTESTANTS), *tiny(activation=activation, dtype=dtype))
    assert {"numbanet", "reference", "NumPy"} <= contestants.keys()
    epochs.check(contestants, [np.random.default_rng(seed).permutation(24) for seed in range(2)])
    x = np.random.default_rng(2).standard_normal((3, 7), dtype)
    prediction.check(contestants, {name: peer.ready(x) for name, peer in contestants.items()})


def test_another_learning_rate_is_noticed():
    from benchmarks import epochs, peers

    rung, start = tiny()
    contestants = {
        "numbanet": peers.Numbanet(rung, start),
        "other": peers.Numpy(dataclasses.replace(rung, eta=0.02), start),
    }
    with pytest.raises(AssertionError, match="other computes something else"):
        epochs.check(contestants, [np.arange(24)] * 2)


def test_a_rung_is_measured(capsys, monkeypatch):
    from benchmarks import epochs, peers
    from benchmarks.measuring import Settings

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


def test_a_whole_process_reports_its_memory():
    from benchmarks import processes

    rung, _ = tiny()
    assert 20 < processes.run_process("numbanet", rung, epochs=1) < 2_000
