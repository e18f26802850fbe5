"""What may keep a network from learning: settings, data, units and weights, each looked at by one function.

They are asked only where the loss has not left the level of a constant answer (advice.py), and look at a sample of the rows
and at a copy of the network: nothing here touches the training itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .._data.arrays import Array
from .._data.examples import Examples
from .._data.reach import unreachable
from ..activations import ACTIVATIONS
from ..network import Gradients, Network
from ..optimizers import Optimizer
from .constant import Level

_STUCK = 1e-3  # so near its bound, an activation passes hardly any gradient
_OFF = 1e-6  # so near 0, a unit that is off below 0 does not fire
_SAME = 1e-5  # a unit that changes by less than this part of its size does not depend on X
_HARDLY = 1e-2  # the same at the end of training
_LARGE = 10.0  # numbers beyond this are not "about 1"
_LARGE_Y = 100.0
_SMALL = 1e-2
_PART = 0.05  # of what can be won of the loss: what steps bring is measured by that
_TOO_FAR = {True: 2.0, False: 10.0}  # a step that should win so many times the whole loss: for SGD, for the other rules
_FAST_RATES = {True: 10.0, False: 0.1}  # a rate above it would be strange: for SGD, for the other rules

Floats = npt.NDArray[np.float64]


class Weight(IntEnum):
    """What a finding is good for."""

    HINT = 0  # it stands beside others
    AT_THE_END = 1  # it explains why nothing was learned in a whole training
    NOW = 2  # nothing can be learned while it is so


class Finding(NamedTuple):
    """A possible cause, in words, with what to do about it."""

    weight: Weight
    text: str


class Look:
    """What the functions below look at: a training, a sample of its rows, and what follows from them."""

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer | None,
        data: Examples,
        sample: Examples,
        level: Level,
        losses: list[float],
        present: float,
        *,
        rate: float,
        steps: int,
        shuffle: bool,
        at_end: bool,
        n_threads: int | None,
    ) -> None:
        self.network, self.optimizer, self.data, self.sample, self.level = network, optimizer, data, sample, level
        self.present = present  # the loss with the present weights
        self.first, self.last = losses[0], losses[-1]  # of this call of fit
        self.rose = self.last > 1.1 * self.first - 0.1 * level.least
        self.rate, self.steps, self.shuffle, self.at_end, self.n_threads = rate, steps, shuffle, at_end, n_threads

    @cached_property
    def x(self) -> Floats:
        """The inputs of the sample."""
        return self.sample.rows.astype(np.float64)

    @property
    def x_is_large(self) -> bool:
        """Whether inputs are far from "about 1"."""
        return bool(np.abs(self.x).max() > _LARGE)

    @cached_property
    def twin(self) -> Network:
        """A copy of the network after a forward pass over the sample."""
        twin = self.network._as_dtype(self.network.dtype.name)
        twin.forward(self.sample.rows, n_threads=self.n_threads)
        return twin

    @cached_property
    def outputs_of(self) -> tuple[Array, ...]:
        """The outputs of each layer for the sample."""
        return self.twin.a[1:]

    @cached_property
    def gradients(self) -> Gradients:
        """The gradients of the sample."""
        weights = None if self.sample.weights is None else self.sample.weights[:, 0]
        return self.twin.backward(self.sample.targets, sample_weight=weights, n_threads=self.n_threads)

    @cached_property
    def settings_of(self) -> list[tuple[float, float, float, bool]]:
        """Factor of the rate, weight decay, l1 and whether it is frozen, for the weights and the biases of each layer."""
        if self.optimizer is None:
            return [(1.0, 0.0, 0.0, False)] * (2 * self.network.depth)
        plain = (1.0, self.optimizer.weight_decay, 0.0, False)
        return self.optimizer._for_arrays(self.network) or [plain] * (2 * self.network.depth)

    def size_of_weights(self, layer: int) -> float:
        """The root mean square of a layer's weights, where 1 keeps the size of what passes."""
        weights = self.twin.weights[layer].astype(np.float64)
        return float(np.sqrt(np.mean(weights**2) * weights.shape[0]))


def findings(look: Look) -> list[Finding]:
    """All that was found, the likeliest first."""
    found = [one for kind in (_settings, _targets, _inputs, _decay) for one in kind(look)]
    if _strongest(found) < Weight.NOW:  # else the units, and then the gradient, suffer from that
        found += _units(look)
    if _strongest(found) == Weight.HINT:
        found += _pace(look)
    return sorted(found, key=lambda one: -one.weight)


