"""The metrics of one call of `fit`: which ones, on which data, and their figures after each epoch.

No state is kept over epochs but which figures were NaN already: each figure belongs to the present weights. What a
metric computes is in metrics.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .._data.arrays import Array
from .._data.examples import Examples
from .._data.targets import ClassKind, kind_of_classes, one_hot_labels
from .._monitor import Figures
from .._spec import NetworkSpec
from ..errors import TrainingWarning, warn
from ..history import History
from ..metrics import Metric, as_metrics, better_of, own_name, with_labels
from ..network import Network
from .undefined import why_nan

_OF_NUMBERS = ("r2", "mae", "rmse")
# names that the history has for its own
_TAKEN = ("loss", "metric", "val_loss", "val_metric", "epoch", "seconds", "lr", "rows_per_second")


class MetricsRun:
    """The metrics of one call of `fit`, and the data that they are measured on, by the prefix of the figures' names."""

    def __init__(self, metrics: object, network: Network, training: Examples, data: Mapping[str, Examples]) -> None:
        self._network, self._data = network, data
        self._metrics: list[Metric] = []
        self._truths: dict[tuple[str, bool], Array] = {}  # by prefix, and whether they are labels
        self._kind: ClassKind | None = None
        self._causes: dict[str, str] = {}  # why a figure was NaN
        self._told: set[str] = set()
        self._threads: int | None = None
        if type(metrics) is tuple and not metrics:  # the default needs no checks
            return
        spec = network._spec
        self._metrics = as_metrics(metrics)
        self._check_names()
        if self._metrics and not data:
            raise ValueError("metrics: expected data to measure on: validation_data, validation_split or train_metrics=True")
        for metric, given in zip(self._metrics, metrics, strict=True):  # type: ignore[call-overload]  # it is a sequence
            own = own_name(metric.function)
            if isinstance(given, str) and spec.is_classifier and own in _OF_NUMBERS:
                raise ValueError(f"metrics: expected measures of labels for this loss, got {given!r}")
            if metric.takes == "probabilities":
                try:
                    spec.check_probabilities()
                except ValueError as error:
                    raise ValueError(f"metrics: {metric.name} takes probabilities: {error}") from None
            if any(part.weights is not None for part in data.values()) and not _takes_weights(metric.function):
                raise TypeError(
                    f"metrics: {metric.name} takes no sample_weight, but rows have weights (of sample_weight=, class_weight= "
                    f"or the third part of validation_data=); write def {metric.name}(y_true, y_pred, sample_weight=None)"
                )
        self._find_truths(training)
        for metric in self._metrics:
            k = getattr(metric.function, "keywords", {}).get("k", 0) if own_name(metric.function) == "top_k" else 0
            if k > spec.outputs > 1:
                raise ValueError(f"metrics: expected top_1 to top_{spec.outputs} with {spec.outputs} outputs, got top_{k}")
            self._try_out(metric)

    def _check_names(self) -> None:
        names = [metric.name for metric in self._metrics]
        every = [*names, *self._names(self._metrics)]
        for name in _TAKEN:
            if name in every:
                raise ValueError(f"metrics: expected another name than {name!r}, which the history has for its own")
        if len(set(names)) != len(names) or len(set(self._names(self._metrics))) != len(names) * len(self._data):
            hint = "" if len(set(names)) == len(names) else " (metrics.Metric(function, name) gives another)"
            raise ValueError(f"metrics: expected each name once, got {', '.join(names)}{hint}")

    def _find_truths(self, training: Examples) -> None:
        """The y_true of each part of the data, and what tells classes where a loss for numbers has them as targets."""
        spec = self._network._spec
        for of_labels in {_of_labels(metric) for metric in self._metrics}:
            if of_labels and not spec.is_classifier:
                name = next(metric.name for metric in self._metrics if _of_labels(metric))
                self._kind = kind_of_classes(training.targets, spec)
                for prefix, part in self._data.items():
                    _check_classes(self._kind, part.targets, spec, name, prefix)
            for prefix, part in self._data.items():
                truth = _class_truth(part.targets, self._kind) if of_labels and self._kind else _truth(part.targets, spec)
                self._truths[prefix, of_labels] = truth.view()
        for truth in self._truths.values():  # perhaps a view of the training data, which a user's function must not change
            truth.flags.writeable = False
        n_labels = 2 if spec.outputs == 1 else spec.outputs if spec.picks_one or self._kind == "one-hot" else None
        if n_labels is None:  # each output has labels of its own
            return
        self._metrics = [with_labels(metric, n_labels) if _of_labels(metric) else metric for metric in self._metrics]
        for prefix in self._data:
            self._warn_of_missing_labels(prefix, n_labels)

    def _warn_of_missing_labels(self, prefix: str, n_labels: int) -> None:
        """Say where a mean over all labels has some that no row has."""
        over_all = [metric for metric in self._metrics if _is_macro(metric, n_labels)]
        if not over_all:
            return
        missing = sorted(set(range(n_labels)) - set(np.unique(self._truths[prefix, True]).tolist()))
        if missing:
            many = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            one = len(missing) == 1
            warn(
                f"{', '.join(self._names(over_all, prefix))}: no {_rows(prefix)} row has label{'' if one else 's'} {many}, "
                f"which {'counts' if one else 'count'} as 0 in the mean over {n_labels} labels",
                TrainingWarning,
            )

    def _try_out(self, metric: Metric) -> None:
        """Let a metric of this package look at shapes and kinds of what it will be given, before anything is trained."""
        if own_name(metric.function) is None:
            return
        for prefix in self._data:
            truth = self._truths[prefix, _of_labels(metric)]
            rows = len(truth) if truth.ndim == 2 and own_name(metric.function) == "top_k" else 1
            try:
                answer = self._answer(metric, self._data[prefix].rows[:1])
                if _are_finite(answer):
                    metric.function(truth[:rows], np.repeat(self._as_taken(metric, answer), rows, axis=0))
            except (TypeError, ValueError) as error:
                raise type(error)(f"metrics: {metric.name}: {error}") from None

    def _names(self, metrics: Iterable[Metric], *prefixes: str) -> list[str]:
        return [f"{prefix}{metric.name}" for prefix in prefixes or self._data for metric in metrics]

    @property
    def figures(self) -> Figures:
        """The figures in the history by name, and which is better."""
        return {f"{prefix}{metric.name}": better_of(metric) for prefix in self._data for metric in self._metrics}

    # ---------------------------------------------------------------- after an epoch

    def look_at(self, network: Network) -> None:
        """Measure this network from now on: the one in training, or its average."""
        self._network = network

    def measured(self, n_threads: int | None) -> dict[str, float]:
        """All figures for the present weights."""
        found: dict[str, float] = {}
        self._threads = n_threads
        if not self._metrics:
            return found
        for prefix, data in self._data.items():
            weighing = {} if data.weights is None else {"sample_weight": data.weights.reshape(-1).astype(np.float64)}
            answers: dict[str, Array] = {}
            for metric in self._metrics:
                if metric.takes not in answers:
                    answers[metric.takes] = self._answer(metric, data.rows)
                name, truth = f"{prefix}{metric.name}", self._truths[prefix, _of_labels(metric)]
                found[name] = self._value(metric, name, prefix, truth, answers[metric.takes], weighing)
        return found

    def _value(self, metric: Metric, name: str, prefix: str, truth: Array, answer: Array, weighing: Mapping[str, Any]) -> float:
        """One figure; NaN where a metric of this package cannot be computed, with the cause kept."""
        own = own_name(metric.function)
        if (own is not None or metric.takes == "labels") and not _are_finite(answer):
            self._causes[name] = _not_finite(answer, prefix)
            return float("nan")
        try:
            value = _as_number(metric.function(truth, self._as_taken(metric, answer), **weighing), metric.name)
        except Exception as error:
            error.add_note(f"This was in the metric {metric.name!r} on the {_rows(prefix)} data.")
            raise
        if value != value:
            weight = weighing.get("sample_weight")
            self._causes[name] = why_nan(own, truth, weight, _rows(prefix)) or "the function returned nan"
        return value

    def _answer(self, metric: Metric, rows: Array) -> Array:
        """What the network says to these rows, as the metric takes it."""
        if metric.takes == "scores" and not self._network._spec.has_probabilities:
            return self._network._outputs(rows, self._threads)
        if metric.takes in ("probabilities", "scores"):
            return self._network.predict_proba(rows, n_threads=self._threads)
        return self._network.predict(rows, n_threads=self._threads)

    def _as_taken(self, metric: Metric, answer: Array) -> Array:
        """The y_pred of a metric: labels are made of the outputs of a loss for numbers where it takes labels."""
        return _decided(answer, self._kind) if self._kind is not None and metric.takes == "labels" else answer

    def tell_of_nan(self, history: History) -> None:
        """Warn of figures of the last epoch that are NaN for the first time, and say why."""
        if not self._data:
            return
        names = [*(("val_loss", "val_metric") if history.val_loss else ()), *history.metrics]
        for name in names:
            if (value := history.column(name)[-1]) == value or name in self._told:
                continue
            self._told.add(name)
            shown = f"val_{history.metric_name}" if name == "val_metric" else name
            warn(f"{shown} is nan in epoch {history.epoch[-1]}: {self._causes.get(name) or self._of_loss()}", TrainingWarning)

    def _of_loss(self) -> str:
        """Why loss or metric of the validation data are NaN."""
        outputs, _ = self._network._core.predict(self._data["val_"].rows, _OUTPUTS, 0)
        return "a term of it is not finite" if _are_finite(outputs) else _not_finite(outputs, "val_")


