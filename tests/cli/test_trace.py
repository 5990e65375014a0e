"""The command `numbanet trace` writes a training step as a web page, as files for programs in other languages, or as text."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from numbanet import Network, load_digits, tables
from numbanet.cli import main
from tests.helpers.engines import each
from tests.helpers.steps import content_of

PENGUINS = str(Path(__file__).parents[2] / "docs" / "penguins" / "penguins.csv")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "digits.npz"
    Network([64, 8, 10], "relu", "cce", seed=0).save(path)
    return str(path)


def test_a_page_of_the_first_held_out_images(digits, tmp_path, capsys):
    path = tmp_path / "step.html"
    assert main(["trace", digits, "digits", "--rows", "3", "--learning-rate", "0.5", "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"wrote {path}\n"
    page, x = content_of(path), load_digits()[2]
    assert (np.float32(page["x"]) == x[:3]).all() and page["n"] == 3 and page["learning_rate"] == 0.5


def test_values_for_ports(digits, tmp_path, capsys):
    assert main(["trace", digits, "digits", "--rows", "2", "-o", str(tmp_path / "step.json")]) == 0
    _, _, x, y = load_digits()
    expected = Network.load(digits).trace(x[:2], y[:2])
    found = json.loads((tmp_path / "step.json").read_text())
    assert (np.float32(found["delta1"]) == expected.delta[0]).all()
    assert main(["trace", digits, "digits", "--rows", "2"]) == 0
    printed = capsys.readouterr().out.partition("\n")[2]
    assert printed == expected.table() + "\n"


def test_rows_of_a_table_are_encoded(tmp_path):
    table = tables.read(PENGUINS)
    encoding = tables.learn(table, "species", impute="median")
    net = Network([encoding.width, 4, 3], "relu", "cce", seed=0)
    net.table = encoding
    net.save(tmp_path / "penguins.npz")
    assert main(["trace", str(tmp_path / "penguins.npz"), PENGUINS, "-o", str(tmp_path / "step.html")]) == 0
    page = content_of(tmp_path / "step.html")
    assert (np.float32(page["x"]) == encoding.x(table)[:1].astype(np.float32)).all()
    assert np.argmax(page["y"]) == encoding.y(table)[0]


@each(
    "arguments, message",
    [
        (["--rows", "0"], "--rows must be at least 1"),
        (["-o", "step.txt"], "cannot write 'step.txt': let the name end in .html"),
        (["-o", "step.html", "--learning-rate", "0"], "learning_rate must be"),
        (["-o", "no/step.html"], "the folder .*no does not exist"),
    ],
)
def test_wrong_options_are_refused(arguments, message, digits, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["trace", digits, "digits", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == "" and re.match(f"numbanet: .*{message}", err) and not list(tmp_path.iterdir())
