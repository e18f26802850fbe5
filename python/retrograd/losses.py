"""What a loss is: one class for each, with its formula, its gradient and the facts that other code needs.

`Network(..., loss=losses.Huber(delta=2.0))` takes an object; a name is short for the class with its default:
`loss="huber"`. The core does the arithmetic. In the formulas z = x w + b of the last layer, a = f(z) is its output, t
the target, n the number of rows and k the number of outputs. The gradient is `delta` of the last layer: with respect to
z where the class says so, else with respect to a, and f'(z) is multiplied in afterwards. For a loss of your own, use
`Network.backward(dz=...)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from . import _core
from ._careful import names_of, says_where
from ._checks import above_zero, as_float
from ._hints import ARGUMENTS
from ._names import meant, resolved, squashed
from ._pickles import Recorded
from .activations import GIVE_PROBABILITIES

__all__ = [
    "MAE",
    "MSE",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Focal",
    "Hinge",
    "Huber",
    "Loss",
    "Poisson",
    "Quadratic",
    "Quantile",
]


# ---------------------------------------------------------------- facts


# Facts by name, from cpp/base/kinds.h:
# - applies: the activation that the loss applies to the outputs itself, once; "identity": none
# - targets, targets_of_several: what it takes with one output and with several: "numbers"; "counts" (at least 0);
#   "shares" (from 0 to 1); "signs" (-1 and 1, or 0 and 1); "labels"; "probabilities" (labels, or rows of them)
# - decides, decides_of_several: what predict answers: "nothing" (the outputs as they are); "rates" (the outputs
#   after what the loss applies); "sign" (whether an output is above 0); "label" (the number of the largest output)
# - parameter, parameter_name: its parameter's default and name; 0 and "" where it has none
# - odd_output: whether the output activation must keep the sign of z
LOSSES = _core.LOSSES

NOT_SQUARED = '"huber" or "mae"'  # losses for numbers that a few large errors do not rule


def is_squared(loss: str) -> bool:
    """Whether the loss is the square of an error, times a number."""
    return loss in ("mse", "quadratic")


# What PyTorch, Keras and scikit-learn call a loss, where value and gradient are the same; in squashed spelling.
ALIASES = {
    "mseloss": "mse",
    "ce": "cross_entropy",
    "celoss": "cross_entropy",
    "meansquarederror": "mse",
    "maeloss": "mae",
    "meanabsoluteerror": "mae",
    "absoluteerror": "mae",
    "l1": "mae",
    "l1loss": "mae",
    "huberloss": "huber",
    "smoothl1": "huber",
    "smoothl1loss": "huber",
    "pinball": "quantile",
    "pinballloss": "quantile",
    "meanpinballloss": "quantile",
    "poissonnll": "poisson",
    "poissonnllloss": "poisson",
    "logloss": "cross_entropy",
    "crossentropyloss": "cross_entropy",
    "softmaxcrossentropy": "cross_entropy",
    "categoricalcrossentropy": "cross_entropy",
    "sparsecategoricalcrossentropy": "cross_entropy",
    "bce": "binary_cross_entropy",
    "bceloss": "binary_cross_entropy",
    "bcewithlogits": "binary_cross_entropy",
    "bcewithlogitsloss": "binary_cross_entropy",
    "binarylogloss": "binary_cross_entropy",
    "multimargin": "hinge",
    "multimarginloss": "hinge",
}
_HALF = 'it is half of "mse", which is "quadratic" where there is one output'
# What other packages have and this one has not, or computes differently; "keras." where only theirs is meant.
NOT_THE_SAME = {
    "squarederror": f"scikit-learn halves the mean: {_HALF}",
    "halfsquarederror": _HALF,
    "keras.poisson": 'Keras takes the rates themselves, and "poisson" their logarithms, to which it applies exp itself',
    "poissondeviance": 'it is twice "poisson" less a number that only the targets fix',
    "meanpoissondeviance": 'it is twice "poisson" less a number that only the targets fix',
    "keras.hinge": 'with several outputs Keras takes each by itself; with one output it is "hinge"',
    "hingeloss": 'with several outputs scikit-learn takes the largest violation alone; with one output it is "hinge"',
    "categoricalhinge": 'it takes the largest violation alone, "hinge" all of them',
    "squaredhinge": 'there is "hinge", without the square',
    "modifiedhuber": 'it is a loss for classes; there is "hinge"',
    "nll": 'it takes the logarithms of probabilities, "cross_entropy" the logits; leave log_softmax away',
    "nllloss": 'it takes the logarithms of probabilities, "cross_entropy" the logits; leave log_softmax away',
    "kldiv": 'its gradient is that of "cross_entropy" with rows of probabilities as targets; its value differs',
    "kldivloss": 'its gradient is that of "cross_entropy" with rows of probabilities as targets; its value differs',
    "kldivergence": 'its gradient is that of "cross_entropy" with rows of probabilities as targets; its value differs',
    "focalloss": 'torchvision\'s has a factor alpha and sigmoids; "focal" is the softmax form with gamma alone',
    "categoricalfocalcrossentropy": 'Keras has a factor alpha of 0.25; write "focal" for the loss without it',
    "binaryfocalcrossentropy": '"focal" is the softmax form; give it two outputs and labels 0 and 1',
}


def as_loss(loss: str | Loss) -> str | Loss:
    """The loss as it is kept: the object itself, or the true name of what a user calls it."""
    if isinstance(loss, Loss):
        if getattr(loss, "name", None) not in LOSSES:
            raise TypeError(f"loss: {type(loss).__name__} is none of the core's; {_OF_YOUR_OWN}")
        return loss
    if isinstance(loss, type) and issubclass(loss, Loss):
        raise TypeError(f"loss: expected a name or an object, got a class; write loss=rg.losses.{loss.__name__}()")
    return resolved(loss, LOSSES, "loss", ALIASES, NOT_THE_SAME, _OF_YOUR_OWN, "a name or an object of retrograd.losses")


_OF_YOUR_OWN = (
    "for a loss of your own compute its gradient with respect to z of the last layer: "
    "z = net.forward(X), net.backward(dz=your_gradient(z, y)), optimizer.step(net)"
)


def targets_of(loss: str, outputs: int) -> str:
    """The kind of targets that the loss takes; see `LOSSES`."""
    return LOSSES[loss]["targets" if outputs == 1 else "targets_of_several"]


def decision_of(loss: str, outputs: int) -> str:
    """What `predict` answers; see `LOSSES`."""
    return LOSSES[loss]["decides" if outputs == 1 else "decides_of_several"]


def picks_one(loss: str, outputs: int) -> bool:
    """Whether the loss takes one label of `outputs` for each row (perhaps also a probability for each output)."""
    return targets_of(loss, outputs) in ("labels", "probabilities")


def is_classifier(loss: str) -> bool:
    """Whether answers are classes, so that accuracy is measured."""
    return LOSSES[loss]["decides"] in ("sign", "label")


def gives_probabilities(loss: str, output_activation: str) -> bool:
    """Whether the outputs, after the activation that the loss applies, are probabilities."""
    return LOSSES[loss]["applies"] in GIVE_PROBABILITIES or output_activation in GIVE_PROBABILITIES


def constant_of(loss: str, parameter: float) -> tuple[str, float]:
    """Which answer has the least loss among those that are the same for every row, and the number it takes.

    "mean" of the targets; "smoothed mean" with that label smoothing; "share below": the number below which that share of
    the targets lies; "clipped mean": where the errors, each held between minus and plus that number, sum to 0. For "focal"
    the mean is near it, and for "hinge", where it jumps from one class to another, the mean lies within the margin of all
    classes.
    """
    constants = {
        "mae": ("share below", 0.5),
        "quantile": ("share below", parameter),
        "huber": ("clipped mean", parameter),
        "cross_entropy": ("smoothed mean", parameter),
    }
    return constants.get(loss, ("mean", 0.0))


# ---------------------------------------------------------------- the losses


@says_where()
@dataclass(frozen=True)
class Loss(Recorded):
    """What all losses have in common: a name, and at most one parameter.

    Attributes
    ----------
    name : str
        The name under which a `Network` takes the loss with its default parameter.
    parameter : float
        The parameter; 0 where the loss has none.
    """

    name: ClassVar[str]

    @property
    def parameter(self) -> float:
        """The parameter; 0 where the loss has none."""
        attribute = LOSSES[self.name]["parameter_name"]
        return float(getattr(self, attribute)) if attribute else 0.0


class MSE(Loss):
    """For numbers, the mean squared error: 1/(nk) sum (a - t)^2. Gradient: 2 (a - t) / (nk)."""

    name: ClassVar[str] = "mse"


class Quadratic(Loss):
    """For numbers, half the squared error of a row: 1/(2n) sum (a - t)^2. Gradient: (a - t) / n."""

    name: ClassVar[str] = "quadratic"


class MAE(Loss):
    """For numbers, the mean absolute error: 1/(nk) sum |a - t|. Gradient: sign(a - t) / (nk), 0 where a = t."""

    name: ClassVar[str] = "mae"


@says_where()
@dataclass(frozen=True)
class Huber(Loss):
    """For numbers with outliers, squared near the target and absolute away from it: 1/(nk) sum h(a - t).

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


