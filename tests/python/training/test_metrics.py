"""Metrics against scikit-learn, ties, weights and odd cases included; and that `fit` measures the same."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, network, parameters, same_bits, targets
from hypothesis import given
from hypothesis import strategies as st
from retrograd import metrics as m
from sklearn import metrics as sk

SEEDS = range(12)


def weights(rng: np.random.Generator, rows: int, kind: int) -> dict[str, Any]:
    """No weights, any, or some of them 0."""
    if kind == 0:
        return {}
    return {"sample_weight": rng.random(rows) if kind == 1 else rng.integers(0, 3, rows) + np.eye(rows)[0]}


def tied(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Scores of which many are equal."""
    return rng.integers(0, 4, shape) / 4


def same(found: float, expected: float) -> None:
    assert type(found) is float
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


# ---------------------------------------------------------------- against scikit-learn


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_labels(seed: int, kind: int) -> None:
    rng = np.random.default_rng(seed)
    rows, classes = int(rng.integers(1, 60 if seed % 2 else 6)), int(rng.integers(2, 7))  # few: labels in one of them alone
    y, found = rng.integers(0, classes, rows), rng.integers(0, classes, rows)
    w = weights(rng, rows, kind)
    same(m.accuracy(y, found, **w), sk.accuracy_score(y, found, **w))
    for average in ("macro", "micro", "weighted"):
        same(m.f1(y, found, average=average, **w), sk.f1_score(y, found, average=average, zero_division=0, **w))
    y, found = y % 2, found % 2
    same(m.f1(y, found, **w), sk.f1_score(y, found, zero_division=0, **w))
    same(m.f1(y, found, average="binary", **w), m.f1(y, found, **w))
    # the label of probabilities: the largest of a row, above a half
    scores = rng.random((rows, classes))
    same(m.accuracy(y, scores, **w), sk.accuracy_score(y, scores.argmax(axis=1), **w))
    same(m.f1(y, scores[:, 0], **w), sk.f1_score(y, scores[:, 0] > 0.5, zero_division=0, **w))


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_several_outputs(seed: int, kind: int) -> None:
    rng = np.random.default_rng(seed)
    rows, outputs = int(rng.integers(2, 60)), int(rng.integers(2, 5))
    y, scores = rng.integers(0, 2, (rows, outputs)), tied(rng, rows, outputs)
    w = weights(rng, rows, kind)
    for average in ("macro", "micro", "weighted"):
        expected = sk.f1_score(y, scores > 0.5, average=average, zero_division=0, **w)
        same(m.f1(y, scores, average=average, **w), expected)
    same(m.f1(y, scores, **w), m.f1(y, scores, average="macro", **w))
    right = np.repeat(w.get("sample_weight", np.ones(rows)), outputs)
    same(m.accuracy(y, scores, **w), sk.accuracy_score(y.ravel(), scores.ravel() > 0.5, sample_weight=right))
    y[:2] = [[0] * outputs, [1] * outputs]
    if kind < 2:
        for average in ("macro", "weighted"):
            same(m.auc(y, scores, average=average, **w), sk.roc_auc_score(y, scores, average=average, **w))


@pytest.mark.parametrize("make", [tied, lambda rng, *shape: rng.random(shape)])
@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_scores(seed: int, kind: int, make: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(3, 7))
    rows = int(rng.integers(2 * classes, 60))
    y, scores = rng.integers(0, classes, rows), make(rng, rows, classes)
    y[: 2 * classes] = [*range(classes)] * 2  # all of them, also where a weight is 0
    w = weights(rng, rows, kind)
    if kind == 2:
        w["sample_weight"][:classes] = 1
    for k in range(1, classes):
        same(m.top_k(y, scores, k=k, **w), sk.top_k_accuracy_score(y, scores, k=k, labels=range(classes), **w))
    assert m.top_k(y, scores, k=classes, **w) == m.top_k(y, scores, k=99, **w) == 1
    # scikit-learn wants rows that sum to 1
    share = scores + 1e-9
    share /= share.sum(axis=1, keepdims=True)
    for average in ("macro", "weighted"):
        expected = sk.roc_auc_score(y, share, multi_class="ovr", average=average, **w)
        same(m.auc(y, share, average=average, **w), expected)
    two = (y > 0).astype(int)
    same(m.auc(two, scores[:, 0], **w), sk.roc_auc_score(two, scores[:, 0], **w))
    same(m.auc(two, np.column_stack([1 - scores[:, 0], scores[:, 0]]), **w), sk.roc_auc_score(two, scores[:, 0], **w))


