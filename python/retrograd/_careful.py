"""Objects that refuse attributes and arguments which they do not have, and say what was meant.

`Careful` and `Helpful` are base classes for attributes, `says_where` a decorator for arguments. What to say stands in
_hints.py. All of it is hidden from type checkers, which know better.

It costs nothing where nothing is wrong, with one exception: setting an attribute of a careful object takes a tenth of a
microsecond more, so code that runs in every step uses `set_own` (and not `__dict__`, to ask for which makes Python give
up the quick layout of the object).
"""

from __future__ import annotations

import functools
import inspect
import sys
from abc import ABCMeta
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from ._hints import ARGUMENTS, ATTRIBUTES, HOMES, MODULES, POSITIONAL
from ._names import did_you_mean, nearest, squashed

_Class = TypeVar("_Class", bound=type)
_Function = TypeVar("_Function", bound=Callable[..., Any])

# ---------------------------------------------------------------- attributes

set_own = object.__setattr__  # past the check of a careful object, for its own code


class _Missing:
    """Stands in a class for an attribute that people expect there; to read it is an AttributeError that says more."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, thing: object, kind: type) -> Any:
        own = getattr(thing, "__dict__", {}) if thing is not None else {}
        if self.name in own:  # of a user's subclass
            return own[self.name]
        raise AttributeError(_no_attribute(kind, self.name))

    def __set__(self, thing: object, value: object) -> None:
        if _is_ours(type(thing)):
            raise AttributeError(_no_attribute(type(thing), self.name))
        thing.__dict__[self.name] = value  # `_check_may_set` has let it pass


class _Kind(ABCMeta):  # of ABCMeta, so that a user's class may be an ABC, too
    """The class of careful classes; it leaves what is missing out of `dir` and `help`."""

    def __dir__(cls) -> list[str]:
        return [name for name in super().__dir__() if not isinstance(inspect.getattr_static(cls, name, None), _Missing)]


class Careful(metaclass=_Kind):
    """An object that takes only the attributes which it has: those that the package's own code has given it.

    A subclass of a user may have more, but does not hide a method or a property by a value; names that have a hint, and
    slips in the names of settings, are refused there too, unless the class's own methods set them. For reading there is no
    `__getattr__`, which would make every attribute slower: a class has a `_Missing` for each hint. A class that is made
    or written to in every call has `__slots__` and Python's own `__setattr__`, which is quicker and says less.
    """

    __slots__ = ()

    _has: ClassVar[set[str]] = set()  # public attributes that this class's code has set; each class has its own
    _made_with: ClassVar[str] = ""  # a private attribute that only the constructor sets, where a user may derive a class

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._has = set()
        if not _is_ours(cls) and cls._made_with and "__init__" in vars(cls):
            setattr(cls, "__init__", _which_calls_super(cls))  # noqa: B010
        if _is_ours(cls):
            for name in ATTRIBUTES.get(cls.__name__, ()):
                if not name.endswith("=") and inspect.getattr_static(cls, name, None) is None:
                    setattr(cls, name, _Missing(name))

    def __dir__(self) -> list[str]:
        return sorted({*dir(type(self)), *getattr(self, "__dict__", ())})

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            if name[0] != "_" and name not in self._has:
                _check_may_set(self, name)
            object.__setattr__(self, name, value)


class Helpful:
    """An object whose missing attributes, when they are read, say what was meant. Assigning is left to the class.

    This is for objects that no step reads from.
    """

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # This runs only where the ordinary search has failed.
            if name.startswith("_"):  # Python asks for these itself: copies, pickles, notebooks
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            raise AttributeError(_no_attribute(type(self), name, self.__dict__))


def no_such_name(name: str, known: list[str]) -> str:
    """The message for a name that the package itself does not have."""
    text = f"module {__name__.split('.')[0]!r} has no attribute {name!r}"
    if name.startswith("_"):
        return text
    hint = ATTRIBUTES["retrograd"].get(name)
    return f"{text}: {hint}" if hint else text + did_you_mean(name, known)


def names_of(
    module: str, public: Collection[str], meant: Callable[[str], str] = lambda name: ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a module whose users see the public names alone.

    `meant` says what to write for a name that the module knows from elsewhere; nothing for any other.
    """
    last = module.rpartition(".")[2]

    def missing(name: str) -> Any:
        text = f"module {module!r} has no attribute {name!r}"
        if name.startswith("_"):  # Python asks for these itself
            raise AttributeError(text)
        hint = MODULES.get(last, {}).get(name) or meant(name)
        raise AttributeError(f"{text}: {hint}" if hint else text + did_you_mean(name, public, cutoff=0.7))

    def listed() -> list[str]:
        dunders = (name for name in vars(sys.modules[module]) if name.startswith("__"))
        return sorted({*public, *dunders})

    return missing, listed


