"""Row weights: losses, gradients, metrics and trainings against float64 NumPy and scikit-learn; bits; what is refused."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import ALL_LOSSES, assert_close, inputs, network, parameters, same_bits, targets
from oracle import Textbook, forward_backward
from retrograd import _core
from sklearn import metrics
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

TOLERANCE = {"float64": 1e-10, "float32": 2e-5}


def some_weights(rows: int, seed: int = 4) -> np.ndarray:
    """Row weights from 0 to 3, some of them 0."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(rows) < 0.2, 0.0, 3 * rng.random(rows))


# ---------------------------------------------------------------- one batch


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("by", ["rows", "batch"])
def test_loss_and_gradients_equal_numpy(by: Any, loss: str, dtype: str) -> None:
    for rows in (1, 4, 21, 70):
        net = network([6, 17, 4], loss, activation="gelu", dtype=dtype)
        X, y, w = inputs(rows, 6).astype(dtype), targets(loss, rows, 4), some_weights(rows) + (rows == 1)
        w = w.astype(dtype)
        answers = y if y.dtype.kind == "i" else y.astype(dtype)
        expected = forward_backward(net.weights, net.biases, net.activations, loss, X, answers, sample_weight=w, by=by)
        net.forward(X)
        found = net.backward(y, sample_weight=w, weights=by)
        assert found.loss == pytest.approx(expected.loss, rel=TOLERANCE[dtype])
        mean = expected.loss if by == "batch" else expected.loss * rows / w.sum(dtype=np.float64)
        assert net.loss(X, y, sample_weight=w) == pytest.approx(mean, rel=TOLERANCE[dtype])
        for what in ("delta", "dw", "db"):
            for i, array in enumerate(getattr(found, what)):
                assert_close(array, getattr(expected, what)[i], TOLERANCE[dtype], f"{what}[{i}]")
        assert_close(found.dx, expected.dx, TOLERANCE[dtype], "dx")
        assert (found.delta[-1][w == 0] == 0).all()


@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("training", [False, True])
def test_gradcheck(training: bool, loss: str) -> None:
    net = network([4, 7, 3], loss, activation="tanh", dtype="float64")
    X, y, w = inputs(6, 4), targets(loss, 6, 3), [1, 0, 2, 0.5, 3, 1]
    assert rg.gradcheck(net, X, y, sample_weight=w, training=training).worst < 1e-6


def test_losses_equal_scikit_learn() -> None:
    X, w = inputs(60, 4), some_weights(60)

    def of(loss: Any, y: np.ndarray) -> tuple[rg.Network, float]:
        net = network([4, y.shape[1] if y.ndim == 2 else 3], loss, dtype="float64")
        return net, net.loss(X, y, sample_weight=w)

    y = targets("cross_entropy", 60, 3)
    net, value = of("cross_entropy", y)
    assert value == pytest.approx(metrics.log_loss(y, net.predict_proba(X), sample_weight=w), rel=1e-12)
    y = inputs(60, 2)
    for loss, metric in (("mse", metrics.mean_squared_error), ("mae", metrics.mean_absolute_error)):
        net, value = of(loss, y)
        assert value == pytest.approx(metric(y, net.predict(X), sample_weight=w), rel=1e-12)
    y = targets("hinge", 60, 1)
    net, value = of("hinge", y)
    assert value == pytest.approx(metrics.hinge_loss(y[:, 0], net.forward(X)[:, 0], sample_weight=w), rel=1e-12)


def test_the_scale_of_the_weights_does_not_matter_by_batch() -> None:
    net = network([4, 9, 3], dtype="float32")
    X, y, w = inputs(30, 4), inputs(30, 3), some_weights(30)
    net.forward(X)
    one = net.backward(y, sample_weight=w, weights="batch")
    for factor in (2.0**-120, 2.0**100):  # neither the sum nor its inverse is a float32
        other = net.backward(y, sample_weight=w.astype(np.float32) * np.float32(factor), weights="batch")
        assert other.loss == pytest.approx(one.loss, rel=1e-6)
        assert_close(other.dw[0], one.dw[0], 1e-6)


