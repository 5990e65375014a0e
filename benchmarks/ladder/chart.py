"""Draws the tables of the benchmark `ladder` as a chart: the times of the other libraries, divided by numbanet's times.

    python -m benchmarks.ladder.chart docs/performance.md docs/ladder.svg

The command reads the tables from a Markdown file, in the format that `python -m benchmarks.ladder --markdown` prints. Drawing
needs matplotlib.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PEERS = ("JAX", "PyTorch", "scikit-learn")
# The headings of the tables, and the titles of their panels.
TABLES = {
    "Epochs on one core": "Training, one core",
    "Epochs on two cores": "Training, two cores",
    "Prediction": "Prediction, two cores",
}
EXAMPLES = (r"R[1-6] [-\d]+", r"R[1-6] [-\d]+, [\d,]+ samples?")  # rows with other activations or dtypes are left out

LANE = 0.28  # the distance between the marks of two libraries in a row, if the distance between rows is 1
NUMBER = {"ha": "center", "va": "center", "size": 8.5}


class Panel(NamedTuple):
    """The part of the chart for one table: the titles of the rows, and each library's time divided by numbanet's time.

    `best` contains the cells of the table's column "best peer / numbanet", in which a peer is another library.
    """

    title: str
    rows: list[str]
    best: list[str]
    ratios: dict[str, list[float | None]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Draws the chart with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ladder.chart", description=__doc__.partition("\n")[0])
    parser.add_argument("tables", metavar="FILE.md", help="a Markdown file with the tables of the ladder")
    parser.add_argument("chart", metavar="FILE.svg", help="the file to write: .svg, .png, .pdf or .html")
    options = parser.parse_args(arguments)
    draw(panels_of(Path(options.tables).read_text("utf-8")), options.chart)


def panels_of(text: str) -> list[Panel]:
    """Returns a panel for each table of a Markdown text that stands below a heading in TABLES."""
    panels = []
    for heading, title in TABLES.items():
        section = text[text.index(f"### {heading}\n") :]
        lines = re.findall(r"^\|(.*)\|$", section[: section.index("\n##", 1)], re.MULTILINE)
        columns, _, *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
        panels.append(panel_of(title, columns, rows))
    return panels


def panel_of(title: str, columns: list[str], rows: list[list[str]]) -> Panel:
    """Returns the panel for a table with the given titles of columns and rows of cells."""
    titles: list[str] = []
    best: list[str] = []
    ratios: dict[str, list[float | None]] = {peer: [] for peer in PEERS}
    for row in rows:
        cells = dict(zip(columns, row, strict=True))
        samples = cells.get("samples")
        name = cells["rung"] + (f", {samples} sample{'s' * (samples != '1')}" if samples else "")
        if any(re.fullmatch(pattern, name) for pattern in EXAMPLES):
            titles.append(name)
            best.append(cells["best peer / numbanet"])
            for peer in PEERS:
                time = number(cells[peer])
                ratios[peer].append(time and time / (number(cells["numbanet"]) or 1.0))
    return Panel(title, titles, best, ratios)


def number(cell: str) -> float | None:
    """Returns the first number in a cell, such as 1,234 or 0.5 (GFLOP/s), or None for a dash."""
    match = re.match(r"[\d,]*\.?\d+", cell)
    return float(match[0].replace(",", "")) if match else None


def draw(panels: list[Panel], path: str) -> None:
    """Draws the panels one below the other, with a common axis for ratios, and writes the chart to a file."""
    from matplotlib.figure import Figure

    from numbanet.pictures import style
    from numbanet.pictures.files import save

    def chart() -> Figure:
        heights = [len(panel.rows) + 1.4 for panel in panels]
        figure = Figure(figsize=(8.8, 0.34 * sum(heights) + 0.6), layout="constrained")
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for ax, panel in zip(axes, panels, strict=True):
            draw_panel(ax, panel, style)
        axes[-1].set_xlabel(
            "time of the library divided by the time of numbanet; right of 1, numbanet is faster", color=style.LIGHT.ink
        )
        axes[-1].set_xticks([0.5, 1, 2, 5, 10, 50, 100, 500], ["0.5", "1", "2", "5", "10", "50", "100", "500"])
        return figure

    save([chart], path, "numbanet: the ladder")


def draw_panel(ax, panel: Panel, style) -> None:
    """Draws a panel: in each row, a mark at each library's time divided by numbanet's time, and `panel.best` as text."""
    theme = style.LIGHT
    places = range(len(panel.rows))
    for place in places:
        if place % 2 == 0:
            ax.axhspan(place - 0.5, place + 0.5, color=theme.band, lw=0, zorder=0)
        ax.text(1.07, place, panel.best[place], transform=ax.get_yaxis_transform(), **NUMBER, color=theme.ink, weight="bold")
    for number_of, (peer, values) in enumerate(panel.ratios.items()):
        shown = [(value, place + LANE * (number_of - 1)) for place, value in enumerate(values) if value is not None]
        marker, colour = style.MARKERS[number_of], theme.colour(number_of)
        ax.plot(*zip(*shown, strict=True), marker, color=colour, ms=5.5, zorder=2, label=peer)
    ax.text(1.07, -1.05, "best peer\n/ numbanet", transform=ax.get_yaxis_transform(), **NUMBER, color=theme.ink)
    ax.axvline(1, color=theme.ink, lw=1, zorder=1)
    ax.set_xscale("log")
    ax.set_yticks(places, panel.rows)
    ax.set_ylim(len(panel.rows) - 0.5, -0.5)
    ax.set_xlim(0.3, 900)
    ax.set_title(panel.title, loc="left", size=10, weight="bold", color=theme.heading)
    ax.legend(
        loc="lower right",
        bbox_to_anchor=(0.98, 1),
        ncols=len(PEERS),
        frameon=False,
        fontsize=8.5,
        handletextpad=0.1,
        borderaxespad=0.1,
    )
    style.calm(ax)
    ax.minorticks_off()


if __name__ == "__main__":
    main()
