"""How histories and range tests are drawn. Two Protocols name the lists that are drawn; nothing else is known here.

matplotlib is only imported where something is drawn.
"""

from __future__ import annotations

from typing import Any, Protocol

_TRAINING = "#8a94a6"  # grey blue: the less important line
_VALIDATION = "#d1495b"  # red: the line to look at
_RATE = "#2e7d6b"  # green
_INK = "#333333"
_SEVERAL = ("#d1495b", "#30638e", "#edae49", "#00798c", "#7a5195", "#8f9e3d", "#b56b45", "#5b6472")


class Curves(Protocol):
    """The lists of a `History` that are drawn, with one entry for each epoch."""

    metric_name: str
    best_epoch: int | None
    epoch: list[int]
    loss: list[float]
    metric: list[float]
    val_loss: list[float]
    val_metric: list[float]
    lr: list[float]
    step_lr: list[list[float]]
    metrics: dict[str, list[float]]
    gradient_norms: dict[int, list[float]]

    @property
    def best_index(self) -> int:
        """Where the validation metric is best."""


class RangeTest(Protocol):
    """The arrays of an `LRRange` that are drawn, with one entry for each step, and the rate that is marked."""

    @property
    def lr(self) -> Any:
        """Rates."""

    @property
    def loss(self) -> Any:
        """The loss of each batch."""

    @property
    def smoothed(self) -> Any:
        """Its running mean."""

    @property
    def suggestion(self) -> float | None:
        """The rate to begin with."""


def need_matplotlib(what: str) -> None:
    """Raise an ImportError where matplotlib is missing."""
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError(f"{what} needs matplotlib: pip install retrograd[plot]") from error
    assert matplotlib.pyplot


