"""The fast engine on GPUs: its ways to train agree, and go through Python no more often than they have to."""

import gc
import weakref

import numpy as np
import pytest
from conftest import CUDA, DTYPES, each
from networks import data, engine_with_parameters, topology

from numbanet import _cuda
from numbanet.engines.cuda import engine as cuda_engine
from numbanet.engines.cuda import memory, output, planning, resident, steps
from numbanet.engines.rule import epoch_of

if not CUDA:
    pytest.skip(_cuda.unusable_reason(), allow_module_level=True)

NETWORKS = [
    ((3, 5, 2), ("tanh", "softmax"), "cce"),
    ((3, 4, 3, 2), ("softmax", "relu", "sigmoid"), "bce"),
    ((2, 3, 3), ("leaky_relu", "softmax"), "bce"),
    ((4, 3, 1), ("sigmoid", "identity"), "mse"),
    ((3, 2), ("softmax",), "sse"),
]
COUNT, BATCH = 11, 4
EPOCH = epoch_of(np.arange(COUNT), BATCH, 0.125)


@pytest.fixture
def launches(monkeypatch):
    """The kernels that the engine starts itself, in order."""
    started = []

    def configured(kernel, grid, block, shared_bytes=0):
        started.append(kernel)
        return _cuda.configured(kernel, grid, block, shared_bytes)

    monkeypatch.setattr(cuda_engine, "configured", configured)
    return started


def train(monkeypatch, top, way, epochs=1):
    """Totals and parameters after training one way."""
    monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: planning.Plan(way, 0, ""))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, y = (engine.upload(array) for array in data(top, COUNT))
    order = np.random.default_rng(2).permutation(COUNT)
    for _ in range(epochs):
        *_, totals = engine.train_epoch(x, y, epoch_of(order, BATCH, 0.125))
    return totals, engine.read()


@each("sizes, activations, loss", NETWORKS)
@each("dtype", DTYPES)
def test_both_ways_train_the_same_network(monkeypatch, sizes, activations, loss, dtype):
    top = topology(sizes, activations, loss, dtype)
    (alone, parameters), (together, others) = (train(monkeypatch, top, way) for way in (planning.RESIDENT, planning.PRODUCTS))
    tolerance = {"float32": 1e-5, "float64": 1e-13}[dtype.name]
    assert (alone.samples, alone.hits) == (together.samples, together.hits)
    np.testing.assert_allclose(alone.loss, together.loss, rtol=tolerance)
    np.testing.assert_allclose(parameters, others, rtol=0, atol=tolerance)


@each("way", [planning.RESIDENT, planning.PRODUCTS])
def test_two_runs_give_the_same_bits(monkeypatch, way):
    top = topology((3, 5, 2), ("tanh", "softmax"), "cce", np.dtype("float32"))
    (first, parameters), (second, again) = (train(monkeypatch, top, way, epochs=2) for _ in range(2))
    assert first == second and (parameters == again).all()


