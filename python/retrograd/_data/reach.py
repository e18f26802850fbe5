"""Targets that the last layer cannot reach: a warning that names activation, range, value and row.

It is for losses that compare the outputs with the targets as they are. The others apply an activation themselves and
refuse targets that do not fit it (targets.py). The ranges are facts of the activations.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core
from .._spec import NetworkSpec
from ..errors import DataWarning, warn
from .arrays import Array
from .examples import Examples

_ROUNDING = 1e-6  # so far outside, in units of the bound or 1, a target is still taken for the bound
_SUM = 1e-3  # as much may the probabilities of a row miss 1


def warn_unreachable(data: Examples, spec: NetworkSpec, name: str = "y") -> None:
    """Warn where a row that counts has a target outside the range of the output activation."""
    found = unreachable(data, spec)
    if found is not None:
        warn(f"{name}: {found}", DataWarning)


def unreachable(data: Examples, spec: NetworkSpec) -> str | None:
    """What is wrong with such targets, and what to do about it; None where all can be reached."""
    if spec.reach is None:
        return None
    (low, high), targets = spec.reach, data.targets
    low, high = low - _ROUNDING * max(1.0, abs(low)), high + _ROUNDING * max(1.0, abs(high))
    sums = spec.activations[-1] == "softmax"
    inside = _core.within(targets, low, high)
    if inside and not (sums and _wrong_sums(targets).any()):
        return None
    counts = np.ones(len(targets), bool) if data.weights is None else data.weights[:, 0] > 0
    outside = ((targets < low) | (targets > high)) & counts[:, None]
    if outside.any():
        row, col = (int(i) for i in np.argwhere(outside)[0])
        got, rows = f"{targets[row, col]:g} in row {row}", int(outside.any(axis=1).sum())
        got += f", column {col}" if targets.shape[1] > 1 else ""
    else:
        wrong = (_wrong_sums(targets) if sums else np.zeros(len(targets), bool)) & counts
        if not wrong.any():
            return None
        row, rows = int(np.argmax(wrong)), int(wrong.sum())
        got = f"a sum of {targets[row].sum():g} in row {row}"
    return (
        f"output_activation={spec.activations[-1]!r} gives {_range(*spec.reach, sums)}, got {got}"
        f' ({rows} of {len(targets)} rows are out of reach); scale y into that range, or take output_activation="identity"'
    )


def _wrong_sums(targets: Array) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(targets.sum(axis=1, dtype=np.float64) - 1) > _SUM)


def _range(low: float, high: float, sums: bool) -> str:
    if high == np.inf:
        return f"numbers from {low:g}"
    return f"numbers from {low:g} to {high:g}" + (" that sum to 1 in each row" if sums else "")
