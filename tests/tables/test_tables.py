"""Tables are read correctly in every file format, and their encodings equal the encodings of pandas and scikit-learn."""

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbanet import Network, persist, tables
from numbanet.persist.models import description_of
from numbanet.tables.encoding import Boolean, Categorical, Classes, Numeric, Quantity
from numbanet.tables.spelling import number
from tests.helpers.engines import each
from tests.helpers.idx_files import idx

PENGUINS = Path(__file__).parents[2] / "docs" / "penguins" / "penguins.csv"


def text_table(tmp_path, text, name="table.csv", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tables.read(path, **options)


def cells(table):
    return {name: column.strings for name, column in table.columns.items()}


# Reading

# Strings that the module csv can write and read again: text files contain no NUL and no lone surrogates.
STRINGS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(deadline=None)  # the first example is slow on a busy machine
@given(
    st.lists(STRINGS.filter(lambda t: t.strip() and number(t) is None), min_size=2, max_size=4, unique_by=str.strip).flatmap(
        lambda names: st.tuples(
            st.just(names), st.lists(st.lists(STRINGS, min_size=len(names), max_size=len(names)), min_size=1)
        )
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
)
def test_what_is_written_is_read(tmp_path_factory, content, separator, newline, mark, blank_lines):
    names, rows = content
    text = io.StringIO(newline="")
    for record in [names, *rows]:
        csv.writer(text, delimiter=separator, lineterminator=newline, quoting=csv.QUOTE_ALL).writerow(record)
        text.write(newline if blank_lines else "")
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(b"\xef\xbb\xbf" * mark + text.getvalue().encode())
    table = tables.read(path, separator=separator)
    assert table.rows == len(rows) and list(table.columns) == list(map(str.strip, names))
    assert [list(row) for row in zip(*cells(table).values(), strict=True)] == rows


@each("separator", [",", ";", "\t", "|"])
def test_separators_are_found(separator, tmp_path):
    rows = [["a", "b", "c"], ["1,5" if separator != "," else "1.5", "x y", ""], ["2", '"q;, |"', "z"]]
    table = text_table(tmp_path, "\n".join(separator.join(row) for row in rows))
    assert list(table.columns) == ["a", "b", "c"] and table.columns["b"].strings == ["x y", "q;, |"]


def test_the_separator_makes_the_same_columns_of_every_row(tmp_path):
    table = text_table(tmp_path, "place (x, y, z);b\nhere;1,5\n(1, 2);2,5\n")
    assert cells(table) == {"place (x, y, z)": ["here", "(1, 2)"], "b": ["1,5", "2,5"]}


def test_a_row_is_found_in_its_line(tmp_path):
    table = text_table(tmp_path, 'a,b\n1,"two\nlines"\n\n2,x\n3, "y, z"\n')
    assert list(table.lines) == [2, 5, 6] and table.columns["b"].strings == ["two\nlines", "x", "y, z"]


@each(
    "text, message",
    [
        ("", "is empty"),
        ("a,b\n", "has no rows"),
        ("a,b\n1,2\n1,2,3\n", "line 3: 3 values, but the first line names 2 columns"),
        ("a,a\n1,2\n", "two columns named 'a'"),
        ("1,2\n3,4\n", "must name the columns, but contains numbers: '1', '2'"),
        ('a,b\n1,"x\n', "line 2: unexpected end of data: a quoted cell has no closing"),
        ('a,b\n1,"x"y\n', "line 2: "),
        (b"a,b\n1,\xe4\n", "is not UTF-8: it contains the byte 0xe4"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=rf"table.csv.*{message}"):
        text_table(tmp_path, text)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "table.foo").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"cannot read .*table.foo: its content is neither .* its name does not end in .csv"):
        tables.read(tmp_path / "table.foo")
    with pytest.raises(ValueError, match="separator must be a single character, not ';;'"):
        text_table(tmp_path, "a,b\n1,2\n", separator=";;")
    np.savez(tmp_path / "table.npz", x=np.eye(2))
    with pytest.raises(ValueError, match=r"separator applies to text files only, such as .csv, not to .*table.npz"):
        tables.read(tmp_path / "table.npz", separator=";")


def test_parquet_gives_what_csv_gives(tmp_path):
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pandas.read_csv(PENGUINS).convert_dtypes()
    frame["heavy"] = frame["body_mass_g"] > 4000
    frame["code"] = pandas.Categorical(["007" if s % 2 else "7" for s in range(len(frame))])
    frame = frame[frame["year"] > 2007]  # the Parquet file also contains the index
    frame.to_parquet(tmp_path / "table.parquet")
    frame.to_csv(tmp_path / "table.csv", index=False)
    of_csv, of_parquet = (tables.read(tmp_path / f"table.{suffix}") for suffix in ("csv", "parquet"))
    encodings = [tables.learn(table, "species", impute="mean") for table in (of_csv, of_parquet)]
    assert encodings[0] == encodings[1] and isinstance(encodings[0].features[-1], Categorical)
    assert (encodings[0].x(of_parquet) == encodings[0].x(of_csv)).all()
    assert (encodings[0].y(of_parquet) == encodings[0].y(of_csv)).all()


def test_labels_beyond_float64_are_kept(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    ids = [2**53, 2**53 + 1] * 3
    parquet.write_table(pyarrow.table({"x": [1.0, 2.0] * 3, "id": ids}), tmp_path / "t.parquet")
    table = tables.read(tmp_path / "t.parquet")
    encoding = tables.learn(table, "id", task="classification")
    assert set(encoding.target.labels) == {str(2**53), str(2**53 + 1)}


def test_dates_in_parquet_and_damaged_parquet_are_refused(tmp_path):
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"born": pandas.to_datetime(["2020-01-02", "2021-01-02"]), "y": ["a", "b"]})
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"column 'born', row 1: '2020-01-02.*is a date"):
        tables.learn(tables.read(tmp_path / "t.parquet"), "y")
    (tmp_path / "t.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"t.parquet is damaged or not a Parquet file"):
        tables.read(tmp_path / "t.parquet")


def test_without_pyarrow_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .pyarrow>="):
        text_table(tmp_path, "PAR1", "t.parquet")


def test_arrays_are_tables_of_numbered_columns(tmp_path):
    x, y = np.arange(24, dtype="f4").reshape(4, 2, 3), np.array(["no", "yes", "no", "yes"])
    np.savez(tmp_path / "t.npz", x=x, y=y)
    table = tables.read(tmp_path / "t.npz")
    encoding = tables.learn(table, "y")
    assert list(table.columns) == [*(f"x[{i}]" for i in range(6)), "y"] and encoding.target.labels == ("no", "yes")
    np.save(tmp_path / "t.npy", x)
    assert (encoding.x(tables.read(tmp_path / "t.npy")) == encoding.x(table)).all()
    with pytest.raises(ValueError, match=r"x has 4 samples, but label has shape \(3,\)"):
        np.savez(tmp_path / "t.npz", x=x, label=y[:3])
        tables.read(tmp_path / "t.npz", target="label")
    np.savez(tmp_path / "t.npz", z=x)
    with pytest.raises(ValueError, match="the file contains z, but no array x"):
        tables.read(tmp_path / "t.npz")


def test_pixels_are_standardised_together(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 2, 3))
    (tmp_path / "images-idx3-ubyte").write_bytes(idx("uint8", pixels.shape, pixels.ravel().tolist()))
    (tmp_path / "labels-idx1-ubyte").write_bytes(idx("uint8", (5,), [1, 0, 1, 0, 1]))
    table = tables.read(tmp_path / "images-idx3-ubyte", target=tmp_path / "labels-idx1-ubyte")
    encoding = tables.learn(table, "y")
    expected = (pixels.reshape(5, 6) - pixels.mean()) / pixels.std()
    np.testing.assert_allclose(encoding.x(table), expected, rtol=1e-12)
    assert encoding.y(table).tolist() == [1, 0, 1, 0, 1]
    some = tables.learn(table, "y", categorical=["x[2]"])
    np.testing.assert_allclose(some.x(table)[:, 0], (pixels[:, 0, 0] - pixels[:, 0, 0].mean()) / pixels[:, 0, 0].std())


