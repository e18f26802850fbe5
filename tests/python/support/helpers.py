"""What many tests need: data that fits a loss, comparisons to the last bit and within a tolerance. There is no test here."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import retrograd as rg

Array = npt.NDArray[Any]

# The long tier: many more runs and examples of what the ordinary one does a few times, and what takes a minute by itself.
LONG = os.environ.get("RETROGRAD_TEST_LONG") == "1"
long_tier = pytest.mark.skipif(not LONG, reason="for the long tier: RETROGRAD_TEST_LONG=1")

# AddressSanitizer keeps its own books in memory and in the process.
SANITIZED = os.environ.get("RETROGRAD_TEST_SANITIZED") == "1"

# What scikit-learn tells libomp in the environment, for the whole process that imports it and for those it starts.
SET_BY_SKLEARN = {"KMP_DUPLICATE_LIB_OK": "True", "KMP_INIT_AT_FORK": "FALSE"}


def not_sanitized(why: str) -> pytest.MarkDecorator:
    """Marks what cannot hold, or be seen, where the extension is built with sanitizers."""
    return pytest.mark.skipif(SANITIZED, reason=f"under AddressSanitizer {why}")


HIDDEN_ACTIVATIONS = ("identity", "relu", "leaky_relu", "tanh", "sigmoid")
OUTPUT_ACTIVATIONS = (*HIDDEN_ACTIVATIONS, "softmax")
LOSSES = ("mse", "quadratic", "cross_entropy", "binary_cross_entropy")
# those that came later: fewer combinations of them are tried, each of them at least once with all others
MORE_ACTIVATIONS = ("elu", "selu", "softplus", "softsign", "exponential", "gelu", "gelu_tanh", "silu", "mish")
MORE_LOSSES = ("mae", "huber", "poisson", "quantile", "hinge", "focal")
ALL_LOSSES = (*LOSSES, *MORE_LOSSES)
# every output activation with every loss that takes it
PAIRS = [
    *[(activation, loss) for loss in ("mse", "quadratic") for activation in OUTPUT_ACTIVATIONS],
    ("identity", "cross_entropy"),
    ("softmax", "cross_entropy"),
    ("identity", "binary_cross_entropy"),
    ("sigmoid", "binary_cross_entropy"),
]
# the same for those that came later
MORE_PAIRS = [
    *[(activation, "mse") for activation in MORE_ACTIVATIONS],
    *[(activation, loss) for loss in ("mae", "huber", "quantile") for activation in ("identity", "tanh", "gelu", "softmax")],
    *[(activation, "hinge") for activation in ("identity", "tanh", "softsign")],
    ("identity", "poisson"),
    ("exponential", "poisson"),
    ("identity", "focal"),
    ("softmax", "focal"),
]
# every kind of update: learning rate, momentum, Nesterov, weight decay
UPDATES: dict[str, dict[str, Any]] = {
    "plain": {"lr": 0.1},
    "momentum": {"lr": 0.05, "momentum": 0.9},
    "nesterov": {"lr": 0.05, "momentum": 0.8, "nesterov": True},
    "decay": {"lr": 0.1, "weight_decay": 0.02},
    "momentum_decay": {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.02},
    "nesterov_decay": {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.02},
}


def inputs(rows: int, features: int, seed: int = 0) -> Array:
    """Standard normal rows, float64."""
    return np.random.default_rng(seed).standard_normal((rows, features))


def targets(loss: str, rows: int, outputs: int, seed: int = 1) -> Array:
    """Answers that the loss takes: labels, numbers from 0 to 1, or any numbers."""
    rng = np.random.default_rng(seed)
    if loss in ("cross_entropy", "focal") or (loss == "hinge" and outputs > 1):
        return rng.integers(0, outputs, rows)
    if loss == "hinge":
        return 2 * rng.integers(0, 2, (rows, 1)) - 1
    if loss == "binary_cross_entropy":
        return rng.random((rows, outputs))
    if loss == "poisson":
        return rng.poisson(2.0, (rows, outputs)).astype(np.float64)
    return rng.standard_normal((rows, outputs))


def within(activation: str, y: Array) -> Array:
    """The numbers brought into the range of an output activation."""
    low, high = (rg.activations.ACTIVATIONS[activation][bound] for bound in ("low", "high"))
    if activation == "softmax":
        return np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    if low == -np.inf:
        return y
    return low + np.abs(y) if high == np.inf else low + (high - low) / (1 + np.exp(-y))


def network(sizes: Sequence[int], loss: str = "mse", biases: bool = True, **options: Any) -> rg.Network:
    """A network whose biases are not zero, so that a mistake with them shows."""
    net = rg.Network(sizes, loss=loss, **options)
    if biases:
        rng = np.random.default_rng(99)
        net.set_weights(net.weights, [0.3 * rng.standard_normal(b.shape) for b in net.biases])
    return net


def parameters(net: rg.Network) -> list[Array]:
    """Weights, then biases."""
    return [*net.weights, *net.biases]


def same_bits(found: Any, expected: Any) -> bool:
    """Whether two arrays, numbers or sequences of them have the same dtype, shape and bits (so that -0 is not 0)."""
    if isinstance(found, list | tuple):
        return len(found) == len(expected) and all(map(same_bits, found, expected))
    found, expected = np.asarray(found), np.asarray(expected)
    return found.dtype == expected.dtype and found.shape == expected.shape and found.tobytes() == expected.tobytes()


def assert_close(
    found: npt.ArrayLike, expected: npt.ArrayLike, tolerance: float, what: str = "", size: npt.ArrayLike | None = None
) -> None:
    """|found - expected| is at most tolerance times the largest number that is expected, or the largest of `size`.

    `size`: for sums, those of the terms' magnitudes. Rounding errors are in proportion to these where the terms cancel.
    """
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    if expected.size == 0:
        return
    worst = np.abs(found - expected).max()
    largest = np.abs(expected if size is None else size).max()
    assert worst <= tolerance * largest, f"{what}: off by {worst:.3g}, largest {largest:.3g}"


def environment(**others: str) -> dict[str, str]:
    """The environment of a new interpreter: it finds the same package, and nothing that pytest or scikit-learn set here."""
    set_here = {*SET_BY_SKLEARN, "OPENBLAS_NUM_THREADS"}
    as_it_was = {name: value for name, value in os.environ.items() if name not in set_here}
    return as_it_was | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | others


def python(code: str, *arguments: str, **others: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a new interpreter, with these variables more in its environment."""
    command = [sys.executable, *arguments, "-c", code]
    return subprocess.run(command, env=environment(**others), capture_output=True, text=True, timeout=120)


def compiled(source: str, folder: Path, *flags: str) -> Path:
    """A shared library of that C++ source; without a compiler the test is skipped."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        pytest.skip("no C++ compiler")
    (folder / "library.cpp").write_text(source)
    library = folder / "library.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", *flags, str(folder / "library.cpp"), "-o", str(library)], check=True)
    return library


def interrupted_at(n: int, call: Callable[[], Any], module: str) -> bool:
    """Runs the call with Ctrl-C before the n-th instruction that this module executes; whether it came so far."""
    left = n

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith(module):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False
