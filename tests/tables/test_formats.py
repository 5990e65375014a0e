"""numbanet recognises a binary table file by its content, and the format of a text file by the ending of its name."""

import gzip
import io
import os
import threading
import time

import numpy as np
import pytest

from numbanet import tables
from numbanet.tables.features import Numeric
from numbanet.tables.targets import Classes
from tests.helpers.engines import each
from tests.helpers.idx_files import idx


def npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


TEXT = "a,y\n1,u\n2,v\n"


@each("name", ["nasdaq_idx.csv", "idx.tsv", "t.txt", "t.dat", "T.CSV", "t", "t.csv.gz", "t.gz"])
def test_text_is_a_table_whatever_its_name_holds(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT.encode()) if name.endswith(".gz") else TEXT.encode())
    assert list(tables.read(path).columns) == ["a", "y"] and not tables.is_idx(path)


@each("name", ["idx_set.npz", "t.csv", "t"])
def test_arrays_are_recognised_under_any_name(name, tmp_path):
    content = io.BytesIO()
    np.savez(content, x=np.eye(2), label=np.array([0, 1]))
    (tmp_path / name).write_bytes(content.getvalue())
    assert list(tables.read(tmp_path / name, target="label").columns) == ["x[0]", "x[1]", "label"]
    assert not tables.is_idx(tmp_path / name)


def test_parquet_is_recognised_under_any_name(tmp_path):
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": [1, -999, 3], "t": ["NA", "x", None], "y": ["u", "v", "u"]})
    frame.to_parquet(tmp_path / "t.csv")
    table = tables.read(tmp_path / "t.csv")
    assert table.is_missing("t").tolist() == [False, False, True]  # Parquet files mark missing values themselves
    assert tables.read(tmp_path / "t.csv", missing=["-999", "NA"]).is_missing("a").tolist() == [False, True, False]
    with (tmp_path / "t.csv").open("rb") as file:
        assert tables.read(file).rows == 3


@each("name", ["train-images-idx3-ubyte", "pictures", "pictures.csv", "pictures.gz"])
def test_idx_is_recognised_by_its_content(name, tmp_path):
    content = idx("uint8", (2, 1, 2), [1, 2, 3, 4])
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert tables.is_idx(tmp_path / name) and list(tables.read(tmp_path / name).columns) == ["x[0]", "x[1]"]
    assert tables.is_idx("missing/t10k-labels-idx1-ubyte.gz") and not tables.is_idx("missing/nasdaq_idx.csv")


@each(
    "name, content, message",
    [
        ("t.xlsx", b"PK\x03\x04...[Content_Types].xml", "it is a workbook; save its sheet as CSV"),
        ("t.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "it is a workbook"),
        ("t.json", b"{}", "its name does not end in .csv"),
        ("t.parquet", b"a,y\n1,2\n", "damaged or not a Parquet file"),
        ("t.npz", b"a,y\n1,2\n", "cannot read .*t.npz"),
        ("t.npy", npy(np.ones((2, 2), complex)), r"t.npy: x\[0\] must contain real numbers or strings, not complex128"),
        ("t.npy", npy(np.zeros((1, (1 << 20) + 1), "u1")), "t.npy: x has 1048577 columns, but may have at most 1048576"),
        ("t-idx3-ubyte", b"a,y\n1,2\n", "damaged or not an IDX file"),
        ("t.csv.gz", gzip.compress(b"a,y\n1,2\n" * 100, mtime=0)[:-12], "cannot read .*t.csv.gz"),
        ("t.csv", b"\x1f\x8b\x08\x00damaged", "cannot read .*t.csv"),
        ("t.npz", b"PK\x03\x04" + bytes(60), "cannot read .*t.npz"),
        ("t.npy", b"\x93NUMPY\x01\x00v\x00{'descr': (1, 2), }", "cannot read .*t.npy"),
    ],
)
def test_other_content_is_refused_with_the_name_of_the_file(name, content, message, tmp_path):
    if name == "t.parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        tables.read(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="makes a named pipe")
def test_pipes_and_open_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(TEXT,))
    writer.start()
    assert list(tables.read(tmp_path / "pipe").columns) == ["a", "y"]
    writer.join()
    file = io.BytesIO(TEXT.encode())
    assert tables.read(file).rows == 2 and not file.closed


@each("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "mac-roman"])
def test_encodings(encoding, tmp_path):
    (tmp_path / "t.csv").write_bytes("größe,y\n1,ü\n2,v\n".encode(encoding))
    given = {} if encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32") else {"encoding": encoding}
    assert list(tables.read(tmp_path / "t.csv", **given).columns) == ["größe", "y"]
    assert list(tables.read(tmp_path / "t.csv", encoding=encoding.removesuffix("-sig")).columns)[1] == "y"


@each("end", ["\n", "\r\n"])
def test_the_separator_that_excel_names_is_used(end, tmp_path):
    (tmp_path / "t.csv").write_text(end.join(["sep=|", "a|y", "1|u,v;w", "2|x"]), newline="")
    table = tables.read(tmp_path / "t.csv")
    assert list(table.columns) == ["a", "y"] and list(table.lines) == [3, 4]


def test_a_decimal_comma_is_no_separator(tmp_path):
    (tmp_path / "t.csv").write_text("a\n1,5\n2,5\n")
    assert tables.read(tmp_path / "t.csv", decimal=",").columns["a"].numbers.tolist() == [1.5, 2.5]


def test_wide_tables_take_seconds(tmp_path):
    """To read and encode 30,000 columns takes about a second; comparing each name with all others would take ten seconds."""
    columns, start = 30_000, time.process_time()
    encoding = tables.Encoding([Numeric(f"gene{i}", 0, 1) for i in range(columns)], Classes("y", ("a", "b")))
    lines = [",".join(f"gene{i}" for i in range(columns)) + ",y"]
    lines += [",".join(str(r * i % 7) for i in range(columns)) + f",{'ab'[r % 2]}" for r in range(3)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    table = tables.read(tmp_path / "t.csv")
    assert encoding.x(table, "float32").shape == (3, columns) and encoding.y(table).tolist() == [0, 1, 0]
    assert time.process_time() - start < 5
    few = table.take([0, 1])
    few = tables.Table("t", {name: few.columns[name] for name in [*list(few.columns)[:2000], "y"]}, 2)
    assert tables.learn(few, "y", ignore=list(few.columns)[1000:2000]).width == 1000


@each(
    "options, error, message",
    [
        ({"separator": 3}, ValueError, "separator must be a single character, not 3"),
        ({"separator": [","]}, ValueError, r"separator must be a single character, not \[','\]"),
        ({"header": "no"}, ValueError, r"header must be True or False \(1 or 0\), not 'no'"),
        ({"missing": 3}, TypeError, "missing must be a list of strings, not 3"),
    ],
)
def test_invalid_arguments_of_read_are_refused(options, error, message, tmp_path):
    (path := tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(error, match=message):
        tables.read(path, **options)


def test_the_name_of_an_array_is_a_string(tmp_path):
    np.savez(path := tmp_path / "arrays.npz", x=np.eye(2), y=np.arange(2))
    with pytest.raises(TypeError, match=r"^target must be the name of a column, which is a string, not \['y'\]: pass 'y'$"):
        tables.read(path, target=["y"])
