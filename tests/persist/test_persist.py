"""Loaded networks are bit-identical to saved networks; numbanet rejects damaged and foreign files, and never executes them."""

import hashlib
import io
import json
import math
import os
import pickle
import stat
import sys
import zipfile

import numpy as np
import pytest

import numbanet
from numbanet import persist
from numbanet.persist import models
from tests.helpers.engines import DTYPES, each

FORMATS = [".npz", ".safetensors"]


@pytest.fixture
def net():
    return numbanet.Network([3, 4, 2], ["leaky_relu", "softmax"], "cce", seed=5, epsilon=0.03)


@pytest.fixture
def npz(net, tmp_path):
    net.save(tmp_path / "net.npz")
    return tmp_path / "net.npz"


@pytest.fixture
def safetensors(net, tmp_path):
    pytest.importorskip("safetensors")
    net.save(tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


@pytest.fixture(params=["npz", "safetensors"])
def path(request):
    return request.getfixturevalue(request.param)


def numbers(net):
    """Returns all parameters of the network as one list of arrays: w and b of each layer."""
    return [array for pair in net.parameters() for array in pair]


@each("suffix", FORMATS)
@each("dtype", DTYPES)
def test_a_loaded_network_predicts_and_trains_on_to_the_bit(dtype, suffix, tmp_path):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    random = np.random.default_rng(0)
    x, y = random.standard_normal((40, 3)), random.integers(0, 2, 40)
    net = numbanet.Network([3, 4, 2], "leaky_relu", "cce", dtype=dtype, seed=5, epsilon=0.03)
    net.fit(x, y, epochs=2, verbose=0)
    net.save(tmp_path / f"net{suffix}")
    loaded = numbanet.Network.load(tmp_path / f"net{suffix}")
    assert repr(loaded) == repr(net) and loaded.epsilon == net.epsilon
    assert (loaded.predict(x) == net.predict(x)).all()
    for one in (net, loaded):
        one.fit(x, y, epochs=2, batch_size=8, verbose=0)  # both networks shuffle from the saved state of the generator
    assert (loaded.predict(x) == net.predict(x)).all()


def test_a_file_is_written_exactly_where_it_was_asked_for(net, tmp_path):
    net.save(tmp_path / "model")
    net.save(str(tmp_path / "other.npz"))
    assert sorted(os.listdir(tmp_path)) == ["model", "other.npz"]
    assert numbanet.Network.load(tmp_path / "model").sizes == net.sizes


def test_a_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(net, path):
    (path.parent / "plain").touch()
    assert path.stat().st_mode == (path.parent / "plain").stat().st_mode
    path.chmod(0o600)
    net.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failure_while_saving_leaves_the_old_file_whole(net, path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        net.save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@each("suffix", [*FORMATS, ".onnx"])
def test_a_network_with_infinite_parameters_is_not_written(net, suffix, tmp_path):
    (path := tmp_path / f"net{suffix}").write_text("older")
    net.train_step(1000 * np.eye(3), [0, 1, 0], 1e38)
    call = "export" if suffix == ".onnx" else "save"
    with pytest.raises(
        FloatingPointError, match=rf"^cannot {call} a network .*: w\[0, 0\] of layer 1 is -?inf; call set_param"
    ):
        getattr(net, call)(path)
    assert path.read_text() == "older" and os.listdir(tmp_path) == [path.name]


@each("suffix", FORMATS)
def test_a_network_with_infinite_moments_trains_on_to_the_bit(suffix, tmp_path):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    net, x, y = numbanet.Network([2, 1], "relu", "mse", seed=0), np.full((4, 2), 1e10), np.full(4, 1e15)
    net.train_step(x, y, 1e-3, optimizer="adam")  # the squares of the gradients exceed the range of float32
    assert np.isinf(net._model.snapshot().moments[1]).any()
    net.save(tmp_path / f"net{suffix}")
    loaded = numbanet.Network.load(tmp_path / f"net{suffix}")
    for one in (net, loaded):
        one.train_step(np.zeros((4, 2)), y, 1e-3, optimizer="adam")
    assert persist.models.vectors_of(loaded._model.snapshot())["parameters"].tobytes() == net._model.engine.read().tobytes()


def test_saving_to_an_unwritable_place_raises_oserror(net, tmp_path):
    with pytest.raises(OSError, match=r"cannot write .*net\.npz: the folder .*missing does not exist$"):
        net.save(tmp_path / "missing" / "net.npz")
    with pytest.raises(OSError):
        numbanet.Network.load(tmp_path / "missing.npz")


def refused(path, match=""):
    with pytest.raises(ValueError, match=rf"{path.name} is damaged or not a numbanet model.*{match}"):
        numbanet.Network.load(path)


def test_every_truncated_file_is_refused(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refused(path)


def test_every_damaged_file_is_refused_or_harmless(path, net):
    """The test flips a bit in each byte of the file in turn; each time, loading fails or returns the same parameters."""
    whole = path.read_bytes()
    expected = numbers(net)
    noticed = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            loaded = numbanet.Network.load(path)
        except ValueError as error:
            assert "is damaged or not a numbanet model" in str(error)
            noticed += 1
        else:
            assert all((one == other).all() for one, other in zip(numbers(loaded), expected, strict=True))
    assert noticed > 0.7 * len(whole)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


def test_a_pickle_is_refused_and_not_executed(path):
    path.write_bytes(pickle.dumps(Bomb()))
    refused(path)
    buffer = io.BytesIO()
    np.savez(buffer, description=np.array([Bomb()], object), parameters=np.zeros(26, "f4"))
    path.write_bytes(buffer.getvalue())
    refused(path)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.with_suffix(".npy").rename(path)
    refused(path)


def parts(path):
    """Reads a network file without numbanet's code, and returns its description and its arrays."""
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return json.loads(archive["description"].tobytes()), {"parameters": archive["parameters"]}
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    own = json.loads(header.pop("__metadata__")["numbanet"])
    tensors = {}
    for name, tensor in header.items():
        begin, end = (start + offset for offset in tensor["data_offsets"])
        tensors[name] = np.frombuffer(content[begin:end], {"F32": "<f4", "F64": "<f8"}[tensor["dtype"]]).reshape(
            tensor["shape"]
        )
    return own["description"], tensors


def write(path, description, arrays, **own):
    """Writes a network file with the description and the arrays; the checksum is correct unless `own` contains another."""
    if path.suffix == ".npz":
        np.savez(path, description=np.frombuffer(json.dumps(description).encode(), np.uint8), **arrays)
        return
    names = {"<f4": "F32", "<f8": "F64", "<f2": "F16", "<i4": "I32"}
    layers = sorted(arrays, key=lambda name: (name[:-1], name[-1] != "w"))
    body = b"".join(arrays[name].tobytes() for name in layers)
    checksum = hashlib.sha256(json.dumps(description).encode() + body).hexdigest()
    own = {"description": description, "sha256": checksum} | own
    header, offset = {"__metadata__": {"numbanet": json.dumps(own)}}, 0
    for name in layers:
        end = offset + arrays[name].nbytes
        header[name] = {"dtype": names[arrays[name].dtype.str], "shape": arrays[name].shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def rewritten(path, own=(), description=(), **arrays):
    old_description, old_arrays = parts(path)
    write(path, old_description | dict(description), old_arrays | arrays, **dict(own))


def test_a_file_written_by_the_specification_alone_is_read(path, net):
    rewritten(path)
    assert all((one == other).all() for one, other in zip(numbers(numbanet.Network.load(path)), numbers(net), strict=True))


def test_other_programs_find_the_tensors_by_layer(safetensors, net):
    _, tensors = parts(safetensors)
    assert sorted(tensors) == ["layer1.b", "layer1.w", "layer2.b", "layer2.w"]
    for l, (w, b) in enumerate(net.parameters(), start=1):
        assert (tensors[f"layer{l}.w"] == w).all() and (tensors[f"layer{l}.b"] == b).all()


@each(
    "changes, message",
    [
        ({"format": "other"}, "the description of the network does not have numbanet's format"),
        ({"version": 2}, "the file has version 2 of the format, but this version of numbanet reads version 1"),
        ({"version": None}, "the file has version None of the format"),
        ({"surprise": 1}, r"unknown entries \['surprise'\]: a newer version of numbanet wrote the file"),
        (
            {"sizes": [3, 5, 2]},
            r"the (array 'parameters' has shape \(26,\), not \(32,\)|tensor layer1.w has dtype F32 and shape \(3, 4\), not)",
        ),
        ({"sizes": [3, 4, 4, 2], "activations": ["tanh", "tanh", "softmax"]}, r"\(46,\)|requires .*layer3.w"),
        (
            {"sizes": [10**9, 10**9, 2]},
            "parameters, but its array 'parameters' has another size|the tensor layer1.w has|exceed the memory",
        ),
        ({"sizes": [3.5, 2]}, "must be an integer"),
        ({"sizes": "3,4,2"}, "sizes must be a list of integers, the number of inputs first, not the string"),
        ({"activations": ["glu", "softmax"]}, "unknown activation of layer 1 'glu'"),
        ({"loss": "dice"}, "unknown loss"),
        ({"dtype": "float64"}, "parameters|not F64"),
        ({"dtype": "object"}, "unknown dtype"),
        ({"epsilon": None}, "epsilon must be a real number"),
        ({"generator": {}}, ""),
        ({"generator": "PCG64"}, ""),
    ],
)
def test_a_description_that_contradicts_the_file_is_refused(path, changes, message):
    rewritten(path, description=changes)
    refused(path, message)


def test_a_description_that_lacks_something_is_refused(path):
    description, arrays = parts(path)
    del description["loss"]
    write(path, description, arrays)
    refused(path, r"lacks the entries \['loss'\]")


@each(
    "parameters, message",
    [
        (np.zeros((2, 13), "f4"), "must have dtype float32 and one dimension"),
        (np.zeros(26, ">f4"), "must have dtype float32"),
        (np.zeros(52, "f2"), "must have dtype float32"),
    ],
)
def test_other_parameters_in_an_archive_are_refused(npz, parameters, message):
    rewritten(npz, parameters=parameters)
    refused(npz, message)


@each(
    "tensors, message",
    [
        ({"layer1.w": np.zeros((4, 3), "f4")}, r"the tensor layer1.w has dtype F32 and shape \(4, 3\), not F32 and \(3, 4\)"),
        ({"layer2.b": np.zeros(2, "f8")}, r"the tensor layer2.b has dtype F64 and shape \(2,\), not F32 and \(2,\)"),
        ({"layer2.b": np.zeros(2, "i4")}, "the tensor layer2.b has dtype I32"),
        (
            {"layer3.b": np.zeros(2, "f4")},
            r"the file contains the tensors \[.*layer3.b.*\], but the description of the network requires",
        ),
    ],
)
def test_other_tensors_are_refused(safetensors, tensors, message):
    rewritten(safetensors, **tensors)
    refused(safetensors, message)


@each("changes", [{"parameters": np.array([0] * 25 + [np.nan], "f4")}, {"layer2.b": np.array([0, np.nan], "f4")}])
def test_a_file_with_parameters_that_are_nan_is_not_called_damaged(request, changes):
    path = request.getfixturevalue("npz" if "parameters" in changes else "safetensors")
    rewritten(path, **changes)
    text = rf"{path.name} contains a network whose parameters are not all finite: b\[1\] of layer 2 is nan$"
    with pytest.raises(ValueError, match=text):
        numbanet.Network.load(path)


def test_changed_tensors_are_noticed(safetensors):
    rewritten(safetensors, own={"sha256": "0" * 64})
    refused(safetensors, "the checksum of the file does not match its content")


@each("own", ["", "[]", "{}", "null", '{"description": 1, "sha256": 2}', "[" * 100_000, " " * (1 << 21)])
def test_a_header_that_describes_no_network_is_refused(safetensors, own):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(1, "f4")}, safetensors, {"numbanet": own})
    refused(safetensors)


def test_tensors_of_another_program_are_refused_with_a_hint(safetensors):
    from safetensors.numpy import save_file

    save_file({"0.weight": np.zeros((4, 3), "f4")}, safetensors)
    refused(safetensors, "numbanet.from_torch")


@each("members", [{}, {"x": 1}, {"description": 1}])
def test_an_archive_of_other_arrays_is_refused(npz, members):
    np.savez(npz, **members)
    refused(npz)


def test_an_archive_of_more_arrays_is_refused(npz):
    rewritten(npz, more=np.zeros(3))
    refused(npz, "the file contains .*more.npy")


@each("suffix", FORMATS)
@each("dtype", DTYPES)
def test_vectors_in_any_layout_come_back_to_the_bit(net, suffix, dtype, tmp_path, monkeypatch):
    """Version 0.8 of the package safetensors writes wrong values for arrays that are not contiguous in memory."""
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    monkeypatch.setattr(persist.Description, "vectors", ("parameters", "velocity"))
    topology = numbanet.inputs.make_topology([3, 4, 2], "tanh", "cce", dtype, 0.01)
    description = persist.Description(topology, np.random.PCG64(1).state)
    random = np.random.default_rng(0)
    vectors = {
        "parameters": random.standard_normal(78).astype(dtype)[::3],
        "velocity": random.standard_normal(26).astype(dtype.newbyteorder())[::-1],
    }
    path = tmp_path / f"net{suffix}"
    persist.save(path, description, vectors)
    found, arrays = persist.load(path)
    assert found == description and list(arrays) == list(vectors)
    for name, vector in vectors.items():
        assert (arrays[name] == vector).all() and arrays[name].dtype == dtype
    if suffix == ".safetensors":
        _, tensors = parts(path)
        assert (tensors["velocity.layer2.w"] == vectors["velocity"][16:24].reshape(4, 2)).all()


def test_the_same_network_makes_the_same_file(net, path):
    before = path.read_bytes()
    net.save(path)
    assert path.read_bytes() == before


def test_a_format_is_known_by_the_content(net, path):
    path.rename(path.with_name("model"))
    assert numbanet.Network.load(path.with_name("model")).sizes == net.sizes


def test_onnx_is_exported_not_saved(net, tmp_path):
    with pytest.raises(ValueError, match=r"cannot write .*net.onnx': .* export writes .onnx files"):
        net.save(tmp_path / "net.onnx")
    assert os.listdir(tmp_path) == []


def test_without_safetensors_the_error_says_what_to_install(net, safetensors, monkeypatch):
    """If sys.modules contains None for a module, importing the module raises ModuleNotFoundError."""
    before = safetensors.read_bytes()
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for attempt in (net.save, numbanet.Network.load):
        with pytest.raises(ModuleNotFoundError, match=r"pip install .safetensors>="):
            attempt(safetensors)
    assert safetensors.read_bytes() == before and os.listdir(safetensors.parent) == [safetensors.name]


def test_the_claim_of_a_safetensors_header_is_not_allocated(safetensors):
    content = safetensors.read_bytes()
    safetensors.write_bytes((1 << 50).to_bytes(8, "little") + content[8:])
    refused(safetensors)


def test_the_claim_of_an_npy_header_is_not_allocated(npz):
    """The file has only a few bytes, but its header says that it contains an array of a terabyte."""
    path = npz
    with np.load(path) as archive:
        text = archive["description"]
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 38,)})
    member = io.BytesIO()
    np.save(member, text)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("description.npy", member.getvalue())
        archive.writestr("parameters.npy", header.getvalue() + bytes(26 * 4))
    refused(path, "takes 1099511627776 bytes, but the file has 104")


