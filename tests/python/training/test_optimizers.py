"""The optimisers: against their formulas in float64 and PyTorch's; clipping, groups, state, parts of epochs."""

import copy
import functools
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import Array, inputs, interrupted_at, network, parameters, same_bits, targets
from oracle import RULES, Stepper, forward_backward
from retrograd import _core
from retrograd._data.examples import Examples

# name: ours, the formula's settings
KINDS: dict[str, tuple[Callable[..., rg.Optimizer], dict[str, Any]]] = {
    "sgd": (rg.SGD, {"lr": 0.05}),
    "momentum": (rg.SGD, {"lr": 0.05, "momentum": 0.9}),
    "momentum_decay": (rg.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    "nesterov": (rg.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "dampening": (rg.SGD, {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    "adam": (rg.Adam, {"lr": 0.01}),
    "adam_decay": (rg.Adam, {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.02}),
    "amsgrad": (rg.Adam, {"lr": 0.01, "betas": (0.5, 0.6), "amsgrad": True}),
    "adamw": (rg.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "rmsprop": (rg.RMSprop, {"lr": 0.003}),
    "rmsprop_all": (rg.RMSprop, {"lr": 0.003, "alpha": 0.9, "weight_decay": 0.01, "momentum": 0.5, "centered": True}),
    "centered": (rg.RMSprop, {"lr": 0.003, "centered": True}),
    "adagrad": (rg.Adagrad, {"lr": 0.05}),
    "adagrad_all": (
        rg.Adagrad,
        {"lr": 0.05, "lr_decay": 0.05, "weight_decay": 0.01, "initial_accumulator_value": 0.1, "eps": 1e-8},
    ),
    "lion": (rg.Lion, {"lr": 0.001, "weight_decay": 0.1}),
}
# layers and rows of a batch: few rows, a small network, ordinary, a first layer read in place, several blocks of a reduction
SHAPES = {
    "few": ([5, 70, 40, 3], 3),
    "small": ([8, 40, 4], 8),
    "plain": ([13, 40, 21, 4], 24),
    "rows": ([20, 130, 17], 15),
    "large": ([300, 150, 10], 300),
}
STEPS = 100


def of_kind(kind: str, **others: Any) -> rg.Optimizer:
    """A new optimiser."""
    rule, settings = KINDS[kind]
    return rule(**settings | others)


def data(sizes: list[int], batch: int, steps: int = STEPS) -> tuple[Array, Array]:
    """As many rows as the steps take; the last step's batch is smaller. Read-only, as many tests share them."""
    rows = batch * steps - (batch > 1)
    return shared(inputs, rows, sizes[0]), shared(targets, "mse", rows, sizes[-1])


@functools.cache
def shared(make: Callable[..., Array], *arguments: Any) -> Array:
    """What it makes of these arguments, made once."""
    array = make(*arguments)
    array.flags.writeable = False
    return array


def trained(
    sizes: list[int], batch: int, optimizer: rg.Optimizer, *, team: int = 0, steps: int = STEPS, **options: Any
) -> rg.Network:
    """A network after so many steps in one epoch, in the order of the rows."""
    net = network(sizes, activation="tanh", init="glorot", **options)
    net._core.force_team(team)
    trainer = rg.Trainer(net, optimizer, batch_size=batch, shuffle=False, advice=False)  # on noise
    trainer.fit(*data(sizes, batch, steps), epochs=1)
    if team:
        assert trainer._core.team() == team
    return net


def by_formula(sizes: list[int], batch: int, kind: str, steps: int = STEPS, **others: Any) -> list[Array]:
    """The parameters that the formulas lead to."""
    return run_formula(tuple(sizes), batch, kind, steps, **others)


@functools.cache
def run_formula(sizes: tuple[int, ...], batch: int, kind: str, steps: int, **others: Any) -> list[Array]:
    """The same, once for all tests that ask for it."""
    net = network(sizes, activation="tanh", init="glorot", dtype="float64")
    X, y = data([*sizes], batch, steps)
    stepper = Stepper(RULES[KINDS[kind][0].__name__], parameters(net), **KINDS[kind][1] | others)
    depth = len(sizes) - 1
    for start in range(0, len(X), batch):
        p = stepper.parameters
        rows = slice(start, start + batch)
        found = forward_backward(p[:depth], p[depth:], net.activations, "mse", X[rows], y[rows])
        stepper.step([*found.dw, *found.db])
    return stepper.parameters


def furthest(found: list[Array], expected: list[Array]) -> float:
    """The largest distance between any two numbers."""
    return max(float(np.abs(f - e).max()) for f, e in zip(found, expected, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_steps_are_those_of_the_formula(kind: str, shape: str) -> None:
    sizes, batch = SHAPES[shape]
    steps = 20 if shape == "large" else STEPS
    net = trained(sizes, batch, of_kind(kind), dtype="float64", steps=steps)
    if kind == "lion":  # a sign may turn where its argument is a rounding error
        assert furthest(parameters(net), by_formula(sizes, batch, kind, steps)) < 1e-9
    else:
        assert furthest(parameters(net), by_formula(sizes, batch, kind, steps)) < 1e-10


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"lion"}))
def test_a_hundred_steps_are_those_of_pytorch(kind: str) -> None:
    torch = pytest.importorskip("torch")
    for sizes, batch in SHAPES.values():
        steps = 20 if batch == 300 else STEPS
        net = network(sizes, activation="tanh", init="glorot", dtype="float64")
        layers: list[Any] = []
        for w, b in zip(net.weights, net.biases, strict=True):
            layer = torch.nn.Linear(*w.shape, dtype=torch.float64)
            layer.weight.data, layer.bias.data = torch.tensor(w.T.copy()), torch.tensor(b.copy())
            layers += [layer, torch.nn.Tanh()]
        model = torch.nn.Sequential(*layers[:-1])
        rule, settings = KINDS[kind]
        theirs = getattr(torch.optim, rule.__name__)(model.parameters(), **settings)
        X, y = map(torch.tensor, data(sizes, batch, steps))
        for start in range(0, len(X), batch):
            theirs.zero_grad()
            torch.nn.functional.mse_loss(model(X[start : start + batch]), y[start : start + batch]).backward()
            theirs.step()
        expected = [layer.weight.detach().numpy().T for layer in layers[::2]]
        expected += [layer.bias.detach().numpy() for layer in layers[::2]]
        found = parameters(trained(sizes, batch, of_kind(kind), dtype="float64", steps=steps))
        assert furthest(found, expected) < 1e-10, (sizes, batch)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_in_float32_is_that_of_the_formula_with_the_same_gradients(kind: str) -> None:
    net, optimizer = network([13, 40, 4], activation="tanh"), of_kind(kind)
    X, y = inputs(30, 13).astype(np.float32), targets("mse", 30, 4)
    stepper = Stepper(RULES[KINDS[kind][0].__name__], [p.astype(np.float64) for p in parameters(net)], **KINDS[kind][1])
    for _ in range(50):
        net.forward(X)
        found = net.backward(y)
        stepper.parameters = [p.astype(np.float64) for p in parameters(net)]
        stepper.step([g.astype(np.float64) for g in (*found.dw, *found.db)])
        optimizer.step(net)
        assert furthest(parameters(net), stepper.parameters) < 1e-6
    assert optimizer.steps == 50


CLIPPED = {
    "clip_norm": {"clip_norm": 0.05},
    "clip_value": {"clip_value": 0.004},
    "both": {"clip_norm": 0.3, "clip_value": 0.01},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [*KINDS, *CLIPPED])
def test_any_team_and_the_stages_by_hand_give_the_same_bits(kind: str, dtype: str) -> None:
    def new() -> rg.Optimizer:
        return of_kind("adam", **CLIPPED[kind]) if kind in CLIPPED else of_kind(kind)

    for sizes, batch in SHAPES.values():
        one, optimizer = (alone := trained(sizes, batch, used := new(), team=1, steps=7, dtype=dtype)), new()
        for team in (2, 3, 4):
            again = new()
            assert same_bits(parameters(one), parameters(trained(sizes, batch, again, team=team, steps=7, dtype=dtype))), team
            assert same_state(again.state_dict(), used.state_dict())
        by_hand = network(sizes, activation="tanh", init="glorot", dtype=dtype)
        X, y = data(sizes, batch, 7)
        for start in range(0, len(X), batch):
            by_hand.forward(X[start : start + batch])
            by_hand.backward(y[start : start + batch])
            optimizer.step(by_hand)
        assert same_bits(parameters(by_hand), parameters(alone)), sizes
        assert same_state(optimizer.state_dict(), used.state_dict())


def same_state(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two states are the same to the last bit."""
    flat = [[array for pair in state[name] for array in pair] for state in (one, other) for name in state if name != "steps"]
    half = len(flat) // 2
    return list(one) == list(other) and one["steps"] == other["steps"] and all(map(same_bits, flat[:half], flat[half:]))


# ---------------------------------------------------------------------------------------------- clipping


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("clipped", CLIPPED)
@pytest.mark.parametrize("kind", KINDS)
def test_clipped_gradients_are_those_of_the_formula(kind: str, clipped: str, shape: str) -> None:
    sizes, batch = SHAPES[shape]
    options = CLIPPED[clipped]
    found = parameters(trained(sizes, batch, of_kind(kind, **options), dtype="float64", steps=20))
    assert furthest(found, by_formula(sizes, batch, kind, 20, **options)) < 1e-10
    assert furthest(found, by_formula(sizes, batch, kind, 20)) > 1e-6  # it did clip


def test_a_limit_above_every_gradient_changes_no_bit() -> None:
    for kind in ("sgd", "momentum", "adam"):
        plain = parameters(trained([13, 40, 4], 24, of_kind(kind), steps=9))
        for limit in ("clip_norm", "clip_value"):
            assert same_bits(parameters(trained([13, 40, 4], 24, of_kind(kind, **{limit: 1e9}), steps=9)), plain)


def test_frozen_gradients_are_not_in_the_norm() -> None:
    for sizes, batch in SHAPES.values():
        X, y = data(sizes, batch, 1)
        for params in ("weights", "biases"):
            optimizers = [rg.SGD(1.0, clip_norm=1e-2, groups=[rg.Group(params=params, frozen=True)]) for _ in range(3)]  # type: ignore[arg-type]
            nets = [network(sizes, activation="tanh", init="glorot", dtype="float64") for _ in range(3)]
            before = parameters(nets[0])
            trainers = [rg.Trainer(n, o, batch_size=len(X)) for n, o in zip(nets, optimizers, strict=True)]
            trainers[0].fit(X, y, epochs=1)
            trainers[1].step(X, y)
            nets[2].forward(X)
            nets[2].backward(y)
            optimizers[2].step(nets[2])
            for net in nets:
                moved = sum(((p - q) ** 2).sum() for p, q in zip(parameters(net), before, strict=True)) ** 0.5
                assert moved == pytest.approx(1e-2, rel=1e-3), (sizes, params)


# ---------------------------------------------------------------------------------------------- groups


def test_frozen_parameters_stay_and_the_others_learn_as_if_alone() -> None:
    for shape in ("few", "small", "plain", "rows"):
        sizes, batch = SHAPES[shape]
        depth = len(sizes) - 1
        for frozen in (rg.Group(0, frozen=True), rg.Group(params="biases", frozen=True), rg.Group(-1, "weights", frozen=True)):
            for team in (1, 3):
                net = trained(sizes, batch, of_kind("adam", groups=[frozen]), dtype="float64", steps=5, team=team)
                start = parameters(network(sizes, activation="tanh", init="glorot", dtype="float64"))
                held = [
                    (frozen.layers is None or i % depth == frozen.layers[0] % depth)  # type: ignore[index]
                    and frozen.params in ("all", "weights" if i < depth else "biases")
                    for i in range(2 * depth)
                ]
                for now, then, is_held in zip(parameters(net), start, held, strict=True):
                    assert np.array_equal(now, then) == is_held


def test_groups_have_their_own_rate_and_decay() -> None:
    groups = [
        rg.Group(lr_factor=0.5, weight_decay=0.0),
        rg.Group([0, 1], "weights", lr_factor=2.0, weight_decay=0.05),
        rg.Group(-1, "biases"),  # the last one counts: as if there were no group
    ]
    sizes, batch = SHAPES["plain"]
    depth = len(sizes) - 1
    factors = [2.0, 2.0, 0.5, 0.5, 0.5, 1.0]
    decays = [0.05, 0.05, 0.0, 0.0, 0.0, 0.01]
    for kind in ("momentum", "adamw", "lion"):
        found = parameters(trained(sizes, batch, of_kind(kind, groups=groups, weight_decay=0.01), dtype="float64"))
        net = network(sizes, activation="tanh", init="glorot", dtype="float64")
        X, y = data(sizes, batch)
        rule, settings = KINDS[kind]
        steppers = [
            Stepper(RULES[rule.__name__], [p], **settings | {"lr": settings["lr"] * factor, "weight_decay": decay})
            for p, factor, decay in zip(parameters(net), factors, decays, strict=True)
        ]
        for start in range(0, len(X), batch):
            p = [s.parameters[0] for s in steppers]
            rows = slice(start, start + batch)
            gradients = forward_backward(p[:depth], p[depth:], net.activations, "mse", X[rows], y[rows])
            for s, g in zip(steppers, [*gradients.dw, *gradients.db], strict=True):
                s.step([g])
        assert furthest(found, [s.parameters[0] for s in steppers]) < 1e-9


def test_l1_draws_weights_to_zero_by_its_own_gradient() -> None:
    for shape in ("few", "small", "plain"):
        sizes, batch = SHAPES[shape]
        depth = len(sizes) - 1
        groups = [rg.Group(0, "weights", l1=0.01)]
        for kind in ("sgd", "momentum", "adam", "lion"):
            found = parameters(trained(sizes, batch, of_kind(kind, groups=groups), dtype="float64", steps=20))
            net = network(sizes, activation="tanh", init="glorot", dtype="float64")
            X, y = data(sizes, batch, 20)
            stepper = Stepper(RULES[KINDS[kind][0].__name__], parameters(net), **KINDS[kind][1])
            for start in range(0, len(X), batch):
                p, rows = stepper.parameters, slice(start, start + batch)
                gradients = forward_backward(p[:depth], p[depth:], net.activations, "mse", X[rows], y[rows])
                gradients.dw[0] += 0.01 * np.sign(p[0])
                stepper.step([*gradients.dw, *gradients.db])
            assert furthest(found, stepper.parameters) < 1e-10


def test_groups_may_change_between_calls() -> None:
    X, y = inputs(20, 5), inputs(20, 2)
    net, twin = network([5, 9, 2]), network([5, 9, 2])
    optimizer, other = rg.Adam(0.01, groups=[rg.Group(1, frozen=True)]), rg.Adam(0.01, groups=[rg.Group(1, frozen=True)])
    trainer = rg.Trainer(net, optimizer)
    trainer.step(X, y)
    assert same_bits([net.weights[1], net.biases[1]], [twin.weights[1], twin.biases[1]])
    optimizer.groups = ()
    trainer.step(X, y)
    assert not np.array_equal(net.weights[1], twin.weights[1])
    second = rg.Trainer(twin, other)
    second.step(X, y)
    second.step(X, y)
    assert not np.array_equal(net.weights[1], twin.weights[1])


# ---------------------------------------------------------------------------------------------- state


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_from_a_saved_state_to_the_last_bit(kind: str, dtype: str) -> None:
    sizes, batch = SHAPES["small"]
    X, y = data(sizes, batch, 10)
    optimizer = of_kind(kind)
    net = network(sizes, activation="tanh", init="glorot", dtype=dtype)
    trainer = rg.Trainer(net, optimizer, batch_size=batch, shuffle=False)
    assert optimizer.state_dict() == {"steps": 0}
    trainer.fit(X, y, epochs=1)
    saved, twin = optimizer.state_dict(), copy.copy(net)
    assert saved["steps"] == optimizer.steps == 10
    copies = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer)), of_kind(kind), of_kind(kind)]
    copies[2].load_state_dict(saved)
    copies[3]._bind(copy.copy(net))
    copies[3].load_state_dict(saved)
    assert same_state(copies[3].state_dict(), saved)
    trainer.fit(X, y, epochs=1)
    for again in copies[:3]:
        assert repr(again) == repr(optimizer)
        assert same_state(again.state_dict(), saved)
        other = copy.copy(twin)
        rg.Trainer(other, again, batch_size=batch, shuffle=False).fit(X, y, epochs=1)
        assert same_bits(parameters(other), parameters(net))
        assert same_state(again.state_dict(), optimizer.state_dict())


def test_the_state_has_pytorchs_names_and_shapes() -> None:
    names = {
        "sgd": [],
        "momentum": ["momentum_buffer"],
        "adam": ["exp_avg", "exp_avg_sq"],
        "amsgrad": ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
        "rmsprop": ["square_avg"],
        "centered": ["square_avg", "grad_avg"],
        "rmsprop_all": ["square_avg", "momentum_buffer", "grad_avg"],
        "adagrad": ["sum"],
        "lion": ["exp_avg"],
    }
    for kind, expected in names.items():
        optimizer = of_kind(kind)
        trained([13, 40, 4], 24, optimizer, steps=2)
        state = optimizer.state_dict()
        assert list(state) == ["steps", *expected]
        for name in expected:
            assert [(w.shape, b.shape) for w, b in state[name]] == [((13, 40), (40,)), ((40, 4), (4,))]
    optimizer = of_kind("momentum_decay")
    net = network([3, 2])
    net.forward(np.ones((4, 3)))
    found = net.backward(np.zeros((4, 2)))
    optimizer.step(net)  # v = g + weight decay of the old weights
    np.testing.assert_allclose(
        optimizer.state_dict()["momentum_buffer"][0][0], found.dw[0] + 0.01 * network([3, 2]).weights[0], rtol=1e-6
    )


def test_a_state_that_does_not_fit_is_refused_and_nothing_is_lost() -> None:
    optimizer = of_kind("adam")
    trained([13, 40, 4], 24, optimizer, steps=2)
    before = optimizer.state_dict()
    other = of_kind("adam")
    trained([13, 41, 4], 24, other, steps=2)
    nan = copy.deepcopy(before)
    nan["exp_avg"][1][1][2] = np.nan
    for state, error, message in (
        (other.state_dict(), ValueError, r"exp_avg, layer 0: expected shapes \(13, 40\) and \(40,\), got \(13, 41\)"),
        (before | {"sum": before["exp_avg"]}, ValueError, "state: expected steps and some of exp_avg, exp_avg_sq"),
        ({"exp_avg": before["exp_avg"]}, ValueError, "state: expected steps"),
        (before | {"exp_avg": before["exp_avg"][:1]}, ValueError, "expected a pair of arrays for each of 2 layers, got 1"),
        (before | {"steps": -1}, ValueError, "steps: expected at least 0, got -1"),
        (nan, ValueError, "exp_avg: expected finite numbers"),
        ([1], TypeError, "state: expected a dict, got list"),
    ):
        with pytest.raises(error, match=message):
            optimizer.load_state_dict(state)  # type: ignore[arg-type]
        assert same_state(optimizer.state_dict(), before)
    later = of_kind("adam")
    later.load_state_dict(other.state_dict())  # its network is not known yet ...
    with pytest.raises(ValueError, match="layer 0"):
        rg.Trainer(network([13, 40, 4]), later)  # ... and here it is
    rg.Trainer(network([13, 41, 4]), later)


def test_a_setting_that_needs_more_state_keeps_what_there_is() -> None:
    optimizer = rg.RMSprop(0.001, centered=True)
    net = network([13, 40, 4], dtype="float64")
    trainer = rg.Trainer(net, optimizer, batch_size=24)
    X, y = inputs(48, 13), inputs(48, 4)
    trainer.fit(X, y, epochs=1)
    before = optimizer.state_dict()
    optimizer.momentum = 0.9
    net.forward(X)
    net.backward(y)
    optimizer.lr = 0.0
    optimizer.step(net)
    after = optimizer.state_dict()
    assert list(after) == ["steps", "square_avg", "momentum_buffer", "grad_avg"]
    assert after["steps"] == before["steps"] + 1
    for (now, _), (then, _) in zip(after["square_avg"], before["square_avg"], strict=True):
        assert (then > 0).any()
        assert (now >= 0.98 * then).all()  # alpha is 0.99
    optimizer.load_state_dict(before | {"momentum_buffer": after["momentum_buffer"]})
    assert same_bits(optimizer.state_dict()["grad_avg"][0], before["grad_avg"][0])


def test_divergence_leaves_the_optimiser_as_new() -> None:
    for kind in ("momentum", "adam", "adagrad_all"):
        optimizer = of_kind(kind)
        net = network([5, 9, 2])
        trainer = rg.Trainer(net, optimizer, batch_size=4)
        X, y = inputs(20, 5), inputs(20, 2)
        trainer.fit(X, y, epochs=1)
        with pytest.raises(rg.DivergenceError):
            trainer.fit(X, np.full((20, 2), 3e38), epochs=1)
        assert optimizer.steps == 0
        twin, fresh = copy.copy(net), of_kind(kind)
        trainer.shuffle = False
        trainer.fit(X, y, epochs=1)
        rg.Trainer(twin, fresh, batch_size=4, shuffle=False).fit(X, y, epochs=1)
        assert same_bits(parameters(net), parameters(twin))


# ---------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: rg.Adam(-1), ValueError, "lr: expected a finite number from 0, got -1"),
        (lambda: rg.Adam("1"), TypeError, "lr: expected a number, got '1'"),
        (lambda: rg.Adam(betas=0.9), TypeError, "betas: expected a pair of numbers, got 0.9"),
        (lambda: rg.Adam(betas=(0.9, 1.0)), ValueError, "betas: expected a finite number from 0 to below 1, got 1.0"),
        (lambda: rg.Adam(eps=0), ValueError, "eps: expected a finite number from 1e-30, got 0"),
        (lambda: rg.Adam(amsgrad=1), TypeError, "amsgrad: expected True or False, got 1"),
        (lambda: rg.RMSprop(alpha=1.0), ValueError, "alpha: expected a finite number from 0 to below 1, got 1.0"),
        (lambda: rg.RMSprop(momentum=-0.1), ValueError, "momentum: expected"),
        (lambda: rg.RMSprop(centered=None), TypeError, "centered: expected True or False, got None"),
        (lambda: rg.Adagrad(lr_decay=-1), ValueError, "lr_decay: expected"),
        (lambda: rg.Adagrad(initial_accumulator_value=np.inf), ValueError, "initial_accumulator_value: expected"),
        (lambda: rg.Lion(betas=(0.9,)), TypeError, "betas: expected a pair"),
        (lambda: rg.SGD(0.1, dampening=1.0), ValueError, "dampening: expected"),
        (lambda: rg.SGD(0.1, 0.9, True, dampening=0.1), ValueError, "nesterov: expected dampening 0, got 0.1"),
        (lambda: rg.SGD(0.1, clip_norm=0), ValueError, "clip_norm: expected a finite number above 0, got 0"),
        (lambda: rg.SGD(0.1, clip_value=-1), ValueError, "clip_value: expected"),
        (lambda: rg.SGD(0.1, groups=rg.Group(0)), TypeError, "groups: expected a sequence of Group, got Group"),
        (lambda: rg.SGD(0.1, groups=[{"frozen": True}]), TypeError, "groups: expected a sequence of Group"),
        (lambda: rg.Group("0"), TypeError, "layers: expected the number of a layer or several, got '0'"),
        (lambda: rg.Group([0.5]), TypeError, "layers: expected an integer, got 0.5"),
        (lambda: rg.Group(params="bias"), ValueError, "params: expected one of all, weights, biases, got 'bias'"),
        (lambda: rg.Group(lr_factor=-1), ValueError, "lr_factor: expected"),
        (lambda: rg.Group(weight_decay=np.nan), ValueError, "weight_decay: expected"),
        (lambda: rg.Group(l1=-1), ValueError, "l1: expected"),
        (lambda: rg.Group(frozen=1), TypeError, "frozen: expected True or False, got 1"),
        (lambda: rg.SGD(0.1, groups=[rg.Group(2)])._bind(rg.Network([3, 4, 2])), ValueError, "numbers from -2 to 1, got 2"),
        (lambda: rg.Adam().step(3), TypeError, "expected a Network, got int"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_setting_is_checked_when_it_is_used_next_and_then_counts() -> None:
    net, twin = network([5, 9, 2]), network([5, 9, 2])
    X, y = inputs(20, 5).astype(np.float32), inputs(20, 2).astype(np.float32)
    optimizer = rg.Adam(0.01)
    trainer = rg.Trainer(net, optimizer, batch_size=20)
    for name, bad, good in (("lr", -1, 0.02), ("betas", (0.9, 2), (0.5, 0.6)), ("clip_norm", 0, 0.1), ("amsgrad", 2, True)):
        before = parameters(net)
        setattr(optimizer, name, bad)
        for use in (lambda: trainer.step(X, y), lambda: trainer.fit(X, y, epochs=1), lambda: optimizer.step(net)):
            with pytest.raises((ValueError, TypeError), match=name):
                use()
        assert same_bits(parameters(net), before)
        setattr(optimizer, name, good)
    trainer.step(X, y)
    rg.Trainer(twin, rg.Adam(0.02, (0.5, 0.6), amsgrad=True, clip_norm=0.1)).step(X, y)
    assert same_bits(parameters(net), parameters(twin))


def test_repr_is_what_one_would_write() -> None:
    assert repr(rg.Adam(0.01)) == "Adam(lr=0.01, betas=(0.9, 0.999), eps=1e-08, amsgrad=False, weight_decay=0.0)"
    text = repr(rg.Lion(clip_norm=1.0, groups=[rg.Group(0, frozen=True)]))
    assert text.startswith("Lion(lr=0.0001, betas=(0.9, 0.99), weight_decay=0.0, clip_norm=1.0, groups=[Group(layers=(0,)")


# ---------------------------------------------------------------------------------------------- parts of an epoch


def core_epoch(trainer: rg.Trainer, X: Array, y: Array, **others: Any) -> Any:
    """An epoch, or a part of one, by the trainer's own way to the core."""
    options = trainer._options(trainer.batch_size)
    for name, value in others.items():
        setattr(options, name, value)
    return trainer._epoch(Examples(X, y), options)


@pytest.mark.parametrize("team", [1, 2, 3])
@pytest.mark.parametrize("kind", ["momentum", "adam"])
def test_an_epoch_in_parts_is_the_whole_and_takes_the_rate_of_each_step(kind: str, team: int) -> None:
    X, y = inputs(16 * 11 + 5, 13).astype(np.float32), targets("mse", 16 * 11 + 5, 4).astype(np.float32)
    rates = np.linspace(0.001, 0.02, 12)

    def new() -> tuple[rg.Network, rg.Optimizer, rg.Trainer]:
        net, optimizer = network([13, 40, 4]), of_kind(kind)
        net._core.force_team(team)
        trainer = rg.Trainer(net, optimizer, batch_size=16)
        trainer.epochs_done = 1
        return net, optimizer, trainer

    whole, parts, by_hand = new(), new(), new()
    all_of_it = core_epoch(whole[2], X, y, shuffle=True, lr=rates)
    assert all_of_it.weight == len(X)
    found = [
        core_epoch(parts[2], X, y, shuffle=True, lr=rates, first=first, last=last)
        for first, last in ((0, 1), (1, 5), (5, 5), (5, -1))
    ]
    assert [part.weight for part in found] == [16, 64, 0, 16 * 6 + 5]
    assert sum(part.loss for part in found) == pytest.approx(all_of_it.loss, rel=1e-12)
    assert same_bits(parameters(whole[0]), parameters(parts[0]))
    order = _core.permutation(0, 1, len(X))
    for step, rate in enumerate(rates):
        rows = order[16 * step : 16 * (step + 1)]
        by_hand[1].lr = rate
        by_hand[2].step(X[rows], y[rows])
    assert same_bits(parameters(whole[0]), parameters(by_hand[0]))


def test_a_later_part_that_diverges_goes_back_to_the_start_of_the_epoch() -> None:
    net, optimizer = network([13, 40, 4]), rg.Adam(0.01)
    trainer = rg.Trainer(net, optimizer, batch_size=16, shuffle=False)
    X, y = inputs(64, 13).astype(np.float32), targets("mse", 64, 4).astype(np.float32)
    y[40] = 3e38
    before = parameters(net)
    for first in (0, 1):
        assert not core_epoch(trainer, X, y, first=first, last=first + 1).diverged
    assert not same_bits(parameters(net), before)
    part = core_epoch(trainer, X, y, first=2)
    assert part.diverged
    assert part.bad_step == 3
    assert same_bits(parameters(net), before)
    assert optimizer.steps == 0


def test_norms_of_the_gradients_are_measured_without_a_change_of_bits() -> None:
    for shape, (sizes, batch) in SHAPES.items():
        X, y = data(sizes, batch, 3)
        found = []
        for team in (1, 3):
            net, twin = (network(sizes, activation="tanh", init="glorot", dtype="float64") for _ in range(2))
            net._core.force_team(team)
            trainer, other = (rg.Trainer(n, rg.SGD(0.01, 0.9), batch_size=batch, shuffle=False) for n in (net, twin))
            core_epoch(trainer, X, y, gradient_norms=True)
            core_epoch(other, X, y)
            assert other._core.gradient_norms() == []
            assert same_bits(parameters(net), parameters(twin)), shape
            found.append(trainer._core.gradient_norms())
        assert found[0] == found[1]
        expected = np.zeros(len(sizes) - 1)
        net, sgd = network(sizes, activation="tanh", init="glorot", dtype="float64"), rg.SGD(0.01, 0.9)
        for start in range(0, len(X), batch):
            net.forward(X[start : start + batch])
            gradients = net.backward(y[start : start + batch])
            expected += [
                np.hypot(np.linalg.norm(w), np.linalg.norm(b)) for w, b in zip(gradients.dw, gradients.db, strict=True)
            ]
            sgd.step(net)
        np.testing.assert_allclose(found[0], expected, rtol=1e-12)


def test_parts_that_make_no_sense_are_refused() -> None:
    net, optimizer = network([5, 2]), rg.SGD(0.1)
    trainer = rg.Trainer(net, optimizer, batch_size=16)
    X, y = inputs(40, 5).astype(np.float32), inputs(40, 2).astype(np.float32)
    for options, message in (
        ({"lr": np.ones(2)}, r"lr: expected one for each of 3 steps, got \(2\)"),
        ({"first": 3}, "no such steps"),
        ({"first": -1}, "no such steps"),
        ({"first": 2, "last": 1}, "no such steps"),
    ):
        with pytest.raises(ValueError, match=message):
            core_epoch(trainer, X, y, **options)


def test_ctrl_c_while_a_setting_changes_leaves_what_is_shown() -> None:
    net = network([3, 4, 2])
    X, y = inputs(6, 3), inputs(6, 2)
    optimizer = rg.SGD(0.5)
    trainer = rg.Trainer(net, optimizer)
    for n in range(1, 1000):
        optimizer.lr = 0.5
        trainer.step(X, y)
        interrupted = interrupted_at(n, lambda: setattr(optimizer, "lr", 0.0), "optimizers.py")
        before = parameters(net)
        trainer.step(X, y)
        assert same_bits(parameters(net), before) == (optimizer.lr == 0), n
        if not interrupted:
            break
    assert n > 5


def test_settings_that_are_sequences_cannot_change_unseen() -> None:
    groups, betas = [rg.Group(0, frozen=True)], [0.5, 0.9]
    optimizer = rg.Adam(0.1, betas=betas, groups=groups)  # type: ignore[arg-type]
    groups.append(rg.Group(1, frozen=True))
    betas[0] = 5.0
    assert optimizer.groups == (rg.Group(0, frozen=True),) and optimizer.betas == (0.5, 0.9)
    optimizer.groups = groups
    assert optimizer.groups == tuple(groups)


def test_a_state_without_a_network_is_a_copy_too() -> None:
    optimizer = of_kind("momentum")
    trained([13, 40, 4], 24, optimizer, steps=2)
    given = optimizer.state_dict()
    free = of_kind("momentum")
    free.load_state_dict(given)
    given["momentum_buffer"][0][0][:] = 7
    found = free.state_dict()
    assert same_state(found, optimizer.state_dict())
    found["momentum_buffer"][0][0][:] = 7
    assert same_state(free.state_dict(), optimizer.state_dict())
