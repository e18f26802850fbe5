"""The rows that `fit(validation_split=...)` sets aside, chosen by the network's seed and by class.

No class is set aside whole.
"""

from __future__ import annotations

import numpy as np

from .. import _core
from .._checks import above_zero
from ..errors import DataWarning, warn
from .arrays import Array
from .examples import Examples

_EPOCH = 0  # the order's number for the split; orders of training begin with 1


def split(data: Examples, share: float, seed: int, classes: Array | None) -> tuple[Examples, Examples]:
    """Rows to train on and rows to validate on, as copies, each in the order in which they were given.

    `classes` has the class of each row, where rows have one; the same share of each class is set aside, but never the
    last row of one.
    """
    rows = len(data.rows)
    number = above_zero(share, "validation_split", below=1.0)
    count = max(1, round(number * rows))
    if count >= rows:
        raise ValueError(f"validation_split: expected rows left to train on, got {number:g} of {rows}")
    held = np.zeros(rows, bool)
    held[_held_out(classes, rows, count, seed)] = True
    if not held.any():
        raise ValueError(
            "validation_split: expected a label of two rows or more, as the last row of a label stays in the training data"
        )
    left, aside = data.where(~held), data.where(held)
    if not all(part.weights is None or part.weights.any() for part in (left, aside)):
        raise ValueError("validation_split: expected rows that count, with a weight above 0, in both parts")
    if classes is not None:
        _warn_of_single_rows(classes)
    return left, aside


def _warn_of_single_rows(classes: Array) -> None:
    """Name the classes that are in the training data alone, because they have one row."""
    labels, counts = np.unique(classes, return_counts=True)
    single = [str(int(label)) for label in labels[counts == 1]]
    if single:
        many = ", ".join(single[:10]) + (", ..." if len(single) > 10 else "")
        one = len(single) == 1
        warn(
            f"validation_split: label{'' if one else 's'} {many} {'has' if one else 'have'} a single row, which stays in the "
            "training data: the validation data has none",
            DataWarning,
        )


def _held_out(labels: Array | None, rows: int, held: int, seed: int) -> Array:
    """Which rows are held out: the first ones of a shuffled order.

    Of each label it takes its share; labels with the largest remainders get the rows that are left over. One row of each
    label stays, so that where labels are rare fewer rows are held out than were asked for.
    """
    order: Array = _core.permutation(seed, _EPOCH, rows)
    if labels is None:
        return order[:held]
    _, place, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    quota = held * counts / rows
    take = np.floor(quota).astype(np.int64)
    by_remainder = np.argsort(take - quota, kind="stable")
    while (missing := held - take.sum()) > 0 and (take < counts - 1).any():
        take[by_remainder[(take < counts - 1)[by_remainder]][:missing]] += 1
    by_label = np.argsort(place, kind="stable")
    rank = np.arange(rows) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[by_label[rank < take[place[by_label]]]]
