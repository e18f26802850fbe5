"""The network as an object: construction, initialisers, weights, copies, and what predict and loss return.

Not here: refused arguments (test_bad_input.py), the stages by hand (test_stages.py).
"""

import copy
import inspect
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import LOSSES, inputs, network, parameters, same_bits, targets
from oracle import forward_backward, loss_and_dz
from scipy import stats

# ---------------------------------------------------------------- construction


def test_defaults() -> None:
    net = rg.Network([3, 5, 2])
    assert net.sizes == (3, 5, 2)
    assert net.depth == 2
    assert net.activations == ("relu", "identity")
    assert net.loss_name == "mse"
    assert net.dtype == np.float32
    assert net.seed == 0
    assert net.n_parameters == 3 * 5 + 5 + 5 * 2 + 2
    assert [w.shape for w in net.weights] == [(3, 5), (5, 2)]
    assert [b.shape for b in net.biases] == [(5,), (2,)]
    assert all(p.dtype == np.float32 for p in parameters(net))


def test_options_are_keywords() -> None:
    kinds = {p.name: p.kind for p in inspect.signature(rg.Network).parameters.values()}
    assert kinds.pop("layers") is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert set(kinds.values()) == {inspect.Parameter.KEYWORD_ONLY}


def test_layer_specs() -> None:
    net = rg.Network(
        [4, rg.Dense(6, "tanh"), 5, rg.Dense(3), rg.Dense(2)],
        activation="sigmoid",
        output_activation="softmax",
        loss="cross_entropy",
    )
    assert net.sizes == (4, 6, 5, 3, 2)
    assert net.activations == ("tanh", "sigmoid", "sigmoid", "softmax")
    last = rg.Network([4, rg.Dense(2, "tanh")], output_activation="sigmoid")
    assert last.activations == ("tanh",)


@pytest.mark.parametrize("layers", [(3, 5, 2), np.array([3, 5, 2]), [np.int64(3), rg.Dense(np.int32(5)), np.uint8(2)]])
def test_sizes_may_be_of_any_integer_kind(layers: Any) -> None:
    net = rg.Network(layers)
    assert same_bits(parameters(net), parameters(rg.Network([3, 5, 2])))
    assert all(type(n) is int for n in net.sizes)


def test_dense_says_what_it_is() -> None:
    layer = rg.Dense(5, "tanh", "glorot")
    assert (layer.units, layer.activation, layer.init) == (5, "tanh", rg.Initializer("glorot"))
    assert layer == rg.Dense(5, "tanh", rg.Initializer("glorot")) and layer != rg.Dense(5, "relu", "glorot")
    assert pickle.loads(pickle.dumps(layer)) == layer
    with pytest.raises(AttributeError):
        layer.units = 6  # type: ignore[misc]


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float32, np.float64, np.dtype("float64"), float])
def test_dtype(dtype: Any) -> None:
    net = rg.Network([3, 5, 2], dtype=dtype)
    assert net.dtype == np.dtype(dtype)
    net.forward(inputs(4, 3))
    gradients = net.backward(inputs(4, 2))
    arrays = [*parameters(net), *net.z, *net.a, *gradients.dw, *gradients.db, *gradients.delta, gradients.dx]
    assert {a.dtype for a in [*arrays, net.predict(inputs(4, 3))]} == {np.dtype(dtype)}


def test_seed() -> None:
    first, again, other = (rg.Network([30, 20, 10], seed=seed) for seed in (7, 7, 8))
    assert same_bits(parameters(first), parameters(again))
    assert not np.array_equal(first.weights[0], other.weights[0])
    # every bit of the seed counts
    high = rg.Network([30, 20, 10], seed=7 + 2**32)
    assert high.seed == 7 + 2**32 and not np.array_equal(first.weights[0], high.weights[0])
    assert rg.Network([3, 2], seed=2**64 - 1).seed == 2**64 - 1


