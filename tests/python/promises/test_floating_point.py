"""The arithmetic is as the caller set it and IEEE 754 says: control words, gradual underflow, no NaN optimised away.

How fast numbers below the normal range are: tests/bench/subnormals.py.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import retrograd as rg
from helpers import Array, compiled, inputs, network, parameters, python, same_bits, targets
from retrograd import _core

# ---------------------------------------------------------------- the caller's control word

CONTROL = """
#if defined(__x86_64__)
#include <immintrin.h>
extern "C" unsigned long read() {
  unsigned short x87;
  asm volatile("fnstcw %0" : "=m"(x87));
  return (_mm_getcsr() & ~0x3fu) | static_cast<unsigned long>(x87) << 32;  // without the flags that any sum raises
}
extern "C" void set(unsigned bits) { _mm_setcsr(_mm_getcsr() | bits); }
extern "C" unsigned long unusual() { return 0x8040 | 0x4000; }  // flush to zero, subnormals are zero, round upwards
#elif defined(__aarch64__)
extern "C" unsigned long read() { unsigned long v; asm volatile("mrs %0, fpcr" : "=r"(v)); return v; }
extern "C" void set(unsigned bits) { asm volatile("msr fpcr, %0" : : "r"(read() | bits)); }
extern "C" unsigned long unusual() { return 1u << 24 | 1u << 22; }  // flush to zero, round upwards
#endif
"""
WATCHED = """
import ctypes, os
import numpy as np
library = ctypes.CDLL(os.environ["LIBRARY"])
library.read.restype = library.unusual.restype = ctypes.c_ulong
if os.environ["UNUSUAL"] == "1":
    library.set(ctypes.c_uint(library.unusual()))
before = library.read()

def unchanged(what):
    assert library.read() == before, (what, hex(library.read()), hex(before))

import retrograd as rg
unchanged("import")
rng = np.random.default_rng(0)
X, y = rng.standard_normal((200, 20)), rng.integers(0, 5, 200)
for isa_team in (1, 3):
    net = rg.Network([20, 40, 5], loss="cross_entropy")
    net._core.force_team(isa_team)
    unchanged("Network")
    trainer = rg.Trainer(net, rg.SGD(0.1, momentum=0.9))
    trainer.fit(X, y, epochs=2, validation_data=(X, y))
    unchanged("fit")
    trainer.step(X, y)
    unchanged("step")
    net.predict(X), net.predict_proba(X), net.predict(X[:1]), net.loss(X, y)
    unchanged("predict")
    net.forward(X), net.backward(y).dx
    rg.SGD(0.1).step(net)
    unchanged("stages")
    for wrong in (lambda: net.predict(X * np.inf), lambda: net.loss(X, y + 9), lambda: trainer._core.epoch(1)):
        try:
            wrong()
        except (ValueError, TypeError):
            unchanged("an exception")
        else:
            raise AssertionError("no exception")
    trainer.optimizer.lr = 1e30
    try:
        trainer.fit(X, y, epochs=9)
    except rg.DivergenceError:
        unchanged("a divergence")
