"""Callbacks: when they are called and with what, what they may do, and what an error in one of them leaves behind."""

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, network, parameters, same_bits
from oracle import Textbook
from retrograd import _core

X, Y = inputs(37, 5), inputs(37, 2)  # 5 steps of 8


class Diary(rg.Callback):
    """Notes every call."""

    def __init__(self, every: int = 0, name: str = "") -> None:
        self.every, self.name = every, name
        self.notes: list[Any] = []
        self.infos: list[rg.StepInfo] = []

    def on_train_begin(self, trainer: rg.Trainer) -> None:
        self.notes.append("begin")

    def on_step_end(self, trainer: rg.Trainer, info: rg.StepInfo) -> None:
        self.notes.append((info.epoch, info.step))
        self.infos.append(info)

    def on_epoch_end(self, trainer: rg.Trainer, history: rg.History) -> None:
        assert history is trainer.history
        self.notes.append(history.epoch[-1])

    def on_train_end(self, trainer: rg.Trainer, history: rg.History) -> None:
        self.notes.append("end")


class Acts(rg.Callback):
    """Does something after every so many steps."""

    def __init__(self, every: int, act: Callable[[rg.Trainer, rg.StepInfo], object]) -> None:
        self.every, self.act = every, act

    def on_step_end(self, trainer: rg.Trainer, info: rg.StepInfo) -> None:
        self.act(trainer, info)


def trainer_of(*callbacks: Any, **options: Any) -> rg.Trainer:
    options = {"batch_size": 8} | options
    return rg.Trainer(network([5, 9, 2]), rg.SGD(0.1, momentum=0.9), callbacks=callbacks, **options)


# ---------------------------------------------------------------- when


def test_the_order_of_calls() -> None:
    diary = Diary()
    trainer = trainer_of(diary)
    trainer.fit(X, Y, epochs=2)
    assert diary.notes == ["begin", 1, 2, "end"]
    trainer.fit(X, Y, epochs=1)
    assert diary.notes == ["begin", 1, 2, "end", "begin", 3, "end"]
    trainer.fit(X, Y, epochs=0)
    assert diary.notes[-2:] == ["begin", "end"]


@pytest.mark.parametrize(
    ("every", "steps"),
    [
        (1, [(e, s) for e in (1, 2, 3) for s in (1, 2, 3, 4, 5)]),
        (2, [(1, 2), (1, 4), (2, 1), (2, 3), (2, 5), (3, 2), (3, 4)]),
        (5, [(1, 5), (2, 5), (3, 5)]),
        (7, [(2, 2), (3, 4)]),
        (15, [(3, 5)]),
        (16, []),
        (0, []),
    ],
)
def test_every_so_many_steps(every: int, steps: list[tuple[int, int]]) -> None:
    diary = Diary(every)
    trainer_of(diary).fit(X, Y, epochs=3)
    assert [note for note in diary.notes if isinstance(note, tuple)] == steps
    assert all(info.steps == 5 for info in diary.infos)


def test_every_may_change_and_counts_from_the_next_epoch_on() -> None:
    diary = Diary(1)

    def change(trainer: rg.Trainer, info: rg.StepInfo) -> None:
        diary.every = {1: 0, 3: 2}.get(info.epoch, diary.every)

    trainer = trainer_of(Acts(1, change), diary)
    trainer.fit(X, Y, epochs=4)
    assert [note for note in diary.notes if isinstance(note, tuple)] == [*((1, s) for s in range(1, 6)), (4, 1), (4, 3), (4, 5)]
    diary.every = -1
    before = parameters(trainer.network)
    with pytest.raises(ValueError, match="every"):
        trainer.fit(X, Y, epochs=1)
    assert same_bits(parameters(trainer.network), before)


def test_an_epoch_in_parts_is_the_same_epoch() -> None:
    """Callbacks every few steps, several of them, change no bit of weights, losses or metrics."""
    for options in ({}, {"shuffle": False}, {"schedule": rg.schedules.OneCycle(0.2)}, {"n_threads": 1}):
        whole = trainer_of(**options)
        parts = trainer_of(Diary(2), Diary(3), Diary(7), **options)
        one, two = whole.fit(X, Y, epochs=3), parts.fit(X, Y, epochs=3)
        assert same_bits(parameters(whole.network), parameters(parts.network))
        assert two.lr == one.lr and two.step_lr == one.step_lr
        np.testing.assert_allclose(two.loss, one.loss, rtol=1e-14)
        np.testing.assert_allclose(two.metric, one.metric, rtol=1e-14)


