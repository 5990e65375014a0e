"""A call of numbanet waits only for the CUDA streams that it needs; the caller's work in other streams continues."""

from types import SimpleNamespace

import numpy as np
import pytest

from numbanet import _cuda
from numbanet.engines.cuda import engine as cuda_engine
from numbanet.engines.cuda import limits, planning, streaming
from numbanet.inputs import gpu
from tests.helpers.engines import CUDA, SOFTWARE_GPU, each
from tests.inputs.test_bad_input import build
from tests.inputs.test_gpu_arrays import Shared, answers, assert_same_bits, data

pytestmark = pytest.mark.simulator

if not CUDA:
    pytest.skip(_cuda.unusable_reason(), allow_module_level=True)

cuda = _cuda.cuda
WAYS = [planning.RESIDENT, planning.PRODUCTS, "reference"]


@pytest.fixture(params=WAYS)
def net(request, monkeypatch):
    """Returns a network on the GPU; the tests run once for each way to train."""
    if request.param != "reference":
        plan = planning.TrainingPlan(request.param, 0, 0.0)
        monkeypatch.setattr(cuda_engine.planning, "plan", lambda *_: plan)
    return build(seed=0, device="cuda", kernels="reference" if request.param == "reference" else "fast")


@pytest.fixture
def no_wait_for_all(monkeypatch):
    def refuse():
        raise AssertionError("waits for all streams")

    monkeypatch.setattr(_cuda.cuda, "synchronize", refuse)


def test_no_call_waits_for_the_whole_gpu(net, no_wait_for_all, monkeypatch):
    x, y = data()
    answers(net, x, y)
    answers(net, cuda.to_device(x), cuda.to_device(y))
    monkeypatch.setattr(streaming, "fits", lambda wanted: False)
    monkeypatch.setattr(cuda_engine, "fits", lambda wanted: False)
    answers(net, x, y)


@pytest.mark.skipif(not SOFTWARE_GPU, reason="only the software GPU puts work off until somebody waits for it")
def test_work_in_a_stream_of_the_caller_continues(net):
    x, y = data()
    stream, ones, found = limits.stream_beside(), cuda.to_device(np.ones(4)), cuda.pinned_array(4)
    found[:] = 0
    with cuda.defer_cleanup():  # freeing memory waits for everything
        ones.copy_to_host(found, stream=stream)
        answers(net, x, y)
        assert (found == 0).all()
    _cuda.wait(stream)
    assert (found == 1).all()


@pytest.mark.skipif(_cuda.SIMULATED, reason="the simulator has no streams")
def test_the_stream_of_an_array_is_awaited(net):
    x, y = data()
    stream, pinned, there = limits.stream_beside(), cuda.pinned_array(x.shape, x.dtype), cuda.device_array(x.shape, x.dtype)
    pinned[:] = x
    expected = answers(net, x, y)
    net = build(seed=0, device="cuda", kernels=net.kernels)
    there.copy_to_device(pinned, stream=stream)
    given = Shared(there.__cuda_array_interface__ | {"stream": int(stream.handle)}, there)
    assert_same_bits(answers(net, given, y), expected)


@pytest.mark.skipif(_cuda.SIMULATED, reason="the simulator has no streams")
@each("kernels", ["fast", "reference"])
def test_predictions_on_the_gpu_are_complete_for_every_stream(kernels):
    x, _ = data()
    net, stream = build(seed=0, device="cuda", kernels=kernels), limits.stream_beside()
    expected = net.predict(x)
    out, found = cuda.to_device(np.zeros_like(expected)), cuda.pinned_array(expected.shape, expected.dtype)
    net.predict(x, out=out)
    out.copy_to_host(found, stream=stream)
    _cuda.wait(stream)
    assert (found == expected).all()


@pytest.mark.skipif(not _cuda.NUMBA_CUDA, reason="numba-cuda takes DLPack")
def test_an_array_without_a_stream_is_taken_by_dlpack(no_wait_for_all, monkeypatch):
    """The test uses an array that supports version 2 of the CUDA array interface, and DLPack, as PyTorch's arrays do."""
    x, _ = data()
    there, asked = cuda.to_device(x), []
    address, _ = there.__cuda_array_interface__["data"]
    view = SimpleNamespace(shape=x.shape, strides=None, dtype=x.dtype, ptr=address, readonly=False)
    given = Shared(there.__cuda_array_interface__ | {"version": 2}, there)
    given.__dlpack__ = None
    monkeypatch.setattr(
        "cuda.core.utils.StridedMemoryView", SimpleNamespace(from_dlpack=lambda *call: asked.append(call) or view)
    )
    assert (gpu.view("x", given).copy_to_host() == x).all()
    assert asked == [(given, gpu.DEFAULT_STREAM)]
