"""Figures that mean one thing, say which is better only where that is known, and say why they have no value."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, network, parameters, same_bits, targets
from retrograd import metrics as m
from retrograd._figures import BETTER
from retrograd.training.measures import MetricsRun
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_sample_weight

NAN = float("nan")
X, XV = inputs(60, 5), inputs(33, 5, 7)
Y, YV = targets("cross_entropy", 60, 3), targets("cross_entropy", 33, 3, 8)


def fit(net: rg.Network, y: Any, yv: Any, epochs: int = 2, lr: float = 0.1, **options: Any) -> rg.History:
    """Trains on the rows of this file with these targets."""
    return rg.Trainer(net, rg.SGD(lr)).fit(X, y, epochs=epochs, validation_data=(XV, yv), **options)


@contextmanager
def training_warnings() -> Iterator[list[str]]:
    """The texts of the warnings of training; others may come, too."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield said
    said += [str(one.message) for one in caught if one.category is rg.TrainingWarning]


# ---------------------------------------------------------------- which is better (FAULTS 38)


def f1_loss(y_true: Any, y_pred: Any) -> float:
    return 1 - m.f1(y_true, y_pred, average="macro")


def accuracy(y_true: Any, y_pred: Any) -> float:
    """A function of a user that has the name of a metric of the package."""
    return float(np.mean(y_true != y_pred))


def named(name: str) -> Any:
    def function(y_true: Any, y_pred: Any) -> float:
        return 0.0

    function.__name__ = name
    return function


@pytest.mark.parametrize("name", ["f1_loss", "auc_gap", "top_5_error", "accuracy", "r2", "mae", "rmse", "f1", "pinball"])
@pytest.mark.parametrize("watcher", ["early stopping", "plateau"])
def test_a_name_says_nothing_about_which_is_better(name: str, watcher: str) -> None:
    for metric in (named(name), m.Metric(named(name)), m.Metric(accuracy, name)):
        net = network([5, 9, 3], "cross_entropy")
        before = parameters(net)
        trainer = rg.Trainer(net, rg.SGD(0.1))
        options: dict[str, Any] = {"epochs": 2, "validation_data": (XV, YV), "metrics": [metric]}
        if watcher == "plateau":
            trainer.schedule = rg.schedules.ReduceOnPlateau(f"val_{name}")
        else:
            options["early_stopping"] = rg.EarlyStopping(f"val_{name}")
        match = f'mode: expected "min" or "max", as it is not known which is better for \'val_{name}\''
        with pytest.raises(ValueError, match=match):
            trainer.fit(X, Y, **options)
        assert same_bits(parameters(net), before) and trainer.epochs_done == 0


def test_the_direction_is_known_or_said() -> None:
    for better, options, best in (
        ("min", {}, 2),
        ("max", {}, 3),
        (None, {"mode": "max"}, 3),
        ("max", {"mode": "min"}, 2),  # the setting has the last word
    ):
        values = iter([0.5, 0.3, 0.9, 0.4])
        metric = m.Metric(lambda y, p, values=values: next(values), "gap", better=better)  # type: ignore[arg-type]
        stopping = rg.EarlyStopping("val_gap", **options)
        history = fit(network([5, 9, 3], "cross_entropy"), Y, YV, 4, metrics=[metric], early_stopping=stopping)
        assert history.best_epoch == best
    with pytest.raises(ValueError, match='better: expected "min", "max" or None, got \'more\''):
        m.Metric(f1_loss, better="more")  # type: ignore[arg-type]


def test_our_own_metrics_are_known_under_any_name() -> None:
    functions = [m.accuracy, m.f1, m.auc, m.top_k, m.r2, m.mae, m.rmse]
    assert {function.__name__: m.better_of(m.Metric(function, "a name")) for function in functions} == {
        name: better for name, better in BETTER.items() if name != "loss"
    }
    assert {name for name, better in BETTER.items() if better == "min"} == {"loss", "mae", "rmse"}
    assert m.better_of(m.Metric(partial(partial(m.f1, average="micro")), "a name")) == "max"
    assert m.better_of(m.Metric(f1_loss)) is None and m.better_of(m.Metric(sk.f1_score)) is None
    names = ["accuracy", "f1", "f1_micro", "auc", "auc_weighted", "top_2", m.accuracy, partial(m.top_k, k=1)]
    for name in names:
        metric = m.as_metrics([name])[0]
        assert m.better_of(metric) == "max"
        stopping = rg.EarlyStopping(f"val_{metric.name}", 9)
        history = fit(network([5, 9, 3], "cross_entropy"), Y, YV, 6, metrics=[name], early_stopping=stopping)
        found = history.metrics[f"val_{metric.name}"]
        assert history.best_epoch == found.index(max(found)) + 1
    for name in ("mae", "rmse", "r2"):
        stopping = rg.EarlyStopping(f"val_{name}", 9)
        history = fit(network([5, 9, 1]), X[:, 0], XV[:, 0], 6, metrics=[name], early_stopping=stopping)
        found = history.metrics[f"val_{name}"]
        assert history.best_epoch == found.index(max(found) if name == "r2" else min(found)) + 1


