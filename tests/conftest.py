"""Settings and fixtures of all tests."""

import os
import sys

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # SciPy reads it when it is imported; scikit-learn's estimator checks need it
os.environ.setdefault("MPLBACKEND", "agg")  # draws without a screen

import pytest

from numbanet import _cuda

if _cuda.SIMULATED:
    sys.setswitchinterval(1e-4)  # simulated threads mostly wait for each other


@pytest.hookimpl(tryfirst=True)  # before xdist reads its options
def pytest_cmdline_main(config):
    """Spreads the whole suite over two processes, by files; a selection of tests stays in this process."""
    option = config.option
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (option.keyword or option.markexpr)
    alone = option.usepdb or option.collectonly or hasattr(config, "workerinput")
    if whole and not alone and config.pluginmanager.hasplugin("xdist") and option.numprocesses is None:
        option.numprocesses, option.dist, option.loadscopereorder = 2, "loadfile", False


@pytest.fixture
def only_on_the_device(request):
    """Skips a test without a parameter `device` in the simulator: the run on the CPU has it already."""
    if _cuda.SIMULATED and "device" not in request.fixturenames:
        pytest.skip("runs on the CPU")
