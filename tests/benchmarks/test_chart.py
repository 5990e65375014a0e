"""The chart docs/ladder.svg shows the numbers of the tables in docs/performance.md."""

import re

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from benchmarks.ladder import chart
from numbanet.pictures import style
from tests.helpers.pages import ROOT

PAGE = ROOT / "docs" / "performance.md"
TEXT = """### Epochs on one core

| rung | batch | numbanet | JAX | PyTorch | scikit-learn | best peer / numbanet |
|---|---|---|---|---|---|---|
| R1 2-2-2 | 4 | 0.5 (0.1) | 1,500 (3) | 2.5 (3) | — | 5.00 |
| R3 784-128-10 tanh | 64 | 1 | 2 | 3 | 4 | 2.00 |

### Epochs on two cores

| rung | batch | numbanet | JAX | PyTorch | scikit-learn | best peer / numbanet |
|---|---|---|---|---|---|---|
| R2 64-32-10 | 4 | 4 | 2 | 8 | 16 | 0.50 |

### Prediction

| rung | samples | numbanet | JAX | PyTorch | scikit-learn | best peer / numbanet |
|---|---|---|---|---|---|---|
| R2 64-32-10 | 1 | 2 | 1 | 1 | 1 | 0.50 |

## End
"""


def test_tables_become_ratios():
    one, two, prediction = chart.panels_of(TEXT)
    assert one == chart.Panel(
        "Training, one core", ["R1 2-2-2"], ["5.00"], {"JAX": [3000], "PyTorch": [5], "scikit-learn": [None]}
    )
    assert two.ratios == {"JAX": [0.5], "PyTorch": [2], "scikit-learn": [4]}
    assert prediction.rows == ["R2 64-32-10, 1 sample"]


def test_no_mark_hides_another_and_each_row_has_its_number():
    figure = Figure(figsize=(8.8, 3))
    for ax, panel in zip(figure.subplots(3, 1), chart.panels_of(PAGE.read_text()), strict=True):
        ax.set_position((0.2, 0.1, 0.7, 0.34 * len(panel.rows) / 3))  # the height of a row in the chart
        chart.draw_panel(ax, panel, style)
        marks = np.concatenate([ax.transData.transform(line.get_xydata()) for line in ax.get_lines()[:3]]) * 72 / figure.dpi
        apart = np.hypot(*(marks[:, np.newaxis] - marks).transpose(2, 0, 1)) + 100 * np.eye(len(marks))
        assert apart.min() > 5.5  # the size of a mark in points
        numbers = {text.get_position()[1]: text.get_text() for text in ax.texts if text.get_text() in panel.best}
        assert numbers == dict(enumerate(panel.best)) and "best peer\n/ numbanet" in [text.get_text() for text in ax.texts]


def test_the_committed_chart_is_up_to_date(tmp_path):
    chart.main([str(PAGE), str(tmp_path / "ladder.svg")])
    drawn, committed = ((folder / "ladder.svg").read_text() for folder in (tmp_path, PAGE.parent))
    words = re.compile(r">([^<>\n]+)</(?:text|tspan)>")
    assert words.findall(drawn) == words.findall(committed), (
        "python -m benchmarks.ladder.chart docs/performance.md docs/ladder.svg"
    )
    for panel in chart.panels_of(PAGE.read_text()):
        assert {*panel.rows, *panel.best} <= set(words.findall(drawn))
        assert len(panel.rows) >= 4
