"""The structure of the code: floors of modules without a circle, names of losses in one file, signatures without surprises."""

import ast
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import retrograd as rg
from retrograd import _core, activations, callbacks, initializers, losses, metrics, schedules

ROOT = Path(str(resources.files("retrograd")))

# A module imports from its own floor and from those below it. A folder stands for the modules in it.
FLOORS = {
    "words": [
        "_core",
        "errors",
        "_checks",
        "_names",
        "_hints",
        "_careful",
        "_figures",
        "_pickles",
        "activations",
        "initializers",
        "layers",
        "losses",
        "_spec",
        "plots",  # draws lists that it names itself
        "history",
        "_monitor",
        "callbacks",
        "loggers",
        "schedules",
    ],
    "data": ["_data", "metrics"],
    "networks": ["gradients", "network", "optimizers", "training", "solvers"],
    "beside": ["diagnostics", "reference", "datasets"],
    "face": ["__init__"],
    "commands": ["cli", "__main__"],
}
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS.values()) for room in rooms}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name within it; a package by that of its folder."""
    found = {}
    for path in [*ROOT.rglob("*.py"), *ROOT.glob("*.pyi")]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1]) if len(parts) > 1 and parts[-1] == "__init__" else ".".join(parts)
        found[name] = path
    return found


MODULES = modules()


def imports(module: str) -> set[str]:
    """Modules of the package that the file imports anywhere in it: in functions and under TYPE_CHECKING, too."""
    path = MODULES[module]
    is_package = path.name == "__init__.py"
    here = [] if module == "__init__" else module.split(".")
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [name.name.split(".", 1)[1:] or [""] for name in node.names if name.name.split(".")[0] == "retrograd"]
            found |= {resolved(name) for (name,) in names}
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "retrograd"):
            if node.level:
                base = here if is_package else here[:-1]
                base = base[: len(base) - (node.level - 1)]
                base = [*base, *(node.module or "").split(".")] if node.module else base
            else:
                base = (node.module or "").split(".")[1:]
            for name in node.names:
                found.add(resolved(".".join([*base, name.name])))
    return found - {module}


def resolved(name: str) -> str:
    """The module that has the name: itself, or the one that it is in."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or "__init__"


def circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Ways from a module back to itself."""
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> Iterator[list[str]]:
        if module in way:
            yield [*way[way.index(module) :], module]
        elif module not in done:
            for other in sorted(graph[module]):
                yield from walk(other, [*way, module])
            done.add(module)

    for module in sorted(graph):
        yield from walk(module, [])


def test_the_search_for_circles_finds_them() -> None:
    assert list(circles({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == [["b", "c", "b"]]
    assert not list(circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}))


def test_imports_are_seen_wherever_they_stand() -> None:
    assert "plots" in imports("history")  # within a function
    assert {"_core", "_spec", "_data.examples"} <= imports("network")
    assert "training.run" in imports("training.trainer") and "cli.commands" in imports("__main__")
    assert "losses" in imports("__init__")


def test_no_circle() -> None:
    assert not list(circles({module: imports(module) for module in MODULES}))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_floor_imports_one_above(module: str) -> None:
    floor = FLOOR_OF[module.split(".")[0]]
    above = {other for other in imports(module) if FLOOR_OF[other.split(".")[0]] > floor}
    assert not above, f"{module} is among the {list(FLOORS)[floor]}"


# ---------------------------------------------------------------- the floors of cpp/

CPP = next(folder / "cpp" for folder in Path(__file__).parents if (folder / "cpp" / "bindings").is_dir())
CPP_FLOORS = ["base", "machine", "kernels", "data", "layers", "network", "training", "bindings"]
CPP_FILES = sorted(str(path.relative_to(CPP)) for path in CPP.rglob("*") if path.suffix in (".h", ".cpp"))


@pytest.mark.parametrize("file", CPP_FILES)
def test_no_folder_of_the_core_includes_one_above(file: str) -> None:
    floor = CPP_FLOORS.index(file.split("/")[0])
    included = re.findall(r'^#include "(.+)"', (CPP / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert all("/" in name and (CPP / name).exists() for name in included), "an include names its folder"
    assert not [name for name in included if CPP_FLOORS.index(name.split("/")[0]) > floor]


def test_names_of_losses_stand_in_two_files_of_the_core() -> None:
    named = [file for file in CPP_FILES if re.search("huber", (CPP / file).read_text(encoding="utf-8"), re.IGNORECASE)]
    assert named == ["base/kinds.h", "kernels/losses.h"]


# ---------------------------------------------------------------- one place for a fact


def code_of(path: Path) -> str:
    """The source without its docstrings and comments."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = [*node.body[1:], ast.Pass()]
    return ast.unparse(tree)


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name != "_core"))
def test_names_of_losses_stand_with_the_losses(module: str) -> None:
    room = module.split(".")[0]
    if room in ("losses", "reference"):
        return
    assert "huber" not in MODULES[module].read_text(encoding="utf-8").lower()
    # the workloads and the demonstration choose a loss, as a user does; "mse" is the default of `Network`
    if room != "cli":
        found = set(re.findall(r"'(\w+)'", code_of(MODULES[module]))) & set(losses.LOSSES)
        assert found <= ({"mse"} if room == "network" else {"mae"})  # that is a metric, too


