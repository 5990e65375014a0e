"""Samples that do not fit into GPU memory are processed in chunks, and give the same bits as samples that fit."""

import gc
from types import SimpleNamespace

import numpy as np
import pytest

from numbanet import _cuda
from numbanet._compile import collection_paused
from numbanet.engines.cuda import engine as cuda_engine
from numbanet.engines.cuda import limits, planning, streaming
from numbanet.engines.cuda.workspace import workspace_bytes
from numbanet.engines.epoch import epoch_of
from tests.engines.test_engines import SLICED
from tests.helpers.engines import CUDA, DTYPES, each
from tests.helpers.networks import data, engine_with_parameters, topology

pytestmark = pytest.mark.simulator

if not CUDA:
    pytest.skip(_cuda.unusable_reason(), allow_module_level=True)

cuda = _cuda.cuda
COUNT, BATCH = 10, 3
# The sizes of chunks if a chunk has at most 4 samples: training uses whole batches, and evaluation uses multiples of 2 samples.
TRAINED, EVALUATED = [3, 3, 3, 1], [4, 4, 2]
TOPOLOGY = (3, 5, 2), ("tanh", "softmax"), "cce"


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(streaming, "CHUNK_ROWS", 4)
    monkeypatch.setattr(cuda_engine, "CHUNK", 2)


@pytest.fixture
def copies(monkeypatch):
    """Returns a list of the numbers of samples in the chunks, in the order in which the engine copies the chunks to the GPU."""
    made = []

    class Counted(streaming.Chunks):
        def _copy(self, order, arrays, place):
            made.append(order.size)
            super()._copy(order, arrays, place)

    monkeypatch.setattr(cuda_engine, "Chunks", Counted)
    return made


def plan_for(way):
    return lambda *_: planning.TrainingPlan(way, 0, 0.0)


def train(top, x, y, epochs=2, shuffled=True, weights=None):
    """Trains a network; returns the totals (loss and correct outputs) of each epoch, and the parameters after the last one."""
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    random, totals = np.random.default_rng(2), []
    for _ in range(epochs):
        order = random.permutation(COUNT) if shuffled else np.arange(COUNT)
        *_, last = engine.train_epoch(x, y, epoch_of(order, BATCH, 0.125, weights=weights))
        totals.append(last)
    return totals, engine.read()


@each("way", [planning.RESIDENT, planning.PRODUCTS])
@each("dtype, shuffled", [("float32", True), ("float64", False)])
def test_streamed_training_has_the_same_bits(monkeypatch, small_chunks, copies, way, dtype, shuffled):
    monkeypatch.setattr(cuda_engine.planning, "plan", plan_for(way))
    top = topology(*TOPOLOGY, np.dtype(dtype))
    x, y = data(top, COUNT)
    expected, parameters = train(top, cuda.to_device(x), cuda.to_device(y), shuffled=shuffled)
    assert copies == []
    found, others = train(top, x, y, shuffled=shuffled)
    assert copies == TRAINED * 2  # each sample is copied once per epoch
    assert found == expected and (others == parameters).all()


@pytest.mark.skipif(_cuda.SIMULATED, reason="the simulator has no streams")
@each("way", [planning.RESIDENT, planning.PRODUCTS])
def test_a_chunk_is_copied_when_the_kernels_have_finished_with_its_place(monkeypatch, small_chunks, way):
    """Here, the software GPU (a driver without a GPU) copies each chunk at once; in other tests, as late as possible."""
    monkeypatch.setattr(cuda_engine.planning, "plan", plan_for(way))
    monkeypatch.setenv("SOFTWARE_GPU_EARLY", "1")
    top = topology(*TOPOLOGY, np.dtype("float32"))
    x, y = data(top, COUNT)
    expected, parameters = train(top, cuda.to_device(x), cuda.to_device(y))
    found, others = train(top, x, y)
    assert found == expected and (others == parameters).all()


