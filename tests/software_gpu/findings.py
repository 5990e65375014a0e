"""Lets tests read the findings (errors in kernels) of the software GPU, which its driver appends to a file."""

import os
from pathlib import Path

FILE = Path(os.environ.get("SOFTWARE_GPU_REPORT", "/nonexistent")) / "findings"


def lines_of(path: Path) -> list[str]:
    """Returns the lines of a file, or an empty list if the file does not exist."""
    return path.read_text().splitlines() if path.exists() else []


def take() -> list[str]:
    """Returns the findings that the driver has written to `FILE` since the last call of `take`, and empties `FILE`."""
    found = lines_of(FILE)
    if found:
        FILE.write_text("")
    return found


def revive() -> None:
    """Makes the CUDA context usable again after a kernel has failed, because otherwise the next test would fail, too."""
    from cuda.bindings import driver

    driver.cuDevicePrimaryCtxReset(0)
