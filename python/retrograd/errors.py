"""The package's own errors and warnings. Others are not here: wrong values and shapes are ValueError, wrong types TypeError."""

from __future__ import annotations

import os
import sys
import warnings

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


_SCALED = "Inputs and targets scaled to about 1 may help"


class DivergenceError(ArithmeticError):
    """A loss or a weight became infinite or NaN in training.

    The step whose loss is not finite changes nothing. After `Trainer.fit` the weights are those at the start of the
    epoch, or those of the best epoch where early stopping had kept them, and the optimiser starts anew (its velocity is
    zero); after `Trainer.step` the weights are as they were.

    Attributes
    ----------
    epoch : int or None
        The epoch, counted from 1; None in `Trainer.step`.
    step : int
        The step within the epoch, counted from 1; 0 where the loss was not finite at the start (`fit_lbfgs`).
    lr : float
        The learning rate; 0 where there is none (`fit_lbfgs`).
    loss : float
        The loss of that batch: inf or nan. It is nan where a weight was the reason.
    best_epoch : int or None
        The epoch whose weights early stopping has put back; None where it has not.
    """

    def __init__(self, epoch: int | None, step: int, lr: float, loss: float, best_epoch: int | None = None) -> None:
        where = f"step {step}" if epoch is None else f"epoch {epoch}, step {step}"
        kept = "the weights are unchanged" if epoch is None else "the weights are those at the start of that epoch"
        if best_epoch is not None:
            kept = f"the weights are those of epoch {best_epoch}, the best one"
        if step == 0:
            what = f"the training cannot begin: the loss or its gradient is not finite with these weights (loss {loss})"
        else:
            rate = f" with lr={lr:g}" if lr else ""
            what = f"training diverged in {where}: the loss or a weight became {loss}{rate}"
        advice = "A smaller lr, or inputs and targets scaled to about 1, may help" if lr else _SCALED
        super().__init__(f"{what}; {kept}. {advice}")
        self.epoch = epoch
        self.step = step
        self.lr = lr
        self.loss = loss
        self.best_epoch = best_epoch

    def __reduce__(self) -> tuple[type[DivergenceError], tuple[int | None, int, float, float, int | None]]:
        return type(self), (self.epoch, self.step, self.lr, self.loss, self.best_epoch)


class RetrogradWarning(UserWarning):
    """What all warnings of this package have in common, so that one filter can name them."""


class DataWarning(RetrogradWarning):
    """The data or the answers are probably not what was meant; training and prediction go on with them."""


class TrainingWarning(RetrogradWarning):
    """A setting of the training cannot do what it is there for, or a figure cannot be computed."""


class NotLearningWarning(RetrogradWarning):
    """Training is not clearly below the loss of a constant answer. The text says what was found and what to do about it."""


def warn(text: str, kind: type[RetrogradWarning]) -> None:
    """Warn, and show the line outside of this package that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    del frame  # which would keep what it belongs to alive
    warnings.warn(text, kind, stacklevel=level)
