"""The activations and their derivatives, a formula each. First chapter of the reference.

`f(z, a)` writes a = f(z), and a may be z itself. `f_backward(delta, a, scratch)` turns the gradient with respect to a into
the one with respect to z, in place: it multiplies delta by f', which it computes from the stored a. `scratch` is an array
of the same shape. Where a does not tell the derivative, `f_backward(delta, z, scratch)` gets z (`Activation.from_z`).

These are plain NumPy functions of arrays. They know no layers and no losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "ACTIVATIONS",
    "LEAKY_SLOPE",
    "SELU_ALPHA",
    "SELU_SCALE",
    "Activation",
    "Array",
    "elu",
    "elu_backward",
    "exponential",
    "exponential_backward",
    "gelu",
    "gelu_backward",
    "gelu_tanh",
    "gelu_tanh_backward",
    "identity",
    "identity_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "mish",
    "mish_backward",
    "relu",
    "relu_backward",
    "selu",
    "selu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_backward",
    "softsign",
    "softsign_backward",
    "tanh",
    "tanh_backward",
]

Array = npt.NDArray[Any]

LEAKY_SLOPE = 0.01
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer, Unterthiner, Mayr, Hochreiter, 2017


def identity(z: Array, a: Array) -> None:
    """Compute a = z."""
    if a is not z:
        a[...] = z


def identity_backward(delta: Array, a: Array, scratch: Array) -> None:
    """Multiply delta by f' = 1."""


def relu(z: Array, a: Array) -> None:
    """Compute a = max(z, 0)."""
    np.maximum(z, 0, out=a)


def relu_backward(delta: Array, a: Array, scratch: Array) -> None:
    """Multiply delta by f' = 1 where a > 0, else 0 (so 0 at z = 0)."""
    np.greater(a, 0, out=scratch)
    delta *= scratch


def leaky_relu(z: Array, a: Array) -> None:
    """Compute a = z where z > 0, else 0.01 z."""
    np.maximum(z, LEAKY_SLOPE * z, out=a)


def leaky_relu_backward(delta: Array, a: Array, scratch: Array) -> None:
    """Multiply delta by f' = 1 where a > 0, else 0.01 (so 0.01 at z = 0)."""
    np.greater(a, 0, out=scratch)
    np.maximum(scratch, LEAKY_SLOPE, out=scratch)
    delta *= scratch


def tanh(z: Array, a: Array) -> None:
    """Compute a = tanh z."""
    np.tanh(z, out=a)


def tanh_backward(delta: Array, a: Array, scratch: Array) -> None:
    """Multiply delta by f' = 1 - a^2, as delta - delta a^2."""
    np.multiply(a, a, out=scratch)
    scratch *= delta
    delta -= scratch


@np.errstate(over="ignore")  # exp(-z) = inf is right: it gives a = 0
def sigmoid(z: Array, a: Array) -> None:
    """Compute a = 1 / (1 + exp(-z))."""
    np.negative(z, out=a)
    np.exp(a, out=a)
    a += 1
    np.reciprocal(a, out=a)


def sigmoid_backward(delta: Array, a: Array, scratch: Array) -> None:
    """Multiply delta by f' = a (1 - a), as delta a - (delta a) a."""
    np.multiply(delta, a, out=scratch)
    np.multiply(scratch, a, out=delta)
    np.subtract(scratch, delta, out=delta)


def softmax(z: Array, a: Array) -> None:
    """Compute a = exp(z) / sum over the row of exp(z), shifted by the row's maximum so that nothing overflows."""
    np.subtract(z, np.maximum.reduce(z, axis=1, keepdims=True), out=a)
    np.exp(a, out=a)
    a /= np.add.reduce(a, axis=1, keepdims=True)


def softmax_backward(delta: Array, a: Array, scratch: Array) -> None:
    """The product with the Jacobian: a * (delta - sum over the row of delta * a)."""
    np.multiply(delta, a, out=scratch)
    delta -= np.add.reduce(scratch, axis=1, keepdims=True)
    delta *= a


def elu(z: Array, a: Array) -> None:
    """Compute a = z where z > 0, else exp(z) - 1."""
    below = np.expm1(np.minimum(z, 0))
    np.maximum(z, 0, out=a)
    a += below


def elu_backward(delta: Array, a: Array, scratch: Array) -> None:
    """Multiply delta by f' = 1 where a > 0, else a + 1."""
    np.minimum(a, 0, out=scratch)
    scratch += 1
    delta *= scratch


def selu(z: Array, a: Array) -> None:
    """Compute a = scale * z where z > 0, else scale * alpha * (exp(z) - 1)."""
    below = SELU_ALPHA * np.expm1(np.minimum(z, 0))
    np.maximum(z, 0, out=a)
    a += below
    a *= SELU_SCALE