@pytest.mark.parametrize("outputs", [0, 1, 3])
@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_numbers(seed: int, kind: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(2, 60))
    shape = (rows, outputs) if outputs else (rows,)
    y, found = 100 + 3 * rng.standard_normal(shape), 100 + rng.standard_normal(shape)
    w = weights(rng, rows, kind)
    same(m.mae(y, found, **w), sk.mean_absolute_error(y, found, **w))
    same(m.rmse(y, found, **w), sk.root_mean_squared_error(y, found, **w))
    assert m.r2(y, found, **w) == pytest.approx(sk.r2_score(y, found, **w), rel=1e-11)
    y[...] = 2
    same(m.r2(y, found, **w), sk.r2_score(y, found, **w))  # a constant truth
    same(m.r2(y, y, **w), 1.0)


def test_integers_lists_and_columns() -> None:
    assert m.accuracy([0, 1, 2], [0, 1, 1]) == m.accuracy([[0], [1], [2]], [[0], [1], [1]]) == pytest.approx(2 / 3)
    assert m.mae([1, 2], [[2], [4]]) == 1.5
    assert m.accuracy([0, 1], np.array([0.0, 1.0], np.float32)) == 1
    assert m.f1([True, False], [True, True]) == pytest.approx(2 / 3)
    assert m.auc([0, 0, 1, 1], [1, 1, 1, 1]) == 0.5


LARGE = [2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1]
NEGATIVE = [-1, -(2**53) - 1, -(2**63)]


@pytest.mark.parametrize("one", [*LARGE, *NEGATIVE, 0, 1])
@pytest.mark.parametrize("other", [*LARGE, *NEGATIVE, 0, 1])
def test_labels_of_any_size_stay_what_they_are(one: int, other: int) -> None:
    """FAULTS 52: an integer of 64 bits without a sign is not taken for a negative one, nor a float for its neighbour."""

    def forms(value: int) -> list[Any]:
        kinds = [np.int64 if value < 2**63 else np.uint64, *([np.uint64] if value >= 0 else [])]
        floats = [kind for kind in (np.float64, np.longdouble) if int(kind(value)) == value]
        more = [np.array([value], kind) for kind in (*kinds, *floats)] + [np.array([[value]], kinds[0])]
        return [[value], *more, *([np.array([bool(value)])] if value in (0, 1) else [])]

    for y_true in forms(one):
        for y_pred in forms(other):
            assert m.accuracy(y_true, y_pred) == float(one == other), (y_true, y_pred)
            assert m.f1(y_true, y_pred, average="micro") == float(one == other)
    # beside a negative label NumPy makes floats of a list
    assert m.accuracy([one, -1], [other, -1]) == (0.5 if one != other else 1.0)
    codes = {value: code for code, value in enumerate(sorted({one, other, -1, 5}))}
    y, found = [one, other, -1, 5, one], [one, one, -1, -1, other]
    for average in ("macro", "weighted", "micro"):
        expected = sk.f1_score([codes[v] for v in y], [codes[v] for v in found], average=average)
        assert m.f1(y, found, average=average) == pytest.approx(expected, rel=1e-12)


def test_large_floats_are_no_small_integers() -> None:
    assert m.accuracy([1e300], [2e300]) == m.accuracy([1e19], [-(2**63)]) == m.accuracy([-1e300], [1e300]) == 0
    assert m.accuracy([1e300, 2.0], np.array([1e300, 2], np.float64)) == 1
    assert m.mae(np.array([2**64 - 1], np.uint64), [0]) == m.rmse([2**64 - 1], [0.0]) == 2.0**64
    assert m.auc([0, 1], np.array([2**64 - 1, 5], np.uint64)) == 0 and m.auc([0, 1], np.array([5, 2**64 - 1], np.uint64)) == 1
    assert m.top_k([1], np.array([[5, 2**64 - 1]], np.uint64), k=1) == 1
    for call in (m.top_k, m.auc, m.accuracy, m.f1):
        with pytest.raises(ValueError, match=r"y_true: expected labels 0 to 2, got 1 to 18446744073709551615"):
            call(np.array([1, 2**64 - 1], np.uint64), np.full((2, 3), 0.1))
    with pytest.raises(ValueError, match="y_true: expected labels 0 and 1, got 18446744073709551615"):
        m.accuracy(np.array([2**64 - 1], np.uint64), [0.3])


