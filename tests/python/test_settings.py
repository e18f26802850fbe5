"""Single settings, wherever they are: NumPy's bool, ranges in one message, settings that cannot do anything (FAULTS 47, 53)."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, parameters, same_bits

X, Y, LABELS = inputs(20, 4), inputs(20, 3, seed=2), np.arange(20) % 3


def fitted(optimizer: Any = None, net: rg.Network | None = None, **settings: Any) -> Any:
    """Everything that a training leaves behind."""
    names = settings.keys() & {"train_metrics", "gradient_norms", "early_stopping"}
    of_fit = {name: settings.pop(name) for name in names}
    net = net or rg.Network([4, 8, 3])
    trainer = rg.Trainer(net, optimizer or rg.SGD(0.1), batch_size=5, **settings)
    history = trainer.fit(X, Y, epochs=3, metrics=["r2"], validation_data=(X, Y), **of_fit)
    return [*parameters(net), history.loss, *history.metrics.values(), list(history.gradient_norms)]


def weighted(flag: Any) -> list[float]:
    trainer = rg.Trainer(rg.Network([4, 8, 3], loss="cross_entropy"), rg.SGD(0.1))
    weights = {0: 5.0}
    data = (X, LABELS)
    return trainer.fit(*data, epochs=1, validation_data=data, class_weight=weights, weighted_validation=flag).val_loss


def passes(training: Any) -> Any:
    net = rg.Network([4, 8, 3], dropout=0.5)
    return [net.forward(X, training=training), rg.gradcheck(net, X[:3], Y[:3], training=training).worst]


# every setting that is True or False, by the place where a user gives it
FLAGS: dict[str, Callable[[Any], Any]] = {
    "SGD.nesterov": lambda flag: fitted(rg.SGD(0.1, 0.9, nesterov=flag)),
    "Adam.amsgrad": lambda flag: fitted(rg.Adam(amsgrad=flag)),
    "AdamW.amsgrad": lambda flag: fitted(rg.AdamW(amsgrad=flag)),
    "RMSprop.centered": lambda flag: fitted(rg.RMSprop(centered=flag)),
    "Group.frozen": lambda flag: fitted(rg.SGD(0.1, groups=[rg.Group(layers=0, frozen=flag)])),
    "EarlyStopping.restore_best": lambda flag: fitted(early_stopping=rg.EarlyStopping("loss", restore_best=flag, mode="max")),
    "Trainer.shuffle": lambda flag: fitted(shuffle=flag),
    "Trainer.drop_last": lambda flag: fitted(drop_last=flag),
    "Trainer.progress": lambda flag: fitted(progress=flag),
    "Trainer.advice": lambda flag: fitted(advice=flag),
    "fit_lbfgs.advice": lambda flag: rg.fit_lbfgs(rg.Network([4, 3], dtype="float64"), X, Y, advice=flag).loss,
    "Trainer.verbose": lambda flag: fitted(verbose=flag),
    "fit.train_metrics": lambda flag: fitted(train_metrics=flag),
    "fit.weighted_validation": lambda flag: weighted(flag),
    "Dense.bias": lambda flag: fitted(net=rg.Network([4, rg.Dense(8, bias=flag), 3])),
    "fit.gradient_norms": lambda flag: fitted(gradient_norms=flag),
    "forward.training, gradcheck.training": passes,
    "CSVLogger.append": lambda flag: rg.CSVLogger("x.csv", append=flag).append is bool(flag),
}


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("name", FLAGS)
def test_numpys_bool_is_a_bool(name: str, flag: bool) -> None:
    assert same_bits(FLAGS[name](np.bool_(flag)), FLAGS[name](flag))


def test_every_flag_is_in_the_list() -> None:
    """Each call of `as_bool` in the package has its setting here."""
    package = Path(rg.__file__).parent
    found = sum(path.read_text(encoding="utf-8").count("as_bool(") for path in package.rglob("*.py"))
    # one of them is the definition; some settings share a call
    assert found <= len(FLAGS), "a new flag: add it to FLAGS"


@pytest.mark.parametrize("name", [name for name in FLAGS if not name.startswith(("forward", "Trainer.progress"))])
@pytest.mark.parametrize("wrong", [1, 0, "yes", None, np.array([True])])
def test_what_only_counts_as_true_is_refused(name: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"{name.split('.')[1]}: expected True or False, got"):
        FLAGS[name](wrong)


# ---------------------------------------------------------------- ranges


@pytest.mark.parametrize("value", [0, -1, -1e-300, float("nan"), float("inf"), float("-inf"), np.float32(0)])
def test_one_message_for_both_ends_of_a_range(value: float) -> None:
    above = "expected a finite number above 0, got"
    between = "expected a finite number above 0 and below 1, got"
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: rg.losses.Huber(value), f"delta: {above}"),
        (lambda: rg.losses.Quantile(value), f"q: {between}"),
        (lambda: rg.Dense(3, max_norm=value), f"max_norm: {above}"),
        (lambda: rg.SGD(0.1, clip_norm=value), f"clip_norm: {above}"),
        (lambda: rg.SGD(0.1, clip_value=value), f"clip_value: {above}"),
        (
            lambda: rg.Trainer(rg.Network([4, 3]), "adam").fit(X, Y, epochs=1, validation_split=value),
            f"validation_split: {between}",
        ),
    ]
    for call, message in calls:
        with pytest.raises(ValueError, match=message):
            call()


# ---------------------------------------------------------------- settings that cannot do anything


def test_patience_wants_tol() -> None:
    net = rg.Network([4, 3])
    trainer = rg.Trainer(net, rg.SGD(0.0))
    before = parameters(net)
    for patience in (1, 10):
        with pytest.raises(ValueError, match=rf'patience: expected tol .*\("val_loss", patience={patience}\)'):
            trainer.fit(X, Y, epochs=50, patience=patience)
    assert same_bits(parameters(net), before) and trainer.epochs_done == 0
    assert len(trainer.fit(X, Y, epochs=50, tol=0.0, patience=3)) == 4
    assert len(trainer.fit(X, Y, epochs=50, tol=0.0)) == 11  # the default is 10
    assert len(trainer.fit(X, Y, epochs=3)) == 3


def test_dropout_without_a_hidden_layer() -> None:
    with pytest.warns(rg.TrainingWarning, match="dropout: 0.5 is for hidden layers, and there are none") as caught:
        rg.Network([4, 3], dropout=0.5)
    assert caught[0].filename == __file__  # the user's line
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rg.Network([4, 3], dropout=0.0)
        rg.Network([4, 8, 3], dropout=0.5)


def test_long_values_are_not_repeated() -> None:
    with pytest.raises(TypeError, match=r"lr: expected a number, got a tuple; the trainer names the network"):
        rg.Adam(rg.Network([9, 9]).weights)  # type: ignore[arg-type]


def test_a_result_of_lbfgs_is_short() -> None:
    pytest.importorskip("scipy")
    found = rg.fit_lbfgs(rg.Network([4, 8, 3], dtype="float64"), X, Y, max_iter=100)
    assert len(repr(found)) < 150 and "\n" not in repr(found) and f"{found.iterations} iterations" in repr(found)
    assert repr(rg.LBFGSResult()) == "LBFGSResult(0 iterations, 0 evaluations, not converged: )"
