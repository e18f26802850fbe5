"""The quick forms of predict and step for plain arrays: they answer as the long forms do, and take nothing they should not."""

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import LOSSES, inputs, parameters, same_bits, targets
from retrograd import _core

OUTPUTS = {loss: (2, 3, 17) if loss == "cross_entropy" else (1, 3, 17) for loss in LOSSES}


def long(net: rg.Network, X: Any, probabilities: bool = False) -> Any:
    """The answer of the long way: a forced team is not for the short one."""
    net._core.force_team(1)
    try:
        return net.predict_proba(X) if probabilities else net.predict(X)
    finally:
        net._core.force_team(0)


def network(loss: str, k: int, dtype: str = "float32", hidden: int = 24) -> rg.Network:
    return rg.Network([7, hidden, k], activation="tanh", loss=loss, dtype=dtype, seed=3)


def misaligned(X: np.ndarray) -> np.ndarray:
    memory = np.zeros(X.nbytes + 1, np.uint8)
    view = memory[1:].view(X.dtype).reshape(X.shape)
    view[...] = X
    return view


class Subclass(np.ndarray):
    """An array that might read differently."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("loss", LOSSES)
def test_predict_answers_as_the_long_way(loss: str, given: str, dtype: str) -> None:
    for k in OUTPUTS[loss]:
        net = network(loss, k, dtype)
        X = (inputs(40, 7) * 3 + 4).astype(given)
        whole = long(net, X)
        for rows in (1, 2, 5, 6, 7, 8, 15, 16, 17, 40):
            assert net._core.predict_quick(X[:rows], 0) is not None
            got = net.predict(X[:rows])
            assert got.dtype == whole.dtype and got.shape == whole[:rows].shape
            assert same_bits(got, whole[:rows]), (k, rows)
            assert same_bits(net.predict(X[:rows], n_threads=1), got)
            assert same_bits(net.predict(X[::-2][:rows]), whole[::-2][:rows])
        if loss in ("cross_entropy", "binary_cross_entropy"):
            assert same_bits(net.predict_proba(X[:9]), long(net, X, True)[:9])


def test_what_is_not_plain_takes_the_long_way() -> None:
    net = network("mse", 2)
    X = inputs(6, 7).astype(np.float32)
    want = long(net, X)
    others: dict[str, Any] = {
        "rows of different lengths": [[1.0] * 7, [1.0] * 6],
        "text": [["1"] * 7],
        "big-endian": X.astype(">f4"),
        "Fortran": np.asfortranarray(X),
        "misaligned": misaligned(X),
        "subclass": X.view(Subclass),
        "float16": X.astype(np.float16),
        "no rows": X[:0],
    }
    for name, other in others.items():
        assert net._core.predict_quick(other, 0) is None, name
        if name not in ("float16", "no rows", "rows of different lengths", "text"):
            assert same_bits(net.predict(other), want), name
    assert net.predict(X[:0]).shape == (0, 2)
    assert net._core.predict_quick(np.zeros((100_000, 7), np.float32), 0) is None  # work enough for two


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predict_finds_what_is_not_finite(bad: float) -> None:
    for dtype in (np.float32, np.float64):
        X = inputs(6, 7).astype(dtype)
        X[4, 5] = bad
        with pytest.raises(ValueError, match=r"X: expected finite numbers.* at row 4, column 5"):
            network("mse", 2).predict(X)
    with pytest.raises(ValueError, match=r"X: expected shape \(rows, 7\), got \(3, 6\)"):
        network("mse", 2).predict(np.zeros((3, 6), np.float32))


def test_labels_are_those_of_numpys_argmax() -> None:
    net = rg.Network([3, 3], loss="cross_entropy")
    rows = np.array([[1, 1, 0], [0, 2, 2], [5, 1, 5], [-1, -2, -1], [0, 0, 0]], np.float32)
    net.set_weights([np.eye(3)], [np.zeros(3)])
    assert net.predict(rows).tolist() == np.argmax(rows, axis=1).tolist() == [0, 1, 0, 0, 0]
    # two infinite hidden units make inf - inf at the outputs `nans`
    for nans in ([0], [1], [2], [1, 2], [0, 1, 2]):
        net = rg.Network([3, 2, 3], activation="identity", loss="cross_entropy")
        w = np.array([[1.0, 1, 1], [1, 1, 1]])
        w[1, nans] = -1
        net.set_weights([np.full((3, 2), 3e38), w], [np.zeros(2), np.zeros(3)])
        X = np.full((4, 3), 9, np.float32)
        out = net.forward(X)
        assert np.isnan(out).sum() == 4 * len(nans)
        with pytest.warns(rg.DataWarning, match=r"outputs for row 0 are NaN or infinite \(4 of 4"):
            assert net.predict(X).tolist() == long(net, X).tolist() == np.argmax(out, axis=1).tolist() == [nans[0]] * 4


def test_many_threads_predict_at_once() -> None:
    net = network("mse", 5)
    X = inputs(64, 7).astype(np.float32)
    want = long(net, X)
    wrong: list[int] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for rows in random.integers(1, 64, 300):
            if not same_bits(net.predict(X[:rows]), want[:rows]):
                wrong.append(int(rows))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---------------------------------------------------------------- step


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_step_is_an_epoch_of_one_batch(loss: str, dtype: str) -> None:
    for k in OUTPUTS[loss]:
        for rows in (1, 2, 5, 6, 9, 16, 33):
            net = network(loss, k, dtype)
            X, y = inputs(rows, 7).astype(np.float32), targets(loss, rows, k)
            kinds = [np.int64, np.int32, np.uint8] if y.dtype.kind == "i" else [dtype, np.float64]
            for given in [y.astype(kind) for kind in kinds]:
                twin = copy.copy(net)
                trainer = rg.Trainer(twin, rg.SGD(0.1, momentum=0.9))
                expected = copy.copy(net)
                epoch = rg.Trainer(expected, rg.SGD(0.1, momentum=0.9), batch_size=rows, shuffle=False)
                for _ in range(2):
                    loss_of_step = trainer.step(X, given)
                    assert loss_of_step == epoch.fit(X, y, epochs=1).loss[0]
                    assert same_bits(parameters(twin), parameters(expected)), (k, rows)


def quick_step(net: rg.Network, X: Any, y: Any) -> Any:
    """What the quick form answers: None where it leaves the work to the long form."""
    trainer = rg.Trainer(net, rg.SGD(0.1))
    return trainer._core.step(trainer.optimizer._bind(net), X, y)


def test_step_takes_plain_arrays_the_short_way() -> None:
    X = inputs(4, 7).astype(np.float32)
    for loss, y in {
        "cross_entropy": np.array([0, 2, 1, 0]),
        "mse": np.zeros((4, 3), np.float32),
        "focal": np.array([0, 2, 1, 0], np.uint8),
        "binary_cross_entropy": np.full((4, 3), 0.5, np.float32),
    }.items():
        assert isinstance(quick_step(network(loss, 3), X, y), float)
    assert isinstance(quick_step(network("mse", 1), X, np.zeros(4, np.float32)), float)
    assert isinstance(quick_step(network("mse", 1), X, np.zeros((4, 2), np.float32)[:, :1]), float)


REFUSED: dict[str, Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]] = {
    "nan in X": lambda X, y: (np.where(X == X[2, 1], np.float32(np.nan), X), y),
    "label too large": lambda X, y: (X, np.array([0, 3, 0, 0])),
    "label below 0": lambda X, y: (X, np.array([0, -1, 0, 0], np.int32)),
    "small label too large": lambda X, y: (X, np.array([0, 3, 0, 0], np.uint8)),
    "label of 2^32": lambda X, y: (X, np.array([0, 2**32, 0, 0])),
    "label nan": lambda X, y: (X, np.array([0, np.nan, 0, 0])),
    "rows": lambda X, y: (X, y[:3]),
    "features": lambda X, y: (X[:, :6], y),
    "no rows": lambda X, y: (X[:0], y[:0]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_step_refuses_and_changes_nothing(what: str) -> None:
    net = network("cross_entropy", 3)
    before = parameters(net)
    X, y = REFUSED[what](inputs(4, 7).astype(np.float32), np.array([0, 2, 1, 0]))
    assert quick_step(net, X, y) is None
    with pytest.raises(ValueError, match=r"expected .* got"):
        rg.Trainer(net, rg.SGD(0.1)).step(X, y)
    assert same_bits(parameters(net), before)


@pytest.mark.parametrize("loss", ["mse", "binary_cross_entropy"])
def test_step_refuses_targets_and_changes_nothing(loss: str) -> None:
    net = network(loss, 3)
    before = parameters(net)
    X = inputs(4, 7).astype(np.float32)
    for bad in (np.nan, np.inf) if loss == "mse" else (np.nan, 1.5, -0.1):
        y = np.full((4, 3), 0.5, np.float32)
        y[2, 1] = bad
        assert quick_step(net, X, y) is None
        with pytest.raises(ValueError, match=r"y: expected .* row 2, column 1"):
            rg.Trainer(net, rg.SGD(0.1)).step(X, y)
    assert same_bits(parameters(net), before)


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_plain_labels_are_copied_and_checked(kind: Any) -> None:
    given = (np.arange(37) % 5).astype(kind)
    labels = _core.labels(given, 37, 5)
    assert labels is not None
    assert labels.dtype == np.int32
    assert (labels == given).all()
    assert not np.shares_memory(labels, given)
    info = np.iinfo(kind)
    for bad in {5, info.max, info.min, *(() if kind == np.uint8 else (-1,)), *((2**32, 2**32 + 1) if kind == np.int64 else ())}:
        if bad == 0:
            continue
        for row in (0, 17, 36):
            wrong = given.copy()
            wrong[row] = bad
            assert _core.labels(wrong, 37, 5) is None, (bad, row)


def test_labels_that_are_not_plain_take_the_long_way() -> None:
    y = np.zeros(8, np.int64)
    four = y[:4]
    others = [y[:7], y[::2], four.astype(">i8"), four.astype(np.int16), four.reshape(4, 1), four.tolist(), np.zeros(4), None]
    for other in others:
        assert _core.labels(other, 4, 2) is None, other
    net = network("cross_entropy", 3)
    X = inputs(4, 7).astype(np.float32)
    expected = net.loss(X, [0, 2, 1, 0])
    for y in (np.array([0, 2, 1, 0], ">i8"), np.array([[0], [2], [1], [0]]), np.array([0, 9, 2, 9, 1, 9, 0, 9])[::2]):
        assert net.loss(X, y) == expected


def test_rows_are_taken_where_they_lie_if_they_are_finite() -> None:
    wide = np.zeros((5, 8), np.float32)
    for rows in (wide, wide[:, 2:6], wide[::-1], wide[::2, :3], wide.astype(np.float64), wide.astype(np.uint8), wide[:0]):
        assert _core.NetworkF32.takes(rows, rows.shape[1])
        assert not _core.NetworkF32.takes(rows, rows.shape[1] + 1)
    rest = wide[:, :4]
    for rows in (wide[:, ::2], rest.astype(np.float16), rest.astype(">f4"), misaligned(rest), rest[0], rest.tolist(), None):
        assert not _core.NetworkF32.takes(rows, 4)
    for size in (5, 5000):  # numbers that one thread reads at once, and those that are worth more
        for bad in (np.nan, np.inf, -np.inf, 1e39):
            many = np.zeros((size, 8))
            many[size - 1, 7] = bad
            assert not _core.NetworkF32.takes(many, 8)
            assert _core.NetworkF64.takes(many, 8) == (bad == 1e39)


def test_a_step_that_diverges_changes_nothing() -> None:
    net = rg.Network([2, 1])
    net.set_weights([np.full((2, 1), 3e38)], [np.zeros(1)])
    before = parameters(net)
    with pytest.raises(rg.DivergenceError):
        rg.Trainer(net, rg.SGD(0.1)).step(np.full((1, 2), 9, np.float32), np.zeros(1, np.float32))
    assert same_bits(parameters(net), before)


def test_settings_that_change_between_steps_are_checked_and_used() -> None:
    net = network("mse", 1)
    X, y = inputs(4, 7).astype(np.float32), np.ones(4, np.float32)
    sgd = rg.SGD(0.1)
    trainer = rg.Trainer(net, sgd)
    trainer.step(X, y)
    sgd.lr = 0.0
    before = parameters(net)
    trainer.step(X, y)
    assert same_bits(parameters(net), before)
    sgd.lr = -1.0
    with pytest.raises(ValueError, match="lr: expected"):
        trainer.step(X, y)
    sgd.lr = True
    with pytest.raises(TypeError, match="lr: expected"):
        trainer.step(X, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_small_network_follows_settings_that_change(dtype: str) -> None:
    """The calls of its passes are written down once, and anew where the batch is shorter or other terms of the update
    count."""
    X, y = inputs(21, 7).astype(dtype), inputs(21, 3, seed=2).astype(dtype)
    trained = []
    for team in (0, 2):  # a team takes the passes of all networks
        net = network("mse", 3, dtype)
        net._core.force_team(team)
        sgd = rg.SGD(0.1, momentum=0.9, dampening=0.5)  # the first step is without
        trainer = rg.Trainer(net, sgd, batch_size=8)
        trainer.fit(X, y, epochs=2)
        sgd.weight_decay = 0.01
        trainer.fit(X, y, epochs=1)
        sgd.weight_decay = sgd.dampening = 0.0
        trainer.fit(X, y, epochs=1)
        sgd.momentum = 0.0
        trainer.fit(X[:5], y[:5], epochs=1)
        trained.append(parameters(net))
    assert same_bits(*trained)
