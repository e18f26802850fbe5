"""Checks of single settings: numbers, flags and names.

Each error says what was expected and what was given. Arrays are checked in `_data`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np


def as_threads(n_threads: int | None) -> int:
    """The core's limit on the team: 0 where the user has no wish."""
    if n_threads is None:
        return 0
    return as_int(n_threads, "n_threads", 1, bits=31)


def as_int(value: object, name: str, least: int, bits: int = 63) -> int:
    """An integer (NumPy's too, but no bool) from `least` to 2^bits - 1."""
    if type(value) is int and least <= value < 1 << bits:  # this comes first because `fit` asks several times
        return value
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")
    if value >= 2**bits:
        raise ValueError(f"{name}: expected less than 2**{bits}, got {value}")
    return int(value)


def as_float(value: object, name: str, least: float, below: float = float("inf")) -> float:
    """A finite number in [least, below)."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    number = float(value)
    if not least <= number < below:
        bound = f"from {least:g}" + ("" if below == float("inf") else f" to below {below:g}")
        raise ValueError(f"{name}: expected a finite number {bound}, got {value}")
    return number


def above_zero(value: object, name: str, below: float = float("inf")) -> float:
    """A finite number in (0, below)."""
    number = as_float(value, name, 0.0, below)
    if number == 0:
        bound = f" and below {below:g}" if below < float("inf") else ""
        raise ValueError(f"{name}: expected a number above 0{bound}, got {value}")
    return number


def as_bool(value: object, name: str) -> bool:
    """True or False, and nothing else that only counts as one of them."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return value


def check_name(name: object, known: Collection[str], what: str) -> None:
    """Refuse a name that is not among the known ones."""
    if not isinstance(name, str):
        raise TypeError(f"{what}: expected a name, got {name!r}")
    if name not in known:
        raise ValueError(f"{what}: expected one of {', '.join(known)}, got {name!r}")


def check_state(state: object, names: Iterable[str], what: str) -> None:
    """Refuse a state that is not a mapping with exactly these names, as `state_dict` gives it."""
    if not isinstance(state, Mapping):
        raise TypeError(f"{what}: expected a dict as state_dict gives it, got {type(state).__name__}")
    if set(state) != set(names):
        raise ValueError(f"{what}: expected {', '.join(names)}, got {', '.join(map(str, state))}")
