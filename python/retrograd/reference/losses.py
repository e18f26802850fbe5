"""The losses and their gradients, a formula each. Second chapter of the reference.

`loss(output, t, delta)` returns the loss of the batch and writes its gradient with respect to `output` into `delta`.
`output` is z of the last layer where the loss applies softmax, sigmoid or exp itself (`Loss.fused_with`), else a of the
last layer. A loss with a parameter takes it as its last argument.

Targets `t` are always rows of numbers here, (rows, outputs): the network turns labels into rows of the identity matrix.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import losses
from .activations import Array, sigmoid

__all__ = [
    "LOSSES",
    "Loss",
    "binary_cross_entropy",
    "cross_entropy",
    "focal",
    "hinge",
    "huber",
    "mae",
    "mse",
    "poisson",
    "quadratic",
    "quantile",
    "smoothed_cross_entropy",
]


def mse(output: Array, t: Array, delta: Array) -> float:
    """Mean over rows and outputs of (a - t)^2; gradient 2 (a - t) / (rows * outputs)."""
    np.subtract(output, t, out=delta)
    loss = float(np.vdot(delta, delta)) / delta.size
    delta *= 2 / delta.size
    return loss


def quadratic(output: Array, t: Array, delta: Array) -> float:
    """Half of (a - t)^2 summed over outputs, mean over rows; gradient (a - t) / rows."""
    np.subtract(output, t, out=delta)
    loss = float(np.vdot(delta, delta)) / (2 * len(delta))
    delta *= 1 / len(delta)
    return loss


def cross_entropy(output: Array, t: Array, delta: Array) -> float:
    """Mean over rows of -sum t log softmax(z), where each row of t sums to 1; gradient (softmax(z) - t) / rows."""
    np.subtract(output, np.maximum.reduce(output, axis=1, keepdims=True), out=delta)  # s = z - max z
    t_times_s = float(np.vdot(t, delta))
    np.exp(delta, out=delta)
    total = np.add.reduce(delta, axis=1, keepdims=True)
    loss = float(np.log(total).sum()) - t_times_s  # -sum t log softmax(z) = log(sum exp s) - sum t s
    delta /= total
    delta -= t
    delta *= 1 / len(delta)
    return loss / len(delta)


def binary_cross_entropy(output: Array, t: Array, delta: Array) -> float:
    """Mean over rows and outputs of -t log p - (1 - t) log(1 - p), p = sigmoid(z); gradient (p - t) / their number."""
    # The same without overflow and cancellation: max(z, 0) - z t + log(1 + exp(-|z|)).
    loss = np.mean(np.maximum(output, 0) - output * t + np.log1p(np.exp(-np.abs(output))))
    sigmoid(output, delta)
    delta -= t
    delta *= 1 / delta.size
    return float(loss)


def smoothed_cross_entropy(output: Array, t: Array, delta: Array, label_smoothing: float) -> float:
    """`cross_entropy` with (1 - s) t + s/k in place of t."""
    return cross_entropy(output, ((1 - label_smoothing) * t + label_smoothing / t.shape[1]).astype(t.dtype), delta)


def mae(output: Array, t: Array, delta: Array) -> float:
    """Mean over rows and outputs of |a - t|; gradient sign(a - t) / their number."""
    np.subtract(output, t, out=delta)
    loss = float(np.abs(delta).mean())
    np.sign(delta, out=delta)
    delta *= 1 / delta.size
    return loss


def huber(output: Array, t: Array, delta: Array, limit: float) -> float:
    """Mean of e^2 / 2 where |e| = |a - t| <= d, d (|e| - d / 2) beyond; gradient: e cut off at -d and d, / their number."""
    np.subtract(output, t, out=delta)
    near = np.minimum(np.abs(delta), limit)
    loss = float((near * (np.abs(delta) - 0.5 * near)).mean())
    np.clip(delta, -limit, limit, out=delta)
    delta *= 1 / delta.size
    return loss


def quantile(output: Array, t: Array, delta: Array, q: float) -> float:
    """Mean of max(q (t - a), (1 - q) (a - t)); gradient 1 - q where a > t, -q where a < t, / their number."""
    np.subtract(output, t, out=delta)
    loss = float(np.maximum(-q * delta, (1 - q) * delta).mean())
    delta[...] = (1 - q) * (delta > 0) - q * (delta < 0)
    delta *= 1 / delta.size
    return loss


def poisson(output: Array, t: Array, delta: Array) -> float:
    """Mean of exp(z) - t z; gradient (exp(z) - t) / their number."""
    np.exp(output, out=delta)
    loss = float((delta - t * output).mean())
    delta -= t
    delta *= 1 / delta.size
    return loss


def hinge(output: Array, t: Array, delta: Array) -> float:
    """Mean of max(0, 1 - s a), s = 1 where t > 0, else -1, for one output; several: max(0, 1 - a_label + a_j), j not it.

    Then t is a row of the identity matrix. Gradient, / the number of outputs in all rows: where that is above 0, -s, or 1 at j
    and minus their sum at the label.
    """
    if t.shape[1] == 1:
        s = np.where(t > 0, 1, -1)
        margin = np.maximum(0, 1 - s * output)
        delta[...] = -s * (margin > 0)
    else:
        margin = np.maximum(0, 1 - (t * output).sum(axis=1, keepdims=True) + output) * (t == 0)
        delta[...] = margin > 0
        delta -= t * delta.sum(axis=1, keepdims=True)
    delta *= 1 / delta.size
    return float(margin.mean())


def focal(output: Array, t: Array, delta: Array, gamma: float) -> float:
    """Mean over rows of -sum t (1 - p)^g log p, p = softmax(z).

    Gradient: (c - p sum c) / rows with c = t (g p (1 - p)^(g-1) log p - (1 - p)^g).
    """
    s = output - np.maximum.reduce(output, axis=1, keepdims=True)
    log_p = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    q = np.maximum(1 - p, np.finfo(p.dtype).tiny)
    c = t * (gamma * p * q ** (gamma - 1) * log_p - q**gamma)
    np.subtract(c, p * c.sum(axis=1, keepdims=True), out=delta)
    delta *= 1 / len(delta)
    return float(-(t * q**gamma * log_p).sum()) / len(delta)


class Loss(NamedTuple):
    """A loss with its gradient, ``evaluate(output, t, delta)``, and the output activation that it applies itself."""

    evaluate: Callable[..., float]
    fused_with: str | None
    has_parameter: bool = False  # evaluate's last argument


#: Losses by name.
LOSSES = {
    "mse": Loss(mse, None),
    "quadratic": Loss(quadratic, None),
    "cross_entropy": Loss(cross_entropy, "softmax"),
    "binary_cross_entropy": Loss(binary_cross_entropy, "sigmoid"),
    "mae": Loss(mae, None),
    "huber": Loss(huber, None, has_parameter=True),
    "poisson": Loss(poisson, "exponential"),
    "quantile": Loss(quantile, None, has_parameter=True),
    "hinge": Loss(hinge, None),
    "focal": Loss(focal, "softmax", has_parameter=True),
}


def loss_of(given: str | losses.Loss) -> Loss:
    """The loss of a name or an object, its parameter filled in."""
    name, parameter = losses.name_and_parameter(given)
    loss = LOSSES[name]
    if name == "cross_entropy" and parameter:
        return loss._replace(evaluate=functools.partial(smoothed_cross_entropy, label_smoothing=parameter))
    if loss.has_parameter:
        return loss._replace(evaluate=lambda output, t, delta: loss.evaluate(output, t, delta, parameter))
    return loss
