"""From what a user gives to what the core takes: coerces and checks arrays, once per call. Says what was got and expected.

Not here: conversion of float64 and uint8 rows to the network's dtype, which the core does while it gathers a batch.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core

Array = npt.NDArray[Any]
CoreNetwork = _core.NetworkF32 | _core.NetworkF64

_NATIVE = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.uint8))


def as_array(value: npt.ArrayLike, name: str) -> Array:
    """A numeric array of real numbers, or TypeError."""
    try:
        array = value if type(value) is np.ndarray else np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: expected an array, got rows of different lengths ({error})") from error
    # np.ma is imported when it is first asked for: only where there is a subclass
    if isinstance(value, np.ndarray) and value is not array and isinstance(value, np.ma.MaskedArray) and np.any(value.mask):
        raise ValueError(f"{name}: expected an array without masked values, got {np.sum(value.mask)} of them")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected an array of real numbers, got {_what(value, array)}")
    return array


def _what(value: object, array: Array) -> str:
    if array.dtype == object and array.ndim == 0:
        return f"a {type(value).__name__}"
    return f"dtype {array.dtype}"


def converted(array: Array, dtype: np.dtype[Any]) -> Array:
    """Contiguous, aligned and of the dtype; what does not fit becomes infinite, which is looked for afterwards."""
    with np.errstate(over="ignore"):
        return np.require(array, dtype, ("C", "A"))


def as_rows(value: npt.ArrayLike, cols: int, dtype: np.dtype[Any], name: str = "X") -> Array:
    """Rows of `cols` numbers each, in a layout that the core reads where it is; copied only where it has to be."""
    array = as_array(value, name)
    if array.ndim != 2 or array.shape[1] != cols:
        hint = f"; one row is {name}.reshape(1, -1)" if array.ndim == 1 and array.shape[0] == cols else ""
        raise ValueError(f"{name}: expected shape (rows, {cols}), got {array.shape}{hint}")
    if array.shape[0] >= 2**32:  # before anybody reads or copies them
        raise ValueError(f"{name}: expected fewer than 2**32 rows, got {array.shape[0]}")
    if array.dtype not in _NATIVE:  # float16, integers, bool, swapped bytes; unequal to a native dtype where bytes are swapped
        return converted(array, dtype)
    size = array.itemsize
    in_rows = (cols == 1 or array.strides[1] == size) and (array.shape[0] <= 1 or array.strides[0] % size == 0)
    return array if in_rows and array.flags.aligned else converted(array, array.dtype)


def check_finite(core: CoreNetwork, rows: Array, name: str = "X", given: npt.ArrayLike | None = None) -> None:
    """ValueError that names the first value which is not finite in the network's dtype; `given`: before conversion."""
    place = core.find_nonfinite(rows)
    if place is None:
        return
    row, col = place
    numbers = rows if given is None else np.asarray(given)
    vector = numbers.ndim == 1
    value = numbers[row] if vector else numbers[row, col]
    fits = " that fit float32" if np.isfinite(value) else ""
    where = f"row {row}" if vector else f"row {row}, column {col}"
    raise ValueError(f"{name}: expected finite numbers{fits}, got {value} at {where}")


def as_labels(array: Array, classes: int, name: str = "y") -> Array:
    """Labels 0..classes-1 as int32, always a copy: what the core uses as an index must not change under it."""
    flat = array.flatten()  # before the checks, so that they hold for what is used
    if flat.size == 0:
        return np.zeros(0, np.int32)
    if array.dtype.kind == "f":
        wrong = ~np.isfinite(flat) | (flat != np.floor(np.where(np.isfinite(flat), flat, 0)))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(f"{name}: expected integer labels 0 to {classes - 1}, got {flat[row]} at row {row}")
    if flat.min() < 0 or flat.max() >= classes:
        row = int(np.argmax((flat < 0) | (flat >= classes)))
        raise ValueError(f"{name}: expected labels 0 to {classes - 1}, got {flat[row]} at row {row}")
    return flat.astype(np.int32, copy=False)


