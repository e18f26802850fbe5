"""Attributes and arguments that are not there are refused, with a word on what was meant; what is there costs nothing."""

import abc
import copy
import inspect
import pickle
import pydoc
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs
from retrograd import _careful, _hints, reference
from retrograd.reference import SGD as REFERENCE_SGD

Call = Callable[[], Any]


def made() -> dict[str, Any]:
    """One of each kind of object that is careful."""
    net = rg.Network([4, 8, 3], loss="cross_entropy")
    trainer = rg.Trainer(net, rg.Adam())
    history = trainer.fit(inputs(20, 4), np.arange(20) % 3, epochs=1)
    net.forward(inputs(20, 4))
    found = {"Network": net, "Trainer": trainer, "History": history, "Gradients": net.backward(np.arange(20) % 3)}
    kinds = (rg.SGD, rg.Adam, rg.AdamW, rg.RMSprop, rg.Adagrad, rg.Lion)
    return found | {kind.__name__: kind(lr=0.1) for kind in kinds}


NAMES = list(made())


@pytest.mark.parametrize("kind", NAMES)
def test_an_attribute_that_is_not_there_is_refused(kind: str) -> None:
    thing = made()[kind]
    before = pickle.dumps(thing) if kind != "Gradients" else b""
    for name in ("figure", "no_such_thing", "momentumm"):
        with pytest.raises(AttributeError, match=name):
            setattr(thing, name, 1)
        with pytest.raises(AttributeError, match=name):
            getattr(thing, name)
        assert not hasattr(thing, name)
    assert kind == "Gradients" or pickle.dumps(thing) == before


@pytest.mark.parametrize("kind", NAMES)
def test_no_method_or_property_is_hidden_by_a_value(kind: str) -> None:
    thing = made()[kind]
    for name, value in inspect.getmembers_static(type(thing)):
        if name.startswith("_") or not (isinstance(value, property) or inspect.isfunction(value)):
            continue
        with pytest.raises(AttributeError, match=name):
            setattr(thing, name, 1)


HINTS = [
    (kind, name.rstrip("="), hint, name.endswith("="))
    for kind, hints in _hints.ATTRIBUTES.items()
    for name, hint in hints.items()
    if kind not in ("retrograd", "Dense", "EarlyStopping", "Callback")
]


@pytest.mark.parametrize(("kind", "name", "hint", "only_set"), HINTS)
def test_every_hint_is_given(kind: str, name: str, hint: str, only_set: bool) -> None:
    """None of them hides an attribute that is there, for reading and (where it stands so) for assigning."""
    thing = made()["SGD" if kind == "Optimizer" else kind]
    if kind == "Optimizer":
        assert not set(_hints.ATTRIBUTES["Optimizer"]) & {"alpha", "eps", "betas"}  # what only some of them have
    with pytest.raises(AttributeError, match=re.escape(hint)):
        setattr(thing, name, 1)
    if only_set:
        getattr(thing, name)
    else:
        with pytest.raises(AttributeError, match=re.escape(hint)):
            getattr(thing, name)
        assert name not in dir(thing) and name not in dir(type(thing))


def test_hints_do_not_show_in_help() -> None:
    assert "coefs_" not in pydoc.render_doc(rg.Network) and "loss_curve_" not in pydoc.render_doc(rg.Trainer)
    assert "dropout" in rg.Dense.__dataclass_fields__ and {"sizes", "predict"} <= set(dir(rg.Network([2, 1])))


def test_hints_for_other_objects() -> None:
    for thing, kind in ((rg.Dense(3), "Dense"), (rg.EarlyStopping(), "EarlyStopping"), (rg.Callback(), "Callback")):
        for name, hint in _hints.ATTRIBUTES[kind].items():
            with pytest.raises(AttributeError, match=re.escape(hint)):
                getattr(thing, name)
    with pytest.raises(AttributeError):
        rg.Dense(3).dropout = 0.5  # type: ignore[misc]
    for name, hint in _hints.ATTRIBUTES["retrograd"].items():
        if name not in ("reference", "datasets"):  # other tests have imported them
            with pytest.raises(AttributeError, match=re.escape(hint)):
                getattr(rg, name)
    with pytest.raises(AttributeError, match="did you mean 'Network'"):
        rg.Netwrok  # noqa: B018


