"""Loads the data set of handwritten digits that is part of the package."""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

# Every fifth of the 1,797 images, beginning with the fifth, is held out for testing: 359 images.
HELD_OUT_EVERY = 5


def load_digits() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Loads 1,797 images of handwritten digits with 8 x 8 pixels, split into training images and held-out images.

    Returns
    -------
    x : ndarray, (1438, 64), float32
        The training images. Each row contains the pixels of one image, row by row, with values from 0 (no ink) to 1 (full ink).
    y : ndarray, (1438,), int64
        The digits that the training images show, 0 to 9.
    x_test : ndarray, (359, 64), float32
        The held-out images: every fifth image in the original order, with the indices 4, 9, 14, ...
    y_test : ndarray, (359,), int64
        The digits that the held-out images show.

    References
    ----------
    E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    doi:10.24432/C50P49, licensed under CC BY 4.0; numbanet/datasets/digits.LICENSE.md contains the details.
    """
    with files("numbanet.datasets").joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
        x, y = archive["images"].astype(np.float32) / 16, archive["labels"].astype(np.int64)
    held_out = np.arange(y.size) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return x[~held_out], y[~held_out], x[held_out], y[held_out]
