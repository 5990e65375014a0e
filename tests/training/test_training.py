"""Tests of `fit`: optimizers, learning rate schedules, weights, early stopping, callbacks, batches and checkpoints."""

import json
import math
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import numbanet
from numbanet import _cuda
from numbanet.training import metrics, optimizers
from numbanet.training.schedules import Constant, Cosine, Exponential, Plateau, Step
from tests.helpers.engines import ENGINES as ALL_ENGINES
from tests.helpers.engines import each
from tests.helpers.processes import python

# `fit` does the same for all engines, so the slow simulator tests only one of them.
ENGINES = ALL_ENGINES[:1] if _cuda.SIMULATED else ALL_ENGINES
COUNT = 12 if _cuda.SIMULATED else 60
SETTINGS = {"batch_size": 5, "learning_rate": 0.1, "verbose": 0}


def network(device="cpu", kernels="fast", **options):
    return numbanet.Network([3, 4, 2], "tanh", "cce", **{"seed": 3, "device": device, "kernels": kernels} | options)


@pytest.fixture
def samples():
    random = np.random.default_rng(0)
    x = random.standard_normal((COUNT, 3)).astype(np.float32)
    return x, (x[:, 0] + 0.3 * random.standard_normal(COUNT) > 0).astype(int)


def flat(net):
    return np.concatenate([array.ravel() for pair in net.parameters() for array in pair])


# Optimizers


@each("optimizer", ["adam"] if _cuda.SIMULATED else list(optimizers.OPTIMIZERS))
@each("device, kernels", ENGINES)
def test_two_fits_are_one(device, kernels, optimizer, samples):
    once, twice = network(device, kernels), network(device, kernels)
    once.fit(*samples, epochs=3, optimizer=optimizer, **SETTINGS)
    twice.fit(*samples, epochs=1, optimizer=optimizer, **SETTINGS)
    twice.fit(*samples, epochs=2, optimizer=optimizer, **SETTINGS)
    assert (flat(once) == flat(twice)).all()


@each("device, kernels", ENGINES)
def test_another_optimizer_and_new_parameters_begin_afresh(device, kernels, samples):
    start = network(device, kernels)
    expected = network(device, kernels)
    expected.fit(*samples, epochs=1, optimizer="momentum", shuffle=False, **SETTINGS)
    for before in ("adam", "momentum"):
        net = network(device, kernels)
        net.fit(*samples, epochs=2, optimizer=before, shuffle=False, **SETTINGS)
        net.set_parameters(start.parameters())
        net.fit(*samples, epochs=1, optimizer="momentum", shuffle=False, **SETTINGS)
        assert (flat(net) == flat(expected)).all()


@each("device, kernels", ENGINES)
def test_steps_and_passes_are_those_of_fit(device, kernels, samples):
    x, y = samples
    fitted, passed, stepped = (network(device, kernels) for _ in range(3))
    history = fitted.fit(x, y, epochs=1, optimizer="adam", shuffle=False, **SETTINGS)
    logs = passed.partial_fit(x, y, optimizer="adam", batch_size=5, learning_rate=0.1)
    for first in range(0, COUNT, 5):
        stepped.train_step(x[first : first + 5], y[first : first + 5], 0.1, optimizer="adam")
    assert logs["loss"] == history["loss"][0] and logs["accuracy"] == history["accuracy"][0]
    assert (flat(fitted) == flat(passed)).all() and (flat(fitted) == flat(stepped)).all()


@each("optimizer, dropout", [("adam", 0.25)] if _cuda.SIMULATED else [("momentum", 0.0), ("adam", 0.25)])
@each("device, kernels", ENGINES)
def test_a_saved_network_goes_on_to_the_bit(device, kernels, optimizer, dropout, samples, tmp_path):
    net = network(device, kernels, dropout=dropout)
    net.fit(*samples, epochs=2, optimizer=optimizer, **SETTINGS)
    net.save(tmp_path / "net.npz")
    loaded = numbanet.Network.load(tmp_path / "net.npz", device=device, kernels=kernels)
    assert loaded.dropout == [dropout]
    for one in (net, loaded):
        one.fit(*samples, epochs=1, optimizer=optimizer, **SETTINGS)
    assert (flat(net) == flat(loaded)).all()