_OUTPUTS = 0  # of what the core's `predict` answers: the outputs as they are


def _of_labels(metric: Metric) -> bool:
    """Whether its y_true are labels even where a loss for numbers has classes as targets."""
    return metric.takes in ("labels", "scores")


def _is_macro(metric: Metric, n_labels: int) -> bool:
    """Whether it is the mean of F1 over all labels, which `with_labels` gave it."""
    options: Mapping[str, Any] = getattr(metric.function, "keywords", {})
    if own_name(metric.function) != "f1" or options.get("labels") != range(n_labels):
        return False
    average = options.get("average", "auto")
    return average == "macro" or (average == "auto" and n_labels > 2)


def _rows(prefix: str) -> str:
    """Which data the prefix stands for."""
    return "validation" if prefix else "training"


def _are_finite(answer: Array) -> bool:
    return answer.dtype.kind != "f" or bool(np.isfinite(answer).all())


def _not_finite(answer: Array, prefix: str) -> str:
    wrong = ~np.isfinite(answer.reshape(len(answer), -1)).all(axis=1)
    return (
        f"the outputs of {wrong.sum()} of the {len(answer)} {_rows(prefix)} rows are not finite, "
        f"those of row {int(np.argmax(wrong))} first"
    )


def _as_number(value: Any, name: str) -> float:
    """The figure as a float, where it is one number."""
    array = isinstance(value, np.ndarray)
    if (array and value.ndim > 0) or isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        shown = f"an array of shape {value.shape}" if array else "None" if value is None else f"a {type(value).__name__}"
        raise TypeError(f"metrics: expected one number from {name!r}, got {shown}")
    return float(value)


