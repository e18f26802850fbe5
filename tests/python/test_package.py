"""The package as installed: what importing it costs and loads, its files, its types, its documentation.

Not here: its commands (cli/test_commands.py).
"""

import ast
import importlib.metadata
import inspect
import json
import os
import re
import shutil
import site
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import retrograd as rg
from helpers import ALL_LOSSES, MORE_ACTIVATIONS, OUTPUT_ACTIVATIONS, not_sanitized, python
from retrograd import _core

FILES = resources.files("retrograd")
CLASSES = [value for name in rg.__all__ if inspect.isclass(value := getattr(rg, name))]

# ---------------------------------------------------------------- import

IMPORT = """
import json, sys, time
begin = time.process_time()
import numpy
before, start = set(sys.modules), time.process_time()
import retrograd
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "numpy": start - begin, "new": sorted(set(sys.modules) - before)}))
"""


@not_sanitized("starting takes longer")
def test_import_is_cheap() -> None:
    # processor time, the least of some; where other work takes the caches away, NumPy's import takes longer, too
    runs = [json.loads(python(IMPORT).stdout) for _ in range(7)]
    fastest = min(run["seconds"] for run in runs)
    assert fastest < 0.060 or fastest < 0.4 * min(run["numpy"] for run in runs)


def test_import_brings_nothing_heavy() -> None:
    done = python(IMPORT)
    assert done.stderr == ""
    new = json.loads(done.stdout)["new"]
    heavy = {"matplotlib", "tqdm", "sklearn", "scipy", "pandas", "argparse", "subprocess", "multiprocessing", "asyncio"}
    heavy |= {
        "concurrent",
        "urllib",
        "http",
        "ssl",
        "socket",
        "email",
        "xml",
        "unittest",
        "logging",
        "json",
        "hypothesis",
        "pytest",
    }
    assert not {name.split(".")[0] for name in new} & heavy
    assert "retrograd._core" in new and "retrograd.__main__" not in new


def test_import_says_and_warns_nothing() -> None:
    done = python("import retrograd", "-W", "error", "-X", "dev")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_import_starts_no_thread() -> None:
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("no /proc here")
    count = "len(os.listdir('/proc/self/task'))"
    assert python(f"import os, numpy; n = {count}; import retrograd; print({count} - n)").stdout == "0\n"


# ---------------------------------------------------------------- names, files, versions


def test_public_names() -> None:
    assert sorted(rg.__all__) == sorted(set(rg.__all__))
    for name in ("Network", "Dense", "Trainer", "SGD", "History", "gradcheck", "DivergenceError", "Gradients"):
        assert name in rg.__all__
    assert all(hasattr(rg, name) for name in rg.__all__)
    assert all(value.__module__.startswith("retrograd") for value in CLASSES)


def test_files_are_there() -> None:
    for name in ("py.typed", "_core.pyi", "digits.npz"):
        assert FILES.joinpath(name).is_file(), name


def test_versions_agree() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z.+].*)?", rg.__version__)
    try:
        installed = importlib.metadata.version("retrograd")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("not installed, found on the path")
    assert rg.__version__ == _core.__version__ == installed


def public_members(cls: type) -> list[tuple[str, Any]]:
    """Methods and properties that the class defines itself."""
    kinds = (property, staticmethod, classmethod)
    return [
        (name, value)
        for name, value in vars(cls).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, kinds))
    ]


@pytest.mark.parametrize("name", [name for name in rg.__all__ if not name.startswith("__")])
def test_everything_public_is_documented(name: str) -> None:
    value = getattr(rg, name)
    assert value.__doc__ and len(value.__doc__) > 20
    if inspect.isclass(value):
        for member, what in public_members(value):
            # its own docstring, or a line among the attributes of its class
            assert inspect.getdoc(what) or re.search(rf"^\s*([\w, ]*\b)?{member}\b[\w, ]* : ", value.__doc__, re.MULTILINE), (
                member
            )