"""


@pytest.mark.parametrize("unusual", ["0", "1"])
def test_the_control_words_of_the_caller_stay(tmp_path: Path, unusual: str) -> None:
    library = compiled(CONTROL, tmp_path)
    for isa in _core.available_isas():
        done = python(WATCHED, "-Wignore", LIBRARY=str(library), UNUSUAL=unusual, RETROGRAD_ISA=isa)
        assert done.returncode == 0, (isa, done.stderr)


# ---------------------------------------------------------------- gradual underflow

SMALL = """
import json
import numpy as np, retrograd as rg
found = {}
for dtype, tiny in (("float32", 2.0**-149), ("float64", 2.0**-1074)):
    X = np.arange(1, 41, dtype=dtype).reshape(40, 1) * np.dtype(dtype).type(tiny)
    for team in (1, 3):
        net = rg.Network([1, 1, 1], activation="identity", dtype=dtype, init=([[[1.0]], [[1.0]]], [[0.0], [0.0]]))
        net._core.force_team(team)
        key = f"{dtype} {team} "
        found[key + "predict"] = (net.predict(X) / tiny).tolist()
        net.forward(X)
        found[key + "z"] = (net.z[0].ravel() / tiny).tolist()
        gradients = net.backward(dz=X)
        found[key + "delta"] = (gradients.delta[0].ravel() / tiny).tolist()
        found[key + "dx"] = (gradients.dx.ravel() / tiny).tolist()
        # an update of weights below the normal range by gradients below it
        net.set_weights([[[8 * tiny]], [[8 * tiny]]])
        net.forward(np.ones((1, 1)))
        net.backward(dz=np.full((1, 1), tiny))
        rg.SGD(1.0).step(net)
        found[key + "db"] = (net.biases[1] / tiny).tolist()
        by_epoch = rg.Network([1, 1], dtype=dtype, init=([[[8 * tiny]]], [[0.0]]))
        by_epoch._core.force_team(team)
        rg.Trainer(by_epoch, rg.SGD(0.5), batch_size=1).fit(np.ones((1, 1)), np.zeros((1, 1)), epochs=1)
        found[key + "update"] = (np.array([by_epoch.weights[0][0, 0], by_epoch.biases[0][0]]) / tiny).tolist()
print(json.dumps(found))
"""


@pytest.mark.parametrize("isa", _core.available_isas())
def test_numbers_below_the_normal_range_are_kept(isa: str) -> None:
    done = python(SMALL, RETROGRAD_ISA=isa)
    assert done.returncode == 0, done.stderr
    steps = list(range(1, 41))
    expected = {"db": [-1], "update": [0, -8]}  # of 8 and 0: the gradient of each is 16, the rate 1/2
    for key, values in json.loads(done.stdout).items():
        assert values == expected.get(key.split()[-1], steps), key


def test_probabilities_below_the_normal_range() -> None:
    for dtype, lowest in (("float32", -103.0), ("float64", -744.0)):
        net = rg.Network([1, 2], loss="cross_entropy", dtype=dtype, init=([[[1.0, 0.0]]], [[0.0, 0.0]]))
        z = np.linspace(lowest, lowest + 14, 50, dtype=dtype)[:, None]
        found = net.predict_proba(z)[:, 0]
        assert np.all(found > 0) and found[0] < np.finfo(dtype).tiny / 1000
        spacing = float(np.finfo(dtype).smallest_subnormal)
        np.testing.assert_allclose(found, np.exp(z[:, 0].astype(np.longdouble)), rtol=1e-5, atol=spacing)


# ---------------------------------------------------------------- NaN and infinity, wherever they are


def bad_places(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Every place of an array."""
    return [(int(row), int(col)) for row, col in np.ndindex(shape)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_place_of_x_and_y_is_looked_at_before_the_first_step(dtype: str) -> None:
    X, y = inputs(21, 19).astype(dtype), targets("mse", 21, 5).astype(dtype)
    net = network([19, 8, 5])
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(0.1))

    def refused(array: Array, name: str) -> None:
        for i, (row, col) in enumerate(bad_places((array.shape[0], array.shape[1]))):
            bad = (np.nan, np.inf, -np.inf)[i % 3]
            good, array[row, col] = array[row, col], bad
            for call in (lambda: trainer.fit(X, y, epochs=1), lambda: trainer.step(X, y)):
                with pytest.raises(
                    ValueError, match=rf"^{name}: expected finite numbers, got {bad} at row {row}, column {col}$"
                ):
                    call()
            array[row, col] = good

    refused(X, "X")
    refused(y, "y")
    assert trainer.epochs_done == 0
    assert same_bits(parameters(net), before)
    assert np.isfinite(trainer.fit(X, y, epochs=1).loss).all()
