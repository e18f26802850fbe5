"""The trainer: what an epoch sees, what the history records, convergence, divergence, Ctrl-C, progress, refusal.

Not here: equal bits (test_bits.py), all updates and losses against NumPy (test_reference.py), threads (test_threads.py).
"""

import copy
import gc
import io
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest
import retrograd as rg
from helpers import LOSSES, assert_close, inputs, network, parameters, same_bits, targets
from oracle import Textbook, forward_backward, loss_and_dz
from retrograd import _core
from retrograd.training.progress import Bar

# ---------------------------------------------------------------- what an epoch does


def test_the_last_smaller_batch_is_trained_on() -> None:
    net = network([5, 9, 2], activation="tanh", dtype="float64")
    expected = Textbook(net, lr=0.1, momentum=0.9)
    X, y = inputs(37, 5), inputs(37, 2)
    history = rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=16, shuffle=False).fit(X, y, epochs=2)
    for loss in history.loss:
        assert loss == pytest.approx(expected.epoch(X, y, 16, np.arange(37)), rel=1e-12)
    for p, q in zip(parameters(net), expected.parameters, strict=True):
        assert_close(p, q, 1e-12)


def test_every_row_is_seen_once_an_epoch() -> None:
    # one input for each row, linear, lr small: what each weight moved by is what its row brought
    net = rg.Network([37, 1], init="zeros", dtype="float64")
    rg.Trainer(net, rg.SGD(0.5), batch_size=1).fit(np.eye(37), np.arange(1.0, 38.0), epochs=1)
    bias, moved = 0.0, np.zeros(37)
    for row in _core.permutation(0, 1, 37):
        step = 2 * 0.5 * (row + 1 - bias)
        moved[row], bias = step, bias + step
    np.testing.assert_allclose(net.weights[0][:, 0], moved, rtol=1e-12)


def test_batches_of_one_row_and_of_more_than_all() -> None:
    X, y = inputs(20, 5), inputs(20, 2)
    for batch_size, same_as in ((20, 21), (20, 10**12)):
        nets = []
        for size in (batch_size, same_as):
            net = network([5, 9, 2])
            rg.Trainer(net, rg.SGD(0.1), batch_size=size).fit(X, y, epochs=3)
            nets.append(parameters(net))
        assert same_bits(nets[0], nets[1])
    net = network([5, 9, 2], activation="tanh", dtype="float64")
    expected = Textbook(net, lr=0.1)
    rg.Trainer(net, rg.SGD(0.1), batch_size=1, shuffle=False).fit(X, y, epochs=1)
    expected.epoch(X, y, 1, np.arange(20))
    assert_close(net.weights[0], expected.weights[0], 1e-12)


def test_the_order_of_rows_is_new_each_epoch_and_fixed_by_the_seed() -> None:
    X, y = inputs(60, 5), inputs(60, 2)

    def run(seed: int, shuffle: bool) -> list[np.ndarray]:
        net = network([5, 9, 2], seed=3)
        start = parameters(net)
        net = network([5, 9, 2], seed=seed)
        net.set_weights(start[:2], start[2:])
        trainer = rg.Trainer(net, rg.SGD(0.1), batch_size=7, shuffle=shuffle)
        after = []
        for _ in range(2):
            net.set_weights(start[:2], start[2:])
            trainer.fit(X, y, epochs=1)
            after.append(net.weights[0])
        return after

    first, second = run(3, True)
    assert not np.array_equal(first, second)
    assert same_bits(run(3, True), [first, second])
    assert not np.array_equal(run(4, True)[0], first)
    still = run(3, False)
    assert same_bits(still[0], still[1]) and not np.array_equal(still[0], first)
    assert same_bits(run(4, False), still)


def test_the_last_settings_count() -> None:
    net, twin = network([5, 9, 2]), network([5, 9, 2])
    X, y = inputs(40, 5), inputs(40, 2)
    trainer = rg.Trainer(net, rg.SGD(0.5), batch_size=3)
    trainer.optimizer.lr, trainer.batch_size, trainer.shuffle = 0.1, 8, False
    assert trainer.fit(X, y, epochs=2).lr == [0.1, 0.1]
    rg.Trainer(twin, rg.SGD(0.1), batch_size=8, shuffle=False).fit(X, y, epochs=2)
    assert same_bits(parameters(net), parameters(twin))


