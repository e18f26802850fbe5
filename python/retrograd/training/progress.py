"""What `fit` shows while it trains: a bar, a plain line for each epoch, or nothing. tqdm is imported where a bar is shown."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from ..history import History


def check_progress(wanted: object) -> None:
    """Raise a ValueError where it is neither True, nor False, nor "auto"."""
    if wanted is True or wanted is False or (isinstance(wanted, str) and wanted == "auto"):
        return
    if not isinstance(wanted, np.bool_):
        raise ValueError(f'progress: expected True, False or "auto", got {wanted!r}')


class Bar:
    """The progress of one call of `fit`: tqdm over the rows of all epochs, lines, both or nothing."""

    def __init__(self, wanted: bool | Literal["auto"], epochs: int, rows: int, verbose: bool = False) -> None:
        self.report: Any = None
        self._bar: Any = None
        self._lines: Any = sys.stdout if verbose else None
        self._done, self._epochs = 0, epochs
        auto = isinstance(wanted, str)
        if not wanted or (auto and (verbose or sys.stderr is None or not sys.stderr.isatty())):
            return
        try:
            from tqdm import tqdm
        except ImportError:
            if not auto and not verbose:
                self._lines = sys.stderr
            return
        self._rows = rows
        self._bar = tqdm(total=epochs * rows, unit="rows", unit_scale=True, desc=f"epoch 1/{epochs}", leave=True)
        self.report = self._report

    def _report(self, rows: int, loss: float) -> None:
        """Called by the core about ten times a second with the rows of this epoch so far and the sum of their losses."""
        if rows == 0:  # no step is finished, so there is no loss yet
            return
        self._bar.set_postfix_str(f"loss={loss / rows:.4g}", refresh=False)
        self._bar.update(self._done * self._rows + rows - self._bar.n)

    def epoch_done(self, history: History) -> None:
        """Show the epoch's figures."""
        if self._bar is None and self._lines is None:
            return
        self._done += 1
        if self._lines is not None:
            line = f"epoch {self._done}/{self._epochs}: {_figures(history, ' ', ', ')}, {history.seconds[-1]:.3g} s"
            if self._bar is None:
                print(line, file=self._lines, flush=True)
            else:
                self._bar.write(line, file=self._lines)
        if self._bar is not None:
            self._bar.set_description_str(f"epoch {min(self._done + 1, self._epochs)}/{self._epochs}", refresh=False)
            self._bar.set_postfix_str(_figures(history, "=", " "), refresh=False)
            self._bar.update(self._done * self._rows - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()


def _figures(history: History, between: str, after: str) -> str:
    """The figures of the last epoch by their names."""
    figures = {"loss": history.loss, history.metric_name: history.metric}
    if history.val_loss:
        figures |= {"val_loss": history.val_loss, f"val_{history.metric_name}": history.val_metric}
    figures |= history.metrics
    return after.join(f"{name}{between}{values[-1]:.4g}" for name, values in figures.items())
