"""The progress bar of `fit`, or nothing where nobody would see it. tqdm is imported where a bar is shown."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Literal, Self

from ..history import History


class Bar:
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
        """Called by the core about ten times a second with the rows of this epoch so far and the sum of their losses."""
        if rows == 0:  # no step is finished, so there is no loss yet
            return
        self._bar.set_postfix_str(f"loss={loss / rows:.4g}", refresh=False)
        self._bar.update(self._done * self._rows + rows - self._bar.n)

    def epoch_done(self, history: History) -> None:
        """Show the epoch's figures."""
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