def _strongest(found: list[Finding]) -> Weight:
    return max((one.weight for one in found), default=Weight.HINT)


def _settings(look: Look) -> Iterator[Finding]:
    if look.optimizer is not None and look.rate == 0:
        yield Finding(Weight.NOW, "the learning rate is 0: no weight moves")
    elif all(frozen or factor == 0 for factor, _, _, frozen in look.settings_of):
        yield Finding(Weight.NOW, "the optimiser's groups freeze every parameter (or give it lr_factor=0): no weight moves")
    drops = [("input_dropout", look.network.input_dropout, "the inputs")]
    drops += [("dropout", layer.dropout or 0.0, f"layer {i}") for i, layer in enumerate(look.network.layers, 1)]
    for name, rate, where in drops:
        if rate >= 0.9:
            text = f"{name}={rate:g} leaves {100 * (1 - rate):.2g} % of {where} in a step: take 0.1 to 0.5"
            yield Finding(Weight.AT_THE_END, text)
    noise, spread = look.network.input_noise, float(look.x.std(axis=0).mean())
    if noise > 3 * spread > 0:
        text = f"input_noise={noise:g} drowns X, whose columns have a standard deviation of {spread:.3g}"
        yield Finding(Weight.AT_THE_END, text)


# ---------------------------------------------------------------- the data


def _targets(look: Look) -> Iterator[Finding]:
    targets, weights, spec = look.data.targets, look.data.weights, look.network._spec
    if weights is not None:
        targets = targets[weights[:, 0] > 0]
        if len(targets) < 0.05 * len(weights):
            yield Finding(Weight.AT_THE_END, f"only {len(targets)} of {len(weights)} rows have a weight above 0")
    if targets.ndim == 1:
        counts = np.bincount(targets, minlength=spec.outputs)
        label, there = int(np.argmax(counts)), np.flatnonzero(counts)
        share = counts[label] / len(targets)
        if len(there) == 1:
            yield Finding(Weight.NOW, f"every row of y has the label {label}: there is nothing to tell apart")
        elif share > 0.95:
            text = f'label {label} is {100 * share:.1f} % of y: class_weight="balanced" helps the others'
            yield Finding(Weight.AT_THE_END, text)
        if 1 < len(there) < spec.outputs:
            missing = _some(sorted(set(range(spec.outputs)) - set(there.tolist())))
            yield Finding(Weight.HINT, f"{len(there)} of {spec.outputs} labels occur in y, without {missing}")
        if len(there) > 1 and not look.shuffle and bool((np.diff(targets) >= 0).all()):
            yield Finding(Weight.AT_THE_END, "y is sorted and shuffle=False: a batch holds one label; take shuffle=True")
        return
    low, high = targets.min(axis=0), targets.max(axis=0)
    if (low == high).all():
        value = f"{low[0]:g}" if len(low) == 1 else f"the same row of {len(low)} numbers"
        yield Finding(Weight.NOW, f"y is {value} in every row: no X can tell them apart")
        return
    out_of_reach = unreachable(look.data, spec)
    if out_of_reach is not None:
        yield Finding(Weight.AT_THE_END, f"y cannot be reached: {out_of_reach}")
    equal = float((targets == look.level.answer.astype(targets.dtype)).all(axis=1).mean())
    if equal > 0.5 and spec.targets == "numbers":
        what = f"y is {look.level.answer[0]:g}" if len(low) == 1 else "y is the same"
        text = f"{what} in {100 * equal:.0f} % of the rows, and no other constant has a smaller {spec.loss_name}"
        yield Finding(Weight.AT_THE_END, f"{text}: a squared error counts the rest more")
    if spec.targets in ("numbers", "counts"):
        size, spread = float(np.abs(targets).max()), float(np.max(targets.std(axis=0, dtype=np.float64)))
        if size > _LARGE_Y or size < _SMALL or size > 20 * spread:
            divide = "y / y.mean()" if spec.targets == "counts" else "(y - y.mean(0)) / y.std(0)"
            text = f"y ranges from {low.min():.6g} to {high.max():.6g}: scale it, {divide}"
            yield Finding(Weight.AT_THE_END, text)


