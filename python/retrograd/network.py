"""The network: weights, the forward and backward pass by hand, prediction. It is a thin layer over the compiled core.

Its description is in _spec.py, training over epochs in training/, the update in optimizers.py.

Besides the public names, other rooms of the package may use these and nothing else:

- `_spec`: the description; `_core`: the core's network, for the core's optimiser and trainer, `evaluate` and the like
- `_rows`, `_targets`, `_examples`: check what a user gave and return it as the core takes it
- `_outputs`: the outputs of the last layer; `_scored`: loss and metric of examples; `_metric`: the metric as a mean
- `_about_to_change()`: must be called before weights, or the pass by hand, are overwritten
- `_state`, `_load_state`: steps and all arrays; `_as_dtype`: a copy in the other dtype
- `_set_prior`: the output bias from the training data, where it waits for them
"""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import _core
from ._careful import Careful, says_where, set_own
from ._checks import as_bool, as_float, as_int, as_threads, check_state
from ._data.answers import warn_not_finite
from ._data.arrays import Array, as_array, as_rows, check_finite, converted, read_only
from ._data.examples import Examples, as_examples, checked_rows
from ._data.prior import check_prior, prior_bias
from ._data.targets import as_targets
from ._data.weights import as_weights, weigh_by_batch
from ._pickles import opened, stamped
from ._spec import LayerArray, NetworkSpec, described
from .gradients import Arrays, Gradients
from .initializers import Initializer, bias_bound, default_bias_for, default_for
from .layers import BiasInit, Dense, Init, as_initializer
from .losses import Loss

__all__ = ["Dense", "Gradients", "Network"]

_CORE: dict[np.dtype[Any], type[_core.NetworkF32] | type[_core.NetworkF64]] = {
    np.dtype(np.float32): _core.NetworkF32,
    np.dtype(np.float64): _core.NetworkF64,
}

# What the core's predict answers: the outputs, the outputs after what the loss applies, or a decision.
_OUTPUTS, _APPLIED, _DECISIONS = range(3)
_ANSWERS = {"nothing": _OUTPUTS, "rates": _APPLIED, "sign": _DECISIONS, "label": _DECISIONS}

_KEPT_ELSEWHERE = ("_spec", "_core", "_predicts", "_gradients")  # what copies and pickles make anew

_NORM_ARRAYS = ("gamma", "beta", "running_mean", "running_var")  # in the core's order

Weights = tuple[Sequence[ArrayLike], Sequence[ArrayLike]]  # the weights of all layers, and their biases


