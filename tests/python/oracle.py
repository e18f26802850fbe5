"""The textbook in float64 NumPy: forward pass, loss, backward pass, update, each as its formula reads.

Written for the tests alone, from the formulas and not from the package: derivatives come from z, not from the stored a;
nothing is fused, nothing is in place. It shares no line with retrograd.reference, which is tested against it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


FUNCTION: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "relu": lambda z: np.where(z > 0, z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
}

DERIVATIVE: dict[str, Callable[[Array], Array]] = {
    "identity": np.ones_like,
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, 1.0, 0.01),
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "sigmoid": lambda z: _sigmoid(z) * _sigmoid(-z),
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
    if loss == "cross_entropy" and y.ndim == 1:
        return np.eye(outputs)[y]
    return np.asarray(y, np.float64).reshape(-1, outputs)


def loss_and_dz(loss: str, activation: str, z: Array, y: Array) -> tuple[float, Array]:
    """Mean loss, and its gradient with respect to z of the last layer."""
    n, k = z.shape
    t = as_matrix(loss, y, k)
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
) -> Pass:
    """Both passes over one batch, from answers y or from a gradient dz of the last z."""
    w = [np.asarray(v, np.float64) for v in weights]
    z, a = [], [np.asarray(X, np.float64)]
    for i in range(len(w)):
        z.append(a[i] @ w[i] + np.asarray(biases[i], np.float64))
        a.append(FUNCTION[activations[i]](z[i]))
    value = float("nan")
    if y is not None:
        value, dz = loss_and_dz(loss, activations[-1], z[-1], y)
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