def test_top_k_takes_rows_with_a_single_1() -> None:
    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 4, 30), rng.random((30, 4))
    assert m.top_k(np.eye(4)[y], scores, k=2) == m.top_k(y, scores, k=2)
    for wrong in (np.ones((30, 4)), np.eye(4)[y] * 2, np.zeros((30, 4))):
        with pytest.raises(ValueError, match=r"top_k: expected labels \(rows,\), or rows of which each has a single 1"):
            m.top_k(wrong, scores)


def test_what_is_not_defined() -> None:
    assert np.isnan(m.auc([1, 1], [0.2, 0.3])) and np.isnan(m.auc([0, 0], [[0.2, 0.3, 0.5]] * 2))
    assert np.isnan(m.r2([1.0], [2.0]))
    # labels that do not occur are left out of the mean
    y, scores = [0, 1, 0, 1], [[0.6, 0.2, 0.2], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1]]
    assert m.auc(y, scores) == 1
    assert m.f1([0, 0], [1, 1]) == 0 and m.f1([0, 0], [0, 0]) == 0
    assert m.f1([0, 1], [0, 1], [1, 0], average="weighted") == 1


def test_bad_input() -> None:
    y, p = np.array([0, 1, 2]), np.full((3, 3), 1 / 3)
    for call, error, match in (
        (lambda: m.accuracy(y, y[:2]), ValueError, r"fit each other, got shapes \(3,\) and \(2,\)"),
        (lambda: m.accuracy([], []), ValueError, "at least one row"),
        (lambda: m.accuracy([0.5], [1]), ValueError, "expected integer labels, got 0.5"),
        (lambda: m.accuracy([2, 0], [0.4, 0.6]), ValueError, "expected labels 0 and 1, got 2"),
        (lambda: m.accuracy(["a"], ["a"]), TypeError, "expected an array of real numbers"),
        (lambda: m.mae([1.0], [np.nan]), ValueError, "y_pred: expected finite"),
        (lambda: m.mae([[1.0, 2]], [1.0]), ValueError, "fit each other"),
        (lambda: m.r2([1.0, 2], [[1.0, 2], [3, 4]]), ValueError, "same shape"),
        (lambda: m.f1(y, p, average="binary"), ValueError, "expected labels 0 and 1"),
        (lambda: m.f1(y, p, average="mean"), ValueError, "average"),  # type: ignore[arg-type]
        (lambda: m.f1(np.eye(3), p, average="binary"), ValueError, "several outputs"),
        (lambda: m.f1(2 * np.eye(3), p), ValueError, "expected labels 0 and 1"),
        (lambda: m.auc([0, 1, 3], p), ValueError, "expected labels 0 to 2, got 0 to 3"),
        (lambda: m.auc([0, 1, -1], p), ValueError, "expected labels 0 to 2, got -1"),
        (lambda: m.auc(y, p[:, 0]), ValueError, "expected labels 0 and 1, got 2"),
        (lambda: m.auc(y, p, average="micro"), ValueError, "average"),  # type: ignore[arg-type]
        (lambda: m.top_k(y, p[:, 0]), ValueError, r"scores \(rows, classes\)"),
        (lambda: m.top_k(y, p, k=0), ValueError, "k: expected at least 1"),
        (lambda: m.accuracy(y, y, [1, 2]), ValueError, r"sample_weight: expected shape \(3,\)"),
        (lambda: m.accuracy(y, y, [1, 2, -1]), ValueError, "sample_weight: expected finite numbers of at least 0"),
        (lambda: m.accuracy(y, y, [0, 0, 0]), ValueError, "not all of them 0"),
    ):
        with pytest.raises(error, match=match):
            call()


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=20))
def test_auc_is_the_share_of_pairs(rows: list[tuple[int, int]]) -> None:
    y, scores = np.array(rows).T
    pairs = [np.sign(a - b) / 2 + 0.5 for a in scores[y == 1] for b in scores[y == 0]]
    same(m.auc(y, scores), float(np.mean(pairs)) if pairs else float("nan"))