def test_step_trains_on_one_batch() -> None:
    net = network([5, 9, 2], activation="tanh", dtype="float64")
    expected = Textbook(net, lr=0.1, momentum=0.9)
    trainer = rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=4)  # batch_size is for fit alone
    for seed in range(4):
        X, y = inputs(21, 5, seed), inputs(21, 2, seed + 9)
        loss = trainer.step(X, y)
        assert type(loss) is float and loss == pytest.approx(expected.step(X, y), rel=1e-12)
    for p, q in zip(parameters(net), expected.parameters, strict=True):
        assert_close(p, q, 1e-12)
    assert len(trainer.history) == 0 and trainer.epochs_done == 0


# ---------------------------------------------------------------- history


@pytest.mark.parametrize("loss", LOSSES)
def test_history(loss: str) -> None:
    net = network([5, 9, 3], loss, activation="tanh", dtype="float64")
    twin = Textbook(net, lr=0.1)
    X, y, Xv, yv = inputs(50, 5), targets(loss, 50, 3), inputs(31, 5, 7), targets(loss, 31, 3, 8)
    if loss == "binary_cross_entropy":
        y, yv = y.round(), yv.round()
    trainer = rg.Trainer(net, rg.SGD(0.1), batch_size=16)
    history = trainer.fit(X, y, epochs=3, validation_data=(Xv, yv))
    assert history is trainer.history and trainer.epochs_done == 3
    assert history.epoch == [1, 2, 3] and history.lr == [0.1] * 3 and not history.converged
    assert history.metric_name == net.metric_name
    assert all(seconds > 0 for seconds in history.seconds)
    assert history.rows_per_second == [50 / seconds for seconds in history.seconds]

    def metric(z: np.ndarray, answers: np.ndarray) -> float:
        """Per row (and output), as the documentation says."""
        if loss == "cross_entropy":
            return float((z.argmax(axis=1) == answers).sum())
        if loss == "binary_cross_entropy":
            return float(((z > 0) == (answers > 0.5)).sum() / 3)
        return float(np.abs(z - answers).sum() / 3)

    def logits(rows: np.ndarray) -> np.ndarray:
        return forward_backward(twin.weights, twin.biases, twin.activations, loss, rows, dz=np.zeros((len(rows), 3))).z[-1]

    for i in range(3):
        # the training figures are of the rows as they were seen, before each update
        order, total = _core.permutation(0, i + 1, 50), np.zeros(2)
        for start in range(0, 50, 16):
            batch = order[start : start + 16]
            total[1] += metric(logits(X[batch]), y[batch])
            total[0] += twin.step(X[batch], y[batch]) * len(batch)
        assert history.loss[i] == pytest.approx(total[0] / 50, rel=1e-12)
        assert history.metric[i] == pytest.approx(total[1] / 50, rel=1e-12)
        # those of validation are of the weights at the end of the epoch
        assert history.val_loss[i] == pytest.approx(loss_and_dz(loss, "identity", logits(Xv), yv)[0], rel=1e-12)
        assert history.val_metric[i] == pytest.approx(metric(logits(Xv), yv) / 31, rel=1e-12)
    assert history.val_loss[-1] == net.loss(Xv, yv)
    assert 0 < history.metric[0] and all(isinstance(v, float) for v in (*history.loss, *history.metric, *history.val_loss))


def test_accuracy_with_rows_of_probabilities_and_one_output() -> None:
    net = network([5, 3], "cross_entropy")
    X, labels = inputs(40, 5), targets("cross_entropy", 40, 3)
    by_label = rg.Trainer(net, rg.SGD(0.0)).fit(X, labels, epochs=1, validation_data=(X, labels))
    expected = float((net.predict(X) == labels).mean())
    assert by_label.metric == by_label.val_metric == [pytest.approx(expected, rel=1e-12)]
    by_row = rg.Trainer(net, rg.SGD(0.0)).fit(X, np.eye(3)[labels], epochs=1)
    assert by_row.metric == by_label.metric
    net = network([5, 1], "binary_cross_entropy")
    y = np.arange(40) % 2
    found = rg.Trainer(net, rg.SGD(0.0)).fit(X, y, epochs=1, validation_data=(X, y[:, None]))
    assert found.metric == found.val_metric == [pytest.approx(float((net.predict(X) == y).mean()), rel=1e-12)]


def test_fit_again_goes_on() -> None:
    net = network([5, 9, 2])
    trainer = rg.Trainer(net, rg.SGD(0.1, momentum=0.9))
    X, y = inputs(40, 5), inputs(40, 2)
    first = trainer.fit(X, y, epochs=2)
    second = trainer.fit(X, y, epochs=3)
    assert first.epoch == [1, 2] and second.epoch == [3, 4, 5]
    assert trainer.history is second and trainer.epochs_done == 5
    assert len(first) == 2  # the history of a call is its own


