"""The range test of the learning rate: it trains a copy of the network with a rising rate until the loss explodes."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from .._careful import explained
from .._checks import as_float, as_int
from .._pickles import Recorded
from ..callbacks import Callback, StepInfo
from ..errors import DivergenceError
from ..network import Network, as_network
from ..optimizers import SGD, Optimizer, as_optimizer
from ..schedules import Schedule
from ..training.trainer import Trainer

__all__ = ["LRRange", "lr_range_test"]


@dataclass(frozen=True, eq=False)
class LRRange(Recorded):
    """What `lr_range_test` found.

    Attributes
    ----------
    lr : array (steps,)
        The rates of the steps that were taken.
    loss : array (steps,)
        The mean loss of each step's batch before its update.
    smoothed : array (steps,)
        The running mean of the losses, corrected for the bias of its start.
    exploded : bool
        Whether the test ended because the loss exploded.
    """

    lr: npt.NDArray[np.float64]
    loss: npt.NDArray[np.float64]
    smoothed: npt.NDArray[np.float64]
    exploded: bool

    @property
    def at_min(self) -> float:
        """The rate at which the smoothed loss is least."""
        return float(self.lr[int(np.argmin(self.smoothed))])

    @property
    def steepest(self) -> float | None:
        """The rate at which the smoothed loss falls most with the logarithm of the rate, before its least value.

        None where it never falls.
        """
        end = int(np.argmin(self.smoothed)) + 1
        if end < 2:
            return None
        slope = np.gradient(self.smoothed[:end], np.log(self.lr[:end]))
        return float(self.lr[int(np.argmin(slope))])

    @property
    def suggestion(self) -> float | None:
        """A tenth of `at_min`, where the loss still falls fast; None where the loss never falls.

        It is a rule of thumb to begin with: for a schedule with a fixed rate, or as the lower end of the range to
        search. As `max_lr` of OneCycle, something between it and `at_min` may do.
        """
        return None if self.steepest is None else self.at_min / 10

    def plot(self, ax: Any = None) -> Any:
        """Draw the loss over the rate (logarithmic), with the suggestion marked.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from .. import plots

        plots.need_matplotlib("LRRange.plot")
        return plots.lr_range(self, ax)

    def __repr__(self) -> str:
        found = "no suggestion: the loss falls nowhere" if self.suggestion is None else f"suggestion {self.suggestion:.3g}"
        least = f"least loss at {self.at_min:.3g}"
        end = ", exploded" if self.exploded else ""
        return f"LRRange({len(self.lr)} steps, {self.lr[0]:.3g} to {self.lr[-1]:.3g}{end}: {least}, {found})"


@explained
def lr_range_test(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    optimizer: Optimizer | str | None = None,
    lr_min: float = 1e-6,
    lr_max: float = 10.0,
    steps: int = 200,
    batch_size: int = 32,
    drop_last: bool = False,
    smoothing: float = 0.95,
    explodes_at: float = 4.0,
    n_threads: int | None = None,
) -> LRRange:
    """Train a copy of the network with a rate that rises exponentially from step to step, and record the loss.

    The network and its optimiser stay as they are, whatever happens.

    Parameters
    ----------
    network : Network
        Its weights are where the test begins.
    X, y : array
        As `Trainer.fit` takes them. Rows are shuffled; where they do not last for all steps, they are used again.
    optimizer : Optimizer or str, optional
        The test has its settings (except the rate) and its state. A name ("adam") is short for one with its defaults.
        Default: plain SGD.
    lr_min, lr_max : float, default 1e-6 and 10
        The rate of step i is lr_min (lr_max / lr_min)^(i / (steps - 1)).
    steps : int, default 200
        At least 2.
    batch_size : int, default 32
    drop_last : bool, default False
        As in `Trainer`: whether a last, smaller batch of the rows is left out.
    smoothing : float, default 0.95
        In [0, 1): m = smoothing m + (1 - smoothing) loss from m = 0, over 1 - smoothing^(i + 1).
    explodes_at : float, default 4
        The test ends when the smoothed loss is more than so many times its least value so far, or when a loss or weight is
        not finite.
    n_threads : int, optional
        At most so many threads.

    Returns
    -------
    LRRange

    Raises
    ------
    ValueError, TypeError
        Arguments that do not fit.
    DivergenceError
        The loss was not finite in the first step.

    Notes
    -----
    Smith: Cyclical learning rates for training neural networks (2017).
    """
    lr_min = as_float(lr_min, "lr_min", 0.0)
    lr_max = as_float(lr_max, "lr_max", 0.0)
    if not 0 < lr_min < lr_max:
        raise ValueError(f"lr_min, lr_max: expected 0 < lr_min < lr_max, got {lr_min:g} and {lr_max:g}")
    steps = as_int(steps, "steps", 2)
    smoothing = as_float(smoothing, "smoothing", 0.0, below=1.0)
    explodes_at = as_float(explodes_at, "explodes_at", 1.0)
    as_network(network)
    if optimizer is None or (isinstance(optimizer, str) and optimizer.lower() == "sgd"):  # whose rate plays no part here
        optimizer = SGD(lr_min)
    twin = copy.copy(as_optimizer(optimizer))
    ramp, record = _Ramp(lr_min, lr_max, steps, per="step"), _Record(steps, smoothing, explodes_at)
    trainer = Trainer(
        copy.copy(network),
        twin,
        batch_size=batch_size,
        drop_last=drop_last,
        n_threads=n_threads,
        progress=False,
        schedule=ramp,
        callbacks=[record],
        advice=False,
    )
    try:
        trainer.fit(X, y, epochs=steps)  # an epoch has a step at least; the record stops it
    except DivergenceError:
        if not record.losses:
            raise
        record.exploded = True
    taken = len(record.losses)
    return LRRange(ramp.rates(0.0, taken), np.array(record.losses), np.array(record.smoothed), record.exploded)


@dataclass(frozen=True)
class _Ramp(Schedule):
    """The rates of the range test."""

    lr_min: float
    lr_max: float
    steps: int

    def _curve(self, t: npt.NDArray[np.float64], lr: float, length: int) -> npt.NDArray[np.float64]:
        part = np.minimum(t / (self.steps - 1), 1)
        return self.lr_min ** (1 - part) * self.lr_max**part


class _Record(Callback):
    """Keeps the loss of each step, and stops where it explodes or enough steps are taken."""

    every = 1

    def __init__(self, steps: int, smoothing: float, explodes_at: float) -> None:
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.exploded = False
        self._steps, self._smoothing, self._explodes_at, self._mean = steps, smoothing, explodes_at, 0.0

    def on_step_end(self, trainer: Trainer, info: StepInfo) -> None:
        """Keep the loss, and smooth it without the bias of the start."""
        self.losses.append(info.loss)
        self._mean = self._smoothing * self._mean + (1 - self._smoothing) * info.loss
        self.smoothed.append(self._mean / (1 - self._smoothing ** len(self.losses)))
        self.exploded = self.smoothed[-1] > self._explodes_at * min(self.smoothed)
        if self.exploded or len(self.losses) == self._steps:
            trainer.stop()
