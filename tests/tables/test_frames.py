"""A DataFrame gets the same encoding as the same table in a file, and errors about unsuitable contents name the column."""

import datetime
from decimal import Decimal

import numpy as np
import pytest

from numbanet import tables
from numbanet.tables.encoding import Boolean, Categorical, Numeric
from tests.helpers.engines import each
from tests.tables.test_tables import PENGUINS

pandas = pytest.importorskip("pandas")

LETTERS = ["a", "b", "a", "b", "a", "b"]


def penguins():
    return pandas.read_csv(PENGUINS)


def as_categories():
    frame = penguins()
    return frame.astype(dict.fromkeys(("species", "island", "sex"), "category"))


def as_arrow():
    return pytest.importorskip("pyarrow").Table.from_pandas(penguins())


FRAMES = {
    "pandas": penguins,
    "pandas, nullable": lambda: penguins().convert_dtypes(),
    "pandas, pyarrow": lambda: pytest.importorskip("pyarrow") and pandas.read_csv(PENGUINS, dtype_backend="pyarrow"),
    "pandas, objects": lambda: penguins().astype(object),
    "pandas, categories": as_categories,
    "pandas, an index and columns in another order": lambda: penguins().set_index(np.arange(276)[::-1]).iloc[:, ::-1],
    "pyarrow": as_arrow,
    "pyarrow, batch": lambda: as_arrow().combine_chunks().to_batches()[0],
    "polars": lambda: pytest.importorskip("polars").read_csv(PENGUINS, null_values=["NA", ""]),
    "narwhals": lambda: pytest.importorskip("narwhals").from_native(penguins().convert_dtypes()),
}


@pytest.fixture(scope="module")
def table():
    return tables.read(PENGUINS)


@pytest.fixture(scope="module")
def encoding(table):
    return tables.learn(table, "species", impute="median")


@each("kind", list(FRAMES))
def test_a_data_frame_gives_what_its_file_gives(kind, table, encoding):
    frame = FRAMES[kind]()
    learnt = tables.learn(frame, "species", impute="median")
    assert learnt.target == encoding.target
    assert {feature.name: feature for feature in learnt.features} == {feature.name: feature for feature in encoding.features}
    assert np.array_equal(encoding.x(frame), encoding.x(table)) and np.array_equal(encoding.y(frame), encoding.y(table))
    for rows, expected in zip(tables.split(frame, "species", 0.2), tables.split(table, "species", 0.2), strict=True):
        assert np.array_equal(rows, expected)


def column(values, name="v"):
    return pandas.DataFrame({name: values, "w": range(6), "y": LETTERS})


@each(
    "values, expected",
    [
        ([True, None, False] * 2, Boolean("v", 1 / 3, np.sqrt(2) / 3, 0.0)),
        ([1, None, 3] * 2, Numeric("v", 2, np.std([1, 2, 3]), 2.0)),
        (np.array([1, None, 3] * 2, object), Numeric("v", 2, np.std([1, 2, 3]), 2.0)),
        ([Decimal("1.5"), None, Decimal(3)] * 2, Numeric("v", 2.25, np.std([1.5, 2.25, 3]), 2.25)),
        (["007", "1", "2", "007", "1", "007"], Categorical("v", ("1", "2", "007"), "007")),
        (["1", None, "2", "1", None, "1"], Categorical("v", ("1", "2"), "1")),
        (pandas.Categorical([10, 9, None, 10, 9, 10]), Categorical("v", ("9", "10"), "10")),
        (pandas.Categorical([True, False, True] * 2), Categorical("v", ("false", "true"), "true")),
        (np.arange(6, dtype="u1"), Numeric("v", 2.5, np.std(range(6)), 2.5)),
    ],
)
def test_a_column_has_the_kind_of_its_values(values, expected):
    for frame in (column(values), column(values).convert_dtypes()):
        feature, _ = tables.learn(frame, "y", impute="mean").features
        assert type(feature) is type(expected)
        if isinstance(expected, Categorical):
            assert set(feature.categories) == set(expected.categories) and feature.fill == expected.fill
        else:
            found, wanted = ([f.mean, f.scale, f.fill] for f in (feature, expected))
            assert found == pytest.approx(wanted, rel=1e-12)


REFUSED = [
    ([[1, 2]] * 6, r"^the DataFrame, column 'v': a value is an object of type list, neither a real number nor a string"),
    ([b"u"] * 6, r"column 'v': a value is an object of type bytes"),
    ([1j] * 6, r"column 'v': the values have dtype complex128; convert them to real numbers; or name the column in ignore$"),
    (np.arange(6).astype("m8[s]"), r"column 'v': the values have dtype timedelta64\[s\]; convert them to real numbers"),
    (np.full(6, "2020-01-02", "M8[s]"), r"column 'v', row 1: '2020-01-02T00:00:00' is a date or a time; convert it"),
    ([datetime.date(2020, 1, 2)] * 6, r"column 'v', row 1: '2020-01-02' is a date or a time"),
    ([1, "x", 2, 3, 4, 5], r"column 'v', row 2: 'x' is not a number"),
    ([None] * 6, r"column 'v' is empty in "),
]


@each("values, message", REFUSED)
def test_a_column_without_a_meaning_is_refused_unless_it_is_ignored(values, message):
    frame = column(values)
    with pytest.raises(ValueError, match=message):
        tables.learn(frame, "y", impute="mean")
    encoding = tables.learn(frame, "y", ignore=["v"])
    assert encoding.x(frame).shape == (6, 1)


