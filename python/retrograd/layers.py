"""What a layer is: `Dense`, which only holds settings. Weights are in the network, formulas in activations.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ._careful import Helpful, says_where
from ._checks import above_zero, as_bool, as_float, as_int
from ._names import resolved
from ._pickles import Recorded
from .activations import as_activation
from .initializers import BiasInit, Initializer, as_bias_init

__all__ = ["BiasInit", "Dense", "Init", "as_initializer"]


Init = str | Initializer | None

_NORMS = {"layernorm": "layer", "layernormalization": "layer", "batchnorm": "batch", "batchnorm1d": "batch"} | {
    "batchnormalization": "batch"
}


@says_where()
@dataclass(frozen=True)
class Dense(Recorded, Helpful):
    """One dense layer: a = f(x w + b), or f(x w) without a bias.

    Parameters
    ----------
    units : int
        Outputs of the layer (`fan_out`).
    activation : str, optional
        Its name: "identity", "tanh", "sigmoid", "exponential", "softsign", "softplus", "relu", "leaky_relu", "elu", "selu",
        "gelu", "gelu_tanh", "silu", "mish", or "softmax" for the last layer; formulas: `help(retrograd.activations)`.
        Default: the network's `activation`, for the last layer its `output_activation`.
    init : str or Initializer, optional
        How the weights start. Default: the network's `init`.
    dropout : float, optional
        In training each output is 0 with this probability, at least 0 and below 1, and otherwise divided by its
        complement, so that the mean is kept (Srivastava and others, "Dropout", JMLR 15, 2014, inverted). For hidden
        layers only. Default: the network's `dropout`.
    max_norm : float, optional
        After each update, the incoming weights of each unit are scaled down to this Euclidean norm where theirs is
        larger (the same paper; biases do not count). It is positive. Default: no limit.
    norm : "layer" or "batch", optional
        a = f(gamma normalised(z) + beta), where gamma and beta start at 1 and 0 and are learned like biases; for hidden
        layers only. "layer" normalises each row over the layer's units (Ba, Kiros, Hinton, "Layer normalization",
        2016). "batch" normalises each unit over the rows of the batch in training, and otherwise by running means
        (Ioffe, Szegedy, "Batch normalization", ICML 2015); every batch must have at least two rows. Both are PyTorch's
        LayerNorm and BatchNorm1d with their defaults: eps 1e-5, momentum 0.1, and biased variances except for the
        running one.
    bias : bool, default True
        Whether the layer has biases. One that normalises needs none, because beta takes their place.
    bias_init : {"zeros", "uniform", "prior"} or array (units,), optional
        How the biases start; see `Network`. Default: the network's `bias_init`. "prior" is for the last layer.
    """

    units: int
    activation: str | None = None
    init: Init = None
    dropout: float | None = None
    max_norm: float | None = None
    norm: Literal["layer", "batch"] | None = None
    bias: bool = True
    bias_init: BiasInit = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", as_int(self.units, "units", 1))
        if self.activation is not None:
            if isinstance(self.activation, int) and not isinstance(self.activation, bool):
                raise TypeError(
                    f"activation: expected a name, got {self.activation}; a layer takes its own units alone, and the inputs "
                    f"come first in the network: rg.Network([{self.units}, rg.Dense({self.activation})])"
                )
            object.__setattr__(self, "activation", as_activation(self.activation))
        if self.init is not None:
            object.__setattr__(self, "init", as_initializer(self.init))
        if self.dropout is not None:
            object.__setattr__(self, "dropout", as_float(self.dropout, "dropout", 0.0, 1.0))
        if self.max_norm is not None:
            object.__setattr__(self, "max_norm", above_zero(self.max_norm, "max_norm"))
        if self.norm is not None:
            object.__setattr__(self, "norm", resolved(self.norm, ("layer", "batch"), "norm", _NORMS))
        object.__setattr__(self, "bias", as_bool(self.bias, "bias"))
        if self.bias_init is not None:
            if not self.bias:
                raise ValueError("bias_init: expected None with bias=False, because the layer has no biases")
            object.__setattr__(self, "bias_init", as_bias_init(self.bias_init, self.units))  # as a tuple: it can be hashed


def as_initializer(init: Init) -> Initializer:
    """The initialiser itself, or the one of that name."""
    if isinstance(init, list | dict | np.ndarray):
        raise TypeError(
            f"init: expected a name, an Initializer or a pair (weights, biases), got {type(init).__name__}; "
            "the arrays themselves are init=([w0, w1], [b0, b1])"
        )
    return init if isinstance(init, Initializer) else Initializer(init)  # type: ignore[arg-type]  # checked there