# ---------------------------------------------------------------- in training


def trained(loss: str, outputs: int, epochs: int = 3, **options: Any) -> tuple[rg.Network, rg.History, Any]:
    net = network([5, 9, outputs], loss)
    X, y, Xv, yv = inputs(60, 5), targets(loss, 60, outputs), inputs(31, 5, 7), targets(loss, 31, outputs, 8)
    if loss == "binary_cross_entropy":
        y, yv = y.round(), yv.round()
    history = rg.Trainer(net, rg.SGD(0.1)).fit(X, y, epochs=epochs, validation_data=(Xv, yv), **options)
    return net, history, (X, y, Xv, yv)


def test_fit_measures_labels() -> None:
    names = ["accuracy", "f1", "f1_micro", "f1_weighted", "f1_macro", "auc", "auc_weighted", "top_2", "top_k", "top_1"]
    net, history, (X, y, Xv, yv) = trained("cross_entropy", 4, metrics=names, train_metrics=True)
    assert list(history.metrics) == [f"val_{name}" for name in names] + names
    assert all(len(values) == 3 and all(type(v) is float for v in values) for values in history.metrics.values())
    for prefix, rows, truth in (("val_", Xv, yv), ("", X, y)):
        found, proba = net.predict(rows), net.predict_proba(rows)
        last = {name: history.metrics[prefix + name][-1] for name in names}
        assert last["accuracy"] == m.accuracy(truth, found) and last["top_2"] == m.top_k(truth, proba, k=2)
        assert last["f1"] == last["f1_macro"] == m.f1(truth, found) and last["top_k"] == 1
        assert last["f1_micro"] == pytest.approx(last["accuracy"], rel=1e-12)
        assert last["f1_weighted"] == m.f1(truth, found, average="weighted")
        assert last["auc"] == m.auc(truth, proba) and last["auc_weighted"] == m.auc(truth, proba, average="weighted")
    np.testing.assert_allclose(history.metrics["val_accuracy"], history.val_metric, rtol=1e-12)


def test_fit_measures_the_weights_at_the_end_of_each_epoch_and_changes_nothing() -> None:
    names = ["f1", "auc"]
    whole = trained("cross_entropy", 3, metrics=names)
    for epochs in (1, 2):
        net, history, (_, _, Xv, yv) = trained("cross_entropy", 3, epochs)
        assert history.metrics == {}
        assert whole[1].metrics["val_f1"][epochs - 1] == m.f1(yv, net.predict(Xv))
        assert whole[1].metrics["val_auc"][epochs - 1] == m.auc(yv, net.predict_proba(Xv))
    assert same_bits(parameters(whole[0]), parameters(trained("cross_entropy", 3)[0]))


@pytest.mark.parametrize("outputs", [1, 3])
def test_fit_measures_zeros_and_ones(outputs: int) -> None:
    net, history, (_, _, Xv, yv) = trained("binary_cross_entropy", outputs, metrics=["accuracy", "f1", "auc"])
    truth = yv.astype(int)
    assert history.metrics["val_f1"][-1] == m.f1(truth, net.predict(Xv))
    assert history.metrics["val_auc"][-1] == m.auc(truth, net.predict_proba(Xv))
    np.testing.assert_allclose(history.metrics["val_accuracy"], history.val_metric, rtol=1e-12)


@pytest.mark.parametrize("outputs", [1, 3])
def test_fit_measures_numbers(outputs: int) -> None:
    net, history, (_, _, Xv, yv) = trained("mse", outputs, metrics=["r2", "mae", "rmse"])
    truth = yv.astype(np.float32).reshape(net.predict(Xv).shape)
    for name in ("r2", "mae", "rmse"):
        assert history.metrics[f"val_{name}"][-1] == getattr(m, name)(truth, net.predict(Xv))
    np.testing.assert_allclose(history.metrics["val_mae"], history.val_metric, rtol=1e-5)


