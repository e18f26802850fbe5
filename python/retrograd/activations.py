"""What an activation is: its name, its formula and its facts. The arithmetic is the core's; who uses one names it.

With z = x w + b of a layer and s = sigmoid, a =

- "identity": z
- "tanh"; "sigmoid": 1 / (1 + exp(-z)); "exponential": exp(z)
- "softsign": z / (1 + |z|); "softplus": log(1 + exp(z))
- "relu": max(z, 0); "leaky_relu": z, below 0 0.01 z
- "elu": z, below 0 exp(z) - 1 (Clevert, Unterthiner, Hochreiter, 2016)
- "selu": 1.0507 z, below 0 1.7581 (exp(z) - 1) (Klambauer, Unterthiner, Mayr, Hochreiter, 2017)
- "gelu": z N(z), N the normal distribution (Hendrycks, Gimpel, 2016)
- "gelu_tanh": z N(z) with N(z) = (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))) / 2
- "silu": z s(z) (Elfwing, Uchibe, Doya, 2017)
- "mish": z tanh(log(1 + exp(z))) (Misra, 2019)
- "softmax": exp(z) / sum exp(z) over the units of a row, for the last layer alone
"""

from __future__ import annotations

from typing import TypedDict

__all__ = ["ACTIVATIONS", "GIVE_PROBABILITIES", "ActivationFacts"]


class ActivationFacts(TypedDict):
    """What the package knows of an activation."""

    derived_from_z: bool  # whether f' is computed from z, because a = f(z) does not tell it
    odd: bool  # whether f(-z) = -f(z), so that the sign of z stays
    last_only: bool  # whether it is for the last layer alone
    init: str  # the initialiser of a layer that names none


def _facts(init: str, *, derived_from_z: bool = False, odd: bool = False, last_only: bool = False) -> ActivationFacts:
    return {"derived_from_z": derived_from_z, "odd": odd, "last_only": last_only, "init": init}


ACTIVATIONS: dict[str, ActivationFacts] = {
    "identity": _facts("glorot_uniform", odd=True),
    "relu": _facts("he_normal"),
    "leaky_relu": _facts("he_normal"),
    "tanh": _facts("glorot_uniform", odd=True),
    "sigmoid": _facts("glorot_uniform"),
    "softmax": _facts("glorot_uniform", last_only=True),
    "elu": _facts("he_normal"),
    "selu": _facts("lecun_normal"),
    "softplus": _facts("glorot_uniform"),
    "softsign": _facts("glorot_uniform", odd=True),
    "exponential": _facts("glorot_uniform"),
    "gelu": _facts("he_normal", derived_from_z=True),
    "gelu_tanh": _facts("he_normal", derived_from_z=True),
    "silu": _facts("he_normal", derived_from_z=True),
    "mish": _facts("he_normal", derived_from_z=True),
}

GIVE_PROBABILITIES = ("softmax", "sigmoid")  # their values are probabilities
