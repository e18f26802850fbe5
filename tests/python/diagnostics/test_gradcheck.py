"""gradcheck: its errors are under 1e-6 for every activation and loss, and it finds gradients that are wrong."""

from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import HIDDEN_ACTIVATIONS, LOSSES, PAIRS, inputs, network, parameters, same_bits, targets


@pytest.mark.parametrize(("output", "loss"), PAIRS)
@pytest.mark.parametrize("hidden", HIDDEN_ACTIVATIONS)
def test_every_activation_and_loss(hidden: str, output: str, loss: str) -> None:
    # this seed keeps every z away from the kinks of the relus by more than the differences reach
    net = network([4, 7, 5, 3], loss, activation=hidden, output_activation=output, seed=2, dtype="float64")
    X, y = inputs(6, 4), targets(loss, 6, 3)
    net.forward(X)
    assert min(np.abs(z).min() for z in net.z) > 1e-3
    result = rg.gradcheck(net, X, y)
    assert result.worst < 1e-6
    assert set(result.errors) == {"dw[0]", "dw[1]", "dw[2]", "db[0]", "db[1]", "db[2]", "dx"}
    assert result.worst == max(result.errors.values()) == result.errors[result.where]
    assert result.worst > 0  # differences are never quite the gradient: something was compared


@pytest.mark.parametrize("loss", LOSSES)
def test_a_float32_network_is_checked_in_float64(loss: str) -> None:
    net = network([4, 7, 3], loss, activation="tanh")
    X, y = inputs(6, 4), targets(loss, 6, 3)
    assert rg.gradcheck(net, X, y).worst < 1e-6
    assert rg.gradcheck(net, X.tolist(), y.tolist()).worst < 1e-6


def test_probabilities_and_one_output() -> None:
    net = network([4, 7, 3], "cross_entropy", activation="tanh")
    assert rg.gradcheck(net, inputs(6, 4), np.random.default_rng(0).dirichlet(np.ones(3), 6)).worst < 1e-6
    net = network([4, 7, 1], "binary_cross_entropy", activation="tanh")
    assert rg.gradcheck(net, inputs(6, 4), np.arange(6) % 2).worst < 1e-6


def test_the_network_and_the_data_are_left_alone() -> None:
    net = network([4, 7, 3], activation="tanh")
    X, y = inputs(6, 4), inputs(6, 3)
    net.forward(X)
    before = parameters(net), net.z, X.copy(), y.copy()
    X.flags.writeable = y.flags.writeable = False
    rg.gradcheck(net, X, y)
    assert same_bits((parameters(net), net.z, X, y), before)


@pytest.mark.parametrize("name", ["dw", "db", "dx"])
@pytest.mark.parametrize("wrong", ["scaled", "one element", "transposed sign", "nan"])
def test_a_wrong_gradient_is_found(monkeypatch: pytest.MonkeyPatch, name: str, wrong: str) -> None:
    right = getattr(rg.Gradients, name).fget

    def spoil(array: np.ndarray) -> np.ndarray:
        array = np.array(array)
        if wrong == "scaled":
            array *= 1 + 1e-4
        elif wrong == "one element":
            array[(-1,) * array.ndim] += 1e-4 * np.abs(array).max()
        elif wrong == "nan":
            array[(-1,) * array.ndim] = np.nan
        else:
            array = -array
        return array

    def spoiled(gradients: rg.Gradients) -> Any:
        found = right(gradients)
        return spoil(found) if isinstance(found, np.ndarray) else (*found[:-1], spoil(found[-1]))

    net = network([4, 7, 3], activation="tanh")
    monkeypatch.setattr(rg.Gradients, name, property(spoiled))
    result = rg.gradcheck(net, inputs(6, 4), inputs(6, 3))
    assert not result.worst < 0.9e-4
    assert result.where == ("dx" if name == "dx" else f"{name}[1]")


def test_a_kink_is_seen() -> None:
    net = rg.Network([1, 1], output_activation="relu", init=([[[1.0]]], [[0.0]]), dtype="float64")
    assert rg.gradcheck(net, [[0.0]], [[1.0]]).worst > 0.1
    assert rg.gradcheck(net, [[0.5]], [[1.0]]).worst < 1e-6


def test_gradients_that_are_zero_agree() -> None:
    net = rg.Network([2, 2], init="zeros", dtype="float64")
    result = rg.gradcheck(net, np.zeros((3, 2)), np.zeros((3, 2)))
    assert result.worst < 1e-6


def test_epsilon() -> None:
    net = network([4, 7, 3], activation="tanh")
    coarse = rg.gradcheck(net, inputs(6, 4), inputs(6, 3), epsilon=1e-2).worst
    fine = rg.gradcheck(net, inputs(6, 4), inputs(6, 3), epsilon=1e-4).worst
    assert 1e3 < coarse / fine < 1e5  # the error of a central difference is of second order
