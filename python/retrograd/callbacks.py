"""Callbacks: a user's own code at the beginning and the end of training, after each epoch, or after every so many steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ._careful import Helpful, names_of
from ._checks import as_int
from ._names import nearest
from .errors import TrainingWarning, warn
from .history import History

__all__ = ["Callback", "StepInfo", "TrainerInUse"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = names_of(__name__, __all__)

# What Keras, Lightning and others call the methods of a callback, in squashed spelling.
_ELSEWHERE = {
    "onbatchend": "on_step_end",
    "ontrainbatchend": "on_step_end",
    "onbatchbegin": "on_step_end",
    "ontrainbatchbegin": "on_step_end",
    "ontrainepochend": "on_epoch_end",
    "onvalidationepochend": "on_epoch_end",
    "onvalidationend": "on_epoch_end",
    "onepochbegin": "on_epoch_end",
    "onepochstart": "on_epoch_end",
    "ontrainstart": "on_train_begin",
    "onfitstart": "on_train_begin",
    "onfitend": "on_train_end",
}


class TrainerInUse(Protocol):
    """What a callback may use of the trainer that calls it; a `Trainer` has this and more.

    `network` is a `Network` and may be read; `optimizer` is an `Optimizer`, whose settings may be changed.
    """

    @property
    def network(self) -> Any:
        """The network that is trained."""

    optimizer: Any

    epochs_done: int

    def stop(self) -> None:
        """End the `fit` that is running."""


class StepInfo(NamedTuple):
    """What `Callback.on_step_end` is told.

    Attributes
    ----------
    epoch : int
        The epoch's number, as the history counts them.
    step : int
        The last finished step of the epoch, counted from 1.
    steps : int
        Steps of the whole epoch.
    loss : float
        Mean loss over the rows since this callback was last called, or since the epoch began; each before its own
        update.
    lr : float
        Learning rate of that step.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    lr: float


class Callback(Helpful):
    """Your own code during training: derive a class with the methods you need, `Trainer(..., callbacks=[...])`.

    A method may read the network (it is free between two calls into the core), change `trainer.optimizer.lr` or other
    settings of the optimiser, and end the training with `trainer.stop()`; `TrainerInUse` lists what it may use. It may not
    call `fit`, nor set what the trainer itself was made with: `fit` has begun with that.
    An error that it raises ends the training as Ctrl-C does: the network has the weights of the last finished step (or
    the best ones, where early stopping puts them back), and an epoch that was cut short is left out of the history.

    Attributes
    ----------
    every : int, default 0
        `on_step_end` is called after every so many steps, counted over a call of `fit`; 0: never. Only then does Python
        run between the steps of an epoch. A new value counts from the next epoch on.
    """

    every: int = 0

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a method that would never be called because its name is a slip."""
        super().__init_subclass__(**options)
        hooks = [name for name in vars(Callback) if name.startswith("on_")]
        for name, value in vars(cls).items():
            if name in hooks and inspect.isfunction(value):
                _refuse_keras(cls, name, value)
            if name.startswith("_") or name in hooks or not callable(value):
                continue
            like_a_hook = name[:3].lower() == "on_" or (name[:2] == "on" and name[2:3].isupper())
            meant = nearest(name, hooks, _ELSEWHERE, cutoff=0.8) if like_a_hook else None
            if meant:
                raise AttributeError(
                    f"{cls.__name__}.{name} is never called: expected {', '.join(hooks)}; did you mean {meant!r}?"
                )

    # The trainer's type is Any, so that an override may name `Trainer` or `TrainerInUse`, whichever it needs.

    def on_train_begin(self, trainer: Any) -> None:
        """Called before the first epoch of a call of `fit`, once all arguments have been checked."""

    def on_step_end(self, trainer: Any, info: StepInfo) -> None:
        """Called after every `every` steps."""

    def on_epoch_end(self, trainer: Any, history: History) -> None:
        """Called after each epoch; the history already has its figures."""

    def on_train_end(self, trainer: Any, history: History) -> None:
        """Called after the last epoch; also after Ctrl-C or an error, if `on_train_begin` returned."""


_KERAS = {"epoch": "history.epoch[-1]", "batch": "info.step", "logs": "history.loss[-1], history.val_loss[-1], ..."}


def _refuse_keras(cls: type, name: str, method: Callable[..., Any]) -> None:
    """Refuse the arguments of Keras, in whose places others would come."""
    given = list(inspect.signature(method).parameters)[1:]
    theirs = [one for one in given if one in _KERAS]
    if theirs:
        expected = list(inspect.signature(vars(Callback)[name]).parameters)[1:]
        there = [f"{one} is {_KERAS[one]}" for one in theirs if name in ("on_step_end", "on_epoch_end")]
        raise TypeError(
            f"{cls.__name__}.{name}: expected the arguments {', '.join(expected)}, got {', '.join(given)} as in Keras"
            + (f"; {'; '.join(there)}" if there else "")
        )


def fits(function: Callable[..., object], count: int) -> bool:
    """Whether a function takes so many arguments by position; True where Python does not know."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        pass
    return True


