"""Errors about an unusable GPU name the versions on the machine and the packages to install."""

import pytest

from numbanet import _cuda
from numbanet._cuda.compatibility import Versions, driver_release, parsed_cuda, what_to_do
from tests.helpers.engines import each

pytestmark = pytest.mark.simulator

H100 = Versions("580.95.05", (13, 0), (13, 0), "0.30.4", (9, 0), None)
OLD_DRIVER = H100._replace(driver="550.54.15", driver_cuda=(12, 4))


@each(
    "found, error, words",
    [
        (Versions(), "", ["no NVIDIA driver", "580 or newer", "at least 525"]),
        (H100._replace(driver_cuda=None, visible=""), "", ["no NVIDIA driver"]),
        (H100._replace(visible=""), "CUDA_ERROR_NO_DEVICE", ["CUDA_VISIBLE_DEVICES=''", "hides every GPU"]),
        (H100._replace(visible="-1"), "", ["CUDA_VISIBLE_DEVICES='-1'", "hides every GPU"]),
        (
            H100._replace(driver="470.82", driver_cuda=(11, 4)),
            "",
            ["driver is too old", "CUDA 12 at least", "580 or newer", "525"],
        ),
        (H100._replace(numba_cuda=None), "", ["numba-cuda", "not installed", "numba-cuda[cu13]"]),
        (OLD_DRIVER._replace(numba_cuda=None), "libNVVM cannot be found", ["not installed", "numba-cuda[cu12]"]),
        (H100._replace(numba_cuda=None, toolkit=None), "", ["not installed", "numba-cuda[cu13]"]),
        (H100._replace(toolkit=None), "", ["toolkit", "missing", "numba-cuda[cu13]"]),
        (OLD_DRIVER._replace(toolkit=None), "", ["toolkit", "missing", "numba-cuda[cu12]"]),
        (H100, "Failure finding\n libnvvm.so", ["toolkit", "incomplete", "numba-cuda[cu13]"]),
        (OLD_DRIVER, "", ["driver is too old for this CUDA toolkit", "numba-cuda[cu12]", "580 or newer"]),
        (OLD_DRIVER._replace(toolkit=(12, 9)), "UNSUPPORTED_PTX_VERSION", ["toolkit is newer", '"cuda-toolkit==12.4.*"']),
        (H100._replace(capability=(7, 0)), "", ["compute capability 7.5 and newer", "numba-cuda[cu12]"]),
        (H100._replace(capability=(7, 0), toolkit=None), "", ["missing", "numba-cuda[cu12]"]),
        (H100._replace(capability=(3, 7)), "", ["GPU is too old", "5.0 at least"]),
        (H100._replace(capability=None), "CUDA_ERROR_NO_DEVICE (100)", ["finds no NVIDIA GPU"]),
        (H100._replace(visible="0"), "CUDA_ERROR_SYSTEM_NOT_READY", ["seem to be compatible"]),
        (OLD_DRIVER._replace(toolkit=(12, 9)), "CUDA_ERROR_SYSTEM_NOT_READY", ["seem to be compatible"]),
    ],
)
def test_the_advice_names_the_fault_and_the_remedy(found, error, words):
    advice = what_to_do(found, error)
    assert all(word in advice for word in words), advice


def test_the_versions_are_listed_in_words():
    expected = "driver 580.95.05 for CUDA 13.0, CUDA toolkit 13.0, numba-cuda 0.30.4, a GPU of compute capability 9.0"
    assert str(H100) == expected
    assert str(H100._replace(driver=None, visible="1")) == (
        expected.replace("580.95.05", "of unknown release") + ", CUDA_VISIBLE_DEVICES='1'"
    )
    assert str(Versions()) == "no driver library, no CUDA toolkit, no numba-cuda"


@each("number, version", [(13010, (13, 1)), (12040, (12, 4)), (11080, (11, 8)), (13000, (13, 0))])
def test_the_driver_counts_cuda_in_thousands(number, version):
    assert parsed_cuda(number) == version


@each(
    "text, release",
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: 12.2\n",
            "535.104.05",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build\n", "550.54.15"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.95  Release Build\n", "580.95"),
        ("something else", None),
    ],
)
def test_the_release_of_the_driver_is_read(tmp_path, text, release):
    (tmp_path / "version").write_text(text)
    assert driver_release(tmp_path / "version") == release
    assert driver_release(tmp_path / "none") is None


@pytest.mark.skipif(_cuda.unusable_reason() is None, reason="there is a GPU, or the simulator")
def test_the_reason_holds_the_versions_and_the_error():
    reason = _cuda.unusable_reason()
    if _cuda.versions().driver_cuda is None:
        assert reason.count("driver library") == 0 and "has no NVIDIA driver, or Python cannot load" in reason
    else:
        assert f"Found: {_cuda.versions()}. The error was: " in reason
    assert "numba-cuda" in reason and "CUDA toolkit" in reason
    assert "NUMBA_ENABLE_CUDASIM=1" in reason
