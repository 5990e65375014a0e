"""With little GPU memory, calls compute with fewer samples at a time, or raise an error and leave the network as it was."""

import math
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from numbanet import Network, _cuda
from numbanet.engines.cuda import engine as cuda_engine
from numbanet.engines.cuda import guarding, limits, planning
from numbanet.engines.cuda.workspace import Workspaces, workspace_bytes
from tests.helpers.engines import CUDA, SOFTWARE_GPU, each
from tests.helpers.networks import data, engine_with_parameters, topology
from tests.helpers.training_plans import ways
from tests.inputs.test_bad_input import flat

pytestmark = pytest.mark.simulator

if not CUDA:
    pytest.skip(_cuda.unusable_reason(), allow_module_level=True)

COUNT = 13
TOPOLOGY = topology((3, 5, 2), ("tanh", "softmax"), "cce", np.dtype("float32"))


@pytest.fixture
def free(monkeypatch):
    """Returns a function that makes the engine find a given number of free bytes on the GPU."""
    return lambda count: monkeypatch.setattr(limits, "free_bytes", lambda: count)


@pytest.fixture
def asked(monkeypatch):
    """Returns a list that receives the number of samples each time an engine asks for a workspace (arrays of results)."""
    numbers, of = [], Workspaces.of
    monkeypatch.setattr(Workspaces, "of", lambda self, n: numbers.append(n) or of(self, n))
    return numbers


@each("call", ["predict", "evaluate"])
@each("on_gpu", [False, True])
def test_fewer_samples_are_computed_at_a_time(call, on_gpu, free, asked):
    engine, _ = engine_with_parameters(TOPOLOGY, "cuda", "fast")
    x, y = data(TOPOLOGY, COUNT)
    arrays = (x,) if call == "predict" else (x, y)
    arrays = tuple(map(_cuda.cuda.to_device, arrays)) if on_gpu else arrays
    expected = np.array(getattr(engine, call)(*arrays))
    assert asked.pop() == COUNT
    engine, _ = engine_with_parameters(TOPOLOGY, "cuda", "fast")
    buffers = 0 if on_gpu else 2 * 5 * engine.engine.chunks.bytes_of_sample
    free(2 * workspace_bytes(TOPOLOGY, 5) + buffers + COUNT * cuda_engine.NOTES_BYTES)  # for 5 samples at a time
    np.testing.assert_allclose(np.array(getattr(engine, call)(*arrays)), expected, rtol=1e-6)
    assert asked == [4, 4, 4, 1]  # 13, halved until the samples fit


def test_arrays_of_earlier_calls_make_room(free):
    engine, flat = engine_with_parameters(TOPOLOGY, "cuda", "fast")
    x, y = data(TOPOLOGY, COUNT)
    engine.predict(x)
    engine = engine.engine
    kept, chunks = engine.workspaces, engine.chunks
    free(math.inf)
    engine.loss_and_gradients(*map(_cuda.cuda.to_device, (x, y)))
    assert engine.workspaces is kept and engine.chunks is chunks
    free(workspace_bytes(TOPOLOGY, 7))
    with pytest.raises(MemoryError, match="12 samples"):
        engine.loss_and_gradients(*(_cuda.cuda.to_device(array[:12]) for array in (x, y)))
    assert engine.workspaces is not kept and engine.chunks is not chunks
    assert (engine.read() == flat).all()


def test_an_allocation_that_fails_is_a_memory_error(monkeypatch):
    """The engine cannot foresee whether an allocation fails, because other programs use the GPU's memory, too."""
    engine, flat = engine_with_parameters(TOPOLOGY, "cuda", "fast")
    x, _ = data(TOPOLOGY, COUNT)
    expected = engine.predict(x)

    def refuse(*_):
        raise RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")

    with monkeypatch.context() as patch:
        patch.setattr(engine.engine.propagation, "forward", refuse)
        patch.setattr(guarding.limits, "free_bytes", lambda: 1234)
        with pytest.raises(MemoryError, match=r"memory than is free: .*OUT_OF_MEMORY; 1,234 bytes .* are free\. The net"):
            engine.predict(x)
    assert (engine.read() == flat).all() and (engine.predict(x) == expected).all()


@pytest.fixture
def allocations(monkeypatch):
    """Counts the allocations of GPU memory and of pinned memory; the allocation with the number `failing` fails."""
    numbers = SimpleNamespace(made=0, failing=0)

    def counted(allocate):
        def call(*arguments, **options):
            numbers.made += 1
            if numbers.made == numbers.failing:
                raise RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")
            return allocate(*arguments, **options)

        return call

    for name in ("device_array", "to_device", "pinned_array"):
        monkeypatch.setattr(_cuda.cuda, name, counted(getattr(_cuda.cuda, name)))
    return numbers


X, Y = np.array([[1], [-2], [3]], "f4"), np.array([0, 1, 0])
FIT = {"epochs": 1, "batch_size": 2, "learning_rate": 0.125, "shuffle": False, "verbose": 0}
CALLS = {
    "predict": lambda net: net.predict(X),
    "evaluate": lambda net: net.evaluate(X, Y),
    "train_step": lambda net: net.train_step(X, Y, 0.125),
    "fit": lambda net: net.fit(X, Y, **FIT),
    "fit by adam": lambda net: net.fit(X, Y, optimizer="adam", **FIT),
}


