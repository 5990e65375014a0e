"""The bundled handwritten digits."""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

# Every fifth image, from the fifth on, is held out: 359 of 1,797.
HELD_OUT_EVERY = 5


def load_digits() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Loads 1,797 real images of handwritten digits, 8 x 8 pixels, from the UCI test set, in a fixed split.

    Returns
    -------
    x : ndarray, (1438, 64), float32
        Training images, row by row; ink from 0 (none) to 1 (full).
    y : ndarray, (1438,), int64
        Digits of the training images, 0 to 9.
    x_test : ndarray, (359, 64), float32
        Held-out images: every fifth one in the original order, with index 4, 9, 14, ...
    y_test : ndarray, (359,), int64
        Digits of the held-out images.

    References
    ----------
    E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    doi:10.24432/C50P49, CC BY 4.0; see digits.LICENSE.md beside the file.
    """
    with files("numbanet.datasets").joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
        x, y = archive["images"].astype(np.float32) / 16, archive["labels"].astype(np.int64)
    held_out = np.arange(y.size) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return x[~held_out], y[~held_out], x[held_out], y[held_out]
