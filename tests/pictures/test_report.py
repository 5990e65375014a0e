"""The HTML report of a training or an evaluation contains the numbers that the command `numbanet` prints."""

import functools
import html
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from numbanet import History, Network, checks, evaluation, load_digits, tables
from numbanet.cli import main
from numbanet.evaluation import importance
from tests.helpers import penguins
from tests.helpers.engines import each
from tests.helpers.steps import Content

pytest.importorskip("matplotlib")
metrics = pytest.importorskip("sklearn.metrics")

from numbanet import pictures  # noqa: E402
from numbanet.pictures import sections  # noqa: E402

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
    assert shown["result"] == f"{out.splitlines()[0]}, of 276 in all" and f"wrote {tmp_path}/species.html" in err
    for name, value in re.findall(r"(\w+) (\d\.\d+)", shown["result"]):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in shown["results"]
    net, table = Network.load(tmp_path / "species.npz"), tables.read(data)
    _, held_out = tables.split(table, "species", 0.2)
    held_out = table.take(held_out)
    y, y_hat = net.table.y(held_out), net.predict(net.table.x(held_out))
    assert "on 55 of the 276 rows of" in shown["data"]
    assert "These metrics are means over the classes: f1." in shown["results"]
    most = metrics.accuracy_score(y, np.full(len(y), np.bincount(y).argmax()))
    assert f"and the accuracy would be {most:.4f}" in shown["results"]
    matrix = [[int(cell) for cell in re.findall(r"--share:[\d.]+\">(\d+)", row)] for row in shown["results"].split("<tr>")]
    assert [row for row in matrix if row] == metrics.confusion_matrix(y, y_hat.argmax(axis=1)).tolist()
    report = metrics.classification_report(y, y_hat.argmax(axis=1), target_names=net.table.target.labels, output_dict=True)
    for label in net.table.target.labels:
        expected = [f"{report[label][key]:.4f}" for key in ("precision", "recall", "f1-score")]
        assert [label, *expected, f"{report[label]['support']:.0f}"] in rows_of(shown["results"])
    of_truth = y_hat[np.arange(len(y)), y]
    worst = rows_of(shown["worst"])
    assert worst[1][0] == str(held_out.lines[of_truth.argmin()]) and worst[1][3] == f"{of_truth.min():.4f}"
    assert len(worst) == 11 and f"lines of {data}" in shown["worst"]
    right = sum(row[1] == row[2] for row in worst[1:])
    count = "all" if right == 10 else right
    assert f"The network predicts the class of {count} of these samples correctly." in shown["worst"] and right > 0
    for feature in net.table.features:
        assert feature.name in shown["data"] and feature.name in shown["importance"]
    assert (
        "column 'sex'" in shown["data"]
        and "replaced" in shown["data"]
        and "one input per category: female, male" in shown["data"]
    )
    assert "decrease in accuracy, from" in shown["importance"]
    assert "rows to train on" in shown["settings"] and "after 50 epochs" in shown["settings"]
    assert shown["curves"].count("<svg") == 3 and shown["settings"].count("<svg") == 1  # loss, accuracy, f1
    assert "<dd>Adam, learning rate 0.001, beta_1 0.9, beta_2 0.999, epsilon 1e-08</dd>" in shown["settings"]
    command = re.search(r"<code>(.*?)</code>", shown["repeat"])[1]
    assert shlex.split(command)[:3] == ["numbanet", "train", str(data)]
    assert "12 epochs" in shown["machine"] and "numba" in shown["machine"]
    assert (tmp_path / "species.png").read_bytes().startswith(b"\x89PNG")


def test_a_regression_and_its_evaluation(tmp_path, capsys):
    data = penguins.train("body_mass_g", tmp_path)
    printed = capsys.readouterr().out.splitlines()[0]
    shown = sections_of(tmp_path / "body_mass_g.html")
    assert list(shown) == [*SECTIONS, "result"] and shown["result"] == f"{printed}, of 274 in all"
    net, table = Network.load(tmp_path / "body_mass_g.npz"), tables.read(data)
    _, held_out = tables.split(table, "body_mass_g", 0.2)
    held_out = table.take(held_out)
    truth = np.array(held_out.columns["body_mass_g"].strings, float)
    residuals = np.array(net.table.target.answers(net.predict(net.table.x(held_out)))) - truth
    found = dict(rows_of(shown["results"])[1:])
    assert float(found["mean"]) == pytest.approx(residuals.mean(), abs=1e-2)
    assert float(found["largest"]) == pytest.approx(residuals.max(), rel=5e-4)
    worst = rows_of(shown["worst"])[1]
    row = np.abs(residuals).argmax()
    assert worst[:2] == [str(held_out.lines[row]), f"{truth[row]:.0f}"]
    assert float(worst[3]) == pytest.approx(residuals[row], rel=5e-4)
    assert f"were {truth.mean():.0f}, the mean of these targets, the rmse would be {truth.std():.4g}" in shown["results"]
    assert shown["results"].count("<svg") == 2 and "decrease in R², from" in shown["importance"]
    assert "losses are computed from the standardised target" in shown["curves"]

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


