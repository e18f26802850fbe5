"""The network: layers, weights, the forward and backward pass by hand, prediction. A thin layer over the compiled core.

Training over epochs is trainer.py's, the update optimizers.py's.
"""

import dataclasses
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from . import _core
from ._checks import as_float, as_int, as_threads, check_name
from ._data.arrays import Array, as_array, as_rows, check_finite, converted
from ._data.targets import as_targets
from ._data.weights import as_weights
from .initializers import Initializer, default_for
from .losses import Loss, name_and_parameter, picks_one

_CORE: dict[str, type[_core.NetworkF32] | type[_core.NetworkF64]] = {
    "float32": _core.NetworkF32,
    "float64": _core.NetworkF64,
}

_OUTPUTS, _APPLIED, _DECISIONS = range(3)  # what the core's predict answers; applied: what the loss itself applies
# what a loss applies to the outputs itself, once; with the first three that is a probability
_OWN = {"cross_entropy": "softmax", "focal": "softmax", "binary_cross_entropy": "sigmoid", "poisson": "exponential"}
_PROBABILISTIC = ("cross_entropy", "focal", "binary_cross_entropy")
_CLASSIFIERS = (*_PROBABILISTIC, "hinge")

Init = str | Initializer | None


@dataclass(frozen=True)
class Dense:
    """One dense layer: a = f(x w + b).

    Parameters
    ----------
    units : int
        Outputs of the layer (`fan_out`).
    activation : str, optional
        Its name; with s = sigmoid:

        - "identity", "tanh", "sigmoid"; "exponential": exp(z); "softsign": z / (1 + |z|); "softplus": log(1 + exp(z))
        - "relu": max(z, 0); "leaky_relu": 0.01 z below 0
        - "elu": exp(z) - 1 below 0 (Clevert, Unterthiner, Hochreiter, 2016)
        - "selu": 1.0507 z, below 0 1.7581 (exp(z) - 1) (Klambauer, Unterthiner, Mayr, Hochreiter, 2017)
        - "gelu": z N(z), N the normal distribution (Hendrycks, Gimpel, 2016); "gelu_tanh": with
          N(z) = (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))) / 2
        - "silu": z s(z) (Elfwing, Uchibe, Doya, 2017); "mish": z tanh(log(1 + exp(z))) (Misra, 2019)
        - "softmax", for the last layer alone

        Default: the network's `activation`, for the last layer its `output_activation`.
    init : str or Initializer, optional
        How the weights start. Default: the network's `init`.
    dropout : float, optional
        In training each output is 0 with this probability, at least 0 and below 1, and else divided by its complement, so
        that the mean is kept (Srivastava and others, "Dropout", JMLR 15, 2014, inverted). Hidden layers only. Default: the
        network's `dropout`.
    max_norm : float, optional
        After each update the incoming weights of each unit are scaled down to this Euclidean norm where theirs is larger
        (the same paper; biases do not count). Positive. Default: no limit.
    norm : "layer" or "batch", optional
        a = f(gamma normalised(z) + beta), with gamma and beta learned like biases, from 1 and 0 on; hidden layers only.
        "layer": each row over the layer's units (Ba, Kiros, Hinton, "Layer normalization", 2016); "batch": each unit over
        the rows of the batch in training, else by running means (Ioffe, Szegedy, "Batch normalization", ICML 2015), with
        at least two rows in every batch. PyTorch's LayerNorm and BatchNorm1d with their defaults: eps 1e-5, momentum 0.1,
        the variance biased but for the running one.
    """

    units: int
    activation: str | None = None
    init: Init = None
    dropout: float | None = None
    max_norm: float | None = None
    norm: Literal["layer", "batch"] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", as_int(self.units, "units", 1))
        if self.activation is not None:
            check_name(self.activation, _core.ACTIVATIONS, "activation")
        if self.init is not None:
            object.__setattr__(self, "init", _initializer(self.init))
        if self.dropout is not None:
            object.__setattr__(self, "dropout", as_float(self.dropout, "dropout", 0.0, 1.0))
        if self.max_norm is not None:
            object.__setattr__(self, "max_norm", as_float(self.max_norm, "max_norm", 0.0))
            if self.max_norm == 0:
                raise ValueError("max_norm: expected a positive number, got 0.0")
        if self.norm is not None:
            check_name(self.norm, ("layer", "batch"), "norm")


def _initializer(init: Init) -> Initializer:
    return init if isinstance(init, Initializer) else Initializer(init)  # type: ignore[arg-type]  # checked there


