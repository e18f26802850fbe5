"""What to write where X or y have not the shape or the type that the network takes; text for errors, looked for only then.

The checks themselves are in arrays.py, targets.py and examples.py.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_NAMES_AND_LABELS = "names, y = np.unique(y, return_inverse=True), and names[net.predict(X)] gives them back"


def shape_of_rows(array: Array, cols: int, name: str) -> str:
    """For X of the wrong shape."""
    shape = array.shape
    if array.ndim == 1 and cols == 1:
        return f"; one number a row is {name}.reshape(-1, 1)"
    if array.ndim == 1 and shape[0] == cols:
        return f"; one row is {name}.reshape(1, -1)"
    if array.ndim > 2 and prod(shape[1:]) == cols:
        return f"; write {name}.reshape(len({name}), -1)"
    if array.ndim > 1 and prod(shape) == cols:
        return f"; one row is {name}.reshape(1, -1)"
    if array.ndim > 2:
        return f"; {name}.reshape(len({name}), -1) has {prod(shape[1:])} columns"
    if array.ndim == 2 and shape[0] == cols:
        return f"; with a column for each row it is {name}.T"
    if array.ndim == 2 and name == "X":
        return f"; {shape[1]} inputs are rg.Network([{shape[1]}, ...])"
    return ""


def shape_of_targets(array: Array, rows: int, outputs: int, kind: str) -> str:
    """For y of the wrong shape; `kind` is what the loss takes (see `losses.LOSSES`)."""
    shape = array.shape
    column = array.ndim == 1 or (array.ndim == 2 and shape[1] == 1)
    if kind == "labels" and shape == (rows, outputs):
        return "; rows of 0 and 1 become labels by y.argmax(axis=1)"
    if column and shape[0] == rows and outputs > 1:
        if _are_labels(array, outputs):
            what = "" if array.dtype.kind in "iu" else ".astype(int)"
            return f'; integer labels want loss="cross_entropy"{", and y" + what if what else ""}'
        return "; one number a row wants one output: rg.Network([..., 1])"
    if array.ndim == 2 and shape[0] == rows and shape[1] > 1 and outputs != shape[1]:
        return f"; {shape[1]} numbers a row want as many outputs: rg.Network([..., {shape[1]}])"
    if array.ndim == 2 and shape == (1, rows):
        return "; write y.reshape(-1)"
    if array.ndim == 2 and shape == (outputs, rows):
        return "; with a column for each row it is y.T"
    return ""


def _are_labels(array: Array, classes: int) -> bool:
    if array.size == 0 or array.dtype.kind not in "iuf":
        return False
    return bool(np.isfinite(array).all() and (array == np.floor(array)).all() and array.min() >= 0 and array.max() <= classes)


def swapped(X: object, y: object, inputs: int) -> str:
    """For X and y in the wrong order; nothing where that is not what has happened."""
    x_shape, y_shape = _shape(X), _shape(y)
    if len(x_shape) in (1, 2) and len(y_shape) == 2 and y_shape[1] == inputs != (x_shape[1:] or (None,))[0]:
        return "; y has that shape: are X and y in the wrong order?"
    return ""


def _shape(value: Any) -> tuple[int, ...]:
    try:
        shape: tuple[int, ...] = np.shape(value)
        return shape
    except (TypeError, ValueError):
        return ()


def labels_out_of_range(labels: Array, classes: int, name: str) -> str:
    """For labels that are not 0 to classes - 1."""
    least, most = labels.min(), labels.max()
    if name != "y":
        return ""
    if least >= 1 and most == classes:
        return "; labels begin with 0: y - 1"
    if least == -1 and most == classes - 2 and (labels == 0).any():
        return "; labels begin with 0: y + 1"
    if least == -1 and most == 1 and not (labels == 0).any():
        return "; -1 and 1 become labels by (y > 0).astype(int)"
    if least >= 0 and most < 100000 and len(np.unique(labels)) <= classes:
        return f"; any labels become 0, 1, ... by {_NAMES_AND_LABELS}"
    if least >= 0 and most < 1000:
        return f"; that many classes are rg.Network([..., {int(most) + 1}])"
    return ""


def not_labels(labels: Array, name: str) -> str:
    """For numbers where labels are expected."""
    if name != "y" or not np.isfinite(labels).all():
        return ""
    return '; numbers to predict want loss="mse" and rg.Network([..., 1])'


def not_from_0_to_1(values: Array) -> str:
    """For targets of a loss that takes 0 to 1."""
    if np.isin(values, (-1, 1)).all():
        return "; -1 and 1 become 0 and 1 by (y + 1) / 2"
    if np.isin(values, (1, 2)).all():
        return "; 1 and 2 become 0 and 1 by y - 1"
    if values.min() >= 0 and (values == np.floor(values)).all() and values.shape[1] == 1 and values.max() < 100000:
        return '; several labels want loss="cross_entropy" and an output for each'
    return ""


def not_numbers(value: object, array: Array, name: str) -> str:
    """What an array that has no numbers holds, and a way out."""
    if array.dtype == object and array.ndim == 0:
        kind = type(value).__name__
        if hasattr(value, "toarray"):
            return f"a sparse {kind}; write {name}.toarray()"
        article = "an" if kind[0] in "aeiouAEIOU" else "a"
        return f"{article} {kind}" + ("; write np.array(list(...))" if hasattr(value, "__next__") else "")
    if array.dtype.kind in "US":
        return f"text (dtype {array.dtype}){_of_text(name)}"
    if array.dtype.kind == "O":
        return f"dtype object{_of_objects(array, name)}"
    if array.dtype.kind == "c":
        return f"dtype {array.dtype}; complex numbers are two columns: the real and the imaginary parts"
    return f"dtype {array.dtype}"


def _of_text(name: str) -> str:
    if name == "y":
        return f"; labels are numbers: {_NAMES_AND_LABELS}"
    return f"; {name}.astype(float) where it is digits; a column of words becomes one of 0 and 1 for each word"


def _of_objects(array: Array, name: str) -> str:
    for place, one in enumerate(array.flat):
        if isinstance(one, str | bytes):
            return f", which holds text ({one!r}){_of_text(name)}"
        if one is None:
            return f", which holds None at {_place(array, place)}: fill the gaps, or leave these rows out"
        if isinstance(one, list | tuple | np.ndarray):
            return f", which holds arrays; np.stack({name}) makes one of them where all have the same shape"
        if not isinstance(one, int | float | np.number | np.bool_):
            kind = type(one).__name__
            if kind in ("NAType", "NaTType"):
                where = _place(array, place)
                return f", which holds {one} at {where}: fill the gaps (fillna), or leave these rows out (dropna)"
            return f", which holds {'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind} at {_place(array, place)}"
    return f"; all of it is numbers: {name}.astype(float)"


def _place(array: Array, number: int) -> str:
    """Where the number-th value of an array stands, as other errors say it."""
    where = np.unravel_index(number, array.shape)
    if len(where) < 3:
        return ", ".join(f"{what} {int(at)}" for what, at in zip(("row", "column"), where, strict=False))
    return f"{tuple(map(int, where))}"


def uneven(value: Any, name: str) -> str:
    """Which row of a nested list differs; `value` is what NumPy could not make an array of."""
    try:
        lengths = [len(row) if hasattr(row, "__len__") else None for row in value]
    except TypeError:
        return ""
    other = next((i for i, length in enumerate(lengths) if length != lengths[0]), None)
    if other is None:
        return ""
    what = [f"{n} numbers" if n is not None else "a single number" for n in (lengths[0], lengths[other])]
    return f": row 0 has {what[0]}, row {other} has {what[1]}"
