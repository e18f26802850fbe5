"""Schedules of the learning rate: functions of the epoch or of the step, handed to the core as one array for each epoch.

A schedule is a setting and holds no state. Where training stands is known to the clock in training/rates.py; each
trainer has one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ._careful import names_of, says_where
from ._checks import as_float, as_int
from ._monitor import Better, check_mode, check_monitor
from ._names import nearest, squashed
from ._pickles import Recorded

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "InverseScaling",
    "OneCycle",
    "ReduceOnPlateau",
    "Schedule",
    "Step",
]

Rates = npt.NDArray[np.float64]
Per = Literal["epoch", "step"]


@dataclass(frozen=True)
class Schedule(Recorded):
    """What all schedules have in common; use Constant, Step, Exponential, InverseScaling, Cosine, OneCycle, ReduceOnPlateau.

    The optimiser's `lr` is the base rate. A schedule does not change it, but says what each step takes instead. Where
    `lr` is changed during training (by a callback, say), the rest of the schedule has the new base. All counts are of
    epochs or of steps, as `per` says. The clock counts the epochs that the trainer has begun since it has this
    schedule, and runs on from one call of `fit` to the next; epoch n begins at step (n - 1) x steps of an epoch.

    Parameters
    ----------
    per : {"epoch", "step"}, default "epoch"
        Whether the rate changes with every epoch or with every step.
    warmup : int, default 0
        So many epochs (steps) come first, in which the rate rises linearly: it is (i + 1) / (warmup + 1) of the rate
        with which the schedule then begins. (In PyTorch: `LinearLR(start_factor=1 / (warmup + 1), total_iters=warmup)`,
        then the rest by `SequentialLR`.)
    """

    per: Per = field(default="epoch", kw_only=True)
    warmup: int = field(default=0, kw_only=True)

    needs_length: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.per not in ("epoch", "step"):
            raise ValueError(f'per: expected "epoch" or "step", got {self.per!r}')
        self._check("warmup", as_int(self.warmup, "warmup", 0))

    def _check(self, name: str, value: object) -> None:
        """Check a setting and keep the checked value."""
        object.__setattr__(self, name, value)

    def rates(self, lr: float, n: int, *, start: int = 0, length: int | None = None) -> Rates:
        """The rates of epochs (steps) `start` to `start + n`, for looking at them or drawing them.

        Parameters
        ----------
        lr : float
            The optimiser's.
        n : int
            How many.
        start : int, default 0
            The first, counted from 0.
        length : int, optional
            Epochs (steps) of the whole training, as `fit` gives them, for a schedule that needs them; default `start +
            n`.

        Returns
        -------
        array (n,)
            float64.

        Raises
        ------
        ValueError
            If there is no epoch (step) left after the warm-up, or rates are not finite.
        """
        lr, n, start = as_float(lr, "lr", 0.0), as_int(n, "n", 0), as_int(start, "start", 0)
        length = start + n if length is None else as_int(length, "length", 0)
        if n > 0:
            self._check_length(length)
        t = np.arange(start, start + n, dtype=np.float64)
        with np.errstate(over="ignore"):
            found = self._curve(np.maximum(t - self.warmup, 0), lr, length - self.warmup)
        if self.warmup > start:
            found *= np.minimum((t + 1) / (self.warmup + 1), 1)
        if not np.isfinite(found).all():
            raise ValueError(f"{self}: expected finite rates, got {found[~np.isfinite(found)][0]}")
        return found

    def _check_length(self, length: int) -> None:
        if self.needs_length and length <= self.warmup:
            raise ValueError(f"warmup: expected less than the {length} {self.per}s of the schedule, got {self.warmup}")

    def _curve(self, t: Rates, lr: float, length: int) -> Rates:
        """A new array with the rates at the times t after the warm-up."""
        raise NotImplementedError(f"{type(self).__name__} has no rates: {_OF_YOUR_OWN}")


@says_where()
@dataclass(frozen=True)
class Constant(Schedule):
    """The optimiser's rate stays as it is, after the warm-up.

    Parameters
    ----------
    per : {"epoch", "step"}, default "epoch"
    warmup : int, default 0
        See `Schedule`.

    Notes
    -----
    Another `fit` goes on with the same rate. With a warm-up: Goyal et al., Accurate, large minibatch SGD (2017).
    """

    def _curve(self, t: Rates, lr: float, length: int) -> Rates:
        return np.full_like(t, lr)


@says_where()
@dataclass(frozen=True)
class Step(Schedule):
    """Every so many epochs (steps) the rate is multiplied by gamma: lr gamma^floor(t / every).

    Parameters
    ----------
    every : int
        At least 1.
    gamma : float, default 0.1
        At least 0.
    per : {"epoch", "step"}, default "epoch"
    warmup : int, default 0
        See `Schedule`.

    Notes
    -----
    PyTorch's `StepLR`. Another `fit` goes on falling.
    """

    every: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("every", as_int(self.every, "every", 1))
        self._check("gamma", as_float(self.gamma, "gamma", 0.0))

    def _curve(self, t: Rates, lr: float, length: int) -> Rates:
        return lr * self.gamma ** np.floor(t / self.every)


@says_where()
@dataclass(frozen=True)
class Exponential(Schedule):
    """Every epoch (step) the rate is multiplied by gamma: lr gamma^t.

    Parameters
    ----------
    gamma : float
        At least 0.
    per : {"epoch", "step"}, default "epoch"
    warmup : int, default 0
        See `Schedule`.

    Notes
    -----
    PyTorch's `ExponentialLR`. Another `fit` goes on falling.
    """

    gamma: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("gamma", as_float(self.gamma, "gamma", 0.0))

    def _curve(self, t: Rates, lr: float, length: int) -> Rates:
        return lr * self.gamma**t


@says_where()
@dataclass(frozen=True)
class InverseScaling(Schedule):
    """The rate falls with a power of the time: lr / (t + 1)^power.

    Parameters
    ----------
    power : float, default 0.5
        At least 0.
    per : {"epoch", "step"}, default "epoch"
    warmup : int, default 0
        See `Schedule`.

    Notes
    -----
    scikit-learn's "invscaling", whose time is counted in rows. Another `fit` goes on falling.
    """

    power: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("power", as_float(self.power, "power", 0.0))

    def _curve(self, t: Rates, lr: float, length: int) -> Rates:
        return lr / (t + 1) ** self.power


@says_where()
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from the optimiser's rate down to a floor: floor + (lr - floor) (1 + cos(pi t / length)) / 2.

    Parameters
    ----------
    floor : float, default 0
        The rate at t = length, at least 0.
    length : int, optional
        Epochs (steps) of the fall, without the warm-up; where several calls of `fit` make one training, those of all of
        them. Default: those of the first `fit` that has this schedule; a later one that goes past them is warned.
    period : int, optional
        For restarts: the fall takes so many epochs (steps) and then begins anew, again and again. Not with `length`.
    multiplier : int, default 1
        Each period is so many times as long as the one before it.
    per : {"epoch", "step"}, default "epoch"
    warmup : int, default 0
        See `Schedule`.

    Notes
    -----
    PyTorch's `CosineAnnealingLR` and, with a period, `CosineAnnealingWarmRestarts`. In another `fit` the rate stays at
    the floor after `length` (give `length` where several calls make one run); with a period the restarts go on.
    Loshchilov, Hutter: SGDR, stochastic gradient descent with warm restarts (2017).
    """

    floor: float = 0.0
    length: int | None = field(default=None, kw_only=True)
    period: int | None = field(default=None, kw_only=True)
    multiplier: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("floor", as_float(self.floor, "floor", 0.0))
        self._check("multiplier", as_int(self.multiplier, "multiplier", 1))
        for name in ("length", "period"):
            value = getattr(self, name)
            self._check(name, None if value is None else as_int(value, name, 1))
        if self.length is not None and self.period is not None:
            raise ValueError("Cosine: expected length or period, got both")

    @property
    def needs_length(self) -> bool:  # type: ignore[override]  # not the same for all
        """Whether the length of the training matters."""
        return self.length is None and self.period is None

    def _curve(self, t: Rates, lr: float, length: int) -> Rates:
        if self.period is None:
            part = np.minimum(t / (self.length or length), 1)
        else:
            starts, lengths = [0], [self.period]
            while len(t) and self.multiplier > 1 and starts[-1] + lengths[-1] <= t[-1]:
                starts.append(starts[-1] + lengths[-1])
                lengths.append(lengths[-1] * self.multiplier)
            which = np.searchsorted(starts, t, side="right") - 1
            part = (t - np.array(starts)[which]) / np.array(lengths)[which] % 1
        return self.floor + (lr - self.floor) * (1 + np.cos(math.pi * part)) / 2