def selu_backward(delta: Array, a: Array, scratch: Array) -> None:
    """Multiply delta by f' = scale where a > 0, else a + scale * alpha."""
    delta *= np.where(a > 0, a.dtype.type(SELU_SCALE), a + a.dtype.type(SELU_SCALE * SELU_ALPHA))


def softplus(z: Array, a: Array) -> None:
    """Compute a = log(1 + exp(z))."""
    np.logaddexp(z, 0, out=a)


def softplus_backward(delta: Array, a: Array, scratch: Array) -> None:
    """Multiply delta by f' = sigmoid(z) = 1 - exp(-a)."""
    np.negative(a, out=scratch)
    np.expm1(scratch, out=scratch)
    delta *= scratch
    np.negative(delta, out=delta)


def softsign(z: Array, a: Array) -> None:
    """Compute a = z / (1 + |z|)."""
    np.divide(z, 1 + np.abs(z), out=a)


def softsign_backward(delta: Array, a: Array, scratch: Array) -> None:
    """Multiply delta by f' = (1 - |a|)^2."""
    np.abs(a, out=scratch)
    np.subtract(1, scratch, out=scratch)
    scratch *= scratch
    delta *= scratch


def exponential(z: Array, a: Array) -> None:
    """Compute a = exp(z)."""
    np.exp(z, out=a)


def exponential_backward(delta: Array, a: Array, scratch: Array) -> None:
    """Multiply delta by f' = a."""
    delta *= a


_erfc = np.frompyfunc(math.erfc, 1, 1)  # NumPy has none: one call of Python's for each number


def _normal(z: Array) -> Array:
    """The normal distribution's share below z."""
    share: Array = 0.5 * np.asarray(_erfc(-z / math.sqrt(2)), z.dtype)
    return share


def gelu(z: Array, a: Array) -> None:
    """Compute a = z N(z), N the normal distribution."""
    np.multiply(z, _normal(z), out=a)


def gelu_backward(delta: Array, z: Array, scratch: Array) -> None:
    """Multiply delta by f' = N(z) + z N'(z), N'(z) = exp(-z^2/2) / sqrt(2 pi)."""
    delta *= _normal(z) + z * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def gelu_tanh(z: Array, a: Array) -> None:
    """Compute a = z (1 + tanh u) / 2, u = sqrt(2/pi) (z + 0.044715 z^3)."""
    np.multiply(z, 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))), out=a)


def gelu_tanh_backward(delta: Array, z: Array, scratch: Array) -> None:
    """Multiply delta by f' = (1 + tanh u) / 2 + z (1 - tanh(u)^2) u' / 2."""
    t = np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))
    delta *= 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * (math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z * z))


def _sigmoid(z: Array) -> Array:
    s = np.empty_like(z)
    sigmoid(z, s)
    return s


def silu(z: Array, a: Array) -> None:
    """Compute a = z s(z), s = sigmoid."""
    np.multiply(z, _sigmoid(z), out=a)


def silu_backward(delta: Array, z: Array, scratch: Array) -> None:
    """Multiply delta by f' = s + z s (1 - s), s = sigmoid(z)."""
    s = _sigmoid(z)
    delta *= s + z * s * (1 - s)


def mish(z: Array, a: Array) -> None:
    """Compute a = z tanh(log(1 + exp(z)))."""
    np.multiply(z, np.tanh(np.logaddexp(z, 0)), out=a)


def mish_backward(delta: Array, z: Array, scratch: Array) -> None:
    """Multiply delta by f' = w + z (1 - w^2) sigmoid(z), w = tanh(log(1 + exp(z)))."""
    w = np.tanh(np.logaddexp(z, 0))
    delta *= w + z * (1 - w * w) * _sigmoid(z)


class Activation(NamedTuple):
    """An activation function, ``forward(z, a)``, and its derivative, ``backward(delta, a, scratch)``."""

    forward: Callable[[Array, Array], None]
    backward: Callable[[Array, Array, Array], None]
    from_z: bool = False  # backward gets z in place of a


#: Activations by name; softmax serves as output activation only.
ACTIVATIONS = {
    "identity": Activation(identity, identity_backward),
    "relu": Activation(relu, relu_backward),
    "leaky_relu": Activation(leaky_relu, leaky_relu_backward),
    "tanh": Activation(tanh, tanh_backward),
    "sigmoid": Activation(sigmoid, sigmoid_backward),
    "softmax": Activation(softmax, softmax_backward),
    "elu": Activation(elu, elu_backward),
    "selu": Activation(selu, selu_backward),
    "softplus": Activation(softplus, softplus_backward),
    "softsign": Activation(softsign, softsign_backward),
    "exponential": Activation(exponential, exponential_backward),
    "gelu": Activation(gelu, gelu_backward, from_z=True),
    "gelu_tanh": Activation(gelu_tanh, gelu_tanh_backward, from_z=True),
    "silu": Activation(silu, silu_backward, from_z=True),
    "mish": Activation(mish, mish_backward, from_z=True),
}
