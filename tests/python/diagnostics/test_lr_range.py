"""The range test of the learning rate: what it records and suggests, and that it leaves everything as it was."""

import copy
import pickle
import sys
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, network, parameters, same_bits, targets
from matplotlib import pyplot
from oracle import Textbook
from retrograd import _core
from retrograd.datasets import load_digits

X, Y = inputs(60, 5), inputs(60, 2)


def state(optimizer: rg.Optimizer) -> bytes:
    """All of an optimiser: settings and state."""
    return pickle.dumps(optimizer)


def trained() -> tuple[rg.Network, rg.SGD, rg.Trainer]:
    """A network and an optimiser that has a velocity."""
    net, sgd = network([5, 9, 2], dtype="float64", activation="tanh"), rg.SGD(0.1, momentum=0.9)
    trainer = rg.Trainer(net, sgd, batch_size=8)
    trainer.fit(X, Y, epochs=2)
    return net, sgd, trainer


def test_losses_rates_and_means() -> None:
    net = network([5, 9, 2], dtype="float64", activation="tanh")
    expected = Textbook(net, lr=0.0, momentum=0.5)
    found = rg.lr_range_test(
        net, X, Y, optimizer=rg.SGD(3.0, momentum=0.5), lr_min=1e-4, lr_max=0.1, steps=20, batch_size=8, smoothing=0.8
    )
    np.testing.assert_allclose(found.lr, np.geomspace(1e-4, 0.1, 20), rtol=1e-12)
    losses, smoothed, mean = [], [], 0.0
    for i in range(20):  # 8 steps an epoch: rows are gone through again, in a new order
        order = _core.permutation(net.seed, i // 8 + 1, 60)[8 * (i % 8) : 8 * (i % 8) + 8]
        expected.lr = np.geomspace(1e-4, 0.1, 20)[i]
        losses.append(expected.step(X[order], Y[order]))
        mean = 0.8 * mean + 0.2 * losses[-1]
        smoothed.append(mean / (1 - 0.8 ** (i + 1)))
    np.testing.assert_allclose(found.loss, losses, rtol=1e-11)
    np.testing.assert_allclose(found.smoothed, smoothed, rtol=1e-11)
    assert not found.exploded and all(a.dtype == np.float64 for a in (found.lr, found.loss, found.smoothed))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_network_and_optimiser_are_left_bit_for_bit(dtype: str) -> None:
    for optimizer in (rg.SGD(0.1, momentum=0.9), rg.Adam(0.01), None):
        net = network([5, 9, 2], dtype=dtype)
        if optimizer is not None:
            rg.Trainer(net, optimizer).fit(X, Y, epochs=2)
        before, settings = parameters(net), state(optimizer) if optimizer else b""
        assert rg.lr_range_test(net, X, Y, optimizer=optimizer, lr_max=1e3).exploded
        assert same_bits(parameters(net), before)
        if optimizer is not None:
            assert state(optimizer) == settings
            rg.Trainer(net, optimizer).fit(X, Y, epochs=1)  # and they still belong together


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("call", [1, 5])
def test_also_after_ctrl_c_and_errors(error: type[BaseException], call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net, sgd, trainer = trained()
    before, settings, epochs = parameters(net), state(sgd), trainer.epochs_done
    epoch, calls = rg.Trainer._epoch, 0

    def breaking(self: rg.Trainer, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        found = epoch(self, *arguments, **options)
        if calls == call:
            raise error
        return found

    with monkeypatch.context() as patch:
        patch.setattr(rg.Trainer, "_epoch", breaking)
        with pytest.raises(error):
            rg.lr_range_test(net, X, Y, optimizer=sgd)
    assert calls == call and same_bits(parameters(net), before) and state(sgd) == settings
    twin = copy.copy(net)
    other = rg.SGD(0.1, momentum=0.9)
    other.load_state_dict(sgd.state_dict())
    assert trainer.epochs_done == epochs
    trainer.epochs_done = 0
    history = trainer.fit(X, Y, epochs=1)
    assert history.loss == rg.Trainer(twin, other, batch_size=8).fit(X, Y, epochs=1).loss
    assert same_bits(parameters(net), parameters(twin))


def test_it_stops_when_the_loss_explodes() -> None:
    net = network([5, 9, 2])
    found = rg.lr_range_test(net, X, Y, lr_min=1e-5, lr_max=1e4, steps=300)
    assert found.exploded and len(found.lr) == len(found.loss) == len(found.smoothed) < 300
    least = np.minimum.accumulate(found.smoothed)
    assert np.all(found.smoothed[:-1] <= 4 * least[:-1])  # not before
    # to divergence, where nothing else stops it
    far = rg.lr_range_test(net, X, Y, lr_min=1e-5, lr_max=1e30, steps=300, explodes_at=1e300)
    assert far.exploded and found.lr[-1] < far.lr[-1] < 1e30 and np.isfinite(far.loss).all()
    # the first step: there is nothing to tell
    huge = copy.copy(net)
    huge.set_weights([1e30 * w for w in net.weights])
    with pytest.raises(rg.DivergenceError):
        rg.lr_range_test(huge, X, Y)


def test_suggestion() -> None:
    rates = np.geomspace(1e-5, 10, 61)
    decades = np.log10(rates)
    # a valley at 0.1, steepest at 1e-2
    smoothed = 2 - np.tanh(3 * (decades + 2)) + np.maximum(decades + 1, 0) * 3
    found = rg.LRRange(rates, smoothed, smoothed, True)
    assert found.at_min == pytest.approx(0.1) and found.suggestion == pytest.approx(0.01)
    assert found.steepest == pytest.approx(0.01)
    for part in ("61 steps", "1e-05 to 10", "exploded", "least loss at 0.1", "suggestion 0.01"):
        assert part in repr(found), part
    rising = rg.LRRange(rates, rates, rates, False)
    assert rising.steepest is None and rising.suggestion is None and "no suggestion" in repr(rising)


def test_the_suggestion_is_good() -> None:
    (digits, labels), _ = load_digits()
    net = rg.Network([64, 32, 10], loss="cross_entropy")
    found = rg.lr_range_test(net, digits, labels, optimizer=rg.SGD(0.1, momentum=0.9))
    assert found.suggestion is not None

    def loss(rate: float) -> float:
        return rg.Trainer(copy.copy(net), rg.SGD(rate, momentum=0.9)).fit(digits, labels, epochs=3).loss[-1]

    assert loss(found.suggestion) < min(loss(found.suggestion / 30), 1.0)


@pytest.mark.usefixtures("closed_figures")
def test_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    found = rg.lr_range_test(network([5, 9, 2]), X, Y, lr_max=100)
    ax = found.plot()
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert list(lines["smoothed"].get_ydata()) == found.smoothed.tolist()
    assert list(lines["loss of a batch"].get_xdata()) == found.lr.tolist() and ax.get_xscale() == "log"
    assert found.suggestion is not None and f"{found.suggestion:.2g}" in ax.get_title(loc="right")
    _, own = pyplot.subplots()
    assert found.plot(own) is own
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"retrograd\[plot\]"):
        found.plot()


def test_bad_input() -> None:
    net = network([5, 9, 2])
    other = rg.SGD(0.1)
    rg.Trainer(network([5, 9, 2]), other).fit(X, Y, epochs=1)
    for arguments, error, match in (
        ({"lr_min": 0.0}, ValueError, "0 < lr_min < lr_max"),
        ({"lr_min": 1.0, "lr_max": 1.0}, ValueError, "0 < lr_min < lr_max"),
        ({"lr_max": float("inf")}, ValueError, "lr_max"),
        ({"steps": 1}, ValueError, "steps: expected at least 2"),
        ({"smoothing": 1.0}, ValueError, "smoothing"),
        ({"explodes_at": 0.5}, ValueError, "explodes_at"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"optimizer": 3}, TypeError, r"optimizer: expected an optimiser such as .*, got int"),
        ({"y": Y[:, :1]}, ValueError, "y: expected shape"),
    ):
        with pytest.raises(error, match=match):
            rg.lr_range_test(**({"network": net, "X": X, "y": Y} | arguments))
    with pytest.raises(TypeError, match="network: expected a Network, got int"):
        rg.lr_range_test(3, X, Y)  # type: ignore[arg-type]
    # an optimiser of another network: a copy of it, so that it does no harm
    assert len(rg.lr_range_test(net, X, targets("mse", 60, 2), optimizer=other, steps=5).lr) == 5