PYTORCH = json.loads((Path(__file__).parents[1] / "files" / "training.json").read_text())
SAME_AS_PYTORCH = {
    "gradient_descent": (optimizers.GradientDescent(), {}),
    "weight_decay": (optimizers.GradientDescent(weight_decay=0.05), {}),
    "momentum": (optimizers.Momentum(weight_decay=0.05), {}),
    "nesterov": (optimizers.Nesterov(), {}),
    "adam": (optimizers.Adam(), {}),
    "adam_weight_decay": (optimizers.Adam(0.8, 0.95, 1e-6, weight_decay=0.05), {}),
    "adamw": (optimizers.AdamW(weight_decay=0.05), {}),
    "label_smoothing": (optimizers.Adam(), {"label_smoothing": 0.2}),
    "class_weight": (optimizers.Adam(), {"class_weight": {0: 1.0, 1: 0.5, 2: 2.0, 3: 3.0}}),
}


@each("name", ["nesterov", "adam_weight_decay"] if _cuda.SIMULATED else list(PYTORCH["trained"]))
@each("device, kernels", ENGINES)
def test_20_steps_are_those_of_pytorch(device, kernels, name):
    """7 epochs of 3 steps, without the last step, are 20 steps; `files/make_training.py` computed the expected parameters."""
    optimizer, options = SAME_AS_PYTORCH[name]
    settings = {"optimizer": optimizer, "learning_rate": 0.1, "verbose": 0, "shuffle": False, **options}
    net = numbanet.Network([3, 5, 4], "tanh", "cce", dtype="float64", device=device, kernels=kernels)
    net.set_parameters(PYTORCH["parameters"])
    x, y = np.array(PYTORCH["x"]), np.array(PYTORCH["y"])
    if "class_weight" in settings:
        # PyTorch divides by the sum of the weights in the batch, so the weights of each batch must have the mean 1.
        of_class = np.array(list(settings.pop("class_weight").values()))
        batches = [
            (x[rows], y[rows], of_class[y[rows]] / of_class[y[rows]].mean()) for rows in np.split(np.arange(12), [5, 10])
        ]
        net.fit(batches, epochs=6, **settings)
        net.fit(batches[:2], epochs=1, **settings)
    else:
        net.fit(x, y, epochs=6, batch_size=5, **settings)
        net.fit(x[:10], y[:10], epochs=1, batch_size=5, **settings)
    np.testing.assert_allclose(flat(net), PYTORCH["trained"][name], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("adma", "did you mean 'adam'"),
        (3, "optimizer must be one of"),
        (optimizers.Adam, "optimizer must be one of"),
    ],
)
def test_unknown_optimizers_are_refused(optimizer, message, samples):
    with pytest.raises((ValueError, TypeError), match=message):
        network().fit(*samples, epochs=1, optimizer=optimizer)


@pytest.mark.parametrize(
    ("optimizer", "constants"),
    [
        (optimizers.Adam, {"beta_1": 1.0}),
        (optimizers.Adam, {"beta_2": -0.1}),
        (optimizers.Adam, {"epsilon": 0.0}),
        (optimizers.Momentum, {"momentum": 1.5}),
        (optimizers.GradientDescent, {"weight_decay": -1.0}),
        (optimizers.GradientDescent, {"clip_norm": 0.0}),
        (optimizers.AdamW, {"weight_decay": math.nan}),
    ],
)
def test_constants_of_optimizers_are_checked_by_name(optimizer, constants):
    (name,) = constants
    with pytest.raises(ValueError, match=name):
        optimizer(**constants)


