"""The level that training must leave before anything was learned from X: the loss of the best constant answer.

The core computes every loss here, for a network that always gives the same outputs, so this file knows none by name. What
to make of the level is in advice.py.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from .._data.arrays import Array
from .._data.examples import Examples
from .._spec import NetworkSpec
from ..losses import LOSSES, constant_of

_CORE: dict[str, Any] = {"float32": _core.NetworkF32, "float64": _core.NetworkF64}

_NUMBERS = 4096  # targets that are looked at, where they are not labels
_FEWEST = 256  # but at least so many rows
_TINY = 1e-12
_PARTS = 64  # of the rows, whose losses tell how much of a gain is chance
_LARGEST_EYE = 1024  # outputs up to which the best answers to rows of probabilities are computed

Floats = npt.NDArray[np.float64]


class Level(NamedTuple):
    """Mean losses over the rows of some data."""

    constant: float  # of the best constant answer
    least: float  # of an answer of its own to each row, as good as can be
    answer: Floats  # the best constant answer (outputs,), before any activation that the loss applies


def level_of(data: Examples, spec: NetworkSpec, threads: int = 0) -> Level:
    """The level, for labels over all rows, for other targets over rows spread evenly among them.

    The best constant is exact where it is a mean, a median or a frequency; otherwise it is the best of a few.
    """
    if data.targets.ndim == 1 and LOSSES[spec.loss_name]["applies"] == "softmax" and spec.loss_parameter == 0:
        return _entropy(data, spec)
    few = _few(data, spec)
    answers = _answers(few.targets, None if few.weights is None else few.weights[:, 0].astype(np.float64), spec)
    if spec.reach is not None:
        answers = [np.clip(answer, *spec.reach) for answer in answers]
    core = _network(spec, 1, spec.outputs)
    nothing = np.zeros((len(few.targets), 1), np.uint8)
    losses = []
    for answer in answers:
        core.set("b", 0, answer.astype(spec.dtype))
        loss = core.evaluate(nothing, few.targets, threads, few.weights)[0]
        losses.append(loss if math.isfinite(loss) else math.inf)
    best = losses.index(min(losses))
    return Level(losses[best], _least(few, spec, threads), answers[best])


def constant_metric(data: Examples, level: Level, spec: NetworkSpec) -> float:
    """The metric of the constant answer."""
    core = _network(spec, 1, spec.outputs)
    core.set("b", 0, level.answer.astype(spec.dtype))
    metric: float = core.evaluate(np.zeros((len(data.targets), 1), np.uint8), data.targets, 1, data.weights)[1]
    return metric


def beyond_chance(network: Any, data: Examples, level: Level, spec: NetworkSpec, threads: int) -> float:
    """How much the answers of the core's network win against the best constant one, in the units of chance.

    It is twice the gain over all rows, in units of the noise: where X says nothing, at most about the number of
    parameters that were fitted (chi-squared; so for a log of a probability and for a square). It is 0 where the gain is
    less than two standard errors: a few rows may have made it. They come from parts of the rows, so that the core's mean
    losses are enough.
    """
    parts = min(_PARTS, len(data.rows) // 4)
    if parts < 8:
        return 0.0
    core = _network(spec, 1, spec.outputs)
    core.set("b", 0, level.answer.astype(spec.dtype))
    gains, sizes = np.empty(parts), np.empty(parts)
    for part in range(parts):
        some = data.where(np.arange(part, len(data.rows), parts))
        nothing = np.zeros((len(some.rows), 1), np.uint8)
        constant = core.evaluate(nothing, some.targets, threads, some.weights)[0]
        gains[part] = constant - network.evaluate(some.rows, some.targets, threads, some.weights)[0]
        sizes[part] = len(some.rows) if some.weights is None else some.weights.sum()
    shares = sizes / sizes.sum()
    gain = float(shares @ gains)
    error = math.sqrt(float(shares**2 @ (gains - gain) ** 2) * parts / (parts - 1))
    return len(data.rows) * gain / noise_of(level, spec) if gain > 2 * error else 0.0


def noise_of(level: Level, spec: NetworkSpec) -> float:
    """What a parameter that is fitted to chance wins of the loss, times the rows: above 0 where there is something to win."""
    return level.constant if LOSSES[spec.loss_name]["applies"] == "identity" else 0.5


def _entropy(data: Examples, spec: NetworkSpec) -> Level:
    """The level for labels, where the loss is minus the log of a label's probability: it is asked for most often."""
    counts = np.bincount(data.targets, None if data.weights is None else data.weights[:, 0], spec.outputs)
    there = [float(count) for count in counts.tolist() if count > 0]
    total = math.fsum(there)
    entropy = 0.0 - math.fsum(count * math.log(count / total) for count in there) / total
    return Level(entropy, 0.0, np.log(np.maximum(counts / total, _TINY)))


def _network(spec: NetworkSpec, inputs: int, outputs: int) -> Any:
    """A network of one layer with that loss, whose weights and biases are zero."""
    return _CORE[spec.dtype.name]([inputs, outputs], ["identity"], spec.loss_name, loss_parameter=spec.loss_parameter)


