"""Layers without biases: nothing is there, nothing moves it, and everything else is as with biases that stay at zero."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, same_bits, targets
from oracle import forward_backward
from retrograd import reference

LAYERS = [5, rg.Dense(20, "tanh", bias=False), rg.Dense(8, "relu"), rg.Dense(3, bias=False)]
OPTIMIZERS: dict[str, Callable[..., rg.Optimizer]] = {
    "sgd": lambda **o: rg.SGD(0.05, **o),
    "momentum": lambda **o: rg.SGD(0.05, momentum=0.9, nesterov=True, **o),
    "adam": lambda **o: rg.Adam(0.01, amsgrad=True, **o),
    "adamw": lambda **o: rg.AdamW(0.01, **o),
    "rmsprop": lambda **o: rg.RMSprop(0.01, momentum=0.5, centered=True, **o),
    "adagrad": lambda **o: rg.Adagrad(0.05, initial_accumulator_value=0.1, **o),
    "lion": lambda **o: rg.Lion(0.01, **o),
}


def without(**options: Any) -> rg.Network:
    """Three layers, of which only the middle one has biases."""
    return rg.Network(LAYERS, **options)


def test_there_is_nothing() -> None:
    net = without()
    assert [None if b is None else b.shape for b in net.biases] == [None, (8,), None]
    assert net.n_parameters == 5 * 20 + 20 * 8 + 8 + 8 * 3
    assert [layer.bias for layer in net.layers] == [False, True, False]
    lines = repr(net).splitlines()
    assert "bias=False" in lines[2] and "bias" not in lines[3] and "bias=False" in lines[4] and lines[-1].endswith("292")
    net.forward(inputs(7, 5))
    gradients = net.backward(targets("mse", 7, 3))
    assert [db is None for db in gradients.db] == [True, False, True]
    assert "Gradients" in repr(gradients)
    for name in ("b", "gamma"):
        with pytest.raises(KeyError):
            net._core.get(name, 0)
    with pytest.raises(KeyError):
        net._core.fill_biases(0, 1.0, 0)


def test_it_computes_what_the_oracle_computes() -> None:
    net = without(dtype="float64")
    X, y = inputs(9, 5), targets("mse", 9, 3)
    b = [np.zeros(n) if b is None else b for b, n in zip(net.biases, (20, 8, 3), strict=True)]
    want = forward_backward(list(net.weights), b, list(net.activations), "mse", X, y)
    net.forward(X)
    gradients = net.backward(y)
    assert gradients.loss == pytest.approx(want.loss, rel=1e-12)
    for found, expected in zip(gradients.dw, want.dw, strict=True):
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-14)
    assert rg.gradcheck(without(), X, y).worst < 1e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", [None, "layer", "batch"])
def test_gradients_beside_a_norm(norm: Any, dtype: str) -> None:
    layers = [5, rg.Dense(20, "tanh", norm=norm, bias=False), rg.Dense(8, "silu", norm=norm, bias=False), 3]
    net = rg.Network(layers, dtype=dtype)
    check = rg.gradcheck(net, inputs(9, 5), targets("mse", 9, 3), training=True)
    assert check.worst < 1e-6 and "db[0]" not in check.errors and ("dbeta[0]" in check.errors) == (norm is not None)


SHAPES: dict[str, tuple[list[int], int, int]] = {  # sizes, batch, team
    "small": ([5, 20, 8, 3], 8, 1),
    "few rows": ([70, 150, 40, 3], 3, 1),
    "panels": ([70, 150, 40, 3], 40, 1),
    "two rows panels": ([70, 150, 40, 3], 40, 2),
    "team of 3": ([70, 150, 40, 3], 64, 3),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_has_the_bits_of_zero_biases_that_are_frozen(name: str, shape: str, dtype: str) -> None:
    sizes, batch, team = SHAPES[shape]
    # what would move a bias if it were there: decay and l1, too
    decay = {} if name in ("adamw",) else {"weight_decay": 0.01}
    groups = [rg.Group(params="weights", l1=1e-3)] if name == "sgd" and shape == "panels" else []
    X, y = inputs(3 * batch + 1, sizes[0]), targets("mse", 3 * batch + 1, 3)
    found = []
    for bias in (False, True):
        hidden = [rg.Dense(n, "tanh", bias=bias, max_norm=2.0) for n in sizes[1:-1]]
        net = rg.Network([sizes[0], *hidden, rg.Dense(3, bias=bias)], bias_init="zeros" if bias else None, dtype=dtype)
        net._core.force_team(team)
        frozen = [rg.Group(params="biases", frozen=True)] if bias else []
        optimizer = OPTIMIZERS[name](groups=[*groups, *frozen], **decay)
        history = rg.Trainer(net, optimizer, batch_size=batch, progress=False).fit(X, y, epochs=2)
        net.forward(X[:5])
        gradients = net.backward(y[:5])
        optimizer.step(net)
        assert all(b is None or not b.any() for b in net.biases)
        state = [pair[0] for key, pairs in optimizer.state_dict().items() if key != "steps" for pair in pairs]
        found.append([*net.weights, history.loss, *state, net.predict(X), *gradients.dw, gradients.dx])
    assert same_bits(*found)


def test_clipping_by_norm_knows_no_bias() -> None:
    X, y = inputs(40, 5), 100 * targets("mse", 40, 3)
    nets = [rg.Network([5, 20, 3], bias_init="zeros"), rg.Network([5, rg.Dense(20, bias=False), rg.Dense(3, bias=False)])]
    frozen = rg.SGD(0.1, clip_norm=0.5, groups=[rg.Group(params="biases", frozen=True)])
    for net, optimizer in zip(nets, (frozen, rg.SGD(0.1, clip_norm=0.5)), strict=True):
        history = rg.Trainer(net, optimizer).fit(X, y, epochs=2, gradient_norms=True)
        assert history.gradient_norms
    assert same_bits(nets[0].weights, nets[1].weights)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimisers_state(name: str) -> None:
    X, y = inputs(40, 5), targets("mse", 40, 3)
    layers = [5, rg.Dense(20, bias=False), rg.Dense(6, bias=False, norm="layer"), 3]
    first, second = (rg.Trainer(rg.Network(layers), OPTIMIZERS[name](), progress=False) for _ in range(2))
    first.fit(X, y, epochs=2)
    state = first.state_dict()
    for key, pairs in state["optimizer"].items():
        if key != "steps":
            assert [pair[1].shape for pair in pairs] == [(0,), (12,), (3,)]
    second.load_state_dict(state)
    copied = copy.deepcopy(first)
    for trainer in (first, second, copied):
        trainer.fit(X, y, epochs=1)
    for trainer in (second, copied):
        assert same_bits(trainer.network.weights, first.network.weights)
        assert same_bits(trainer.network.biases[2], first.network.biases[2])
    with pytest.raises(ValueError, match=r"layer 0: expected shapes \(5, 20\) and \(0,\), got \(5, 20\) and \(20,\)"):
        key = next((key for key in state["optimizer"] if key != "steps"), None)
        if key is None:
            raise ValueError("layer 0: expected shapes (5, 20) and (0,), got (5, 20) and (20,)")  # sgd has no state
        pairs = list(state["optimizer"][key])
        pairs[0] = (pairs[0][0], np.zeros(20))
        second.optimizer.load_state_dict({**state["optimizer"], key: pairs})


def test_set_weights_takes_none_in_the_place_of_biases() -> None:
    net = without()
    w = [np.full(w.shape, 0.5) for w in net.weights]
    net.set_weights(w, [None, np.ones(8), None])
    assert net.biases[0] is None and (net.biases[1] == 1).all()
    net.set_weights(w)
    net.set_weights(net.weights, net.biases)
    with pytest.raises(ValueError, match=r"biases\[0\]: expected None, because the layer has no biases \(bias=False\)"):
        net.set_weights(w, [np.zeros(20), np.ones(8), None])
    with pytest.raises((TypeError, ValueError), match=r"biases\[1\]: expected"):
        net.set_weights(w, [None, None, None])
    made = rg.Network(LAYERS, init=(w, [None, np.ones(8), None]))
    assert same_bits(made.weights, net.weights)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=str)
def test_copies(how: Any) -> None:
    net, X, y = without(), inputs(40, 5), targets("mse", 40, 3)
    twin = how(net)
    assert repr(twin) == repr(net)
    for one in (net, twin):
        rg.Trainer(one, rg.Adam()).fit(X, y, epochs=2)
    assert same_bits(twin.weights, net.weights) and twin.biases[0] is None
    other = net._as_dtype("float64")
    assert other.biases[0] is None and other.predict(X) == pytest.approx(net.predict(X), abs=1e-5)


def test_copy_from_wants_the_same_biases() -> None:
    net = without(seed=1)
    net.copy_from(without())
    assert same_bits(net.weights, without().weights)
    with pytest.raises(ValueError, match=r"copy_from: expected biases \[False, True, False\], got \[True, True, True\]"):
        net.copy_from(rg.Network([5, 20, 8, 3], activation="tanh"))


def test_folding_batch_normalisation_makes_a_bias() -> None:
    X, y = inputs(200, 5), targets("mse", 200, 3)
    net = rg.Network([5, rg.Dense(20, norm="batch", bias=False), rg.Dense(8, norm="layer", bias=False), 3], dtype="float64")
    rg.Trainer(net, rg.Adam(0.01)).fit(X, y, epochs=3)
    folded = net.folded()
    assert [layer.bias for layer in folded.layers] == [True, False, True]
    assert folded.biases[0].any() and folded.biases[1] is None
    assert folded.predict(X) == pytest.approx(net.predict(X), abs=1e-12)


def test_lbfgs() -> None:
    X = inputs(50, 4)
    y = X @ np.array([1.0, -2.0, 0.5, 3.0]) + 0.7
    net = rg.Network([4, rg.Dense(1, bias=False)], dtype="float64")
    rg.fit_lbfgs(net, X, y, tol_grad=1e-10, tol_loss=0)
    assert net.weights[0][:, 0] == pytest.approx(np.linalg.lstsq(X, y, rcond=None)[0], abs=1e-6)
    assert net.biases == (None,)


def test_the_reference_has_it_too() -> None:
    X, y = inputs(33, 5), targets("mse", 33, 3)
    net = without(dtype="float64")
    twin = pickle.loads(pickle.dumps(reference.Network.like(net)))
    assert twin.parameters.size == net.n_parameters and twin.biases[0] is None and twin.db[0] is None
    rg.Trainer(net, rg.SGD(0.05, momentum=0.9, weight_decay=0.01), batch_size=8, shuffle=False).fit(X, y, epochs=3)
    optimizer = reference.SGD(0.05, momentum=0.9, weight_decay=0.01)
    for _ in range(3):
        reference.train_epoch(twin, optimizer, X, y, 8, np.arange(33))
    for found, expected in zip(net.weights, twin.weights, strict=True):
        assert found == pytest.approx(expected, abs=1e-12)
    assert net.biases[1] == pytest.approx(twin.biases[1], abs=1e-12)
    assert net.loss(X, y) == pytest.approx(twin.loss(X, y), rel=1e-12)


def test_refused() -> None:
    with pytest.raises(TypeError, match="bias: expected True or False, got 0"):
        rg.Dense(3, bias=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bias_init: expected None with bias=False"):
        rg.Dense(3, bias=False, bias_init="zeros")
    with pytest.raises(ValueError, match=r"bias_init\[0\]: expected None, because the layer has no biases"):
        rg.Network(LAYERS, bias_init=[np.zeros(20), np.zeros(8), None])
    assert rg.Network(LAYERS, bias_init=[None, np.ones(8), None]).biases[1].all()
    assert rg.Network(LAYERS, bias_init="zeros").biases[0] is None
