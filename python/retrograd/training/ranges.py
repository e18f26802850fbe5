"""What may be wrong with the numbers of X and y: their scale and their tails.

Labels, and targets out of reach, are in findings.py. The scale is judged by the mean and the standard deviation of each
column, not by its range: the range of standardised columns with heavy tails is wide, and scaling does not change it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..losses import NOT_SQUARED, is_squared
from .look import LARGE, SMALL, Columns, Finding, Floats, Look, Weight

_VERY_LARGE = 100.0  # and trainings that do not learn do so because of that, often
_LARGE_Y = 100.0
_SMALL_Y = 0.2  # a standard deviation below it is small beside the answers of a network that has just begun
_FAR_X = 10.0  # a number so many standard deviations from the mean belongs to a heavy tail
_FAR_Y = 8.0
_FEW = 10  # a column with so few different numbers has no tails


def ranges_of_x(look: Look) -> Iterator[Finding]:
    """Columns that do not change, or are not scaled."""
    x, rows = look.x, len(look.x.numbers)
    if not x.moving.any():
        if rows > 1:
            yield Finding(Weight.NOW, "X is the same in every row" + (x.where.replace(" in the ", " of the ")))
        return
    bounds, sizes, spread = f"from {x.low.min():.6g} to {x.high.max():.6g}{x.where}", x.size, x.spread[x.moving]
    divisor = "X.std(0)" if x.moving.all() else "(X.std(0) + 1e-6)"  # a column that does not change
    standard = f"(X - X.mean(0)) / {divisor}"
    if sizes.max() < SMALL:
        yield Finding(Weight.AT_THE_END, f"X is small, it ranges {bounds}: scale it, (X - X.mean(0)) / X.std(0)")
    elif sizes.max() > LARGE:
        whole = x.low.min() >= 0 and 100 < x.high.max() <= 255 and bool((x.numbers == np.floor(x.numbers)).all())
        bytes_ = whole and (x.numbers.dtype == np.uint8 or x.numbers.shape[1] > _FEW)
        text = f"X ranges {bounds}: scale it, " + ("X / 255, or " if bytes_ else "") + standard
        yield Finding(Weight.AT_THE_END if sizes.max() > _VERY_LARGE else Weight.PERHAPS, text)
    elif spread.max() > 1000 * spread.min():
        text = f"columns of X have standard deviations from {spread.min():.3g} to {spread.max():.3g}{x.where}"
        yield Finding(Weight.AT_THE_END, f"{text}: scale it, {standard}")
    elif np.count_nonzero(np.abs(x.mean[x.moving]) > 20 * spread) > 0.5 * len(spread):
        text = f"X hardly changes from row to row beside its mean (up to {np.abs(x.mean).max():.6g}): {standard}"
        yield Finding(Weight.AT_THE_END, text)


def tails_of_x(look: Look) -> Iterator[Finding]:
    """A column with heavy tails: no scaling changes them."""
    x, column = look.x, int(np.argmax(look.x.farthest))
    if x.farthest[column] > _FAR_X and len(np.unique(x.numbers[:, column])) > _FEW:
        text = f"X has heavy tails: column {column} goes to {x.farthest[column]:.0f} standard deviations from its mean"
        yield Finding(Weight.HINT, f"{text}{x.where}; a logarithm or np.clip may help")


def ranges_of_y(look: Look, out_of_reach: bool) -> Iterator[Finding]:
    """Numbers or counts that are not scaled, or have heavy tails."""
    spec, y = look.network._spec, look.y
    numbers = spec.targets == "numbers"
    if not numbers and spec.targets != "counts":
        return
    column = int(np.argmax(y.farthest))
    heavy = numbers and is_squared(spec.loss_name) and bool(y.farthest[column] > _FAR_Y)
    middle, spread = _middle_and_spread(y) if heavy else (y.mean, y.spread)
    size = float(np.hypot(middle, spread).max())
    heavy = heavy and len(np.unique(y.numbers[:, column])) > _FEW
    if not out_of_reach:
        off = size > _LARGE_Y or size < SMALL or float(np.abs(middle).max()) > 20 * float(spread.max())
        if off or (numbers and look.at_end and look.above and float(y.spread.max()) < _SMALL_Y):
            text = f"y ranges from {y.low.min():.6g} to {y.high.max():.6g}{y.where}"
            if not off:
                text += f", with a standard deviation of {y.spread.max():.2g}"
            yield Finding(Weight.AT_THE_END, f"{text}: scale it, {_scaled(spec.reach, numbers)}")
    if heavy:
        text = f"y has heavy tails: it goes to {y.farthest[column]:.0f} standard deviations from its mean{y.where}"
        yield Finding(Weight.PERHAPS, f"{text}, and a squared error sees little else; take loss={NOT_SQUARED}")


def _middle_and_spread(y: Columns) -> tuple[Floats, Floats]:
    """Like mean and standard deviation of each column, but whatever its tails are."""
    low, middle, high = np.percentile(y.numbers.astype(np.float64), [25, 50, 75], axis=0)
    spread = (high - low) / 1.349
    return np.where(spread > 0, middle, y.mean), np.where(spread > 0, spread, y.spread)


def _scaled(reach: tuple[float, float] | None, numbers: bool) -> str:
    """What brings y to about 1, where the last layer can reach it."""
    if not numbers:
        return "y / y.mean()"
    if reach is None:
        return "(y - y.mean(0)) / y.std(0)"
    if np.isfinite(reach).all():
        return f"so that it fills the outputs' range from {reach[0]:g} to {reach[1]:g}"
    return "y / y.std(0)"