@each("values", [[0.5, None, 1, 2, 3, 4], ["u", None, "v", "u", "v", "u"]])
def test_a_missing_value_is_refused_with_its_column(values):
    with pytest.raises(ValueError, match=r"^the DataFrame, column 'v', row 2: the value is missing; to replace missing values"):
        tables.learn(column(values), "y")


@each(
    "frame, error, message",
    [
        (np.ones((2, 2)), TypeError, r"table must be a Table from numbanet.tables.read, a DataFrame .* not ndarray$"),
        (pandas.DataFrame(np.ones((2, 2))), TypeError, r"has a column named 0, but names must be strings: rename it to '0'"),
        (
            pandas.DataFrame(np.ones((2, 2)), columns=["y", "y"]),
            ValueError,
            r"^the DataFrame has two columns named 'y'",
        ),
        (pandas.DataFrame({"x": [], "y": []}), ValueError, r"^the DataFrame has no rows$"),
        (pandas.DataFrame({"x": [1]}), ValueError, r"^the DataFrame has no column 'y'; its columns are 'x'"),
    ],
)
def test_a_data_frame_that_is_no_table_is_refused(frame, error, message):
    with pytest.raises(error, match=message):
        tables.learn(frame, "y")


def test_a_query_is_refused_with_the_call_that_computes_it():
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"^table is a LazyFrame, .* collect\(\)$"):
        tables.learn(polars.LazyFrame({"y": LETTERS}), "y")


@pytest.mark.parametrize("kind", ["i128", "list", "struct", "array"])
def test_columns_of_polars_without_a_meaning_are_refused(kind):
    polars = pytest.importorskip("polars")
    values = {
        "i128": lambda: polars.Series([1] * 6, dtype=polars.Int128),
        "list": lambda: [[1, 2]] * 6,
        "struct": lambda: [{"a": 1}] * 6,
        "array": lambda: polars.Series([[1, 2]] * 6, dtype=polars.Array(polars.Int64, 2)),
    }
    with pytest.raises(ValueError, match=r"^the DataFrame, column 'v'.* or name the column in ignore$"):
        tables.learn(polars.DataFrame({"v": values[kind](), "y": LETTERS}), "y")


def test_a_wide_data_frame_takes_no_series_of_each_column(monkeypatch):
    """To convert each of thousands of columns to a pandas Series would take seconds."""
    frame = pandas.DataFrame(np.ones((2, 50))).add_prefix("c").assign(y=["a", "b"])
    monkeypatch.setattr(pandas.Series, "dropna", lambda *_: pytest.fail("a column of numbers became a Series"))
    table = tables.frames.as_table(frame)
    assert all(isinstance(table.columns[f"c{j}"], tables.columns.Numbers) for j in range(50))


def test_a_string_is_the_name_of_one_column():
    frame = pandas.DataFrame({"ab": [1.0, 2, 3, 4], "a": [1, 2, 1, 2], "b": [3.0, 1, 2, 4], "t": list("uvuv")})
    assert [feature.name for feature in tables.learn(frame, "t", ignore="ab").features] == ["a", "b"]
    learnt = tables.learn(frame, "t", categorical="ab").features
    categories = [feature.name for feature in learnt if isinstance(feature, Categorical)]
    assert categories == ["ab"]
    assert tables.drop_missing(frame.assign(ab=np.nan), "t", ignore="ab").rows == 4


NAMED = pandas.DataFrame({"a": [1.0, 2, 3, 4], "b": [1, 2, 3, 5], "t": list("uvuv")})
WITH_A_NAME = {
    "learn": ("target", lambda name: tables.learn(NAMED, name)),
    "split": ("target", lambda name: tables.split(NAMED, name, 0.5)),
    "drop_missing": ("target", lambda name: tables.drop_missing(NAMED, name)),
    "column": ("name", lambda name: tables.frames.as_table(NAMED).column(name)),
    "is_missing": ("name", lambda name: tables.frames.as_table(NAMED).is_missing(name)),
    "categorical": ("each item of categorical", lambda name: tables.learn(NAMED, "t", categorical=[name])),
    "ignore": ("each item of ignore", lambda name: tables.learn(NAMED, "t", ignore=[name])),
    "drop_missing, ignore": ("each item of ignore", lambda name: tables.drop_missing(NAMED, "t", ignore=[name])),
    "x, ignore": ("each item of ignore", lambda name: tables.learn(NAMED, "t").x(NAMED, ignore=[name])),
}
NO_NAMES = {
    "list": (["t"], r"\['t'\]: pass 't'"),
    "Series": (NAMED["t"], "an object of type Series: pass 't'"),
    "DataFrame": (NAMED[["t"]], "an object of type DataFrame"),
    "dict": ({"t": 1}, "an object of type dict"),
    "number": (3, "3"),
    "bytes": (b"t", "b't'"),
    "None": (None, "None"),
}


@each("given", NO_NAMES)
@each("call", WITH_A_NAME)
def test_a_name_of_a_column_that_is_no_string_is_refused(call, given):
    (argument, function), (value, shown) = WITH_A_NAME[call], NO_NAMES[given]
    with pytest.raises(TypeError, match=rf"^{argument} must be the name of a column, which is a string, not {shown}$"):
        function(value)


@each("function", [tables.learn, tables.drop_missing])
def test_names_of_columns_that_are_no_list_are_refused(function):
    with pytest.raises(TypeError, match=r"^ignore must be a list of names of columns, not 3$"):
        function(NAMED, "t", ignore=3)


def test_the_target_cannot_be_ignored():
    with pytest.raises(ValueError, match=r"^ignore contains the target, 't': name another target, or leave it out of ignore"):
        tables.learn(NAMED, "t", ignore=["a", "t"])