def _few(data: Examples, spec: NetworkSpec) -> Examples:
    """Fewer rows with about the same level."""
    targets, weights = data.targets, data.weights
    if targets.ndim == 1:  # one row for each label, which counts as often as the label occurs
        counts = np.bincount(targets, None if weights is None else weights[:, 0], spec.outputs)
        there = np.flatnonzero(counts > 0)
        return Examples(there, there.astype(np.int32), counts[there, None].astype(spec.dtype))
    step = -(-len(targets) // max(_FEWEST, _NUMBERS // spec.outputs))
    kept = None if weights is None else np.ascontiguousarray(weights[::step])
    return Examples(data.rows[:0], np.ascontiguousarray(targets[::step]), kept)


def _smoothing(spec: NetworkSpec) -> float:
    return spec.loss_parameter if LOSSES[spec.loss_name]["parameter_name"] == "label_smoothing" else 0.0


def _answers(targets: Array, weights: Floats | None, spec: NetworkSpec) -> list[Floats]:
    """Constant answers among which the best one is, or nearly."""
    outputs, applies = spec.outputs, LOSSES[spec.loss_name]["applies"]
    if targets.ndim == 1:
        counts = np.bincount(targets, weights, outputs)
        shares = counts / counts.sum()
    elif weights is None:
        shares = np.add.reduce(targets, axis=0, dtype=np.float64) / len(targets)
    else:
        shares = weights @ targets.astype(np.float64) / weights.sum()
    if applies == "softmax":
        smoothing = _smoothing(spec)
        logs = np.log(np.maximum((1 - smoothing) * shares + smoothing / outputs, _TINY))
        flatter = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.0) if spec.loss_parameter > 0 and not smoothing else (1.0,)
        return [power * logs for power in flatter]
    if applies == "sigmoid":
        inside = np.minimum(np.maximum(shares, _TINY), 1 - 1e-7)
        return [np.log(inside) - np.log1p(-inside)]
    if applies == "exponential":
        return [np.log(np.maximum(shares, _TINY))]
    if spec.targets == "signs":
        return [np.full(1, answer) for answer in (1.0, 0.0, -1.0)]
    if spec.picks_one:  # stairs of height 1, the more frequent labels above the others
        rank = np.argsort(np.argsort(-shares, kind="stable"), kind="stable")
        edges = {m for m in (1, 2, 3, int(np.count_nonzero(shares)), outputs // 2) if m < outputs}
        stairs = (chosen for n in range(len(edges) + 1) for chosen in itertools.combinations(edges, n))
        return [sum((rank < m).astype(np.float64) for m in chosen) + np.zeros(outputs) for chosen in stairs]
    middle = _quantile(targets, weights, 0.5)
    answers = [shares, middle, (shares + middle) / 2]
    kind, number = constant_of(spec.loss_name, spec.loss_parameter)
    if kind == "share below" and number != 0.5:
        answers.append(_quantile(targets, weights, number))
    return answers


def _quantile(targets: Array, weights: Floats | None, share: float) -> Floats:
    """The weighted quantile of each column."""
    if weights is None:
        place = max(0, math.ceil(share * len(targets)) - 1)
        return np.asarray(np.sort(targets, axis=0)[place], np.float64)
    order = np.argsort(targets, axis=0, kind="stable")
    ordered = np.take_along_axis(targets, order, axis=0)
    sums = np.cumsum(weights[order], axis=0)
    places = (sums < share * sums[-1]).sum(axis=0)
    found: Floats = ordered[places, np.arange(targets.shape[1])].astype(np.float64)
    return found


def _least(few: Examples, spec: NetworkSpec, threads: int) -> float:
    """The mean loss where each row gets the answer that is best for it: 0 unless targets are blurred."""
    targets, applies, smoothing = few.targets, LOSSES[spec.loss_name]["applies"], _smoothing(spec)
    if applies == "identity" or (targets.ndim == 1 and not smoothing):
        return 0.0
    if applies != "softmax":  # a mean over outputs: each of them as a row of its own
        numbers = targets.reshape(-1, 1).astype(np.float64)
        if applies == "sigmoid":
            inside = np.clip(numbers, _TINY, 1 - 1e-7)
            best = np.log(inside) - np.log1p(-inside)
        else:
            best = np.log(np.maximum(numbers, _TINY))
        weights = None if few.weights is None else np.repeat(few.weights, spec.outputs, axis=0)
        core = _network(spec, 1, 1)
        core.set("w", 0, np.ones((1, 1), spec.dtype))
        answers = (best.astype(spec.dtype), np.ascontiguousarray(targets).reshape(-1, 1))
        loss: float = core.evaluate(*answers, threads, weights)[0]
        return loss
    if spec.outputs > _LARGEST_EYE:
        return 0.0
    eye = np.eye(spec.outputs, dtype=spec.dtype)
    shares = eye[targets] if targets.ndim == 1 else targets
    logs = np.log(np.maximum((1 - smoothing) * shares + smoothing / spec.outputs, _TINY)).astype(spec.dtype)
    core = _network(spec, spec.outputs, spec.outputs)
    core.set("w", 0, eye)
    loss = core.evaluate(logs, np.ascontiguousarray(targets), threads, few.weights)[0]
    return loss
