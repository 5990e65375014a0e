"""A training run resumes from a checkpoint only if its data and settings are those of the run that wrote the checkpoint."""

import json

import numpy as np
import pytest
from numba import cuda

import numbanet
from numbanet import tables
from numbanet.persist import checkpoint
from tests.helpers.engines import DEVICES, each

X, Y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
BATCHES = [(X[:20], Y[:20]), (X[20:], Y[20:])]


def network(**options):
    return numbanet.Network(**{"sizes": [3, 4, 2], "activations": "tanh", "loss": "cce", "seed": 3} | options)


def flat(net):
    return np.concatenate([array.ravel() for pair in net.parameters() for array in pair])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.npz"


def fit(path, net=None, x=X, y=Y, **options):
    net = net or network()
    net.fit(x, y, **{"epochs": 2, "verbose": 0, "checkpoint": path} | options)
    return net


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        (3, 99, r"another seed \(3, not 99\): to resume this run, pass the same seed; to begin a new run, use another path"),
        (None, 3, r"another seed \(None, not 3\)"),
        (2**70, 2**70 + 1, "another seed"),
    ],
)
def test_another_seed_is_refused(before, now, message, path):
    fit(path, network(seed=before))
    content, net = path.read_bytes(), network(seed=now)
    start = flat(net)
    with pytest.raises(ValueError, match=message):
        fit(path, net, epochs=3)
    assert path.read_bytes() == content and (flat(net) == start).all()


def test_a_network_without_a_seed_resumes_any_run(path):
    whole = fit(None, epochs=4)
    fit(path)
    resumed = fit(path, network(seed=None), epochs=3)
    loaded = fit(path, numbanet.Network.load(path), epochs=4)
    assert (flat(resumed) != flat(whole)).any() and (flat(loaded) == flat(whole)).all()
    with pytest.raises(ValueError, match=r"another seed \(3, not 4\)"):  # the file still contains the seed of the original run
        fit(path, network(seed=4), epochs=5)


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_weight": {0: 2}}, r"another class_weight \(None, not \[2.0, 1.0\]\)"),
        ({"label_smoothing": 0.1}, r"another label_smoothing \(0.0, not 0.1\)"),
        ({"metrics": "f1", "validation_data": (X, Y)}, r"other metrics \({}, not {'f1': 'f1'}\): .* pass the same metrics"),
        ({"validation_data": (X, Y)}, "another validation_data: "),
        ({"optimizer": numbanet.Adam(clip_norm=1)}, r"another optimizer \(GradientDescent\(.*, not Adam\(.*clip_norm=1"),
        ({"schedule": "step"}, r"another schedule \(None, not Step\("),
        ({"epochs": 1}, "contains 2 epochs, but epochs=1: pass epochs=2 or more, or use another path"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_argument_is_refused(batches, change, message, path):
    samples = {"x": BATCHES, "y": None} if batches else {}
    fit(path, **samples)
    with pytest.raises(ValueError, match=message):
        fit(path, **samples, **{"epochs": 3} | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X + 1}, "another x: "),
        ({"x": X[:20], "y": Y[:20]}, "another x: "),
        ({"x": BATCHES, "y": None}, "another x: "),
        ({"y": 1 - Y}, "another y: "),
        ({"sample_weight": 1.0 + Y}, "another sample_weight: "),
        ({"class_weight": "balanced"}, r"another class_weight \(None, not balanced\)"),
        ({"validation_split": 0.25}, r"another validation_split \(0.0, not 0.25\)"),
    ],
    ids=["x", "count", "batches", "y", "sample_weight", "class_weight", "validation_split"],
)
def test_other_data_are_refused(change, message, path):
    fit(path)
    with pytest.raises(ValueError, match=message):
        fit(path, epochs=3, **change)


def test_a_metric_of_the_same_name_is_another_metric(path):
    fit(path, metrics={"score": "f1"})
    for other in ("recall", lambda y, y_hat: 1.0):
        with pytest.raises(ValueError, match=r"other metrics \({'score': 'f1'}, not {'score': '(recall|a function)'}\)"):
            fit(path, metrics={"score": other}, epochs=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": [3, 5, 2]}, r"another network \(sizes \(3, 4, 2\), not \(3, 5, 2\)\)"),
        ({"dropout": 0.5}, r"another network \(dropout \(\), not \(0.5,\)\)"),
        ({"dtype": "float64"}, r"another network \(dtype float32, not float64\)"),
    ],
    ids=["sizes", "dropout", "dtype"],
)
def test_another_network_is_named(options, message, path):
    fit(path)
    with pytest.raises(ValueError, match=message):
        fit(path, network(**options), epochs=3)


@each("row", [0, 5, 39])
def test_rows_of_a_large_array_are_compared(row, path, monkeypatch):
    """Of the 40 rows of an array, numbanet compares 16 rows, which include the first and the last row."""
    monkeypatch.setattr(checkpoint, "CHECKSUM_BYTES", 200)
    fit(path)
    changed = X.copy()
    changed[row] += 1
    with pytest.raises(ValueError, match="another x: "):
        fit(path, x=changed, epochs=3)
    fit(path, epochs=3)


@each("device", DEVICES)
def test_arrays_on_the_device_are_compared(device, path):
    def samples(x):
        if device == "cpu":
            return {"x": x}
        return {"x": cuda.to_device(x.astype(np.float32)), "y": cuda.to_device(np.eye(2, dtype=np.float32)[Y])}

    fit(path, network(device=device), **samples(X))
    with pytest.raises(ValueError, match="another x: "):
        fit(path, network(device=device), epochs=3, **samples(X + 1))
    fit(path, network(device=device), epochs=3)  # the same samples on the host


def test_a_network_keeps_its_own_table(path):
    def learnt(no, yes):
        path.with_suffix(".csv").write_text(f"a,kind\n1,{no}\n2,{yes}\n3,{no}\n")
        return tables.learn(tables.read(path.with_suffix(".csv")), "kind")

    first, second = learnt("n", "y"), learnt("no", "yes")
    x, y = np.arange(4.0)[:, None], np.array([0, 1, 0, 1])

    def net(table):
        made = network(sizes=[1, 2, 2])
        made.table = table
        return made

    fit(path, net(None), x, y)
    assert fit(path, net(first), x, y, epochs=3).table == first  # the file has no table
    assert fit(path, net(None), x, y, epochs=4).table == first  # only the file has a table
    with pytest.raises(ValueError, match="another table: "):
        fit(path, net(second), x, y, epochs=5)


def test_a_checkpoint_without_the_entries_of_today_is_refused(path):
    fit(path)
    with np.load(path) as file:
        arrays = dict(file)
    description = json.loads(arrays["description"].tobytes())
    del description["training"]["conditions"]["label_smoothing"]
    arrays["description"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(ValueError, match=r"does not record label_smoothing: another version of numbanet wrote it"):
        fit(path, epochs=3)