def test_rows_of_probabilities_are_labels() -> None:
    net = network([5, 9, 3], "cross_entropy")
    X, y = inputs(40, 5), targets("cross_entropy", 40, 3)
    options: dict[str, Any] = {"epochs": 1, "metrics": ["f1", "auc"]}
    twin = network([5, 9, 3], "cross_entropy")
    one = rg.Trainer(net, rg.SGD(0.0)).fit(X, y, validation_data=(X, y), **options)
    two = rg.Trainer(twin, rg.SGD(0.0)).fit(X, np.eye(3)[y], validation_data=(X, np.eye(3)[y]), **options)
    assert one.metrics == two.metrics


def test_functions_of_the_user() -> None:
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def worst(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        seen.append((y_true, y_pred))
        return np.float32(0.5)  # type: ignore[return-value]  # a float is made of it

    metrics = [
        worst,
        m.auc,  # knows what it takes
        m.Metric(sk.log_loss, takes="probabilities"),
        m.Metric(lambda y, p: p.shape[1], "columns", "probabilities"),
        sk.balanced_accuracy_score,
    ]
    net, history, (_, _, Xv, yv) = trained("cross_entropy", 3, metrics=metrics)
    assert list(history.metrics) == ["val_worst", "val_auc", "val_log_loss", "val_columns", "val_balanced_accuracy_score"]
    assert history.metrics["val_columns"] == [3.0] * 3 and history.metrics["val_worst"] == [0.5] * 3
    assert type(history.metrics["val_worst"][0]) is float
    assert history.metrics["val_auc"][-1] == m.auc(yv, net.predict_proba(Xv))
    assert history.metrics["val_log_loss"][-1] == pytest.approx(history.val_loss[-1], rel=1e-5)
    assert history.metrics["val_balanced_accuracy_score"][-1] == sk.balanced_accuracy_score(yv, net.predict(Xv))
    for truth, found in seen:
        assert truth.dtype == np.int64 and same_bits(truth, yv) and found.dtype == np.int64


def test_on_training_data_alone() -> None:
    net = network([5, 9, 2])
    history = rg.Trainer(net, rg.SGD(0.1)).fit(inputs(40, 5), inputs(40, 2), epochs=2, metrics=["r2"], train_metrics=True)
    assert list(history.metrics) == ["r2"]
    assert history.metrics["r2"][-1] == m.r2(inputs(40, 2).astype(np.float32), net.predict(inputs(40, 5)))


def test_refusals_change_nothing() -> None:
    X, y = inputs(40, 5), targets("cross_entropy", 40, 3)
    net = network([5, 9, 3], "cross_entropy")
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    valid: dict[str, Any] = {"validation_data": (X, y)}
    for options, error, match in (
        ({"metrics": ["f1"]}, ValueError, "expected data to measure on"),
        ({"metrics": "f1", **valid}, TypeError, "expected a sequence"),
        ({"metrics": ["f3"], **valid}, ValueError, "expected one of accuracy, f1, .* got 'f3'"),
        ({"metrics": ["top_0"], **valid}, ValueError, "got 'top_0'"),
        ({"metrics": ["r2"], **valid}, ValueError, "expected measures of labels for this loss, got 'r2'"),
        ({"metrics": [3], **valid}, TypeError, "expected names, functions or Metric, got 3"),
        ({"metrics": ["f1", m.f1], **valid}, ValueError, "each name once, got f1, f1"),
        ({"metrics": ["f1"], "train_metrics": 1, **valid}, TypeError, "train_metrics"),
    ):
        with pytest.raises(error, match=match):
            trainer.fit(X, y, epochs=2, **options)
    assert same_bits(parameters(net), before) and trainer.epochs_done == 0
    with pytest.raises(ValueError, match="expected measures of numbers"):
        rg.Trainer(network([5, 2]), rg.SGD(0.1)).fit(X, inputs(40, 2), epochs=1, metrics=["f1"], train_metrics=True)
    scores = m.Metric(m.mae, takes="probabilities")
    with pytest.raises(ValueError, match="gives probabilities"):
        rg.Trainer(network([5, 2]), rg.SGD(0.1)).fit(X, inputs(40, 2), epochs=1, metrics=[scores], train_metrics=True)
    for arguments, error in (((3,), TypeError), ((m.f1, 3), TypeError), ((m.f1, "", "logits"), ValueError)):
        with pytest.raises(error):
            m.Metric(*arguments)  # type: ignore[arg-type]


def test_an_error_in_a_metric_leaves_whole_epochs() -> None:
    calls = 0

    def broken(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError("gone")
        return 1.0

    net = network([5, 9, 2])
    trainer = rg.Trainer(net, rg.SGD(0.1))
    X, y = inputs(40, 5), inputs(40, 2)
    with pytest.raises(OSError, match="gone"):
        trainer.fit(X, y, epochs=5, metrics=[broken], train_metrics=True)
    history = trainer.history
    assert history.epoch == [1, 2] and history.metrics == {"broken": [1.0, 1.0]} and len(history.loss) == 2
    assert trainer.fit(X, y, epochs=1).epoch == [4]


def test_everything_is_documented() -> None:
    for name in m.__all__:
        value = getattr(m, name)
        for parameter in inspect.signature(value).parameters:
            assert re.search(rf"^\s*([\w, ]+, )?{parameter}\b.* : ", value.__doc__, re.MULTILINE), f"{name}: {parameter}"


def test_weights_of_rows() -> None:
    X, y, w = inputs(40, 5), targets("cross_entropy", 40, 3), np.linspace(0, 2, 40, dtype=np.float32)
    net = network([5, 9, 3], "cross_entropy")
    trainer = rg.Trainer(net, rg.SGD(0.1))
    names = ["f1", "auc", "top_2", "accuracy", m.Metric(sk.log_loss, takes="probabilities")]
    valid = (X, y, w)
    history = trainer.fit(X, y, epochs=2, validation_data=valid, sample_weight=w[::-1], metrics=names, train_metrics=True)
    for prefix, weight in (("val_", w), ("", w[::-1])):
        last = {name: values[-1] for name, values in history.metrics.items()}
        assert last[f"{prefix}f1"] == m.f1(y, net.predict(X), weight)
        assert last[f"{prefix}auc"] == m.auc(y, net.predict_proba(X), weight)
        assert last[f"{prefix}top_2"] == m.top_k(y, net.predict_proba(X), weight, k=2)
        assert last[f"{prefix}log_loss"] == pytest.approx(
            sk.log_loss(y, net.predict_proba(X), sample_weight=np.float64(weight)), rel=1e-9
        )
    np.testing.assert_allclose(history.metrics["val_accuracy"], history.val_metric, rtol=1e-6)
    assert history.val_loss[-1] == pytest.approx(history.metrics["val_log_loss"][-1], rel=1e-5)
    with pytest.raises(TypeError, match="mine takes no sample_weight, but rows have weights"):
        trainer.fit(X, y, epochs=1, validation_data=valid, metrics=[m.Metric(lambda y, p: 1.0, "mine")])
    assert trainer.epochs_done == 2


def test_hinge_and_focal() -> None:
    X, y = inputs(40, 5), targets("cross_entropy", 40, 3)
    for net, answers, names in (
        (network([5, 9, 3], "focal"), y, ["f1", "auc"]),
        (network([5, 9, 3], "hinge"), y, ["f1"]),
        (network([5, 9, 1], "hinge"), 2 * (y > 0) - 1, ["f1", "accuracy"]),
    ):
        history = rg.Trainer(net, rg.SGD(0.1)).fit(X, answers, epochs=1, metrics=names, train_metrics=True)
        truth = (answers > 0).astype(int) if net.sizes[-1] == 1 else y
        assert history.metrics["f1"] == [m.f1(truth, net.predict(X))]
    with pytest.raises(ValueError, match="gives probabilities"):
        proba = m.Metric(m.auc, takes="probabilities")
        rg.Trainer(network([5, 9, 3], "hinge"), rg.SGD(0.1)).fit(X, y, epochs=1, metrics=[proba], train_metrics=True)


def test_a_metric_cannot_have_the_name_of_the_loss_nor_change_the_targets() -> None:
    net = network([3, 4, 2])
    X, y = inputs(6, 3), inputs(6, 2)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    for name in ("loss", "metric"):
        with pytest.raises(ValueError, match=f"metrics: expected another name than '{name}'"):
            trainer.fit(X, y, epochs=1, metrics=[m.Metric(m.mae, name)], train_metrics=True)

    def rude(y_true: Any, y_pred: Any) -> float:
        y_true -= 1
        return 0.0

    with pytest.raises(ValueError, match="read-only"):
        trainer.fit(X, y.astype(np.float32), epochs=1, metrics=[rude], train_metrics=True)
