"""NotLearningWarning: trainings that learn are silent, others are told why; neither is touched (FAULTS 55)."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import ALL_LOSSES, parameters, same_bits, targets
from oracle import loss_and_dz
from retrograd.datasets import load_digits
from retrograd.training.constant import level_of
from scipy import optimize

Training = Callable[[], Any]


def fit(
    net: rg.Network,
    X: Any,
    y: Any,
    optimizer: Any = None,
    *,
    epochs: int = 20,
    batch_size: int = 32,
    shuffle: bool = True,
    schedule: Any = None,
    **options: Any,
) -> rg.History:
    trainer = rg.Trainer(net, optimizer or rg.Adam(3e-3), batch_size=batch_size, shuffle=shuffle, schedule=schedule)
    return trainer.fit(X, y, epochs=epochs, **options)


def digits(rows: int = 1437) -> tuple[Any, Any]:
    (X, y), _ = load_digits()
    return X[:rows], y[:rows]


def blobs(rows: int = 400, classes: int = 3, features: int = 4, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    return rng.standard_normal((rows, features)) + 2 * rng.standard_normal((classes, features))[y], y


def line(rows: int = 300, noise: float = 0.1, features: int = 3, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, features))
    return X, X @ np.linspace(1, 2, features) / features + noise * rng.standard_normal(rows)


def spiral(rows: int = 400) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    t, y = np.sqrt(rng.random(rows)), rng.integers(0, 2, rows)
    angle = 4 * np.pi * t + np.pi * y
    return np.stack([t * np.cos(angle), t * np.sin(angle)], axis=1), y


XOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0.0, 1, 1, 0])

# ---------------------------------------------------------------- trainings that learn


def of_loss(loss: str) -> None:
    outputs = 3 if loss in ("cross_entropy", "focal") else 1
    rng = np.random.default_rng(1)
    X = rng.standard_normal((400, 4))
    score = X @ np.array([1.0, -1, 0.5, 0])
    y: Any = score
    if loss in ("cross_entropy", "focal"):
        y = np.digitize(score, [-0.7, 0.7])
    elif loss in ("hinge", "binary_cross_entropy"):
        y = (score > 0).astype(float)
    elif loss == "poisson":
        y = rng.poisson(np.exp(0.5 * score))
    net = rg.Network([4, 16, outputs], activation="tanh", loss=loss, seed=1)
    fit(net, X, y, epochs=15)


def xor_with_sigmoids() -> None:
    start = rg.initializers.normal(0.5)
    net = rg.Network([2, 4, 1], activation="sigmoid", output_activation="sigmoid", seed=0, init=start)
    history = fit(net, *XOR, rg.SGD(0.5, momentum=0.9), batch_size=4, epochs=2000)
    assert history.loss[99] > 0.24 and history.loss[-1] < 0.05  # it stays on a plateau at first


def one_epoch_only() -> None:
    fit(rg.Network([64, 32, 10], loss="cross_entropy", seed=0), *digits(), rg.SGD(0.05), epochs=1)


def small_r2() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 3))
    y = 0.25 * X[:, 0] + rng.standard_normal(3000)  # R2 of 0.06
    fit(rg.Network([3, 8, 1], activation="tanh", seed=0), X, y, rg.SGD(0.01), epochs=20)


def autoencoder() -> None:
    X, _ = digits(600)
    net = rg.Network([64, 16, 64], activation="tanh", seed=0)
    fit(net, X, X, rg.Adam(3e-3), epochs=15)


def autoencoder_of_shares() -> None:
    X, _ = digits(600)
    net = rg.Network([64, 32, 64], activation="relu", loss="binary_cross_entropy", seed=0)
    fit(net, X, np.clip(X, 0, 1), rg.Adam(3e-3), epochs=15)


def imbalanced() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 5))
    fit(rg.Network([5, 16, 2], loss="cross_entropy", seed=0), X, (X[:, 0] > 1.9).astype(int), epochs=10)


def deep_tanh() -> None:
    X, y = digits(700)
    fit(rg.Network([64, *[32] * 8, 10], activation="tanh", loss="cross_entropy", seed=0), X, y, rg.Adam(1e-3), epochs=12)


def poisson_counts() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((500, 2))
    fit(rg.Network([2, 1], loss="poisson", seed=0), X, rng.poisson(np.exp(2 * X[:, 0] + 1)), rg.SGD(0.02), epochs=30)


def fine_tuning() -> None:
    X, y = digits(700)
    net = rg.Network([64, 32, 10], loss="cross_entropy", seed=0)
    fit(net, X, y, rg.SGD(0.05, momentum=0.9))
    fit(net, X, y, rg.SGD(1e-6))  # at rest, but not at the level


def frozen_layers() -> None:
    groups = [rg.Group(layers=[0, 1], frozen=True)]
    fit(rg.Network([64, 64, 32, 10], loss="cross_entropy", seed=0), *digits(700), rg.Adam(3e-3, groups=groups), epochs=8)


def tiny_data() -> None:
    fit(rg.Network([2, 8, 1], activation="tanh", seed=0), [[0, 0], [1, 0], [0, 1]], [0, 1, 2], epochs=300)


def a_few_steps() -> None:
    fit(rg.Network([4, 8, 3], loss="cross_entropy", seed=0), *blobs(100), rg.SGD(1e-4), epochs=2)


def a_loop_of_fits() -> None:
    trainer = rg.Trainer(rg.Network([4, 8, 3], loss="cross_entropy", seed=0), rg.SGD(0.02), batch_size=32)
    for _ in range(60):
        trainer.fit(*blobs(100), epochs=1)


def with_dropout() -> None:
    net = rg.Network([64, 64, 10], loss="cross_entropy", dropout=0.5, input_dropout=0.2, seed=0)
    fit(net, *digits(700), rg.Adam(1e-3), epochs=10)


def batch_normalised() -> None:
    net = rg.Network([64, rg.Dense(32, norm="batch"), 10], loss="cross_entropy", seed=0)
    fit(net, 100 * digits(704)[0], digits(704)[1], rg.SGD(0.05), epochs=8)


def smoothed() -> None:
    loss = rg.losses.CrossEntropy(label_smoothing=0.6)
    fit(rg.Network([4, 16, 3], loss=loss, seed=0), *blobs(), epochs=15)


def distilled() -> None:
    X, _ = blobs()
    z = 0.1 * X @ np.ones((4, 3)) * [1, 0, -1]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)  # nearly the same in every row, and to be learned nevertheless
    fit(rg.Network([4, 16, 3], loss="cross_entropy", seed=0), X, p, epochs=30)


def weighted() -> None:
    X, y = line()
    w = np.r_[np.ones(150), np.zeros(150)]
    fit(rg.Network([3, 8, 1], seed=0), X, np.where(w > 0, y, 1e3), epochs=30, sample_weight=w)


def large_offset() -> None:
    X, y = line()
    fit(rg.Network([3, 8, 1], seed=0), X, 5 + y, rg.Adam(1e-2), epochs=60)


def spirals() -> None:
    net = rg.Network([2, 32, 32, 2], activation="tanh", loss="cross_entropy", seed=0)
    fit(net, *spiral(), rg.Adam(1e-2), epochs=200)


def weak(slope: float, rows: int = 20_000) -> tuple[Any, Any]:
    """Numbers that hang on the first column, by far less than on chance."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((rows, 5))
    return X, slope * X[:, 0] + rng.standard_normal(rows)


