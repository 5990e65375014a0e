"""IDX files are read correctly, and errors about damaged files name the file."""

import gzip
import math
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbanet import read_idx
from tests.helpers.engines import each
from tests.helpers.idx_files import TYPES, idx

EXTREMES = {
    "uint8": (0, 1, 254, 255),
    "int8": (-128, -1, 1, 127),
    "int16": (-32768, -2, 258, 32767),
    "int32": (-(2**31), -3, 16909060, 2**31 - 1),
    "float32": (-0.0, 1.5, 2.0**-149, float("inf")),
    "float64": (-0.1, 5e-324, 1.7976931348623157e308, float("nan")),
}
STORED = {"plain": lambda content: content, "gzip": gzip.compress}
SMALL = idx("int16", (2, 3), range(6))


def read(content, folder, name="data"):
    path = Path(folder) / name
    path.write_bytes(content)
    return read_idx(path)


def refused(content, folder):
    """Returns the error message about a damaged file, without the words with which all messages about damaged files begin."""
    with pytest.raises(ValueError) as error:
        read(content, folder)
    head = f"{Path(folder) / 'data'} is damaged or not an IDX file: "
    assert str(error.value).startswith(head)
    return str(error.value).removeprefix(head)


@each("kind", list(TYPES))
@each("stored", list(STORED))
def test_every_type_comes_back(kind, stored, tmp_path):
    found = read(STORED[stored](idx(kind, (2, 1, 2), EXTREMES[kind])), tmp_path)
    assert found.shape == (2, 1, 2) and found.dtype == kind and found.dtype.isnative and found.flags.c_contiguous
    np.testing.assert_array_equal(found.ravel(), np.array(EXTREMES[kind], kind))
    assert (np.signbit(found.ravel()) == np.signbit(np.array(EXTREMES[kind], kind))).all()
    found[:] = 1  # the caller's own


@given(kind=st.sampled_from(list(TYPES)), shape=st.lists(st.integers(0, 4), min_size=1, max_size=5), zipped=st.booleans())
def test_every_shape_comes_back(tmp_path_factory, kind, shape, zipped):
    values = [s % 100 for s in range(math.prod(shape))]
    content = idx(kind, shape, values)
    found = read(gzip.compress(content) if zipped else content, tmp_path_factory.getbasetemp())
    assert found.shape == tuple(shape) and found.dtype == kind
    assert found.ravel().tolist() == values


def test_gzip_is_detected_by_the_content_not_by_the_name(tmp_path):
    for name, content in (
        ("data.gz", SMALL),
        ("data", gzip.compress(SMALL, mtime=0)),
        ("twice", gzip.compress(SMALL[:9]) + gzip.compress(SMALL[9:])),
    ):
        assert read(content, tmp_path, name).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read_idx(str(tmp_path / "data")).shape == (2, 3)


def test_more_than_a_chunk_comes_back(tmp_path):
    values = np.arange(600_000, dtype=np.uint32).astype(">i4")
    content = bytes([0, 0, 0x0C, 1]) + struct.pack(">I", values.size) + values.tobytes()
    for stored in STORED.values():
        np.testing.assert_array_equal(read(stored(content), tmp_path), values)


@each("stored", list(STORED))
def test_a_file_cut_short_anywhere_is_refused(stored, tmp_path):
    whole = STORED[stored](SMALL)
    for length in range(len(whole)):
        assert refused(whole[:length], tmp_path)
    for length in range(len(SMALL)):
        assert refused(STORED[stored](SMALL[:length]), tmp_path)


@each("stored", list(STORED))
def test_a_file_too_long_is_refused(stored, tmp_path):
    for extra in (b"\0", bytes(100), bytes(3 << 20)):
        said = refused(STORED[stored](SMALL + extra), tmp_path)
        assert said == "an array of int16 with shape (2, 3) takes 12 bytes, but the file has more after the header"
    assert refused(STORED[stored](SMALL) + b"x", tmp_path)


def test_a_damaged_byte_of_a_compressed_file_is_noticed(tmp_path):
    """The test changes, one after another, all bytes that gzip checks: the data, their checksum and their length."""
    whole = gzip.compress(SMALL)
    for place in range(10, len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        assert refused(damaged, tmp_path)


@each(
    "content, message",
    [
        (b"", "the file begins with nothing, not with 00 00"),
        (b"\x89PNG\r\n\x1a\n", "the file begins with 89 50 4e 47, not with 00 00"),
        (b"\0\1" + SMALL[2:], "the file begins with 00 01 0b 02"),
        (b"\1\0" + SMALL[2:], "the file begins with 01 00 0b 02"),
        (b"\0\0\x0a" + SMALL[3:], "the file begins with 00 00 0a 02"),
        (b"\0\0\0" + SMALL[3:], "the file begins with 00 00 00 02"),
        (b"\0\0\x0f" + SMALL[3:], "the file begins with 00 00 0f 02"),
        (SMALL[:3] + b"\0" + SMALL[4:], "the header claims 0 dimensions, but only 1 to 32 are supported"),
        (SMALL[:3] + b"\x21" + bytes(4 * 33), "the header claims 33 dimensions, but only 1 to 32"),
        (SMALL[:3] + b"\xff" + b"\xff" * 1020, "the header claims 255 dimensions"),
        (SMALL[:9], "the file ends before the sizes of the array's 2 dimensions"),
        (SMALL[:-1], "an array of int16 with shape (2, 3) takes 12 bytes, but the file has 11 after the header"),
        (idx("uint8", (2**32 - 1,) * 2, [1, 2]), "which NumPy does not support"),
        (idx("uint8", (2**32 - 1,) * 32, [1, 2]), "which NumPy does not support"),
        (idx("uint8", (0, *(2**32 - 1,) * 2), []), "which NumPy does not support"),
        (idx("float64", (2**31, 2**29), []), "which NumPy does not support"),
        (idx("float64", (2**31, 2**28), [1]), "but the file has 8 after the header"),
        (gzip.compress(gzip.compress(SMALL, mtime=0), mtime=0), "the file begins with 1f 8b"),
        (b"\x1f\x8b", "Compressed file ended"),
        (b"\x1f\x8b\x07" + bytes(20), "Unknown compression method"),
    ],
)
def test_a_file_that_is_not_idx_is_refused(content, message, tmp_path):
    assert message in refused(content, tmp_path)


@each("stored", list(STORED))
def test_no_memory_is_allocated_for_the_claim_of_a_header(stored, tmp_path):
    content = STORED[stored](idx("float64", (2**20, 2**12), range(100)))
    tracemalloc.start()
    try:
        assert "takes 34359738368 bytes, but the file has 800 after the header" in refused(content, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_cannot_be_opened_raises_oserror(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_idx(tmp_path / "absent")
    with pytest.raises(OSError, match=tmp_path.name):
        read_idx(tmp_path)
