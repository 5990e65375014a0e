"""Trains on the table of penguins with the command `numbanet train`, which writes a report."""

from pathlib import Path

from numbanet.cli import main

PENGUINS = Path(__file__).resolve().parents[2] / "docs" / "penguins" / "penguins.csv"
OPTIONS = {
    "species": ["--impute", "median", "--metrics", "f1", "--early-stopping", "50"],
    "body_mass_g": ["--impute", "mean", "--metrics", "mse"],
}


def train(target, folder):
    """Trains a network on the column `target`; writes TARGET.html, .png and .npz into the folder; returns the table's path."""
    data = PENGUINS
    if target == "body_mass_g":  # without the rows in which the mass is unknown
        data = folder / "penguins.csv"
        data.write_text("".join(line for line in PENGUINS.read_text().splitlines(True) if "NA,NA,NA" not in line))
    files = [f"--report={folder / target}.html", f"--curves={folder / target}.png", "-o", f"{folder / target}.npz"]
    assert main(["train", str(data), "--target", target, "--epochs", "12", *OPTIONS[target], *files]) == 0
    return data