def weak_signal() -> None:  # R2 of .009, of which least squares reach .0105
    fit(rg.Network([5, 32, 1], seed=0), *weak(0.1), rg.SGD(0.003), epochs=10)


def weaker_signal() -> None:  # R2 of .003
    fit(rg.Network([5, 1], seed=0), *weak(0.055), rg.SGD(1e-3), epochs=10)


def weak_odds(loss: str) -> None:  # AUC of .52
    X, _ = weak(0.0)
    y = (np.random.default_rng(6).random(len(X)) < 1 / (1 + np.exp(-0.085 * X[:, 0]))).astype(int)
    fit(rg.Network([5, 1 if loss == "binary_cross_entropy" else 2], loss=loss, seed=0), X, y, rg.SGD(1e-2), epochs=10)


def weak_logistic() -> None:
    weak_odds("binary_cross_entropy")


def weak_softmax() -> None:
    weak_odds("cross_entropy")


def in_parts(schedule: Any, epochs: int = 6) -> None:
    """One epoch a call, as in a loop of a user's own."""
    trainer = rg.Trainer(rg.Network([64, 32, 10], loss="cross_entropy", seed=0), rg.SGD(0.1), schedule=schedule)
    for _ in range(epochs):
        trainer.fit(*digits(), epochs=1)


def warm_up_in_parts() -> None:
    in_parts(lambda epoch: 1e-6 if epoch < 3 else 0.1)


def warm_up_from_zero_in_parts() -> None:
    in_parts(lambda epoch: 0.1 * (epoch - 1) / 5)


def one_cycle_in_parts() -> None:
    in_parts(rg.schedules.OneCycle(div_factor=1e7, length=6 * 45))


def warm_up_from_zero() -> None:
    schedule = lambda epoch: 0.1 * (epoch - 1) / 5  # noqa: E731
    fit(rg.Network([64, 32, 10], loss="cross_entropy", seed=0), *digits(), rg.SGD(0.1), epochs=6, schedule=schedule)


LEARN: dict[str, Training] = {
    **{loss: lambda loss=loss: of_loss(loss) for loss in ALL_LOSSES},  # type: ignore[misc]
    **{
        training.__name__: training
        for training in (
            xor_with_sigmoids,
            one_epoch_only,
            small_r2,
            autoencoder,
            autoencoder_of_shares,
            imbalanced,
            deep_tanh,
            poisson_counts,
            fine_tuning,
            frozen_layers,
            tiny_data,
            a_few_steps,
            a_loop_of_fits,
            with_dropout,
            batch_normalised,
            smoothed,
            distilled,
            weighted,
            large_offset,
            spirals,
            weak_signal,
            weaker_signal,
            weak_logistic,
            weak_softmax,
            warm_up_in_parts,
            warm_up_from_zero_in_parts,
            one_cycle_in_parts,
            warm_up_from_zero,
        )
    },
}


@pytest.mark.parametrize("name", LEARN)
def test_a_training_that_learns_is_silent(name: str) -> None:
    LEARN[name]()  # a warning is an error here


# ---------------------------------------------------------------- trainings that do not


def unbiased(net: rg.Network) -> rg.Network:
    """The network, with biases of zero whatever the default is."""
    net.set_weights(net.weights, [np.zeros_like(b) for b in net.biases])
    return net


def classifier(**options: Any) -> rg.Network:
    return unbiased(rg.Network([4, 16, 3], loss="cross_entropy", seed=0, **options))


