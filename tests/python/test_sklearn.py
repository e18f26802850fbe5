"""Training against scikit-learn's MLPClassifier and MLPRegressor: same weights, same batches, same update, float64.

scikit-learn's conventions, translated here:

- its squared loss reports half the mean over rows and outputs, but descends the gradient of half the sum over outputs,
  averaged over rows: our "quadratic". So its reported loss is ours divided by the outputs.
- its loss for several independent labels is summed over outputs, ours is their mean: our lr is its lr times the outputs.
- its velocity is -lr times ours (the same update while lr is constant), and its Nesterov step is ours too.
- its penalty `alpha` leaves the biases out and divides by the rows of each batch; ours is another thing, so alpha = 0.
- it calls sigmoid "logistic".
"""

import warnings
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import assert_close, inputs
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

EPOCHS, ROWS, BATCH, LR = 6, 103, 16, 0.05  # the last batch has 7 rows
HIDDEN = (20, 13)
NAMES = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
MOMENTA = [{"momentum": 0.0, "nesterov": False}, {"momentum": 0.9, "nesterov": False}, {"momentum": 0.9, "nesterov": True}]


def trained(
    kind: type[Any], X: np.ndarray, y: np.ndarray, activation: str, momentum: float, nesterov: bool, **changes: Any
) -> Any:
    """An estimator after EPOCHS epochs of SGD without shuffling."""
    options: dict[str, Any] = {
        "hidden_layer_sizes": HIDDEN,
        "activation": activation,
        "solver": "sgd",
        "alpha": 0.0,
        "batch_size": BATCH,
        "learning_rate": "constant",
        "learning_rate_init": LR,
        "max_iter": EPOCHS,
        "shuffle": False,
        "random_state": 0,
        "tol": 0.0,
        "n_iter_no_change": 10_000,
        "momentum": momentum,
        "nesterovs_momentum": nesterov,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few epochs are what is asked for
        return kind(**options | changes).fit(X, y)


def start(kind: type[Any], X: np.ndarray, y: np.ndarray, activation: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The weights and biases that `trained` starts from: a learning rate too small to move them."""
    estimator = trained(kind, X, y, activation, 0.0, False, learning_rate_init=1e-300, max_iter=1)
    return estimator.coefs_, estimator.intercepts_


def check(
    kind: type[Any],
    loss: str,
    X: np.ndarray,
    y: np.ndarray,
    activation: str,
    update: dict[str, Any],
    lr_factor: int = 1,
    loss_factor: float = 1,
) -> tuple[Any, rg.Network]:
    """Trains both; losses of all epochs, weights and biases at the end."""
    outputs = 1 if y.ndim == 1 and loss != "cross_entropy" else y.shape[1] if y.ndim == 2 else len(np.unique(y))
    net = rg.Network(
        [X.shape[1], *HIDDEN, outputs],
        activation=NAMES[activation],
        loss=loss,
        init=start(kind, X, y, activation),
        dtype="float64",
    )
    before = net.weights
    expected = trained(kind, X, y, activation, **update)
    optimizer = rg.SGD(LR * lr_factor, **update)
    history = rg.Trainer(net, optimizer, batch_size=BATCH, shuffle=False).fit(X, y, epochs=EPOCHS)
    assert_close(np.array(history.loss) * loss_factor, expected.loss_curve_, 1e-10, "loss")
    for found, w in zip((*net.weights, *net.biases), (*expected.coefs_, *expected.intercepts_), strict=True):
        assert_close(found, w, 1e-10)
    assert np.abs(net.weights[0] - before[0]).max() > 1e-3  # something was learned
    return expected, net


@pytest.mark.parametrize("update", MOMENTA, ids=["plain", "momentum", "nesterov"])
@pytest.mark.parametrize("activation", NAMES)
@pytest.mark.parametrize("outputs", [1, 3])
def test_regressor(outputs: int, activation: str, update: dict[str, Any]) -> None:
    X = inputs(ROWS, 7)
    y = np.sin(inputs(ROWS, outputs, seed=1) + X[:, :1])
    y = y[:, 0] if outputs == 1 else y
    expected, net = check(MLPRegressor, "quadratic", X, y, activation, update, loss_factor=1 / outputs)
    assert_close(net.predict(X), expected.predict(X), 1e-10)


@pytest.mark.parametrize("update", MOMENTA, ids=["plain", "momentum", "nesterov"])
@pytest.mark.parametrize("activation", NAMES)
def test_classifier(activation: str, update: dict[str, Any]) -> None:
    X = inputs(ROWS, 7)
    y = (np.digitize(X[:, 0] + X[:, 1] ** 2, [-0.5, 0.5, 1.5])).astype(int)
    expected, net = check(MLPClassifier, "cross_entropy", X, y, activation, update)
    assert_close(net.predict_proba(X), expected.predict_proba(X), 1e-10)
    assert np.array_equal(net.predict(X), expected.predict(X))


@pytest.mark.parametrize("update", MOMENTA, ids=["plain", "momentum", "nesterov"])
@pytest.mark.parametrize("activation", NAMES)
def test_two_classes(activation: str, update: dict[str, Any]) -> None:
    X = inputs(ROWS, 7)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    expected, net = check(MLPClassifier, "binary_cross_entropy", X, y, activation, update)
    assert_close(net.predict_proba(X), expected.predict_proba(X)[:, 1], 1e-10)
    assert np.array_equal(net.predict(X), expected.predict(X))


@pytest.mark.parametrize("update", MOMENTA, ids=["plain", "momentum", "nesterov"])
def test_several_labels_a_row(update: dict[str, Any]) -> None:
    X = inputs(ROWS, 7)
    y = (X[:, :3] + X[:, 3:6] > 0).astype(int)
    expected, net = check(MLPClassifier, "binary_cross_entropy", X, y, "tanh", update, lr_factor=3, loss_factor=3)
    assert_close(net.predict_proba(X), expected.predict_proba(X), 1e-10)
    assert np.array_equal(net.predict(X), expected.predict(X))
