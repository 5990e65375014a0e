"""Settings and fixtures of all tests."""

import gc
import os
import sys

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # SciPy reads it when it is imported; scikit-learn's estimator checks need it
os.environ.setdefault("MPLBACKEND", "agg")  # draws without a screen

import pytest

from numbanet import _cuda
from numbanet._compile import collection_paused
from tests.helpers.engines import SOFTWARE_GPU
from tests.software_gpu import findings

if _cuda.SIMULATED:
    sys.setswitchinterval(2e-5)  # simulated threads mostly wait for each other


@pytest.hookimpl(tryfirst=True)  # before xdist reads its options
def pytest_cmdline_main(config):
    """Spreads the whole suite over two processes; a selection of tests stays in this process."""
    option = config.option
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (option.keyword or option.markexpr)
    alone = SOFTWARE_GPU or option.usepdb or option.collectonly or hasattr(config, "workerinput")
    if whole and not alone and config.pluginmanager.hasplugin("xdist") and option.numprocesses is None:
        option.numprocesses, option.loadscopereorder = 2, False
        # By files, whose fixtures would be made twice otherwise. The simulator's tests have few, and the longest files.
        option.dist = "worksteal" if _cuda.SIMULATED else "loadfile"


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Spares the garbage collector the modules and the tests, which live until the end."""
    with collection_paused():
        result = yield
    gc.freeze()
    return result


def pytest_collection_modifyitems(config, items):
    """Without a real GPU, leaves only the tests that run on a device or are marked `simulator`: the kernels are slow."""
    if _cuda.SIMULATED or SOFTWARE_GPU:
        kept = [item for item in items if "device" in item.fixturenames or item.get_closest_marker("simulator")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


@pytest.fixture(autouse=SOFTWARE_GPU)
def _no_findings():
    """Fails a test if its kernels make errors that only the software GPU notices."""
    yield
    findings.revive()
    found = findings.take()
    assert not found, "\n".join(found)