# Schedules


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(), [1, 1, 1, 1, 1, 1]),
        (Step(every=2, by=0.5), [1, 1, 0.5, 0.5, 0.25, 0.25]),
        (Exponential(by=0.5), [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        (Cosine(least=0.0), [(1 + math.cos(math.pi * e / 5)) / 2 for e in range(6)]),
        (Cosine(warm_up=2, least=0.5), [1 / 3, 2 / 3, 1, 0.5 + 0.25 * 1.5, 0.5 + 0.25 * 0.5, 0.5]),
        (lambda epoch: epoch / 4, [0.5, 1, 1.5, 2, 2.5, 3]),
    ],
)
def test_a_schedule_sets_the_learning_rate_of_each_epoch(schedule, expected, samples):
    history = network().fit(*samples, epochs=6, schedule=schedule, **SETTINGS | {"learning_rate": 0.5})
    np.testing.assert_allclose(history["learning_rate"], 0.5 * np.array(expected), rtol=1e-12)


def test_the_learning_rate_of_a_schedule_is_the_one_trained_with(samples):
    scheduled, by_hand = network(), network()
    scheduled.fit(*samples, epochs=3, schedule=Exponential(by=0.5), optimizer="momentum", **SETTINGS)
    for epoch in range(3):
        by_hand.fit(*samples, epochs=1, optimizer="momentum", **SETTINGS | {"learning_rate": 0.1 * 0.5**epoch})
    assert (flat(scheduled) == flat(by_hand)).all()


def test_a_plateau_lowers_the_learning_rate():
    plateau = Plateau(patience=2, by=0.5)
    # After epoch 2, two epochs bring no improvement, and after epoch 5, four epochs bring none.
    losses = [3.0, 2.0, 2.0, 2.0, 1.0, 1.5, 1.5, 1.5, 1.5]
    found = [plateau.factor(e + 1, 99, {"loss": losses[:e]}) for e in range(len(losses) + 1)]
    assert found == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


@pytest.mark.parametrize(
    ("schedule", "message"),
    [("cosin", "did you mean 'cosine'"), (3, "schedule must be one of"), (lambda epoch: -1.0, "schedule returns for epoch 1")],
)
def test_bad_schedules_are_refused(schedule, message, samples):
    net = network()
    before = flat(net)
    with pytest.raises((ValueError, TypeError), match=message):
        net.fit(*samples, epochs=1, schedule=schedule, **SETTINGS)
    assert (flat(net) == before).all()


# Weights, smoothing, validation, metrics


@each("device, kernels", ENGINES)
def test_a_weight_of_2_is_a_sample_twice(device, kernels, samples):
    x, y = samples
    weights = np.where(np.arange(COUNT) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(COUNT), weights.astype(int))
    weighted, repeated = network(device, kernels), network(device, kernels)
    one = weighted.fit(x, y, epochs=1, sample_weight=weights, **SETTINGS | {"batch_size": 1000})
    other = repeated.fit(x[twice], y[twice], epochs=1, **SETTINGS | {"batch_size": 1000})
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-5)
    np.testing.assert_allclose(flat(weighted), flat(repeated), rtol=1e-5, atol=1e-6)


