"""When training ends before its last epoch: `EarlyStopping` with the best weights, and convergence of the loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from .._careful import Helpful, says_where
from .._checks import as_bool, as_float, as_int, check_state
from .._monitor import Better, Figures, Monitor, check_mode, check_monitor
from .._pickles import Recorded
from ..errors import DivergenceError, TrainingWarning, warn
from ..history import History
from ..network import Network
from .averaging import NO_AVERAGE, Averaging, kept_from, state_of

__all__ = ["Convergence", "EarlyStopping", "EarlyStoppingRun", "warn_of_parts"]


@says_where()
@dataclass(frozen=True)
class EarlyStopping(Recorded, Helpful):
    """When training stops early, and whether it goes back to the best epoch: `Trainer.fit(..., early_stopping=...)`.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A figure of the history: "loss", "val_loss", "accuracy", "val_accuracy", "mae", "val_mae", or one of `fit`'s metrics
        ("val_f1", say).
    patience : int, default 10
        Training stops after so many epochs in a row that were not better, at least 1.
    min_delta : float, default 0
        An epoch is better if its figure is better by more than this.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" knows it for the figures of this package. For a function of your own, say
        it here or by `metrics.Metric(..., better=)`.
    restore_best : bool, default True
        Whether the network ends with the weights of its best epoch, bit for bit, whatever ended the training: early
        stopping, the last epoch, `Trainer.stop`, Ctrl-C, an error of a callback or a metric, or a DivergenceError. The
        optimiser's state is that of the last step (after a DivergenceError a new one). While training runs, a second copy
        of the weights is kept. A trainer's average (`average=`) goes back with the network.
    from_epoch : int, default 1
        The first epoch that counts, from 1 in each call of `fit`. Epochs before it are neither the best one nor do they
        count as not better.
    baseline : float, optional
        An epoch only ends the waiting if it is better than this too (by more than `min_delta`): training stops where none
        of the first `patience` epochs is, and later where none of so many in a row is. The best epoch is the best of all,
        whether or not it has reached the baseline.

    Notes
    -----
    Each call of `fit` begins anew, so several calls of one epoch each never stop early: call it once, with callbacks for
    what comes between two epochs. An epoch whose figure is NaN does not count: it is not better, and it does not bring
    the end nearer. Prechelt: Early stopping, but when? (1998).
    """

    monitor: str = "val_loss"
    patience: int = 10
    min_delta: float = field(default=0.0, kw_only=True)
    mode: Better = field(default="auto", kw_only=True)
    restore_best: bool = field(default=True, kw_only=True)
    from_epoch: int = field(default=1, kw_only=True)
    baseline: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_monitor(self.monitor)
        check_mode(self.mode)
        object.__setattr__(self, "patience", as_int(self.patience, "patience", 1))
        object.__setattr__(self, "min_delta", as_float(self.min_delta, "min_delta", 0.0))
        object.__setattr__(self, "restore_best", as_bool(self.restore_best, "restore_best"))
        object.__setattr__(self, "from_epoch", as_int(self.from_epoch, "from_epoch", 1))
        if self.baseline is not None:
            baseline = as_float(self.baseline, "baseline", -math.inf)
            if baseline == -math.inf:
                raise ValueError(f"baseline: expected a finite number, got {self.baseline}")
            object.__setattr__(self, "baseline", baseline)


class EarlyStoppingRun:
    """One call of `fit`, with early stopping or without it (None)."""

    def __init__(
        self, settings: EarlyStopping | None, network: Network, names: Figures, average: Averaging | None = None
    ) -> None:
        if settings is not None and not isinstance(settings, EarlyStopping):
            raise TypeError(f"early_stopping: expected an EarlyStopping such as rg.EarlyStopping(), got {settings!r}")
        self._settings, self._network = settings, network
        self._best: float | None = None
        self._best_epoch: int | None = None
        self._kept: Network | None = None
        self._average = Averaging(None) if average is None else average
        self._kept_average = NO_AVERAGE
        self._waited = 0
        if settings is not None:
            self._monitor = Monitor(settings.monitor, settings.mode, names)

    def epoch_done(self, history: History) -> bool:
        """Look at the last epoch; returns whether to stop."""
        settings = self._settings
        if settings is None or len(history) < settings.from_epoch:
            return False
        value, improves = self._monitor.value(history), self._monitor.improves
        if value != value:
            return False
        better = improves(value, self._best, settings.min_delta)
        if better:
            if settings.restore_best:
                if self._kept is None:
                    self._kept = copy.copy(self._network)
                else:
                    self._kept.copy_from(self._network)
                self._kept_average = self._average.keep(self._kept_average)
            self._best = value
            self._best_epoch = history.best_epoch = history.epoch[-1]
        enough = settings.baseline is None or improves(value, settings.baseline, settings.min_delta)
        self._waited = 0 if better and enough else self._waited + 1
        history.stopped_early = self._waited >= settings.patience
        return history.stopped_early

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()
        if self._kept is not None and isinstance(error, DivergenceError):
            raise DivergenceError(error.epoch, error.step, error.lr, error.loss, self._best_epoch) from None

    def end(self) -> None:
        """Go back to the best weights, whatever has ended the training."""
        if self._kept is not None:
            self._network.copy_from(self._kept)
            self._average.go_back(self._kept_average)

    def warn_where_nothing_counted(self, history: History) -> None:
        """Say so where no epoch could be the best."""
        settings = self._settings
        if settings is None or not history.epoch or history.best_epoch is not None:
            return
        if len(history) < settings.from_epoch:
            text = f"from_epoch={settings.from_epoch} is after the last epoch of this call, so that none counted"
        else:
            text = f"{settings.monitor} was nan in every epoch that counts, so that none is the best"
        warn(f"early_stopping: {text}; the weights are those of the last epoch", TrainingWarning)

    def state_dict(self) -> dict[str, Any]:
        """A copy of what was seen so far: the best figure, its epoch, how long ago it was, and its weights or None."""
        kept = None if self._kept is None else self._kept._state()
        average = state_of(self._kept_average)
        return {"best": self._best, "best_epoch": self._best_epoch, "waited": self._waited, "kept": kept, "average": average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` gave."""
        check_state(state, ("best", "best_epoch", "waited", "kept", "average"), "early stopping")
        average = kept_from(state["average"], self._network)
        kept = None
        if state["kept"] is not None:
            kept = copy.copy(self._network)
            kept._load_state(state["kept"])
        self._best, self._best_epoch = state["best"], state["best_epoch"]
        self._waited, self._kept, self._kept_average = as_int(state["waited"], "waited", 0), kept, average


