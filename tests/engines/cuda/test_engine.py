"""All ways to train on a GPU (in one block, in many blocks, or with a kernel per product) agree, and need few launches."""

import gc
import types
import weakref

import numpy as np
import pytest

from numbanet import _cuda
from numbanet.engines.cuda import engine as cuda_engine
from numbanet.engines.cuda import limits, output, planning, workspace
from numbanet.engines.cuda.cooperative import grid, tiling
from numbanet.engines.cuda.cooperative import kernel as cooperative
from numbanet.engines.cuda.cooperative.layout import GridPlan
from numbanet.engines.cuda.products import batch as batches
from numbanet.engines.cuda.products import propagation, steps
from numbanet.engines.cuda.resident import block
from numbanet.engines.cuda.resident import kernel as resident
from numbanet.engines.epoch import epoch_of
from tests.helpers.engines import CUDA, DTYPES, each
from tests.helpers.formulas import HUBER, STEEP, SWISH
from tests.helpers.networks import data, engine_with_parameters, topology
from tests.helpers.training_plans import ways

pytestmark = pytest.mark.simulator

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
    """Returns a list of the kernels that are launched, in the order of the launches."""
    started = []

    def configured(kernel, grid, block, shared_bytes=0):
        started.append(kernel)
        return _cuda.configured(kernel, grid, block, shared_bytes)

    for module in (block, grid, propagation):
        monkeypatch.setattr(module, "configured", configured)
    return started


def train(monkeypatch, top, plan, kernels="fast", epochs=1, count=COUNT, batch=BATCH):
    """Trains a network according to the plan; returns the totals of losses and correct outputs, and the parameters."""
    monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: plan)
    engine, _ = engine_with_parameters(top, "cuda", kernels)
    x, y = (engine.upload(array) for array in data(top, count))
    order = np.random.default_rng(2).permutation(count)
    for _ in range(epochs):
        *_, totals = engine.train_epoch(x, y, epoch_of(order, batch, 0.125))
    return totals, engine.read()


def check_ways(monkeypatch, top, plans, **size):
    """Checks that each plan gives the loss, correct outputs and parameters that the reference kernels give."""
    totals, parameters = train(monkeypatch, top, None, "reference", **size)
    tolerance = {"float32": 1e-5, "float64": 1e-13}[top.dtype.name]
    for name, plan in plans.items():
        found, others = train(monkeypatch, top, plan, **size)
        assert (found.samples, found.hits) == (totals.samples, totals.hits), name
        np.testing.assert_allclose(found.loss, totals.loss, rtol=tolerance, err_msg=name)
        np.testing.assert_allclose(others, parameters, rtol=0, atol=tolerance, err_msg=name)


@each("sizes, activations, loss", NETWORKS)
@each("dtype", DTYPES)
def test_all_ways_train_the_same_network(monkeypatch, sizes, activations, loss, dtype):
    top = topology(sizes, activations, loss, dtype)
    check_ways(monkeypatch, top, ways(top))


@each("dtype", DTYPES)
def test_all_ways_train_the_same_network_with_formulas_of_users(monkeypatch, dtype):
    """The expected values come from the reference kernels, which the tests in tests/formulas compare with NumPy.

    In every way to train on a GPU, the engine keeps z, the argument of the last layer's swish, for the derivative of swish.
    """
    top = topology((3, 5, 4, 2), ("steep", "tanh", "swish"), "huber", dtype, (SWISH, STEEP, HUBER))
    check_ways(monkeypatch, top, ways(top))


def test_a_derivative_that_needs_z_is_trained_by_products():
    top = topology((3, 5, 2), ("swish", "identity"), "huber", np.dtype("float32"), (SWISH, HUBER))
    assert [plan.way for plan in planning.possible_plans(top, 4, limits.Limits(2, 48 << 10, 2))] == [planning.PRODUCTS]


@each("spread", [1, 2, 3])
def test_tiles_of_any_shape_train_the_same_network(monkeypatch, spread):
    """Each layer's matrix w is cut into two to six tiles, each for one thread block.

    Some thread blocks get no tile. A tile consists of squares, each computed by one thread; some threads get several squares.
    """
    top = topology((9, 8, 6, 5), ("tanh", "leaky_relu", "softmax"), "cce", np.dtype("float64"))
    cuts = (2, 3), (3, 2), (1, 2)
    layers = tuple(tiling.cut(*layer, down, down * across) for layer, (down, across) in zip(top.layers, cuts, strict=True))
    assert [(tiles.down, tiles.across, tiles.rows) for tiles in layers] == [(2, 2, 8), (3, 2, 4), (1, 2, 8)]
    counts = [blocks for blocks in (6, 11) if _cuda.SIMULATED or blocks <= limits.present_limits().grid_blocks]
    grids = {f"{blocks}": GridPlan(layers, spread, blocks) for blocks in counts}
    plans = {blocks: planning.TrainingPlan(planning.COOPERATIVE, 0, 0.0, grid) for blocks, grid in grids.items()}
    check_ways(monkeypatch, top, plans, epochs=2, count=23, batch=10)


