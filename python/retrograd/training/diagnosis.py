"""What to say of a training that has not left the level of a constant answer, or of a solver that ended near it.

When a trainer asks for it stands in advice.py, what may be the cause in findings.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._checks import as_threads
from .._data.examples import Examples
from ..errors import NotLearningWarning, warn
from ..history import History
from ..losses import LOSSES
from ..network import Network
from .advised import Advised
from .constant import Level, beyond_chance, constant_metric, level_of, noise_of
from .findings import findings, is_linear, is_waiting, strongest
from .look import UNIT_ROWS, Finding, Look, Weight, sample

__all__ = ["advise_of_solver", "diagnosis"]

_ENOUGH_STEPS = 200  # after which it is worth a word that no cause was found
_LEFT = 0.01  # the part of that way that counts as having left the level
_ROWS = 4096  # on which the present weights are judged
_FLOPS = 1e9  # about so many for that
_EACH = 10  # parameters for each input and output which a training that learns nothing may fit to chance
_FAR_FROM = 0.1  # what chance gives: a gain so far from it in fewer rows needs no closer look
_HARDLY = 0.1  # of the way to the best: what a solver wins at least, where X is scaled


def advise_of_solver(network: Network, data: Examples, weight_decay: float, n_threads: int | None) -> None:
    """Warn where a solver has ended near the level of a constant answer, unless a weak signal is all that may be there."""
    threads = as_threads(n_threads)
    if len(data.rows) < 2:
        return
    try:
        some = _judged(network, data)
        level = level_of(some, network._spec, threads)
        present = network._core.evaluate(some.rows, some.targets, threads, some.weights)[0]
        if not np.isfinite(present) or level.constant - present > _HARDLY * (level.constant - level.least):
            return
        settings: dict[str, Any] = {"rate": 0.0, "steps": 0, "shuffle": True, "at_end": True}
        look = Look(network, None, data, level, [present], present, **settings, n_threads=n_threads, decay=weight_decay)
        found = findings(look)
        if strongest(found) < Weight.AT_THE_END and _has_left(look, some, threads):
            return
        heading = f"fit_lbfgs has ended near the level of a constant answer: the loss is {present:.4g}, and the best "
        text = _text(look, f"{heading}constant answer has {_number(look)}", found, "fit_lbfgs(..., advice=False)")
    except (MemoryError, RuntimeError):
        return
    warn(text, NotLearningWarning)


def diagnosis(trainer: Advised, data: Examples, steps: int, at_end: bool) -> str | None:
    """What to say after so many steps of a trainer; None where its loss has left the level, or nothing is sure."""
    network, history, threads = trainer.network, trainer.history, as_threads(trainer.n_threads)
    some = _judged(network, data)
    level = level_of(some, network._spec, threads)
    present, metric = network._core.evaluate(some.rows, some.targets, threads, some.weights)
    if not np.isfinite(present):
        return None
    rate = _largest_rate(history)
    clock, in_epoch = trainer._clock, max(1, steps // max(1, trainer.epochs_done))
    look = Look(
        network,
        trainer.optimizer,
        data,
        level,
        history.loss,
        present,
        rate=rate,
        steps=steps,
        shuffle=trainer.shuffle,
        at_end=at_end,
        n_threads=trainer.n_threads,
        rate_may_rise=clock.may_rise(trainer.epochs_done, in_epoch, trainer.optimizer.lr, rate),
    )
    if _has_left(look, some, threads):
        return None
    look.at_end = at_end and not is_waiting(look)
    found = findings(look)
    if strongest(found) < (Weight.PERHAPS if look.at_end else Weight.NOW):
        if not look.at_end or not _flat(history, level, present, steps):
            return None
    epoch = history.epoch[-1]
    heading = (
        f"the training has not left the level of a constant answer: the loss after epoch {epoch} is {present:.4g}, and the "
        f"best constant answer has {_number(look)}"
    )
    if look.above:
        heading = f"the loss after epoch {epoch} is {present:.4g}, above that of the best constant answer, "
        heading += _number(look) + _though_right(network, some, level, metric)
    return _text(look, heading, found, "Trainer(..., advice=False)")


def _judged(network: Network, data: Examples) -> Examples:
    """The rows on which the present weights are judged."""
    return sample(data, min(_ROWS, max(UNIT_ROWS, _FLOPS / (4.0 * network.n_parameters))))


def _has_left(look: Look, some: Examples, threads: int) -> bool:
    """Whether the loss is below the level by a part that counts, or by more than chance gives.

    With many rows, much less than a hundredth is certain: a weak signal.
    """
    gain, spec = look.level.constant - look.present, look.network._spec
    if look.span <= 1e-6 * max(abs(look.level.constant), 1e-6):  # there is nothing to learn
        return False
    if gain > _LEFT * look.span:
        return True
    if gain < -_LEFT * look.span:
        return False
    outputs = max(1, spec.outputs - (LOSSES[spec.loss_name]["applies"] == "softmax"))
    fitted = min(look.network.n_parameters, _EACH * (spec.inputs + 1) * outputs)
    chance = fitted + 3 * math.sqrt(2 * fitted)
    if len(look.data.rows) * gain / noise_of(look.level, spec) < _FAR_FROM * chance:  # not even by far
        return False
    more = sample(look.data, max(len(some.rows), _FLOPS / (4.0 * look.network.n_parameters)))
    return beyond_chance(look.network._core, more, level_of(more, spec, threads), spec, threads) > chance


def _flat(history: History, level: Level, present: float, steps: int) -> bool:
    """Whether the loss has come to rest: near the level, or anywhere above it without falling."""
    if len(history.loss) < 2 or steps < _ENOUGH_STEPS:
        return False
    span = level.constant - level.least
    return abs(present - level.constant) < 0.05 * span or history.loss[0] - history.loss[-1] < 0.01 * span


def _largest_rate(history: History) -> float:
    return max((*history.lr, *(rate for rates in history.step_lr for rate in rates)), default=0.0)


def _number(look: Look) -> str:
    """The loss of the best constant answer; what rounding leaves of 0 is 0."""
    loss, size = look.level.constant, 1.0 if look.network._spec.targets != "numbers" else min(look.present, 1.0)
    return "0" if abs(loss) < 1e-6 * size else f"{loss:.4g}"


def _though_right(network: Network, some: Examples, level: Level, metric: float) -> str:
    """That labels are found all the same, where they are."""
    if network.metric_name != "accuracy" or metric < constant_metric(some, level, network._spec) + 0.1:
        return ""
    return f", though {100 * metric:.0f} % of the labels are right: the answers are too sure of themselves"


def _text(look: Look, heading: str, found: list[Finding], switch: str) -> str:
    lines, weight = [heading, *(f"- {one.text}" for one in found)], strongest(found)
    if weight <= Weight.PERHAPS and is_linear(look.network):
        deep = look.network.depth > 1
        why = "its hidden layers have activation='identity'" if deep else "it has no hidden layer"
        cure = 'take another, such as "relu",' if deep else "add one"
        lines.append(f"- the network is linear, as {why}: {cure} if y is more than a sum over the columns of X")
    if weight <= Weight.PERHAPS:
        known = "no other cause" if found else "no cause"
        first = f"{known} was found in the settings, the units and the ranges: perhaps"
        first = first if weight == Weight.HINT else "if that is not it, perhaps"
        more = "units" if look.optimizer is None else "epochs, units or a larger learning rate (lr_range_test)"
        lines.append(f"- {first} X says nothing about y (are their rows in the same order?), or it takes more {more}")
    return "\n".join([*lines, f"({switch} turns this warning off)"])
