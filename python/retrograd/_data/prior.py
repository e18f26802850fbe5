"""The output bias that a network starts from where `bias_init="prior"`: the best constant answer to the training data.

A network that begins there does not spend its first epochs on finding the mean. Which constant that is follows from the
loss, and the bias is its inverse under the output activation. When it is set is the network's affair, not this file's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .._spec import NetworkSpec
from ..losses import LOSSES, constant_of
from .arrays import Array
from .examples import Examples

Vector = npt.NDArray[np.float64]
_BLOCK = 4096  # rows that are converted at a time, so that no copy of all targets is made


def check_prior(spec: NetworkSpec) -> None:
    """Raise a ValueError where no bias can give the best constant answer."""
    if not spec.layers[-1].bias:
        raise ValueError('bias_init: "prior" sets the biases of the last layer, which has none (bias=False)')
    if spec.activations[-1] not in _INVERSES:
        raise ValueError(f"bias_init: \"prior\" needs an output_activation that has an inverse, got '{spec.activations[-1]}'")


def prior_bias(data: Examples, spec: NetworkSpec) -> Array:
    """The bias of each output, (outputs,), in the network's dtype; it is finite whatever the targets are.

    The constant is that of `losses.constant_of`, with the weights of the rows. Labels count as rows of the identity
    matrix, so that their mean is the share of each class, and signs as -1 and 1.

    A share of 0 or 1 has no finite logarithm or log odds: in n rows it counts as half a row, 1 / 2n or 1 - 1 / 2n.
    """
    weights = np.ones(len(data.rows)) if data.weights is None else data.weights[:, 0].astype(np.float64)
    weights /= weights.sum()
    constant = _constant(data.targets, weights, spec)
    half_a_row = 0.5 / len(data.rows)
    return _inverse_of(spec)(constant, half_a_row).astype(spec.dtype)


def _constant(targets: Array, w: Vector, spec: NetworkSpec) -> Vector:
    """The answer for all rows, (outputs,); w sums to 1."""
    kind, number = constant_of(spec.loss_name, spec.loss_parameter)
    if kind == "share below":
        return np.array([_quantile(column, w, number) for column in targets.T])
    if kind == "clipped mean":
        return np.array([_clipped_mean(column.astype(np.float64), w, number) for column in targets.T])
    mean = _mean(targets, w, spec)
    return mean * (1 - number) + number / len(mean) if kind == "smoothed mean" else mean


def _mean(targets: Array, w: Vector, spec: NetworkSpec) -> Vector:
    """The mean of each output: of labels, the share of each."""
    if targets.ndim == 1:
        shares: Vector = np.bincount(targets, w, spec.outputs).astype(np.float64, copy=False)
        return shares
    if spec.targets == "signs":
        targets = np.where(targets > 0, 1.0, -1.0)
    starts = range(0, len(w), _BLOCK)
    return sum((w[i : i + _BLOCK] @ targets[i : i + _BLOCK].astype(np.float64) for i in starts), np.zeros(spec.outputs))


def _quantile(values: Vector, w: Vector, q: float) -> float:
    """The number below which a share q of the weight lies; the middle of two where both are."""
    order = np.argsort(values, kind="stable")
    order = order[w[order] > 0]
    below = np.cumsum(w[order])
    share = q * below[-1]
    tolerance = 1e-12  # of what the sum has rounded
    i = min(int(np.searchsorted(below, share - tolerance)), len(order) - 1)
    tie = abs(below[i] - share) <= tolerance and i + 1 < len(order)
    return float(values[order[i]] + values[order[i + 1]]) / 2 if tie else float(values[order[i]])


def _clipped_mean(t: Vector, w: Vector, limit: float) -> float:
    """Where the weighted sum of errors, each held between -limit and limit, is 0: within the limit of the median."""
    median = _quantile(t, w, 0.5)
    low, high = median - limit, median + limit
    for _ in range(40):  # the last interval is 1e-12 of the first
        middle = (low + high) / 2
        low, high = (middle, high) if w @ np.clip(t - middle, -limit, limit) > 0 else (low, middle)
    return (low + high) / 2


# ---------------------------------------------------------------------------------------------- inverses


def _log_odds(p: Vector, least: float) -> Vector:
    p = np.clip(p, least, 1 - least)
    found: Vector = np.log(p) - np.log1p(-p)
    return found


def _log_shares(p: Vector, least: float) -> Vector:
    found: Vector = np.log(np.clip(p, least, None))
    return found


def _log_rate(a: Vector, least: float) -> Vector:
    found: Vector = np.log(np.where(a > 0, a, least))
    return found


def _inverse_softplus(a: Vector, least: float) -> Vector:
    a = np.where(a > 0, a, least)
    found: Vector = a + np.log(-np.expm1(-a))
    return found


def _artanh(a: Vector, least: float) -> Vector:
    found: Vector = np.arctanh(np.clip(a, 2 * least - 1, 1 - 2 * least))
    return found


def _inverse_softsign(a: Vector, least: float) -> Vector:
    a = np.clip(a, 2 * least - 1, 1 - 2 * least)
    found: Vector = a / (1 - np.abs(a))
    return found


def _inverse_elu(scale: float, alpha: float) -> Callable[[Vector, float], Vector]:
    def inverse(a: Vector, least: float) -> Vector:
        below = np.log1p(np.clip(a / (scale * alpha), 2 * least - 1, 0))
        return np.where(a > 0, a / scale, below)

    return inverse


# Of each activation that has one: the z at which it has the value a; `least` is the share of half a row.
_INVERSES: dict[str, Callable[[Vector, float], Vector]] = {
    "identity": lambda a, least: a,
    "relu": lambda a, least: np.maximum(a, 0),
    "leaky_relu": lambda a, least: np.where(a > 0, a, a / 0.01),
    "tanh": _artanh,
    "sigmoid": _log_odds,
    "softmax": _log_shares,
    "elu": _inverse_elu(1.0, 1.0),
    "selu": _inverse_elu(1.0507009873554804934, 1.6732632423543772848),
    "softplus": _inverse_softplus,
    "softsign": _inverse_softsign,
    "exponential": _log_rate,
}


def _inverse_of(spec: NetworkSpec) -> Callable[[Vector, float], Vector]:
    """The inverse of what the loss applies to the outputs or else of the last layer's activation."""
    applied = LOSSES[spec.loss_name]["applies"]
    return _INVERSES[spec.activations[-1] if applied == "identity" else applied]
