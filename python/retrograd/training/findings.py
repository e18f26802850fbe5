"""What may keep a network from learning: settings, targets, units and weights, each looked at by one function.

Ranges and tails of X and y are in ranges.py, the length of steps in pace.py. They are asked only where the loss has not
left the level of a constant answer (advice.py), and look at samples of the rows and at a copy of the network (look.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .._data.arrays import Array
from .._data.reach import unreachable
from ..activations import ACTIVATIONS
from ..network import Network
from .look import LARGE, Finding, Look, Weight
from .pace import Pace, pace
from .ranges import ranges_of_x, ranges_of_y, tails_of_x

_STUCK = 1e-3  # so near its bound, an activation passes hardly any gradient
_OFF = 1e-6  # so near 0, a unit that is off below 0 does not fire
_SAME = 1e-5  # a unit that changes by less than this part of its size does not depend on X
_HARDLY = 1e-2  # the same at the end of training
_MISSING = 0.2  # a share of labels that never occur which is worth a word
_PULLED = 3.0  # a penalty that divides weights by e so many times is to blame for what is left of them


def findings(look: Look) -> list[Finding]:
    """All that was found, the likeliest first."""
    found = [one for kind in (_settings, _targets, ranges_of_x, _decay) for one in kind(look)]
    if strongest(found) < Weight.NOW:  # else the units, and then the gradient, suffer from that
        found += _units(look)
    if strongest(found) < Weight.NOW:
        steps = list(pace(look, strongest(found) == Weight.HINT and not is_linear(look.network)))
        if strongest(steps) > Weight.HINT and not Pace(look).is_wild(look):  # nothing else has had a chance
            found = steps + found
        elif strongest(steps) > Weight.HINT or strongest(found) < Weight.AT_THE_END:
            found += steps
    if strongest(found) < Weight.AT_THE_END:
        found += tails_of_x(look)
    return sorted(found, key=lambda one: -one.weight)


def strongest(found: list[Finding]) -> Weight:
    """The weight of the best explanation."""
    return max((one.weight for one in found), default=Weight.HINT)


def is_waiting(look: Look) -> bool:
    """Whether nothing can be expected yet: a schedule, which may raise the rate, has given tiny ones so far."""
    return look.rate_may_rise and look.optimizer is not None and (look.rate == 0 or Pace(look).is_slow(look))


def is_linear(network: Network) -> bool:
    """Whether all layers but the last give sums of what they take."""
    hidden = zip(network.layers[:-1], network.activations[:-1], strict=True)
    return all(activation == "identity" and not layer.norm for layer, activation in hidden)


def _settings(look: Look) -> Iterator[Finding]:
    if look.optimizer is None:  # a solver, which needs no rate, and takes no notice of noise
        return
    if look.rate == 0 and not look.rate_may_rise:
        yield Finding(Weight.NOW, "the learning rate is 0: no weight moves")
    elif all(frozen or factor == 0 for factor, _, _, frozen in look.settings_of):
        yield Finding(Weight.NOW, "the optimiser's groups freeze every parameter (or give it lr_factor=0): no weight moves")
    drops = [("input_dropout", look.network.input_dropout, "the inputs")]
    drops += [("dropout", layer.dropout or 0.0, f"layer {i}") for i, layer in enumerate(look.network.layers, 1)]
    for name, rate, where in drops:
        if rate >= 0.9:
            text = f"{name}={rate:g} leaves {100 * (1 - rate):.2g} % of {where} in a step: take 0.1 to 0.5"
            yield Finding(Weight.AT_THE_END, text)
    noise, spread = look.network.input_noise, float(look.x.spread.mean())
    if noise > 3 * spread > 0:
        text = f"input_noise={noise:g} drowns X, whose columns have a standard deviation of {spread:.3g}"
        yield Finding(Weight.AT_THE_END, text)


# ---------------------------------------------------------------- the data


def _targets(look: Look) -> Iterator[Finding]:
    targets, weights, spec, that_counts = look.data.targets, look.data.weights, look.network._spec, ""
    if weights is not None:
        targets = targets[weights[:, 0] > 0]
        that_counts = " that counts" if len(targets) < len(weights) else ""
        if len(targets) < 0.05 * len(weights):
            yield Finding(Weight.AT_THE_END, f"only {len(targets)} of {len(weights)} rows have a weight above 0")
    if targets.ndim == 1:
        counts = np.bincount(targets, minlength=spec.outputs)
        label, there = int(np.argmax(counts)), np.flatnonzero(counts)
        share = counts[label] / len(targets)
        if len(there) == 1:
            yield Finding(Weight.NOW, f"every row of y{that_counts} has the label {label}: there is nothing to tell apart")
        elif share > 0.95:
            text = f'label {label} is {100 * share:.1f} % of y: class_weight="balanced" helps the others'
            yield Finding(Weight.AT_THE_END, text)
        if 1 < len(there) <= (1 - _MISSING) * spec.outputs:
            missing = _some(sorted(set(range(spec.outputs)) - set(there.tolist())))
            yield Finding(Weight.HINT, f"{len(there)} of {spec.outputs} labels occur in y, without {missing}")
        if len(there) > 1 and not look.shuffle and bool((np.diff(targets) >= 0).all()):
            yield Finding(Weight.AT_THE_END, "y is sorted and shuffle=False: a batch holds one label; take shuffle=True")
        return
    low, high = targets.min(axis=0), targets.max(axis=0)
    if len(targets) == 1:
        return
    if (low == high).all():
        value = f"{low[0] + 0.0:g}" if len(low) == 1 else f"the same row of {len(low)} numbers"  # 0, not -0
        yield Finding(Weight.NOW, f"y is {value} in every row{that_counts}: no X can tell them apart")
        return
    out_of_reach = unreachable(look.data, spec)
    if out_of_reach is not None:
        yield Finding(Weight.AT_THE_END, f"y cannot be reached: {out_of_reach}")
    equal = float((targets == look.level.answer.astype(targets.dtype)).all(axis=1).mean())
    if equal > 0.5 and spec.targets == "numbers":
        what = f"y is {look.level.answer[0] + 0.0:g}" if len(low) == 1 else "y is the same"
        text = f"{what} in {100 * equal:.0f} % of the rows, and no other constant has a smaller {spec.loss_name}"
        yield Finding(Weight.AT_THE_END, f"{text}: a squared error counts the rest more")
    yield from ranges_of_y(look, out_of_reach is not None)


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
    biases, slower = look.twin.biases[layer], "" if look.optimizer is None else "a smaller learning rate, "
    size, bias = look.size_of_weights(layer), 0.0 if biases is None else float(np.abs(biases).max())
    if size > LARGE or bias > LARGE:
        grown = f"weights of up to {np.abs(look.twin.weights[layer]).max():.3g} and biases of up to {bias:.3g}"
        if look.x_is_large and layer == 0:
            return f"large inputs gave {grown}"
        return f"the layer has {grown}; take {slower}{'or ' if slower else ''}smaller weights to start from"
    if look.x_is_large:
        return "the inputs are large"
    if look.x_is_small:
        return "the inputs are small"
    bounded = [one for one in look.network.activations[:layer] if ACTIVATIONS[one]["high"] < np.inf]
    if layer >= 3 and len(bounded) >= 3:
        return f'what X says is lost in {layer + 1} layers: fewer of them, "relu" or "tanh", or norm="layer"'
    return f"take {slower}other weights to start from{',' if slower else ''} or another activation"


def _decay(look: Look) -> Iterator[Finding]:
    """Weights that a penalty has pulled to zero, or that a limit holds there."""
    for layer, place in enumerate(look.network.layers):
        factor, decay, l1, _ = look.settings_of[2 * layer]
        weights, way = look.twin.weights[layer], look.rate * factor * look.steps
        largest, small = float(np.abs(weights).max()), look.size_of_weights(layer) < 0.1
        text = f"the weights of layer {layer + 1} are at most {largest:.2g}"
        if place.max_norm is not None and place.max_norm < 0.05 and small and look.optimizer is not None:
            text += f": max_norm={place.max_norm:g} holds them at zero, take a larger one (1 to 4) or None"
            yield Finding(Weight.NOW if look.at_end else Weight.AT_THE_END, text)
            return
        pulls = {"weight_decay": decay, "l1": l1}
        told = " and ".join(f"{name}={value:g}" for name, value in pulls.items() if value > 0)
        # They may have started at zero, unless the penalty has had the time to bring them there.
        pulled = way * decay > _PULLED or way * l1 > 1
        if told and small and (pulled or weights.any()):
            text += f": {told} holds them at zero, take a hundredth of it or less"
            yield Finding(Weight.NOW if look.at_end or pulled else Weight.AT_THE_END, text)
            return


def _some(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return shown + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
