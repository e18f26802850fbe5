"""Which figure of a history decides, and whether less or more of it is better. Schedules and early stopping use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ._figures import BETTER, Direction, is_own
from ._names import METRIC_ALIASES, did_you_mean, squashed
from .history import History

Better = Literal["auto", "min", "max"]
Figures = Mapping[str, Direction | None]  # the figures of a history, and which is better where that is known


def check_mode(mode: object) -> None:
    """Raise a ValueError where the mode does not say which is better."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f'mode: expected "auto", "min" or "max", got {mode!r}')


def check_monitor(monitor: object) -> None:
    """Raise a TypeError where the monitor is not the name of a figure."""
    if not isinstance(monitor, str):
        raise TypeError(f"monitor: expected the name of a figure, got {monitor!r}")


class Monitor:
    """One figure of a history."""

    def __init__(self, name: str, mode: Better, there: Figures) -> None:
        name = _true_name(name, list(there))
        if name not in there:
            raise ValueError(f"monitor: expected one of {', '.join(there)}, got {name!r}{_missing(name, list(there))}")
        self.name = name
        known = there[name] if mode == "auto" else mode
        if known is None:
            raise ValueError(
                f'mode: expected "min" or "max", as it is not known which is better for {name!r} '
                '(mode="max" beside monitor=, or metrics.Metric(function, better="max"))'
            )
        self.mode: Direction = known

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
    if stem != "loss" and is_own(stem):
        more = "" if validation else ", train_metrics=True"
        return f' (fit(..., metrics=["{stem}"]{more}) measures it)'
    return did_you_mean(name, names)


def figures(metric_name: str, validation: bool, metrics: Figures) -> Figures:
    """The figures that a history will have, by name; `metrics` are those that `fit` was asked for."""
    own = {"loss": BETTER["loss"], "metric": BETTER.get(metric_name), metric_name: BETTER.get(metric_name)}
    return own | ({f"val_{name}": better for name, better in own.items()} if validation else {}) | dict(metrics)
