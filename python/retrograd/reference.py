"""The training of this package in pure NumPy: the textbook that stands next to the engine.

It computes what the compiled core computes, stage by stage and under the same names: forward pass, backward pass,
weight update. It is the oracle of the tests (float64) and the opponent of the benchmark (float32), so it is written as
a careful NumPy programmer would: arrays are allocated once and written in place, and all parameters lie in one vector,
so that an update is a few calls whatever the number of layers. It is not the engine: it has no threads of its own (BLAS
may have), no trainer and no stopping rules.

For a batch of n rows and layers l = 0, 1, ...::

    a[0]     = X                                  (n, features)
    z[l]     = a[l] w[l] + b[l]                   (n, units)
    a[l+1]   = f(z[l])                            (n, units)
    delta[l] = dLoss/dz[l]                        (n, units)
    delta[l] = (delta[l+1] w[l+1]^T) * f'(z[l])   (n, units), below the last layer
    dw[l]    = a[l]^T delta[l]                    (units below, units)
    db[l]    = sum over rows of delta[l]          (units,)
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import losses
from .losses import picks_one

__all__ = ["ACTIVATIONS", "LOSSES", "SGD", "Activation", "Loss", "Network", "train_epoch"]

Array = npt.NDArray[Any]

LEAKY_SLOPE = 0.01
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer, Unterthiner, Mayr, Hochreiter, 2017
UPDATE_BLOCK = 65536  # parameters updated at a time, so that the passes of an update find them in the cache

# Activations. `f(z, a)` writes a = f(z); a may be z itself. `f_backward(delta, a, scratch)` turns the gradient with
# respect to a into the one with respect to z, in place; the derivative is written in terms of the stored a, and scratch
# is an array of the same shape. Where a does not tell the derivative, `f_backward(delta, z, scratch)` gets z (`from_z`).


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

# Losses. `loss(output, t, delta)` returns the loss of the batch and writes its gradient with respect to `output`, which
# is z of the last layer (logits) where the loss applies softmax, sigmoid or exp itself, else a of the last layer. A loss with
# a parameter has it as its last argument.


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


def _loss_of(given: str | losses.Loss) -> Loss:
    """The loss of a name or an object, its parameter filled in."""
    name, parameter = losses.name_and_parameter(given)
    loss = LOSSES[name]
    if name == "cross_entropy" and parameter:
        return loss._replace(evaluate=functools.partial(smoothed_cross_entropy, label_smoothing=parameter))
    if loss.has_parameter:
        return loss._replace(evaluate=lambda output, t, delta: loss.evaluate(output, t, delta, parameter))
    return loss


class Network:
    """A dense network in NumPy.

    Parameters
    ----------
    layers : sequence of int
        Features of the input, then the units of each layer.
    activation : str or sequence of str, default "relu"
        Activation of the hidden layers, or one name for each layer, the last being the output activation: one of
        `ACTIVATIONS`, "softmax" for the output only.
    output_activation : str, default "identity"
        Activation of the last layer where `activation` is one name. "softmax" with "cross_entropy" and "sigmoid" with
        "binary_cross_entropy" train as "identity" does, for those losses start from z of the last layer in any case.
    loss : str or retrograd.losses.Loss, default "mse"
        One of `LOSSES`: this module's functions of those names give the formulas.
    weights, biases : sequences of arrays, optional
        Initial parameters, (fan_in, fan_out) and (fan_out,) for each layer; copied. By default the biases are zero and
        the weights normal, with variance 2 / fan_in before relu and leaky_relu and 1 / fan_in elsewhere.
    seed : int, default 0
        Seed of the initial weights.
    dtype : str or dtype, default "float32"
        "float32" or "float64": the arithmetic of everything.

    Attributes
    ----------
    parameters, gradients : arrays, (number of parameters,)
        All parameters, w[0], b[0], w[1], b[1], ..., and, after a backward pass, all gradients in the same order.
    weights, biases, dw, db : tuples of arrays, (fan_in, fan_out) and (fan_out,)
        Views of those two vectors. To change the network, write into them: ``net.weights[0][...] = w``.
    z, a, deltas : lists of arrays, (rows, units)
        Of the last batch: a[0] is X, a[l+1] = f(z[l]), deltas[l] is the gradient of the loss with respect to z[l]. The
        next batch overwrites them, so copy what you want to keep.

    Raises
    ------
    ValueError
        On an unknown name, names that do not go together, or a wrong shape.
    """

    def __init__(
        self,
        layers: Sequence[int],
        *,
        activation: str | Sequence[str] = "relu",
        output_activation: str = "identity",
        loss: str | losses.Loss = "mse",
        weights: Sequence[npt.ArrayLike] | None = None,
        biases: Sequence[npt.ArrayLike] | None = None,
        seed: int = 0,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        self.sizes = tuple(int(size) for size in layers)
        if isinstance(activation, str):
            activation = [activation] * (len(self.sizes) - 2) + [output_activation]
        self.activations = tuple(activation)
        self.loss_function = loss
        self.loss_name = losses.name_and_parameter(loss)[0]
        self.dtype = np.dtype(dtype)
        _check_arguments(self.sizes, self.activations, self.loss_name, self.dtype)
        self._functions = [ACTIVATIONS[name] for name in self.activations]
        self._loss = _loss_of(loss)
        self._loss_value = float("nan")

        self.parameters, self.weights, self.biases = _parameter_vector(self.sizes, self.dtype)
        self.gradients, self.dw, self.db = _parameter_vector(self.sizes, self.dtype)
        random = np.random.default_rng(seed)
        for w, name in zip(self.weights, self.activations, strict=True):
            gain = 2 if name in ("relu", "leaky_relu") else 1
            w[...] = random.normal(0, np.sqrt(gain / len(w)), w.shape)
        if weights is not None:
            _copy_into(self.weights, weights, "weights")
        if biases is not None:
            _copy_into(self.biases, biases, "biases")

        self._rows = -1  # of the batch that the lists below are made for
        # z, a, delta and scratch of each layer, for the largest batch so far.
        self._buffers: list[tuple[Array, Array, Array, Array]] = []
        self.z: list[Array] = []
        self.a: list[Array] = []
        self.deltas: list[Array] = []

    @classmethod
    def like(cls, network: Any) -> Network:
        """Build the reference of a network: same layers, loss and dtype, and a copy of its weights and biases.

        Parameters
        ----------
        network : retrograd.Network or Network
            Read are `sizes`, `activations` (one name for each layer), `loss_function`, `dtype`, `weights` and `biases`. What
            regularises is left out; with normalisation it would not be the same network: ValueError.
        """
        if any(layer.norm for layer in getattr(network, "layers", ())):
            raise ValueError("like: the reference has no normalisation, got a network with it")
        return cls(
            network.sizes,
            activation=network.activations,
            loss=network.loss_function,
            weights=network.weights,
            biases=network.biases,
            dtype=network.dtype,
        )

    def __reduce__(self) -> tuple[Callable[[], Network], tuple[()]]:
        """A copy or pickle is built anew, because its weights must be views of its own vector."""
        rebuild = functools.partial(Network, self.sizes, activation=self.activations, loss=self.loss_function)
        return functools.partial(rebuild, weights=self.weights, biases=self.biases, dtype=self.dtype), ()

    def forward(self, X: npt.ArrayLike) -> Array:
        """Forward pass: z[l] = a[l] w[l] + b[l], a[l+1] = f(z[l]).

        Parameters
        ----------
        X : array, (rows, features)
            Becomes a[0], without a copy where it has the network's dtype.

        Returns
        -------
        array, (rows, outputs)
            a of the last layer; the next forward pass overwrites it.
        """
        a = self._input(X)
        if len(a) != self._rows:
            self._resize(len(a))
        self.a[0] = a
        for w, b, z, a_next, function in self._layers:
            np.dot(a, w, out=z)
            z += b
            function.forward(z, a_next)
            a = a_next
        return a

    def backward(self, y: npt.ArrayLike | None = None, dz: npt.ArrayLike | None = None) -> None:
        """Backward pass for the batch of the last forward pass: fills `deltas`, `dw` and `db`.

        Parameters
        ----------
        y : array, (rows, outputs), optional
            Targets. For one output also (rows,); for "cross_entropy" integer labels (rows,) or rows that sum to 1.
        dz : array, (rows, outputs), optional
            Instead of y: the gradient of a loss of your own with respect to z of the last layer.
        """
        if not self.a or (y is None) == (dz is None):
            raise ValueError("backward: expected a forward pass before, and either y or dz")
        delta = self.deltas[-1]
        self._loss_value = float("nan")
        if dz is not None:
            delta[...] = dz
        elif self._loss.fused_with:
            self._loss_value = self._loss.evaluate(self.z[-1], self._targets(y, self._rows), delta)
        else:
            self._loss_value = self._loss.evaluate(self.a[-1], self._targets(y, self._rows), delta)
            self._through(-1, delta)
        for layer in range(len(self.weights) - 1, -1, -1):
            a = self.a[layer]
            np.dot(a.T, delta, out=self.dw[layer])
            np.dot(self._ones, delta, out=self.db[layer])  # the sum over rows, by BLAS
            if layer:
                below = self.deltas[layer - 1]
                np.dot(delta, self.weights[layer].T, out=below)
                self._through(layer - 1, below)
                delta = below

    def _through(self, layer: int, delta: Array) -> None:
        """Turns the gradient with respect to a of a layer into that with respect to its z."""
        function = self._functions[layer]
        stored = self.z[layer] if function.from_z else self.a[layer + 1 if layer >= 0 else layer]
        function.backward(delta, stored, self._scratch[layer])

    def loss_value(self) -> float:
        """Loss of the batch that `backward(y)` saw last, before any update; NaN where there was none."""
        return self._loss_value

    def input_gradient(self) -> Array:
        """Gradient of the loss with respect to X, delta[0] w[0]^T, (rows, features), after a backward pass."""
        dx: Array = np.dot(self.deltas[0], self.weights[0].T)
        return dx

    def predict_outputs(self, X: npt.ArrayLike) -> Array:
        """Outputs (rows, outputs) for X (rows, features), after the output activation; leaves z, a and deltas alone."""
        output = self._logits(X)
        self._functions[-1].forward(output, output)
        return output

    def loss(self, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """Loss for X (rows, features) and targets y as in `backward`; leaves z, a and deltas alone."""
        output = self._logits(X) if self._loss.fused_with else self.predict_outputs(X)
        return self._loss.evaluate(output, self._targets(y, len(output)), np.empty_like(output))

    def _logits(self, X: npt.ArrayLike) -> Array:
        """Compute z of the last layer, in an array of its own."""
        a = self._input(X)
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer:
                self._functions[layer - 1].forward(a, a)
            a = np.dot(a, w)
            a += b
        return a

    def _input(self, X: npt.ArrayLike) -> Array:
        rows: Array = np.asarray(X, self.dtype)
        if rows.ndim != 2 or rows.shape[1] != self.sizes[0]:
            raise ValueError(f"X: expected shape (rows, {self.sizes[0]}), got {rows.shape}")
        return rows

    def _targets(self, y: Any, rows: int) -> Array:
        """Targets as (rows, outputs) in the network's dtype; labels become rows of the identity matrix."""
        y = np.asarray(y)
        outputs = self.sizes[-1]
        if self._are_labels(y):
            y = np.eye(outputs, dtype=self.dtype)[_checked_indices(y, outputs, "y")]
        elif y.ndim == 1 and outputs == 1:
            y = y[:, None]
        if y.shape != (rows, outputs):
            raise ValueError(f"y: expected shape {(rows, outputs)}, got {y.shape}")
        targets: Array = y.astype(self.dtype, copy=False)
        return targets

    def _are_labels(self, y: Array) -> bool:
        return y.ndim == 1 and y.dtype.kind in "iu" and picks_one(self.loss_name, self.sizes[-1])

    def _resize(self, rows: int) -> None:
        """Have z, a, deltas and scratch ready for a batch of so many rows."""
        if not self._buffers or len(self._buffers[0][0]) < rows:
            self._buffers = []
            for name, units in zip(self.activations, self.sizes[1:], strict=True):
                z, a, delta, scratch = (np.empty((rows, units), self.dtype) for _ in range(4))
                self._buffers.append((z, z if name == "identity" else a, delta, scratch))
        # A smaller batch takes the first rows of the buffers, so the last batch of an epoch allocates nothing.
        self.z, a_next, self.deltas, self._scratch = (
            [array[:rows] for array in arrays] for arrays in zip(*self._buffers, strict=True)
        )
        self.a = [np.empty((rows, 0), self.dtype), *a_next]
        self._layers = list(zip(self.weights, self.biases, self.z, a_next, self._functions, strict=True))
        self._ones = np.ones(rows, self.dtype)
        self._rows = rows