def called(function: Callable[..., object], what: str, *given: Any) -> Any:
    """The function's answer; where it does not take these arguments, the error has a note on what it is called with."""
    try:
        return function(*given)
    except TypeError as error:
        if not fits(function, len(given)):
            error.add_note(what)
        raise


class _OnEpochEnd(Callback):
    """A plain function as a callback, which is called after each epoch."""

    def __init__(self, function: Callable[[Any, History], object]) -> None:
        self._function = function

    def on_epoch_end(self, trainer: Any, history: History) -> None:
        """Call the function."""
        called(self._function, "A function in callbacks is called with the trainer and the history.", trainer, history)


def as_callbacks(given: object) -> list[Callback]:
    """Callbacks, from a sequence of callbacks and functions."""
    if type(given) is tuple and not given:  # the default needs no checks
        return []
    if isinstance(given, str) or not isinstance(given, Sequence):
        hint = "; write callbacks=[...], a list, with it" if isinstance(given, Callback) or callable(given) else ""
        raise TypeError(f"callbacks: expected a sequence of callbacks, got {given!r}{hint}")
    for one in given:
        if isinstance(one, type) or not (isinstance(one, Callback) or callable(one)):
            hint = _not_a_callback(one)
            shown = f"{'the class ' if isinstance(one, type) else ''}{getattr(one, '__name__', type(one).__name__)}"
            shown = shown if hint else repr(one)
            raise TypeError(f"callbacks: expected a Callback or a function of trainer and history, got {shown}{hint}")
    found = [one if isinstance(one, Callback) else _OnEpochEnd(one) for one in given]
    for one in found:
        as_int(one.every, "every", 0)
    if len({id(one) for one in given}) != len(found):
        raise ValueError("callbacks: expected each of them once")
    return found


def _not_a_callback(given: object) -> str:
    kind = given if isinstance(given, type) else type(given)
    if isinstance(given, type) and issubclass(given, Callback):
        return f"; write {given.__name__}(...), which makes one"
    if kind.__name__ == "EarlyStopping":
        return "; it is an argument of fit: trainer.fit(X, y, epochs=100, early_stopping=rg.EarlyStopping())"
    if kind.__module__.endswith(".schedules"):
        return "; it is an argument of the trainer: rg.Trainer(net, optimizer, schedule=rg.schedules.Cosine())"
    return ""


def _warn_of_never(one: Callback) -> None:
    """Say where `on_step_end` waits for a call that never comes; who sets `every` to 0 does not wait."""
    if one.every != 0 or type(one).on_step_end is Callback.on_step_end:
        return
    below = type(one).__mro__[: type(one).__mro__.index(Callback)]
    if not any("every" in vars(place) for place in (one, *below)):
        there = [name for name in (*vars(type(one)), *vars(one)) if not name.startswith("_") and name != "every"]
        slip = nearest("every", [name for name in there if isinstance(getattr(one, name, None), int)], cutoff=0.75)
        warn(
            f"callbacks: {type(one).__name__}.on_step_end is never called, because every is 0: set every = 1"
            + (f" (there is {slip!r}: a slip?)" if slip else ""),
            TrainingWarning,
        )


def begun(callbacks: Sequence[Callback], trainer: TrainerInUse, history: History) -> AbstractContextManager[None]:
    """A context for the training: every callback that has begun is told of the end, the last one first."""
    return _begun(callbacks, trainer, history) if callbacks else nullcontext()


@contextmanager
def _begun(callbacks: Sequence[Callback], trainer: TrainerInUse, history: History) -> Iterator[None]:
    with ExitStack() as stack:
        for one in callbacks:
            one.on_train_begin(trainer)
            stack.callback(one.on_train_end, trainer, history)
            _warn_of_never(one)  # here, because on_train_begin may set it
        yield


def parts(callbacks: Sequence[Callback], steps: int, before: int) -> Iterator[tuple[int, int, list[Callback]]]:
    """The parts of an epoch between which callbacks are called: first step, end, and which are called after it.

    `before` is the number of steps of this call of `fit` before the epoch.
    """
    asking = [(one, every) for one in callbacks if (every := as_int(one.every, "every", 0)) > 0]  # the present values
    if not asking:
        yield 0, steps, []
        return
    first = 0
    while first < steps:
        ends = [first + every - (before + first) % every for _, every in asking]
        last = min([steps, *ends])
        yield first, last, [one for one, every in asking if (before + last) % every == 0]
        first = last
