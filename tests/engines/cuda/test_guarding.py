"""After a kernel fails, the network has the parameters from before the call, on the GPU or, if the GPU is lost, on the host."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from numbanet import Network, _cuda
from numbanet.engines import loops
from numbanet.engines.cuda import engine as cuda_engine
from numbanet.engines.cuda import guarding, planning
from numbanet.engines.cuda.products import launch, propagation, steps
from numbanet.engines.cuda.resident import block
from numbanet.engines.cuda.workspace import Workspaces
from numbanet.engines.epoch import epoch_of
from numbanet.engines.rule import PLAIN
from tests.helpers.engines import CUDA, each
from tests.helpers.networks import topology
from tests.inputs.test_bad_input import build, flat

pytestmark = pytest.mark.simulator

if not CUDA:
    pytest.skip(_cuda.unusable_reason(), allow_module_level=True)

N, BATCH = 8, 2
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.standard_normal((N, 3), "f4"), RANDOM.integers(0, 2, N)
EPOCH_OF_4_STEPS = {"epochs": 1, "batch_size": BATCH, "learning_rate": 0.5, "verbose": 0}
WAYS = [planning.RESIDENT, planning.PRODUCTS, "reference"]


@pytest.fixture(autouse=True)
def launched_step_by_step(monkeypatch):
    """Makes engines return to Python after each batch, and launch each kernel instead of recording a CUDA graph."""
    monkeypatch.setattr(cuda_engine.Pace, "took", lambda *_: None)
    monkeypatch.setattr(steps, "recorded", lambda launch: launch)


class KernelError(Exception):
    """An error that imitates the errors of the CUDA driver."""


def network(monkeypatch, way):
    """Returns a network that trains in the given way and has already trained one step."""
    if way != "reference":
        monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: planning.TrainingPlan(way, 0, 0.0))
    net = build(seed=0, device="cuda", kernels="reference" if way == "reference" else "fast")
    net.train_step(X, Y, 0.5)
    return net


def fail(monkeypatch, at, lost=False, error=KernelError):
    """Makes the kernel launch number `at` raise an error; with `lost`, also imitates the loss of the GPU.

    Returns the launch counter.
    """
    numbers = itertools.count(1)

    def configured(kernel, *arguments):
        if next(numbers) == at:
            if lost:
                lose_the_gpu(monkeypatch)
            raise error("CUDA_ERROR_ILLEGAL_ADDRESS")
        return _cuda.configured(kernel, *arguments)

    for module in (block, steps, launch, propagation, loops):
        monkeypatch.setattr(module, "configured", configured)
    return numbers


def lose_the_gpu(monkeypatch):
    def refuse(*_, **__):
        raise KernelError("CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setattr(_cuda.cuda, "default_stream", refuse)
    for call in ("copy_to_host", "copy_to_device"):
        monkeypatch.setattr(type(_cuda.cuda.device_array(1)), call, refuse)


def launches_of(call, monkeypatch):
    """Returns the number of kernels that the function `call` launches."""
    with monkeypatch.context() as patch:
        numbers = fail(patch, at=0)
        call()
    return next(numbers) - 1


def launches_of_an_epoch(net, monkeypatch):
    """Trains for one epoch, and returns the number of kernels that are launched before `fit` evaluates the network."""
    launches = []
    with monkeypatch.context() as patch:
        numbers = fail(patch, at=0)
        end = SimpleNamespace(on_epoch_end=lambda epoch, logs: launches.append(next(numbers) - 1))
        net.fit(X, Y, callbacks=[end], **EPOCH_OF_4_STEPS)
    return launches[0]


def calls(net):
    return {"train_step": lambda: net.train_step(X, Y, 0.5), "fit": lambda: net.fit(X, Y, **EPOCH_OF_4_STEPS)}


@each("way", WAYS)
@each("call", ["train_step", "fit"])
@each("where", ["first", "middle", "last"])
def test_a_failed_kernel_leaves_the_network_as_it_was(monkeypatch, way, call, where):
    net, twin = (network(monkeypatch, way) for _ in range(2))
    before = flat(net)
    count = launches_of(calls(twin)[call], monkeypatch)
    assert (flat(twin) != before).any()
    with monkeypatch.context() as patch:
        fail(patch, {"first": 1, "middle": count // 2 + 1, "last": count}[where])
        with pytest.raises(KernelError) as failure:
            calls(net)[call]()
    assert failure.value.__notes__ == ["The network has the parameters from before this call."]
    assert (flat(net) == before).all()
    assert net.train_step(X, Y, 0.5) == network(monkeypatch, way).train_step(X, Y, 0.5)  # with the restored parameters


@each("way", WAYS)
@each("call", ["train_step", "fit"])
def test_a_lost_gpu_leaves_the_parameters_on_the_host(monkeypatch, tmp_path, way, call):
    net, twin = (network(monkeypatch, way) for _ in range(2))
    before, moved = flat(net), calls(net)
    count = launches_of(calls(twin)[call], monkeypatch)
    with monkeypatch.context() as patch:
        fail(patch, count // 2 + 1, lost=True)
        message = (
            r"^the GPU failed, and this process cannot use it any more: CUDA_ERROR_ILLEGAL_ADDRESS. The network has the para"
        )
        with pytest.raises(RuntimeError, match=message):
            moved[call]()
        for other in (
            lambda: net.predict(X),
            lambda: net.evaluate(X, Y),
            lambda: net.set_parameters(net.parameters()),
            moved["fit"],
        ):
            with pytest.raises(RuntimeError, match=message):
                other()
        assert (flat(net) == before).all()
        net.save(tmp_path / "net.npz")
        assert net.to("cpu").device == "cpu"
    assert (flat(net) == before).all()
    assert (flat(Network.load(tmp_path / "net.npz")) == before).all()
    assert net.predict(X).shape == (N, 2)


def test_a_callback_that_reads_does_not_change_what_a_failure_leaves(monkeypatch):
    net = network(monkeypatch, planning.RESIDENT)
    before, read = flat(net), []

    class Reader:
        def on_train_batch_end(self, batch, logs):
            read.append(flat(net))

    fail(monkeypatch, 3)
    with pytest.raises(KernelError):
        net.fit(X, Y, callbacks=[Reader()], **EPOCH_OF_4_STEPS)
    assert len(read) == 2 and (read[-1] != before).any() and (flat(net) == before).all()


@each("way", WAYS)
def test_an_epoch_that_fails_leaves_the_one_before(monkeypatch, way):
    net, twin = (network(monkeypatch, way) for _ in range(2))
    count = launches_of_an_epoch(twin, monkeypatch)
    after_one, steps_after_one = flat(twin), twin._model.step
    fail(monkeypatch, count + count // 2)
    with pytest.raises(KernelError):
        net.fit(X, Y, **EPOCH_OF_4_STEPS | {"epochs": 3})
    assert (flat(net) == after_one).all() and net._model.step == steps_after_one


def test_ctrl_c_keeps_the_last_finished_step(monkeypatch):
    net, twin = (network(monkeypatch, planning.RESIDENT) for _ in range(2))
    fail(monkeypatch, 3, error=KeyboardInterrupt)
    assert net.fit(X, Y, shuffle=False, **EPOCH_OF_4_STEPS).interrupted
    for batch in (slice(0, 2), slice(2, 4)):
        twin.train_step(X[batch], Y[batch], 0.5)
    assert (flat(net) == flat(twin)).all() and net._model.step == twin._model.step


@each("way", WAYS)
def test_the_parameters_come_to_the_host_once_an_epoch(monkeypatch, way):
    net, reads = network(monkeypatch, way), []
    inner = guarding.GuardedEngine._keep

    def counted(self):
        reads.append(1)
        inner(self)

    monkeypatch.setattr(guarding.GuardedEngine, "_keep", counted)
    net.fit(X, Y, **{**EPOCH_OF_4_STEPS, "epochs": 3})
    net.parameters()
    assert len(reads) == 3


@each("way", WAYS)
def test_the_engine_and_its_readers_have_one_copy(monkeypatch, way):
    """All calls of the engine's method `read` return the same array, whereas `Network.parameters` returns a writable copy."""
    net = network(monkeypatch, way)
    net.fit(X, Y, optimizer="adam", **EPOCH_OF_4_STEPS)
    engine = net._model.engine
    assert engine.read() is engine.read() is engine.kept
    assert [*map(id, engine.read_moments(2))] == [*map(id, engine.kept_moments)]
    for array in (engine.read(), *engine.read_moments(2)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    before = flat(net)
    for w, b in net.parameters():
        w[...], b[...] = 0, 0
    assert (flat(net) == before).all() and (before != 0).any()


def test_steps_after_a_callback_that_reads_are_kept(monkeypatch):
    net, twin = (network(monkeypatch, planning.RESIDENT) for _ in range(2))

    class Reader:
        def on_train_batch_end(self, batch, logs):
            if batch == 2:
                net.parameters()
            elif batch == 3:
                raise KeyboardInterrupt

    assert net.fit(X, Y, shuffle=False, callbacks=[Reader()], **EPOCH_OF_4_STEPS).interrupted
    for first in (0, 2, 4):
        twin.train_step(X[first : first + 2], Y[first : first + 2], 0.5)
    assert (flat(net) == flat(twin)).all()


def test_steps_that_were_interrupted_may_be_lost_with_the_gpu(monkeypatch):
    net = network(monkeypatch, planning.RESIDENT)
    before = flat(net)
    with monkeypatch.context() as patch:
        fail(patch, 3, error=KeyboardInterrupt)
        net.fit(X, Y, **EPOCH_OF_4_STEPS)
        lose_the_gpu(patch)
        with pytest.warns(RuntimeWarning, match=r"^the last steps of the interrupted training are lost.*the GPU failed"):
            assert (flat(net) == before).all()
        assert (flat(net) == before).all()


@each("code, kind", [("CUDA_ERROR_OUT_OF_MEMORY", MemoryError), ("CUDA_ERROR_UNKNOWN", RuntimeError)])
def test_a_network_that_cannot_be_set_up_on_the_gpu(monkeypatch, code, kind):
    net = build(seed=0)
    before = flat(net)

    def refuse(*_):
        raise KernelError(code)

    monkeypatch.setattr(cuda_engine, "present_limits", refuse)
    with pytest.raises(kind, match=f"^cannot set up the network on the GPU: {code}"):
        net.to("cuda")
    assert net.device == "cpu" and (flat(net) == before).all()


def test_a_network_is_used_from_its_own_gpu(monkeypatch):
    net = network(monkeypatch, planning.RESIDENT)
    before = flat(net)
    monkeypatch.setattr(guarding, "present_gpu", lambda: 1)
    with pytest.raises(RuntimeError, match=r"^the network is on GPU 0, but this thread uses GPU 1"):
        net.predict(X)
    assert (flat(net) == before).all()


def test_a_step_that_failed_is_launched_again_before_it_is_recorded(monkeypatch):
    """The first launch of a kernel compiles and loads the kernel, which is impossible while a CUDA graph is recorded."""
    x, y = (_cuda.cuda.to_device(array) for array in (X, np.eye(2, dtype="f4")[Y]))
    tried = []

    def train(*_):
        tried.append(1)
        if len(tried) == 1:
            raise KernelError

    monkeypatch.setattr(steps, "recorded", lambda _: pytest.fail("recorded too soon"))
    top = topology([3, 2], ["softmax"], "cce", np.dtype("f4"))
    update, parts = SimpleNamespace(rule=PLAIN), (SimpleNamespace(step=train), Workspaces(top))
    these = steps.Steps(x, y, BATCH, False, update, *parts)
    these.begin(epoch_of(np.arange(N), BATCH, 0.5), 0)
    for notes in these.batch.notes:  # `train` in this test writes no notes, but the end of a step reads them
        notes.copy_to_device(np.zeros(BATCH, notes.dtype))
    with pytest.raises(KernelError):
        these.take()
    these.take()
    assert len(tried) == 2
