"""Methods of a user's classes that look as if training would call them, and that it never calls: the core has its own."""

from __future__ import annotations

from ..errors import TrainingWarning, warn
from ..network import Network
from ..optimizers import Optimizer


def warn_of_unused(network: Network, optimizer: Optimizer) -> None:
    """Say which methods of the two classes training passes by."""
    if type(network) is not Network:
        for name, instead in (
            ("forward", "the layers and their activations are the arguments of rg.Network"),
            ("loss", "the loss is rg.Network(..., loss=...); for one of your own write the loop, with net.backward(dz=...)"),
            ("backward", "for a loss of your own write the loop: net.forward(X), net.backward(dz=...), optimizer.step(net)"),
        ):
            if getattr(type(network), name) is not getattr(Network, name):
                _warn(type(network), name, instead)
    if type(optimizer).step is not Optimizer.step:
        instead = "a schedule can change the rate; for steps of your own write the loop, with optimizer.step(net)"
        _warn(type(optimizer), "step", instead)


def _warn(kind: type, name: str, instead: str) -> None:
    warn(f"{kind.__name__}.{name} is never called by the trainer, whose steps are the core's alone: {instead}", TrainingWarning)
