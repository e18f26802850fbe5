"""One call of `fit`, once everything is checked: epoch after epoch, and what happens between them.

How one epoch is trained is in epoch.py; the checks and all settings are in trainer.py.
"""

from __future__ import annotations

from .._data.examples import Examples
from ..callbacks import begun, called
from .advice import Adviser
from .epoch import EpochSettings, Steps, train_epoch
from .measures import MetricsRun
from .progress import Bar
from .stopping import Convergence, EarlyStoppingRun

_CALLED_WITH = "Callback.on_epoch_end is called with the trainer and the history."


def run(
    trainer: Steps,
    epochs: int,
    settings: EpochSettings,
    bar: Bar,
    validation: Examples | None,
    measures: MetricsRun,
    early: EarlyStoppingRun,
    convergence: Convergence,
    adviser: Adviser,
) -> None:
    """Train for so many epochs, or until something says stop, and record it in `trainer.history`."""
    history, network, callbacks, averaging = trainer.history, trainer.network, settings.callbacks, trainer._averaging
    steps_done, had_begun, shown = 0, averaging.network is not None, network
    with bar, begun(callbacks, trainer, history), early:  # which goes back to the best weights, whatever ends this
        look_after = adviser.first_look(trainer, settings.data, settings.steps) if epochs > 1 else epochs
        for number in range(1, epochs + 1):
            figures = None if trainer._stopped else train_epoch(trainer, settings, steps_done)
            if figures is None:  # `stop` was called
                break
            steps_done += settings.steps
            if averaging.settings is not None:
                averaging.epoch_done(network, figures["epoch"])
                shown = averaging.network or network
                measures.look_at(shown)
            if validation is not None:
                figures["val_loss"], figures["val_metric"] = shown._scored(validation, trainer.n_threads)
            history.append(**figures, metrics=measures.measured(trainer.n_threads))
            measures.tell_of_nan(history)
            bar.epoch_done(history)
            settings.clock.epoch_done(history)
            stop = early.epoch_done(history) | convergence.epoch_done(history)
            for callback in callbacks:
                called(callback.on_epoch_end, _CALLED_WITH, trainer, history)
            if number == look_after < epochs and not stop:
                adviser.epoch_done(trainer, settings.data, steps_done)
            if stop:
                break
    early.warn_where_nothing_counted(history)
    if not had_begun:
        averaging.warn_if_young(history, settings.steps)
    adviser.fit_done(trainer, settings.data, steps_done)
