"""Measures of answers against the truth, as scikit-learn defines them: call them directly, or name them in `Trainer.fit`.

In all of them `y_true` holds labels 0, 1, ... (rows,), 0 and 1 for several outputs (rows, outputs), or numbers.
`y_pred` holds labels, or probabilities (scores) from which the label is taken: the largest of a row (rows, outputs), or
whether a single column is above 0.5. (rows, 1) means (rows,). `sample_weight` (rows,) weighs the rows. Labels may be
integers of any type and floats that are whole numbers; they are compared exactly, however large they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ._careful import names_of, says_where
from ._checks import as_int
from ._data.arrays import Array, as_array
from ._data.targets import one_hot_labels
from ._figures import BETTER, Direction, check_better
from ._names import METRIC_ALIASES, resolved, squashed
from ._pickles import Recorded
from .losses import ALIASES as LOSS_ALIASES
from .losses import LOSSES

__all__ = ["Metric", "accuracy", "auc", "f1", "mae", "r2", "rmse", "top_k"]

Average = Literal["auto", "binary", "macro", "micro", "weighted"]
Takes = Literal["predictions", "probabilities", "labels", "scores"]  # what a metric is given; see `Metric`

# ---------------------------------------------------------------- to call directly


def accuracy(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """The share of right answers; with several outputs, the share over all of them.

    Parameters
    ----------
    y_true, y_pred, sample_weight : array
        See the module.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    ValueError, TypeError
        Shapes or values that do not fit.
    """
    truth, found, weight = _labels(*_checked(y_true, y_pred, sample_weight))
    right = truth == found
    return _mean(right if right.ndim == 1 else right.mean(axis=1), weight)


def top_k(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None, *, k: int = 5) -> float:
    """The share of rows whose label is among the k largest scores; of equal scores the higher label comes first.

    Parameters
    ----------
    y_true : array (rows,)
        Labels, or rows (rows, classes) of which each has a single 1 and zeros.
    y_pred : array (rows, classes)
        Scores.
    sample_weight : array (rows,), optional
    k : int, default 5

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    ValueError, TypeError
        Shapes or values that do not fit.
    """
    k = as_int(k, "k", 1)
    truth, scores, weight = _checked(y_true, y_pred, sample_weight)
    if truth.ndim == 2:
        labels = one_hot_labels(truth)
        if labels is None:
            raise ValueError("top_k: expected labels (rows,), or rows of which each has a single 1 and zeros, got others")
        truth = labels
    label = _class_labels(truth, scores, "top_k")
    own = scores[np.arange(len(scores)), label][:, None]
    before = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) > label[:, None]))
    return _mean(before.sum(axis=1) < k, weight)


def f1(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    average: Average = "auto",
    labels: ArrayLike | None = None,
) -> float:
    """The harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn), 0 where that is 0 / 0.

    Parameters
    ----------
    y_true, y_pred, sample_weight : array
        See the module.
    average : {"auto", "binary", "macro", "micro", "weighted"}, default "auto"
        "binary": for label 1. The others go over `labels`, or over all outputs: "macro" is their mean, "weighted" their
        mean weighed by how often each occurs in y_true, "micro" is taken from the sums of tp, fp and fn. "auto" is
        "binary" where all labels are 0 and 1, else "macro".
    labels : array, optional
        The labels to go over, whether or not they occur, as in scikit-learn's `f1_score`. Default: those of all columns
        where `y_pred` has several, else those that occur in either array. `Trainer.fit` gives all labels of the network,
        so that the figure means the same in every epoch and on all data.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    ValueError, TypeError
        Shapes or values that do not fit.
    """
    if average not in ("auto", "binary", "macro", "micro", "weighted"):
        raise ValueError(f'average: expected "auto", "binary", "macro", "micro" or "weighted", got {average!r}')
    truth, given, weight = _checked(y_true, y_pred, sample_weight)
    truth, found, weight = _labels(truth, given, weight)
    if truth.ndim == 2:
        if average == "binary":
            raise ValueError('average: expected "macro", "micro" or "weighted" with several outputs, got "binary"')
        if labels is not None:
            raise ValueError("labels: expected None with several outputs, each of which counts")
        is_true, is_found = truth == 1, found == 1
    else:
        if labels is not None:
            over = np.unique(_integers(_numeric(labels, "labels"), "labels"))
        elif given.ndim == 2:
            over = np.arange(given.shape[1])
        else:
            over = np.union1d(truth, found)
        if len(over) == 0:
            raise ValueError("labels: expected at least one label, got none")
        two = over[0] >= 0 and over[-1] <= 1
        if average == "auto":
            average = "binary" if two else "macro"
        if average == "binary":
            if not two:
                raise ValueError(f'average: expected labels 0 and 1 with "binary", got {_listed(over)}')
            over = np.array([1])
        is_true, is_found = truth[:, None] == over, found[:, None] == over
    w = np.ones(len(truth)) if weight is None else weight
    tp, n_true, n_found = w @ (is_true & is_found), w @ is_true, w @ is_found
    if average == "micro":
        tp, n_true, n_found = tp.sum(keepdims=True), n_true.sum(keepdims=True), n_found.sum(keepdims=True)
    total = n_true + n_found
    scores = np.divide(2 * tp, total, out=np.zeros_like(total), where=total > 0)
    if average == "weighted":
        support = n_true.sum()
        return float(scores @ n_true / support) if support > 0 else 0.0
    return float(scores.mean())


def auc(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    average: Literal["macro", "weighted"] = "macro",
) -> float:
    """The area under the ROC curve: the chance that a row of the label has the greater score, equal ones counting half.

    Parameters
    ----------
    y_true : array
        Labels 0 and 1 (rows,), labels 0, 1, ... (rows,), or 0 and 1 (rows, outputs).
    y_pred : array
        Scores of label 1 (rows,), scores of each label (rows, classes), each against the rest, or scores of each
        output.
    sample_weight : array (rows,), optional
    average : {"macro", "weighted"}, default "macro"
        With several labels (outputs), the mean over those that some rows have and some have not; "weighted" weighs it
        by how often each occurs.

    Returns
    -------
    float
        0 to 1; NaN where no label (output) has rows of both kinds.

    Raises
    ------
    ValueError, TypeError
        Shapes or values that do not fit.

    Notes
    -----
    Fawcett: An introduction to ROC analysis (2006).
    """
    if average not in ("macro", "weighted"):
        raise ValueError(f'average: expected "macro" or "weighted", got {average!r}')
    truth, scores, weight = _checked(y_true, y_pred, sample_weight)
    w = np.ones(len(truth)) if weight is None else weight
    if scores.ndim == 1:
        _need_zeros_and_ones(truth)
        return _auc(truth == 1, scores, w)
    if truth.ndim == 2:
        _need_zeros_and_ones(truth)
        is_true = truth == 1
    else:
        label = _class_labels(truth, scores, "auc")
        if scores.shape[1] == 2:
            return _auc(label == 1, scores[:, 1], w)
        is_true = label[:, None] == np.arange(scores.shape[1])
    areas = np.array([_auc(is_true[:, i], scores[:, i], w) for i in range(scores.shape[1])])
    support = w @ is_true
    there = ~np.isnan(areas)
    if not there.any():
        return float("nan")
    return float(np.average(areas[there], weights=support[there] if average == "weighted" else None))


def _auc(is_true: Array, scores: Array, w: Array) -> float:
    """The area for one label against the rest."""
    _, place = np.unique(scores, return_inverse=True)
    of_label = np.bincount(place, w * is_true)
    of_rest = np.bincount(place, w * ~is_true)
    pairs = of_label.sum() * of_rest.sum()
    if pairs == 0:
        return float("nan")
    return float(of_label @ (np.cumsum(of_rest) - of_rest / 2) / pairs)


def r2(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """The share of the variance that is explained: 1 - sum (y - p)^2 / sum (y - mean y)^2, then the mean over outputs.

    Parameters
    ----------
    y_true, y_pred : array (rows,) or (rows, outputs)
        Numbers.
    sample_weight : array (rows,), optional

    Returns
    -------
    float
        At most 1. An output whose truth is constant gives 1 where it is predicted exactly, else 0; a single row gives
        NaN.

    Raises
    ------
    ValueError, TypeError
        Shapes or values that do not fit.
    """
    truth, found, weight = _numbers(y_true, y_pred, sample_weight)
    if len(truth) < 2:
        return float("nan")
    mean = np.average(truth, axis=0, weights=weight)
    w = np.ones(len(truth)) if weight is None else weight
    rest, total = np.asarray(w @ (truth - found) ** 2), np.asarray(w @ (truth - mean) ** 2)
    scores = 1 - np.divide(rest, total, out=np.asarray(rest != 0, np.float64), where=total != 0)
    return float(scores.mean())


def mae(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """The mean absolute error, over rows and outputs.

    Parameters
    ----------
    y_true, y_pred : array (rows,) or (rows, outputs)
        Numbers.
    sample_weight : array (rows,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        Shapes or values that do not fit.
    """
    truth, found, weight = _numbers(y_true, y_pred, sample_weight)
    return float(np.average(np.abs(truth - found), axis=0, weights=weight).mean())


def rmse(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """The root of the mean squared error over rows; with several outputs, the mean of their roots.

    Parameters
    ----------
    y_true, y_pred : array (rows,) or (rows, outputs)
        Numbers.
    sample_weight : array (rows,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        Shapes or values that do not fit.
    """
    truth, found, weight = _numbers(y_true, y_pred, sample_weight)
    return float(np.sqrt(np.average((truth - found) ** 2, axis=0, weights=weight)).mean())


# ---------------------------------------------------------------- checks


def _checked(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, Array, Array | None]:
    """Finite arrays with equal numbers of rows, where a single column is (rows,).

    Numbers are float64, integers int64, or Python's own where they do not fit that.
    """
    arrays = []
    for name, value in (("y_true", y_true), ("y_pred", y_pred)):
        array = _numeric(value, name)
        if array.ndim not in (1, 2) or array.size == 0:
            raise ValueError(f"{name}: expected shape (rows,) or (rows, outputs), with at least one row, got {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers")
        arrays.append(array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array)
    truth, found = arrays
    if len(truth) != len(found) or (truth.ndim == 2 and truth.shape != found.shape):
        raise ValueError(f"expected y_true and y_pred that fit each other, got shapes {truth.shape} and {found.shape}")
    if sample_weight is None:
        return truth, found, None
    weight = as_array(sample_weight, "sample_weight").astype(np.float64)
    if weight.shape != (len(truth),) and weight.shape != (len(truth), 1):
        raise ValueError(f"sample_weight: expected shape ({len(truth)},), got {weight.shape}")
    weight = weight.reshape(-1)
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.any()):
        raise ValueError("sample_weight: expected finite numbers of at least 0, not all of them 0")
    return truth, found, weight


def _labels(truth: Array, found: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
    """The labels of both: (rows,), or 0 and 1 (rows, outputs)."""
    if truth.ndim == 2:
        _need_zeros_and_ones(truth)
        return truth.astype(np.int64), (found > 0.5).astype(np.int64), weight
    if found.ndim == 2:
        return _class_labels(truth, found, "labels"), found.argmax(axis=1), weight
    if found.dtype.kind == "f" and (found != np.floor(found)).any():
        found = (found > 0.5).astype(np.int64)
        _need_zeros_and_ones(truth)
    return _integers(truth, "y_true"), _integers(found, "y_pred"), weight


def _numeric(value: ArrayLike, name: str) -> Array:
    """Floats as float64, integers as int64, or as Python's integers where some do not fit that."""
    array = as_array(value, name)
    if array.dtype.kind == "f":
        if not isinstance(value, np.ndarray) and array.size and np.abs(array).max() >= 2**53:
            exact = np.asarray(value, object)  # NumPy makes floats of large integers beside negative ones
            if all(isinstance(one, int | np.integer) for one in exact.flat):
                return exact
        return array if array.dtype.itemsize > 8 else array.astype(np.float64)
    if array.dtype.kind == "u" and array.size and array.max() > _LARGEST:
        return array.astype(object)
    return array.astype(np.int64)


_LARGEST = 2**63 - 1  # of int64


def _integers(values: Array, name: str) -> Array:
    """Labels as int64, or as Python's integers where some do not fit that, so that none becomes another."""
    if values.dtype.kind != "f":
        return values
    if (values != np.floor(values)).any():
        raise ValueError(f"{name}: expected integer labels, got {values[values != np.floor(values)][0]}")
    if values.size and np.abs(values).max() >= 2.0**63:
        return np.array([int(one) for one in values.flat], object).reshape(values.shape)
    return values.astype(np.int64)


def _listed(labels: Iterable[int]) -> str:
    """The first of many labels, for a message."""
    shown = [str(label) for label in labels]
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")


def _class_labels(truth: Array, scores: Array, what: str) -> Array:
    """The true labels, each of which must be a column of the scores."""
    if scores.ndim != 2 or truth.ndim != 1:
        raise ValueError(f"{what}: expected labels (rows,) and scores (rows, classes), got {truth.shape} and {scores.shape}")
    label = _integers(truth, "y_true")
    if label.min() < 0 or label.max() >= scores.shape[1]:
        raise ValueError(f"y_true: expected labels 0 to {scores.shape[1] - 1}, got {label.min()} to {label.max()}")
    return label.astype(np.int64)


def _need_zeros_and_ones(truth: Array) -> None:
    if not np.isin(truth, (0, 1)).all():
        raise ValueError(f"y_true: expected labels 0 and 1, got {truth[~np.isin(truth, (0, 1))][0]}")


def _numbers(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, Array, Array | None]:
    truth, found, weight = _checked(y_true, y_pred, sample_weight)
    if truth.shape != found.shape:
        raise ValueError(f"expected y_true and y_pred of the same shape, got {truth.shape} and {found.shape}")
    return truth.astype(np.float64), found.astype(np.float64), weight


def _mean(values: Array, weight: Array | None) -> float:
    return float(np.average(values, weights=weight))


# ---------------------------------------------------------------- by name, or your own


@says_where()
@dataclass(frozen=True)
class Metric(Recorded):
    """A measure of your own for `Trainer.fit(..., metrics=[...])`, with a name and what it takes.

    Parameters
    ----------
    function : callable (y_true, y_pred) -> float
        Called with `sample_weight=` too where rows have weights (those of `class_weight` included). It returns one
        number; NaN where there is none.
    name : str, optional
        Its name in the history. Default: the function's. A `functools.partial` has its arguments in it,
        "fbeta_score(beta=2)"; functions without a name are "metric_1", "metric_2", ... in a `fit`.
    takes : {"predictions", "probabilities", "labels", "scores"}, default "predictions"
        What it is given. "predictions" and "probabilities": the targets as `fit` was given them (labels where the network
        predicts labels), and the answer of `Network.predict` or of `Network.predict_proba`. "labels": labels of both,
        also where a loss for numbers has classes as targets: one-hot rows give the number of their 1 and of the largest
        output; 0 and 1 give whether an output is above 0.5, -1 and 1 whether it is above 0. "scores": the same true
        labels, and the answer of `Network.predict_proba`, or the outputs where these are no probabilities.
    better : {"min", "max"}, optional
        Whether less or more of it is better, for `EarlyStopping` and `ReduceOnPlateau` with mode="auto". Default: known
        for the functions of this module, for no others, whatever their names are.
    """

    function: Callable[..., float]
    name: str = ""
    takes: Takes = "predictions"
    better: Direction | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"function: expected a function of y_true and y_pred, got {self.function!r}")
        if not isinstance(self.name, str):
            raise TypeError(f"name: expected a string, got {self.name!r}")
        if not self.name:
            object.__setattr__(self, "name", _name_of(self.function))
        if self.takes not in ("predictions", "probabilities", "labels", "scores"):
            raise ValueError(f'takes: expected "predictions", "probabilities", "labels" or "scores", got {self.takes!r}')
        check_better(self.better)


_NAMELESS = "<lambda>"


def _name_of(function: Callable[..., Any]) -> str:
    """The name of a function; that of a partial has the arguments in it."""
    if isinstance(function, partial) and _name_of(function.func) == _NAMELESS:
        return _NAMELESS
    if isinstance(function, partial):
        shown = [_short(value) for value in function.args]
        shown += [f"{name}={_short(value)}" for name, value in function.keywords.items()]
        return f"{_name_of(function.func)}({', '.join(shown)})"
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


def _short(value: object) -> str:
    """A value in a name."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 20 and text.isprintable() else type(value).__name__


_OWN: dict[str, tuple[Callable[..., float], Takes]] = {
    "accuracy": (accuracy, "labels"),
    "f1": (f1, "labels"),
    "auc": (auc, "scores"),
    "top_k": (top_k, "scores"),
    "r2": (r2, "predictions"),
    "mae": (mae, "predictions"),
    "rmse": (rmse, "predictions"),
}
_VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in _OWN},
    **{f"f1_{way}": ("f1", {"average": way}) for way in ("binary", "macro", "micro", "weighted")},
    "auc_weighted": ("auc", {"average": "weighted"}),
}


def own_name(function: Callable[..., Any]) -> str | None:
    """The name of a function of this module, also within a partial; None for any other."""
    while isinstance(function, partial):
        function = function.func
    return next((name for name, (own, _) in _OWN.items() if own is function), None)


def better_of(metric: Metric) -> Direction | None:
    """Whether less or more of it is better, as far as it says so or is a function of this module."""
    own = own_name(metric.function)
    return metric.better or (None if own is None else BETTER[own])


def as_metrics(given: object) -> list[Metric]:
    """Metrics, from a sequence of names, functions and metrics; each has a name of its own."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        hint = "; write metrics=[rg.metrics.Metric(function, name)]" if isinstance(given, Mapping) else ""
        hint = f"; write metrics=[{given!r}]" if isinstance(given, str) else hint
        raise TypeError(f"metrics: expected a sequence of names, functions or Metric, got {given!r}{hint}")
    found, nameless = [_as_metric(one) for one in given], 0
    for i, metric in enumerate(found):
        if metric.name == _NAMELESS:
            nameless += 1
            found[i] = replace(metric, name=f"metric_{nameless}")
    return found


# What other packages measure and this one does not, or gives with another sign.
_NOT_THE_SAME = {
    "precision": 'there is "f1", or a function of y_true and y_pred of your own',
    "recall": 'there is "f1", or a function of y_true and y_pred of your own',
    "negmeanabsoluteerror": 'scikit-learn turns its sign; write "mae"',
    "negrootmeansquarederror": 'scikit-learn turns its sign; write "rmse"',
    "topkaccuracy": 'write "top_2", which is scikit-learn\'s default',
    "topkcategoricalaccuracy": 'write "top_5", which is Keras\'s default',
}


def _true_name(given: str) -> str:
    """The name of a metric, from what a user calls it."""
    key = squashed(given)
    if key in METRIC_ALIASES or given in _VARIANTS:
        return METRIC_ALIASES.get(key, given)
    if key in LOSS_ALIASES or key in map(squashed, LOSSES):
        raise ValueError(
            f"metrics: expected one of {', '.join(_VARIANTS)}, top_1, top_2, ..., got {given!r}, which is a loss; "
            f'history.loss and history.val_loss have that of the network, and "rmse" is the root of the squared error'
        )
    return resolved(given, (*_VARIANTS, "top_1", "top_2", "..."), "metrics", METRIC_ALIASES, _NOT_THE_SAME)


def _as_metric(given: object) -> Metric:
    """The metric itself, or the metric of that name or function."""
    if isinstance(given, Metric):
        return given
    if callable(given):
        own = own_name(given)
        return Metric(given, takes="predictions" if own is None else _OWN[own][1])
    if not isinstance(given, str):
        raise TypeError(f"metrics: expected names, functions or Metric, got {given!r}")
    top = re.fullmatch(r"top_?([1-9]\d*)", given.lower())
    given = f"top_{top[1]}" if top else _true_name(given)
    name, options = ("top_k", {"k": int(top[1])}) if top else _VARIANTS[given]
    function, takes = _OWN[name]
    return Metric(partial(function, **options) if options else function, given, takes)


def with_labels(metric: Metric, labels: int) -> Metric:
    """The same metric over labels 0, 1, ..., so many of them, whether or not they occur, where it asks for labels."""
    if own_name(metric.function) != "f1" or "labels" in getattr(metric.function, "keywords", ()):
        return metric
    return replace(metric, function=partial(metric.function, labels=range(labels)))


def _meant(name: str) -> str:
    """What to write for a name of another package's."""
    found = METRIC_ALIASES.get(squashed(name))
    return f"rg.metrics.{_VARIANTS[found][0]}(y_true, y_pred)" if found else _NOT_THE_SAME.get(squashed(name), "")


if not TYPE_CHECKING:
    __getattr__, __dir__ = names_of(__name__, __all__, _meant)
