"""Targets that the output activation cannot reach: the ranges of the activations, and the warning (FAULTS 41)."""

import warnings
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import ALL_LOSSES, MORE_ACTIVATIONS, OUTPUT_ACTIVATIONS, targets, within
from oracle import FUNCTION
from retrograd.activations import ACTIVATIONS

BOUNDED = [name for name, facts in ACTIVATIONS.items() if facts["low"] > -np.inf]
COMPARE = ("mse", "quadratic", "mae", "huber", "quantile")  # the losses that compare outputs with targets as they are


def fitted(activation: str, y: Any, loss: str = "mse", outputs: int = 2, **options: Any) -> None:
    net = rg.Network([3, outputs], output_activation=activation, loss=loss, dtype="float64")
    rg.Trainer(net, rg.SGD(1e-3), batch_size=8).fit(np.eye(len(y), 3), y, epochs=1, **options)


@pytest.mark.parametrize("name", [*OUTPUT_ACTIVATIONS, *MORE_ACTIVATIONS])
def test_the_ranges_are_those_of_the_functions(name: str) -> None:
    low, high = ACTIVATIONS[name]["low"], ACTIVATIONS[name]["high"]
    z = np.r_[-np.logspace(-6, 2.5, 200_001)[::-1], np.logspace(-6, 2.5, 200_001)]
    pairs = np.stack([z, -z], axis=1)
    with np.errstate(over="ignore"):
        values = FUNCTION[name](pairs)
        core = rg.Network([2, 2], output_activation=name, init=([np.eye(2)], [np.zeros(2)]), dtype="float64").forward(pairs)
    for found in (values, core):
        assert found.min() >= low - 1e-12 and found.max() <= high
        # it comes near its bounds; where there is none, its values are as large as z or larger
        assert found.min() - low < (4e-3 if name == "softsign" else 1e-9) if low > -np.inf else found.min() < -3
        assert high - found.max() < (4e-3 if name == "softsign" else 1e-9) if high < np.inf else found.max() > 300


def test_the_activations_without_a_lower_bound() -> None:
    assert set(ACTIVATIONS) - set(BOUNDED) == {"identity", "leaky_relu"}


@pytest.mark.parametrize("loss", COMPARE)
@pytest.mark.parametrize("name", BOUNDED)
def test_the_closed_range_is_silent_and_what_is_outside_is_named(name: str, loss: str) -> None:
    low, high = ACTIVATIONS[name]["low"], ACTIVATIONS[name]["high"]
    top = min(high, 3.0)
    y = np.array([[low, top], [top, low], [1.0, 0.0]])
    fitted(name, y, loss)
    fitted(name, y * (1 + 1e-12), loss)  # by rounding
    y[1, 1] -= 0.01
    y[2, 0] += 0.0 if high == np.inf else 0.01
    rows = 1 if high == np.inf else 2
    value, where = f"{low - 0.01:g}", rf"in row 1, column 1 \({rows} of 3 rows"
    with pytest.warns(
        rg.DataWarning, match=rf"^y: output_activation='{name}' gives numbers from .*, got {value} {where}"
    ) as caught:
        fitted(name, y, loss)
    assert [one.filename for one in caught] == [__file__] and "identity" in str(caught[0].message)


@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_softmax_over_one_output_is_refused(loss: str) -> None:  # FAULTS 40
    where = "softmax over one output is always 1" if loss in COMPARE else "output"
    with pytest.raises(ValueError, match=where):
        rg.Network([3, 1], output_activation="softmax", loss=loss)
    with pytest.raises(ValueError, match=where):
        rg.Network([3, rg.Dense(4), rg.Dense(1, "softmax")], loss=loss)


def test_layer_normalisation_over_one_unit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"over one unit, every row gives 0; expected at least 2 units .* in layer 2"):
        rg.Network([3, 4, rg.Dense(1, norm="layer"), 2])
    rg.Network([3, rg.Dense(1, norm="batch"), rg.Dense(2, norm="layer"), 2])


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softmax", "softsign"])
def test_too_large(name: str) -> None:
    with pytest.warns(rg.DataWarning, match="got 5 in row 2"):
        fitted(name, [[0.5, 0.5], [1.0, 0.0], [5.0, 0.0]])
    if name != "softmax":
        with pytest.warns(rg.DataWarning, match=r"got 5 in row 1 \(1 of 2 rows"):
            fitted(name, [0.5, 5.0], outputs=1)


def test_rows_of_softmax_must_sum_to_one() -> None:
    fitted("softmax", [[0.25, 0.75], [1.0, 0.0]])
    with pytest.warns(rg.DataWarning, match=r"that sum to 1 in each row, got a sum of 1.5 in row 1"):
        fitted("softmax", [[0.25, 0.75], [1.0, 0.5]])


@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("name", BOUNDED)
def test_silence_with_targets_that_fit(name: str, loss: str) -> None:
    try:
        net = rg.Network([3, 2], output_activation=name, loss=loss)
    except ValueError:
        return  # they do not go together
    y = targets(loss, 40, 2)
    y = within(name, y) if loss in COMPARE else y
    with warnings.catch_warnings():
        warnings.simplefilter("error", rg.DataWarning)
        rg.Trainer(net, rg.SGD(1e-3), advice=False).fit(np.eye(40, 3), y, epochs=2)


def test_rows_without_weight_do_not_count() -> None:
    y = np.array([[0.5, 0.5], [9.0, 9.0]])
    fitted("sigmoid", y, sample_weight=[1.0, 0.0])
    with pytest.warns(rg.DataWarning, match="row 1"):
        fitted("sigmoid", y, sample_weight=[1.0, 0.5])


def test_validation_and_lbfgs() -> None:
    good, bad = np.full((4, 2), 0.5), np.full((4, 2), -0.5)
    with pytest.warns(rg.DataWarning, match="^validation_data: y: output_activation='sigmoid'"):
        fitted("sigmoid", good, validation_data=(np.eye(4, 3), bad))
    with pytest.warns(rg.DataWarning, match="^y: .*got -0.5 in row 0, column 0 .4 of 4") as caught:
        fitted("sigmoid", bad, validation_split=0.5)
    assert len(caught) == 1
    net = rg.Network([3, 2], output_activation="sigmoid")
    with pytest.warns(rg.DataWarning, match="got -0.5"):
        rg.fit_lbfgs(net, np.eye(4, 3), bad, max_iter=2)
    rg.fit_lbfgs(net, np.eye(4, 3), good, max_iter=2)


def test_single_batches_are_not_looked_at() -> None:
    net = rg.Network([3, 2], output_activation="sigmoid")
    X, y = np.eye(4, 3), np.full((4, 2), -0.5)
    rg.Trainer(net, rg.SGD(1e-3)).step(X, y)
    net.forward(X)
    net.backward(y)
    assert net.loss(X, y) > 0