def test_class_weights_are_sample_weights(samples):
    x, y = samples
    often = np.bincount(y)
    for given, of_class in (({0: 3, 1: 0.5}, [3, 0.5]), ({1: 2}, [1, 2]), ("balanced", COUNT / (2 * often))):
        one, other = network(), network()
        one.fit(x, y, epochs=2, class_weight=given, sample_weight=np.full(COUNT, 2.0), **SETTINGS)
        other.fit(x, y, epochs=2, sample_weight=2.0 * np.asarray(of_class)[y], **SETTINGS)
        np.testing.assert_allclose(flat(one), flat(other), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_weight": [1.0]}, "sample_weight must have shape"),
        ({"sample_weight": -np.ones(COUNT)}, "is negative"),
        ({"sample_weight": np.zeros(COUNT)}, "all weights are 0"),
        ({"sample_weight": np.full(COUNT, np.nan)}, "sample_weight.* must be finite"),
        ({"class_weight": {2: 1}}, "class 2"),
        ({"class_weight": "balance"}, "did you mean 'balanced'"),
        ({"class_weight": 3}, "class_weight must be"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"validation_split": 0.001}, "validation_split"),
        ({"validation_split": 0.5, "validation_data": ([[0, 0, 0]], [0])}, "not both"),
        ({"metrics": "f2"}, "unknown metric 'f2'"),
        ({"metrics": [3]}, "metric must be"),
        ({"early_stopping": 0}, "early_stopping"),
        ({"callbacks": [3]}, "hooks"),
        ({"callbacks": 3}, "callbacks must be a callback or a list of callbacks, not 3"),
    ],
)
def test_bad_arguments_are_refused_and_nothing_changes(arguments, message, samples):
    net = network()
    before = flat(net)
    with pytest.raises((ValueError, TypeError), match=message):
        net.fit(*samples, epochs=1, **SETTINGS | arguments)
    assert (flat(net) == before).all()


def test_class_weight_needs_classes():
    net = numbanet.Network([1, 1], "identity", "mse", seed=0)
    with pytest.raises(ValueError, match="class_weight needs"):
        net.fit([[1.0]], [1.0], epochs=1, class_weight="balanced")


def test_label_smoothing_moves_targets_in_training_only(samples):
    x, y = samples
    one_hot = np.eye(2)[y]
    smoothed, by_hand = network(), network()
    history = smoothed.fit(x, y, epochs=2, label_smoothing=0.2, validation_data=(x, y), **SETTINGS)
    by_hand.fit(x, 0.8 * one_hot + 0.1, epochs=2, **SETTINGS)
    np.testing.assert_allclose(flat(smoothed), flat(by_hand), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(history["val_loss"][-1], smoothed.evaluate(x, y)["loss"], rtol=1e-6)


@each("device, kernels", ENGINES)
def test_a_validation_split_takes_the_last_samples(device, kernels, samples):
    x, y = samples
    first = COUNT - round(0.25 * COUNT)
    split, by_hand = network(device, kernels), network(device, kernels)
    weights = np.linspace(0.5, 1.5, COUNT)
    one = split.fit(x, y, epochs=2, validation_split=0.25, sample_weight=weights, **SETTINGS)
    other = by_hand.fit(
        x[:first],
        y[:first],
        epochs=2,
        validation_data=(x[first:], y[first:], weights[first:]),
        sample_weight=weights[:first],
        **SETTINGS,
    )
    assert one["val_loss"].tolist() == other["val_loss"].tolist() and (flat(split) == flat(by_hand)).all()


def test_metrics_are_those_of_their_definition():
    random = np.random.default_rng(0)
    y, y_hat = random.standard_normal((2, 50, 2))
    left = ((y - y_hat) ** 2).sum(axis=0) / ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    expected = {"mae": abs(y - y_hat).mean(), "mse": ((y - y_hat) ** 2).mean(), "r2": 1 - left.mean()}
    expected["rmse"] = math.sqrt(expected["mse"])
    for name, value in expected.items():
        assert metrics.METRICS[name](y, y_hat) == pytest.approx(value, rel=1e-12)
    classes, seen = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 2])
    y, y_hat = np.eye(3)[classes], np.eye(3)[seen]
    assert metrics.balanced_accuracy(y, y_hat) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert metrics.f1(y, y_hat) == pytest.approx((4 / 5 + 2 / 4 + 2 / 3) / 3)
    assert metrics.f1(np.array([[1], [1], [0]]), np.array([[0.9], [0.2], [0.8]])) == pytest.approx(1 / 2)