# Encoding, beside scikit-learn's


@each("impute", ["mean", "median", "most-frequent"])
def test_the_columns_are_those_of_scikit_learn(impute):
    pandas = pytest.importorskip("pandas")
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pandas.read_csv(PENGUINS)
    table = tables.read(PENGUINS)
    rows, _ = tables.split(table, "species", 0.25, seed=3)
    encoding = tables.learn(table, "species", impute=impute, rows=rows)
    strategy = impute.replace("-", "_")
    numeric = make_pipeline(SimpleImputer(strategy=strategy), StandardScaler())
    strings = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(sparse_output=False))
    names = [feature.name for feature in encoding.features]
    assert names == [name for name in frame.columns if name != "species"]
    of_strings = ["island", "sex"]
    transformer = make_column_transformer(
        *(((strings if name in of_strings else numeric), [name]) for name in names), remainder="drop", sparse_threshold=0
    )
    expected = transformer.fit(frame.iloc[rows]).transform(frame)
    np.testing.assert_allclose(encoding.x(table), expected, rtol=1e-12, atol=1e-12)
    assert (np.array(encoding.target.labels)[encoding.y(table)] == frame["species"]).all()
    assert encoding.x(table, "float32").dtype == np.float32


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=20), st.floats(-1e3, 1e3))
def test_statistics_of_any_numbers(tmp_path_factory, values, target):
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    path.write_text("a,y\n" + "".join(f"{value!r},{target + s}5\n" for s, value in enumerate(values)))
    table = tables.read(path)
    encoding = tables.learn(table, "y", task="regression")
    (feature,), x = encoding.features, encoding.x(table)[:, 0]
    assert np.isfinite(x).all()
    if min(values) == max(values):
        assert feature.scale == 1 and (x == 0).all()
    else:
        size = max(map(abs, values))
        np.testing.assert_allclose(feature.mean, np.mean(np.array(values) / size) * size, rtol=1e-12, atol=1e-12 * size)
        np.testing.assert_allclose(x * feature.scale + feature.mean, values, rtol=1e-9, atol=1e-12 * size)