def test_names_of_functions() -> None:
    metrics = [
        lambda y, p: 1.0,
        partial(sk.fbeta_score, beta=2, average="macro"),
        partial(m.f1, average="micro"),
        m.Metric(lambda y, p: 2.0),
        partial(lambda factor, y, p: factor, 3.0),
        partial(sk.f1_score, average="macro", labels=list(range(30)), zero_division=0),
    ]
    history = fit(network([5, 9, 3], "cross_entropy"), Y, YV, metrics=metrics)
    assert list(history.metrics) == [
        "val_metric_1",
        "val_fbeta_score(beta=2, average=macro)",
        "val_f1(average=micro)",
        "val_metric_2",
        "val_metric_3",
        "val_f1_score(average=macro, labels=list, zero_division=0)",
    ]
    assert history.metrics["val_metric_1"] == [1.0] * 2 and history.metrics["val_metric_2"] == [2.0] * 2
    two = [partial(sk.f1_score, labels=[*range(30)]), partial(sk.f1_score, labels=[*range(40)])]
    with pytest.raises(ValueError, match=re.escape("expected each name once, got f1_score(labels=list), f1_score(labels")):
        fit(network([5, 9, 3], "cross_entropy"), Y, YV, metrics=two)


def test_names_that_the_history_has() -> None:
    net = network([5, 9, 3], "cross_entropy")
    # on both kinds of data "f1" gives "val_f1", too
    with pytest.raises(ValueError, match="metrics: expected each name once, got f1, val_f1"):
        fit(net, Y, YV, metrics=["f1", m.Metric(f1_loss, "val_f1")], train_metrics=True)
    for name in ("val_loss", "val_metric", "lr", "epoch"):
        with pytest.raises(ValueError, match=f"metrics: expected another name than '{name}'"):
            fit(net, Y, YV, metrics=[m.Metric(f1_loss, name)], train_metrics=True)


def test_a_callable_object_without_a_hash() -> None:
    class Half:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, y_true: Any, y_pred: Any) -> float:
            return 0.5

    assert fit(network([5, 9, 3], "cross_entropy"), Y, YV, metrics=[Half()]).metrics == {"val_Half": [0.5, 0.5]}


# ---------------------------------------------------------------- one meaning (FAULTS 39)


@pytest.mark.parametrize("outputs", [2, 3, 4])
@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "hinge", "quadratic"])
def test_f1_means_the_same_whatever_occurs(loss: str, outputs: int) -> None:
    """Validation holds two labels, and in some epochs no row is predicted as another."""
    y, yv = targets("cross_entropy", 60, outputs), targets("cross_entropy", 33, 2, 8)
    to = (lambda labels: np.eye(outputs)[labels]) if loss == "quadratic" else (lambda labels: labels)
    names = ["f1", "f1_macro", "f1_micro", "f1_weighted"]
    seen: list[np.ndarray] = []
    net = network([5, 9, outputs], loss)
    trainer = rg.Trainer(net, rg.SGD(0.5), callbacks=[lambda trainer, history: seen.append(trainer.network.predict(XV))])

    def run() -> rg.History:
        return trainer.fit(X, to(y), epochs=8, validation_data=(XV, to(yv)), metrics=names)

    if outputs == 2:
        history = run()
    else:
        missing = "label 2, which counts" if outputs == 3 else "labels 2, 3, which count"
        with pytest.warns(rg.TrainingWarning) as caught:
            history = run()
        assert [str(one.message) for one in caught] == [
            f"val_f1, val_f1_macro: no validation row has {missing} as 0 in the mean over {outputs} labels"
        ]
    every = list(range(outputs))
    for epoch, predicted in enumerate(seen):
        labels = predicted.argmax(axis=1) if predicted.ndim == 2 else predicted
        for name in names:
            average: Any = name[3:] or ("binary" if outputs == 2 else "macro")
            expected = sk.f1_score(yv, labels, labels=every, average=average, zero_division=0)
            assert history.metrics[f"val_{name}"][epoch] == pytest.approx(expected, rel=1e-12), (name, epoch)


