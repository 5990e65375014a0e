"""Training by processes that mpiexec starts. What each of them runs is in files/mpi_cases.py."""

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
from numbanet.cli import main
from numbanet.distributed import communicators
from tests.helpers.engines import CUDA
from tests.helpers.pages import PAGES, blocks_of

CASES = Path(__file__).parents[1] / "files" / "mpi_cases.py"
SECONDS = 300  # all processes compile, if need be
AT_ONCE = 20  # an end, on a busy machine

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or shutil.which("hydra_pmi_proxy", path=str(Path(MPIEXEC or "").parent)) is None,
    reason="needs the mpiexec of MPICH: pip install 'numbanet[mpi]'",
)


def mpiexec(size: int, *command, **environment) -> subprocess.CompletedProcess:
    """Python in so many processes."""
    return subprocess.run(
        [MPIEXEC, "-n", str(size), sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **environment},
    )


def found(size: int, case: str, folder: Path, **environment):
    """What a case found in so many processes."""
    done = mpiexec(size, CASES, case, folder, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / f"{case}.json").read_text())


@needs_mpi
def test_any_number_of_processes_ends_with_the_same_losses(tmp_path):
    one = found(1, "same", tmp_path)
    for size in (2, 4):
        several = found(size, "same", tmp_path)
        for name, expected in one.items():
            tolerance = 1e-10 if "float64" in name else 1e-5
            np.testing.assert_allclose(several[name], expected, rtol=tolerance, atol=0, err_msg=name)


@needs_mpi
def test_as_many_processes_end_with_the_same_bits(tmp_path):
    assert found(3, "bits", tmp_path) == found(3, "bits", tmp_path)


@needs_mpi
def test_a_killed_process_ends_all_and_the_checkpoint_goes_on(tmp_path):
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
    whole = found(1, "trained", tmp_path / "whole")
    done = mpiexec(2, CASES, "killed", tmp_path / "killed")
    assert done.returncode != 0 and "9" in done.stdout + done.stderr
    assert not (tmp_path / "killed" / "killed.json").exists()
    resumed = found(3, "trained", tmp_path / "killed")
    np.testing.assert_allclose(resumed["loss"], whole["loss"], rtol=1e-10)
    assert len(resumed["loss"]) == 5


@needs_mpi
def test_an_error_in_one_process_ends_all_with_its_message(tmp_path):
    mpiexec(1, CASES, "node", tmp_path)  # everything is imported once
    start = time.monotonic()
    done = mpiexec(3, CASES, "failing", tmp_path)
    assert time.monotonic() - start < AT_ONCE + 60  # most of which is compiling
    assert done.returncode != 0
    assert "rank 1 of 3 ends the others:" in done.stderr and "OSError: the disk of rank 1 is gone" in done.stderr


@needs_mpi
def test_gradients_on_gpus_go_by_the_host(tmp_path):
    simulated = {} if CUDA else {"NUMBA_ENABLE_CUDASIM": "1"}
    trained = found(2, "gpu", tmp_path, **simulated)
    np.testing.assert_allclose(trained["cuda"], trained["cpu"], rtol=0, atol=1e-12)


@needs_mpi
def test_one_process_of_a_machine_compiles(tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    done = mpiexec(2, "-m", "numbanet", "train", "digits", "--epochs", "1", "-o", tmp_path / "digits.npz", **cache)
    assert done.returncode == 0 and done.stderr.count("compiling for this machine") == 1


@needs_mpi
def test_processes_share_the_cores(tmp_path):
    cores = len(os.sched_getaffinity(0))
    assert found(1, "node", tmp_path) == {"threads": cores, "first": True, "size": 1}
    assert found(2, "node", tmp_path) == {"threads": max(1, cores // 2), "first": True, "size": 2}


@needs_mpi
def test_train_from_a_shell(tmp_path):
    model, digits = tmp_path / "digits.npz", ("-m", "numbanet", "train", "digits", "--epochs", "2", "--dtype", "float64")
    done = mpiexec(2, *digits, "-o", model, "--json")
    assert done.returncode == 0, done.stderr
    alone = mpiexec(1, *digits, "-o", tmp_path / "alone.npz", "--json")
    losses = [json.loads(out)["history"]["val_loss"] for out in (done.stdout, alone.stdout)]
    np.testing.assert_allclose(*losses, rtol=1e-10)
    one, other = (numbanet.Network.load(tmp_path / name) for name in ("digits.npz", "alone.npz"))
    np.testing.assert_allclose(one.parameters()[0][0], other.parameters()[0][0], rtol=1e-8)

    refused = mpiexec(2, *digits, "-o", tmp_path / "nowhere" / "digits.npz")
    assert refused.returncode == 1 and refused.stderr.count("numbanet: cannot write") == 1
    misused = mpiexec(2, "-m", "numbanet", "train", "digits", "--epochs", "many")
    assert misused.returncode == 2


@needs_mpi
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.is_script() for block in blocks_of(page))], ids=lambda page: page.name
)
def test_the_examples_of_a_page(page, tmp_path):
    for number, block in enumerate(block for block in blocks_of(page) if block.is_script()):
        script = tmp_path / f"example_{number}.py"
        script.write_text(f"import os; os.chdir({str(tmp_path)!r})\n{block.code}")
        done = mpiexec(2, script)
        assert done.returncode == 0, done.stderr


# Without MPI


class WithoutMpi:
    """A finder of modules that does not find mpi4py."""

    @staticmethod
    def find_spec(name, *_):
        if name == "mpi4py":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_asking_for_mpi_says_what_to_install(monkeypatch, capsys, tmp_path):
    for name in [name for name in sys.modules if name.partition(".")[0] == "mpi4py"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [WithoutMpi, *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'numbanet\[mpi\]'"):
        numbanet.MPICommunicator()
    monkeypatch.setenv("PMI_SIZE", "2")
    assert main(["train", "digits", "-o", str(tmp_path / "digits.npz")]) == 1
    assert "pip install 'numbanet[mpi]'" in capsys.readouterr().err


def test_mpi4py_is_imported_by_nobody_else():
    code = "import sys, numbanet, numbanet.cli; sys.exit('mpi4py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=SECONDS).returncode == 0


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
