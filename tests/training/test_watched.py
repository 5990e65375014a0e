"""Early stopping and `Plateau` can watch any metric; `fit` checks callbacks, schedules and batches before the first epoch."""

import copy
import math
import sys
from fractions import Fraction

import numpy as np
import pytest

import numbanet
from numbanet import _cuda
from numbanet.training.metrics import METRICS
from numbanet.training.monitoring import LARGER_IS_BETTER
from numbanet.training.schedules import Cosine, Plateau
from tests.helpers.engines import ENGINES as ALL_ENGINES
from tests.helpers.engines import each

ENGINES = ALL_ENGINES[:1] if _cuda.SIMULATED else ALL_ENGINES
X, Y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
HUGE = 10**400


def network(loss="cce", **options):
    return numbanet.Network([3, 4, 2], "tanh", loss, **{"seed": 3} | options)


def fit(net=None, **options):
    return (net or network()).fit(X, Y, **{"epochs": 3, "verbose": 0, "learning_rate": 0.1} | options)


def flat(net):
    return np.concatenate([array.ravel() for pair in net.parameters() for array in pair])


class Adds(numbanet.Callback):
    """A callback that adds values to the logs of each epoch; `figures` contains one dict per epoch."""

    def __init__(self, *figures):
        self.figures = figures

    def on_epoch_end(self, epoch, logs):
        logs.update(self.figures[epoch - 1])


def recorded(values):
    """Returns a metric function whose calls return the given values one after another."""
    values = iter(values)
    return lambda y, y_hat: next(values)


def test_every_metric_has_a_direction():
    assert METRICS.keys() <= LARGER_IS_BETTER.keys()


@each("watcher", [lambda **o: {"early_stopping": numbanet.EarlyStopping(**o)}, lambda **o: {"schedule": Plateau(**o)}])
@each(
    "options, message",
    [
        ({"monitor": "val_los"}, "did you mean|measures only"),
        ({"monitor": "recal", "mode": "max"}, "measures only"),
        ({"monitor": "val_loss"}, "pass validation_data"),
        ({"monitor": "mine"}, "does not know whether smaller or larger values of this metric are better"),
        ({"monitor": "seconds"}, "does not know whether"),
        ({"monitor": "accuracy", "mode": "min"}, "larger values are better"),
    ],
)
def test_unknown_metrics_are_refused_before_the_first_epoch(watcher, options, message):
    net, metrics = network(), {"mine": lambda y, y_hat: 1.0}
    before = flat(net)
    with pytest.raises(ValueError, match=message):
        fit(net, metrics=metrics, **watcher(**options))
    assert (flat(net) == before).all()


@each("name, values, best", [("f1", [0.2, 0.9, 0.5], 2), ("mae", [0.9, 0.1, 0.5], 2)])
def test_a_metric_of_ones_own_has_no_known_direction(name, values, best):
    with pytest.raises(ValueError, match="pass mode"):
        fit(metrics={name: recorded(values)}, early_stopping=numbanet.EarlyStopping(9, name))
    mode = "max" if name == "f1" else "min"
    history = fit(metrics={name: recorded(values)}, early_stopping=numbanet.EarlyStopping(9, name, mode=mode))
    assert history.best_epoch == best