def test_f1_called_directly() -> None:
    y, found = [0, 1, 1, 0], [0, 1, 0, 0]
    for labels in ([0, 1, 2], range(5), np.array([1, 0]), [1]):
        for average in ("macro", "micro", "weighted"):
            expected = sk.f1_score(y, found, labels=list(labels), average=average, zero_division=0)
            assert m.f1(y, found, average=average, labels=labels) == pytest.approx(expected, rel=1e-12)
    assert m.f1(y, found, labels=range(3)) == m.f1(y, found, labels=range(3), average="macro") != m.f1(y, found)
    assert m.f1(y, found, labels=[0, 1]) == m.f1(y, found) == sk.f1_score(y, found)
    scores = np.eye(3)[found]  # columns are labels, also where none of the rows has one
    assert m.f1(y, scores) == pytest.approx(sk.f1_score(y, found, labels=range(3), average="macro", zero_division=0))
    for options, match in (
        ({"labels": []}, "labels: expected at least one"),
        ({"labels": [0.5]}, "labels: expected integer labels, got 0.5"),
        ({"labels": [0, 2], "average": "binary"}, 'average: expected labels 0 and 1 with "binary", got 0, 2'),
    ):
        with pytest.raises(ValueError, match=match):
            m.f1(y, found, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="labels: expected None with several outputs"):
        m.f1(np.eye(3), np.eye(3), labels=[0])


def test_what_can_never_be_measured_is_refused_before_the_first_step() -> None:
    yes_no = np.random.default_rng(0).integers(0, 2, (60, 3))
    for loss, y, name, match in (
        ("cross_entropy", Y, "f1_binary", 'metrics: f1_binary: average: expected labels 0 and 1 with "binary", got 0, 1, 2'),
        ("binary_cross_entropy", yes_no, "f1_binary", 'metrics: f1_binary: average: expected "macro", "micro" or "weighted"'),
        ("binary_cross_entropy", yes_no, "top_1", "metrics: top_1: top_k: expected labels .rows,., or rows of which each"),
    ):
        net = network([5, 9, 3], loss)
        before = parameters(net)
        trainer = rg.Trainer(net, rg.SGD(0.1))
        with pytest.raises(ValueError, match=match):
            trainer.fit(X, y, epochs=2, validation_data=(X, y), metrics=[name])
        assert same_bits(parameters(net), before) and trainer.epochs_done == 0


@pytest.mark.parametrize(("loss", "outputs"), [("mse", 3), ("hinge", 3), ("mse", 1), ("quadratic", 1), ("hinge", 1)])
def test_outputs_that_are_no_probabilities_are_scores(loss: str, outputs: int) -> None:
    net = network([5, 9, outputs], loss)
    labels = Y if outputs > 1 else (Y > 0).astype(int)
    y = np.eye(3)[labels] if loss == "mse" and outputs > 1 else labels
    names = ["auc", "top_2"] if outputs > 1 else ["auc"]
    history = rg.Trainer(net, rg.SGD(0.01), advice=False).fit(X, y, epochs=1, validation_data=(X, y), metrics=names)
    scores = net.forward(X)
    if outputs == 1:
        expected = sk.roc_auc_score(labels, scores[:, 0])
    else:
        expected = np.mean([sk.roc_auc_score(labels == k, scores[:, k]) for k in range(3)])
        assert history.metrics["val_top_2"] == [sk.top_k_accuracy_score(labels, scores, k=2)]
    assert history.metrics["val_auc"] == [pytest.approx(expected, rel=1e-12)]


# ---------------------------------------------------------------- classes under any loss (FAULTS 46)