def test_the_tables_of_facts_name_what_the_core_has() -> None:
    assert list(losses.LOSSES) == list(_core.LOSSES) and list(activations.ACTIVATIONS) == list(_core.ACTIVATIONS)
    formulas = set(re.findall(r'"(\w+)": ', activations.__doc__ or "")) | {"tanh"}
    assert formulas == set(activations.ACTIVATIONS)  # whose facts are complete
    assert all(initializers.Initializer(facts["init"]) for facts in activations.ACTIVATIONS.values())


def test_every_loss_is_a_class_and_its_name_is_short_for_it() -> None:
    kinds = {kind.name: kind for kind in vars(losses).values() if inspect.isclass(kind) and "name" in vars(kind)}
    assert set(kinds) == set(losses.LOSSES) and {kind.__name__ for kind in kinds.values()} <= set(losses.__all__)
    for name, kind in kinds.items():
        assert losses.name_and_parameter(kind()) == losses.name_and_parameter(name)
        assert "radient" in (kind.__doc__ or "")
        facts = losses.LOSSES[name]
        if facts["parameter_name"]:
            assert getattr(kind(), facts["parameter_name"]) == facts["parameter"]
        outputs = 2 if facts["targets"] == "probabilities" else 1
        net = rg.Network([3, outputs], loss=kind())
        assert net.loss_name == name and net.loss_function == kind() and net.loss_function != "mse"


# ---------------------------------------------------------------- signatures


def public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions, constructors and methods that users call, by name."""
    homes: list[Any] = [rg, losses, metrics, schedules, callbacks]
    values = {f"{home.__name__}.{name}": getattr(home, name) for home in homes for name in home.__all__ if name[0] != "_"}
    for name, value in values.items():
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            if isinstance(value.__init__, types.FunctionType):
                yield name, value.__init__
            for member, method in vars(value).items():
                method = getattr(method, "__func__", method)
                if inspect.isfunction(method) and not member.startswith("_"):
                    yield f"{name}.{member}", method


@pytest.mark.parametrize(("name", "function"), list(public_functions()))
def test_signatures_can_be_read(name: str, function: Callable[..., Any]) -> None:
    for parameter in inspect.signature(function).parameters.values():
        assert len(str(parameter)) <= 60, f"{name}: {parameter}"
    assert typing.get_type_hints(function) is not None  # every name in them is known


def test_help_says_array_like() -> None:
    assert str(inspect.signature(rg.Trainer.fit)).startswith("(self, X: 'ArrayLike', y: 'ArrayLike', *, epochs: 'int'")
    assert "_Buffer" not in str(inspect.signature(rg.Network.predict)) and "Union" not in str(inspect.signature(rg.metrics.f1))
    assert typing.get_type_hints(rg.Network.predict)["n_threads"] == (int | None)
