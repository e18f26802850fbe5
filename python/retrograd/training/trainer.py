"""The trainer: epochs of mini-batch training, each one call into the core, and what is done between them; progress."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from .._checks import as_bool, as_int, as_threads
from .._data.arrays import Array
from .._data.split import Data, split
from .._data.weights import as_weights, row_weights
from .._monitor import figures
from ..callbacks import Callback, StepInfo, as_callbacks, begun, parts
from ..errors import DivergenceError
from ..history import History
from ..metrics import Metric
from ..network import Network
from ..optimizers import Optimizer
from ..schedules import Schedule
from .measures import MetricsRun
from .progress import Bar
from .rates import RateClock
from .stopping import Convergence, EarlyStopping, EarlyStoppingRun

_CORE = {"float32": _core.TrainerF32, "float64": _core.TrainerF64}


class Trainer:
    """Trains one network with one optimiser.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer
        SGD, Adam, AdamW, RMSprop, Adagrad, Lion.
    batch_size : int, default 32
        Rows of a step; the last, smaller batch of an epoch is trained on too.
    shuffle : bool, default True
        A new order of rows each epoch, fixed by `network.seed` and the number of the epoch.
    n_threads : int, optional
        At most so many threads; small work takes fewer. The result has the same bits for any number.
    progress : bool or "auto", default "auto"
        A bar with loss and rows/s (needs tqdm, the extra `progress`); "auto": where tqdm is there and a terminal looks on.
    schedule : Schedule or function, optional
        What becomes of the learning rate (see `retrograd.schedules`), or a function that is given the number of the epoch,
        counted from 1 over the life of the trainer, and returns its rate. Default: always the optimiser's.
    callbacks : sequence of Callback or functions, default ()
        See `Callback`; a plain function is called with trainer and history after each epoch.

    Attributes
    ----------
    history : History
        Of the last `fit`, also where it was interrupted.
    epochs_done : int
        Epochs begun by this trainer, those that did not come to their end included.
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
        schedule: Schedule | Callable[[int], float] | None = None,
        callbacks: Sequence[Callback | Callable[["Trainer", History], object]] = (),
    ) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network: expected a Network, got {type(network).__name__}")
        self._network = network
        self.optimizer = optimizer
        self.batch_size = as_int(batch_size, "batch_size", 1)
        self.shuffle = shuffle
        self.n_threads = n_threads
        self.progress = progress
        self._check_settings()
        self.schedule = schedule
        self.callbacks = callbacks
        as_callbacks(callbacks)
        self.history = History(network.metric_name)
        self.epochs_done = 0
        self._running = RateClock(schedule, 0)
        self._fitting = self._stopped = False
        self._last_team = 0
        self._make_core()

    def _make_core(self) -> None:
        self.optimizer._bind(self._network)
        self._core = _CORE[self._network.dtype.name](self._network._core)

    @property
    def network(self) -> Network:
        """What it trains; for another network make another trainer."""
        return self._network

    def _check_settings(self) -> None:
        """Of those that are plain attributes, and may be changed between calls."""
        if not isinstance(self.optimizer, Optimizer):
            raise TypeError(f"optimizer: expected an optimiser such as SGD, got {type(self.optimizer).__name__}")
        as_bool(self.shuffle, "shuffle")
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

    def _epoch(
        self,
        X: Array,
        y: Array,
        batch_size: int,
        *,
        shuffle: bool,
        snapshot: bool,
        weights: Array | None = None,
        report: Any = None,
        lr: npt.NDArray[np.float64] | None = None,
        first: int = 0,
        last: int = -1,
        gradient_norms: bool = False,
        patient: bool = False,
    ) -> "_Part":
        """Steps `first` to `last` (-1: the end) of an epoch, whose order of rows is that of the whole.

        `lr`: the learning rate of each step of the epoch. A part that begins later goes back, where it diverges, to the
        start of the epoch. `patient`: waits for other threads that read the network, instead of an error.
        """
        core = self.optimizer._bind(self._network)
        self._network._about_to_change()
        part = _Part(
            *self._core.epoch(
                core,
                X,
                y,
                batch_size,
                shuffle,
                snapshot,
                self._network.seed,
                self.epochs_done,
                as_threads(self.n_threads),
                self._network._forced_team,
                report,
                lr,
                first,
                last,
                gradient_norms,
                weights,
                patient,
            )
        )
        self._last_team = part.team
        return part

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        epochs: int,
        validation_data: tuple[npt.ArrayLike, ...] | None = None,
        validation_split: float | None = None,
        sample_weight: npt.ArrayLike | None = None,
        class_weight: Literal["balanced"] | Mapping[int, float] | None = None,
        metrics: Sequence[str | Metric | Callable[..., float]] = (),
        train_metrics: bool = False,
        early_stopping: EarlyStopping | None = None,
        tol: float | None = None,
        patience: int = 10,
        gradient_norms: bool = False,
    ) -> History:
        """Trains for `epochs` more epochs.

        Everything is checked before the first step: a refused call changes nothing. Ctrl-C stops within about 100 ms with
        the weights of the last finished step; the epoch it cut short is left out of `history`, and the next call begins a
        new one. The numbers of the epochs, the optimiser's state and the schedule go on from call to call.

        Parameters
        ----------
        X : array (rows, inputs)
            float32, float64 and uint8 in rows are read where they are; other layouts and types are copied once.
        y : array
            cross_entropy, focal: integer labels (rows,) or rows of probabilities (rows, outputs). hinge: labels, for one
            output 0 and 1 or -1 and 1. binary_cross_entropy: numbers from 0 to 1. poisson: numbers from 0. Else numbers.
            (rows, outputs), or (rows,) where there is one output.
        epochs : int
            At least 0.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Loss and metric on it are measured after each epoch.
        sample_weight : array (rows,), optional
            The weight w of each row, finite and at least 0. The loss of a batch is sum w l / sum w over its rows, l the loss
            of a row; a batch in which all weights are 0 has the gradient 0. Loss and metric of an epoch are means so weighted.
        class_weight : "balanced" or dict, optional
            Weight of each label, multiplied with `sample_weight`; labels that a dict leaves out have 1. "balanced":
            rows / (labels that occur * rows of this label), as scikit-learn's `compute_class_weight`. For targets that are
            labels, or 0 and 1 (-1 and 1) of one output. `validation_data` is left alone.
        validation_split : float, optional
            Or this share of the rows, above 0 and below 1, is set aside for it and not trained on (both parts are copies).
            Which rows, is fixed by `network.seed`, the number of rows and the labels, so that every call with the same data
            sets the same aside; of each label its share.
        metrics : sequence, default ()
            What else is measured on the validation data after each epoch, into `history.metrics["val_..."]`: "accuracy",
            "f1" (also "f1_macro", "f1_micro", "f1_weighted", "f1_binary"), "auc", "auc_weighted", "top_1", "top_2", ... for
            labels, "r2", "mae", "rmse" for numbers (see `retrograd.metrics`), a function of y_true and y_pred, or a
            `metrics.Metric`.
        train_metrics : bool, default False
            Whether they are measured on the training data too, after each epoch.
        early_stopping : EarlyStopping, optional
            Stop where a figure no longer becomes better, and go back to the best weights.
        tol : float, optional
            Stop as converged when the training loss has not fallen by at least `tol` below its best for `patience` epochs
            in a row. Default: never.
        patience : int, default 10
        gradient_norms : bool, default False
            Whether the mean norm of each layer's gradient is measured; this takes some time in each step.

        Returns
        -------
        History
            Of this call. The training loss of an epoch is the mean over its rows as they were seen, before each update.

        Raises
        ------
        ValueError, TypeError
            Shapes, types, labels or values that do not fit, NaN and infinity included.
        DivergenceError
            A loss or weight became infinite or NaN; the weights are those at the start of that epoch.
        RuntimeError
            Another thread uses the network, or a callback calls `fit`. Between two epochs others may read it (predict): the
            next epoch waits for them.
        """
        if self._fitting:
            raise RuntimeError("fit: this trainer is training already")
        network = self._network
        epochs = as_int(epochs, "epochs", 0)
        for name, value in (("train_metrics", train_metrics), ("gradient_norms", gradient_norms)):
            as_bool(value, name)
        convergence = Convergence(tol, patience)
        batch_size = as_int(self.batch_size, "batch_size", 1)
        self._check_settings()
        callbacks = as_callbacks(self.callbacks)
        self.optimizer._bind(network)  # checks its settings
        training, validation = self._data(X, y, sample_weight, class_weight, validation_data, validation_split)
        self._check_batches(len(training[0]), batch_size)
        measured_on = ({} if validation is None else {"val_": validation}) | ({"": training} if train_metrics else {})
        measures = MetricsRun(metrics, network, measured_on)
        names = figures(network.metric_name, validation is not None, measures.names)
        watch = EarlyStoppingRun(early_stopping, network, names)
        running = self._running if self._running.schedule is self.schedule else RateClock(self.schedule, self.epochs_done)
        running.check(epochs, -(-len(training[0]) // batch_size), names, network.metric_name)
        self._check_weights()

        running.begin(epochs)
        self._running = running
        self.history = history = History(network.metric_name)
        plan = _Plan(training, batch_size, self.shuffle, running, callbacks, gradient_norms)
        try:
            self._fitting, self._stopped = True, False
            with Bar(self.progress, epochs, len(training[0])) as bar, begun(callbacks, self, history):
                for _ in range(epochs):
                    figures_of_epoch = None if self._stopped else self._train_epoch(plan, bar.report)
                    if figures_of_epoch is None:  # `stop` was called
                        break
                    if validation is not None:
                        scores = network._scored(*validation, self.n_threads)
                        figures_of_epoch |= dict(zip(("val_loss", "val_metric"), scores, strict=True))
                    history.append(**figures_of_epoch, metrics=measures.measured(self.n_threads))
                    bar.epoch_done(history)
                    running.epoch_done(history)
                    stop = watch.epoch_done(history) | convergence.epoch_done(history)
                    for callback in callbacks:
                        callback.on_epoch_end(self, history)
                    if stop:
                        break
                watch.end()
        finally:
            self._fitting = False
        return history

    def stop(self) -> None:
        """Ends the `fit` that is running: for callbacks, also from another thread or the handler of a signal.

        After an epoch it is the last one. From `Callback.on_step_end` no further step is taken: the epoch is cut short and
        left out of the history, unless that was its last step.
        """
        self._stopped = True

    def _data(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None,
        class_weight: Literal["balanced"] | Mapping[int, float] | None,
        validation_data: Any,
        validation_split: float | None,
    ) -> tuple[Data, Data | None]:
        """What is trained on, and what is validated on, as the core takes it."""
        training, validation = self._weighed(X, y, sample_weight), None
        if validation_split is not None:
            if validation_data is not None:
                raise ValueError("expected validation_data or validation_split, got both")
            training, validation = split(training, validation_split, self._network)
        elif validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
                raise TypeError(
                    f"validation_data: expected a pair (X, y) or (X, y, sample_weight), got {type(validation_data).__name__}"
                )
            Xv, yv, *rest = validation_data
            try:
                validation = self._weighed(Xv, yv, rest[0] if rest else None)
            except (TypeError, ValueError) as error:
                raise type(error)(f"validation_data: {error}") from None
        rows, targets, own = training
        weights = row_weights(own, class_weight, targets, self._network.loss_name, self._network.dtype)
        return (rows, targets, weights), validation

    def _weighed(self, X: npt.ArrayLike, y: npt.ArrayLike, weights: npt.ArrayLike | None) -> Data:
        rows, targets = self._checked(X, y)
        return rows, targets, as_weights(weights, len(rows), self._network.dtype)

    def _train_epoch(self, plan: "_Plan", report: Any) -> dict[str, Any] | None:
        """The next epoch, and its figures as `History.append` takes them; None where a callback stopped it on its way.

        It is one call into the core, or where callbacks ask for it, one for each part between two of their calls.
        """
        rows, targets, weights = plan.data
        steps = -(-len(rows) // plan.batch_size)
        epoch, lr = self.epochs_done + 1, self.optimizer.lr
        rates = plan.running.rates(epoch, steps, lr)
        self.epochs_done = epoch
        sums, seconds = _Sums(), 0.0
        norms = np.zeros(self._network.depth) if plan.gradient_norms else None
        told: dict[int, _Sums] = {}  # of what each callback has been told
        for first, last, asking in parts(plan.callbacks, steps, plan.steps_done):
            if self.optimizer.lr != lr:  # a callback has changed it
                lr = self.optimizer.lr
                if rates is not None:
                    rates[first:] = plan.running.rates(epoch, steps, lr)[first:]  # type: ignore[index]  # as before
            start = time.perf_counter()
            part = self._epoch(
                rows,
                targets,
                plan.batch_size,
                shuffle=plan.shuffle,
                snapshot=True,
                weights=weights,
                report=report,
                lr=rates,
                first=first,
                last=last,
                gradient_norms=plan.gradient_norms,
                patient=plan.steps_done + first > 0,
            )
            seconds += time.perf_counter() - start
            if part.diverged:
                raise DivergenceError(epoch, part.bad_step, _rate_of(part.bad_step, rates, lr), part.bad_loss)
            sums = _Sums(sums.loss + part.loss, sums.metric + part.metric, sums.weight + part.weight)
            if norms is not None:
                norms += self._core.gradient_norms()
            for callback in asking:
                before = told.get(id(callback), _Sums())
                told[id(callback)] = sums
                loss = _mean(sums.loss - before.loss, sums.weight - before.weight)
                callback.on_step_end(self, StepInfo(epoch, last, steps, loss, _rate_of(last, rates, lr)))
            if self._stopped and last < steps and asking:
                return None
        plan.steps_done += steps
        return {
            "epoch": epoch,
            "loss": _mean(sums.loss, sums.weight),
            "metric": self._network._metric(_mean(sums.metric, sums.weight)),
            "seconds": seconds,
            "lr": _rate_of(steps, rates, lr),
            "step_lr": plan.running.to_keep(rates),
            "rows_per_second": len(rows) / seconds,
            "gradient_norms": None if norms is None else dict(enumerate((norms / steps).tolist())),
        }

    def step(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
        """Trains on one batch, as it is, and returns its mean loss before the update; `sample_weight` as in `fit`, not all 0.

        The schedule is that of `fit`: here the learning rate is the optimiser's.

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
            quick: float | None = self._core.step(core, X, y, as_threads(self.n_threads), network._forced_team)
            if quick is not None:  # arrays as the core takes them, and a finite loss
                return quick
        rows, targets = self._checked(X, y)
        weights = as_weights(sample_weight, len(rows), network.dtype)
        part = self._epoch(rows, targets, len(rows), shuffle=False, snapshot=False, weights=weights)
        if part.diverged:
            raise DivergenceError(None, 1, self.optimizer.lr, part.bad_loss)
        return _mean(part.loss, part.weight)

    def _checked(self, X: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, Array]:
        rows = self._network._rows(X)
        if len(rows) == 0:
            raise ValueError(f"X: expected at least one row, got shape {rows.shape}")
        return rows, self._network._targets(y, len(rows))

    def _check_batches(self, rows: int, batch_size: int) -> None:
        """What the core says too, but before anything has begun."""
        if (batch_size == 1 or rows % batch_size == 1) and any(layer.norm == "batch" for layer in self._network.layers):
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


class _Part(NamedTuple):
    """What the core tells of the steps of an epoch: sums over the rows that were seen, each times its weight."""

    diverged: bool
    loss: float
    metric: float
    weight: float  # of the rows; without weights their number
    bad_step: int
    bad_loss: float
    team: int


class _Sums(NamedTuple):
    """What is summed over the rows of an epoch, each times its weight."""

    loss: float = 0.0
    metric: float = 0.0
    weight: float = 0.0


def _mean(total: float, weight: float) -> float:
    """A sum as a mean over rows; 0 where no row counts."""
    return total / weight if weight > 0 else 0.0


@dataclass
class _Plan:
    """What the epochs of one call of `fit` have in common."""

    data: Data
    batch_size: int
    shuffle: bool
    running: RateClock
    callbacks: list[Callback]
    gradient_norms: bool
    steps_done: int = 0


def _rate_of(step: int, rates: npt.NDArray[np.float64] | None, lr: float) -> float:
    """The learning rate of a step, counted from 1."""
    return float(lr if rates is None else rates[step - 1])