@pytest.mark.parametrize("cls", CLASSES)
def test_every_parameter_is_documented(cls: type) -> None:
    for name, function in [("__init__", cls.__init__), *public_members(cls)]:  # type: ignore[misc]
        if not inspect.isfunction(function):
            continue
        text = cls.__doc__ if name == "__init__" else function.__doc__
        if text is None or "Parameters\n" not in text:
            continue
        section = text.split("Parameters\n")[1].split("\n\n    Returns\n")[0]
        for parameter in list(inspect.signature(function).parameters)[1:]:
            assert re.search(rf"^\s*([\w, ]+, )?{parameter}\b", section, re.MULTILINE), f"{cls.__name__}.{name}: {parameter}"


# ---------------------------------------------------------------- the extension


def test_the_extension_exports_its_entry_alone() -> None:
    if not shutil.which("nm"):
        pytest.skip("no nm here")
    done = subprocess.run(["nm", "-D", "--defined-only", _core.__file__], capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["PyInit__core"]


def test_the_extension_knows_itself() -> None:
    assert _core.isa() in _core.available_isas()
    assert isinstance(_core.fused(), bool) and (_core.fused() or _core.isa() == "baseline")
    assert _core.max_threads() >= 1
    assert "OpenMP" in _core.openmp() and _core.compiler()
    assert set(_core.LOSSES) == set(ALL_LOSSES)
    assert set(_core.ACTIVATIONS) == {*OUTPUT_ACTIVATIONS, *MORE_ACTIVATIONS}


# ---------------------------------------------------------------- types


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs a module of mypy outside of the source tree, with one cache for the tests here."""
    pytest.importorskip("mypy")
    folder = tmp_path_factory.mktemp("mypy")
    environment = os.environ | {"MYPY_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = str(Path(str(FILES)).parent)
    if parent not in (*site.getsitepackages(), site.getusersitepackages()):
        environment["MYPYPATH"] = parent

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)

    return run


def test_the_stubs_hold_against_the_extension(checker: Any) -> None:
    done = checker("mypy.stubtest", "retrograd._core")
    assert done.returncode == 0, done.stdout + done.stderr


def stub_functions() -> dict[str, ast.FunctionDef]:
    """Functions and methods of the stubs by name; a generic base stands for its two classes."""
    found: dict[str, ast.FunctionDef] = {}
    tree = ast.parse(FILES.joinpath("_core.pyi").read_text(encoding="utf-8"))
    bases = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            base = node.bases[0] if node.bases else None
            if isinstance(base, ast.Name):  # a dict with known keys
                continue
            assert base is None or (isinstance(base, ast.Subscript) and isinstance(base.value, ast.Name))
            body = node.body if base is None else bases[base.value.id].body
            calls = [f for f in body if isinstance(f, ast.FunctionDef) and f.args.vararg is None]
            found |= {f"{node.name}.{f.name}": f for f in calls if "property" not in map(ast.unparse, f.decorator_list)}
    return found


def extension_functions() -> dict[str, ast.FunctionDef]:
    """The same, as pybind11 writes them into the docstrings."""
    found = {}
    classes = [(f"{name}.", vars(value)) for name, value in vars(_core).items() if inspect.isclass(value)]
    for prefix, members in [("", vars(_core)), *classes]:
        for name, value in members.items():
            value = value.__func__ if isinstance(value, staticmethod) else value
            line = (getattr(value, "__doc__", None) or "").split("\n")[0]
            line = re.sub(r"\w+::\w+<\w+>", "object", line)  # a type of C++ that pybind11 did not know yet at that place
            if line.startswith(f"{name}("):
                (node,) = ast.parse(f"def {line}: ...").body
                assert isinstance(node, ast.FunctionDef)
                found[prefix + name] = node
    return found


def test_the_stubs_name_the_same_arguments_defaults_and_results() -> None:
    stubs, extension = stub_functions(), extension_functions()
    assert set(stubs) == set(extension) and len(stubs) > 50
    for name, stub in stubs.items():
        real = extension[name]
        assert [a.arg for a in stub.args.args] == [a.arg for a in real.args.args], name
        assert list(map(ast.unparse, stub.args.defaults)) == list(map(ast.unparse, real.args.defaults)), name
        assert [a.arg for a in stub.args.kwonlyargs] == [a.arg for a in real.args.kwonlyargs], name
        for mine, other in zip(stub.args.kw_defaults, real.args.kw_defaults, strict=True):
            assert mine is not None and other is not None and ast.unparse(mine) == ast.unparse(other), name
        assert stub.returns is not None and real.returns is not None
        scalar = "np.float32" if "F32" in name else "np.float64"
        result = ast.unparse(real.returns).replace("retrograd._core.", "")
        result = result.replace("numpy.typing.", "npt.").replace("numpy.", "np.")
        if result == "object":
            continue  # of one of several types, or None
        result = "npt.NDArray[" if result == "np.ndarray" else result
        declared = ast.unparse(stub.returns).replace("_T", scalar)
        assert declared.startswith("TypeGuard[" if result == "bool" and declared != "bool" else result), name


USER = """
import numpy as np
import numpy.typing as npt
import retrograd as rg

net = rg.Network([4, rg.Dense(8, "tanh"), 3], loss="cross_entropy", init=rg.normal(0.1), seed=None, dtype=np.float64)
history: rg.History = rg.Trainer(net, rg.SGD(lr=0.1, momentum=0.9), batch_size=2).fit(
    np.zeros((5, 4)), [0, 1, 2, 0, 1], epochs=2, validation_data=(np.zeros((5, 4)), np.zeros(5, np.int64)), tol=1e-3
)
losses: list[float] = history.loss
labels: npt.NDArray[np.int64] = net.predict(np.zeros((1, 4)))
value: float = net.loss([[0.0, 1.0, 2.0, 3.0]], [1])
gradients: rg.Gradients = net.backward(dz=net.forward(np.zeros((1, 4))))
shape: tuple[int, ...] = gradients.dw[0].shape
worst: float = rg.gradcheck(net, np.zeros((1, 4)), [0]).worst


class Stops(rg.Callback):
    every = 10

    def on_step_end(self, trainer: rg.Trainer, info: rg.StepInfo) -> None:
        if info.loss < 0.1:
            trainer.stop()


def after(trainer: rg.Trainer, history: rg.History) -> None:
    trainer.optimizer.lr *= 0.5


trainer = rg.Trainer(net, rg.SGD(lr=0.1), schedule=rg.schedules.Cosine(1e-3, per="step"), callbacks=[Stops(), after])
trainer.schedule = lambda epoch: 0.1 / epoch
f1: list[float] = trainer.fit(
    np.zeros((5, 4)), [0, 1, 2, 0, 1], epochs=2, validation_split=0.4, metrics=["f1", rg.metrics.accuracy],
    early_stopping=rg.EarlyStopping("val_f1", 3)
).metrics["val_f1"]
suggestion: float | None = rg.lr_range_test(net, np.zeros((5, 4)), [0, 1, 2, 0, 1]).suggestion
"""


def test_a_users_program_has_types(checker: Any, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(USER)
    done = checker("mypy", "--strict", str(tmp_path / "good.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "bad.py").write_text(
        USER + "rg.Trainer(net, 0.1)\nhistory.losses\nx: str = net.loss(1, 2)\nrg.SGD(learning_rate=1)\n"
    )
    done = checker("mypy", "--strict", str(tmp_path / "bad.py"))
    assert done.stdout.count("error:") == 4, done.stdout


# ---------------------------------------------------------------- these tests


def test_tests_have_a_purpose_each() -> None:
    """Every file of these tests says first what it is, as the rest of the project does."""
    for path in Path(__file__).parent.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path.name
