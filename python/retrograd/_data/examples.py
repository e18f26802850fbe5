"""The one way in for data: rows, targets and weights of rows, checked once and in the form that the core takes.

Training, validation, the split, measures, evaluation and solvers all take `Examples`. How arrays are coerced is in
arrays.py, targets.py and weights.py.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy.typing import ArrayLike

from .._spec import NetworkSpec
from .arrays import Array, CoreNetwork, as_rows, check_finite
from .hints import swapped
from .targets import as_targets
from .weights import as_weights


class Examples(NamedTuple):
    """Checked arrays."""

    rows: Array  # (rows, inputs): float32, float64 or uint8, in a layout that the core reads
    targets: Array  # int32 labels (rows,), or (rows, outputs) of the network's dtype
    weights: Array | None = None  # (rows, 1) of the network's dtype; None: all rows count the same

    def where(self, chosen: Array) -> Examples:
        """A copy of the chosen rows."""
        weights = None if self.weights is None else self.weights[chosen]
        return Examples(self.rows[chosen], self.targets[chosen], weights)


def checked_rows(X: ArrayLike, spec: NetworkSpec, core: CoreNetwork, least: int = 0) -> Array:
    """Finite rows of the network's inputs; there must be at least `least` of them (0 or 1)."""
    if core.takes(X, spec.inputs):
        rows: Array = X
    else:
        rows = as_rows(X, spec.inputs, spec.dtype)
        check_finite(core, rows, given=X)
    if len(rows) < least:
        raise ValueError(f"X: expected at least one row, got shape {rows.shape}")
    return rows


def as_examples(
    X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, spec: NetworkSpec, core: CoreNetwork, *, zeros: bool = False
) -> Examples:
    """The data that a user gives, as `Examples`; it must have at least one row. `zeros` is as in `as_weights`."""
    try:
        rows = checked_rows(X, spec, core, least=1)
    except (TypeError, ValueError) as error:
        hint = swapped(X, y, spec.inputs)
        if not hint:
            raise
        raise type(error)(str(error).split(";")[0] + hint) from None
    weights = None if sample_weight is None else as_weights(sample_weight, len(rows), spec.dtype, zeros=zeros)
    return Examples(rows, as_targets(y, len(rows), spec, core), weights)
