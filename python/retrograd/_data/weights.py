"""Row weights as the core takes them, from what a user gives (sample_weight, class_weight): one number for each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._checks import as_float
from .._spec import NetworkSpec
from .arrays import Array, as_array, converted
from .targets import classes_of


def weigh_by_batch(weights: object) -> bool:
    """Whether the setting `weights` divides the weights of a batch by their sum ("batch") or by its rows ("rows")."""
    if not isinstance(weights, str):
        raise TypeError(
            f'weights: expected "rows" or "batch", which says what weights are divided by, got {type(weights).__name__} '
            "(the weights themselves are sample_weight)"
        )
    if weights not in ("rows", "batch"):
        raise ValueError(f'weights: expected "rows" or "batch", got {weights!r}')
    return weights == "batch"


def over_their_mean(weights: Array) -> Array | None:
    """Row weights whose mean is 1, so that they leave the scale of the gradient alone; None where all are equal."""
    if (weights == weights[0]).all():
        return None
    exact = weights.astype(np.float64)
    result: Array = (exact / exact.mean()).astype(weights.dtype)
    return result


def as_weights(
    value: ArrayLike | None, rows: int, dtype: np.dtype[Any], name: str = "sample_weight", *, zeros: bool = False
) -> Array | None:
    """Row weights (rows, 1) of the network's dtype, or None where there are none.

    `zeros`: whether all of them may be 0, where nothing is divided by their sum.
    """
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
    if total == 0 and not (zeros and rows > 0 and not array.astype(bool).any()):  # what is too small for the dtype is not 0
        raise ValueError(f"{name}: expected at least one row that counts, got {'no rows' if rows == 0 else 'only zeros'}")
    if not np.isfinite(total):
        raise ValueError(f"{name}: expected numbers whose sum is finite, got {total}")
    return result


def with_class_weight(
    given: Array | None, class_weight: str | Mapping[int, float] | None, targets: Array, spec: NetworkSpec
) -> Array | None:
    """The weight of each row times the weight of its class; weights and targets are as the core takes them."""
    if class_weight is None:
        return given
    labels = classes_of(targets, spec)
    if labels is None:
        raise ValueError(f"class_weight: expected labels as targets, got numbers with {spec.loss_name!r}")
    factors = _factors(class_weight, labels.astype(np.int64))
    if given is not None:
        factors = factors * given[:, 0].astype(np.float64)
    name = "class_weight" if given is None else "sample_weight times class_weight"
    return as_weights(factors, len(targets), spec.dtype, name)


def _factors(class_weight: str | Mapping[int, float], labels: Array) -> Array:
    """The factor for each row: the weight of its class."""
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