class SGD:
    """Stochastic gradient descent with PyTorch's arithmetic, weight decay covering the biases too.

    ::

        g = dw + weight_decay * w
        v = momentum * v + g                (v starts at zero)
        w = w - lr * v                      (nesterov: w - lr * (g + momentum * v))

    An optimiser belongs to the network of its first step.

    Parameters
    ----------
    lr : float
        Learning rate.
    momentum : float, default 0
    nesterov : bool, default False
        Needs a momentum above 0.
    weight_decay : float, default 0
    """

    def __init__(self, lr: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0) -> None:
        if nesterov and not momentum > 0:
            raise ValueError(f"nesterov: expected a momentum above 0, got {momentum}")
        self.lr = lr
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self._velocity: Array | None = None
        self._scratch: Array | None = None

    def step(self, network: Network) -> None:
        """Update all parameters in place from the gradients of the last backward pass, which stay as they are."""
        parameters, gradients = network.parameters, network.gradients
        if self._velocity is None or self._scratch is None:
            self._velocity = np.zeros_like(parameters)
            self._scratch = np.empty((2, min(parameters.size, UPDATE_BLOCK)), parameters.dtype)
        elif self._velocity.shape != parameters.shape or self._velocity.dtype != parameters.dtype:
            raise ValueError("SGD: expected the network of the first step, got another one")
        for start in range(0, parameters.size, UPDATE_BLOCK):
            block = slice(start, start + UPDATE_BLOCK)
            w, g = parameters[block], gradients[block]
            first, second = self._scratch[:, : w.size]
            if self.weight_decay:
                np.multiply(w, self.weight_decay, out=first)
                first += g
                g = first
            if self.momentum:
                v = self._velocity[block]
                v *= self.momentum
                v += g
                if self.nesterov:
                    np.multiply(v, self.momentum, out=second)
                    second += g
                    g = second
                else:
                    g = v
            np.multiply(g, self.lr, out=first)
            w -= first


