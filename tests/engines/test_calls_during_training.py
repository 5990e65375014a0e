"""Calls of a network while it trains, from callbacks, threads and signal handlers, neither change nor block the training."""

import signal
import threading

import numpy as np
import pytest

from numbanet import Network, _cuda
from numbanet.engines.epoch import epoch_of
from numbanet.engines.interface import Totals
from numbanet.engines.rule import MOMENTUM, Rule
from numbanet.inputs import Data
from numbanet.training import processes, steps
from numbanet.training.processes import Pass
from tests.engines.test_engines import SLICED
from tests.helpers.engines import DTYPES, ENGINES, each
from tests.helpers.networks import data, engine_with_parameters, topology

RULE = Rule(MOMENTUM, mu=0.5)
# On the CPU, a batch of 1100 samples is processed in three blocks.
COUNT, BATCH = (7, 3) if _cuda.SIMULATED else (1500, 1100)
SIGNALS = pytest.mark.skipif(_cuda.SIMULATED or not hasattr(signal, "setitimer"), reason="the CPU's engines, with timers")


def gradients(engine, x, y):
    engine.loss_and_gradients(x, y)


def trace(engine, x, y):
    engine.trace(x, y)


def predict_and_evaluate(engine, x, y):
    engine.predict(x)
    engine.evaluate(x, y)


def train(engine, x, y):
    """Trains an engine that is already in training on the same arrays, and then restores its parameters and moments."""
    parameters, moments = np.array(engine.read()), [np.array(moment) for moment in engine.read_moments(1)]
    for _ in engine.train_epoch(x, y, epoch_of(np.arange(COUNT), BATCH, 0.5, RULE)):
        gradients(engine, x, y)
    assert (engine.read() != parameters).any()
    engine.write(parameters)
    engine.write_moments(moments)


@each("call", [gradients, trace, predict_and_evaluate, train])
@each("dtype", DTYPES[:1] if _cuda.SIMULATED else DTYPES)
@each("device, kernels", ENGINES)
def test_calls_between_the_slices_of_an_epoch(device, kernels, dtype, call, monkeypatch):
    """With SLICE_SECONDS = 0, an engine returns to Python after each block of samples, even in the middle of a batch."""
    for module in SLICED:
        monkeypatch.setattr(f"{module}.SLICE_SECONDS", 0.0)
    top = topology((6, 5, 3), ("tanh", "softmax"), "cce", dtype)
    trained = []
    for calls in (False, True):
        engine, _ = engine_with_parameters(top, device, kernels)
        x, y = (engine.upload(array) for array in data(top, COUNT))
        for _ in range(2):
            for totals in engine.train_epoch(x, y, epoch_of(np.arange(COUNT), BATCH, 0.1, RULE)):
                if calls and totals.samples < COUNT:
                    call(engine, x, y)
        trained.append((totals, engine.read().tolist(), engine.read_moments(1)[0].tolist()))
    assert trained[0] == trained[1]


@pytest.mark.skipif(_cuda.SIMULATED, reason="the simulator has one thread")
@each("device, kernels", ENGINES)
def test_calls_from_another_thread_during_fit(device, kernels):
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2000, 40)), random.standard_normal((2000, 3))
    found, calls = [], 0
    for watched in (False, True):
        net, over = Network([40, 60, 3], "tanh", "mse", seed=1, device=device, kernels=kernels), threading.Event()

        def watch(net=net, over=over):
            nonlocal calls
            while not over.is_set():
                net.gradients(x[:7], y[:7])
                net.trace(x[:7], y[:7])
                net.evaluate(x[:7], y[:7])
                calls += 1

        thread = threading.Thread(target=watch)
        if watched:
            thread.start()
        history = net.fit(x, y, epochs=3, batch_size=1000, learning_rate=0.1, verbose=0)
        over.set()
        if watched:
            thread.join()
        found.append((history.history["loss"], [w.tolist() for w, _ in net.parameters()]))
    assert calls and found[0] == found[1]


def test_a_batch_that_is_not_whole_is_no_step():
    part = Pass(Data(np.zeros((7, 1)), np.zeros((7, 1))), np.arange(7), 3, 7.0)
    found = [part.done(Totals(samples, 0.0, 0), 1) for samples in range(8)]
    assert found == [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (1, 5), (2, 6), (3, 7)]