def regression(**options: Any) -> rg.Network:
    return unbiased(rg.Network([3, 16, 1], seed=0, **options))


def uint8_rows() -> None:
    X, y = digits(700)
    X = (X / X.max() * 255).astype(np.uint8)
    fit(rg.Network([64, 128, 10], loss="cross_entropy", seed=0), X, y, rg.SGD(0.1, momentum=0.9))


def large_features() -> None:
    X, y = blobs()
    fit(rg.Network([4, 16, 3], activation="sigmoid", loss="cross_entropy", seed=0, init=rg.initializers.normal(1e-3)),
        np.c_[1e6 + X[:, :1], 1e6 * np.ones((400, 3))], y, rg.SGD(1e-3), epochs=10)  # fmt: skip


def relu_killed_by_the_rate() -> None:
    net = rg.Network([64, 32, 10], loss="cross_entropy", seed=0)
    fit(net, *digits(700), rg.SGD(5.0, momentum=0.9), epochs=5)


def far_too_large_a_rate() -> None:
    fit(classifier(activation="tanh"), *blobs(), rg.SGD(300.0), epochs=10)


def saturated_by_large_x() -> None:
    X = 1e4 * (1 + np.abs(line()[0]))
    fit(rg.Network([3, 16, 1], activation="sigmoid", seed=0), X, np.sin(X[:, 0]), rg.SGD(0.01))


def no_rate() -> None:
    fit(classifier(), *blobs(), rg.SGD(0.0))


def a_schedule_of_zeros() -> None:
    fit(classifier(), *blobs(), rg.SGD(0.1), schedule=lambda epoch: 0.0)


def tiny_rate() -> None:
    fit(classifier(), *blobs(), rg.SGD(1e-7))


def tiny_rate_of_adam() -> None:
    fit(classifier(), *blobs(), rg.Adam(1e-8))


def tiny_clip() -> None:
    fit(classifier(), *blobs(), rg.SGD(0.1, clip_norm=1e-7))


def all_frozen() -> None:
    fit(classifier(), *blobs(), rg.SGD(0.1, groups=[rg.Group(frozen=True)]))


def zeros() -> None:
    fit(classifier(activation="tanh", init="zeros"), *blobs(classes=3), rg.SGD(1e-2), epochs=10)


def equal_weights() -> None:
    w = [np.full((2, 8), 0.1), np.full((8, 1), 0.1)]
    net = rg.Network([2, 8, 1], activation="tanh", seed=0, init=(w, [np.zeros(8), np.zeros(1)]))
    fit(net, *XOR, rg.SGD(0.1), batch_size=4, epochs=500)


def one_label() -> None:
    X, _ = blobs()
    fit(classifier(), X, np.full(400, 2))


def constant_y() -> None:
    fit(regression(), line()[0], np.full(300, 7.0), epochs=40)


def constant_x() -> None:
    fit(classifier(), np.ones((400, 4)), blobs()[1])


def noise() -> None:
    rng = np.random.default_rng(0)
    fit(rg.Network([2, 3], loss="cross_entropy", seed=0), rng.standard_normal((6000, 2)), rng.integers(0, 3, 6000), epochs=10)


def large_y() -> None:
    X, y = line()
    fit(regression(), X, 1e6 * y + 3e6, rg.Adam(1e-3))


def dropped() -> None:
    fit(classifier(dropout=0.999), *blobs(), rg.SGD(0.1), epochs=10)


def dead_from_the_start() -> None:
    net = classifier()
    net.set_weights(net.weights, [np.full(16, -50.0), np.zeros(3)])
    fit(net, *blobs())


def unreachable_y() -> None:
    X, y = line()
    with pytest.warns(rg.DataWarning, match="'sigmoid' gives numbers from 0 to 1"):
        fit(regression(output_activation="sigmoid"), X, -50 - y, rg.SGD(0.1))


def saturated_output() -> None:
    net = regression(output_activation="tanh")
    net.set_weights(net.weights, [np.zeros(16), np.full(1, 40.0)])
    X, y = line()
    fit(net, X, np.tanh(y), rg.SGD(0.01))


def dead_output() -> None:
    net = regression(output_activation="relu")
    net.set_weights(net.weights, [np.zeros(16), np.full(1, -40.0)])
    X, y = line()
    fit(net, X, np.abs(y), rg.SGD(0.01))


def decayed() -> None:
    fit(classifier(), *blobs(), rg.SGD(0.05, weight_decay=5.0), epochs=30)


def l1() -> None:
    fit(classifier(), *blobs(), rg.SGD(0.01, groups=[rg.Group(l1=3.0, params="weights")]), epochs=30)


def deep_sigmoid() -> None:
    X, y = digits(700)
    fit(rg.Network([64, *[32] * 10, 10], activation="sigmoid", loss="cross_entropy", seed=0), X, y, rg.SGD(0.1), epochs=10)


def sparse_under_mae() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 3))
    fit(regression(loss="mae"), X, np.where(rng.random(600) < 0.08, 5.0, 0.0), rg.Adam(1e-2), epochs=20)


def sorted_labels() -> None:
    X, y = digits(1000)
    order = np.argsort(y, kind="stable")
    fit(rg.Network([64, 32, 10], loss="cross_entropy", seed=0), X[order], y[order], rg.SGD(2.0), shuffle=False, epochs=3)


def drowned() -> None:
    fit(classifier(input_noise=300.0), *blobs(), rg.SGD(1e-4), epochs=10)


