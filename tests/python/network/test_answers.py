"""Outputs that are not finite: a warning names the row, whatever is asked for; nothing else changes (FAULTS 51)."""

import warnings
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import ALL_LOSSES, same_bits, targets

HUGE = 3e38


def overflowing(loss: str, outputs: int, dtype: str = "float32", **options: Any) -> rg.Network:
    """Identity units whose outputs are inf - inf where the inputs are huge."""
    big = 1e30 if dtype == "float32" else 1e300
    w = np.where(np.arange(outputs) % 2, -1.0, 1.0) * np.array([[1.0], [-1.0]])
    net = rg.Network([2, 2, outputs], activation="identity", loss=loss, dtype=dtype, **options)
    net.set_weights([np.eye(2) * big, w], [np.zeros(2), np.zeros(outputs)])
    return net


def answers(net: rg.Network) -> dict[str, Any]:
    found: dict[str, Any] = {"predict": net.predict}
    try:
        net._spec.check_probabilities()
        found["predict_proba"] = net.predict_proba
    except ValueError:
        pass
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("outputs", [1, 3, 20])
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_the_row_is_named(loss: str, outputs: int, dtype: str) -> None:
    if outputs == 1 and loss in ("cross_entropy", "focal"):
        return
    net = overflowing(loss, outputs, dtype)
    for rows, bad in ((1, [0]), (5, [3]), (40, [17, 33]), (3000, [16, 2999])):
        X = np.full((rows, 2), 1e-30 if dtype == "float32" else 1e-300, dtype)
        for name, answer in answers(net).items():
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                clean = answer(X)
            other = X.copy()
            other[bad] = HUGE
            many = "" if len(bad) == 1 else rf" \({len(bad)} of {rows} rows"
            for n_threads in (1, 3):
                with pytest.warns(rg.DataWarning, match=f"outputs for row {bad[0]} are NaN or infinite{many}") as caught:
                    found = answer(other, n_threads=n_threads)
                assert [one.filename for one in caught] == [__file__], name
                rest = np.delete(np.arange(rows), bad)
                assert same_bits(found[rest], clean[rest])
        y = targets(loss, rows, outputs)
        with pytest.warns(rg.DataWarning, match=f"outputs for row {bad[0]} .*, so the loss is (nan|inf)"):
            assert not np.isfinite(net.loss(other, y))


def test_exponential_units_that_overflow() -> None:
    net = rg.Network([1, 4, 3], activation="exponential", loss="cross_entropy", init=([np.ones((1, 4)), np.ones((4, 3))],
                     [np.zeros(4), np.zeros(3)]))  # fmt: skip
    assert net.predict([[1.0], [2.0]]).tolist() == [0, 0]
    with pytest.warns(rg.DataWarning, match="row 1"):
        assert net.predict([[1.0], [200.0]])[1] == 0
    with pytest.warns(rg.DataWarning, match="row 1"):
        assert np.isnan(net.predict_proba([[1.0], [200.0]])[1]).all()


def test_rates_that_overflow_although_the_outputs_are_finite() -> None:
    net = rg.Network([1, 1], loss="poisson", init=([np.ones((1, 1))], [np.zeros(1)]))
    with pytest.warns(rg.DataWarning, match="row 2"):
        assert np.isinf(net.predict([[1.0], [2.0], [500.0]])[2])


def test_old_rows_in_spare_memory_are_not_reported() -> None:
    net = overflowing("cross_entropy", 3)
    good, bad = np.zeros((1, 2), np.float32), np.full((5, 2), HUGE, np.float32)
    with pytest.warns(rg.DataWarning, match="row 0"):
        net.predict(bad)
    assert net.predict(good).tolist() == [0]  # a panel whose other lanes still hold NaN


def test_in_training_and_its_metrics() -> None:
    net = rg.Network([2, 3], loss="cross_entropy", seed=0)
    X, y = np.random.default_rng(0).standard_normal((60, 2)), np.arange(60) % 3
    far = X[:6].copy()
    far[4] = HUGE
    with (
        pytest.warns(rg.DataWarning, match="outputs for row 4 are"),
        pytest.warns(rg.TrainingWarning, match="val_loss is nan in epoch 1"),
    ):
        net.set_weights([1e3 * np.ones((2, 3))], [np.zeros(3)])
        history = rg.Trainer(net, rg.SGD(1e-3), batch_size=10).fit(X, y, epochs=1, validation_data=(far, y[:6]))
    assert not np.isfinite(history.val_loss[0])


def test_forward_shows_them_without_a_word() -> None:
    net = overflowing("cross_entropy", 3)
    assert np.isnan(net.forward(np.full((2, 2), HUGE))).all()
