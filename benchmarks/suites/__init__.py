"""The benchmarks for asv (https://asv.readthedocs.io): equations, layers, epochs, predictions, whole processes, transfers.

asv imports this folder as the top-level package `suites`, in an environment in which numbanet is installed from the tested
commit. This module imports the package `benchmarks` from the root of the repository. After the import of `benchmarks`, this
module removes the root of the repository from sys.path, because otherwise Python would import numbanet from the working tree
instead of the tested commit.
"""

import sys
from pathlib import Path

_ROOT = str(Path(__file__).parents[2])
sys.path.insert(0, _ROOT)
try:
    import benchmarks  # noqa: F401
finally:
    sys.path.remove(_ROOT)
