"""What hints say is true: each argument and attribute that they name exists where they are shown.

Whether each hint is given at all is in test_careful.py.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import retrograd as rg
from retrograd import _hints, losses, optimizers, schedules
from retrograd.solvers import lbfgs

KINDS: list[Any] = [rg.Network, rg.Dense, rg.Trainer, rg.EarlyStopping, rg.EMA, rg.SWA, rg.Group, *optimizers._RULES.values()]
KINDS += [getattr(module, name) for module in (schedules, losses) for name in module.__all__]
CALLS: dict[str, Callable[..., Any]] = {
    "Network.__call__": rg.Network.__call__,
    "Network.backward": rg.Network.backward,
    "Network.loss": rg.Network.loss,
    "Trainer.fit": rg.Trainer.fit,
    "Trainer.evaluate": rg.Trainer.evaluate,
    "Optimizer.step": rg.Optimizer.step,
    "fit_lbfgs": lbfgs.fit_lbfgs,
    "lr_range_test": rg.lr_range_test,
    "gradcheck": rg.gradcheck,
}
OBJECTS = {  # what the lines of hints call methods of
    "trainer": rg.Trainer,
    "net": rg.Network,
    "optimizer": rg.Optimizer,
    "history": rg.History,
    "rg": rg,
}


def shown_by(table: dict[str, dict[str, str]], kind: type) -> dict[str, str]:
    """The hints that a class gives: its own before those of the classes above it."""
    return {key: hint for cls in reversed(kind.__mro__) for key, hint in table.get(cls.__name__, {}).items()}


def calls_in(text: str) -> Iterator[ast.Call]:
    """The calls of a line of Python anywhere in a text."""
    for start in re.finditer(r"(?<![\w.])(rg|trainer|net|optimizer|history)\.", text):
        for end in range(len(text), start.start(), -1):
            if text[end - 1] != ")":
                continue
            try:
                tree = ast.parse(text[start.start() : end], mode="eval")
            except SyntaxError:
                continue
            yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))
            break


def target_of(call: ast.Call) -> Any:
    """The function that a call in a hint means; None where that is not one of the package's."""
    names: list[str] = []
    node: ast.expr = call.func
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Call):
        thing = target_of(node)
    elif isinstance(node, ast.Name) and node.id in OBJECTS:
        thing = OBJECTS[node.id]
    else:
        return None
    for name in names:
        found = getattr(thing, name, None)
        if found is None:
            return None
        thing = found
    return thing if callable(thing) else None


def check_lines(text: str) -> None:
    for call in calls_in(text):
        target = target_of(call)
        if target is None or getattr(target, "__module__", "numpy").split(".")[0] != "retrograd":
            continue
        known = inspect.signature(target).parameters
        for keyword in call.keywords:
            assert keyword.arg in known, (text, keyword.arg)


def arguments_in(hint: str) -> list[str]:
    """What a hint says is an argument of what was called: not those within a call, nor those of something else."""
    if "belongs to" in hint:
        return []
    while "(" in hint:
        shorter = re.sub(r"\([^()]*\)", "", hint)
        if shorter == hint:
            break
        hint = shorter
    return re.findall(r"(?<!has )(?<!have )(?<!there write )\b(\w+)=(?! of fit)", hint)


SHOWN = [(kind, key, hint) for kind in KINDS for key, hint in shown_by(_hints.ARGUMENTS, kind).items()]
SHOWN += [(CALLS[name], key, hint) for name in CALLS for key, hint in _hints.ARGUMENTS[name].items()]


@pytest.mark.parametrize(("called", "key", "hint"), SHOWN)
def test_an_argument_that_a_hint_names_is_there(called: Any, key: str, hint: str) -> None:
    known = inspect.signature(called).parameters
    for name in arguments_in(hint):
        assert name in known, (called, key, hint)
    assert key.startswith("no ") or key not in known, "a hint hides an argument that is there"


TABLES = (_hints.ATTRIBUTES, _hints.ARGUMENTS, _hints.MODULES)
ALL = {hint for table in TABLES for hints in table.values() for hint in hints.values()}


@pytest.mark.parametrize("hint", sorted(ALL))
def test_the_lines_that_hints_write_fit_the_signatures(hint: str) -> None:
    check_lines(hint)


def test_the_check_of_lines_finds_what_is_wrong() -> None:
    check_lines("write rg.Trainer(net, rg.Adam(lr=1e-3)).fit(X, y, epochs=10), say")
    for wrong in ("rg.SGD(lr=0.1, betas=1)", "x: rg.Trainer(net, rg.Adam(q=1))", "trainer.fit(lr=1)", "rg.Trainer().fit(q=1)"):
        with pytest.raises(AssertionError):
            check_lines(wrong)
    assert arguments_in("it is clip_norm= or clip_value=") == ["clip_norm", "clip_value"]