def test_no_epochs() -> None:
    net = network([5, 9, 2])
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    history = trainer.fit(inputs(40, 5), inputs(40, 2), epochs=0)
    assert len(history) == 0 and history.loss == [] and trainer.epochs_done == 0
    assert same_bits(parameters(net), before)


# ---------------------------------------------------------------- convergence


@pytest.mark.parametrize("patience", [1, 3])
@pytest.mark.parametrize("tol", [0.0, 0.5, 1e9])
def test_a_loss_that_stands_still_has_converged(patience: int, tol: float) -> None:
    net = network([5, 9, 2])
    trainer = rg.Trainer(net, rg.SGD(0.0), shuffle=False)
    history = trainer.fit(inputs(40, 5), inputs(40, 2), epochs=50, tol=tol, patience=patience)
    assert history.converged and len(history) == 1 + patience == trainer.epochs_done
    again = trainer.fit(inputs(40, 5), inputs(40, 2), epochs=1, tol=tol, patience=patience)
    assert not again.converged and len(again) == 1


def test_a_loss_that_falls_has_not() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    for options in ({}, {"tol": 0.0, "patience": 1}):
        trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.001), shuffle=False)
        history = trainer.fit(X, y, epochs=30, **options)
        assert np.all(np.diff(history.loss) < 0)
        assert not history.converged and len(history) == 30


def test_the_epochs_that_count_as_standing_still() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    free = rg.Trainer(network([5, 9, 2]), rg.SGD(0.05), shuffle=False).fit(X, y, epochs=60).loss
    for tol, patience in ((0.02, 3), (0.1, 2), (0.006, 5)):
        best, waited, expected = np.inf, 0, 60
        for epoch, loss in enumerate(free, 1):
            waited = 0 if loss < best - tol else waited + 1
            best = min(best, loss)
            if waited == patience:
                expected = epoch
                break
        trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.05), shuffle=False)
        history = trainer.fit(X, y, epochs=60, tol=tol, patience=patience)
        assert len(history) == expected < 60 and history.converged
        assert history.loss == free[:expected]


# ---------------------------------------------------------------- divergence


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"tol": 0.0, "patience": 2}, {"validation_data": (inputs(9, 5), inputs(9, 2))}])
def test_divergence(dtype: str, options: dict[str, Any]) -> None:
    net = network([5, 9, 2], dtype=dtype)
    X, y = inputs(40, 5), inputs(40, 2)
    trainer = rg.Trainer(net, rg.SGD(0.01, momentum=0.9), batch_size=4, shuffle=False)
    trainer.fit(X, y, epochs=2)
    before = parameters(net)
    trainer.optimizer.lr = 1e6 if dtype == "float32" else 1e60
    with pytest.raises(rg.DivergenceError, match=r"epoch 3, step \d+: .*start of that epoch") as caught:
        trainer.fit(X, y, epochs=5, **options)
    error = caught.value
    assert isinstance(error, ArithmeticError)
    assert (error.epoch, error.lr) == (3, trainer.optimizer.lr) and f"lr={error.lr:g}" in str(error)
    assert 2 <= error.step <= 10 and not np.isfinite(error.loss)
    assert same_bits(parameters(net), before)
    assert len(trainer.history) == 0 and trainer.epochs_done == 3

    # the optimiser starts anew, and all goes on from the weights that were kept
    twin = copy.copy(net)
    trainer.optimizer.lr = 0.01
    history = trainer.fit(X, y, epochs=2)
    expected = rg.Trainer(twin, rg.SGD(0.01, momentum=0.9), batch_size=4, shuffle=False).fit(X, y, epochs=2)
    assert history.loss == expected.loss and history.epoch == [4, 5]
    assert same_bits(parameters(net), parameters(twin))


@pytest.mark.parametrize("team", [1, 2, 3])
def test_divergence_has_the_same_end_for_any_team(team: int) -> None:
    net = network([5, 9, 2])
    net._core.force_team(team)
    before = parameters(net)
    with pytest.raises(rg.DivergenceError) as caught:
        rg.Trainer(net, rg.SGD(1e6), batch_size=50).fit(inputs(200, 5), inputs(200, 2), epochs=5)
    assert caught.value.epoch == 1 and caught.value.step == 3
    assert same_bits(parameters(net), before)


