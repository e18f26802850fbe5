"""Schedules of the learning rate: their sequences against PyTorch and closed formulas, and that training follows them.

PyTorch's part is skipped where it is not installed. The formulas are written out here once more, in plain loops.
"""

import copy
import inspect
import math
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import assert_close, inputs, network, parameters, same_bits
from oracle import Textbook
from retrograd import _core
from retrograd import schedules as s

LR = 0.3
ALL: list[s.Schedule] = [
    s.Constant(warmup=4),
    s.Step(3, 0.5),
    s.Exponential(0.8),
    s.InverseScaling(0.7),
    s.Cosine(0.01),
    s.Cosine(period=4, multiplier=2),
    s.OneCycle(0.5),
]


def by_hand(lr: float, n: int, rate: Callable[[int], float], warmup: int = 0) -> list[float]:
    """The rates of n steps; during the warm-up they rise to the first of the schedule."""
    return [rate(0) * (i + 1) / (warmup + 1) if i < warmup else rate(i - warmup) for i in range(n)]


# ---------------------------------------------------------------- sequences


@pytest.mark.parametrize("warmup", [0, 1, 5])
def test_closed_formulas(warmup: int) -> None:
    n = 40
    length = n - warmup
    cases: list[tuple[s.Schedule, Callable[[int], float]]] = [
        (s.Constant(warmup=warmup), lambda t: LR),
        (s.Step(7, 0.3, warmup=warmup), lambda t: LR * 0.3 ** (t // 7)),
        (s.Step(1, 0.9, warmup=warmup), lambda t: LR * 0.9**t),
        (s.Exponential(0.9, warmup=warmup), lambda t: LR * 0.9**t),
        (s.InverseScaling(warmup=warmup), lambda t: LR / math.sqrt(t + 1)),
        (s.InverseScaling(1.5, warmup=warmup), lambda t: LR / (t + 1) ** 1.5),
        (s.Cosine(0.02, warmup=warmup), lambda t: 0.02 + (LR - 0.02) * (1 + math.cos(math.pi * t / length)) / 2),
        (s.Cosine(length=10, warmup=warmup), lambda t: LR * (1 + math.cos(math.pi * min(t, 10) / 10)) / 2),
        (s.Cosine(period=6, warmup=warmup), lambda t: LR * (1 + math.cos(math.pi * (t % 6) / 6)) / 2),
    ]
    for schedule, rate in cases:
        np.testing.assert_allclose(schedule.rates(LR, n), by_hand(LR, n, rate, warmup), rtol=1e-12, atol=1e-16)
        # any part of the whole is the same
        part = schedule.rates(LR, 9, start=3, length=n)
        assert same_bits(part, schedule.rates(LR, n)[3:12]), schedule


def test_cosine_with_longer_and_longer_periods() -> None:
    expected = [LR * (1 + math.cos(math.pi * i / period)) / 2 for period in (3, 9, 27, 81) for i in range(period)]
    found = s.Cosine(period=3, multiplier=3)
    np.testing.assert_allclose(found.rates(LR, 120), expected, rtol=1e-12)
    for start in (0, 2, 3, 11, 12, 39, 119):
        assert found.rates(LR, 1, start=start)[0] == pytest.approx(expected[start], rel=1e-12)


def test_after_the_end_the_last_rate_stays() -> None:
    np.testing.assert_allclose(s.Cosine(0.01).rates(LR, 30, length=10)[10:], 0.01, rtol=1e-15)
    found = s.OneCycle(LR).rates(1.0, 30, length=10)
    np.testing.assert_allclose(found[9:], LR / 25 / 1e4, rtol=1e-9)
    # all of the way up, and a single step: PyTorch divides by zero
    up = s.OneCycle(LR, pct_start=1.0).rates(1.0, 12, length=10)
    assert up[0] == pytest.approx(LR / 25) and up[9] == LR and np.all(np.diff(up[:10]) > 0) and np.isfinite(up).all()
    assert np.isfinite(s.OneCycle(LR).rates(1.0, 3, length=1)).all()


def torch_rates(n: int, make: Callable[[Any, Any], Any], lr: float = LR) -> list[float]:
    """The rates of n steps as PyTorch's scheduler sets them."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    found = []
    for _ in range(n):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


N = 50
TORCH: dict[str, tuple[s.Schedule, Callable[[Any, Any], Any]]] = {
    "step": (s.Step(7, 0.3), lambda t, o: t.StepLR(o, 7, 0.3)),
    "exponential": (s.Exponential(0.93), lambda t, o: t.ExponentialLR(o, 0.93)),
    "cosine": (s.Cosine(0.004), lambda t, o: t.CosineAnnealingLR(o, N, 0.004)),
    "restarts": (s.Cosine(0.004, period=8), lambda t, o: t.CosineAnnealingWarmRestarts(o, 8, 1, 0.004)),
    "longer restarts": (
        s.Cosine(0.004, period=4, multiplier=2),
        lambda t, o: t.CosineAnnealingWarmRestarts(o, 4, 2, 0.004),
    ),
    "one cycle": (s.OneCycle(0.7), lambda t, o: t.OneCycleLR(o, 0.7, N, cycle_momentum=False)),
    "one cycle, other factors": (
        s.OneCycle(0.7, pct_start=0.11, div_factor=3, final_div_factor=70, per="epoch"),
        lambda t, o: t.OneCycleLR(o, 0.7, N, pct_start=0.11, div_factor=3, final_div_factor=70, cycle_momentum=False),
    ),
    "one cycle down": (
        s.OneCycle(0.7, pct_start=0.0),
        lambda t, o: t.OneCycleLR(o, 0.7, N, pct_start=0.0, cycle_momentum=False),
    ),
    "warm-up": (
        s.Exponential(0.9, warmup=6),
        lambda t, o: t.SequentialLR(o, [t.LinearLR(o, 1 / 7, 1.0, 6), t.ExponentialLR(o, 0.9)], milestones=[6]),
    ),
    "warm-up, cosine": (
        s.Cosine(0.01, warmup=5),
        lambda t, o: t.SequentialLR(o, [t.LinearLR(o, 1 / 6, 1.0, 5), t.CosineAnnealingLR(o, N - 5, 0.01)], milestones=[5]),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_as_pytorch(name: str) -> None:
    schedule, make = TORCH[name]
    np.testing.assert_allclose(schedule.rates(LR, N), torch_rates(N, make), rtol=1e-11, atol=1e-17)


# ---------------------------------------------------------------- training follows


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("per", ["epoch", "step"])
def test_each_step_has_its_rate(per: Any, options: dict[str, Any]) -> None:
    """Training is that of the textbook whose rate is set anew before each step."""
    rows, batch, epochs = 37, 8, 4
    steps = 5
    X, y = inputs(rows, 5), inputs(rows, 2)
    for schedule in (
        s.Cosine(0.001, per=per, warmup=2),
        s.OneCycle(0.2, per=per),
        s.Step(3, 0.5, per=per),
        s.InverseScaling(per=per, warmup=3),
    ):
        net = network([5, 9, 2], activation="tanh", dtype="float64")
        expected = Textbook(net, lr=LR, **options)
        trainer = rg.Trainer(net, rg.SGD(LR, **options), batch_size=batch, schedule=schedule, advice=False)  # on noise
        history = trainer.fit(X, y, epochs=epochs)
        rates = schedule.rates(LR, epochs * steps if per == "step" else epochs)
        for epoch in range(epochs):
            order = _core.permutation(0, epoch + 1, rows)
            for step in range(steps):
                expected.lr = rates[epoch * steps + step if per == "step" else epoch]
                pick = order[step * batch : (step + 1) * batch]
                expected.step(X[pick], y[pick])
        for p, q in zip(parameters(net), expected.parameters, strict=True):
            assert_close(p, q, 1e-12)
        if per == "step":
            assert history.lr == rates[steps - 1 :: steps].tolist()
            assert history.step_lr == rates.reshape(epochs, steps).tolist()
        else:
            assert history.lr == rates.tolist() and history.step_lr == []


def test_with_adam() -> None:
    """Any optimiser: a schedule is the same as setting lr before each epoch."""
    X, y = inputs(40, 5), inputs(40, 2)
    schedule = s.Exponential(0.5)
    one, two = network([5, 9, 2]), network([5, 9, 2])
    rg.Trainer(one, rg.AdamW(0.01), schedule=schedule).fit(X, y, epochs=3)
    by_hand = rg.Trainer(two, rg.AdamW(0.01))
    for rate in schedule.rates(0.01, 3):
        by_hand.optimizer.lr = rate
        by_hand.fit(X, y, epochs=1)
    assert same_bits(parameters(one), parameters(two))


def test_the_optimiser_is_left_alone_and_its_lr_is_the_base() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.1), schedule=s.Exponential(0.5))
    assert trainer.fit(X, y, epochs=2).lr == [0.1, 0.05]
    assert trainer.optimizer.lr == 0.1
    trainer.optimizer.lr = 0.8  # the rest of the schedule from a new base
    assert trainer.fit(X, y, epochs=2).lr == [0.2, 0.1]
    # an absolute rate does not look at the base
    trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(1e9), schedule=s.OneCycle(0.1))
    assert max(trainer.fit(X, y, epochs=3).lr) <= 0.1


def test_fit_again_goes_on() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    for schedule in (s.Step(2, 0.5), s.Exponential(0.9, per="step", warmup=3), s.Cosine(period=3), s.Cosine(length=9)):
        nets = [network([5, 9, 2]), network([5, 9, 2])]
        whole = rg.Trainer(nets[0], rg.SGD(0.1), schedule=schedule).fit(X, y, epochs=9)
        trainer = rg.Trainer(nets[1], rg.SGD(0.1), schedule=schedule)
        parts = [trainer.fit(X, y, epochs=epochs) for epochs in (1, 3, 0, 5)]
        assert [rate for part in parts for rate in part.lr] == whole.lr
        assert [rates for part in parts for rates in part.step_lr] == whole.step_lr
        assert same_bits(parameters(nets[0]), parameters(nets[1]))
    # a length that was fit's own is that of the first call
    trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.1), schedule=s.Cosine(0.01))
    assert trainer.fit(X, y, epochs=0).lr == []
    first = trainer.fit(X, y, epochs=4)
    assert first.lr == s.Cosine(0.01).rates(0.1, 4).tolist()
    with pytest.warns(rg.TrainingWarning, match="Cosine took its length, 4 epochs, from the first fit"):
        assert trainer.fit(X, y, epochs=9).lr == pytest.approx([0.01] * 9, rel=1e-12)
    assert trainer.fit(X, y, epochs=1).lr == pytest.approx([0.01], rel=1e-12)  # which is said once


@pytest.mark.parametrize("per", ["epoch", "step"])
@pytest.mark.parametrize("kind", [s.Cosine, s.OneCycle])
@pytest.mark.parametrize("warmup", [0, 2])
def test_calls_of_one_epoch_each_are_one_training(kind: Any, per: Any, warmup: int) -> None:
    """FAULTS 58: with the length of the whole they give the same bits, and without it a word."""
    X, y = inputs(40, 5), inputs(40, 2)
    epochs, steps = 6, 5
    length = (epochs * steps if per == "step" else epochs) - warmup
    settings: dict[str, Any] = {"per": per, "warmup": warmup}
    whole = rg.Trainer(network([5, 9, 2]), rg.Adam(0.01), batch_size=8, schedule=kind(**settings))
    parts = rg.Trainer(network([5, 9, 2]), rg.Adam(0.01), batch_size=8, schedule=kind(length=length, **settings))
    expected, found = whole.fit(X, y, epochs=epochs), parts.fit(X, y, epochs=1)
    for _ in range(epochs - 1):
        found.extend(parts.fit(X, y, epochs=1))
    assert found.lr == expected.lr and found.step_lr == expected.step_lr and found.loss == expected.loss
    assert same_bits(parameters(whole.network), parameters(parts.network))
    # the length of the first call is not that of the whole; a call within it is fine, and the text says what to write
    trainer = rg.Trainer(network([5, 9, 2]), rg.Adam(0.01), batch_size=8, schedule=kind(**settings), advice=False)
    trainer.fit(X, y, epochs=3)
    with pytest.warns(rg.TrainingWarning) as caught:
        trainer.fit(X, y, epochs=1)
    so_far = (4 * steps if per == "step" else 4) - warmup
    less = ", less the warm-up" if warmup else ""
    name = kind.__name__
    assert [str(one.message) for one in caught] == [
        f"schedule: {name} took its length, 3 epochs, from the first fit, and this one goes on past its end, where the rate "
        f"stays the same. Call fit once with all epochs (callbacks act between them), or write {name}(length=...) with "
        f"the {per}s of all calls together{less}; length={so_far} would end it with this call"
    ]
    assert caught[0].filename == __file__


def test_calls_that_go_on_without_a_word() -> None:
    """Warnings are errors here: schedules that have no length, or have it from the user, and calls within the first length."""
    X, y = inputs(40, 5), inputs(40, 2)
    plateau = s.ReduceOnPlateau("loss", patience=1, threshold=0.5)
    for schedule in (None, s.Constant(), s.Exponential(0.9), s.Step(2), s.Cosine(length=2), s.Cosine(period=2), plateau):
        trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.01), schedule=schedule)
        for _ in range(4):
            trainer.fit(X, y, epochs=1)
    # ReduceOnPlateau goes on: four calls are one of four epochs
    whole = rg.Trainer(network([5, 9, 2]), rg.SGD(0.01), schedule=plateau).fit(X, y, epochs=5)
    assert trainer.fit(X, y, epochs=1).lr == whole.lr[-1:] and len(set(whole.lr)) > 1

    class Broken(rg.Callback):
        def on_epoch_end(self, trainer: rg.Trainer, history: rg.History) -> None:
            raise OSError("gone")

    trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.01), schedule=s.Cosine(), callbacks=[Broken()])
    with pytest.raises(OSError, match="gone"):
        trainer.fit(X, y, epochs=5)
    trainer.callbacks = ()
    trainer.fit(X, y, epochs=4)  # the rest of them
    trainer.schedule = s.Cosine()
    trainer.fit(X, y, epochs=9)  # a new one has a length of its own


def test_a_new_schedule_begins_at_its_beginning() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.1))
    assert trainer.fit(X, y, epochs=3).lr == [0.1] * 3
    trainer.schedule = s.Exponential(0.5)
    assert trainer.fit(X, y, epochs=2).lr == [0.1, 0.05]
    trainer.schedule = s.Cosine()
    assert trainer.fit(X, y, epochs=2).lr == s.Cosine().rates(0.1, 2).tolist()
    trainer.schedule = None
    assert trainer.fit(X, y, epochs=1).lr == [0.1]


def test_a_function_of_the_epoch() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    asked: list[int] = []

    def rate(epoch: int) -> float:
        asked.append(epoch)
        return 0.2 / epoch

    trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.1), schedule=rate)
    assert trainer.fit(X, y, epochs=2).lr == [0.2, 0.1] and trainer.fit(X, y, epochs=1).lr == [0.2 / 3]
    assert asked == [1, 2, 3] and trainer.history.step_lr == []


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf"), "fast", None, True])
def test_a_function_that_gives_no_rate(bad: Any) -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    net = network([5, 9, 2])
    trainer = rg.Trainer(net, rg.SGD(0.1), schedule=lambda epoch: 0.1 if epoch == 1 else bad)
    with pytest.raises((ValueError, TypeError), match=re.escape("schedule(2)")):
        trainer.fit(X, y, epochs=3)
    # the first epoch is done, the second has not begun
    twin = network([5, 9, 2])
    rg.Trainer(twin, rg.SGD(0.1)).fit(X, y, epochs=1)
    assert same_bits(parameters(net), parameters(twin))
    assert len(trainer.history) == trainer.epochs_done == 1
    trainer.schedule = None
    assert trainer.fit(X, y, epochs=1).epoch == [2]


def test_divergence_names_the_rate_of_the_step() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    net = network([5, 9, 2])
    before = parameters(net)
    ramp = s.Exponential(1e6, per="step")
    with pytest.raises(rg.DivergenceError) as caught:
        rg.Trainer(net, rg.SGD(1e-6), batch_size=4, schedule=ramp).fit(X, y, epochs=1)
    error = caught.value
    assert error.lr == ramp.rates(1e-6, 10)[error.step - 1] > 1
    assert same_bits(parameters(net), before)


def test_many_steps_are_thinned_in_the_history() -> None:
    net = rg.Network([2, 1])
    schedule = s.Cosine(per="step")
    X = inputs(5000, 2)
    history = rg.Trainer(net, rg.SGD(0.001), batch_size=1, schedule=schedule).fit(X, X.sum(axis=1), epochs=2)
    rates = schedule.rates(0.001, 10_000).reshape(2, 5000)
    for kept, of_epoch in zip(history.step_lr, rates, strict=True):
        assert len(kept) == 1000 and kept[0] == of_epoch[0] and kept[-1] == of_epoch[-1]
        assert np.all(np.diff(kept) < 0) and set(kept) <= set(of_epoch.tolist())
    assert history.lr == rates[:, -1].tolist()


# ---------------------------------------------------------------- on a plateau

LOSSES = [5.0, 4, 3, 3, 3, 3, 2.9999, 2.9, 2.9, 2.9, 2.9, 2.9, 2.9, 2.9, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1]


def plateau_rates(schedule: s.ReduceOnPlateau, values: list[float]) -> list[float]:
    """The rates of the epochs whose figures are these."""
    trainer = rg.Trainer(rg.Network([1, 1]), rg.SGD(LR), schedule=schedule, batch_size=1, advice=False)
    answers = iter(values)
    found: list[float] = []
    for _ in range(4):  # in several calls: it goes on
        found += trainer.fit(
            [[0.0]],
            [0.0],
            epochs=len(values) // 4,
            validation_data=([[0.0]], [0.0]),
            metrics=[rg.metrics.Metric(lambda y, p: next(answers), "figure")],
        ).lr
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 2},
        {"patience": 0, "factor": 0.5},
        {"patience": 1, "cooldown": 2, "factor": 0.3},
        {"patience": 2, "min_lr": 0.02},
        {"patience": 2, "threshold": 0.2},
        {"patience": 2, "threshold": 0.05, "threshold_mode": "abs"},
        {"patience": 1, "mode": "max", "threshold": 0.01},
        {"patience": 1, "mode": "max", "threshold": 0.2, "threshold_mode": "abs"},
    ],
)
def test_reduce_on_plateau_as_pytorch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, eps=0, **({"mode": "min"} | options))
    expected = []
    for value in LOSSES:
        expected.append(optimizer.param_groups[0]["lr"])
        scheduler.step(value)
    assert len(set(expected)) > 2
    found = plateau_rates(s.ReduceOnPlateau("val_figure", **({"mode": "min"} | options)), LOSSES)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_reduce_on_plateau_by_hand() -> None:
    with pytest.warns(rg.TrainingWarning, match="val_figure is nan in epoch 8: the function returned nan"):
        found = plateau_rates(
            s.ReduceOnPlateau("val_figure", patience=1, factor=0.5, mode="min"), [3, 2, 2, 2, 2, 1, 1, float("nan")]
        )
    assert found == [LR, LR, LR, LR, LR / 2, LR / 2, LR / 2, LR / 2]
    warm = plateau_rates(s.ReduceOnPlateau("val_figure", patience=0, factor=0.5, mode="min", warmup=3), [1.0] * 8)
    assert warm == pytest.approx([LR / 4, LR / 2, LR * 3 / 4, LR, LR, LR / 2, LR / 4, LR / 8])


def test_reduce_on_plateau_watches_what_fit_measures() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    for monitor, options in (
        ("loss", {}),
        ("mae", {}),
        ("val_loss", {"validation_data": (X, y)}),
        ("val_mae", {"validation_split": 0.2}),
        ("val_r2", {"validation_data": (X, y), "metrics": ["r2"]}),
    ):
        trainer = rg.Trainer(network([5, 9, 2]), rg.SGD(0.0), schedule=s.ReduceOnPlateau(monitor, patience=0), shuffle=False)
        trainer.optimizer.lr = 1e-30  # nothing becomes better
        assert trainer.fit(X, y, epochs=3, **options).lr == pytest.approx([1e-30, 1e-30, 1e-31])
    net = network([5, 9, 2])
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(0.1), schedule=s.ReduceOnPlateau())
    with pytest.raises(ValueError, match=r"monitor: expected one of loss, metric, mae, got 'val_loss' \(validation_data"):
        trainer.fit(X, y, epochs=3)
    trainer.schedule = s.ReduceOnPlateau("val_custom")
    with pytest.raises(ValueError, match='mode: expected "min" or "max", as it is not known'):
        trainer.fit(X, y, epochs=3, validation_data=(X, y), metrics=[rg.metrics.Metric(lambda y, p: 0.0, "custom")])
    assert same_bits(parameters(net), before) and trainer.epochs_done == 0


# ---------------------------------------------------------------- the objects


def test_settings_are_checked() -> None:
    for make, error, match in (
        (lambda: s.Step(0), ValueError, "every: expected at least 1"),
        (lambda: s.Step(1.5), TypeError, "every"),  # type: ignore[arg-type]
        (lambda: s.Step(2, -1.0), ValueError, "gamma"),
        (lambda: s.Exponential(float("nan")), ValueError, "gamma"),
        (lambda: s.InverseScaling(-1), ValueError, "power"),
        (lambda: s.Cosine(-0.1), ValueError, "floor"),
        (lambda: s.Cosine(period=0), ValueError, "period"),
        (lambda: s.Cosine(length=3, period=3), ValueError, "length or period"),
        (lambda: s.Cosine(period=3, multiplier=0), ValueError, "multiplier"),
        (lambda: s.OneCycle(-1), ValueError, "max_lr"),
        (lambda: s.OneCycle(pct_start=1.1), ValueError, "pct_start"),
        (lambda: s.OneCycle(div_factor=0.5), ValueError, "div_factor"),
        (lambda: s.Constant(per="batch"), ValueError, "per"),  # type: ignore[arg-type]
        (lambda: s.Constant(warmup=-1), ValueError, "warmup"),
        (lambda: s.ReduceOnPlateau(factor=1.0), ValueError, "factor"),
        (lambda: s.ReduceOnPlateau(mode="best"), ValueError, "mode"),  # type: ignore[arg-type]
        (lambda: s.ReduceOnPlateau(threshold_mode="x"), ValueError, "threshold_mode"),  # type: ignore[arg-type]
        (lambda: s.ReduceOnPlateau(per="step"), ValueError, "per"),
        (lambda: s.ReduceOnPlateau(3), TypeError, "monitor"),  # type: ignore[arg-type]
        (lambda: s.Cosine(warmup=5).rates(0.1, 5), ValueError, "warmup: expected less than the 5 epochs"),
        (lambda: s.Exponential(1e300).rates(0.1, 5), ValueError, "expected finite rates"),
    ):
        with pytest.raises(error, match=match):
            make()
    for bad in (3, "cosine", s.Cosine):
        with pytest.raises(TypeError, match="schedule: expected a Schedule"):
            rg.Trainer(rg.Network([1, 1]), rg.SGD(0.1), schedule=bad)  # type: ignore[arg-type]


def test_a_refused_length_changes_nothing() -> None:
    X, y = inputs(40, 5), inputs(40, 2)
    net = network([5, 9, 2])
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(0.1), batch_size=20, schedule=s.Cosine(warmup=6, per="step"))
    with pytest.raises(ValueError, match="warmup: expected less than the 6 steps"):
        trainer.fit(X, y, epochs=3)
    assert same_bits(parameters(net), before) and trainer.epochs_done == 0
    assert len(trainer.fit(X, y, epochs=4)) == 4  # the length is that of the first call that trained


def test_schedules_are_values() -> None:
    for schedule in ALL:
        assert pickle.loads(pickle.dumps(schedule)) == copy.deepcopy(schedule) == schedule
        with pytest.raises(AttributeError):
            schedule.warmup = 3  # type: ignore[misc]
        assert type(schedule).__name__ in repr(schedule)
    assert s.Step(3) != s.Step(4)


def test_everything_is_documented() -> None:
    for name in s.__all__:
        value = getattr(s, name)
        for parameter in list(inspect.signature(value).parameters):
            assert re.search(rf"^\s*([\w, ]+, )?{parameter}\b.* : ", value.__doc__, re.MULTILINE), f"{name}: {parameter}"