def test_metrics_are_measured_after_each_epoch(samples):
    x, y = samples

    def largest(y, y_hat):
        assert y.shape == y_hat.shape == (len(y), 2)
        return y_hat.max()

    net = network()
    history = net.fit(x, y, epochs=2, metrics=["f1", largest], validation_data=(x[:7], y[:7]), **SETTINGS)
    assert {"f1", "largest", "val_f1", "val_largest"} <= set(history.history)
    assert history["largest"][-1] == pytest.approx(net.predict(x).max())
    assert history["val_f1"][-1] == pytest.approx(metrics.f1(np.eye(2)[y[:7]], net.predict(x[:7])))
    assert net.evaluate(x[:7], y[:7], metrics="f1")["f1"] == history["val_f1"][-1]


# Early stopping


class Watch(numbanet.Callback):
    """A callback that records the parameters after each epoch and the calls of its methods, and adds values to the logs."""

    def __init__(self, figures=()):
        self.figures, self.seen, self.hooks = figures, [], []

    def on_train_begin(self, logs):
        self.hooks.append("begin")

    def on_epoch_begin(self, epoch, logs):
        self.hooks.append(epoch)
        assert logs["learning_rate"] > 0

    def on_epoch_end(self, epoch, logs):
        self.seen.append(flat(self.network))
        if self.figures:
            logs["figure"] = self.figures[epoch - 1]

    def on_train_end(self, logs):
        self.hooks.append("end")


@pytest.mark.parametrize(
    ("figures", "mode", "best", "epochs"),
    [
        ([3, 2, 4, 4, 4, 4], "min", 2, 4),
        ([1, 2, 3, 3, 2, 9], "max", 3, 5),
        ([3, 2, 1.9, 1.8, 1.7, 1.6], "min", 6, 6),
        ([1, 2, 2, 0.5, 2, 2], "min", 4, 6),
    ],
)
@each("device, kernels", ENGINES)
def test_early_stopping_restores_the_best_parameters(device, kernels, figures, mode, best, epochs, samples):
    watch = Watch(figures)
    patience = 3 if best == 4 else 2
    stopping = numbanet.EarlyStopping(patience, monitor="figure", mode=mode)
    net = network(device, kernels)
    history = net.fit(*samples, epochs=6, early_stopping=stopping, callbacks=watch, **SETTINGS)
    assert history.best_epoch == best and len(history.epoch) == epochs
    assert (flat(net) == watch.seen[best - 1]).all()


