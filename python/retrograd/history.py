"""What a training run went through, epoch by epoch, and its learning curves. It records; it decides nothing."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["History"]

_TRAINING = "#8a94a6"  # grey blue: the lesser line
_VALIDATION = "#d1495b"  # red: the line to look at
_INK = "#333333"


class History:
    """Losses, metrics and times of a training run; every list has one entry an epoch.

    Parameters
    ----------
    metric_name : str
        "accuracy" (share of right answers, 0 to 1) or "mae" (mean absolute error).

    Attributes
    ----------
    epoch : list of int
        Numbers of the epochs, counted from 1 over the life of the trainer.
    loss, metric : list of float
        On the training data: means over the rows as they were seen, each before its own update.
    val_loss, val_metric : list of float
        On the validation data after the epoch; empty where there is none.
    seconds : list of float
        Wall-clock time of the training of the epoch, validation left out.
    lr : list of float
        Learning rate.
    rows_per_second : list of float
        Rows trained on per second.
    converged : bool
        Whether training stopped because the loss no longer fell.
    """

    def __init__(self, metric_name: str = "accuracy") -> None:
        self.metric_name = metric_name
        self.converged = False
        self.epoch: list[int] = []
        self.loss: list[float] = []
        self.metric: list[float] = []
        self.val_loss: list[float] = []
        self.val_metric: list[float] = []
        self.seconds: list[float] = []
        self.lr: list[float] = []
        self.rows_per_second: list[float] = []

    def append(
        self,
        *,
        epoch: int,
        loss: float,
        metric: float,
        seconds: float,
        lr: float,
        rows_per_second: float,
        val_loss: float | None = None,
        val_metric: float | None = None,
    ) -> None:
        """Add an epoch; the arguments are single entries of the attributes.

        Raises
        ------
        ValueError
            If only some of the epochs have validation figures.
        """
        has_validation = val_loss is not None and val_metric is not None
        if (val_loss is None) != (val_metric is None) or (self.epoch and has_validation != bool(self.val_loss)):
            raise ValueError("expected val_loss and val_metric for every epoch or for none")
        self.epoch.append(epoch)
        self.loss.append(loss)
        self.metric.append(metric)
        self.seconds.append(seconds)
        self.lr.append(lr)
        self.rows_per_second.append(rows_per_second)
        if val_loss is not None and val_metric is not None:
            self.val_loss.append(val_loss)
            self.val_metric.append(val_metric)

    def extend(self, later: History) -> Self:
        """Add the epochs of a later call of `fit`, so that one curve shows them all; returns this history.

        Raises
        ------
        ValueError
            If the two measure different things, or only one has validation figures.
        """
        if later.metric_name != self.metric_name:
            raise ValueError(f"expected a history of {self.metric_name}, got one of {later.metric_name}")
        if self.epoch and later.epoch and bool(self.val_loss) != bool(later.val_loss):
            raise ValueError("expected both histories to have validation figures, or neither")
        for name, values in vars(self).items():
            if isinstance(values, list):
                values.extend(getattr(later, name))
        self.converged = later.converged
        return self

    def __len__(self) -> int:
        """Return the number of epochs."""
        return len(self.epoch)

    def __repr__(self) -> str:
        if not self.epoch:
            return "History(no epochs)"
        parts = [f"loss {self.loss[-1]:.4g}", f"{self.metric_name} {self.metric[-1]:.4g}"]
        if self.val_loss:
            best = self._best()
            parts.append(f"val_loss {self.val_loss[-1]:.4g}")
            parts.append(
                f"val_{self.metric_name} {self.val_metric[-1]:.4g} "
                f"(best {self.val_metric[best]:.4g} in epoch {self.epoch[best]})"
            )
        if self.converged:
            parts.append("converged")
        epochs = "1 epoch" if len(self) == 1 else f"{len(self)} epochs"
        return f"History({epochs}, {sum(self.seconds):.3g} s: {', '.join(parts)})"

    def _best(self) -> int:
        """Index of the first epoch with the best validation metric."""
        pick = max if self.metric_name == "accuracy" else min
        return self.val_metric.index(pick(self.val_metric))

    def plot(self, ax: Any = None) -> tuple[Any, Any]:
        """Draw the learning curves: the loss, and the metric beside it, for training and validation.

        The loss is drawn on a logarithmic scale where it falls tenfold or more. The best validation metric is marked.

        Parameters
        ----------
        ax : matplotlib Axes, or a pair of them, optional
            Where to draw: a pair takes loss and metric; a single one takes the loss, and the metric on an axis at its
            right. Default: two panels of a new figure.

        Returns
        -------
        pair of matplotlib Axes
            Of the loss and of the metric. ``axes[0].figure.savefig("curve.png")`` writes the picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no epoch to draw.
        """
        try:
            from matplotlib import pyplot
            from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
        except ImportError as error:
            raise ImportError("History.plot needs matplotlib: pip install retrograd[plot]") from error
        if not self.epoch:
            raise ValueError("History.plot: expected at least one epoch, got none")
        if ax is None:
            _, ax = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        if hasattr(ax, "plot"):
            left, right = ax, ax.twinx()
            together = True
        else:
            left, right = ax
            together = False

        self._draw(left, "loss", self.loss, self.val_loss, "-")
        self._draw(right, self.metric_name, self.metric, self.val_metric, "--" if together else "-")
        drawn = [value for value in self.loss + self.val_loss if value == value]
        if drawn and min(drawn) > 0 and max(drawn) >= 10 * min(drawn):
            few_decades = max(drawn) < 1000 * min(drawn)
            left.set_yscale("log")
            left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few_decades else (1,)))
            left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            left.yaxis.set_minor_locator(NullLocator())
        if self.metric_name == "accuracy":
            right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        if self.val_metric:
            self._mark_best(right)
        if together:
            right.grid(visible=False)
            right.spines["right"].set_visible(True)
            left.set_ylabel("loss (solid)", color=_INK)
            right.set_ylabel(f"{self._metric_title()} (dashed)", color=_INK)
        else:
            left.set_title("Loss", loc="left", color=_INK)
            right.set_title(self._metric_title(), loc="left", color=_INK)
        if self.val_loss:
            left.legend(frameon=False, labelcolor="linecolor")
        return left, right

    def _metric_title(self) -> str:
        return {"accuracy": "Accuracy", "mae": "Mean absolute error"}.get(self.metric_name, self.metric_name)

    def _draw(self, ax: Any, name: str, training: list[float], validation: list[float], style: str) -> None:
        from matplotlib.ticker import MaxNLocator

        marker = "o" if len(self) == 1 else None  # a line of one point is invisible
        ax.plot(self.epoch, training, style, color=_TRAINING, marker=marker, linewidth=1.6, label="training")
        if validation:
            ax.plot(self.epoch, validation, style, color=_VALIDATION, marker=marker, linewidth=2, label="validation")
        ax.set_xlabel("epoch", color=_INK)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.grid(color="#e6e6e6", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.tick_params(colors=_INK, length=0)
        for side, spine in ax.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color("#b0b0b0")

    def _mark_best(self, ax: Any) -> None:
        best = self._best()
        value, epoch = self.val_metric[best], self.epoch[best]
        shown = f"{100 * value:.1f} %" if self.metric_name == "accuracy" else f"{value:.3g}"
        ax.plot([epoch], [value], "o", color=_VALIDATION, markersize=6)
        ax.set_title(f"best {shown} (epoch {epoch})", loc="right", color=_VALIDATION, fontsize="medium")
