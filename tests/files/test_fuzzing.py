"""For damaged files of every kind, numbanet returns a result or raises a ValueError that names the file."""

import contextlib
import io
import sys
import zipfile

import pytest

from tests.helpers.engines import each

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits of time and memory are those of Linux")

NAMES = ["net.npz", "net.safetensors", "net.keras", "net.weights.h5", "torch.safetensors", "torch.pt", "data.idx", "images.idx",
         "table.csv", "table-idx", "data.npz", "data.npy", "table.parquet"]  # fmt: skip
FILES = 40  # of each kind


@pytest.fixture(scope="module")
def kinds():
    from tests.helpers.fuzzing import kinds

    return kinds()


@each("name", NAMES)
def test_damaged_files_are_read_or_refused_by_name(name, kinds, tmp_path):
    from tests.helpers.fuzzing import fault

    if name not in kinds:
        pytest.skip("its reader is not installed")
    found = {number: message for number in range(FILES) if (message := fault(kinds[name], number, tmp_path))}
    assert not found


def test_undamaged_files_are_read(kinds, tmp_path):
    for name, kind in kinds.items():
        for content in kind.contents:
            (tmp_path / name).write_bytes(content)
            kind.read(tmp_path / name)


def test_a_renamed_member_has_a_name(kinds, monkeypatch):
    """zipfile ends a name at its first NUL; the fuzzer removes leading NULs, so that no archive member has an empty name."""
    from tests.helpers import fuzzing

    monkeypatch.setattr(fuzzing, "altered", lambda content, chance: b"\0" + content)
    for number in range(100):
        with contextlib.suppress(zipfile.BadZipFile):
            assert "" not in zipfile.ZipFile(io.BytesIO(fuzzing.content_of(kinds["net.npz"], number))).namelist()
