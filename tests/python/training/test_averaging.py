"""Averaged weights: the definitions in float64 NumPy, what looks at them, state, and what divergence and stops leave."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import Array, assert_close, inputs, network, parameters, same_bits, targets
from retrograd.training.averaging import _decay_for

X, Y = inputs(50, 5), inputs(50, 2)
XV, YV = inputs(21, 5, seed=8), inputs(21, 2, seed=9)


def net_of(dtype: str = "float64", **options: Any) -> rg.Network:
    """A network with everything that is averaged: weights, biases, gamma, beta, running statistics."""
    layers = [5, rg.Dense(9, norm="batch", dropout=0.3), rg.Dense(8, norm="layer"), 2]
    return rg.Network(layers, activation="tanh", dtype=dtype, **options)


def arrays(net: rg.Network | None) -> list[Array]:
    """All arrays of a network."""
    assert net is not None
    names = ("weights", "biases", "gamma", "beta", "running_mean", "running_var")
    return [array for name in names for array in getattr(net, name) if array is not None]


class Watch(rg.Callback):
    """Keeps all arrays of the network after each step, and those of the average."""

    every = 1

    def __init__(self) -> None:
        self.steps: list[list[Array]] = []
        self.averages: list[list[Array] | None] = []

    def on_step_end(self, trainer: rg.Trainer, info: rg.StepInfo) -> None:
        """Copy them."""
        self.steps.append(arrays(trainer.network))
        self.averages.append(None if trainer.averaged is None else arrays(trainer.averaged))


def averaged(of: list[list[Array]], decay: float | None) -> list[Array]:
    """torch.optim.swa_utils' definitions: the first value is a copy; None: the equal mean."""
    found = [array.astype(np.float64) for array in of[0]]
    for n, arrays_ in enumerate(of[1:], 1):
        for i, w in enumerate(arrays_):
            w = w.astype(np.float64)
            found[i] = found[i] + (w - found[i]) / (n + 1) if decay is None else decay * found[i] + (1 - decay) * w
    return found


# ---------------------------------------------------------------- the definition

SETTINGS: dict[str, Any] = {
    "EMA of steps": rg.EMA(0.9),
    "EMA of steps, later": rg.EMA(0.7, from_epoch=3),
    "EMA of epochs": rg.EMA(0.4, per="epoch", from_epoch=2),
    "SWA": rg.SWA(from_epoch=2),
    "SWA, later": rg.SWA(3),
    "no memory": rg.EMA(0.0),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SETTINGS)
def test_averages_are_those_of_pytorch(name: str, dtype: str) -> None:
    settings, watch = SETTINGS[name], Watch()
    trainer = rg.Trainer(net_of(dtype), rg.SGD(0.1, momentum=0.9), batch_size=16, average=settings, callbacks=[watch])
    trainer.fit(X, Y, epochs=4)
    by_step = isinstance(settings, rg.EMA) and settings.per == "step"
    after = watch.steps if by_step else watch.steps[3::4]  # four steps an epoch
    taken = after[(settings.from_epoch - 1) * (4 if by_step else 1) :]
    expected = averaged(taken, settings.decay if isinstance(settings, rg.EMA) else None)
    for found, array in zip(arrays(trainer.averaged), expected, strict=True):
        assert_close(found, array, 1e-14 if dtype == "float64" else 1e-6)
    if name != "no memory":
        assert not any(map(same_bits, trainer.averaged.weights, trainer.network.weights))
    assert trainer.averaged is not None and trainer.averaged.steps == trainer.network.steps == 16


@pytest.mark.parametrize("name", SETTINGS)
def test_the_network_knows_nothing_of_it(name: str) -> None:
    nets = [net_of("float32") for _ in range(2)]
    histories = [
        rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=16, average=average).fit(X, Y, epochs=4)
        for net, average in zip(nets, (None, SETTINGS[name]), strict=True)
    ]
    assert same_bits(arrays(nets[0]), arrays(nets[1])) and histories[0].loss == histories[1].loss


