"""What a backward pass gives: `Gradients`, read from the network when asked for.

The pass itself, and what the core keeps of it, belong to network.py; the update with them to optimizers.py.
"""

from __future__ import annotations

from typing import Any, Protocol

from ._careful import Careful
from ._data.arrays import Array
from ._pickles import opened, stamped

__all__ = ["Arrays", "Gradients"]

Arrays = tuple[Array, ...]


class _HasPass(Protocol):
    """What is asked of a network whose backward pass this is."""

    def _gradient(self, name: str) -> Any: ...


_OF_GRADIENTS = ("delta", "w", "b", "gamma", "beta", "dx")


class Gradients(Careful):
    """The results of a backward pass. Arrays are read when asked for, at the latest before the next pass overwrites them.

    They are copies, and read-only: the core keeps its own, with which an optimiser steps. To change gradients, change the
    first one, `Network.backward(dz=...)`; to leave parameters out of the update, use an optimiser's `groups`.

    Attributes
    ----------
    loss : float or None
        The loss of the batch, to which the gradients belong; None where the user gave the gradient.
    delta : tuple of arrays (rows, fan_out)
        Gradient of the loss with respect to z of each layer.
    dw : tuple of arrays (fan_in, fan_out)
        Gradient with respect to each layer's weights: x^T delta.
    db : tuple of arrays (fan_out,) or None
        Gradient with respect to each layer's biases: the sum of delta over rows. None where it has no biases.
    dgamma, dbeta : tuple of arrays (fan_out,) or None
        Gradients with respect to gamma and beta of each layer, None where it does not normalise.
    dx : array (rows, inputs)
        Gradient with respect to the inputs. Computed at the first reading (or when the weights are about to change while
        this object is still held).
    """

    __slots__ = ("__weakref__", "_found", "_network", "loss")  # Python itself refuses others
    __setattr__ = object.__setattr__

    def __init__(self, network: _HasPass, loss: float | None) -> None:
        self.loss = loss
        self._network: _HasPass | None = network
        self._found: dict[str, Any] = {}

    def _read(self, name: str) -> Any:
        if name not in self._found:
            assert self._network is not None
            self._found[name] = self._network._gradient(name)
        return self._found[name]

    @property
    def delta(self) -> Arrays:
        """Gradient with respect to z of each layer."""
        found: Arrays = self._read("delta")
        return found

    @property
    def dw(self) -> Arrays:
        """Gradient with respect to the weights of each layer."""
        found: Arrays = self._read("w")
        return found

    @property
    def db(self) -> tuple[Any, ...]:
        """Gradient with respect to the biases of each layer, None where it has none."""
        found: tuple[Any, ...] = self._read("b")
        return found

    @property
    def dgamma(self) -> tuple[Array | None, ...]:
        """Gradient with respect to gamma of each layer."""
        found: tuple[Array | None, ...] = self._read("gamma")
        return found

    @property
    def dbeta(self) -> tuple[Array | None, ...]:
        """Gradient with respect to beta of each layer."""
        found: tuple[Array | None, ...] = self._read("beta")
        return found

    @property
    def dx(self) -> Array:
        """Gradient with respect to the inputs."""
        found: Array = self._read("dx")
        return found

    def _keep(self, weights_only: bool) -> None:
        """Read what is about to be lost: dx where the weights change, everything where a new pass begins."""
        if self._network is None:
            return
        _ = self.dx
        if not weights_only:
            _ = self.delta, self.dw, self.db, self.dgamma, self.dbeta
            self._network = None

    def __getstate__(self) -> dict[str, Any]:
        """All arrays: a copy, or the same object in another process, belongs to no network."""
        arrays = dict(zip(_OF_GRADIENTS, (self.delta, self.dw, self.db, self.dgamma, self.dbeta, self.dx), strict=True))
        return stamped({"loss": self.loss, **arrays})

    def __setstate__(self, state: Any) -> None:
        self._found = opened(state, "Gradients", ("loss", *_OF_GRADIENTS))
        self.loss, self._network = self._found.pop("loss"), None

    def __repr__(self) -> str:
        shapes = ", ".join(str(w.shape) for w in self.dw)
        return f"Gradients(loss={self.loss}, dw={shapes})"