def test_divergence_after_good_epochs_keeps_them() -> None:
    net = network([5, 9, 2])
    X, y = inputs(40, 5), inputs(40, 2)
    trainer = rg.Trainer(net, rg.SGD(0.3), batch_size=40, shuffle=False)
    with pytest.raises(rg.DivergenceError) as caught:
        trainer.fit(X, 1e3 * y, epochs=1000)
    done = caught.value.epoch - 1
    assert done >= 1 and trainer.history.epoch == list(range(1, done + 1))
    assert np.isfinite(trainer.history.loss).all()
    twin = network([5, 9, 2])
    history = rg.Trainer(twin, rg.SGD(0.3), batch_size=40, shuffle=False).fit(X, 1e3 * y, epochs=done)
    assert history.loss == trainer.history.loss
    assert same_bits(parameters(net), parameters(twin))


def test_divergence_of_a_weight_in_the_last_step() -> None:
    net = network([5, 9, 2])
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(1e38), batch_size=40)
    with pytest.raises(rg.DivergenceError) as caught:
        trainer.fit(1e5 * inputs(40, 5), inputs(40, 2), epochs=1)  # the only loss is finite, the update is not
    assert (caught.value.epoch, caught.value.step) == (1, 1)
    assert same_bits(parameters(net), before)


def test_divergence_in_a_step_of_its_own() -> None:
    net = network([5, 9, 2])
    net.set_weights([1e30 * w for w in net.weights])
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(0.1, momentum=0.9))
    with pytest.raises(rg.DivergenceError, match=r"step 1: .*the weights are unchanged") as caught:
        trainer.step(inputs(40, 5), inputs(40, 2))
    assert caught.value.epoch is None and not np.isfinite(caught.value.loss)
    assert same_bits(parameters(net), before)


def test_a_divergence_error_can_be_pickled() -> None:
    error = rg.DivergenceError(3, 7, 0.5, float("inf"))
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is rg.DivergenceError and str(twin) == str(error)
    assert (twin.epoch, twin.step, twin.lr, twin.loss) == (3, 7, 0.5, float("inf"))


# ---------------------------------------------------------------- Ctrl-C

BOUND = 1.0  # seconds; the promise is 0.1, but machines that run tests are busy


@contextmanager
def ctrl_c(when: Callable[[], bool] = lambda: True, delay: float = 0.1) -> Iterator[None]:
    """Expects KeyboardInterrupt in the block, sent `delay` seconds after `when` becomes true, and within the bound."""
    sent = []

    def send() -> None:
        while not when():
            time.sleep(0.005)
        time.sleep(delay)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send, daemon=True)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            yield
        seconds = time.perf_counter() - sent[0]
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()
    assert seconds < BOUND


@pytest.mark.parametrize("n_threads", [1, None])
def test_ctrl_c_stops_training_after_a_finished_step(n_threads: int | None) -> None:
    net = rg.Network([256, 1024, 1024, 10], loss="cross_entropy")
    twin = copy.copy(net)
    rows = 8192
    X, y = inputs(rows, 256).astype(np.float32), targets("cross_entropy", rows, 10)
    trainer = rg.Trainer(net, rg.SGD(0.01, momentum=0.9), batch_size=256, shuffle=False, n_threads=n_threads)
    with ctrl_c(when=lambda: len(trainer.history) >= 1):
        trainer.fit(X, y, epochs=300)
    history = trainer.history
    done = len(history)
    assert done >= 1 and history.epoch == list(range(1, done + 1))
    assert len(history.loss) == len(history.seconds) == len(history.rows_per_second) == done
    assert trainer.epochs_done == done + 1
    # the weights are those after some finished step of the interrupted epoch
    replay = rg.Trainer(twin, rg.SGD(0.01, momentum=0.9), batch_size=256, shuffle=False)
    replay.fit(X, y, epochs=done)
    steps = 0
    for start in range(0, rows, 256):
        if same_bits(parameters(net), parameters(twin)):
            break
        replay.step(X[start : start + 256], y[start : start + 256])
        steps += 1
    assert same_bits(parameters(net), parameters(twin))
    assert steps < rows // 256  # it came in the midst, not at the end of the epoch
    # and all goes on, velocity included
    again = trainer.fit(X[:512], y[:512], epochs=1)
    assert again.epoch == [done + 2]
    assert again.loss == replay.fit(X[:512], y[:512], epochs=1).loss
    assert same_bits(parameters(net), parameters(twin))