def test_by_hand_weights_are_taken_as_they_are() -> None:
    """As with a weighted mean in PyTorch: equal weights of 2 double the gradient, and zeros leave none."""
    net = network([4, 9, 3], "cross_entropy")
    X, y = inputs(30, 4), targets("cross_entropy", 30, 3)
    net.forward(X)
    plain, doubled = net.backward(y), net.backward(y, sample_weight=np.full(30, 2.0))
    assert plain.loss is not None and doubled.loss == pytest.approx(2 * plain.loss, rel=1e-6)
    assert_close(doubled.dw[0], 2 * plain.dw[0], 1e-6)
    equal = net.backward(y, sample_weight=np.full(30, 0.3), weights="batch")
    assert equal.loss == pytest.approx(plain.loss, rel=1e-6)
    assert_close(equal.dw[0], plain.dw[0], 1e-6)
    nothing = net.backward(y, sample_weight=np.zeros(30))
    assert nothing.loss == 0 and not any(array.any() for array in (*nothing.dw, *nothing.db, nothing.dx))


def test_a_step_takes_zeros_as_pytorch_does() -> None:
    """The gradient is 0 and the optimiser takes its step: momentum goes on, weights decay."""
    net = network([4, 9, 3], "cross_entropy", dtype="float64")
    X, y = inputs(30, 4), targets("cross_entropy", 30, 3)
    trainer, loss, first = rg.Trainer(net, rg.SGD(0.1, momentum=0.9, weight_decay=0.01)), net.loss(X, y), net.weights[0]
    assert trainer.step(X, y, sample_weight=np.full(30, 2.0)) == pytest.approx(2 * loss)
    before, velocity = net.weights[0], (first - net.weights[0]) / 0.1
    assert trainer.step(X, y, sample_weight=np.zeros(30)) == 0.0
    assert_close(net.weights[0], before - 0.1 * (0.9 * velocity + 0.01 * before), 1e-14)
    with pytest.raises(ValueError, match="sample_weight: expected at least one row that counts, got only zeros"):
        rg.Trainer(net, rg.SGD(0.1), weights="batch").step(X, y, sample_weight=np.zeros(30))


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "binary_cross_entropy", "huber", "focal", "hinge"])
@pytest.mark.parametrize("by", ["rows", "batch"])
def test_training_equals_numpy(by: Any, loss: str, dtype: str) -> None:
    net = network([6, 17, 4], loss, activation="silu", dtype=dtype)
    expected = Textbook(net, lr=0.05, momentum=0.9)
    X, y, w = inputs(70, 6).astype(dtype), targets(loss, 70, 4), some_weights(70).astype(dtype)
    trainer = rg.Trainer(net, rg.SGD(0.05, momentum=0.9), batch_size=16, weights=by)
    history = trainer.fit(X, y, epochs=3, sample_weight=w)
    scaled = w / w.mean(dtype=np.float64)
    for epoch in (1, 2, 3):
        order = _core.permutation(net.seed, epoch, 70)
        sums = np.zeros(2)
        for start in range(0, 70, 16):
            b = order[start : start + 16]
            found = forward_backward(
                expected.weights, expected.biases, expected.activations, loss, X[b], y[b], sample_weight=scaled[b], by=by
            )
            sums += found.loss * (len(b) if by == "rows" else scaled[b].sum()), scaled[b].sum()
            for i, (p, g) in enumerate(zip(expected.parameters, [*found.dw, *found.db], strict=True)):
                expected._velocity[i] = 0.9 * expected._velocity[i] + g
                p -= 0.05 * expected._velocity[i]
        assert history.loss[epoch - 1] == pytest.approx(sums[0] / sums[1], rel=1e-10 if dtype == "float64" else 1e-4)
    for p, q in zip(parameters(net), expected.parameters, strict=True):
        assert_close(p, q, 1e-9 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("loss", ["mae", "cross_entropy", "poisson"])
def test_metric_and_validation_are_weighted(loss: str) -> None:
    net = network([6, 9, 3], loss, dtype="float64")
    X, y, w = inputs(70, 6), targets(loss, 70, 3), some_weights(70)
    Xv, yv, wv = inputs(33, 6, seed=8), targets(loss, 33, 3, seed=9), some_weights(33, seed=7)
    # lr = 0: the network stays, so that the metric of the epoch is that of the network
    history = rg.Trainer(net, rg.SGD(0.0)).fit(X, y, epochs=1, sample_weight=w, validation_data=(Xv, yv, wv))

    def metric(X: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
        if loss == "cross_entropy":
            return float(metrics.accuracy_score(y, net.predict(X), sample_weight=w))
        return float(metrics.mean_absolute_error(y, net.predict(X), sample_weight=w))

    assert history.metric[0] == pytest.approx(metric(X, y, w), rel=1e-12)
    assert history.val_metric[0] == pytest.approx(metric(Xv, yv, wv), rel=1e-12)
    assert history.loss[0] == pytest.approx(net.loss(X, y, sample_weight=w), rel=1e-12)
    assert history.val_loss[0] == net.loss(Xv, yv, sample_weight=wv)
    plain = rg.Trainer(net, rg.SGD(0.0)).fit(X, y, epochs=1, class_weight=None, validation_data=(Xv, yv))
    assert plain.val_loss[0] == net.loss(Xv, yv) != history.val_loss[0]


@pytest.mark.parametrize("by", ["rows", "batch"])
def test_a_step_is_an_epoch_of_one_batch(by: Any) -> None:
    by_step = network([4, 9, 3], "cross_entropy")
    by_epoch, by_hand = copy.copy(by_step), copy.copy(by_step)
    X, y, w = inputs(30, 4), targets("cross_entropy", 30, 3), np.tile([0.0, 1.5, 1.0, 2.0, 0.5], 6)  # their mean is 1
    loss = rg.Trainer(by_step, rg.SGD(0.1), weights=by).step(X, y, sample_weight=w)
    trainer = rg.Trainer(by_epoch, rg.SGD(0.1), batch_size=30, shuffle=False, weights=by)
    history = trainer.fit(X, y, epochs=1, sample_weight=w)
    by_hand.forward(X)
    found = by_hand.backward(y, sample_weight=w, weights=by)
    rg.SGD(0.1).step(by_hand)
    assert loss == history.loss[0] == found.loss
    assert same_bits(parameters(by_step), parameters(by_epoch)) and same_bits(parameters(by_step), parameters(by_hand))
    assert not same_bits(parameters(by_step), parameters(network([4, 9, 3], "cross_entropy")))


def test_weights_go_with_their_rows() -> None:
    """The weights of a shuffled epoch are those of its rows: rows of weight 0 may hold anything."""
    X, y, w = inputs(70, 6), inputs(70, 3), some_weights(70)
    other = np.where((w == 0)[:, None], 1e30, X)
    nets = [network([6, 20, 3]) for _ in range(2)]
    for net, rows in zip(nets, (X, other), strict=True):
        rg.Trainer(net, rg.SGD(0.01, momentum=0.9), batch_size=8).fit(rows, y, epochs=3, sample_weight=w)
    assert same_bits(parameters(nets[0]), parameters(nets[1]))


@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("by", ["rows", "batch"])
def test_a_batch_that_weighs_nothing(by: Any, loss: str) -> None:
    net = network([4, 9, 3], loss)
    before = parameters(net)
    X, y = inputs(32, 4), targets(loss, 32, 3)
    w = np.zeros(32)
    w[20] = 2.0
    # by rows the weight is 32 after the division by the mean, and 4 after that by the rows of the batch
    rate = {"rows": 0.1 / 4, "batch": 0.1}[by]
    trainer = rg.Trainer(net, rg.SGD(rate), batch_size=8, shuffle=False, weights=by)
    history = trainer.fit(X, y, epochs=1, sample_weight=w)
    single = network([4, 9, 3], loss)
    assert history.loss[0] == pytest.approx(rg.Trainer(single, rg.SGD(0.1)).step(X[20:21], y[20:21]), rel=1e-6)
    assert not same_bits(parameters(net), before)
    for found, expected in zip(parameters(net), parameters(single), strict=True):
        assert_close(found, expected, 1e-5)


@pytest.mark.parametrize("loss", ["mse", "focal", "hinge"])
@pytest.mark.parametrize("by", ["rows", "batch"])
def test_the_same_bits_for_any_team(by: Any, loss: str) -> None:
    X, y, w = inputs(150, 9), targets(loss, 150, 3), some_weights(150)
    for batch_size in (3, 16, 40, 150):
        found = []
        for team in (1, 2, 4):
            net = network([9, 33, 20, 3], loss, activation="mish")
            net._core.force_team(team)
            trainer = rg.Trainer(net, rg.SGD(0.05, momentum=0.9), batch_size=batch_size, weights=by)
            history = trainer.fit(X, y, epochs=2, sample_weight=w)
            found.append((parameters(net), history.loss, history.metric, net.loss(X, y, sample_weight=w)))
        assert same_bits(found[1], found[0]) and same_bits(found[2], found[0])


# ---------------------------------------------------------------- classes


def test_class_weights_are_those_of_scikit_learn() -> None:
    X = inputs(90, 4)
    y = np.repeat([0, 2, 3], [60, 20, 10])
    balanced = compute_class_weight("balanced", classes=np.array([0, 2, 3]), y=y)
    by_dict = dict(zip([0, 2, 3], balanced.tolist(), strict=True))
    w = some_weights(90)
    for given, of_rows in (
        ("balanced", compute_sample_weight("balanced", y)),
        (by_dict, compute_sample_weight("balanced", y)),
        ({2: 5.0}, compute_sample_weight({0: 1, 2: 5.0, 3: 1}, y)),
    ):
        for loss in ("cross_entropy", "focal", "hinge"):
            for sample_weight in (None, w):
                nets = [network([4, 9, 5], loss) for _ in range(2)]
                trainers = [rg.Trainer(net, rg.SGD(0.1), batch_size=20) for net in nets]
                one = trainers[0].fit(X, y, epochs=2, sample_weight=sample_weight, class_weight=given)
                rows = of_rows if sample_weight is None else of_rows * w.astype(np.float32)
                other = trainers[1].fit(X, y, epochs=2, sample_weight=rows)
                assert one.loss == other.loss
                assert same_bits(parameters(nets[0]), parameters(nets[1]))


@pytest.mark.parametrize(
    ("loss", "classes"), [("binary_cross_entropy", (0, 1)), ("hinge", (0, 1)), ("hinge", (-1, 1))], ids=str
)
def test_class_weights_of_two_classes(loss: str, classes: tuple[int, int]) -> None:
    X, y = inputs(60, 4), np.array(classes)[(np.arange(60) < 15).astype(int)]
    weight = {classes[0]: 0.5, classes[1]: 2.0}
    for given, rows in ((weight, compute_sample_weight(weight, y)), ("balanced", compute_sample_weight("balanced", y))):
        nets = [network([4, 9, 1], loss) for _ in range(2)]
        rg.Trainer(nets[0], rg.SGD(0.1)).fit(X, y, epochs=1, class_weight=given)
        rg.Trainer(nets[1], rg.SGD(0.1)).fit(X, y, epochs=1, sample_weight=rows)
        assert same_bits(parameters(nets[0]), parameters(nets[1]))


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "binary_cross_entropy", "mse", "quadratic", "mae", "huber"])
def test_class_weights_of_one_hot_rows(loss: str) -> None:
    """FAULTS 46: each row has a single 1 and zeros, whatever the loss makes of them."""
    X, y, w = inputs(90, 4), np.repeat([0, 2, 3], [60, 20, 10]), some_weights(90)
    for given in ("balanced", {0: 0.5, 2: 2.0, 1: 9.0}):
        for sample_weight in (None, w):
            nets = [network([4, 9, 5], loss) for _ in range(2)]
            of_rows = compute_sample_weight(given if isinstance(given, str) else {1: 1, 3: 1, 4: 1} | given, y)
            rows = of_rows if sample_weight is None else of_rows * w.astype(np.float32)
            trainers = [rg.Trainer(net, rg.SGD(0.1), batch_size=20) for net in nets]
            one = trainers[0].fit(X, np.eye(5)[y], epochs=2, sample_weight=sample_weight, class_weight=given)
            other = trainers[1].fit(X, np.eye(5)[y], epochs=2, sample_weight=rows)
            assert one.loss == other.loss and same_bits(parameters(nets[0]), parameters(nets[1]))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_class_weights_of_two_classes_under_a_loss_for_numbers(activation: str) -> None:
    low = 0 if activation == "sigmoid" else -1
    X, y = inputs(60, 4), np.where(np.arange(60) < 15, 1, low)
    weight = {low: 0.5, 1: 2.0}
    for given, rows in ((weight, compute_sample_weight(weight, y)), ("balanced", compute_sample_weight("balanced", y))):
        nets = [network([4, 9, 1], "mse", output_activation=activation) for _ in range(2)]
        rg.Trainer(nets[0], rg.SGD(0.1)).fit(X, y, epochs=1, class_weight=given)
        rg.Trainer(nets[1], rg.SGD(0.1)).fit(X, y, epochs=1, sample_weight=rows)
        assert same_bits(parameters(nets[0]), parameters(nets[1]))


