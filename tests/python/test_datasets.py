"""The digits that come with the package: compared with scikit-learn's copy of the same source, and their fixed split."""

import numpy as np
import pytest
import sklearn.datasets
from helpers import same_bits
from retrograd.datasets import load_digits


def test_all_images_equal_those_of_scikit_learn() -> None:
    X, y = load_digits(split=False)
    expected = sklearn.datasets.load_digits()
    assert X.dtype == np.float32 and y.dtype == np.int64
    np.testing.assert_array_equal(X * 16, expected.data)
    np.testing.assert_array_equal(y, expected.target)


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_the_split_is_a_fixed_random_fifth(seed: int) -> None:
    (X, y), (X_test, y_test) = load_digits(seed=seed)
    assert X.shape == (1437, 64) and y.shape == (1437,) and X_test.shape == (360, 64) and y_test.shape == (360,)
    assert same_bits(load_digits(seed=seed), ((X, y), (X_test, y_test)))
    # together they are all rows, each once
    everything = np.column_stack([np.vstack([X, X_test]), np.concatenate([y, y_test])])
    all_x, all_y = load_digits(split=False)
    expected = np.column_stack([all_x, all_y])
    assert same_bits(everything[np.lexsort(everything.T)], expected[np.lexsort(expected.T)])
    assert np.bincount(y_test, minlength=10).min() >= 20
    assert not same_bits(load_digits(seed=seed + 1)[1][0], X_test)


def test_the_split_is_the_same_on_every_machine_and_in_every_release() -> None:
    _, (_, y_test) = load_digits()
    assert "".join(map(str, y_test[:40])) == "2454820633267803505139395878757188832029"


def test_what_is_returned_is_the_callers() -> None:
    X, y = load_digits(split=False)
    X[...], y[...] = 7, 7
    again, labels = load_digits(split=False)
    assert again.max() == 1 and labels.max() == 9


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed: expected 0 or above, got -1"):
        load_digits(seed=-1)
