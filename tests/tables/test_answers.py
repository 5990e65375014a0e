"""Tests how numbanet checks predictions, converts them to answers (labels or numbers), and prints the answers as a table."""

import numpy as np
import pytest

from numbanet import Network, tables
from numbanet.tables.targets import Classes, Quantity
from tests.helpers.engines import each

THREE, TWO, NUMBER = Classes("y", ("a", "b", "c")), Classes("y", ("a", "b")), Quantity("y", 10.0, 2.0)


@each(
    "target, y_hat, message",
    [
        (THREE, [0.1, 0.2, 0.7], r"y_hat has shape \(3,\), but must have shape \(n, 3\)"),
        (THREE, [[0.5, 0.5]], r"y_hat has shape \(1, 2\), but must have shape \(n, 3\)"),
        (THREE, [[np.nan, 0, 1]], r"y_hat\[0, 0\] is nan"),
        (THREE, [[5.0, 1.0, 2.0]], "probabilities lie in .*without logits=True"),
        (TWO, [[0.1, 0.2, 0.7]], r"must have shape \(n, 2\) or \(n, 1\)"),
        (TWO, [[-3.0]], "without logits=True"),
        (NUMBER, [1.0, 2.0], r"y_hat has shape \(2,\), but must have shape \(n, 1\)"),
        (NUMBER, [[np.inf]], r"y_hat\[0, 0\] is inf"),
    ],
)
def test_wrong_predictions_are_refused(target, y_hat, message):
    for method in ("answers", "probabilities") if isinstance(target, Classes) else ("answers",):
        with pytest.raises(ValueError, match=message):
            getattr(target, method)(y_hat)


def test_predictions_become_answers():
    assert THREE.answers([[0.1, 0.2, 0.7]]) == ["c"] and TWO.answers([[0.4], [0.6]]) == ["a", "b"]
    assert NUMBER.answers([[-1], [0.5]]) == [8.0, 11.0]


def test_reprs_are_short(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,d,e,f,y\n" + "1,2,3,4,5,6,u\n7,8,9,1,2,3,v\n" * 500)
    table = tables.read(path)
    for value in (table, table.columns["a"], tables.learn(table, "y")):
        assert len(repr(value)) < 300
    assert repr(table).endswith("1000 rows of 7 columns: 'a', 'b', 'c', 'd', 'e' and 2 more)")


def test_a_table_is_no_encoding(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1,u\n2,v\n")
    net = Network([1, 2], "relu", "cce", kernels="reference")
    with pytest.raises(TypeError, match=r"net.table must be an Encoding, as tables.learn\(table, target\) returns it"):
        net.table = tables.read(path)  # type: ignore[assignment]
    assert net.table is None


def test_notes_name_values_that_look_alike_and_changed_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("Unnamed: 0,on ,y\n0,yes,A\n1,Yes,a\n2,no,B\n3,0,a\n")
    table = tables.read(path)
    assert list(table.columns) == ["on", "y"]
    assert tables.notes(table, tables.learn(table, "y")) == [
        "blanks at the ends of column names are left out: 'on '",
        "the first column, which is called 'Unnamed: 0' by pandas and numbers the rows, is left out",
        "column 'on': '0', 'Yes', 'no', 'yes' count as different values; if some of them mean the same, spell them alike in "
        "the file",
        "column 'y': 'A', 'a' count as different values; if some of them mean the same, spell them alike in the file",
    ]


@each(
    "content, message",
    [
        ("a,y\n1,u\n".encode("utf-16-le"), "contains NUL characters, .*--encoding utf-16-le"),
        (b"# a title\na,b,y\n1,2,u\n", "if the table begins in a later line"),
        (b'a,y\n"say \\"x\\"",u\n', "each quotation mark must be written twice"),
    ],
)
def test_damaged_forms_are_named(content, message, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        tables.read(path)


@each("name", ["net.pt", "net.h5", "net.json", "net.txt", "net.pkl", "net.keras", "net.csv"])
def test_endings_of_other_formats_are_refused(name, tmp_path):
    net = Network([1, 2], "relu", "cce", kernels="reference")
    with pytest.raises(ValueError, match=r"cannot write .*; save writes .npz and .safetensors files; "):
        net.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    for fine in ("net", "net.v2", "net.tmp"):
        net.save(tmp_path / fine)


def test_python_names_the_class_that_users_know():
    net = Network([1, 2], "relu", "cce", kernels="reference")
    with pytest.raises(TypeError, match=r"^Network.evaluate\(\) missing 1 required positional argument: 'y'$"):
        net.evaluate([[1.0]])  # type: ignore[call-arg]