def _is_our_module(name: str) -> bool:
    return name.split(".")[0] == __name__.split(".")[0]


def _is_ours(cls: type) -> bool:
    return _is_our_module(cls.__module__)


def _is_code(value: object) -> bool:
    if isinstance(value, _Missing):
        return False
    return isinstance(value, property | classmethod | staticmethod) or inspect.isroutine(value)


def _is_there(thing: object, name: str) -> bool:
    try:
        object.__getattribute__(thing, name)
    except AttributeError:
        return False
    return True


def _check_may_set(thing: Any, name: str) -> None:
    """Raise an AttributeError unless the package's own code, or that of a subclass, sets the attribute."""
    kind = type(thing)
    home = next((cls for cls in kind.__mro__ if name in vars(cls)), None)
    there = None if home is None else vars(home)[name]
    if home is not None and _is_ours(home) and _is_code(there) and getattr(there, "fset", None) is None:
        raise AttributeError(_cannot_be_set(thing, name, there))
    ours = _is_ours(kind)
    if _is_there(thing, name) if home is None or not ours else False:
        return
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_name == "__setattr__":
        frame = frame.f_back
    if _is_our_module(frame.f_globals.get("__name__", "")):
        for cls in kind.__mro__:  # so that a class of a user's has the settings of the one that it derives from
            if cls is kind or (_is_ours(cls) and issubclass(cls, Careful)):
                cls._has.add(name)
            if _is_ours(cls):
                return
    if ours:
        raise AttributeError(_no_attribute(kind, name, thing.__dict__))
    if home is not None and not _is_ours(home):
        return
    code = frame.f_code
    if code.co_argcount and any(frame.f_locals.get(code.co_varnames[0]) is one for one in (thing, kind)):  # a method
        kind._has.add(name)
        return
    hint = _hint(ATTRIBUTES, kind, name)
    above = [cls for cls in kind.__mro__ if _is_ours(cls) and issubclass(cls, Careful)]
    settings = {one for cls in above for one in (*cls._has, *vars(cls).get("__annotations__", ())) if one[0] != "_"}
    near = None if hint else nearest(name, settings, cutoff=0.85)
    if hint or near:
        what = hint or f"did you mean {near!r}?"
        raise AttributeError(f"{kind.__name__} has no attribute {name!r} of its own: {what}")


def _which_calls_super(cls: Any) -> Callable[..., None]:
    """The constructor of a user's class, which is told where it has forgotten that of the package's class."""
    own, needed = cls.__init__, cls._made_with
    base = next(one.__name__ for one in cls.__mro__ if _is_ours(one))

    @functools.wraps(own)
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        own(self, *args, **kwargs)
        if not _is_there(self, needed):
            raise TypeError(f"{cls.__name__}.__init__: expected a call of super().__init__(...) with the arguments of {base}")

    return call


def _cannot_be_set(thing: Any, name: str, there: object) -> str:
    what = "is read-only" if isinstance(there, property) else "is a method"
    hint = _hint(ATTRIBUTES, type(thing), f"{name}=") or _hint(ATTRIBUTES, type(thing), name)
    return f"{type(thing).__name__}.{name} {what}" + (f": {hint}" if hint else " and cannot be set")


def _no_attribute(kind: type, name: str, own: Collection[str] = ()) -> str:
    text = f"{kind.__name__} has no attribute {name!r}"
    hint = _hint(ATTRIBUTES, kind, name)
    if hint:
        return f"{text}: {hint}"
    return text + did_you_mean(name, [one for one in (*dir(kind), *own) if not one.startswith("_")], cutoff=0.7)


