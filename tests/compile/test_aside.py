"""A second process compiles the routines that take the longest, while the first process compiles all other functions."""

import os
import time
from contextlib import nullcontext

import numpy as np
import pytest

from numbanet import Network, _cuda
from numbanet._compile import aside, config
from numbanet.engines.cpu import routines, threads
from numbanet.engines.cpu.kernels.routine import Signature
from tests.helpers.called_aside import fail, write, write_and_sleep, write_content_of
from tests.helpers.engines import each

pytestmark = pytest.mark.skipif(_cuda.SIMULATED or config.DISABLE_JIT, reason="needs compiled functions")


def test_a_function_is_called_in_another_process(tmp_path):
    with aside.called_aside(write, (str(tmp_path / "file"), "it's \\ called")) as wait:
        wait()
    assert (tmp_path / "file").read_text() == "it's \\ called"


def test_an_error_in_the_other_process_is_not_printed(tmp_path, capfd):
    with aside.called_aside(fail, (str(tmp_path / "file"),)) as wait:
        wait()
    assert (tmp_path / "file").read_text() == "before the error"
    assert capfd.readouterr() == ("", "")


def test_a_call_that_nobody_waits_for_is_stopped(tmp_path):
    file = tmp_path / "file"
    with pytest.raises(KeyboardInterrupt), aside.called_aside(write_and_sleep, (str(file),)):
        while not (file.exists() and file.read_text()):
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert file.read_text() != "waited"
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_a_call_that_takes_too_long_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(aside, "SECONDS", 0.01)
    with aside.called_aside(write_and_sleep, (str(tmp_path / "file"),)) as wait:
        wait()
    assert not (tmp_path / "file").exists() or (tmp_path / "file").read_text() != "waited"


def test_the_other_process_imports_modules_from_the_same_folders(tmp_path, monkeypatch):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "only_here.py").write_text("content = 'found'")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    with aside.called_aside(write_content_of, ("only_here", str(tmp_path / "file"))) as wait:
        wait()
    assert (tmp_path / "file").read_text() == "found"


@each("name, value", [("cache_folder", lambda: None), ("sys.executable", "/opt/editor"), ("sys.executable", None)])
def test_without_a_cache_or_without_a_python_interpreter_nothing_is_called(name, value, tmp_path, monkeypatch):
    monkeypatch.setattr(f"numbanet._compile.aside.{name}", value)
    with aside.called_aside(write, (str(tmp_path / "file"), "text")) as wait:
        wait()
    assert not (tmp_path / "file").exists()


@each(
    "call, loss, run_is_missing, names",
    [
        ("train_step", "mse", True, ("forward", "backward", "update")),
        ("train_step", "mse", False, ("backward", "update")),
        ("train_step", "cce", True, ("forward", "backward", "update")),
        ("evaluate", "cce", False, None),
        ("predict", "cce", True, ("forward",)),
        ("predict", "mse", False, None),
    ],
)
def test_each_process_has_something_to_compile(call, loss, run_is_missing, names, monkeypatch):
    x, y = np.ones((8, 3), "float32"), np.eye(2, dtype="float32")[[0, 1] * 4]
    activation = "softmax" if loss == "cce" else "identity"
    Network([3, 2], activation, loss).fit(x, y, epochs=1, verbose=0)  # compiles, unless the cache has everything
    monkeypatch.setattr(threads.crew, "size", 2)
    monkeypatch.setattr(routines, "COMPILED", {})
    monkeypatch.setattr(routines, "must_be_compiled", lambda *_: run_is_missing)
    monkeypatch.setattr(Signature, "must_be_compiled", lambda *_: True)
    started = []

    def called(function, arguments):
        started.append((function, arguments))
        return nullcontext(lambda: function(*arguments))  # in this process, because a second process hides errors

    monkeypatch.setattr(routines, "called_aside", called)
    net = Network([3, 2], activation, loss)
    getattr(net, call)(*{"train_step": (x, y, 0.1), "evaluate": (x, y), "predict": (x,)}[call])
    assert started == ([] if names is None else [(routines.compile_longest, ("float32", *names))])