def test_a_quantity_is_standardised_and_comes_back(tmp_path):
    table = text_table(tmp_path, "a,y\n1,10.5\n2,20.25\n4,0.5\n")
    encoding = tables.learn(table, "y")
    y = encoding.y(table)
    values = np.array([10.5, 20.25, 0.5])
    np.testing.assert_allclose(y, (values - values.mean()) / values.std(), rtol=1e-12)
    assert encoding.target.answers(y[:, None]) == pytest.approx(values)


def test_booleans_are_one_column(tmp_path):
    table = text_table(tmp_path, "a,y\nTrue,u\nfalse,v\n,v\nTRUE,u\n")
    encoding = tables.learn(table, "y", impute="mean")
    (feature,) = encoding.features
    assert isinstance(feature, Boolean) and (feature.mean, feature.fill) == (0.75, 1.0)
    np.testing.assert_allclose(encoding.x(table)[:, 0] * feature.scale + feature.mean, [1, 0, 1, 1])


@each(
    "column, kind",
    [
        ("1 2 3 4", Numeric),
        ("1.5 -2 3e5 .4", Numeric),
        ("007 7 10 12", Categorical),
        ("0 0.5 00.5 1", Numeric),
        ("a b a 1", Categorical),
        ("true False TRUE false", Boolean),
        ("true no yes false", Categorical),
        ("1_0 2_0 3_0 4_0", Categorical),
        ("ä ß 'x' *", Categorical),
    ],
)
def test_kinds_of_columns(column, kind, tmp_path):
    table = text_table(tmp_path, "a,y\n" + "".join(f"{text},{s}.5\n" for s, text in enumerate(column.split())))
    (feature,) = tables.learn(table, "y").features
    assert type(feature) is kind
    if kind is Categorical:
        assert set(feature.categories) == set(column.split())
    declared = tables.learn(table, "y", categorical=["a"])
    same = {"00.5": "0.5", "TRUE": "true", "False": "false"} if kind is not Categorical else {}
    assert {same.get(label, label) for label in declared.features[0].categories} == {same.get(t, t) for t in column.split()}


