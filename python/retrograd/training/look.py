"""What all that looks for causes (findings.py, ranges.py, pace.py) looks at, and what it gives.

Nothing here touches the training: it is a sample of the rows, and a copy of the network.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .._data.arrays import Array
from .._data.examples import Examples
from ..network import Gradients, Network
from ..optimizers import Optimizer
from .constant import Level

LARGE = 10.0  # numbers of such a size are not "about 1"
SMALL = 1e-2
UNIT_ROWS = 256  # on which units are looked at
_NUMBERS = 5e5  # of X, or of y, of which means and standard deviations are computed, at most

Floats = npt.NDArray[np.float64]


class Weight(IntEnum):
    """What a finding is good for."""

    HINT = 0  # it stands beside others
    PERHAPS = 1  # it may be why nothing was learned in a whole training, but others learn with it
    AT_THE_END = 2  # it explains why nothing was learned in a whole training
    NOW = 3  # nothing can be learned while it is so


class Finding(NamedTuple):
    """A possible cause, in words, with what to do about it."""

    weight: Weight
    text: str


class Columns:
    """The columns of an array, of as many rows as are cheap to look at."""

    def __init__(self, rows: Array, where: str) -> None:
        self.numbers, self.where = rows, where  # "" where these are all the rows that count
        wide = rows.astype(np.float64)
        self.low, self.high, self.mean = wide.min(axis=0), wide.max(axis=0), wide.mean(axis=0)
        self.spread = np.sqrt(((wide - self.mean) ** 2).mean(axis=0))
        self.moving = np.asarray(self.low < self.high)

    @property
    def size(self) -> Floats:
        """The root mean square of each column: about 1 where it is standardised, whatever its tails."""
        found: Floats = np.hypot(self.mean, self.spread)
        return found

    @property
    def farthest(self) -> Floats:
        """How far the farthest number of each column is from its mean, in standard deviations."""
        gap = np.maximum(self.high - self.mean, self.mean - self.low)
        found: Floats = gap / np.where(self.moving & (self.spread > 0), self.spread, np.inf)
        return found


def sample(data: Examples, most: float) -> Examples:
    """At most so many rows that count, spread evenly."""
    count = np.arange(len(data.rows)) if data.weights is None else np.flatnonzero(data.weights[:, 0])
    most = max(16, min(most, 4 * _NUMBERS / data.rows.shape[1]))
    if len(count) == len(data.rows) <= most:
        return data
    chosen = count[np.linspace(0, len(count) - 1, int(min(most, len(count)))).astype(np.int64)]
    return data.where(chosen)


def _where(some: Examples, data: Examples) -> str:
    """Whether all rows that count were looked at, in words for the end of a sentence."""
    count = len(data.rows) if data.weights is None else int(np.count_nonzero(data.weights))
    return "" if len(some.targets) == count else f" in the {len(some.targets)} rows that were looked at"


class Look:
    """What all that looks for causes looks at: a training, samples of its rows, and what follows from them.

    Without an optimiser, a solver has chosen the steps (solvers/), with `decay` on all weights.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer | None,
        data: Examples,
        level: Level,
        losses: list[float],
        present: float,
        *,
        rate: float,
        steps: int,
        shuffle: bool,
        at_end: bool,
        n_threads: int | None,
        decay: float = 0.0,
        rate_may_rise: bool = False,
    ) -> None:
        self.network, self.optimizer, self.data, self.level, self.decay = network, optimizer, data, level, decay
        self.sample = sample(data, UNIT_ROWS)
        self.present = present  # the loss with the present weights
        self.first, self.last = losses[0], losses[-1]  # of this call of fit
        self.falls = len(losses) > 2 and losses[-1] < losses[-2] < losses[-3]
        self.rose = self.last > 1.1 * self.first - 0.1 * level.least
        self.rate, self.steps, self.shuffle, self.at_end, self.n_threads = rate, steps, shuffle, at_end, n_threads
        self.rate_may_rise = rate_may_rise  # a schedule gives the rate, and has not come far

    @property
    def span(self) -> float:
        """The part of the loss that can be won against a constant answer."""
        return self.level.constant - self.level.least

    @property
    def above(self) -> bool:
        """Whether the loss is clearly above that of the best constant answer."""
        return self.present - self.level.constant > 0.05 * max(self.span, 1e-3 * abs(self.level.constant))

    @cached_property
    def x(self) -> Columns:
        """The columns of X."""
        some = sample(self.data, _NUMBERS / max(1, self.data.rows.shape[1]))
        return Columns(some.rows, _where(some, self.data))

    @property
    def x_is_large(self) -> bool:
        """Whether inputs are far above 1."""
        return bool(self.x.size.max() > LARGE)

    @property
    def x_is_small(self) -> bool:
        """Whether inputs are far below 1."""
        return bool(self.x.size.max() < SMALL)

    @cached_property
    def y(self) -> Columns:
        """The columns of y, which are numbers."""
        some = sample(self.data._replace(rows=self.data.targets), _NUMBERS / self.data.targets.shape[1])
        return Columns(some.targets, _where(some, self.data))

    @cached_property
    def twin(self) -> Network:
        """A copy of the network after a forward pass over the sample."""
        twin = self.network._as_dtype(self.network.dtype.name)
        twin.forward(self.sample.rows, n_threads=self.n_threads)
        return twin

    @cached_property
    def outputs_of(self) -> tuple[Array, ...]:
        """The outputs of each layer for the sample."""
        return self.twin.a[1:]

    @cached_property
    def gradients(self) -> Gradients:
        """The gradients of the sample."""
        weights = None if self.sample.weights is None else self.sample.weights[:, 0]
        return self.twin.backward(self.sample.targets, sample_weight=weights, n_threads=self.n_threads)

    @cached_property
    def settings_of(self) -> list[tuple[float, float, float, bool]]:
        """Factor of the rate, weight decay, l1 and whether it is frozen, for the weights and the biases of each layer."""
        if self.optimizer is None:
            return [(1.0, self.decay, 0.0, False), (1.0, 0.0, 0.0, False)] * self.network.depth
        plain = (1.0, self.optimizer.weight_decay, 0.0, False)
        return self.optimizer._for_arrays(self.network) or [plain] * (2 * self.network.depth)

    def size_of_weights(self, layer: int) -> float:
        """The root mean square of a layer's weights, where 1 keeps the size of what passes."""
        weights = self.twin.weights[layer].astype(np.float64)
        return float(np.sqrt(np.mean(weights**2) * weights.shape[0]))