@pytest.mark.skipif(_cuda.SIMULATED, reason="the simulator does not limit shared memory")
def test_networks_that_need_permission_for_their_shared_memory_are_trained(monkeypatch):
    top = topology((100, 125), ("tanh",), "mse", np.dtype("float32"))
    plans = {way: ways(top)[way] for way in (planning.RESIDENT, "1 blocks, 1 layers")}
    assert 4 * top.parameter_count > limits.PLAIN_SHARED_BYTES
    check_ways(monkeypatch, top, plans, count=3, batch=2)


@pytest.mark.skipif(not _cuda.SIMULATED, reason="on a GPU blocks run in any order")
@each("spread", [1, 2, 3])
def test_within_a_phase_no_block_needs_what_another_writes(monkeypatch, spread):
    """Between two barriers, no thread block reads what another block writes, so the order of the blocks does not matter."""
    top = topology((9, 8, 6, 5), ("tanh", "leaky_relu", "softmax"), "cce", np.dtype("float32"))
    layers = tuple(tiling.cut(*layer, down, 6) for layer, down in zip(top.layers, (2, 3, 2), strict=True))
    plan = planning.TrainingPlan(planning.COOPERATIVE, 0, 0.0, GridPlan(layers, spread, 7))
    totals, parameters = train(monkeypatch, top, plan, epochs=2)
    backwards = types.SimpleNamespace(**vars(np))
    backwards.ndindex = lambda *shape: reversed(list(np.ndindex(*shape)))
    monkeypatch.setattr(_cuda.cuda.simulator.kernel, "np", backwards)
    found, others = train(monkeypatch, top, plan, epochs=2)
    assert found == totals and (others == parameters).all()


@each("way", [planning.RESIDENT, planning.PRODUCTS, "4 blocks, 2 layers"])
def test_two_runs_give_the_same_bits(monkeypatch, way):
    top = topology((3, 5, 2), ("tanh", "softmax"), "cce", np.dtype("float32"))
    (first, parameters), (second, again) = (train(monkeypatch, top, ways(top)[way], epochs=2) for _ in range(2))
    assert first == second and (parameters == again).all()


@each("way, kernel", [(planning.RESIDENT, resident.training_kernel), ("1 blocks, 1 layers", cooperative.training_kernel)])
def test_training_in_shared_memory_is_one_launch_a_slice(monkeypatch, launches, way, kernel):
    """On a GPU, a slice (the steps between two returns to Python) is one kernel launch, for any number of thread blocks.

    In the simulator, blocks cannot wait for each other, so each phase of a step (the part between two barriers) is launched
    separately. The test therefore uses a single block.
    """
    top = topology((3, 5, 2), ("tanh", "softmax"), "cce", np.dtype("float32"))
    monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: ways(top)[way])
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    engine.engine.pace.samples = 10**6  # large enough for all samples in one slice
    x, y = (engine.upload(array) for array in data(top, COUNT))
    slices = list(engine.train_epoch(x, y, EPOCH))
    assert len(slices) == 1 and slices[0].samples == COUNT
    assert launches == [kernel(np.dtype("float32"))]


@each("way", ["1 blocks, 2 layers", "4 blocks, 1 layers"])
def test_slices_of_many_blocks_do_not_change_a_bit(monkeypatch, way):
    top = topology((3, 5, 2), ("tanh", "softmax"), "cce", np.dtype("float32"))
    monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: ways(top)[way])
    x, y = data(top, COUNT)
    trained = []
    for samples in (1, 8, 100):
        engine, _ = engine_with_parameters(top, "cuda", "fast")
        monkeypatch.setattr(engine.engine.pace, "took", lambda *_: None)
        engine.engine.pace.samples = samples
        *slices, totals = engine.train_epoch(engine.upload(x), engine.upload(y), EPOCH)
        assert [done.samples for done in slices] == {1: [4, 8], 8: [8], 100: []}[samples]
        trained.append((totals, engine.read().tolist()))
    assert trained[0] == trained[1] == trained[2]


