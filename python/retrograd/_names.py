"""Names: any spelling of one, what other packages call the same thing, and what was meant by a wrong one.

Which names there are stands with the things themselves (losses.py, activations.py, ...); only those of metrics are
here, because the figures of a history and the metrics both need them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

# What other packages call a metric, where its value is the same; in squashed spelling. scikit-learn's names are first.
METRIC_ALIASES = {
    "accuracyscore": "accuracy",
    "acc": "accuracy",
    "binaryaccuracy": "accuracy",
    "categoricalaccuracy": "accuracy",
    "sparsecategoricalaccuracy": "accuracy",
    "f1score": "f1",
    "rocauc": "auc",
    "rocaucscore": "auc",
    "rocaucovr": "auc",
    "rocaucovrweighted": "auc_weighted",
    "r2score": "r2",
    "meanabsoluteerror": "mae",
    "rootmeansquarederror": "rmse",
}


def squashed(name: str) -> str:
    """The name without what differs between packages: case, underscores, hyphens and blanks."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def resolved(
    name: object,
    known: Collection[str],
    what: str,
    aliases: Mapping[str, str] = {},  # it is only read
    others: Mapping[str, str] = {},
    own: str = "",
    takes: str = "a name",
) -> str:
    """The one true name for what a user calls it; a name that nobody has is a ValueError that lists them.

    Parameters
    ----------
    name : str
        In any case, with or without underscores, or as other packages name the same: "ReLU", "torch.nn.ReLU".
    known : collection of str
        The true names.
    what : str
        The setting, for the message.
    aliases : dict
        True names by the squashed names of other packages.
    others : dict
        Why something is not the same, by its squashed name; names of Keras alone begin with "keras.".
    own : str
        What to do for one of the user's own, for the message where a function is given.
    takes : str
        What else than a name is taken, for the message.
    """
    if not isinstance(name, str):
        hint = _for_object(name, known, what, aliases, others) or (f"; {own}" if own and callable(name) else "")
        raise TypeError(f"{what}: expected {takes}, got {name!r}{hint}")
    if name in known:
        return name
    found, why = _looked_up(name, known, aliases, others)
    if why:
        raise ValueError(f"{what}: there is no {name!r} here: {why}")
    if found is None:
        raise ValueError(f"{what}: expected one of {', '.join(known)}, got {name!r}{did_you_mean(name, known, aliases)}")
    return found


def meant(name: str, known: Collection[str], aliases: Mapping[str, str], others: Mapping[str, str], write: str) -> str:
    """What to write for a name (`write`, with the true name in it), or why there is nothing of it here; "" if it is unknown."""
    found, why = _looked_up(name, known, aliases, others)
    return why or (write.format(found) if found else "")


def _looked_up(
    name: str, known: Collection[str], aliases: Mapping[str, str], others: Mapping[str, str]
) -> tuple[str | None, str]:
    """The true name, if there is one; and else why what another package calls so is not here, if that is known."""
    module, _, last = name.rpartition(".")
    key = squashed(last)
    keras = "keras." if module.split(".")[0] in ("keras", "tf", "tensorflow") else ""
    why = others.get(keras + key) if keras else None
    why = why or (None if key in _squashed(tuple(known)) else others.get(key))
    return (None, why) if why else (_squashed(tuple(known)).get(key) or aliases.get(key), "")


@cache
def _squashed(known: tuple[str, ...]) -> dict[str, str]:
    return {squashed(name): name for name in known}


def did_you_mean(name: str, known: Collection[str], aliases: Mapping[str, str] = {}, cutoff: float = 0.6) -> str:
    """A question for the message of an error; nothing where no name is near."""
    found = nearest(name, known, aliases, cutoff)
    return f"; did you mean {found!r}?" if found else ""


def nearest(name: str, known: Collection[str], aliases: Mapping[str, str] = {}, cutoff: float = 0.6) -> str | None:
    """The true name that is spelled most like this one; None where none is like it."""
    from difflib import get_close_matches  # only errors need it

    spelled = {**aliases, **_squashed(tuple(known))}
    close = get_close_matches(squashed(name), list(spelled), 1, cutoff)
    return spelled[close[0]] if close else None


def _for_object(
    value: object, known: Collection[str], what: str, aliases: Mapping[str, str], others: Mapping[str, str]
) -> str:
    """What to write for a function or an object of another package; nothing where its name says nothing here."""
    named = getattr(value, "__name__", type(value).__name__)
    module = getattr(value, "__module__", None) or type(value).__module__
    if value is None or module.split(".")[0] in ("builtins", "__main__"):
        return ""
    path = f"{module}.{named}"
    found, why = _looked_up(path, known, aliases, others)
    if why:
        return f"; {what}: there is no {path!r} here: {why}"
    return f'; write {what}="{found}"' if found else ""
