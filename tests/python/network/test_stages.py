"""Forward pass, backward pass and update by hand: every array against float64 NumPy (oracle.py), and the order of calls.

Not here: whole epochs (test_reference.py, test_trainer.py), bits across threads and layouts (test_bits.py).
"""

import copy
import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import HIDDEN_ACTIVATIONS, LOSSES, PAIRS, UPDATES, assert_close, inputs, network, parameters, same_bits, targets
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import DERIVATIVE, FUNCTION, Pass, Textbook, as_matrix, forward_backward

# float32: chains of at most 40 terms over 3 layers, each off by half of 2^-23
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
# of one pass, by the sums of its terms' magnitudes: five times the worst of 8000 random networks
OF_TERMS = {"float64": 5e-15, "float32": 2e-6}


def magnitudes(net: rg.Network, expected: Pass, t: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Both passes with every term made positive: what rounding errors are in proportion to, where terms cancel.

    The first delta is scale (p - t), times f' in some losses, which is at most 1 here.
    """
    weights, biases = ([np.abs(array).astype(np.float64) for array in arrays] for arrays in (net.weights, net.biases))
    slopes = [np.abs(DERIVATIVE.get(f, np.ones_like)(z)) for f, z in zip(net.activations, expected.z, strict=True)]
    z, a = [], [np.abs(expected.a[0])]
    for i in range(net.depth):
        z.append(a[i] @ weights[i] + biases[i])
        a.append(np.abs(expected.a[i + 1]) + z[i] * slopes[i])
    applied = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}.get(net.loss_name, net.activations[-1])
    rows, outputs = expected.z[-1].shape
    scale = {"mse": 2 / (rows * outputs), "binary_cross_entropy": 1 / (rows * outputs)}.get(net.loss_name, 1 / rows)
    delta = [scale * (np.abs(FUNCTION[applied](expected.z[-1])) + np.abs(as_matrix(net.loss_name, t, outputs)))]
    for i in range(net.depth - 1, 0, -1):
        delta.insert(0, delta[0] @ weights[i].T * slopes[i - 1])
    dw = [inputs.T @ d for inputs, d in zip(a, delta, strict=False)]
    return {"z": z, "a": a, "delta": delta, "dw": dw, "db": [d.sum(axis=0) for d in delta], "dx": [delta[0] @ weights[0].T]}


def check_passes(net: rg.Network, X: np.ndarray, y: np.ndarray) -> None:
    """z, a, delta, dw, db, dx and loss of one batch against NumPy."""
    tolerance = OF_TERMS[net.dtype.name]
    seen = X.astype(net.dtype)
    t = y if y.dtype.kind == "i" else y.astype(net.dtype)
    expected = forward_backward(net.weights, net.biases, net.activations, net.loss_name, seen, t)
    sizes = magnitudes(net, expected, t)
    out = net.forward(X)
    found = net.backward(y)
    assert_close(out, expected.a[-1], tolerance, "output", sizes["a"][-1])
    for name in ("z", "a"):
        assert len(getattr(net, name)) == len(getattr(expected, name))
        for i, array in enumerate(getattr(net, name)):
            assert array.dtype == net.dtype
            assert_close(array, getattr(expected, name)[i], tolerance, f"{name}[{i}]", sizes[name][i])
    for name in ("delta", "dw", "db"):
        assert len(getattr(found, name)) == net.depth
        for i, array in enumerate(getattr(found, name)):
            assert array.dtype == net.dtype
            assert_close(array, getattr(expected, name)[i], tolerance, f"{name}[{i}]", sizes[name][i])
    assert_close(found.dx, expected.dx, tolerance, "dx", sizes["dx"][0])
    assert_close(found.loss, expected.loss, tolerance, "loss", expected.loss + sizes["z"][-1].max())  # it is what z leave


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("output", "loss"), PAIRS)
@pytest.mark.parametrize("hidden", HIDDEN_ACTIVATIONS)
def test_passes_equal_numpy(hidden: str, output: str, loss: str, dtype: str) -> None:
    net = network([7, 19, 18, 5], loss, activation=hidden, output_activation=output, dtype=dtype)
    check_passes(net, inputs(21, 7), targets(loss, 21, 5))


@given(
    rows=st.integers(1, 70),
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    hidden=st.sampled_from(HIDDEN_ACTIVATIONS),
    loss=st.sampled_from(LOSSES),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 1000),
)
def test_passes_equal_numpy_at_any_size(rows: int, sizes: list[int], hidden: str, loss: str, dtype: str, seed: int) -> None:
    if loss == "cross_entropy":
        sizes = [*sizes[:-1], sizes[-1] + 1]
    net = network(sizes, loss, activation=hidden, dtype=dtype, seed=seed)
    X = inputs(rows, sizes[0], seed)
    y = targets(loss, rows, sizes[-1], seed)
    z = forward_backward(net.weights, net.biases, net.activations, loss, X.astype(dtype), y).z
    # beside a kink of the relus rounding decides the side
    assume("relu" not in hidden or min(np.abs(v).min() for v in z) > 10 * np.finfo(dtype).eps)
    check_passes(net, X, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 2, 15, 16, 17, 31, 32, 33, 64, 129, 300])
def test_passes_equal_numpy_around_the_edges_of_panels(rows: int, dtype: str) -> None:
    net = network([16, 17, 15, 33], "cross_entropy", activation="tanh", dtype=dtype)
    check_passes(net, inputs(rows, 16), targets("cross_entropy", rows, 33))


def test_rows_of_probabilities_are_answers_too() -> None:
    net = network([6, 9, 4], "cross_entropy", activation="tanh", dtype="float64")
    probabilities = np.random.default_rng(3).dirichlet(np.ones(4), 20)
    check_passes(net, inputs(20, 6), probabilities)


def test_one_hot_rows_equal_labels() -> None:
    net = network([6, 9, 4], "cross_entropy", dtype="float64")
    X, y = inputs(20, 6), targets("cross_entropy", 20, 4)
    net.forward(X)
    by_label = net.backward(y)
    by_row = net.backward(np.eye(4)[y])
    assert by_row.loss == pytest.approx(by_label.loss, rel=1e-14)
    for found, expected in zip(by_row.dw, by_label.dw, strict=True):
        assert_close(found, expected, 1e-14)


def test_extreme_logits_give_finite_losses_and_gradients() -> None:
    for loss, y in (("cross_entropy", np.array([1, 0])), ("binary_cross_entropy", np.array([[0.0, 1.0], [1.0, 0.0]]))):
        net = rg.Network([2, 2], loss=loss, init=([1e4 * np.eye(2)], [np.zeros(2)]), dtype="float64")
        net.forward(np.array([[1.0, -1.0], [-1.0, 1.0]]))
        found = net.backward(y)
        assert found.loss == pytest.approx(2e4 if loss == "cross_entropy" else 1e4, rel=1e-12)  # every answer is wrong
        assert_close(np.abs(found.delta[0]), np.full((2, 2), 0.5 if loss == "cross_entropy" else 0.25), 1e-12)


@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_backward_from_a_gradient_of_the_users_own(output: str, loss: str) -> None:
    net = network([5, 8, 6, 3], loss, activation="tanh", output_activation=output, dtype="float64")
    X, dz = inputs(18, 5), inputs(18, 3, seed=7)
    expected = forward_backward(net.weights, net.biases, net.activations, loss, X, dz=dz)
    net.forward(X)
    found = net.backward(dz=dz)
    assert found.loss is None
    for i in range(3):
        assert_close(found.delta[i], expected.delta[i], 1e-10)
        assert_close(found.dw[i], expected.dw[i], 1e-10)
        assert_close(found.db[i], expected.db[i], 1e-10)
    assert_close(found.dx, expected.dx, 1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_last_delta_as_dz_gives_the_same_bits(loss: str) -> None:
    net = network([5, 20, 3], loss)
    net.forward(inputs(33, 5))
    by_loss = net.backward(targets(loss, 33, 3))
    by_dz = net.backward(dz=by_loss.delta[-1])
    for name in ("delta", "dw", "db", "dx"):
        assert same_bits(getattr(by_dz, name), getattr(by_loss, name)), name


def test_one_output_takes_vectors() -> None:
    net = network([4, 6, 1])
    X, y = inputs(10, 4), inputs(10, 1, seed=2)
    net.forward(X)
    column, vector = net.backward(y), net.backward(y[:, 0])
    assert same_bits(column.dw, vector.dw) and column.loss == vector.loss
    column, vector = net.backward(dz=y), net.backward(dz=y[:, 0])
    assert same_bits(column.dw, vector.dw)


def test_what_can_be_read_is_a_copy() -> None:
    net = network([4, 6, 3])
    X, y = inputs(10, 4), inputs(10, 3)
    net.forward(X)
    before = copy.deepcopy((net.z, net.a))
    for array in (*net.z, *net.a):
        array.flags.writeable = True  # whoever insists
        array[...] = 7
    assert same_bits((net.z, net.a), before)
    untouched = net.backward(y).dw
    for array in (*net.z, *net.a):
        array.flags.writeable = True  # whoever insists
        array[...] = 7
    assert same_bits(net.backward(y).dw, untouched)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UPDATES)
def test_updates_by_hand_equal_numpy(name: str, dtype: str) -> None:
    net = network([6, 17, 3], activation="tanh", dtype=dtype)
    sgd, expected = rg.SGD(**UPDATES[name]), Textbook(net, **UPDATES[name])
    for step in range(6):
        X, y = inputs(20, 6, seed=step).astype(dtype), inputs(20, 3, seed=step + 50).astype(dtype)
        net.forward(X)
        found = net.backward(y)
        sgd.step(net)
        assert found.loss == pytest.approx(expected.step(X, y), rel=TOLERANCE[dtype])
        for i, (p, q) in enumerate(zip(parameters(net), expected.parameters, strict=True)):
            assert_close(p, q, TOLERANCE[dtype], f"parameter {i} after step {step + 1}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("rows", [7, 33])
def test_by_hand_step_and_epoch_give_the_same_bits(name: str, loss: str, dtype: str, rows: int) -> None:
    by_hand = network([9, 20, 4], loss, activation="tanh", dtype=dtype)
    by_step, by_epoch = copy.copy(by_hand), copy.copy(by_hand)
    hand, step, epoch = (rg.SGD(**UPDATES[name]) for _ in range(3))
    stepper = rg.Trainer(by_step, step)
    trainer = rg.Trainer(by_epoch, epoch, batch_size=rows, shuffle=False)
    X, y = inputs(rows, 9), targets(loss, rows, 4)
    for _ in range(3):
        by_hand.forward(X)
        found = by_hand.backward(y)
        hand.step(by_hand)
        assert stepper.step(X, y) == found.loss
        assert trainer.fit(X, y, epochs=1).loss == [found.loss]
        assert same_bits(parameters(by_step), parameters(by_hand))
        assert same_bits(parameters(by_epoch), parameters(by_hand))


def test_settings_may_change_between_steps() -> None:
    net = network([4, 5, 2], activation="tanh", dtype="float64")
    sgd, expected = rg.SGD(0.1, momentum=0.9), Textbook(net, lr=0.1, momentum=0.9)
    X, y = inputs(10, 4), inputs(10, 2)
    for lr, momentum, decay in ((0.1, 0.9, 0.0), (0.01, 0.5, 0.1), (0.2, 0.0, 0.0), (0.1, 0.9, 0.0)):
        sgd.lr, sgd.momentum, sgd.weight_decay = lr, momentum, decay
        expected.lr, expected.momentum, expected.weight_decay = lr, momentum, decay
        net.forward(X)
        net.backward(y)
        sgd.step(net)
        expected.step(X, y)
    for p, q in zip(parameters(net), expected.parameters, strict=True):
        assert_close(p, q, 1e-10)


def test_lr_zero_changes_nothing() -> None:
    net = network([4, 5, 2])
    before = parameters(net)
    net.forward(inputs(10, 4))
    net.backward(inputs(10, 2))
    rg.SGD(0.0).step(net)
    assert same_bits(parameters(net), before)


# ---------------------------------------------------------------- gradients that are held

OVERWRITERS: dict[str, Callable[[rg.Network], Any]] = {
    "step": lambda net: rg.SGD(0.1).step(net),
    "forward": lambda net: net.forward(inputs(40, 4, seed=8)),
    "backward": lambda net: net.backward(inputs(12, 3, seed=9)),
    "backward_dz": lambda net: net.backward(dz=inputs(12, 3, seed=9)),
    "set_weights": lambda net: net.set_weights([2 * w for w in net.weights]),
    "copy_from": lambda net: net.copy_from(network([4, 9, 3], seed=5)),
    "fit": lambda net: rg.Trainer(net, rg.SGD(0.1)).fit(inputs(40, 4), inputs(40, 3), epochs=2),
    "trainer_step": lambda net: rg.Trainer(net, rg.SGD(0.1)).step(inputs(40, 4), inputs(40, 3)),
    "step_forward_backward": lambda net: [
        rg.SGD(0.1).step(net),
        net.forward(inputs(12, 4, seed=8)),
        net.backward(inputs(12, 3, seed=9)),
    ],
}


@pytest.mark.parametrize("name", OVERWRITERS)
def test_gradients_keep_their_values(name: str) -> None:
    net = network([4, 9, 3])
    twin = copy.copy(net)
    X, y = inputs(12, 4), inputs(12, 3)
    for each in (net, twin):
        each.forward(X)
    held = net.backward(y)
    OVERWRITERS[name](net)
    expected = twin.backward(y)
    for what in ("delta", "dw", "db", "dx"):
        assert same_bits(getattr(held, what), getattr(expected, what)), what
    assert held.loss == expected.loss
    assert "dw=(4, 9), (9, 3)" in repr(held)


def test_gradients_hold_their_network_until_the_next_pass() -> None:
    net = network([4, 9, 3])
    net.forward(inputs(12, 4))
    held = net.backward(inputs(12, 3))
    expected = net.backward(inputs(12, 3))
    del net
    gc.collect()
    assert same_bits(held.dw, expected.dw)


# ---------------------------------------------------------------- the order of calls


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: net.z, "forward"),
        (lambda net: net.a, "forward"),
        (lambda net: net.backward(inputs(12, 3)), "forward"),
        (lambda net: net.backward(dz=inputs(12, 3)), "forward"),
        (lambda net: rg.SGD(0.1).step(net), "backward"),
    ],
)
def test_too_early(call: Callable[[rg.Network], Any], message: str) -> None:
    net = network([4, 9, 3])
    before = parameters(net)
    with pytest.raises(RuntimeError, match=rf"call .*{message}"):
        call(net)
    assert same_bits(parameters(net), before)


def test_step_after_forward_alone() -> None:
    net = network([4, 9, 3])
    net.forward(inputs(12, 4))
    net.backward(inputs(12, 3))
    net.forward(inputs(12, 4))  # the gradients of before are gone
    with pytest.raises(RuntimeError, match="backward"):
        rg.SGD(0.1).step(net)


@pytest.mark.parametrize("name", ["step", "set_weights", "copy_from", "fit", "trainer_step"])
def test_backward_after_the_weights_changed(name: str) -> None:
    net = network([4, 9, 3])
    net.forward(inputs(12, 4))
    net.backward(inputs(12, 3))
    OVERWRITERS[name](net)
    for call in (lambda: net.backward(inputs(12, 3)), lambda: net.backward(dz=inputs(12, 3))):
        with pytest.raises(RuntimeError, match="weights have changed since forward"):
            call()


def test_z_and_a_survive_an_update() -> None:
    net = network([4, 9, 3])
    net.forward(inputs(12, 4))
    before = net.z, net.a
    net.backward(inputs(12, 3))
    rg.SGD(0.1).step(net)
    assert same_bits((net.z, net.a), before)


def test_prediction_leaves_the_stages_alone() -> None:
    net = network([4, 9, 3])
    net.forward(inputs(12, 4))
    before = net.z, net.a, net.backward(inputs(12, 3)).dw
    net.predict(inputs(50, 4, seed=3))
    net.loss(inputs(50, 4, seed=3), inputs(50, 3))
    assert same_bits((net.z, net.a, net.backward(inputs(12, 3)).dw), before)


def test_a_failed_backward_leaves_the_last_one() -> None:
    net = network([4, 9, 3])
    net.forward(inputs(12, 4))
    twin = copy.copy(net)
    held = net.backward(inputs(12, 3))
    with pytest.raises(ValueError, match="expected as many rows as X"):
        net.backward(inputs(11, 3))
    rg.SGD(0.1).step(net)
    twin.forward(inputs(12, 4))
    assert same_bits(held.dw, twin.backward(inputs(12, 3)).dw)
    rg.SGD(0.1).step(twin)
    assert same_bits(parameters(net), parameters(twin))


def test_an_optimiser_belongs_to_one_network() -> None:
    first, second = network([4, 9, 3]), network([4, 9, 3])
    sgd = rg.SGD(0.1, momentum=0.9)
    for net in (first, second):
        net.forward(inputs(12, 4))
        net.backward(inputs(12, 3))
    sgd.step(first)
    before = parameters(second)
    with pytest.raises(ValueError, match="belongs to another network"):
        sgd.step(second)
    with pytest.raises(ValueError, match="belongs to another network"):
        rg.Trainer(second, sgd)
    assert same_bits(parameters(second), before)
    assert copy.copy(rg.SGD(0.1, momentum=0.9)).momentum == 0.9


def test_a_change_of_a_gradient_is_refused_as_it_would_change_nothing() -> None:
    net = network([3, 4, 2])
    net.forward(inputs(5, 3))
    with pytest.raises(ValueError, match="read-only"):
        net.backward(inputs(5, 2)).dw[0][:] = 0


def test_what_is_a_copy_is_read_only() -> None:
    net = rg.Network([3, rg.Dense(4, "tanh", norm="batch"), 2], dtype="float64")
    net.forward(inputs(5, 3), training=True)
    found = net.backward(inputs(5, 2))
    copies = [*found.delta, *found.dw, *found.db, *found.dgamma, *found.dbeta, found.dx, *net.z, *net.a]
    copies += [*net.weights, *net.biases, *net.gamma, *net.beta, *net.running_mean, *net.running_var]
    for array in copies:
        if array is not None:
            with pytest.raises(ValueError, match="read-only"):
                array[:] = 0
    net.forward(inputs(5, 3))[:] = 0  # an answer belongs to the caller
    net.predict(inputs(5, 3))[:] = 0


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda found: pickle.loads(pickle.dumps(found))])
def test_gradients_can_be_copied_and_sent(how: Callable[[rg.Gradients], rg.Gradients]) -> None:
    net = rg.Network([3, rg.Dense(4, "tanh", norm="batch", bias=False), 2], dtype="float64")
    net.forward(inputs(5, 3), training=True)
    twin = how(net.backward(inputs(5, 2)))
    net.forward(inputs(5, 3), training=True)
    found = net.backward(inputs(5, 2))
    rg.SGD(0.1).step(net)
    assert twin.loss == found.loss and repr(twin) == repr(found)
    for name in ("delta", "dw", "dx", "db", "dgamma", "dbeta"):
        assert same_bits(getattr(twin, name), getattr(found, name))