@each("device, kernels", ENGINES)
def test_the_hook_after_batches_counts_the_batches_of_an_epoch(device, kernels, samples):
    """Batches that x yields are counted one by one; of an array, the last call has counted all batches."""
    numbers = []
    hook = type("Hook", (numbanet.Callback,), {"on_train_batch_end": lambda self, batch, logs: numbers.append(batch)})
    x, y = samples
    size = -(-len(x) // 3)
    batches = [(x[k : k + size], y[k : k + size]) for k in range(0, len(x), size)]
    network(device, kernels).fit(lambda: batches, epochs=2, callbacks=hook(), verbose=0)
    assert numbers == [1, 2, 3, 1, 2, 3]
    numbers.clear()
    network(device, kernels).fit(x, y, batch_size=size, epochs=1, callbacks=hook(), verbose=0)
    assert numbers[-1] == 3 and numbers == sorted(set(numbers))


def test_early_stopping_restores_after_an_interruption_too(samples):
    class Interrupted(Watch):
        def on_epoch_begin(self, epoch, logs):
            if epoch == 4:
                raise KeyboardInterrupt

    watch = Interrupted([1, 5, 6, 7])
    net = network()
    history = net.fit(
        *samples, epochs=9, early_stopping=numbanet.EarlyStopping(5, monitor="figure", mode="min"), callbacks=watch, **SETTINGS
    )
    assert history.interrupted and history.best_epoch == 1 and (flat(net) == watch.seen[0]).all()
    assert repr(history).startswith(f"<History of {len(history)} epochs, interrupted: loss=")


def test_a_metric_that_is_not_there_cannot_be_watched(samples):
    with pytest.raises(ValueError, match="'val_loss', but fit measures only loss, accuracy, seconds: pass validation_data"):
        network().fit(*samples, epochs=2, early_stopping=numbanet.EarlyStopping(monitor="val_loss"), **SETTINGS)


# Callbacks and history


def test_callbacks_are_called_in_order_and_may_stop(samples):
    class Stopping(Watch):
        def on_epoch_end(self, epoch, logs):
            self.stop_training = epoch == 2

    watch = Stopping()
    history = network().fit(*samples, epochs=5, callbacks=[watch], **SETTINGS)
    assert watch.hooks == ["begin", 1, 2, "end"] and history.epoch == [1, 2]
    again = network().fit(*samples, epochs=1, callbacks=[watch], **SETTINGS)
    assert again.epoch == [1]  # stop_training affects only one call to `fit`


def test_a_history_is_read_as_arrays_and_as_a_table(samples):
    history = network().fit(*samples, epochs=3, **SETTINGS)
    assert history["loss"].shape == (3,) and history["epoch"].tolist() == [1, 2, 3]
    with pytest.raises(KeyError, match="'los' is not in the history, which contains epoch, loss"):
        history["los"]
    lines = history.table().splitlines()
    assert lines[0].split() == ["epoch", "loss", "accuracy", "seconds"] and len({len(line) for line in lines}) == 1
    assert float(lines[2].split()[1]) == pytest.approx(history["loss"][1], rel=1e-5)


@each("device, kernels", ENGINES)
def test_parameters_that_a_callback_sets_begin_afresh(device, kernels, samples):
    """If a callback sets parameters before epoch 2, the optimizer starts again without moments."""

    class Replaced(numbanet.Callback):
        def on_epoch_begin(self, epoch, logs):
            if epoch == 2:
                self.network.set_parameters(network(seed=8).parameters())

    replaced, fresh = network(device, kernels), network(device, kernels, seed=8)
    settings = SETTINGS | {"optimizer": "adam", "shuffle": False}
    replaced.fit(*samples, epochs=2, callbacks=Replaced(), **settings)
    fresh.fit(*samples, epochs=1, **settings)
    assert (flat(replaced) == flat(fresh)).all()


# Batches from an iterable


@each("device, kernels", ENGINES)
def test_batches_that_come_one_by_one_are_those_of_the_arrays(device, kernels, samples):
    x, y = samples
    starts = range(0, COUNT, 5)
    batches = [(x[first : first + 5], y[first : first + 5]) for first in starts]
    whole = network(device, kernels)
    expected = whole.fit(x, y, epochs=2, shuffle=False, optimizer="adam", **SETTINGS)
    for source in (batches, lambda: iter(batches)):
        net = network(device, kernels)
        history = net.fit(source, epochs=2, optimizer="adam", **SETTINGS)
        np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-6)
        assert (flat(net) == flat(whole)).all()


def test_batches_may_have_weights(samples):
    x, y = samples
    weights = np.linspace(0.5, 1.5, COUNT)
    batched, whole = network(), network()
    batched.fit([(x, y, weights)], epochs=2, **SETTINGS)
    whole.fit(x, y, epochs=2, shuffle=False, sample_weight=weights, **SETTINGS | {"batch_size": COUNT})
    assert (flat(batched) == flat(whole)).all()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((2, 3)), "y must contain real numbers, not None"),
        (iter([]), "used only once"),
        ([np.zeros((2, 3))], r"batch 1 must be \(x, y\)"),
        ([(np.zeros((2, 4)), [0, 1])], r"x of batch 1 has shape \(2, 4\), but the network has 3 inputs"),
        ([], "no batch in epoch 1"),
        (3, "used only once"),
    ],
)
def test_what_gives_no_batches_is_refused(source, message):
    with pytest.raises((ValueError, TypeError), match=message):
        network().fit(source, epochs=2, **SETTINGS)


