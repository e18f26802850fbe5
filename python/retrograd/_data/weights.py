"""Row weights as the core takes them, from what a user gives (sample_weight, class_weight): one number for each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._checks import as_float
from .._spec import NetworkSpec
from .arrays import Array, as_array, converted
from .targets import classes_of, kind_of_classes, labels_of_classes


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
    if isinstance(value, str):
        hint = '; write class_weight="balanced"' if value == "balanced" and name == "sample_weight" else ""
        raise TypeError(f"{name}: expected an array of real numbers, one for each row, got {value!r}{hint}")
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


ClassWeights = Mapping[int, float]  # the weight of each label that does not have 1


def class_weights(given: object, targets: Array, whole: Array, spec: NetworkSpec) -> ClassWeights:
    """The weight of each label, from `class_weight` as a user gives it.

    `targets` are those that are trained on, `whole` all of them, from which some may have been set aside.
    """
    kind, labels = kind_of_classes(whole, spec), classes_of(targets, spec)
    by_row = kind in ("labels", "one-hot") or (kind is not None and spec.outputs == 1)
    if kind is None or labels is None or not by_row:
        raise ValueError(
            f"class_weight: expected labels as targets, got numbers with {spec.loss_name!r} "
            "(labels, one-hot rows, or 0 and 1 or -1 and 1 of one output)"
        )
    if isinstance(given, str):
        if given != "balanced":
            raise ValueError(f'class_weight: expected None, "balanced" or a dict, got {given!r}')
        classes, counts = np.unique(labels.astype(np.int64), return_counts=True)
        return dict(zip(classes.tolist(), (len(labels) / (len(classes) * counts)).tolist(), strict=True))
    if not isinstance(given, Mapping):
        hint = "; write class_weight=dict(enumerate(weights))" if isinstance(given, list | tuple | np.ndarray) else ""
        raise TypeError(f'class_weight: expected None, "balanced" or a dict, got {type(given).__name__}{hint}')
    strange = [label for label in given if not isinstance(label, int | float | np.integer | np.floating) or label % 1 != 0]
    if strange:
        raise TypeError(f"class_weight: expected labels as keys, got {strange[0]!r}")
    found = {int(label): as_float(weight, f"class_weight[{label}]", 0.0) for label, weight in given.items()}
    known = labels_of_classes(kind, spec, labels)
    unknown = sorted(set(found) - set(known))
    if unknown:
        shown = f"{known[0]} to {known[-1]}" if len(known) > 3 else ", ".join(map(str, known))
        raise ValueError(f"class_weight: expected labels {shown} as keys, got {unknown}")
    return found


def with_class_weights(
    given: Array | None, weights: ClassWeights, targets: Array, spec: NetworkSpec, name: str = "class_weight"
) -> Array | None:
    """The weight of each row times the weight of its class; weights and targets are as the core takes them."""
    labels = classes_of(targets, spec)
    if labels is None:
        raise ValueError(f"{name}: expected labels as targets, got numbers with {spec.loss_name!r}")
    classes, place = np.unique(labels.astype(np.int64), return_inverse=True)
    factors = np.array([weights.get(label, 1.0) for label in classes.tolist()])[place]
    if given is not None:
        factors = factors * given[:, 0].astype(np.float64)
        name = f"sample_weight times {name}"
    return as_weights(factors, len(targets), spec.dtype, name)
