"""The output bias that a network starts from where `bias_init="prior"`: the best constant answer to the training data.

A network that begins there does not spend its first epochs on finding the mean. Which constant that is follows from the
loss, and the bias is its inverse under the output activation. When it is set is the network's affair, not this file's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .._spec import NetworkSpec
from ..losses import LOSSES
from .arrays import Array
from .examples import Examples

Vector = npt.NDArray[np.float64]


def check_prior(spec: NetworkSpec) -> None:
    """Raise a ValueError where no bias can give the best constant answer."""
    if not spec.layers[-1].bias:
        raise ValueError('bias_init: "prior" sets the biases of the last layer, which has none (bias=False)')
    if spec.activations[-1] not in _INVERSES:
        raise ValueError(f"bias_init: \"prior\" needs an output_activation that has an inverse, got '{spec.activations[-1]}'")


def prior_bias(data: Examples, spec: NetworkSpec) -> Array:
    """The bias of each output, (outputs,), in the network's dtype; it is finite whatever the targets are.

    The constants, each with the weights of the rows:

    - cross_entropy, focal: the share of each class (with label smoothing: the smoothed share); hinge of several outputs,
      too, which puts all within its margin
    - binary_cross_entropy: the share of ones; hinge of one output: the mean of the signs -1 and 1
    - mse, quadratic, poisson: the mean; mae: the median; quantile: the quantile q
    - huber: where the clipped errors sum to 0

    A share of 0 or 1 has no finite logarithm or log odds: in n rows it counts as half a row, 1 / 2n or 1 - 1 / 2n.
    """
    targets = _numbers(data.targets, spec)
    weights = np.ones(len(targets)) if data.weights is None else data.weights[:, 0].astype(np.float64)
    weights /= weights.sum()
    constant = _constant(targets, weights, spec)
    half_a_row = 0.5 / len(targets)
    inverse = _inverse_of(spec)
    return inverse(constant, half_a_row).astype(spec.dtype)


def _numbers(targets: Array, spec: NetworkSpec) -> Vector:
    """Targets (rows, outputs) as the loss compares them: labels as rows of the identity matrix, signs as -1 and 1."""
    if targets.ndim == 1:
        return np.eye(spec.outputs)[targets]
    numbers = targets.astype(np.float64)
    return np.where(numbers > 0, 1.0, -1.0) if spec.targets == "signs" else numbers


def _constant(t: Vector, w: Vector, spec: NetworkSpec) -> Vector:
    """The answer that minimises the mean loss among those that are the same for every row; w sums to 1."""
    name, parameter = spec.loss_name, spec.loss_parameter
    if name in ("mae", "quantile", "huber"):
        middle = np.array([_quantile(column, w, parameter if name == "quantile" else 0.5) for column in t.T])
        return _huber_center(t, w, middle, parameter) if name == "huber" else middle
    mean: Vector = w @ t
    return mean * (1 - parameter) + parameter / len(mean) if name == "cross_entropy" else mean


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


def _huber_center(t: Vector, w: Vector, median: Vector, delta: float) -> Vector:
    """Where the weighted sum of errors, each held between -delta and delta, is 0: within delta of the median."""
    low, high = median - delta, median + delta
    for _ in range(40):  # the last interval is 1e-12 of the first
        middle = (low + high) / 2
        above = w @ np.clip(t - middle, -delta, delta) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    found: Vector = (low + high) / 2
    return found


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
