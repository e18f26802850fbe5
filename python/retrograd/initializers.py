"""How weights start: the initialisers by name, and the scale that each gives for a layer. The core draws the numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

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


@says_where()
@dataclass(frozen=True)
class Initializer(Recorded):
    """How the weights of a layer start; biases start at zero.

    Parameters
    ----------
    name : str
        - "he_normal", "he_uniform": variance 2 / fan_in (He, Zhang, Ren, Sun, 2015), for relu and leaky_relu
        - "glorot_normal", "glorot_uniform": variance 2 / (fan_in + fan_out) (Glorot, Bengio, 2010)
        - "lecun_normal", "lecun_uniform": variance 1 / fan_in (LeCun, Bottou, Orr, Müller, 1998)
        - "normal": standard deviation `scale`
        - "zeros"

        "he", "glorot" and "lecun" mean "he_normal", "glorot_uniform" and "lecun_normal".
    scale : float, default 0.01
        The standard deviation; only "normal" uses it.

    Raises
    ------
    ValueError
        Unknown name; scale not a finite positive number.
    """

    name: str
    scale: float = 0.01

    def __post_init__(self) -> None:
        known = (*_ALIASES, *_SCHEMES, "normal", "zeros")
        object.__setattr__(self, "name", resolved(self.name, known, "init", _ELSEWHERE, _NOT_THE_SAME))
        object.__setattr__(self, "scale", as_float(self.scale, "scale", 0.0))

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        """The distribution ("normal": standard normal, "uniform": on (-1, 1)) and the factor by which it is scaled."""
        if self.name == "zeros":
            return "uniform", 0.0
        if self.name == "normal":
            return "normal", self.scale
        distribution, gain, fan = _SCHEMES[_ALIASES.get(self.name, self.name)]
        deviation = math.sqrt(gain / (fan_in if fan == "in" else fan_in + fan_out))
        return distribution, deviation * (math.sqrt(3.0) if distribution == "uniform" else 1.0)


def normal(scale: float) -> Initializer:
    """Normally distributed weights with standard deviation `scale`."""
    return Initializer("normal", scale)


@cache
def default_for(activation: str) -> Initializer:
    """The initialiser that suits an activation."""
    return Initializer(ACTIVATIONS[activation]["init"])
