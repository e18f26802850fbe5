"""Losses with a number to set: `Network(..., loss=losses.Huber(delta=2.0))`.

Losses without one, and the defaults of those that have one, are names: `loss="mae"`, `loss="huber"`. Values alone; the
arithmetic is the core's. In the formulas z = x w + b of the last layer, a = output, t = target, n rows, k outputs; `delta` of
the last layer is the gradient that is given, times f'(z) unless the loss starts from z.
"""

from dataclasses import dataclass
from typing import ClassVar

from . import _core
from ._checks import above_zero, as_float

__all__ = ["CrossEntropy", "Focal", "Huber", "Loss", "Quantile"]


@dataclass(frozen=True)
class Loss:
    """What the losses of this module have in common: a name, and one parameter.

    Attributes
    ----------
    name : str
        The name under which a `Network` takes the loss with its default parameter.
    parameter : float
        The number that is set.
    """

    name: ClassVar[str]

    @property
    def parameter(self) -> float:
        """The number that is set."""
        raise NotImplementedError


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Softmax cross-entropy with smoothed targets: -1/n sum t' log softmax(z), t' = (1 - s) t + s/k.

    Gradient with respect to z: (softmax(z) - t') / n.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        s, from 0 to below 1 (Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, 2016; PyTorch's `label_smoothing`).

    Raises
    ------
    ValueError, TypeError
        Not a number from 0 to below 1.
    """

    name: ClassVar[str] = "cross_entropy"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "label_smoothing", as_float(self.label_smoothing, "label_smoothing", 0.0, 1.0))

    @property
    def parameter(self) -> float:
        """The number that is set."""
        return self.label_smoothing


@dataclass(frozen=True)
class Huber(Loss):
    """Squared near the target, absolute away from it: 1/(nk) sum h(a - t).

    h(e) = e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2). Gradient: e / (nk), e cut off at -delta and delta.

    Parameters
    ----------
    delta : float, default 1.0
        Above 0 (Huber, 1964; PyTorch's `HuberLoss`).

    Raises
    ------
    ValueError, TypeError
        Not a finite number above 0.
    """

    name: ClassVar[str] = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", above_zero(self.delta, "delta"))

    @property
    def parameter(self) -> float:
        """The number that is set."""
        return self.delta


@dataclass(frozen=True)
class Quantile(Loss):
    """The pinball loss, least at the q-quantile of the targets: 1/(nk) sum max(q (t - a), (1 - q) (a - t)).

    Gradient: -q / (nk) where t > a, (1 - q) / (nk) where t < a, 0 where they are equal.

    Parameters
    ----------
    q : float, default 0.5
        Between 0 and 1 (Koenker, Bassett, 1978; scikit-learn's `mean_pinball_loss`). 0.5 is half of "mae".

    Raises
    ------
    ValueError, TypeError
        Not a number between 0 and 1.
    """

    name: ClassVar[str] = "quantile"
    q: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", above_zero(self.q, "q", 1.0))

    @property
    def parameter(self) -> float:
        """The number that is set."""
        return self.q


@dataclass(frozen=True)
class Focal(Loss):
    """Cross-entropy that looks away from what is right already: -1/n sum t (1 - p)^gamma log p, p = softmax(z).

    Gradient with respect to z, with c_j = t_j (gamma p_j (1 - p_j)^(gamma - 1) log p_j - (1 - p_j)^gamma):
    (c_j - p_j sum c) / n. Targets are labels or rows of probabilities; gamma = 0 is "cross_entropy".

    Parameters
    ----------
    gamma : float, default 2.0
        At least 0 (Lin, Goyal, Girshick, He, Dollar, 2017).

    Raises
    ------
    ValueError, TypeError
        Not a finite number from 0.
    """

    name: ClassVar[str] = "focal"
    gamma: float = 2.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", as_float(self.gamma, "gamma", 0.0))

    @property
    def parameter(self) -> float:
        """The number that is set."""
        return self.gamma


_DEFAULTS = {kind.name: kind() for kind in (CrossEntropy, Huber, Quantile, Focal)}


def name_and_parameter(loss: str | Loss) -> tuple[str, float]:
    """What the core takes; the parameter of a loss that has none is 0."""
    if isinstance(loss, Loss):
        return loss.name, loss.parameter
    if not isinstance(loss, str):
        raise TypeError(f"loss: expected a name or an object of retrograd.losses, got {loss!r}")
    if loss not in _core.LOSSES:
        raise ValueError(f"loss: expected one of {', '.join(_core.LOSSES)}, got {loss!r}")
    return loss, _DEFAULTS[loss].parameter if loss in _DEFAULTS else 0.0


def picks_one(loss: str, outputs: int) -> bool:
    """Whether the loss wants one label of `outputs` for each row (or, but for hinge, the probability of each)."""
    return loss in ("cross_entropy", "focal") or (loss == "hinge" and outputs > 1)
