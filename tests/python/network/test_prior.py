"""The output bias from the training data: that it is the best constant answer for every loss, finite, and set once."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import ALL_LOSSES, inputs, same_bits, targets
from oracle import loss_and_dz
from scipy import special, stats

Array = np.ndarray[Any, Any]
ROWS = 60
W = np.random.default_rng(5).uniform(0, 3, ROWS)
W[:7] = 0


def begun(y: Array, outputs: int, *, sample_weight: Array | None = None, **options: Any) -> Array:
    """The output bias that a fit begins with: the learning rate is 0."""
    net = rg.Network([3, 4, outputs], bias_init="prior", dtype="float64", **options)
    assert not net.biases[-1].any()
    before = net.weights, net.biases[0]
    rg.Trainer(net, rg.SGD(0.0), progress=False).fit(inputs(len(y), 3), y, epochs=1, sample_weight=sample_weight)
    assert same_bits((net.weights, net.biases[0]), before)
    bias: Array = net.biases[-1]
    return bias


# ---------------------------------------------------------------- which constant

LOSSES: list[tuple[str | rg.losses.Loss, float | None]] = [
    *((name, None) for name in ALL_LOSSES if name not in ("hinge", "focal")),
    (rg.losses.Quantile(0.8), 0.8),
    (rg.losses.Huber(0.3), 0.3),
    (rg.losses.Huber(5.0), 5.0),
    (rg.losses.CrossEntropy(label_smoothing=0.2), 0.2),
]


@pytest.mark.parametrize("weights", [None, W], ids=["plain", "weighted"])
@pytest.mark.parametrize(("loss", "parameter"), LOSSES, ids=str)
def test_no_other_constant_has_a_smaller_loss(loss: Any, parameter: float | None, weights: Array | None) -> None:
    name = loss if isinstance(loss, str) else loss.name
    y = targets(name, ROWS, 3)
    best = begun(y, 3, loss=loss, sample_weight=weights)

    def mean_loss(bias: Array) -> float:
        return float(loss_and_dz(name, "identity", np.tile(bias, (ROWS, 1)), y, parameter, weights)[0])

    least = mean_loss(best)
    for direction in np.random.default_rng(1).standard_normal((20, 3)):
        for length in (0.3, 1e-3):
            assert mean_loss(best + length * direction) >= least - 1e-12


def test_known_constants() -> None:
    rng = np.random.default_rng(3)
    counts, numbers, yes = rng.poisson(4.0, (ROWS, 2)), rng.gamma(2.0, 3.0, (ROWS, 2)), rng.random(ROWS) < 0.2
    label = rng.choice(3, ROWS, p=[0.6, 0.3, 0.1])
    shares = np.bincount(label, minlength=3) / ROWS
    assert begun(numbers, 2) == pytest.approx(numbers.mean(axis=0), rel=1e-12)
    assert begun(numbers, 2, loss="mae") == pytest.approx(np.median(numbers, axis=0), rel=1e-12)
    assert begun(numbers, 2, loss=rg.losses.Huber(1e6)) == pytest.approx(numbers.mean(axis=0), rel=1e-6)
    assert begun(numbers[:, 0], 1, loss=rg.losses.Quantile(0.31)) == pytest.approx(
        np.quantile(numbers[:, 0], 0.31, method="inverted_cdf"), rel=1e-12
    )
    assert begun(counts, 2, loss="poisson") == pytest.approx(np.log(counts.mean(axis=0)), rel=1e-12)
    assert begun(yes.astype(float), 1, loss="binary_cross_entropy") == pytest.approx(special.logit(yes.mean()), rel=1e-12)
    for loss in ("cross_entropy", "focal"):
        assert begun(label, 3, loss=loss) == pytest.approx(np.log(shares), rel=1e-12)
    assert begun(np.eye(3)[label], 3, loss="cross_entropy") == pytest.approx(np.log(shares), rel=1e-12)
    assert begun(2 * yes - 1, 1, loss="hinge") == pytest.approx(2 * yes.mean() - 1, rel=1e-12)
    assert begun(yes.astype(int), 1, loss="hinge") == pytest.approx(2 * yes.mean() - 1, rel=1e-12)
    assert begun(label, 3, loss="hinge") == pytest.approx(shares, rel=1e-12)


def test_weights_of_rows_are_as_many_rows() -> None:
    rng = np.random.default_rng(4)
    times = rng.integers(0, 4, ROWS)
    for loss in ALL_LOSSES:
        y = targets(loss, ROWS, 2)
        weighted = begun(y, 2, loss=loss, sample_weight=times.astype(float))
        assert weighted == pytest.approx(begun(np.repeat(y, times, axis=0), 2, loss=loss), rel=1e-9)


def test_weights_of_classes_count() -> None:
    label = np.repeat([0, 1, 2], [40, 15, 5])
    net = rg.Network([3, 3], loss="cross_entropy", bias_init="prior", dtype="float64")
    rg.Trainer(net, rg.SGD(0.0)).fit(inputs(ROWS, 3), label, epochs=1, class_weight="balanced")
    assert net.biases[0] == pytest.approx(np.log([1 / 3] * 3), rel=1e-12)


def test_only_rows_that_are_trained_on_count() -> None:
    y = np.arange(ROWS, dtype=np.float64)
    net = rg.Network([3, 1], bias_init="prior", dtype="float64")
    seen: list[Array] = []

    class Look(rg.Callback):
        def on_step_end(self, trainer: rg.Trainer, info: rg.StepInfo) -> None:
            seen.append(trainer.network.biases[0])

        every = 1

    rg.Trainer(net, rg.SGD(0.0), callbacks=[Look()]).fit(inputs(ROWS, 3), y, epochs=1, validation_split=0.5)
    assert seen[0][0] != y.mean() and 30 * seen[0][0] == pytest.approx(round(30 * seen[0][0]))  # a mean of 30 of them


# ---------------------------------------------------------------- through the output activation

VALUE = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "exponential": np.exp,
    "softmax": special.softmax,
}


@pytest.mark.parametrize("activation", VALUE)
def test_the_output_has_the_mean(activation: str) -> None:
    below = {"tanh", "softsign", "identity", "leaky_relu", "elu", "selu"}
    y = np.random.default_rng(2).uniform(-0.7 if activation in below else 0.1, 0.2, (ROWS, 3))
    if activation == "softmax":
        y /= y.sum(axis=1, keepdims=True)
    assert VALUE[activation](begun(y, 3, output_activation=activation)) == pytest.approx(y.mean(axis=0), rel=1e-10)


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "silu", "mish"])
def test_an_activation_without_an_inverse_is_refused(activation: str) -> None:
    with pytest.raises(ValueError, match=f"\"prior\" needs an output_activation that has an inverse, got '{activation}'"):
        rg.Network([3, 1], output_activation=activation, bias_init="prior")


# ---------------------------------------------------------------- whatever the targets are


@pytest.mark.parametrize("activation", VALUE)
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 1e30, -1e30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_finite(activation: str, value: float, dtype: str) -> None:
    net = rg.Network([3, 2], output_activation=activation, bias_init="prior", dtype=dtype)
    net._set_prior(net._examples(inputs(ROWS, 3), np.full((ROWS, 2), value)))
    assert np.isfinite(net.biases[0]).all()


def test_what_does_not_occur_counts_as_half_a_row() -> None:
    n = 50
    X, zeros = inputs(n, 3), np.zeros(n)
    label = np.repeat([0, 2], [20, 30])
    half = 0.5 / n
    cases: list[tuple[str, str, Array, Any]] = [
        ("binary_cross_entropy", "identity", zeros, [special.logit(half)]),
        ("binary_cross_entropy", "sigmoid", zeros + 1, [-special.logit(half)]),
        ("mse", "sigmoid", zeros, [special.logit(half)]),
        ("poisson", "identity", zeros, [np.log(half)]),
        ("poisson", "exponential", zeros, [np.log(half)]),
        ("mse", "exponential", zeros, [np.log(half)]),
        ("cross_entropy", "identity", label, np.log([0.4, half, 0.6])),
        ("cross_entropy", "softmax", label, np.log([0.4, half, 0.6])),
        ("focal", "identity", label, np.log([0.4, half, 0.6])),
        ("mse", "tanh", zeros - 1, [-np.arctanh(1 - 2 * half)]),
        ("hinge", "tanh", zeros + 1, [np.arctanh(1 - 2 * half)]),
    ]
    for loss, activation, y, expected in cases:
        net = rg.Network([3, len(expected)], loss=loss, output_activation=activation, bias_init="prior", dtype="float64")
        net._set_prior(net._examples(X, y))
        assert net.biases[0] == pytest.approx(np.array(expected), rel=1e-10), (loss, activation)


# ---------------------------------------------------------------- when

Y = 5 + np.random.default_rng(1).standard_normal(ROWS)


def pending(**options: Any) -> rg.Network:
    """A network that waits for its data."""
    return rg.Network([3, 6, 1], bias_init="prior", dtype="float64", **options)


def fit(net: rg.Network, y: Array = Y, epochs: int = 1, lr: float = 0.0) -> float:
    """The output bias after it."""
    rg.Trainer(net, rg.SGD(lr), progress=False).fit(inputs(ROWS, 3), y, epochs=epochs)
    return float(net.biases[-1][0])


def test_once_at_the_first_fit() -> None:
    net = pending()
    assert fit(net, epochs=0) == 0  # no step: nothing has begun
    assert fit(net) == pytest.approx(Y.mean(), rel=1e-12)
    assert fit(net, Y + 1) == pytest.approx(Y.mean(), rel=1e-12)


def test_a_layers_own_wish_is_the_networks() -> None:
    net = rg.Network([3, 6, rg.Dense(1, bias_init="prior")], bias_init="zeros", dtype="float64")
    assert fit(net) == pytest.approx(Y.mean(), rel=1e-12)
    assert fit(rg.Network([3, rg.Dense(1, bias_init="zeros")], bias_init="prior")) == 0


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=str)
def test_copies_wait_too(how: Any) -> None:
    net = pending()
    twin = how(net)
    assert fit(net) == pytest.approx(Y.mean(), rel=1e-12)
    assert twin.biases[-1][0] == 0 and fit(twin, Y + 1) == pytest.approx(Y.mean() + 1, rel=1e-12)
    assert fit(how(net), Y + 1) == pytest.approx(Y.mean(), rel=1e-12)
    assert fit(pending()._as_dtype("float32")) == pytest.approx(Y.mean(), rel=1e-6)


def test_a_network_that_has_learned_or_was_set_waits_no_longer() -> None:
    X = inputs(ROWS, 3)
    by_hand, stepped, set_, weights_only = pending(), pending(), pending(), pending()
    by_hand.forward(X)
    by_hand.backward(Y)
    rg.SGD(0.0).step(by_hand)
    rg.Trainer(stepped, rg.SGD(0.0)).step(X, Y)
    set_.set_weights(set_.weights, set_.biases)
    for net in (by_hand, stepped, set_):
        assert fit(net) == 0
    weights_only.set_weights(weights_only.weights)
    assert fit(weights_only) == pytest.approx(Y.mean(), rel=1e-12)


def test_copy_from() -> None:
    trained, target, fresh = pending(), pending(), pending()
    fit(trained)
    target.copy_from(trained)
    assert fit(target, Y + 1) == pytest.approx(Y.mean(), rel=1e-12)
    fresh.copy_from(pending())
    assert fit(fresh) == pytest.approx(Y.mean(), rel=1e-12)


def test_a_refused_fit_changes_nothing() -> None:
    net = pending()
    with pytest.raises(ValueError, match="expected"):
        fit(net, np.full(ROWS, np.nan))
    assert net.biases[-1][0] == 0 and fit(net) == pytest.approx(Y.mean(), rel=1e-12)


def test_lbfgs_begins_there_too() -> None:
    net = pending()
    result = rg.fit_lbfgs(net, inputs(ROWS, 3), Y, max_iter=1)
    twin = pending()
    fit(twin)
    assert result.loss[0] == pytest.approx(twin.loss(inputs(ROWS, 3), Y), rel=1e-12)
    assert fit(net, Y + 9) < Y.mean() + 5  # it waits no longer


def test_the_range_test_begins_there_and_leaves_the_network_waiting() -> None:
    net = pending()
    assert rg.lr_range_test(net, inputs(ROWS, 3), Y, steps=5).loss[0] < 5
    assert net.biases[-1][0] == 0 and fit(net) == pytest.approx(Y.mean(), rel=1e-12)


def test_it_learns_a_rare_class_from_the_first_epoch_on() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2000, 3)), (rng.random(2000) < 0.01).astype(float)
    losses = {}
    for rule in ("uniform", "prior"):
        net = rg.Network([3, 8, 1], loss="binary_cross_entropy", bias_init=rule)
        losses[rule] = rg.Trainer(net, rg.SGD(0.01)).fit(X, y, epochs=1).loss[0]
    assert losses["prior"] < 1.1 * stats.entropy([y.mean(), 1 - y.mean()]) < losses["uniform"]


def test_a_layer_without_biases_has_no_prior() -> None:
    with pytest.raises(ValueError, match=r'"prior" sets the biases of the last layer, which has none \(bias=False\)'):
        rg.Network([3, rg.Dense(1, bias=False)], bias_init="prior")
