"""An error about a missing package contains a command that installs the package into the current environment."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from numbanet import _extras

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_the_packages_are_those_of_the_project():
    extras = PROJECT["optional-dependencies"]
    declared = {name: tuple(each.partition(";")[0].strip() for each in extras[name]) for name in _extras.REQUIREMENTS}
    assert declared == _extras.REQUIREMENTS


def test_the_command_is_one_for_this_interpreter(monkeypatch):
    with pytest.raises(ModuleNotFoundError) as error:
        _extras.imported("package_that_nobody_has", "tables")
    command = str(error.value).partition(": ")[2]
    assert sys.executable in command and command.endswith(' "pyarrow>=14"')
    if importlib.util.find_spec("pip"):
        tried = subprocess.run(f"{command} --no-deps --dry-run --no-index", shell=True, capture_output=True, text=True)
        assert tried.returncode == 0 or "No matching distribution" in tried.stderr
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # pip is missing, as in an environment of uv
    assert _extras.installing("torch") == f"uv pip install --python {sys.executable} torch"
    monkeypatch.setattr(sys, "executable", "/a folder/python")
    assert _extras.installing("mpi") == 'uv pip install --python "/a folder/python" "mpi4py>=4.0" "mpich>=4.2"'
