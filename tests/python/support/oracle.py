"""The textbook in float64 NumPy: forward pass, loss, backward pass, update, each written as its formula reads.

It is written for the tests alone, from the formulas and not from the package: derivatives come from z, not from the
stored a; nothing is fused, nothing is in place. It shares no line with retrograd.reference, which is tested against it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[Any]


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

FUNCTION: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "relu": lambda z: np.where(z > 0, z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
    "softplus": lambda z: np.logaddexp(0, z),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "exponential": np.exp,
    "gelu": lambda z: z * special.ndtr(z),
    "gelu_tanh": lambda z: 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z * special.expit(z),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
}


def _gelu_tanh_derivative(z: Array) -> Array:
    c = np.sqrt(2 / np.pi)
    t = np.tanh(c * (z + 0.044715 * z**3))
    return 0.5 * (1 + t) + 0.5 * z * (1 - t**2) * c * (1 + 3 * 0.044715 * z**2)


def _mish_derivative(z: Array) -> Array:
    w = np.tanh(np.logaddexp(0, z))
    return w + z * (1 - w**2) * special.expit(z)


DERIVATIVE: dict[str, Callable[[Array], Array]] = {
    "identity": np.ones_like,
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, 1.0, 0.01),
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "sigmoid": lambda z: _sigmoid(z) * _sigmoid(-z),
    "elu": lambda z: np.where(z > 0, 1.0, np.exp(np.minimum(z, 0))),
    "selu": lambda z: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * np.exp(np.minimum(z, 0))),
    "softplus": special.expit,
    "softsign": lambda z: 1 / (1 + np.abs(z)) ** 2,
    "exponential": np.exp,
    "gelu": lambda z: special.ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    "gelu_tanh": _gelu_tanh_derivative,
    "silu": lambda z: special.expit(z) + z * special.expit(z) * special.expit(-z),
    "mish": _mish_derivative,
}


def through(activation: str, z: Array, da: Array) -> Array:
    """The gradient with respect to z from that with respect to a = f(z)."""
    if activation == "softmax":
        a = _softmax(z)
        jacobian = a[:, :, None] * (np.eye(a.shape[1]) - a[:, None, :])  # (rows, k, k): da_i / dz_j
        return np.einsum("rij,ri->rj", jacobian, da)
    return da * DERIVATIVE[activation](z)


def as_matrix(loss: str, y: Array, outputs: int) -> Array:
    """Targets as rows: labels become rows of the identity matrix."""
    if y.ndim == 1 and (loss in ("cross_entropy", "focal") or (loss == "hinge" and outputs > 1)):
        return np.eye(outputs)[y]
    return np.asarray(y, np.float64).reshape(-1, outputs)


def _differences(function: Callable[[Array], Array], z: Array) -> Array:
    """The gradient of the sum of `function` of each row, by central differences of sixth order."""
    out = np.empty_like(z)
    for j in range(z.shape[1]):
        e = np.zeros_like(z)
        e[:, j] = h = 3e-3
        terms = [(function(z + i * e) - function(z - i * e)) * c for i, c in ((1, 45), (2, -9), (3, 1))]
        out[:, j] = sum(terms) / (60 * h)
    return out


def _own_parameter(loss: str) -> float:
    return {"huber": 1.0, "quantile": 0.5, "focal": 2.0}.get(loss, 0.0)


def rows_and_dz(loss: str, activation: str, z: Array, y: Array, parameter: float | None = None) -> tuple[Array, Array]:
    """The loss of each row, and its gradient with respect to z of the last layer."""
    k = z.shape[1]
    t = as_matrix(loss, y, k)
    p = _own_parameter(loss) if parameter is None else parameter
    if loss in ("cross_entropy", "focal"):

        def of_rows(v: Array) -> Array:
            log_p = v - special.logsumexp(v, axis=1, keepdims=True)
            if loss == "cross_entropy":
                return -(((1 - p) * t + p / k) * log_p).sum(axis=1)
            return -(t * (1 - np.exp(log_p)) ** p * log_p).sum(axis=1)

        if loss == "cross_entropy":
            return of_rows(z), _softmax(z) * ((1 - p) * t + p / k).sum(axis=1, keepdims=True) - (1 - p) * t - p / k
        return of_rows(z), _differences(of_rows, z)
    if loss == "poisson":
        return (np.exp(z) - t * z).mean(axis=1), (np.exp(z) - t) / k
    a = FUNCTION[activation](z)
    e = a - t
    if loss == "mae":
        values, da = np.abs(e), np.sign(e)
    elif loss == "huber":
        values, da = np.where(np.abs(e) <= p, e**2 / 2, p * (np.abs(e) - p / 2)), np.clip(e, -p, p)
    elif loss == "quantile":
        values, da = np.maximum(-p * e, (1 - p) * e), np.where(e > 0, 1 - p, np.where(e < 0, -p, 0.0))
    elif k == 1:  # hinge
        s = np.where(t > 0, 1.0, -1.0)
        values, da = np.maximum(0, 1 - s * a), np.where(s * a < 1, -s, 0.0)
    else:
        mine = (t * a).sum(axis=1, keepdims=True)
        values = np.where(t == 1, 0, np.maximum(0, 1 - mine + a))
        da = np.where(values > 0, 1.0, 0.0)
        da -= t * da.sum(axis=1, keepdims=True)
    return values.mean(axis=1), through(activation, z, da / k)


def loss_and_dz(
    loss: str,
    activation: str,
    z: Array,
    y: Array,
    parameter: float | None = None,
    weights: Array | None = None,
    by: str = "rows",
) -> tuple[float, Array]:
    """Mean loss and its gradient with respect to z of the last layer.

    Where `weights` are given, it is sum w l / rows, or, by "batch", sum w l / sum w.
    """
    n, k = z.shape
    t = as_matrix(loss, y, k)
    plain = loss in ("mse", "quadratic", "cross_entropy", "binary_cross_entropy")
    if weights is not None or parameter is not None or not plain:
        if loss in ("mse", "quadratic", "binary_cross_entropy"):
            each = [loss_and_dz(loss, activation, z[i : i + 1], t[i : i + 1]) for i in range(n)]
            rows, dz = np.array([value for value, _ in each]), np.concatenate([d for _, d in each])
        else:
            rows, dz = rows_and_dz(loss, activation, z, y, parameter)
        w = np.ones(n) if weights is None else np.asarray(weights, np.float64)
        divisor = n if by == "rows" else w.sum()
        return float((w * rows).sum() / divisor), dz * (w / divisor)[:, None]
    if loss == "cross_entropy":
        log_p = z - z.max(axis=1, keepdims=True)
        log_p = log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        return float(-(t * log_p).sum() / n), (_softmax(z) - t) / n
    if loss == "binary_cross_entropy":
        log_p, log_q = -np.logaddexp(0, -z), -np.logaddexp(0, z)
        return float(-(t * log_p + (1 - t) * log_q).sum() / (n * k)), (_sigmoid(z) - t) / (n * k)
    a = FUNCTION[activation](z)
    scale = n * k if loss == "mse" else 2 * n
    return float(((a - t) ** 2).sum() / scale), through(activation, z, 2 * (a - t) / scale)


class Pass(NamedTuple):
    """All that a forward and a backward pass find."""

    z: list[Array]
    a: list[Array]
    delta: list[Array]
    dw: list[Array]
    db: list[Array]
    dx: Array
    loss: float


def forward_backward(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    loss: str,
    X: Array,
    y: Array | None = None,
    dz: Array | None = None,
    parameter: float | None = None,
    sample_weight: Array | None = None,
    by: str = "rows",
) -> Pass:
    """Both passes over one batch, from answers y or from a gradient dz of the last z."""
    w = [np.asarray(v, np.float64) for v in weights]
    z, a = [], [np.asarray(X, np.float64)]
    for i in range(len(w)):
        z.append(a[i] @ w[i] + np.asarray(biases[i], np.float64))
        a.append(FUNCTION[activations[i]](z[i]))
    value = float("nan")
    if y is not None:
        value, dz = loss_and_dz(loss, activations[-1], z[-1], y, parameter, sample_weight, by)
    assert dz is not None
    delta = [np.asarray(dz, np.float64)]
    for i in range(len(w) - 1, 0, -1):
        delta.insert(0, through(activations[i - 1], z[i - 1], delta[0] @ w[i].T))
    dw = [a[i].T @ d for i, d in enumerate(delta)]
    return Pass(z, a, delta, dw, [d.sum(axis=0) for d in delta], delta[0] @ w[0].T, value)


class Textbook:
    """A network and its optimiser: PyTorch's update, one array at a time."""

    def __init__(
        self,
        network: Any,
        *,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.weights = [np.array(w, np.float64) for w in network.weights]
        self.biases = [np.array(b, np.float64) for b in network.biases]
        self.activations, self.loss = network.activations, network.loss_name
        self.lr, self.momentum, self.nesterov, self.weight_decay = lr, momentum, nesterov, weight_decay
        self._velocity = [np.zeros_like(p) for p in self.parameters]

    @property
    def parameters(self) -> list[Array]:
        """Weights, then biases; the arrays themselves."""
        return [*self.weights, *self.biases]

    def step(self, X: Array, y: Array) -> float:
        """Trains on one batch; its mean loss before the update."""
        found = forward_backward(self.weights, self.biases, self.activations, self.loss, X, y)
        for i, (p, gradient) in enumerate(zip(self.parameters, [*found.dw, *found.db], strict=True)):
            g = gradient + self.weight_decay * p
            v = g
            if self.momentum:  # without it the velocity waits as it is, in PyTorch too
                v = self._velocity[i] = self.momentum * self._velocity[i] + g
            p -= self.lr * (g + self.momentum * v if self.nesterov else v)
        return found.loss

    def epoch(self, X: Array, y: Array, batch_size: int, order: Array) -> float:
        """Trains on the rows in that order; the mean over rows of the loss as each was seen."""
        total = 0.0
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            total += self.step(X[batch], y[batch]) * len(batch)
        return total / len(order)


# Rules of optimisers: (parameter, gradient, its state, number of the step from 1, settings) -> the new parameter. As PyTorch's
# documentation gives them; Lion as algorithm 2 of Chen et al. (2023).


def _sgd(p: Array, g: Array, state: dict[str, Array], t: int, o: dict[str, Any]) -> Array:
    g = g + o.get("weight_decay", 0) * p
    mu = o.get("momentum", 0)
    if mu:
        state["b"] = g if t == 1 else mu * state["b"] + (1 - o.get("dampening", 0)) * g
        g = g + mu * state["b"] if o.get("nesterov") else state["b"]
    return p - o["lr"] * g


def _adam(p: Array, g: Array, state: dict[str, Array], t: int, o: dict[str, Any]) -> Array:
    b1, b2 = o.get("betas", (0.9, 0.999))
    g = g + o.get("weight_decay", 0) * p
    state["m"] = b1 * state.get("m", 0 * g) + (1 - b1) * g
    state["v"] = b2 * state.get("v", 0 * g) + (1 - b2) * g**2
    v = state["v"]
    if o.get("amsgrad"):
        v = state["high"] = np.maximum(state.get("high", 0 * g), v)
    return p - o["lr"] * (state["m"] / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + o.get("eps", 1e-8))


def _adamw(p: Array, g: Array, state: dict[str, Array], t: int, o: dict[str, Any]) -> Array:
    p = p - o["lr"] * o["weight_decay"] * p
    return _adam(p, g, state, t, o | {"weight_decay": 0})


def _rmsprop(p: Array, g: Array, state: dict[str, Array], t: int, o: dict[str, Any]) -> Array:
    alpha = o.get("alpha", 0.99)
    g = g + o.get("weight_decay", 0) * p
    state["v"] = alpha * state.get("v", 0 * g) + (1 - alpha) * g**2
    v = state["v"]
    if o.get("centered"):
        state["mean"] = alpha * state.get("mean", 0 * g) + (1 - alpha) * g
        v = v - state["mean"] ** 2
    step = g / (np.sqrt(v) + 1e-8)
    if o.get("momentum"):
        step = state["b"] = o["momentum"] * state.get("b", 0 * g) + step
    return p - o["lr"] * step


def _adagrad(p: Array, g: Array, state: dict[str, Array], t: int, o: dict[str, Any]) -> Array:
    g = g + o.get("weight_decay", 0) * p
    state["sum"] = state.get("sum", np.full_like(g, o.get("initial_accumulator_value", 0))) + g**2
    return p - o["lr"] / (1 + (t - 1) * o.get("lr_decay", 0)) * g / (np.sqrt(state["sum"]) + o.get("eps", 1e-10))


def _lion(p: Array, g: Array, state: dict[str, Array], t: int, o: dict[str, Any]) -> Array:
    b1, b2 = o.get("betas", (0.9, 0.99))
    m = state.get("m", 0 * g)
    state["m"] = b2 * m + (1 - b2) * g
    return p - o["lr"] * (np.sign(b1 * m + (1 - b1) * g) + o.get("weight_decay", 0) * p)


Rule = Callable[[Array, Array, dict[str, Array], int, dict[str, Any]], Array]
RULES: dict[str, Rule] = {
    "SGD": _sgd,
    "Adam": _adam,
    "AdamW": _adamw,
    "RMSprop": _rmsprop,
    "Adagrad": _adagrad,
    "Lion": _lion,
}


class Stepper:
    """Arrays of parameters under a rule; gradients are clipped by their common norm, then by value."""

    def __init__(
        self,
        rule: Rule,
        start: Sequence[Array],
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        **settings: Any,
    ) -> None:
        self.rule, self.settings, self.clip_norm, self.clip_value = rule, settings, clip_norm, clip_value
        self.parameters = [np.array(p) for p in start]
        self._states: list[dict[str, Array]] = [{} for _ in start]
        self._t = 0

    def step(self, gradients: Sequence[Array]) -> None:
        """One step of all arrays."""
        self._t += 1
        if self.clip_norm is not None:
            norm = np.sqrt(sum((g**2).sum() for g in gradients))
            gradients = [g * min(1.0, self.clip_norm / (norm + 1e-6)) for g in gradients]
        if self.clip_value is not None:
            gradients = [np.clip(g, -self.clip_value, self.clip_value) for g in gradients]
        self.parameters = [
            self.rule(p, g, s, self._t, self.settings) for p, g, s in zip(self.parameters, gradients, self._states, strict=True)
        ]