def standardised(a: Any) -> Any:
    return (a - a.mean(axis=0)) / a.std(axis=0)


def table(first: str = "lognormal", rows: int = 2000, shuffled: bool = False) -> tuple[Any, Any]:
    """Four columns, of which the first is of some kind and says nothing."""
    rng = np.random.default_rng(0)
    kinds = {
        "lognormal": standardised(rng.lognormal(10, 1.5, rows)),
        "integers": rng.integers(0, 21, rows),
        "age": rng.integers(18, 91, rows),
    }
    X = np.c_[kinds[first], rng.standard_normal((rows, 3))]
    y = X[:, 1] + 0.3 * X[:, 2] + 0.1 * rng.standard_normal(rows)
    return X, rng.permutation(y) if shuffled else y


def over(columns: str, optimizer: Any, *, shuffled: bool = False, epochs: int = 20) -> Training:
    def train() -> None:
        X, y = table(columns, 6000 if shuffled else 2000, shuffled)
        fit(rg.Network([4, 16, 1], seed=0), X, y, optimizer, epochs=epochs)

    return train


def heavy_y(kind: str) -> None:
    X, y = table()
    rng = np.random.default_rng(4)
    y = standardised(np.exp(1.5 * y + rng.standard_normal(2000))) if kind == "lognormal" else y + rng.standard_t(1.2, 2000)
    fit(rg.Network([3, 16, 1], seed=0), X[:, 1:], y, rg.SGD(1e-8) if kind == "lognormal" else rg.Adam(1e-3))


def digits_with(optimizer: Any, *, net: rg.Network | None = None, scale: float = 1.0, **options: Any) -> None:
    X, y = digits()
    fit(net or rg.Network([64, 64, 10], loss="cross_entropy", seed=0), scale * X, y, optimizer, **options)


def limited_weights() -> None:
    digits_with(rg.SGD(0.05), net=rg.Network([64, rg.Dense(32, max_norm=0.01), 10], loss="cross_entropy", seed=0))


def tiny_factor() -> None:
    digits_with(rg.SGD(0.1, groups=[rg.Group(layers=[0, 1], lr_factor=1e-6)]))


def overconfident() -> None:
    X, y = digits()
    X = (X / X.max() * 255).astype(np.uint8)
    fit(rg.Network([64, 32, 10], loss="cross_entropy", seed=0), X, y, rg.Adam(), epochs=2)


def small_y(std: float) -> None:
    X, y = table()
    fit(rg.Network([3, 64, 64, 1], seed=0), X[:, 1:], std * standardised(y), rg.Adam(), epochs=2)


def linear_xor(**options: Any) -> None:
    X = np.random.default_rng(0).integers(0, 2, (2000, 2)).astype(float)
    sizes = [2, 8, 1] if options else [2, 1]
    net = rg.Network(sizes, loss="binary_cross_entropy", seed=0, **options)
    fit(net, X, (X[:, 0] != X[:, 1]).astype(float), rg.SGD(0.1))


def only_threes(**options: Any) -> None:
    X, y = digits()
    fit(rg.Network([64, 32, 10], loss="cross_entropy", seed=0), X, y, rg.SGD(0.05), **options)


def offset_in_a_bound() -> None:
    X, y = line()
    y = 0.5 + 1e-4 * y
    fit(regression(output_activation="sigmoid"), X, y, rg.SGD(1e-3))


def half_the_labels() -> None:
    rng = np.random.default_rng(0)
    fit(rg.Network([2, 8], loss="cross_entropy", seed=0), rng.standard_normal((6000, 2)), rng.integers(0, 3, 6000), epochs=10)


def many_rows() -> None:
    rng = np.random.default_rng(0)
    X = 200 + 50 * rng.standard_normal((30_000, 100)).astype(np.float32)
    fit(rg.Network([100, 16, 1], seed=0), X, rng.standard_normal(30_000), rg.SGD(1e-3), epochs=2)


