"""Tables in the formats of spreadsheets, databases and R: the command reads every table with options that --help describes.

Every file contains the same 40 rows, one per home. The columns are the size, city and rooms of the home, and the target, which
is the price = 1000 size + 500 rooms, or whether the home was sold.
"""

import csv
import gzip
import io
import json
import sys

import numpy as np
import pytest

from numbanet import Network, tables
from numbanet.cli import main
from numbanet.tables.features import Numeric
from numbanet.tables.targets import Quantity
from tests.helpers.engines import each

HOMES = [(40.5 + k, ("Köln", "Ulm")[k % 2], 1 + k % 4) for k in range(40)]


def written(header, row, *, separator=",", end="\n"):
    """Returns the text of a file with one line per home; `row` returns the cells of a line."""
    lines = [header, *(separator.join(map(str, row(k, *home))) for k, home in enumerate(HOMES))]
    return end.join(line for line in lines if line is not None) + end


def price(size, rooms):
    return 1000 * size + 500 * rooms


def comma(value):
    """Writes a number with a decimal comma, such as 1234,5."""
    return f"{value:.1f}".replace(".", ",")


def dotted(value):
    """Writes a number in the German form, such as 1.234,5."""
    return f"{value:,.1f}".translate(str.maketrans(",.", ".,"))


def sold(k):
    return "yes" if k % 2 else "no"


# For each file: its name, its content, the target, the options, and the numbers of encoded inputs and of classes.
FILES = {
    "decimal commas": (
        written("size;city;rooms;price", lambda k, s, c, r: (comma(s), c, r, comma(price(s, r))), separator=";"),
        "price", ["--decimal", ","], 4, 0,
    ),
    "latin-1": (
        written("Größe,city,sold", lambda k, s, c, r: (s, c, sold(k))).encode("latin-1"),
        "sold", ["--encoding", "latin-1"], 3, 2,
    ),
    "thousands": (
        written("size,city,rooms,price", lambda k, s, c, r: (s, c, r, f'"{price(s, r):,.0f}"')),
        "price", ["--thousands", ","], 4, 0,
    ),
    "german numbers": (
        written("size\tcity\tprice", lambda k, s, c, r: (dotted(s), c, dotted(price(s, r))), separator="\t"),
        "price", ["--decimal", ",", "--thousands", "."], 3, 0,
    ),
    "missing targets": (
        written("size,city,sold", lambda k, s, c, r: (s, c, "" if k % 5 == 0 else sold(k))),
        "sold", ["--drop-missing"], 3, 2,
    ),
    "missing values spelled ?": (
        written("size,city,sold", lambda k, s, c, r: ("?" if k == 3 else s, "-" if k == 4 else c, sold(k))),
        "sold", ["--missing", "?,-", "--impute", "median"], 3, 2,
    ),
    "id column": (
        written("id,size,city,sold", lambda k, s, c, r: (f"home-{k}", s, c, sold(k))),
        "sold", ["--ignore", "id"], 3, 2,
    ),
    "byte order mark": (
        b"\xef\xbb\xbf" + written("size,city,sold", lambda k, s, c, r: (s, c, sold(k)), end="\r\n").encode(),
        "sold", [], 3, 2,
    ),
    "utf-16": (
        written("size\tcity\tsold", lambda k, s, c, r: (s, c, sold(k)), separator="\t").encode("utf-16"),
        "sold", [], 3, 2,
    ),
    "pandas' index": (
        written(",size,city,sold", lambda k, s, c, r: (7 * k % 40, s, c, sold(k))),
        "sold", [], 3, 2,
    ),
    "quoted newlines": (
        written("size,city,sold", lambda k, s, c, r: (s, f'"{c}\n(town, of ""{c}"")"', sold(k))),
        "sold", [], 3, 2,
    ),
    "no header": (
        written(None, lambda k, s, c, r: (s, c, r, sold(k))),
        "c4", ["--no-header"], 4, 2,
    ),
    "sep= of Excel": (
        "sep=;\n" + written("size;city;sold", lambda k, s, c, r: (s, c, sold(k)), separator=";"),
        "sold", [], 3, 2,
    ),
    "last separator": (
        written("size,city,sold,", lambda k, s, c, r: (s, c, sold(k), "")),
        "sold", [], 3, 2,
    ),
    "numbered columns": (
        written("0,1,2", lambda k, s, c, r: (s, c, sold(k))),
        "2", [], 3, 2,
    ),
    "gzip": (
        gzip.compress(written("size,city,sold", lambda k, s, c, r: (s, c, sold(k))).encode()),
        "sold", [], 3, 2,
    ),
    "0.0 and 1.0": (
        written("size,city,sold", lambda k, s, c, r: (s, c, float(k % 2))),
        "sold", [], 3, 2,
    ),
    "Namibia": (
        written("size,country,sold", lambda k, s, c, r: (s, ("NA", "ZA")[k % 2], ("None", "Some")[k % 2])),
        "sold", [], 3, 2,
    ),
}  # fmt: skip


