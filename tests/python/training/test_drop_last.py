"""`Trainer(drop_last=True)`: the epoch without its last, smaller batch, and everything that counts steps or rows."""

from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import assert_close, inputs, network, parameters, same_bits
from oracle import Textbook
from retrograd import _core

X, Y = inputs(50, 5), inputs(50, 2)


def trainer_of(net: rg.Network, **options: Any) -> rg.Trainer:
    return rg.Trainer(net, rg.SGD(0.05, momentum=0.9), **{"batch_size": 16, "drop_last": True} | options)


def test_training_equals_numpy() -> None:
    """Three batches of 16 of 50 rows, of an order that has all of them."""
    net = network([5, 9, 2], dtype="float64")
    expected = Textbook(net, lr=0.05, momentum=0.9)
    history = trainer_of(net).fit(X, Y, epochs=3)
    for epoch, loss in enumerate(history.loss, 1):
        order = _core.permutation(net.seed, epoch, 50)[:48]
        assert loss == pytest.approx(expected.epoch(X, Y, 16, order), rel=1e-12)
    for p, q in zip(parameters(net), expected.parameters, strict=True):
        assert_close(p, q, 1e-12)


@pytest.mark.parametrize("rows", [48, 50])
def test_whole_batches_have_the_bits_that_they_had(rows: int) -> None:
    nets = [network([5, 9, 2]) for _ in range(2)]
    one = trainer_of(nets[0], shuffle=False).fit(X[:rows], Y[:rows], epochs=2)
    other = trainer_of(nets[1], shuffle=False, drop_last=False).fit(X[:48], Y[:48], epochs=2)
    assert same_bits(parameters(nets[0]), parameters(nets[1])) and one.loss == other.loss and one.metric == other.metric


def test_all_that_counts_steps_agrees() -> None:
    class Notes(rg.Callback):
        every = 2

        def on_step_end(self, trainer: rg.Trainer, info: rg.StepInfo) -> None:
            seen.append((info.epoch, info.step, info.steps, info.lr))

    seen: list[tuple[int, int, int, float]] = []
    net = network([5, 9, 2], dtype="float64")
    trainer = trainer_of(net, schedule=rg.schedules.Cosine(per="step"), callbacks=[Notes()])
    history = trainer.fit(X, Y, epochs=4)
    rates = rg.schedules.Cosine(per="step").rates(0.05, 12, length=12)
    assert [lr for epoch in history.step_lr or [] for lr in epoch] == pytest.approx(rates.tolist())
    assert [each[:3] for each in seen] == [(1, 2, 3), (2, 1, 3), (2, 3, 3), (3, 2, 3), (4, 1, 3), (4, 3, 3)]
    assert [each[3] for each in seen] == pytest.approx(rates[1::2].tolist())
    assert net.steps == trainer.optimizer.steps == 12
    rows = np.multiply(history.rows_per_second, history.seconds)
    np.testing.assert_allclose(rows, 48)


def test_the_mean_norm_of_gradients_is_over_the_steps_taken() -> None:
    found = [
        trainer_of(network([5, 9, 2]), shuffle=False, drop_last=dropped).fit(X[:rows], Y[:rows], epochs=1, gradient_norms=True)
        for rows, dropped in ((50, True), (48, False))
    ]
    assert found[0].gradient_norms == found[1].gradient_norms


def test_the_bar_shows_the_rows_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bar:
        def __init__(self, total: int, **others: Any) -> None:
            self.total, self.n = total, 0
            made.append(self)

        def update(self, rows: int) -> None:
            self.n += rows

        def __getattr__(self, name: str) -> Any:
            return lambda *given, **others: None

    made: list[Bar] = []
    monkeypatch.setattr("tqdm.tqdm", Bar)
    trainer_of(network([5, 9, 2]), progress=True).fit(X, Y, epochs=3)
    assert [(bar.total, bar.n) for bar in made] == [(144, 144)]


def test_fewer_rows_than_a_batch_are_refused() -> None:
    net = network([5, 9, 2])
    trainer, before = trainer_of(net), parameters(net)
    with pytest.raises(ValueError, match="drop_last: expected at least 16 rows, one whole batch, got 15: none would be left"):
        trainer.fit(X[:15], Y[:15], epochs=1)
    with pytest.raises(ValueError, match="drop_last: expected at least 16 rows, one whole batch, got 12"):
        trainer.fit(X[:16], Y[:16], epochs=1, validation_split=0.25)
    assert trainer.epochs_done == 0 and same_bits(parameters(net), before)
    trainer.fit(X[:16], Y[:16], epochs=1)
    trainer.step(X[:3], Y[:3])  # a step has one batch, whatever its size


def test_the_way_out_for_batch_normalisation() -> None:
    """PyTorch 7716: the refusal names it, and it works."""
    layers = [5, rg.Dense(9, norm="batch"), 2]
    trainer = rg.Trainer(rg.Network(layers), rg.SGD(0.05), batch_size=7)
    refusal = r"more than one row in every batch, got 50 rows in batches of 7: Trainer\(\.\.\., drop_last=True\) leaves"
    with pytest.raises(ValueError, match=refusal):
        trainer.fit(X, Y, epochs=1)
    trainer.drop_last = True
    assert trainer.fit(X, Y, epochs=2).epoch == [1, 2]
    assert trainer.network.steps == 14
    for rows, size in ((50, 1), (1, 16)):  # there it is no way out
        with pytest.raises(ValueError, match=f"got {rows} rows in batches of {size}$"):
            rg.Trainer(rg.Network(layers), rg.SGD(0.05), batch_size=size).fit(X[:rows], Y[:rows], epochs=1)
    with pytest.raises(
        ValueError, match=r"more than one row .* got 50 rows in batches of 7: Trainer\(\.\.\., drop_last=True\)"
    ):
        rg.lr_range_test(rg.Network(layers), X, Y, batch_size=7)
    assert len(rg.lr_range_test(rg.Network(layers), X, Y, batch_size=7, drop_last=True, steps=20).lr) == 20


@pytest.mark.parametrize("wrong", [1, "yes", None])
def test_wrong_settings(wrong: Any) -> None:
    with pytest.raises(TypeError, match="drop_last: expected True or False"):
        rg.Trainer(network([5, 9, 2]), rg.SGD(0.1), drop_last=wrong)


def test_the_settings_are_shown() -> None:
    trainer = trainer_of(network([5, 9, 2]), weights="batch", average=rg.SWA(3))
    assert repr(trainer).endswith("n_threads=None, drop_last=True, weights='batch', average=SWA(from_epoch=3))")
    assert "drop_last" not in repr(rg.Trainer(network([5, 9, 2]), rg.SGD(0.1)))
