"""Plans: what `Trainer.plan` says, RETROGRAD_PLAN, and that no plan changes a result.

Not here: which plans there are, and how one is chosen (the C++ tests of plans and choices).
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, parameters, python, same_bits
from retrograd import _core

Layers = list[int | rg.Dense]


def trained(
    sizes: Layers, batch_size: int, mode: str, number: int, **settings: object
) -> tuple[rg.Trainer, tuple[object, ...]]:
    """A trainer after three epochs, and its count of steps and losses."""
    net = rg.Network(sizes, activation="tanh", seed=1, **settings)  # type: ignore[arg-type]
    net._core.force_plan(mode, number)
    trainer = rg.Trainer(net, rg.Adam(lr=0.01), batch_size=batch_size, progress=False, advice=False, average=rg.EMA(0.9))
    X, y = (
        inputs(5 * batch_size + 3, net.sizes[0]).astype(np.float32),
        inputs(5 * batch_size + 3, net.sizes[-1]).astype(np.float32),
    )
    history = trainer.fit(X, y, epochs=3, validation_data=(X[:50], y[:50]))
    return trainer, (net._core.steps(), history.loss, history.val_loss)


@pytest.mark.parametrize(
    ("sizes", "batch_size", "settings"),
    [
        ([4, 32, 16, 4], 40, {}),
        ([4, 8, 2], 5, {}),
        ([40, 64, 3], 3, {}),
        ([100, 70, 40, 3], 700, {"dropout": 0.3}),
        ([100, rg.Dense(70, norm="layer"), 40, 3], 700, {}),
        ([100, 64, 3], 33, {"dtype": "float64"}),
    ],
)
def test_another_plan_at_every_step_gives_the_same_bits(sizes: Layers, batch_size: int, settings: dict[str, object]) -> None:
    likeliest, said = trained(sizes, batch_size, "fixed", 0, **settings)
    for seed in range(3):
        other, said_by_other = trained(sizes, batch_size, "random", seed, **settings)
        assert same_bits(parameters(other.network), parameters(likeliest.network))
        assert other.averaged is not None
        assert likeliest.averaged is not None
        assert same_bits(parameters(other.averaged), parameters(likeliest.averaged))
        assert said_by_other == said
    measured, said_by_measured = trained(sizes, batch_size, "measured", 0, **settings)
    assert same_bits(parameters(measured.network), parameters(likeliest.network))
    assert said_by_measured == said


def test_the_plan_in_words() -> None:
    net = rg.Network([4, 32, 16, 4], activation="tanh")
    trainer = rg.Trainer(net, rg.Adam(), batch_size=100, n_threads=1, progress=False, advice=False)
    assert trainer.plan is None
    X, y = inputs(5000, 4), inputs(5000, 4)
    trainer.fit(X, y, epochs=4)
    assert trainer.plan is not None
    assert trainer.plan.startswith("narrow, 1 thread")
    net._core.force_plan("fixed", 0)
    wide = rg.Trainer(rg.Network([300, 100, 10]), rg.SGD(0.1), batch_size=64, n_threads=1, progress=False, advice=False)
    _core.plans_forget()
    wide.fit(inputs(6400, 300), inputs(6400, 10), epochs=2)
    assert wide.plan is not None
    if _core.plans_are_measured():
        assert " us" in wide.plan and "measured" in wide.plan  # what was found
    # it is no setting, and does not travel
    assert pickle.loads(pickle.dumps(wide)).plan is None
    with pytest.raises(AttributeError):
        wide.plan = "panels"  # type: ignore[misc]


def test_another_trainer_of_the_same_shape_goes_on_with_what_was_found() -> None:
    if not _core.plans_are_measured():
        pytest.skip("RETROGRAD_PLAN=default")
    _core.plans_forget()
    X, y = inputs(6400, 300), inputs(6400, 10)

    def said() -> str:
        trainer = rg.Trainer(rg.Network([300, 100, 10]), rg.SGD(0.1), batch_size=64, n_threads=1, progress=False, advice=False)
        trainer.fit(X, y, epochs=1)
        assert trainer.plan is not None
        return trainer.plan

    first = said()
    assert "measured before" not in first
    assert "measured before" in said()
    _core.plans_forget()
    assert "measured before" not in said()


def test_an_override_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="mode: expected measured, fixed or random, got quick"):
        rg.Network([2, 1])._core.force_plan("quick")


SAYS = """
import numpy as np, retrograd as rg
trainer = rg.Trainer(rg.Network([300, 100, 10]), rg.SGD(0.1), batch_size=64, n_threads=1, progress=False, advice=False)
trainer.fit(np.ones((6400, 300)) * np.arange(6400)[:, None] / 6400, np.arange(64000).reshape(6400, 10) / 64000, epochs=1)
print(trainer.plan)
"""


def test_the_environment_can_say_that_nothing_is_measured() -> None:
    done = python(SAYS, "-Wignore", RETROGRAD_PLAN="default")
    assert done.returncode == 0, done.stderr
    assert "(fixed" in done.stdout
    done = python(SAYS, "-Wignore", RETROGRAD_PLAN="")
    assert done.returncode == 0, done.stderr
    assert "(measured" in done.stdout
    done = python("import retrograd", RETROGRAD_PLAN="fast")
    assert done.returncode != 0
    assert "RETROGRAD_PLAN: expected default, or nothing, got fast" in done.stderr
    shown = python("import sys, retrograd.__main__ as m; sys.exit(m.main(['info']))", RETROGRAD_PLAN="default")
    assert "the likeliest, by RETROGRAD_PLAN=default" in shown.stdout, shown.stderr