DO_NOT: dict[str, tuple[Training, str]] = {
    "uint8 rows": (uint8_rows, r"128 of 128 units of layer 1 never fire(?s:.*)X ranges from 0 to 255: scale it, X / 255"),
    "features of 1e6": (
        large_features,
        r"X ranges from 99999\d to 1.0000\de\+06: scale it, \(X - X.mean\(0\)\) / \(X.std\(0\) \+ 1e-6\)",
    ),
    "a rate that kills relu": (relu_killed_by_the_rate, "32 of 32 units of layer 1 never fire: .*smaller learning rate"),
    "a rate far too large": (far_too_large_a_rate, "learning rate"),
    "sigmoids saturated by X": (saturated_by_large_x, r"16 of 16 units of layer 1 are saturated(?s:.*)X ranges"),
    "rate 0": (no_rate, "the learning rate is 0"),
    "a schedule of 0": (a_schedule_of_zeros, "the learning rate is 0"),
    "a tiny rate": (tiny_rate, r"the learning rate 1e-07 is far too small.*try 0\.0"),
    "a tiny rate of Adam": (tiny_rate_of_adam, r"the learning rate 1e-08 is far too small"),
    "a tiny limit on gradients": (tiny_clip, r"\n- clip_norm=1e-07 cuts the gradient, .*: take clip_norm=10, or None"),
    "all frozen": (all_frozen, "freeze every parameter"),
    "weights of zero": (zeros, "all 16 units of layer 1 are the same: their weights are zero"),
    "equal weights": (equal_weights, "all 8 units of layer 1 are the same: their weights are equal"),
    "one label": (one_label, "every row of y has the label 2"),
    "a constant y": (constant_y, "y is 7 in every row"),
    "a constant X": (constant_x, "X is the same in every row"),
    "noise": (noise, "no cause was found.*X says nothing about y"),
    "y of 1e6": (large_y, r"y ranges from .* to .*: scale it, \(y - y.mean\(0\)\) / y.std\(0\)"),
    "dropout of .999": (dropped, "dropout=0.999 leaves 0.1 % of layer 1"),
    "dead from the start": (dead_from_the_start, "16 of 16 units of layer 1 never fire: .*biases of up to 50"),
    "y out of reach": (unreachable_y, "y cannot be reached: output_activation='sigmoid'"),
    "a saturated output": (saturated_output, "1 of 1 units of the outputs are saturated"),
    "a dead output": (dead_output, "1 of 1 units of the outputs never fire"),
    "weight decay": (decayed, r"the weights of layer \d are at most .*weight_decay=5 holds them at zero"),
    "l1": (l1, r"the weights of layer \d are at most .*l1=3 holds them at zero"),
    "ten layers of sigmoids": (deep_sigmoid, r"units of layer \d+ hardly depend on X: what X says is lost in \d+ layers"),
    "a sparse y under mae": (sparse_under_mae, "y is 0 in 9. % of the rows, and no other constant has a smaller mae"),
    "sorted labels": (sorted_labels, "y is sorted and shuffle=False"),
    "noise on the inputs": (drowned, "input_noise=300 drowns X"),
    "heavy tails, tiny rate": (over("lognormal", rg.SGD(1e-6)), r", above that.*\n- the learning rate 1e-06 is far too small"),
    "heavy tails, shuffled y": (
        over("lognormal", rg.SGD(1e-2), shuffled=True, epochs=10),
        r"\n- X has heavy tails: column 0 goes to .*\n- no other cause was found .*X says nothing about y",
    ),
    "integers, shuffled y": (
        over("integers", rg.SGD(1e-3), shuffled=True, epochs=10),
        r"to 20: scale it(?s:.*)\n- if that is not it, perhaps X says nothing about y",
    ),
    "integers, tiny rate": (over("integers", rg.SGD(1e-6)), r"scale it(?s:.*)falling, .*the learning rate 1e-06 is small"),
    "age, tiny rate": (over("age", rg.SGD(1e-8)), r"the learning rate 1e-08 is far too small.*\n- X ranges"),
    "age, tinier rate": (over("age", rg.SGD(1e-10)), r"best constant answer, .*\n- the learning rate 1e-10 is far too small"),
    "age, shuffled y": (over("age", rg.Adam(1e-3), shuffled=True), r"\n- if that is not it, perhaps X says nothing about y"),
    "y of Student": (lambda: heavy_y("t"), r'\n- y has heavy tails: it goes to .*; take loss="huber" or "mae"'),
    "lognormal y, tiny rate": (lambda: heavy_y("lognormal"), r"\n- the learning rate 1e-08 is far too(?s:.*)y has heavy tails"),
    "a tiny max_norm": (limited_weights, r"max_norm=0.01 holds them at zero, take a larger one \(1 to 4\) or None"),
    "a huge decay": (
        lambda: digits_with(rg.SGD(0.1, weight_decay=10)),
        r"2.\d+\n- the weights of layer 1 .*weight_decay=10 holds",
    ),
    "a large decay": (
        lambda: digits_with(rg.SGD(0.1, weight_decay=3)),
        r"2.\d+\n- the weights of layer 1 .*weight_decay=3 holds",
    ),
    "a tiny lr_factor": (
        tiny_factor,
        r"\d\n- the learning rate 0.1 times lr_factor of the optimiser's groups, 1e-07, is far too small.* larger lr_factor",
    ),
    "overconfident": (
        overconfident,
        r"^the loss after epoch 2 is .*, above that of the best constant answer, 2.3, though \d\d % of the labels are right: .*"
        r"\n- X ranges from 0 to 255: scale it",
    ),
    "y of .02": (
        lambda: small_y(0.02),
        r"above that of .*\n- y ranges from .*with a standard deviation of 0.02: scale it, \(y",
    ),
    "y of .005": (lambda: small_y(0.005), r"above that of .*\n- y ranges from .*: scale it, \(y"),
    "no hidden layer": (linear_xor, "the network is linear, as it has no hidden layer: add one"),
    "hidden layers that add": (
        lambda: linear_xor(activation="identity"),
        r"""\n- the network is linear, as its hidden layers have activation='identity': take another, such as "relu\"""",
    ),
    "rows of weight 0": (
        lambda: only_threes(sample_weight=(digits()[1] == 3).astype(float)),
        r"constant answer, 0\n- every row of y that counts has the label 3",
    ),
    "labels of weight 0": (
        lambda: only_threes(class_weight={i: 0.0 for i in range(10) if i != 3}),
        r"constant answer, 0\n- every row of y that counts has the label 3",
    ),
    "y of -0": (lambda: fit(regression(), line()[0], -np.zeros(300), epochs=40), r"answer, 0\n- y is 0 in every row:"),
    "y of 1 as a share": (
        lambda: fit(regression(loss="binary_cross_entropy"), line()[0], np.ones(300), epochs=40),
        r"answer, 0\n- y is 1 in every row:",
    ),
    "y that hardly moves in a bound": (offset_in_a_bound, r"scale it, so that it fills the outputs' range from 0 to 1"),
    "labels that do not occur": (half_the_labels, "3 of 8 labels occur in y, without 3, 4, 5, 6, 7"),
    "rows that were not looked at": (many_rows, r"X ranges from .* in the 5000 rows that were looked at: scale it"),
    "tiny X": (lambda: digits_with(rg.SGD(0.05), scale=1e-6), r": the inputs are small\n- X is small, .*: scale it"),
    "a rate of 1e-6 for numbers": (
        lambda: fit(rg.Network([3, 16, 1], seed=0), table()[0][:, 1:], table()[1], rg.SGD(1e-6)),
        r"the learning rate 1e-06 is far too small",
    ),
    "a schedule of tiny rates, in parts": (
        lambda: in_parts(lambda epoch: 1e-7, 40),
        "the learning rate 1e-07 is far too small",
    ),
    "a cosine of tiny rates": (
        lambda: digits_with(rg.SGD(1e-7), epochs=5, schedule=rg.schedules.Cosine(warmup=2)),
        "the learning rate 1e-07 is far too small",
    ),
    "noise in many rows": (
        lambda: fit(rg.Network([5, 16, 1], seed=0), *weak(0.0), rg.SGD(1e-3), epochs=10),
        "no cause was found.*X says nothing about y",
    ),
}