LINES = re.findall(r"\brg\.([\w.]+)", repr(_hints.ATTRIBUTES) + repr(_hints.ARGUMENTS))


@pytest.mark.parametrize("name", sorted(set(LINES)))
def test_what_the_hints_say_exists(name: str) -> None:
    thing: Any = rg
    for part in name.rstrip(".").split("."):
        thing = getattr(thing, part)


def test_settings_may_be_set() -> None:
    net = rg.Network([4, 3])
    trainer = rg.Trainer(net, rg.SGD(0.1))
    for name, value in {"batch_size": 3, "shuffle": False, "n_threads": 1, "progress": False, "verbose": False}.items():
        setattr(trainer, name, value)
    trainer.schedule, trainer.callbacks = rg.schedules.Constant(), []
    for name in ("lr", "momentum", "weight_decay", "dampening", "clip_norm"):
        setattr(trainer.optimizer, name, 0.1)
    trainer.optimizer.groups = ()
    history = trainer.fit(inputs(6, 4), inputs(6, 3), epochs=1)
    history.loss = [1.0]
    for thing in (net, trainer, trainer.optimizer, history):
        copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))
    twin = pickle.loads(pickle.dumps(rg.RMSprop(alpha=0.5)))
    twin.alpha, twin.lr = 0.6, 0.1
    with pytest.raises(AttributeError):
        twin.rho = 0.9


def test_a_subclass_has_what_it_likes_but_hides_nothing() -> None:
    class Mine(rg.Network, abc.ABC):
        fit = "mine"

        def __init__(self) -> None:
            super().__init__([2, 1])
            self.name, self.dropout = "a", 0.5

    net = Mine()
    net.more = 1
    assert (net.name, net.dropout, net.more, net.fit) == ("a", 0.5, 1, "mine")
    with pytest.raises(AttributeError, match=re.escape('rg.Network(..., loss="mae")')):
        net.loss = "mae"

    class MyTrainer(rg.Trainer):
        def __init__(self, lr: float) -> None:
            super().__init__(rg.Network([2, 1]), rg.SGD(lr))
            self.lr = lr

    assert MyTrainer(0.5).lr == 0.5 and copy.copy(MyTrainer(0.5)).lr == 0.5

    class MyHistory(rg.History):
        pass

    mine = MyHistory()
    mine.acc = [1.0]  # type: ignore[attr-defined]
    assert mine.acc == [1.0]  # type: ignore[attr-defined]


# ---------------------------------------------------------------- callbacks


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_epoch_ended", "on_epoch_end"),
        ("on_epoch_End", "on_epoch_end"),
        ("onEpochEnd", "on_epoch_end"),
        ("on_epoch_begin", "on_epoch_end"),
        ("on_batch_end", "on_step_end"),
        ("on_train_batch_end", "on_step_end"),
        ("on_steps_end", "on_step_end"),
        ("on_fit_end", "on_train_end"),
        ("on_train_start", "on_train_begin"),
    ],
)
def test_a_method_that_would_never_be_called(name: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=rf"Mine.{name} is never called: expected on_train_begin, .*'{meant}'\?"):
        type("Mine", (rg.Callback,), {name: lambda self, trainer: None})


def test_other_methods_of_a_callback_are_its_own() -> None:
    class Mine(rg.Callback):
        on_purpose = 3

        def on_click(self) -> None: ...

        def one_step(self) -> None: ...

        def _on_epoch_ended(self) -> None: ...

        def on_epoch_end(self, trainer: rg.Trainer, history: rg.History) -> None:
            self.model = 1

    class Plain(Mine, abc.ABC): ...

    one = Plain()
    with pytest.raises(AttributeError, match=r"trainer\.network"):
        _ = one.model
    one.on_epoch_end(None, None)  # type: ignore[arg-type]
    assert one.model == 1


# ---------------------------------------------------------------- arguments