@pytest.mark.parametrize("loss", ["mse", "quadratic", "mae", "huber", "quantile"])
def test_one_hot_targets_under_a_loss_for_numbers(loss: str) -> None:
    net = network([5, 9, 4], loss, output_activation="softmax")
    y, yv = targets("cross_entropy", 60, 4), targets("cross_entropy", 33, 4, 8)
    names = ["accuracy", "f1", "f1_weighted", "auc", "auc_weighted", "top_2", "top_1", "r2", "mae"]
    w = np.linspace(0.1, 2, 33, dtype=np.float32)
    trainer = rg.Trainer(net, rg.SGD(0.3))
    rows = np.eye(4)
    history = trainer.fit(X, rows[y], epochs=2, validation_data=(XV, rows[yv], w), metrics=names, train_metrics=True)
    assert history.metric_name == "mae"  # the loss decides what is measured without being asked for
    for prefix, inputs_of, labels, weight in (("val_", XV, yv, w), ("", X, y, None)):
        last = {name: history.metrics[f"{prefix}{name}"][-1] for name in names}
        outputs, wide = net.predict(inputs_of), None if weight is None else weight.astype(np.float64)
        found = outputs.argmax(axis=1)
        share = outputs.astype(np.float64) / outputs.sum(axis=1, keepdims=True, dtype=np.float64)
        expected = {
            "accuracy": sk.accuracy_score(labels, found, sample_weight=wide),
            "f1": sk.f1_score(labels, found, labels=range(4), average="macro", zero_division=0, sample_weight=wide),
            "f1_weighted": sk.f1_score(labels, found, average="weighted", zero_division=0, sample_weight=wide),
            "auc": sk.roc_auc_score(labels, share, multi_class="ovr", sample_weight=wide),
            "auc_weighted": sk.roc_auc_score(labels, share, multi_class="ovr", average="weighted", sample_weight=wide),
            "top_2": sk.top_k_accuracy_score(labels, outputs, k=2, sample_weight=wide),
            "top_1": sk.accuracy_score(labels, found, sample_weight=wide),
            "r2": sk.r2_score(rows[labels], outputs, sample_weight=wide),
            "mae": sk.mean_absolute_error(rows[labels], outputs, sample_weight=wide),
        }
        for name, value in expected.items():
            assert last[name] == pytest.approx(value, rel=1e-6), (prefix, name)


@pytest.mark.parametrize(("activation", "low", "cut"), [("sigmoid", 0, 0.5), ("tanh", -1, 0.0), ("identity", 0, 0.5)])
@pytest.mark.parametrize("outputs", [1, 3])
def test_zeros_and_ones_and_signs_under_a_loss_for_numbers(activation: str, low: int, cut: float, outputs: int) -> None:
    y, yv = (np.random.default_rng(seed).integers(0, 2, (rows, outputs)) for seed, rows in ((0, 60), (1, 33)))
    net = network([5, 9, outputs], "mse", output_activation=activation)
    history = fit(net, np.where(y, 1, low), np.where(yv, 1, low), metrics=["accuracy", "f1"])
    found = net.predict(XV).reshape(33, outputs) > cut
    assert history.metrics["val_accuracy"][-1] == pytest.approx(np.mean(found == yv), rel=1e-12)
    average: Any = "binary" if outputs == 1 else "macro"
    truth, answers = (yv[:, 0], found[:, 0]) if outputs == 1 else (yv, found)
    assert history.metrics["val_f1"][-1] == pytest.approx(sk.f1_score(truth, answers, average=average), rel=1e-12)


def test_accuracy_of_several_yes_and_no_is_by_output() -> None:
    """Whether or not rows happen to be one-hot; "top_1" is the accuracy by row."""
    net = network([5, 9, 3], "binary_cross_entropy")
    history = fit(net, np.eye(3)[Y], np.eye(3)[YV], metrics=["accuracy", "top_1"])
    proba = net.predict_proba(XV)
    assert history.metrics["val_accuracy"][-1] == pytest.approx(np.mean((proba > 0.5) == np.eye(3)[YV]), rel=1e-12)
    np.testing.assert_allclose(history.metrics["val_accuracy"], history.val_metric, rtol=1e-12)
    assert history.metrics["val_top_1"][-1] == pytest.approx(sk.accuracy_score(YV, proba.argmax(axis=1)), rel=1e-12)


