"""How weights and biases start: the rules by name, and what each gives for a layer. The core draws the numbers.

The bias that waits for the data of the first fit ("prior") is computed in _data/prior.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from ._careful import says_where
from ._checks import as_float
from ._names import resolved
from ._pickles import Recorded
from .activations import ACTIVATIONS

# name: (distribution, gain, fan) where variance = gain / fan
_SCHEMES = {
    "he_normal": ("normal", 2.0, "in"),
    "he_uniform": ("uniform", 2.0, "in"),
    "glorot_normal": ("normal", 2.0, "sum"),
    "glorot_uniform": ("uniform", 2.0, "sum"),
    "lecun_normal": ("normal", 1.0, "in"),
    "lecun_uniform": ("uniform", 1.0, "in"),
    "torch": ("uniform", 1.0 / 3.0, "in"),
}
# What PyTorch and Keras call the same distribution; in squashed spelling.
_ELSEWHERE = {
    "kaiming": "he_normal",
    "kaimingnormal": "he_normal",
    "kaiminguniform": "he_uniform",
    "xavier": "glorot_uniform",
    "xavieruniform": "glorot_uniform",
    "xaviernormal": "glorot_normal",
    "zero": "zeros",
}
# Keras's he_normal and the like are cut off at two deviations, with the same variance; that is not another scheme.
_NOT_THE_SAME = {
    "randomnormal": "write init=rg.normal(0.05), which is Keras's default",
    "truncatednormal": "write init=rg.normal(0.05), which is not cut off",
    "randomuniform": 'there are "he_uniform", "glorot_uniform" and "lecun_uniform", whose range suits the layer',
    "ones": "all units of a layer would stay the same",
    "constant": "all units of a layer would stay the same; a pair (weights, biases) gives them directly",
}
_ALIASES = {"he": "he_normal", "glorot": "glorot_uniform", "lecun": "lecun_normal"}
_OTHERS = ("orthogonal", "normal", "zeros")

BIAS_INITS = ("zeros", "uniform", "prior")
BiasInit = str | ArrayLike | None


@says_where()
@dataclass(frozen=True)
class Initializer(Recorded):
    """How the weights of a layer start (for its biases, see `bias_init` of `Network`).

    Parameters
    ----------
    name : str
        - "he_normal", "he_uniform": variance 2 / fan_in (He, Zhang, Ren, Sun, 2015), for relu and leaky_relu
        - "glorot_normal", "glorot_uniform": variance 2 / (fan_in + fan_out) (Glorot, Bengio, 2010)
        - "lecun_normal", "lecun_uniform": variance 1 / fan_in (LeCun, Bottou, Orr, Müller, 1998)
        - "torch": uniform in +-1 / sqrt(fan_in), as PyTorch's `nn.Linear` (whose biases are "uniform")
        - "orthogonal": w^T w = gain^2 I, or w w^T where fan_in < fan_out (Saxe, McClelland, Ganguli, 2014); it takes
          about 1 s for 1024 x 1024
        - "normal": standard deviation `scale`
        - "zeros", and then the biases start at zero too, unless `bias_init` says otherwise

        "he", "glorot" and "lecun" mean "he_normal", "glorot_uniform" and "lecun_normal".
    scale : float, optional
        "normal": the standard deviation, by default 0.01. "orthogonal": the gain, by default 1 for identity, selu,
        exponential and softmax, and sqrt(2) for all other activations, which are the gains of the default initialisers
        (PyTorch's `calculate_gain` has 1 for sigmoid, 5/3 for tanh and 3/4 for selu). The others do not use it.

    Raises
    ------
    ValueError
        Unknown name; scale not a finite number of at least 0.
    """

    name: str
    scale: float | None = None

    def __post_init__(self) -> None:
        known = (*_ALIASES, *_SCHEMES, *_OTHERS)
        object.__setattr__(self, "name", resolved(self.name, known, "init", _ELSEWHERE, _NOT_THE_SAME))
        if self.scale is not None:
            object.__setattr__(self, "scale", as_float(self.scale, "scale", 0.0))

    def draw(self, fan_in: int, fan_out: int, activation: str) -> tuple[str, float]:
        """The core's distribution of the weights, and the factor by which it is scaled."""
        if self.name == "zeros":
            return "uniform", 0.0
        if self.name == "normal":
            return "normal", 0.01 if self.scale is None else self.scale
        if self.name == "orthogonal":
            return "orthogonal", _gain(activation) if self.scale is None else self.scale
        distribution, gain, fan = _SCHEMES[_ALIASES.get(self.name, self.name)]
        deviation = math.sqrt(gain / (fan_in if fan == "in" else fan_in + fan_out))
        return distribution, deviation * (math.sqrt(3.0) if distribution == "uniform" else 1.0)


def normal(scale: float) -> Initializer:
    """Normally distributed weights with standard deviation `scale`."""
    return Initializer("normal", scale)


_OF_LAST = "torch"  # outputs that begin small are corrected sooner than those of the hidden layers' rules


@cache
def default_for(activation: str, last: bool) -> Initializer:
    """The initialiser where nobody names one: that of a hidden layer's activation, or that of the last layer.

    Those of cpp/base/kinds.h, this one and the rule for biases were chosen by tests/bench/inits.py.
    """
    return Initializer(_OF_LAST if last else ACTIVATIONS[activation]["init"])


def _gain(activation: str) -> float:
    """The gain of the default: its variance is gain^2 / fan_in."""
    return math.sqrt(2.0) if ACTIVATIONS[activation]["init"].startswith("he_") else 1.0


# ---------------------------------------------------------------------------------------------- biases


def as_bias_init(value: BiasInit, units: int, name: str = "bias_init") -> str | tuple[float, ...]:
    """The name of a rule, or the biases themselves, which must be one finite number for each unit."""
    if isinstance(value, str):
        return resolved(value, BIAS_INITS, name)
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name}: expected one of {', '.join(BIAS_INITS)} or an array of {units} numbers, got {value!r}")
    if array.shape != (units,):
        raise ValueError(f"{name}: expected shape ({units},), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got {array[~np.isfinite(array)][0]}")
    return tuple(array.tolist())