def test_an_epoch_in_parts_with_dropout_and_norms() -> None:
    """Their numbers and running means go on from part to part."""
    found = []
    for callbacks in ([], [Diary(2), Diary(3)]):
        layers = [5, rg.Dense(9, norm="batch", dropout=0.3), rg.Dense(8, norm="layer", max_norm=1.0), 2]
        net = rg.Network(layers, input_dropout=0.1, input_noise=0.1)
        history = rg.Trainer(net, rg.Adam(0.01), batch_size=8, callbacks=callbacks).fit(X, Y, epochs=3)
        found.append((net, history))
    (one, whole), (two, parts) = found
    assert same_bits(parameters(one), parameters(two)) and same_bits(one.predict(X), two.predict(X))
    np.testing.assert_allclose(parts.loss, whole.loss, rtol=1e-14)


def test_without_steps_an_epoch_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    epoch = rg.Trainer._epoch

    def counted(self: rg.Trainer, data: Any, options: Any) -> Any:
        calls.append((options.first, options.last))
        return epoch(self, data, options)

    monkeypatch.setattr(rg.Trainer, "_epoch", counted)
    trainer_of(Diary(), lambda trainer, history: None, schedule=rg.schedules.Cosine(per="step")).fit(X, Y, epochs=2)
    assert calls == [(0, 5)] * 2
    calls.clear()
    trainer_of(Diary(3), Diary(4)).fit(X, Y, epochs=1)
    assert calls == [(0, 3), (3, 4), (4, 5)]


def test_what_a_step_is_told() -> None:
    schedule = rg.schedules.Exponential(0.9, per="step")
    each, some = Diary(1), Diary(2)
    net = network([5, 9, 2], activation="tanh", dtype="float64")
    expected = Textbook(net, lr=0.1)
    rg.Trainer(net, rg.SGD(0.1), batch_size=8, callbacks=[each, some], schedule=schedule).fit(X, Y, epochs=2)
    losses = []
    for epoch in (1, 2):
        order = _core.permutation(0, epoch, 37)
        for step in range(5):
            expected.lr = 0.1 * 0.9 ** (5 * epoch - 5 + step)
            assert each.infos[5 * epoch - 5 + step].lr == pytest.approx(expected.lr, rel=1e-12)
            losses.append(expected.step(X[order[8 * step : 8 * step + 8]], Y[order[8 * step : 8 * step + 8]]))
    assert [info.loss for info in each.infos] == pytest.approx(losses, rel=1e-12)
    # since its last call, or since the epoch began
    rows = [8, 8, 8, 8, 5] * 2
    pairs = [(0, 1), (2, 3), (5,), (6, 7), (8, 9)]
    means = [sum(losses[i] * rows[i] for i in pair) / sum(rows[i] for i in pair) for pair in pairs]
    assert [info.loss for info in some.infos] == pytest.approx(means, rel=1e-12)


def test_a_function_is_called_after_each_epoch() -> None:
    seen: list[tuple[int, float]] = []

    def after(trainer: rg.Trainer, history: rg.History) -> None:
        seen.append((trainer.epochs_done, history.loss[-1]))

    history = trainer_of(after).fit(X, Y, epochs=3)
    assert seen == list(zip([1, 2, 3], history.loss, strict=True))


# ---------------------------------------------------------------- what they may do


