"""numbanet reads arrays on a GPU without a copy, writes predictions to GPU arrays, and reports errors as for host arrays."""

from types import SimpleNamespace

import numpy as np
import pytest

from numbanet import _cuda
from numbanet.inputs import gpu as arrays
from numbanet.inputs import host
from tests.helpers.engines import CUDA, DTYPES, ENGINES, each
from tests.inputs.test_bad_input import BAD_X, BAD_Y, CALLS, X, Y, build, flat

pytestmark = pytest.mark.simulator

cuda = _cuda.cuda
on_cuda = pytest.mark.skipif(not CUDA, reason=_cuda.unusable_reason() or "")
on_a_gpu = pytest.mark.skipif(not CUDA or _cuda.SIMULATED, reason="the simulator's arrays lie on no GPU")
each_cuda_engine = each("device, kernels", [engine for engine in ENGINES if engine.values[0] == "cuda"])

N = 7  # number of samples, which are processed in several blocks of the simulator
TARGETS = {
    "cce": lambda random: random.integers(0, 2, N),
    "cce, rows": lambda random: random.dirichlet([1, 1], N).astype("f4"),
    "bce": lambda random: random.random((N, 2), "f4"),
    "mse": lambda random: random.standard_normal((N, 2), "f4"),
}


def data(loss="cce"):
    """Returns samples x (N, 3), and targets y that suit the loss and a network with two outputs."""
    random = np.random.default_rng(0)
    return random.standard_normal((N, 3), "f4"), TARGETS[loss](random)


class Shared:
    """An array on a GPU that other libraries can read only through `__cuda_array_interface__`."""

    def __init__(self, interface, owner=None):
        self.__cuda_array_interface__, self.owner = interface, owner


class Exchanged:
    """An array on a GPU that other libraries can read only through DLPack."""

    def __init__(self, kind, tensor=None):
        self.kind, self.tensor = kind, tensor

    def __dlpack_device__(self):
        return self.kind, 0

    def __dlpack__(self, **options):
        return self.tensor.__dlpack__(**options)


class OfPyTorchOnTheCpu(Exchanged):
    @property
    def __cuda_array_interface__(self):
        raise AttributeError("Can't get __cuda_array_interface__ on non-CUDA tensor type")


INTERFACE = {"shape": (4, 3), "typestr": "<f4", "data": (0, False), "version": 3}


# Recognition of arrays on a GPU


@each("value", [Shared(INTERFACE), Exchanged(arrays.DLPACK_CUDA)])
def test_what_lies_on_a_gpu_is_recognised(value):
    assert arrays.on_gpu(value)


@each("value", [X, X[0, 0], X.tolist(), 1.0, None, Exchanged(1), OfPyTorchOnTheCpu(1)])
def test_what_does_not_is_not(value):
    assert not arrays.on_gpu(value)


@each("value", [Shared(INTERFACE), Exchanged(arrays.DLPACK_CUDA)])
@each("call", list(CALLS))
def test_a_network_on_the_cpu_says_where_the_array_lies(call, value):
    name = "x of validation_data" if "validation" in call else "x"
    with pytest.raises(
        ValueError, match=rf"^{name} is on the GPU, but the network is on the CPU: call net.to\('cuda'\), or pass a host"
    ):
        CALLS[call](build(seed=0), value, Y)


def test_a_network_on_the_cpu_says_so_of_targets_and_outputs():
    with pytest.raises(ValueError, match=r"^y is on the GPU, but the network is on the CPU"):
        build(seed=0).evaluate(X, Shared(INTERFACE))
    with pytest.raises(ValueError, match=r"^out is on the GPU, but the network is on the CPU"):
        build(seed=0).predict(X, out=Shared(INTERFACE))


@pytest.mark.skipif(not _cuda.SIMULATED, reason="of the simulator")
def test_the_simulator_says_that_it_reads_no_gpu():
    with pytest.raises(TypeError, match=r"^x is on a GPU, where Numba's simulator cannot read it: pass an array"):
        build(seed=0, device="cuda").predict(Shared(INTERFACE))


@pytest.mark.skipif(_cuda.NUMBA_CUDA, reason="numba-cuda takes DLPack")
def test_dlpack_alone_needs_numba_cuda(monkeypatch):
    monkeypatch.setattr(arrays, "SIMULATED", False)
    with pytest.raises(TypeError, match=r"^x supports only DLPack, .* pass an array with __cuda_array_interface__"):
        arrays.view("x", Exchanged(arrays.DLPACK_CUDA))