def test_targets_that_are_no_classes() -> None:
    net = network([5, 9, 3])
    before = parameters(net)
    almost = np.eye(3)[Y]
    almost[40] = [1, 1, 0]
    for y, yv, match in (
        (inputs(60, 3), inputs(33, 3), "measures of numbers for 'mse' with these targets, got 'accuracy': it needs classes"),
        (np.eye(3)[Y], inputs(33, 3), "'accuracy' expected one-hot rows in the validation data too"),
        (np.eye(3)[Y], almost[:33] * 0, "'accuracy' expected one-hot rows in the validation data too"),
        (almost, inputs(33, 3), "'accuracy' expected 0 and 1 in the validation data too"),
    ):
        with pytest.raises(ValueError, match=match):
            fit(net, y, yv, metrics=["accuracy"])
    assert same_bits(parameters(net), before)
    history = fit(net, almost, np.eye(3)[YV], metrics=["accuracy"])  # the training data says that each output counts
    assert history.metrics["val_accuracy"][-1] == pytest.approx(np.mean((net.predict(XV) > 0.5) == np.eye(3)[YV]))


def test_functions_of_the_user_choose_what_they_take() -> None:
    net = network([5, 9, 3], "quadratic", output_activation="softmax")
    seen: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def watch(takes: Any) -> m.Metric:
        def function(y_true: np.ndarray, y_pred: np.ndarray) -> float:
            seen[takes] = (y_true, y_pred)
            return 0.0

        return m.Metric(function, takes, takes)

    metrics = [watch(takes) for takes in ("predictions", "probabilities", "labels", "scores")]
    fit(net, np.eye(3)[Y], np.eye(3)[YV], metrics=metrics)
    outputs, rows = net.predict(XV), np.eye(3, dtype=np.float32)[YV]
    assert same_bits(seen["predictions"], (rows, outputs)) and same_bits(seen["probabilities"], (rows, outputs))
    assert same_bits(seen["labels"], (YV, outputs.argmax(axis=1))) and same_bits(seen["scores"], (YV, outputs))
    with pytest.raises(ValueError, match="takes: expected"):
        m.Metric(f1_loss, takes="logits")  # type: ignore[arg-type]


# ---------------------------------------------------------------- class weights and validation


def test_validation_is_weighted_as_training_where_that_is_asked_for() -> None:
    weight = {0: 1.0, 1: 7.0, 2: 0.25}
    own = np.linspace(0.5, 1.5, 33, dtype=np.float32)
    for given in (weight, "balanced"):
        factors = weight if isinstance(given, dict) else dict(zip(range(3), 60 / (3 * np.bincount(Y)), strict=True))
        rows = np.array([factors[label] for label in YV])
        for validation, total in (((XV, YV), rows), ((XV, YV, own), own * rows)):
            nets = [network([5, 9, 3], "cross_entropy") for _ in range(3)]
            trainers = [rg.Trainer(net, rg.SGD(0.1)) for net in nets]
            options: dict[str, Any] = {"epochs": 2, "class_weight": given, "metrics": ["f1", "accuracy"]}
            found = trainers[0].fit(X, Y, validation_data=validation, weighted_validation=True, **options)
            expected = trainers[1].fit(X, Y, validation_data=(XV, YV, total), **options)
            plain = trainers[2].fit(X, Y, validation_data=validation, **options)
            assert found.val_loss == pytest.approx(expected.val_loss, rel=1e-6) and found.val_loss != plain.val_loss
            for name, values in expected.metrics.items():
                assert found.metrics[name] == pytest.approx(values, rel=1e-6)
            assert same_bits(parameters(nets[0]), parameters(nets[2]))  # training is the same
            expected_accuracy = sk.accuracy_score(YV, nets[0].predict(XV), sample_weight=total)
            assert found.val_metric[-1] == pytest.approx(expected_accuracy, rel=1e-6)