@pytest.fixture(scope="module")
def report_of(tmp_path_factory):
    """Returns a function from a kind of network, such as "bce", to its report (written once), the network and the targets."""
    folder = tmp_path_factory.mktemp("reports")

    @functools.cache
    def written(kind):
        path, (net, y, history) = folder / f"{kind}.html", arrays(kind)
        pictures.report(
            path, net, X, y, history=history, settings={"epochs": 2, "<&>": "<b>"},
            metrics=["recall"] if kind in ("bce", "labels") else [], command="numbanet train --target 'a b'"
        )  # fmt: skip
        return path, net, y

    return written


@each("kind", ["labels", "outputs", "bce", "sse"])
def test_networks_of_arrays(kind, report_of):
    path, net, y = report_of(kind)
    shown = sections_of(path)
    assert list(shown) == [*SECTIONS, "result"]
    figures = net.evaluate(X, y, metrics=["recall"] if kind in ("bce", "labels") else [])
    recall = f"recall {figures['recall']:.4f}, " if "recall" in figures else ""
    assert shown["result"].endswith(f"{recall}loss {figures['loss']:.4f}, on 20 samples")
    assert "&lt;&amp;&gt;" in shown["settings"] and "<b>" not in shown["settings"]
    assert "<h1>Training report</h1>" in path.read_text("utf-8")
    meaning = {"bce": "of the class '1': recall.", "labels": "means over the labels: recall."}.get(kind)
    assert meaning is None or f"These metrics are {meaning}" in shown["results"]
    if kind == "bce":
        assert f"<dd>{metrics.recall_score(y, net.predict(X) > 0.5):.4f}</dd>" in shown["results"]
    assert {"x[0]", "x[1]"} <= {row[0] for row in rows_of(shown["importance"])}
    assert "on 20 samples. Each sample has 2 inputs; their values range from -1 to 1." in shown["data"]
    if kind == "labels":
        assert "true labels" in shown["worst"] and "confusion" not in shown["results"]
    if kind == "outputs":
        assert "residual y[1]" in shown["worst"] and shown["results"].count("<svg") == 4


def test_an_evaluation_names_its_data_and_has_no_curves(tmp_path):
    net, y, _ = arrays("sse")
    pictures.report(tmp_path / "report.html", net, X, y, data="waves")
    assert "<h1>Evaluation report: waves</h1>" in (tmp_path / "report.html").read_text("utf-8")
    shown = sections_of(tmp_path / "report.html")
    assert list(shown) == [*(name for name in SECTIONS if name not in ("curves", "repeat")), "result"]
    assert shown["result"].endswith(f"loss {net.evaluate(X, y)['loss']:.4f}, on 20 samples")


def test_the_page_names_no_address_and_has_no_script(report_of):
    text = report_of("bce")[0].read_text("utf-8")
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
    title = ": digits, images of 8 x 8 pixels</h1>"
    assert f"<h1>Training report{title}" in Path(report).read_text("utf-8")
    assert f"test {shown['result']}\n" in out.replace(" images\n", " images, of 1,797 in all\n") and shown["result"].endswith(
        "on 359 held-out images, of 1,797 in all"
    )
    net, (_, _, x, y) = Network.load(tmp_path / "d.npz"), load_digits()
    worst = net.predict(x)[np.arange(359), y].argmin()
    assert rows_of(shown["worst"])[1][:2] == [str(worst + 1), str(y[worst])]
    assert "<image" in shown["importance"] and "The network has 64 columns" in shown["importance"]
    assert "fill: #ffffff" not in shown["importance"]  # a dark page has no white rectangle
    measured = evaluation.permutation_importance(net, x, y)
    best = measured.means.argmax()
    expected = [f"row {best // 8 + 1}, column {best % 8 + 1}", f"{measured.means[best]:.4f}"]
    assert rows_of(shown["importance"])[1][:2] == expected and len(rows_of(shown["importance"])) == 11
    assert "<image" in shown["worst"] and f">row {worst + 1}: true {y[worst]},<" in shown["worst"]
    assert "<dd>gradient descent, learning rate 0.1</dd>" in shown["settings"]

    assert main(["evaluate", str(tmp_path / "d.npz"), "digits", "--report", report]) == 0
    assert f"<h1>Evaluation report{title}" in Path(report).read_text("utf-8")
    assert capsys.readouterr().out.strip() + ", of 1,797 in all" == sections_of(Path(report))["result"]


def images_of(folder):
    """Writes images of 4 x 3 pixels and their labels to IDX files, and returns the paths."""
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 3)).astype(np.uint8)
    images[:, 0] = 7
    arrays = {"images-idx3-ubyte": images, "labels-idx1-ubyte": (images[:, 2, 1] > 127).astype(np.uint8)}
    for name, array in arrays.items():
        header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        (folder / name).write_bytes(header + array.tobytes())
    return [str(folder / name) for name in arrays]