class Gradients:
    """What a backward pass found. Arrays are read when asked for, at the latest before the next pass overwrites them.

    Attributes
    ----------
    loss : float or None
        Mean loss of the batch; None where the gradient was the user's own.
    delta : tuple of arrays (rows, fan_out)
        Gradient of the loss with respect to z of each layer.
    dw : tuple of arrays (fan_in, fan_out)
        Gradient with respect to each layer's weights: x^T delta.
    db : tuple of arrays (fan_out,)
        Gradient with respect to each layer's biases: the sum of delta over rows.
    dgamma, dbeta : tuple of arrays (fan_out,) or None
        Gradients with respect to gamma and beta of each layer, None where it does not normalise.
    dx : array (rows, inputs)
        Gradient with respect to the inputs. Computed at the first reading (or when the weights are about to change while
        this object is still held).
    """

    def __init__(self, network: "Network", loss: float | None) -> None:
        self.loss = loss
        self._network: Network | None = network
        self._found: dict[str, Any] = {}

    def _read(self, name: Literal["delta", "dw", "db"]) -> tuple[Array, ...]:
        if name not in self._found:
            assert self._network is not None
            read = getattr(self._network._core, name)
            self._found[name] = tuple(read(layer) for layer in range(self._network.depth))
        found: tuple[Array, ...] = self._found[name]
        return found

    @property
    def delta(self) -> tuple[Array, ...]:
        """Gradient with respect to z of each layer."""
        return self._read("delta")

    @property
    def dw(self) -> tuple[Array, ...]:
        """Gradient with respect to the weights of each layer."""
        return self._read("dw")

    @property
    def db(self) -> tuple[Array, ...]:
        """Gradient with respect to the biases of each layer."""
        return self._read("db")

    def _read_norm(self, which: int) -> tuple[Array | None, ...]:
        if "norms" not in self._found:
            assert self._network is not None
            self._found["norms"] = tuple(map(self._network._core.dnorm, range(self._network.depth)))
        return tuple(arrays[which] if arrays else None for arrays in self._found["norms"])

    @property
    def dgamma(self) -> tuple[Array | None, ...]:
        """Gradient with respect to gamma of each layer."""
        return self._read_norm(0)

    @property
    def dbeta(self) -> tuple[Array | None, ...]:
        """Gradient with respect to beta of each layer."""
        return self._read_norm(1)

    @property
    def dx(self) -> Array:
        """Gradient with respect to the inputs."""
        if "dx" not in self._found:
            assert self._network is not None
            self._found["dx"] = self._network._core.dx()
        found: Array = self._found["dx"]
        return found

    def _keep(self, weights_only: bool) -> None:
        """Reads what is about to be lost: dx where the weights change, everything where a new pass begins."""
        if self._network is None:
            return
        _ = self.dx
        if not weights_only:
            _ = self.delta, self.dw, self.db, self.dgamma
            self._network = None

    def __repr__(self) -> str:
        shapes = ", ".join(str(w.shape) for w in self.dw)
        return f"Gradients(loss={self.loss}, dw={shapes})"