def test_ctrl_c_stops_training_of_a_small_network() -> None:
    net = network([2, 4, 1])
    trainer = rg.Trainer(net, rg.SGD(1e-4), batch_size=4, advice=False)  # on noise
    X, y = inputs(10**6, 2), inputs(10**6, 1)
    with ctrl_c():
        trainer.fit(X, y, epochs=300)
    assert all(np.isfinite(p).all() for p in parameters(net))
    assert trainer.epochs_done - len(trainer.history) in (0, 1)
    assert trainer.fit(X[:100], y[:100], epochs=2).epoch == [trainer.epochs_done - 1, trainer.epochs_done]


def test_ctrl_c_stops_prediction() -> None:
    net = rg.Network([256, 1024, 1024, 10])
    X, y = np.broadcast_to(inputs(1, 256).astype(np.float32), (200_000, 256)), np.broadcast_to(np.float32(0), (200_000, 10))
    expected = net.predict(X[:16])
    calls: dict[str, Callable[[], Any]] = {
        "predict": lambda: net.predict(X, n_threads=1),
        "loss": lambda: net.loss(X, y, n_threads=1),
    }
    for name, call in calls.items():
        with ctrl_c():
            for _ in range(20):
                call()
        assert same_bits(net.predict(X[:16]), expected), name  # and the network is free for the next one


def test_ctrl_c_stops_the_search_for_nan() -> None:
    X = np.broadcast_to(np.zeros(3, np.float32), (2**40, 3))  # an hour of reading, and no memory
    for n_threads in (1, 0):
        with ctrl_c():
            network([3, 2])._core.find_nonfinite(X, n_threads)


def test_ctrl_c_stops_the_stages() -> None:
    net = rg.Network([16, 1024, 1024, 1024, 10])
    before = parameters(net)
    X, dz = inputs(3000, 16).astype(np.float32), np.zeros((3000, 10), np.float32)

    def interrupted(turn: int, call: Callable[[], Any], result: Callable[[], Any]) -> bool:
        """Whether an interrupted call left no result, as it must where it was stopped midway and not at its end."""
        net.forward(X)  # anew: a step that did find gradients has changed the weights
        with ctrl_c(delay=0.02 + 0.01 * (turn % 20)):
            for _ in range(100):
                call()
        try:
            result()
        except RuntimeError:
            return True
        return False  # possible: it came between two calls, or into dw, which is finished

    assert any(interrupted(i, lambda: net.forward(X, n_threads=1), lambda: net.z) for i in range(40))
    assert any(interrupted(i, lambda: net.backward(dz=dz, n_threads=1), lambda: rg.SGD(0.0).step(net)) for i in range(40))
    assert same_bits(parameters(net), before)
    net.forward(X)
    assert same_bits(net.forward(X[:16]), net.predict(X[:16]))  # the network is free for the next one
    net.backward(dz=dz[:16])


# ---------------------------------------------------------------- refusal


def bad_fits(X: np.ndarray, y: np.ndarray) -> dict[str, dict[str, Any]]:
    """Arguments of fit that must be refused."""
    nan, inf = X.copy(), y.copy()
    nan[-1, -1], inf[-1, -1] = np.nan, np.inf
    good = {"X": X, "y": y, "epochs": 2}
    return {
        "features": good | {"X": X[:, :-1]},
        "rows": good | {"y": y[:-1]},
        "outputs": good | {"y": y[:, :-1]},
        "nan in X": good | {"X": nan},
        "inf in y": good | {"y": inf},
        "strings": good | {"X": np.full(X.shape, "a")},
        "no rows": good | {"X": X[:0], "y": y[:0]},
        "validation X": good | {"validation_data": (nan, y)},
        "validation y": good | {"validation_data": (X, inf)},
        "validation rows": good | {"validation_data": (X, y[:-1])},
        "validation empty": good | {"validation_data": (X[:0], y[:0])},
        "validation alone": good | {"validation_data": X},
        "validation three": good | {"validation_data": (X, y, y)},
        "epochs": good | {"epochs": -1},
        "epochs float": good | {"epochs": 1.5},
        "tol": good | {"tol": -1.0},
        "tol nan": good | {"tol": float("nan")},
        "patience": good | {"patience": 0},
    }