@pytest.mark.parametrize("name", DO_NOT)
def test_a_training_that_does_not_learn_is_told_why(name: str) -> None:
    training, cause = DO_NOT[name]
    with pytest.warns(rg.NotLearningWarning, match=cause) as caught:
        training()
    (warning,) = [one for one in caught if issubclass(one.category, rg.NotLearningWarning)]
    text = str(warning.message)
    assert warning.filename == __file__ and "advice=False" in text
    for absent in ABSENT.get(name, ()):
        assert absent not in text
    if "no cause was found" in text:
        assert text.count("\n- ") == 1 + ("the network is linear" in text)  # else it is "no other cause"


# What must not be said, because it is wrong or contradicts the cause.
ABSENT = {
    "heavy tails, tiny rate": ("scale it", "heavy"),
    "heavy tails, shuffled y": ("scale it",),
    "y of Student": ("scale it",),
    "lognormal y, tiny rate": ("scale it",),
    "y out of reach": ("y ranges",),
    "a huge decay": ("units",),
    "a large decay": ("units",),
    "a tiny lr_factor": ("plateau", "cause was found", "lr_range_test"),
    "overconfident": ("has not left",),
    "y that hardly moves in a bound": ("y.mean",),
    "tiny X": ("learning rate",),
    "a tiny limit on gradients": ("clip_value",),
}


def test_labels_that_are_missing_by_chance_are_no_cause() -> None:
    rng = np.random.default_rng(0)
    with pytest.warns(rg.NotLearningWarning) as caught:
        fit(rg.Network([5, 16, 1000], loss="cross_entropy", seed=0), rng.standard_normal((4000, 5)),
            rng.integers(0, 1000, 4000), rg.SGD(1e-3))  # fmt: skip
    assert "labels occur" not in str(caught[0].message)


# ---------------------------------------------------------------- when it speaks


def dead(**options: Any) -> rg.Trainer:
    net = classifier()
    net.set_weights(net.weights, [np.full(16, -50.0), np.zeros(3)])
    return rg.Trainer(net, rg.SGD(0.01), batch_size=16, **options)


def test_it_speaks_after_the_first_epoch_and_once_in_the_life_of_a_trainer() -> None:
    X, y = blobs(30_000)  # an epoch of some milliseconds
    at: list[int] = []
    trainer = dead(callbacks=[lambda trainer, history: at.append(len(caught))])
    with pytest.warns(rg.NotLearningWarning, match="the loss after epoch 1 is") as caught:
        trainer.fit(X, y, epochs=3)
    assert at == [0, 1, 1]
    X, y = blobs()
    for _ in range(100):
        trainer.fit(X, y, epochs=2)  # silent
    trainer.callbacks = []
    again = pickle.loads(pickle.dumps(trainer))
    again.fit(X, y, epochs=100)


def test_it_speaks_at_the_end_of_a_loop_of_short_fits() -> None:
    X, y = blobs()
    trainer = rg.Trainer(classifier(), rg.SGD(1e-7), batch_size=100)
    with pytest.warns(rg.NotLearningWarning, match="far too small") as caught:
        for _ in range(100):
            trainer.fit(X, y, epochs=1)
    assert len(caught) == 1


def test_a_warm_up_does_not_use_up_the_only_warning() -> None:
    X, y = blobs()
    trainer = rg.Trainer(classifier(), rg.SGD(0.1), batch_size=16, schedule=lambda epoch: 1e-7)
    for _ in range(9):
        trainer.fit(X, y, epochs=1)  # silent: the rate may rise
    with pytest.warns(rg.NotLearningWarning, match="the learning rate 1e-07 is far too small"):
        for _ in range(30):
            trainer.fit(X, y, epochs=1)


def test_what_is_certain_is_said_in_a_warm_up() -> None:
    X, y = blobs()
    trainer = dead(schedule=rg.schedules.Constant(warmup=5))
    with pytest.warns(rg.NotLearningWarning, match="never fire"):
        trainer.fit(X, y, epochs=1)


