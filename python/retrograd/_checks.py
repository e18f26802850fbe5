"""Checks of single settings: numbers and flags. Names are in _names.py.

Each error says what was expected and what was given. Arrays are checked in `_data`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NoReturn

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
    if isinstance(value, np.ndarray) and value.ndim == 0:  # as np.savez gives a number back
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer, got {_shown(value)}")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")
    if value >= 2**bits:
        raise ValueError(f"{name}: expected less than 2**{bits}, got {value}")
    return int(value)


def as_float(value: object, name: str, least: float, below: float = float("inf")) -> float:
    """A finite number in [least, below)."""
    number = value if type(value) is float else _number(value, name)  # a learning rate may change before every step
    if not least <= number < below:
        _refuse_range(name, value, f"from {least:g}" + ("" if below == float("inf") else f" to below {below:g}"))
    return number


def above_zero(value: object, name: str, below: float = float("inf")) -> float:
    """A finite number in (0, below)."""
    number = _number(value, name)
    if not 0 < number < below:
        _refuse_range(name, value, "above 0" + ("" if below == float("inf") else f" and below {below:g}"))
    return number


def _number(value: object, name: str) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        hint = "; the trainer names the network: rg.Trainer(net, rg.SGD(lr=0.1))" if name == "lr" and _is_network(value) else ""
        raise TypeError(f"{name}: expected a number, got {_shown(value)}{hint}")
    return float(value)


def _is_network(value: object) -> bool:
    """Whether it is a network or arrays, which optimisers of PyTorch take first."""
    return hasattr(value, "weights") or (isinstance(value, tuple | list) and any(isinstance(one, np.ndarray) for one in value))


def _shown(value: object) -> str:
    """The value, or its type where it is long."""
    text = repr(value)
    if len(text) <= 60 and "\n" not in text:
        return text
    return "an array" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def _refuse_range(name: str, value: object, bound: str) -> NoReturn:
    raise ValueError(f"{name}: expected a finite number {bound}, got {value}")


def as_bool(value: object, name: str) -> bool:
    """True or False (NumPy's too), and nothing else that only counts as one of them."""
    if value is True or value is False:  # this comes first because `fit` asks several times
        return value
    if not isinstance(value, np.bool_):
        hint = f"; write {name}={bool(value)}" if type(value) is int and value in (0, 1) else ""
        raise TypeError(f"{name}: expected True or False, got {_shown(value)}{hint}")
    return bool(value)


def check_state(state: object, names: Iterable[str], what: str) -> None:
    """Refuse a state that is not a mapping with exactly these names, as `state_dict` gives it."""
    if not isinstance(state, Mapping):
        raise TypeError(f"{what}: expected a dict as state_dict gives it, got {type(state).__name__}")
    if set(state) != set(names):
        raise ValueError(f"{what}: expected {', '.join(names)}, got {', '.join(map(str, state)) or 'nothing'}")