@pytest.mark.parametrize("kind", optimizers._RULES.values())
def test_an_attribute_that_a_hint_of_an_optimiser_names_is_there(kind: Any) -> None:
    optimizer = kind(lr=0.1)
    for key, hint in shown_by(_hints.ATTRIBUTES, kind).items():
        for name in re.findall(r"optimizer\.(\w+)", hint):
            assert hasattr(optimizer, name), (kind, key, hint)


@pytest.mark.parametrize("kind", optimizers._RULES.values())
@pytest.mark.parametrize("argument", "momentum nesterov betas beta_1 rho epsilon eps alpha dampening lr_decay".split())
def test_no_optimiser_is_told_of_an_argument_that_it_does_not_have(kind: Any, argument: str) -> None:
    known = inspect.signature(kind).parameters
    if argument in known:
        return
    with pytest.raises(TypeError) as caught:
        kind(lr=0.1, **{argument: 0.5})
    for name in arguments_in(str(caught.value)):
        assert name in known, str(caught.value)
    assert "did you mean" not in str(caught.value)


# ---------------------------------------------------------------- arguments of the package's own, in the wrong place


@pytest.mark.parametrize("home", _hints.HOMES)
def test_an_argument_in_the_wrong_place_is_told_where_it_belongs(home: str) -> None:
    """Every argument of every public class, given to each of the others: what is said is true, and something is said."""
    thing: Any = rg
    for part in home.split("."):
        thing = getattr(thing, part)
    net = rg.Network([4, 3])
    trainer = rg.Trainer(net, rg.SGD(0.1))
    others: list[Callable[..., Any]] = [
        lambda **more: rg.Network([4, 3], **more),
        lambda **more: rg.Dense(3, **more),
        lambda **more: rg.Trainer(net, trainer.optimizer, **more),
        lambda **more: trainer.fit([[1.0] * 4], [[1.0] * 3], epochs=0, **more),
    ]
    taken = [set(inspect.signature(one).parameters) for one in (rg.Network, rg.Dense, rg.Trainer, rg.Trainer.fit)]
    for argument in set(inspect.signature(thing).parameters) - {"self", "X", "y"}:
        for call, known in zip(others, taken, strict=True):
            if argument not in known:
                with pytest.raises(TypeError, match=rf"no argument '{argument}': "):
                    call(**{argument: 1})


def made() -> rg.Trainer:
    return rg.Trainer(rg.Network([4, 3]), "adam")


@pytest.mark.parametrize(
    ("call", "told", "not_told"),
    [
        (lambda: rg.Adam(momentum=0.9), "the first of betas", "nesterov"),
        (lambda: rg.Adam(nesterov=True), "rg.SGD alone has it", "it is"),
        (lambda: rg.SGD(0.1, betas=(0.9, 0.99)), "rg.Adam, rg.AdamW and rg.Lion have betas=", "it is"),
        (lambda: rg.SGD(0.1, eps=1e-8), "SGD divides by nothing", "fit"),
        (lambda: rg.SGD(0.1, max_iter=1), "it belongs to fit", "dz"),
        (lambda: made().fit(1, 1, epochs=1, restore_best_weights=True), "EarlyStopping", "class_w"),
        (lambda: made().fit(1, 1, epochs=1, dropout=0.5), "the network's", "drop_last"),
        (lambda: made().fit(1, 1, epochs=1, weight_decay=0.5), "optimiser's", "sample"),
        (lambda: rg.Network([4, 3], class_weight="balanced"), "belongs to fit", "init"),
        (lambda: rg.Network([4, 3], validation_split=0.2), "belongs to fit", "activation"),
        (lambda: rg.Network([4, 3], scheduler=1), "schedule=rg.schedules.Cosine()", "shuffle"),
        (lambda: rg.Network([4, 3], warm_start=True), "the trainer goes on by itself", "seed"),
        (lambda: rg.Network([4, 3], clip_norm=1), "rg.Adam(clip_norm=1.0)", "norm=\"batch\""),
        (lambda: rg.Dense(3, xyzzy=1), "no argument 'xyzzy'", "did you mean"),
    ],
)
def test_a_neighbour_s_hint_is_not_told_as_a_fact(call: Callable[[], Any], told: str, not_told: str) -> None:
    with pytest.raises(TypeError, match=re.escape(told)) as caught:
        call()
    assert not_told not in str(caught.value)