def bias_inits_of_layers(bias_init: object, sizes: Sequence[int]) -> list[str | tuple[float, ...] | None]:
    """What a network's `bias_init` says of each layer; None where it says nothing."""
    depth = len(sizes) - 1
    if bias_init is None:
        return [None] * depth
    if isinstance(bias_init, str):
        bias_init = resolved(bias_init, BIAS_INITS, "bias_init")
        # only the last layer's biases can be read off the data
        return [None if bias_init == "prior" and layer < depth - 1 else bias_init for layer in range(depth)]
    if not hasattr(bias_init, "__len__") or not hasattr(bias_init, "__getitem__") or isinstance(bias_init, bytes | dict):
        raise TypeError(f"bias_init: expected one of {', '.join(BIAS_INITS)} or a sequence of arrays, got {bias_init!r}")
    if len(bias_init) != depth:
        raise ValueError(f"bias_init: expected {depth} arrays, one for each layer, got {len(bias_init)}")
    found = []
    for layer in range(depth):
        entry = bias_init[layer]
        found.append(None if entry is None else as_bias_init(entry, sizes[layer + 1], f"bias_init[{layer}]"))
    return found


def default_bias_for(init: Initializer) -> str:
    """The rule for biases where nobody names one, beside that of the weights.

    Biases that differ let the units bend in different places where there are few inputs. Only who asks for zeros has them.
    """
    return "zeros" if init.name == "zeros" else "uniform"


def bias_bound(fan_in: int) -> float:
    """Biases by "uniform" lie between this number and its negative."""
    return 1 / math.sqrt(fan_in)