def test_weighted_validation_of_rows_set_aside() -> None:
    """The weights are those of the rows that are trained on, and a label that is not among them has 1."""
    net = network([5, 9, 3], "cross_entropy")
    history = rg.Trainer(net, rg.SGD(0.0)).fit(
        X, np.where(Y == 2, 0, Y), epochs=1, class_weight="balanced", validation_data=(XV, YV), weighted_validation=True
    )
    of_training = compute_sample_weight("balanced", np.where(Y == 2, 0, Y))
    factors = {label: of_training[np.where(Y == 2, 0, Y) == label][0] for label in (0, 1)} | {2: 1.0}
    expected = net.loss(XV, YV, sample_weight=[factors[label] for label in YV])
    assert history.val_loss == [pytest.approx(expected, rel=1e-6)]
    for options in ({"validation_data": (XV, YV)}, {"class_weight": "balanced"}):
        with pytest.raises(ValueError, match="weighted_validation: expected class_weight= and validation data"):
            rg.Trainer(net, rg.SGD(0.1)).fit(X, Y, epochs=1, weighted_validation=True, **options)
    with pytest.raises(TypeError, match="weighted_validation: expected True or False"):
        rg.Trainer(net, rg.SGD(0.1)).fit(X, Y, epochs=1, weighted_validation=1)  # type: ignore[arg-type]


# ---------------------------------------------------------------- figures that have no value (FAULTS 43)


def one(outputs: int = 1, loss: str = "binary_cross_entropy", **options: Any) -> rg.Network:
    return network([5, 9, outputs], loss, **options)


CAUSES: dict[str, tuple[rg.Network, Any, Any, str, str]] = {
    "auc of one label": (one(), Y > 0, (XV[:3], [1, 1, 1]), "auc", "all 3 validation rows have label 1"),
    "auc of one row": (one(), Y > 0, (XV[:1], [0]), "auc", "the only validation row has label 0"),
    "auc of several labels": (one(3, "cross_entropy"), Y, (XV[:4], [2] * 4), "auc", "all 4 validation rows have label 2"),
    "auc of several outputs": (
        one(2),
        np.eye(3)[Y][:, :2],
        (XV[:4], [[0, 1]] * 4),
        "auc",
        "in each output, all 4 validation rows have the same answer",
    ),
    "auc by weight": (
        one(),
        Y > 0,
        (XV[:4], [1, 1, 0, 1], [1, 1, 0, 0]),
        "auc",
        "all 2 validation rows of a weight above 0 have label 1",
    ),
    "r2 of one row": (
        one(1, "mse"),
        X[:, 0],
        (XV[:1], [1.0]),
        "r2",
        "the variance needs two rows or more, got 1 validation row",
    ),
}


@pytest.mark.parametrize("name", CAUSES)
def test_a_figure_without_a_value_says_why(name: str) -> None:
    net, y, validation, metric, cause = CAUSES[name]
    trainer = rg.Trainer(net, rg.SGD(0.01), schedule=rg.schedules.ReduceOnPlateau(f"val_{metric}", patience=0))
    with pytest.warns(rg.TrainingWarning) as caught:
        history = trainer.fit(
            X, y, epochs=5, validation_data=validation, metrics=[metric], early_stopping=rg.EarlyStopping(f"val_{metric}", 2)
        )
    assert [str(one.message) for one in caught] == [  # at the first of them, and at the end
        f"val_{metric} is nan in epoch 1: {cause}",
        f"early_stopping: val_{metric} was nan in every epoch that counts, so that none is the best; the weights are those of "
        "the last epoch",
    ]
    assert all(one.filename == __file__ for one in caught)
    assert len(history) == 5 and not history.stopped_early and history.best_epoch is None
    assert history.lr == [0.01] * 5  # the rate is not cut on what is not a number


def test_the_rate_is_not_cut_on_nan() -> None:
    values = [3, NAN, NAN, NAN, 3, 3, 2, NAN, NAN]
    answers = iter(values)
    schedule = rg.schedules.ReduceOnPlateau("val_figure", patience=1, factor=0.5, mode="min")
    trainer = rg.Trainer(network([5, 9, 3], "cross_entropy"), rg.SGD(0.1), schedule=schedule)
    metric = m.Metric(lambda y, p: next(answers), "figure")
    with pytest.warns(rg.TrainingWarning, match="val_figure is nan in epoch 2: the function returned nan"):
        history = trainer.fit(X, Y, epochs=len(values), validation_data=(XV, YV), metrics=[metric])
    assert history.lr == [0.1] * 6 + [0.05] * 3  # two that were not better, with others between them


