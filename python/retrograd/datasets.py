"""Small data sets that come with the package, for demonstrations and tests; nothing is ever downloaded.

It is not a loader for data of your own: a network takes NumPy arrays.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

__all__ = ["load_digits"]

Pair = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]

TEST_ROWS = 360  # a fifth of the 1797 images


@overload
def load_digits(*, split: Literal[True] = True, seed: int = 0) -> tuple[Pair, Pair]: ...
@overload
def load_digits(*, split: Literal[False], seed: int = 0) -> Pair: ...
def load_digits(*, split: bool = True, seed: int = 0) -> Any:
    """Load 1797 images of handwritten digits, 8x8 pixels, ten classes.

    Parameters
    ----------
    split : bool, default True
        Whether to set a random fifth, 360 images, aside as test set.
    seed : int, default 0
        Which fifth, 0 or above. The same seed gives the same images in the same order on every machine and with every
        version of NumPy.

    Returns
    -------
    (X_train, y_train), (X_test, y_test) : pairs of arrays
        X is float32 (1437, 64) and (360, 64): one image a row, pixel rows one after another, from 0 (paper) to 1 (ink).
        y is int64 (1437,) and (360,): the digit, 0 to 9. With ``split=False`` a single pair, X (1797, 64) and
        y (1797,), in the order of the source.

    Raises
    ------
    ValueError
        If seed is negative.

    Notes
    -----
    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits" (1998), UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49, licence CC BY 4.0. These are the images of its test part with their
    values unchanged, 0 to 16, stored as bytes; this function divides them by 16.

    The split sorts the images by random numbers and takes the first 360: the raw 64-bit words of the Philox generator
    with the seed as its key. NumPy guarantees the stream of a bit generator (NEP 19), which it does not for functions
    like ``permutation``.

    Examples
    --------
    >>> (X, y), (X_test, y_test) = load_digits()
    >>> X.shape, X_test.shape
    ((1437, 64), (360, 64))
    """
    if seed < 0:
        raise ValueError(f"seed: expected 0 or above, got {seed}")
    with (
        resources.files("retrograd").joinpath("digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as data,
    ):
        X = data["x"].astype(np.float32) / np.float32(16)
        y = data["y"].astype(np.int64)
    if not split:
        return X, y
    order = np.argsort(np.random.Philox(key=seed).random_raw(len(X)), kind="stable")
    test, train = order[:TEST_ROWS], order[TEST_ROWS:]
    return (X[train], y[train]), (X[test], y[test])
