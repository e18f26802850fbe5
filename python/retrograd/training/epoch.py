"""One epoch of a call of `fit`: its steps in one call into the core, or in several where callbacks come between them.

What the epochs of a call have in common, and what happens between them, is in run.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from .. import _core
from .._careful import set_own
from .._data.examples import Examples
from ..callbacks import Callback, StepInfo, TrainerInUse, called, parts
from ..errors import DivergenceError
from ..history import History
from ..network import Network
from .advised import Advised
from .averaging import Averaging
from .rates import RateClock

Report = Callable[[int, float], object]  # is told the number of rows so far and the sum of their losses


class Steps(TrainerInUse, Advised, Protocol):
    """What a run needs of the trainer: its way into the core, the history, and whether `stop` was called."""

    history: History
    n_threads: int | None
    _stopped: bool
    _averaging: Averaging

    @property
    def network(self) -> Network:
        """The network that is trained."""

    def _epoch(self, data: Examples, options: _core.EpochOptions) -> _core.EpochResult: ...

    def _gradient_norms(self) -> list[float]: ...


class EpochSettings(NamedTuple):
    """What the epochs of one call of `fit` have in common."""

    data: Examples
    options: _core.EpochOptions  # the core's options; each epoch sets its steps and rates
    clock: RateClock
    callbacks: list[Callback]
    steps: int  # the steps of an epoch
    rows: int  # the rows of these steps


def train_epoch(trainer: Steps, settings: EpochSettings, steps_before: int) -> dict[str, Any] | None:
    """Train the next epoch and return its figures as `History.append` takes them; None where a callback cut it short.

    `steps_before` is the number of steps of this call of `fit` before the epoch.
    """
    data, options, clock, callbacks, steps, rows = settings
    epoch, lr = trainer.epochs_done + 1, trainer.optimizer.lr
    rates = clock.rates(epoch, steps, lr)
    set_own(trainer, "epochs_done", epoch)
    trainer._averaging.begin_epoch(trainer.network, epoch, options)
    loss = metric = weight = seconds = 0.0
    norms = np.zeros(trainer.network.depth) if options.gradient_norms else None
    told: dict[int, tuple[float, float]] = {}  # the loss and weight that each callback has been told of already
    for first, last, asking in parts(callbacks, steps, steps_before):
        if trainer.optimizer.lr != lr:  # a callback has changed it
            lr = trainer.optimizer.lr
            if rates is not None:
                rates[first:] = clock.rates(epoch, steps, lr)[first:]  # type: ignore[index]  # as before
        start = time.perf_counter()
        options.lr, options.first, options.last = rates, first, last
        options.patient = steps_before + first > 0
        result = trainer._epoch(data, options)
        seconds += time.perf_counter() - start
        if result.diverged:
            raise DivergenceError(epoch, result.bad_step, rate_of(result.bad_step, rates, lr), result.bad_loss)
        loss, metric, weight = loss + result.loss, metric + result.metric, weight + result.weight
        if norms is not None:
            norms += trainer._gradient_norms()
        for callback in asking:
            old_loss, old_weight = told.get(id(callback), (0.0, 0.0))
            told[id(callback)] = loss, weight
            since = mean(loss - old_loss, weight - old_weight)
            info = StepInfo(epoch, last, steps, since, rate_of(last, rates, lr))
            called(callback.on_step_end, "Callback.on_step_end is called with the trainer and a StepInfo.", trainer, info)
        if trainer._stopped and last < steps and asking:
            return None
    return {
        "epoch": epoch,
        "loss": mean(loss, weight),
        "metric": trainer.network._metric(mean(metric, weight)),
        "seconds": seconds,
        "lr": rate_of(steps, rates, lr),
        "step_lr": clock.to_keep(rates),
        "rows_per_second": rows / seconds,
        "gradient_norms": None if norms is None else dict(enumerate((norms / steps).tolist())),
    }


def mean(total: float, weight: float) -> float:
    """A sum as a mean over rows; 0 where no row has a weight above 0."""
    return total / weight if weight > 0 else 0.0


def rate_of(step: int, rates: npt.NDArray[np.float64] | None, lr: float) -> float:
    """The learning rate of a step, counted from 1."""
    return float(lr if rates is None else rates[step - 1])