def test_resident_training_is_one_launch_a_slice(launches):
    top = topology((3, 5, 2), ("tanh", "softmax"), "cce", np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    engine.pace.samples = 10**6  # as fast as a GPU
    x, y = (engine.upload(array) for array in data(top, COUNT))
    slices = list(engine.train_epoch(x, y, EPOCH))
    assert len(slices) == 1 and slices[0].samples == COUNT
    assert launches == [resident.training_kernel(np.dtype("float32"))]


def test_training_by_products_is_one_call_a_step(monkeypatch, launches):
    """The first step of all is launched, kernel by kernel, and the smaller last one of each epoch; the rest is repeated."""
    repeats = []

    def recorded(launch):
        def repeat():
            before = len(launches)
            launch()
            del launches[before:]  # as in a graph
            repeats.append(1)

        return repeat

    monkeypatch.setattr(steps, "recorded", recorded)
    monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: planning.Plan(planning.PRODUCTS, 0, ""))
    top = topology((3, 5, 2), ("tanh", "softmax"), "cce", np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, y = (engine.upload(array) for array in data(top, COUNT))
    list(engine.train_epoch(x, y, EPOCH))
    assert len(repeats) == COUNT // BATCH - 1
    launches.clear()
    repeats.clear()
    list(engine.train_epoch(x, y, EPOCH))
    assert len(repeats) == COUNT // BATCH
    assert len(launches) == launches.count(output.output_rows) == 1  # the rest of the small step is not launched from here


def test_room_is_kept_for_a_few_sizes_only():
    top = topology((3, 2), ("softmax",), "cce", np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, _ = data(top, COUNT)
    for n in range(1, COUNT):
        engine.predict(engine.upload(x[:n]))
        assert len(engine.rooms) <= cuda_engine.MOST_ROOMS


def test_too_little_memory_is_said_before_anything_is_computed(monkeypatch):
    top = topology((3, 4, 2), ("tanh", "softmax"), "cce", np.dtype("float32"))
    engine, flat = engine_with_parameters(top, "cuda", "fast")
    x, y = data(top, 12)
    monkeypatch.setattr(memory, "free_bytes", lambda: 100)
    with pytest.raises(MemoryError, match=r"holding 12 samples takes 144 bytes .* 100 are free: 8 samples at once would fit"):
        engine.upload(x)
    room = cuda_engine.Room(top, 12)
    arrays = [*room.a, *room.delta, *room.z.values(), *room.dl.values(), room.u, room.z_max, room.others, room.order]
    taken = sum(array.size * array.dtype.itemsize for array in arrays)
    with pytest.raises(MemoryError, match=rf"computing with 12 samples takes {taken:,} bytes"):
        engine.loss_and_gradients(_cuda.cuda.to_device(x), _cuda.cuda.to_device(y))
    assert (engine.read() == flat).all()


def test_samples_leave_the_gpu_with_the_one_who_brought_them(monkeypatch):
    monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: planning.Plan(planning.PRODUCTS, 0, ""))
    top = topology((3, 2), ("softmax",), "cce", np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, y = (engine.upload(array) for array in data(top, COUNT))
    list(engine.train_epoch(x, y, EPOCH))
    gone = weakref.ref(x)
    del x, y
    gc.collect()
    assert gone() is None


def test_other_samples_are_not_taken_for_those_recorded(monkeypatch):
    """x of another training, with the same y, count, batch size and learning rate."""
    monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: planning.Plan(planning.PRODUCTS, 0, ""))
    top = topology((3, 2), ("softmax",), "cce", np.dtype("float64"))
    (engine, flat), (fresh, _) = (engine_with_parameters(top, "cuda", "fast") for _ in range(2))
    (x, y), (x_other, _) = data(top, COUNT), data(top, COUNT, seed=9)
    y = engine.upload(y)
    list(engine.train_epoch(engine.upload(x), y, EPOCH))
    engine.write(flat)
    for one in (engine, fresh):
        list(one.train_epoch(one.upload(x_other), y, EPOCH))
    assert (engine.read() == fresh.read()).all()


def test_a_step_begins_and_ends_where_the_position_is():
    order, position = (_cuda.cuda.to_device(np.array(numbers)) for numbers in ([5, 3, 9, 7, 1], [1]))
    batch, notes = _cuda.cuda.to_device(np.zeros(3, np.int64)), _cuda.cuda.to_device(np.zeros((2, 5)))
    _cuda.configured(steps.begin_step, 1, 2)(position, order, batch)
    assert batch.copy_to_host().tolist() == [3, 9, 7] and position.copy_to_host().tolist() == [4]
    of_batch = _cuda.cuda.to_device(np.array([0.5, 1.5, 2.5]))
    _cuda.configured(steps.end_step, 2, 2)(position, of_batch, of_batch, notes[0], notes[1])
    assert notes.copy_to_host().tolist() == [[0, 0.5, 1.5, 2.5, 0]] * 2