def test_a_drawn_seed_can_be_read() -> None:
    first, second = rg.Network([30, 20, 10], seed=None), rg.Network([30, 20, 10], seed=None)
    assert first.seed != second.seed
    assert not np.array_equal(first.weights[0], second.weights[0])
    X, y = inputs(50, 30), inputs(50, 10)
    again = rg.Network([30, 20, 10], seed=first.seed)
    assert same_bits(parameters(again), parameters(first))
    for net in (first, again):
        rg.Trainer(net, rg.SGD(0.1), batch_size=8).fit(X, y, epochs=2)  # the order of rows is the seed's too
    assert same_bits(parameters(again), parameters(first))


@pytest.mark.parametrize("loss", LOSSES)
def test_metric(loss: str) -> None:
    expected = {"mse": "mae", "quadratic": "mae", "cross_entropy": "accuracy", "binary_cross_entropy": "accuracy"}
    assert network([3, 2], loss).metric_name == expected[loss]


def test_repr_is_a_summary() -> None:
    text = repr(rg.Network([784, rg.Dense(128, "tanh"), 10], loss="cross_entropy", dtype="float64", seed=3))
    for part in (
        "784 -> 128",
        "128 -> 10",
        "tanh",
        "identity",
        "100,480",
        "1,290",
        "101,770",
        "cross_entropy",
        "float64",
        "seed=3",
    ):
        assert part in text, part
    assert len(text.splitlines()) == 5  # head, column names, two layers, total


# ---------------------------------------------------------------- initialisers

FAN_IN, FAN_OUT = 400, 300
# standard deviation that each scheme means, and its distribution
SCHEMES = {
    "he_normal": (math.sqrt(2 / FAN_IN), "norm"),
    "he_uniform": (math.sqrt(2 / FAN_IN), "uniform"),
    "glorot_normal": (math.sqrt(2 / (FAN_IN + FAN_OUT)), "norm"),
    "glorot_uniform": (math.sqrt(2 / (FAN_IN + FAN_OUT)), "uniform"),
    "lecun_normal": (math.sqrt(1 / FAN_IN), "norm"),
    "lecun_uniform": (math.sqrt(1 / FAN_IN), "uniform"),
    "normal": (0.01, "norm"),
}


def check_distribution(weights: np.ndarray, deviation: float, distribution: str) -> None:
    """Mean, deviation, range and shape (Kolmogorov and Smirnov) of many weights."""
    values = np.asarray(weights, np.float64).ravel()
    n = values.size
    assert abs(values.mean()) < 4 * deviation / math.sqrt(n)
    assert values.std() == pytest.approx(deviation, rel=4 / math.sqrt(n))
    if distribution == "uniform":
        limit = math.sqrt(3) * deviation
        assert np.abs(values).max() <= limit
        expected = stats.uniform(-limit, 2 * limit)
    else:
        expected = stats.norm(scale=deviation)
        assert 3.5 * deviation < np.abs(values).max() < 6 * deviation
    assert stats.kstest(values, expected.cdf).pvalue > 0.01
    # neighbours, along either axis, know nothing of each other
    for a, b in ((weights[1:], weights[:-1]), (weights[:, 1:], weights[:, :-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / math.sqrt(n)
    assert np.unique(weights).size > 0.9 * n if weights.dtype == np.float32 else np.unique(weights).size == n


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SCHEMES)
def test_statistics_of_each_initialiser(name: str, dtype: str) -> None:
    net = rg.Network([FAN_IN, FAN_OUT], init=name, dtype=dtype)
    check_distribution(net.weights[0], *SCHEMES[name])


def test_normal_takes_a_scale() -> None:
    for init in (rg.normal(0.5), rg.Initializer("normal", 0.5), rg.Initializer("normal", scale=0.5)):
        check_distribution(rg.Network([FAN_IN, FAN_OUT], init=init).weights[0], 0.5, "norm")


def test_zeros() -> None:
    assert not any(p.any() for p in parameters(rg.Network([5, 4, 3], init="zeros")))


@pytest.mark.parametrize(("alias", "name"), [("he", "he_normal"), ("glorot", "glorot_uniform"), ("lecun", "lecun_normal")])
def test_short_names(alias: str, name: str) -> None:
    assert same_bits(rg.Network([9, 7], init=alias).weights, rg.Network([9, 7], init=name).weights)


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        ("relu", "he_normal"),
        ("leaky_relu", "he_normal"),
        ("tanh", "he_normal"),
        ("sigmoid", "he_normal"),
        ("identity", "lecun_normal"),
    ],
)
def test_the_default_suits_the_activation(activation: str, name: str) -> None:
    layers = [20, rg.Dense(30, activation), rg.Dense(10, "tanh")]
    chosen = [20, rg.Dense(30, activation, name), rg.Dense(10, "tanh", "torch")]
    assert same_bits(rg.Network(layers).weights, rg.Network(chosen).weights)


