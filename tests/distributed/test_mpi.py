"""Tests of training with several processes, which mpiexec starts, and of the errors if mpi4py is missing.

The processes run functions of tests/files/mpi_cases.py, which are called cases. To start processes takes longer than to run
most cases, so the processes of one mpiexec run several cases.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import numbanet
from numbanet._compile.folder import cache_folder
from numbanet.cli import main
from numbanet.distributed import communicators
from tests.files import mpi_cases
from tests.helpers.engines import CUDA
from tests.helpers.pages import PAGES, blocks_of

CASES = mpi_cases.__file__
SECONDS = 300  # time limit; all processes may have to compile
AT_ONCE = 20  # the processes must end within this time, even on a busy machine
SCRIPTS = [(page.stem, block.code) for page in PAGES for block in blocks_of(page) if block.is_script()]

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or shutil.which("hydra_pmi_proxy", path=str(Path(MPIEXEC or "").parent)) is None,
    reason="needs the mpiexec of MPICH: pip install 'numbanet[mpi]'",
)


def mpiexec(size: int, *command, **environment) -> subprocess.CompletedProcess:
    """Runs Python with the arguments `command` in `size` processes that mpiexec starts."""
    return subprocess.run(
        [MPIEXEC, "-n", str(size), sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **environment},
    )


def written(folder: Path, *cases: str) -> dict:
    """Returns the result of each case, read from the file that rank 0 (the first process) has written."""
    return {case: json.loads((folder / f"{case}.json").read_text()) for case in cases}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Returns the results without MPI, and compiles the loops for the processes that mpiexec starts."""
    mpi_cases.FOLDER = tmp_path_factory.mktemp("alone")
    return {case.__name__: case(numbanet.SerialCommunicator()) for case in (mpi_cases.same, mpi_cases.bits, mpi_cases.trained)}


@pytest.fixture(scope="module")
def killed(alone, tmp_path_factory):
    """Runs cases and the documentation's scripts in two processes until rank 1 is killed; returns the output and the folder."""
    folder = tmp_path_factory.mktemp("by_two")
    for number, (page, code) in enumerate(SCRIPTS):
        (folder / f"example_{number}_{page}.py").write_text(code)
    return mpiexec(2, CASES, folder, "same", "bits", "node", "misuse", "examples", "killed"), folder


@pytest.fixture(scope="module")
def by_two(killed):
    """Returns the results that two processes wrote before one of them, rank 1, was killed."""
    done, folder = killed
    try:
        return written(folder, "same", "bits", "node", "misuse", "examples")
    except FileNotFoundError:
        pytest.fail(done.stderr)


@pytest.fixture(scope="module")
def checkpoint(killed):
    """Returns the checkpoint that two processes wrote; the fixture reads the checkpoint before later processes overwrite it."""
    return (killed[1] / "state.npz").read_bytes()


@pytest.fixture(scope="module")
def refused(checkpoint, by_two, killed):
    """Runs cases in three processes, which resume from the checkpoint that two processes wrote, until a command fails."""
    return mpiexec(3, CASES, killed[1], "same", "trained", "refused")


@pytest.fixture(scope="module")
def by_three(refused, killed):
    """Returns the results that three processes wrote before a command failed."""
    return written(killed[1], "same", "trained")


@pytest.fixture(scope="module")
def failed(alone, tmp_path_factory):
    """Runs cases in two processes until one process fails; returns the output, the results' folder, and the duration.

    In one of the cases, the processes train on a GPU. If this machine has no GPU, the processes use Numba's simulator.
    """
    folder, start = tmp_path_factory.mktemp("failed"), time.monotonic()
    simulated = {} if CUDA else {"NUMBA_ENABLE_CUDASIM": "1"}
    return mpiexec(2, CASES, folder, "bits", "gpu", "failing", **simulated), folder, time.monotonic() - start


@needs_mpi
def test_any_number_of_processes_ends_with_the_same_losses(alone, by_two, by_three):
    for several in (by_two, by_three):
        assert several["same"].keys() == alone["same"].keys()
        for name, expected in alone["same"].items():
            tolerance = 1e-10 if "float64" in name else 1e-5
            np.testing.assert_allclose(several["same"][name], expected, rtol=tolerance, atol=0, err_msg=name)


@needs_mpi
def test_the_same_number_of_processes_ends_with_the_same_bits(alone, by_two, failed):
    again = written(failed[1], "bits")
    assert again["bits"] == by_two["bits"] != alone["bits"]
    np.testing.assert_allclose(again["bits"][0], alone["bits"][0], rtol=1e-10)


