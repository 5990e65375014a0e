"""Files: what is saved comes back to the bit, and what is damaged or foreign is refused without being executed."""

import io
import json
import os
import pickle
import stat
import zipfile

import numpy as np
import pytest
from conftest import DTYPES, each

import numbanet
from numbanet import persist


@pytest.fixture
def net():
    return numbanet.Network([3, 4, 2], ["leaky_relu", "softmax"], "cce", seed=5, epsilon=0.03)


@pytest.fixture
def path(net, tmp_path):
    net.save(tmp_path / "net.npz")
    return tmp_path / "net.npz"


@each("dtype", DTYPES)
def test_a_loaded_network_predicts_and_trains_on_to_the_bit(dtype, tmp_path):
    random = np.random.default_rng(0)
    x, y = random.standard_normal((40, 3)), random.integers(0, 2, 40)
    net = numbanet.Network([3, 4, 2], "leaky_relu", "cce", dtype=dtype, seed=5, epsilon=0.03)
    net.fit(x, y, epochs=2, verbose=0)
    net.save(tmp_path / "net.npz")
    loaded = numbanet.Network.load(tmp_path / "net.npz")
    assert repr(loaded) == repr(net) and loaded.epsilon == net.epsilon
    assert (loaded.predict(x) == net.predict(x)).all()
    for one in (net, loaded):
        one.fit(x, y, epochs=2, batch_size=8, verbose=0)  # shuffled by the state that was saved
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


def test_saving_where_nothing_can_be_saved_says_so(net, tmp_path):
    with pytest.raises(OSError):
        net.save(tmp_path / "missing" / "net.npz")
    with pytest.raises(OSError):
        numbanet.Network.load(tmp_path / "missing.npz")


def refused(path, match=""):
    with pytest.raises(ValueError, match=rf"{path.name} is not a whole numbanet model.*{match}"):
        numbanet.Network.load(path)


def test_every_truncated_file_is_refused(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refused(path)


def test_every_damaged_file_is_refused_or_harmless(path, net):
    """A bit is flipped in each byte: the archive's own bookkeeping has bytes nobody reads, all others are noticed."""
    whole = path.read_bytes()
    expected = [array for pair in net.parameters() for array in pair]
    noticed = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            loaded = numbanet.Network.load(path)
        except ValueError as error:
            assert "not a whole numbanet model" in str(error)
            noticed += 1
        else:
            found = [array for pair in loaded.parameters() for array in pair]
            assert all((one == other).all() for one, other in zip(found, expected, strict=True))
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


def rewritten(path, parameters=None, **changes):
    with np.load(path) as archive:
        description = json.loads(archive["description"].tobytes()) | changes
        parameters = archive["parameters"] if parameters is None else parameters
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    np.savez(path, description=text, parameters=parameters)


@each(
    "changes, message",
    [
        ({"format": "other"}, "another format"),
        ({"version": 2}, "its version is 2; this numbanet reads version 1"),
        ({"version": None}, "its version is None"),
        ({"sizes": [3, 5, 2]}, r"its parameters have shape \(26,\), not \(32,\)"),
        ({"sizes": [10**9, 10**9, 2]}, "parameters, which it does not hold"),
        ({"sizes": [3.5, 2]}, "must be an integer"),
        ({"sizes": "3,4,2"}, "must be an integer"),
        ({"activations": ["swish", "softmax"]}, "unknown activation of layer 1 'swish'"),
        ({"loss": "mae"}, "unknown loss"),
        ({"dtype": "float64"}, "parameters"),
        ({"dtype": "object"}, "unknown dtype"),
        ({"epsilon": None}, "epsilon must be a real number"),
        ({"generator": {}}, ""),
        ({"generator": "PCG64"}, ""),
        ({"parameters": np.full(26, np.nan, "f4")}, r"parameters\[0\] is nan"),
        ({"parameters": np.zeros((2, 13), "f4")}, "not float32 in one dimension"),
        ({"parameters": np.zeros(26, ">f4")}, "not float32"),
        ({"parameters": np.zeros(52, "f2")}, "not float32"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(path, changes, message):
    rewritten(path, **changes)
    refused(path, message)


@each("members", [{}, {"x": 1}, {"description": 1}, {"description": 1, "parameters": 2, "more": 3}])
def test_an_archive_of_other_arrays_is_refused(path, members):
    np.savez(path, **members)
    refused(path, "it holds")


def test_what_a_header_claims_is_not_allocated(path):
    """A few bytes that say they are a terabyte."""
    with np.load(path) as archive:
        text = archive["description"]
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 38,)})
    member = io.BytesIO()
    np.save(member, text)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("description.npy", member.getvalue())
        archive.writestr("parameters.npy", header.getvalue() + bytes(26 * 4))
    refused(path, "bytes, not float32")


def test_a_link_is_replaced_like_a_file(net, path, tmp_path):
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    net.save(link)
    assert numbanet.Network.load(link).sizes == net.sizes and numbanet.Network.load(path).sizes == net.sizes


def test_replacing_takes_place_only_when_all_went_well(tmp_path):
    target = tmp_path / "file"
    with persist.replacing(target) as file:
        file.write(b"whole")
        assert not target.exists()
    with pytest.raises(KeyboardInterrupt), persist.replacing(target) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"whole" and os.listdir(tmp_path) == ["file"]
