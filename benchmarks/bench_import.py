"""What a user waits for at the start, each time in a fresh Python: a timeraw_ function returns the code to run."""

FIRST_FIT = """
from numbanet import Network, load_digits
x, y, _, _ = load_digits()
Network([64, 32, 10], "relu", "cce", seed=0).fit(x, y, epochs=1, verbose=0)
"""

EMPTY_CACHE = """
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["NUMBA_CACHE_DIR"] = folder.name
"""


def timeraw_import():
    return "import numbanet"


def timeraw_first_fit():
    """Import and one epoch of 64-32-10, everything compiled before."""
    return FIRST_FIT


timeraw_first_fit.setup = lambda: exec(FIRST_FIT, {})  # fills the cache


def timeraw_first_fit_cold():
    """The same, nothing compiled before."""
    return FIRST_FIT, EMPTY_CACHE


timeraw_first_fit_cold.repeat = timeraw_first_fit_cold.rounds = 1
timeraw_first_fit_cold.warmup_time = 0
