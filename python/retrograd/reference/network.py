"""The network, gradient descent and an epoch of training. Third chapter of the reference.

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
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import losses
from ..activations import as_activation
from ..losses import picks_one
from ..network import as_network
from .activations import ACTIVATIONS, Array
from .losses import LOSSES, loss_of

UPDATE_BLOCK = 65536  # parameters updated at a time, so that the passes of an update find them in the cache


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
        One of `LOSSES`: the functions of those names in the chapter `losses` give the formulas.
    weights, biases : sequences of arrays, optional
        Initial parameters, (fan_in, fan_out) and (fan_out,) for each layer; copied. None in the place of a layer's biases
        leaves them out of it. By default the biases are zero and the weights normal, with variance 2 / fan_in before relu
        and leaky_relu and 1 / fan_in elsewhere.
    seed : int, default 0
        Seed of the initial weights.
    dtype : str or dtype, default "float32"
        "float32" or "float64": the arithmetic of everything.

    Attributes
    ----------
    parameters, gradients : arrays, (number of parameters,)
        All parameters, w[0], b[0], w[1], b[1], ..., and, after a backward pass, all gradients in the same order.
    weights, biases, dw, db : tuples of arrays, (fan_in, fan_out) and (fan_out,)
        Views of those two vectors; None for the biases that a layer lacks. To change the network, write into them:
        ``net.weights[0][...] = w``.
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
        biases: Sequence[npt.ArrayLike | None] | None = None,
        seed: int = 0,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        self.sizes = tuple(int(size) for size in layers)
        loss = losses.as_loss(loss)
        if isinstance(activation, str):
            activation = [activation] * (len(self.sizes) - 2) + [output_activation]
        self.activations = tuple(map(as_activation, activation))
        self.loss_function = loss
        self.loss_name = losses.name_and_parameter(loss)[0]
        self.dtype = np.dtype(dtype)
        _check_arguments(self.sizes, self.activations, self.loss_name, self.dtype)
        self._functions = [ACTIVATIONS[name] for name in self.activations]
        self._loss = loss_of(loss)
        self._loss_value = float("nan")

        has_bias = [True] * (len(self.sizes) - 1) if biases is None else [b is not None for b in biases]
        self.parameters, self.weights, self.biases = _parameter_vector(self.sizes, has_bias, self.dtype)
        self.gradients, self.dw, self.db = _parameter_vector(self.sizes, has_bias, self.dtype)
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
        if not hasattr(network, "loss_function"):  # it may be one of either package
            as_network(network)
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
            if b is not None:
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
            if self.db[layer] is not None:
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
            if b is not None:
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


def _parameter_vector(
    sizes: Sequence[int], has_bias: Sequence[bool], dtype: np.dtype[Any]
) -> tuple[Array, tuple[Array, ...], tuple[Array | None, ...]]:
    """A vector of zeros for w[0], b[0], w[1], b[1], ..., and its parts as matrices and vectors."""
    if len(has_bias) != len(sizes) - 1:
        raise ValueError(f"biases: expected {len(sizes) - 1}, one for each layer, got {len(has_bias)}")
    shapes = list(itertools.pairwise(sizes))
    vector = np.zeros(sum((fan_in + has) * fan_out for (fan_in, fan_out), has in zip(shapes, has_bias, strict=True)), dtype)
    weights: list[Array] = []
    biases: list[Array | None] = []
    start = 0
    for (fan_in, fan_out), has in zip(shapes, has_bias, strict=True):
        middle = start + fan_in * fan_out
        weights.append(vector[start:middle].reshape(fan_in, fan_out))
        start = middle + has * fan_out
        biases.append(vector[middle:start] if has else None)
    return vector, tuple(weights), tuple(biases)


def _copy_into(views: Sequence[Array | None], arrays: Sequence[npt.ArrayLike | None], name: str) -> None:
    places = [view for view in views if view is not None]
    values = [np.asarray(array) for array in arrays if array is not None]
    if [value.shape for value in values] != [place.shape for place in places]:
        raise ValueError(f"{name}: expected shapes {[p.shape for p in places]}, got {[v.shape for v in values]}")
    for place, value in zip(places, values, strict=True):
        place[...] = value
