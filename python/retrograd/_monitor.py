"""Which figure of a history decides, and whether less or more of it is better. Schedules and early stopping use it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from ._names import METRIC_ALIASES, did_you_mean, squashed
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
        name = _true_name(name, names)
        if name not in names:
            raise ValueError(f"monitor: expected one of {', '.join(names)}, got {name!r}{_missing(name, names)}")
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


def _true_name(name: str, names: list[str]) -> str:
    """The figure that is meant where it is there under another spelling: "val_acc" is "val_accuracy"."""
    prefix, stem = ("val_", name[4:]) if name[:4].lower() == "val_" else ("", name)
    meant = METRIC_ALIASES.get(squashed(stem), stem.lower())
    return name if name in names or f"{prefix}{meant}" not in names else f"{prefix}{meant}"


def _missing(name: str, names: list[str]) -> str:
    """What to write so that a figure is there; nothing where it is not known."""
    stem = name.removeprefix("val_")
    validation = stem != name
    if validation and not any(there.startswith("val_") for there in names):
        return " (validation_data or validation_split gives them)"
    if stem != "loss" and (_MORE.fullmatch(stem) or _LESS.fullmatch(stem)):
        more = "" if validation else ", train_metrics=True"
        return f' (fit(..., metrics=["{stem}"]{more}) measures it)'
    return did_you_mean(name, names)


def figures(metric_name: str, validation: bool, metrics: Iterable[str]) -> list[str]:
    """The names of the figures that a history will have."""
    training = ["loss", "metric", metric_name]
    return training + [f"val_{name}" for name in training if validation] + list(metrics)