def train_epoch(
    network: Network, optimizer: SGD, X: npt.ArrayLike, y: npt.ArrayLike, batch_size: int, order: npt.ArrayLike
) -> float:
    """Train on rows in mini-batches, in the order given.

    Parameters
    ----------
    network : Network
    optimizer : SGD
    X : array, (rows, features)
        Read where it lies if it is C-contiguous and has the network's dtype, else converted once a call.
    y : array
        Targets as in `Network.backward`.
    batch_size : int
        Rows of a batch. A last batch with fewer rows is trained on too.
    order : integer array
        Row indices in the order in which they are seen: for an epoch, a permutation of all rows.

    Returns
    -------
    float
        Mean of the loss over the rows as they were seen, each before its own update.
    """
    X, y = np.ascontiguousarray(network._input(X)), np.asarray(y)
    outputs = network.sizes[-1]
    labels = network._are_labels(y)
    targets = np.eye(outputs, dtype=network.dtype) if labels else np.ascontiguousarray(network._targets(y, len(X)))
    if labels:
        y = _checked_indices(y, outputs, "y")
    if len(y) != len(X):
        raise ValueError(f"y: expected {len(X)} rows, as X has, got {len(y)}")
    order = _checked_indices(np.asarray(order), len(X), "order")
    if batch_size < 1 or not len(order):
        raise ValueError(f"expected one row or more and a batch_size of 1 or more, got {len(order)} and {batch_size}")

    x_batch = np.empty((min(batch_size, len(order)), X.shape[1]), X.dtype)
    t_batch = np.empty((len(x_batch), outputs), X.dtype)
    total = 0.0
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        rows = len(batch)
        x, t = x_batch[:rows], t_batch[:rows]
        # The default mode, "raise", would go through a copy; the range is checked above.
        X.take(batch, axis=0, out=x, mode="clip")
        targets.take(y.take(batch) if labels else batch, axis=0, out=t, mode="clip")
        network.forward(x)
        network.backward(t)
        optimizer.step(network)
        total += network.loss_value() * rows
    return total / len(order)


