"""Any exception of a file parser becomes a ValueError with the file and the reason; small files use little memory."""

import io
import os
import tokenize
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from numbanet import Network, files, from_keras, from_torch, read_idx, tables
from numbanet.files import parsing
from tests.helpers.engines import each

ERRORS = [
    tokenize.TokenError("EOF in multi-line statement", (2, 0)),
    zlib.error("Error -3"),
    AttributeError("'int' object has no attribute 'items'"),
    NotImplementedError("zip file version 9.9"),
    OverflowError("too large"),
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    KeyError("layers"),
    EOFError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    OSError("truncated file"),
    ValueError("not a header"),
]


@each("error", ERRORS)
def test_an_exception_of_a_parser_names_the_file_and_the_reason(error, tmp_path):
    (tmp_path / "net.npz").touch()
    with pytest.raises(ValueError, match=r"net\.npz") as raised, files.reading(tmp_path / "net.npz"):
        raise error
    is_sentence = isinstance(error, ValueError | OSError)
    expected = str(error) if is_sentence else f"{type(error).__name__}: {error}".removesuffix(": ")
    assert str(raised.value) == f"cannot read {tmp_path / 'net.npz'}: {expected}"


@each("error", [ModuleNotFoundError("pip install h5py"), KeyboardInterrupt(), SystemExit()])
def test_other_exceptions_pass(error, tmp_path):
    (tmp_path / "net.npz").touch()
    with pytest.raises(type(error)), files.reading(tmp_path / "net.npz"):
        raise error


def test_a_missing_file_is_no_damaged_file(tmp_path):
    for read in (Network.load, read_idx, tables.read, lambda path: from_keras(path.with_suffix(".keras"), loss="cce")):
        with pytest.raises(FileNotFoundError, match=r"^cannot read '.*missing\.(npz|keras)': no such file$"):
            read(tmp_path / "missing.npz")
        with pytest.raises(OSError, match=r"^cannot read '.*': it is a folder$"):
            (folder := tmp_path / "folder.keras").mkdir(exist_ok=True)
            read(folder)


def archive(member, method, name="x.npy"):
    """Returns a ZIP archive with one member."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as new:
        new.writestr(name, member)
    return content


def test_content_that_inflates_too_much_is_refused_before_it_is_read():
    bomb = archive(bytes(parsing.MOST_INFLATED + 1), zipfile.ZIP_DEFLATED)
    assert len(bomb.getvalue()) < 1 << 17
    with pytest.raises(ValueError, match=r"the archive would inflate to 67108865 bytes, but at most 67108864 are allowed"):
        files.opened_archive(bomb)


def test_a_compressed_file_may_be_a_hundred_times_larger(monkeypatch):
    monkeypatch.setattr(parsing, "MOST_INFLATED", 10)
    content = archive(bytes(5000), zipfile.ZIP_DEFLATED)
    with files.opened_archive(content) as opened:
        assert opened.read("x.npy") == bytes(5000)


@each("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_compression_are_refused(method):
    message = r"the member x\.npy of the archive is compressed by a method other than deflate: write it with deflate or without"
    with pytest.raises(ValueError, match=message):
        files.opened_archive(archive(bytes(10), method))


@each("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_network_in_a_compressed_archive_is_read(method, tmp_path):
    net = Network([3, 4, 2], ["leaky_relu", "softmax"], "cce", seed=5)
    net.save(tmp_path / "net.npz")
    with zipfile.ZipFile(tmp_path / "net.npz") as old, zipfile.ZipFile(tmp_path / "new.npz", "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert (Network.load(tmp_path / "new.npz").parameters()[0][0] == net.parameters()[0][0]).all()


def npy(array, version=None):
    """Returns the content of an NPY file."""
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asarray(array), version)
    content.seek(0)
    return content


@each("array", [np.eye(3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.zeros((0, 4), "u1"), 3.5, ["no", "yes"], [True]])
@each("version", [(1, 0), (2, 0)])
def test_an_array_comes_back(array, version):
    found = files.read_array(npy(array, version))
    assert found.dtype == np.asarray(array).dtype and np.array_equal(found, array)


def test_objects_are_not_read():
    content = io.BytesIO()
    np.save(content, np.array([{}], object), allow_pickle=True)
    content.seek(0)
    with pytest.raises(ValueError, match="contains Python objects"):
        files.read_array(content)


@each("shape", [(1 << 38,), (1 << 20, 1 << 20), (4,), (1,), (-3,), (1 << 62, 8)])
def test_the_claim_of_a_header_is_not_allocated(shape):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f8", "fortran_order": False, "shape": shape})
    content.write(bytes(24))
    content.seek(0)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"takes .* bytes, but the file has 24"):
            files.read_array(content)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_content_of_a_pipe_is_read(tmp_path):
    if not os.path.isdir("/dev/fd"):
        pytest.skip("no /dev/fd here")
    end, other = os.pipe()
    os.write(other, b"content")
    os.close(other)
    with files.reading(f"/dev/fd/{end}") as file:
        assert file.seek(0, io.SEEK_END) == 7
    os.close(end)


def test_tensors_that_repeat_a_few_numbers_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"0.weight": torch.zeros(1).expand(1 << 15, 1 << 15)}, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"net\.pt: the tensors of the file need far more memory than the file: save copies"):
        from_torch(tmp_path / "net.pt", loss="mse", activations="tanh")