@each(
    "target, expected",
    [
        ("a b a b", ["a", "b"]),
        ("1 10 2 10 1 2", ["1", "2", "10"]),
        ("01 1 01 1", ["01", "1"]),
        ("True False True", ["False", "True"]),
        ("1 2 3 4", None),  # each class has only one row
        ("1.0 2.0 1.0 2.0", ["1.0", "2.0"]),
        ("1.5 2.0 1.5 2.0", None),
        (" ".join(map(str, list(range(21)) * 3)), None),
    ],
)
def test_the_task_is_inferred_from_the_target(target, expected, tmp_path):
    table = text_table(tmp_path, "a,y\n" + "".join(f"{s},{text}\n" for s, text in enumerate(target.split())))
    found = tables.learn(table, "y").target
    if expected is None:
        assert isinstance(found, Quantity)
        labels = tables.learn(table, "y", task="classification").target.labels
        assert set(labels) == set(target.split())
    else:
        assert isinstance(found, Classes) and list(found.labels) == expected
        assert [found.labels[k] for k in found.encode(table)] == target.split()


@each(
    "text, options, message",
    [
        (
            "a,b,y\n1,2,u\n,x,v\n1,,u\n",
            {},
            r"column 'a', row 2 \(line 3\): .* is missing; .* use impute='median' \(--impute median\); .* \(--drop-missing\)$",
        ),
        ("a,b,y\n1,2,u\n2,NA,v\n,2,u\n", {}, r"column 'b', row 2 \(line 3\): the value is missing"),
        ("a,y\n1,u\n2,\n", {"impute": "mean"}, r"column 'y', row 2 \(line 3\): the value is missing; .* \(--drop-missing\)$"),
        ("a,y\n1,u\n2,v\n", {"impute": "zero"}, "unknown impute 'zero'"),
        ("a,y\n1,u\n2,v\n", {"task": "sorting"}, "unknown task 'sorting'"),
        ("a,y\n1,u\n2,v\n", {"ignore": ["c"]}, "has no column 'c'; its columns are 'a', 'y'"),
        ("a,y\n1,u\n2,v\n", {"ignore": ["a"]}, "no column from which to predict the target 'y'"),
        ("a,y\n1,u\n2,v\n", {"task": "regression"}, r"column 'y', row 1 \(line 2\): 'u' is not a number"),
        ("a,y\n1,u\n2,u\n", {}, "column 'y' has only one class, 'u'"),
        (
            "a,y\n1,u\n2,v\n3 kg,v\n",
            {},
            r"column 'a', row 3 \(line 4\): '3 kg' is not a number; .*--missing '3 kg'",
        ),
        ("a;y\n1,5;u\n2,5;v\n", {}, r"column 'a', row 1.*'1,5' is not a number; use decimal=',' \(--decimal ,\)$"),
        ("a;y\n1;u\n2;v\n", {}, None),
        ("a;y\n1;1,5\n2;2,5\n", {}, r"column 'y', row 1.*\(--decimal ,\)$"),
        ("a,y\n2020-01-31,u\n2021-01-31,v\n", {}, r"column 'a', row 1 \(line 2\): '2020-01-31' is a date or a time"),
        ("a,y\n,u\n31.1.2021,v\n", {"impute": "mean"}, r"column 'a', row 2 .*date"),
        ("a,y\n12:30,u\n9:05:01,v\n", {}, "date or a time"),
        ("a,y\n2020-01-31,u\n2021-01-31,v\n", {"categorical": ["a"]}, None),
        ("a,y\n2020-01-31,u\n2021-01-31,v\n", {"ignore": ["a"]}, "no column from which to predict the target"),
        ("a,y\n,u\n,v\n", {"impute": "mean"}, "column 'a' is empty in every row: name it in ignore \\(--ignore\\)"),
        ("a,b,y\n,1,u\n,2,v\n", {}, r"column 'a' is empty in every row: name it in ignore \(--ignore\)"),
        ("a,y\n1,u\ninf,v\n", {}, r"column 'a', row 2 \(line 3\): inf is not finite; .*--missing inf"),
        ("a,y\n8.44%,u\n7 %,v\n", {}, r"row 1 \(line 2\): '8.44%' is a number with the sign '%': remove .*\(--categorical\)"),
        ("a,y\n8.44%,u\n7 %,v\n", {"categorical": ["a"]}, None),
        ("a,y\n1,u\n$8.44,v\n3,u\n", {}, r"row 2 .*: '\$8.44' is a number with the sign '\$'"),
        ("a;y\n1.234,50 €;u\n-€ 7;v\n", {}, "'1.234,50 €' is a number with the sign '€'"),
        ("a,y\n1,$2\n2,$3.5\n", {}, r"column 'y', row 1 .* sign '\$': .* task='classification' \(--task classification\)"),
        ("a,y\n1,$2\n2,$3.5\n", {"task": "classification"}, None),
        ("a,y\n1,$2\n2,$3.5\n", {"task": "regression"}, r"column 'y', row 1 .* sign '\$'"),
        ("a,y\n1,u\n(8.44),v\n", {}, r"'\(8.44\)' is a number whose sign is not in front of it: write -8.44"),
        ("a,y\n8.44-,u\n3,v\n", {}, r"'8.44-' is a number whose sign is not in front of it: write -8.44"),
        ("a,y\n\u22128.44,u\n3,v\n", {}, r"replace it with '-'"),
        ("a,y\n20\u2019000,u\n21\u2019500,v\n", {}, r"use thousands='\u2019' \(--thousands"),
        ("a,y\n$a,u\n%b,v\n", {}, None),
        ("a,y\n1 Jan 2024,u\n28-Feb-24,v\n", {}, "date or a time"),
        ('a,y\n"March 3, 2024",u\n"May 4, 2024 10:00",v\n', {}, "date or a time"),
        ("a,y\nMay 1,u\nJanet 2,v\n", {}, None),
        (
            "a,y\n" + "".join(f"{s} kg,{s % 2}\n" for s in range(30)),
            {},
            r"30 distinct strings in 30 rows, such as '0 kg', '1 kg', '10 kg': if they are numbers, remove the unit 'kg'",
        ),
        ("a,y\n1,u\n1e999,v\n", {}, "1e999 is not finite"),
        (
            "a,y\n" + "".join(f"n{s},{s % 2}\n" for s in range(30)),
            {},
            r"30 distinct strings in 30 rows, such as 'n0', 'n1', 'n10': name the column in ignore \(--ignore\)",
        ),
    ],
)
def test_a_table_that_cannot_be_learnt_from_is_refused(text, options, message, tmp_path):
    if message is None:
        tables.learn(text_table(tmp_path, text), "y", **options)
        return
    with pytest.raises(ValueError, match=message):
        tables.learn(text_table(tmp_path, text), "y", **options)


