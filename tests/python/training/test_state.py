"""State over epochs: what has a state gives it and takes it back, and a restored one decides and computes the same bits."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, network, parameters, same_bits
from retrograd.training.rates import RateClock
from retrograd.training.stopping import Convergence, EarlyStoppingRun

X, Y = inputs(37, 5), inputs(37, 2)
FIGURES = [1.0, 0.9, 0.95, 0.8, 0.85, 0.85, 0.9, 0.81, 0.8, 0.79, 0.9, 0.9, 0.9, 0.9]


def trainer_of(schedule: Any, seed: int = 0, **options: Any) -> rg.Trainer:
    layers = [5, rg.Dense(9, norm="batch", dropout=0.3), rg.Dense(8, norm="layer"), 2]
    net = rg.Network(layers, input_noise=0.1, init=rg.normal(0.3 if seed else 0.2))
    return rg.Trainer(net, rg.Adam(0.02, amsgrad=True), batch_size=8, schedule=schedule, **options)


def through_a_file(state: Any) -> Any:
    """The state as another process would have it."""
    return pickle.loads(pickle.dumps(state))


SCHEDULES = {
    "none": None,
    "cosine": rg.schedules.Cosine(per="step"),
    "plateau": rg.schedules.ReduceOnPlateau("loss", patience=0, threshold=0.2, factor=0.5, cooldown=1),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_restored_trainer_goes_on_to_the_last_bit(schedule: str) -> None:
    one, other = trainer_of(None), trainer_of(SCHEDULES[schedule], seed=1)
    other.fit(X, Y, epochs=2)  # has a state of its own, which goes
    one.fit(X, Y, epochs=1)
    one.schedule = SCHEDULES[schedule]  # whose clock begins here
    one.callbacks = [lambda trainer, history: trainer.stop() if trainer.epochs_done == 4 else None]
    one.fit(X, Y, epochs=12)  # so long is the whole schedule
    one.callbacks = []
    state = through_a_file(one.state_dict())
    kept = copy.deepcopy(state)
    other.load_state_dict(state)
    assert other.epochs_done == 4 and same_bits(parameters(one.network), parameters(other.network))
    histories = [trainer.fit(X, Y, epochs=4) for trainer in (one, other)]
    assert histories[0].loss == histories[1].loss and histories[0].lr == histories[1].lr
    assert histories[0].epoch == histories[1].epoch == [5, 6, 7, 8]
    assert same_bits(parameters(one.network), parameters(other.network))
    assert same_bits(one.network.predict(X), other.network.predict(X))  # running means, too
    assert one.network.steps == other.network.steps and one.optimizer.steps == other.optimizer.steps
    assert pickle.dumps(state) == pickle.dumps(kept)  # what was given is left alone


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs_done": -1}, "epochs_done: expected at least 0"),
        ({"network": {"steps": 1}}, "network: expected steps, arrays, got steps"),
        ({"network": {"steps": 1, "arrays": []}}, "arrays: expected those of 3 layers, got 0"),
        ({"optimizer": {"velocity": 1}}, "state: expected steps and some of"),
        ({"schedule": {"origin": 0}}, "schedule: expected origin, epochs, plateau, got origin"),
        ({"more": 1}, "state: expected epochs_done, network, optimizer, schedule, average, got"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change: dict[str, Any], message: str) -> None:
    one, other = trainer_of(None), trainer_of(None)
    one.fit(X, Y, epochs=1)
    before, epochs = parameters(other.network), other.epochs_done
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(one.state_dict() | change)
    with pytest.raises(TypeError, match="state: expected a dict as state_dict gives it, got list"):
        other.load_state_dict([])  # type: ignore[arg-type]
    assert same_bits(parameters(other.network), before) and (other.epochs_done, other.network.steps) == (epochs, 0)
    assert other.optimizer.steps == 0


def test_values_that_do_not_fit_change_nothing() -> None:
    one = trainer_of(None)
    state = one.state_dict()
    state["network"]["arrays"][0]["running_var"] = np.full(9, -1.0)
    before = parameters(one.network)
    with pytest.raises(ValueError, match=r"running_var\[0\]: expected no negative numbers, got -1"):
        one.load_state_dict(state)
    state["network"]["arrays"][0]["running_var"] = np.ones(8)
    with pytest.raises(ValueError, match=r"running_var\[0\]: expected shape \(9,\), got \(8,\)"):
        one.load_state_dict(state)
    assert same_bits(parameters(one.network), before)


def test_no_state_while_it_trains() -> None:
    errors = []

    def asks(trainer: rg.Trainer, history: rg.History) -> None:
        for call in (trainer.state_dict, lambda: trainer.load_state_dict({})):
            with pytest.raises(RuntimeError, match="is training"):
                call()
            errors.append(call)

    trainer_of(None, callbacks=[asks]).fit(X, Y, epochs=1)
    assert len(errors) == 2


# ---------------------------------------------------------------- what watches the figures of a run


def history_of(figures: list[float]) -> rg.History:
    history = rg.History("mae")
    for epoch, loss in enumerate(figures, 1):
        history.append(epoch=epoch, loss=loss, metric=0.0, seconds=0.0, lr=0.1, rows_per_second=1.0)
    return history


@pytest.mark.parametrize("cut", range(len(FIGURES)))
def test_restored_watchers_decide_the_same(cut: int) -> None:
    stopping = rg.EarlyStopping("loss", patience=4, min_delta=0.02)
    schedule = rg.schedules.ReduceOnPlateau("loss", patience=1, factor=0.5, cooldown=1)

    def watchers() -> tuple[rg.Network, list[Any]]:
        net = network([5, 4, 2])
        clock = RateClock(schedule, 0)
        clock.check(len(FIGURES), 5, {"loss": "min"})
        clock.begin(len(FIGURES))
        return net, [EarlyStoppingRun(stopping, net, {"loss": "min"}), Convergence(0.01, 3), clock]

    def watched(net: rg.Network, those: list[Any], epochs: range) -> list[Any]:
        found: list[Any] = []
        for epoch in epochs:
            net.set_weights([w * 0 + epoch for w in net.weights])
            history = history_of(FIGURES[: epoch + 1])
            found.append([one.epoch_done(history) for one in those])
            found.append(those[2].rates(epoch + 2, 5, 0.1)[0])
        those[0].end()
        return [*found, net.weights[0][0, 0]]

    net, those = watchers()
    watched(net, those, range(cut))
    states = through_a_file([one.state_dict() for one in those])
    twin, restored = watchers()
    for one, state in zip(restored, states, strict=True):
        one.load_state_dict(state)
    rest = range(cut, len(FIGURES))
    assert watched(net, those, rest) == watched(twin, restored, rest)


def test_the_watchers_do_decide() -> None:
    """Else the test before would compare nothing with nothing."""
    net = network([5, 4, 2])
    run = EarlyStoppingRun(rg.EarlyStopping("loss", patience=4, min_delta=0.02), net, {"loss": "min"})
    converging = Convergence(0.01, 3)
    stops = [(run.epoch_done(h), converging.epoch_done(h)) for h in (history_of(FIGURES[: n + 1]) for n in range(len(FIGURES)))]
    assert [any(column) for column in zip(*stops, strict=True)] == [True, True]


@pytest.mark.parametrize("what", ["early stopping", "convergence", "plateau"])
def test_states_of_watchers_are_checked(what: str) -> None:
    watcher: Any = {
        "early stopping": EarlyStoppingRun(None, network([5, 4, 2]), {}),
        "convergence": Convergence(0.0, 3),
        "plateau": RateClock(None, 0)._plateau,
    }[what]
    state = watcher.state_dict()
    with pytest.raises(ValueError, match=f"{what}: expected"):
        watcher.load_state_dict(state | {"more": 1})
    with pytest.raises(TypeError, match=f"{what}: expected a dict"):
        watcher.load_state_dict(None)
    assert watcher.state_dict() == state
