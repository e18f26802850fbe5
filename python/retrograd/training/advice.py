"""When to say that a training does not learn: at the end of the first epoch and of `fit`, once in the life of a trainer.

What the level of a constant answer is stands in constant.py, what may be the cause in findings.py. Costs: nothing before
some steps were taken; then, once, a look at the targets (about 50 us); and only where the loss is near that level, a look at
some rows and at a copy of the network. The training itself is never touched.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from .._checks import as_int, as_threads, check_state
from .._data.examples import Examples
from ..errors import NotLearningWarning, warn
from ..history import History
from ..network import Network
from ..optimizers import Optimizer
from .constant import Level, level_of
from .findings import Finding, Look, Weight, findings

__all__ = ["Advised", "Adviser"]

_FIRST_STEPS = 20  # nothing is said before; and not again before twice as many
_ENOUGH_STEPS = 200  # after which it is worth a word that no cause was found
_WORTH_A_LOOK = 2000.0  # microseconds of training, roughly; a shorter fit is judged at its end alone
_NEAR = 0.1  # of the way from the constant answer to the best: nearer than this, the loss is looked at closely
_LEFT = 0.01  # the part of that way that counts as having left the level
_ROWS = 4096  # on which the present weights are judged
_UNIT_ROWS = 256  # on which units are looked at
_FLOPS = 1e9  # about so many for either
_NUMBERS = 2e6  # inputs that are read for it, at most


class Advised(Protocol):
    """What is asked of a trainer."""

    advice: bool
    history: History
    n_threads: int | None
    optimizer: Optimizer
    shuffle: bool

    @property
    def network(self) -> Network:
        """The network that is trained."""


class Adviser:
    """What one trainer remembers of this: whether it has said something, and the loss below which it need not look."""

    def __init__(self) -> None:
        self._said = False
        self._flops: float | None = None  # of a row in training
        self._steps = 0  # of earlier calls of fit
        self._next = _FIRST_STEPS
        self._left = -np.inf  # a loss below this has left the level

    def state_dict(self) -> dict[str, Any]:
        """Whether it has spoken, and what it knows of the steps and of the level."""
        return {"said": self._said, "steps": self._steps, "next": self._next, "left": float(self._left)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` gave."""
        check_state(state, ("said", "steps", "next", "left"), "adviser")
        self._said, self._left = bool(state["said"]), float(state["left"])
        self._steps, self._next = (as_int(state[name], name, 0) for name in ("steps", "next"))

    def first_look(self, trainer: Advised, data: Examples, steps: int) -> int:
        """After how many epochs of a call of `fit` to look: after the first, or the first few if they take no time."""
        if self._flops is None:
            sizes = trainer.network.sizes
            self._flops = 6.0 * sum(a * b for a, b in itertools.pairwise(sizes))
        return math.ceil(_WORTH_A_LOOK / (5 + 0.2 * steps + 1e-4 * self._flops * len(data.rows)))

    def epoch_done(self, trainer: Advised, data: Examples, steps: int) -> None:
        """After the first epoch of `fit`, if others follow."""
        self._look(trainer, data, steps, False)

    def fit_done(self, trainer: Advised, data: Examples, steps: int) -> None:
        """At the end of `fit`, which took so many steps."""
        self._look(trainer, data, steps, True)
        self._steps += steps

    def _look(self, trainer: Advised, data: Examples, steps: int, at_end: bool) -> None:
        losses, total = trainer.history.loss, self._steps + steps
        if self._said or not trainer.advice or total < self._next or not losses or losses[-1] < self._left:
            return
        self._next = 2 * total if at_end else total  # a loop of short calls looks rarely
        try:
            level = level_of(data, trainer.network._spec, as_threads(trainer.n_threads))
            self._left = level.constant - _NEAR * (level.constant - level.least)
            text = None if losses[-1] < self._left else _diagnosis(trainer, data, total, at_end)
        except (MemoryError, RuntimeError):  # no room for a copy, or another thread uses the network: then without a word
            return
        if text is not None:
            self._said = True
            warn(text, NotLearningWarning)


def _diagnosis(trainer: Advised, data: Examples, steps: int, at_end: bool) -> str | None:
    network, history, threads = trainer.network, trainer.history, as_threads(trainer.n_threads)
    cost = 4.0 * network.n_parameters
    some = _sample(data, min(_ROWS, max(_UNIT_ROWS, _FLOPS / cost)))
    level = level_of(some, network._spec, threads)
    present = network._core.evaluate(some.rows, some.targets, threads, some.weights)[0]
    span = level.constant - level.least
    nothing_to_learn = span <= 1e-6 * max(abs(level.constant), 1e-6)
    if not np.isfinite(present) or (level.constant - present > _LEFT * span and not nothing_to_learn):
        return None
    look = Look(
        network,
        trainer.optimizer,
        data,
        _sample(data, _UNIT_ROWS),
        level,
        history.loss,
        present,
        rate=_largest_rate(history),
        steps=steps,
        shuffle=trainer.shuffle,
        at_end=at_end,
        n_threads=trainer.n_threads,
    )
    found = findings(look)
    strongest = max((one.weight for one in found), default=Weight.HINT)
    if strongest < (Weight.AT_THE_END if at_end else Weight.NOW):
        if not at_end or not _flat(history, level, present, steps):
            return None
    return _text(history, level, present, found, strongest)


def _flat(history: History, level: Level, present: float, steps: int) -> bool:
    """Whether the loss has come to rest: near the level, or anywhere above it without falling."""
    if len(history.loss) < 2 or steps < _ENOUGH_STEPS:
        return False
    span = level.constant - level.least
    return abs(present - level.constant) < 0.05 * span or history.loss[0] - history.loss[-1] < 0.01 * span


def _largest_rate(history: History) -> float:
    return max((*history.lr, *(rate for rates in history.step_lr for rate in rates)), default=0.0)


def _sample(data: Examples, most: float) -> Examples:
    """At most so many rows that count, spread evenly."""
    count = np.arange(len(data.rows)) if data.weights is None else np.flatnonzero(data.weights[:, 0])
    most = max(16, min(most, _NUMBERS / data.rows.shape[1]))
    chosen = count[np.linspace(0, len(count) - 1, int(min(most, len(count)))).astype(np.int64)]
    return data.where(chosen)


def _text(history: History, level: Level, present: float, found: list[Finding], strongest: Weight) -> str:
    epoch = history.epoch[-1]
    lines = [
        f"the training has not left the level of a constant answer: the loss after epoch {epoch} is {present:.4g}, and the "
        f"best constant answer has {level.constant:.4g}"
    ]
    lines += [f"- {one.text}" for one in found]
    if strongest == Weight.HINT:
        lines.append(
            "- no cause was found in the settings, the units and the ranges: perhaps X says nothing about y (are their rows in "
            "the same order?), or it takes more epochs, units or a larger learning rate (lr_range_test)"
        )
    return "\n".join([*lines, "(Trainer(..., advice=False) turns this warning off)"])