def _inputs(look: Look) -> Iterator[Finding]:
    x, rows = look.x, len(look.x)
    low, high, spread, mean = x.min(), x.max(), x.std(axis=0), x.mean(axis=0)
    moving = (x != x[0]).any(axis=0)
    if not moving.any() and rows > 1:
        text = "X is the same in every row" + ("" if rows == len(look.data.rows) else f" of {rows} that were looked at")
        yield Finding(Weight.NOW, text)
        return
    if not moving.any():
        return
    divisor = "X.std(0)" if moving.all() else "(X.std(0) + 1e-6)"  # a column that does not change
    standard = f"(X - X.mean(0)) / {divisor}"
    if look.x_is_large or np.abs(x).max() < _SMALL:
        bytes_ = low >= 0 and 100 < high <= 255 and bool((x == np.floor(x)).all())
        text = f"X ranges from {low:.6g} to {high:.6g}: scale it, " + ("X / 255, or " if bytes_ else "") + standard
        yield Finding(Weight.AT_THE_END, text)
    elif spread.max() > 1000 * spread[moving].min():
        text = f"columns of X have standard deviations from {spread[moving].min():.3g} to {spread.max():.3g}"
        yield Finding(Weight.AT_THE_END, f"{text}: scale it, {standard}")
    elif float(np.median(np.abs(mean[moving]) / spread[moving])) > 20:
        text = f"X hardly changes from row to row beside its mean (up to {np.abs(mean).max():.6g}): {standard}"
        yield Finding(Weight.AT_THE_END, text)


# ---------------------------------------------------------------- units and weights


def _units(look: Look) -> Iterator[Finding]:
    """The first layer that nothing passes, or those of which half the units are stuck."""
    depth, outputs = look.network.depth, look.outputs_of
    for layer, (a, activation) in enumerate(zip(outputs, look.network.activations, strict=True)):
        units, last = a.shape[1], layer == depth - 1
        applied = last and look.network._spec.reach is None  # logits, or outputs without a bound
        off, stuck, same = _states(a, "identity" if applied else activation, _HARDLY if look.at_end and not last else _SAME)
        name = "the outputs" if last else f"layer {layer + 1}"
        equal = units > 1 and not last and bool((a == a[:, :1]).all()) and _equal_columns(look.twin.weights[layer])
        if equal:
            zero = not look.twin.weights[layer].any()
            text = f"all {units} units of {name} are the same: their weights are {'zero' if zero else 'equal'}, and stay alike"
            yield Finding(Weight.NOW, f'{text}; let them start at random, init="he" or "glorot"')
            return
        kinds = [(off, "never fire"), (stuck, "are saturated"), (same & ~off & ~stuck, "hardly depend on X")]
        told = [f"{int(which.sum())} of {units} units of {name} {what}" for which, what in kinds if which.any()]
        blocked = int((off | stuck | same).sum())
        if blocked == units and not (last and same.all() and not (off | stuck).all()):
            weight = Weight.NOW if look.at_end or bool((off | stuck).all()) else Weight.AT_THE_END
            yield Finding(weight, f"{', '.join(told)}: {_remedy(look, layer, a)}")
            return
        if 2 * blocked >= units and not last:
            yield Finding(Weight.HINT, ", ".join(told))


def _states(a: Array, activation: str, least: float) -> tuple[npt.NDArray[np.bool_], ...]:
    """Of each unit, for all rows: whether it never fires, is saturated, hardly changes."""
    low, high = ACTIVATIONS[activation]["low"], ACTIVATIONS[activation]["high"]
    size = np.abs(a).max(axis=0)
    nothing = np.zeros(a.shape[1], bool)
    off = size <= _OFF if -0.5 < low and high == np.inf else nothing  # those whose values go to 0 on one side
    gap = np.minimum(a - low if low > -np.inf and not -0.5 < low < 0 else np.inf, high - a)
    stuck = (gap <= _STUCK).all(axis=0) & ~off if np.ndim(gap) == 2 and (high < np.inf or low < -0.5) else nothing
    return off, stuck, np.ptp(a, axis=0) <= least * size


def _equal_columns(weights: Array) -> bool:
    return bool((weights == weights[:, :1]).all())


