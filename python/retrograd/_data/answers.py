"""Answers that mean nothing, because the outputs of the network are not finite: a warning that names their row."""

from __future__ import annotations

from ..errors import DataWarning, warn


def warn_not_finite(bad: tuple[int, int] | None, rows: int, what: str) -> None:
    """Warn of `bad`: the first row whose outputs are not finite, and the number of such rows; `what` is meaningless there."""
    if bad is None:
        return
    row, count = bad
    many = "" if count == 1 else f" ({count} of {rows} rows have such outputs)"
    warn(
        f"X: the outputs for row {row} are NaN or infinite{many}, so {what}; a layer overflows: its inputs or weights are too "
        "large for the dtype, or its activation is (exponential). Scale X as in training, or look at the layers with forward",
        DataWarning,
    )