@says_where()
@dataclass(frozen=True)
class OneCycle(Schedule):
    """One cycle: half a cosine up from max_lr / div_factor to max_lr, and a longer one down to far below the start.

    Parameters
    ----------
    max_lr : float, optional
        The highest rate. Default: the optimiser's rate, which is otherwise not used.
    pct_start : float, default 0.3
        The share of the cycle in which the rate rises, in [0, 1].
    div_factor : float, default 25
        The cycle begins at max_lr / div_factor.
    final_div_factor : float, default 1e4
        The cycle ends at max_lr / div_factor / final_div_factor.
    length : int, optional
        Epochs (steps, as `per` says) of the cycle, without the warm-up; where several calls of `fit` make one training,
        those of all of them. Default: those of the first `fit` that has this schedule; a later one that goes past them is
        warned.
    per : {"epoch", "step"}, default "step"
    warmup : int, default 0
        See `Schedule`. The cycle has a warm-up of its own.

    Notes
    -----
    PyTorch's `OneCycleLR` with cosines; momentum is not changed (there: `cycle_momentum=False`). In another `fit`,
    after the cycle, the rate stays at its last and least value. Smith, Topin: Super-convergence (2018).
    """

    max_lr: float | None = None
    pct_start: float = field(default=0.3, kw_only=True)
    div_factor: float = field(default=25.0, kw_only=True)
    final_div_factor: float = field(default=1e4, kw_only=True)
    length: int | None = field(default=None, kw_only=True)
    per: Per = field(default="step", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_lr is not None:
            self._check("max_lr", as_float(self.max_lr, "max_lr", 0.0))
        self._check("pct_start", as_float(self.pct_start, "pct_start", 0.0))
        if self.pct_start > 1:
            raise ValueError(f"pct_start: expected a number from 0 to 1, got {self.pct_start}")
        for name in ("div_factor", "final_div_factor"):
            self._check(name, as_float(getattr(self, name), name, 1.0))
        if self.length is not None:
            self._check("length", as_int(self.length, "length", 1))

    @property
    def needs_length(self) -> bool:  # type: ignore[override]
        """Whether the length of the training matters."""
        return self.length is None

    def _curve(self, t: Rates, lr: float, length: int) -> Rates:
        top = lr if self.max_lr is None else self.max_lr
        first = top / self.div_factor
        end = (self.length or length) - 1
        turn = min(self.pct_start * (end + 1) - 1, end)  # where the rate is highest
        up = t / turn if turn > 0 else np.ones_like(t)
        down = np.minimum((t - turn) / (end - turn), 1) if end > turn else np.ones_like(t)
        rising, falling = _anneal(first, top, up), _anneal(top, first / self.final_div_factor, down)
        return np.where(t <= turn, rising, falling)


def _anneal(start: float, end: float, part: Rates) -> Rates:
    """Half a cosine from start to end."""
    return end + (start - end) / 2 * (1 + np.cos(math.pi * part))


@says_where()
@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """The rate is multiplied by a factor when a figure has not become better for more than `patience` epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A figure of the history: "loss", "val_loss", "accuracy", "val_accuracy", "mae", "val_mae", or one of `fit`'s metrics.
    factor : float, default 0.1
        In [0, 1).
    patience : int, default 10
        At least 0.
    threshold : float, default 1e-4
        What counts as better: by this share of the best value ("rel"), or by this difference ("abs").
    threshold_mode : {"rel", "abs"}, default "rel"
    cooldown : int, default 0
        The epochs after a fall in which bad epochs are not counted.
    min_lr : float, default 0
        The rate does not fall below it.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" knows it for the figures of this package. For a function of your own, say
        it here or by `metrics.Metric(..., better=)`.
    warmup : int, default 0
        In epochs; see `Schedule`. The figure is not watched during the warm-up.
    per : {"epoch"}
        Always "epoch".

    Notes
    -----
    PyTorch's `ReduceLROnPlateau` with eps=0: a fall happens however small it is. Another `fit` goes on with the reduced
    rate, the best value and the counts. An epoch whose figure is NaN is left out (PyTorch counts it as not better).
    """

    monitor: str = "val_loss"
    factor: float = field(default=0.1, kw_only=True)
    patience: int = field(default=10, kw_only=True)
    threshold: float = field(default=1e-4, kw_only=True)
    threshold_mode: Literal["rel", "abs"] = field(default="rel", kw_only=True)
    cooldown: int = field(default=0, kw_only=True)
    min_lr: float = field(default=0.0, kw_only=True)
    mode: Better = field(default="auto", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_monitor(self.monitor)
        check_mode(self.mode)
        self._check("factor", as_float(self.factor, "factor", 0.0, below=1.0))
        self._check("patience", as_int(self.patience, "patience", 0))
        self._check("threshold", as_float(self.threshold, "threshold", 0.0))
        self._check("cooldown", as_int(self.cooldown, "cooldown", 0))
        self._check("min_lr", as_float(self.min_lr, "min_lr", 0.0))
        if self.threshold_mode not in ("rel", "abs"):
            raise ValueError(f'threshold_mode: expected "rel" or "abs", got {self.threshold_mode!r}')
        if self.per != "epoch":
            raise ValueError(f'per: expected "epoch", as the figure is known once an epoch, got {self.per!r}')

    def _curve(self, t: Rates, lr: float, length: int) -> Rates:
        return np.full_like(t, lr)  # the rates before any fall; `PlateauRun` counts the falls

    def _reduced(self, lr: float, falls: int) -> float:
        """The rate after so many falls."""
        return max(lr * self.factor**falls, self.min_lr) if falls else lr


_OF_YOUR_OWN = "a schedule of your own is a function of the epoch, counted from 1: schedule=lambda epoch: 0.1 * 0.9**epoch"


def check_schedule(schedule: object) -> None:
    """Raise a TypeError where it is neither a schedule, nor a function, nor None."""
    if isinstance(schedule, Schedule) and type(schedule)._curve is Schedule._curve:
        raise TypeError(f"schedule: {type(schedule).__name__} has no rates: {_OF_YOUR_OWN}")
    if schedule is not None and (isinstance(schedule, type) or not (isinstance(schedule, Schedule) or callable(schedule))):
        hint = ""
        if isinstance(schedule, type) and issubclass(schedule, Schedule):
            hint = f"; that is the class, and rg.schedules.{schedule.__name__}(...) a schedule"
        elif isinstance(schedule, str):
            name = nearest(schedule, __all__, _ELSEWHERE)
            hint = f"; write rg.schedules.{name}({_NEEDS.get(name, '')})" if name else ""
        raise TypeError(
            f"schedule: expected a Schedule, a function of the epoch that gives the rate, or None, got {schedule!r}{hint}"
        )


# What other packages call a schedule, in squashed spelling, and what those need that have no defaults.
_ELSEWHERE = {
    "steplr": "Step",
    "exponentiallr": "Exponential",
    "exponentialdecay": "Exponential",
    "invscaling": "InverseScaling",
    "cosinedecay": "Cosine",
    "cosineannealing": "Cosine",
    "cosineannealinglr": "Cosine",
    "onecyclelr": "OneCycle",
    "plateau": "ReduceOnPlateau",
    "adaptive": "ReduceOnPlateau",
    "reducelronplateau": "ReduceOnPlateau",
}
_NEEDS = {"Step": "every=10", "Exponential": "gamma=0.95"}


def _meant(name: str) -> str:
    """What to write for a name of another package's."""
    found = _ELSEWHERE.get(squashed(name)) or {squashed(one): one for one in __all__}.get(squashed(name))
    return f"rg.schedules.{found}({_NEEDS.get(found, '')})" if found else ""


if not TYPE_CHECKING:
    __getattr__, __dir__ = names_of(__name__, __all__, _meant)
