"""The HTML report of a training or an evaluation contains the numbers that the command `numbanet` prints."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from numbanet import History, Network, load_digits, tables
from numbanet.cli import main
from tests.helpers import penguins
from tests.helpers.engines import each
from tests.helpers.steps import Content

pytest.importorskip("matplotlib")
metrics = pytest.importorskip("sklearn.metrics")

from numbanet import pictures  # noqa: E402

SECTIONS = ["data", "settings", "curves", "results", "worst", "importance", "machine", "repeat"]
X, Y = np.linspace(-1, 1, 40).reshape(20, 2), np.linspace(-1, 1, 20)


def sections_of(path):
    """Returns a dict from the names of the report's sections to their HTML; "result" is the line with the result."""
    page = path.read_text("utf-8")
    parts = re.findall(r'<section id="(\w+)".*?</section>', page, re.DOTALL)
    texts = {name: section_of(page, name) for name in parts}
    assert re.findall(r'<a href="#(\w+)">', page) == parts
    return texts | {"result": re.search(r'<p class="result">(.*?)</p>', page)[1]}


def section_of(page, name):
    return re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)[0]


def rows_of(section):
    rows = re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)
    return [[re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows]


def test_a_classification(tmp_path, capsys):
    data = penguins.train("species", tmp_path)
    out, err = capsys.readouterr()
    shown = sections_of(tmp_path / "species.html")
    assert list(shown) == [*SECTIONS, "result"]
    assert shown["result"] == out.splitlines()[0] and f"wrote {tmp_path}/species.html" in err
    for name, value in re.findall(r"(\w+) (\d\.\d+)", shown["result"]):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in shown["results"]
    net, table = Network.load(tmp_path / "species.npz"), tables.read(data)
    _, held_out = tables.split(table, "species", 0.2)
    held_out = table.take(held_out)
    y, y_hat = net.table.y(held_out), net.predict(net.table.x(held_out))
    matrix = [[int(cell) for cell in re.findall(r"--share:[\d.]+\">(\d+)", row)] for row in shown["results"].split("<tr>")]
    assert [row for row in matrix if row] == metrics.confusion_matrix(y, y_hat.argmax(axis=1)).tolist()
    report = metrics.classification_report(y, y_hat.argmax(axis=1), target_names=net.table.target.labels, output_dict=True)
    for label in net.table.target.labels:
        expected = [f"{report[label][key]:.4f}" for key in ("precision", "recall", "f1-score")]
        assert [label, *expected, f"{report[label]['support']:.0f}"] in rows_of(shown["results"])
    of_truth = y_hat[np.arange(len(y)), y]
    worst = rows_of(shown["worst"])
    assert worst[1][0] == str(held_out.lines[of_truth.argmin()]) and worst[1][3] == f"{of_truth.min():.3g}"
    assert len(worst) == 11 and f"lines of {data}" in shown["worst"]
    for feature in net.table.features:
        assert feature.name in shown["data"] and feature.name in shown["importance"]
    assert (
        "column 'sex'" in shown["data"]
        and "replaced" in shown["data"]
        and "one input per category: female, male" in shown["data"]
    )
    assert "decrease in accuracy, from" in shown["importance"]
    assert "rows to train on" in shown["settings"] and "Adam(" in shown["settings"] and "after 50 epochs" in shown["settings"]
    assert shown["curves"].count("<svg") == 3 and shown["settings"].count("<svg") == 1  # loss, accuracy, f1
    command = re.search(r"<code>(.*?)</code>", shown["repeat"])[1]
    assert shlex.split(command)[:3] == ["numbanet", "train", str(data)]
    assert "12 epochs" in shown["machine"] and "numba" in shown["machine"]
    assert (tmp_path / "species.png").read_bytes().startswith(b"\x89PNG")


def test_a_regression_and_its_evaluation(tmp_path, capsys):
    data = penguins.train("body_mass_g", tmp_path)
    printed = capsys.readouterr().out.splitlines()[0]
    shown = sections_of(tmp_path / "body_mass_g.html")
    assert list(shown) == [*SECTIONS, "result"] and shown["result"] == printed
    net, table = Network.load(tmp_path / "body_mass_g.npz"), tables.read(data)
    _, held_out = tables.split(table, "body_mass_g", 0.2)
    held_out = table.take(held_out)
    truth = np.array(held_out.columns["body_mass_g"].strings, float)
    residuals = np.array(net.table.target.answers(net.predict(net.table.x(held_out)))) - truth
    found = dict(rows_of(shown["results"])[1:])
    assert float(found["mean"]) == pytest.approx(residuals.mean(), abs=1e-2)
    assert float(found["largest"]) == pytest.approx(residuals.max(), rel=1e-4)
    worst = rows_of(shown["worst"])[1]
    row = np.abs(residuals).argmax()
    assert worst[:2] == [str(held_out.lines[row]), f"{truth[row]:.6g}"]
    assert float(worst[3]) == pytest.approx(residuals[row], rel=1e-4)
    assert shown["results"].count("<svg") == 2 and "decrease in R², from" in shown["importance"]
    assert "losses are of the standardised target" in shown["curves"]

    assert main(["evaluate", str(tmp_path / "body_mass_g.npz"), str(data), "--report", str(tmp_path / "more.html")]) == 0
    printed = capsys.readouterr().out.strip()
    shown = sections_of(tmp_path / "more.html")
    assert shown["result"] == printed and "curves" not in shown
    assert "numbanet evaluate" in shown["repeat"]


def arrays(kind):
    y = {
        "labels": np.stack([Y > 0, X[:, 0] > 0.5], axis=1),
        "outputs": np.stack([Y, Y**2], axis=1),
        "bce": Y > 0,
        "sse": Y,
    }[kind]
    loss = {"labels": "bce", "outputs": "mse"}.get(kind, kind)
    net = Network([2, 3, y[0].size], "tanh", loss, seed=0, kernels="reference")
    return net, y, net.fit(X, y, epochs=2, verbose=0)


@each("kind", ["labels", "outputs", "bce", "sse"])
def test_networks_of_arrays(kind, tmp_path):
    net, y, history = arrays(kind)
    pictures.report(tmp_path / "report.html", net, X, y, history=history, settings={"epochs": 2, "<&>": "<b>"})
    shown = sections_of(tmp_path / "report.html")
    assert list(shown) == [*SECTIONS[:-1], "result"]
    figures = net.evaluate(X, y)
    assert shown["result"].endswith(f"loss {figures['loss']:.4f}, on 20 samples")
    assert "&lt;&amp;&gt;" in shown["settings"] and "<b>" not in shown["settings"]
    assert {"x[0]", "x[1]"} <= {row[0] for row in rows_of(shown["importance"])}
    assert "20 samples with 2 inputs, with values from -1 to 1" in shown["data"]
    if kind == "labels":
        assert "true labels" in shown["worst"] and "confusion" not in shown["results"]
    if kind == "outputs":
        assert "residual y[1]" in shown["worst"] and shown["results"].count("<svg") == 4


def test_the_page_names_no_address_and_has_no_script(tmp_path):
    net, y, history = arrays("bce")
    pictures.report(tmp_path / "report.html", net, X, y, history=history, command="numbanet train --target 'a b'")
    text = (tmp_path / "report.html").read_text("utf-8")
    outside = [address for address in Content(text).addresses if not address.startswith("#")]
    assert outside == ["data:,"] and "<script" not in text and "default-src 'none'" in text
    identifiers = re.findall(r' id="([^"]*)"', text)
    assert len(set(identifiers)) == len(identifiers)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', text)) <= set(identifiers)


def test_digits_report_their_images_by_number(tmp_path, capsys):
    report = str(tmp_path / "digits.html")
    assert main(["train", "digits", "--epochs", "1", "--hidden", "8", "--report", report, "-o", str(tmp_path / "d.npz")]) == 0
    out = capsys.readouterr().out
    shown = sections_of(Path(report))
    assert f"test {shown['result']}\n" in out and shown["result"].endswith("on 359 held-out images")
    net, (_, _, x, y) = Network.load(tmp_path / "d.npz"), load_digits()
    worst = net.predict(x)[np.arange(359), y].argmin()
    assert rows_of(shown["worst"])[1][:2] == [str(worst + 1), str(y[worst])]
    assert "And 44 less important columns" in shown["importance"]
    assert "<image" in shown["worst"] and f"{worst + 1}: {y[worst]}," in shown["worst"]


@each(
    "arguments, message",
    [
        (["--report", "report.pdf"], "cannot write 'report.pdf': the file is an HTML page"),
        (["--report", "no/report.html"], "the folder .*no does not exist"),
        (["--report", "-"], "--report - is not possible"),
        (["--curves", "curves.txt"], "cannot write 'curves.txt': let the name end in .png"),
        (["--curves", "no/curves.png"], "the folder .*no does not exist"),
    ],
)
def test_wrong_files_are_refused_before_the_training(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == "" and re.match(f"numbanet: .*{message}", err) and not list(tmp_path.iterdir())


def test_wrong_arguments_are_refused(tmp_path):
    net, y, _ = arrays("sse")
    path = tmp_path / "report.html"
    with pytest.raises(ValueError, match="y is missing: pass the targets, or a network whose attribute table"):
        pictures.report(path, net, X)
    with pytest.raises(TypeError, match="history must be a History"):
        pictures.report(path, net, X, y, history={"loss": [1]})
    with pytest.raises(ValueError, match=r"shape \(2, 2\) does not fit the network, which has 2 inputs"):
        pictures.report(path, net, X, y, shape=(2, 2))
    with pytest.raises(TypeError, match="network must be a Network"):
        pictures.report(path, "net.npz", X, y)
    assert not path.exists()


def test_a_training_without_a_finished_epoch_has_no_curves(tmp_path):
    net, y, _ = arrays("sse")
    history = History()
    history.interrupted = True
    pictures.report(tmp_path / "report.html", net, X, y, history=history)
    assert "interrupted in its first epoch" in sections_of(tmp_path / "report.html")["curves"]
