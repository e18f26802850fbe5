"""Averaged weights: the settings `EMA` and `SWA`, and the average that a trainer keeps over its calls.

An average over steps is taken by the core inside the epoch, one over epochs between them; both by `Network.copy_from`'s
arithmetic. Which figures look at the average is in run.py.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from .. import _core
from .._careful import says_where
from .._checks import as_float, as_int, check_state
from .._pickles import Recorded
from ..errors import TrainingWarning, warn
from ..history import History
from ..network import Network

__all__ = ["EMA", "SWA", "Averaging"]


@says_where()
@dataclass(frozen=True)
class EMA(Recorded):
    """An exponential moving average of the weights: `Trainer(..., average=EMA(0.999))`, then `trainer.averaged`.

    average = decay average + (1 - decay) weights after each step, beginning with a copy of the weights after the first
    one; PyTorch's `swa_utils.get_ema_multi_avg_fn` means the same.

    Parameters
    ----------
    decay : float, default 0.999
        In [0, 1). The average looks back over about 1 / (1 - decay) steps (or epochs), of which a training should have
        several times as many: until then the first weights weigh most.
    per : {"step", "epoch"}, default "step"
        What the average is taken after.
    from_epoch : int, default 1
        The first epoch whose weights are taken in, as the history counts epochs.
    """

    decay: float = 0.999
    per: Literal["step", "epoch"] = field(default="step", kw_only=True)
    from_epoch: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decay", as_float(self.decay, "decay", 0.0, below=1.0))
        if self.per not in ("step", "epoch"):
            raise ValueError(f'per: expected "step" or "epoch", got {self.per!r}')
        object.__setattr__(self, "from_epoch", as_int(self.from_epoch, "from_epoch", 1))


@says_where()
@dataclass(frozen=True)
class SWA(Recorded):
    """The equal mean of the weights after each epoch: `Trainer(..., average=SWA(from_epoch=...))`, then `trainer.averaged`.

    Parameters
    ----------
    from_epoch : int
        The first epoch whose weights are taken in, as the history counts epochs: one by which the loss has come down,
        three quarters through the training, say.

    Notes
    -----
    The running statistics of batch normalisation are averaged too. Izmailov and others: Averaging weights leads to wider
    optima and better generalization (2018).
    """

    from_epoch: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "from_epoch", as_int(self.from_epoch, "from_epoch", 1))


class KeptAverage(NamedTuple):
    """An average as it stood once: the epochs that it had taken in, and its network, None where it had not begun."""

    epochs: int
    network: Network | None


NO_AVERAGE = KeptAverage(0, None)


class Averaging:
    """The average of one trainer under certain settings; it goes on from one call of `fit` to the next."""

    def __init__(self, settings: EMA | SWA | None) -> None:
        if settings is not None and not isinstance(settings, EMA | SWA):
            hint = "" if not isinstance(settings, str | type) else "; write average=rg.EMA(0.999), or rg.SWA(from_epoch=8)"
            raise TypeError(f"average: expected an EMA, an SWA or None, got {settings!r}{hint}")
        self.settings = settings
        self._network: Network | None = None  # its count of steps is 0 as long as the average has not begun
        self._begun = False
        self._epochs = 0  # taken in by an average over epochs

    @property
    def network(self) -> Network | None:
        """The network with the averaged weights; None where the average has not begun."""
        return self._network if self._begun else None

    def begin_epoch(self, network: Network, epoch: int, options: _core.EpochOptions) -> None:
        """Tell the core where to keep the average of the epoch's steps, if it is to take one."""
        if isinstance(self.settings, EMA) and self._after_steps(epoch):  # later epochs of the call then are so, too
            twin = self._twin(network)
            twin._about_to_change()
            options.average, options.tau = twin._core, 1 - self.settings.decay

    def steps_done(self) -> None:
        """Take note of what the core did, also where its call ended in an error."""
        self._begun = self._network is not None and self._network.steps > 0

    def step_done(self, network: Network, epoch: int) -> None:
        """Take in a single step, which counts as one of that epoch."""
        if isinstance(self.settings, EMA) and self._after_steps(epoch):
            self._take(network, 1 - self.settings.decay)

    def epoch_done(self, network: Network, epoch: int) -> None:
        """Take in the weights after an epoch, where they are averaged over epochs."""
        settings = self.settings
        if settings is None or epoch < settings.from_epoch or self._after_steps(epoch):
            return
        self._take(network, 1 - settings.decay if isinstance(settings, EMA) else 1 / (self._epochs + 1))
        self._epochs += 1

    def _after_steps(self, epoch: int) -> bool:
        """Whether each step of that epoch is taken in."""
        return isinstance(self.settings, EMA) and self.settings.per == "step" and epoch >= self.settings.from_epoch

    def _twin(self, network: Network) -> Network:
        if self._network is None:
            self._network = copy.copy(network)
            self._network._core.set_steps(0)
        return self._network

    def _take(self, network: Network, tau: float) -> None:
        twin = self._twin(network)
        twin.copy_from(network, tau if self._begun else 1.0)
        twin._core.set_steps(network.steps)
        self._begun = True

    def warn_if_young(self, history: History, steps: int) -> None:
        """Say where a call of `fit`, with so many steps an epoch, has ended before what began in it became an average.

        A call of one epoch may be one of many.
        """
        settings = self.settings
        if settings is None or len(history.epoch) < 2:
            return
        taken = history.epoch[-1] - settings.from_epoch + 1
        if taken <= 0:
            warn(
                f"average: {settings!r} has not begun, as this fit ended with epoch {history.epoch[-1]}: averaged is None",
                TrainingWarning,
            )
        elif isinstance(settings, EMA):
            taken *= steps if settings.per == "step" else 1
            share = settings.decay ** (taken - 1)
            if share > 0.5 and settings.decay > 0:
                warn(
                    f"average: after {taken} {settings.per}s {settings!r} still consists of {share:.0%} of the weights that it "
                    f"began with: train longer, or take a smaller decay, {_decay_for(taken)} say",
                    TrainingWarning,
                )

    def keep(self, before: KeptAverage | None = None) -> KeptAverage:
        """A copy of the average as it stands, in the memory of an earlier copy where there is one."""
        if not self._begun or self._network is None:
            return NO_AVERAGE
        if before is None or before.network is None:
            return KeptAverage(self._epochs, copy.copy(self._network))
        before.network.copy_from(self._network)
        before.network._core.set_steps(self._network.steps)
        return KeptAverage(self._epochs, before.network)

    def go_back(self, kept: KeptAverage) -> None:
        """Be again as `keep` found it."""
        steps = 0
        if kept.network is not None:
            self._twin(kept.network).copy_from(kept.network)
            steps = kept.network.steps
        if self._network is not None:
            self._network._core.set_steps(steps)
        self._begun, self._epochs = kept.network is not None, kept.epochs

    def state_dict(self) -> dict[str, Any]:
        """A copy of the average: the epochs that it took in, and its steps and arrays, None where it has not begun."""
        return state_of(self.keep())

    def load_state_dict(self, state: Mapping[str, Any], like: Network) -> None:
        """Go on from a state that `state_dict` gave for a network with the same arrays."""
        kept = kept_from(state, like)
        if kept.network is not None and self.settings is None:
            raise ValueError("average: expected a trainer with average=EMA(...) or SWA(...), as the state has one, got None")
        self.go_back(kept)


def _decay_for(taken: int) -> float:
    """A decay, rounded down, with which the first of so many weights has about a hundredth of the average."""
    memory = 1 - 0.01 ** (1 / taken)
    digits = math.ceil(-math.log10(memory))
    cut = math.ceil(memory * 10**digits)
    return float(round(1 - cut / 10**digits, digits))


def state_of(kept: KeptAverage) -> dict[str, Any]:
    """A kept average as numbers and arrays."""
    return {"epochs": kept.epochs, "network": None if kept.network is None else kept.network._state()}


def kept_from(state: Mapping[str, Any], like: Network) -> KeptAverage:
    """A kept average from what `state_of` gave."""
    check_state(state, ("epochs", "network"), "average")
    epochs, network = as_int(state["epochs"], "epochs", 0), None
    if state["network"] is not None:
        network = copy.copy(like)
        network._load_state(state["network"])
    return KeptAverage(epochs, network)
