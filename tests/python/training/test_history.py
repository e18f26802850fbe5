"""The History alone: entries, joining, summary, other forms, learning curves. What `fit` writes: test_trainer.py."""

import copy
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import interrupted_at
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot

LISTS = ("epoch", "loss", "metric", "val_loss", "val_metric", "seconds", "lr", "rows_per_second")
OTHERS = ("step_lr", "metrics", "gradient_norms")  # where they were asked for


def history(epochs: int, start: int = 1, validation: bool = True, metric_name: str = "accuracy") -> rg.History:
    """A history whose loss halves and whose metrics grow."""
    result = rg.History(metric_name)
    for epoch in range(start, start + epochs):
        figures = {"val_loss": 2 * 0.5**epoch, "val_metric": epoch / 100} if validation else {}
        result.append(epoch=epoch, loss=0.5**epoch, metric=epoch / 50, seconds=0.25, lr=0.1, rows_per_second=1000.0, **figures)
    return result


def full(epochs: int, start: int = 1) -> rg.History:
    """One that has all there may be."""
    result = rg.History()
    for epoch in range(start, start + epochs):
        result.append(
            epoch=epoch,
            loss=1 / 3**epoch,
            metric=epoch / 50,
            seconds=0.25,
            lr=0.1 / epoch,
            rows_per_second=1000.0,
            val_loss=0.1 + 1 / epoch,
            val_metric=epoch / 70,
            metrics={"val_f1": 1 - 0.6**epoch, "f1": 1 - 0.5**epoch, "val_auc": 0.9 + epoch / 1000},
            step_lr=[0.1 / (epoch + i / 4) for i in range(4)],
            gradient_norms={0: 1 / epoch, 1: 3 / epoch, 2: 0.1 + epoch},
        )
    return result


def lengths(found: rg.History) -> set[int]:
    """The lengths of all lists that have entries or should have."""
    lists = [getattr(found, name) for name in LISTS if not name.startswith("val_")]
    lists += [*found.metrics.values(), *found.gradient_norms.values()]
    lists += [values for values in (found.val_loss, found.val_metric, found.step_lr) if values]
    return {len(values) for values in lists}


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
        before = copy.deepcopy(found.to_dict())
        with pytest.raises(ValueError, match="for every epoch or for none"):
            found.append(**common, **figures)
        assert found.to_dict() == before


def test_the_rest_for_all_epochs_or_none() -> None:
    common = {"epoch": 4, "loss": 1.0, "metric": 0.5, "seconds": 1.0, "lr": 0.1, "rows_per_second": 1.0}
    more = common | {"val_loss": 1.0, "val_metric": 1.0}
    good = more | {"metrics": {"val_f1": 1.0, "f1": 1.0, "val_auc": 1.0}, "step_lr": [0.1]}
    good |= {"gradient_norms": {0: 1.0, 1: 1.0, 2: 1.0}}
    for found, figures, match in (
        (full(3), good | {"metrics": {"val_f1": 1.0}}, r"metrics: expected \['f1', 'val_auc', 'val_f1'\]"),
        (full(3), good | {"metrics": None}, "metrics: expected"),
        (history(3), more | {"metrics": {"f1": 1.0}}, r"metrics: expected \[\] as in the epochs before, got \['f1'\]"),
        (full(3), good | {"gradient_norms": {0: 1.0}}, "gradient_norms: expected"),
        (full(3), good | {"step_lr": None}, "step_lr"),
        (history(3), more | {"step_lr": [0.1]}, "step_lr"),
    ):
        before = copy.deepcopy(found.to_dict())
        with pytest.raises(ValueError, match=match):
            found.append(**figures)
        assert found.to_dict() == before
    found = full(3)
    found.append(**good)
    assert lengths(found) == {4}


@pytest.mark.parametrize("before", [0, 2])
def test_ctrl_c_between_any_two_instructions_leaves_whole_epochs(before: int) -> None:
    """An epoch is there with all its figures or not at all; so is a history that is joined to another."""
    later = full(1, before + 1)
    entry = {name: getattr(later, name)[0] for name in (*LISTS, "step_lr")}
    entry |= {name: {key: values[0] for key, values in getattr(later, name).items()} for name in ("metrics", "gradient_norms")}
    for change in (lambda found: found.append(**entry), lambda found: found.extend(full(3, before + 1))):
        seen, n = set(), 0
        while True:
            n += 1
            found = full(before)
            interrupted = interrupted_at(n, lambda change=change, found=found: change(found), "history.py")  # type: ignore[misc]
            assert len(lengths(found)) == 1, f"instruction {n}: {[(name, getattr(found, name)) for name in LISTS]}"
            seen.add(len(found))
            found.append(**entry | {"epoch": 9})  # and it goes on
            if not interrupted:
                break
        assert n > 50 and before in seen and len(seen) == 2


