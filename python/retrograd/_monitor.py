"""Which figure of a history decides, and whether less or more of it is better. Schedules and early stopping use it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from .history import History

Better = Literal["auto", "min", "max"]

_MORE = re.compile(r"(val_)?(accuracy|r2|auc.*|f1.*|top_\w+)")
_LESS = re.compile(r"(val_)?(loss|mae|rmse)")


def check_mode(mode: object) -> None:
    """Raise a ValueError where the mode does not say which is better."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f'mode: expected "auto", "min" or "max", got {mode!r}')


def check_monitor(monitor: object) -> None:
    """Raise a TypeError where the monitor is not the name of a figure."""
    if not isinstance(monitor, str):
        raise TypeError(f"monitor: expected the name of a figure, got {monitor!r}")


class Monitor:
    """One figure of a history, turned so that less is better."""

    def __init__(self, name: str, mode: Better, there: Iterable[str], metric_name: str) -> None:
        names = list(there)
        if name not in names:
            hint = " (validation_data or validation_split gives them)" if name.startswith("val_") else ""
            raise ValueError(f"monitor: expected one of {', '.join(names)}, got {name!r}{hint}")
        self.name = name
        if mode == "auto":
            meaning = {"metric": metric_name, "val_metric": metric_name}.get(name, name)
            if not (_MORE.fullmatch(meaning) or _LESS.fullmatch(meaning)):
                raise ValueError(f'mode: expected "min" or "max", as it is not known which is better for {name!r}')
            mode = "max" if _MORE.fullmatch(meaning) else "min"
        self.mode: Literal["min", "max"] = mode

    def value(self, history: History) -> float:
        """The figure of the last epoch."""
        return history.column(self.name)[-1]

    def improves(self, value: float, best: float | None, margin: float) -> bool:
        """Whether a value is better than `best` by more than the margin; the first value that is a number always is."""
        if best is None:
            return value == value
        return value < best - margin if self.mode == "min" else value > best + margin


def figures(metric_name: str, validation: bool, metrics: Iterable[str]) -> list[str]:
    """The names of the figures that a history will have."""
    training = ["loss", "metric", metric_name]
    return training + [f"val_{name}" for name in training if validation] + list(metrics)
