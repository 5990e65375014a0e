"""Reads the findings of the software GPU, for tests, from the file to which the driver appends them."""

import os
from pathlib import Path

FILE = Path(os.environ.get("SOFTWARE_GPU_REPORT", "/nonexistent")) / "findings"


def lines_of(path: Path) -> list[str]:
    """Returns the lines of a file, or no lines if the file does not exist."""
    return path.read_text().splitlines() if path.exists() else []


def take() -> list[str]:
    """Returns the findings since the last call, and removes them from the driver's report."""
    found = lines_of(FILE)
    if found:
        FILE.write_text("")
    return found


def revive() -> None:
    """Makes the context usable again after a kernel has failed, so that the next test does not fail too."""
    from cuda.bindings import driver

    driver.cuDevicePrimaryCtxReset(0)
