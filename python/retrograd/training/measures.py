"""The metrics of one call of `fit`: which ones, on which data, and their figures after each epoch.

No state is kept over epochs: each figure belongs to the present weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from .._data.arrays import Array
from .._data.examples import Examples
from .._spec import NetworkSpec
from ..metrics import Metric, as_metric
from ..network import Network


class MetricsRun:
    """The metrics of one call of `fit`, and the data that they are measured on, by the prefix of the figures' names."""

    def __init__(self, metrics: object, network: Network, data: Mapping[str, Examples]) -> None:
        self._network, self._data = network, data
        self._metrics: list[Metric] = []
        self._truths: dict[str, Array] = {}
        if type(metrics) is tuple and not metrics:  # the default needs no checks
            return
        if isinstance(metrics, str) or not isinstance(metrics, Sequence):
            raise TypeError(f"metrics: expected a sequence of names, functions or Metric, got {metrics!r}")
        spec = network._spec
        self._metrics = [as_metric(one, spec.is_classifier) for one in metrics]
        names = [metric.name for metric in self._metrics]
        for name in {"loss", "metric"}.intersection(names):
            raise ValueError(f"metrics: expected another name than {name!r}, which the history has for its own")
        if len(set(names)) != len(names):
            raise ValueError(f"metrics: expected each name once, got {', '.join(names)}")
        if self._metrics and not data:
            raise ValueError("metrics: expected data to measure on: validation_data, validation_split or train_metrics=True")
        for metric in self._metrics:
            if metric.takes == "probabilities":
                spec.check_probabilities()
            if any(part.weights is not None for part in data.values()) and not _takes_weights(metric.function):
                raise TypeError(f"metrics: {metric.name} takes no sample_weight, but there are weights")
        if self._metrics:
            self._truths = {prefix: _truth(part.targets, spec).view() for prefix, part in data.items()}
        for truth in self._truths.values():  # perhaps a view of the training data, which a user's function must not change
            truth.flags.writeable = False

    @property
    def names(self) -> list[str]:
        """The names of the figures in the history."""
        return [f"{prefix}{metric.name}" for prefix in self._data for metric in self._metrics]

    def look_at(self, network: Network) -> None:
        """Measure this network from now on: the one in training, or its average."""
        self._network = network

    def measured(self, n_threads: int | None) -> dict[str, float]:
        """All figures for the present weights."""
        found = {}
        for prefix, truth in self._truths.items():
            data = self._data[prefix]
            answers = {
                takes: self._network.predict(data.rows, n_threads=n_threads)
                if takes == "predictions"
                else self._network.predict_proba(data.rows, n_threads=n_threads)
                for takes in {metric.takes for metric in self._metrics}
            }
            for metric in self._metrics:
                weighing = {} if data.weights is None else {"sample_weight": data.weights.reshape(-1).astype(np.float64)}
                found[f"{prefix}{metric.name}"] = float(metric.function(truth, answers[metric.takes], **weighing))
        return found


def _takes_weights(function: Callable[..., float]) -> bool:
    try:
        parameters: Iterable[inspect.Parameter] = inspect.signature(function).parameters.values()
    except ValueError:
        return True  # unknown: the call itself will fail
    return any(p.name == "sample_weight" or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


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