def test_a_memmap_is_read_where_it_lies(tmp_path):
    """The memory-mapped file contains 64 MB of samples; `fit` makes no copy of it, and reads only the rows of each batch."""
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (1 << 20, 16))
    x[:] = np.arange(16)
    y = np.zeros((1 << 20, 1), np.float32)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    net = numbanet.Network([16, 1], "identity", "mse", seed=0)
    checked = numbanet.inputs.samples(x, net._model.topology, "cpu")
    assert np.shares_memory(checked, x)
    assert len(net.fit(x, y, epochs=1, batch_size=1 << 12, learning_rate=1e-4, verbose=0).epoch) == 1


# Dropout


@pytest.mark.parametrize(
    ("dropout", "message"),
    [
        (1.0, r"dropout must lie in \[0, 1\)"),
        ([0.1, 0.2], "1 hidden layers need 1"),
        ("half", "dropout must be a real number"),
    ],
)
def test_bad_dropout_is_refused(dropout, message):
    with pytest.raises((ValueError, TypeError), match=message):
        network(dropout=dropout)


@each("device, kernels", ENGINES)
def test_dropout_follows_from_the_seed(device, kernels, samples):
    one, other, whole = network(dropout=0.5), network(device, kernels, dropout=[0.5]), network()
    for net in (one, other, whole):
        net.fit(*samples, epochs=2, **SETTINGS)
    np.testing.assert_allclose(flat(one), flat(other), rtol=1e-4, atol=1e-5)
    assert abs(flat(one) - flat(whole)).max() > 1e-3


# Checkpoints


@each("device, kernels", ENGINES)
def test_a_training_goes_on_from_its_checkpoint(device, kernels, samples, tmp_path):
    class Ended(numbanet.Callback):
        def on_epoch_begin(self, epoch, logs):
            if epoch == 4:
                raise SystemExit

    x, y = samples
    settings = SETTINGS | {"optimizer": "adam", "schedule": "plateau", "validation_split": 0.25, "early_stopping": 4}
    whole, ended, other = (network(device, kernels, dropout=0.25, seed=seed) for seed in (3, 3, None))
    expected = whole.fit(x, y, epochs=6, **settings)
    path = tmp_path / "run.npz"
    with pytest.raises(SystemExit):
        ended.fit(x, y, epochs=6, checkpoint=path, callbacks=Ended(), **settings)
    after_3 = numbanet.Network.load(path)
    history = other.fit(x, y, epochs=6, checkpoint=path, **settings)
    assert (flat(other) == flat(whole)).all() and (flat(after_3) != flat(whole)).any()
    assert history["loss"].tolist() == expected["loss"].tolist() and history.best_epoch == expected.best_epoch
    again = other.fit(x, y, epochs=6, checkpoint=path, **settings)  # all epochs are finished, so `fit` does nothing
    assert again.epoch == history.epoch and (flat(other) == flat(whole)).all()