@pytest.mark.parametrize(("loss", "activation"), [("mse", "exponential"), ("mae", "exponential"), ("quadratic", "exponential")])
def test_outputs_that_are_not_finite(loss: str, activation: str) -> None:
    """Our metrics have no value then; the training goes on."""
    net = rg.Network([1, 2], loss=loss, output_activation=activation, init=([[[1.0, -1.0]]], [[0, 0]]))
    with training_warnings() as said:
        history = rg.Trainer(net, rg.SGD(0.0)).fit(
            [[0.0], [1.0]],
            np.ones((2, 2)),
            epochs=2,
            validation_data=([[1.0], [1e4], [-1e4], [0.0]], np.ones((4, 2))),
            metrics=["r2", "mae"],
        )
    assert said == [
        f"val_{name} is nan in epoch 1: the outputs of 2 of the 4 validation rows are not finite, those of row 1 first"
        for name in ("r2", "mae")
    ]
    assert len(history) == 2 and all(np.isnan(history.metrics["val_r2"]))


def test_a_validation_loss_that_is_nan() -> None:
    weights = [np.full((2, 2), 1e38), [[1.0], [-1.0]]]
    net = rg.Network([2, 2, 1], activation="identity", init=(weights, [[0, 0], [0]]))
    valid = [[0.0, 0], [9, 9]], [0.0, 0]
    with training_warnings() as said:
        history = rg.Trainer(net, rg.SGD(0.0)).fit(
            np.zeros((3, 2)), [0.0] * 3, epochs=2, validation_data=valid, early_stopping=rg.EarlyStopping()
        )
    cause = "the outputs of 1 of the 2 validation rows are not finite, those of row 1 first"
    assert said[:2] == [f"{name} is nan in epoch 1: {cause}" for name in ("val_loss", "val_mae")]
    assert "val_loss was nan in every epoch" in said[2] and len(said) == 3
    assert len(history) == 2 and "nan" in repr(history)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (np.ones(3), r"an array of shape \(3,\)"),
        (np.ones(1), r"an array of shape \(1,\)"),
        (np.ones((1, 1)), r"an array of shape \(1, 1\)"),
        (None, "None"),
        ("0.5", "a str"),
        ([0.5], "a list"),
        (1j, "a complex"),
    ],
)
def test_a_metric_that_gives_no_number(value: Any, shown: str) -> None:
    def mine(y_true: Any, y_pred: Any) -> Any:
        return value

    trainer = rg.Trainer(network([5, 9, 3], "cross_entropy"), rg.SGD(0.1))
    with pytest.raises(TypeError, match=f"metrics: expected one number from 'mine', got {shown}") as caught:
        trainer.fit(X, Y, epochs=3, validation_data=(XV, YV), metrics=[mine])
    assert caught.value.__notes__ == ["This was in the metric 'mine' on the validation data."]
    assert trainer.history.epoch == [] and trainer.history.metrics == {}


def test_numbers_of_any_kind_are_figures() -> None:
    for value in (1, 0.5, True, np.float32(0.5), np.float16(0.5), np.array(0.5), np.array(1), np.bool_(True)):
        net = network([5, 9, 3], "cross_entropy")
        history = fit(net, Y, YV, metrics=[m.Metric(lambda y, p, value=value: value, "mine")])
        assert history.metrics["val_mine"] == [float(value)] * 2 and type(history.metrics["val_mine"][0]) is float


def test_an_error_in_a_metric_says_where() -> None:
    def mine(y_true: Any, y_pred: Any) -> float:
        raise OSError("gone")

    trainer = rg.Trainer(network([5, 9, 3], "cross_entropy"), rg.SGD(0.1))
    with pytest.raises(OSError, match="gone") as caught:
        trainer.fit(X, Y, epochs=3, metrics=[mine], train_metrics=True)
    assert caught.value.__notes__ == ["This was in the metric 'mine' on the training data."]


def test_what_has_a_value_says_nothing() -> None:
    """Warnings are errors here: every metric on ordinary data."""
    names = ["accuracy", "f1", "f1_micro", "f1_weighted", "f1_macro", "auc", "auc_weighted", "top_2"]
    options: dict[str, Any] = {"early_stopping": rg.EarlyStopping("val_auc", 5), "train_metrics": True}
    fit(network([5, 9, 3], "cross_entropy"), Y, YV, metrics=names, **options)
    fit(network([5, 9, 1]), X[:, 0], XV[:, 0], metrics=["r2", "mae", "rmse"], early_stopping=rg.EarlyStopping("val_r2"))
    assert MetricsRun((), network([5, 9, 1]), None, {}).measured(None) == {}  # type: ignore[arg-type]
