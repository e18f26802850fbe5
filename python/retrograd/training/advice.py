"""When to say that a training does not learn: at the end of the first epoch and of `fit`, once in the life of a trainer.

What is said stands in diagnosis.py, what the level of a constant answer is in constant.py. Costs: nothing before some steps
were taken; then, once, a look at the targets (about 50 us); and only where the loss is near that level, a look at some rows
and at a copy of the network, of 5 to 30 ms. The training itself is never touched.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._checks import as_int, as_threads, check_state
from .._data.examples import Examples
from ..errors import NotLearningWarning, warn
from .advised import Advised

__all__ = ["Adviser"]

_FIRST_STEPS = 20  # nothing is said before; and not again before twice as many
_WORTH_A_LOOK = 2000.0  # microseconds of training, roughly; a shorter fit is judged at its end alone
_NEAR = 0.1  # of the way from the constant answer to the best: nearer than this, the loss is looked at closely


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
        from .constant import level_of  # here, because most programs never come so far
        from .diagnosis import diagnosis

        try:
            level = level_of(data, trainer.network._spec, as_threads(trainer.n_threads))
            self._left = level.constant - _NEAR * (level.constant - level.least)
            text = None if losses[-1] < self._left else diagnosis(trainer, data, total, at_end)
        except (MemoryError, RuntimeError):  # no room for a copy, or another thread uses the network: then without a word
            return
        if text is not None:
            self._said = True
            warn(text, NotLearningWarning)