def test_a_checkpoint_is_written_every_so_many_epochs_and_at_the_end(samples, tmp_path):
    path, net, seen = tmp_path / "run.npz", network(), []

    class Look(numbanet.Callback):
        def on_epoch_begin(self, epoch, logs):
            seen.append(path.stat().st_mtime_ns if path.exists() else 0)

    net.fit(*samples, epochs=5, checkpoint=numbanet.Checkpoint(path, every=2), callbacks=Look(), **SETTINGS)
    assert seen[0] == seen[1] == 0 < seen[2] == seen[3] < seen[4] < path.stat().st_mtime_ns
    assert (flat(numbanet.Network.load(path)) == flat(net)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 4}, "another batch_size"),
        ({"learning_rate": 0.2}, "another learning_rate"),
        ({"optimizer": "adam"}, "another optimizer"),
        ({"schedule": "cosine"}, "another schedule"),
        ({"shuffle": False}, "another shuffle"),
        ({"early_stopping": 3}, "another early_stopping"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(change, message, samples, tmp_path):
    path = tmp_path / "run.npz"
    network().fit(*samples, epochs=1, checkpoint=path, **SETTINGS)
    content, net = path.read_bytes(), network()
    before = flat(net)
    with pytest.raises(ValueError, match=message):
        net.fit(*samples, epochs=2, checkpoint=path, **SETTINGS | change)
    assert path.read_bytes() == content and (flat(net) == before).all()


def test_a_checkpoint_goes_on_with_a_function_as_schedule(samples, tmp_path):
    """Training resumes although the function that computes the learning rate is a new object in the second run."""

    def falling():
        return lambda epoch: 0.1 / epoch

    first, second = falling(), falling()
    whole, other = network(), network()
    whole.fit(*samples, epochs=3, schedule=first, **SETTINGS)
    network().fit(*samples, epochs=2, schedule=first, checkpoint=tmp_path / "run.npz", **SETTINGS)
    other.fit(*samples, epochs=3, schedule=second, checkpoint=tmp_path / "run.npz", **SETTINGS)
    assert (flat(whole) == flat(other)).all()


def test_a_checkpoint_of_other_data_or_no_checkpoint_is_refused(samples, tmp_path):
    x, y = samples
    network().fit(x, y, epochs=1, checkpoint=tmp_path / "run.npz", **SETTINGS)
    network().save(tmp_path / "model.npz")
    for net, data, path, message in (
        (network(), (x + 1, y), "run.npz", "another x: "),
        (numbanet.Network([3, 5, 2], "tanh", "cce"), (x, y), "run.npz", "another network"),
        (network(), (x, y), "model.npz", "not a checkpoint"),
    ):
        with pytest.raises(ValueError, match=message):
            net.fit(*data, epochs=2, checkpoint=tmp_path / path, **SETTINGS)


KILLED = """
import sys
import numpy as np
from numbanet import Network
random = np.random.default_rng(0)
x, y = random.standard_normal((400, 8)), random.integers(0, 3, 400)
net = Network([8, 16, 3], "relu", "cce", seed=1, dropout=0.1)
print("begins", flush=True)
net.fit(x, y, epochs=int(sys.argv[2]), batch_size=8, learning_rate=0.01, optimizer="adam", schedule="cosine",
        checkpoint=sys.argv[1] or None, verbose=0)
print(np.concatenate([a.ravel() for pair in net.parameters() for a in pair]).tobytes().hex())
"""


def killed_training(path, epochs, kill_after=None):
    """Trains in a new process; returns the last line that the process prints, or None if it is killed after `kill_after` s."""
    with python("-c", KILLED, path, epochs) as process:
        assert process.stdout.readline() == "begins\n"
        if kill_after is not None:
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
        printed = process.communicate()[0]
    return printed.strip() if process.returncode == 0 else None


@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
def test_a_training_killed_at_any_moment_ends_in_the_same_bits(tmp_path, monkeypatch, capsys):
    """With the environment variable NUMBANET_KILLS=50, the test kills the process 50 times."""
    kills, epochs = int(os.environ.get("NUMBANET_KILLS", "2")), 150
    monkeypatch.setattr(sys, "argv", ["-c", "", str(epochs)])
    exec(KILLED, {})
    expected = capsys.readouterr().out.split()[-1]
    random, path = np.random.default_rng(), tmp_path / "run.npz"
    for _ in range(kills):
        if killed_training(path, epochs, kill_after=random.uniform(0.0, 0.7)):
            path.unlink()  # the run finished before it could be killed, so the next run starts again
        if path.exists():
            numbanet.Network.load(path)
    assert re.fullmatch("[0-9a-f]+", expected) and killed_training(path, epochs) == expected