def test_a_layers_own_init_comes_first() -> None:
    net = rg.Network([20, rg.Dense(30, init="zeros"), rg.Dense(10)], init="lecun")
    assert not net.weights[0].any()
    assert same_bits(net.weights[1], rg.Network([20, 30, 10], init="lecun").weights[1])


def test_layers_differ() -> None:
    weights = rg.Network([20, 20, 20], init="he").weights
    assert not np.isin(weights[0], weights[1]).any()


def test_given_arrays() -> None:
    w, b = [inputs(3, 4), inputs(4, 2)], [inputs(1, 4)[0], inputs(1, 2)[0]]
    net = rg.Network([3, 4, 2], init=(w, b), dtype="float64")
    assert same_bits([*net.weights, *net.biases], [*w, *b])
    before = parameters(net)
    for array in (*w, *b):
        array[...] = 7  # copies were taken
    assert same_bits(parameters(net), before)
    narrow = rg.Network([3, 4, 2], init=(before[:2], before[2:]))
    assert same_bits(parameters(narrow), [p.astype(np.float32) for p in before])


# ---------------------------------------------------------------- weights


def test_weights_are_read_only_copies() -> None:
    net = network([3, 4, 2])
    before = copy.deepcopy(parameters(net))
    for array in parameters(net):
        with pytest.raises(ValueError, match="read-only"):
            array -= 1
    with pytest.raises(AttributeError):
        net.weights = ()  # type: ignore[misc]
    held = parameters(net)
    rg.Trainer(net, rg.SGD(0.1)).fit(inputs(20, 3), inputs(20, 2), epochs=1)
    assert same_bits(held, before)
    assert not any(map(same_bits, parameters(net), before))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_set_weights(dtype: str) -> None:
    net = network([17, 33, 2], dtype=dtype)
    w, b = [inputs(17, 33), inputs(33, 2)], [inputs(1, 33)[0], inputs(1, 2)[0]]
    net.set_weights(w, b)
    assert same_bits(parameters(net), [p.astype(dtype) for p in (*w, *b)])
    net.set_weights([2 * v for v in w])  # the biases stay
    assert same_bits(parameters(net), [p.astype(dtype) for p in (2 * w[0], 2 * w[1], *b)])
    net.set_weights(net.weights, net.biases)
    assert same_bits(net.weights[0], (2 * w[0]).astype(dtype))


def test_set_weights_takes_any_layout_and_kind_of_number() -> None:
    net = network([3, 2])
    expected = np.arange(6, dtype=np.float32).reshape(3, 2)
    wide = np.zeros((6, 4))
    wide[::2, ::2] = expected
    given = {
        "list": expected.tolist(),
        "integers": expected.astype(int),
        "Fortran": np.asfortranarray(expected),
        "slice": wide[::2, ::2],
        "reversed": np.ascontiguousarray(expected[::-1, ::-1])[::-1, ::-1],
        "big-endian": expected.astype(">f4"),
        "half": expected.astype(np.float16),
    }
    for name, w in given.items():
        net.set_weights([np.zeros((3, 2))])
        net.set_weights([w])
        assert same_bits(net.weights[0], expected), name


def test_copy_from() -> None:
    net, other = network([5, 20, 2], seed=1), network([5, 20, 2], seed=2, activation="tanh")
    expected = parameters(other)
    net.copy_from(other)
    assert same_bits(parameters(net), expected)
    assert net.activations == ("relu", "identity")  # weights alone are taken over
    rg.Trainer(net, rg.SGD(0.1)).fit(inputs(20, 5), inputs(20, 2), epochs=1)
    assert same_bits(parameters(other), expected)
    before = parameters(net)
    net.copy_from(net)
    assert same_bits(parameters(net), before)


