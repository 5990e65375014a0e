"""The suites for asv (https://asv.readthedocs.io): equations, layers, epochs, predictions, whole processes, transfers.

asv imports this folder as the top-level package `suites`, in an environment with the numbanet of the commit under test.
`benchmarks` is imported here by way of the repository, whose root then leaves the path: on the path, it would put the numbanet
of the working tree in place of that of the commit.
"""

import sys
from pathlib import Path

_ROOT = str(Path(__file__).parents[2])
sys.path.insert(0, _ROOT)
try:
    import benchmarks  # noqa: F401
finally:
    sys.path.remove(_ROOT)
