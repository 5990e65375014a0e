"""Several threads compute the same bits as one; engine calls from several threads and forked processes do not interfere."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

import numbanet
from numbanet._compile import njit_entry
from numbanet.engines.cpu import epoch, threads
from numbanet.engines.cpu.blocks import KC, STRIP
from numbanet.engines.cpu.kernels.layout import panel_width
from numbanet.engines.epoch import epoch_of
from tests.helpers.engines import each
from tests.helpers.networks import data, engine_with_parameters, topology

# The layers have several panels and a hidden softmax, blocks end in the middle of a group, and the work suffices for two
# threads.
TOPOLOGY = topology((300, 70, 33, 10), ("tanh", "softmax", "softmax"), "cce", np.dtype("float32"))


@pytest.fixture(autouse=True)
def threads_as_before():
    before = numbanet.get_num_threads()
    yield
    numbanet.set_num_threads(before)


def train(top=TOPOLOGY, count=400, batch_size=150):
    """Trains an engine for two epochs, and returns all its results as bits."""
    engine, _ = engine_with_parameters(top, "cpu", "fast")
    x, y = data(top, count)
    totals = [list(engine.train_epoch(x, y, epoch_of(np.arange(count)[::-1].copy(), batch_size, 0.1)))[-1] for _ in range(2)]
    loss, gradients = engine.loss_and_gradients(x, y)
    return totals, engine.read().tobytes(), engine.predict(x).tobytes(), engine.evaluate(x, y), loss, gradients.tobytes()


def trained_with(threads, **options):
    numbanet.set_num_threads(threads)
    return train(**options)


@pytest.fixture(scope="module")
def alone():
    before = numbanet.get_num_threads()
    result = trained_with(1)
    numbanet.set_num_threads(before)
    return result


@each("count", [2, 4, 7])
def test_the_bits_do_not_depend_on_the_number_of_threads(count, alone):
    assert trained_with(count) == alone


def test_helpers_compute_too():
    """Helping threads really compute parts of a call, as the tests above assume.

    The test recognises a helping thread by the copies of weights that the thread leaves in its part of the engine's memory.
    """
    numbanet.set_num_threads(2)
    engine, _ = engine_with_parameters(TOPOLOGY, "cpu", "fast")
    x, y = data(TOPOLOGY, 300)
    (header,), *_ = engine.layout.records(300)
    second = header["packed"] + STRIP * KC * panel_width(TOPOLOGY.dtype)
    for _ in range(1000):  # each call takes one block; on a busy machine, a helper may be too late for some of the calls
        engine.loss_and_gradients(x, y)
        if engine.layout.memory[second]:
            return
    pytest.fail("no thread helped")


def test_helpers_predict_too():
    """The helping thread copies half of the 400 samples to its own rows of the engine's memory, from row 204 (200, padded)."""
    numbanet.set_num_threads(2)
    engine, _ = engine_with_parameters(TOPOLOGY, "cpu", "fast")
    engine.turns = 2  # two threads, also on a machine with one core
    x, _ = data(TOPOLOGY, 400)
    _, layers, _ = engine.layout.records(2 * 204)
    place = layers[0]["x"] + 204 * panel_width(TOPOLOGY.dtype)
    for _ in range(1000):
        engine.predict(x)
        if engine.layout.memory[place]:
            return
    pytest.fail("no thread helped")


def test_every_call_has_its_helpers():
    """Each call begins immediately after the previous call, whose helping thread may still be returning."""
    crew = threads.Crew(2)
    for _ in range(100):
        helped = threading.Event()

        def run(team, helps, helped=helped):
            if helps:
                helped.set()
            else:
                assert helped.wait(30)

        crew.call(run, (), 2)
    assert crew.threads == 1


@each("count, batch_size", [(100, 1), (400, 5), (400, 7), (1200, 64), (1200, 517), (1200, 1200)])
def test_batches_of_any_size(count, batch_size, monkeypatch):
    monkeypatch.setattr("numbanet.engines.cpu.engine.SHARED_WEIGHTS", 0)
    options = {
        "count": count,
        "batch_size": batch_size,
        "top": topology((90, 40, 3), ("relu", "softmax"), "cce", np.dtype("f8")),
    }
    assert trained_with(3, **options) == trained_with(1, **options)


def test_two_callers_at_once(alone):
    numbanet.set_num_threads(2)
    results = [None] * 3

    def caller(number):
        results[number] = train()

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(len(results))]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert results == [alone] * len(results)


