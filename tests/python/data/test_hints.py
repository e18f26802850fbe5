"""Wrong data get a word on what to write, and what is written so works (FAULTS 50)."""

import re
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs

ROWS = 60
X, LABELS = inputs(ROWS, 4), np.arange(ROWS) % 3
NUMBERS = inputs(ROWS, 3, seed=5)
LOSSES_OF_NUMBERS = ("mse", "quadratic", "mae", "huber", "quantile", "poisson", "binary_cross_entropy")


def fit(X: Any, y: Any, sizes: tuple[int, ...] = (4, 3), loss: str = "cross_entropy") -> None:
    rg.Trainer(rg.Network(list(sizes), loss=loss), "adam").fit(X, y, epochs=1)


def said(*arguments: Any) -> str:
    """The message; the same comes from `step`, `loss` and `backward`, which share the checks."""
    with pytest.raises((TypeError, ValueError)) as caught:
        fit(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("loss", LOSSES_OF_NUMBERS)
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32])
def test_labels_where_the_loss_takes_numbers(loss: str, dtype: type) -> None:
    """Row 50: any loss that takes numbers, from any entry."""
    labels = LABELS.astype(dtype)
    net = rg.Network([4, 3], loss=loss)
    net.forward(X)
    message = r'y: expected shape \(60, 3\), got \(60,\); integer labels want loss="cross_entropy"$'
    calls = (
        lambda: fit(X, labels, (4, 3), loss),
        lambda: net.loss(X, labels),
        lambda: net.backward(labels),
        lambda: rg.Trainer(net, "adam").step(X, labels),
        lambda: rg.Trainer(net, "adam").evaluate(X, labels),
        lambda: rg.gradcheck(net, X, labels),
        lambda: rg.lr_range_test(net, X, labels),
    )
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()
    fit(X, labels, (4, 3), "cross_entropy")  # as it says


@pytest.mark.parametrize(
    ("case", "hint"),
    [
        ((inputs(ROWS, 784).reshape(ROWS, 28, 28), LABELS, (784, 3)), "; write X.reshape(len(X), -1)"),
        ((inputs(ROWS, 784).reshape(ROWS, 28, 28), LABELS), "; X.reshape(len(X), -1) has 784 columns"),
        ((X[:, 0], NUMBERS[:, 0], (1, 1), "mse"), "; one number a row is X.reshape(-1, 1)"),
        ((X[0], LABELS[:1]), "; one row is X.reshape(1, -1)"),
        ((X[0].reshape(2, 2), LABELS[:1]), "; one row is X.reshape(1, -1)"),
        ((X.T, LABELS), "; with a column for each row it is X.T"),
        ((X[:, :3], LABELS), "; 3 inputs are rg.Network([3, ...])"),
        ((LABELS, X), "; y has that shape: are X and y in the wrong order?"),
        ((NUMBERS, X, (4, 3), "mse"), "; y has that shape: are X and y in the wrong order?"),
        ((X, LABELS.astype(float), (4, 3), "mse"), '; integer labels want loss="cross_entropy", and y.astype(int)'),
        ((X, NUMBERS[:, 0], (4, 3), "mse"), "; one number a row wants one output: rg.Network([..., 1])"),
        ((X, NUMBERS, (4, 1), "mse"), "; 3 numbers a row want as many outputs: rg.Network([..., 3])"),
        ((X, NUMBERS.T, (4, 3), "mse"), "; with a column for each row it is y.T"),
        ((X, NUMBERS[:, :1].T, (4, 1), "mse"), "; write y.reshape(-1)"),
        ((X, np.eye(3)[LABELS], (4, 3), "hinge"), "; rows of 0 and 1 become labels by y.argmax(axis=1)"),
        ((X, np.array(["a", "b", "c"])[LABELS]), "names, y = np.unique(y, return_inverse=True), and names[net.predict(X)]"),
        ((X, np.array(["a", "b", "c"], object)[LABELS]), "text ('a'); labels are numbers: names, y = np.unique("),
        ((X, LABELS + 1), "; labels begin with 0: y - 1"),
        ((X, 10 * LABELS), "; any labels become 0, 1, ... by names, y = np.unique(y, return_inverse=True)"),
        ((X, np.arange(ROWS) % 10), "; that many classes are rg.Network([..., 10])"),
        ((X, 2 * (LABELS % 2) - 1, (4, 2)), "; -1 and 1 become labels by (y > 0).astype(int)"),
        ((X, NUMBERS[:, 0]), '; numbers to predict want loss="mse" and rg.Network([..., 1])'),
        ((X, 2 * (LABELS % 2) - 1, (4, 1), "binary_cross_entropy"), "; -1 and 1 become 0 and 1 by (y + 1) / 2"),
        ((X, LABELS, (4, 1), "binary_cross_entropy"), '; several labels want loss="cross_entropy" and an output for each'),
        ((X.astype(object), LABELS), "dtype object; all of it is numbers: X.astype(float)"),
        ((np.where(X > 0, None, X), LABELS), "dtype object, which holds None at row "),
        ((np.array([["a", 1, 2, 3]], object), [0]), "dtype object, which holds text ('a'); X.astype(float) where it is digits"),
        ((np.array([["1", "2", "3", "4"]]), [0]), "text (dtype <U1); X.astype(float) where it is digits"),
        ((np.array([{}, {}]), [0, 1]), "dtype object, which holds a dict at row 0"),
        ((X + 1j, LABELS), "dtype complex128; complex numbers are two columns"),
        (([[1, 2, 3, 4], [1, 2, 3]], [0, 1]), "rows of different lengths: row 0 has 4 numbers, row 1 has 3 numbers"),
        (([[1, 2, 3, 4], 5], [0, 1]), "row 0 has 4 numbers, row 1 has a single number"),
        (((row for row in X), LABELS), "got a generator; write np.array(list(...))"),
    ],
)
def test_wrong_data_get_a_word(case: tuple[Any, ...], hint: str) -> None:
    assert hint in said(*case)