WITH_ARGUMENTS: list[Any] = [rg.SGD, rg.Adam, rg.Lion, rg.RMSprop, rg.Adagrad, rg.SWA, rg.EMA]
WITH_ARGUMENTS += [getattr(rg.schedules, name) for name in ("Step", "Exponential", "Cosine", "OneCycle", "ReduceOnPlateau")]
WITH_ARGUMENTS += [getattr(rg.losses, name) for name in ("Huber", "Quantile", "Focal")]
NEEDED: dict[Any, dict[str, Any]] = {rg.SGD: {"lr": 0.1}, rg.schedules.Step: {"every": 1}}
NEEDED |= {rg.schedules.Exponential: {"gamma": 0.5}, rg.SWA: {"from_epoch": 1}}


def test_every_hint_for_an_argument_is_given() -> None:
    net = rg.Network([4, 3])
    trainer = rg.Trainer(net, rg.SGD(0.1))
    calls: dict[str, Callable[..., Any]] = {
        "Network": lambda **more: rg.Network([4, 3], **more),
        "Dense": lambda **more: rg.Dense(3, **more),
        "Trainer": lambda **more: rg.Trainer(net, rg.SGD(0.1), **more),
        "Trainer.fit": lambda **more: trainer.fit(inputs(6, 4), inputs(6, 3), epochs=1, **more),
        "Optimizer": lambda **more: rg.RMSprop(0.1, **more),
        "EarlyStopping": lambda **more: rg.EarlyStopping(**more),
        "Schedule": lambda **more: rg.schedules.InverseScaling(**more),
        "Loss": lambda **more: rg.losses.CrossEntropy(**more),
        "Network.__call__": lambda **more: net(inputs(6, 4), **more),
        "Network.backward": lambda **more: net.backward(inputs(6, 3), **more),
        "Network.loss": lambda **more: net.loss(inputs(6, 4), inputs(6, 3), **more),
        "Trainer.evaluate": lambda **more: trainer.evaluate(inputs(6, 4), inputs(6, 3), **more),
        "Optimizer.step": lambda **more: trainer.optimizer.step(net, **more),
        "fit_lbfgs": lambda **more: rg.fit_lbfgs(net, inputs(6, 4), inputs(6, 3), **more),
        "lr_range_test": lambda **more: rg.lr_range_test(net, inputs(6, 4), inputs(6, 3), **more),
        "gradcheck": lambda **more: rg.gradcheck(net, inputs(6, 4), inputs(6, 3), **more),
    }
    calls |= {kind.__name__: partial(kind, **NEEDED.get(kind, {})) for kind in WITH_ARGUMENTS}
    assert set(calls) == set(_hints.ARGUMENTS)
    for name, hints in _hints.ARGUMENTS.items():
        for argument, hint in hints.items():
            if name in ("Optimizer", "Schedule", "Loss") and argument in _hints.ARGUMENTS.get(calls[name].__name__, {}):
                continue
            if not argument.startswith("no "):
                with pytest.raises(TypeError, match=re.escape(f"no argument {argument!r}: {hint}")):
                    calls[name](**{argument: 1})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rg.Network(784, 128, 10), "rg.Network([784, 128, 10])"),
        (lambda: rg.Network([784, 10], acctivation="relu"), "did you mean 'activation'?"),
        (lambda: rg.Network(), "expected layers: the layers are one list"),
        (lambda: rg.SGD(), "expected lr: rg.SGD(lr=0.1)"),
        (lambda: rg.SGD(0.1, nestrov=True), "did you mean 'nesterov'?"),
        (lambda: rg.Dense(), "expected units: rg.Dense(128)"),
        (lambda: rg.Trainer(rg.Network([4, 3])), "expected optimizer: rg.Trainer(net, rg.Adam())"),
        (lambda: rg.Trainer(rg.Network([4, 3]), "adam").fit([1], [1], 10), "trainer.fit(X, y, epochs=10)"),
        (lambda: rg.Trainer(rg.Network([4, 3]), "adam").fit([1], [1], ([1], [1]), epochs=1), "validation_data=(X_val, y_val)"),
        (lambda: rg.Trainer(rg.Network([4, 3]), "adam").fit([1], [1]), "expected epochs: trainer.fit(X, y, epochs=10)"),
        (lambda: rg.schedules.Step(10, gama=0.1), "did you mean 'gamma'?"),
        (lambda: rg.schedules.Step(), "expected every: rg.schedules.Step(every=10)"),
        (lambda: rg.schedules.Cosine(T_max=10), "it is length="),
        (lambda: rg.losses.Huber(beta=1.0), "it is delta="),
        (lambda: rg.Group(layer=0), "did you mean 'layers'?"),
        (lambda: rg.Initializer("normal", std=0.1), "Initializer: no argument 'std'"),
        (lambda: rg.metrics.Metric(max, taks="predictions"), "did you mean 'takes'?"),
        (lambda: rg.EarlyStopping("val_loss", 3, 0.1), "expected monitor, patience by position and all else by name"),
    ],
)
def test_calls_that_do_not_fit(call: Call, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)) as caught:
        call()
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_an_error_from_within_is_left_alone() -> None:
    """Also a TypeError of Python's, from a callback with the wrong arguments."""

    class Wrong(rg.Callback):
        def on_epoch_end(self) -> None:  # type: ignore[override]
            ...

    trainer = rg.Trainer(rg.Network([4, 3]), "adam", callbacks=[Wrong()])
    with pytest.raises(TypeError, match=r"on_epoch_end\(\) takes 1 positional argument"):
        trainer.fit(inputs(6, 4), inputs(6, 3), epochs=1)