@each("columns", [slice(None), slice(None, None, 2)])
def test_the_interface_of_dlpack_counts_bytes(columns):
    """The test uses a host array, because the package cuda.core describes host and GPU arrays in the same way."""
    utils = pytest.importorskip("cuda.core.utils")
    array = np.ones((4, 6), "f4")[:, columns]
    interface, _ = arrays.dlpack_interface(utils.StridedMemoryView.from_dlpack(array, -1))
    address, _ = array.__array_interface__["data"]
    expected = {"shape": array.shape, "strides": array.strides, "typestr": "<f4", "data": (address, False), "version": 3}
    assert interface == expected


def test_the_interface_of_dlpack_leaves_strides_out_where_there_are_none():
    memory = SimpleNamespace(shape=(2, 3), strides=None, dtype=np.dtype("f8"), ptr=64, readonly=True)
    expected = {"shape": (2, 3), "strides": None, "typestr": "<f8", "data": (64, True), "version": 3}
    assert arrays.dlpack_interface(memory) == (expected, memory)


# Arrays in memory that the kernels cannot reach


@each("address, kind", [(1, "<f4"), (258, "<f4"), (260, "<f8")])
def test_an_array_that_is_not_aligned_is_refused(monkeypatch, address, kind):
    monkeypatch.setattr(arrays, "SIMULATED", False)
    given = Shared({**INTERFACE, "typestr": kind, "data": (address, False)})
    with pytest.raises(
        ValueError, match=rf"^x is not aligned: its address on the GPU, {address:#x}, is not a multiple of its item size"
    ):
        arrays.view("x", given)


def test_an_array_on_another_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(arrays, "SIMULATED", False)
    monkeypatch.setattr(arrays, "NUMBA_CUDA", True)
    monkeypatch.setattr(arrays, "present_gpu", lambda: 0)
    monkeypatch.setattr(arrays, "gpu_of", lambda address: {256: 1}[address])
    with pytest.raises(ValueError, match=r"^y is on GPU 1, but this thread uses GPU 0: copy the array"):
        arrays.view("y", Shared({**INTERFACE, "data": (256, False)}))


@on_a_gpu
def test_memory_says_which_gpu_it_is_of():
    if not _cuda.NUMBA_CUDA:
        pytest.skip("numba-cuda alone is asked")
    address, _ = cuda.device_array(3).__cuda_array_interface__["data"]
    assert arrays.gpu_of(address) == arrays.present_gpu()


# Arrays for predictions


@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_predictions_are_written_to_an_array_of_numpys(device, kernels, dtype):
    net, (x, _) = build(seed=0, dtype=dtype, device=device, kernels=kernels), data()
    around = np.full((N + 2, 2), 9, dtype)
    out = around[1:-1]
    assert net.predict(x, out=out) is out
    assert (out == net.predict(x)).all() and (around[[0, -1]] == 9).all()


def read_only(array):
    array.flags.writeable = False
    return array


BAD_OUT = [
    ([[0.0] * 2] * N, TypeError, r"out must be a NumPy array or an array on the GPU, not list"),
    (np.full((N, 3), 9, "f4"), ValueError, r"out must have shape \(7, 2\), not \(7, 3\)"),
    (np.full((N + 1, 2), 9, "f4"), ValueError, r"out must have shape \(7, 2\), not \(8, 2\)"),
    (np.full(2 * N, 9, "f4"), ValueError, r"out must have shape \(7, 2\), not \(14,\)"),
    (np.full((N, 2), 9, "f8"), TypeError, r"out must have the network's dtype, float32, not float64"),
    (np.full((N, 2), 9, ">f4"), TypeError, r"out must have the network's dtype, float32, not >f4"),
    (np.full((2, N), 9, "f4").T, ValueError, r"out must be writable, aligned and contiguous in C order"),
    (np.full((N, 4), 9, "f4")[:, ::2], ValueError, r"out must be writable"),
    (np.zeros(8 * N + 1, "u1")[1:].view("f4").reshape(N, 2), ValueError, r"out must be writable, aligned"),
    (read_only(np.full((N, 2), 9, "f4")), ValueError, r"out must be writable"),
]


@each("out, error, message", BAD_OUT)
@each("device, kernels", ENGINES)
def test_a_bad_output_is_refused_before_anything_is_written(device, kernels, out, error, message):
    net, (x, _) = build(seed=0, device=device, kernels=kernels), data()
    before = np.array(out)
    with pytest.raises(error, match=message):
        net.predict(x, out=out)
    assert (np.array(out) == before).all()


