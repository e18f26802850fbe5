"""Where a trainer stands in its schedule: the rate of each step, and what ReduceOnPlateau has seen.

The curves are not here (schedules.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._checks import as_float, as_int, check_state
from .._monitor import Figures, Monitor
from ..callbacks import called
from ..errors import TrainingWarning, warn
from ..history import History
from ..schedules import Rates, ReduceOnPlateau, Schedule, check_schedule

_CALLED_WITH = "A function as schedule= is called with the number of the epoch, counted from 1, alone."
_MOST_KEPT = 1000  # rates of one epoch that the history keeps
_FIRST_EPOCHS = 10  # of a schedule: what it will give is not known, or not done, before
_MOST_ASKED = 100_000  # rates to come that are looked at


class PlateauRun:
    """What ReduceOnPlateau has seen so far."""

    def __init__(self) -> None:
        self.best: float | None = None
        self.bad = self.cooldown = self.falls = 0

    def see(self, value: float, schedule: ReduceOnPlateau, monitor: Monitor) -> None:
        """See one epoch's figure, as PyTorch's `ReduceLROnPlateau.step` does; but NaN, which tells nothing, is left out."""
        if value != value:
            return
        # A share of the best value, not of its size: with a best value below 0, "rel" asks for
        # less than a fall, as in PyTorch.
        margin = schedule.threshold
        if schedule.threshold_mode == "rel" and self.best is not None:
            margin *= self.best
        if monitor.improves(value, self.best, margin):
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.cooldown > 0:
            self.cooldown -= 1
            self.bad = 0
        if self.bad > schedule.patience:
            self.falls += 1
            self.cooldown, self.bad = schedule.cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        """The best figure and the counts."""
        return {"best": self.best, "bad": self.bad, "cooldown": self.cooldown, "falls": self.falls}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` gave."""
        counts = ("bad", "cooldown", "falls")
        check_state(state, ("best", *counts), "plateau")
        bad, cooldown, falls = (as_int(state[name], name, 0) for name in counts)
        self.best, self.bad, self.cooldown, self.falls = state["best"], bad, cooldown, falls


class RateClock:
    """Where a trainer stands in its schedule.

    `schedule` is a Schedule, a function that gives the rate for the epoch's number (from 1), or None. `origin` is the
    number of epochs that came before it.
    """

    def __init__(self, schedule: Schedule | Callable[[int], float] | None, origin: int) -> None:
        check_schedule(schedule)
        self.schedule = schedule
        self._origin = origin
        self._epochs = 0  # epochs of the whole training, for schedules that need its length
        self._plateau = PlateauRun()
        self._monitor: Monitor | None = None
        self._told_of_end = False

    def check(self, epochs: int, steps: int, names: Figures) -> None:
        """Raise a ValueError where the length is too short, or where `names`, what `fit` will measure, lacks the figure."""
        schedule = self.schedule
        if isinstance(schedule, ReduceOnPlateau):
            self._monitor = Monitor(schedule.monitor, schedule.mode, names)
        if isinstance(schedule, Schedule) and epochs > 0:
            whole = self._epochs or epochs
            schedule._check_length(whole * steps if schedule.per == "step" else whole)

    def warn_of_end(self, epochs: int, epochs_done: int, steps: int) -> None:
        """Say once where a call goes on after the length that a schedule took from the first call."""
        schedule, there = self.schedule, self._epochs
        if self._told_of_end or not there or not isinstance(schedule, Schedule) or not schedule.needs_length:
            return
        whole = epochs_done - self._origin + epochs
        if whole <= there:
            return
        self._told_of_end = True
        kind = type(schedule).__name__
        first = "1 epoch" if there == 1 else f"{there} epochs"
        length = (whole * steps if schedule.per == "step" else whole) - schedule.warmup
        so_far = f"length={length} would end it with this call"
        warn(
            f"schedule: {kind} took its length, {first}, from the first fit, and this one goes on past its end, where the rate "
            f"stays the same. Call fit once with all epochs (callbacks act between them), or write {kind}(length=...) with "
            f"the {schedule.per}s of all calls together{', less the warm-up' if schedule.warmup else ''}; {so_far}",
            TrainingWarning,
        )

    def begin(self, epochs: int) -> None:
        """Begin a call of `fit`; the first one that trains sets the length of the whole."""
        self._epochs = self._epochs or epochs

    def rates(self, epoch: int, steps: int, lr: float) -> Rates | None:
        """The rate of each step of that epoch (counted from 1 over the life of the trainer); None: the optimiser's rate."""
        schedule, past = self.schedule, epoch - 1 - self._origin
        if schedule is None:
            return None
        if not isinstance(schedule, Schedule):
            return np.full(steps, as_float(called(schedule, _CALLED_WITH, epoch), f"schedule({epoch})", 0.0))
        if isinstance(schedule, ReduceOnPlateau):
            lr = schedule._reduced(lr, self._plateau.falls)
        if schedule.per == "step":
            return schedule.rates(lr, steps, start=past * steps, length=self._epochs * steps)
        return np.full(steps, schedule.rates(lr, 1, start=past, length=self._epochs)[0])

    def may_rise(self, epochs_done: int, steps: int, lr: float, highest: float) -> bool:
        """Whether rates far above the highest one so far may follow: in a warm-up, or in a function's first epochs."""
        schedule, past = self.schedule, epochs_done - self._origin
        if isinstance(schedule, ReduceOnPlateau):
            return past < schedule.warmup
        if not isinstance(schedule, Schedule):
            return schedule is not None and past < _FIRST_EPOCHS
        unit = steps if schedule.per == "step" else 1
        to_come = min(max(self._epochs - past, _FIRST_EPOCHS) * unit + schedule.warmup, _MOST_ASKED)
        try:
            rates = schedule.rates(lr, to_come, start=past * unit, length=self._epochs * unit)
        except ValueError:  # they grow without end
            return True
        return float(rates.max(initial=0.0)) > 3 * highest

    def to_keep(self, rates: Rates | None) -> list[float] | None:
        """The rates that the history keeps where each step has its own: at most 1000, spread evenly."""
        if rates is None or not isinstance(self.schedule, Schedule) or self.schedule.per == "epoch":
            return None
        kept: list[float] = rates[np.linspace(0, len(rates) - 1, min(len(rates), _MOST_KEPT)).round().astype(int)].tolist()
        return kept

    def epoch_done(self, history: History) -> None:
        """Take note of an epoch whose figures are in the history."""
        schedule = self.schedule
        if isinstance(schedule, ReduceOnPlateau) and history.epoch[-1] - self._origin > schedule.warmup:
            assert self._monitor is not None
            self._plateau.see(self._monitor.value(history), schedule, self._monitor)

    def state_dict(self) -> dict[str, Any]:
        """Where the clock stands: the epochs before the schedule, its length, what ReduceOnPlateau has seen."""
        return {"origin": self._origin, "epochs": self._epochs, "plateau": self._plateau.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` gave, under a schedule with the same settings."""
        check_state(state, ("origin", "epochs", "plateau"), "schedule")
        origin, epochs = (as_int(state[name], name, 0) for name in ("origin", "epochs"))
        self._plateau.load_state_dict(state["plateau"])
        self._origin, self._epochs = origin, epochs