# Checkpoints


def with_history(net, epochs):
    """Returns the description and the parameter vectors of a checkpoint after the given number of epochs."""
    history = {"loss": [1 / epoch for epoch in range(1, epochs + 1)], "val_loss": [math.nan] * epochs}
    state = {"conditions": {}, "epoch": list(range(1, epochs + 1)), "history": history, "best_epoch": None}
    return models.description_of(net._model, state), models.vectors_of(net._model.snapshot())


def test_the_history_of_a_checkpoint_may_grow_without_end(net, path):
    """If the history of 250,000 epochs were in the JSON text of the description, the text would exceed its size limit."""
    description, vectors = with_history(net, 250_000)
    persist.save(path, description, vectors)
    found, _ = persist.load(path)
    assert found.training and description.training
    assert found.training["history"]["loss"] == description.training["history"]["loss"]
    assert found.training["epoch"] == description.training["epoch"] and len(found.training["history"]["val_loss"]) == 250_000
    assert numbanet.Network.load(path).sizes == net.sizes


def state_of(description):
    """Returns the training state of a checkpoint as text, which can be compared although nan does not equal nan."""
    return repr(sorted(description.training.items()))


@each("epochs", [0, 3])
def test_a_history_comes_back_to_the_bit(epochs, net, path):
    description, vectors = with_history(net, epochs)
    persist.save(path, description, vectors)
    assert state_of(persist.load(path)[0]) == state_of(description)


def test_a_history_in_the_text_of_the_description_is_read(net, path):
    """Earlier versions of numbanet wrote the history into the JSON text of the description."""
    description, _ = with_history(net, 3)
    rewritten(path, description={"training": description.training})
    assert state_of(persist.load(path)[0]) == state_of(description)


@each("count, message", [(2, "6 numbers, which do not fit 2 epochs"), (-1, "epochs"), (10**9, "6 numbers"), (None, "epochs")])
def test_a_history_of_another_length_is_refused(count, message, net, npz):
    persist.save(npz, *with_history(net, 3))
    with np.load(npz) as archive:
        arrays = {name: archive[name] for name in archive.files}
    description = json.loads(arrays.pop("description").tobytes())
    description["training"]["epochs"] = count
    write(npz, description, arrays)
    refused(npz, message)


def test_a_description_too_long_for_safetensors_is_not_saved(net, safetensors, monkeypatch):
    monkeypatch.setattr(persist.safetensors_file, "LIMIT", 100)
    before = safetensors.read_bytes()
    with pytest.raises(ValueError, match=r"description of the network takes \d+ bytes, .*: save it as .npz"):
        net.save(safetensors)
    assert safetensors.read_bytes() == before