COPIES: dict[str, Callable[[rg.Network], rg.Network]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {p}": lambda net, p=p: pickle.loads(pickle.dumps(net, p)) for p in range(2, pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("how", COPIES)
def test_copies_are_equal_and_independent(how: str, dtype: str) -> None:
    net = rg.Network(
        [6, rg.Dense(17, "tanh"), rg.Dense(9, "sigmoid"), 3],
        loss="cross_entropy",
        output_activation="softmax",
        seed=5,
        dtype=dtype,
    )
    X, y = inputs(50, 6), targets("cross_entropy", 50, 3)
    rg.Trainer(net, rg.SGD(0.1)).fit(X, y, epochs=1)
    before, shown = parameters(net), net.predict_proba(X)

    twin = COPIES[how](net)
    assert type(twin) is rg.Network and twin is not net
    assert repr(twin) == repr(net)
    assert (twin.sizes, twin.activations, twin.loss_name, twin.seed) == (net.sizes, net.activations, net.loss_name, net.seed)
    assert same_bits(parameters(twin), before)
    assert same_bits(twin.predict_proba(X), shown)

    first = rg.Trainer(twin, rg.SGD(0.1, momentum=0.9), batch_size=8).fit(X, y, epochs=2)
    assert same_bits(parameters(net), before)
    second = rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=8).fit(X, y, epochs=2)
    assert first.loss == second.loss
    assert same_bits(parameters(net), parameters(twin))


def test_a_copy_has_no_passes_of_its_own() -> None:
    net = network([3, 2])
    net.forward(inputs(4, 3))
    net.backward(inputs(4, 2))
    with pytest.raises(RuntimeError, match="forward"):
        _ = copy.copy(net).z


# ---------------------------------------------------------------- prediction and loss


def outputs(net: rg.Network, X: np.ndarray) -> np.ndarray:
    """z of the last layer, by NumPy."""
    passes = forward_backward(net.weights, net.biases, net.activations, net.loss_name, X, dz=np.zeros((len(X), net.sizes[-1])))
    return passes.z[-1]


def test_cross_entropy_predicts_labels() -> None:
    net = network([4, 9, 5], "cross_entropy", dtype="float64")
    X = inputs(50, 4)
    probabilities, labels = net.predict_proba(X), net.predict(X)
    e = np.exp(outputs(net, X))
    np.testing.assert_allclose(probabilities, e / e.sum(axis=1, keepdims=True), rtol=1e-12)
    assert labels.dtype == np.int64 and labels.shape == (50,)
    assert np.array_equal(labels, outputs(net, X).argmax(axis=1))
    assert len(np.unique(labels)) > 1


@pytest.mark.parametrize("k", [1, 3])
def test_binary_cross_entropy_predicts_zero_or_one(k: int) -> None:
    net = network([4, 9, k], "binary_cross_entropy", dtype="float64")
    X = inputs(50, 4)
    shape = (50,) if k == 1 else (50, 3)
    z = outputs(net, X).reshape(shape)
    probabilities, labels = net.predict_proba(X), net.predict(X)
    assert probabilities.shape == labels.shape == shape and labels.dtype == np.int64
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-z)), rtol=1e-12)
    assert np.array_equal(labels, z > 0) and 0 < labels.mean() < 1


@pytest.mark.parametrize("loss", ["mse", "quadratic"])
@pytest.mark.parametrize("k", [1, 3])
def test_other_losses_predict_the_outputs(loss: str, k: int) -> None:
    net = network([4, 9, k], loss, output_activation="tanh", dtype="float64")
    X = inputs(50, 4)
    expected = np.tanh(outputs(net, X))
    np.testing.assert_allclose(net.predict(X), expected[:, 0] if k == 1 else expected, rtol=1e-12)
    assert same_bits(net.predict(X).reshape(50, k), net.forward(X))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_probabilities_of_other_losses(activation: str) -> None:
    net = network([4, 9, 3], "mse", output_activation=activation)
    X = inputs(50, 4)
    assert same_bits(net.predict_proba(X), net.predict(X))
    assert ((net.predict_proba(X) > 0) & (net.predict_proba(X) < 1)).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("k", [1, 3])