# with several chunks, and with one chunk that contains all samples
@each("rows, dtype", [(4, "float32"), (100, "float64")])
def test_streamed_samples_keep_their_weights(monkeypatch, small_chunks, copies, rows, dtype):
    """In training, evaluations and gradients, each sample keeps its own weight, even if the samples are shuffled."""
    monkeypatch.setattr(streaming, "CHUNK_ROWS", rows)
    top = topology(*TOPOLOGY, np.dtype(dtype))
    x, y = data(top, COUNT)
    weights = np.arange(COUNT).astype(dtype)
    there = cuda.to_device(x), cuda.to_device(y)
    expected, parameters = train(top, *there, weights=weights)
    assert copies == []
    found, others = train(top, x, y, weights=weights)
    assert copies == (TRAINED if rows == 4 else [COUNT]) * 2
    assert found == expected and (others == parameters).all()
    of_ones, plain = train(top, *there)
    assert of_ones != expected and (plain != parameters).any()
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    one_by_one = [engine.evaluate(x[s : s + 1], y[s : s + 1]) for s in range(COUNT)]
    for arrays in ((x, y), there):
        totals = engine.evaluate(*arrays, weights)
        np.testing.assert_allclose(totals.loss, sum(w * one.loss for w, one in zip(weights, one_by_one, strict=True)), 1e-5)
        assert totals.hits == sum(w * one.hits for w, one in zip(weights, one_by_one, strict=True))
        assert engine.loss_and_gradients(*arrays, weights)[0] == pytest.approx(totals.loss, rel=1e-6)


@each("on_gpu", ["x", "y"])
def test_one_of_two_arrays_may_lie_on_the_gpu(monkeypatch, small_chunks, copies, on_gpu):
    top = topology(*TOPOLOGY, np.dtype("float32"))
    given = dict(zip("xy", data(top, COUNT), strict=True))
    expected, parameters = train(top, *map(cuda.to_device, given.values()))
    given[on_gpu] = cuda.to_device(given[on_gpu])
    found, others = train(top, **given)
    assert copies and found == expected and (others == parameters).all()


@each("dtype", DTYPES)
def test_streamed_predictions_and_losses_have_the_same_bits(small_chunks, copies, dtype):
    top = topology(*TOPOLOGY, np.dtype(dtype))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, y = data(top, COUNT)
    there = cuda.to_device(x), cuda.to_device(y)
    assert (engine.predict(x) == engine.predict(there[0])).all()
    assert copies == EVALUATED
    out = cuda.device_array((COUNT, 2), dtype)
    assert (engine.predict(x, out).copy_to_host() == engine.predict(x)).all()
    assert engine.evaluate(x, y) == engine.evaluate(*there)
    assert copies == EVALUATED * 4


@pytest.mark.skipif(_cuda.SIMULATED, reason="the simulator frees nothing")
def test_the_threads_of_a_pass_can_free_arrays_on_the_gpu(small_chunks, monkeypatch):
    """An exception while the garbage collector frees an array becomes a warning, which makes the test fail."""
    top = topology(*TOPOLOGY, np.dtype("float32"))
    x, _ = data(top, COUNT)
    engine, _ = engine_with_parameters(top, "cuda", "fast")

    def collecting_take(*arguments, **options):
        gc.collect()
        return np.take(*arguments, **options)

    monkeypatch.setattr(streaming, "np", SimpleNamespace(**vars(np) | {"take": collecting_take}))
    with collection_paused():
        cycle = [cuda.device_array(1) for _ in range(100)]  # more than Numba keeps before it frees them
        cycle.append(cycle)
        del cycle
        engine.predict(x)