def picks_one(loss: str, outputs: int) -> bool:
    """Whether the loss wants one label of `outputs` for each row (or, but for hinge, the probability of each)."""
    return loss in ("cross_entropy", "focal") or (loss == "hinge" and outputs > 1)


def as_targets(value: npt.ArrayLike, loss: str, outputs: int, rows: int, dtype: np.dtype[Any], core: CoreNetwork) -> Array:
    """What the core's loss takes: int32 labels (rows,), or (rows, outputs) of the network's dtype."""
    array = as_array(value, "y")
    column = array.ndim == 2 and array.shape[1] == 1
    one_of_all = picks_one(loss, outputs)
    labels = one_of_all and (array.ndim == 1 or column)
    vector = labels or (array.ndim == 1 and outputs == 1)
    if not labels and one_of_all and loss == "hinge":
        raise ValueError(f"y: expected shape ({rows},) of labels, as hinge takes with several outputs, got {array.shape}")
    if not vector and not (array.ndim == 2 and array.shape[1] == outputs):
        also = " of labels or" if one_of_all else " or" if outputs == 1 else ""
        one = f"({rows},){also} " if also else ""
        raise ValueError(f"y: expected shape {one}({rows}, {outputs}), got {array.shape}")
    if array.shape[0] != rows:
        expected = f"({rows},)" if vector else f"({rows}, {outputs})"
        raise ValueError(f"y: expected as many rows as X, shape {expected}, got {array.shape}")
    if labels:
        return as_labels(array, outputs)
    result = converted(array.reshape(-1, 1) if vector else array, dtype)
    check_finite(core, result, "y", array)
    if one_of_all:
        _check_probability_rows(result)
    elif loss == "binary_cross_entropy":
        _check_each(result, (result >= 0) & (result <= 1), "numbers from 0 to 1", array.shape)
    elif loss == "poisson":
        _check_each(result, result >= 0, "numbers from 0", array.shape)
    elif loss == "hinge":
        _check_each(result, np.isin(result, (-1, 0, 1)), "-1 or 1, or 0 or 1", array.shape)
    return result


def _check_probability_rows(y: Array) -> None:
    negative: npt.NDArray[np.bool_] = np.asarray((y < 0).any(axis=1))
    total = y.sum(axis=1, dtype=np.float64)
    wrong = negative | (np.abs(total - 1) > 1e-3)
    if wrong.any():
        row = int(np.argmax(wrong))
        what = "a negative number" if negative[row] else f"a row that sums to {total[row]:g}"
        raise ValueError(f"y: expected rows of probabilities that sum to 1, got {what} at row {row}")


def _check_each(y: Array, right: npt.NDArray[np.bool_], expected: str, shape: tuple[int, ...]) -> None:
    if not right.all():
        row, col = np.argwhere(~right)[0]
        where = f"row {row}" if len(shape) == 1 else f"row {row}, column {col}"
        raise ValueError(f"y: expected {expected}, got {y[row, col]} at {where}")


def as_threads(n_threads: int | None) -> int:
    """The core's cap on the team: 0 for no wish."""
    if n_threads is None:
        return 0
    return as_int(n_threads, "n_threads", 1, bits=31)


def as_int(value: object, name: str, least: int, bits: int = 63) -> int:
    """An integer (NumPy's too, but no bool) from `least` to 2^bits - 1."""
    if type(value) is int and least <= value < 1 << bits:  # at once: `fit` asks several times
        return value
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")
    if value >= 2**bits:
        raise ValueError(f"{name}: expected less than 2**{bits}, got {value}")
    return int(value)


def as_float(value: object, name: str, least: float, below: float = float("inf")) -> float:
    """A finite number in [least, below)."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    number = float(value)
    if not least <= number < below:
        bound = f"from {least:g}" + ("" if below == float("inf") else f" to below {below:g}")
        raise ValueError(f"{name}: expected a finite number {bound}, got {value}")
    return number