@says_where()
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


class Poisson(Loss):
    """For counts t >= 0, whose log rates are z: 1/(nk) sum exp(z) - t z (PyTorch's `PoissonNLLLoss`).

    Gradient with respect to z: (exp(z) - t) / (nk).
    """

    name: ClassVar[str] = "poisson"


@says_where()
@dataclass(frozen=True)
class CrossEntropy(Loss):
    """For one label of several, softmax cross-entropy: -1/n sum t' log softmax(z), t' = (1 - s) t + s/k.

    Gradient with respect to z: (softmax(z) - t') / n. Targets are labels or rows of probabilities.

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
        smoothing = as_float(self.label_smoothing, "label_smoothing", 0.0, 1.0)
        object.__setattr__(self, "label_smoothing", smoothing)


@says_where()
@dataclass(frozen=True)
class Focal(Loss):
    """Cross-entropy that counts less what is right already: -1/n sum t (1 - p)^gamma log p, p = softmax(z).

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


class BinaryCrossEntropy(Loss):
    """For yes or no in each output, sigmoid cross-entropy: -1/(nk) sum t log s(z) + (1 - t) log(1 - s(z)).

    s = sigmoid; targets are numbers from 0 to 1. Gradient with respect to z: (s(z) - t) / (nk).
    """

    name: ClassVar[str] = "binary_cross_entropy"


