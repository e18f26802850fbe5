"""The trainer: its settings and its public methods. `fit` checks everything; the epochs are in run.py and epoch.py."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from numpy.typing import ArrayLike

from .. import _core
from .._careful import Careful, says_where, set_own
from .._checks import as_bool, as_int, as_threads, check_state
from .._data.examples import Examples
from .._data.reach import warn_unreachable
from .._data.split import split
from .._data.targets import classes_of
from .._data.weights import class_weights, over_their_mean, weigh_by_batch, with_class_weights
from .._monitor import figures
from .._pickles import opened, stamped
from ..callbacks import Callback, as_callbacks
from ..errors import DivergenceError
from ..history import History
from ..metrics import Metric
from ..network import Network, as_network
from ..optimizers import Optimizer, as_optimizer
from ..schedules import Schedule
from .advice import Adviser
from .averaging import EMA, SWA, Averaging
from .epoch import EpochSettings, mean
from .measures import MetricsRun
from .progress import Bar, check_progress
from .rates import RateClock
from .run import run
from .stopping import Convergence, EarlyStopping, EarlyStoppingRun, warn_of_parts
from .unused import warn_of_unused

__all__ = ["Trainer"]

_CORE = {"float32": _core.TrainerF32, "float64": _core.TrainerF64}

_BY_ROWS = "rows"  # the default of `weights`; to ask for the object itself costs a step nothing

# Settings are what the constructor takes, and attributes of the same names. The rest is kept by its meaning, or made anew.
_SETTINGS = (
    "optimizer",
    "batch_size",
    "shuffle",
    "drop_last",
    "weights",
    "average",
    "n_threads",
    "progress",
    "verbose",
    "schedule",
    "callbacks",
    "advice",
)
_KEPT_ELSEWHERE = (
    "_network",
    "_core",
    "_clock",
    "_averaging",
    "_adviser",
    "_fitting",
    "_stopped",
    "_in_parts",
    "history",
    "epochs_done",
)

Callbacks = Sequence[Callback | Callable[["Trainer", History], object]]
ClassWeight = Literal["balanced"] | Mapping[int, float]
Metrics = Sequence[str | Metric | Callable[..., float]]
Rate = Schedule | Callable[[int], float]


@says_where("fit", "evaluate")
class Trainer(Careful):
    """Trains one network with one optimiser.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer or str
        SGD, Adam, AdamW, RMSprop, Adagrad, Lion. A name ("adam") is short for one with its defaults.
    batch_size : int, default 32
        Rows in a step; the last, smaller batch of an epoch is trained on too.
    shuffle : bool, default True
        Whether each epoch has a new order of rows, which `network.seed` and the number of the epoch fix.
    drop_last : bool, default False
        Whether the last, smaller batch of an epoch is left out, with the rows that fall into it (others in each epoch
        where `shuffle` is set, else always the same). Batch normalisation needs it where that batch has one row.
    weights : {"rows", "batch"}, default "rows"
        What the weights of a batch's rows are divided by: their number, or the sum of their weights in the batch (as in
        scikit-learn), with which weights mean less in smaller batches and nothing in batches of one row. See
        `sample_weight` in `fit` and `step`.
    average : EMA or SWA, optional
        An average of the weights to keep besides; `averaged` has it. While there is one, the figures that `fit` measures
        after an epoch (validation, metrics) and what watches them are those of the average; loss and metric of the
        training itself remain those of `network`.
    n_threads : int, optional
        At most so many threads; small work takes fewer. The result has the same bits for any number of them.
    progress : bool or "auto", default "auto"
        A bar with loss and rows/s, on stderr (by tqdm, the extra `progress`; without it True prints a line for each epoch
        there); "auto": where tqdm is there and a terminal shows it.
    verbose : bool, default False
        Whether a plain line for each epoch is printed, on stdout; "auto" then shows no bar.
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
    averaged : Network or None
        The network with the averaged weights (see `average`); None until the average has begun.
    """

    _made_with: ClassVar[str] = "_core"

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer | str,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        drop_last: bool = False,
        weights: Literal["rows", "batch"] = "rows",
        average: EMA | SWA | None = None,
        n_threads: int | None = None,
        progress: bool | Literal["auto"] = "auto",
        verbose: bool = False,
        schedule: Rate | None = None,
        callbacks: Callbacks = (),
        advice: bool = True,
    ) -> None:
        self._network = as_network(network)
        self.optimizer = as_optimizer(optimizer)
        self.batch_size = as_int(batch_size, "batch_size", 1)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.weights = weights
        self.average = average
        self.n_threads = n_threads
        self.progress = progress
        self.verbose = verbose
        self.advice = advice
        self._check_settings()
        self.schedule = schedule
        self.callbacks = callbacks
        as_callbacks(callbacks)
        warn_of_unused(network, self.optimizer)
        self.history = History(network.metric_name)
        self.epochs_done = 0
        self._clock = RateClock(schedule, 0)
        self._averaging = Averaging(average)
        self._adviser = Adviser()
        self._fitting = self._stopped = self._in_parts = False
        self._make_core()

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            if name in _SETTINGS and name != "optimizer" and getattr(self, "_fitting", False):
                raise RuntimeError(
                    f"{name}: this fit has begun with {getattr(self, name)!r}, and a new value would come too late; set it "
                    "between two calls of fit (the optimiser and its settings may be changed at any time)"
                )
            if name == "epochs_done":
                value = as_int(value, name, 0)
            elif name == "history" and not isinstance(value, History):
                raise TypeError(f"history: expected a History, got {value!r}")
            elif name == "average" and hasattr(self, "_averaging") and value != self.average:
                set_own(self, "_averaging", Averaging(value))  # the old average ends here
            super().__setattr__(name, value)

    def _make_core(self) -> None:
        self.optimizer._bind(self._network)
        self._core = _CORE[self._network.dtype.name](self._network._core)

    @property
    def network(self) -> Network:
        """The network that is trained; for another network make another trainer."""
        return self._network

    @property
    def averaged(self) -> Network | None:
        """The network with the averaged weights, which go on changing with training; None until the average has begun."""
        return self._averaging.network

    @property
    def plan(self) -> str | None:
        """How steps are done, and why; None before the first step.

        All plans give the same results to the last bit. They take turns in the first steps, and the fastest goes on; when
        the machine changes, they are measured again. RETROGRAD_PLAN=default in the environment takes the likeliest plan
        without measuring.
        """
        names, best, reason = self._core.plan()
        return f"{names[best]} ({reason})" if best >= 0 else None

    def _check_settings(self) -> None:
        """Check settings that are plain attributes and may be changed between calls."""
        if not isinstance(self.optimizer, Optimizer):
            if isinstance(self.optimizer, str):
                raise TypeError(f"optimizer: expected an optimiser such as rg.Adam(), got {self.optimizer!r}")
            as_optimizer(self.optimizer)  # this says what is wrong
        as_bool(self.shuffle, "shuffle")
        as_bool(self.drop_last, "drop_last")
        weigh_by_batch(self.weights)
        as_bool(self.advice, "advice")
        as_bool(self.verbose, "verbose")
        check_progress(self.progress)
        as_threads(self.n_threads)

    def __getstate__(self) -> dict[str, Any]:
        """A copy goes on by itself, with copies of network and optimiser, to the last bit."""
        if self._fitting:
            raise RuntimeError("this trainer is training: it cannot be copied now")
        own = {name: value for name, value in self.__dict__.items() if name not in (*_SETTINGS, *_KEPT_ELSEWHERE)}
        clock = {"schedule": self._clock.schedule, "state": self._clock.state_dict()}
        averaging = {"average": self._averaging.settings, "state": self._averaging.state_dict()}
        state = {"network": self._network, "history": self.history, "epochs_done": self.epochs_done, "clock": clock}
        state |= {"averaging": averaging, "adviser": self._adviser.state_dict(), "own": own}
        return stamped({name: getattr(self, name) for name in _SETTINGS} | state)

    def __setstate__(self, state: Any) -> None:
        names = ("network", "optimizer", "history", "epochs_done", "clock", "averaging", "adviser", "own")
        found = opened(state, "Trainer", names, _SETTINGS)
        Trainer.__init__(self, found["network"], **{name: found[name] for name in _SETTINGS if name in found})
        self.history, self.epochs_done = found["history"], found["epochs_done"]
        self._clock = RateClock(found["clock"]["schedule"], 0)
        self._clock.load_state_dict(found["clock"]["state"])
        self._averaging = Averaging(found["averaging"]["average"])
        self._averaging.load_state_dict(found["averaging"]["state"], self._network)
        self._adviser.load_state_dict(found["adviser"])
        self.__dict__.update(found["own"])

    def __copy__(self) -> Self:
        return copy.deepcopy(self)

    def _options(self, batch_size: int) -> _core.EpochOptions:
        """What the core is told of an epoch; everything else is off."""
        options = _core.EpochOptions()
        options.batch_size = batch_size
        options.seed = self._network._spec.seed
        options.n_threads = as_threads(self.n_threads)
        if self.weights == "batch":
            options.by_batch = True
        return options

    def _epoch(self, data: Examples, options: _core.EpochOptions) -> _core.EpochResult:
        """Take some steps of epoch `epochs_done`, in the order of rows that the whole epoch has.

        If a part that does not begin with step 0 diverges, it goes back to the start of the epoch.
        """
        core = self.optimizer._bind(self._network)
        self._network._about_to_change()
        options.epoch = self.epochs_done
        try:
            result: _core.EpochResult = self._core.epoch(core, data.rows, data.targets, data.weights, options)
        finally:
            self._averaging.steps_done()
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
        weighted_validation: bool = False,
        metrics: Metrics = (),
        train_metrics: bool = False,
        early_stopping: EarlyStopping | None = None,
        tol: float | None = None,
        patience: int | None = None,
        gradient_norms: bool = False,
    ) -> History:
        """Train for `epochs` more epochs.

        Everything is checked before the first step: a refused call changes nothing. Ctrl-C stops within about 100 ms with
        the weights of the last finished step (or the best ones, see EarlyStopping); the epoch it cut short is left out of
        `history`, and the next call begins a new one. The numbers of the epochs, the optimiser's state and the schedule go
        on from call to call; early stopping and `tol` begin anew.

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
            The weight w of each row, finite and at least 0. They are divided by their mean over all rows that are trained
            on, `class_weight` included; then the loss of a batch is sum w l over its rows, divided by their number, where
            l is the loss of a row. So a row counts in proportion to its weight at any batch size, and only the ratios
            of the weights matter. A batch in which all weights are 0 has the gradient 0. With
            `Trainer(weights="batch")` the loss of a batch is sum w l / sum w over its rows. Loss and metric of an epoch
            are means with these weights, sum w l / sum w over all its rows.
        class_weight : "balanced" or dict, optional
            The weight of each label, multiplied with `sample_weight`; labels that a dict leaves out have 1. "balanced"
            means rows / (labels that occur * rows of this label) of the rows trained on, as scikit-learn's
            `compute_class_weight`. It is for targets that are labels, one-hot rows (each a single 1 and zeros) with any
            loss, or 0 and 1 (-1 and 1) of one output. Every label of the network may be in the dict.
        weighted_validation : bool, default False
            Whether `class_weight` also weighs the validation data, so that what is watched is weighted as training is:
            its loss, its metric and `metrics`. A label that "balanced" has not seen in training has 1.
        validation_split : float, optional
            Instead of `validation_data`: this share of the rows, above 0 and below 1, is set aside and not trained on
            (both parts are copies). `network.seed`, the number of rows and the labels fix which rows, so that every
            call with the same data sets the same rows aside. Each label (one-hot rows are labels) gives its share of
            them, but never its last row; a DataWarning names labels with a single row.
        metrics : sequence, default ()
            What else is measured on the validation data after each epoch, into `history.metrics["val_..."]`:
            "accuracy", "f1" (also "f1_macro", "f1_micro", "f1_weighted", "f1_binary"), "auc", "auc_weighted", "top_1",
            "top_2", ... for labels, "r2", "mae", "rmse" for numbers (see `retrograd.metrics`), a function of y_true and
            y_pred, or a `metrics.Metric`. The number of outputs decides what "f1" is: of label 1 with one or two, else the
            mean over all labels, also those that do not occur. Measures of labels also take a loss for numbers ("mse",
            say) whose targets are one-hot rows (the label is the largest output), 0 and 1, or -1 and 1. With
            binary_cross_entropy "accuracy" is the share over rows and outputs; "top_1" takes the largest output of
            one-hot rows. A figure that is NaN for the first time is said in a TrainingWarning.
        train_metrics : bool, default False
            Whether these are measured on the training data too, after each epoch.
        early_stopping : EarlyStopping, optional
            Whether to stop when a figure no longer improves, and to go back to the best weights.
        tol : float, optional
            Stop as converged when the training loss has not fallen by at least `tol` below its best value for
            `patience` epochs in a row. Each call counts anew. Default: never.
        patience : int, default 10
            For `tol` alone: `EarlyStopping` has a patience of its own.
        gradient_norms : bool, default False
            Whether to measure the mean norm of each layer's gradient; this takes some time in each step.

        Returns
        -------
        History
            The history of this call (`History.extend` joins those of several). The training loss of an epoch is the mean
            over its rows, each before the update of its batch.

        Raises
        ------
        ValueError, TypeError
            Shapes, types, labels or values that do not fit, NaN and infinity included.
        DivergenceError
            A loss or weight became infinite or NaN; the weights are those at the start of that epoch, or of the best one
            where early stopping puts it back.
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
        gradient_norms = as_bool(gradient_norms, "gradient_norms")
        weighted_validation = as_bool(weighted_validation, "weighted_validation")
        convergence = Convergence(tol, patience)
        batch_size = as_int(self.batch_size, "batch_size", 1)
        self._check_settings()
        callbacks = as_callbacks(self.callbacks)
        self.optimizer._bind(network)  # this checks its settings
        training, validation = self._data(
            X, y, sample_weight, class_weight, weighted_validation, validation_data, validation_split
        )
        steps, rows = self._steps_and_rows(len(training.rows), batch_size)
        measured_on = ({} if validation is None else {"val_": validation}) | ({"": training} if train_metrics else {})
        measures = MetricsRun(metrics, network, training, measured_on)
        metric_name, watched = network.metric_name, early_stopping is not None or self.schedule is not None
        names = figures(metric_name, validation is not None, measures.figures) if watched else {}
        averaging = self._averaging
        early = EarlyStoppingRun(early_stopping, network, names, averaging)
        clock = self._clock if self._clock.schedule is self.schedule else RateClock(self.schedule, self.epochs_done)
        clock.check(epochs, steps, names)
        self._check_weights()
        clock.warn_of_end(epochs, self.epochs_done, steps)
        self._in_parts = warn_of_parts(early_stopping, tol, convergence.patience, epochs, self._in_parts)

        if epochs and network._spec.prior:
            network._set_prior(training)
        clock.begin(epochs)
        set_own(self, "_clock", clock)
        set_own(self, "history", History(metric_name))
        bar = Bar(self.progress, epochs, rows, self.verbose)
        options = self._options(batch_size)
        options.shuffle, options.gradient_norms, options.report = bool(self.shuffle), gradient_norms, bar.report
        if self.drop_last:
            options.drop_last = True
        if training.weights is not None and not options.by_batch:  # the metrics see the weights as they were given
            training = training._replace(weights=over_their_mean(training.weights))
        settings = EpochSettings(training, options, clock, callbacks, steps, rows)
        try:
            set_own(self, "_fitting", True)
            set_own(self, "_stopped", False)
            run(self, epochs, settings, bar, validation, measures, early, convergence, self._adviser)
        finally:
            set_own(self, "_fitting", False)
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
        weighted_validation: bool,
        validation_data: Any,
        validation_split: float | None,
    ) -> tuple[Examples, Examples | None]:
        """The training data and the validation data."""
        network, spec = self._network, self._network._spec
        training, validation = network._examples(X, y, sample_weight), None
        warn_unreachable(training, spec)
        whole = training.targets
        if validation_split is not None:
            if validation_data is not None:
                raise ValueError("expected validation_data or validation_split, got both")
            training, validation = split(training, validation_split, spec.seed, classes_of(whole, spec))
        elif validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
                hint = "; write validation_data=(X_val, y_val)" if hasattr(validation_data, "shape") else ""
                raise TypeError(
                    "validation_data: expected a pair (X, y) or (X, y, sample_weight), "
                    f"got {type(validation_data).__name__}{hint}"
                )
            try:
                validation = network._examples(*validation_data)
            except (TypeError, ValueError) as error:
                raise type(error)(f"validation_data: {error}") from None
            warn_unreachable(validation, spec, "validation_data: y")
        if weighted_validation and (class_weight is None or validation is None):
            raise ValueError("weighted_validation: expected class_weight= and validation data, which it weighs by classes")
        if class_weight is not None:
            of_labels = class_weights(class_weight, training.targets, whole, spec)
            training = training._replace(weights=with_class_weights(training.weights, of_labels, training.targets, spec))
            if weighted_validation and validation is not None:
                weights = with_class_weights(validation.weights, of_labels, validation.targets, spec, "weighted_validation")
                validation = validation._replace(weights=weights)
        return training, validation

    def step(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Train on one batch and return the loss that the step minimises, as it was before the update.

        The loss is the mean over the rows; with `sample_weight` (rows,) it is sum w l / rows, as `(w * l).mean()` is in
        PyTorch. These weights are taken as they are, because a step knows no other rows to compare them with: `fit`
        divides them by their mean over all rows. Where all are 0, loss and gradient are 0, and the optimiser takes its
        step all the same (momentum, weight decay). With `Trainer(weights="batch")` the loss is sum w l / sum w, and not
        all weights may be 0.

        The schedule only belongs to `fit`: here the learning rate is the optimiser's. An average of steps (`EMA`) takes the
        step in, as one of epoch `epochs_done` + 1.

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        DivergenceError
            The loss is not finite; the weights are unchanged.
        """
        network = self._network
        averaging = None if self.average is None else self._averaging
        core = self.optimizer._bind(network)
        network._about_to_change()
        by_batch = self.weights is not _BY_ROWS and weigh_by_batch(self.weights)
        threads = as_threads(self.n_threads)
        quick: float | None
        if sample_weight is None:
            quick = self._core.step(core, X, y, threads)
        else:
            quick = self._core.step_weighted(core, X, y, threads, sample_weight, by_batch)
        if quick is not None:  # the arrays were plain and the loss finite
            if averaging is not None:
                self._average_step(averaging)
            return quick
        data = network._examples(X, y, sample_weight, zeros=not by_batch)
        options = self._options(len(data.rows))
        options.snapshot = False  # the rows keep their order, and there are no weights to go back to
        result = self._epoch(data, options)
        if result.diverged:
            raise DivergenceError(None, 1, self.optimizer.lr, result.bad_loss)
        if averaging is not None:
            self._average_step(averaging)
        return mean(result.loss, result.weight if by_batch else len(data.rows))

    def _average_step(self, averaging: Averaging) -> None:
        """Have the average take in a single step."""
        averaging.step_done(self._network, self.epochs_done + 1)

    def evaluate(
        self, X: ArrayLike, y: ArrayLike, *, metrics: Metrics = (), sample_weight: ArrayLike | None = None
    ) -> dict[str, float]:
        """Loss, metric and metrics on data, with the present weights (of `averaged`, where it has begun); nothing is changed.

        Parameters
        ----------
        X, y : array
            As in `fit`.
        metrics : sequence, default ()
            As in `fit`.
        sample_weight : array (rows,), optional
            The figures are means with these weights.

        Returns
        -------
        dict
            "loss", "accuracy" (or "mae", the network's `metric_name`), and each of `metrics` by its name.

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        """
        network = self.averaged or self._network
        if type(metrics) is tuple and not metrics:
            loss, metric = network._score(X, y, sample_weight, self.n_threads)
            return {"loss": loss, network.metric_name: metric}
        data = network._examples(X, y, sample_weight)
        measures = MetricsRun(metrics, network, data, {"": data})
        loss, metric = network._scored(data, self.n_threads)
        return {"loss": loss, network.metric_name: metric} | measures.measured(self.n_threads)

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything that another trainer of this kind needs to go on where this one stands.

        Returns
        -------
        dict
            "epochs_done", "network" (steps and arrays), "optimizer" (its `state_dict`), "schedule" (where the clock
            stands), "average" (what `averaged` has). It has no settings.
        """
        if self._fitting:
            raise RuntimeError("this trainer is training: it has no state to copy now")
        return {
            "epochs_done": self.epochs_done,
            "network": self._network._state(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self._clock.state_dict(),
            "average": self._averaging.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a state that `state_dict` gave; with the same settings, training goes on from there to the last bit.

        Parameters
        ----------
        state : dict
            The state of a trainer whose network has the same layers; arrays of the other dtype are converted.

        Raises
        ------
        ValueError, TypeError
            Names, shapes or values that do not fit.
        RuntimeError
            The trainer is training.
        """
        if self._fitting:
            raise RuntimeError("this trainer is training: it takes no state now")
        check_state(state, ("epochs_done", "network", "optimizer", "schedule", "average"), "state")
        epochs_done = as_int(state["epochs_done"], "epochs_done", 0)
        clock = RateClock(self.schedule, 0)
        clock.load_state_dict(state["schedule"])
        averaging = Averaging(self.average)
        averaging.load_state_dict(state["average"], self._network)
        before = self._network._state()
        self._network._load_state(state["network"])
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except BaseException:
            self._network._load_state(before)
            raise
        self.epochs_done, self._clock, self._averaging = epochs_done, clock, averaging

    def _steps_and_rows(self, rows: int, batch_size: int) -> tuple[int, int]:
        """The steps of an epoch over so many rows and the rows that they take; checks what the core checks too."""
        last = rows % batch_size
        if self.drop_last and rows < batch_size:
            raise ValueError(
                f"drop_last: expected at least {batch_size} rows, one whole batch, got {rows}: none would be left "
                f"(drop_last=False trains on them, or a smaller batch_size)"
            )
        if (batch_size == 1 or (last == 1 and not self.drop_last)) and self._network._spec.has_batch_norm:
            hint = ": Trainer(..., drop_last=True) leaves the last one out" if rows > batch_size > 1 else ""
            raise ValueError(
                "batch normalisation: expected more than one row in every batch, "
                f"got {rows} rows in batches of {batch_size}{hint}"
            )
        if self.drop_last:
            return rows // batch_size, rows - last
        return rows // batch_size + (last > 0), rows

    def _check_weights(self) -> None:
        place = self._network._core.find_nonfinite_weight()
        if place is not None:
            raise ValueError(f"the weights of layer {place} are not finite: expected finite ones (see set_weights)")

    def __repr__(self) -> str:
        return (
            f"Trainer({list(self._network.sizes)}, {self.optimizer!r}, batch_size={self.batch_size}, "
            f"shuffle={self.shuffle}, n_threads={self.n_threads}"
            + (", drop_last=True" if self.drop_last else "")
            + ("" if self.weights == "rows" else f", weights={self.weights!r}")
            + ("" if self.schedule is None else f", schedule={self.schedule!r}")
            + ("" if self.average is None else f", average={self.average!r}")
            + ")"
        )
