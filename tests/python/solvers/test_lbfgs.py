"""L-BFGS: it finds what SciPy finds over the textbook's loss, keeps the last finished iteration, and reports what is wrong."""

import sys
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, network, parameters, same_bits, targets
from oracle import forward_backward
from scipy.optimize import minimize


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_the_minimum_is_that_of_the_textbook(loss: str) -> None:
    X, y = inputs(60, 4), targets(loss, 60, 3)
    net = network([4, 3], loss, dtype="float64")  # convex: there is one
    shapes = [(4, 3), (3,)]

    def textbook(flat: Any) -> Any:
        w, b = flat[:12].reshape(shapes[0]), flat[12:]
        found = forward_backward([w], [b], ["identity"], loss, X, y)
        gradient = np.concatenate([found.dw[0].ravel() + 0.01 * w.ravel(), found.db[0]])
        return found.loss + 0.005 * (w**2).sum(), gradient

    expected = minimize(textbook, np.zeros(15), jac=True, method="BFGS", options={"gtol": 1e-9})
    result = rg.fit_lbfgs(net, X, y, weight_decay=0.01, tol_grad=1e-9, tol_loss=0)
    assert result.converged
    assert result.loss[-1] == pytest.approx(expected.fun, rel=1e-9)
    np.testing.assert_allclose(net.weights[0].ravel(), expected.x[:12], atol=1e-5)
    assert len(result.loss) == result.iterations + 1
    assert result.evaluations >= result.iterations
    assert all(later <= earlier for earlier, later in zip(result.loss, result.loss[1:], strict=False))


def test_it_learns_what_descent_takes_thousands_of_epochs_for() -> None:
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
    y = np.array([0.0, 1, 1, 0])
    for dtype, limit in (("float64", 1e-6), ("float32", 1e-3)):
        net = rg.Network([2, 4, 1], activation="tanh", loss="binary_cross_entropy", seed=1, dtype=dtype)
        result = rg.fit_lbfgs(net, X, y, max_iter=100, tol_grad=1e-8)
        assert result.loss[-1] < limit
        assert net.predict(X).tolist() == [0, 1, 1, 0]
        assert net.loss(X, y) == pytest.approx(result.loss[-1], rel=1e-3, abs=1e-7)


def test_the_weights_are_those_of_the_last_finished_iteration() -> None:
    X, y = inputs(60, 4), targets("mse", 60, 2)

    class Enough(Exception):  # noqa: N818
        pass

    for stop in (StopIteration, KeyboardInterrupt, Enough):

        def callback(iteration: int, loss: float, stop: type[BaseException] = stop) -> None:
            if iteration == 3:
                raise stop

        net, twin = (network([4, 9, 2], dtype="float64", activation="tanh") for _ in range(2))
        if stop is StopIteration:
            assert len(rg.fit_lbfgs(net, X, y, callback=callback).loss) == 4
        else:
            with pytest.raises(stop):
                rg.fit_lbfgs(net, X, y, callback=callback)
        rg.fit_lbfgs(twin, X, y, max_iter=3)
        assert same_bits(parameters(net), parameters(twin))


def test_bad_calls_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network([4, 9, 2])
    before, X, y = parameters(net), inputs(20, 4), inputs(20, 2)
    for call, error, message in (
        (lambda: rg.fit_lbfgs(3, X, y), TypeError, "network: expected a Network, got int"),  # type: ignore[arg-type]
        (lambda: rg.fit_lbfgs(rg.Network([4, rg.Dense(9, norm="layer"), 2]), X, y), ValueError, "without normalisation"),
        (lambda: rg.fit_lbfgs(net, X[:, :3], y), ValueError, r"X: expected shape \(rows, 4\)"),
        (lambda: rg.fit_lbfgs(net, X, y[:5]), ValueError, "y: expected as many rows as X"),
        (lambda: rg.fit_lbfgs(net, X, y, max_iter=-1), ValueError, "max_iter: expected at least 0"),
        (lambda: rg.fit_lbfgs(net, X, y, history_size=0), ValueError, "history_size: expected at least 1"),
        (lambda: rg.fit_lbfgs(net, X, y, weight_decay=-1), ValueError, "weight_decay: expected"),
        (lambda: rg.fit_lbfgs(net, X, np.full((20, 2), 3e38)), rg.DivergenceError, r"begin.*inf\); the weights are unchanged."),
    ):
        with pytest.raises(error, match=message):
            call()
        assert same_bits(parameters(net), before)
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"fit_lbfgs needs SciPy: pip install retrograd\[lbfgs\]"):
        rg.fit_lbfgs(net, X, y)


