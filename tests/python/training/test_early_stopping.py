"""Early stopping: when it stops, which weights come back, and which rows `fit` sets aside for watching."""

from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, network, parameters, same_bits, targets
from hypothesis import given
from hypothesis import strategies as st
from retrograd._data.examples import Examples
from retrograd._data.split import split
from retrograd._data.targets import classes_of


class Script(rg.Callback):
    """Keeps the weights after each epoch; a figure as scripted is their metric."""

    def __init__(self, values: list[float]) -> None:
        self.values = iter(values)
        self.weights: list[list[np.ndarray]] = []

    def figure(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return next(self.values)

    def on_epoch_end(self, trainer: rg.Trainer, history: rg.History) -> None:
        self.weights.append(parameters(trainer.network))


def scripted(
    values: list[float], epochs: int | None = None, dtype: str = "float32", **settings: Any
) -> tuple[rg.Network, rg.History, Script]:
    """Trains under early stopping on a figure that has these values."""
    net, script = network([5, 9, 2], dtype=dtype), Script(values)
    trainer = rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=8, callbacks=[script])
    history = trainer.fit(
        inputs(40, 5),
        inputs(40, 2),
        epochs=len(values) if epochs is None else epochs,
        metrics=[rg.metrics.Metric(script.figure, "figure")],
        train_metrics=True,
        early_stopping=rg.EarlyStopping("figure", **({"mode": "min"} | settings)),
    )
    return net, history, script


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("values", "settings", "epochs", "best"),
    [
        ([5, 4, 3, 3, 3, 1, 0], {"patience": 2}, 5, 3),
        ([5, 4, 3, 3, 2, 2, 2], {"patience": 2}, 7, 5),
        ([5, 6, 4, 5, 6, 7, 0], {"patience": 3}, 6, 3),
        ([1, 2, 3], {"patience": 1}, 2, 1),
        ([3, 2, 1], {"patience": 1}, 3, 3),  # the last is the best
        ([3, 1, 2], {"patience": 9}, 3, 2),  # it came to its last epoch
        ([3, 2.6, 2.2, 1.9, 0], {"patience": 2, "min_delta": 0.5}, 5, 5),
        ([3, 2.6, 2.2, 2.0, 1.8, 0], {"patience": 2, "min_delta": 1.0}, 3, 1),
        ([1, 2, 3, 3, 3, 9], {"patience": 2, "mode": "max"}, 5, 3),
        ([float("nan"), 2, float("nan"), float("nan"), 0], {"patience": 2}, 4, 2),
    ],
)
def test_when_it_stops_and_what_comes_back(
    values: list[float], settings: dict[str, Any], epochs: int, best: int, dtype: str
) -> None:
    net, history, script = scripted(values, dtype=dtype, **settings)
    assert len(history) == epochs and history.best_epoch == best
    assert history.stopped_early is (best + settings["patience"] == epochs)
    assert same_bits(parameters(net), script.weights[best - 1])
    if best != epochs:
        assert not same_bits(parameters(net), script.weights[-1])
    # left where it is
    net, history, script = scripted(values, dtype=dtype, **settings, restore_best=False)
    assert len(history) == epochs and history.best_epoch == best
    assert same_bits(parameters(net), script.weights[-1])


def test_running_means_come_back_too() -> None:
    """The weights are not all of a network: normalisation over the batch has learned more."""
    X, y = inputs(40, 5), inputs(40, 2)
    net = rg.Network([5, rg.Dense(9, norm="batch"), rg.Dense(2, init="glorot")], bias_init="zeros")
    seen: list[np.ndarray] = []
    trainer = rg.Trainer(net, rg.SGD(0.01), callbacks=[lambda trainer, history: seen.append(trainer.network.predict(X))])
    trainer.fit(X, y, epochs=5, early_stopping=rg.EarlyStopping("loss", 9, mode="max"))
    assert same_bits(net.predict(X), seen[trainer.history.best_epoch - 1])  # type: ignore[operator]
    assert trainer.history.best_epoch == 1 and not same_bits(seen[0], seen[-1])


def test_what_is_never_a_number_restores_nothing() -> None:
    net, history, script = scripted([float("nan")] * 5, patience=3)
    assert len(history) == 3 and history.best_epoch is None and history.stopped_early
    assert same_bits(parameters(net), script.weights[-1])