@pytest.mark.parametrize("name", bad_fits(inputs(1, 1), inputs(1, 1)))
def test_a_refused_fit_changes_nothing(name: str) -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    nets = [network([5, 9, 2]) for _ in range(2)]
    trainers = [rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=7) for net in nets]
    for trainer in trainers:
        trainer.fit(X, y, epochs=2)
    before, history = parameters(nets[0]), trainers[0].history
    with pytest.raises((ValueError, TypeError), match="expected"):
        trainers[0].fit(**bad_fits(X, y)[name])
    assert same_bits(parameters(nets[0]), before)
    assert trainers[0].epochs_done == 2 and trainers[0].history is history and len(history) == 2
    # nor does it leave a trace in what comes next: the velocity and the order of rows are as they were
    assert trainers[0].fit(X, y, epochs=2).loss == trainers[1].fit(X, y, epochs=2).loss
    assert same_bits(parameters(nets[0]), parameters(nets[1]))


@pytest.mark.parametrize(("setting", "value"), [("lr", -1.0), ("momentum", 1.0), ("weight_decay", float("nan")), ("lr", "0.1")])
def test_settings_are_checked_where_they_are_used(setting: str, value: Any) -> None:
    net = network([5, 9, 2])
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    setattr(trainer.optimizer, setting, value)
    net.forward(inputs(40, 5))
    net.backward(inputs(40, 2))
    for call in (
        lambda: trainer.fit(inputs(40, 5), inputs(40, 2), epochs=1),
        lambda: trainer.step(inputs(40, 5), inputs(40, 2)),
        lambda: trainer.optimizer.step(net),
    ):
        with pytest.raises((ValueError, TypeError), match=f"{setting}: expected"):
            call()
    assert same_bits(parameters(net), before)
    assert trainer.epochs_done == 0


def test_weights_that_are_not_finite_are_refused() -> None:
    net = network([5, 9, 2])
    trainer = rg.Trainer(net, rg.SGD(3e38))
    trainer.step(1e5 * inputs(40, 5), inputs(40, 2))  # a step alone looks at its loss, not at the weights
    assert not np.isfinite(net.weights[0]).all()
    trainer.optimizer.lr = 0.1
    with pytest.raises(ValueError, match=r"weights of layer 0 are not finite: expected"):
        trainer.fit(inputs(40, 5), inputs(40, 2), epochs=1)
    net.set_weights([np.zeros(w.shape) for w in net.weights], [np.zeros(b.shape) for b in net.biases])
    assert np.isfinite(rg.Trainer(net, rg.SGD(0.1)).fit(inputs(40, 5), inputs(40, 2), epochs=1).loss).all()


def test_step_refuses_what_fit_refuses() -> None:
    net = network([5, 9, 2])
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    X, y = inputs(40, 5), inputs(40, 2)
    for bad_X, bad_y in (
        (X[:, :-1], y),
        (X, y[:-1]),
        (X[:0], y[:0]),
        (np.full_like(X, np.nan), y),
        (X, np.full_like(y, np.inf)),
    ):
        with pytest.raises(ValueError, match="expected"):
            trainer.step(bad_X, bad_y)
    assert same_bits(parameters(net), before)


# ---------------------------------------------------------------- progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def fit_seen(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None, progress: Any, **options: Any) -> str:
    """Trains three short epochs with that stream as stderr; what was written."""
    monkeypatch.setattr(sys, "stderr", stream)
    trainer = rg.Trainer(network([5, 9, 3], "cross_entropy"), rg.SGD(0.1), progress=progress)
    assert len(trainer.fit(inputs(40, 5), targets("cross_entropy", 40, 3), epochs=3, **options)) == 3
    return stream.getvalue() if stream else ""


def test_a_bar_where_a_terminal_looks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = fit_seen(monkeypatch, Terminal(), "auto", validation_data=(inputs(9, 5), targets("cross_entropy", 9, 3)))
    for part in ("epoch 3/3", "loss=", "accuracy=", "val_loss=", "val_accuracy=", "rows/s", "120/120", "100%"):
        assert part in seen, part
    assert seen.endswith("\n")


@pytest.mark.parametrize(
    ("stream", "progress", "shown"),
    [
        (io.StringIO, "auto", False),
        (lambda: None, "auto", False),
        (Terminal, False, False),
        (Terminal, "auto", True),
        (io.StringIO, True, True),
    ],
)
def test_when_there_is_a_bar(monkeypatch: pytest.MonkeyPatch, stream: Any, progress: Any, shown: bool) -> None:
    assert ("loss=" in fit_seen(monkeypatch, stream(), progress)) is shown


