"""Early stopping: when it stops, which weights come back, and which rows `fit` sets aside for watching."""

import pickle
from contextlib import nullcontext
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


NAN = float("nan")


def test_an_epoch_that_is_not_a_number_does_not_count() -> None:
    for values, epochs, best in (
        ([NAN, 2, NAN, NAN, 0], 5, 5),  # not better, and not one of two that were not better
        ([2, NAN, 3, NAN, 3, 0], 5, 1),
        ([2, 3, NAN, NAN, NAN, NAN], 6, 1),
    ):
        first = values.index(NAN) + 1
        with pytest.warns(rg.TrainingWarning, match=f"figure is nan in epoch {first}: the function returned nan"):
            net, history, script = scripted(values, patience=2)
        assert len(history) == epochs and history.best_epoch == best
        assert history.stopped_early is (values[-1] == 0 and best == 1)
        assert same_bits(parameters(net), script.weights[best - 1])


def test_what_is_never_a_number_ends_nothing_and_restores_nothing() -> None:
    with pytest.warns(rg.TrainingWarning) as caught:
        net, history, script = scripted([NAN] * 5, patience=3)
    assert [str(one.message) for one in caught] == [
        "figure is nan in epoch 1: the function returned nan",
        "early_stopping: figure was nan in every epoch that counts, so that none is the best; the weights are those of the "
        "last epoch",
    ]
    assert all(one.filename == __file__ for one in caught)
    assert len(history) == 5 and history.best_epoch is None and not history.stopped_early
    assert "None" not in repr(history)
    assert same_bits(parameters(net), script.weights[-1])


def test_from_epoch() -> None:
    for start, values, epochs, best in (
        (3, [0, 1, 5, 4, 6, 6, 0], 6, 4),  # the epochs before it are not the best one
        (3, [0, 1, 5, 6, 7, 1], 5, 3),  # nor do they count as not better
        (1, [0, 1, 5, 4, 6, 6, 0], 3, 1),
    ):
        net, history, script = scripted(values, patience=2, from_epoch=start)
        assert len(history) == epochs and history.best_epoch == best and history.stopped_early
        assert same_bits(parameters(net), script.weights[best - 1])
    with pytest.warns(rg.TrainingWarning, match="from_epoch=9 is after the last epoch of this call, so that none counted"):
        net, history, script = scripted([3, 2, 1], patience=2, from_epoch=9)
    assert len(history) == 3 and history.best_epoch is None
    assert same_bits(parameters(net), script.weights[-1])


def test_from_epoch_counts_in_each_call() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.0), shuffle=False)
    for start in (1, 5):
        history = trainer.fit(X, y, epochs=9, early_stopping=rg.EarlyStopping("loss", 2, from_epoch=2))
        assert history.epoch == [start, start + 1, start + 2, start + 3] and history.best_epoch == start + 1


def test_baseline() -> None:
    for values, settings, epochs, best in (
        ([9, 8, 7, 0], {"baseline": 5}, 3, 3),  # always better, but never than this: the best epoch is still the best
        ([9, 8, 4, 8, 8, 8, 0], {"baseline": 5}, 6, 3),  # from there on as without
        ([9, 4.5, 4.4, 0], {"baseline": 5, "min_delta": 1}, 3, 2),  # by more than min_delta
        ([9, 4.5, 3.4, 3, 3, 3, 0], {"baseline": 5, "min_delta": 1}, 6, 3),
        ([1, 2, 3, 9], {"baseline": 5, "mode": "max"}, 3, 3),
        ([6, 2, 2, 2, 9], {"baseline": 5, "mode": "max"}, 4, 1),
    ):
        net, history, script = scripted(values, patience=3, **settings)
        assert len(history) == epochs and history.best_epoch == best, values
        assert same_bits(parameters(net), script.weights[best - 1])


def test_the_best_weights_come_back_after_divergence() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    for restore in (True, False):
        net, weights = network([5, 9, 2]), []

        def explode(trainer: rg.Trainer, history: rg.History, weights: Any = weights) -> None:
            weights.append(parameters(trainer.network))
            if len(history) == 4:
                trainer.optimizer.lr = 1e30

        # more is better, and the loss falls: the first epoch is the best
        stopping = rg.EarlyStopping("loss", 9, mode="max", restore_best=restore)
        trainer = rg.Trainer(net, rg.SGD(0.05), callbacks=[explode], batch_size=8)
        with pytest.raises(rg.DivergenceError) as caught:
            trainer.fit(X, y, epochs=9, early_stopping=stopping)
        assert caught.value.epoch == 5 and trainer.history.best_epoch == 1
        assert same_bits(parameters(net), weights[0 if restore else 3])
        kept = "of epoch 1, the best one" if restore else "at the start of that epoch"
        assert f"the weights are those {kept}" in str(caught.value) and caught.value.best_epoch == (1 if restore else None)
        twin = pickle.loads(pickle.dumps(caught.value))
        assert str(twin) == str(caught.value) and twin.best_epoch == caught.value.best_epoch