def small(device="cuda", kernels="fast"):
    return Network([1, 1, 2], ["tanh", "softmax"], "cce", seed=0, device=device, kernels=kernels)


@each(
    "call, way, streamed",
    [
        ("predict", planning.RESIDENT, False),
        ("predict", planning.RESIDENT, True),
        ("evaluate", "reference", False),
        ("train_step", planning.PRODUCTS, False),
        ("fit", planning.RESIDENT, False),
        ("fit", "4 blocks, 1 layers", False),
        ("fit", planning.PRODUCTS, True),
        ("fit by adam", "reference", False),
    ],
)
def test_any_allocation_may_fail(monkeypatch, allocations, call, way, streamed):
    """After a MemoryError, the network has its old parameters, and a second call succeeds.

    The test repeats the call, each time with a new network. One allocation of each call fails: in the first call the last
    allocation, in the second call the allocation five before it, and so on.
    """
    kernels, call = "reference" if way == "reference" else "fast", CALLS[call]
    if kernels == "fast":
        plan = ways(topology((1, 1, 2), ("tanh", "softmax"), "cce", np.dtype("float32")))[way]
        monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: plan)
    if streamed:
        monkeypatch.setattr(cuda_engine, "fits", lambda wanted: False)
    twin = small(kernels=kernels)
    before, allocations.made = flat(twin), 0
    call(twin)
    numbers = range(allocations.made, 0, -5)
    assert len(numbers) > 1
    for number in numbers:
        net = small(kernels=kernels)
        allocations.made, allocations.failing = 0, number
        with pytest.raises(MemoryError, match="CUDA_ERROR_OUT_OF_MEMORY"):
            call(net)
        assert (flat(net) == before).all()
        allocations.failing = 0
        call(net)
        assert (flat(net) == flat(twin)).all()


def test_a_warning_that_needs_memory_is_no_reason_to_fail(allocations):
    """To warn of a worse loss after training, `fit` computes the loss of the initial parameters with a second network."""

    def without_memory(epoch, logs):
        allocations.failing = allocations.made + 1

    options = FIT | {"learning_rate": 1000}
    with pytest.warns(RuntimeWarning, match="made the network worse"):
        small().fit(X, 1 - Y, **options)
    assert small().fit(X, 1 - Y, callbacks=[SimpleNamespace(on_epoch_end=without_memory)], **options).epoch == [1]
    assert allocations.made >= allocations.failing


@each("kernels", ["fast", "reference"])
def test_any_allocation_of_a_move_may_fail(allocations, kernels):
    net = small("cpu", kernels)
    before = flat(net)
    small(kernels=kernels)
    for number in range(1, allocations.made + 1):
        allocations.made, allocations.failing = 0, number
        with pytest.raises(MemoryError, match=r"^cannot set up the network on the GPU: .*CUDA_ERROR_OUT_OF_MEMORY"):
            net.to("cuda")
        assert net.device == "cpu" and (flat(net) == before).all()
    allocations.failing = 0
    assert (flat(net.to("cuda")) == before).all()


@pytest.mark.skipif(not SOFTWARE_GPU, reason="only the software GPU can have little memory")
@each("kernels", ["fast", "reference"])
def test_on_a_gpu_with_little_memory(kernels):
    code = f"from tests.engines.cuda.test_little_memory import calls; calls({kernels!r})"
    environment = os.environ | {"SOFTWARE_GPU_MEMORY": "300000"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def calls(kernels):
    """Checks that small calls work before and after calls that need more memory than the GPU has."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2_000, 20), "f4"), random.integers(0, 3, 2_000)
    host = Network([20, 8, 3], ["relu", "softmax"], "cce", seed=0)
    net = Network([20, 8, 3], ["relu", "softmax"], "cce", seed=0, device="cuda", kernels=kernels)
    with pytest.raises(MemoryError, match="cannot set up the network on the GPU"):
        Network([500, 500, 3], "relu", "cce", device="cuda", kernels=kernels)
    large = Network([500, 500, 3], "relu", "cce", seed=0)
    with pytest.raises(MemoryError, match="cannot set up the network on the GPU"):
        large.to("cuda")
    assert large.device == "cpu" and large.predict(np.ones((1, 500), "f4")).shape == (1, 3)
    for rows in (slice(5), slice(None)):
        if kernels == "fast" or rows.stop:
            np.testing.assert_allclose(net.predict(x[rows]), host.predict(x[rows]), atol=1e-6)
    before = net.parameters()[0][0].copy()
    with pytest.raises(MemoryError):
        net.gradients(x, y)
    with pytest.raises(MemoryError):
        net.train_step(x, y, 0.1)
    assert (net.parameters()[0][0] == before).all()
    for each_net in (net, host):
        each_net.fit(x[:500], y[:500], epochs=1, batch_size=20, learning_rate=0.01, verbose=0)
    np.testing.assert_allclose(net.predict(x[:5]), host.predict(x[:5]), atol=1e-5)