def _takes_weights(function: Callable[..., float]) -> bool:
    try:
        parameters: Iterable[inspect.Parameter] = inspect.signature(function).parameters.values()
    except ValueError:
        return True  # unknown: the call itself will fail
    return any(p.name == "sample_weight" or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


# ---------------------------------------------------------------- targets and outputs as y_true and y_pred


def _truth(targets: Array, spec: NetworkSpec) -> Array:
    """The y_true of the metrics: labels where the network predicts labels, otherwise the targets."""
    if targets.ndim == 1:
        labels: Array = targets.astype(np.int64)
        return labels
    if spec.decides == "label":  # the targets are rows of probabilities
        return np.asarray(targets.argmax(axis=1))
    if spec.is_classifier:
        targets = (targets > 0.5).astype(np.int64)
    return targets[:, 0] if targets.shape[1] == 1 else targets


def _check_classes(kind: ClassKind | None, targets: Array, spec: NetworkSpec, name: str, prefix: str) -> None:
    """Refuse a measure of labels where a loss for numbers does not have classes as targets."""
    if kind is None:
        raise ValueError(
            f"metrics: expected measures of numbers for {spec.loss_name!r} with these targets, got {name!r}: "
            "it needs classes, which are one-hot rows, or 0 and 1, or -1 and 1"
        )
    found = kind_of_classes(targets, spec)
    if found != kind and not (kind == "each" and found == "one-hot"):
        all_ones = kind == "signs" and bool((targets == 1).all())
        if not all_ones:
            shown = {"one-hot": "one-hot rows", "each": "0 and 1", "signs": "-1 and 1"}[kind]
            raise ValueError(f"metrics: {name!r} expected {shown} in the {_rows(prefix)} data too, as in the training data")


def _class_truth(targets: Array, kind: ClassKind) -> Array:
    """Labels, from targets of a loss for numbers."""
    labels = one_hot_labels(targets) if kind == "one-hot" else (targets > 0).astype(np.int64)
    assert labels is not None
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _decided(outputs: Array, kind: ClassKind) -> Array:
    """Labels, from outputs of a loss for numbers."""
    if kind == "one-hot":
        return np.asarray(outputs.argmax(axis=1))
    return np.asarray(outputs > (0.5 if kind == "each" else 0)).astype(np.int64)