def test_every_label_of_the_network_may_have_a_weight() -> None:
    """FAULTS 44: also one that is in no row, or in none of those that are trained on."""
    X = inputs(40, 4)
    for loss, outputs, y, keys in (
        ("cross_entropy", 5, np.arange(40) % 3, range(5)),
        ("hinge", 5, np.arange(40) % 3, range(5)),
        ("mse", 5, np.eye(5)[np.arange(40) % 3], range(5)),
        ("binary_cross_entropy", 1, np.ones(40), (0, 1)),
        ("binary_cross_entropy", 1, np.zeros(40), (0, 1)),
        ("hinge", 1, -np.ones(40), (-1, 1)),
        ("hinge", 1, np.zeros(40), (0, 1)),
        ("hinge", 1, np.ones(40), (-1, 0, 1)),  # nobody knows which of them is meant
        ("mse", 1, -np.ones(40), (-1, 1)),
    ):
        for key in keys:
            nets = [network([4, 9, outputs], loss) for _ in range(2)]
            of_rows = np.argmax(y, axis=1) if y.ndim == 2 else y
            rg.Trainer(nets[0], rg.SGD(0.1)).fit(X, y, epochs=1, class_weight={key: 3.0})
            rg.Trainer(nets[1], rg.SGD(0.1)).fit(X, y, epochs=1, sample_weight=np.where(of_rows == key, 3.0, 1.0))
            assert same_bits(parameters(nets[0]), parameters(nets[1])), (loss, key)
        wrong = 5 if outputs == 5 else 2
        shown = "0 to 4" if outputs == 5 else ", ".join(map(str, keys))
        with pytest.raises(ValueError, match=rf"class_weight: expected labels {shown} as keys, got \[{wrong}\]"):
            rg.Trainer(nets[0], rg.SGD(0.1)).fit(X, y, epochs=1, class_weight={wrong: 3.0, keys[0]: 1.0})
    with pytest.raises(ValueError, match=r"expected labels 0, 1 as keys, got \[-1\]"):
        rg.Trainer(network([4, 1], "binary_cross_entropy"), rg.SGD(0.1)).fit(X, np.ones(40), epochs=1, class_weight={-1: 3.0})
    # a label whose rows all fell into the validation part was refused: now one of them stays, and it is known anyway
    y = np.where(np.arange(40) < 2, 1, 0)
    net = network([4, 9, 3], "cross_entropy")
    rg.Trainer(net, rg.SGD(0.1)).fit(X, y, epochs=1, validation_split=0.9, class_weight={0: 1.0, 1: 2.0, 2: 3.0})


