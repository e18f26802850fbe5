"""Why a metric of this package has no value on some data, in words. What it measures is in metrics.py."""

from __future__ import annotations

import numpy as np

from .._data.arrays import Array


def why_nan(own: str | None, truth: Array, weight: Array | None, what: str) -> str | None:
    """The cause for which the metric of that name is NaN, or None; `what` says which rows: "validation", say."""
    counted = truth if weight is None else truth[weight > 0]
    rows = f"the only {what} row" if len(counted) == 1 else f"all {len(counted)} {what} rows"
    if weight is not None and len(counted) < len(truth):
        rows += " of a weight above 0"
    have = "has" if len(counted) == 1 else "have"
    if own == "r2":
        return f"the variance needs two rows or more, got {len(truth)} {what} row"
    if own == "auc":
        if counted.ndim == 2:
            return f"in each output, {rows} {have} the same answer"
        return f"{rows} {have} label {int(np.unique(counted)[0])}"
    return None