def test_none_until_the_average_has_begun() -> None:
    seen: list[bool] = []
    for average in (rg.EMA(0.4, per="epoch", from_epoch=3), rg.EMA(0.4, from_epoch=3), rg.SWA(3)):
        trainer = rg.Trainer(net_of(), rg.SGD(0.1), average=average)
        trainer.callbacks = [lambda trainer, history: seen.append(trainer.averaged is None)]
        assert trainer.averaged is None
        trainer.fit(X, Y, epochs=4)
    assert seen == [True, True, False, False] * 3
    watch = Watch()
    rg.Trainer(net_of(), rg.SGD(0.1), batch_size=16, average=rg.EMA(0.4, from_epoch=2), callbacks=[watch]).fit(X, Y, epochs=2)
    assert [each is None for each in watch.averages] == [True] * 4 + [False] * 4
    assert same_bits(watch.averages[4], watch.steps[4])  # the first value is a copy
    plain = rg.Trainer(net_of(), rg.SGD(0.1))
    plain.fit(X, Y, epochs=1)
    assert plain.averaged is None


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_the_same_bits_for_any_team(loss: str) -> None:
    found = []
    for team in (1, 2, 3, 4):
        net = network([21, 40, 35, 6], loss, activation="tanh")
        net._core.force_team(team)
        trainer = rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=50, average=rg.EMA(0.8))
        trainer.fit(inputs(120, 21), targets(loss, 120, 6), epochs=3)
        assert trainer._core.team() == team
        found.append((parameters(net), arrays(trainer.averaged)))
    assert all(same_bits(each, found[0]) for each in found)


def test_steps_by_hand_are_taken_in() -> None:
    watch: list[list[Array]] = []
    trainer = rg.Trainer(net_of(), rg.SGD(0.1), average=rg.EMA(0.9))
    for start in range(0, 40, 10):
        rows = X[start : start + 10]
        weights = None if start % 20 else np.ones(10)  # the quick way and the long one
        trainer.step(rows, Y[start : start + 10], sample_weight=weights)
        watch.append(arrays(trainer.network))
    for found, array in zip(arrays(trainer.averaged), averaged(watch, 0.9), strict=True):
        assert_close(found, array, 1e-14)
    for settings in (rg.SWA(1), rg.EMA(per="epoch"), rg.EMA(from_epoch=2)):  # of epochs, or of later ones
        trainer = rg.Trainer(net_of(), rg.SGD(0.1), average=settings)
        trainer.step(X, Y)
        assert trainer.averaged is None


# ---------------------------------------------------------------- in parts, and from elsewhere


@pytest.mark.parametrize("name", SETTINGS)
def test_in_parts_as_in_one(name: str) -> None:
    def trainer() -> rg.Trainer:
        return rg.Trainer(net_of("float32"), rg.Adam(0.01), batch_size=16, average=SETTINGS[name])

    whole, parts, copied, loaded = (trainer() for _ in range(4))
    expected = whole.fit(X, Y, epochs=6, validation_data=(XV, YV)).val_loss

    def shown(one: rg.Trainer) -> Any:
        return arrays(one.network), arrays(one.averaged)

    found = [loss for n in (1, 0, 2, 3) for loss in parts.fit(X, Y, epochs=n, validation_data=(XV, YV)).val_loss]
    assert found == expected and same_bits(shown(parts), shown(whole))
    for first in (1, 3, 5):
        copied = trainer()
        copied.fit(X, Y, epochs=first)
        twins = copy.copy(copied), pickle.loads(pickle.dumps(copied))
        loaded = trainer()
        loaded.fit(X[:30], Y[:30], epochs=4)  # a state of its own, which goes
        loaded.load_state_dict(pickle.loads(pickle.dumps(copied.state_dict())))
        for one in (copied, *twins, loaded):
            one.fit(X, Y, epochs=6 - first)
            assert same_bits(shown(one), shown(whole))
        assert twins[0].averaged is not copied.averaged


