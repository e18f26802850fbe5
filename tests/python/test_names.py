"""Names: any spelling, and those of PyTorch, Keras and scikit-learn where value and gradient are the same.

Each alias is compared in float64 with the formula of the package that has the name, or with scikit-learn itself.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import assert_close, inputs
from retrograd import _names, activations, initializers, losses, metrics, optimizers, schedules
from scipy import special
from sklearn import metrics as sk

Array = np.ndarray[Any, Any]


def slope(function: Callable[[Array], Any], z: Array) -> Array:
    """Central differences of a sum, element by element."""
    found = np.empty_like(z)
    for place in np.ndindex(z.shape):
        high, low = z.copy(), z.copy()
        high[place] += 1e-6
        low[place] -= 1e-6
        found[place] = (np.sum(function(high)) - np.sum(function(low))) / 2e-6
    return found


# ---------------------------------------------------------------- losses


def mean_squared(z: Array, t: Array) -> Any:
    return ((z - t) ** 2).mean()


def mean_absolute(z: Array, t: Array) -> Any:
    return np.abs(z - t).mean()


def smooth_l1(z: Array, t: Array) -> Any:
    """PyTorch: 0.5 e^2 / beta where |e| < beta, else |e| - 0.5 beta, with beta 1; its HuberLoss has delta 1."""
    e = np.abs(z - t)
    return np.where(e < 1, 0.5 * e**2, e - 0.5).mean()


def pinball(z: Array, t: Array) -> Any:
    return sk.mean_pinball_loss(t, z, alpha=0.5)


def poisson_nll(z: Array, t: Array) -> Any:
    """PyTorch with its defaults: log_input, not full."""
    return (np.exp(z) - t * z).mean()


def log_loss(z: Array, t: Array) -> Any:
    return sk.log_loss(t, special.softmax(z, axis=1), labels=range(z.shape[1]))


def binary(z: Array, t: Array) -> Any:
    return -(t * np.log(special.expit(z)) + (1 - t) * np.log(special.expit(-z))).mean()


def multi_margin(z: Array, t: Array) -> Any:
    """PyTorch with its defaults: the sum over j != y of max(0, 1 - x[y] + x[j]), divided by the number of classes."""
    rows = np.arange(len(z))
    margins = np.maximum(0, 1 - z[rows, t][:, None] + z)
    margins[rows, t] = 0
    return (margins.sum(axis=1) / z.shape[1]).mean()


LOSSES: dict[str, Callable[[Array, Array], Any]] = {
    "torch.nn.MSELoss": mean_squared,
    "mean_squared_error": mean_squared,
    "keras.losses.MeanSquaredError": mean_squared,
    "mae_loss": mean_absolute,
    "mean_absolute_error": mean_absolute,
    "absolute_error": mean_absolute,
    "l1": mean_absolute,
    "L1Loss": mean_absolute,
    "HuberLoss": smooth_l1,
    "smooth_l1": smooth_l1,
    "SmoothL1Loss": smooth_l1,
    "pinball": pinball,
    "pinball_loss": pinball,
    "mean_pinball_loss": pinball,
    "poisson_nll": poisson_nll,
    "PoissonNLLLoss": poisson_nll,
    "CE": log_loss,
    "ce_loss": log_loss,
    "log_loss": log_loss,
    "CrossEntropyLoss": log_loss,
    "softmax_cross_entropy": log_loss,
    "categorical_crossentropy": log_loss,
    "sparse_categorical_crossentropy": log_loss,
    "bce": binary,
    "BCELoss": binary,
    "bce_with_logits": binary,
    "BCEWithLogitsLoss": binary,
    "binary_log_loss": binary,
    "multi_margin": multi_margin,
    "MultiMarginLoss": multi_margin,
}
SPELLINGS: dict[str, Callable[[Array, Array], Any]] = {
    "MSE": mean_squared,
    "crossentropy": log_loss,
    "Cross-Entropy": log_loss,
    "binary_crossentropy": binary,
    "BinaryCrossEntropy": binary,
}


@pytest.mark.parametrize("name", [*LOSSES, *SPELLINGS])
def test_a_loss_under_another_name_is_that_loss(name: str) -> None:
    formula = (LOSSES | SPELLINGS)[name]
    rng = np.random.default_rng(3)
    y: Array = rng.standard_normal((6, 3))
    if formula in (log_loss, multi_margin):
        y = rng.integers(0, 3, 6)
    elif formula is binary:
        y = rng.random((6, 3))
    elif formula is poisson_nll:
        y = rng.poisson(2.0, (6, 3)).astype(float)
    net = rg.Network([4, 3], loss=name, dtype="float64", init="glorot")
    z = net.forward(2 * inputs(6, 4))
    gradients = net.backward(y)
    assert net.loss_name in losses.LOSSES and net.loss_function == net.loss_name
    assert gradients.loss == pytest.approx(formula(z, y), rel=1e-12)
    assert_close(gradients.delta[-1], slope(lambda q: formula(q, y), z), 1e-7, name)


def test_no_alias_of_a_loss_is_forgotten() -> None:
    assert {_names.squashed(name.rpartition(".")[2]) for name in LOSSES} == set(losses.ALIASES)


def half_of_scikit_learn(z: Array, t: Array) -> Any:
    return ((z - t) ** 2).mean() / 2


def test_what_is_not_the_same_is_an_error_that_says_why() -> None:
    for name, why in losses.NOT_THE_SAME.items():
        with pytest.raises(ValueError, match="loss: there is no ") as caught:
            rg.Network([4, 3], loss=name)
        assert why in str(caught.value)
    # that these two differ is a fact: with several outputs by a factor, and of rates by the logarithm
    z, t = inputs(6, 3), inputs(6, 3, seed=2)
    assert half_of_scikit_learn(z, t) != pytest.approx(mean_squared(z, t))
    assert half_of_scikit_learn(z, t) != pytest.approx(((z - t) ** 2).sum(axis=1).mean() / 2)
    for name in ("keras.losses.poisson", "keras.losses.Poisson", "tf.keras.losses.poisson"):
        with pytest.raises(ValueError, match="the rates themselves"):
            rg.Network([4, 3], loss=name)
    assert rg.Network([4, 3], loss="Poisson").loss_name == "poisson"


def test_an_unknown_name_gets_a_suggestion_and_the_list() -> None:
    with pytest.raises(ValueError, match=r"loss: expected one of mse, .*, got 'cros_entropy'; did you mean 'cross_entropy'\?"):
        rg.Network([4, 3], loss="cros_entropy")
    with pytest.raises(ValueError, match=r"got 'xyzzy'$"):
        rg.Network([4, 3], loss="xyzzy")
    with pytest.raises(TypeError, match=r"loss: expected a name or an object .*net.backward\(dz="):
        rg.Network([4, 3], loss=lambda z, y: 0.0)  # type: ignore[arg-type]


# ---------------------------------------------------------------- activations

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda z: z,
    "None": lambda z: z,
    "logistic": special.expit,
    "expit": special.expit,
    "swish": lambda z: z * special.expit(z),
    "exp": np.exp,
    "gelu_new": lambda z: 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
}
ACTIVATION_SPELLINGS: dict[str, Callable[[Array], Array]] = {
    "ReLU": lambda z: np.maximum(z, 0),
    "torch.nn.LeakyReLU": lambda z: np.where(z > 0, z, 0.01 * z),
    "torch.nn.functional.silu": lambda z: z * special.expit(z),
    "keras.activations.elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "GELU": lambda z: z * special.ndtr(z),
    "Sigmoid": special.expit,
    "TANH": np.tanh,
    "SoftPlus": lambda z: np.logaddexp(0, z),
}


@pytest.mark.parametrize("name", [*ACTIVATIONS, *ACTIVATION_SPELLINGS])
def test_an_activation_under_another_name_is_that_activation(name: str) -> None:
    function = (ACTIVATIONS | ACTIVATION_SPELLINGS)[name]
    z = np.linspace(-3.05, 3.05, 40)[:, None]
    net = rg.Network([1, 1], output_activation=name, loss="quadratic", dtype="float64", init=([[[1.0]]], [[0.0]]))
    a = net.forward(z)
    assert_close(a, function(z), 1e-13, name)
    assert_close(len(z) * net.backward(a - 1).delta[0], slope(function, z), 1e-7, name)  # (a - t) f'(z) / n
    assert net.activations[0] in activations.ACTIVATIONS
    assert rg.Dense(3, name).activation == net.activations[0]


def test_no_alias_of_an_activation_is_forgotten() -> None:
    assert {_names.squashed(name) for name in ACTIVATIONS} == set(activations.ALIASES)


def test_activations_that_are_not_the_same() -> None:
    for name, why in activations.NOT_THE_SAME.items():
        with pytest.raises(ValueError, match="activation: there is no ") as caught:
            rg.Network([4, 3, 2], activation=name)
        assert why in str(caught.value)
    with pytest.raises(TypeError, match='write activation="tanh"'):
        rg.Network([4, 3, 2], activation=np.tanh)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r'rg.Network\(\[4, rg.Dense\(3, "relu"\), 2\]\)'):
        rg.Network([4, 3, 2], activation=["relu"])  # type: ignore[arg-type]


# ---------------------------------------------------------------- metrics

METRICS: dict[str, tuple[str, Callable[..., Any]]] = {
    "accuracy_score": ("labels", sk.accuracy_score),
    "acc": ("labels", sk.accuracy_score),
    "binary_accuracy": ("two", sk.accuracy_score),
    "categorical_accuracy": ("labels", sk.accuracy_score),
    "sparse_categorical_accuracy": ("labels", sk.accuracy_score),
    "f1_score": ("two", sk.f1_score),
    "roc_auc": ("scores", sk.roc_auc_score),
    "roc_auc_score": ("scores", sk.roc_auc_score),
    "roc_auc_ovr": ("many scores", lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr")),
    "roc_auc_ovr_weighted": ("many scores", lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr", average="weighted")),
    "r2_score": ("numbers", sk.r2_score),
    "mean_absolute_error": ("numbers", sk.mean_absolute_error),
    "root_mean_squared_error": ("numbers", sk.root_mean_squared_error),
}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_under_another_name_is_that_metric(name: str) -> None:
    rng = np.random.default_rng(4)
    kind, theirs = METRICS[name]
    truth, found = {
        "labels": (rng.integers(0, 3, 50), rng.integers(0, 3, 50)),
        "two": (rng.integers(0, 2, 50), rng.integers(0, 2, 50)),
        "scores": (rng.integers(0, 2, 50), rng.random(50)),
        "many scores": (rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50)),
        "numbers": (rng.standard_normal((50, 2)), rng.standard_normal((50, 2))),
    }[kind]
    (ours,) = metrics.as_metrics([name])
    assert ours.function(truth, found) == pytest.approx(theirs(truth, found), rel=1e-12)
    assert ours.name in metrics._VARIANTS


def test_no_alias_of_a_metric_is_forgotten() -> None:
    assert {_names.squashed(name) for name in METRICS} == set(_names.METRIC_ALIASES)


def test_the_history_has_the_one_true_name_and_early_stopping_knows_both() -> None:
    net = rg.Network([4, 8, 2], loss="log_loss")
    y = np.arange(60) % 2
    history = rg.Trainer(net, "adam").fit(
        inputs(60, 4), y, epochs=2, validation_split=0.5, metrics=["roc_auc", "F1"], early_stopping=rg.EarlyStopping("val_acc")
    )
    assert list(history.metrics) == ["val_auc", "val_f1"]
    schedule = rg.schedules.ReduceOnPlateau("val_roc_auc")
    rg.Trainer(net, "adam", schedule=schedule).fit(inputs(60, 4), y, epochs=1, validation_split=0.5, metrics=["auc"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mse", "which is a loss"),
        ("log_loss", "which is a loss"),
        ("neg_mean_absolute_error", 'turns its sign; write "mae"'),
        ("top_k_accuracy", 'write "top_2"'),
        ("roc_acu", "did you mean 'auc'"),
    ],
)
def test_metrics_that_are_not_there(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.as_metrics([name])


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ("val_f1", r'got .val_f1. \(fit\(..., metrics=\["f1"\]\) measures it\)'),
        ("auc", r'\(fit\(..., metrics=\["auc"\], train_metrics=True\) measures it\)'),
        ("val_los", "did you mean 'val_loss'"),
    ],
)
def test_a_figure_that_nobody_measures(monitor: str, message: str) -> None:
    trainer = rg.Trainer(rg.Network([4, 2], loss="cross_entropy"), "adam")
    with pytest.raises(ValueError, match=message):
        trainer.fit(
            inputs(20, 4), np.arange(20) % 2, epochs=1, validation_split=0.5, early_stopping=rg.EarlyStopping(monitor)
        )


# ---------------------------------------------------------------- initialisers, optimisers, schedules


@pytest.mark.parametrize(
    ("name", "distribution", "deviation"),
    [
        # PyTorch: gain sqrt(2) for relu, 1 for xavier; a uniform distribution reaches sqrt(3) deviations
        ("kaiming", "normal", np.sqrt(2 / 50)),
        ("kaiming_normal", "normal", np.sqrt(2 / 50)),
        ("kaiming_uniform", "uniform", np.sqrt(2 / 50)),
        ("xavier", "uniform", np.sqrt(2 / 80)),
        ("xavier_uniform", "uniform", np.sqrt(2 / 80)),
        ("xavier_normal", "normal", np.sqrt(2 / 80)),
        ("GlorotUniform", "uniform", np.sqrt(2 / 80)),
        ("zero", "uniform", 0.0),
    ],
)
def test_an_initialiser_under_another_name(name: str, distribution: str, deviation: float) -> None:
    drawn, factor = rg.Initializer(name).draw(50, 30, "relu")
    assert drawn == distribution
    assert factor == pytest.approx(deviation * (np.sqrt(3) if distribution == "uniform" else 1), rel=1e-14)
    w = rg.Network([50, 30], init=name, dtype="float64").weights[0]
    assert w.std() == pytest.approx(deviation, rel=0.05)
    assert distribution == "normal" or np.abs(w).max() <= factor


def test_no_alias_of_an_initialiser_is_forgotten() -> None:
    tried = {"kaiming", "kaimingnormal", "kaiminguniform", "xavier", "xavieruniform", "xaviernormal", "zero"}
    assert tried == set(initializers._ELSEWHERE)
    with pytest.raises(ValueError, match=r"rg.normal\(0.05\)"):
        rg.Network([4, 3], init="random_normal")


@pytest.mark.parametrize("name", ["adam", "Adam", "AdamW", "rmsprop", "RMSProp", "adagrad", "lion"])
def test_an_optimiser_by_name_has_its_defaults(name: str) -> None:
    found = rg.Trainer(rg.Network([4, 3]), name).optimizer
    kind = next(kind for kind in optimizers._RULES.values() if kind.__name__.lower() == name.lower())
    assert type(found) is kind and repr(found) == repr(kind())  # type: ignore[call-arg]


def test_names_of_optimisers_that_say_too_little() -> None:
    net = rg.Network([4, 3])
    for name in ("sgd", "SGD"):
        with pytest.raises(ValueError, match=r"no default rate; write rg.SGD\(lr=0.1, momentum=0.9\)"):
            rg.Trainer(net, name)
    with pytest.raises(ValueError, match=r"rg.fit_lbfgs\(net, X, y\)"):
        rg.Trainer(net, "lbfgs")
    with pytest.raises(ValueError, match="did you mean 'Adam'"):
        rg.Trainer(net, "adma")
    trainer = rg.Trainer(net, "adam")
    trainer.optimizer = "adam"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="optimizer: expected an optimiser"):
        trainer.fit(inputs(4, 4), inputs(4, 3), epochs=1)


@pytest.mark.parametrize("name", ["cosine", "CosineAnnealingLR", "step", "adaptive", "one_cycle", "invscaling"])
def test_a_schedule_by_name_gets_the_line_to_write(name: str) -> None:
    with pytest.raises(TypeError, match=r"write rg.schedules.\w+\(") as caught:
        rg.Trainer(rg.Network([4, 3]), "adam", schedule=name)  # type: ignore[arg-type]
    line = str(caught.value).split("write ")[1]
    assert isinstance(eval(line), schedules.Schedule)


def test_normalisation_under_other_names() -> None:
    for name in ("batch", "BatchNorm1d", "BatchNormalization"):
        assert rg.Dense(3, norm=name).norm == "batch"  # type: ignore[arg-type]
    assert rg.Dense(3, norm="LayerNorm").norm == "layer"  # type: ignore[arg-type]
