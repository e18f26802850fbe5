"""Weights of rows: what a user gives (sample_weight, class_weight) as the core takes it, one checked number for each row."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .._checks import as_float
from .arrays import Array, as_array, converted


def as_weights(value: npt.ArrayLike | None, rows: int, dtype: np.dtype[Any], name: str = "sample_weight") -> Array | None:
    """(rows, 1) of the network's dtype, or None where there are none."""
    if value is None:
        return None
    array = as_array(value, name)
    if array.shape not in ((rows,), (rows, 1)):
        raise ValueError(f"{name}: expected one for each row, shape ({rows},), got {array.shape}")
    result = converted(array.reshape(-1, 1), dtype)
    wrong = ~(np.isfinite(result[:, 0]) & (result[:, 0] >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        given = array.reshape(-1)[row]
        fits = f" that fit {dtype}" if np.isfinite(given) and given >= 0 else ""
        raise ValueError(f"{name}: expected finite numbers from 0{fits}, got {given} at row {row}")
    with np.errstate(over="ignore"):
        total = result.sum(dtype=np.float64)
    if total == 0:
        raise ValueError(f"{name}: expected at least one row that counts, got {'no rows' if rows == 0 else 'only zeros'}")
    if not np.isfinite(total):
        raise ValueError(f"{name}: expected numbers whose sum is finite, got {total}")
    return result


def row_weights(
    sample_weight: npt.ArrayLike | None,
    class_weight: str | Mapping[int, float] | None,
    targets: Array,
    loss: str,
    dtype: np.dtype[Any],
) -> Array | None:
    """sample_weight times the weight of each row's class; `targets` as the core takes them."""
    given = as_weights(sample_weight, len(targets), dtype)
    if class_weight is None:
        return given
    factors = _of_classes(class_weight, _labels(targets, loss))
    if given is not None:
        factors = factors * given[:, 0].astype(np.float64)
    return as_weights(factors, len(targets), dtype, "class_weight" if given is None else "sample_weight times class_weight")


def _labels(targets: Array, loss: str) -> Array:
    """The class of each row: labels, or the numbers of one output that are nothing else."""
    if targets.dtype.kind == "i":
        return targets
    two_classes = loss in ("binary_cross_entropy", "hinge") and targets.shape[1] == 1
    if not two_classes or not np.isin(targets, (-1, 0, 1)).all():
        raise ValueError(f"class_weight: expected labels as targets, got numbers with {loss!r}")
    return targets[:, 0].astype(np.int64)


def _of_classes(class_weight: str | Mapping[int, float], labels: Array) -> Array:
    classes, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f'class_weight: expected None, "balanced" or a dict, got {class_weight!r}')
        weights = len(labels) / (len(classes) * counts)
    elif isinstance(class_weight, Mapping):
        strange = [label for label in class_weight if not isinstance(label, int | float | np.number) or label % 1 != 0]
        if strange:
            raise TypeError(f"class_weight: expected labels as keys, got {strange[0]!r}")
        known = {int(label): as_float(weight, f"class_weight[{label}]", 0.0) for label, weight in class_weight.items()}
        missing = sorted(set(known) - set(classes.tolist()))
        if missing:
            raise ValueError(f"class_weight: expected labels that are among the targets, got {missing}")
        weights = np.array([known.get(label, 1.0) for label in classes.tolist()])
    else:
        raise TypeError(f'class_weight: expected None, "balanced" or a dict, got {type(class_weight).__name__}')
    of_rows: Array = weights[place]
    return of_rows