def test_another_setting_begins_another_average() -> None:
    trainer = rg.Trainer(net_of(), rg.SGD(0.1), batch_size=16, average=rg.EMA(0.9))
    trainer.fit(X, Y, epochs=2)
    kept = trainer.averaged
    trainer.average = rg.EMA(0.9)  # equal: it goes on
    trainer.fit(X, Y, epochs=1)
    assert trainer.averaged is kept
    trainer.average = rg.SWA(4)
    assert trainer.averaged is None  # the old one ends at once
    trainer.fit(X, Y, epochs=1)
    assert trainer.averaged is not kept and same_bits(arrays(trainer.averaged), arrays(trainer.network))
    trainer.average = None
    trainer.step(X, Y)
    assert trainer.averaged is None
    assert trainer.evaluate(X, Y)["loss"] == trainer.network.loss(X, Y)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"epochs": -1, "network": None}, "epochs: expected at least 0"),
        ({"epochs": 1}, "average: expected epochs, network, got epochs"),
        ({"epochs": 1, "network": {"steps": 1, "arrays": []}}, "arrays: expected those of 3 layers, got 0"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state: dict[str, Any], message: str) -> None:
    one, other = (rg.Trainer(net_of(), rg.SGD(0.1), average=rg.EMA(0.5)) for _ in range(2))
    one.fit(X, Y, epochs=1)
    other.fit(X, Y, epochs=2)
    before = arrays(other.network), arrays(other.averaged)
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(one.state_dict() | {"average": state})
    with pytest.raises(ValueError, match=r"average: expected a trainer with average=EMA\(...\) or SWA\(...\)"):
        rg.Trainer(net_of(), rg.SGD(0.1)).load_state_dict(one.state_dict())
    assert same_bits((arrays(other.network), arrays(other.averaged)), before)


# ---------------------------------------------------------------- an average that is none


@pytest.mark.parametrize(
    ("average", "message"),
    [
        (
            rg.EMA(),
            r"after 16 steps EMA\(decay=0.999, .*\) still consists of 99% of the weights that it began with: .* 0.7 say",
        ),
        (rg.EMA(from_epoch=4), "after 4 steps EMA.* still consists of 100% of the weights"),
        (rg.EMA(0.8, per="epoch"), "after 4 epochs EMA.* still consists of 51% of the weights"),
        (rg.EMA(0.5, from_epoch=5), r"EMA\(.* from_epoch=5\) has not begun, as this fit ended with epoch 4: averaged is None"),
        (rg.SWA(75), r"SWA\(from_epoch=75\) has not begun, as this fit ended with epoch 4: averaged is None"),
    ],
)
def test_an_average_that_is_none_says_so(average: Any, message: str) -> None:
    trainer = rg.Trainer(net_of(), rg.SGD(0.1), batch_size=16, average=average)
    with pytest.warns(rg.TrainingWarning, match=message) as caught:
        trainer.fit(X, Y, epochs=4)
    assert [warning.filename for warning in caught] == [__file__]
    for n in (1, 0):
        trainer.fit(X, Y, epochs=n)  # a short call may be one of many
    trainer.average = None
    trainer.fit(X, Y, epochs=2)


# ---------------------------------------------------------------- what looks at the average


@pytest.mark.parametrize("average", [rg.EMA(0.8, from_epoch=2), rg.SWA(2)], ids=repr)
def test_figures_are_those_of_the_average(average: Any) -> None:
    expected: list[list[float]] = []

    def measure(trainer: rg.Trainer, history: rg.History) -> None:
        shown = trainer.averaged or trainer.network
        assert (trainer.averaged is None) == (history.epoch[-1] < 2)
        r2 = [rg.metrics.r2(y, shown.predict(x)) for x, y in ((XV, YV), (X, Y))]
        expected.append([shown.loss(XV, YV), float(np.abs(shown.predict(XV) - YV).mean()), *r2])

    options: dict[str, Any] = {"validation_data": (XV, YV), "metrics": ["r2"], "train_metrics": True}
    trainer = rg.Trainer(net_of(), rg.SGD(0.1), batch_size=16, average=average, callbacks=[measure])
    history = trainer.fit(X, Y, epochs=4, **options)
    plain = rg.Trainer(net_of(), rg.SGD(0.1), batch_size=16).fit(X, Y, epochs=4, **options)
    found = [history.val_loss, history.val_metric, history.metrics["val_r2"], history.metrics["r2"]]
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-12)
    assert history.loss == plain.loss and history.metric == plain.metric  # the training's own
    assert history.val_loss[0] == plain.val_loss[0] and history.val_loss[1:] != plain.val_loss[1:]