def _hint(table: dict[str, dict[str, str]], kind: type, name: str) -> str | None:
    """The hint of the class itself, or of the nearest one above it."""
    found = (table.get(cls.__name__, {}).get(name) for cls in kind.__mro__ if _is_ours(cls))
    return next((hint for hint in found if hint), None)


# ---------------------------------------------------------------- arguments


def says_where(*methods: str) -> Callable[[_Class], _Class]:
    """A class whose constructor, and these methods, say where arguments belong which they do not take."""

    def decorate(cls: _Class) -> _Class:
        for name in ("__init__", *methods):
            setattr(cls, name, _explained(vars(cls)[name]))
        return cls

    return decorate


def explained(function: _Function) -> _Function:
    """The function itself, which says where arguments belong that it does not take."""
    return _explained(function)  # type: ignore[return-value]


def _explained(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                raise  # it was raised within the function
            _explain(function, args, kwargs, str(error))

    return call


def _explain(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], text: str) -> NoReturn:
    """Raise the TypeError of a call that does not fit the signature."""
    owner, _, name = function.__qualname__.rpartition(".")
    called = f"{owner}.{name}".lstrip(".")
    tables = [called]
    if owner and name == "__init__" and args:
        ours = [cls.__name__ for cls in type(args[0]).__mro__ if _is_ours(cls)]  # a user's class passes on what it got
        called, tables = ours[0], ours
    parameters = list(inspect.signature(function).parameters.values())
    named = [one.name for one in parameters if one.name != "self"]
    for argument in kwargs:
        if argument not in named:
            hints = {key: hint for one in reversed(tables) for key, hint in ARGUMENTS.get(one, {}).items() if key[:3] != "no "}
            raise TypeError(f"{called}: no argument {argument!r}{_instead(argument, called, named, hints)}") from None
    by_position = [one for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    given = args[1:] if parameters and parameters[0].name == "self" else args
    if len(args) > len(by_position):
        taken = [one.name for one in by_position if one.name != "self"]
        if called in POSITIONAL:
            raise TypeError(POSITIONAL[called](given)) from None
        more = ", ".join(map(repr, given[len(taken) :]))
        raise TypeError(f"{called}: expected {', '.join(taken)} by position and all else by name, got also {more}") from None
    twice = [one.name for one in by_position[: len(args)] if one.name in kwargs]
    if twice:
        what = f"{called}: expected {twice[0]} once, got it by position and by name"
        first = given[0]
        if twice[0] == "lr" and not isinstance(first, int | float):  # as in PyTorch, perhaps
            raise TypeError(f"{what}; {ARGUMENTS['Optimizer']['params']}") from None
        raise TypeError(what) from None
    missing = [
        one.name
        for place, one in enumerate(parameters)
        if one.default is inspect.Parameter.empty and one.name not in kwargs
        and (one.kind is inspect.Parameter.KEYWORD_ONLY or place >= len(args))
    ]
    hint = next((found for one in tables for left in missing if (found := ARGUMENTS.get(one, {}).get(f"no {left}"))), "")
    if missing and hint:
        raise TypeError(f"{called}: expected {missing[0]}: {hint}") from None
    raise TypeError(text) from None


def _instead(argument: str, called: str, named: list[str], hints: dict[str, str]) -> str:
    """What to write instead of an argument that is not there: only what is known for that very name is told as a fact."""
    spelled = {squashed(key): hint for key, hint in hints.items()}
    hint = hints.get(argument) or spelled.get(squashed(argument))
    if hint:
        return f": {hint}"
    if squashed(argument) not in map(squashed, named):
        homes = [home for home in HOMES if home != called and argument in _arguments_of(home)]
        if homes:
            lines = [f"{'trainer.fit' if one == 'Trainer.fit' else f'rg.{one}'}(..., {argument}=...)" for one in homes[:3]]
            return f": it belongs to {' or '.join(lines)}"
    return did_you_mean(argument, named, cutoff=0.7)


def _arguments_of(home: str) -> list[str]:
    thing: Any = sys.modules[__name__.split(".")[0]]
    for part in home.split("."):
        thing = getattr(thing, part)
    return list(inspect.signature(thing).parameters)
