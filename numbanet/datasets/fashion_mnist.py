"""Loads the data set Fashion-MNIST from a folder, such as the folder of a Debian package."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from numbanet.datasets.idx import read_idx

VARIABLE = "NUMBANET_FASHION_MNIST"
DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CLASSES = 10
SIDE = 28


def load_fashion_mnist(
    folder: str | os.PathLike[str] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Loads the 70,000 images of Fashion-MNIST, with 28 x 28 pixels, from four files, which may be compressed with gzip.

    Parameters
    ----------
    folder : str or path-like, optional
        The folder that contains the four files. By default, the folder is the value of the environment variable
        NUMBANET_FASHION_MNIST. If NUMBANET_FASHION_MNIST is not set, the folder is /usr/share/datasets/fashion-mnist, into
        which the Debian and Ubuntu package dataset-fashion-mnist installs the files.

    Returns
    -------
    x : ndarray, (60000, 784), float32
        The training images. Each row contains the pixels of one image, row by row, with values from 0 (background) to 1.
    y : ndarray, (60000,), int64
        The classes of the training images: 0 T-shirt or top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7
        sneaker, 8 bag, 9 ankle boot.
    x_test : ndarray, (10000, 784), float32
        The held-out images, as selected by the authors of the data set.
    y_test : ndarray, (10000,), int64
        The classes of the held-out images.

    Raises
    ------
    FileNotFoundError
        A file is missing; the error message says which package to install or which variable to set.
    ValueError
        A file is damaged, or does not contain images or labels in the format of Fashion-MNIST. The number of images is not
        checked.

    References
    ----------
    H. Xiao, K. Rasul, R. Vollgraf (2017), Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms, arXiv:1708.07747.
    """
    images, labels, test_images, test_labels = _files(Path(folder or os.environ.get(VARIABLE) or DEBIAN_FOLDER))
    return *_pair(images, labels), *_pair(test_images, test_labels)


def _files(folder: Path) -> list[Path]:
    """Returns the paths of the four files; the name of each file may have the suffix .gz."""
    paths = {name: path for name in FILES for path in (folder / f"{name}.gz", folder / name) if path.is_file()}
    missing = ", ".join(name for name in FILES if name not in paths)
    if missing:
        raise FileNotFoundError(
            f"Fashion-MNIST not found: the folder {folder} does not contain {missing} (with or without .gz); install the "
            f"Debian or Ubuntu package dataset-fashion-mnist, or set {VARIABLE} to the folder of the four files"
        )
    return [paths[name] for name in FILES]


def _pair(images_path: Path, labels_path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Reads images and labels from two files; returns the images as rows of pixel values in [0, 1], and the labels."""
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or not len(images):
        raise ValueError(
            f"{images_path} contains {images.dtype} of shape {images.shape}, not uint8 images of shape (n, {SIDE}, {SIDE})"
        )
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{labels_path} contains {labels.dtype} of shape {labels.shape}, not a uint8 label for each of "
            f"the {len(images)} images in {images_path}"
        )
    if labels.max() >= CLASSES:
        raise ValueError(f"{labels_path} contains the label {labels.max()}: labels must be from 0 to {CLASSES - 1}")
    return np.divide(images.reshape(len(images), -1), 255, dtype=np.float32), labels.astype(np.int64)