def test_a_trial_that_overflows_steps_back_to_the_minimum() -> None:
    net = rg.Network([1, 1], loss="poisson", init=([[[0]]], [[0]]), dtype="float64")
    result = rg.fit_lbfgs(net, [[0], [1000]], [1, 100], tol_loss=0)
    # by hand: at w = log(100) / 1000, b = 0 both rates are the counts
    assert result.converged
    assert net.weights[0][0, 0] == pytest.approx(np.log(100) / 1000, rel=1e-6)
    assert net.biases[0][0] == pytest.approx(0, abs=1e-4)
    assert result.loss[-1] == pytest.approx((1 + 100 - 100 * np.log(100)) / 2, rel=1e-9)
    assert net.loss([[0], [1000]], [1, 100]) == pytest.approx(result.loss[-1], rel=1e-12)


def test_a_start_far_up_the_exponential_comes_down() -> None:
    net = rg.Network([1, 1, 1], loss="poisson", init=([[[1]], [[1]]], [[0], [0]]), dtype="float64")
    result = rg.fit_lbfgs(net, [[500]], [5])
    assert result.converged
    assert result.loss[0] > 1e200
    assert result.loss[-1] == pytest.approx(5 - 5 * np.log(5), rel=1e-9)
    assert len(result.loss) == result.iterations + 1
    assert all(later <= earlier for earlier, later in zip(result.loss, result.loss[1:], strict=False))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["mse", "quadratic", "mae", "huber", "quantile", "poisson"])
def test_every_loss_over_an_exponential_either_descends_or_says_that_it_did_not(loss: str, dtype: str) -> None:
    X, y = np.array([[0.0], [60.0], [80.0]]), np.array([1.0, 3.0, 5.0])
    activation = "identity" if loss == "poisson" else "exponential"
    net = rg.Network([1, 1], output_activation=activation, loss=loss, dtype=dtype, init=([[[0]]], [[0]]))
    before = net.loss(X, y)
    result = rg.fit_lbfgs(net, X, y, max_iter=500)
    assert np.isfinite([*net.weights[0][0], *net.biases[0], *result.loss]).all()
    assert result.loss[-1] == pytest.approx(net.loss(X, y), rel=1e-5)
    assert result.loss[-1] < before
    gradient = max(abs(float(part.item())) for part in _gradient(net, X, y))
    assert not result.converged or gradient < 0.1  # at the start it is up to 300


def _gradient(net: rg.Network, X: Any, y: Any) -> tuple[Any, Any]:
    net.forward(X)
    found = net.backward(y)
    return found.dw[0], found.db[0]


def test_a_callback_ends_a_run_that_would_begin_anew() -> None:
    net = rg.Network([1, 1, 1], loss="poisson", init=([[[1]], [[1]]], [[0], [0]]), dtype="float64")

    def callback(iteration: int, loss: float) -> None:
        raise StopIteration

    assert rg.fit_lbfgs(net, [[500]], [5], callback=callback).iterations == 1


def test_a_start_without_a_finite_loss_or_gradient_is_a_divergence() -> None:
    steep = rg.Network([1, 1], loss="poisson", init=([[[8e-5]]], [[0]]))  # exp(80) fits float32, 1e6 exp(80) does not
    with pytest.raises(rg.DivergenceError, match="the weights are unchanged"):
        rg.fit_lbfgs(steep, [[1e6]], [1])
    assert steep.weights[0].item() == np.float32(8e-5)
    for y in (np.zeros((2, 1)), np.full((2, 1), 1e38)):
        net = rg.Network([1, 1, 1], activation="identity", loss="mse", init=([[[1e30]], [[1e8]]], [[0], [0]]))
        before = parameters(net)
        with pytest.raises(rg.DivergenceError, match="the weights are unchanged"):
            rg.fit_lbfgs(net, [[1.0], [2.0]], y)
        assert same_bits(parameters(net), before)


def test_weights_of_rows_are_those_of_least_squares() -> None:
    X, rng = inputs(60, 4), np.random.default_rng(3)
    y, w = X @ np.array([1.0, -2, 0.5, 3]) + rng.standard_normal(60), rng.random(60) * 5
    net = rg.Network([4, 1], dtype="float64")
    result = rg.fit_lbfgs(net, X, y, sample_weight=w, tol_grad=1e-10, tol_loss=0)
    A = np.c_[X, np.ones(60)] * np.sqrt(w)[:, None]
    expected = np.linalg.lstsq(A, y * np.sqrt(w), rcond=None)[0]
    np.testing.assert_allclose(np.append(net.weights[0][:, 0], net.biases[0]), expected, rtol=1e-7)
    assert result.loss[-1] == pytest.approx(net.loss(X, y, sample_weight=w), rel=1e-9)


def test_the_end_is_told_in_words() -> None:
    X, y = inputs(60, 4) * np.array([1, 1e3, 1e-3, 10]), targets("mse", 60, 1)
    result = rg.fit_lbfgs(rg.Network([4, 1]), X, y)
    assert not result.converged
    assert result.message.endswith("scaled to about 1 may help, and dtype='float64'")
    assert "the loss no longer falls, but its gradient is not 0" in result.message
