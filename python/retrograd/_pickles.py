"""What every pickle of this package carries: the number of its format, and the version of the package that wrote it.

A pickle of a format that this version knows loads for ever: tests/python/pickles holds files of each. One of another format,
or with names that are missing or unknown, is refused by an error that says which version wrote it. What the objects put into
their states is in their own files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from ._core import __version__

__all__ = ["FORMAT", "Recorded", "opened", "stamped"]

FORMAT = 1  # it rises when a state changes its meaning; a new name with a default does not need that


def stamped(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state of an object, with the format and the version in front."""
    return {"format": FORMAT, "retrograd": __version__, **state}


def opened(state: object, what: str, needed: Collection[str], optional: Collection[str] = ()) -> dict[str, Any]:
    """The state that `stamped` was given.

    Raises
    ------
    ValueError
        Another format; names that are missing, or that this version does not know.
    """
    if not isinstance(state, Mapping) or "format" not in state or "retrograd" not in state:
        raise ValueError(
            f"{what}: expected a pickle with its format and the version that wrote it, got one without them: a version before "
            f"format 1 wrote it, and this is {__version__}, which reads format {FORMAT}"
        )
    writer = f"retrograd {state['retrograd']} wrote it in format {state['format']}, and this is {__version__}"
    if state["format"] != FORMAT:
        raise ValueError(f"{what}: expected a pickle of format {FORMAT}: {writer}")
    found = {name: value for name, value in state.items() if name not in ("format", "retrograd")}
    missing, unknown = sorted(set(needed) - set(found)), sorted(set(found) - set(needed) - set(optional))
    if missing or unknown:
        problem = f"it lacks {', '.join(missing)}" if missing else f"it has {', '.join(unknown)}, which is unknown here"
        raise ValueError(f"{what}: the pickle does not fit this version: {problem}; {writer}")
    return found


class Recorded:
    """A base for settings (dataclasses), which are pickled by the names of their fields.

    A field that a pickle does not have yet takes its default. A class of the user's own may hold further attributes.
    """

    def __getstate__(self) -> dict[str, Any]:
        return stamped(self.__dict__)

    def __setstate__(self, state: object) -> None:
        kind = type(self)
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # those who derive from it are dataclasses
        absent = (dataclasses.MISSING, dataclasses.MISSING)
        needed = {field.name for field in fields if (field.default, field.default_factory) == absent}
        optional = {field.name for field in fields} - needed
        if not kind.__module__.startswith("retrograd.") and isinstance(state, Mapping):
            optional |= set(state)
        found = opened(state, kind.__name__, needed, optional)
        made = {field.name: field.default_factory for field in fields if field.name not in found}
        self.__dict__.update(found)  # other defaults are the class's
        for name, factory in made.items():
            if factory is not dataclasses.MISSING:
                self.__dict__[name] = factory()
