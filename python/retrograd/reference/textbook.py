"""Backpropagation on one page: what the engine does, in as few lines of NumPy as say it.

A dense network with tanh in its hidden layers and softmax on its outputs learns labels by stochastic gradient descent
on the cross-entropy. The names are the engine's; layers count from 0, and layer l computes a[l + 1] from a[l].

A network is two lists, the weights w[l], (units below, units), and the biases b[l], (units,).
The page checks nothing that it is given and makes new arrays as it goes; `retrograd.reference.Network` is the careful one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def softmax(z: Array) -> Array:
    """Turn each row of z into probabilities; the row's maximum is taken off first, so that nothing overflows."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def initialise(sizes: Sequence[int], seed: int = 0) -> tuple[list[Array], list[Array]]:
    """Draw weights of variance 1 / units below, so that z starts neither tiny nor huge; biases start at zero."""
    random = np.random.default_rng(seed)
    w = [random.normal(0, below**-0.5, (below, units)) for below, units in pairwise(sizes)]
    b = [np.zeros(units) for units in sizes[1:]]
    return w, b


def forward(w: list[Array], b: list[Array], X: Array) -> tuple[list[Array], list[Array]]:
    """Stage 1, the forward pass: each layer weighs what comes from below, adds its bias and applies its activation."""
    z, a = [], [X]  # a[0]: (rows, features)
    for layer in range(len(w)):
        z.append(a[layer] @ w[layer] + b[layer])  # z[layer]: (rows, units)
        a.append(np.tanh(z[layer]) if layer < len(w) - 1 else softmax(z[layer]))  # a[layer + 1]: (rows, units)
    return z, a


def loss(a: list[Array], y: Array) -> float:
    """Cross-entropy: minus the logarithm of the probability of the right label, the mean over rows."""
    return float(-np.log(a[-1][np.arange(len(y)), y]).mean())


def backward(w: list[Array], a: list[Array], y: Array) -> tuple[list[Array], list[Array], list[Array]]:
    """Stage 2, the backward pass: delta, the gradient with respect to z, from the last layer to the first; with it dw, db."""
    rows, depth = len(y), len(w)
    delta, dw, db = ([np.empty(0)] * depth for _ in range(3))  # filled from the last layer to the first
    t = np.eye(a[-1].shape[1])[y]  # the targets: 1 at the label, 0 elsewhere, (rows, outputs)
    delta[-1] = (a[-1] - t) / rows  # softmax and cross-entropy together, (rows, outputs)
    for layer in reversed(range(depth)):
        dw[layer] = a[layer].T @ delta[layer]  # (units below, units)
        db[layer] = delta[layer].sum(axis=0)  # (units,)
        if layer > 0:
            delta[layer - 1] = (delta[layer] @ w[layer].T) * (1 - a[layer] ** 2)  # tanh' = 1 - tanh^2, (rows, units below)
    return delta, dw, db


def update(w: list[Array], b: list[Array], dw: list[Array], db: list[Array], lr: float) -> None:
    """Stage 3, the update: one step downhill for every weight and bias, in place."""
    for layer in range(len(w)):
        w[layer] -= lr * dw[layer]
        b[layer] -= lr * db[layer]


def train_epoch(
    w: list[Array], b: list[Array], X: Array, y: Array, *, lr: float, batch_size: int, order: Array | None = None
) -> float:
    """Train on every row once, batch by batch, in the order given; return the mean loss of the rows as they were seen."""
    order = np.arange(len(X)) if order is None else order
    total = 0.0
    for start in range(0, len(X), batch_size):
        batch = order[start : start + batch_size]
        _z, a = forward(w, b, X[batch])
        _delta, dw, db = backward(w, a, y[batch])
        update(w, b, dw, db, lr)
        total += loss(a, y[batch]) * len(batch)
    return total / len(X)
