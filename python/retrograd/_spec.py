"""The whole description of a network, frozen: its layers, loss and settings, without its weights.

Copies, pickles, the other dtype, folding, `repr` and whatever saves a network ask this one object. It also lists the
arrays of each layer. The numbers in them belong to the core, behind `Network`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _core
from ._checks import as_float, as_int
from ._hints import a_list_of_activations
from ._pickles import opened, stamped
from .activations import ACTIVATIONS, as_activation
from .errors import TrainingWarning, warn
from .initializers import BiasInit, bias_inits_of_layers
from .layers import Dense, Init
from .losses import (
    Loss,
    as_loss,
    class_of,
    decision_of,
    gives_probabilities,
    is_classifier,
    name_and_parameter,
    picks_one,
    targets_of,
)


class LayerArray(NamedTuple):
    """One array of a network: "w", "b", "gamma", "beta", "running_mean" or "running_var" of a layer."""

    name: str
    layer: int
    shape: tuple[int, ...]
    learned: bool  # whether an optimiser changes it


@dataclass(frozen=True, repr=False)
class NetworkSpec:
    """What a network consists of; `described` makes it.

    `layers` are resolved: each has its activation, a dropout only where there is one, and no initialiser, because the
    weights have started already. `loss` is what the user gave. `prior` says that the output bias waits for the data of
    the first fit.
    """

    inputs: int
    layers: tuple[Dense, ...]
    loss: str | Loss
    dtype: np.dtype[Any]
    seed: int
    input_dropout: float = 0.0
    input_noise: float = 0.0
    prior: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        return NetworkSpec.from_dict, (stamped(self.to_dict()),)

    def to_dict(self) -> dict[str, Any]:
        """The description in names, numbers, lists and dicts alone; what a layer does not have is left out."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        found["layers"] = [_filled(layer) for layer in self.layers]
        if isinstance(self.loss, Loss):
            found["loss"] = {"name": self.loss.name, **_filled(self.loss)}
        found["dtype"] = self.dtype.name
        return found

    @classmethod
    def from_dict(cls, given: object) -> NetworkSpec:
        """The description that `to_dict` gave and `_pickles.stamped` stamped; ValueError where it does not fit this version."""
        fields = dataclasses.fields(cls)
        needed = {field.name for field in fields if field.default is dataclasses.MISSING}
        found = opened(given, "Network", needed, {field.name for field in fields})
        found["layers"] = tuple(Dense(**layer) for layer in found["layers"])
        if isinstance(found["loss"], dict):
            parameters = dict(found["loss"])
            found["loss"] = class_of(parameters.pop("name"))(**parameters)
        found["dtype"] = np.dtype(found["dtype"])
        return cls(**found)

    # ---------------------------------------------------------------- layers and arrays

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of inputs, then units of each layer."""
        return (self.inputs, *(layer.units for layer in self.layers))

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def outputs(self) -> int:
        """Units of the last layer."""
        return self.layers[-1].units

    @cached_property
    def activations(self) -> tuple[str, ...]:
        """Activation of each layer."""
        return tuple(str(layer.activation) for layer in self.layers)

    @cached_property
    def arrays(self) -> tuple[tuple[LayerArray, ...], ...]:
        """The arrays of each layer, as the core's table has them."""
        norms, biases = [layer.norm or "none" for layer in self.layers], [layer.bias for layer in self.layers]
        table = _core.parameter_table(self.sizes, norms, biases)
        every = [LayerArray(*array) for array in table]
        return tuple(tuple(array for array in every if array.layer == i) for i in range(self.depth))

    @cached_property
    def places(self) -> dict[tuple[str, int], int]:
        """The number of each array in the core's table, by its name and layer."""
        every = (array for arrays in self.arrays for array in arrays)
        return {(array.name, array.layer): number for number, array in enumerate(every)}

    @cached_property
    def weight_places(self) -> list[int]:
        """The places of all weights, layer by layer."""
        return [self.places["w", layer] for layer in range(self.depth)]

    @cached_property
    def bias_places(self) -> list[int]:
        """The places of all biases, layer by layer; fewer than there are layers where one has none."""
        return [self.places["b", layer] for layer in range(self.depth) if ("b", layer) in self.places]

    @cached_property
    def _frame(self) -> tuple[Any, ...]:
        """What two networks have in common whose arrays fit each other."""
        return self.sizes, self.dtype, [layer.norm for layer in self.layers], [layer.bias for layer in self.layers]

    def n_parameters(self, layer: int) -> int:
        """How many numbers of a layer are learned."""
        return sum(prod(array.shape) for array in self.arrays[layer] if array.learned)

    @cached_property
    def has_batch_norm(self) -> bool:
        """Whether a layer normalises over the rows of a batch."""
        return any(layer.norm == "batch" for layer in self.layers)

    # ---------------------------------------------------------------- what follows from the loss

    @cached_property
    def loss_name(self) -> str:
        """Name of the loss."""
        return name_and_parameter(self.loss)[0]

    @property
    def loss_parameter(self) -> float:
        """The parameter of the loss; 0 where it has none."""
        return name_and_parameter(self.loss)[1]

    @cached_property
    def targets(self) -> str:
        """The kind of targets; see `losses.LOSSES`."""
        return targets_of(self.loss_name, self.outputs)

    @cached_property
    def decides(self) -> str:
        """What `predict` answers; see `losses.LOSSES`."""
        return decision_of(self.loss_name, self.outputs)

    @cached_property
    def reach(self) -> tuple[float, float] | None:
        """From where to where the outputs lie, if that has a bound and they are compared with the targets as they are."""
        facts = ACTIVATIONS[self.activations[-1]]
        return (facts["low"], facts["high"]) if self.targets == "numbers" and facts["low"] > -np.inf else None

    @cached_property
    def picks_one(self) -> bool:
        """Whether the answer for a row is one label of several."""
        return picks_one(self.loss_name, self.outputs)

    @cached_property
    def is_classifier(self) -> bool:
        """Whether answers are classes."""
        return is_classifier(self.loss_name)

    @cached_property
    def metric_name(self) -> str:
        """The name of what is measured besides the loss."""
        return "accuracy" if self.is_classifier else "mae"

    @property
    def has_probabilities(self) -> bool:
        """Whether the outputs are probabilities, perhaps after what the loss applies to them."""
        return gives_probabilities(self.loss_name, self.activations[-1])

    def check_probabilities(self) -> None:
        """Raise a ValueError where the outputs are not probabilities."""
        if not self.has_probabilities:
            raise ValueError(
                f"predict_proba: expected a loss or output_activation that gives probabilities, "
                f"got {self.loss_name!r} and {self.activations[-1]!r}"
            )

    # ---------------------------------------------------------------- similar descriptions

    def check_same_arrays(self, other: NetworkSpec) -> None:
        """Raise a ValueError where the other's arrays do not fit this network's."""
        if other._frame == self._frame:
            return
        if other.sizes != self.sizes or other.dtype != self.dtype:
            raise ValueError(
                f"copy_from: expected sizes {self.sizes} and dtype {self.dtype}, got {other.sizes} and {other.dtype}"
            )
        for name, several in {"norm": "norms", "bias": "biases"}.items():
            mine, others = ([getattr(layer, name) for layer in spec.layers] for spec in (self, other))
            if mine != others:
                raise ValueError(f"copy_from: expected {several} {mine}, got {others}")

    def with_dtype(self, dtype: str) -> NetworkSpec:
        """The same network in the other dtype."""
        return dataclasses.replace(self, dtype=np.dtype(dtype))

    def folded(self) -> NetworkSpec:
        """The same network without batch normalisation, which is then part of the weights and biases."""

        def without(layer: Dense) -> Dense:
            return dataclasses.replace(layer, norm=None, bias=True) if layer.norm == "batch" else layer

        return dataclasses.replace(self, layers=tuple(map(without, self.layers)))

    def __repr__(self) -> str:
        """A head, a line for each layer, and the total; it is also the network's repr."""
        inputs = "".join(f"{name}={getattr(self, name)}, " for name in ("input_dropout", "input_noise") if getattr(self, name))
        head = f"Network({list(self.sizes)}, loss={self.loss!r}, {inputs}dtype={self.dtype.name!r}, seed={self.seed})"
        lines = [head, f"  {'layer':<7}{'shape':<18}{'activation':<13}{'parameters':>14}"]
        for i, layer in enumerate(self.layers):
            shape = f"{self.sizes[i]} -> {layer.units}"
            line = f"  {i + 1:<7}{shape:<18}{layer.activation:<13}{self.n_parameters(i):>14,}"
            extras = {"norm": layer.norm, "dropout": layer.dropout, "max_norm": layer.max_norm}
            extras |= {} if layer.bias else {"bias": False}
            lines.append("  ".join([line, *(f"{name}={value}" for name, value in extras.items() if value is not None)]))
        lines.append(f"  {'total':<38}{sum(map(self.n_parameters, range(self.depth))):>14,}")
        return "\n".join(lines)