@each("out", [np.full((N, 2), 9, "f4")])
def test_bad_samples_leave_the_output_alone(out):
    with pytest.raises(ValueError, match="x must be finite"):
        build(seed=0).predict(np.full((N, 3), np.nan), out=out)
    assert (out == 9).all()


@on_cuda
@each("out, error, message", [case for case in BAD_OUT if isinstance(case[0], np.ndarray) and case[0].dtype.isnative][:5])
def test_a_bad_output_on_the_gpu_is_refused(out, error, message):
    net, (x, _) = build(seed=0, device="cuda"), data()
    given = cuda.to_device(out)
    with pytest.raises(error, match=message):
        net.predict(x, out=given)
    assert (given.copy_to_host() == out).all()


@on_cuda
@each_cuda_engine
def test_predictions_on_the_gpu_stay_there(device, kernels, monkeypatch):
    net, (x, _) = build(seed=0, device=device, kernels=kernels), data()
    expected = net.predict(x)
    given, out = cuda.to_device(x), cuda.device_array((N, 2), np.float32)
    copied = sizes_copied_to_the_host(monkeypatch, type(out))
    assert net.predict(given, out=out) is out
    assert set(copied) == {1}  # whether x is finite
    assert (out.copy_to_host() == expected).all()


def sizes_copied_to_the_host(monkeypatch, kind) -> list:
    """Returns a list to which every later copy to the host appends the number of elements of the copied array."""
    copied, copy_to_host = [], kind.copy_to_host

    def noted(self, *arguments, **options):
        copied.append(self.size)
        return copy_to_host(self, *arguments, **options)

    monkeypatch.setattr(kind, "copy_to_host", noted)
    return copied


# A network computes the same results from arrays on the GPU as from arrays on the host


def answers(net, x, y):
    """Calls the methods of `net` one after another; returns their results and the final parameters as one list of arrays."""
    found = [net.predict(x), *net.evaluate(x, y).values()]
    loss, gradients = net.gradients(x, y)
    trace = net.trace(x, y)
    found += [loss, *(array for pair in gradients for array in pair), trace.x, trace.y, trace.y_hat, *trace.delta]
    found += [net.train_step(x, y, 0.1)]
    history = net.fit(x, y, epochs=2, batch_size=3, learning_rate=0.1, validation_data=(x, y), verbose=0).history
    del history["seconds"]
    return [np.asarray(value) for value in (*found, *history.values(), flat(net))]