def test_early_stopping_restores_both() -> None:
    kept: dict[int, Any] = {}

    def keep(trainer: rg.Trainer, history: rg.History) -> None:
        kept[history.epoch[-1]] = arrays(trainer.network), None if trainer.averaged is None else arrays(trainer.averaged)

    net = network([5, 20, 2], dtype="float64")
    trainer = rg.Trainer(net, rg.SGD(0.05, momentum=0.9), batch_size=16, average=rg.EMA(0.8), callbacks=[keep])
    history = trainer.fit(X, Y, epochs=30, validation_data=(XV, YV), early_stopping=rg.EarlyStopping(patience=4))
    best = history.best_epoch
    assert best is not None and best == history.epoch[int(np.argmin(history.val_loss))] < history.epoch[-1]
    assert same_bits((arrays(net), arrays(trainer.averaged)), kept[best])
    assert trainer.averaged is not None and trainer.averaged.loss(XV, YV) == min(history.val_loss)

    # a best epoch before the average began: then there is none
    def rising(y_true: Array, y_pred: Array) -> float:
        return len(kept)

    kept.clear()
    trainer = rg.Trainer(net_of(), rg.SGD(0.1), batch_size=16, average=rg.SWA(2), callbacks=[keep])
    stopping = rg.EarlyStopping("val_rising", patience=3, mode="min")
    trainer.fit(X, Y, epochs=9, validation_data=(XV, YV), metrics=[rising], early_stopping=stopping)
    assert sorted(kept) == [1, 2, 3, 4] and kept[2][1] is not None
    assert trainer.averaged is None and same_bits(arrays(trainer.network), kept[1][0])
    trainer.fit(X, Y, epochs=1)  # and the next one begins anew
    assert same_bits(arrays(trainer.averaged), arrays(trainer.network))


@pytest.mark.parametrize("average", [rg.EMA(0.8), rg.SWA(1)], ids=repr)
@pytest.mark.parametrize("epochs", [0, 2])
def test_divergence_puts_the_average_back(epochs: int, average: Any) -> None:
    class Break(rg.Callback):
        every = 3

        def on_step_end(self, trainer: rg.Trainer, info: rg.StepInfo) -> None:
            trainer.optimizer.lr = 1e200  # in the middle of an epoch, after steps that were taken in

    net = network([5, 20, 2], dtype="float64")
    trainer = rg.Trainer(net, rg.SGD(0.01), batch_size=10, average=average)
    trainer.fit(X, Y, epochs=epochs)
    before = arrays(net), None if trainer.averaged is None else arrays(trainer.averaged)
    assert (before[1] is None) == (epochs == 0)
    trainer.callbacks = [Break()]
    with pytest.raises(rg.DivergenceError):
        trainer.fit(X, Y, epochs=1)
    assert same_bits(arrays(net), before[0])
    if before[1] is None:
        assert trainer.averaged is None
    else:
        assert same_bits(arrays(trainer.averaged), before[1])
    trainer.callbacks, trainer.optimizer.lr = [], 0.01
    trainer.fit(X, Y, epochs=1)  # it goes on, and counts the epochs that were finished
    if isinstance(average, rg.SWA) and before[1] is not None:
        expected = [a + (w - a) / 3 for a, w in zip(before[1], arrays(net), strict=True)]
        for found, array in zip(arrays(trainer.averaged), expected, strict=True):
            assert_close(found, array, 1e-14)


def test_an_epoch_cut_short_is_not_one_of_the_average() -> None:
    class Stop(rg.Callback):
        every = 3

        def on_step_end(self, trainer: rg.Trainer, info: rg.StepInfo) -> None:
            trainer.stop()

    for average in (rg.EMA(0.8), rg.SWA(1)):
        trainer = rg.Trainer(net_of(), rg.SGD(0.1), batch_size=10, average=average, callbacks=[watch := Watch(), Stop()])
        trainer.fit(X, Y, epochs=2)
        assert len(watch.steps) == 3
        if isinstance(average, rg.SWA):
            assert trainer.averaged is None
        else:
            for found, array in zip(arrays(trainer.averaged), averaged(watch.steps, 0.8), strict=True):
                assert_close(found, array, 1e-14)


