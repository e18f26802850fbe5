"""The package's own figures by name, and whether less or more of each is better; it knows no others.

What a user's function measures is not here: its `Metric`, or the setting that watches it, says which is better.
"""

from __future__ import annotations

import re
from typing import Literal

Direction = Literal["min", "max"]

BETTER: dict[str, Direction] = {
    "loss": "min",
    "accuracy": "max",
    "top_k": "max",
    "f1": "max",
    "auc": "max",
    "r2": "max",
    "mae": "min",
    "rmse": "min",
}


def is_own(name: str) -> bool:
    """Whether `fit(metrics=[name])` measures a figure of this package: "f1", "f1_macro", "top_3"."""
    return name in BETTER or name.rpartition("_")[0] in BETTER or re.fullmatch(r"top_\d+", name) is not None


def check_better(better: object) -> None:
    """Raise a ValueError where it is neither a direction nor None."""
    if better not in (None, "min", "max"):
        raise ValueError(f'better: expected "min", "max" or None, got {better!r}')