def test_without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert fit_seen(monkeypatch, Terminal(), "auto") == ""
    assert fit_seen(monkeypatch, Terminal(), True).count("loss") == 3  # plain lines in its place


class FakeBar:
    """Stands in for tqdm; keeps what it is told."""

    made: ClassVar[list[Any]] = []

    def __init__(self, **options: Any) -> None:
        self.total, self.n, self.seen, self.texts, self.closed = options["total"], 0, [], [], False
        FakeBar.made.append(self)

    def update(self, rows: int) -> None:
        self.n += rows
        self.seen.append(self.n)

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        self.texts.append(text)

    def set_description_str(self, text: str, refresh: bool = True) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def test_the_bar_moves_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tqdm.tqdm", FakeBar)
    monkeypatch.setattr(FakeBar, "made", [])
    net = rg.Network([256, 512, 512, 10], loss="cross_entropy")
    trainer = rg.Trainer(net, rg.SGD(0.01), batch_size=64, n_threads=1, progress=True, advice=False)  # on noise
    X, y = inputs(30_000, 256).astype(np.float32), targets("cross_entropy", 30_000, 10)
    history = trainer.fit(X, y, epochs=2)
    (bar,) = FakeBar.made
    assert bar.total == bar.n == 60_000 and bar.closed
    assert np.all(np.diff(bar.seen) >= 0) and all(0 < n <= 60_000 for n in bar.seen)
    assert len(bar.seen) > 3  # more than the end of each epoch, each of which takes far longer than 0.1 s
    within = [float(text.split("loss=")[1]) for text in bar.texts if text.startswith("loss=") and " " not in text]
    assert within and all(0.5 * min(history.loss) < loss < 2 * max(history.loss) for loss in within)  # means, as in the history


def test_the_bar_shows_no_loss_before_the_first_step_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tqdm.tqdm", FakeBar)
    monkeypatch.setattr(FakeBar, "made", [])
    bar = Bar(True, epochs=2, rows=100)
    bar.report(0, 0.0)
    assert FakeBar.made[0].texts == [] and FakeBar.made[0].seen == []
    bar.report(50, 25.0)
    assert FakeBar.made[0].texts == ["loss=0.5"] and FakeBar.made[0].seen == [50]


def test_the_bar_is_closed_and_the_network_free_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tqdm.tqdm", FakeBar)
    monkeypatch.setattr(FakeBar, "made", [])
    net = network([5, 9, 2])
    with pytest.raises(rg.DivergenceError):
        rg.Trainer(net, rg.SGD(1e6), batch_size=4, progress=True).fit(inputs(40, 5), inputs(40, 2), epochs=5)
    assert FakeBar.made[0].closed

    class Broken(FakeBar):
        def update(self, rows: int) -> None:
            raise OSError("no room")

    monkeypatch.setattr("tqdm.tqdm", Broken)
    large = rg.Network([256, 512, 512, 10])
    with pytest.raises(OSError, match="no room"):  # raised within the epoch, by the report
        rg.Trainer(large, rg.SGD(0.01), n_threads=1, progress=True).fit(
            inputs(20_000, 256).astype(np.float32), inputs(20_000, 10), epochs=1
        )
    assert np.isfinite(large.predict(inputs(3, 256))).all()


# ---------------------------------------------------------------- the object


def test_repr() -> None:
    text = repr(rg.Trainer(network([5, 9, 2]), rg.SGD(0.1, momentum=0.9), batch_size=7, n_threads=2))
    for part in (
        "[5, 9, 2]",
        "SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)",
        "batch_size=7",
        "shuffle=True",
        "n_threads=2",
    ):
        assert part in text, part


def test_a_trainer_keeps_its_network_alive() -> None:
    trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.1))
    gc.collect()
    found = trainer.fit(inputs(40, 5), inputs(40, 2), epochs=2)
    net = network([5, 9, 2])
    assert found.loss == rg.Trainer(net, rg.SGD(0.1)).fit(inputs(40, 5), inputs(40, 2), epochs=2).loss
    core = trainer._core  # the extension's own reference counts
    del trainer, found
    gc.collect()
    rows, answers = inputs(40, 5), inputs(40, 2)
    stranger = _core.OptimizerF32(_core.NetworkF32([5, 9, 2], ["relu", "identity"], "mse"))
    with pytest.raises(ValueError, match="another network"):
        core.epoch(stranger, rows, answers, None, _core.EpochOptions())


