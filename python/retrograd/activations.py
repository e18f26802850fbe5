"""What an activation is: its name, its formula and its facts. The core does the arithmetic.

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

Case and underscores do not matter, and other packages' names for the same are taken: "linear", "logistic", "swish".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core
from ._careful import names_of
from ._names import meant, resolved

__all__ = ["ACTIVATIONS", "GIVE_PROBABILITIES", "as_activation"]

# Facts by name, from cpp/base/kinds.h:
# - init: the initialiser of a layer that names none
# - derived_from_z: whether f' is computed from z, because a = f(z) does not determine it
# - odd: whether f(-z) = -f(z), so that a has the sign of z
# - last_only: whether only the last layer may have it
# - low, high: its values lie from low to high, which it takes or comes as near as rounding goes; infinite: no bound
ACTIVATIONS = _core.ACTIVATIONS

GIVE_PROBABILITIES = ("softmax", "sigmoid")  # their values are probabilities

# What PyTorch, Keras and scikit-learn call an activation, where value and gradient are the same; in squashed spelling.
ALIASES = {
    "linear": "identity",
    "none": "identity",
    "logistic": "sigmoid",
    "expit": "sigmoid",
    "swish": "silu",
    "exp": "exponential",
    "gelunew": "gelu_tanh",
}
# What other packages have and this one has not, or computes differently; "keras." where only theirs is meant.
NOT_THE_SAME = {
    "keras.leakyrelu": 'below 0 the slope is 0.2 in Keras 3 and 0.3 in Keras 2, and 0.01 here, as in PyTorch: "leaky_relu"',
    "prelu": 'its slope is learned; there is "leaky_relu", whose slope is 0.01',
    "rrelu": 'its slope is drawn; there is "leaky_relu", whose slope is 0.01',
    "relu6": 'it is cut off at 6; there is "relu"',
    "hardsigmoid": 'it has corners; there is "sigmoid"',
    "hardtanh": 'it has corners; there is "tanh"',
    "hardswish": 'it has corners; there is "silu"',
    "hardsilu": 'it has corners; there is "silu"',
    "logsoftmax": 'give "identity" with loss="cross_entropy", which applies it itself',
    "logsigmoid": 'give "identity" with loss="binary_cross_entropy", which applies sigmoid itself',
}


def as_activation(name: object, what: str = "activation") -> str:
    """The true name of an activation, from what a user calls it."""
    own = "there are no activations of your own"
    return resolved(name, ACTIVATIONS, what, ALIASES, NOT_THE_SAME, own)


def _meant(name: str) -> str:
    """What to write where a function of that name is expected."""
    return meant(name, ACTIVATIONS, ALIASES, NOT_THE_SAME, 'an activation is a name: rg.Dense(128, "{}")')


if not TYPE_CHECKING:
    __getattr__, __dir__ = names_of(__name__, __all__, _meant)