class Hinge(Loss):
    """For classes, the loss of a support vector machine: it is 0 once the margin is 1.

    One output, targets 0 and 1 or -1 and 1: 1/n sum max(0, 1 - s a), s = 1 where t > 0, else -1. Gradient: -s / n where
    s a < 1, else 0.

    Several outputs, labels y: 1/(nk) sum over j != y of max(0, 1 - a_y + a_j) (Weston, Watkins, 1999; PyTorch's
    `MultiMarginLoss`). Gradient at j: 1 / (nk) where that is above 0, and minus their sum at y.

    The output activation is "identity", "tanh" or "softsign".
    """

    name: ClassVar[str] = "hinge"


def class_of(name: str) -> type[Loss]:
    """The class of the loss of that name."""
    return next(kind for kind in Loss.__subclasses__() if kind.name == name)


def name_and_parameter(loss: str | Loss) -> tuple[str, float]:
    """The name and the parameter of a loss: the default where the loss is a name, 0 where it has none."""
    loss = as_loss(loss)
    return (loss.name, loss.parameter) if isinstance(loss, Loss) else (loss, LOSSES[loss]["parameter"])


# What to write for arguments of other packages' losses; what holds for all losses is in _hints.py.
ARGUMENTS |= {
    "Huber": {"beta": "it is delta=", "threshold": "it is delta="},
    "Quantile": {"tau": "it is q=", "alpha": "it is q=", "quantile": "it is q="},
    "Focal": {"alpha": 'it is class_weight= of fit: trainer.fit(X, y, epochs=10, class_weight="balanced")'},
}


def _meant(name: str) -> str:
    """What to write for a name of a loss, or of another package's, where a class is expected."""
    classes = {kind.name: kind.__name__ for kind in Loss.__subclasses__()}
    aliases = {alias: classes[true] for alias, true in ALIASES.items()} | {squashed(true): classes[true] for true in LOSSES}
    return meant(name, (), aliases, NOT_THE_SAME, "rg.losses.{}()")


if not TYPE_CHECKING:
    __getattr__, __dir__ = names_of(__name__, __all__, _meant)