@says_where("__call__", "backward", "loss")
class Network(Careful):
    """A dense feed-forward network.

    Parameters
    ----------
    layers : sequence
        Number of inputs, then for each layer its number of units or a `Dense`.
    activation : str, default "relu"
        The activation of the hidden layers; formulas: `help(retrograd.activations)`.
    output_activation : str, default "identity"
        The activation of the last layer. With "cross_entropy" and "focal" (then "identity" or "softmax"),
        "binary_cross_entropy" ("identity" or "sigmoid") and "poisson" ("identity" or "exponential") the layer gives
        logits or log rates, and the loss applies softmax, sigmoid or exp itself, once.
    loss : str or retrograd.losses.Loss, default "mse"
        The loss that training minimises: "mse", "quadratic", "mae" and others for numbers, "cross_entropy" and others
        for classes. Each is a class of `retrograd.losses` with its formula and gradient, and the name is short for it:
        `help(retrograd.losses)`. For a loss of your own, use `backward(dz=...)`.
    init : str, Initializer, or pair (weights, biases), optional
        How the weights start (see `Initializer`). Default: "torch" for the last layer; "he_normal" for hidden layers, but
        "lecun_normal" for identity, selu and exponential. A pair of sequences of arrays gives weights and biases directly.
    bias_init : {"zeros", "uniform", "prior"} or sequence of arrays, optional
        How the biases start (a `Dense` may have its own). Default: "uniform", in +-1 / sqrt(fan_in); "zeros" where the
        weights are zeros. "prior": those of the last layer are set from the data at the first `Trainer.fit` or
        `fit_lbfgs`, if the network has not taken a step and nobody has set its biases by then, so that the constant
        answer is the best one, with the weights of the rows: log odds with "binary_cross_entropy", log shares of the
        classes with "cross_entropy" and "focal", log mean with "poisson", mean with "mse" and "quadratic", median with
        "mae", quantile with "quantile", the mean of the signs or the shares of the classes with "hinge", else the constant
        of least loss; through the inverse of `output_activation`. Until then they are zeros, and `Trainer.step` leaves
        them so. The other layers have the default. Arrays: one for each layer, or None for what the default says.
    dropout : float, default 0.0
        The dropout of hidden layers that do not set their own (see `Dense`).
    input_dropout : float, default 0.0
        The probability with which training drops an input.
    input_noise : float, default 0.0
        The standard deviation of normal noise that training adds to the inputs, before any of them is dropped.
    seed : int or None, default 0
        Fixes the weights, the order of rows in training and what dropout and noise draw. None draws a fresh seed, which
        the attribute `seed` then shows. Networks with the same seed start alike: for several that differ write
        ``[Network(..., seed=i) for i in range(50)]``.
    dtype : "float32" or "float64"
        The type of weights and arithmetic.

    Raises
    ------
    ValueError, TypeError
        Sizes, names or arrays that do not fit.

    Notes
    -----
    Case and underscores of names do not matter, and the names of PyTorch, Keras and scikit-learn are taken where value
    and gradient are the same ("CrossEntropyLoss", "swish", "kaiming_uniform"); attributes show the one true name.
    """

    _made_with: ClassVar[str] = "_core"

    def __init__(
        self,
        layers: Sequence[int | Dense],
        *,
        activation: str = "relu",
        output_activation: str = "identity",
        loss: str | Loss = "mse",
        init: Init | Weights = None,
        bias_init: BiasInit | Sequence[BiasInit] = None,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        seed: int | None = 0,
        dtype: DTypeLike = "float32",
    ) -> None:
        spec, inits, bias_inits = described(
            layers,
            activation=activation,
            output_activation=output_activation,
            loss=loss,
            bias_init=bias_init,
            dropout=dropout,
            input_dropout=input_dropout,
            input_noise=input_noise,
            seed=seed,
            dtype=dtype,
        )
        if spec.prior:
            check_prior(spec)
        self._make(spec)
        if isinstance(init, tuple):
            if len(init) != 2 or all(isinstance(one, np.ndarray) and one.ndim == 2 for one in init):
                what = "arrays" if all(isinstance(one, np.ndarray) for one in init) else "things"
                hint = "; of another network it is init=(net.weights, net.biases)" if what == "arrays" else ""
                raise ValueError(f"init: expected a pair (weights, biases), got {len(init)} {what}{hint}")
            if any(one is not None for one in bias_inits):
                raise ValueError("bias_init: expected None where init is a pair, which has the biases")
            self.set_weights(*init)
        else:
            common = None if init is None else as_initializer(init)
            for i, init_of_layer in enumerate(inits):
                chosen = init_of_layer or common or default_for(spec.activations[i], i == spec.depth - 1)
                assert isinstance(chosen, Initializer)
                self._core.fill(i, *chosen.draw(spec.sizes[i], spec.sizes[i + 1], spec.activations[i]), spec.seed)
                if spec.layers[i].bias:
                    self._start_biases(i, bias_inits[i] or default_bias_for(chosen))

    def _make(self, spec: NetworkSpec) -> None:
        """Set up everything but the weights."""
        self._spec = spec
        self._core = _CORE[spec.dtype](
            list(spec.sizes),
            list(spec.activations),
            spec.loss_name,
            loss_parameter=spec.loss_parameter,
            seed=spec.seed,
            input_dropout=spec.input_dropout,
            input_noise=spec.input_noise,
            dropout=[layer.dropout or 0.0 for layer in spec.layers],
            max_norm=[layer.max_norm or 0.0 for layer in spec.layers],
            norm=[layer.norm or "none" for layer in spec.layers],
            bias=[layer.bias for layer in spec.layers],
        )
        self._predicts = _ANSWERS[spec.decides]
        self._gradients: weakref.ref[Gradients] | None = None

    def _start_biases(self, layer: int, rule: str | tuple[float, ...]) -> None:
        if rule == "uniform":
            self._core.fill_biases(layer, bias_bound(self.sizes[layer]), self._spec.seed)
        elif not isinstance(rule, str):
            place = next(array for array in self._spec.arrays[layer] if array.name == "b")
            self._put(layer, {"b": self._checked(f"bias_init of layer {layer}", place, rule)})

    def _set_prior(self, data: Examples) -> None:
        """Set the output bias from the training data, if it waits for them and nothing has been learned yet."""
        if self._spec.prior and self.steps == 0:
            bias = prior_bias(data, self._spec)
            self._about_to_change()
            self._put(self.depth - 1, {"b": bias})
        self._forget_prior()

    def _forget_prior(self) -> None:
        if self._spec.prior:
            self._spec = dataclasses.replace(self._spec, prior=False)

    # ---------------------------------------------------------------- its description

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of inputs, then units of each layer."""
        return self._spec.sizes

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self._spec.depth

    @property
    def activations(self) -> tuple[str, ...]:
        """Activation of each layer, the output's last."""
        return self._spec.activations

    @property
    def loss_name(self) -> str:
        """Name of the loss."""
        return self._spec.loss_name

    @property
    def loss_function(self) -> str | Loss:
        """The loss as it was given: a name, or an object of `retrograd.losses` with its parameter."""
        return self._spec.loss

    @property
    def metric_name(self) -> str:
        """What is measured besides the loss: "accuracy" for labels (and 0/1), "mae" (mean absolute error) for numbers."""
        return self._spec.metric_name

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of weights and arithmetic: float32 or float64."""
        return self._spec.dtype

    @property
    def seed(self) -> int:
        """The seed, also where it was drawn."""
        return self._spec.seed

    @property
    def layers(self) -> tuple[Dense, ...]:
        """Each layer as it is: units, activation and regularisation (without `init`)."""
        return self._spec.layers

    @property
    def input_dropout(self) -> float:
        """Probability that an input is dropped in training."""
        return self._spec.input_dropout

    @property
    def input_noise(self) -> float:
        """The standard deviation of the noise that training adds to the inputs."""
        return self._spec.input_noise

    @property
    def steps(self) -> int:
        """The number of updates so far. Together with `seed` it fixes what dropout and noise draw next."""
        return self._core.steps()

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases, and of gamma and beta where a layer has them."""
        return sum(map(self._spec.n_parameters, range(self.depth)))

    def __repr__(self) -> str:
        return repr(self._spec)

    # ---------------------------------------------------------------- weights

    def _array(self, name: str, layer: int) -> Array | None:
        """A read-only copy of one array of a layer; None where the layer has none of that name."""
        if (name, layer) not in self._spec.places:
            return None
        return self._core.get(name, layer)

    def _of_all(self, name: str) -> tuple[Any, ...]:
        core, places = self._core, self._spec.places
        return tuple([core.get(name, layer) if (name, layer) in places else None for layer in range(self.depth)])

    def _put(self, layer: int, arrays: Mapping[str, Any]) -> None:
        """Replace arrays of a layer that have been checked."""
        for name, array in arrays.items():
            self._core.set(name, layer, array)

    def _gradient(self, name: str) -> Any:
        """The gradients of all layers for "delta" or the name of an array; for "dx" the one gradient of the inputs."""
        core = self._core
        if name == "dx":
            return core.dx()
        if name == "delta":
            return tuple(core.delta(layer) for layer in range(self.depth))
        places = self._spec.places
        return tuple(core.gradient(name, layer) if (name, layer) in places else None for layer in range(self.depth))

    @property
    def weights(self) -> Arrays:
        """Weights of each layer (fan_in, fan_out): copies, read-only. `set_weights` changes them."""
        return self._of_all("w")

    @property
    def biases(self) -> tuple[Any, ...]:
        """Biases of each layer (fan_out,), None where it has none: copies, read-only."""
        return self._of_all("b")

    @property
    def gamma(self) -> tuple[Array | None, ...]:
        """Factors of the normalised sums of each layer (fan_out,), None where it has none: copies, read-only."""
        return self._of_all("gamma")

    @property
    def beta(self) -> tuple[Array | None, ...]:
        """What is added to the scaled sums (fan_out,), None where there is nothing: copies, read-only."""
        return self._of_all("beta")

    @property
    def running_mean(self) -> tuple[Array | None, ...]:
        """Running means of the sums of each layer with batch normalisation (fan_out,), else None: copies, read-only."""
        return self._of_all("running_mean")

    @property
    def running_var(self) -> tuple[Array | None, ...]:
        """Running variances, as `running_mean`."""
        return self._of_all("running_var")

    def set_weights(self, weights: Sequence[ArrayLike], biases: Sequence[ArrayLike | None] | None = None) -> None:
        """Replace all weights, and the biases too where they are given.

        Parameters
        ----------
        weights : sequence of arrays (fan_in, fan_out), one for each layer
        biases : sequence of arrays (fan_out,), optional
            None in the place of a layer without biases. Biases that wait for the data of the first fit
            (`bias_init="prior"`) wait no longer.

        Raises
        ------
        ValueError, TypeError
            Wrong number, shape or type of arrays, or values that are not finite. Nothing is changed then.
        """
        if self._put_quickly(weights, biases):
            return
        given = {"weights": weights, "biases": self.biases if biases is None else biases}
        ready: list[dict[str, Array]] = [{} for _ in range(self.depth)]
        for (name, arrays), kind in zip(given.items(), ("w", "b"), strict=True):
            if isinstance(arrays, str | bytes) or not hasattr(arrays, "__len__"):
                raise TypeError(f"{name}: expected a sequence of arrays, got {type(arrays).__name__}")
            if len(arrays) != self.depth:
                raise ValueError(f"{name}: expected {self.depth} arrays, one for each layer, got {len(arrays)}")
            for i, array in enumerate(arrays):
                place = next((p for p in self._spec.arrays[i] if p.name == kind), None)
                if place is not None:
                    ready[i][kind] = self._checked(f"{name}[{i}]", place, array)
                elif array is not None:
                    raise ValueError(f"{name}[{i}]: expected None, because the layer has no biases (bias=False)")
        self._about_to_change()
        for i, arrays_of_layer in enumerate(ready):
            self._put(i, arrays_of_layer)
        if biases is not None:
            self._forget_prior()

    def _put_quickly(self, weights: Any, biases: Any) -> bool:
        """Replace weights and biases if they come in plain arrays that fit; whether they did."""
        spec, depth = self._spec, self.depth
        if type(weights) not in (list, tuple) or len(weights) != depth:
            return False
        places, arrays = spec.weight_places, [*weights]
        if biases is not None:
            if type(biases) not in (list, tuple) or not len(biases) == len(spec.bias_places) == depth:
                return False
            places, arrays = [*places, *spec.bias_places], [*arrays, *biases]
        self._about_to_change()
        done = self._core.put_quick(places, arrays)
        if done and biases is not None:
            self._forget_prior()
        return done

    def set_norm(
        self,
        layer: int,
        *,
        gamma: ArrayLike | None = None,
        beta: ArrayLike | None = None,
        running_mean: ArrayLike | None = None,
        running_var: ArrayLike | None = None,
    ) -> None:
        """Replace the given arrays of a layer that normalises.

        Parameters
        ----------
        layer : int
            Counted from 0, as in `weights`.
        gamma, beta, running_mean, running_var : array (fan_out,), optional
            `running_mean` and `running_var` (not negative) only with batch normalisation.

        Raises
        ------
        ValueError, TypeError
            The layer has no such arrays, or shape, type or values do not fit. Nothing is changed then.
        """
        layer = as_int(layer, "layer", 0)
        if layer >= self.depth:
            raise ValueError(f"layer: expected less than {self.depth}, got {layer}")
        places = {place.name: place for place in self._spec.arrays[layer] if place.name in _NORM_ARRAYS}
        now = {name: self._array(name, layer) for name in places}
        given = {"gamma": gamma, "beta": beta, "running_mean": running_mean, "running_var": running_var}
        for name, value in given.items():
            if value is None:
                continue
            if name not in places:
                raise ValueError(f"{name}: layer {layer} has none (norm={self.layers[layer].norm!r})")
            now[name] = self._checked(name, places[name], value)
        self._about_to_change()
        self._put(layer, now)

    def _checked(self, label: str, place: LayerArray, value: ArrayLike) -> Array:
        """The value as an array of the network's dtype that fits the place; errors name it by the label."""
        array = as_array(value, label)
        if array.shape != place.shape:
            raise ValueError(f"{label}: expected shape {place.shape}, got {array.shape}")
        result = converted(array, self.dtype)
        check_finite(self._core, result if result.ndim > 1 else result.reshape(-1, 1), label, array)
        if place.name == "running_var" and (result < 0).any():
            raise ValueError(f"{label}: expected no negative numbers, got {result.min()}")
        return result

    def folded(self) -> Network:
        """Make a network for inference with the same outputs, whose weights and biases contain the batch normalisation.

        With r = gamma / sqrt(running_var + 1e-5) of a layer, its w becomes w r and its b (0 where it has none) becomes
        (b - running_mean) r + beta, in float64 and rounded once (so the outputs differ by rounding). Layer normalisation
        stays, because it depends on each row.

        Returns
        -------
        Network
            A new network; this one stays as it is.
        """
        weights = [np.array(array, np.float64) for array in self.weights]
        biases = [None if array is None else np.array(array, np.float64) for array in self.biases]
        result = Network.__new__(Network)
        result._make(self._spec.folded())
        for i, layer in enumerate(self.layers):
            if layer.norm is None:
                continue
            gamma, beta, *running = (
                np.array(self._array(place.name, i), np.float64) for place in self._spec.arrays[i] if place.name in _NORM_ARRAYS
            )
            if running:
                scale = gamma / np.sqrt(running[1] + _core.NORM_EPS)
                weights[i] *= scale
                b = biases[i]
                biases[i] = ((0.0 if b is None else b) - running[0]) * scale + beta
            else:
                result.set_norm(i, gamma=gamma, beta=beta)
        result.set_weights(weights, biases)
        result._spec = dataclasses.replace(result._spec, prior=self._spec.prior)
        return result

    def copy_from(self, other: Network, tau: float = 1.0) -> None:
        """Take over the arrays of a network with the same layer sizes and dtype, or move towards them.

        Weights, biases, gamma, beta and running statistics each become self + tau (other - self).

        Parameters
        ----------
        other : Network
        tau : float, default 1.0
            From 0 to 1: the share of `other`; 1 is a copy. A target network follows with 0.005, say.

        Raises
        ------
        ValueError, TypeError
            Layers or dtypes that differ, a tau outside of its range. Nothing is changed then.
        """
        as_network(other, "copy_from")
        tau = as_float(tau, "tau", 0.0)
        if tau > 1:
            raise ValueError(f"tau: expected a share from 0 to 1, got {tau:g}")
        self._spec.check_same_arrays(other._spec)
        self._about_to_change()
        self._core.copy_from(other._core, tau)  # type: ignore[arg-type]  # the dtypes are equal
        if not other._spec.prior:
            self._forget_prior()

    # ---------------------------------------------------------------- copies

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything that is learned, for `load_state_dict` of a network with the same layers.

        Returns
        -------
        dict
            "steps", and "arrays": for each layer a dict of its arrays by name ("w", "b", and "gamma", "beta",
            "running_mean", "running_var" where it has them). There are no settings in it; pickle keeps these too.
        """
        return self._state()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave, all of it or nothing.

        Parameters
        ----------
        state : dict
            Its arrays are converted where they have the other dtype.

        Raises
        ------
        ValueError, TypeError
            Names, shapes or values that do not fit. Nothing is changed then.
        """
        self._load_state(state)

    def _state(self) -> dict[str, Any]:
        """The steps, and the arrays of each layer by name."""
        get = self._core.get
        arrays = [{place.name: get(place.name, place.layer) for place in layer} for layer in self._spec.arrays]
        return {"steps": self.steps, "arrays": arrays}

    def _load_state(self, state: Mapping[str, Any]) -> None:
        """Take what `_state` gave, all of it or nothing."""
        check_state(state, ("steps", "arrays"), "network")
        steps, given = as_int(state["steps"], "steps", 0), state["arrays"]
        if len(given) != self.depth:
            raise ValueError(f"arrays: expected those of {self.depth} layers, got {len(given)}")
        for layer, arrays in zip(self._spec.arrays, given, strict=True):
            check_state(arrays, [place.name for place in layer], f"arrays of layer {layer[0].layer}")
        self._about_to_change()
        plain = [given[layer][name] for name, layer in self._spec.places]
        if not self._core.put_quick([*self._spec.places.values()], plain):
            ready = [
                {p.name: self._checked(f"{p.name}[{p.layer}]", p, arrays[p.name]) for p in layer}
                for layer, arrays in zip(self._spec.arrays, given, strict=True)
            ]
            for i, arrays in enumerate(ready):
                self._put(i, arrays)
        self._core.set_steps(steps)

    def __getstate__(self) -> dict[str, Any]:
        """Description, steps and weights, and what a class of the user's own holds; no pass by hand is kept."""
        own = {name: value for name, value in self.__dict__.items() if name not in _KEPT_ELSEWHERE}
        return stamped({"description": stamped(self._spec.to_dict()), **self._state(), "own": own})

    def __setstate__(self, state: Any) -> None:
        found = opened(state, "Network", ("description", "steps", "arrays", "own"))
        self._fill(NetworkSpec.from_dict(found["description"]), found, found["own"])

    def _fill(self, spec: NetworkSpec, state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        """Set up everything from another network of this kind."""
        self._make(spec)
        for i, arrays in enumerate(state["arrays"]):  # not checked: a network may have diverged
            self._put(i, {name: array.astype(self.dtype, copy=False) for name, array in arrays.items()})
        self._core.set_steps(state["steps"])
        self.__dict__.update(own)

    def __copy__(self) -> Self:
        """A separate network with the same weights."""
        twin = type(self).__new__(type(self))
        twin._fill(self._spec, self._state(), {k: v for k, v in self.__dict__.items() if k not in _KEPT_ELSEWHERE})
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def _as_dtype(self, dtype: str) -> Network:
        """The same network, with its settings, in the other dtype."""
        twin = Network.__new__(Network)
        twin._fill(self._spec.with_dtype(dtype), self._state(), {})
        return twin

    # ---------------------------------------------------------------- the stages by hand

    def _rows(self, X: ArrayLike, least: int = 0) -> Array:
        return checked_rows(X, self._spec, self._core, least)

    def _targets(self, y: ArrayLike, rows: int) -> Array:
        return as_targets(y, rows, self._spec, self._core)

    def _examples(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, zeros: bool = False) -> Examples:
        return as_examples(X, y, sample_weight, self._spec, self._core, zeros=zeros)

    def _about_to_change(self, weights_only: bool = True) -> None:
        """Let gradients that somebody still holds read what the next call overwrites."""
        gradients = None if self._gradients is None else self._gradients()
        if gradients is not None:
            gradients._keep(weights_only)

    def forward(self, X: ArrayLike, training: bool = False, *, n_threads: int | None = None) -> Array:
        """Stage 1: z = x w + b and a = f(z), layer by layer; keeps them for `z`, `a` and `backward`.

        Parameters
        ----------
        X : array (rows, inputs)
            The batch.
        training : bool, default False
            Whether to do what only training does: dropout, noise, and batch normalisation by the means of the batch,
            which the running means take in. `seed` and the number of updates so far (`steps`) fix what dropout and
            noise draw, so a second pass before the next update has the same masks, and so has `Trainer.step`. `a` shows
            each layer's outputs before dropout.
        n_threads : int, optional
            At most so many threads.

        Returns
        -------
        array (rows, outputs)
            The outputs of the last layer, after `output_activation`.
        """
        if training is not True and training is not False:
            training = _as_training(training)
        threads = as_threads(n_threads)
        self._about_to_change(weights_only=False)
        quick = self._core.forward_quick(X, training)  # for little work on plain rows; None for anything else
        if quick is not None:
            return quick
        self._core.forward(self._rows(X, least=1), threads, training)
        return self._core.output()

    def __call__(self, X: ArrayLike, training: bool = False, *, n_threads: int | None = None) -> Array:
        """Run `forward`: net(X) is short for net.forward(X)."""
        return self.forward(X, training, n_threads=n_threads)

    def backward(
        self,
        y: ArrayLike | None = None,
        *,
        dz: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        weights: Literal["rows", "batch"] = "rows",
        n_threads: int | None = None,
    ) -> Gradients:
        """Stage 2: delta, dw and db of every layer by the chain rule, from output to input.

        Each layer's delta is computed once and used for its dw, its db and the layer below.

        Parameters
        ----------
        y : array, optional
            The targets of the batch of `forward`; the network's loss gives the first delta.
        dz : array (rows, outputs), optional
            Instead of y: the gradient of a loss of your own with respect to z of the last layer (before
            `output_activation`).
        sample_weight : array (rows,), optional
            The weight of each row, finite and at least 0, with y: the loss is sum w l / rows, where l is the loss of a
            row. The weights are taken as they are; where all are 0, so are loss and gradients.
        weights : {"rows", "batch"}, default "rows"
            What the sum of w l is divided by: the number of rows, as in `Trainer.step`, or the sum of the weights, as in
            `Network.loss` (not all of them may be 0 then).
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
        by_batch, threads = weigh_by_batch(weights), as_threads(n_threads)
        self._about_to_change(weights_only=False)
        loss = None
        if y is not None:
            loss = self._core.backward_quick(y, sample_weight, by_batch)  # as in forward
            if loss is None:
                rows = self._core.batch_rows()
                targets = self._targets(y, rows)
                of_rows = as_weights(sample_weight, rows, self.dtype, zeros=not by_batch)
                loss = self._core.backward(targets, threads, of_rows, by_batch)
        elif not self._core.backward_dz_quick(dz):
            rows, outputs = self._core.batch_rows(), self._spec.outputs
            seed = as_array(dz, "dz")  # type: ignore[arg-type]  # not None
            if seed.ndim == 1 and outputs == 1:
                seed = seed.reshape(-1, 1)
            if seed.shape != (rows, outputs):
                raise ValueError(f"dz: expected shape {(rows, outputs)}, got {seed.shape}")
            rows_of_dz = as_rows(seed, outputs, self.dtype, "dz")
            check_finite(self._core, rows_of_dz, "dz", seed)
            self._core.backward_dz(rows_of_dz, threads)
        gradients = Gradients(self, loss)
        set_own(self, "_gradients", weakref.ref(gradients))
        return gradients

    @property
    def z(self) -> Arrays:
        """Sums of each layer, z = x w + b (rows, fan_out), of the last `forward`: copies, read-only."""
        return tuple(map(self._core.z, range(self.depth)))

    @property
    def a(self) -> Arrays:
        """The inputs, then a = f(z) of each layer (rows, units), of the last `forward`: copies, read-only."""
        core = self._core
        return (*(core.a(i) for i in range(self.depth)), read_only(core.output()))

    # ---------------------------------------------------------------- use

    def _answer(self, X: ArrayLike, answer: int, n_threads: int | None) -> Array:
        threads = as_threads(n_threads)
        quick = self._core.predict_quick(X, answer)  # for a few plain rows with finite outputs; None for anything else
        if quick is not None:
            return quick
        rows = self._rows(X)
        found, bad = self._core.predict(rows, answer, threads)
        if bad is not None:
            warn_not_finite(bad, len(rows), "its answer means nothing")
        return found

    def _outputs(self, X: ArrayLike, n_threads: int | None) -> Array:
        """The outputs of the last layer as they are, in the shape of `predict`."""
        return self._answer(X, _OUTPUTS, n_threads)

    def predict(self, X: ArrayLike, *, n_threads: int | None = None) -> Array:
        """Answer for each row: a label, a decision, an expected count or the outputs, as the loss asks for.

        Parameters
        ----------
        X : array (rows, inputs)
        n_threads : int, optional
            At most so many threads.

        Returns
        -------
        array
            cross_entropy, focal, and hinge with several outputs: the most probable label (rows,), int64.
            binary_cross_entropy, and hinge with one output: 0 or 1 (also where the targets are -1 and 1), int64, (rows,
            outputs). poisson: the expected counts exp(z). Otherwise the outputs (rows, outputs). It is (rows,) where
            there is one output.

        Warns
        -----
        DataWarning
            Outputs that are NaN or infinite, in the row that it names; the same in `predict_proba` and `loss`.
        """
        return self._answer(X, self._predicts, n_threads)

    def predict_proba(self, X: ArrayLike, *, n_threads: int | None = None) -> Array:
        """Probabilities: of each label (rows, outputs) with cross_entropy and focal, of a 1 with binary_cross_entropy.

        With any other loss, the outputs of a last layer whose activation is softmax or sigmoid. (rows,) where there is one
        output.

        Raises
        ------
        ValueError
            The outputs are not probabilities.
        """
        self._spec.check_probabilities()
        return self._answer(X, _APPLIED, n_threads)

    def loss(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> float:
        """Mean loss over the rows of X with targets y; with `sample_weight` (rows,) it is sum w l / sum w."""
        return self._score(X, y, sample_weight, n_threads)[0]

    def _score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, n_threads: int | None) -> tuple[float, float]:
        """Loss and metric of data as a user gives them, both as means."""
        as_threads(n_threads)
        quick = self._core.evaluate_quick(X, y, sample_weight)  # as in predict
        if quick is None:
            return self._scored(self._examples(X, y, sample_weight), n_threads)
        return quick[0], self._metric(quick[1])

    def _scored(self, data: Examples, n_threads: int | None) -> tuple[float, float]:
        """Loss and metric, both as means."""
        loss, metric = self._core.evaluate(data.rows, data.targets, as_threads(n_threads), data.weights)
        if not math.isfinite(loss):
            bad = self._core.predict(data.rows, _OUTPUTS, as_threads(n_threads))[1]
            warn_not_finite(bad, len(data.rows), f"the loss is {loss}")
        return loss, self._metric(metric)

    def _metric(self, per_row: float) -> float:
        """The metric as a mean, from the core's mean over rows of sums over outputs."""
        return per_row if self._spec.picks_one else per_row / self._spec.outputs


def _as_training(given: object) -> bool:
    """The flag from NumPy's; a TypeError for anything else, such as the targets."""
    try:
        return as_bool(given, "training")
    except TypeError as error:
        hint = "; the targets belong to net.backward(y), or to net.loss(X, y)" if hasattr(given, "__len__") else ""
        raise TypeError(f"{error}{'' if isinstance(given, str) else hint}") from None


def as_network(given: object, name: str = "network") -> Network:
    """The network itself; a TypeError for anything else, with a hint for what has or needs one."""
    if isinstance(given, Network):
        return given
    hint = ""
    if isinstance(getattr(given, "network", None), Network):
        hint = "; write trainer.network"
    elif isinstance(given, type) and issubclass(given, Network):
        hint = "; that is the class, and rg.Network([784, 128, 10]) a network"
    elif isinstance(given, list | tuple) and given and all(isinstance(one, Network) for one in given):
        seeds = {one.seed for one in given}
        alike = f", all with the seed {seeds.pop()}: seed=i makes them differ" if len(given) > 1 == len(seeds) else ""
        hint = f"; it has {len(given)} networks, and each needs a call and an optimiser of its own{alike}"
    elif hasattr(given, "step") and hasattr(given, "lr"):
        hint = "; the network comes first: rg.Trainer(net, optimizer)"
    elif isinstance(given, list | tuple):
        hint = f"; write rg.Network({given!r})" if all(isinstance(one, int) for one in given) else ""
    raise TypeError(f"{name}: expected a Network, got {'the class ' if isinstance(given, type) else ''}{_kind(given)}{hint}")


def _kind(given: object) -> str:
    return given.__name__ if isinstance(given, type) else type(given).__name__