def test_a_plateau_watches_a_metric_that_should_rise_cools_down_and_has_a_floor():
    figures = [0.1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    plateau = Plateau(patience=2, by=0.1, monitor="figure", mode="max", cooldown=2, least=0.005)
    history = fit(epochs=10, schedule=plateau, metrics={"figure": recorded(figures)})
    # epoch 2 is the best; epochs 3 and 4 do not improve, 5 and 6 are the cooldown, 7 and 8 do not improve
    np.testing.assert_allclose(history["learning_rate"], [0.1] * 4 + [0.01] * 4 + [0.005] * 2)


@pytest.mark.parametrize("epochs", [8000])
def test_watching_costs_the_same_in_every_epoch(epochs):
    class Counted(list):
        reads = 0

        def __getitem__(self, index):
            Counted.reads += 1
            return super().__getitem__(index)

    from numbanet.training.monitoring import MeasuredMetrics, Progress, monitored

    values, progress = Counted(), Progress(monitored("schedule", None, None, 0.0, MeasuredMetrics({"loss": False})))
    for epoch in range(epochs):
        values.append(1 / (epoch + 1))
        progress.follow({"loss": values})
    assert Counted.reads == epochs and progress.best_index == epochs - 1


def test_metrics_of_some_epochs_are_nan_in_the_others():
    history = fit(callbacks=Adds({}, {"new": 2}, {"new": None}))
    assert np.isnan(history["new"][[0, 2]]).all() and history["new"][1] == 2
    assert len(history.table().splitlines()) == 4
    stopping = numbanet.EarlyStopping(1, "new", mode="min")
    history = fit(callbacks=Adds({}, {"new": 2}, {}), early_stopping=stopping)  # an epoch without the value does not count
    assert history.best_epoch == 2 and history.epoch == [1, 2, 3]


@each("name", ["loss", "accuracy", "seconds", "epoch", "val_loss"])
def test_a_callback_does_not_replace_measured_metrics(name):
    with pytest.warns(RuntimeWarning, match=f"'{name}'"):
        history = fit(callbacks=Adds(*[{name: -42.0}] * 3), validation_data=(X, Y))
    assert (history[name] != -42).all() and history.epoch == [1, 2, 3]


def test_a_callback_that_adds_no_number_is_named():
    with pytest.raises(TypeError, match=r"Adds set logs\['text'\] to 'a'"):
        fit(callbacks=Adds({"text": "a"}))


@each(
    "metrics",
    [
        [lambda y, y_hat: 1.0, lambda y, y_hat: 2.0],
        {"loss": lambda y, y_hat: 42.0},
        {"accuracy": lambda y, y_hat: 42.0},
        {"epoch": lambda y, y_hat: 42.0},
        {"val_loss": lambda y, y_hat: 42.0},
        {"val_f1": lambda y, y_hat: 42.0, "f1": "f1"},
        {1: "f1"},
        [lambda y: 1.0],
        5,
    ],
)
def test_names_of_metrics_do_not_collide(metrics):
    for call in (lambda: fit(metrics=metrics), lambda: network().evaluate(X, Y, metrics=metrics)):
        with pytest.raises((ValueError, TypeError), match=r"metric|arguments"):
            call()
    assert "accuracy" in network("mse").evaluate(X, np.eye(2)[Y], metrics={"accuracy": lambda y, y_hat: 1.0})


class TooFew(numbanet.Callback):
    def on_epoch_end(self, epoch):
        pass


@each(
    "options, message",
    [
        ({"callbacks": Adds}, "class Adds"),
        ({"callbacks": TooFew()}, "on_epoch_end of the callback TooFew must take"),
        ({"schedule": Cosine}, "class Cosine"),
        ({"schedule": lambda: 0.1}, "must take the arguments"),
        ({"early_stopping": numbanet.EarlyStopping}, "class EarlyStopping"),
        ({"checkpoint": "/nonexistent/run.npz"}, "does not exist"),
        ({"checkpoint": "."}, "folder"),
        ({"checkpoint": "run.onnx"}, "onnx"),
        ({"steps_per_epoch": 3}, "steps_per_epoch"),
    ],
)
def test_what_can_be_known_is_refused_before_the_first_epoch(options, message):
    net = network()
    before = flat(net)
    with pytest.raises((ValueError, TypeError, OSError), match=message):
        fit(net, **options)
    assert (flat(net) == before).all()


def test_none_means_the_default():
    names = ["batch_size", "optimizer", "shuffle", "validation_split", "label_smoothing", "metrics", "callbacks", "sharded"]
    net, other = network(epsilon=None, dropout=None, dtype=None, device=None, kernels=None), network()
    fit(net, **dict.fromkeys(names))
    fit(other)
    assert (flat(net) == flat(other)).all()
    assert net.evaluate(X, Y, metrics=None) == other.evaluate(X, Y) and net.predict(X, logits=None).shape == (40, 2)
    net.partial_fit(X, Y, batch_size=None, optimizer=None)
    net.train_step(X, Y, 0.1, optimizer=None)
    assert numbanet.Adam(None, None, None) == numbanet.Adam() and Plateau(by=None) == Plateau()
    assert numbanet.EarlyStopping(None) == numbanet.EarlyStopping()
    assert numbanet.Checkpoint("a.npz", None) == numbanet.Checkpoint("a.npz")


@pytest.mark.parametrize("value", [HUGE, Fraction(HUGE), 10**5000], ids=["huge", "fraction", "unprintable"])
def test_numbers_beyond_the_range_of_floats_are_refused_by_name(value):
    calls = {
        "learning_rate": lambda: fit(learning_rate=value),
        "epochs": lambda: fit(epochs=value),
        "batch_size": lambda: fit(batch_size=value),
        "validation_split": lambda: fit(validation_split=value),
        "label_smoothing": lambda: fit(label_smoothing=value),
        "early_stopping": lambda: fit(early_stopping=value),
        "schedule": lambda: fit(schedule=lambda epoch: value),
        "class_weight": lambda: fit(class_weight={0: value}),
        "sample_weight": lambda: fit(sample_weight=[value] * 40),
        "sizes": lambda: numbanet.Network([3, value], "tanh", "mse"),
        "parameters": lambda: numbanet.Network([3, 10**12, 2], "tanh", "mse"),
        "epsilon": lambda: network(epsilon=value),
        "dropout": lambda: network(dropout=value),
        "beta_1": lambda: numbanet.Adam(value),
        "clip_norm": lambda: numbanet.Adam(clip_norm=value),
        "patience": lambda: numbanet.EarlyStopping(value),
        "min_delta": lambda: numbanet.EarlyStopping(min_delta=value),
        "least": lambda: Plateau(least=value),
        "x": lambda: network().predict([[value, 0, 0]]),
    }
    whole = {"epochs", "batch_size", "early_stopping", "sizes", "patience"}
    for name, call in calls.items():
        with pytest.raises(TypeError if name in whole and isinstance(value, Fraction) else ValueError, match=name):
            call()


@each("constants", [{"epsilon": 1e-60}, {"clip_norm": 1e-60}, {"weight_decay": 1e60}])
def test_constants_beyond_the_range_of_float32_are_refused_by_name(constants):
    (name,) = constants
    with pytest.raises(ValueError, match=f"{name} must be .*float32"):
        fit(optimizer=numbanet.Adam(**constants))
    with pytest.raises(ValueError, match=name):
        network().train_step(X, Y, 0.1, optimizer=numbanet.Adam(**constants))


def test_a_training_that_makes_the_network_worse_says_so(capsys):
    x, y = 10 * X, X @ np.ones((3, 2))

    def make():
        return numbanet.Network([3, 8, 2], "relu", "mse", seed=0)

    options = {"epochs": 1, "batch_size": 1, "learning_rate": 2e-3, "optimizer": numbanet.GradientDescent(clip_norm=1e4)}
    options["learning_rate"] = 0.5
    with pytest.warns(RuntimeWarning, match="made the network worse"):
        make().fit(x, y, verbose=0, **options)
    make().fit(x, y, **options)
    assert "warning: the training made the network worse" in capsys.readouterr().out
    make().fit(x, y, epochs=1, learning_rate=1e-4, verbose=0)


class Log:
    def write(self, text):
        pass


@each("stream", ["None", "closed", "Log"])
@each("name", ["stderr", "stdout"])
def test_streams_may_be_absent_closed_or_minimal(name, stream, monkeypatch, tmp_path):
    closed = (tmp_path / "log").open("w")
    closed.close()
    monkeypatch.setattr(sys, name, {"None": None, "closed": closed, "Log": Log()}[stream])
    assert fit(verbose=1).epoch == [1, 2, 3]


@each("optimizer", ["gradient_descent", "adam", "adamw", "momentum"])
@each("device, kernels", ENGINES)
def test_strict_error_settings_do_not_end_a_training(device, kernels, optimizer):
    seen = []

    class Look(numbanet.Callback):
        def on_epoch_end(self, epoch, logs):
            seen.append(np.geterr()["over"])

    strict, plain = network(device=device, kernels=kernels), network(device=device, kernels=kernels)
    for net in (strict, plain):
        fit(net, epochs=1, optimizer=optimizer)
        net._model.step = 20000  # beta_1^t underflows
    options = {
        "optimizer": optimizer,
        "metrics": ["f1", "mae"],
        "validation_split": 0.2,
        "learning_rate": 1e-3,
        "batch_size": 8,
    }
    x = np.where(np.arange(3) == 0, 1e-42, X)
    with np.errstate(all="raise"):
        strict.fit(x, Y, epochs=2, verbose=0, callbacks=Look(), sample_weight=np.full(40, 1e-3), **options)
        strict.train_step(x, Y, 0.1), strict.evaluate(x, Y, metrics="mae"), strict.predict(x)
    plain.fit(x, Y, epochs=2, verbose=0, sample_weight=np.full(40, 1e-3), **options)
    plain.train_step(x, Y, 0.1)
    assert (flat(strict) == flat(plain)).all() and seen == ["raise"] * 2


def test_a_schedule_may_reach_0():
    history = fit(epochs=5, schedule=lambda epoch: 0.1 * (1 - epoch / 5))
    assert history["learning_rate"][-1] == 0
    assert fit(epochs=5, schedule=Cosine(least=0))["learning_rate"][-1] == 0
    for rate in (-0.1, math.nan, 1e300, None, "fast"):
        with pytest.raises((ValueError, TypeError), match="schedule returns for epoch 1"):
            fit(schedule=lambda epoch, rate=rate: rate)


def batches(ends=None):
    k = 0
    while ends is None or k < ends:
        rows = slice(5 * (k % 8), 5 * (k % 8) + 5)
        yield X[rows], Y[rows]
        k += 1


@each("source", [batches, lambda: batches(8), list(batches(8))])
def test_steps_per_epoch_go_on_where_the_epoch_before_ended(source, tmp_path):
    whole, stepped, resumed = network(), network(), network()
    whole.fit(X, Y, epochs=3, batch_size=5, shuffle=False, verbose=0)
    history = stepped.fit(source, epochs=8, steps_per_epoch=3, verbose=0)
    assert len(history.epoch) == 8 and (flat(whole) == flat(stepped)).all()
    for epochs in (3, 8):
        resumed = network()
        resumed.fit(source, epochs=epochs, steps_per_epoch=3, checkpoint=tmp_path / "run.npz", verbose=0)
    assert (flat(resumed) == flat(whole)).all()


def test_an_iterator_with_steps_per_epoch_may_run_out():
    assert network().fit(batches(), epochs=2, steps_per_epoch=5, verbose=0).epoch == [1, 2]
    with pytest.warns(RuntimeWarning, match="no more batches: the training ends after 2 epochs of 9"):
        assert network().fit(batches(8), epochs=9, steps_per_epoch=5, verbose=0).epoch == [1, 2]


class Stops(numbanet.Callback):
    def on_epoch_end(self, epoch, logs):
        self.stop_training = epoch >= 2


def test_a_training_that_ended_stays_ended(tmp_path):
    path, stopping = tmp_path / "run.npz", numbanet.EarlyStopping(1, "figure", mode="min")
    for _ in range(3):
        assert len(fit(epochs=9, callbacks=Stops(), checkpoint=path).epoch) == 2
    assert len(fit(epochs=4, checkpoint=path).epoch) == 4  # without the callback, training resumes
    for _ in range(2):
        options = {"metrics": {"figure": recorded([1, 2])}, "early_stopping": stopping, "checkpoint": tmp_path / "early.npz"}
        assert fit(epochs=9, **options).epoch == [1, 2]


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    fit(schedule=lambda epoch: 0.1 / epoch, checkpoint=path)
    with pytest.raises(ValueError, match=r"another schedule, whose learning rate in epoch 1 is 0\.1, not 5\.0"):
        fit(epochs=4, schedule=lambda epoch: 5.0, checkpoint=path)
    assert len(fit(epochs=4, schedule=lambda epoch: 0.1 / epoch, checkpoint=path).epoch) == 4


class Sets(numbanet.Callback):
    """A callback that replaces the parameters by the parameters of another network after each epoch."""

    def on_epoch_end(self, epoch, logs):
        self.network.set_parameters(network(seed=epoch).parameters())


@each("device, kernels", ENGINES)
def test_what_is_kept_is_what_callbacks_left(device, kernels):
    class Fails(Sets):
        def on_epoch_begin(self, epoch, logs):
            if epoch == 3:
                self.network._model.engine.write(np.full(26, np.nan, np.float32))

    net = network(device=device, kernels=kernels)
    stopping = numbanet.EarlyStopping(9, "figure", mode="min")
    history = fit(net, callbacks=Sets(), metrics={"figure": recorded([3, 1, 2])}, early_stopping=stopping)
    assert history.best_epoch == 2 and (flat(net) == flat(network(seed=2))).all()
    with pytest.raises(FloatingPointError, match="epoch 3"):
        fit(net, callbacks=Fails())
    assert (flat(net) == flat(network(seed=2))).all()


def test_early_stopping_on_a_metric_that_is_always_nan_says_so():
    options = {
        "metrics": {"odd": lambda y, y_hat: np.nan},
        "early_stopping": numbanet.EarlyStopping(2, monitor="odd", mode="min"),
    }
    with pytest.warns(RuntimeWarning, match="early_stopping had no effect: the metric 'odd' was missing or nan in every epoch"):
        network().fit(X, Y, epochs=4, learning_rate=0.01, verbose=0, **options)


def test_a_checkpoint_that_is_no_path_is_refused_by_name():
    with pytest.raises(TypeError, match=r"^checkpoint must be a path or a Checkpoint, not 3$"):
        network().fit(X, Y, epochs=1, verbose=0, checkpoint=3)


def test_a_training_that_resumes_says_what_its_checkpoint_contains(tmp_path, capsys):
    options = {"epochs": 2, "learning_rate": 0.01, "checkpoint": tmp_path / "run.npz"}
    network().fit(X, Y, **options)
    assert "checkpoint" not in capsys.readouterr().out
    network().fit(X, Y, **options)
    assert capsys.readouterr().out == "the checkpoint contains 2 of 2 epochs; the training is complete\n"


def test_a_callback_that_asks_for_keras_model_is_told_the_name_of_the_network():
    class Watching(numbanet.Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = True

    text = "the callback Watching has no attribute 'model': fit sets the attribute network, and stop_training is an attribute"
    with pytest.raises(AttributeError, match=text):
        fit(callbacks=Watching())
    assert not hasattr(Watching(), "models") and copy.deepcopy(Watching()).network is None


@each("validation, measured", [(False, "loss, accuracy, "), (True, "loss, accuracy, val_loss, val_accuracy, val_f1, ")])
@each("argument", ["early_stopping", "schedule"])
def test_metrics_of_batches_can_be_monitored_on_validation_data_only(argument, validation, measured):
    watching = {"early_stopping": numbanet.EarlyStopping(2, monitor="f1"), "schedule": Plateau(1, monitor="f1")}[argument]
    options = {"metrics": "f1", argument: watching, "validation_data": (X, Y) if validation else None}
    with pytest.raises(ValueError, match=f"{argument} monitors 'f1', but fit measures only {measured}"):
        network().fit([(X, Y)], epochs=2, verbose=0, **options)
