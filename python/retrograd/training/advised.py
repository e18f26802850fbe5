"""What advice asks of a trainer: a Protocol alone, so that both sides may name it."""

from __future__ import annotations

from typing import Protocol

from ..history import History
from ..network import Network
from ..optimizers import Optimizer
from .rates import RateClock


class Advised(Protocol):
    """What is asked of a trainer."""

    advice: bool
    epochs_done: int
    history: History
    n_threads: int | None
    optimizer: Optimizer
    shuffle: bool
    _clock: RateClock

    @property
    def network(self) -> Network:
        """The network that is trained."""
