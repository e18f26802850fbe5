"""The package's own errors and warnings. Others are not here: wrong values and shapes are ValueError, wrong types TypeError."""

from __future__ import annotations

import os
import sys
import warnings

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class DivergenceError(ArithmeticError):
    """A loss or a weight became infinite or NaN in training.

    The step whose loss is not finite changes nothing. After `Trainer.fit` the weights are those at the start of the
    epoch and the optimiser starts anew (its velocity is zero); after `Trainer.step` the weights are as they were.

    Attributes
    ----------
    epoch : int or None
        The epoch, counted from 1; None in `Trainer.step`.
    step : int
        The step within the epoch, counted from 1.
    lr : float
        The learning rate; 0 where there is none (`fit_lbfgs`).
    loss : float
        The loss of that batch: inf or nan. It is nan where a weight was the reason.
    """

    def __init__(self, epoch: int | None, step: int, lr: float, loss: float) -> None:
        where = f"step {step}" if epoch is None else f"epoch {epoch}, step {step}"
        kept = "the weights are unchanged" if epoch is None else "the weights are those at the start of that epoch"
        rate, advice = (f" with lr={lr:g}", "A smaller lr, or inputs") if lr else ("", "Inputs")
        super().__init__(
            f"training diverged in {where}: the loss or a weight became {loss}{rate}; {kept}. "
            f"{advice} and targets scaled to about 1, may help"
        )
        self.epoch = epoch
        self.step = step
        self.lr = lr
        self.loss = loss

    def __reduce__(self) -> tuple[type[DivergenceError], tuple[int | None, int, float, float]]:
        return type(self), (self.epoch, self.step, self.lr, self.loss)


class RetrogradWarning(UserWarning):
    """What all warnings of this package have in common, so that one filter can name them."""


class DataWarning(RetrogradWarning):
    """The data or the answers are probably not what was meant; training and prediction go on with them."""


class TrainingWarning(RetrogradWarning):
    """A setting of the training cannot do what it is there for, or a figure cannot be computed."""


class NotLearningWarning(RetrogradWarning):
    """Training has not left the level of a constant answer. The text says what was found and what to do about it."""


def warn(text: str, kind: type[RetrogradWarning]) -> None:
    """Warn in the name of the user's line: the innermost frame that is outside of this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, kind, stacklevel=level)