def assert_same_bits(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape and (one == other).all()


@on_cuda
@each("loss", list(TARGETS))
@each_cuda_engine
def test_every_answer_is_that_for_host_arrays(device, kernels, loss):
    x, y = data(loss)
    nets = [build(loss=loss[:3], seed=0, device=device, kernels=kernels) for _ in range(2)]
    given = cuda.to_device(x), cuda.to_device(y)
    assert_same_bits(answers(nets[0], *given), answers(nets[1], x, y))
    assert (given[0].copy_to_host() == x).all() and (given[1].copy_to_host() == y).all()


@on_cuda
@each_cuda_engine
def test_one_may_lie_on_the_gpu_and_the_other_on_the_host(device, kernels):
    x, y = data()
    net = build(seed=0, device=device, kernels=kernels)
    expected = net.evaluate(x, y)
    assert net.evaluate(cuda.to_device(x), y) == net.evaluate(x, cuda.to_device(y)) == expected


@on_cuda
@each_cuda_engine
def test_a_part_of_an_array_is_taken_where_it_begins(device, kernels):
    x, y = data()
    net = build(seed=0, device=device, kernels=kernels)
    part = slice(1, 6)
    assert net.evaluate(cuda.to_device(x)[part], cuda.to_device(y)[part]) == net.evaluate(x[part], y[part])
    out = cuda.to_device(np.full((N, 2), 9, "f4"))
    net.predict(x[part], out=out[part])
    found = out.copy_to_host()
    assert (found[part] == net.predict(x[part])).all() and (found[[0, 6]] == 9).all()


@on_cuda
@each("kind", ["i4", "i8", "u1", "?"])
def test_labels_of_every_integer_type_are_taken(kind):
    x, y = data()
    net = build(seed=0, device="cuda")
    assert net.evaluate(x, cuda.to_device(y.astype(kind))) == net.evaluate(x, y)


@on_cuda
def test_targets_may_be_flat_where_there_is_one_output():
    x, _ = data()
    y = np.linspace(0, 1, N, dtype="f4")
    net = build(sizes=(3, 1), loss="mse", seed=0, device="cuda")
    assert net.evaluate(x, cuda.to_device(y)) == net.evaluate(x, y)


@on_cuda
@each_cuda_engine
def test_an_array_on_the_gpu_is_not_copied(device, kernels, monkeypatch):
    x, y = data("mse")
    net = build(loss="mse", seed=0, device=device, kernels=kernels)
    given, targets = cuda.to_device(x), cuda.to_device(y)
    assert net._model.engine.upload(given) is given
    copied = sizes_copied_to_the_host(monkeypatch, type(given))
    net.fit(given, targets, epochs=2, batch_size=3, verbose=0)
    assert copied and not {x.size, y.size} & set(copied)


@on_cuda
@each_cuda_engine
@each("loss", ["cce", "cce, rows", "bce"])
def test_smoothed_and_weighted_targets_stay_on_the_gpu(device, kernels, loss, monkeypatch):
    x, y = data(loss)
    outputs = 1 if loss == "bce" else 2
    y = y[:, :outputs] if y.ndim == 2 else y
    options = {"epochs": 2, "batch_size": 3, "label_smoothing": 0.3, "class_weight": {0: 2.0}, "verbose": 0}
    nets = [build(sizes=(3, 5, outputs), loss=loss[:3], seed=0, device=device, kernels=kernels) for _ in range(2)]
    losses = [nets[0].fit(x, y, **options)["loss"]]
    given, targets = cuda.to_device(x), cuda.to_device(np.ascontiguousarray(y))
    copied = sizes_copied_to_the_host(monkeypatch, type(given))
    losses += [nets[1].fit(given, targets, **options)["loss"]]
    assert_same_bits([losses[1], flat(nets[1])], [losses[0], flat(nets[0])])
    # The class of each sample is copied to the host, but neither x nor y.
    assert N in copied and not {x.size, 2 * N} & set(copied)


@on_cuda
@each("kind", ["f4", "f8"])
@each("amount, indifferent", [(0.1, 0.5), (0.3, 1 / 3), (0.999, 1e-3)])
def test_smoothing_rounds_as_on_the_host(kind, amount, indifferent):
    y = np.random.default_rng(1).dirichlet(np.ones(3), N).astype(kind)
    y[0] = 1, 0, 0
    found = arrays.smoothed(cuda.to_device(y), amount, indifferent).copy_to_host()
    assert_same_bits([found], [host.smoothed(y, amount, indifferent)])


@on_cuda
@each("binary", [False, True])
def test_classes_are_those_of_the_host(binary):
    y = np.array([[0.5, 0.5, 0], [0.2, 0.4, 0.4], [0.1, 0.2, 0.7], [0.6, 0.2, 0.2], [1, 0, 0], [0, 0, 1]], "f4")
    assert arrays.classes(cuda.to_device(y), binary).tolist() == host.classes(y, binary).tolist()


# Bad arrays on the GPU cause the same errors as arrays on the host


def as_on_a_gpu(value):
    """Converts arrays to float32, except labels, as users would for a GPU; returns None if `value` cannot be a GPU array."""
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    if isinstance(value, np.ma.MaskedArray) or array.dtype.kind not in "iufc" or array.ndim == 0:
        return None
    labels = array.ndim == 1 or array.shape[1:] == (1,)
    with np.errstate(over="ignore"):
        return array if labels or array.dtype.kind == "c" else array.astype("f4")


def on_gpus(cases):
    return [(as_on_a_gpu(value), *others) for value, *others in cases if as_on_a_gpu(value) is not None]


@on_cuda
@each("x, error, message", on_gpus(BAD_X))
@each("call", ["predict", "fit"])
def test_bad_samples_on_the_gpu_are_refused(call, x, error, message):
    net = build(seed=0, device="cuda")
    before = flat(net)
    with pytest.raises(error, match=message):
        CALLS[call](net, cuda.to_device(x), Y)
    assert (flat(net) == before).all()


BAD_TARGETS = [(loss, *case) for loss, cases in BAD_Y.items() for case in on_gpus(cases)]


@on_cuda
@each("loss, y, error, message", BAD_TARGETS)
@each("call", ["evaluate", "fit"])
def test_bad_targets_on_the_gpu_are_refused(call, loss, y, error, message):
    net = build(loss=loss, seed=0, device="cuda")
    before = flat(net)
    with pytest.raises(error, match=message):
        CALLS[call](net, X, cuda.to_device(y))
    assert (flat(net) == before).all()


def test_there_are_bad_arrays_for_a_gpu():
    assert len(on_gpus(BAD_X)) >= 9
    assert len(BAD_TARGETS) >= 14


@on_cuda
def test_the_first_bad_place_is_named():
    x, _ = data()
    x[5, 1] = x[3, 2] = np.nan
    x[3, 0] = -np.inf
    with pytest.raises(ValueError, match=r"^x\[3, 0\] is -inf in float32: x must be finite"):
        build(seed=0, device="cuda").predict(cuda.to_device(x))


@on_cuda
@each("kind", ["f8", "i4", "f2"])
def test_nothing_is_converted_on_the_gpu(kind):
    net, (x, y) = build(loss="mse", seed=0, device="cuda"), data("mse")
    kind = np.dtype(kind)
    message = rf"is an array on the GPU with dtype {kind}, but the network takes float32: convert it first, by "
    with pytest.raises(TypeError, match=rf"^x {message}x.astype\('float32'\) or, in PyTorch, x.to\(torch.float32\)"):
        net.evaluate(cuda.to_device(x.astype(kind)), y)
    with pytest.raises(TypeError, match=rf"^y of validation_data {message}"):
        net.fit(x, y, epochs=1, validation_data=(x, cuda.to_device(y.astype(kind))), verbose=0)


@on_cuda
def test_nothing_is_rearranged_on_the_gpu():
    net, (x, y) = build(seed=0, device="cuda"), data()
    message = "an array on the GPU, is not contiguous in C order: pass a contiguous copy"
    for given in (cuda.to_device(np.asfortranarray(x)), cuda.to_device(np.repeat(x, 2, axis=1))[:, ::2]):
        with pytest.raises(ValueError, match=rf"^x, {message}"):
            net.predict(given)
    with pytest.raises(ValueError, match=rf"^y, {message}"):
        net.evaluate(x, cuda.to_device(np.repeat(y, 2))[::2])


@on_cuda
def test_many_classes_do_not_add_up_their_rounding_errors():
    y = np.full((1, 50_000), 1 / 50_000, "f4")
    assert abs(np.cumsum(y)[-1] - 1) > 1e-4  # a sequential sum has too large an error
    assert arrays.first_wrong_sum(cuda.to_device(y), 1e-4) is None
    y[0, 7] += np.float32(2e-4)
    assert arrays.first_wrong_sum(cuda.to_device(y), 1e-4) == 0


# Arrays of other libraries on a real GPU


@on_a_gpu
@each("version", [2, 3])
def test_an_array_of_another_library_is_viewed(version):
    net, (x, y) = build(seed=0, device="cuda"), data()
    stream = cuda.stream()
    mine = cuda.to_device(x, stream=stream)
    interface = mine.__cuda_array_interface__ | {"version": version}
    if version < 3:
        del interface["stream"]
    given = Shared(interface, mine)
    assert net.evaluate(given, y) == net.evaluate(x, y)
    seen = arrays.view("x", given)
    assert seen.__cuda_array_interface__["data"] == interface["data"] and not seen.stream


@on_a_gpu
def test_an_output_that_may_not_be_written_to_is_refused():
    net, (x, _) = build(seed=0, device="cuda"), data()
    mine = cuda.to_device(np.full((N, 2), 9, "f4"))
    interface = mine.__cuda_array_interface__
    interface["data"] = interface["data"][0], True
    with pytest.raises(ValueError, match="out must be writable"):
        net.predict(x, out=Shared(interface, mine))
    assert (mine.copy_to_host() == 9).all()


@on_a_gpu
@each("kind", [lambda tensor: tensor, lambda tensor: Exchanged(arrays.DLPACK_CUDA, tensor)])
def test_tensors_of_pytorch_are_viewed(kind):
    torch = pytest.importorskip("torch")
    net, (x, y) = build(seed=0, device="cuda"), data()
    given, labels, out = (kind(torch.tensor(array, device="cuda")) for array in (x, y, np.zeros((N, 2), "f4")))
    assert net.evaluate(given, labels) == net.evaluate(x, y)
    assert net.predict(given, out=out) is out
    tensor = getattr(out, "tensor", out)
    assert (tensor.cpu().numpy() == net.predict(x)).all()
