"""Callbacks that write down each epoch's figures while training runs: as a CSV file, or for TensorBoard.

They only write what the history has. For your own code, see callbacks.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Any

from ._checks import as_bool
from .callbacks import Callback
from .history import History

__all__ = ["CSVLogger", "TensorBoard"]


class CSVLogger(Callback):
    """Write a line with the figures of each epoch into a CSV file, as soon as the epoch is over.

    The columns are epoch, loss, accuracy (or mae), the same with "val_" where there is validation, each metric by its
    name, lr, seconds, and gradient_norm_0, ... where they are measured. The first line has their names.

    Parameters
    ----------
    path : str or path
        The file; its folder must exist. It is opened when training begins.
    append : bool, default False
        Whether lines are added to a file that is there already (with the same columns), instead of writing it anew.

    Raises
    ------
    OSError
        At the beginning of `fit`: the file cannot be written.
    ValueError
        After the first epoch: the file that is there has other columns.
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        self.path = os.fspath(path)
        self.append = as_bool(append, "append")
        self._file: IO[str] | None = None
        self._columns: list[str] | None = None

    def on_train_begin(self, trainer: Any) -> None:
        """Open the file; what is there is lost unless lines are added. A later `fit` of this callback adds lines."""
        again = self.append or self._columns is not None
        self._file = open(self.path, "a+" if again else "w+", newline="", encoding="utf-8")
        self._columns = None
        if again:
            self._file.seek(0)
            first = self._file.readline().strip()
            self._columns = first.split(",") if first else None

    def on_epoch_end(self, trainer: Any, history: History) -> None:
        """Write the line."""
        import csv

        assert self._file is not None
        figures = {"epoch": history.epoch[-1]} | dict(_figures(history))
        writer = csv.writer(self._file, lineterminator="\n")
        if self._columns is None:
            self._columns = list(figures)
            writer.writerow(self._columns)
        elif self._columns != list(figures):
            raise ValueError(f"{self.path}: expected the columns {', '.join(figures)}, got {', '.join(self._columns)}")
        writer.writerow(figures.values())
        self._file.flush()

    def on_train_end(self, trainer: Any, history: History) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy has no open file."""
        return self.__dict__ | {"_file": None}


class TensorBoard(Callback):
    """Write the figures of each epoch for TensorBoard: `tensorboard --logdir FOLDER` draws them.

    Training and validation are two runs of the same names ("loss", "accuracy", ...) in the folders train and
    validation, so that they are drawn into one picture; lr, seconds and norms of gradients are in train.

    Parameters
    ----------
    folder : str or path
        It is made where it is not there.

    Raises
    ------
    ImportError
        At the beginning of `fit`, if tensorboardX, the extra `tensorboard`, is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, trainer: Any) -> None:
        """Look whether there is a writer; the files are made with the first figures."""
        _summary_writer()

    def on_epoch_end(self, trainer: Any, history: History) -> None:
        """Write the figures."""
        for name, value in _figures(history):
            run, figure = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
            if run not in self._writers:
                self._writers[run] = _summary_writer()(os.path.join(self.folder, run))
            self._writers[run].add_scalar(figure, value, history.epoch[-1])
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, trainer: Any, history: History) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def __getstate__(self) -> dict[str, Any]:
        """A copy has no open files."""
        return self.__dict__ | {"_writers": {}}


def _summary_writer() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError("TensorBoard needs tensorboardX: pip install retrograd[tensorboard]") from error
    return SummaryWriter


def _figures(history: History) -> Iterator[tuple[str, float]]:
    """The last epoch's figures by their names."""
    yield "loss", history.loss[-1]
    yield history.metric_name, history.metric[-1]
    if history.val_loss:
        yield "val_loss", history.val_loss[-1]
        yield f"val_{history.metric_name}", history.val_metric[-1]
    taken = {"loss", history.metric_name, f"val_{history.metric_name}"}
    for name, values in history.metrics.items():
        if name not in taken:
            yield name, values[-1]
    yield "lr", history.lr[-1]
    yield "seconds", history.seconds[-1]
    for layer, norms in history.gradient_norms.items():
        yield f"gradient_norm_{layer}", norms[-1]