def test_training_and_evaluation_share_their_places(small_chunks):
    top = topology(*TOPOLOGY, np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, y = data(top, COUNT)
    list(engine.train_epoch(x, y, epoch_of(np.arange(COUNT), BATCH, 0.125)))
    places = engine.engine.chunks.places
    engine.evaluate(x, y)
    list(engine.train_epoch(x, y, epoch_of(np.arange(COUNT), BATCH, 0.125)))
    assert engine.engine.chunks.places is places and len(places) == 2


def test_calls_between_the_chunks_of_an_epoch_have_places_of_their_own(small_chunks, monkeypatch):
    for module in SLICED:
        monkeypatch.setattr(f"{module}.SLICE_SECONDS", 0.0)
    top, trained = topology(*TOPOLOGY, np.dtype("float32")), []
    x, y = data(top, COUNT)
    for calls in (False, True):
        engine, _ = engine_with_parameters(top, "cuda", "fast")
        for _ in engine.train_epoch(x, y, epoch_of(np.arange(COUNT), BATCH, 0.125)):
            if calls:
                engine.evaluate(x[::-1], y[::-1])
                engine.loss_and_gradients(x[:3], y[:3])
        trained.append(engine.read().tolist())
    assert trained[0] == trained[1]


def test_steps_are_recorded_once_for_each_place(monkeypatch, small_chunks):
    monkeypatch.setattr(cuda_engine.planning, "plan", plan_for(planning.PRODUCTS))
    made = []

    class Noted(cuda_engine.Steps):
        def __init__(self, *arguments):
            made.append(self)
            super().__init__(*arguments)

    monkeypatch.setattr(cuda_engine, "Steps", Noted)
    top = topology(*TOPOLOGY, np.dtype("float32"))
    train(top, *data(top, COUNT), epochs=3)
    assert len(made) == 2


def test_a_batch_larger_than_a_chunk_is_a_chunk(small_chunks, copies):
    top = topology(*TOPOLOGY, np.dtype("float32"))
    (engine, _), (other, _) = (engine_with_parameters(top, "cuda", "fast") for _ in range(2))
    x, y = data(top, COUNT)
    found = list(engine.train_epoch(x, y, epoch_of(np.arange(COUNT), 7, 0.125)))[-1]
    assert copies == [7, 3]
    assert found == list(other.train_epoch(*map(cuda.to_device, (x, y)), epoch_of(np.arange(COUNT), 7, 0.125)))[-1]
    assert (engine.read() == other.read()).all()


def test_a_pass_that_is_cut_short_leaves_the_places_ready(small_chunks):
    top = topology(*TOPOLOGY, np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, y = data(top, COUNT)
    epoch = engine.train_epoch(x, y, epoch_of(np.arange(COUNT), BATCH, 0.125))
    assert next(epoch).samples == TRAINED[0]
    epoch.close()
    assert (engine.predict(x) == engine.predict(cuda.to_device(x))).all()


def test_samples_of_a_file_stay_there(tmp_path, small_chunks):
    """The engine reads only single rows of the memory-mapped file, and never the whole file."""
    top = topology(*TOPOLOGY, np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, _ = data(top, COUNT)
    x.tofile(tmp_path / "x")
    there = np.memmap(tmp_path / "x", np.float32, "r", shape=x.shape)
    assert (engine.predict(there) == engine.predict(x)).all()


# What fits


@each("free", [3 << 28, 1 << 20, 100])
def test_what_fits_leaves_room_for_the_places_or_half(monkeypatch, free):
    monkeypatch.setattr(limits, "free_bytes", lambda: free)
    most = max(free - 2 * streaming.CHUNK_BYTES, free // 2)
    assert streaming.fits(most) and not streaming.fits(most + 1)


def test_what_does_not_fit_is_not_uploaded(monkeypatch):
    """`upload` copies an array if the array, a workspace and the losses of the samples fit into half of the free memory."""
    top = topology(*TOPOLOGY, np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, y = data(top, COUNT)
    beside = workspace_bytes(top, COUNT) + COUNT * cuda_engine.NOTES_BYTES
    monkeypatch.setattr(limits, "free_bytes", lambda: 2 * (x.nbytes + beside))
    assert engine.upload(x) is not x and engine.upload(y) is not y
    monkeypatch.setattr(limits, "free_bytes", lambda: 2 * (x.nbytes + beside) - 2)
    assert engine.upload(x) is x and engine.upload(y) is not y


def test_places_take_no_more_than_half_of_what_is_free(monkeypatch):
    top = topology(*TOPOLOGY, np.dtype("float32"))
    chunks = streaming.Chunks(top)
    monkeypatch.setattr(limits, "free_bytes", lambda: 10_000)
    next(chunks.of(BATCH, data(top, COUNT)))
    taken = sum(array.nbytes for place in chunks.places for array in place.on_gpu)
    assert 4_000 < taken <= 5_000


def test_a_batch_that_does_not_fit_is_refused_with_figures(monkeypatch):
    top = topology(*TOPOLOGY, np.dtype("float32"))
    engine, before = engine_with_parameters(top, "cuda", "fast")
    x, y = data(top, COUNT)
    monkeypatch.setattr(limits, "free_bytes", lambda: 200)
    message = "batches of 7 samples takes 280 bytes of GPU memory, but only 200 bytes are free: at most 5 samples fit at once"
    with pytest.raises(MemoryError, match=message):
        list(engine.train_epoch(x, y, epoch_of(np.arange(COUNT), 7, 0.125)))
    assert (engine.read() == before).all()


def test_gradients_take_the_whole_batch(monkeypatch):
    top = topology(*TOPOLOGY, np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, y = data(top, COUNT)
    expected = engine.loss_and_gradients(cuda.to_device(x), cuda.to_device(y))
    found = engine.loss_and_gradients(x, y)
    assert found[0] == expected[0] and (found[1] == expected[1]).all()
    monkeypatch.setattr(limits, "free_bytes", lambda: x.nbytes - 12)
    for call in (engine.loss_and_gradients, engine.trace):
        with pytest.raises(
            MemoryError, match=r"holding 10 samples takes 120 bytes .* 108 bytes are free: at most 9 samples fit at once"
        ):
            call(x, y)