def test_by_what_fit_measures_itself() -> None:
    X, y = inputs(60, 5), targets("cross_entropy", 60, 3)
    Xv, yv = inputs(40, 5, 7), targets("cross_entropy", 40, 3, 8)
    options: dict[str, Any] = {"epochs": 60, "validation_data": (Xv, yv), "metrics": ["f1"], "train_metrics": True}
    free = rg.Trainer(network([5, 30, 3], "cross_entropy"), rg.SGD(0.3)).fit(X, y, **options)
    for monitor, better in (
        ("val_loss", min),
        ("val_accuracy", max),
        ("val_metric", max),
        ("val_f1", max),
        ("loss", min),
        ("accuracy", max),
        ("f1", max),
    ):
        values = free.column(monitor)
        best, last = 0, len(values) - 1
        for epoch in range(1, len(values)):
            if better(values[epoch], values[best]) != values[best]:
                best = epoch
            elif epoch - best == 4:
                last = epoch
                break
        net = network([5, 30, 3], "cross_entropy")
        history = rg.Trainer(net, rg.SGD(0.3)).fit(X, y, **options, early_stopping=rg.EarlyStopping(monitor, 4))
        assert history.column(monitor) == values[: last + 1] and history.best_epoch == best + 1, monitor
        if monitor == "val_loss":
            assert last < 59 and net.loss(Xv, yv) == min(values)
            assert "stopped early, epoch" in repr(history)


def test_each_call_begins_anew() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.0), shuffle=False)
    stopping = rg.EarlyStopping("loss", 2)
    for start in (1, 4):
        history = trainer.fit(X, y, epochs=10, early_stopping=stopping)
        assert history.epoch == [start, start + 1, start + 2] and history.best_epoch == start and history.stopped_early
    assert not trainer.fit(X, y, epochs=1, early_stopping=stopping).stopped_early


def test_stop_restores_and_an_error_does_not() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    for error in (False, True):
        net = network([5, 9, 2])
        weights: list[list[np.ndarray]] = []

        def end(trainer: rg.Trainer, history: rg.History, weights: Any = weights, error: bool = error) -> None:
            weights.append(parameters(trainer.network))
            if len(history) == 4:
                trainer.stop()
                if error:
                    raise KeyboardInterrupt

        # more is better, and the loss falls: the first epoch is the best
        trainer = rg.Trainer(net, rg.SGD(0.05), callbacks=[end])
        try:
            trainer.fit(X, y, epochs=9, early_stopping=rg.EarlyStopping("loss", 9, mode="max"))
        except KeyboardInterrupt:
            assert error
        assert trainer.history.epoch == [1, 2, 3, 4] and trainer.history.best_epoch == 1
        assert same_bits(parameters(net), weights[-1] if error else weights[0])


def test_settings_are_checked() -> None:
    for options, error, match in (
        ({"monitor": 3}, TypeError, "monitor"),
        ({"patience": 0}, ValueError, "patience: expected at least 1"),
        ({"min_delta": -1.0}, ValueError, "min_delta"),
        ({"mode": "best"}, ValueError, "mode"),
        ({"restore_best": 1}, TypeError, "restore_best"),
    ):
        with pytest.raises(error, match=match):
            rg.EarlyStopping(**options)
    X, y = inputs(40, 5), inputs(40, 2)
    net = network([5, 9, 2])
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    for stopping, error, match in (
        (rg.EarlyStopping(), ValueError, "monitor: expected one of loss, metric, mae, got 'val_loss' .validation_data or"),
        (rg.EarlyStopping("accuracy"), ValueError, "expected one of loss, metric, mae, got 'accuracy'"),
        (5, TypeError, "early_stopping: expected an EarlyStopping, got 5"),
    ):
        with pytest.raises(error, match=match):
            trainer.fit(X, y, epochs=3, early_stopping=stopping)  # type: ignore[arg-type]
    assert same_bits(parameters(net), before) and trainer.epochs_done == 0


# ---------------------------------------------------------------- rows set aside


def held_out(y: np.ndarray, share: float, loss: str, outputs: int, seed: int = 0) -> np.ndarray:
    """Numbers of the rows that were set aside: the only input is the number of the row, and a metric sees the answer."""
    net = rg.Network([1, outputs], loss=loss, seed=seed)
    rows = np.arange(len(y), dtype=np.float32)[:, None]
    targets_of = net._targets(y, len(y))
    classes = classes_of(targets_of, net._spec)
    (left, left_y, _), (held, held_y, _) = split(Examples(rows, targets_of, None), share, net.seed, classes)
    assert same_bits(np.sort(np.concatenate([left, held]), axis=0), rows)
    assert np.all(np.diff(left[:, 0]) > 0) and np.all(np.diff(held[:, 0]) > 0)  # in their order
    assert same_bits(left_y, targets_of[left[:, 0].astype(int)]) and same_bits(held_y, targets_of[held[:, 0].astype(int)])
    return held[:, 0].astype(int)