def described(
    layers: Sequence[int | Dense],
    *,
    activation: str,
    output_activation: str,
    loss: str | Loss,
    bias_init: BiasInit | Sequence[BiasInit],
    dropout: float,
    input_dropout: float,
    input_noise: float,
    seed: int | None,
    dtype: npt.DTypeLike,
) -> tuple[NetworkSpec, list[Init], list[str | tuple[float, ...] | None]]:
    """The description of what a user asks for, how the weights of each layer start, and how its biases do.

    None stands where the user says nothing.

    Types and single values are checked here. Whether they go together, the core checks when it makes the network.
    """
    if isinstance(activation, list | tuple) and isinstance(layers, list | tuple) and len(layers) > 1:
        raise TypeError(f"activation: expected a name, got {activation!r}; {a_list_of_activations(activation, layers)}")
    activation = as_activation(activation)
    output_activation = as_activation(output_activation, "output_activation")
    if isinstance(layers, str) or not isinstance(layers, Sequence | np.ndarray):
        raise TypeError(f"layers: expected a sequence like [784, 128, 10], got {layers!r}")
    if len(layers) < 2:
        raise ValueError(f"layers: expected the number of inputs and at least one layer, got {list(layers)!r}")
    if isinstance(layers[0], Dense):
        raise TypeError("layers: expected the number of inputs first, got a Dense")
    given = [one if isinstance(one, Dense) else as_int(one, "layers", 1) for one in layers[1:]]
    inputs = as_int(layers[0], "layers", 1)
    loss = as_loss(loss)
    precision = _as_dtype(dtype)
    share = as_float(dropout, "dropout", 0.0, 1.0)
    hidden = [_resolved(one, activation, share) for one in given[:-1]]
    if share > 0 and not hidden:
        warn(f"dropout: {share:g} is for hidden layers, and there are none; input_dropout= drops inputs", TrainingWarning)
    last = _resolved(given[-1], output_activation, 0.0)
    number = int.from_bytes(os.urandom(8), "little") >> 1 if seed is None else as_int(seed, "seed", 0, bits=64)
    all_layers = (*hidden, last)
    biases = bias_inits_of_layers(bias_init, (inputs, *(layer.units for layer in all_layers)))
    for i, (layer, one) in enumerate(zip(all_layers, given, strict=True)):
        own = one.bias_init if isinstance(one, Dense) else None
        if not layer.bias and not isinstance(biases[i], str | None):
            raise ValueError(f"bias_init[{i}]: expected None, because the layer has no biases (bias=False)")
        biases[i] = biases[i] if own is None else own  # type: ignore[assignment]  # a tuple or a name by now
        if biases[i] == "prior" and i + 1 < len(all_layers):
            raise ValueError(f'bias_init: "prior" is for the last layer alone, got it in layer {i}')
    spec = NetworkSpec(
        inputs,
        all_layers,
        loss,
        precision,
        number,
        as_float(input_dropout, "input_dropout", 0.0, 1.0),
        as_float(input_noise, "input_noise", 0.0),
        biases[-1] == "prior",
    )
    return spec, [one.init if isinstance(one, Dense) else None for one in given], biases


def _filled(settings: Dense | Loss) -> dict[str, Any]:
    """The fields of settings that are not None."""
    found = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return {name: value for name, value in found.items() if value is not None}


def _resolved(given: int | Dense, activation: str, dropout: float) -> Dense:
    """The layer, with every setting filled in that it leaves to the network."""
    if not isinstance(given, Dense):
        return Dense(given, activation, dropout=dropout or None)
    share = dropout if given.dropout is None else given.dropout
    name = given.activation or activation
    return Dense(given.units, name, dropout=share or None, max_norm=given.max_norm, norm=given.norm, bias=given.bias)


def _as_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        result = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype: expected float32 or float64, got {dtype!r}") from error
    if dtype is None or result not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype: expected float32 or float64, got {dtype!r}")
    return np.dtype(result.name)  # the byte order is left out: it may be named although it is the native one
