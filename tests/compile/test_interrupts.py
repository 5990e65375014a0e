"""Ctrl-C at any moment of a compilation ends the compilation soon, and the next call of the function works."""

import os
import shutil
import signal
import sys
import tempfile
import threading

import pytest
from numba.core import event

from numbanet import _cuda
from numbanet._compile import config, folder, njit
from tests.helpers.engines import each

pytestmark = pytest.mark.skipif(_cuda.SIMULATED or config.DISABLE_JIT, reason="needs compiled functions")


@pytest.fixture(autouse=True)
def base(monkeypatch):
    place = os.path.realpath(tempfile.mkdtemp())
    monkeypatch.setattr(config, "CACHE_DIR", place)
    folder.cache_folder.cache_clear()
    yield
    folder.cache_folder.cache_clear()
    shutil.rmtree(place)


@pytest.fixture(autouse=True)
def handler():
    """Returns Python's default handler of Ctrl-C, which must be installed again after each test."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def half(x):
    return x / 2


def interrupt_in(name):
    """Sends Ctrl-C to this process at the next call of a Python function with the given name."""

    def profile(frame, kind, _):
        if kind == "call" and frame.f_code.co_name == name:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(profile)


CALLED_BY_LLVM = ["_raw_object_cache_notify", "_raw_object_cache_getbuffer"]


@each("name", [*CALLED_BY_LLVM, "run_pass", "_reduce"])
def test_an_interrupt_is_heard_and_the_next_call_works(name):
    function = njit(half)
    interrupt_in(name)
    with pytest.raises(KeyboardInterrupt):
        function(3.0)
    assert function(3.0) == 1.5 and njit(half)(3.0) == 1.5


def test_an_interrupt_while_code_is_loaded_is_heard_and_the_next_call_works():
    njit(half)(3.0)
    function = njit(half)
    interrupt_in("_raw_object_cache_getbuffer")
    with pytest.raises(KeyboardInterrupt):
        function(3.0)
    assert function(3.0) == 1.5 and function.stats.cache_hits


class Passes(event.Listener):
    """Counts the passes of the compiler, and sends Ctrl-C during the first pass."""

    def __init__(self):
        self.count = 0

    def on_start(self, event):
        self.count += 1
        if self.count == 1:
            signal.raise_signal(signal.SIGINT)

    def on_end(self, event):
        pass


def test_an_interrupt_ends_a_compilation_between_two_passes():
    passes, function = Passes(), njit(half)
    with event.install_listener("numba:run_pass", passes), pytest.raises(KeyboardInterrupt):
        function(3.0)
    assert 1 <= passes.count <= 2 and not function.overloads


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs a second signal")
def test_other_handlers_run_too_and_may_replace_themselves():
    seen = []

    def once(number, frame):
        seen.append(number)
        signal.signal(number, signal.SIG_IGN)

    before = signal.signal(signal.SIGUSR1, once)
    try:
        passes = Passes()
        passes.on_start = lambda event: signal.raise_signal(signal.SIGUSR1)
        with event.install_listener("numba:run_pass", passes):
            assert njit(half)(3.0) == 1.5
        assert seen == [signal.SIGUSR1] and signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_another_thread_compiles_as_well():
    results = []
    thread = threading.Thread(target=lambda: results.append(njit(half)(3.0)))
    thread.start()
    thread.join()
    assert results == [1.5]
