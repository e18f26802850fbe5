"""The rows that `fit(validation_split=...)` sets aside: by the network's seed, in proportion where there are labels."""

import numpy as np

from .. import _core
from .._checks import as_float
from ..network import Network
from .arrays import Array

_EPOCH = 0  # of the order of rows; those of training begin with 1

Data = tuple[Array, Array, Array | None]  # rows, targets, weights of rows, as the core takes them


def split(data: Data, share: float, network: Network) -> tuple[Data, Data]:
    """Rows to train on and rows to validate on, each in the order in which they were given; copies."""
    X, targets, weights = data
    rows = len(X)
    number = as_float(share, "validation_split", 0.0, below=1.0)
    if number == 0:
        raise ValueError(f"validation_split: expected a share above 0, got {share}")
    count = max(1, round(number * rows))
    if count >= rows:
        raise ValueError(f"validation_split: expected rows left to train on, got {number:g} of {rows}")
    held = np.zeros(rows, bool)
    held[_held_out(_labels(targets, network), rows, count, network.seed)] = True
    parts = [(X[pick], targets[pick], None if weights is None else weights[pick]) for pick in (~held, held)]
    if not all(w is None or w.any() for _, _, w in parts):
        raise ValueError("validation_split: expected rows that count, with a weight above 0, in both parts")
    return parts[0], parts[1]


def _labels(targets: Array, network: Network) -> Array | None:
    """The label of each row, where there is one."""
    if targets.ndim == 1:
        return targets
    two_classes = network.metric_name == "accuracy" and targets.shape[1] == 1 and np.isin(targets, (-1, 0, 1)).all()
    return targets[:, 0] if two_classes else None


def _held_out(labels: Array | None, rows: int, held: int, seed: int) -> Array:
    """Which rows: the first ones of a shuffled order, of each label its share (the largest remainders get what is left)."""
    order: Array = _core.permutation(seed, _EPOCH, rows)
    if labels is None:
        return order[:held]
    _, place, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    quota = held * counts / rows
    take = np.floor(quota).astype(np.int64)
    take[np.argsort(take - quota, kind="stable")[: held - take.sum()]] += 1
    by_label = np.argsort(place, kind="stable")
    rank = np.arange(rows) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[by_label[rank < take[place[by_label]]]]
