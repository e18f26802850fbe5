"""The trainer: its settings and its public methods. `fit` checks everything; the epochs are in run.py and epoch.py."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

from numpy.typing import ArrayLike

from .. import _core
from .._checks import as_bool, as_int, as_threads, check_state
from .._data.examples import Examples
from .._data.reach import warn_unreachable
from .._data.split import split
from .._data.targets import classes_of
from .._data.weights import with_class_weight
from .._monitor import figures
from ..callbacks import Callback, as_callbacks
from ..errors import DivergenceError
from ..history import History
from ..metrics import Metric
from ..network import Network
from ..optimizers import Optimizer
from ..schedules import Schedule
from .advice import Adviser
from .epoch import EpochSettings, mean
from .measures import MetricsRun
from .progress import Bar
from .rates import RateClock
from .run import run
from .stopping import Convergence, EarlyStopping, EarlyStoppingRun

__all__ = ["Trainer"]

_CORE = {"float32": _core.TrainerF32, "float64": _core.TrainerF64}

Callbacks = Sequence[Callback | Callable[["Trainer", History], object]]
ClassWeight = Literal["balanced"] | Mapping[int, float]
Metrics = Sequence[str | Metric | Callable[..., float]]
Rate = Schedule | Callable[[int], float]


class Trainer:
    """Trains one network with one optimiser.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer
        SGD, Adam, AdamW, RMSprop, Adagrad, Lion.
    batch_size : int, default 32
        Rows in a step; the last, smaller batch of an epoch is trained on too.
    shuffle : bool, default True
        Whether each epoch has a new order of rows, which `network.seed` and the number of the epoch fix.
    n_threads : int, optional
        At most so many threads; small work takes fewer. The result has the same bits for any number of them.
    progress : bool or "auto", default "auto"
        A bar with loss and rows/s (it needs tqdm, the extra `progress`); "auto": where tqdm is there and a terminal
        shows it.
    schedule : Schedule or function, optional
        How the learning rate changes (see `retrograd.schedules`), or a function that takes the number of the epoch,
        counted from 1 over the life of the trainer, and returns its rate. Default: always the optimiser's rate.
    callbacks : sequence of Callback or functions, default ()
        See `Callback`; a plain function is called with the trainer and the history after each epoch.
    advice : bool, default True
        Whether `fit` warns (`NotLearningWarning`, once in the life of a trainer) where the loss has not left the level of a
        constant answer after its first epoch or at its end, and says what was found and what to do about it.

    Attributes
    ----------
    history : History
        The history of the last `fit`, also where it was interrupted.
    epochs_done : int
        Epochs that this trainer has begun, including those that did not finish.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        n_threads: int | None = None,
        progress: bool | Literal["auto"] = "auto",
        schedule: Rate | None = None,
        callbacks: Callbacks = (),
        advice: bool = True,
    ) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network: expected a Network, got {type(network).__name__}")
        self._network = network
        self.optimizer = optimizer
        self.batch_size = as_int(batch_size, "batch_size", 1)
        self.shuffle = shuffle
        self.n_threads = n_threads
        self.progress = progress
        self.advice = advice
        self._check_settings()
        self.schedule = schedule
        self.callbacks = callbacks
        as_callbacks(callbacks)
        self.history = History(network.metric_name)
        self.epochs_done = 0
        self._clock = RateClock(schedule, 0)
        self._fitting = self._stopped = False
        self._adviser = Adviser()
        self._make_core()

    def _make_core(self) -> None:
        self.optimizer._bind(self._network)
        self._core = _CORE[self._network.dtype.name](self._network._core)

    @property
    def network(self) -> Network:
        """The network that is trained; for another network make another trainer."""
        return self._network

    def _check_settings(self) -> None:
        """Check settings that are plain attributes and may be changed between calls."""
        if not isinstance(self.optimizer, Optimizer):
            raise TypeError(f"optimizer: expected an optimiser such as SGD, got {type(self.optimizer).__name__}")
        as_bool(self.shuffle, "shuffle")
        as_bool(self.advice, "advice")
        if not isinstance(self.progress, bool) and self.progress != "auto":
            raise ValueError(f'progress: expected True, False or "auto", got {self.progress!r}')
        as_threads(self.n_threads)

    def __getstate__(self) -> dict[str, Any]:
        """A copy goes on by itself, with copies of network and optimiser, to the last bit."""
        if self._fitting:
            raise RuntimeError("this trainer is training: it cannot be copied now")
        return {name: value for name, value in self.__dict__.items() if name != "_core"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_core()

    def __copy__(self) -> Self:
        return copy.deepcopy(self)

    def _options(self, batch_size: int) -> _core.EpochOptions:
        """What the core is told of an epoch; everything else is off."""
        options = _core.EpochOptions()
        options.batch_size = batch_size
        options.seed = self._network._spec.seed
        options.n_threads = as_threads(self.n_threads)
        return options

    def _epoch(self, data: Examples, options: _core.EpochOptions) -> _core.EpochResult:
        """Take some steps of epoch `epochs_done`, in the order of rows that the whole epoch has.

        If a part that does not begin with step 0 diverges, it goes back to the start of the epoch.
        """
        core = self.optimizer._bind(self._network)
        self._network._about_to_change()
        options.epoch = self.epochs_done
        result: _core.EpochResult = self._core.epoch(core, data.rows, data.targets, data.weights, options)
        return result

    def _gradient_norms(self) -> list[float]:
        """For each layer, the sum of the norms of its gradient over the last steps."""
        norms: list[float] = self._core.gradient_norms()
        return norms

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int,
        validation_data: tuple[ArrayLike, ...] | None = None,
        validation_split: float | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: ClassWeight | None = None,
        metrics: Metrics = (),
        train_metrics: bool = False,
        early_stopping: EarlyStopping | None = None,
        tol: float | None = None,
        patience: int = 10,
        gradient_norms: bool = False,
    ) -> History:
        """Train for `epochs` more epochs.

        Everything is checked before the first step: a refused call changes nothing. Ctrl-C stops within about 100 ms with
        the weights of the last finished step; the epoch it cut short is left out of `history`, and the next call begins a
        new one. The numbers of the epochs, the optimiser's state and the schedule go on from call to call.

        Parameters
        ----------
        X : array (rows, inputs)
            Rows of float32, float64 and uint8 are read in place; other layouts and types are copied once.
        y : array
            cross_entropy, focal: integer labels (rows,) or rows of probabilities (rows, outputs). hinge: labels; for
            one output 0 and 1 or -1 and 1. binary_cross_entropy: numbers from 0 to 1. poisson: numbers of at least 0.
            All others: numbers. They are (rows, outputs), or (rows,) where there is one output.
        epochs : int
            At least 0.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Loss and metric on these data are measured after each epoch.
        sample_weight : array (rows,), optional
            The weight w of each row, finite and at least 0. The loss of a batch is sum w l / sum w over its rows, where
            l is the loss of a row; a batch in which all weights are 0 has the gradient 0. Loss and metric of an epoch
            are means with these weights.
        class_weight : "balanced" or dict, optional
            The weight of each label, multiplied with `sample_weight`; labels that a dict leaves out have 1. "balanced"
            means rows / (labels that occur * rows of this label), as scikit-learn's `compute_class_weight`. It is for
            targets that are labels, or 0 and 1 (-1 and 1) of one output. It does not apply to `validation_data`.
        validation_split : float, optional
            Instead of `validation_data`: this share of the rows, above 0 and below 1, is set aside and not trained on
            (both parts are copies). `network.seed`, the number of rows and the labels fix which rows, so that every
            call with the same data sets the same rows aside. Each label gives its share of them.
        metrics : sequence, default ()
            What else is measured on the validation data after each epoch, into `history.metrics["val_..."]`:
            "accuracy", "f1" (also "f1_macro", "f1_micro", "f1_weighted", "f1_binary"), "auc", "auc_weighted", "top_1",
            "top_2", ... for labels, "r2", "mae", "rmse" for numbers (see `retrograd.metrics`), a function of y_true and
            y_pred, or a `metrics.Metric`.
        train_metrics : bool, default False
            Whether these are measured on the training data too, after each epoch.
        early_stopping : EarlyStopping, optional
            Whether to stop when a figure no longer improves, and to go back to the best weights.
        tol : float, optional
            Stop as converged when the training loss has not fallen by at least `tol` below its best value for
            `patience` epochs in a row. Default: never.
        patience : int, default 10
        gradient_norms : bool, default False
            Whether to measure the mean norm of each layer's gradient; this takes some time in each step.

        Returns
        -------
        History
            The history of this call. The training loss of an epoch is the mean over its rows, each before the update of
            its batch.

        Raises
        ------
        ValueError, TypeError
            Shapes, types, labels or values that do not fit, NaN and infinity included.
        DivergenceError
            A loss or weight became infinite or NaN; the weights are those at the start of that epoch.
        RuntimeError
            Another thread uses the network, or a callback calls `fit`. Between two epochs other threads may read the
            network (predict); the next epoch waits for them.

        Warns
        -----
        DataWarning
            Targets outside the range of the output activation.
        NotLearningWarning
            The loss has not left the level of a constant answer; see `advice`.
        """
        if self._fitting:
            raise RuntimeError("fit: this trainer is training already")
        network = self._network
        epochs = as_int(epochs, "epochs", 0)
        as_bool(train_metrics, "train_metrics")
        as_bool(gradient_norms, "gradient_norms")
        convergence = Convergence(tol, patience)
        batch_size = as_int(self.batch_size, "batch_size", 1)
        self._check_settings()
        callbacks = as_callbacks(self.callbacks)
        self.optimizer._bind(network)  # this checks its settings
        training, validation = self._data(X, y, sample_weight, class_weight, validation_data, validation_split)
        rows, steps = len(training.rows), -(-len(training.rows) // batch_size)
        self._check_batches(rows, batch_size)
        measured_on = ({} if validation is None else {"val_": validation}) | ({"": training} if train_metrics else {})
        measures = MetricsRun(metrics, network, measured_on)
        metric_name = network.metric_name
        names = figures(metric_name, validation is not None, measures.names)
        early = EarlyStoppingRun(early_stopping, network, names)
        clock = self._clock if self._clock.schedule is self.schedule else RateClock(self.schedule, self.epochs_done)
        clock.check(epochs, steps, names, metric_name)
        self._check_weights()

        clock.begin(epochs)
        self._clock = clock
        self.history = History(metric_name)
        bar = Bar(self.progress, epochs, rows)
        options = self._options(batch_size)
        options.shuffle, options.gradient_norms, options.report = self.shuffle, gradient_norms, bar.report
        settings = EpochSettings(training, options, clock, callbacks, steps)
        try:
            self._fitting, self._stopped = True, False
            run(self, epochs, settings, bar, validation, measures, early, convergence, self._adviser)
        finally:
            self._fitting = False
        return self.history

    def stop(self) -> None:
        """End the `fit` that is running; for callbacks, also from another thread or a signal handler.

        A call after an epoch makes it the last one. After a call from `Callback.on_step_end` no further step is taken:
        the epoch is cut short and left out of the history, unless that was its last step.
        """
        self._stopped = True

    def _data(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        class_weight: ClassWeight | None,
        validation_data: Any,
        validation_split: float | None,
    ) -> tuple[Examples, Examples | None]:
        """The training data and the validation data."""
        network, spec = self._network, self._network._spec
        training, validation = network._examples(X, y, sample_weight), None
        warn_unreachable(training, spec)
        if validation_split is not None:
            if validation_data is not None:
                raise ValueError("expected validation_data or validation_split, got both")
            training, validation = split(training, validation_split, spec.seed, classes_of(training.targets, spec))
        elif validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
                raise TypeError(
                    f"validation_data: expected a pair (X, y) or (X, y, sample_weight), got {type(validation_data).__name__}"
                )
            try:
                validation = network._examples(*validation_data)
            except (TypeError, ValueError) as error:
                raise type(error)(f"validation_data: {error}") from None
            warn_unreachable(validation, spec, "validation_data: y")
        if class_weight is not None:
            weights = with_class_weight(training.weights, class_weight, training.targets, spec)
            training = training._replace(weights=weights)
        return training, validation

    def step(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Train on one batch and return its mean loss before the update; `sample_weight` is as in `fit`, but not all 0.

        The schedule only belongs to `fit`: here the learning rate is the optimiser's.

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        DivergenceError
            The loss is not finite; the weights are unchanged.
        """
        network = self._network
        core = self.optimizer._bind(network)
        network._about_to_change()
        if sample_weight is None:
            quick: float | None = self._core.step(core, X, y, as_threads(self.n_threads))
            if quick is not None:  # the arrays were plain and the loss finite
                return quick
        data = network._examples(X, y, sample_weight)
        options = self._options(len(data.rows))
        options.snapshot = False  # the rows keep their order, and there are no weights to go back to
        result = self._epoch(data, options)
        if result.diverged:
            raise DivergenceError(None, 1, self.optimizer.lr, result.bad_loss)
        return mean(result.loss, result.weight)

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything that another trainer of this kind needs to go on where this one stands.

        Returns
        -------
        dict
            "epochs_done", "network" (steps and arrays), "optimizer" (its `state_dict`), "schedule" (where the clock
            stands). It has no settings.
        """
        if self._fitting:
            raise RuntimeError("this trainer is training: it has no state to copy now")
        return {
            "epochs_done": self.epochs_done,
            "network": self._network._state(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self._clock.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a state that `state_dict` gave; with the same settings, training goes on from there to the last bit.

        Parameters
        ----------
        state : dict
            The state of a trainer whose network has the same layers and dtype.

        Raises
        ------
        ValueError, TypeError
            Names, shapes or values that do not fit.
        RuntimeError
            The trainer is training.
        """
        if self._fitting:
            raise RuntimeError("this trainer is training: it takes no state now")
        check_state(state, ("epochs_done", "network", "optimizer", "schedule"), "state")
        epochs_done = as_int(state["epochs_done"], "epochs_done", 0)
        clock = RateClock(self.schedule, 0)
        clock.load_state_dict(state["schedule"])
        before = self._network._state()
        self._network._load_state(state["network"])
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except BaseException:
            self._network._load_state(before)
            raise
        self.epochs_done, self._clock = epochs_done, clock

    def _check_batches(self, rows: int, batch_size: int) -> None:
        """Check what the core checks too, but before anything has begun."""
        if (batch_size == 1 or rows % batch_size == 1) and self._network._spec.has_batch_norm:
            raise ValueError(
                f"batch normalisation: expected more than one row in every batch, got {rows} rows in batches of {batch_size}"
            )

    def _check_weights(self) -> None:
        place = self._network._core.find_nonfinite_weight()
        if place is not None:
            raise ValueError(f"the weights of layer {place} are not finite: expected finite ones (see set_weights)")

    def __repr__(self) -> str:
        return (
            f"Trainer({list(self._network.sizes)}, {self.optimizer!r}, batch_size={self.batch_size}, "
            f"shuffle={self.shuffle}, n_threads={self.n_threads}"
            + ("" if self.schedule is None else f", schedule={self.schedule!r}")
            + ")"
        )