@each("device, kernels", ENGINES)
def test_an_interrupted_batch_is_no_step(device, kernels, monkeypatch):
    for module in SLICED:
        monkeypatch.setattr(f"{module}.SLICE_SECONDS", 0.0)
    net = Network([6, 5, 3], ["tanh", "softmax"], "cce", seed=0, device=device, kernels=kernels)
    x = np.random.default_rng(0).standard_normal((COUNT, 6))
    engine, batch, ends = net._model.engine, (COUNT - 1) // 2, []
    train_epoch = engine.train_epoch

    def interrupted(*arguments):
        for totals in train_epoch(*arguments):
            yield totals
            if 0 < totals.samples < COUNT:
                ends.append(totals.samples)
                raise KeyboardInterrupt

    monkeypatch.setattr(engine, "train_epoch", interrupted)
    history = net.fit(x, np.zeros(COUNT, int), epochs=1, batch_size=batch, optimizer="adam", verbose=0)
    assert history.interrupted and history.epoch == [] and net._model.step == ends[0] // batch


class AlarmError(Exception):
    """The exception that the signal handler raises."""


@pytest.fixture
def alarm():
    def ring(*_):
        raise AlarmError

    before = signal.signal(signal.SIGALRM, ring)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@SIGNALS
@each("kernels", ["fast", "reference"])
def test_an_exception_at_any_moment_leaves_the_network_to_other_threads(kernels, alarm):
    net, x, random = Network([8, 32, 3], "relu", "cce", seed=1, kernels=kernels), np.zeros((4, 8)), np.random.default_rng(0)
    net.predict(x)
    for _ in range(300):
        with pytest.raises(AlarmError):
            alarm(0.0001 + random.random() * 0.0005)
            while True:
                net.predict(x)
        done = threading.Event()
        threading.Thread(target=lambda done=done: (net.predict(x), done.set()), daemon=True).start()
        assert done.wait(10)


@each("kernels", ["fast", "reference"])
@each("call", ["fit", "partial_fit"])
@each("moment", [1, 3])
def test_an_exception_just_before_steps_are_counted_loses_no_step(moment, call, kernels, monkeypatch):
    """Raises the exception where Python may run a signal handler: at the start of the function that counts the steps."""
    calls, count = [], processes.finished_batches

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == moment:
            raise AlarmError
        return count(*arguments)

    for module in (processes, steps):
        monkeypatch.setattr(module, "finished_batches", interrupted)
    for module in SLICED:
        monkeypatch.setattr(f"{module}.SLICE_SECONDS", 0.0)
    x = np.random.default_rng(0).standard_normal((COUNT, 6))
    net, twin = (Network([6, 5, 3], "tanh", "mse", seed=0, device="cpu", kernels=kernels) for _ in range(2))
    options = {"batch_size": 50, "optimizer": "adam", "learning_rate": 0.01}
    with pytest.raises(AlarmError):
        getattr(net, call)(x, x[:, :3], **options, **({"epochs": 1, "shuffle": False, "verbose": 0} if call == "fit" else {}))
    step = net._model.step
    assert step > 0
    twin.partial_fit(x[: 50 * step], x[: 50 * step, :3], **options)
    assert twin._model.step == step
    assert all((w == v).all() for (w, _), (v, _) in zip(net.parameters(), twin.parameters(), strict=True))


@SIGNALS
@each("batch_size", [50, 3000])
def test_steps_before_an_exception_are_counted(batch_size, alarm):
    """The exception is raised during a compiled training call, so the parameters already contain the steps of this call."""
    x = np.random.default_rng(0).standard_normal((6000, 20))
    y, counted = x[:, :2], []
    options = {"batch_size": batch_size, "optimizer": "adam", "learning_rate": 0.01}

    def network():
        return Network([20, 100, 2], "tanh", "mse", seed=1)

    network().fit(x, y, epochs=1, verbose=0, **options)
    for seconds in np.random.default_rng(1).uniform(0.002, 0.03, 8):
        net, twin = network(), network()
        with pytest.raises(AlarmError):
            alarm(seconds)
            net.fit(x, y, epochs=10**6, shuffle=False, verbose=0, **options)
        steps = net._model.step
        epochs, rest = divmod(steps, -(-len(x) // batch_size))
        for part in [x] * epochs + [x[: rest * batch_size]] * (rest > 0):
            twin.partial_fit(part, part[:, :2], **options)
        assert twin._model.step == steps
        assert all((w == v).all() for (w, _), (v, _) in zip(net.parameters(), twin.parameters(), strict=True))
        counted.append(steps)
    assert max(counted) > 1
