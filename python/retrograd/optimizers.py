"""Optimisers: settings, and the state that belongs to one network. The arithmetic is the core's."""

from typing import Any

from . import _core
from ._arrays import as_float, as_threads
from .network import Network

_STATE = {"float32": _core.SgdStateF32, "float64": _core.SgdStateF64}


class SGD:
    """Stochastic gradient descent, with PyTorch's arithmetic: g = dw + weight_decay w; v = momentum v + g; w = w - lr v.

    With `nesterov` the step is lr (g + momentum v); without momentum it is lr g and v is left alone. Biases are decayed
    too. The velocity v belongs to the optimiser, starts at zero, and binds it to the first network that it steps.

    Parameters
    ----------
    lr : float
        Learning rate, above 0 (0 is allowed and changes nothing).
    momentum : float, default 0
        In [0, 1).
    nesterov : bool, default False
        Needs momentum.
    weight_decay : float, default 0
        At least 0.

    Notes
    -----
    The settings are attributes and may be changed between calls. Sutskever, Martens, Dahl, Hinton: On the importance of
    initialization and momentum in deep learning (2013).
    """

    def __init__(self, lr: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0) -> None:
        self.lr = lr
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self._given: tuple[Any, Any, Any, Any] | None = None  # the settings that were last found to be good ...
        self._checked = (0.0, 0.0, 0.0, False)  # ... as the core takes them
        self._settings()
        self._network: Network | None = None
        self._state: Any = None

    def _settings(self) -> tuple[float, float, float, bool]:
        """lr, momentum, weight_decay and nesterov as the core takes them, checked where they have changed."""
        seen = self._given
        if (
            seen is not None
            and self.lr is seen[0]
            and self.momentum is seen[1]
            and self.weight_decay is seen[2]
            and self.nesterov is seen[3]
        ):
            return self._checked
        if not isinstance(self.nesterov, bool):
            raise TypeError(f"nesterov: expected True or False, got {self.nesterov!r}")
        momentum = as_float(self.momentum, "momentum", 0.0, below=1.0)
        if self.nesterov and momentum == 0:
            raise ValueError("nesterov: expected momentum above 0, got 0")
        self._checked = (
            as_float(self.lr, "lr", 0.0),
            momentum,
            as_float(self.weight_decay, "weight_decay", 0.0),
            self.nesterov,
        )
        self._given = (self.lr, self.momentum, self.weight_decay, self.nesterov)
        return self._checked

    def _bind(self, network: Network) -> Any:
        """The state for this network; made at the first call, ValueError where the optimiser belongs to another one."""
        if not isinstance(network, Network):
            raise TypeError(f"expected a Network, got {type(network).__name__}")
        if self._network is None:
            self._state = _STATE[network.dtype.name](network._core)
            self._network = network
        elif self._network is not network:
            raise ValueError("this optimiser belongs to another network (its velocity does): expected a new one")
        return self._state

    def step(self, network: Network, *, n_threads: int | None = None) -> None:
        """Stage 3: updates weights and biases against the gradients of `network.backward`.

        Raises
        ------
        RuntimeError
            No backward pass yet.
        ValueError
            The optimiser belongs to another network.
        """
        settings = self._settings()
        threads = as_threads(n_threads)
        state = self._bind(network)
        network._about_to_change()
        network._core.apply(state, *settings, threads)

    def __getstate__(self) -> dict[str, Any]:
        if self._network is not None:
            raise TypeError("an SGD that is bound to a network cannot be copied or pickled: its velocity is part of training")
        return self.__dict__

    def __repr__(self) -> str:
        return (
            f"SGD(lr={self.lr}, momentum={self.momentum}, nesterov={self.nesterov}, weight_decay={self.weight_decay})"
        )