class Convergence:
    """One call of `fit` under `tol` and `patience`: whether the training loss still falls."""

    def __init__(self, tol: float | None, patience: int | None) -> None:
        self._tol = None if tol is None else as_float(tol, "tol", 0.0)
        self.patience = 10 if patience is None else as_int(patience, "patience", 1)
        if tol is None and patience is not None:
            raise ValueError(
                f"patience: expected tol beside it, got {patience} alone; write tol=1e-4, patience={patience} to stop by the "
                f'training loss, or early_stopping=rg.EarlyStopping("val_loss", patience={patience})'
            )
        self._best, self._waited = float("inf"), 0

    def epoch_done(self, history: History) -> bool:
        """Look at the last epoch; returns whether to stop."""
        if self._tol is None:
            return False
        loss = history.loss[-1]
        self._waited = 0 if loss < self._best - self._tol else self._waited + 1
        self._best = min(self._best, loss)
        history.converged = self._waited >= self.patience
        return history.converged

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far: the best loss, and how long ago it fell."""
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` gave."""
        check_state(state, ("best", "waited"), "convergence")
        self._best, self._waited = float(state["best"]), as_int(state["waited"], "waited", 0)


def warn_of_parts(early: EarlyStopping | None, tol: float | None, patience: int, epochs: int, again: bool) -> bool:
    """Whether neither early stopping nor `tol` can end a call of so many epochs; `again`: nor the call before.

    Then say so, because such calls are probably meant as parts of one training.
    """
    if epochs == 0 or (early is None and tol is None):
        return False
    what, waits = ("tol", patience) if early is None else ("early_stopping", early.patience)
    if epochs > waits:
        return False
    if again:
        calls = "1 epoch" if epochs == 1 else f"{epochs} epochs"
        warn(
            f"{what}: each call of fit counts anew, and patience={waits} cannot end a call of {calls}. "
            "Call fit once with all epochs; callbacks act between them",
            TrainingWarning,
        )
    return True
