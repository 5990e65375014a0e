"""Fashion-MNIST, where it is installed."""

import os
from pathlib import Path

import numpy as np

from numbanet.datasets.idx import read_idx

VARIABLE = "NUMBANET_FASHION_MNIST"
DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CLASSES = 10
SIDE = 28


def load_fashion_mnist(
    folder: str | os.PathLike[str] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The 70,000 images of 28 x 28 of Fashion-MNIST, from its four files, compressed by gzip or not.

    Parameters
    ----------
    folder : str or path-like, optional
        Where the files are; else where the environment variable NUMBANET_FASHION_MNIST says; else
        /usr/share/datasets/fashion-mnist, where Debian's and Ubuntu's package dataset-fashion-mnist installs them.

    Returns
    -------
    x : ndarray, (60000, 784), float32
        Images for training, row by row; from 0 (background) to 1.
    y : ndarray, (60000,), int64
        What they show: 0 T-shirt or top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag,
        9 ankle boot.
    x_test : ndarray, (10000, 784), float32
        Held out by those who made the set.
    y_test : ndarray, (10000,), int64

    Raises
    ------
    FileNotFoundError
        Where a file is missing; the message says what to install or to set.
    ValueError
        Where a file is damaged or is not of Fashion-MNIST's form. How many images there are is left open.

    References
    ----------
    H. Xiao, K. Rasul, R. Vollgraf (2017), Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms, arXiv:1708.07747.
    """
    images, labels, test_images, test_labels = _files(Path(folder or os.environ.get(VARIABLE) or DEBIAN_FOLDER))
    return *_pair(images, labels), *_pair(test_images, test_labels)


def _files(folder: Path) -> list[Path]:
    """The four files, each plain or with .gz behind its name."""
    found = {name: path for name in FILES for path in (folder / f"{name}.gz", folder / name) if path.is_file()}
    missing = ", ".join(name for name in FILES if name not in found)
    if missing:
        raise FileNotFoundError(
            f"no Fashion-MNIST in {folder}, which lacks {missing} (or the same with .gz): install Debian's or Ubuntu's package "
            f"dataset-fashion-mnist, or set {VARIABLE} to a folder with the four files"
        )
    return [found[name] for name in FILES]


def _pair(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images as rows in [0, 1], and their labels."""
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or not len(images):
        raise ValueError(f"{images_path} holds {images.dtype} of shape {images.shape}, not uint8 images (n, {SIDE}, {SIDE})")
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{labels_path} holds {labels.dtype} of shape {labels.shape}, not a uint8 label for each of "
            f"the {len(images)} images in {images_path}"
        )
    if labels.max() >= CLASSES:
        raise ValueError(f"{labels_path} holds the label {labels.max()}: labels must lie in 0 to {CLASSES - 1}")
    return np.divide(images.reshape(len(images), -1), 255, dtype=np.float32), labels.astype(np.int64)