@each(
    "text, message",
    [
        ("b,a\nred,1\n", None),
        ("a,b,y\n1,red,whatever\n", None),
        ("a,b,id\n1,red,7\n", None),
        ("a\n1\n", "lacks columns that the model needs: 'b'"),
        ("a,b,c\n1,red,0\n", "has columns that the model does not know: 'c'"),
        ("a,b\n1,red\n2,pink\n", r"column 'b', row 2 \(line 3\): unknown category 'pink'; known are 'blue', 'red'"),
        ("a,b\n1,red\nx,red\n", r"column 'a', row 2 \(line 3\): 'x' is not a number; if it means .*--missing x\)$"),
        ("a;b\n1;red\n1,5;red\n", r"'1,5' is not a number; use decimal=',' \(--decimal ,\)$"),
        ("a,b\n1,red\n2,\n,red\n", r"column 'b', row 2 \(line 3\): the value is missing, and the model .*--drop-missing"),
    ],
)
def test_other_tables_have_to_have_the_same_columns(text, message, tmp_path):
    encoding = tables.learn(text_table(tmp_path, "a,b,id,y\n1,red,1,u\n2,blue,2,v\n"), "y", ignore=["id"])
    table = text_table(tmp_path, text)
    if message is None:
        np.testing.assert_allclose(encoding.x(table), [[-1, 0, 1]])
        return
    with pytest.raises(ValueError, match=message):
        encoding.x(table)
    if "'c'" in message:
        np.testing.assert_allclose(encoding.x(table, ignore=["c"]), [[-1, 0, 1]])