def test_training_by_products_is_one_call_a_step(monkeypatch, launches):
    """The first step and the smaller last step of an epoch launch kernels one by one; other steps replay a CUDA graph."""
    repeats = []

    def recorded(launch):
        def repeat():
            before = len(launches)
            launch()
            del launches[before:]  # as in a graph
            repeats.append(1)

        return repeat

    monkeypatch.setattr(steps, "recorded", recorded)
    monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: planning.TrainingPlan(planning.PRODUCTS, 0, 0.0))
    top = topology((3, 5, 2), ("tanh", "softmax"), "cce", np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, y = (engine.upload(array) for array in data(top, COUNT))
    list(engine.train_epoch(x, y, EPOCH))
    assert len(repeats) == COUNT // BATCH - 1
    launches.clear()
    repeats.clear()
    list(engine.train_epoch(x, y, EPOCH))
    assert len(repeats) == COUNT // BATCH
    assert len(launches) == launches.count(output.output_rows) == 1  # other modules launch products and updates


@each("activations", [("tanh", "softmax"), ("softmax", "sigmoid"), ("relu", "identity")])
@each("dtype", DTYPES)
def test_logits_are_z_of_the_last_layer(monkeypatch, activations, dtype):
    monkeypatch.setattr(cuda_engine, "CHUNK", 4)
    top = topology((3, 5, 2), activations, "sse", dtype)
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, y = data(top, COUNT)
    logits, traced = engine.predict(engine.upload(x), logits=True), engine.trace(engine.upload(x), engine.upload(y))
    assert (logits == traced["z"][-1]).all() and (engine.predict(x) == traced["a"][-1]).all()
    out = np.empty((COUNT, 2), dtype)
    assert engine.predict(x, out, logits=True) is out and (out == logits).all()


def test_workspaces_are_kept_for_a_few_sizes_only():
    top = topology((3, 2), ("softmax",), "cce", np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, _ = data(top, COUNT)
    for n in range(1, COUNT):
        engine.predict(engine.upload(x[:n]))
        assert len(engine.engine.workspaces.kept) <= workspace.MOST_WORKSPACES


def test_too_little_memory_is_reported_before_anything_is_computed(monkeypatch):
    top = topology((3, 4, 2), ("tanh", "softmax"), "cce", np.dtype("float32"))
    engine, flat = engine_with_parameters(top, "cuda", "fast")
    x, y = data(top, 12)
    monkeypatch.setattr(limits, "free_bytes", lambda: 100)
    work = workspace.Workspace(top, 12)
    arrays = [*work.a, *work.delta, *work.z.values(), *work.dl.values(), work.u, work.z_max, work.others, work.order, work.ones]
    taken = sum(array.size * array.dtype.itemsize for array in arrays)
    with pytest.raises(MemoryError, match=rf"computing with 12 samples takes {taken:,} bytes"):
        engine.loss_and_gradients(_cuda.cuda.to_device(x), _cuda.cuda.to_device(y))
    assert (engine.read() == flat).all()


def test_the_engine_does_not_keep_samples_alive(monkeypatch):
    monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: planning.TrainingPlan(planning.PRODUCTS, 0, 0.0))
    top = topology((3, 2), ("softmax",), "cce", np.dtype("float32"))
    engine, _ = engine_with_parameters(top, "cuda", "fast")
    x, y = (engine.upload(array) for array in data(top, COUNT))
    list(engine.train_epoch(x, y, EPOCH))
    gone = weakref.ref(x)
    del x, y
    gc.collect()
    assert gone() is None


def test_other_samples_are_not_taken_for_those_recorded(monkeypatch):
    """The engine must not replay the recorded steps, which read x, for x_other with the same y, batch size and rate."""
    monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: planning.TrainingPlan(planning.PRODUCTS, 0, 0.0))
    top = topology((3, 2), ("softmax",), "cce", np.dtype("float32"))
    (engine, flat), (fresh, _) = (engine_with_parameters(top, "cuda", "fast") for _ in range(2))
    (x, y), (x_other, _) = data(top, COUNT), data(top, COUNT, seed=9)
    y = engine.upload(y)
    list(engine.train_epoch(engine.upload(x), y, EPOCH))
    engine.write(flat)
    for one in (engine, fresh):
        list(one.train_epoch(one.upload(x_other), y, EPOCH))
    assert (engine.read() == fresh.read()).all()


def test_a_step_begins_and_ends_where_the_position_is():
    order, counter = (_cuda.cuda.to_device(np.array(numbers)) for numbers in ([5, 3, 9, 7, 1], [77, 0, 40, 2]))
    batch, notes = _cuda.cuda.to_device(np.zeros(2, np.int64)), _cuda.cuda.to_device(np.zeros((2, 5)))
    all_rates, rates, weights = (_cuda.cuda.to_device(array) for array in (np.arange(12.0).reshape(3, 4), *np.zeros((2, 4))))
    for all_weights in (np.ones(1), np.arange(10.0) / 10):
        counter.copy_to_device(np.array([77, 0, 40, 2]))
        arguments = 2, order, all_rates, _cuda.cuda.to_device(all_weights), counter, batch, rates, weights[:2]
        _cuda.configured(steps.begin_step, 1, 2)(*arguments)
        assert batch.copy_to_host().tolist() == [9, 7] and counter.copy_to_host()[batches.POSITION] == 4
        assert rates.copy_to_host().tolist() == [4, 5, 6, 7] and counter.copy_to_host().tolist() == [77, 42, 40, 4]
        assert weights[:2].copy_to_host().tolist() == ([1, 1] if all_weights.size == 1 else [0.9, 0.7])
    of_batch = _cuda.cuda.to_device(np.array([1.5, 2.5]))
    _cuda.configured(steps.end_step, 2, 2)(counter, of_batch, of_batch, notes[0], notes[1])
    assert notes.copy_to_host().tolist() == [[0, 0, 1.5, 2.5, 0]] * 2
