"""Turns arrays that a user gives into arrays that the core takes: coerces and checks them, once per call.

Each error says what was expected and what was given. Converting float64 and uint8 rows to the network's dtype is not
done here: the core does it while it gathers a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from .. import _core
from . import hints

Array = npt.NDArray[Any]
CoreNetwork = _core.NetworkF32 | _core.NetworkF64

_NATIVE = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.uint8))


def as_array(value: ArrayLike, name: str) -> Array:
    """A numeric array of real numbers, or TypeError."""
    try:
        array = value if type(value) is np.ndarray else np.asarray(value)
    except ValueError as error:
        which = hints.uneven(value, name) or f" ({error})"
        raise ValueError(f"{name}: expected an array, got rows of different lengths{which}") from error
    # np.ma is imported only where there is a subclass.
    if isinstance(value, np.ndarray) and value is not array and isinstance(value, np.ma.MaskedArray) and np.any(value.mask):
        raise ValueError(f"{name}: expected an array without masked values, got {np.sum(value.mask)} of them")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected an array of real numbers, got {hints.not_numbers(value, array, name)}")
    return array


def converted(array: Array, dtype: np.dtype[Any]) -> Array:
    """A contiguous, aligned array of the dtype; what does not fit becomes infinite, and later checks look for that."""
    if array.dtype == dtype:
        return np.require(array, dtype, ("C", "A"))
    with np.errstate(over="ignore"):
        return np.require(array, dtype, ("C", "A"))


def as_rows(value: ArrayLike, cols: int, dtype: np.dtype[Any], name: str = "X") -> Array:
    """Rows of `cols` numbers each, in a layout that the core reads in place; they are copied only where necessary."""
    array = as_array(value, name)
    if array.ndim != 2 or array.shape[1] != cols:
        hint = hints.shape_of_rows(array, cols, name)
        raise ValueError(f"{name}: expected shape (rows, {cols}), got {array.shape}{hint}")
    if array.shape[0] >= 2**32:  # checked before anybody reads or copies the rows
        raise ValueError(f"{name}: expected fewer than 2**32 rows, got {array.shape[0]}")
    # float16, integers and bool; also swapped bytes, which make a dtype unequal to the native one
    if array.dtype not in _NATIVE:
        return converted(array, dtype)
    size = array.itemsize
    in_rows = (cols == 1 or array.strides[1] == size) and (array.shape[0] <= 1 or array.strides[0] % size == 0)
    return array if in_rows and array.flags.aligned else converted(array, array.dtype)


def check_finite(core: CoreNetwork, rows: Array, name: str = "X", given: ArrayLike | None = None) -> None:
    """Raise a ValueError that names the first value which is not finite in the network's dtype.

    `given` is the array before conversion, for the message.
    """
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


def read_only(copy: Array) -> Array:
    """The copy, which cannot be written to: a change of it would look like a change of the network, and be none."""
    copy.flags.writeable = False
    return copy
