"""The History by itself: entries, joining, its summary, its learning curves. What `fit` writes into it: test_trainer.py."""

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import retrograd as rg
from matplotlib import pyplot

LISTS = ("epoch", "loss", "metric", "val_loss", "val_metric", "seconds", "lr", "rows_per_second")


def history(epochs: int, start: int = 1, validation: bool = True, metric_name: str = "accuracy") -> rg.History:
    """A history whose loss halves and whose metrics grow."""
    result = rg.History(metric_name)
    for epoch in range(start, start + epochs):
        figures = {"val_loss": 2 * 0.5**epoch, "val_metric": epoch / 100} if validation else {}
        result.append(epoch=epoch, loss=0.5**epoch, metric=epoch / 50, seconds=0.25, lr=0.1, rows_per_second=1000.0, **figures)
    return result


def test_append() -> None:
    found = history(3)
    assert len(found) == 3 and not found.converged and found.metric_name == "accuracy"
    assert found.epoch == [1, 2, 3]
    assert found.loss == [0.5, 0.25, 0.125] and found.metric == [0.02, 0.04, 0.06]
    assert found.val_loss == [1.0, 0.5, 0.25] and found.val_metric == [0.01, 0.02, 0.03]
    assert found.seconds == [0.25] * 3 and found.lr == [0.1] * 3 and found.rows_per_second == [1000.0] * 3
    without = history(3, validation=False)
    assert without.val_loss == without.val_metric == [] and without.loss == found.loss


def test_validation_figures_for_all_epochs_or_none() -> None:
    common = {"epoch": 4, "loss": 1.0, "metric": 0.5, "seconds": 1.0, "lr": 0.1, "rows_per_second": 1.0}
    for found, figures in (
        (history(3), {}),
        (history(3, validation=False), {"val_loss": 1.0, "val_metric": 1.0}),
        (history(0), {"val_loss": 1.0}),
        (history(0), {"val_metric": 1.0}),
    ):
        before = copy.deepcopy(vars(found))
        with pytest.raises(ValueError, match="for every epoch or for none"):
            found.append(**common, **figures)
        assert vars(found) == before


def test_extend() -> None:
    found = history(2)
    later = history(3, start=3)
    later.converged = True
    assert found.extend(later) is found
    assert vars(found) == vars(history(5)) | {"converged": True}
    assert len(later) == 3
    empty = rg.History()
    assert empty.extend(history(2)).val_loss == history(2).val_loss
    with pytest.raises(ValueError, match="expected a history of accuracy, got one of mae"):
        found.extend(history(1, metric_name="mae"))
    with pytest.raises(ValueError, match="validation"):
        found.extend(history(1, start=6, validation=False))
    assert len(found) == 5


def test_repr_is_a_summary() -> None:
    found = history(3)
    for part in ("3 epochs", "0.75 s", "loss 0.125", "accuracy 0.06", "val_loss 0.25", "best 0.03 in epoch 3"):
        assert part in repr(found), part
    assert "converged" not in repr(found)
    found.converged = True
    assert "converged" in repr(found)
    # the best mean absolute error is the least
    assert "best 0.01 in epoch 1" in repr(history(3, metric_name="mae"))
    assert "no epochs" in repr(rg.History())


def test_copies() -> None:
    found = history(3)
    for twin in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert vars(twin) == vars(found)
        twin.loss.append(1.0)
        assert len(found.loss) == 3


def curves(axes: Any) -> dict[str, list[float]]:
    """The drawn lines by label."""
    return {line.get_label(): list(line.get_ydata()) for line in axes.get_lines() if not line.get_label().startswith("_")}


@pytest.mark.usefixtures("closed_figures")
@pytest.mark.parametrize("epochs", [1, 5])
@pytest.mark.parametrize("metric_name", ["accuracy", "mae"])
def test_plot(epochs: int, metric_name: str, tmp_path: Path) -> None:
    found = history(epochs, metric_name=metric_name)
    left, right = found.plot()
    assert curves(left) == {"training": found.loss, "validation": found.val_loss}
    assert curves(right) == {"training": found.metric, "validation": found.val_metric}
    assert [list(line.get_xdata()) for line in left.get_lines()] == [found.epoch] * 2
    assert left.get_yscale() == ("log" if epochs == 5 else "linear")  # it falls more than tenfold
    assert left.get_xlabel() == "epoch" and left.get_title(loc="left") == "Loss"
    best = epochs if metric_name == "accuracy" else 1
    assert f"(epoch {best})" in right.get_title(loc="right")
    left.figure.savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("closed_figures")
def test_plot_without_validation_and_into_given_axes() -> None:
    found = history(3, validation=False)
    _, pair = pyplot.subplots(1, 2)
    assert found.plot(pair)[0] is pair[0]
    assert curves(pair[0]) == {"training": found.loss} and curves(pair[1]) == {"training": found.metric}
    _, single = pyplot.subplots()
    left, right = found.plot(single)
    assert left is single and right is not single
    assert curves(left) == {"training": found.loss} and curves(right) == {"training": found.metric}


def test_plot_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="expected at least one epoch, got none"):
        rg.History().plot()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"retrograd\[plot\]"):
        history(2).plot()


def test_nothing_else_is_recorded() -> None:
    assert set(vars(history(1))) == {*LISTS, "metric_name", "converged"}