def path_of(name, folder):
    content = FILES[name][0]
    path = folder / ("homes.csv.gz" if name == "gzip" else "homes.csv")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@each("name", FILES)
def test_every_file_gets_answers(name, tmp_path, capsys):
    """The model file stores how the table writes numbers, so `predict` needs only --encoding and --no-header again."""
    _, target, options, width, classes = FILES[name]
    path, model = path_of(name, tmp_path), str(tmp_path / "model.npz")
    common = ["--epochs", "1", "--hidden", "8", "--kernels", "reference", "-q"]
    assert main(["train", path, "--target", target, *options, *common, "-o", model]) == 0, capsys.readouterr().err
    capsys.readouterr()
    net = Network.load(model, kernels="reference")
    assert net.sizes[0] == width and net.sizes[-1] == classes + (not classes)
    form = [option for option in options if option in ("--encoding", "latin-1", "--no-header")]
    assert main(["predict", model, path, *form, "--kernels", "reference"]) == 0, capsys.readouterr().err
    answers = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(answers) == 41 and answers[0] == [target]
    assert main(["evaluate", model, path, *form, *options[-1:] * (name == "missing targets"), "--kernels", "reference"]) == 0


@each("name", [name for name, (_, _, options, *_) in FILES.items() if options])
def test_without_the_option_the_message_names_it(name, tmp_path, capsys):
    _, target, options, *_ = FILES[name]
    path = path_of(name, tmp_path)
    impute = ["--impute", "median"] if name == "missing values spelled ?" else []
    assert main(["train", path, "--target", target, *impute, "--epochs", "1", "-o", str(tmp_path / "m.npz")]) == 1
    err = capsys.readouterr().err
    assert " ".join(options[:1] if options[0] in ("--ignore", "--missing", "--no-header") else options[:2]) in err


def test_numbers_are_read_as_they_are_spelled(tmp_path):
    tables_of = {}
    for name in ("decimal commas", "thousands", "german numbers"):
        _, _, options, *_ = FILES[name]
        arguments = {option.strip("-"): value for option, value in zip(options[::2], options[1::2], strict=True)}
        tables_of[name] = tables.read(path_of(name, tmp_path), **arguments)
    for table in tables_of.values():
        np.testing.assert_allclose(table.columns["size"].numbers, [size for size, *_ in HOMES])
        np.testing.assert_allclose(table.columns["price"].numbers, [price(s, r) for s, _, r in HOMES], atol=0.5)


def test_new_categories_are_refused_or_ignored(tmp_path, capsys):
    path, model = path_of("byte order mark", tmp_path), str(tmp_path / "m.npz")
    assert main(["train", path, "--target", "sold", "--epochs", "1", "--kernels", "reference", "-q", "-o", model]) == 0
    new = tmp_path / "new.csv"
    new.write_text("size,city\n50,Bonn\n60,Ulm\n")
    capsys.readouterr()
    assert main(["predict", model, str(new)]) == 1
    assert (
        "unknown category 'Bonn'; known are 'Köln', 'Ulm'; " in (err := capsys.readouterr().err) and "--unknown ignore" in err
    )
    assert main(["predict", model, str(new), "--unknown", "ignore", "--kernels", "reference"]) == 0
    encoding = Network.load(model).table
    np.testing.assert_array_equal(encoding.x(tables.read(new), unknown="ignore")[:, 1:], [[0, 0], [0, 1]])


def test_ids_and_probabilities_stand_beside_the_answers(tmp_path, capsys, monkeypatch):
    path, model = path_of("id column", tmp_path), str(tmp_path / "m.npz")
    assert main(["train", path, "--target", "sold", "--ignore", "id", "--epochs", "1", "-q", "-o", model]) == 0
    capsys.readouterr()
    assert main(["predict", model, path, "--id", "id,city", "--probabilities"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["id", "city", "sold", "p(no)", "p(yes)"] and [row[0] for row in rows[1:]] == [
        f"home-{k}" for k in range(40)
    ]
    y_hat = Network.load(model).predict(Network.load(model).table.x(tables.read(path), "float32"))
    assert (np.array([row[3:] for row in rows[1:]], "float32") == y_hat).all()  # the digits identify each number
    assert main(["predict", model, path, "--id", "id", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ids"]["id"][:2] == ["home-0", "home-1"]
    assert main(["predict", model, path, "--id", "sold"]) == 1
    assert "--id names 'sold', but the predictions are written to the column 'sold'" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "homes.csv").read_bytes())))
    assert main(["predict", model, "-", "-o", "-"]) == 0
    assert capsys.readouterr().out.splitlines() == [rows[0][2], *(row[2] for row in rows[1:])]