def test_it_looks_rarely_where_nothing_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr("retrograd.training.diagnosis.diagnosis", lambda trainer, data, steps, at_end: looks.append(steps))
    rng = np.random.default_rng(0)
    trainer = rg.Trainer(rg.Network([2, 3], loss="cross_entropy"), rg.SGD(1e-3), batch_size=100)
    X, y = rng.standard_normal((100, 2)), rng.integers(0, 3, 100)
    for _ in range(1000):
        trainer.fit(X, y, epochs=1)
    assert looks == [20, 40, 80, 160, 320, 640]
    looks.clear()
    trainer = rg.Trainer(classifier(), rg.SGD(0.05), batch_size=16)  # which learns: it is never looked at closely
    for _ in range(100):
        trainer.fit(*blobs(), epochs=1)
    assert len(looks) <= 1


def test_a_few_steps_are_nothing_to_judge() -> None:
    X, y = blobs()
    dead().fit(X[:64], y[:64], epochs=4)  # 16 steps


def test_what_died_later_is_seen_at_the_end_of_that_fit() -> None:
    X, y = blobs()
    trainer = rg.Trainer(classifier(), rg.SGD(0.05), batch_size=16)
    trainer.fit(X, y, epochs=20)
    trainer.network.set_weights(trainer.network.weights, [np.full(16, -1e3), np.zeros(3)])
    with pytest.warns(rg.NotLearningWarning, match="never fire"):
        trainer.fit(X, y, epochs=40)


def test_it_can_be_turned_off() -> None:
    X, y = blobs()
    trainer = dead(advice=False)
    trainer.fit(X, y, epochs=3)
    trainer.advice = True
    with pytest.warns(rg.NotLearningWarning):
        trainer.fit(X, y, epochs=3)
    with pytest.raises(TypeError, match="advice: expected True or False"):
        rg.Trainer(classifier(), rg.SGD(0.1), advice="no")  # type: ignore[arg-type]
    rg.lr_range_test(classifier(), X, y, lr_min=1e-9, lr_max=1e-7)  # rates that cannot learn are its purpose


@pytest.mark.parametrize(
    "name", ["a tiny rate", "uint8 rows", "noise", "a dead output", "dropout of .999", "ten layers of sigmoids"]
)
def test_nothing_of_the_training_is_touched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, history, state and a pass by hand are the same, to the last bit, as without a word."""
    kept: list[Any] = []
    make = rg.Trainer.fit

    def recorded(trainer: rg.Trainer, X: Any, y: Any, **options: Any) -> Any:
        net = trainer.network
        net.forward(X[:7])
        gradients = net.backward(y[:7])
        history = make(trainer, X, y, **options)
        state = trainer.optimizer.state_dict()
        kept.append([parameters(net), history.loss, net.steps, gradients.dw, net.z, net.a, state["steps"]])
        return history

    monkeypatch.setattr(rg.Trainer, "fit", recorded)
    with pytest.warns(rg.NotLearningWarning):
        DO_NOT[name][0]()
    monkeypatch.setattr("retrograd.training.advice.Adviser._look", lambda *_: None)
    DO_NOT[name][0]()
    assert same_bits(kept[0], kept[1])


def test_subclasses_and_float64_and_row_weights() -> None:
    class Mine(rg.Network):
        def forward(self, *arguments: Any, **options: Any) -> Any:
            raise AssertionError("a user's method")

    X, y = blobs()
    net = Mine([4, 16, 3], loss="cross_entropy", dtype="float64")
    net.set_weights(net.weights, [np.full(16, -50.0), np.zeros(3)])
    w = np.zeros(400)
    w[::50] = 2.0
    with pytest.warns(rg.TrainingWarning, match=r"Mine\.forward is never called"):
        trainer = rg.Trainer(net, rg.Adam(1e-3), batch_size=16)
    with pytest.warns(
        rg.NotLearningWarning, match="16 of 16 units of layer 1 never fire(?s:.*)only 8 of 400 rows have a weight"
    ):
        trainer.fit(X, y, epochs=2, sample_weight=w)


# ---------------------------------------------------------------- a solver


def waves(rows: int = 500) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, 5))
    return X, np.sin(2 * X[:, 0]) + X[:, 2] + 0.1 * rng.standard_normal(rows)


def tanh_net(**options: Any) -> rg.Network:
    return rg.Network([5, 16, 1], activation="tanh", seed=0, dtype="float64", **options)


def unscaled() -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    X = np.c_[rng.lognormal(10, 1, 500), rng.integers(18, 90, 500), rng.standard_normal((500, 3))]
    return X, np.log(X[:, 0]) - 10 + X[:, 3]


SOLVED: dict[str, tuple[Training, str]] = {
    "columns of five sizes": (
        lambda: rg.fit_lbfgs(tanh_net(), waves()[0] * [1, 1e3, 1e-3, 10, 1e4], waves()[1]),
        r"^fit_lbfgs has ended near the level of a constant answer: the loss is 1.3.*, and the best constant answer has 1.3\d*"
        r"\n- X ranges from .*: scale it",
    ),
    "an unscaled table": (lambda: rg.fit_lbfgs(tanh_net(), *unscaled()), r"are saturated: the inputs are large\n- X ranges"),
    "weights of zero": (
        lambda: rg.fit_lbfgs(tanh_net(init="zeros"), *waves()),
        "all 16 units .* are the same: their weights are zero",
    ),
    "weight decay": (
        lambda: rg.fit_lbfgs(tanh_net(), *waves(), weight_decay=100.0),
        "weight_decay=100 holds them at zero, take a hundredth of it or less",
    ),
    "one label": (
        lambda: rg.fit_lbfgs(rg.Network([5, 3], loss="cross_entropy"), waves()[0], np.full(500, 2)),
        "every row of y has the label 2",
    ),
    "noise": (
        lambda: rg.fit_lbfgs(rg.Network([5, 1], dtype="float64"), *weak(0.0)),
        r"no hidden layer.*\n- no cause was found .*, or it takes more units",
    ),
}


@pytest.mark.parametrize("name", SOLVED)
def test_a_solver_that_wins_nothing_is_told_why(name: str) -> None:
    solve, cause = SOLVED[name]
    with pytest.warns(rg.NotLearningWarning, match=cause) as caught:
        solve()
    (warning,) = caught
    assert warning.filename == __file__ and "\n(fit_lbfgs(..., advice=False) turns" in str(warning.message)
    assert "rate" not in str(warning.message).replace("saturated", "") and "epoch" not in str(warning.message)


def test_a_solver_is_silent_where_it_wins_something() -> None:
    rg.fit_lbfgs(tanh_net(), *waves())
    rg.fit_lbfgs(rg.Network([5, 1], dtype="float64"), *weak(0.1))
    rg.fit_lbfgs(tanh_net(), *unscaled(), max_iter=0)
    rg.fit_lbfgs(tanh_net(), *unscaled(), advice=False)
    with pytest.raises(TypeError, match="advice: expected True or False"):
        rg.fit_lbfgs(tanh_net(), *waves(), advice=1)  # type: ignore[arg-type]


# ---------------------------------------------------------------- the level of a constant answer

CASES = [(loss, outputs) for loss in ALL_LOSSES for outputs in (1, 4) if outputs > 1 or loss not in ("cross_entropy", "focal")]


def best_constant(net: rg.Network, y: Any, weights: Any) -> float:
    """The least loss that a search over constants finds, by the oracle's formulas."""
    spec, k = net._spec, net.sizes[-1]
    mean = 1.0 if weights is None else weights.mean()  # the oracle's loss is that of a batch, sum w l / rows

    def loss(answer: Any) -> float:
        z = np.broadcast_to(answer, (len(y), k))
        return loss_and_dz(spec.loss_name, "identity", z, y, spec.loss_parameter, weights)[0] / mean

    smooth = spec.loss_name not in ("mae", "quantile", "hinge")
    starts = [np.zeros(k)] if smooth else [np.zeros(k), np.full(k, 0.5), *(np.eye(k) * 0.9)]
    exact = {"xtol": 1e-4, "ftol": 1e-7} if smooth else {"xtol": 1e-9, "ftol": 1e-12}
    return min(optimize.minimize(loss, start, method="Powell", options=exact).fun for start in starts)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "outputs"), CASES)