def test_gradients_held_of_the_average_are_those_that_they_were() -> None:
    trainer = rg.Trainer(network([5, 20, 2]), rg.SGD(0.1), average=rg.EMA(0.8))
    trainer.fit(X, Y, epochs=1)
    assert trainer.averaged is not None
    trainer.averaged.forward(X)
    held = trainer.averaged.backward(Y)
    twin = copy.copy(trainer.averaged)
    twin.forward(X)
    expected = twin.backward(Y).dx
    trainer.fit(X, Y, epochs=1)
    assert same_bits(held.dx, expected)
    with pytest.raises(RuntimeError, match="the weights have changed since forward"):
        trainer.averaged.backward(Y)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: rg.EMA(1.0), ValueError, "decay: expected a finite number from 0 to below 1, got 1.0"),
        (lambda: rg.EMA(-0.1), ValueError, "decay: expected a finite number from 0 to below 1"),
        (lambda: rg.EMA("0.9"), TypeError, "decay: expected a number, got '0.9'"),
        (lambda: rg.EMA(per="batch"), ValueError, 'per: expected "step" or "epoch", got \'batch\''),
        (lambda: rg.EMA(from_epoch=0), ValueError, "from_epoch: expected at least 1, got 0"),
        (lambda: rg.SWA(0.75), TypeError, "from_epoch: expected an integer, got 0.75"),
    ],
)
def test_wrong_settings(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("average", [0.999, "ema", rg.EMA, True])
def test_wrong_averages(average: Any) -> None:
    trainer = rg.Trainer(net_of(), rg.SGD(0.1), average=rg.EMA(0.5))
    trainer.step(X, Y)
    kept = trainer.averaged
    for call in (
        lambda: rg.Trainer(net_of(), rg.SGD(0.1), average=average),
        lambda: setattr(trainer, "average", average),
    ):
        with pytest.raises(TypeError, match="average: expected an EMA, an SWA or None, got"):
            call()
    assert trainer.average == rg.EMA(0.5) and trainer.averaged is kept


# ---------------------------------------------------------------- by hand


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("tau", [0.0, 0.005, 0.5, 1.0])
def test_copy_from_moves_a_part_of_the_way(tau: float, dtype: str) -> None:
    one, other = net_of(dtype), net_of(dtype, seed=1)
    rg.Trainer(other, rg.SGD(0.1)).fit(X, Y, epochs=2)
    expected = [(1 - tau) * np.float64(a) + tau * np.float64(b) for a, b in zip(arrays(one), arrays(other), strict=True)]
    before = arrays(other)
    one.copy_from(other, tau)
    for found, array in zip(arrays(one), expected, strict=True):
        assert_close(found, array, 1e-15 if dtype == "float64" else 1e-6)
    assert same_bits(arrays(other), before)
    if tau == 1:
        assert same_bits(arrays(one), before)
        twin = net_of(dtype)
        twin.copy_from(other)
        assert same_bits(arrays(twin), before)
    one.copy_from(one, 0.5)  # a network is where it is


@pytest.mark.parametrize(
    ("tau", "error", "message"),
    [
        (1.5, ValueError, "tau: expected a share from 0 to 1, got 1.5"),
        (-0.1, ValueError, "tau: expected a finite number from 0"),
        (float("nan"), ValueError, "tau: expected a finite number from 0"),
        ("1", TypeError, "tau: expected a number, got '1'"),
    ],
)
def test_wrong_shares(tau: Any, error: type[Exception], message: str) -> None:
    one, other = net_of(), net_of(seed=1)
    before = arrays(one)
    with pytest.raises(error, match=message):
        one.copy_from(other, tau)
    assert same_bits(arrays(one), before)


@pytest.mark.parametrize("taken", [1, 2, 5, 63, 315, 2520, 25_200, 10**7])
def test_the_decay_that_is_advised_is_taken_and_brings_an_average(taken: int) -> None:
    decay = _decay_for(taken)
    assert rg.EMA(decay).decay == decay
    assert decay ** (taken - 1) <= 0.5 or taken == 1