def test_loss(loss: str, k: int) -> None:
    k += loss == "cross_entropy"
    net = network([4, 9, k], loss, dtype="float64")
    X, y = inputs(50, 4), targets(loss, 50, k)
    expected, _ = loss_and_dz(loss, "identity", outputs(net, X), y)
    assert type(net.loss(X, y)) is float
    assert net.loss(X, y) == pytest.approx(expected, rel=1e-12)
    if y.ndim == 1 or k == 1:  # (n,) and (n, 1) mean the same
        assert net.loss(X, y.reshape(-1, 1)) == net.loss(X, y.reshape(-1))
    if loss == "cross_entropy":
        for dtype in (np.int8, np.uint8, np.int64, np.uint64, np.float32):
            assert net.loss(X, y.astype(dtype)) == net.loss(X, y), dtype
        assert net.loss(X, y.tolist()) == net.loss(X, y)


def test_loss_of_a_batch_is_that_of_its_backward_pass() -> None:
    for loss in LOSSES:
        net = network([4, 9, 3], loss)
        X, y = inputs(100, 4), targets(loss, 100, 3)
        net.forward(X)
        assert net.backward(y).loss == pytest.approx(net.loss(X, y), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "k"), [("cross_entropy", 3), ("binary_cross_entropy", 1), ("binary_cross_entropy", 3), ("mse", 1), ("mse", 3)]
)
def test_no_rows(loss: str, k: int, dtype: str) -> None:
    net = network([4, 9, k], loss, dtype=dtype)
    nothing = np.empty((0, 4))
    labels = loss == "cross_entropy" or k == 1
    assert net.predict(nothing).shape == ((0,) if labels else (0, k))
    assert net.predict(nothing).dtype == (np.dtype(dtype) if loss == "mse" else np.int64)
    if loss != "mse":
        assert net.predict_proba(nothing).shape == ((0,) if k == 1 else (0, k))


def test_lists_are_taken() -> None:
    net = network([2, 3, 1])
    X = inputs(5, 2)
    assert same_bits(net.predict(X.tolist()), net.predict(X))
    assert same_bits(net.forward(X.tolist()), net.forward(X))
    assert net.loss(X.tolist(), [1, 2, 3, 4, 5]) == net.loss(X, np.arange(1.0, 6.0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "own"), [("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid")])
def test_the_losss_own_activation_is_applied_once(loss: str, own: str, dtype: str) -> None:
    plain, named = (
        rg.Network([6, 20, 4], activation="tanh", output_activation=output, loss=loss, dtype=dtype)
        for output in ("identity", own)
    )
    X, y = inputs(60, 6), targets(loss, 60, 4)
    found = [rg.Trainer(net, rg.SGD(0.5, momentum=0.9), batch_size=16).fit(X, y, epochs=3) for net in (plain, named)]
    assert found[0].loss == found[1].loss and found[0].metric == found[1].metric
    assert same_bits(parameters(plain), parameters(named))
    assert plain.loss(X, y) == named.loss(X, y)
    assert same_bits(plain.predict(X), named.predict(X))
    assert same_bits(plain.predict_proba(X), named.predict_proba(X))
    # what differs is what forward() shows
    assert same_bits(plain.forward(X), plain.z[-1])
    assert same_bits(named.forward(X), named.predict_proba(X))
    assert same_bits(named.a[-1], named.predict_proba(X))
    assert same_bits(plain.z, named.z)
    assert same_bits(plain.backward(y).dw, named.backward(y).dw)


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_n_threads_is_taken_by_all(n_threads: int) -> None:
    net = network([4, 9, 3], "cross_entropy")
    X, y = inputs(200, 4), targets("cross_entropy", 200, 3)
    assert same_bits(net.predict(X, n_threads=n_threads), net.predict(X))
    assert same_bits(net.predict_proba(X, n_threads=n_threads), net.predict_proba(X))
    assert net.loss(X, y, n_threads=n_threads) == net.loss(X, y)
    expected = net.forward(X), net.backward(y).dw
    assert same_bits((net.forward(X, n_threads=n_threads), net.backward(y, n_threads=n_threads).dw), expected)