def test_the_level_is_that_of_the_best_constant(loss: str, outputs: int, weighted: bool) -> None:
    y = targets(loss, 150, outputs, seed=4)
    if y.ndim == 1:
        y = np.minimum(y, 2) if outputs > 2 else y  # one label never occurs
    weights = np.random.default_rng(2).random(150) if weighted else None
    net = rg.Network([2, outputs], loss=loss, dtype="float64")
    found = level_of(net._examples(np.zeros((150, 2)), y, weights), net._spec)
    want = best_constant(net, y, weights)
    scale = max(abs(want), 0.1)
    assert -1e-5 * scale < found.constant - want < 0.02 * scale
    assert found.least <= found.constant


@pytest.mark.parametrize(
    "loss",
    [rg.losses.Huber(0.2), rg.losses.Quantile(0.9), rg.losses.CrossEntropy(0.3), rg.losses.Focal(0.5), rg.losses.Focal(5.0)],
)
def test_the_level_knows_the_parameter(loss: rg.losses.Loss) -> None:
    y = targets(loss.name, 150, 3, seed=4)
    net = rg.Network([2, 3], loss=loss, dtype="float64")
    found, want = level_of(net._examples(np.zeros((150, 2)), y, None), net._spec), best_constant(net, y, None)
    assert -1e-5 < found.constant - want < 0.02 * want


def test_the_least_loss_of_blurred_targets_is_their_entropy() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), 90)
    for loss, y, want in (
        ("cross_entropy", p, -(p * np.log(p)).sum(axis=1).mean()),
        ("binary_cross_entropy", p, -(p * np.log(p) + (1 - p) * np.log1p(-p)).mean()),
        ("poisson", 5 * p, (5 * p - 5 * p * np.log(5 * p)).mean()),
        (rg.losses.CrossEntropy(0.2), np.arange(90) % 4, -(0.85 * np.log(0.85) + 3 * 0.05 * np.log(0.05))),
    ):
        net = rg.Network([2, 4], loss=loss, dtype="float64")
        found = level_of(net._examples(np.zeros((90, 2)), y, None), net._spec)
        assert found.least == pytest.approx(want, rel=1e-9)
    net = rg.Network([2, 4], dtype="float64")
    assert level_of(net._examples(np.zeros((90, 2)), p, None), net._spec).least == 0


def test_the_level_of_what_an_activation_can_reach() -> None:
    net = rg.Network([2, 1], output_activation="relu", dtype="float64")
    data = net._examples(np.zeros((10, 2)), np.full(10, -3.0) + np.arange(10) % 2, None)
    assert level_of(data, net._spec).constant == pytest.approx(6.5)  # of the answer 0
