"""`load_fashion_mnist` reads and checks the data set in a given folder; without the data set, the error says what to do."""

import math

import numpy as np
import pytest

from numbanet import load_fashion_mnist
from numbanet.datasets import fashion_mnist
from tests.helpers.engines import each
from tests.helpers.idx_files import idx, write_fashion_mnist

IMAGES, LABELS, TEST_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Hides a Fashion-MNIST data set that is installed on this machine."""
    monkeypatch.delenv("NUMBANET_FASHION_MNIST", raising=False)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", str(tmp_path / "installed"))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    write_fashion_mnist(path, zipped=False)
    return path


@each("zipped", [False, True])
def test_images_are_rows_in_0_to_1_and_labels_int64(zipped, tmp_path):
    write_fashion_mnist(tmp_path, train=30, test=11, zipped=zipped)
    x, y, x_test, y_test = load_fashion_mnist(tmp_path)
    assert (x.shape, y.shape, x_test.shape, y_test.shape) == ((30, 784), (30,), (11, 784), (11,))
    assert x.dtype == x_test.dtype == np.float32 and y.dtype == y_test.dtype == np.int64
    for images, labels in ((x, y), (x_test, y_test)):
        assert labels.tolist() == [(7 * s) % 10 for s in range(len(labels))]
        for image, label in zip(images.reshape(-1, 28, 28), labels, strict=True):
            assert (image[label] == 1).all() and image.sum() == 28


def test_every_shade_is_a_255th(folder):
    (folder / IMAGES).write_bytes(idx("uint8", (1, 28, 28), [s % 256 for s in range(784)]))
    (folder / LABELS).write_bytes(idx("uint8", (1,), [9]))
    x, y, _, _ = load_fashion_mnist(folder)
    np.testing.assert_array_equal(x[0, :256], (np.arange(256) / 255).astype(np.float32))
    assert y.tolist() == [9]


def test_the_folder_comes_before_the_variable_and_the_variable_before_debians(tmp_path, monkeypatch):
    for count, name in enumerate(("installed", "variable", "argument"), start=1):
        (tmp_path / name).mkdir()
        write_fashion_mnist(tmp_path / name, train=count, test=count)
    assert len(load_fashion_mnist()[0]) == 1
    monkeypatch.setenv("NUMBANET_FASHION_MNIST", str(tmp_path / "variable"))
    assert len(load_fashion_mnist()[0]) == 2
    assert len(load_fashion_mnist(tmp_path / "argument")[0]) == len(load_fashion_mnist(str(tmp_path / "argument"))[0]) == 3


def test_debians_folder_is_the_one_of_its_package(monkeypatch):
    monkeypatch.undo()
    assert fashion_mnist.DEBIAN_FOLDER == "/usr/share/datasets/fashion-mnist"


def test_missing_files_are_named_with_a_remedy(folder, tmp_path, monkeypatch):
    remedy = r"; install the Debian or Ubuntu package dataset-fashion-mnist, or set NUMBANET_FASHION_MNIST to the folder"
    with pytest.raises(FileNotFoundError, match=f"folder {tmp_path}/installed does not contain {IMAGES}, .*{remedy}"):
        load_fashion_mnist()
    monkeypatch.setenv("NUMBANET_FASHION_MNIST", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"Fashion-MNIST not found: the folder {tmp_path} does not contain"):
        load_fashion_mnist()
    (folder / LABELS).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{folder} does not contain {LABELS} \(with or without .gz\){remedy}"):
        load_fashion_mnist(folder)


@each(
    "name, kind, shape, value, message",
    [
        (IMAGES, "uint8", (40, 28, 27), 0, r"contains uint8 of shape \(40, 28, 27\), not uint8 images of shape \(n, 28, 28\)"),
        (IMAGES, "uint8", (40, 784), 0, r"contains uint8 of shape \(40, 784\), not uint8 images"),
        (IMAGES, "uint8", (0, 28, 28), 0, r"contains uint8 of shape \(0, 28, 28\), not uint8 images"),
        (IMAGES, "int8", (40, 28, 28), 0, r"contains int8 of shape \(40, 28, 28\), not uint8 images"),
        (
            LABELS,
            "uint8",
            (39,),
            0,
            rf"contains uint8 of shape \(39,\), not a uint8 label for each of the 40 images in .*{IMAGES}",
        ),
        (LABELS, "uint8", (40, 1), 0, r"contains uint8 of shape \(40, 1\), not a uint8 label"),
        (LABELS, "int8", (40,), -1, r"contains int8 of shape \(40,\), not a uint8 label"),
        (LABELS, "uint8", (40,), 10, r"contains the label 10: labels must be from 0 to 9"),
        (TEST_LABELS, "uint8", (40,), 0, r"contains uint8 of shape \(40,\), not a uint8 label for each of the 20 images"),
    ],
)
def test_files_of_another_form_are_refused(folder, name, kind, shape, value, message):
    (folder / name).write_bytes(idx(kind, shape, [value] * math.prod(shape)))
    with pytest.raises(ValueError, match=f"{folder / name} {message}"):
        load_fashion_mnist(folder)


def test_a_damaged_file_is_refused_by_name(folder):
    (folder / TEST_LABELS).write_bytes(b"<html>")
    with pytest.raises(ValueError, match=f"{folder / TEST_LABELS} is damaged or not an IDX file"):
        load_fashion_mnist(folder)