def test_one_network_asked_by_several_threads_at_once():
    net = numbanet.Network([50, 300, 3], ["relu", "softmax"], "cce", seed=0)
    x = np.random.default_rng(0).standard_normal((2000, 50)).astype("f4")
    expected = [net.predict(x[first:]) for first in range(8)]
    found = [None] * 8

    def ask(first):
        for _ in range(20):
            found[first] = net.predict(x[first:])
            assert (found[first] == expected[first]).all()

    callers = [threading.Thread(target=ask, args=(first,)) for first in range(8)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_no_more_threads_than_were_asked_for():
    """With a limit of two threads, a helping thread works only while no second caller uses the engine."""
    crew = threads.Crew(2)
    entered, leave, helped = threading.Event(), threading.Event(), threading.Event()

    def busy(team, helps):
        entered.set()
        leave.wait(30)

    def short(team, helps):
        if helps:
            helped.set()

    first = threading.Thread(target=crew.call, args=(busy, (), 1))
    first.start()
    entered.wait(30)
    crew.call(short, (), 2)
    assert crew.helping == crew.threads == 0 and not helped.is_set()
    leave.set()
    first.join()
    crew.call(short, (), 1)
    assert not helped.wait(0.1)
    crew.call(short, (), 2)
    assert helped.wait(30) and crew.threads == 1


def fork(function):
    """Calls the function in a forked child process, and returns the result."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply_async(function).get(timeout=60)


FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
# Python 3.12 and later warn if a process with several threads forks; the tests do so on purpose.
QUIETLY = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def train_in_child():
    assert threads.crew.threads == 0
    return train()


@FORKS
@QUIETLY
def test_after_a_fork(alone):
    """The forked child process contains none of the helping threads of its parent process."""
    assert trained_with(2) == alone
    assert fork(train_in_child) == alone
    assert trained_with(2) == alone


NETWORK = numbanet.Network([2, 2], "relu", "cce", seed=0)


def predict_in_child():
    return NETWORK.predict([[1, 2]]).tolist()


@FORKS
@QUIETLY
def test_after_a_fork_while_another_thread_computes():
    """The thread that holds the lock of the network during the fork does not exist in the child process."""
    expected, locked, leave = predict_in_child(), threading.Event(), threading.Event()

    def hold():
        with NETWORK._model.engine.lock.here:
            locked.set()
            leave.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(60)
    assert fork(predict_in_child) == expected
    leave.set()
    holder.join()


LAYERS = ["workqueue", "omp", "tbb"]  # by default, Numba chooses one of them
SCRIPT = """
import threading
import numba, numpy as np
import numbanet

@numba.njit(parallel=True)
def total(x):
    s = 0.0
    for i in numba.prange(x.size):
        s += x[i]
    return s

try:
    numba.get_num_threads()  # loads the threading layer
except ValueError:
    print("absent")
    raise SystemExit
total(np.ones(1000))  # starts its threads
numbanet.set_num_threads(2)
x, y, *_ = numbanet.load_digits()
def train(results):
    net = numbanet.Network([64, 400, 10], "relu", "cce", seed=0)
    net.fit(x, y, epochs=2, batch_size=128, verbose=0)
    results.append(net.predict(x).tobytes())
results = []
callers = [threading.Thread(target=train, args=(results,)) for _ in range(2)]
for thread in callers: thread.start()
for thread in callers: thread.join()
import multiprocessing
def child(queue):
    found = []
    train(found)
    queue.put(found[0])
queue = multiprocessing.get_context("fork").Queue()
process = multiprocessing.get_context("fork").Process(target=child, args=(queue,))
process.start()
results.append(queue.get(timeout=60))
process.join()
print("same" if len(set(results)) == 1 and len(results) == 3 else "different", numba.threading_layer())
"""


@FORKS
@each("layer", LAYERS)
def test_under_every_threading_layer_of_numba(layer):
    """Two threads call the engine at the same time, and then the process forks, while Numba's own threads are also in use."""
    environment = os.environ | {"NUMBA_THREADING_LAYER": layer, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if "absent" in done.stdout:
        pytest.skip(f"{layer} is not installed")
    assert done.stdout.startswith("same"), done.stdout


def test_the_number_of_threads_is_checked():
    with pytest.raises(TypeError, match="integer"):
        numbanet.set_num_threads(1.5)
    with pytest.raises(TypeError, match="integer"):
        numbanet.set_num_threads(True)
    with pytest.raises(ValueError, match="at least 1"):
        numbanet.set_num_threads(0)
    numbanet.set_num_threads(np.int64(3))
    assert numbanet.get_num_threads() == 3


def test_no_more_threads_than_cores_by_default():
    assert 1 <= threads._cores() <= numba.config.NUMBA_NUM_THREADS


def test_the_caller_compiles_before_other_threads_help(monkeypatch):
    """Ctrl-C interrupts a compilation only in the main thread, so helping threads must not compile."""
    train()  # after this call, the code is in the cache
    fresh = njit_entry(epoch.run.py_func)
    monkeypatch.setattr("numbanet.engines.cpu.routines.run", fresh)
    monkeypatch.setattr("numbanet.engines.cpu.routines.COMPILED", {})
    call, compiled = threads.Crew.call, []

    def watched(self, *arguments):
        compiled.append(len(fresh.overloads))
        return call(self, *arguments)

    monkeypatch.setattr(threads.Crew, "call", watched)
    numbanet.set_num_threads(2)
    train()
    assert compiled[0] >= 1