class Network:
    """A dense feed-forward network.

    Parameters
    ----------
    layers : sequence
        Number of inputs, then for each layer its number of units or a `Dense`.
    activation : str, default "relu"
        Of the hidden layers; see `Dense` for the names.
    output_activation : str, default "identity"
        Of the last layer. With "cross_entropy" and "focal" (then "identity" or "softmax"), "binary_cross_entropy" ("identity"
        or "sigmoid") and "poisson" ("identity" or "exponential") the layer gives logits, or log rates, and the loss applies
        softmax, sigmoid or exp itself, once.
    loss : str or retrograd.losses.Loss, default "mse"
        With a = output, t = target, n rows, k outputs:

        - "mse": 1/(nk) sum (a - t)^2; delta = 2 (a - t) f'(z) / (nk)
        - "quadratic": 1/(2n) sum (a - t)^2; delta = (a - t) f'(z) / n
        - "mae": 1/(nk) sum |a - t|; delta = sign(a - t) f'(z) / (nk), 0 where a = t
        - "huber": 1/(nk) sum of e^2 / 2 where |e| = |a - t| <= d, d (|e| - d/2) beyond; delta = e cut off at -d and d, times
          f'(z) / (nk); d = 1, or `losses.Huber(delta=d)`
        - "quantile": 1/(nk) sum max(q (t - a), (1 - q) (a - t)); delta = -q where t > a, 1 - q where t < a, times
          f'(z) / (nk); q = 0.5, or `losses.Quantile(q)`
        - "poisson": 1/(nk) sum exp(z) - t z, t >= 0; delta = (exp(z) - t) / (nk) (PyTorch's `PoissonNLLLoss`)
        - "cross_entropy": -1/n sum t log softmax(z); delta = (softmax(z) - t) / n; labels or rows of probabilities;
          `losses.CrossEntropy(label_smoothing=s)` takes (1 - s) t + s/k for t
        - "focal": -1/n sum t (1 - p)^g log p, p = softmax(z); delta: see `losses.Focal(gamma=g)`; g = 2
        - "binary_cross_entropy": -1/(nk) sum t log s(z) + (1 - t) log(1 - s(z)), s = sigmoid; delta = (s(z) - t) / (nk)
        - "hinge", one output, targets 0 and 1 or -1 and 1: 1/n sum max(0, 1 - s a), s = 1 where t > 0, else -1;
          delta = -s f'(z) / n where s a < 1, else 0. Several outputs, labels y: 1/(nk) sum over j != y of
          max(0, 1 - a_y + a_j) (Weston, Watkins, 1999; PyTorch's `MultiMarginLoss`); delta_j = f'(z_j) / (nk) where that is
          above 0, and minus their sum at y. `output_activation`: "identity", "tanh" or "softsign".

        A loss of your own: `backward(dz=...)`.
    init : str, Initializer, or pair (weights, biases), optional
        How the weights start (see `Initializer`); default LeCun for selu, He for relu, leaky_relu, elu, gelu, gelu_tanh, silu
        and mish, Glorot for the rest. A pair of sequences of arrays gives them. Biases start at zero.
    dropout : float, default 0.0
        Of the hidden layers that do not say it themselves (see `Dense`).
    input_dropout : float, default 0.0
        The same for the inputs.
    input_noise : float, default 0.0
        In training, normal noise of this standard deviation is added to the inputs, before any of them is dropped.
    seed : int or None, default 0
        Fixes the weights, the order of rows in training and what dropout and noise draw; None draws a fresh one, which
        `seed` then shows.
    dtype : "float32" or "float64"
        Of weights and arithmetic.

    Raises
    ------
    ValueError, TypeError
        Sizes, names or arrays that do not fit.
    """

    def __init__(
        self,
        layers: Sequence[int | Dense],
        *,
        activation: str = "relu",
        output_activation: str = "identity",
        loss: str | Loss = "mse",
        init: Init | tuple[Sequence[npt.ArrayLike], Sequence[npt.ArrayLike]] = None,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        seed: int | None = 0,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        check_name(activation, _core.ACTIVATIONS, "activation")
        check_name(output_activation, _core.ACTIVATIONS, "output_activation")
        if isinstance(layers, str) or not isinstance(layers, Sequence | np.ndarray):
            raise TypeError(f"layers: expected a sequence like [784, 128, 10], got {layers!r}")
        if len(layers) < 2:
            raise ValueError(f"layers: expected the number of inputs and at least one layer, got {list(layers)!r}")
        if isinstance(layers[0], Dense):
            raise TypeError("layers: expected the number of inputs first, got a Dense")
        specs = [s if isinstance(s, Dense) else Dense(as_int(s, "layers", 1)) for s in layers[1:]]
        last = len(specs) - 1

        self._sizes = (as_int(layers[0], "layers", 1), *(s.units for s in specs))
        self._activations = tuple(s.activation or (output_activation if i == last else activation) for i, s in enumerate(specs))
        self._loss_function, self._loss = loss, name_and_parameter(loss)[0]
        self._dtype = self._dtype_of(dtype)
        self._check_fit()
        self._seed = int.from_bytes(os.urandom(8), "little") >> 1 if seed is None else as_int(seed, "seed", 0, bits=64)
        if specs[-1].dropout:
            raise ValueError(f"dropout: it is for hidden layers, got {specs[-1].dropout} for the last one")
        if specs[-1].norm:
            raise ValueError(f"norm: it is for hidden layers, got {specs[-1].norm!r} for the last one")
        everywhere = as_float(dropout, "dropout", 0.0, 1.0)
        self._regularisation: dict[str, Any] = {
            "input_dropout": as_float(input_dropout, "input_dropout", 0.0, 1.0),
            "input_noise": as_float(input_noise, "input_noise", 0.0),
            "dropout": [*(everywhere if s.dropout is None else s.dropout for s in specs[:-1]), 0.0],
            "max_norm": [s.max_norm or 0.0 for s in specs],
            "norm": [s.norm or "none" for s in specs],
        }
        self._core = self._make_core()
        self._gradients: weakref.ref[Gradients] | None = None
        self._forced_team = 0  # for tests: this many threads, whatever the work

        if isinstance(init, tuple):
            if len(init) != 2:
                raise ValueError(f"init: expected a pair (weights, biases), got {len(init)} things")
            self.set_weights(*init)
        else:
            common = None if init is None else _initializer(init)
            for i, spec in enumerate(specs):
                chosen = spec.init or common or default_for(self._activations[i])
                assert isinstance(chosen, Initializer)
                self._core.fill(i, *chosen.draw(self._sizes[i], self._sizes[i + 1]), self._seed)

    @staticmethod
    def _dtype_of(dtype: npt.DTypeLike) -> np.dtype[Any]:
        try:
            result = np.dtype(dtype)
        except TypeError as error:
            raise TypeError(f"dtype: expected float32 or float64, got {dtype!r}") from error
        if dtype is None or result not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ValueError(f"dtype: expected float32 or float64, got {dtype!r}")
        result = np.dtype(result.name)  # without the order of bytes, which may be named though it is the native one
        return result

    def _check_fit(self) -> None:
        """Activations and loss must go together."""
        output = self._activations[-1]
        if "softmax" in self._activations[:-1]:
            raise ValueError("activation: softmax is for the last layer alone, got it in a hidden layer")
        own = _OWN.get(self._loss)
        if own and output not in ("identity", own):
            raise ValueError(
                f"output_activation: {self._loss} applies {own} to logits itself; expected identity or {own}, got {output!r}"
            )
        if own == "softmax" and self._sizes[-1] < 2:
            raise ValueError(f"{self._loss}: expected at least 2 outputs, got 1 (binary_cross_entropy takes one)")
        if self._loss == "hinge" and output not in ("identity", "tanh", "softsign"):
            raise ValueError(f"output_activation: hinge decides by sign; expected identity, tanh or softsign, got {output!r}")

    def _make_core(self) -> _core.NetworkF32 | _core.NetworkF64:
        return _CORE[self._dtype.name](
            list(self._sizes),
            list(self._activations),
            *name_and_parameter(self._loss_function),
            seed=self._seed,
            **self._regularisation,
        )

    @property
    def _picks_one(self) -> bool:
        return picks_one(self._loss, self._sizes[-1])

    # ---------------------------------------------------------------- what it is

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of inputs, then units of each layer."""
        return self._sizes

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self._sizes) - 1

    @property
    def activations(self) -> tuple[str, ...]:
        """Activation of each layer, the output's last."""
        return self._activations

    @property
    def loss_name(self) -> str:
        """Name of the loss."""
        return self._loss

    @property
    def loss_function(self) -> str | Loss:
        """The loss as it was given: a name, or an object of `retrograd.losses` with its parameter."""
        return self._loss_function

    @property
    def metric_name(self) -> str:
        """What is measured beside the loss: "accuracy" for labels (and 0/1), "mae" (mean absolute error) for numbers."""
        return "accuracy" if self._loss in _CLASSIFIERS else "mae"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of weights and arithmetic: float32 or float64."""
        return self._dtype

    @property
    def seed(self) -> int:
        """The seed, also where it was drawn."""
        return self._seed

    @property
    def layers(self) -> tuple[Dense, ...]:
        """Each layer as it is: units, activation and regularisation (without `init`)."""
        settings = self._regularisation
        return tuple(
            Dense(
                units,
                activation,
                dropout=settings["dropout"][i] or None,
                max_norm=settings["max_norm"][i] or None,
                norm=None if settings["norm"][i] == "none" else settings["norm"][i],
            )
            for i, (units, activation) in enumerate(zip(self._sizes[1:], self._activations, strict=True))
        )

    @property
    def input_dropout(self) -> float:
        """Probability that an input is dropped in training."""
        return float(self._regularisation["input_dropout"])

    @property
    def input_noise(self) -> float:
        """Standard deviation of what training adds to the inputs."""
        return float(self._regularisation["input_noise"])

    @property
    def steps(self) -> int:
        """Updates that the network has taken so far. With `seed` it fixes what dropout and noise draw next."""
        return self._core.steps()

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases, and of gamma and beta where a layer has them."""
        return sum(map(self._parameters_of, range(self.depth)))

    def _parameters_of(self, i: int) -> int:
        vectors = 1 if self._regularisation["norm"][i] == "none" else 3
        return (self._sizes[i] + vectors) * self._sizes[i + 1]

    def __repr__(self) -> str:
        inputs = "".join(f"{name}={getattr(self, name)}, " for name in ("input_dropout", "input_noise") if getattr(self, name))
        loss = f"loss={self._loss_function!r}"
        head = f"Network({list(self._sizes)}, {loss}, {inputs}dtype={self._dtype.name!r}, seed={self._seed})"
        lines = [head, f"  {'layer':<7}{'shape':<18}{'activation':<13}{'parameters':>14}"]
        for i, (fan_in, fan_out) in enumerate(zip(self._sizes, self._sizes[1:], strict=False)):
            shape = f"{fan_in} -> {fan_out}"
            line = f"  {i + 1:<7}{shape:<18}{self._activations[i]:<13}{self._parameters_of(i):>14,}"
            extras = {name: self._regularisation[name][i] for name in ("norm", "dropout", "max_norm")}
            shown = (f"{name}={value}" for name, value in extras.items() if value not in (0, "none"))
            lines.append("  ".join([line, *shown]))
        lines.append(f"  {'total':<38}{self.n_parameters:>14,}")
        return "\n".join(lines)

    # ---------------------------------------------------------------- weights

    @property
    def weights(self) -> tuple[Array, ...]:
        """Weights of each layer (fan_in, fan_out): copies, read-only. `set_weights` changes them."""
        return tuple(_read_only(self._core.weights(i)) for i in range(self.depth))

    @property
    def biases(self) -> tuple[Array, ...]:
        """Biases of each layer (fan_out,): copies, read-only."""
        return tuple(_read_only(self._core.biases(i)) for i in range(self.depth))

    def set_weights(self, weights: Sequence[npt.ArrayLike], biases: Sequence[npt.ArrayLike] | None = None) -> None:
        """Replaces all weights, and the biases too where they are given.

        Parameters
        ----------
        weights : sequence of arrays (fan_in, fan_out), one for each layer
        biases : sequence of arrays (fan_out,), optional

        Raises
        ------
        ValueError, TypeError
            Wrong number, shape or type of arrays, or values that are not finite. Nothing is changed then.
        """
        given = {"weights": weights, "biases": self.biases if biases is None else biases}
        ready: list[list[Array]] = []
        for name, arrays in given.items():
            if isinstance(arrays, str | bytes) or not hasattr(arrays, "__len__"):
                raise TypeError(f"{name}: expected a sequence of arrays, got {type(arrays).__name__}")
            if len(arrays) != self.depth:
                raise ValueError(f"{name}: expected {self.depth} arrays, one for each layer, got {len(arrays)}")
            ready.append([self._checked_parameter(name, i, array) for i, array in enumerate(arrays)])
        self._about_to_change()
        for i, (w, b) in enumerate(zip(*ready, strict=True)):
            self._core.set_layer(i, w, b)

    def _checked_parameter(self, name: str, i: int, value: npt.ArrayLike) -> Array:
        label = f"{name}[{i}]"
        array = as_array(value, label)
        expected = (self._sizes[i], self._sizes[i + 1]) if name == "weights" else (self._sizes[i + 1],)
        if array.shape != expected:
            raise ValueError(f"{label}: expected shape {expected}, got {array.shape}")
        result = converted(array, self._dtype)
        check_finite(self._core, result.reshape(expected[0], -1), label, array)
        return result

    def _norm(self, i: int) -> dict[str, Array]:
        """What layer i has beside weights and biases, by name."""
        names = ("gamma", "beta", "running_mean", "running_var")
        arrays: Sequence[Array] = self._core.norm(i)
        return {name: _read_only(array) for name, array in zip(names, arrays, strict=False)}

    @property
    def gamma(self) -> tuple[Array | None, ...]:
        """Factors of the normalised sums of each layer (fan_out,), None where it has none: copies, read-only."""
        return tuple(self._norm(i).get("gamma") for i in range(self.depth))

    @property
    def beta(self) -> tuple[Array | None, ...]:
        """What is added to them (fan_out,), None where there is nothing: copies, read-only."""
        return tuple(self._norm(i).get("beta") for i in range(self.depth))

    @property
    def running_mean(self) -> tuple[Array | None, ...]:
        """Running means of the sums of each layer with batch normalisation (fan_out,), else None: copies, read-only."""
        return tuple(self._norm(i).get("running_mean") for i in range(self.depth))

    @property
    def running_var(self) -> tuple[Array | None, ...]:
        """Running variances, as `running_mean`."""
        return tuple(self._norm(i).get("running_var") for i in range(self.depth))

    def set_norm(
        self,
        layer: int,
        *,
        gamma: npt.ArrayLike | None = None,
        beta: npt.ArrayLike | None = None,
        running_mean: npt.ArrayLike | None = None,
        running_var: npt.ArrayLike | None = None,
    ) -> None:
        """Replaces what is given of a layer that normalises.

        Parameters
        ----------
        layer : int
            Counted from 0, as in `weights`.
        gamma, beta, running_mean, running_var : array (fan_out,), optional
            `running_mean` and `running_var` (not negative) with batch normalisation alone.

        Raises
        ------
        ValueError, TypeError
            The layer has no such numbers, or shape, type or values do not fit. Nothing is changed then.
        """
        layer = as_int(layer, "layer", 0)
        if layer >= self.depth:
            raise ValueError(f"layer: expected less than {self.depth}, got {layer}")
        now = self._norm(layer)
        given = {"gamma": gamma, "beta": beta, "running_mean": running_mean, "running_var": running_var}
        for name, value in given.items():
            if value is None:
                continue
            if name not in now:
                raise ValueError(f"{name}: layer {layer} has none (norm={self.layers[layer].norm!r})")
            array = as_array(value, name)
            if array.shape != (self._sizes[layer + 1],):
                raise ValueError(f"{name}: expected shape {(self._sizes[layer + 1],)}, got {array.shape}")
            now[name] = converted(array, self._dtype)
            check_finite(self._core, now[name].reshape(1, -1), name, array)
            if name == "running_var" and (now[name] < 0).any():
                raise ValueError(f"running_var: expected no negative numbers, got {now[name].min()}")
        self._about_to_change()
        self._core.set_norm(layer, list(now.values()))

    def folded(self) -> "Network":
        """A network for inference that gives the same outputs with batch normalisation folded into weights and biases.

        With r = gamma / sqrt(running_var + 1e-5) of a layer, its w becomes w r and its b becomes (b - running_mean) r + beta,
        in float64 and rounded once (so the outputs differ by rounding). Layer normalisation depends on each row and stays.

        Returns
        -------
        Network
            A new one; this one is as it was.
        """
        layers = [dataclasses.replace(layer, norm=None if layer.norm == "batch" else layer.norm) for layer in self.layers]
        weights, biases = ([np.array(array, np.float64) for array in arrays] for arrays in (self.weights, self.biases))
        for i in range(self.depth):
            now = {name: array.astype(np.float64) for name, array in self._norm(i).items()}
            if "running_var" in now:
                scale = now["gamma"] / np.sqrt(now["running_var"] + 1e-5)
                weights[i] *= scale
                biases[i] = (biases[i] - now["running_mean"]) * scale + now["beta"]
        result = Network(
            [self._sizes[0], *layers],
            loss=self._loss_function,
            init=(weights, biases),
            input_dropout=self.input_dropout,
            input_noise=self.input_noise,
            seed=self._seed,
            dtype=self._dtype,
        )
        for i, layer in enumerate(layers):
            if layer.norm is not None:
                result.set_norm(i, gamma=self.gamma[i], beta=self.beta[i])
        return result

    def copy_from(self, other: "Network") -> None:
        """Takes over the weights and biases of a network with the same layer sizes and dtype (a target network, say)."""
        if not isinstance(other, Network):
            raise TypeError(f"copy_from: expected a Network, got {type(other).__name__}")
        if other.sizes != self.sizes or other.dtype != self.dtype:
            raise ValueError(
                f"copy_from: expected sizes {self.sizes} and dtype {self.dtype}, got {other.sizes} and {other.dtype}"
            )
        norms, others = ([layer.norm for layer in net.layers] for net in (self, other))
        if norms != others:
            raise ValueError(f"copy_from: expected norms {norms}, got {others}")
        self._about_to_change()
        self._core.copy_from(other._core)  # type: ignore[arg-type]  # the dtypes are equal

    def __getstate__(self) -> dict[str, Any]:
        """Layers, loss, seed and weights; a forward or backward pass by hand is not kept."""
        return {
            "sizes": self._sizes,
            "activations": self._activations,
            "loss": self._loss_function,
            "dtype": self._dtype.name,
            "seed": self._seed,
            "regularisation": self._regularisation,
            "steps": self.steps,
            "norms": [self._core.norm(i) for i in range(self.depth)],
            "weights": self.weights,
            "biases": self.biases,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._sizes = state["sizes"]
        self._activations = state["activations"]
        self._loss_function = state["loss"]
        self._loss = name_and_parameter(self._loss_function)[0]
        self._dtype = np.dtype(state["dtype"])
        self._seed = state["seed"]
        self._regularisation = state["regularisation"]
        self._gradients = None
        self._forced_team = 0
        self._core = self._make_core()
        self._core.set_steps(state["steps"])
        for i, (w, b) in enumerate(zip(state["weights"], state["biases"], strict=True)):
            self._core.set_layer(i, w, b)
        for i, arrays in enumerate(state["norms"]):
            self._core.set_norm(i, arrays)

    def __copy__(self) -> Self:
        """A network of its own with the same weights."""
        twin = type(self).__new__(type(self))
        twin.__setstate__(self.__getstate__())
        return twin

    def _as_dtype(self, dtype: str) -> "Network":
        """The same network, settings and all, in the other arithmetic."""
        twin = Network.__new__(Network)
        state = Network.__getstate__(self) | {"dtype": dtype}
        for name in ("weights", "biases"):
            state[name] = [array.astype(dtype) for array in state[name]]
        state["norms"] = [[array.astype(dtype) for array in arrays] for arrays in state["norms"]]
        twin.__setstate__(state)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    # ---------------------------------------------------------------- the stages by hand

    def _rows(self, X: npt.ArrayLike) -> Array:
        if self._core.takes(X, self._sizes[0]):
            return X
        rows = as_rows(X, self._sizes[0], self._dtype)
        check_finite(self._core, rows, given=X)
        return rows

    def _targets(self, y: npt.ArrayLike, rows: int) -> Array:
        if self._picks_one:
            labels = _core.labels(y, rows, self._sizes[-1])
            if labels is not None:
                return labels
        return as_targets(y, self._loss, self._sizes[-1], rows, self._dtype, self._core)

    def _about_to_change(self, weights_only: bool = True) -> None:
        """Lets gradients that somebody still holds read what the next call overwrites."""
        gradients = None if self._gradients is None else self._gradients()
        if gradients is not None:
            gradients._keep(weights_only)

    def forward(self, X: npt.ArrayLike, training: bool = False, *, n_threads: int | None = None) -> Array:
        """Stage 1: z = x w + b and a = f(z), layer by layer; keeps them for `z`, `a` and `backward`.

        Parameters
        ----------
        X : array (rows, inputs)
            The batch.
        training : bool, default False
            Whether what acts only in training is at work: dropout and noise, and the means of the
            batch in batch normalisation, which the running ones take in. What dropout and noise draw is fixed by `seed` and by
            the number of updates so far (`steps`): a second pass before the next update has the same masks, and so has
            `Trainer.step`. `a` shows each layer's outputs before any of them is dropped.
        n_threads : int, optional
            At most so many threads.

        Returns
        -------
        array (rows, outputs)
            The last layer after `output_activation`.
        """
        rows = self._rows(X)
        if len(rows) == 0:
            raise ValueError(f"X: expected at least one row, got shape {rows.shape}")
        self._about_to_change(weights_only=False)
        self._core.forward(rows, as_threads(n_threads), self._forced_team, training)
        return self._core.output()

    def backward(
        self,
        y: npt.ArrayLike | None = None,
        *,
        dz: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> Gradients:
        """Stage 2: delta, dw and db of every layer by the chain rule, from output to input.

        Each layer's delta is computed once and used for its dw, its db and the layer below.

        Parameters
        ----------
        y : array, optional
            The targets of the batch of `forward`: the network's loss gives the first delta.
        dz : array (rows, outputs), optional
            Or the gradient of a loss of your own with respect to z of the last layer (before `output_activation`).
        sample_weight : array (rows,), optional
            The weight of each row, finite and at least 0, with y: the loss is sum w l / sum w, l that of a row.
        n_threads : int, optional
            At most so many threads.

        Returns
        -------
        Gradients

        Raises
        ------
        RuntimeError
            No forward pass yet, or the weights have changed since.
        """
        if (y is None) == (dz is None):
            raise TypeError("backward: expected either y or dz, got " + ("neither" if y is None else "both"))
        if dz is not None and sample_weight is not None:
            raise TypeError("backward: expected sample_weight with y, got it with dz, which can hold it")
        rows = self._core.batch_rows()
        self._about_to_change(weights_only=False)
        loss = None
        if y is not None:
            targets, weights = self._targets(y, rows), as_weights(sample_weight, rows, self._dtype)
            loss = self._core.backward(targets, as_threads(n_threads), self._forced_team, weights)
        else:
            seed = as_array(dz, "dz")  # type: ignore[arg-type]  # not None
            if seed.ndim == 1 and self._sizes[-1] == 1:
                seed = seed.reshape(-1, 1)
            if seed.shape != (rows, self._sizes[-1]):
                raise ValueError(f"dz: expected shape {(rows, self._sizes[-1])}, got {seed.shape}")
            rows_of_dz = as_rows(seed, self._sizes[-1], self._dtype, "dz")
            check_finite(self._core, rows_of_dz, "dz", seed)
            self._core.backward_dz(rows_of_dz, as_threads(n_threads), self._forced_team)
        gradients = Gradients(self, loss)
        self._gradients = weakref.ref(gradients)
        return gradients

    @property
    def z(self) -> tuple[Array, ...]:
        """Sums of each layer, z = x w + b (rows, fan_out), of the last `forward`: copies."""
        return tuple(self._core.z(i) for i in range(self.depth))

    @property
    def a(self) -> tuple[Array, ...]:
        """The inputs, then a = f(z) of each layer (rows, units), of the last `forward`: copies."""
        return (*(self._core.a(i) for i in range(self.depth)), self._core.output())

    # ---------------------------------------------------------------- use

    def _answer(self, X: npt.ArrayLike, answer: int, n_threads: int | None) -> Array:
        threads = as_threads(n_threads)
        if self._forced_team == 0:
            quick = self._core.predict_quick(X, answer)  # a few plain rows; None for the rest
            if quick is not None:
                return quick
        return self._core.predict(self._rows(X), answer, threads, self._forced_team)

    def predict(self, X: npt.ArrayLike, *, n_threads: int | None = None) -> Array:
        """What the network says of each row.

        Parameters
        ----------
        X : array (rows, inputs)
        n_threads : int, optional
            At most so many threads.

        Returns
        -------
        array
            cross_entropy, focal, hinge with several outputs: the most probable label (rows,), int64. binary_cross_entropy,
            hinge with one output: 0 or 1 (also where the targets are -1 and 1), int64, (rows, outputs). poisson: the expected
            counts exp(z). Else the outputs (rows, outputs). (rows,) where there is one output.
        """
        answer = _DECISIONS if self._loss in _CLASSIFIERS else _APPLIED if self._loss == "poisson" else _OUTPUTS
        return self._answer(X, answer, n_threads)

    def predict_proba(self, X: npt.ArrayLike, *, n_threads: int | None = None) -> Array:
        """Probabilities: of each label (rows, outputs) with cross_entropy and focal, of a 1 with binary_cross_entropy.

        With any other loss, the outputs of a last layer whose activation is softmax or sigmoid. (rows,) where there is one
        output.

        Raises
        ------
        ValueError
            The outputs are no probabilities.
        """
        if self._loss not in _PROBABILISTIC and self._activations[-1] not in ("softmax", "sigmoid"):
            raise ValueError(
                f"predict_proba: expected a loss or output_activation that gives probabilities, got {self._loss!r} and "
                f"{self._activations[-1]!r}"
            )
        return self._answer(X, _APPLIED, n_threads)

    def loss(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> float:
        """Mean loss over the rows of X with answers y; with `sample_weight` (rows,) sum w l / sum w."""
        return self._evaluate(X, y, n_threads, sample_weight)[0]

    def _evaluate(
        self, X: npt.ArrayLike, y: npt.ArrayLike, n_threads: int | None, sample_weight: npt.ArrayLike | None = None
    ) -> tuple[float, float]:
        """Loss and metric, both as means."""
        rows = self._rows(X)
        if len(rows) == 0:
            raise ValueError(f"X: expected at least one row, got shape {rows.shape}")
        targets, weights = self._targets(y, len(rows)), as_weights(sample_weight, len(rows), self._dtype)
        return self._scored(rows, targets, weights, n_threads)

    def _scored(self, rows: Array, targets: Array, weights: Array | None, n_threads: int | None) -> tuple[float, float]:
        """Of arrays that were checked before."""
        loss, metric = self._core.evaluate(rows, targets, as_threads(n_threads), self._forced_team, weights)
        return loss, self._metric(metric)

    def _metric(self, per_row: float) -> float:
        """The metric as a mean, from the core's mean over rows of sums over outputs."""
        return per_row if self._picks_one else per_row / self._sizes[-1]


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array