@given(st.integers(2, 80), st.floats(0.01, 0.95), st.integers(2, 6), st.integers(0, 2**63))
def test_rows_set_aside(rows: int, share: float, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = max(1, round(share * rows))
    if size >= rows:
        return
    labels = rng.integers(0, classes, rows)
    for y, loss, outputs in (
        (labels, "cross_entropy", classes),
        (labels % 2, "binary_cross_entropy", 1),
        (rng.random(rows), "mse", 1),
        (rng.random((rows, 2)), "binary_cross_entropy", 2),
    ):
        found = held_out(y, share, loss, outputs, seed)
        assert len(found) == size
        assert same_bits(found, held_out(y, share, loss, outputs, seed))
        if y.dtype.kind == "i":
            for label in np.unique(y):  # of each label its share, but for a row
                assert abs((y[found] == label).sum() - size * (y == label).mean()) < 1


def test_the_largest_remainders_get_what_is_left() -> None:
    y = np.array([0] * 3 + [1] * 48 + [2] * 49)  # of 10 rows 0.3, 4.8 and 4.9
    assert np.bincount(y[held_out(y, 0.1, "cross_entropy", 3)], minlength=3).tolist() == [0, 5, 5]
    # a label of one row: it may be trained on
    y = np.array([0] + [1] * 20)
    assert y[held_out(y, 0.1, "cross_entropy", 2)].tolist() == [1, 1]


def test_the_seed_says_which() -> None:
    y = np.arange(200) % 4
    assert len({tuple(held_out(y, 0.2, "cross_entropy", 4, seed)) for seed in range(5)}) == 5
    # not the rows that come first or last, and fixed for good
    found = held_out(y, 0.05, "cross_entropy", 4)
    assert found.tolist() == [4, 22, 26, 41, 93, 120, 121, 132, 159, 183]


def test_fit_trains_on_the_rest_alone() -> None:
    X, y = inputs(50, 5), targets("cross_entropy", 50, 3)
    net, twin = network([5, 9, 3], "cross_entropy"), network([5, 9, 3], "cross_entropy")
    trainer = rg.Trainer(net, rg.SGD(0.1), batch_size=8)
    history = trainer.fit(X, y, epochs=2, validation_split=0.3)
    again = trainer.fit(X, y, epochs=1, validation_split=0.3)  # the same rows
    left, held = (part[:2] for part in split(Examples(X, y.astype(np.int32)), 0.3, twin.seed, y))
    assert len(left[0]) == 35 and len(held[0]) == 15
    expected = rg.Trainer(twin, rg.SGD(0.1), batch_size=8).fit(*left, epochs=3, validation_data=held)
    assert same_bits(parameters(net), parameters(twin))
    assert history.val_loss + again.val_loss == expected.val_loss and history.loss + again.loss == expected.loss


def test_bad_shares() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    net = network([5, 9, 2])
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    for share, error, match in (
        (0.0, ValueError, "validation_split: expected a share above 0"),
        (1.0, ValueError, "validation_split"),
        (-0.1, ValueError, "validation_split"),
        (True, TypeError, "validation_split"),
        (0.999, ValueError, "expected rows left to train on, got 0.999 of 40"),
    ):
        with pytest.raises(error, match=match):
            trainer.fit(X, y, epochs=1, validation_split=share)
    with pytest.raises(ValueError, match="validation_data or validation_split, got both"):
        trainer.fit(X, y, epochs=1, validation_split=0.1, validation_data=(X, y))
    with pytest.raises(ValueError, match="expected rows left"):
        trainer.fit(X[:1], y[:1], epochs=1, validation_split=0.5)
    assert same_bits(parameters(net), before) and trainer.epochs_done == 0


def test_weights_of_rows_go_with_them() -> None:
    X, y, w = inputs(50, 5), targets("cross_entropy", 50, 3), np.arange(50) / 50
    net, twin = network([5, 9, 3], "cross_entropy"), network([5, 9, 3], "cross_entropy")
    options: dict[str, Any] = {"epochs": 2, "class_weight": "balanced"}
    history = rg.Trainer(net, rg.SGD(0.1)).fit(X, y, sample_weight=w, validation_split=0.3, metrics=["f1"], **options)
    left, held = split(Examples(X, y.astype(np.int32), w.astype(np.float32)), 0.3, twin.seed, y)
    # the weights of labels are those of the rows that are trained on, and weigh no others
    trainer = rg.Trainer(twin, rg.SGD(0.1))
    expected = trainer.fit(left[0], left[1], sample_weight=left[2], validation_data=held, **options)
    assert same_bits(parameters(net), parameters(twin)) and history.val_loss == expected.val_loss
    assert history.metrics["val_f1"][-1] == rg.metrics.f1(held[1], net.predict(held[0]), held[2])
    with pytest.raises(ValueError, match="with a weight above 0, in both parts"):
        trainer.fit(X, y, epochs=1, sample_weight=w == w[7], validation_split=0.3)
