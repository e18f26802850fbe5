"""retrograd.reference and its textbook against the engine over whole epochs, with the same weights and order of rows.

These are implementations that share nothing but the formulas. The formulas themselves are tested in test_stages.py.
"""

import copy
import inspect
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import HIDDEN_ACTIVATIONS, LOSSES, PAIRS, UPDATES, assert_close, inputs, network, same_bits, targets, within
from retrograd import _core, reference
from retrograd.reference import textbook

# float32: some 30 updates, each with its rounding
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}


def check_training(net: rg.Network, X: np.ndarray, y: np.ndarray, batch_size: int, update: dict[str, Any]) -> None:
    """Three epochs of both; weights, biases, losses and outputs."""
    tolerance = TOLERANCE[net.dtype.name]
    other, sgd = reference.Network.like(net), reference.SGD(**update)
    assert same_bits(list(other.weights), list(net.weights))
    history = rg.Trainer(net, rg.SGD(**update), batch_size=batch_size).fit(X, y, epochs=3)
    for epoch, loss in zip((1, 2, 3), history.loss, strict=True):
        order = _core.permutation(net.seed, epoch, len(X))
        assert loss == pytest.approx(reference.train_epoch(other, sgd, X, y, batch_size, order), rel=tolerance)
    for found, expected in zip((*net.weights, *net.biases), (*other.weights, *other.biases), strict=True):
        assert expected.dtype == net.dtype
        assert_close(found, expected, tolerance)
    assert_close(net.forward(X), other.predict_outputs(X), tolerance)
    assert net.loss(X, y) == pytest.approx(other.loss(X, y), rel=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("update", UPDATES)
def test_every_update(update: str, loss: str, dtype: str) -> None:
    net = network([11, 24, 17, 5], loss, activation="tanh", dtype=dtype)
    check_training(net, inputs(107, 11), targets(loss, 107, 5), 16, UPDATES[update])


@pytest.mark.parametrize(("output", "loss"), PAIRS)
@pytest.mark.parametrize("hidden", HIDDEN_ACTIVATIONS)
def test_every_activation_and_loss(hidden: str, output: str, loss: str) -> None:
    net = network([7, 20, 18, 4], loss, activation=hidden, output_activation=output, dtype="float64")
    y = targets(loss, 50, 4)
    check_training(net, inputs(50, 7), within(output, y) if loss in ("mse", "quadratic") else y, 12, UPDATES["momentum"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rows", "batch_size"), [(1, 1), (5, 1), (50, 3), (33, 16), (64, 64), (65, 64), (50, 200), (300, 129)])
def test_every_kind_of_batch(rows: int, batch_size: int, dtype: str) -> None:
    net = network([6, 10, 3], "cross_entropy", activation="tanh", dtype=dtype, seed=4)
    check_training(net, inputs(rows, 6), targets("cross_entropy", rows, 3), batch_size, UPDATES["momentum_decay"])


def test_probabilities_and_vectors_as_answers() -> None:
    net = network([6, 10, 3], "cross_entropy", activation="tanh", dtype="float64")
    check_training(net, inputs(40, 6), np.random.default_rng(1).dirichlet(np.ones(3), 40), 8, UPDATES["plain"])
    net = network([6, 10, 1], "binary_cross_entropy", activation="tanh", dtype="float64")
    check_training(net, inputs(40, 6), np.random.default_rng(1).integers(0, 2, 40), 8, UPDATES["plain"])


@pytest.mark.parametrize("loss", LOSSES)
def test_one_pass_under_the_same_names(loss: str) -> None:
    net = network([6, 10, 3], loss, activation="sigmoid", dtype="float64")
    other = reference.Network.like(net)
    X, y = inputs(20, 6), targets(loss, 20, 3)
    net.forward(X)
    other.forward(X)
    gradients = net.backward(y)
    other.backward(y)
    for found, expected in (
        (net.z, other.z),
        (gradients.delta, other.deltas),
        (gradients.dw, other.dw),
        (gradients.db, other.db),
    ):
        for a, b in zip(found, expected, strict=True):
            assert_close(a, b, 1e-12)
    assert_close(gradients.dx, other.input_gradient(), 1e-12)
    assert gradients.loss == pytest.approx(other.loss_value(), rel=1e-12)
    dz = inputs(20, 3, seed=5)
    other.backward(dz=dz)
    for a, b in zip(net.backward(dz=dz).dw, other.dw, strict=True):
        assert_close(a, b, 1e-12)


def test_its_own_start_is_usable() -> None:
    net = reference.Network([200, 100, 3], activation="relu", seed=1)
    assert net.weights[0].dtype == np.float32 and not net.biases[0].any()
    assert net.weights[0].std() == pytest.approx((2 / 200) ** 0.5, rel=0.03)
    assert same_bits(net.weights, reference.Network([200, 100, 3], activation="relu", seed=1).weights)
    assert not np.array_equal(net.weights[0], reference.Network([200, 100, 3], activation="relu", seed=2).weights[0])


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_train_alone(how: Any) -> None:
    net = reference.Network([4, 6, 2], dtype="float64")
    before = net.parameters.copy()
    twin = how(net)
    assert same_bits(list(twin.weights), list(net.weights))
    reference.train_epoch(twin, reference.SGD(0.1), inputs(20, 4), inputs(20, 2), 5, np.arange(20))
    assert same_bits(net.parameters, before) and not np.array_equal(twin.parameters, before)
    assert np.shares_memory(twin.weights[0], twin.parameters)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reference.Network([3]), "sizes"),
        (lambda: reference.Network([3, 0]), "sizes"),
        (lambda: reference.Network([3, 2], output_activation="snake"), "expected one of .*'snake'"),
        (lambda: reference.Network([3, 2], loss="l2"), "expected one of .*'l2'"),
        (lambda: reference.Network([3, 2, 2], activation="softmax"), "softmax"),
        (lambda: reference.Network([3, 2], output_activation="relu", loss="cross_entropy"), "expected identity or softmax"),
        (lambda: reference.Network([3, 2], dtype="int32"), "expected float32 or float64"),
        (lambda: reference.Network([3, 2], weights=[np.zeros((2, 3))]), "expected shapes"),
        (lambda: reference.Network([3, 2]).backward(np.zeros((1, 2))), "forward pass"),
        (lambda: reference.Network([3, 2]).forward(np.zeros((1, 2))), "expected shape"),
        (lambda: reference.Network([3, 2]).loss(np.zeros((4, 3)), np.zeros((3, 2))), "expected shape"),
        (lambda: reference.SGD(0.1, nesterov=True), "momentum"),
    ],
)
def test_wrong_calls(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- the textbook

TEXTBOOK_SIZES = (9, 14, 11, 5)


def textbook_pair(rows: int = 53) -> tuple[rg.Network, list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    """The engine's network, the same weights and biases (none of them zero) as the textbook's lists, rows and labels."""
    w, b = textbook.initialise(TEXTBOOK_SIZES, seed=3)
    b = [inputs(1, len(bias), seed=i)[0] for i, bias in enumerate(b)]
    net = rg.Network(
        TEXTBOOK_SIZES, activation="tanh", output_activation="softmax", loss="cross_entropy", dtype="float64", init=(w, b)
    )
    return net, w, b, inputs(rows, TEXTBOOK_SIZES[0]), targets("cross_entropy", rows, TEXTBOOK_SIZES[-1])


def assert_all_close(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert_close(one, other, tolerance)


def test_textbook_stages_under_the_engines_names() -> None:
    net, w, b, X, y = textbook_pair()
    net.forward(X)
    gradients = net.backward(y)
    z, a = textbook.forward(w, b, X)
    delta, dw, db = textbook.backward(w, a, y)
    assert_all_close(z, net.z)
    assert_all_close(a, net.a)
    assert_all_close(delta, gradients.delta)
    assert_all_close(dw, gradients.dw)
    assert_all_close(db, gradients.db)
    assert textbook.loss(a, y) == pytest.approx(gradients.loss, rel=1e-12)
    rg.SGD(lr=0.3).step(net)
    textbook.update(w, b, dw, db, lr=0.3)
    assert_all_close((*w, *b), (*net.weights, *net.biases))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("rows", "batch_size"), [(53, 8), (48, 16), (7, 1), (20, 64)])
def test_textbook_training_equals_the_engines(rows: int, batch_size: int, shuffle: bool) -> None:
    net, w, b, X, y = textbook_pair(rows)
    history = rg.Trainer(net, rg.SGD(lr=0.2), batch_size=batch_size, shuffle=shuffle).fit(X, y, epochs=5)
    losses = []
    for epoch in range(1, 6):
        order = _core.permutation(net.seed, epoch, rows) if shuffle else None
        losses.append(textbook.train_epoch(w, b, X, y, lr=0.2, batch_size=batch_size, order=order))
    assert losses == pytest.approx(history.loss, rel=1e-12)
    assert losses[-1] < losses[0]
    assert_all_close((*w, *b), (*net.weights, *net.biases))
    assert_all_close([textbook.forward(w, b, X)[1][-1]], [net.predict_proba(X)])


def test_textbook_gradients_are_differences_of_its_loss() -> None:
    _, w, b, X, y = textbook_pair(12)
    _, dw, db = textbook.backward(w, textbook.forward(w, b, X)[1], y)
    step = 1e-5
    for parameter, gradient in zip((*w, *b), (*dw, *db), strict=True):
        for place in np.ndindex(parameter.shape):
            start = parameter[place]
            around = []
            for moved in (start + step, start - step):
                parameter[place] = moved
                around.append(textbook.loss(textbook.forward(w, b, X)[1], y))
            parameter[place] = start
            assert gradient[place] == pytest.approx((around[0] - around[1]) / (2 * step), abs=1e-9)


def test_textbook_start() -> None:
    w, b = textbook.initialise([400, 300, 2], seed=1)
    assert [v.shape for v in w] == [(400, 300), (300, 2)] and [v.shape for v in b] == [(300,), (2,)]
    assert w[0].std() == pytest.approx(400**-0.5, rel=0.02) and not any(v.any() for v in b)
    assert same_bits(w, textbook.initialise([400, 300, 2], seed=1)[0])
    assert not np.array_equal(w[0], textbook.initialise([400, 300, 2], seed=2)[0][0])


def test_textbook_softmax_does_not_overflow() -> None:
    assert_close(textbook.softmax(np.array([[1000.0, 1000.0, -1000.0]])), np.array([[0.5, 0.5, 0.0]]), 1e-15)


def test_textbook_is_a_page_and_the_readme_shows_its_lines() -> None:
    source = inspect.getsource(textbook)
    assert len(source.splitlines()) <= 90
    root = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
    shown = re.findall(r"```py\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(shown) == 1 and shown[0] in source
