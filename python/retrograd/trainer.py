"""The trainer: epochs of mini-batch training, each one call into the core; history, validation, convergence, progress."""

import sys
import time
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from . import _core
from ._arrays import Array, as_float, as_int, as_threads
from .errors import DivergenceError
from .history import History
from .network import Network
from .optimizers import Optimizer

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
    ) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network: expected a Network, got {type(network).__name__}")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: expected an optimiser such as SGD, got {type(optimizer).__name__}")
        if not isinstance(shuffle, bool):
            raise TypeError(f"shuffle: expected True or False, got {shuffle!r}")
        if not isinstance(progress, bool) and progress != "auto":
            raise ValueError(f'progress: expected True, False or "auto", got {progress!r}')
        self.network = network
        self.optimizer = optimizer
        self.batch_size = as_int(batch_size, "batch_size", 1)
        self.shuffle = shuffle
        self.n_threads = n_threads
        as_threads(n_threads)
        self.progress = progress
        self.history = History(network.metric_name)
        self.epochs_done = 0
        optimizer._bind(network)
        self._core = _CORE[network.dtype.name](network._core)
        self._last_team = 0

    def _epoch(
        self,
        X: Array,
        y: Array,
        batch_size: int,
        *,
        shuffle: bool,
        snapshot: bool,
        report: Any = None,
        lr: npt.NDArray[np.float64] | None = None,
        first: int = 0,
        last: int = -1,
        gradient_norms: bool = False,
    ) -> "_Part":
        """Steps `first` to `last` (-1: the end) of an epoch, whose order of rows is that of the whole.

        `lr`: the learning rate of each step of the epoch. A part that begins later goes back, where it diverges, to the
        start of the epoch.
        """
        core = self.optimizer._bind(self.network)
        self.network._about_to_change()
        part = _Part(
            *self._core.epoch(
                core,
                X,
                y,
                batch_size,
                shuffle,
                snapshot,
                self.network.seed,
                self.epochs_done,
                as_threads(self.n_threads),
                self.network._forced_team,
                report,
                lr,
                first,
                last,
                gradient_norms,
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
        validation_data: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        tol: float | None = None,
        patience: int = 10,
    ) -> History:
        """Trains for `epochs` more epochs.

        Everything is checked before the first step: a refused call changes nothing. Ctrl-C stops within about 100 ms with
        the weights of the last finished step; the epoch it cut short is left out of `history`, and the next call begins a
        new one.

        Parameters
        ----------
        X : array (rows, inputs)
            float32, float64 and uint8 in rows are read where they are; other layouts and types are copied once.
        y : array
            cross_entropy: integer labels (rows,) or rows of probabilities (rows, outputs). binary_cross_entropy: numbers
            from 0 to 1. Else numbers. (rows, outputs), or (rows,) where there is one output.
        epochs : int
            At least 0.
        validation_data : (X, y), optional
            Loss and metric on it are measured after each epoch.
        tol : float, optional
            Stop as converged when the training loss has not fallen by at least `tol` below its best for `patience` epochs
            in a row. Default: never.
        patience : int, default 10

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
            Another thread uses the network.
        """
        network = self.network
        epochs = as_int(epochs, "epochs", 0)
        patience = as_int(patience, "patience", 1)
        tol = None if tol is None else as_float(tol, "tol", 0.0)
        batch_size = as_int(self.batch_size, "batch_size", 1)
        self.optimizer._bind(network)  # checks its settings
        rows, targets = self._checked(X, y)
        validation = None
        if validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) != 2:
                raise TypeError(f"validation_data: expected a pair (X, y), got {type(validation_data).__name__}")
            validation = self._checked(*validation_data)
        self._check_weights()

        self.history = history = History(network.metric_name)
        best, waited = np.inf, 0
        with _Bar(self.progress, epochs, len(rows)) as bar:
            for _ in range(epochs):
                epoch = self.epochs_done = self.epochs_done + 1
                start = time.perf_counter()
                part = self._epoch(rows, targets, batch_size, shuffle=self.shuffle, snapshot=True, report=bar.report)
                if part.diverged:
                    raise DivergenceError(epoch, part.bad_step, self.optimizer.lr, part.bad_loss)
                loss = part.loss / part.rows
                seconds = time.perf_counter() - start
                val_loss = val_metric = None
                if validation is not None:
                    val_loss, val_metric = network._scored(*validation, self.n_threads)
                history.append(
                    epoch=epoch,
                    loss=loss,
                    metric=network._metric(part.metric / part.rows),
                    val_loss=val_loss,
                    val_metric=val_metric,
                    seconds=seconds,
                    lr=float(self.optimizer.lr),
                    rows_per_second=len(rows) / seconds,
                )
                bar.epoch_done(history)
                if tol is not None:
                    waited = 0 if loss < best - tol else waited + 1
                    best = min(best, loss)
                    if waited >= patience:
                        history.converged = True
                        break
        return history

    def step(self, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """Trains on one batch, as it is, and returns its mean loss before the update.

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        DivergenceError
            The loss is not finite; the weights are unchanged.
        """
        network = self.network
        core = self.optimizer._bind(network)
        network._about_to_change()
        quick: float | None = self._core.step(core, X, y, as_threads(self.n_threads), network._forced_team)
        if quick is not None:  # arrays as the core takes them, and a finite loss
            return quick
        rows, targets = self._checked(X, y)
        part = self._epoch(rows, targets, len(rows), shuffle=False, snapshot=False)
        if part.diverged:
            raise DivergenceError(None, 1, self.optimizer.lr, part.bad_loss)
        return part.loss / part.rows

    def _checked(self, X: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, Array]:
        rows = self.network._rows(X)
        if len(rows) == 0:
            raise ValueError(f"X: expected at least one row, got shape {rows.shape}")
        return rows, self.network._targets(y, len(rows))

    def _check_weights(self) -> None:
        place = self.network._core.find_nonfinite_weight()
        if place is not None:
            raise ValueError(f"the weights of layer {place} are not finite: expected finite ones (see set_weights)")

    def __repr__(self) -> str:
        return (
            f"Trainer({list(self.network.sizes)}, {self.optimizer!r}, batch_size={self.batch_size}, "
            f"shuffle={self.shuffle}, n_threads={self.n_threads})"
        )


class _Part(NamedTuple):
    """What the core tells of the steps of an epoch: sums over the rows that were seen."""

    diverged: bool
    loss: float
    metric: float
    rows: int
    bad_step: int
    bad_loss: float
    team: int


class _Bar:
    """The progress bar, or nothing: tqdm over the rows of all epochs."""

    def __init__(self, wanted: bool | Literal["auto"], epochs: int, rows: int) -> None:
        self.report: Any = None
        self._bar: Any = None
        if wanted is False or (wanted == "auto" and not (sys.stderr is not None and sys.stderr.isatty())):
            return
        try:
            from tqdm import tqdm
        except ImportError as error:
            if wanted == "auto":
                return
            raise ImportError("progress=True needs tqdm: pip install retrograd[progress]") from error
        self._rows, self._done, self._epochs = rows, 0, epochs
        self._bar = tqdm(total=epochs * rows, unit="rows", unit_scale=True, desc=f"epoch 1/{epochs}", leave=True)
        self.report = self._report

    def _report(self, rows: int, loss: float) -> None:
        """Called by the core about ten times a second: rows of this epoch so far, and the sum of their losses."""
        self._bar.set_postfix_str(f"loss={loss / max(rows, 1):.4g}", refresh=False)
        self._bar.update(self._done * self._rows + rows - self._bar.n)

    def epoch_done(self, history: History) -> None:
        """Shows the epoch's figures."""
        if self._bar is None:
            return
        self._done += 1
        text = f"loss={history.loss[-1]:.4g} {history.metric_name}={history.metric[-1]:.4g}"
        if history.val_loss:
            text += f" val_loss={history.val_loss[-1]:.4g} val_{history.metric_name}={history.val_metric[-1]:.4g}"
        self._bar.set_description_str(f"epoch {min(self._done + 1, self._epochs)}/{self._epochs}", refresh=False)
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(self._done * self._rows - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