def test_images_in_a_file_are_drawn(tmp_path, capsys):
    (images, labels), report, model = images_of(tmp_path), tmp_path / "report.html", str(tmp_path / "net.npz")
    assert main(["train", images, "--target", labels, "--epochs", "3", "--report", str(report), "-o", model]) == 0
    shown = sections_of(report)
    assert rows_of(shown["data"])[1][:2] == ["x[0] to x[11], 12 columns", "numeric"] and rows_of(shown["data"])[1][-1] == "12"
    assert "<image" in shown["worst"] and len(rows_of(shown["worst"])[0]) == 5
    assert "image of 4 by 3 pixels" in shown["importance"]
    assert ["row 1, column 1", "0.0000", "0.0000"] not in rows_of(shown["importance"])[1:3]
    more = ["evaluate", model, images, "--target", labels, "--report", str(report)]
    assert main(more) == 0 and "<image" in sections_of(report)["worst"]
    ignoring = ["train", images, "--target", labels, "--ignore", "x[0]", "--epochs", "1", "-o", model, "--report", str(report)]
    assert main(ignoring) == 0 and "<image" not in sections_of(report)["worst"] + sections_of(report)["importance"]


def test_a_time_limit_is_stated(tmp_path, monkeypatch):
    net, y, _ = arrays("sse")
    seconds = iter([0, 19, 21])
    monkeypatch.setattr(importance, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    net = Network([3, 3, 1], "tanh", "sse", seed=0, kernels="reference")
    pictures.report(tmp_path / "report.html", net, np.hstack([X, X[:, :1] / 100]), y, shape=(1, 3))
    shown = sections_of(tmp_path / "report.html")["importance"]
    assert "The time limit of 20 seconds ended the measurement after 2 of the 3 columns" in shown
    assert "The measurement left out x[2]." in shown and "not measured are grey" in shown


def test_long_names_are_shortened_and_can_be_read(tmp_path, capsys):
    names = ["the first of two columns with long names $_$", "高度", "the second of two columns <&> with long names"]
    text = "".join(f'"{row[0]}",{row[1]},{row[0] * 2},{k % 2}\n' for k, row in enumerate(X.tolist()))
    (tmp_path / "long.csv").write_text(",".join([*names, "y"]) + "\n" + text)
    report = tmp_path / "report.html"
    files = ["--report", str(report), "-o", str(tmp_path / "net.npz")]
    assert main(["train", str(tmp_path / "long.csv"), "--target", "y", "--epochs", "1", *files]) == 0
    assert "Glyph" not in capsys.readouterr().err
    shown = sections_of(report)
    assert all(
        f">{short}<" in shown[part] for short in ("the first of t…ong names $_$", "高度") for part in ("importance", "worst")
    )
    for name in names[::2]:
        short = html.escape(f"{name[:14]}…{name[-13:]}")
        assert f"<title>{html.escape(name, quote=False)}</title>{short}</text>" in shown["importance"]
        assert f'<abbr title="{html.escape(name)}">{short}</abbr>' in shown["worst"]
        assert f">{html.escape(name, quote=False)}</th>" in shown["data"]


def test_the_epochs_with_the_lowest_loss_and_the_kept_parameters_are_told_apart(tmp_path):
    net, y, _ = arrays("sse")
    history = History()
    for epoch, loss in enumerate((0.5, 0.00001234, 0.25, 0.125), start=1):
        history.add(epoch, {"loss": 1 / epoch, "val_loss": loss, "seconds": 2.5 if epoch == 1 else 0.1234567})
    pictures.report(tmp_path / "report.html", net, X, y, history=history)
    shown = sections_of(tmp_path / "report.html")
    assert "2.87 s in 4 epochs; the median epoch took 0.123 s; the first epoch, which includes any" in shown["machine"]
    shown = shown["curves"]
    assert rows_of(shown)[1:] == [
        ["first", "1", "1.0000", "0.5000", "2.5"],
        ["lowest val_loss", "2", "0.5000", "1.234e-05", "0.123"],
        ["last, kept", "4", "0.2500", "0.1250", "0.123"],
    ]
    assert "keeps the parameters of epoch 4, the last epoch" in shown
    assert "on the validation data from 0.5000 in epoch 1 to 0.1250 in epoch 4" in shown
    history.best_epoch = 3
    shown = sections.curves(net, history)
    assert [row[:2] for row in rows_of(shown)[2:]] == [["lowest val_loss", "2"], ["kept", "3"], ["last", "4"]]
    assert "keeps the parameters of epoch 3, the best epoch of early stopping" in shown


@each(
    "value, text",
    [(0.000123456, "0.0001235"), (12.3456, "12.35"), (123456.7, "123457"), (-1234.5678, "-1235"), (2e20, "2e+20")],
)
def test_a_quantity_keeps_four_digits_and_all_digits_before_the_point(value, text):
    assert checks.quantity(value) == text


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