@pytest.mark.parametrize("succeed", [0, 1, 7, 12])
def test_no_memory_in_the_midst_of_an_epoch(succeed: int) -> None:
    found = full(2)
    before = copy.deepcopy(found.to_dict())
    left = succeed

    def put(values: list[Any], value: Any) -> None:
        nonlocal left
        if left == 0:
            raise MemoryError
        left -= 1
        values.append(value)

    names = (*LISTS, "step_lr")
    places, values = [getattr(found, name) for name in names], [getattr(found, name)[0] for name in names]
    with pytest.raises(MemoryError):
        found._put(put, places, values, dict.fromkeys(found.metrics, 1.0), dict.fromkeys(found.gradient_norms, 1.0))
    assert found.to_dict() == before


def test_the_best_epoch_where_it_is_not_known() -> None:
    nothing = rg.History()
    with pytest.raises(ValueError, match=r"best_index: expected validation figures \(fit.*, got none"):
        _ = nothing.best_index
    with pytest.raises(ValueError, match="best_index: expected validation figures"):
        _ = history(3, validation=False).best_index
    found = history(4)
    found.val_metric[:] = [float("nan"), 0.2, 0.5, float("nan")]
    assert found.best_index == 2 and "(best 0.5 in epoch 3)" in repr(found)
    found.val_metric[:] = [float("nan")] * 4
    with pytest.raises(ValueError, match="best_index: expected a val_accuracy that is a number in some epoch, got only nan"):
        _ = found.best_index
    assert "val_accuracy nan" in repr(found) and "best" not in repr(found)
    pyplot.close(found.plot()[0].figure)
    found = history(3, metric_name="pinball")  # not a name of this package: nobody knows which is better
    with pytest.raises(ValueError, match="best_index: it is not known which is better for 'val_pinball'"):
        _ = found.best_index
    assert "val_pinball 0.03" in repr(found) and "best" not in repr(found)
    pyplot.close(found.plot()[0].figure)
    found = history(3, metric_name="mae")
    assert found.best_index == 0
    found.stopped_early = True
    assert repr(found).endswith("stopped early, no epoch was the best)")


def test_column() -> None:
    found = full(3)
    assert found.column("loss") is found.loss and found.column("val_loss") is found.val_loss
    assert found.column("accuracy") is found.metric and found.column("val_accuracy") is found.val_metric
    assert found.column("val_f1") is found.metrics["val_f1"] and found.column("metric") is found.metric
    for name in ("f2", "mae", "step_lr", "metric_name", "append"):
        with pytest.raises(KeyError, match=name):
            found.column(name)


def test_extend() -> None:
    found = history(2)
    later = history(3, start=3)
    later.converged = True
    assert found.extend(later) is found
    assert found.to_dict() == history(5).to_dict() | {"converged": True}
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
        assert twin.to_dict() == found.to_dict()
        twin.loss.append(1.0)
        assert len(found.loss) == 3


# ---------------------------------------------------------------- other forms


def test_to_dict_and_back() -> None:
    for found in (full(3), history(3), history(2, validation=False, metric_name="mae"), rg.History()):
        found.best_epoch, found.stopped_early, found.converged = 2, True, True
        figures = found.to_dict()
        assert figures == found.to_dict()
        twin = rg.History.from_dict(figures)
        assert twin.to_dict() == found.to_dict()
        twin.loss.append(1.0)
        twin.metrics.setdefault("f1", []).append(1.0)
        assert figures == found.to_dict() == found.to_dict()  # copies, all of them


@given(st.lists(st.floats(), min_size=12, max_size=12))
def test_json_and_back_keeps_every_bit(numbers: list[float]) -> None:
    found = rg.History("mae")
    names = ("loss", "metric", "val_loss", "val_metric", "seconds", "lr", "rows_per_second")
    found.append(
        epoch=7,
        **dict(zip(names, numbers[:7], strict=True)),
        metrics={"val_r2": numbers[7], "inf": 1.0},
        step_lr=numbers[8:10],
        gradient_norms={0: numbers[10], 11: numbers[11]},
    )
    text = found.to_json()
    twin = rg.History.from_json(text)
    json.loads(text, parse_constant=pytest.fail)  # JSON as all others read it, too
    assert repr(twin.to_dict()) == repr(found.to_dict())  # repr tells all numbers apart, -0 from 0 too, and nan is nan
    assert all(type(a) is type(b) for a, b in zip(twin.to_dict(), found.to_dict(), strict=True))