def test_rows_that_are_almost_one_hot_are_no_labels() -> None:
    X, rows = inputs(40, 4), np.eye(3)[np.arange(40) % 3]
    for change in ([1, 1, 0], [0, 0, 0], [0.5, 0.5, 0], [0, 2, 0], [0, -1, 0]):
        y = rows.copy()
        y[37] = change
        with pytest.raises(ValueError, match="class_weight: expected labels as targets, got numbers with 'mse'"):
            rg.Trainer(network([4, 3]), rg.SGD(0.1)).fit(X, y, epochs=1, class_weight="balanced")
        # whether they fell into the validation part or not
        for seed in range(6):
            with pytest.raises(ValueError, match="class_weight: expected labels as targets, got numbers"):
                trainer = rg.Trainer(network([4, 3], seed=seed), rg.SGD(0.1))
                trainer.fit(X, y, epochs=1, class_weight="balanced", validation_split=0.5)
    y = rows.copy()
    y[:30] = 1
    with pytest.raises(ValueError, match="weighted_validation: expected labels as targets"):
        rg.Trainer(network([4, 3]), rg.SGD(0.1)).fit(
            X, rows, epochs=1, class_weight="balanced", validation_data=(X, y), weighted_validation=True
        )


# ---------------------------------------------------------------- what is refused

