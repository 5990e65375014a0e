"""numbanet recognises labels in several spellings, reads numbers with the given decimal mark, and can read NA as a category."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbanet import tables
from numbanet.tables.columns import Numbers, Strings, Table
from numbanet.tables.spelling import Spelling, fitting
from tests.helpers.engines import each


def table_of(text, **options):
    return tables.read(io.BytesIO(text.encode()), **options)


# Labels


@each(
    "trained, later",
    [
        (["1", "2", "1", "2"], ["1.0", "2.00", " 1", "+2"]),
        (["1.0", "2.0", "1.0", "2.0"], ["1", "2", "1", "2"]),
        (["0.50", "0.5", "2", "2.0"], [".5", "5e-1", "2.", "2"]),
        (["True", "False", "TRUE", "false"], ["true", "FALSE", " true", "False"]),
        (["yes ", "no", "yes", "no"], ["yes", "no ", "yes  ", "no"]),
        (["9007199254740992", "9007199254740993"] * 2, ["9007199254740992.0", "9007199254740993"] * 2),
    ],
)
def test_labels_are_equal_however_they_are_spelled(trained, later):
    first, second = (
        Table("t", {"a": Strings(strings), "y": Strings(strings), "b": Numbers(np.arange(4))}, 4)
        for strings in (trained, later)
    )
    encoding = tables.learn(first, "y", task="classification", categorical=["a"])
    assert len(encoding.target.labels) == 2 and encoding.features[0].width == 2
    np.testing.assert_array_equal(encoding.x(second), encoding.x(first))
    np.testing.assert_array_equal(encoding.y(second), encoding.y(first))
    for text, k in zip(later, encoding.y(first), strict=True):
        assert encoding.target.index(text) == k


@each("trained, later", [(["007", "7", "007", "7"], "07"), (["a", "b", "a", "b"], "A"), (["1", "x", "1", "x"], "1.0")])
def test_codes_and_texts_are_compared_letter_by_letter(trained, later):
    encoding = tables.learn(Table("t", {"b": Numbers(np.arange(4)), "y": Strings(trained)}, 4), "y")
    assert encoding.target.labels == tuple(sorted(set(trained)))
    with pytest.raises(ValueError, match=f"unknown class '{later}'"):
        encoding.target.encode(Table("t", {"y": Strings([later])}, 1))


@each("numbers", [np.array([1, 2, 1, 2]), np.array([1.0, 2, 1, 2]), np.array([1, 2, 1, 2], "f4"), np.array([0, 1, 0, 1], bool)])
def test_numbers_and_booleans_of_other_formats_are_the_same_labels(numbers):
    strings = {"b": ["False", "True"] * 2}.get(numbers.dtype.kind, ["1.0", "2.0"] * 2)
    columns = [{"a": column, "y": column, "b": Numbers(np.arange(4))} for column in (Strings(strings), Numbers(numbers))]
    of_strings, of_numbers = (Table("t", each, 4) for each in columns)
    for one, other in ((of_strings, of_numbers), (of_numbers, of_strings)):
        encoding = tables.learn(one, "y", task="classification", categorical=["a"])
        np.testing.assert_array_equal(encoding.x(other), encoding.x(one))
        np.testing.assert_array_equal(encoding.y(other), encoding.y(one))


def test_the_most_frequent_spelling_is_the_label():
    table = Table("t", {"a": Numbers(np.arange(5)), "y": Strings(["TRUE", "True", "False", "True", "false"])}, 5)
    assert tables.learn(table, "y").target.labels == ("False", "True")


# Numbers


@each(
    "decimal, thousands, numbers, wrong",
    [
        (
            ".",
            ",",
            {"1,000,000": 1e6, "1,234.5": 1234.5, "12": 12, "-1,000": -1000, "12,34,567": 1234567},
            "1,00 1,5 1,0000 ,5",
        ),
        (",", ".", {"1.234,5": 1234.5, "1,5e3": 1500, ",5": 0.5, "7": 7, "+1.000": 1000}, "1.5 1.23 1,5,5 1,234.5"),
        (",", None, {"1,5": 1.5, "-3": -3, "2,": 2}, "1.5 1.000,5"),
        (",", " ", {"1 234,5": 1234.5, "1\u00a0000": 1000, "1\u202f000": 1000, " 7 ": 7}, "1,2,3"),
        (".", "'", {"1'234.50": 1234.5}, "1''000 1,5"),
    ],
)
def test_numbers_in_other_spellings(decimal, thousands, numbers, wrong):
    spelling = Spelling(decimal, thousands)
    assert {text: spelling.number(text) for text in numbers} == numbers
    assert {text: spelling.number(text) for text in wrong.split()} == dict.fromkeys(wrong.split())


@settings(deadline=None)
@given(st.floats(-1e12, 1e12), st.sampled_from([(".", ","), (",", "."), (",", "'"), (".", "'")]))
def test_every_number_is_read_back(value, marks):
    decimal, thousands = marks
    text = f"{value:,.4f}".translate(str.maketrans({",": thousands, ".": decimal}))
    assert Spelling(decimal, thousands).number(text) == float(f"{value:.4f}")


@each(
    "strings, found",
    [
        (["1,5", "2"], [(",", None)]),
        (["1,000,000", "7"], [(".", ",")]),
        (["1.234,5"], [(",", ".")]),
        (["1,500", "2,000"], [(",", None), (".", ",")]),
        (["abc"], []),
        (["1'000.5"], [(".", "'")]),
    ],
)
def test_the_simplest_fitting_spelling_is_recommended(strings, found):
    assert [(spelling.decimal, spelling.thousands) for spelling in fitting(strings)] == found


@each(
    "arguments, message",
    [
        ({"decimal": ",", "thousands": ","}, "decimal and thousands must be different"),
        ({"decimal": "5"}, "decimal must be a single character"),
        ({"thousands": ",,"}, "thousands must be a single character"),
        ({"missing": "?"}, r"missing must be a list of strings, such as \['\?'\]"),
        ({"encoding": "latin1x"}, r"unknown encoding 'latin1x' \(did you mean 'latin-1'\?\); known are utf-8"),
        ({"encoding": "rot13"}, "unknown encoding 'rot13'"),
        ({"encoding": "ascii"}, r"is not ascii: it contains the byte 0xc3; use the encoding .* \(--encoding\)"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        table_of("a,y\nä,1\n", **arguments)


# Missing values


@each(
    "strings, others, expected",
    [
        ("NA ZA BW", "1 2 3", {"NA"}),
        ("None Mild Severe", "1 2 3", {"None"}),
        ("NA ZA BW", "1 NA 3", set()),  # NA means a missing value in a column of numbers
        ("NA ZA BW", "true NA false", set()),
        ("NA ZA None", "1 2 3", set()),  # missing in two spellings
        ("nan ZA BW", "1 2 3", set()),
        ("NA ZA BW", "NA u v", {"NA"}),
    ],
)
def test_a_word_is_a_value_if_nothing_says_that_it_means_a_missing_one(strings, others, expected):
    table = table_of("a,b\n" + "".join(f"{a},{b}\n" for a, b in zip(strings.split(), others.split(), strict=True)))
    assert table.values.get("a", set()) == expected
    assert table.is_missing("a").tolist() == [text in ("NA", "None", "nan") and not expected for text in strings.split()]
    assert table.take([0, 1]).values == table.values


def test_texts_that_mean_missing_can_be_named():
    text = "a,b,y\n-999,-,u\n1,x,v\n-999.0,NA,u\n3,,v\n"
    table = table_of(text, missing=["-999", "-"])
    assert table.is_missing("a").tolist() == [True, False, True, False]
    assert table.is_missing("b").tolist() == [True, False, False, True]
    encoding = tables.learn(table, "y", impute="mean")
    assert encoding.features[0].fill == 2 and encoding.features[1].categories == ("NA", "x")
    assert tables.Encoding.from_dict(encoding.to_dict()) == encoding
    np.testing.assert_array_equal(encoding.x(table_of("a,b\n-999,-\n", missing=["-999", "-"]))[0, :1], [0])


def test_only_the_empty_text_is_missing_if_no_other_is_named():
    table = table_of("a,y\nNA,u\nnan,v\n,u\n", missing=[])
    assert table.is_missing("a").tolist() == [False, False, True]


def test_rows_with_missing_values_are_dropped():
    table = table_of("a,b,y\n1,x,u\n,x,v\n3,,u\n4,x,\n5,x,v\n")
    assert tables.drop_missing(table, "y").columns["a"].strings == ["1", "5"]
    assert tables.drop_missing(table, "y", ignore=["b"]).columns["a"].strings == ["1", "3", "5"]
    imputed = tables.drop_missing(table, "y", impute=True)
    assert imputed.columns["a"].strings == ["1", "", "3", "5"] and list(imputed.lines) == [2, 3, 4, 6]
    encoding = tables.learn(tables.drop_missing(table, "y"), "y")
    assert encoding.complete(table).rows == 2 and encoding.complete(table, target=False).rows == 3
    with pytest.raises(ValueError, match="a value is missing in every row"):
        tables.drop_missing(table.take([1, 2]), "y")


def test_a_category_that_is_missing_elsewhere_is_found_later():
    """If NA is a category of one column in training, NA stays a category in that column, but is a missing value in others."""
    encoding = tables.learn(table_of("a,b,y\n1,NA,u\n2,ZA,v\n"), "y")
    np.testing.assert_array_equal(encoding.x(table_of("a,b\n2,NA\n"))[0, 1:], [1, 0])
    with pytest.raises(ValueError, match=r"column 'a', row 1 .*: the value is missing"):
        encoding.x(table_of("a,b\nNA,NA\n"))


# Columns without names


@each(
    "header, rows, names",
    [
        (",a,b", ["0,1,2", "1,3,4"], ["a", "b"]),
        (",a,b", ["9,1,2", "3,3,4"], ["a", "b"]),
        (",a,b", ["7,1,2", "7,3,4"], ["column 1", "a", "b"]),
        ("a,b,", ["1,2,", "3,4,"], ["a", "b"]),
        ("a,b", ["1,2,", "3,4,"], ["a", "b"]),
        ("a,,b", ["1,,2", "3,x,4"], ["a", "column 2", "b"]),
        ("0,1,2", ["1,2,3", "4,5,6"], ["0", "1", "2"]),
    ],
)
def test_columns_without_names(header, rows, names):
    table = table_of("\n".join([header, *rows]))
    assert list(table.columns) == names and table.rows == 2
    assert bool(table.notes) == (names[0] == "column 1" or "column 2" in names or header.startswith(",a"))


def test_a_file_without_names_has_numbered_columns():
    table = table_of("5.1,x\n4.9,y\n", header=False)
    assert list(table.columns) == ["c1", "c2"] and list(table.lines) == [1, 2]
    with pytest.raises(ValueError, match=r"first line must name the columns.*\(--no-header\).*\(--header\)"):
        table_of("5.1,3\n4.9,4\n")
    assert list(table_of("1990,1991\n4.9,4\n", header=True).columns) == ["1990", "1991"]


def test_what_was_chosen_is_said():
    table = table_of(",a,b,y\n0,NA,1,u\n1,ZA,,v\n2,NA,3,u\n3,BW,4,v\n")
    found = tables.notes(table, tables.learn(table, "y", impute="median"))
    assert found == [
        "the first column, which has no name and numbers the rows, is left out",
        "column 'a': 'NA' is a category; if it means a missing value, use --missing NA",
        "column 'b': 1 missing values are replaced by 3",
    ]
    wide = table_of(",".join(f"c{i}" for i in range(30)) + ",y\n" + "1," * 30 + "u\n" + "," * 30 + "v\n")
    found = tables.notes(wide, tables.learn(wide, "y", impute="median"))
    assert len(found) == 21 and found[-1] == "and 10 more such columns"


@each("text, option", [("?", "--missing '?'"), ("-", "--missing=-"), ("a,b", "--missing '\"a,b\"'"), ("..", "--missing ..")])
def test_the_option_in_a_message_can_be_pasted_into_a_shell(text, option):
    from numbanet.cli.common import names
    from numbanet.tables.features import as_option

    assert as_option("--missing", [text]) == option
    content = io.StringIO()
    csv.writer(content, lineterminator="").writerow([text])
    assert names(content.getvalue()) == [text]


def test_a_frame_with_a_column_that_cannot_be_read_gets_the_same_messages():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"odd": [[1], [2], [3]], "a": [1.0, None, 3.0], "t": ["1", "?", "3"], "y": ["u", "v", "u"]})
    with pytest.raises(ValueError, match=r"column 'a', row 2: the value is missing; .*--impute median.*--drop-missing"):
        tables.learn(frame, "y", ignore=["odd"])
    assert tables.drop_missing(frame, "y", ignore=["odd"]).rows == 2
    encoding = tables.learn(frame, "y", ignore=["odd"], impute="mean")
    assert tables.notes(frame, encoding) == ["column 'a': 1 missing values are replaced by 2"]
    with pytest.raises(ValueError, match=r"column 't', row 2: '\?' is not a number; .*--missing '\?'"):
        tables.learn(frame, "t", task="regression", ignore=["odd"], impute="mean")
