"""The findings of the software GPU, for tests: taken from the file to which the driver appends them."""

import os
from pathlib import Path

from tests.software_gpu.__main__ import lines_of

FILE = Path(os.environ.get("SOFTWARE_GPU_REPORT", "/nonexistent")) / "findings"


def take() -> list[str]:
    """Returns the findings since the last call, and removes them from the report."""
    found = lines_of(FILE)
    if found:
        FILE.write_text("")
    return found


def revive() -> None:
    """Makes the context usable again after a kernel has failed, so that the next test does not fail too."""
    from cuda.bindings import driver

    driver.cuDevicePrimaryCtxReset(0)
