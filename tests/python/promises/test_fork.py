"""A forked child works as its parent did: at every entry point of the extension, after any use of threads in the parent.

The parent's threads do not survive a fork, and a child that waits for them hangs, so every child has a watchdog
(children.py).
"""

import json
from pathlib import Path

import pytest
from entries import ENTRIES, exported
from helpers import SET_BY_SKLEARN, compiled, python


def test_no_entry_point_is_forgotten() -> None:
    assert set(ENTRIES) == exported()


# ---------------------------------------------------------------- every entry point

EVERY_ENTRY = """
import json, os, pickle
import entries
from children import forked
suffix = os.environ["SUFFIX"]

def run(call, subject):
    return pickle.dumps(call(subject))

def status(call, subject, expected, depth):
    def in_child():
        below = status(call, subject, expected, depth - 1) if depth > 1 else 0
        return below & 127 or (0 if run(call, subject) == expected else 3)

    return forked(in_child)

statuses = {}
for name, call in entries.ENTRIES.items():
    first, subject = entries.Subject(suffix), entries.Subject(suffix)
    expected = run(call, first)
    first.net.force_team(entries.TEAM)  # whatever the call has asked for
    entries.epoch(first)
    team = first.trainer.team()
    assert team == entries.TEAM, team
    statuses[name] = status(call, subject, expected, 2)
print(json.dumps(statuses), flush=True)
"""


@pytest.mark.parametrize("suffix", ["F32", "F64"])
def test_every_entry_point_in_a_child_and_in_a_child_of_it(suffix: str) -> None:
    done = python(EVERY_ENTRY, "-Wignore", SUFFIX=suffix, OMP_NUM_THREADS="2")  # Python >= 3.12 warns of forks beside threads
    assert done.returncode == 0, done.stderr
    statuses = json.loads(done.stdout)
    assert set(statuses) == set(ENTRIES)
    assert not {name: status for name, status in statuses.items() if status}


# ---------------------------------------------------------------- threads of others

TEAM = """
#include <omp.h>
extern "C" int team(int n) {
  int ran = 0;
#pragma omp parallel num_threads(n)
#pragma omp single
  ran = omp_get_num_threads();
  return ran;
}
"""

OTHERS = """
import ctypes, os
import numpy as np, retrograd as rg
from children import forked
from retrograd import _core

def train():
    net = rg.Network([20, 30, 5])
    net._core.force_team(2)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    trainer.fit(np.ones((50, 20)), np.ones((50, 5)), epochs=2)
    return trainer._core.team(), b"".join(w.tobytes() for w in net.weights)

def in_child():
    team, weights = train()
    lost = "libomp" in _core.openmp() and "KMP_INIT_AT_FORK" in os.environ
    assert team == (1 if lost else 2), team
    os.write(1, weights.hex().encode())

library = ctypes.CDLL(os.environ["LIBRARY"])
assert library.team(2) == 2  # threads of which the extension knows nothing
assert forked(in_child) == 0
assert library.team(2) == 2  # and the parent's work on
team, weights = train()
assert team == 2
print("\\n" + weights.hex())
"""


@pytest.mark.parametrize("environment", [{}, SET_BY_SKLEARN], ids=["", "after_sklearn"])
def test_a_child_of_a_parent_whose_other_libraries_had_threads(tmp_path: Path, environment: dict[str, str]) -> None:
    library = compiled(TEAM, tmp_path, "-fopenmp")
    done = python(OTHERS, "-Wignore", LIBRARY=str(library), **environment)
    assert done.returncode == 0, done.stderr
    in_child, in_parent = done.stdout.split()
    assert in_child == in_parent


# ---------------------------------------------------------------- while threads are at work

BESIDE = """
import os, threading, time
import numpy as np, retrograd as rg
from children import forked

def tried(call):
    try:
        call()
    except RuntimeError as error:
        return str(error)
    return "done"

def network():
    return rg.Network([64, 120, 10], loss="cross_entropy")

# no team so far: bytes are not looked through for NaN, and the weights are few
X, y = np.broadcast_to(np.ones(64, np.uint8), (3_000_000, 64)), np.zeros(3_000_000, np.int64)
training, read = network(), network()
few = read.predict_proba(X[:3])

def train():
    rg.Trainer(training, rg.SGD(1e-4), shuffle=False, n_threads=1).fit(X, y, epochs=100)

def predict():
    while True:
        read.predict(X, n_threads=1)

threads = [threading.Thread(target=work, daemon=True) for work in (train, predict)]
for thread in threads:
    thread.start()
ours = rg.Trainer(read, rg.SGD(0.0))
for call in (lambda: training.predict(X[:3]), lambda: ours.step(X[:3], y[:3])):
    while tried(call) == "done":  # until each is at it
        time.sleep(0.001)

def in_child():
    # the reader is not here, so its network is free, and has its weights; the other one is torn in the midst of a step
    assert np.array_equal(read.predict_proba(X[:3]), few)
    assert tried(lambda: rg.Trainer(read, rg.SGD(0.1)).step(X[:3], y[:3])) == "done"
    assert tried(lambda: training.predict(X[:3])) == "this network was in training when this process was forked"
    net = network()
    net._core.force_plan("fixed")  # the likeliest plan, whatever else keeps the machine busy
    trainer = rg.Trainer(net, rg.SGD(1e-3), batch_size=1024)
    trainer.fit(X[:2048], y[:2048], epochs=1)
    assert trainer._core.team() == 2  # nobody else is at work here
    assert np.isfinite(net.predict_proba(X[:3])).all()

os._exit(forked(in_child))
"""


def test_a_child_forked_while_other_threads_train_and_predict() -> None:
    done = python(BESIDE, "-Wignore", OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr


ONE_THREAD = """
import numpy as np, retrograd as rg
from children import forked
from retrograd import _core

def team():
    net = rg.Network([20, 30, 5])
    net._core.force_team(3)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    trainer.fit(np.ones((50, 20)), np.ones((50, 5)), epochs=1)
    return trainer._core.team()

assert forked(team) == 3  # no team so far: nothing is lost
assert team() == 3
assert forked(team) == 1 and forked(_core.max_threads) == 1
assert team() == 3
"""


def test_a_child_has_one_thread_where_its_parent_had_a_team() -> None:
    done = python(ONE_THREAD, "-Wignore")
    assert done.returncode == 0, done.stderr


IN_A_HANDLER = """
import os, signal
import numpy as np, retrograd as rg

class Child(Exception):
    pass

def fork(*_):
    if os.fork() == 0:
        raise Child

X = np.ones((30000, 100), np.float32)  # an epoch is long enough for a look at the signals in its midst

def team(epochs):
    net = rg.Network([100, 256, 10])
    net._core.force_plan("fixed")  # the likeliest plan, whatever else keeps the machine busy
    trainer = rg.Trainer(net, rg.SGD(0.01), batch_size=256)
    trainer.fit(X, X[:, :10], epochs=epochs)
    return trainer._core.team()

signal.signal(signal.SIGVTALRM, fork)
signal.setitimer(signal.ITIMER_VIRTUAL, 0.05)
try:
    while True:
        assert team(10) == 1
        if signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0:
            break
except Child:
    signal.alarm(20)
    os._exit(10 + team(1))
os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_child_forked_in_the_midst_of_a_call_keeps_to_the_limits() -> None:
    done = python(IN_A_HANDLER, "-Wignore", OMP_NUM_THREADS="1")
    assert done.returncode == 11, done.stderr
