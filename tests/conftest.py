"""Settings and fixtures that all tests share."""

import gc
import os

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # for scikit-learn's estimator checks; read when SciPy is imported
os.environ.setdefault("MPLBACKEND", "agg")  # draws without a screen

import pytest

from numbanet import _cuda
from numbanet._compile import collection_paused
from tests.helpers.engines import SOFTWARE_GPU
from tests.software_gpu import findings


@pytest.hookimpl(tryfirst=True)  # runs before xdist reads its options
def pytest_cmdline_main(config):
    """Divides the whole suite between two processes; a selection of tests runs in one process."""
    option = config.option
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (option.keyword or option.markexpr)
    alone = SOFTWARE_GPU or option.usepdb or option.collectonly or hasattr(config, "workerinput")
    if whole and not alone and config.pluginmanager.hasplugin("xdist") and option.numprocesses is None:
        option.numprocesses, option.loadscopereorder = 2, False
        # loadfile: all tests of a file run in the same process, so that its fixtures are created once. worksteal: in the
        # simulator, a few long files would otherwise keep one process busy alone.
        option.dist = "worksteal" if _cuda.SIMULATED else "loadfile"


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Excludes modules and tests from garbage collection, because all of them exist until the end of the run."""
    with collection_paused():
        result = yield
    gc.freeze()
    return result


def pytest_collection_modifyitems(config, items):
    """If the GPU is simulated, selects only tests with the argument `device` or the mark `simulator`: the kernels are slow."""
    if _cuda.SIMULATED or SOFTWARE_GPU:
        kept = [item for item in items if "device" in item.fixturenames or item.get_closest_marker("simulator")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


@pytest.fixture(autouse=SOFTWARE_GPU)
def _no_findings():
    """Fails a test if the software GPU (see tests/software_gpu) has found errors in the kernels that the test ran."""
    yield
    findings.revive()
    found = findings.take()
    assert not found, "\n".join(found)
