"""The command `numbanet`, called on tables with arguments as from a shell, prints the numbers that the library computes."""

import csv
import io
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from numbanet import Network, tables
from numbanet.cli import main
from tests.helpers.engines import each
from tests.helpers.idx_files import write_fashion_mnist

FOLDER = Path(__file__).parents[2] / "docs" / "penguins"
PENGUINS, MORE = str(FOLDER / "penguins.csv"), str(FOLDER / "more-penguins.csv")
TRAIN = ["train", PENGUINS, "--target", "species", "--impute", "median", "--epochs", "30"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "penguins.npz"
    assert main([*TRAIN, "--quiet", "-o", str(path)]) == 0
    return str(path)


@pytest.fixture(scope="module")
def masses(tmp_path_factory):
    """Returns a regression problem: the penguins with known mass, and a network that predicts the mass."""
    folder = tmp_path_factory.mktemp("masses")
    lines = [line for line in Path(PENGUINS).read_text().splitlines() if "NA,NA,NA" not in line]
    (folder / "masses.csv").write_text("\n".join(lines) + "\n")
    data, path = str(folder / "masses.csv"), str(folder / "mass.npz")
    assert main(["train", data, "--target", "body_mass_g", "--impute", "mean", "--quiet", "-o", path]) == 0
    return data, path


def test_training_equals_that_of_the_library(tmp_path, capsys):
    path = tmp_path / "net.npz"
    options = [
        "--hidden", "8,4", "--activation", "tanh", "--dropout", "0.1", "--optimizer", "nesterov",
        "--momentum", "0.8", "--learning-rate", "0.02", "--batch-size", "16", "--weight-decay", "0.001",
        "--schedule", "cosine", "--seed", "4", "--validation-split", "0.3", "--early-stopping", "12",
        "--class-weight", "balanced", "--dtype", "float64", "--metrics", "f1,balanced_accuracy",
        "--checkpoint", str(tmp_path / "state.npz"),
    ]  # fmt: skip
    assert main([*TRAIN, *options, "-o", str(path), "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert "species: classification into 3 classes (strings), from 5 numeric and 2 categorical columns\n" in err
    assert "135 rows to train on, 58 to watch while training, 83 held out; Network([10, 8, 4, 3]" in err
    assert "column 'sex': 10 missing values ('NA') are replaced by 'female'\n" in err and "epoch  1/30" in err

    from numbanet import Nesterov

    table = tables.read(PENGUINS)
    rows, held_out = tables.split(table, "species", 0.3, seed=4)
    rows, watched = (rows[part] for part in tables.split(table.take(rows), "species", 0.3, seed=4))
    encoding = tables.learn(table, "species", impute="median", rows=rows)
    x, y = encoding.x(table), encoding.y(table)
    expected = Network([10, 8, 4, 3], "tanh", "cce", dtype="float64", seed=4, dropout=0.1)
    history = expected.fit(
        x[rows], y[rows], epochs=30, batch_size=16, learning_rate=0.02, optimizer=Nesterov(0.8, weight_decay=0.001),
        schedule="cosine", validation_data=(x[watched], y[watched]), class_weight="balanced", early_stopping=12,
        metrics=["f1", "balanced_accuracy"], verbose=0,
    )  # fmt: skip
    net = Network.load(path)
    assert net.table == encoding and (net.predict(x) == expected.predict(x)).all()
    assert found["history"]["val_f1"] == history.history["val_f1"] and found["best_epoch"] == history.best_epoch
    assert found["figures"] == expected.evaluate(x[held_out], y[held_out], metrics=["f1", "balanced_accuracy"])
    assert found["rows"] == 135 and found["held_out"] == 83 and found["classes"] == ["Adelie", "Chinstrap", "Gentoo"]
    assert Network.load(tmp_path / "state.npz").table == encoding


def test_weights_of_classes_go_by_their_labels(tmp_path, capsys):
    assert main([*TRAIN, "--class-weight", "Gentoo=0,Adelie=0", "-q", "-o", str(tmp_path / "net.npz")]) == 0
    net = Network.load(tmp_path / "net.npz")
    assert set(net.table.target.answers(net.predict(net.table.x(tables.read(MORE))))) == {"Chinstrap"}
    assert main([*TRAIN, "--class-weight", "Gento=2", "-q", "-o", str(tmp_path / "net.npz")]) == 1
    assert "unknown class 'Gento' (did you mean 'Gentoo'?)" in capsys.readouterr().err


def test_evaluating_and_predicting_raw_rows(model, tmp_path, capsys):
    net = Network.load(model)
    truth = tables.read(MORE).columns["species"].strings
    y_hat = net.predict(net.table.x(tables.read(MORE)))
    answers = [net.table.target.labels[k] for k in y_hat.argmax(axis=1)]
    assert main(["evaluate", model, MORE]) == 0
    accuracy = np.mean([a == b for a, b in zip(answers, truth, strict=True)])
    assert capsys.readouterr().out.startswith(f"accuracy {accuracy:.4f}, loss ")
    assert main(["evaluate", model, MORE, "--json", "--metrics", "f1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 68 and found["figures"].keys() == {"loss", "accuracy", "f1"}

    rows = list(csv.DictReader(Path(MORE).read_text().splitlines()))
    with (tmp_path / "new.tsv").open("w", newline="", encoding="utf-8-sig") as file:  # other order, no target
        names = [name for name in reversed(rows[0]) if name != "species"]
        writer = csv.DictWriter(file, names, extrasaction="ignore", dialect="excel-tab")
        writer.writeheader()
        writer.writerows(rows)
    assert main(["predict", model, str(tmp_path / "new.tsv"), "-o", str(tmp_path / "out.csv"), "--probabilities"]) == 0
    assert capsys.readouterr().out == ""
    written = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert list(written[0]) == ["species", "p(Adelie)", "p(Chinstrap)", "p(Gentoo)"]
    assert [row["species"] for row in written] == answers
    np.testing.assert_allclose(
        [[float(row[f"p({label})"]) for label in net.table.target.labels] for row in written], y_hat, 1e-6
    )
    assert main(["predict", model, MORE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"target": "species", "answers": answers}


def test_a_quantity_is_predicted_in_its_units(masses, capsys):
    data, path = masses
    truth = np.array([float(text) for text in tables.read(data).columns["body_mass_g"].strings])
    assert main(["predict", path, data]) == 0
    lines = capsys.readouterr().out.splitlines()
    answers = np.array(lines[1:], float)
    assert lines[0] == "body_mass_g" and abs(answers - truth).mean() < 300
    assert main(["evaluate", path, data, "--json", "--metrics", "mse"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert figures["mae"] == pytest.approx(abs(answers - truth).mean(), rel=1e-5)
    assert figures["mse"] == pytest.approx(figures["rmse"] ** 2) == pytest.approx(((answers - truth) ** 2).mean(), rel=1e-5)
    assert figures["r2"] == pytest.approx(1 - ((answers - truth) ** 2).mean() / truth.var(), rel=1e-5)
    assert main(["evaluate", path, data]) == 0
    assert capsys.readouterr().out.startswith(f"r2 {figures['r2']:.4f}, rmse {figures['rmse']:.4g}, mae ")


def test_two_classes_by_one_output(tmp_path, capsys):
    path = str(tmp_path / "sex.npz")
    known = [line for line in Path(PENGUINS).read_text().splitlines() if ",NA," not in line]
    (tmp_path / "known.csv").write_text("\n".join(known))
    data = str(tmp_path / "known.csv")
    assert main(["train", data, "--target", "sex", "--loss", "bce", "-q", "-o", path]) == 0
    capsys.readouterr()
    assert main(["predict", path, data, "--json", "--probabilities"]) == 0
    found = json.loads(capsys.readouterr().out)
    of_male = np.array(found["probabilities"]["male"])
    np.testing.assert_allclose(of_male + found["probabilities"]["female"], 1, rtol=1e-6)
    assert found["answers"] == ["male" if p > 0.5 else "female" for p in of_male]
    assert main(["evaluate", path, data]) == 0
    assert float(capsys.readouterr().out.split()[1].rstrip(",")) > 0.85


def test_arrays_and_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_fashion_mnist(tmp_path)
    images, labels = "{}-images-idx3-ubyte.gz", "{}-labels-idx1-ubyte.gz"
    assert main(["train", images.format("train"), "--target", labels.format("train"), "-q"]) == 0
    assert main(["evaluate", "model.npz", images.format("t10k"), "--target", labels.format("t10k")]) == 0
    out = capsys.readouterr().out
    assert "saved model.npz\n" in out and "accuracy 1.0000" in out and "on 20 rows" in out
    assert main(["predict", "model.npz", images.format("t10k")]) == 0
    assert capsys.readouterr().out.split() == ["y", *(str(7 * s % 10) for s in range(20))]
    random = np.random.default_rng(0)
    x = random.standard_normal((60, 3))
    np.savez("arrays.npz", x=x, mass=x @ [1, 2, 3])
    assert main(["train", "arrays.npz", "--target", "mass", "-o", "arrays-model.npz", "-q"]) == 0
    assert main(["evaluate", "arrays-model.npz", "arrays.npz"]) == 0
    assert "r2 0.9" in capsys.readouterr().out.splitlines()[-1]
    np.save("x.npy", x[:2])
    assert main(["predict", "arrays-model.npz", "x.npy"]) == 0
    assert len(capsys.readouterr().out.split()) == 3


def test_networks_of_arrays_are_evaluated_too(tmp_path, capsys):
    from numbanet import load_digits

    _, _, x, y = load_digits()
    net = Network([64, 10], "identity", "cce", seed=0)
    net.save(tmp_path / "net.npz")
    np.savez(tmp_path / "held-out.npz", x=x, y=y)
    for data in ("digits", str(tmp_path / "held-out.npz")):
        assert main(["evaluate", str(tmp_path / "net.npz"), data, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"rows": 359, "figures": net.evaluate(x, y)}


@each(
    "arguments, message",
    [
        (
            ["train", PENGUINS, "--target", "species"],
            "column 'bill_length_mm', row 4 (line 5): the value is missing; to replace missing values, "
            "use impute='median' (--impute median)",
        ),
        (
            ["train", PENGUINS, "--target", "specie"],
            "has no column 'specie' (did you mean 'species'?); its columns are 'species', 'island'",
        ),
        (["train", PENGUINS, "--target", "species", "--loss", "mse", "--impute", "mean"], "loss 'mse' does not fit 'species'"),
        (["train", PENGUINS, "--target", "species", "--loss", "bce", "--impute", "mean"], "loss 'bce' is for two classes"),
        (
            ["train", PENGUINS, "--target", "year", "--impute", "mean", "--loss", "poisson"],
            "loss 'poisson' does not fit 'year'",
        ),
        (["train", PENGUINS, "--target", "year", "--impute", "mean", "--validation-split", "1"], "[0, 1)"),
        (["train", PENGUINS, "--target", "year", "--impute", "mean", "--metrics", "auc"], "unknown metric 'auc'"),
        (
            ["train", PENGUINS, "--target", "species", "--impute", "mean", "-o", "missing/net.npz"],
            "missing/net.npz: the folder",
        ),
        (["train", "arrays.npz", "-o", "arrays.npz"], "arrays.npz is the file to read"),
        (["train", "arrays.npz"], "has no column 'y'"),
        (["train", "missing.csv", "--target", "y"], "missing.csv"),
        (["evaluate", "MODEL", "arrays.npz"], "; the model does not know its columns 'x[0]', 'x[1]'"),
        (["evaluate", "MODEL", MORE, "--separator", ";"], "the model does not know its columns 'species,island"),
        (["predict", "MODEL", MORE, "--outputs"], "--outputs and --draw apply to networks trained on arrays"),
        (["predict", "MODEL", MORE, "-o", "missing/out.csv"], "missing/out.csv: the folder"),
        (["predict", "MODEL", "digits"], "name a table with the columns 'island', 'bill_length_mm'"),
        (["evaluate", "MODEL", "digits"], ", 'year', 'species'\n"),
        (["evaluate", "MODEL", "fashion-mnist"], "name of a data set of images, but"),
        (["evaluate", "MODEL", "renamed.csv"], "if one of them contains the target, rename it to 'species'"),
        (["evaluate", "MODEL", "renamed.csv", "--ignore", "kind"], "does not have the target column 'species'"),
        (
            ["evaluate", "MODEL", "renamed.csv", "--drop-missing"],
            "if one of 'kind' contains the target, rename it",
        ),
        (["predict", "MODEL", "renamed.csv"], "if one of them contains the target, rename it to 'species'"),
        (["train", "MODEL"], "is a network that numbanet saved, not data"),
        (["predict", "MODEL", "MODEL"], "is a network that numbanet saved, not data"),
        (["evaluate", "MODEL", "MODEL"], "is a network that numbanet saved, not data"),
        (["predict", MORE, "MODEL"], "the commands take the model first and then the data"),
        (["train", PENGUINS, "--target", "year", "--impute", "mean", "-o", "net.pt"], ".pt is an ending of PyTorch files"),
        (["train", PENGUINS, "--target", "year", "--impute", "mean", "--checkpoint", "c.h5"], ".h5 is an ending of Keras"),
        (["predict", "MODEL", MORE, "-o", "answers.json"], "predict writes CSV, and JSON with --json"),
        (["predict", "MODEL", MORE, "-o", "answers.csv", "--json"], "predict writes JSON, and CSV without --json"),
        (["predict", "MODEL", "renamed.csv", "-o", "renamed.csv"], "renamed.csv is the file to read"),
        (
            ["train", PENGUINS, "--target", "year", "--impute", "mean", "--validation-split", "0", "--early-stopping", "3"],
            "--early-stopping needs rows that are set aside",
        ),
        (
            ["train", PENGUINS, "--target", "year", "--impute", "mean", "--validation-split", "0", "--schedule", "plateau"],
            "--schedule plateau needs rows that are set aside",
        ),
    ],
)
def test_errors_exit_1_with_one_line(model, arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("arrays.npz", x=np.eye(2))
    Path("renamed.csv").write_text(Path(MORE).read_text().replace("species", "kind", 1))
    assert main([model if word == "MODEL" else word for word in arguments]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("numbanet: ") and message in err and err.count("\n") == 1 and out == ""
    assert sorted(os.listdir(tmp_path)) == ["arrays.npz", "renamed.csv"]


def test_a_metric_of_classes_is_refused_for_a_numeric_target(capsys):
    assert main(["train", PENGUINS, "--target", "body_mass_g", "--drop-missing", "--metrics", "mae,f1"]) == 1
    message = "--metrics f1 applies to classification, but the target 'body_mass_g' is a number: use mae, mse, rmse, r2\n"
    assert capsys.readouterr().err.endswith(message)


@each(
    "arguments, message",
    [
        (["train", PENGUINS], "--target is required for"),
        (
            ["train", "penguins.xlsx", "--target", "species"],
            "unknown data 'penguins.xlsx': expected digits, fashion-mnist, a",
        ),
        (["train", "digits", "--impute", "mean"], "--impute applies to tables, not to digits"),
        (["train", "digits", "--validation-split", "0.1"], "--validation-split applies to tables"),
        (
            ["train", PENGUINS, "--target", "species", "--momentum", "0.5"],
            "--momentum requires --optimizer momentum or nesterov",
        ),
        (["train", PENGUINS, "--target", "species", "--class-weight", "Gentoo"], "--class-weight"),
        (["evaluate"], "MODEL"),
    ],
)
def test_misuse_exits_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2 and message in capsys.readouterr().err


def test_ignored_columns_are_optional_and_more_can_be_ignored_later(tmp_path, capsys):
    data = tmp_path / "t.csv"
    data.write_text("id,a,y\n" + "".join(f"row {s},{s % 2}.5,{'uv'[s % 2]}\n" for s in range(30)))
    command = ["train", str(data), "--target", "y", "-q", "-o", str(tmp_path / "net.npz")]
    assert main(command) == 1 and "column 'id' has 30 distinct strings" in capsys.readouterr().err
    assert main([*command, "--ignore", "id", "--ignore", "a"]) == 1  # a repeated option adds names, so that no column is left
    assert "no column from which to predict" in capsys.readouterr().err
    assert main([*command, "--ignore", "id"]) == 0
    assert main(["evaluate", str(tmp_path / "net.npz"), str(data)]) == 0
    data.write_text(data.read_text().replace("id,", '"i,d",'))
    assert main(["predict", str(tmp_path / "net.npz"), str(data)]) == 1
    assert main(["predict", str(tmp_path / "net.npz"), str(data), "--ignore", '"i,d"']) == 0


def test_without_a_split_all_rows_are_trained_on(tmp_path, capsys):
    assert main([*TRAIN, "--validation-split", "0", "-q", "-o", str(tmp_path / "net.npz")]) == 0
    assert "on 276 training rows" in capsys.readouterr().out


@each("command", ["train", "evaluate", "predict"])
def test_help_shows_examples(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"  numbanet {command} " in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_saves_and_exits_130(tmp_path, monkeypatch, capsys):
    class Interrupting(io.StringIO):
        """Standard error, which sends Ctrl-C to this process when the first epoch is printed."""

        def write(self, text):
            if text.startswith("epoch "):
                signal.raise_signal(signal.SIGINT)
            return super().write(text)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stderr", Interrupting())
    assert main([*TRAIN[:-1], "1000000", "-o", "net.npz", "--json"]) == 130
    result = json.loads(capsys.readouterr().out)
    assert result["interrupted"] and result["epochs"] < 1000
    assert Network.load("net.npz").table.target.name == "species"


def test_a_network_does_not_replace_its_checkpoint(tmp_path, capsys):
    path = str(tmp_path / "model.npz")
    assert main(["train", PENGUINS, "--target", "species", "--output", path, "--checkpoint", path]) == 1
    assert "--output and --checkpoint are both" in capsys.readouterr().err and not list(tmp_path.iterdir())
