"""Whether steps of that length, along the present gradient, could bring anything: a learning rate too small or too large.

Other causes are in findings.py and ranges.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .look import Finding, Look, Weight

_PART = 0.05  # of what can be won of the loss: what steps bring is measured by that
_TOO_FEW = 2.0  # where winning that part takes so many times the steps that were taken, nothing can have been learned
_TOO_FEW_ABOVE = 0.2
_MANY = 200
_TOO_FAR = {True: 2.0, False: 10.0}  # a step that should win so many times the whole loss: for SGD, for the other rules
_COMMON_RATES = {True: 0.01, False: 1e-3}  # from here on, rates are what people begin with
_STEPS_OF_COMMON = 1000
_FAST_RATES = {True: 10.0, False: 0.1}  # a rate above it would be strange: for SGD, for the other rules
_CUT = 1e-2  # a limit that leaves less of the gradient is to blame


class Pace:
    """What a step along the gradient of a sample wins, to first order."""

    def __init__(self, look: Look) -> None:
        optimizer = look.optimizer
        assert optimizer is not None
        self.to_win = max(look.level.constant, look.present) - look.level.least
        squares = sizes = whole = whole_sizes = 0.0
        pairs = [array for pair in zip(look.gradients.dw, look.gradients.db, strict=True) for array in pair]
        for (factor, _, _, frozen), array in zip(look.settings_of, pairs, strict=True):
            if not frozen and array is not None:
                flat = array.ravel().astype(np.float64)
                square, size = float(flat @ flat), float(np.abs(flat).sum())
                whole, whole_sizes = whole + square, whole_sizes + size
                squares, sizes = squares + factor * square, sizes + factor * size
        self.plain = optimizer._rule == "sgd"
        self.norm = float(np.sqrt(whole))
        self.cuts: dict[str, tuple[float, float]] = {}  # limits on the gradient, and what they leave of it
        if self.plain and optimizer.clip_norm is not None and self.norm > 0:
            self.cuts["clip_norm"] = optimizer.clip_norm, min(1.0, optimizer.clip_norm / self.norm)
        if self.plain and optimizer.clip_value is not None:
            self.cuts["clip_value"] = optimizer.clip_value, min(1.0, optimizer.clip_value * sizes / max(squares, 1e-300))
        clip = min((left for _, left in self.cuts.values()), default=1.0)
        self.momentum = getattr(optimizer, "momentum", 0.0) if self.plain else 0.0
        self.fall = look.rate * (squares * clip if self.plain else sizes) / (1 - self.momentum)
        self.needed = _PART * self.to_win / max(self.fall, 1e-300)  # steps to win that part
        self.factor = (squares if self.plain else sizes) / max(whole if self.plain else whole_sizes, 1e-300)

    def is_slow(self, look: Look) -> bool:
        """Whether the steps that were taken cannot have brought anything."""
        if look.above and look.steps >= _MANY:  # a loss above the level falls fast, if the steps are not tiny
            return self.to_win > 0 and self.needed >= _TOO_FEW_ABOVE * look.steps
        return self.to_win > 0 and self.needed >= _TOO_FEW * look.steps

    def is_small(self, rate: float, steps: int) -> bool:
        """Whether a rate may be called too small: a common one only after many steps, because the start may be flat."""
        return rate < _COMMON_RATES[self.plain] or steps >= _STEPS_OF_COMMON

    def is_wild(self, look: Look) -> bool:
        """Whether steps go too far: the loss is above the level, and rose, or the gradient promises more than there is."""
        far = self.fall * (1 - self.momentum) > _TOO_FAR[self.plain] * self.to_win
        return look.present > look.level.constant and (far or look.rose)


def pace(look: Look, may_be_flat: bool) -> Iterator[Finding]:
    """What is wrong with the length of the steps; where that is not known, and `may_be_flat`, the gradient vanishes."""
    if look.optimizer is None or not look.at_end or look.rate == 0:
        return
    found = Pace(look)
    if found.to_win <= 0:
        return
    if found.is_wild(look):
        text = f"the learning rate {look.rate:g} is too large: "
        text += (
            f"the loss of an epoch rose from {look.first:.4g} to {look.last:.4g}"
            if look.rose
            else "a step goes beyond where the gradient leads"
        )
        yield Finding(Weight.AT_THE_END, f"{text}; try a hundredth of it, or look at lr_range_test")
        return
    if not found.is_slow(look):
        if look.above and look.steps >= _MANY and look.falls:
            text = f"the loss is still falling, from {look.first:.4g} in the first epoch to {look.last:.4g} in the last"
            yield Finding(Weight.HINT, f"{text}: the learning rate {look.rate:g} is small for that, or it takes more epochs")
        return
    cut = [f"{name}={limit:g}" for name, (limit, left) in found.cuts.items() if left < _CUT]
    rate = look.rate * found.factor
    wanted = float(10 ** np.round(np.log10(max(rate * found.needed, 1e-300))))  # a step of it would win that part, perhaps
    better = min(0.1, wanted)
    if cut:
        enough = f"{10 ** np.ceil(np.log10(max(found.norm, 1e-3))):g}"
        lines = " and ".join(f"{name.split('=')[0]}={enough}" for name in cut)
        cuts = "cuts" if len(cut) == 1 else "cut"
        text = f"{' and '.join(cut)} {cuts} the gradient, whose norm is {found.norm:.2g}: take {lines}, or None"
        yield Finding(Weight.AT_THE_END, text)
    elif rate * found.needed / 100 <= _FAST_RATES[found.plain] and better > 5 * rate and found.is_small(rate, look.steps):
        by_factor = found.factor < 0.1  # of the groups
        text = f"the learning rate {look.rate:g} "
        text += f"times lr_factor of the optimiser's groups, {rate:.2g}, " if by_factor else ""
        text += f"is far too small: with this gradient (norm {found.norm:.2g}) it takes {found.needed:.0e} steps to win "
        text += f"{100 * _PART:g} % of the loss; "
        larger = f"take a larger lr_factor (up to {better / look.rate:.2g})"
        yield Finding(Weight.AT_THE_END, text + (larger if by_factor else f"try {better:g}, or look at lr_range_test"))
    elif may_be_flat:
        text = f"the gradient nearly vanishes (norm {found.norm:.2g}): a plateau"
        yield Finding(Weight.HINT, f"{text}; try other weights to start from, more units or epochs")
