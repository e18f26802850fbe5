"""When training ends before its last epoch: `EarlyStopping` with the best weights, and convergence of the loss."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._careful import Helpful, says_where
from .._checks import as_bool, as_float, as_int, check_state
from .._monitor import Better, Monitor, check_mode, check_monitor
from ..history import History
from ..network import Network

__all__ = ["Convergence", "EarlyStopping", "EarlyStoppingRun"]


@says_where()
@dataclass(frozen=True)
class EarlyStopping(Helpful):
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
        Whether less or more is better; "auto" knows it for the figures of this package.
    restore_best : bool, default True
        Whether the network ends with the weights of its best epoch, bit for bit. This holds where training stopped
        early, where it reached its last epoch and where `Trainer.stop` ended it, but not after Ctrl-C or an error. The
        optimiser's state stays that of the last step. While training runs, a second copy of the weights is kept.

    Notes
    -----
    Each call of `fit` begins anew. NaN is never better. Prechelt: Early stopping, but when? (1998).
    """

    monitor: str = "val_loss"
    patience: int = 10
    min_delta: float = field(default=0.0, kw_only=True)
    mode: Better = field(default="auto", kw_only=True)
    restore_best: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        check_monitor(self.monitor)
        check_mode(self.mode)
        object.__setattr__(self, "patience", as_int(self.patience, "patience", 1))
        object.__setattr__(self, "min_delta", as_float(self.min_delta, "min_delta", 0.0))
        object.__setattr__(self, "restore_best", as_bool(self.restore_best, "restore_best"))


class EarlyStoppingRun:
    """One call of `fit`, with early stopping or without it (None)."""

    def __init__(self, settings: EarlyStopping | None, network: Network, names: Iterable[str]) -> None:
        if settings is not None and not isinstance(settings, EarlyStopping):
            raise TypeError(f"early_stopping: expected an EarlyStopping such as rg.EarlyStopping(), got {settings!r}")
        self._settings, self._network = settings, network
        self._best: float | None = None
        self._kept: Network | None = None
        self._waited = 0
        if settings is not None:
            self._monitor = Monitor(settings.monitor, settings.mode, names, network.metric_name)

    def epoch_done(self, history: History) -> bool:
        """Look at the last epoch; returns whether to stop."""
        settings = self._settings
        if settings is None:
            return False
        value = self._monitor.value(history)
        if self._monitor.improves(value, self._best, settings.min_delta):
            if settings.restore_best:
                if self._kept is None:
                    self._kept = copy.copy(self._network)
                else:
                    self._kept.copy_from(self._network)
            self._best, self._waited, history.best_epoch = value, 0, history.epoch[-1]
        else:
            self._waited += 1
        history.stopped_early = self._waited >= settings.patience
        return history.stopped_early

    def end(self) -> None:
        """Go back to the best weights at the end of training."""
        if self._kept is not None:
            self._network.copy_from(self._kept)

    def state_dict(self) -> dict[str, Any]:
        """A copy of what was seen so far: the best figure, how long ago it was, and the weights of that epoch or None."""
        kept = None if self._kept is None else self._kept._state()
        return {"best": self._best, "waited": self._waited, "kept": kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` gave."""
        check_state(state, ("best", "waited", "kept"), "early stopping")
        kept = None
        if state["kept"] is not None:
            kept = copy.copy(self._network)
            kept._load_state(state["kept"])
        self._best, self._waited, self._kept = state["best"], as_int(state["waited"], "waited", 0), kept


class Convergence:
    """One call of `fit` under `tol` and `patience`: whether the training loss still falls."""

    def __init__(self, tol: float | None, patience: int | None) -> None:
        self._tol = None if tol is None else as_float(tol, "tol", 0.0)
        self._patience = 10 if patience is None else as_int(patience, "patience", 1)
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
        history.converged = self._waited >= self._patience
        return history.converged

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far: the best loss, and how long ago it fell."""
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` gave."""
        check_state(state, ("best", "waited"), "convergence")
        self._best, self._waited = float(state["best"]), as_int(state["waited"], "waited", 0)
