"""Targets as the core's loss takes them: labels as an index, or rows of numbers, checked value by value.

Which kind of target a loss takes is a fact of the loss; it comes with the description of the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from .. import _core
from .._spec import NetworkSpec
from . import hints
from .arrays import Array, CoreNetwork, as_array, check_finite, converted


def as_targets(value: ArrayLike, rows: int, spec: NetworkSpec, core: CoreNetwork) -> Array:
    """int32 labels (rows,), or (rows, outputs) of the network's dtype."""
    outputs, kind = spec.outputs, spec.targets
    if spec.picks_one:
        quick = _core.labels(value, rows, outputs)  # for a plain array of integers; None for anything else
        if quick is not None:
            return quick
    array = as_array(value, "y")
    column = array.ndim == 2 and array.shape[1] == 1
    labels = spec.picks_one and (array.ndim == 1 or column)
    vector = labels or (array.ndim == 1 and outputs == 1)
    if kind == "labels" and not labels:
        raise ValueError(
            f"y: expected shape ({rows},) of labels, as {spec.loss_name} takes with several outputs, got {array.shape}"
            + hints.shape_of_targets(array, rows, outputs, kind)
        )
    if not vector and not (array.ndim == 2 and array.shape[1] == outputs):
        also = " of labels or" if spec.picks_one else " or" if outputs == 1 else ""
        one = f"({rows},){also} " if also else ""
        hint = hints.shape_of_targets(array, rows, outputs, kind)
        raise ValueError(f"y: expected shape {one}({rows}, {outputs}), got {array.shape}{hint}")
    if array.shape[0] != rows:
        expected = f"({rows},)" if vector else f"({rows}, {outputs})"
        raise ValueError(f"y: expected as many rows as X, shape {expected}, got {array.shape}")
    if labels:
        return as_labels(array, outputs)
    result = converted(array.reshape(-1, 1) if vector else array, spec.dtype)
    check_finite(core, result, "y", array)
    if kind == "probabilities":
        _check_probability_rows(result)
    elif kind == "shares":
        right = (result >= 0) & (result <= 1)
        _check_each(result, right, "numbers from 0 to 1", array.shape, hints.not_from_0_to_1)
    elif kind == "counts":
        _check_each(result, result >= 0, "numbers from 0", array.shape)
    elif kind == "signs":
        _check_each(result, np.isin(result, (-1, 0, 1)), "-1 or 1, or 0 or 1", array.shape)
        least = result.min(initial=1)
        together = result != (0 if least < 0 else -1)
        _check_each(result, together, "-1 and 1, or 0 and 1, but not -1 and 0 together", array.shape)
    return result


def as_labels(array: Array, classes: int, name: str = "y") -> Array:
    """Labels 0..classes-1 as int32, always a copy: what the core uses as an index must not change meanwhile."""
    flat = array.flatten()  # copied before the checks, so that they hold for what is used
    if flat.size == 0:
        return np.zeros(0, np.int32)
    if array.dtype.kind == "f":
        wrong = ~np.isfinite(flat) | (flat != np.floor(np.where(np.isfinite(flat), flat, 0)))
        if wrong.any():
            row = int(np.argmax(wrong))
            hint = hints.not_labels(flat, name)
            raise ValueError(f"{name}: expected integer labels 0 to {classes - 1}, got {flat[row]} at row {row}{hint}")
    if flat.min() < 0 or flat.max() >= classes:
        row = int(np.argmax((flat < 0) | (flat >= classes)))
        hint = hints.labels_out_of_range(flat, classes, name)
        raise ValueError(f"{name}: expected labels 0 to {classes - 1}, got {flat[row]} at row {row}{hint}")
    return flat.astype(np.int32, copy=False)


ClassKind = Literal["labels", "one-hot", "each", "signs"]


def kind_of_classes(targets: Array, spec: NetworkSpec) -> ClassKind | None:
    """How targets, as the core takes them, tell classes, whatever the loss is; None where they are other numbers.

    "labels": one for each row. "one-hot": each row has a single 1 and zeros. "each": 0 and 1 for each output. "signs":
    -1 and 1 for each output.
    """
    if targets.ndim == 1:
        return "labels"
    if one_hot_labels(targets) is not None:
        return "one-hot"
    if _holds_only(targets, (0, 1)):
        return "each"
    signs = _holds_only(targets, (-1, 1)) or (spec.targets == "signs" and _holds_only(targets, (-1, 0, 1)))
    return "signs" if signs else None


def classes_of(targets: Array, spec: NetworkSpec) -> Array | None:
    """The class of each row, from targets as the core takes them; None where rows have no single class."""
    kind = kind_of_classes(targets, spec)
    if kind == "labels":
        return targets
    if kind == "one-hot":
        return one_hot_labels(targets)
    return targets[:, 0].astype(np.int64) if kind is not None and targets.shape[1] == 1 else None


def labels_of_classes(kind: ClassKind, spec: NetworkSpec, labels: Array) -> list[int]:
    """Every label that rows of these classes can have; `labels` are those of some rows."""
    if kind == "labels" or spec.outputs > 1:
        return list(range(spec.outputs))
    if kind == "each":
        return [-1, 0, 1] if spec.targets != "shares" and labels.all() else [0, 1]  # perhaps -1 and 1
    return [-1, 1] if labels.all() else [-1, 0, 1]


def one_hot_labels(rows: Array) -> Array | None:
    """The place of the 1 in each row, where each of several columns has a single 1 and zeros; None where they do not."""
    if rows.ndim != 2 or rows.shape[1] < 2:
        return None
    for part in (rows[:32], rows):  # most of those that are not show it in their first rows
        if not (_holds_only(part, (0, 1)) and (np.count_nonzero(part, axis=1) == 1).all()):
            return None
    found: Array = rows.argmax(axis=1)
    return found


def _holds_only(array: Array, values: tuple[int, ...]) -> bool:
    """Whether there are no other values in the array."""
    for part in (array[:32], array):
        right = part == values[0]
        for value in values[1:]:
            right |= part == value
        if not right.all():
            return False
    return True


def _check_probability_rows(y: Array) -> None:
    negative: npt.NDArray[np.bool_] = np.asarray((y < 0).any(axis=1))
    total = y.sum(axis=1, dtype=np.float64)
    wrong = negative | (np.abs(total - 1) > 1e-3)
    if wrong.any():
        row = int(np.argmax(wrong))
        what = "a negative number" if negative[row] else f"a row that sums to {total[row]:g}"
        raise ValueError(f"y: expected rows of probabilities that sum to 1, got {what} at row {row}")


def _check_each(
    y: Array, right: npt.NDArray[np.bool_], expected: str, shape: tuple[int, ...], hint: Callable[[Array], str] | None = None
) -> None:
    if not right.all():
        row, col = np.argwhere(~right)[0]
        where = f"row {row}" if len(shape) == 1 else f"row {row}, column {col}"
        what = "" if hint is None or not np.isfinite(y).all() else hint(y)
        raise ValueError(f"y: expected {expected}, got {y[row, col]} at {where}{what}")