def _remedy(look: Look, layer: int, a: Array) -> str:
    """What may have brought all units of a layer to that, and what to do."""
    size, bias = look.size_of_weights(layer), float(np.abs(look.twin.biases[layer]).max())
    if size > _LARGE or bias > _LARGE:
        grown = f"weights of up to {np.abs(look.twin.weights[layer]).max():.3g} and biases of up to {bias:.3g}"
        if look.x_is_large and layer == 0:
            return f"large inputs gave {grown}"
        return f"the layer has {grown}; take a smaller learning rate, or smaller weights to start from"
    if look.x_is_large:
        return "the inputs are large"
    bounded = [one for one in look.network.activations[:layer] if ACTIVATIONS[one]["high"] < np.inf]
    if layer >= 3 and len(bounded) >= 3:
        return f'what X says is lost in {layer + 1} layers: fewer of them, "relu" or "tanh", or norm="layer"'
    return "take a smaller learning rate, other weights to start from, or another activation"


def _decay(look: Look) -> Iterator[Finding]:
    """Weights that a penalty has pulled to zero."""
    if look.optimizer is None:
        return
    for layer, place in enumerate(look.network.layers):
        _, decay, l1, _ = look.settings_of[2 * layer]
        pulls = {"weight_decay": decay, "l1": l1}
        told = " and ".join(f"{name}={value:g}" for name, value in pulls.items() if value > 0)
        if place.max_norm is not None and place.max_norm < 0.05:
            told = f"max_norm={place.max_norm:g}"
        if told and look.size_of_weights(layer) < 0.1 and look.twin.weights[layer].any():
            largest = float(np.abs(look.twin.weights[layer]).max())
            text = f"the weights of layer {layer + 1} are at most {largest:.2g}: {told} holds them at zero"
            yield Finding(Weight.NOW if look.at_end else Weight.AT_THE_END, f"{text}, take a hundredth of it")
            return


def _pace(look: Look) -> Iterator[Finding]:
    """Whether steps of that length, along the present gradient, could bring anything."""
    optimizer, to_win = look.optimizer, max(look.level.constant, look.present) - look.level.least
    if optimizer is None or not look.at_end or look.rate == 0 or to_win <= 0:
        return
    squares = sizes = whole = 0.0
    pairs = [array for pair in zip(look.gradients.dw, look.gradients.db, strict=True) for array in pair]
    for (factor, _, _, frozen), array in zip(look.settings_of, pairs, strict=True):
        flat = array.ravel().astype(np.float64)
        if not frozen:
            whole += float(flat @ flat)
            squares += factor * float(flat @ flat)
            sizes += factor * float(np.abs(flat).sum())
    plain = optimizer._rule == "sgd"
    norm, clip = np.sqrt(whole), 1.0
    if plain and optimizer.clip_norm is not None and norm > 0:
        clip = min(1.0, optimizer.clip_norm / norm)
    if plain and optimizer.clip_value is not None:
        clip = min(clip, optimizer.clip_value * sizes / max(squares, 1e-300))
    momentum = getattr(optimizer, "momentum", 0.0) if plain else 0.0
    fall = look.rate * (squares * clip if plain else sizes) / (1 - momentum)
    if look.present > look.level.constant and (fall * (1 - momentum) > _TOO_FAR[plain] * to_win or look.rose):
        text = f"the learning rate {look.rate:g} is too large: "
        text += (
            f"the loss of an epoch rose from {look.first:.4g} to {look.last:.4g}"
            if look.rose
            else "a step goes beyond where the gradient leads"
        )
        yield Finding(Weight.AT_THE_END, f"{text}; try a hundredth of it, or look at lr_range_test")
        return
    needed = _PART * to_win / max(fall, 1e-300)
    if needed < 10 * look.steps:
        return
    better = min(
        0.1, float(10 ** np.round(np.log10(look.rate * needed)))
    )  # a step of it would win that part, if it can be so long
    if clip < 1e-2:
        text = f"clip_norm={optimizer.clip_norm}, clip_value={optimizer.clip_value} cut the gradient, whose norm is {norm:.2g}"
        yield Finding(Weight.AT_THE_END, text)
    elif look.rate * needed / 100 <= _FAST_RATES[plain] and better >= 100 * look.rate:
        text = (
            f"the learning rate {look.rate:g} is far too small: with this gradient (norm {norm:.2g}) it takes {needed:.0e} "
            f"steps to win {100 * _PART:g} % of the loss; try {better:g}, or "
            "look at lr_range_test"
        )
        yield Finding(Weight.AT_THE_END, text)
    else:
        text = f"the gradient nearly vanishes (norm {norm:.2g}): a plateau"
        yield Finding(Weight.HINT, f"{text}; try other weights to start from, more units or epochs")


def _some(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return shown + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
