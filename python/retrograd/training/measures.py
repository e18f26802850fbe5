"""The metrics of one call of `fit`: what is asked for, on which data, and the figures after each epoch."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .._data.arrays import Array
from ..metrics import Metric, as_metric
from ..network import Network


class MetricsRun:
    """The metrics of one call of `fit`, on the data that they are measured on: by prefix rows, targets, perhaps weights."""

    def __init__(self, metrics: object, network: Network, data: Mapping[str, Sequence[Any]]) -> None:
        self._network, self._data = network, data
        self._metrics: list[Metric] = []
        self._truths: dict[str, Array] = {}
        if type(metrics) is tuple and not metrics:  # the default, at once
            return
        if isinstance(metrics, str) or not isinstance(metrics, Sequence):
            raise TypeError(f"metrics: expected a sequence of names, functions or Metric, got {metrics!r}")
        classifier = network.metric_name == "accuracy"
        self._metrics = [as_metric(one, classifier) for one in metrics]
        names = [metric.name for metric in self._metrics]
        for name in {"loss", "metric"}.intersection(names):
            raise ValueError(f"metrics: expected another name than {name!r}, which the history has for its own")
        if len(set(names)) != len(names):
            raise ValueError(f"metrics: expected each name once, got {', '.join(names)}")
        if self._metrics and not data:
            raise ValueError("metrics: expected data to measure on: validation_data, validation_split or train_metrics=True")
        for metric in self._metrics:
            if metric.takes == "probabilities":
                network.predict_proba(np.zeros((1, network.sizes[0])))  # refuses where the outputs are none
            if any(_weight(rows) is not None for rows in data.values()) and not _takes_weights(metric.function):
                raise TypeError(f"metrics: {metric.name} takes no sample_weight, but there are weights")
        if self._metrics:
            self._truths = {prefix: _truth(rows[1], network).view() for prefix, rows in data.items()}
        for truth in self._truths.values():  # a view of what is trained on, perhaps: not for a user's function to change
            truth.flags.writeable = False

    @property
    def names(self) -> list[str]:
        """Of the figures, as the history has them."""
        return [f"{prefix}{metric.name}" for prefix in self._data for metric in self._metrics]

    def measured(self, n_threads: int | None) -> dict[str, float]:
        """All figures for the weights of now."""
        found = {}
        for prefix, truth in self._truths.items():
            rows, weight = self._data[prefix][0], _weight(self._data[prefix])
            answers = {
                takes: self._network.predict(rows, n_threads=n_threads)
                if takes == "predictions"
                else self._network.predict_proba(rows, n_threads=n_threads)
                for takes in {metric.takes for metric in self._metrics}
            }
            for metric in self._metrics:
                weighing = {} if weight is None else {"sample_weight": weight.reshape(-1).astype(np.float64)}
                found[f"{prefix}{metric.name}"] = float(metric.function(truth, answers[metric.takes], **weighing))
        return found


def _weight(data: Sequence[Any]) -> Array | None:
    return data[2] if len(data) > 2 else None


def _takes_weights(function: Callable[..., float]) -> bool:
    try:
        parameters: Iterable[inspect.Parameter] = inspect.signature(function).parameters.values()
    except ValueError:
        return True  # not known: it will say so itself
    return any(p.name == "sample_weight" or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def _truth(targets: Array, network: Network) -> Array:
    """What the metrics are given as y_true: labels where the network predicts labels, else the targets."""
    if targets.ndim == 1:
        labels: Array = targets.astype(np.int64)
        return labels
    if network.metric_name == "accuracy":
        if network.predict(np.zeros((2, network.sizes[0]))).ndim == 1 and targets.shape[1] > 1:  # one of several labels
            return np.asarray(targets.argmax(axis=1))
        targets = (targets > 0.5).astype(np.int64)
    return targets[:, 0] if targets.shape[1] == 1 else targets