ROWS = 12
W = np.ones(ROWS)
WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "nan": (np.where(np.arange(ROWS) == 7, np.nan, W), ValueError, "sample_weight: expected finite .*, got nan at row 7"),
    "inf": (np.where(np.arange(ROWS) == 7, np.inf, W), ValueError, "sample_weight: expected finite .*, got inf at row 7"),
    "negative": (np.where(np.arange(ROWS) == 7, -1, W), ValueError, r"sample_weight: expected .* from 0, got -1.0 at row 7"),
    "too large": (np.where(np.arange(ROWS) == 7, 1e39, W), ValueError, r"that fit float32, got 1e\+39 at row 7"),
    "zeros": (0 * W, ValueError, "sample_weight: expected at least one row that counts, got only zeros"),
    "zeros of float32": (1e-60 * W, ValueError, "sample_weight: expected at least one row that counts, got only zeros"),
    "short": (W[:-1], ValueError, r"sample_weight: expected one for each row, shape \(12,\), got \(11,\)"),
    "matrix": (np.ones((ROWS, 2)), ValueError, r"sample_weight: expected one for each row, .*got \(12, 2\)"),
    "number": (1.0, ValueError, r"sample_weight: expected one for each row, .*got \(\)"),
    "text": ("balanced", TypeError, "sample_weight: expected an array of real numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_weights_change_nothing(name: str) -> None:
    weights, error, message = WRONG[name]
    net = network([5, 8, 3])
    X, y = inputs(ROWS, 5), inputs(ROWS, 3)
    net.forward(X)
    held = net.backward(y)
    before = parameters(net), held.dw
    trainer = rg.Trainer(net, rg.SGD(0.1), batch_size=2)
    by_batch = rg.Trainer(net, rg.SGD(0.1), batch_size=2, weights="batch")
    calls: list[Callable[[], Any]] = [
        lambda: net.backward(y, sample_weight=weights, weights="batch"),
        lambda: net.loss(X, y, sample_weight=weights),
        lambda: by_batch.step(X, y, sample_weight=weights),
        lambda: by_batch.fit(X, y, epochs=1, sample_weight=weights),
        lambda: trainer.fit(X, y, epochs=1, sample_weight=weights),
        lambda: trainer.fit(X, y, epochs=1, validation_data=(X, y, weights)),
    ]
    if name != "zeros":  # nothing is divided by their sum
        calls += [
            lambda: net.backward(y, sample_weight=weights),
            lambda: trainer.step(X, y, sample_weight=weights),
        ]
    if "float32" not in message + name:  # it works in float64
        calls.append(lambda: rg.gradcheck(net, X, y, sample_weight=weights))
    for call in calls:
        with pytest.raises(error, match=message.replace("sample_weight:", "sample_weight.*:")):
            call()
    assert same_bits((parameters(net), held.dw), before)
    assert trainer.epochs_done == 0


@pytest.mark.parametrize(
    ("loss", "weight", "error", "message"),
    [
        ("cross_entropy", "auto", ValueError, "class_weight: expected None, \"balanced\" or a dict, got 'auto'"),
        ("cross_entropy", [1.0, 2.0], TypeError, 'class_weight: expected None, "balanced" or a dict, got list'),
        ("cross_entropy", {7: 1.0}, ValueError, r"class_weight: expected labels 0, 1, 2 as keys, got \[7\]"),
        ("cross_entropy", {1.7: 1.0}, TypeError, r"class_weight: expected labels as keys, got 1\.7"),
        ("cross_entropy", {"1": 1.0}, TypeError, "class_weight: expected labels as keys, got '1'"),
        ("cross_entropy", {0: -1.0}, ValueError, r"class_weight\[0\]: expected a finite number from 0, got -1.0"),
        ("cross_entropy", {0: "2"}, TypeError, r"class_weight\[0\]: expected a number, got '2'"),
        ("cross_entropy", {0: 0, 1: 0, 2: 0}, ValueError, "class_weight: expected at least one row that counts"),
        ("mse", "balanced", ValueError, "class_weight: expected labels as targets, got numbers with 'mse'"),
        ("binary_cross_entropy", "balanced", ValueError, "class_weight: expected labels as targets, got numbers"),
    ],
)
def test_wrong_class_weights(loss: str, weight: Any, error: type[Exception], message: str) -> None:
    net = network([5, 8, 3], loss)
    before = parameters(net)
    with pytest.raises(error, match=message):
        rg.Trainer(net, rg.SGD(0.1)).fit(inputs(ROWS, 5), targets(loss, ROWS, 3), epochs=1, class_weight=weight)
    assert same_bits(parameters(net), before)


def test_weights_do_not_go_with_dz() -> None:
    net = network([5, 8, 3])
    net.forward(inputs(ROWS, 5))
    with pytest.raises(TypeError, match="expected sample_weight with y"):
        net.backward(dz=inputs(ROWS, 3), sample_weight=W)


def test_no_weights_touch_no_bits() -> None:
    nets = [network([5, 8, 3]) for _ in range(2)]
    X, y = inputs(50, 5), inputs(50, 3)
    one = rg.Trainer(nets[0], rg.SGD(0.1)).fit(X, y, epochs=2)
    other = rg.Trainer(nets[1], rg.SGD(0.1)).fit(X, y, epochs=2, sample_weight=None, class_weight=None)
    assert one.loss == other.loss and same_bits(parameters(nets[0]), parameters(nets[1]))


# ---------------------------------------------------------------- what the weights mean


@pytest.mark.parametrize("batch_size", [1, 32, 100])
@pytest.mark.parametrize("given", ["class_weight", "sample_weight", "both"])
def test_classes_are_balanced_at_any_batch_size(given: str, batch_size: int) -> None:
    """A tenth of the rows has the label 1; balanced, its probability is a half, whatever the batches (PyTorch 50528)."""
    X, y = np.zeros((1000, 1)), np.random.default_rng(5).permutation(np.repeat([1, 0], [100, 900]))
    share = {"class_weight": 0.5, "sample_weight": 0.5, "both": 0.9}[given]
    balanced = compute_sample_weight("balanced", y)
    fit: dict[str, Any] = {"class_weight": "balanced"} if given == "class_weight" else {"sample_weight": 7 * balanced}
    if given == "both":
        fit["class_weight"] = {0: 1.0, 1: 9.0}
    net = rg.Network([1, 1], loss="binary_cross_entropy", dtype="float64")
    # the rate of a step is in proportion to its rows, and falls, so that the steps of the last epochs are average steps
    settings: dict[str, Any] = {"batch_size": batch_size, "advice": False}  # a constant is all there is to learn
    trainer = rg.Trainer(net, rg.SGD(0.002 * batch_size), schedule=rg.schedules.Cosine(), **settings)
    trainer.fit(X, y, epochs=40, **fit)
    assert net.predict_proba([[0.0]])[0] == pytest.approx(share, abs=0.005)
    by_batch = rg.Network([1, 1], loss="binary_cross_entropy", dtype="float64")
    rg.Trainer(by_batch, rg.SGD(0.002 * batch_size), weights="batch", **settings).fit(X, y, epochs=40, **fit)
    if batch_size == 1:  # where each weight is divided by itself
        assert by_batch.predict_proba([[0.0]])[0] == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_weights_have_the_bits_of_none(dtype: str) -> None:
    X, y = inputs(70, 6), targets("cross_entropy", 70, 3)
    found = []
    for fit in ({}, {"sample_weight": np.full(70, 0.3)}, {"sample_weight": np.full(70, 1e30)}, {"class_weight": {0: 1.0}}):
        net = network([6, 20, 3], "cross_entropy", dtype=dtype)
        history = rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=16).fit(X, y, epochs=2, train_metrics=False, **fit)
        found.append((parameters(net), history.loss, history.metric))
    assert all(same_bits(each, found[0]) for each in found)


