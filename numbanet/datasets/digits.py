"""The bundled handwritten digits."""

from importlib.resources import files

import numpy as np

# Every fifth image, from the fifth on, is held out: 359 of 1,797.
HELD_OUT_EVERY = 5


def load_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The 1,797 real 8 x 8 images of handwritten digits of the UCI test set, split in a fixed way.

    Returns
    -------
    x : ndarray, (1438, 64), float32
        Images for training, row by row; ink from 0 (none) to 1 (all).
    y : ndarray, (1438,), int64
        Their digits, 0 to 9.
    x_test : ndarray, (359, 64), float32
        Held out: every fifth image of the original's order, that is those at index 4, 9, 14, ...
    y_test : ndarray, (359,), int64

    References
    ----------
    E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    doi:10.24432/C50P49, CC BY 4.0; see digits.LICENSE.md beside the file.
    """
    with files(__package__).joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
        x, y = archive["images"].astype(np.float32) / 16, archive["labels"].astype(np.int64)
    held_out = np.arange(y.size) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return x[~held_out], y[~held_out], x[held_out], y[held_out]
