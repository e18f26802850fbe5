"""Everything a training can be asked for, each with several teams: weights, history, predictions, state to the last bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, parameters, same_bits, targets
from retrograd import losses, schedules

ROWS, INPUTS, BATCH = 203, 40, 48

# name: (settings of the network, of its hidden layers, the optimiser, settings of the trainer, of fit)
Feature = tuple[dict[str, Any], dict[str, Any], Callable[[], rg.Optimizer], dict[str, Any], dict[str, Any]]


def feature(
    network: dict[str, Any] | None = None,
    hidden: dict[str, Any] | None = None,
    optimizer: Callable[[], rg.Optimizer] = lambda: rg.SGD(0.02, momentum=0.9),
    trainer: dict[str, Any] | None = None,
    fit: dict[str, Any] | None = None,
) -> Feature:
    """What is not said is as usual."""
    return network or {}, hidden or {}, optimizer, trainer or {}, fit or {}


FEATURES: dict[str, Feature] = {
    "sgd": feature(),
    "dampening": feature(optimizer=lambda: rg.SGD(0.02, momentum=0.9, dampening=0.5)),
    "adam": feature(optimizer=lambda: rg.Adam(0.003)),
    "amsgrad": feature(optimizer=lambda: rg.Adam(0.003, amsgrad=True)),
    "adamw": feature(optimizer=lambda: rg.AdamW(0.003)),
    "rmsprop": feature(optimizer=lambda: rg.RMSprop(0.001, momentum=0.5, centered=True)),
    "adagrad": feature(optimizer=lambda: rg.Adagrad(0.01)),
    "lion": feature(optimizer=lambda: rg.Lion(0.001)),
    "clip_norm": feature(optimizer=lambda: rg.Adam(0.003, clip_norm=0.1)),
    "clip_value": feature(optimizer=lambda: rg.SGD(0.02, 0.9, clip_value=0.001)),
    "groups": feature(
        optimizer=lambda: rg.Adam(
            0.003, groups=[rg.Group(0, frozen=True), rg.Group(1, lr_factor=0.5, l1=1e-4), rg.Group(params="biases")]
        )
    ),
    "cosine": feature(trainer={"schedule": schedules.Cosine(warmup=3, per="step")}),
    "dropout": feature(network={"dropout": 0.3, "input_dropout": 0.1}),
    "input_noise": feature(network={"input_noise": 0.2}),
    "max_norm": feature(hidden={"max_norm": 0.5}),
    "layer_norm": feature(hidden={"norm": "layer"}),
    "batch_norm": feature(hidden={"norm": "batch"}),
    "gelu_layer_norm": feature(hidden={"norm": "layer", "activation": "gelu"}),
    "mish_batch_norm": feature(hidden={"norm": "batch", "activation": "mish"}),
    "all_at_once": feature(
        network={"dropout": 0.2, "input_noise": 0.1},
        hidden={"norm": "batch", "max_norm": 1.0, "activation": "silu"},
        optimizer=lambda: rg.AdamW(0.003, clip_norm=0.5),
        trainer={"schedule": schedules.OneCycle(0.01)},
        fit={"class_weight": "balanced", "gradient_norms": True},
    ),
    "sample_weight": feature(fit={"sample_weight": np.linspace(0, 2, ROWS)}),
    "weights_by_batch": feature(trainer={"weights": "batch"}, fit={"sample_weight": np.linspace(0, 2, ROWS)}),
    "class_weight": feature(fit={"class_weight": "balanced"}),
    "drop_last": feature(hidden={"norm": "batch"}, trainer={"drop_last": True}),
    "ema": feature(hidden={"norm": "batch"}, trainer={"average": rg.EMA(0.8)}, fit={"validation_split": 0.2}),
    "swa": feature(trainer={"average": rg.SWA(2)}, fit={"validation_split": 0.2}),
    "label_smoothing": feature(network={"loss": losses.CrossEntropy(label_smoothing=0.1)}),
    "early_stopping": feature(fit={"validation_split": 0.2, "early_stopping": rg.EarlyStopping(patience=1)}),
    "gradient_norms": feature(fit={"gradient_norms": True}),
    **{
        activation: feature(hidden={"activation": activation})
        for activation in ("elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "softplus", "softsign")
    },
    **{
        str(loss): feature(network={"loss": loss})
        for loss in ("mae", losses.Huber(0.5), losses.Quantile(0.9), "poisson", "hinge", losses.Focal(1.5))
    },
}


def data_for(loss: str) -> tuple[Any, Any]:
    """Rows and answers that the loss takes."""
    X = inputs(ROWS, INPUTS).astype(np.float32)
    if loss in ("cross_entropy", "focal", "hinge"):
        return X, targets("cross_entropy", ROWS, 5)
    return X, np.abs(targets("mse", ROWS, 5)).astype(np.float32)


def trained(name: str, team: int, dtype: str, epochs: int = 3) -> tuple[rg.Network, rg.Trainer, rg.History, Any]:
    """A network after some epochs on a forced team."""
    network, hidden, optimizer, trainer, fit = FEATURES[name]
    layers = [INPUTS, rg.Dense(130, **hidden), rg.Dense(33, **hidden), rg.Dense(5)]
    net = rg.Network(layers, dtype=dtype, seed=4, **{"loss": "cross_entropy"} | network)
    net._core.force_team(team)
    X, y = data_for(net.loss_name)
    used = rg.Trainer(net, optimizer(), batch_size=BATCH, **trainer)
    history = used.fit(X, y, epochs=epochs, **fit)
    assert used._core.team() == (team if epochs else 0)
    return net, used, history, X


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FEATURES)
def test_any_team_gives_the_same_bits(name: str, dtype: str) -> None:
    alone, trainer, history, X = trained(name, 1, dtype)
    assert not same_bits(parameters(alone), parameters(trained(name, 1, dtype, epochs=0)[0]))
    for team in (2, 4):
        other, others, again, _ = trained(name, team, dtype)
        assert same_bits(parameters(other), parameters(alone)), team
        assert repr(others.optimizer.state_dict()) == repr(trainer.optimizer.state_dict())
        assert same_bits([other.predict(X[:50])], [alone.predict(X[:50])])
        assert (trainer.averaged is None) == (trainer.average is None)
        if trainer.averaged is not None and others.averaged is not None:
            assert same_bits(parameters(others.averaged), parameters(trainer.averaged)), team
        for column in ("loss", "metric", "val_loss", "val_metric", "lr", "gradient_norms"):
            assert getattr(history, column) == getattr(again, column), column


@pytest.mark.parametrize("name", FEATURES)
def test_two_epochs_are_one_and_one_more(name: str) -> None:
    if name in ("cosine", "all_at_once", "early_stopping"):  # they ask how many epochs there will be
        return
    whole = trained(name, 1, "float32", epochs=2)[0]
    network, trainer, _, X = trained(name, 1, "float32", epochs=1)
    trainer.fit(X, data_for(network.loss_name)[1], epochs=1, **FEATURES[name][4])
    assert same_bits(parameters(network), parameters(whole))