def test_two_trainers_of_one_network_take_turns() -> None:
    net, twin = network([5, 9, 2], dtype="float64", activation="tanh"), network([5, 9, 2], dtype="float64", activation="tanh")
    X, y = inputs(40, 5), inputs(40, 2)
    first, second = rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=8), rg.Trainer(net, rg.SGD(0.05), batch_size=5)
    one, two = Textbook(twin, lr=0.1, momentum=0.9), Textbook(twin, lr=0.05)
    two.weights, two.biases = one.weights, one.biases
    for epoch in (1, 2):
        for trainer, textbook in ((first, one), (second, two)):
            trainer.fit(X, y, epochs=1)
            textbook.epoch(X, y, trainer.batch_size, _core.permutation(0, epoch, 40))
    for p, q in zip(parameters(net), one.parameters, strict=True):
        assert_close(p, q, 1e-12)


# ---------------------------------------------------------------- settings and copies


def test_a_refused_fit_has_not_begun() -> None:
    X, y, begun = inputs(40, 5), inputs(40, 2), []

    class Notes(rg.Callback):
        def on_train_begin(self, trainer: rg.Trainer) -> None:
            begun.append(1)

    net = rg.Network([5, rg.Dense(4, norm="batch"), 2])
    trainer = rg.Trainer(net, rg.SGD(0.1), batch_size=10, callbacks=[Notes()])
    history = trainer.fit(X, y, epochs=1)
    before = parameters(net)
    refused: list[tuple[str, Any, type[Exception], str]] = [
        ("batch_size", 13, ValueError, "expected more than one row in every batch, got 40 rows in batches of 13"),
        ("batch_size", 1, ValueError, "expected more than one row in every batch, got 40 rows in batches of 1"),
        ("n_threads", 0, ValueError, "n_threads: expected at least 1, got 0"),
        ("shuffle", "yes", TypeError, "shuffle: expected True or False, got 'yes'"),
        ("progress", "much", ValueError, "progress: expected True, False or \"auto\", got 'much'"),
        ("optimizer", "sgd", TypeError, r"optimizer: expected an optimiser such as rg.Adam\(\), got 'sgd'"),
    ]
    for name, wrong, error, message in refused:
        right = getattr(trainer, name)
        setattr(trainer, name, wrong)
        with pytest.raises(error, match=message):
            trainer.fit(X, y, epochs=1)
        setattr(trainer, name, right)
        assert trainer.epochs_done == 1 and trainer.history is history and len(begun) == 1, name
    with pytest.raises(AttributeError):
        trainer.network = net  # type: ignore[misc]
    assert same_bits(parameters(net), before)


def test_errors_in_validation_data_say_so() -> None:
    X, y = inputs(8, 5), inputs(8, 2)
    trainer = rg.Trainer(network([5, 4, 2]), rg.SGD(0.1))
    for data, message in (
        ((X[:, :3], y), r"validation_data: X: expected shape \(rows, 5\)"),
        ((X, y[:3]), "validation_data: y: expected as many rows as X"),
        ((X, y, np.ones(3)), "validation_data: sample_weight: expected one for each row"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer.fit(X, y, epochs=1, validation_data=data)


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda trainer: pickle.loads(pickle.dumps(trainer))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_of_a_trainer_goes_on_to_the_last_bit(copied: Callable[[rg.Trainer], rg.Trainer]) -> None:
    X, y = inputs(50, 21), inputs(50, 6)
    net = network([21, 40, 6], dropout=0.2)
    trainer = rg.Trainer(net, rg.Adam(0.01), batch_size=10, schedule=rg.schedules.Cosine(length=22, per="step", warmup=3))
    trainer.fit(X, y, epochs=5)
    twin = copied(trainer)
    assert twin.network is not net and twin.optimizer is not trainer.optimizer and twin.epochs_done == 5
    first, second = trainer.fit(X, y, epochs=2), twin.fit(X, y, epochs=2)
    assert same_bits(first.loss, second.loss)
    assert same_bits(parameters(net), parameters(twin.network))
    assert trainer.step(X[:4], y[:4]) == twin.step(X[:4], y[:4])


def test_a_trainer_at_work_is_not_copied() -> None:
    def act(trainer: rg.Trainer, history: rg.History) -> None:
        copy.deepcopy(trainer)

    trainer = rg.Trainer(network([5, 4, 2]), rg.SGD(0.1), callbacks=[act])
    with pytest.raises(RuntimeError, match="this trainer is training: it cannot be copied now"):
        trainer.fit(inputs(8, 5), inputs(8, 2), epochs=1)