def test_what_the_words_say_works() -> None:
    images = inputs(ROWS, 784).reshape(ROWS, 28, 28)
    fit(images.reshape(len(images), -1), LABELS, (784, 3))
    fit(X[:, 0].reshape(-1, 1), NUMBERS[:, 0], (1, 1), "mse")
    names, y = np.unique(np.array(["cat", "dog", "cow"])[LABELS], return_inverse=True)
    fit(X, y)
    assert set(names[rg.Network([4, 3], loss="cross_entropy").predict(X)]) <= {"cat", "dog", "cow"}
    fit(X, (2 * (LABELS % 2) - 1 > 0).astype(int), (4, 2))
    fit(X, np.eye(3)[LABELS].argmax(axis=1), (4, 3), "hinge")


def test_other_mistakes_get_no_word_that_does_not_fit() -> None:
    assert said(X, LABELS[:-1]).endswith("shape (60,), got (59,)")
    assert re.search(r"got nan at row 3, column 1$", said(np.where(np.arange(240).reshape(60, 4) == 13, np.nan, X), LABELS))
    assert said(X, np.full(ROWS, -7)).endswith("got -7 at row 0")
    assert said(np.zeros((0, 4)), LABELS).endswith("got shape (0, 4)")


def test_hinge_takes_one_kind_of_signs() -> None:
    for y in ([-1, 1], [0, 1], [1], [0], [-1]):
        fit(X, np.resize(y, ROWS), (4, 1), "hinge")
    for y in ([-1, 0, 1], [0, -1], [1, 1, 0, -1]):
        with pytest.raises(ValueError, match="expected -1 and 1, or 0 and 1, but not -1 and 0 together"):
            fit(X, np.resize(y, ROWS), (4, 1), "hinge")
    with pytest.raises(ValueError, match=r"y: expected -1 or 1, or 0 or 1, got 2\.0 at row 1"):
        fit(X, np.resize([1, 2], ROWS), (4, 1), "hinge")


def test_validation_data_alone() -> None:
    trainer = rg.Trainer(rg.Network([4, 3], loss="cross_entropy"), "adam")
    cases = ((X, "ndarray; write validation_data=(X_val, y_val)"), (0.2, "got float"), ((X, LABELS + 1), "y - 1"))
    for given, hint in cases:
        with pytest.raises((TypeError, ValueError), match="validation_data: .*" + re.escape(hint)):
            trainer.fit(X, LABELS, epochs=1, validation_data=given)  # type: ignore[arg-type]