def test_callbacks_are_told_of_the_end_with_the_best_weights() -> None:
    class Last(rg.Callback):
        def on_train_end(self, trainer: rg.Trainer, history: rg.History) -> None:
            self.weights = parameters(trainer.network)

    def broken(trainer: rg.Trainer, history: rg.History) -> None:
        if len(history) == 3:
            raise OSError("gone")

    last, net = Last(), network([5, 9, 2])
    trainer = rg.Trainer(net, rg.SGD(0.05), callbacks=[last, broken])
    with pytest.raises(OSError, match="gone"):
        trainer.fit(inputs(40, 5), inputs(40, 2), epochs=9, early_stopping=rg.EarlyStopping("loss", 9, mode="max"))
    twin = network([5, 9, 2])
    rg.Trainer(twin, rg.SGD(0.05)).fit(inputs(40, 5), inputs(40, 2), epochs=1)
    assert same_bits(last.weights, parameters(twin)) and same_bits(parameters(net), parameters(twin))


def test_calls_that_cannot_stop_get_a_word() -> None:
    """A loop of calls of one epoch, in which neither early stopping nor `tol` ever comes to its end."""
    X, y = inputs(40, 5), inputs(40, 2)
    for options, what in (
        ({"early_stopping": rg.EarlyStopping("loss", 3)}, "early_stopping"),
        ({"tol": 0.1, "patience": 3}, "tol"),
    ):
        trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.01))
        trainer.fit(X, y, epochs=1, **options)  # one call may end before its patience does
        match = f"{what}: each call of fit counts anew, and patience=3 cannot end a call of 1 epoch. Call fit once"
        with pytest.warns(rg.TrainingWarning, match=match):
            trainer.fit(X, y, epochs=1, **options)
        trainer.fit(X, y, epochs=4, **options)
        trainer.fit(X, y, epochs=3, **options)
        trainer.fit(X, y, epochs=1)


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


def test_stop_and_an_error_restore() -> None:
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
        assert same_bits(parameters(net), weights[0])


def test_settings_are_checked() -> None:
    for options, error, match in (
        ({"monitor": 3}, TypeError, "monitor"),
        ({"patience": 0}, ValueError, "patience: expected at least 1"),
        ({"min_delta": -1.0}, ValueError, "min_delta"),
        ({"mode": "best"}, ValueError, "mode"),
        ({"restore_best": 1}, TypeError, "restore_best"),
        ({"from_epoch": 0}, ValueError, "from_epoch: expected at least 1"),
        ({"from_epoch": 1.5}, TypeError, "from_epoch"),
        ({"baseline": "low"}, TypeError, "baseline"),
        ({"baseline": float("nan")}, ValueError, "baseline: expected a finite number"),
        ({"baseline": float("-inf")}, ValueError, "baseline: expected a finite number"),
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
        (5, TypeError, "early_stopping: expected an EarlyStopping .*, got 5"),
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
        (2 * (labels % 2) - 1, "hinge", 1),
        (np.eye(classes)[labels], "mse", classes),
        (np.eye(classes)[labels], "focal", classes),
        (rng.random(rows), "mse", 1),
        (rng.random((rows, 2)), "binary_cross_entropy", 2),
    ):
        of_rows = y if y.dtype.kind == "i" else labels if len(np.unique(y)) <= 2 and y.ndim == 2 else None
        if of_rows is None:
            assert len(held_out(y, share, loss, outputs, seed)) == size
            continue
        names, counts = np.unique(of_rows, return_counts=True)
        if (counts == 1).all():
            with pytest.raises(ValueError, match="validation_split: expected a label of two rows or more"):
                held_out(y, share, loss, outputs, seed)
            continue
        with pytest.warns(rg.DataWarning, match="a single row") if (counts == 1).any() else nullcontext():
            found = held_out(y, share, loss, outputs, seed)
            assert same_bits(found, held_out(y, share, loss, outputs, seed))
        assert len(found) == min(size, (counts - 1).sum())
        assert set(np.delete(of_rows, found)) == set(names)  # no label is set aside whole
        if (np.ceil(size * counts / rows) < counts).all():
            for label in names:  # of each label its share, but for a row
                assert abs((of_rows[found] == label).sum() - size * (of_rows == label).mean()) < 1
        if loss == "cross_entropy":
            first = found
        elif y.ndim == 2:  # one-hot rows are labels
            assert same_bits(found, first)


def test_the_largest_remainders_get_what_is_left() -> None:
    y = np.array([0] * 3 + [1] * 48 + [2] * 49)  # of 10 rows 0.3, 4.8 and 4.9
    assert np.bincount(y[held_out(y, 0.1, "cross_entropy", 3)], minlength=3).tolist() == [0, 5, 5]
    # a label of one row is trained on, whatever its share is
    y = np.array([0] + [1] * 20)
    for share in (0.1, 0.6, 0.9):
        with pytest.warns(rg.DataWarning) as caught:
            found = y[held_out(y, share, "cross_entropy", 2)]
        assert found.tolist() == [1] * round(share * 21)
        assert str(caught[0].message) == (
            "validation_split: label 0 has a single row, which stays in the training data: the validation data has none"
        )
    y = np.arange(30) % 15  # of 27 rows 15 stay
    assert sorted(y[held_out(y, 0.9, "cross_entropy", 15)]) == list(range(15))
    y = np.arange(4)
    with pytest.raises(ValueError, match="validation_split: expected a label of two rows or more"):
        rg.Trainer(network([5, 4], "cross_entropy"), rg.SGD(0.1)).fit(inputs(4, 5), y, epochs=1, validation_split=0.25)


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
        (0.0, ValueError, "validation_split: expected a finite number above 0 and below 1, got 0"),
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
