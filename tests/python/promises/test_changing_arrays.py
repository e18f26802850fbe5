"""Another thread writes into X and y while the core reads them: the result is any numbers or a clear error, never a crash.

The tests run in a separate process, so that a crash is noticed. Under AddressSanitizer they also find reads out of
bounds.
"""

import threading
import time

import numpy as np
import pytest
from helpers import LONG, LOSSES, python
from retrograd._data.targets import as_labels

CHANGING = """
import os, threading, time
import numpy as np, retrograd as rg

loss, dtype, seconds = os.environ["LOSS"], os.environ["DTYPE"], float(os.environ["SECONDS"])
rng = np.random.default_rng(0)
X = rng.random((20_000, 20)).astype(dtype)
if loss == "cross_entropy":
    good = rng.integers(0, 6, 20_000)
    bad = rng.choice([-1, 6, 2**31 - 1, 2**31, 2**40, -2**63], 20_000)
else:
    good, bad = rng.random((20_000, 6)).astype(dtype), np.full((20_000, 6), np.nan, dtype)
y = good.copy()
done = False

def change():
    while not done:
        X[rng.integers(0, 20_000, 50)] = rng.choice([0.0, 1.0, 1e30, np.inf, np.nan])
        y[...] = bad
        y[...] = good  # so that the check sees good ones, often enough
        X[...] = 0.5

thread = threading.Thread(target=change)
thread.start()
net = rg.Network([20, 33, 6], activation="tanh", loss=loss, dtype=dtype)
net._core.force_team(2)
trainer = rg.Trainer(net, rg.SGD(0.01, momentum=0.9), batch_size=100)
calls = {
    "fit": lambda: trainer.fit(X, y, epochs=1, validation_data=(X, y)),
    "step": lambda: trainer.step(X[:500], y[:500]),
    "loss": lambda: net.loss(X, y),
    "predict": lambda: net.predict(X),
    "stages": lambda: (net.forward(X), net.backward(y).dw),
}
ends = {}
end = time.perf_counter() + seconds
while time.perf_counter() < end:
    for name, call in calls.items():
        try:
            call()
            how = "done"
        except (ValueError, rg.DivergenceError) as error:
            how = type(error).__name__
        ends[how] = ends.get(how, 0) + 1
        if how != "done" and not all(np.isfinite(w).all() for w in net.weights):
            net.set_weights([np.full(w.shape, 0.01) for w in net.weights])  # by a step, which keeps no copy to go back to
done = True
thread.join()
print(ends)
assert ends.get("done", 0) > 0 and ends.get("ValueError", 0) > 0
y[...], X[...] = good, 0.5
net.set_weights([np.full(w.shape, 0.01) for w in net.weights], [np.zeros(b.shape) for b in net.biases])
rg.Trainer(net, rg.SGD(0.01)).fit(X, y, epochs=1)
"""


ALL = [(loss, dtype) for loss in LOSSES for dtype in ("float32", "float64")]
FEW = [("cross_entropy", "float32"), ("cross_entropy", "float64"), ("mse", "float32")]


@pytest.mark.parametrize(("loss", "dtype"), ALL if LONG else FEW)
def test_arrays_that_another_thread_writes(loss: str, dtype: str) -> None:
    done = python(CHANGING, "-Wignore", LOSS=loss, DTYPE=dtype, SECONDS="20" if LONG else "0.8")
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)


def test_labels_are_checked_as_they_are_used() -> None:
    y = np.zeros(5000, np.int64)
    done = False

    def change() -> None:
        while not done:
            y[...] = 10**6
            y[...] = 0

    thread = threading.Thread(target=change)
    thread.start()
    taken = 0
    end = time.perf_counter() + 1
    try:
        while time.perf_counter() < end:
            try:
                labels = as_labels(y, 5)
            except ValueError:
                continue
            taken += 1
            assert labels.max() < 5
    finally:
        done = True
        thread.join()
    assert taken > 0