def test_the_model_remembers_how_numbers_are_spelled(tmp_path, capsys):
    path, model = path_of("german numbers", tmp_path), str(tmp_path / "m.npz")
    options = FILES["german numbers"][2]
    assert main(["train", path, "--target", "price", *options, "--epochs", "1", "-q", "-o", model]) == 0
    feature = Network.load(model).table.features[0]
    assert feature.mean == pytest.approx(40.5 + 19.5, abs=2)
    assert Network.load(model).table.spelling == tables.Encoding.from_dict(Network.load(model).table.to_dict()).spelling
    plain = tmp_path / "plain.csv"
    plain.write_text("size,city\n40.5,Ulm\n")
    capsys.readouterr()
    assert main(["predict", model, str(plain)]) == 1
    assert "'40.5' is not a number" in capsys.readouterr().err
    assert main(["predict", model, str(plain), "--decimal", "."]) == 0


def test_figures_of_a_quantity_have_its_units_and_early_stopping_watches_other_rows(tmp_path, capsys):
    path, model = path_of("thousands", tmp_path), str(tmp_path / "m.npz")
    command = ["train", path, "--target", "price", "--thousands", ",", "--epochs", "3", "-o", model]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert out.startswith("r2 ") and "loss" not in out and ", in units of 'price', on 8 held-out rows\n" in out
    assert "losses below are of the standardised target, (price - " in err and "32 rows to train on, 8 held out" in err
    for watching in (["--early-stopping", "2"], ["--schedule", "plateau"]):
        assert main([*command, *watching]) == 0
        out, err = capsys.readouterr()
        assert "26 rows to train on, 6 to watch while training, 8 held out" in err and "on 8 held-out rows" in out
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["figures"].keys() == {"r2", "rmse", "mae"} and found["unit"] == "price"
    assert main(["train", "digits", "--early-stopping", "2", "--epochs", "1", "-o", str(tmp_path / "d.npz")]) == 0
    assert "1150 handwritten digits to train on, 288 to watch while training, 359 held out" in capsys.readouterr().out


def test_what_was_taken_for_what_is_said(tmp_path, capsys):
    path = path_of("Namibia", tmp_path)
    command = ["--target", "sold", "--epochs", "1", "--impute", "median", "-o", str(tmp_path / "m.npz")]
    assert main(["train", path, *command]) == 0
    err = capsys.readouterr().err
    assert "column 'country': 'NA' is a category; if it means a missing value, use --missing NA\n" in err
    assert "column 'sold': 'None' is a class; if it means a missing value, use --missing None\n" in err
    assert main(["train", path, *command, "--missing", "NA"]) == 0
    assert "column 'country': 20 missing values ('NA') are replaced by 'ZA'\n" in capsys.readouterr().err
    assert main(["train", path_of("pandas' index", tmp_path), *command]) == 0
    assert "the first column, which has no name and numbers the rows, is left out\n" in capsys.readouterr().err
    assert main(["train", path_of("missing targets", tmp_path), *command, "--drop-missing"]) == 0
    assert "8 of 40 rows have a missing value and are left out\n" in capsys.readouterr().err


def test_a_model_goes_to_standard_output(tmp_path, capsysbinary):
    path = path_of("byte order mark", tmp_path)
    assert main(["train", path, "--target", "sold", "--epochs", "1", "--kernels", "reference", "-q", "-o", "-"]) == 0
    out, err = capsysbinary.readouterr()
    (tmp_path / "m.npz").write_bytes(out)
    assert Network.load(tmp_path / "m.npz").table.target.name == "sold" and b"saved -" in err


@each("option", ["--decimal", "--thousands", "--encoding", "--missing", "--no-header", "--drop-missing", "--ignore"])
@each("command", ["train", "evaluate", "predict"])
def test_help_shows_the_options(command, option, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    out = capsys.readouterr().out
    assert f" {option}" in out and (command == "train" or " --unknown {error,ignore}" in out)


@each("dtype", ["float32", "float64"])
def test_answers_have_the_digits_that_the_dtype_holds(dtype, tmp_path, capsys):
    net = Network([1, 1], "identity", "mse", dtype=dtype, kernels="reference")
    net.set_parameters([(np.array([[0.1]]), np.array([0.3]))])
    net.table = tables.Encoding([Numeric("x", 0.0, 1.0)], Quantity("when", 1.7e9, 288.7))
    net.save(tmp_path / "m.npz")
    (tmp_path / "t.csv").write_text("x\n" + "".join(f"{k / 1000}\n" for k in range(100)))
    exact = net.table.target.in_units(net.predict(net.table.x(tables.read(tmp_path / "t.csv"), dtype)))[:, 0]
    for option in ([], ["--json"]):
        assert main(["predict", str(tmp_path / "m.npz"), str(tmp_path / "t.csv"), *option, "--kernels", "reference"]) == 0
        out = capsys.readouterr().out
        texts = out.split()[1:] if not option else list(map(str, json.loads(out)["answers"]))
        np.testing.assert_allclose(np.array(texts, float), exact, rtol=0, atol=288.7 * np.finfo(dtype).eps)
        assert len(set(texts)) == len(set(exact)) > 90 and max(map(len, texts)) <= (17 if dtype == "float32" else 20)
