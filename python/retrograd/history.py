"""What a training run went through, epoch by epoch. It only records and decides nothing. plots.py draws it."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Self

from ._careful import Careful
from ._figures import BETTER
from ._pickles import opened, stamped

__all__ = ["History"]

_ALWAYS = ("epoch", "loss", "metric", "seconds", "lr", "rows_per_second")  # lists that every epoch fills
_VALIDATION = ("val_loss", "val_metric")
_BY_NAME = ("metrics", "gradient_norms")  # dicts of lists
_VALIDATION_FOR_ALL = "expected validation figures, val_loss and val_metric, for every epoch or for none"
_ABOUT = ("metric_name", "converged", "stopped_early", "best_epoch")


class _ByName(dict[str, list[float]]):
    """The figures of metrics; to ask for one that was not measured says which were."""

    def __missing__(self, name: object) -> NoReturn:
        near = [one for one in self if isinstance(name, str) and one == f"val_{name}"]
        there = f"; it is metrics[{near[0]!r}] on the validation data" if near else f"; there are {', '.join(self) or 'none'}"
        raise KeyError(f"no figures of the name {name!r}{there}")


class History(Careful):
    """Losses, metrics and times of a training run; every list has one entry an epoch.

    Parameters
    ----------
    metric_name : str
        "accuracy" (share of right answers, 0 to 1) or "mae" (mean absolute error).

    Attributes
    ----------
    epoch : list of int
        Numbers of the epochs, counted from 1 over the life of the trainer.
    loss, metric : list of float
        On the training data: means over the rows, each measured before the update of its own batch.
    val_loss, val_metric : list of float
        On the validation data after the epoch; empty where there is none.
    metrics : dict of str to list of float
        The metrics that `fit` was asked for: "val_f1" on the validation data, "f1" on the training data after the epoch.
    seconds : list of float
        Wall-clock time of the training of the epoch, validation and callbacks left out.
    lr : list of float
        The learning rate of the epoch's last step.
    step_lr : list of lists of float
        Where a schedule gives each step its own rate: the rates of the epoch's steps, or, where there are more than
        1000, 1000 of them spread evenly, including the first and the last. Otherwise empty.
    gradient_norms : dict of int to list of float
        Mean over the epoch's steps of the norm of each layer's gradient (everything that the layer learns, together),
        where `fit` was asked for it. Layers are counted from 0.
    rows_per_second : list of float
        Rows trained on per second.
    converged : bool
        Whether training stopped because the loss no longer fell (`tol`).
    stopped_early : bool
        Whether early stopping ended it.
    best_epoch : int or None
        The best epoch by early stopping's figure; the network has its weights where `restore_best` says so.
    """

    # These are all that it has, in the order of `to_dict`; Python itself refuses others.
    __slots__ = (  # noqa: RUF023
        "metric_name", "converged", "stopped_early", "best_epoch",
        "epoch", "loss", "metric", "val_loss", "val_metric", "seconds", "lr", "rows_per_second", "step_lr",
        "metrics", "gradient_norms", "__weakref__",
    )  # fmt: skip
    __setattr__ = object.__setattr__

    def __init__(self, metric_name: str = "accuracy") -> None:
        self.metric_name = metric_name
        self.converged = False
        self.stopped_early = False
        self.best_epoch: int | None = None
        self.epoch: list[int] = []
        self.loss: list[float] = []
        self.metric: list[float] = []
        self.val_loss: list[float] = []
        self.val_metric: list[float] = []
        self.seconds: list[float] = []
        self.lr: list[float] = []
        self.rows_per_second: list[float] = []
        self.step_lr: list[list[float]] = []
        self.metrics: dict[str, list[float]] = _ByName()
        self.gradient_norms: dict[int, list[float]] = {}

    def __getstate__(self) -> dict[str, Any]:
        own = getattr(self, "__dict__", {})  # of a class of the user's own
        return stamped({"figures": stamped({name: _plain(getattr(self, name)) for name in _NAMES}), "own": own})

    def __setstate__(self, state: Any) -> None:
        found = opened(state, "History", ("figures", "own"))
        History.__init__(self)
        for name, value in opened(found["figures"], "History", (), _NAMES).items():
            setattr(self, name, _ByName(value) if name == "metrics" else value)
        for name, value in found["own"].items():
            setattr(self, name, value)

    # ---------------------------------------------------------------- entries

    def append(
        self,
        *,
        epoch: int,
        loss: float,
        metric: float,
        seconds: float,
        lr: float,
        rows_per_second: float,
        val_loss: float | None = None,
        val_metric: float | None = None,
        metrics: Mapping[str, float] | None = None,
        step_lr: list[float] | None = None,
        gradient_norms: Mapping[int, float] | None = None,
    ) -> None:
        """Add one epoch, all of it or (Ctrl-C, no memory) nothing; the arguments are single entries of the attributes.

        Raises
        ------
        ValueError
            If only some of the epochs have validation figures, a metric, rates of steps or norms of gradients.
        """
        metrics, gradient_norms = metrics or {}, gradient_norms or {}
        if (val_loss is None) != (val_metric is None):
            raise ValueError(_VALIDATION_FOR_ALL)
        self._check_same(val_loss is not None, step_lr is not None, metrics, gradient_norms)
        places: list[list[Any]] = [self.epoch, self.loss, self.metric, self.seconds, self.lr, self.rows_per_second]
        values: list[Any] = [epoch, loss, metric, seconds, lr, rows_per_second]
        if val_loss is not None:
            places += [self.val_loss, self.val_metric]
            values += [val_loss, val_metric]
        if step_lr is not None:
            places.append(self.step_lr)
            values.append(step_lr)
        self._put(list.append, places, values, metrics, gradient_norms)

    def extend(self, later: History) -> Self:
        """Add the epochs of a later call of `fit`, so that one curve shows them all; returns this history.

        Raises
        ------
        ValueError
            If the two measure different things, or only one has validation figures.
        """
        if later.metric_name != self.metric_name:
            raise ValueError(f"expected a history of {self.metric_name}, got one of {later.metric_name}")
        if later.epoch:
            self._check_same(bool(later.val_loss), bool(later.step_lr), later.metrics, later.gradient_norms)
            names = [name for name in (*_ALWAYS, *_VALIDATION, "step_lr") if getattr(later, name)]
            places, values = [getattr(self, name) for name in names], [getattr(later, name) for name in names]
            self._put(list.extend, places, values, later.metrics, later.gradient_norms)
        for name in _ABOUT:
            setattr(self, name, getattr(later, name))
        return self

    def _check_same(self, validation: bool, step_lr: bool, metrics: Mapping[str, Any], norms: Mapping[int, Any]) -> None:
        """Refuse an epoch that does not bring the same figures as the others."""
        if not self.epoch:
            return
        if validation != bool(self.val_loss):
            raise ValueError(_VALIDATION_FOR_ALL)
        if step_lr != bool(self.step_lr):
            raise ValueError("step_lr: expected rates of steps for every epoch or for none")
        for name, there, given in (("metrics", self.metrics, metrics), ("gradient_norms", self.gradient_norms, norms)):
            if there.keys() != given.keys():
                raise ValueError(f"{name}: expected {sorted(there)} as in the epochs before, got {sorted(given)}")

    def _put(
        self,
        put: Callable[[list[Any], Any], None],
        places: list[list[Any]],
        values: list[Any],
        metrics: Mapping[str, Any],
        norms: Mapping[int, Any],
    ) -> None:
        """Append each value to its list, all of them or none."""
        if metrics or norms:
            places = [*places, *(self.metrics.setdefault(name, []) for name in metrics)]
            places += [self.gradient_norms.setdefault(layer, []) for layer in norms]
            values = [*values, *metrics.values(), *norms.values()]
        before = len(self.epoch)
        try:
            # This is a single call of C, within which no signal is answered: Ctrl-C comes
            # before all of them or after.
            deque(map(put, places, values), maxlen=0)
        except MemoryError:
            for place in places:
                del place[before:]
            raise

    def column(self, name: str) -> list[float]:
        """The list of that name.

        Parameters
        ----------
        name : str
            An attribute ("loss", "val_loss", ...), "accuracy" or "mae" for `metric`, the same with "val_" for `val_metric`,
            or a key of `metrics`.

        Returns
        -------
        list of float

        Raises
        ------
        KeyError
            If there is no such list.
        """
        if name in self.metrics:
            return self.metrics[name]
        name = {self.metric_name: "metric", f"val_{self.metric_name}": "val_metric"}.get(name, name)
        if name not in (*_ALWAYS, *_VALIDATION):
            raise KeyError(f"no figures of the name {name!r}")
        found: list[float] = getattr(self, name)
        return found

    def __len__(self) -> int:
        """Return the number of epochs."""
        return len(self.epoch)

    def __getitem__(self, name: object) -> NoReturn:
        """Refuse what a dict would answer, with the line to write."""
        try:
            self.column(name)  # type: ignore[arg-type]
            line = f"history.{name}" if name in _NAMES else f"history.column({name!r})"
        except (KeyError, TypeError):
            line = "history.loss and others"
        raise TypeError(f"History: the lists are attributes, {line}; history.to_dict() has all by name")

    def __iter__(self) -> NoReturn:
        """Refuse to be taken for a sequence, with the line to write."""
        raise TypeError("History: a table with a row for each epoch is history.to_pandas(); history.to_dict() has the lists")

    def __repr__(self) -> str:
        if not self.epoch:
            return "History(no epochs)"
        parts = [f"loss {self.loss[-1]:.4g}", f"{self.metric_name} {self.metric[-1]:.4g}"]
        if self.val_loss:
            best = self._best()
            parts.append(f"val_loss {self.val_loss[-1]:.4g}")
            of_best = "" if best is None else f" (best {self.val_metric[best]:.4g} in epoch {self.epoch[best]})"
            parts.append(f"val_{self.metric_name} {self.val_metric[-1]:.4g}{of_best}")
        parts += [f"{name} {values[-1]:.4g}" for name, values in self.metrics.items()]
        if self.converged:
            parts.append("converged")
        if self.stopped_early or self.best_epoch is not None:
            best_epoch = "no epoch" if self.best_epoch is None else f"epoch {self.best_epoch}"
            parts.append(f"{'stopped early, ' if self.stopped_early else ''}{best_epoch} was the best")
        epochs = "1 epoch" if len(self) == 1 else f"{len(self)} epochs"
        return f"History({epochs}, {sum(self.seconds):.3g} s: {', '.join(parts)})"

    @property
    def best_index(self) -> int:
        """Index of the first epoch with the best validation metric.

        ValueError where nothing was validated, where no value is a number, or where the metric is not one of this
        package, so that it is not known which is better.
        """
        found = self._best()
        if found is not None:
            return found
        if not self.val_metric:
            raise ValueError("best_index: expected validation figures (fit(..., validation_data=) measures them), got none")
        name = f"val_{self.metric_name}"
        if self.metric_name not in BETTER:
            raise ValueError(f"best_index: it is not known which is better for {name!r}: look at val_metric")
        raise ValueError(f"best_index: expected a {name} that is a number in some epoch, got only nan")

    def _best(self) -> int | None:
        """Index of the first epoch with the best validation metric; None where that is not known."""
        better = BETTER.get(self.metric_name)
        numbers = [value for value in self.val_metric if value == value]
        if better is None or not numbers:
            return None
        return self.val_metric.index(max(numbers) if better == "max" else min(numbers))

    # ---------------------------------------------------------------- to and from other forms

    def to_dict(self) -> dict[str, Any]:
        """A copy of everything recorded, as lists and dicts by the names of the attributes."""
        return {name: _copied(getattr(self, name)) for name in _NAMES}

    @classmethod
    def from_dict(cls, figures: Mapping[str, Any]) -> Self:
        """The history that `to_dict` gave.

        Parameters
        ----------
        figures : dict
            As `to_dict` gives it.

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            If names are missing or unknown, or the lists are not of equal length.
        """
        if not isinstance(figures, Mapping):
            raise TypeError(f"expected a dict as to_dict gives it, got {type(figures).__name__}")
        result = cls()
        if set(figures) != set(_NAMES):
            raise ValueError(f"expected the names {', '.join(_NAMES)}, got {', '.join(map(str, figures))}")
        for name, value in figures.items():
            setattr(result, name, _ByName(_copied(value)) if name == "metrics" and isinstance(value, dict) else _copied(value))
        columns = {name: getattr(result, name) for name in (*_ALWAYS, *_VALIDATION, "step_lr")}
        columns |= {f"{name} {key}": values for name in _BY_NAME for key, values in getattr(result, name).items()}
        for name, values in columns.items():
            if not isinstance(values, list):
                raise TypeError(f"{name}: expected a list, got {type(values).__name__}")
            if len(values) != len(result) and (values or name in _ALWAYS):
                raise ValueError(f"{name}: expected {len(result)} entries, one for each epoch, got {len(values)}")
        return result

    def to_json(self) -> str:
        """Everything recorded as JSON, with every bit; NaN and infinity, which JSON does not have, are strings."""
        import json

        return json.dumps(_without_nonfinite(self.to_dict()), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The history that `to_json` gave.

        Parameters
        ----------
        text : str
            As `to_json` gives it.

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            If it is not JSON, or not the JSON of a history.
        """
        import json

        figures = json.loads(text)
        if isinstance(figures, dict):
            named = figures.pop("metric_name", None)
            figures = {name: _with_nonfinite(value) for name, value in figures.items()} | {"metric_name": named}
            if isinstance(figures.get("gradient_norms"), dict):
                figures["gradient_norms"] = {int(layer): norms for layer, norms in figures["gradient_norms"].items()}
        return cls.from_dict(figures)

    def to_pandas(self) -> Any:
        """A table with a row for each epoch.

        Returns
        -------
        pandas.DataFrame
            Indexed by the epoch, with the attributes as columns: loss, metric, val_loss, val_metric (where there are any),
            each of `metrics` by its name, lr, seconds, rows_per_second, and gradient_norm_0, ... where there are any.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("History.to_pandas needs pandas: pip install retrograd[pandas]") from error
        names = ("loss", "metric", *(name for name in _VALIDATION if getattr(self, name)))
        columns = {name: getattr(self, name) for name in names} | self.metrics
        columns |= {name: getattr(self, name) for name in ("lr", "seconds", "rows_per_second")}
        columns |= {f"gradient_norm_{layer}": norms for layer, norms in self.gradient_norms.items()}
        return pandas.DataFrame(columns, index=pandas.Index(self.epoch, name="epoch"), dtype=float)

    def plot(self, ax: Any = None) -> tuple[Any, ...]:
        """Draw the learning curves: the loss, and the metric beside it, for training and validation.

        The loss is drawn on a logarithmic scale where it falls tenfold or more. The best validation metric is marked. Panels
        for other metrics, for a learning rate that changed, and for the norms of gradients follow where there are any.

        Parameters
        ----------
        ax : matplotlib Axes, or a sequence of them, optional
            Where to draw. Two take loss and metric; more take the other panels too; a single one takes the loss, and
            the metric on an axis at its right. Default: all panels, in a new figure.

        Returns
        -------
        tuple of matplotlib Axes
            The axes of the loss, of the metric, and of the other panels. ``axes[0].figure.savefig("curve.png")`` writes
            the picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no epoch to draw.
        """
        from . import plots

        if isinstance(ax, str | os.PathLike):
            raise TypeError(f"ax: expected matplotlib Axes, got {ax!r}; write history.plot()[0].figure.savefig({str(ax)!r})")
        plots.need_matplotlib("History.plot")
        if not self.epoch:
            raise ValueError("History.plot: expected at least one epoch, got none")
        return plots.learning_curves(self, ax)


_NAMES = History.__slots__[:-1]


def _plain(value: Any) -> Any:
    """A pickle has no class that a later version would have to know."""
    return dict(value) if isinstance(value, _ByName) else value


def _copied(value: Any) -> Any:
    """A deep copy of lists and dicts."""
    if isinstance(value, list):
        return [_copied(part) for part in value]
    return {key: _copied(part) for key, part in value.items()} if isinstance(value, dict) else value


def _without_nonfinite(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nonfinite(part) for part in value]
    if isinstance(value, dict):
        return {key: _without_nonfinite(part) for key, part in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _with_nonfinite(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_nonfinite(part) for part in value]
    if isinstance(value, dict):
        return {key: _with_nonfinite(part) for key, part in value.items()}
    return float(value) if isinstance(value, str) else value
