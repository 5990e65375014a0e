"""A notebook displays networks, histories and traces as pictures and tables, and the progress of `fit` in one line."""

import importlib.util
import os
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from numbanet import Network, Trace
from tests.helpers.engines import each

X, Y = np.linspace(-1, 1, 24).reshape(12, 2), np.arange(12) % 3
CELLS = (
    "import numpy as np\nfrom numbanet import Network\nx, y = np.linspace(-1, 1, 24).reshape(12, 2), np.arange(12) % 3",
    "net = Network([2, 4, 3], 'tanh', 'cce', seed=0, kernels='reference')\nnet",
    "from numbanet.training import reporting\nreporting.BAR_AFTER_SECONDS = 0\n"
    "history = net.fit(x, y, epochs=30, validation_data=(x, y))",
    "history",
    "net.trace(x[:2], y[:2])",
)


def trained():
    net = Network([2, 4, 3], "tanh", "cce", seed=0, kernels="reference", dropout=0.5)
    return net, net.fit(X, Y, epochs=3, validation_data=(X, Y), verbose=0)


def pictures_in(html):
    """Returns the text of each SVG element; checks that each SVG element is well-formed, and that all identifiers differ."""
    found = re.findall(r"<svg .*?</svg>", html, re.DOTALL)
    identifiers = re.findall(r' id="([^"]*)"', html)
    assert len(set(identifiers)) == len(identifiers)
    assert set(re.findall(r"url\(#([^)]*)\)", html)) <= set(identifiers)
    return [" ".join(ElementTree.fromstring(svg.replace("xlink:href", "href")).itertext()) for svg in found]


def test_a_network_is_a_drawing_with_its_layers():
    pytest.importorskip("matplotlib")
    net, _ = trained()
    html = net._repr_html_()
    (texts,) = pictures_in(html)
    assert "layer 1" in texts and "softmax" in texts and "positive" in texts
    rows = [re.sub(r"<[^>]*>", " ", row).split() for row in re.findall(r"<tr>.*?</tr>", html)]
    assert rows[1:] == [["1", "tanh", "2", "4", "8", "4", "12", "0.5"], ["2", "softmax", "4", "3", "12", "3", "15", "0"]]
    assert "27 parameters; loss cce, float32, reference kernels on cpu" in html
    lines = net.summary().splitlines()
    assert [line.split() for line in lines[:-1]] == rows and lines[-1] in html


def test_a_history_is_its_curves_and_a_data_frame():
    pytest.importorskip("matplotlib")
    _, history = trained()
    html = history._repr_html_()
    loss, accuracy = pictures_in(html)
    assert "loss" in loss and "validation" in loss and "accuracy" in accuracy
    assert f"3 epochs; in the last epoch: loss {history['loss'][-1]:.4g}, accuracy" in html
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(history)
    assert list(frame) == ["epoch", *history.history] and frame["epoch"].tolist() == [1, 2, 3]
    assert (frame["val_loss"] == history["val_loss"]).all()
    assert len(history) == 3 and "val_loss" in history and "epoch" in history and "mae" not in history


def test_without_matplotlib_there_are_tables(monkeypatch):
    net, history = trained()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "<svg" not in net._repr_html_() and "<table" in net._repr_html_()
    assert "<svg" not in history._repr_html_() and "3 epochs" in history._repr_html_()


@each("sizes, shown", [([2, 3, 1], 2 + 6 + 3), ([20, 9, 1], 7 + 7 * 7 + 7)])
def test_a_trace_is_its_arrays(sizes, shown):
    """For a large array, the notebook shows the first six rows and columns, and the last row and column."""
    net = Network(sizes, "tanh", "mse", seed=0, kernels="reference")
    trace = net.trace(np.linspace(-1, 1, sizes[0])[np.newaxis], [[0.25]])
    html = trace._repr_html_()
    cells = re.findall(r"<td[^>]*>([^<…]+)</td>", html)
    assert cells[:shown][-1] == f"{trace.b[0][-1]:.6g}" and f"{trace.w[0][-1, -1]:.6g}" in cells
    assert "<i>∂L/∂w</i><sup>2</sup>" in html and f"L = {trace.loss:.9g}" in html
    assert ("20 by 9 numbers" in html) == (sizes[0] == 20)
    assert repr(trace) == f"<Trace of 1 sample in a network {'-'.join(map(str, sizes))}: mse {trace.loss:.6g}>"
    assert isinstance(trace, Trace) and trace.table().startswith("x  (s down, i across)\n")


def test_an_executed_notebook(monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")]))
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    nbclient.NotebookClient(nbformat.v4.new_notebook(cells=cells), timeout=120, kernel_name="python3").execute()
    _, network, progress, history, trace = (cell.outputs for cell in cells)
    assert [len(pictures_in(output["data"]["text/html"])) for (output,) in (network, history)] == [1, 2]
    assert "<sup>2</sup>" in trace[0]["data"]["text/html"] and "array(" not in trace[0]["data"]["text/plain"]
    lines = "".join(output.get("text", "") for output in progress if output.get("name") == "stdout").splitlines()
    assert [line[:11] for line in lines] == [f"epoch {epoch:2d}/30" for epoch in range(1, 11)]
    shown = [output["data"]["text/plain"] for output in progress if "data" in output]
    assert shown[0] == "" and shown[1].startswith("epoch 30/30  loss ") and len(shown) == 2  # the progress bar, and the line
    assert not any(output.get("name") == "stderr" and "epoch" in output["text"] for output in progress)