@needs_mpi
def test_a_killed_process_ends_all_and_training_resumes_from_the_checkpoint(alone, killed, checkpoint, by_three):
    done, folder = killed
    assert done.returncode != 0 and "(signal 9)" in done.stdout + done.stderr and checkpoint
    assert not (folder / "killed.json").exists()
    np.testing.assert_allclose(by_three["trained"]["loss"], alone["trained"]["loss"], rtol=1e-10)
    assert len(by_three["trained"]["loss"]) == 5


@needs_mpi
def test_an_error_in_one_process_ends_all_with_its_message(failed):
    done, folder, seconds = failed
    assert seconds < AT_ONCE + 60  # 60 s for the compilation
    assert done.returncode != 0 and not (folder / "failing.json").exists()
    assert "rank 1 of 2 ends all processes:" in done.stderr and "OSError: the disk of rank 1 is gone" in done.stderr


@needs_mpi
def test_gradients_on_gpus_go_by_the_host(failed):
    trained = written(failed[1], "gpu")["gpu"]
    np.testing.assert_allclose(trained["cuda"], trained["cpu"], rtol=0, atol=1e-12)


@needs_mpi
def test_processes_share_the_cores(by_two):
    cores = len(os.sched_getaffinity(0))
    assert by_two["node"]["alone"] == {"threads": cores, "first": True, "size": 1}
    assert by_two["node"]["together"] == {"threads": max(1, cores // 2), "first": True, "size": 2}


@needs_mpi
def test_train_from_a_shell(tmp_path):
    """The compile cache lacks three loops: one process on the machine compiles these, and the other process loads them."""
    digits = ["train", "digits", "--epochs", "2", "--dtype", "float64", "--kernels", "reference", "--json"]
    together, alone = tmp_path / "together.npz", tmp_path / "alone.npz"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main([*digits, "-o", str(alone)]) == 0
    cache, missing = tmp_path / "cache" / "numbanet" / cache_folder().name, {"gather", "bias_gradient", "gradient_descent"}
    cache.mkdir(parents=True)
    for file in cache_folder().iterdir():
        if file.name.partition("-")[0] not in missing:
            (cache / file.name).symlink_to(file)
    done = mpiexec(2, "-m", "numbanet", *digits, "-o", together, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode == 0 and done.stderr.count("compiling for this machine") == 1, done.stderr
    assert missing <= {file.name.partition("-")[0] for file in cache.iterdir() if not file.is_symlink()}
    losses = [json.loads(out)["history"]["val_loss"] for out in (done.stdout, printed.getvalue())]
    np.testing.assert_allclose(*losses, rtol=1e-10)
    several, one = (numbanet.Network.load(path).parameters()[0][0] for path in (together, alone))
    np.testing.assert_allclose(several, one, rtol=1e-8)


@needs_mpi
def test_a_command_that_fails_exits_once_for_all(by_two, refused):
    assert refused.returncode == 1 and refused.stderr.count("numbanet: cannot write") == 1, refused.stderr
    assert by_two["misuse"] == 2


@needs_mpi
def test_the_examples_of_the_pages(by_two):
    assert len(by_two["examples"]) == len(SCRIPTS) >= 4


# Without MPI


class WithoutMpi:
    """A finder of modules that raises ModuleNotFoundError if mpi4py is imported."""

    @staticmethod
    def find_spec(name, *_):
        if name == "mpi4py":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_asking_for_mpi_says_what_to_install(monkeypatch, capsys, tmp_path):
    for name in [name for name in sys.modules if name.partition(".")[0] == "mpi4py"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [WithoutMpi, *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match=r"pip install .mpi4py>="):
        numbanet.MPICommunicator()
    monkeypatch.setenv("PMI_SIZE", "2")
    assert main(["train", "digits", "-o", str(tmp_path / "digits.npz")]) == 1
    assert 'pip install "mpi4py>=4.0" "mpich>=4.2"' in capsys.readouterr().err


@pytest.mark.parametrize("name", communicators.SIZES)
def test_a_launch_is_seen(monkeypatch, name):
    for other in communicators.SIZES:
        monkeypatch.delenv(other, raising=False)
    assert communicators.launched() == 1
    assert isinstance(communicators.of_launch(), numbanet.SerialCommunicator)
    monkeypatch.setenv(name, "3")
    assert communicators.launched() == 3
    monkeypatch.setenv(name, "many")
    assert communicators.launched() == 1