def test_imputed_values_replace_missing_ones_in_later_tables(tmp_path):
    encoding = tables.learn(text_table(tmp_path, "a,b,y\n1,red,u\n3,blue,v\n8,blue,v\n"), "y", impute="median")
    table = text_table(tmp_path, "b,a\n,\n")
    x = encoding.x(table)[0]
    assert x[0] * encoding.features[0].scale + encoding.features[0].mean == pytest.approx(3) and x[1:].tolist() == [1, 0]


@given(st.lists(st.integers(0, 4), min_size=10, max_size=200), st.floats(0.1, 0.9), st.integers(0, 5))
def test_the_fraction_applies_to_every_class(labels, fraction, seed):
    columns = {"y": tables.columns.Strings([f"c{label}" for label in [*labels, 0, 1]], typed=True)}
    table = tables.Table("t", columns, len(labels) + 2)
    rows, held_out = tables.split(table, "y", fraction, seed=seed)
    assert sorted([*rows, *held_out]) == list(range(table.rows))
    assert abs(held_out.size - fraction * table.rows) <= 1
    found = np.array(columns["y"].strings)
    for label in set(found):
        assert abs((found[held_out] == label).sum() - fraction * (found == label).sum()) <= 1
    again, _ = tables.split(table, "y", fraction, seed=seed)
    assert (again == rows).all()


# In the model file


@pytest.fixture
def net(tmp_path):
    table = text_table(tmp_path, "a,b,c,y\n1,red,true,u\n2,blue,false,v\n4,red,true,w\n")
    net = Network([4, 3], "identity", "cce", seed=0)
    net.table = tables.learn(table, "y", impute="mean")
    return net


@each("suffix", [".npz", ".safetensors"])
def test_the_model_file_keeps_the_table(net, suffix, tmp_path):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    net.save(tmp_path / f"net{suffix}")
    assert Network.load(tmp_path / f"net{suffix}").table == net.table
    net.table = None
    net.save(tmp_path / f"net{suffix}")
    assert Network.load(tmp_path / f"net{suffix}").table is None


QUANTITY = {"kind": "quantity", "name": "y", "mean": 0, "scale": 1}


def changed(net, change):
    entries = json.loads(json.dumps(description_of(net._model).to_dict()))
    change(entries["table"])
    return entries


@each(
    "change, message",
    [
        (lambda table: table["features"].pop(), "3 inputs and 3 outputs"),
        (lambda table: table["target"]["labels"].pop(), "4 inputs and 2 outputs"),
        (lambda table: table["target"]["labels"].append("u"), "distinct strings"),
        (lambda table: table["features"][0].update(name="b"), "distinct strings"),
        (lambda table: table["features"][0].update(name=None), "distinct strings"),
        (lambda table: table["features"][0].update(scale=0), "scale must be positive"),
        (lambda table: table["features"][0].update(mean="1"), "mean must be a real number"),
        (lambda table: table["features"][0].update(mean=float("nan")), "mean must be finite"),
        (lambda table: table["features"][0].update(fill=float("inf")), "fill must be finite"),
        (lambda table: table["features"][0].update(kind="date"), "date"),
        (lambda table: table["features"][0].update(more=1), "more"),
        (
            lambda table: table["features"][1].update(fill="pink"),
            "column 'b': .*, 'pink', is not one of its .*'blue', 'red'",
        ),
        (lambda table: table["features"][1].update(categories=["red", 1]), "distinct strings"),
        (
            lambda table: table.update(target={"kind": "quantity", "name": "y", "mean": 0, "scale": 1}),
            "loss 'cce' does not fit 'y'",
        ),
        (lambda table: table.update(more=1), "must be features, ignored and target"),
        (lambda table: table.update(spelling={"decimal": ";;"}), "decimal must be a single character"),
        (lambda table: table.update(spelling={"decimals": ","}), "decimals"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(net, change, message):
    with pytest.raises((ValueError, TypeError, LookupError), match=message):
        persist.Description.from_dict(changed(net, change))


def test_a_network_takes_only_a_table_that_fits(net):
    with pytest.raises(ValueError, match="the table's encoding needs 4 inputs and 3 outputs, but the network's sizes are"):
        Network([5, 3], "identity", "cce").table = net.table