def _check_arguments(sizes: Sequence[int], activations: Sequence[str], loss: str, dtype: np.dtype[Any]) -> None:
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"layers: expected two or more sizes of at least 1, got {list(sizes)}")
    if len(activations) != len(sizes) - 1:
        raise ValueError(f"activation: expected {len(sizes) - 1} names, one for each layer, got {len(activations)}")
    for name in activations:
        if name not in ACTIVATIONS:
            raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {name!r}")
    if "softmax" in activations[:-1]:
        raise ValueError("activation: expected softmax for the last layer only")
    if loss not in LOSSES:
        raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {loss!r}")
    fused_with = LOSSES[loss].fused_with
    if fused_with and activations[-1] not in ("identity", fused_with):
        raise ValueError(f"output_activation: expected identity or {fused_with} with {loss}, got {activations[-1]!r}")
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype: expected float32 or float64, got {dtype}")


def _checked_indices(indices: Array, limit: int, name: str) -> Array:
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected a vector of integers, got {indices.dtype} of shape {indices.shape}")
    if len(indices) and not 0 <= indices.min() <= indices.max() < limit:
        raise ValueError(f"{name}: expected values from 0 to {limit - 1}, got {indices.min()} to {indices.max()}")
    return indices.astype(np.intp, copy=False)


def _parameter_vector(sizes: Sequence[int], dtype: np.dtype[Any]) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:
    """A vector of zeros for w[0], b[0], w[1], b[1], ..., and its parts as matrices and vectors."""
    shapes = list(itertools.pairwise(sizes))
    vector = np.zeros(sum((fan_in + 1) * fan_out for fan_in, fan_out in shapes), dtype)
    weights, biases, start = [], [], 0
    for fan_in, fan_out in shapes:
        middle = start + fan_in * fan_out
        weights.append(vector[start:middle].reshape(fan_in, fan_out))
        start = middle + fan_out
        biases.append(vector[middle:start])
    return vector, tuple(weights), tuple(biases)


def _copy_into(views: Sequence[Array], arrays: Sequence[npt.ArrayLike], name: str) -> None:
    values = [np.asarray(array) for array in arrays]
    if [value.shape for value in values] != [view.shape for view in views]:
        raise ValueError(f"{name}: expected shapes {[v.shape for v in views]}, got {[v.shape for v in values]}")
    for view, value in zip(views, values, strict=True):
        view[...] = value