def learning_curves(history: Curves, ax: Any) -> tuple[Any, ...]:
    """Panels of a history; see `History.plot`."""
    from matplotlib import pyplot

    others = [draw for draw, there in _others(history) if there]
    if ax is None:
        count = 2 + len(others)
        columns = count if count <= 3 else (count + 1) // 2
        lines = -(-count // columns)
        figure, grid = pyplot.subplots(
            lines, columns, figsize=(4.5 * columns, 3.6 * lines), layout="constrained", squeeze=False
        )
        ax = grid.flatten()[:count]
        for unused in grid.flatten()[count:]:
            figure.delaxes(unused)
    together = hasattr(ax, "plot")
    left, right, *rest = (ax, ax.twinx()) if together else ax

    _pair(left, history, history.loss, history.val_loss, "-")
    _pair(right, history, history.metric, history.val_metric, "--" if together else "-")
    _log_where_wide(left, history.loss + history.val_loss)
    if history.metric_name == "accuracy":
        _in_percent(right)
    if history.val_metric:
        _mark_best(right, history)
    if together:
        right.grid(visible=False)
        right.spines["right"].set_visible(True)
        left.set_ylabel("loss (solid)", color=_INK)
        right.set_ylabel(f"{_metric_title(history)} (dashed)", color=_INK)
    else:
        left.set_title("Loss", loc="left", color=_INK)
        right.set_title(_metric_title(history), loc="left", color=_INK)
    if history.best_epoch in history.epoch:
        left.axvline(history.best_epoch, color=_INK, linewidth=0.9, linestyle=":")
        left.set_title(f"best epoch {history.best_epoch}", loc="right", color=_INK, fontsize="medium")
    if history.val_loss:
        left.legend(frameon=False, labelcolor="linecolor")
    drawn = [left, right]
    for draw, panel in zip(others, rest, strict=False):
        draw(panel, history)
        drawn.append(panel)
    return tuple(drawn)


def _others(history: Curves) -> list[tuple[Any, bool]]:
    """The panels besides loss and metric, and whether there is something to draw in each."""
    rates = [rate for epoch in history.step_lr for rate in epoch] or history.lr
    return [
        (_metrics, bool(history.metrics)),
        (_rates, min(rates) != max(rates)),
        (_norms, bool(history.gradient_norms)),
    ]


def _metrics(ax: Any, history: Curves) -> None:
    """All metrics that were asked for: solid lines for the validation data, dashed ones for the training data."""
    names = list(dict.fromkeys(name.removeprefix("val_") for name in history.metrics))
    for name, values in history.metrics.items():
        color = _SEVERAL[names.index(name.removeprefix("val_")) % len(_SEVERAL)]
        _line(ax, history.epoch, values, color=color, linestyle="-" if name.startswith("val_") else "--", label=name)
    _frame(ax, "epoch")
    ax.set_title("Metrics", loc="left", color=_INK)
    ax.legend(frameon=False, labelcolor="linecolor")


def _rates(ax: Any, history: Curves) -> None:
    """The learning rate: over the steps of each epoch where each had its own, otherwise as a staircase over the epochs."""
    if history.step_lr:
        at, rates = [], []
        for epoch, of_epoch in zip(history.epoch, history.step_lr, strict=True):
            at += [epoch - 1 + (i + 1) / len(of_epoch) for i in range(len(of_epoch))]
            rates += of_epoch
        _line(ax, at, rates, color=_RATE)
    else:
        rates = history.lr
        ax.step([history.epoch[0] - 1, *history.epoch], [rates[0], *rates], where="pre", color=_RATE, linewidth=1.8)
    _frame(ax, "epoch")
    if 30 * sorted(rates)[len(rates) // 4] <= max(rates):  # otherwise a quarter of it and more would lie flat on the axis
        _log_where_wide(ax, rates)
    ax.set_title("Learning rate", loc="left", color=_INK)


def _norms(ax: Any, history: Curves) -> None:
    """The norm of each layer's gradient."""
    for layer, norms in history.gradient_norms.items():
        _line(ax, history.epoch, norms, color=_SEVERAL[layer % len(_SEVERAL)], label=f"layer {layer}")
    _frame(ax, "epoch")
    _log_where_wide(ax, [norm for norms in history.gradient_norms.values() for norm in norms])
    ax.set_title("Norms of gradients", loc="left", color=_INK)
    ax.legend(frameon=False, labelcolor="linecolor")


def lr_range(found: RangeTest, ax: Any) -> Any:
    """The loss over the rate; see `LRRange.plot`."""
    from matplotlib import pyplot

    if ax is None:
        _, ax = pyplot.subplots(figsize=(5.5, 3.6), layout="constrained")
    ax.plot(found.lr, found.loss, color=_TRAINING, linewidth=0.8, alpha=0.6, label="loss of a batch")
    _line(ax, found.lr, found.smoothed, color=_VALIDATION, label="smoothed")
    ax.set_xscale("log")
    low, high = float(min(found.loss.min(), found.smoothed.min())), float(found.smoothed[0])
    margin = 0.1 * max(high - low, 0.05 * abs(high))
    ax.set_ylim(low - margin, high + 5 * margin)  # the explosion itself needs no room
    if found.suggestion is not None:
        ax.axvline(found.suggestion, color=_RATE, linewidth=1.2, linestyle=":")
        ax.set_title(f"suggestion {found.suggestion:.2g}", loc="right", color=_RATE, fontsize="medium")
    _frame(ax, "learning rate", whole=False)
    ax.set_title("Loss", loc="left", color=_INK)
    ax.legend(frameon=False, labelcolor="linecolor", loc="lower left")
    return ax


# ---------------------------------------------------------------- parts of a panel


def _pair(ax: Any, history: Curves, training: list[float], validation: list[float], style: str) -> None:
    _line(ax, history.epoch, training, linestyle=style, color=_TRAINING, linewidth=1.6, label="training")
    if validation:
        _line(ax, history.epoch, validation, linestyle=style, color=_VALIDATION, label="validation")
    _frame(ax, "epoch")


def _line(ax: Any, x: Any, y: Any, **options: Any) -> None:
    marker = "o" if len(x) == 1 else None  # a line of one point is invisible
    ax.plot(x, y, **{"marker": marker, "linewidth": 2, **options})


def _frame(ax: Any, label: str, whole: bool = True) -> None:
    """What all panels look like; `whole`: the x axis has whole numbers."""
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel(label, color=_INK)
    if whole:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(colors=_INK, length=0)
    for side, spine in ax.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color("#b0b0b0")


def _log_where_wide(ax: Any, values: list[float]) -> None:
    """Choose a logarithmic scale where the values differ by a factor of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    drawn = [value for value in values if value == value]
    if drawn and min(drawn) > 0 and max(drawn) >= 10 * min(drawn):
        few_decades = max(drawn) < 1000 * min(drawn)
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few_decades else (1,)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_locator(NullLocator())


def _in_percent(ax: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def _metric_title(history: Curves) -> str:
    return {"accuracy": "Accuracy", "mae": "Mean absolute error"}.get(history.metric_name, history.metric_name)


def _mark_best(ax: Any, history: Curves) -> None:
    try:
        best = history.best_index
    except ValueError:  # no value is a number, or nobody knows which is better
        return
    value, epoch = history.val_metric[best], history.epoch[best]
    shown = f"{100 * value:.1f} %" if history.metric_name == "accuracy" else f"{value:.3g}"
    ax.plot([epoch], [value], "o", color=_VALIDATION, markersize=6)
    ax.set_title(f"best {shown} (epoch {epoch})", loc="right", color=_VALIDATION, fontsize="medium")
