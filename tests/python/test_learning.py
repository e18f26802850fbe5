"""Networks must learn: the classic problems, real data, a function; each from a fixed seed to the right answers."""

import numpy as np
import pytest
import retrograd as rg
from retrograd.datasets import load_digits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("activation", "output", "loss", "lr"),
    [
        ("tanh", "sigmoid", "quadratic", 1.0),
        ("tanh", "sigmoid", "mse", 1.0),
        ("sigmoid", "sigmoid", "quadratic", 2.0),
        ("tanh", "identity", "binary_cross_entropy", 0.5),
        ("tanh", "sigmoid", "binary_cross_entropy", 0.5),
    ],
)
def test_xor(activation: str, output: str, loss: str, lr: float, dtype: str) -> None:
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    y = np.array([0, 1, 1, 0])
    net = rg.Network([2, 4, 1], activation=activation, output_activation=output, loss=loss, seed=1, dtype=dtype)
    assert net.loss(X, y) > 0.1
    history = rg.Trainer(net, rg.SGD(lr, momentum=0.9), batch_size=4).fit(X, y, epochs=1000)
    assert net.loss(X, y) < 0.01 and history.loss[-1] < 0.01
    assert np.abs(net.predict_proba(X) - y).max() < 0.1
    if loss == "binary_cross_entropy":
        assert net.predict(X).tolist() == [0, 1, 1, 0] and history.metric[-1] == 1.0


@pytest.mark.parametrize("shuffle", [True, False])
def test_xor_online(shuffle: bool) -> None:
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    y = np.array([0, 1, 1, 0])
    net = rg.Network([2, 4, 2], activation="tanh", loss="cross_entropy", seed=0)
    rg.Trainer(net, rg.SGD(0.1), batch_size=1, shuffle=shuffle).fit(X, y, epochs=500)
    assert net.predict(X).tolist() == [0, 1, 1, 0]
    assert net.predict_proba(X)[np.arange(4), y].min() > 0.9


def test_the_8_3_8_encoder() -> None:
    X = np.eye(8)
    net = rg.Network([8, 3, 8], activation="sigmoid", output_activation="sigmoid", loss="quadratic", seed=0)
    rg.Trainer(net, rg.SGD(1.0, momentum=0.9), batch_size=8).fit(X, X, epochs=3000)
    out = net.predict(X)
    assert np.abs(out - X).max() < 0.1  # every pattern comes out as it went in
    net.forward(X)
    code = net.a[1].round().astype(int)
    assert code.shape == (8, 3)
    # three units hold eight patterns: each has a code of its own
    assert np.min([np.abs(net.a[1][i] - net.a[1][j]).max() for i in range(8) for j in range(i)]) > 0.3


def test_handwritten_digits() -> None:
    (X, y), (X_test, y_test) = load_digits()
    assert X_test.shape == (360, 64)
    net = rg.Network([64, 128, 64, 10], loss="cross_entropy", seed=0)
    trainer = rg.Trainer(net, rg.SGD(0.05, momentum=0.9, weight_decay=1e-3), batch_size=16, n_threads=1)
    first = trainer.fit(X, y, epochs=60, validation_data=(X_test, y_test))
    trainer.optimizer.lr = 0.005
    history = first.extend(trainer.fit(X, y, epochs=15, validation_data=(X_test, y_test)))
    assert (net.predict(X_test) == y_test).mean() >= 0.97
    assert history.val_metric[-1] == pytest.approx((net.predict(X_test) == y_test).mean(), rel=1e-12)
    assert history.loss[-1] < history.loss[0] / 20 and history.metric[-1] > 0.99


def test_several_labels_a_row() -> None:
    (X, y), (X_test, y_test) = load_digits()

    def properties(digit: np.ndarray) -> np.ndarray:
        return np.stack([digit % 2 == 0, digit >= 5, np.isin(digit, (2, 3, 5, 7))], axis=1)

    net = rg.Network([64, 64, 3], loss="binary_cross_entropy", seed=0)
    rg.Trainer(net, rg.SGD(0.2, momentum=0.9), batch_size=32).fit(X, properties(y), epochs=30)
    assert (net.predict(X_test) == properties(y_test)).mean() >= 0.97


@pytest.mark.parametrize(("activation", "loss"), [("tanh", "mse"), ("relu", "mse"), ("leaky_relu", "quadratic")])
def test_a_function(activation: str, loss: str) -> None:
    x = np.linspace(-1, 1, 256)[:, None]
    y = np.sin(3 * x[:, 0])
    net = rg.Network([1, 32, 32, 1], activation=activation, loss=loss, seed=0)
    history = rg.Trainer(net, rg.SGD(0.05, momentum=0.9), batch_size=32).fit(x, y, epochs=500)
    assert np.abs(net.predict(x) - y).max() < 0.08
    assert history.metric_name == "mae" and history.metric[-1] < 0.03


def test_a_linear_network_finds_the_least_squares() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 4)), rng.standard_normal((200, 2))
    net = rg.Network([4, 2], loss="mse", dtype="float64")
    rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=200).fit(X, y, epochs=500)
    expected, *_ = np.linalg.lstsq(np.hstack([X, np.ones((200, 1))]), y, rcond=None)
    np.testing.assert_allclose(net.weights[0], expected[:4], atol=1e-10)
    np.testing.assert_allclose(net.biases[0], expected[4], atol=1e-10)


def test_weight_decay_gives_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 4)), rng.standard_normal((200, 2))
    net = rg.Network([4, 2], loss="quadratic", dtype="float64")
    rg.Trainer(net, rg.SGD(0.1, momentum=0.5, weight_decay=0.3), batch_size=200).fit(X, y, epochs=1000)
    A = np.hstack([X, np.ones((200, 1))])
    expected = np.linalg.solve(A.T @ A / 200 + 0.3 * np.eye(5), A.T @ y / 200)  # biases are decayed too
    np.testing.assert_allclose(np.vstack([net.weights[0], net.biases[0]]), expected, atol=1e-10)


def test_the_three_stages_learn_too() -> None:
    (X, y), (X_test, y_test) = load_digits()
    net = rg.Network([64, 32, 10], loss="cross_entropy", seed=0)
    sgd = rg.SGD(lr=0.1, momentum=0.9)
    order = np.random.default_rng(0)
    for _ in range(10):
        for batch in np.array_split(order.permutation(len(X)), 45):
            net.forward(X[batch])
            net.backward(y[batch])
            sgd.step(net)
    assert (net.predict(X_test) == y_test).mean() > 0.95


def test_a_loss_of_the_users_own() -> None:
    x = np.linspace(-1, 1, 64)[:, None]
    y = x**2 + np.where(np.arange(64) % 8 == 0, 5.0, 0.0)[:, None]  # outliers, which the absolute error passes over
    net = rg.Network([1, 32, 1], activation="tanh", seed=0, dtype="float64")
    sgd = rg.SGD(0.05, momentum=0.9)
    for epoch in range(1500):
        sgd.lr = 0.05 if epoch < 1000 else 0.005
        out = net.forward(x)
        net.backward(dz=np.sign(out - y) / 64)  # the gradient of the mean absolute error
        sgd.step(net)
    assert np.median(np.abs(net.predict(x) - x[:, 0] ** 2)) < 0.05