def test_what_is_no_history_is_refused() -> None:
    good = full(2).to_dict()
    for bad, error, match in (
        ([], TypeError, "expected a dict"),
        ({"loss": [1.0]}, ValueError, "expected the names"),
        (good | {"more": []}, ValueError, "expected the names"),
        (good | {"loss": [1.0]}, ValueError, "loss: expected 2 entries, one for each epoch, got 1"),
        (good | {"loss": []}, ValueError, "loss: expected 2 entries"),
        (good | {"metrics": {"val_f1": [1.0]}}, ValueError, "metrics val_f1: expected 2 entries"),
        (good | {"epoch": 3}, TypeError, "epoch: expected a list"),
    ):
        with pytest.raises(error, match=match):
            rg.History.from_dict(bad)  # type: ignore[arg-type]
    for text in ("[]", "3"):
        with pytest.raises(TypeError, match="expected a dict"):
            rg.History.from_json(text)
    with pytest.raises(ValueError):
        rg.History.from_json("{")


def test_to_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    table = full(3).to_pandas()
    assert table.index.tolist() == [1, 2, 3] and table.index.name == "epoch"
    names = ["loss", "metric", "val_loss", "val_metric", "val_f1", "f1", "val_auc", "lr", "seconds", "rows_per_second"]
    assert table.columns.tolist() == [*names, "gradient_norm_0", "gradient_norm_1", "gradient_norm_2"]
    for name in names:
        assert table[name].tolist() == full(3).column(name), name
    assert table["gradient_norm_2"].tolist() == full(3).gradient_norms[2]
    assert set(table.dtypes) == {np.dtype(np.float64)}
    assert "val_loss" not in history(2, validation=False).to_pandas().columns
    assert rg.History().to_pandas().shape == (0, 5)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"retrograd\[pandas\]"):
        history(2).to_pandas()


# ---------------------------------------------------------------- learning curves


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


@pytest.mark.usefixtures("closed_figures")
@pytest.mark.parametrize("epochs", [1, 5])
def test_all_panels(epochs: int, tmp_path: Path) -> None:
    found = full(epochs)
    found.best_epoch = 1
    loss, metric, metrics, rate, norms = found.plot()
    assert curves(loss)["validation"] == found.val_loss and curves(metric)["training"] == found.metric
    assert loss.get_title(loc="right") == "best epoch 1"
    assert curves(metrics) == found.metrics
    (line,) = rate.get_lines()
    assert list(line.get_ydata()) == [r for of_epoch in found.step_lr for r in of_epoch]
    assert list(line.get_xdata())[:5] == [0.25, 0.5, 0.75, 1.0, 1.25][: 4 * epochs]  # at its right end, the epoch is over
    assert curves(norms) == {f"layer {layer}": values for layer, values in found.gradient_norms.items()}
    loss.figure.savefig(tmp_path / "curves.png")
    assert len(loss.figure.axes) == 5
    # given panels take what there is room for
    _, three = pyplot.subplots(1, 3)
    assert found.plot(three)[2] is three[2] and curves(three[2]) == found.metrics


@pytest.mark.usefixtures("closed_figures")
def test_a_rate_that_changes_with_the_epoch_is_a_staircase() -> None:
    found = history(3)
    assert len(found.plot()) == 2  # it did not change
    found.lr[:] = [0.1, 0.05, 0.025]
    *_, rate = found.plot()
    (line,) = rate.get_lines()
    assert list(line.get_xdata()) == [0, 1, 2, 3] and list(line.get_ydata()) == [0.1, 0.1, 0.05, 0.025]
    assert line.get_drawstyle() == "steps-pre" and rate.get_yscale() == "linear"
    found.lr[:] = [0.1, 0.01, 0.001]
    assert found.plot()[2].get_yscale() == "log"


def test_plot_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="expected at least one epoch, got none"):
        rg.History().plot()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"retrograd\[plot\]"):
        history(2).plot()


def test_nothing_else_is_recorded() -> None:
    assert set(history(1).to_dict()) == {*LISTS, *OTHERS, "metric_name", "converged", "stopped_early", "best_epoch"}


def test_the_best_epoch_is_shown_where_nothing_stopped_early() -> None:
    X, y = np.ones((20, 5)), np.arange(40.0).reshape(20, 2) / 40
    found = rg.Trainer(rg.Network([5, 4, 2]), rg.SGD(0.01)).fit(
        X, y, epochs=2, early_stopping=rg.EarlyStopping("loss", patience=9)
    )
    assert not found.stopped_early and found.best_epoch == 2
    assert repr(found).endswith("epoch 2 was the best)") and "stopped early" not in repr(found)