def test_only_the_ratios_of_weights_matter_to_fit() -> None:
    X, y, w = inputs(70, 6), inputs(70, 3), some_weights(70)
    found = []
    for factor in (1.0, 2.0**-80, 2.0**90):
        net = network([6, 20, 3])
        history = rg.Trainer(net, rg.SGD(0.1), batch_size=16).fit(X, y, epochs=2, sample_weight=w * factor)
        found.append((parameters(net), history.loss))
    assert same_bits(found[1], found[0]) and same_bits(found[2], found[0])


def test_metrics_see_the_weights_as_they_were_given() -> None:
    X, y, w = inputs(80, 6), inputs(80, 3), some_weights(80)
    seen: list[np.ndarray] = []

    def of(y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray) -> float:
        seen.append(sample_weight)
        return 0.0

    net = network([6, 20, 3], dtype="float64")
    trainer = rg.Trainer(net, rg.SGD(0.1), batch_size=16)
    trainer.fit(X, y, epochs=1, sample_weight=w, validation_split=0.25, metrics=[of], train_metrics=True)
    assert sorted(np.concatenate(seen)) == sorted(w)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ("mean", ValueError, 'weights: expected "rows" or "batch", got \'mean\''),
        (np.ones(3), TypeError, r"weights: expected .* got ndarray \(the weights themselves are sample_weight\)"),
        (None, TypeError, "weights: expected .* got NoneType"),
    ],
)
def test_wrong_settings_of_weights(weights: Any, error: type[Exception], message: str) -> None:
    net = network([5, 8, 3])
    X, y = inputs(ROWS, 5), inputs(ROWS, 3)
    net.forward(X)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    trainer.weights = weights
    before = parameters(net)
    for call in (
        lambda: net.backward(y, weights=weights),
        lambda: rg.Trainer(net, rg.SGD(0.1), weights=weights),
        lambda: trainer.fit(X, y, epochs=1),
        lambda: trainer.step(X, y, sample_weight=W),
    ):
        with pytest.raises(error, match=message):
            call()
    assert same_bits(parameters(net), before)