def test_the_weights_can_be_read_between_steps() -> None:
    """They are those after exactly so many steps."""
    seen: list[list[np.ndarray]] = []

    def read(trainer: rg.Trainer, info: rg.StepInfo) -> None:
        seen.append(parameters(trainer.network))
        trainer.network.predict(X)

    trainer = trainer_of(Acts(2, read), shuffle=False)
    twin = rg.Trainer(copy.copy(trainer.network), rg.SGD(0.1, momentum=0.9))
    trainer.fit(X, Y, epochs=1)
    for step in range(4):
        twin.step(X[8 * step : 8 * step + 8], Y[8 * step : 8 * step + 8])
        if step % 2:
            assert same_bits(parameters(twin.network), seen[step // 2])


def test_the_rate_can_be_changed() -> None:
    def halve(trainer: rg.Trainer, *_: Any) -> None:
        trainer.optimizer.lr /= 2

    assert trainer_of(halve).fit(X, Y, epochs=3).lr == [0.1, 0.05, 0.025]
    # within an epoch: from the next step on, and with a schedule it is the base of the rest
    for schedule in (None, rg.schedules.Exponential(0.9, per="step")):
        trainer = trainer_of(Acts(2, halve), shuffle=False, schedule=schedule)
        twin = rg.Trainer(copy.copy(trainer.network), rg.SGD(0.1, momentum=0.9))
        history = trainer.fit(X, Y, epochs=1)
        rates = [0.1 / 2 ** (step // 2) * (0.9**step if schedule else 1) for step in range(5)]
        for step, rate in enumerate(rates):
            twin.optimizer.lr = rate
            twin.step(X[8 * step : 8 * step + 8], Y[8 * step : 8 * step + 8])
        if schedule is None:
            assert same_bits(parameters(trainer.network), parameters(twin.network))
        else:
            assert history.step_lr[0] == pytest.approx(rates, rel=1e-12)
        assert history.lr == [pytest.approx(rates[-1], rel=1e-12)]


def test_stop_after_an_epoch() -> None:
    def second(trainer: rg.Trainer, history: rg.History) -> None:
        if len(history) == 2:
            trainer.stop()

    diary = Diary()
    trainer = trainer_of(second, diary)
    assert trainer.fit(X, Y, epochs=9).epoch == [1, 2]
    assert diary.notes == ["begin", 1, 2, "end"]
    assert trainer.fit(X, Y, epochs=9).epoch == [3, 4]  # the next call is not stopped
    trainer.stop()  # nor by a call between two
    trainer.callbacks = ()
    assert trainer.fit(X, Y, epochs=2).epoch == [5, 6]


def test_stop_before_the_first_epoch() -> None:
    class Never(rg.Callback):
        def on_train_begin(self, trainer: rg.Trainer) -> None:
            trainer.stop()

    trainer = trainer_of(Never())
    before = parameters(trainer.network)
    assert len(trainer.fit(X, Y, epochs=3)) == 0
    assert same_bits(parameters(trainer.network), before)


def test_stop_within_an_epoch() -> None:
    for stop_at, epochs in (((2, 3), [1]), ((2, 5), [1, 2])):
        diary = Diary(1)

        def stop(trainer: rg.Trainer, info: rg.StepInfo, at: tuple[int, int] = stop_at) -> None:
            if (info.epoch, info.step) == at:
                trainer.stop()

        trainer = trainer_of(Acts(1, stop), diary, shuffle=False)
        twin = rg.Trainer(copy.copy(trainer.network), rg.SGD(0.1, momentum=0.9), batch_size=8, shuffle=False)
        history = trainer.fit(X, Y, epochs=5)
        assert history.epoch == epochs and diary.infos[-1][:2] == stop_at  # the others are told of the same step
        twin.fit(X, Y, epochs=1)
        for step in range(stop_at[1]):
            twin.step(X[8 * step : 8 * step + 8], Y[8 * step : 8 * step + 8])
        assert same_bits(parameters(trainer.network), parameters(twin.network))
        assert trainer.epochs_done == 2 and trainer.fit(X, Y, epochs=1).epoch == [3]


def test_stop_from_another_thread() -> None:
    net = rg.Network([5, 64, 64, 2])
    trainer = rg.Trainer(net, rg.SGD(1e-4), batch_size=4, advice=False)  # on noise
    timer = threading.Timer(0.2, trainer.stop)
    timer.start()
    history = trainer.fit(inputs(2000, 5), inputs(2000, 2), epochs=10**6)
    timer.join()
    assert 1 <= len(history) < 10**6 and trainer.epochs_done == len(history)


def test_fit_within_fit_is_refused() -> None:
    errors: list[Exception] = []

    def again(trainer: rg.Trainer, history: rg.History) -> None:
        try:
            trainer.fit(X, Y, epochs=1)
        except RuntimeError as error:
            errors.append(error)

    trainer = trainer_of(again)
    history = trainer.fit(X, Y, epochs=2)
    assert history is trainer.history and history.epoch == [1, 2]
    assert [str(error) for error in errors] == ["fit: this trainer is training already"] * 2


# ---------------------------------------------------------------- errors


class Broken(rg.Callback):
    """Raises in one of its methods."""

    def __init__(self, where: str, error: BaseException) -> None:
        self.every = 1
        self.where, self.error = where, error

    def _at(self, where: str) -> None:
        if where == self.where:
            raise self.error

    def on_train_begin(self, trainer: rg.Trainer) -> None:
        self._at("begin")

    def on_step_end(self, trainer: rg.Trainer, info: rg.StepInfo) -> None:
        if (info.epoch, info.step) == (2, 3):
            self._at("step")

    def on_epoch_end(self, trainer: rg.Trainer, history: rg.History) -> None:
        if len(history) == 2:
            self._at("epoch")

    def on_train_end(self, trainer: rg.Trainer, history: rg.History) -> None:
        self._at("end")


@pytest.mark.parametrize("error", [OSError("gone"), KeyboardInterrupt("gone")])
@pytest.mark.parametrize(("where", "epochs", "steps"), [("begin", 0, 0), ("step", 1, 8), ("epoch", 2, 10), ("end", 3, 15)])
def test_an_error_leaves_network_and_history_consistent(where: str, epochs: int, steps: int, error: BaseException) -> None:
    first, last = Diary(), Diary()
    trainer = trainer_of(first, Broken(where, error), last, shuffle=False)
    twin = rg.Trainer(copy.copy(trainer.network), rg.SGD(0.1, momentum=0.9), batch_size=8, shuffle=False)
    with pytest.raises(type(error), match="gone"):
        trainer.fit(X, Y, epochs=3)
    history = trainer.history
    assert history.epoch == list(range(1, epochs + 1)) and len(history.loss) == len(history.seconds) == epochs
    # the weights are those after the last finished step
    twin.fit(X, Y, epochs=steps // 5)
    for step in range(steps % 5):
        twin.step(X[8 * step : 8 * step + 8], Y[8 * step : 8 * step + 8])
    assert same_bits(parameters(trainer.network), parameters(twin.network))
    # whoever has begun is told of the end
    assert first.notes[0] == "begin" and first.notes[-1] == "end"
    assert last.notes == ([] if where == "begin" else ["begin", *range(1, epochs + (where != "epoch")), "end"])
    # and all goes on
    trainer.callbacks = ()
    trainer.fit(X, Y, epochs=1)
    twin.fit(X, Y, epochs=1)
    assert same_bits(parameters(trainer.network), parameters(twin.network))


def test_divergence_in_a_later_part_goes_back_to_the_start_of_the_epoch() -> None:
    seen: list[rg.StepInfo] = []

    def faster(trainer: rg.Trainer, info: rg.StepInfo) -> None:
        seen.append(info)
        if info.epoch == 2:
            trainer.optimizer.lr = 1e8

    diary = Diary()
    trainer = trainer_of(Acts(1, faster), diary)
    twin = trainer_of()
    with pytest.raises(rg.DivergenceError) as caught:
        trainer.fit(X, Y, epochs=5)
    assert caught.value.epoch == 2 and caught.value.step >= 3 and caught.value.lr == 1e8
    assert diary.notes == ["begin", 1, "end"]
    twin.fit(X, Y, epochs=1)
    assert same_bits(parameters(trainer.network), parameters(twin.network))
    assert trainer.history.epoch == [1]


def test_divergence_goes_back_over_steps_that_a_callback_made() -> None:
    def act(trainer: rg.Trainer, info: rg.StepInfo) -> None:
        if info.step == 1:
            trainer.step(X[:4], Y[:4])
            trainer.optimizer.lr = 1e30

    trainer = trainer_of(Acts(1, act))
    start = parameters(trainer.network)
    with pytest.raises(rg.DivergenceError, match="epoch 1"):
        trainer.fit(X, Y, epochs=5)
    assert trainer.network.steps == 0
    assert same_bits(parameters(trainer.network), start)


def test_what_is_no_callback_is_refused() -> None:
    wrong = Diary()
    wrong.every = -1
    for callbacks, error, match in (
        ([3], TypeError, "expected a Callback or a function of trainer and history, got 3"),
        (Diary(), TypeError, "expected a sequence"),
        ([Diary], TypeError, "expected a Callback"),
        ("callbacks", TypeError, "expected a sequence"),
        ([wrong], ValueError, "every: expected at least 0"),
        ([diary := Diary(), diary], ValueError, "each of them once"),
    ):
        with pytest.raises(error, match=match):
            rg.Trainer(network([5, 9, 2]), rg.SGD(0.1), callbacks=callbacks)  # type: ignore[arg-type]
        trainer = trainer_of()
        before = parameters(trainer.network)
        trainer.callbacks = callbacks  # type: ignore[assignment]
        with pytest.raises(error, match=match):
            trainer.fit(X, Y, epochs=1)
        assert same_bits(parameters(trainer.network), before) and trainer.epochs_done == 0


# ---------------------------------------------------------------- norms of gradients


@pytest.mark.parametrize("every", [0, 2])
def test_norms_of_gradients(every: int) -> None:
    net = network([5, 9, 2], activation="tanh", dtype="float64")
    twin = copy.copy(net)
    trainer = rg.Trainer(net, rg.SGD(0.1), batch_size=8, shuffle=False, callbacks=[Diary(every)])
    history = trainer.fit(X, Y, epochs=2, gradient_norms=True)
    sgd = rg.SGD(0.1)
    for epoch in range(2):
        norms = np.zeros(2)
        for start in range(0, 37, 8):
            twin.forward(X[start : start + 8])
            gradients = twin.backward(Y[start : start + 8])
            for layer, (dw, db) in enumerate(zip(gradients.dw, gradients.db, strict=True)):
                norms[layer] += np.sqrt((dw**2).sum() + (db**2).sum()) / 5
            sgd.step(twin)
        assert [history.gradient_norms[layer][epoch] for layer in (0, 1)] == pytest.approx(norms, rel=1e-12)
    assert same_bits(parameters(net), parameters(twin))
    assert trainer.fit(X, Y, epochs=1).gradient_norms == {}
    with pytest.raises(TypeError, match="gradient_norms: expected True or False"):
        trainer.fit(X, Y, epochs=1, gradient_norms=1)  # type: ignore[arg-type]


# ---------------------------------------------------------------- one seed


def test_one_seed_fixes_everything() -> None:
    """Weights, order of rows, rows set aside, schedule: the same bits again, others with another seed."""

    def run(seed: int | None) -> tuple[rg.Network, rg.History]:
        net = rg.Network([5, 9, 2], seed=seed)
        trainer = rg.Trainer(net, rg.SGD(0.1), schedule=rg.schedules.Cosine(per="step"), callbacks=[Diary(3)])
        return net, trainer.fit(X, Y, epochs=3, validation_split=0.2, early_stopping=rg.EarlyStopping(patience=1))

    net, history = run(5)
    again, same = run(5)
    assert same_bits(parameters(net), parameters(again)) and (same.loss, same.val_loss) == (history.loss, history.val_loss)
    assert run(6)[1].val_loss != history.val_loss
    # a drawn one can be read, and gives the same again
    drawn, other = run(None), run(None)
    assert drawn[0].seed != other[0].seed and 0 <= drawn[0].seed < 2**63
    assert not same_bits(parameters(drawn[0]), parameters(other[0]))
    repeated = run(drawn[0].seed)
    assert same_bits(parameters(repeated[0]), parameters(drawn[0])) and repeated[1].val_loss == drawn[1].val_loss


LATE = {"batch_size": 3, "shuffle": False, "drop_last": True, "weights": "batch", "average": rg.EMA(), "n_threads": 1}
LATE |= {"schedule": None, "callbacks": (), "progress": True, "verbose": True, "advice": False}


@pytest.mark.parametrize(("name", "value"), [*LATE.items(), ("batch_size", "a")])
def test_a_setting_that_would_come_too_late_is_refused(name: str, value: Any) -> None:
    def act(trainer: rg.Trainer, history: rg.History) -> None:
        with pytest.raises(RuntimeError, match=f"{name}: this fit has begun with"):
            setattr(trainer, name, value)
        trainer.optimizer = rg.SGD(0.2)
        seen.append(len(history))

    seen: list[int] = []
    trainer = rg.Trainer(network([5, 4, 2]), rg.SGD(0.1), batch_size=4, callbacks=[act])
    before = getattr(trainer, name)
    trainer.fit(inputs(8, 5), inputs(8, 2), epochs=2)
    assert seen == [1, 2] and getattr(trainer, name) is before
    if value != "a":
        setattr(trainer, name, value)  # between two calls