def test_signatures_are_the_real_ones() -> None:
    for function in (rg.Network, rg.Trainer, rg.Trainer.fit, rg.Adam, rg.Dense, rg.EarlyStopping):
        kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
        assert not kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    assert list(inspect.signature(rg.SGD).parameters)[:2] == ["lr", "momentum"]
    assert "epochs" in inspect.signature(rg.Trainer.fit).parameters


# ---------------------------------------------------------------- one object for another


@pytest.mark.parametrize(
    "call",
    [
        lambda trainer: rg.gradcheck(trainer, [[1.0]], [[1.0]]),
        lambda trainer: rg.fit_lbfgs(trainer, [[1.0]], [[1.0]]),
        lambda trainer: rg.lr_range_test(trainer, [[1.0]], [[1.0]]),
        lambda trainer: rg.SGD(0.1).step(trainer),
        lambda trainer: rg.Network([1, 1]).copy_from(trainer),
        lambda trainer: rg.Trainer(trainer, "adam"),
        lambda trainer: reference.Network.like(trainer),
    ],
)
def test_a_trainer_where_a_network_is_expected(call: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"expected a Network, got Trainer; write trainer\.network"):
        call(rg.Trainer(rg.Network([1, 1]), "adam"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (rg.Network, r"got the class Network; that is the class, and rg.Network\(\[784, 128, 10\]\) a network"),
        ([784, 10], r"write rg.Network\(\[784, 10\]\)"),
        ([rg.Network([2, 1]) for _ in range(3)], "it has 3 networks, .* all with the seed 0: seed=i makes them differ"),
        ([rg.Network([2, 1], seed=i) for i in range(3)], "it has 3 networks, and each needs .* of its own$"),
        (rg.Adam(), "the network comes first"),
        (3, "got int$"),
    ],
)
def test_what_is_no_network(given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"network: expected a Network, .*{message}"):
        rg.Trainer(given, "adam")
    with pytest.raises(TypeError, match="expected a Network"):
        reference.Network.like(3)
    assert REFERENCE_SGD(0.1).lr == 0.1


def test_a_state_of_another_optimiser() -> None:
    net = rg.Network([4, 3])
    X, y = inputs(6, 4), inputs(6, 3)
    states = {}
    for kind in (rg.Adam, rg.RMSprop, rg.Adagrad, rg.Lion):
        optimizer = kind()
        rg.Trainer(copy.copy(net), optimizer).step(X, y)
        states[kind] = optimizer.state_dict()
    momentum = rg.SGD(0.1, 0.9)
    rg.Trainer(copy.copy(net), momentum).step(X, y)
    states[rg.SGD] = momentum.state_dict()  # type: ignore[index]
    for kind, state in states.items():
        for other in (rg.Adam, rg.RMSprop, rg.Adagrad, rg.Lion, rg.SGD):
            if other is kind:
                other(lr=0.1).load_state_dict(state)
                continue
            with pytest.raises(ValueError, match=rf"state: expected .*, a state of .*\b{kind.__name__}\b"):
                other(lr=0.1).load_state_dict(state)
    rg.AdamW().load_state_dict(states[rg.Adam])  # its state is the same


def test_set_own_is_python_s() -> None:
    assert _careful.set_own is object.__setattr__
