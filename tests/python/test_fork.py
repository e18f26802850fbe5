"""A forked child works as its parent did: at every entry point of the extension, after any use of threads in the parent.

The parent's threads do not survive a fork; a child that waits for them hangs, so every child here has a watchdog.
"""

import json
from pathlib import Path

import pytest
from entries import ENTRIES, exported
from helpers import compiled, python


def test_no_entry_point_is_forgotten() -> None:
    assert set(ENTRIES) == exported()


# ---------------------------------------------------------------- every entry point

EVERY_ENTRY = """
import json, os, pickle, signal
import entries
suffix = os.environ["SUFFIX"]

def run(call, subject):
    return pickle.dumps(call(subject))

def status(call, subject, expected, depth):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(20)  # a child that hangs is killed
    if depth > 1:
        below = status(call, subject, expected, depth - 1)
        if below:
            os._exit(below & 127)
    os._exit(0 if run(call, subject) == expected else 3)

statuses = {}
for name, call in entries.ENTRIES.items():
    first, subject = entries.Subject(suffix), entries.Subject(suffix)
    expected = run(call, first)
    team = entries.epoch(first)[-1]
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
import ctypes, os, signal
import numpy as np, retrograd as rg
from retrograd import _core

def train():
    net = rg.Network([20, 30, 5])
    net._forced_team = 2
    trainer = rg.Trainer(net, rg.SGD(0.1))
    trainer.fit(np.ones((50, 20)), np.ones((50, 5)), epochs=2)
    return trainer._last_team, b"".join(w.tobytes() for w in net.weights)

library = ctypes.CDLL(os.environ["LIBRARY"])
assert library.team(2) == 2  # threads of which the extension knows nothing
child = os.fork()
if child == 0:
    signal.alarm(20)
    team, weights = train()
    os.write(1, weights.hex().encode())
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert library.team(2) == 2  # and the parent's work on
team, weights = train()
assert team == 2
print("\\n" + weights.hex())
"""


def test_a_child_of_a_parent_whose_other_libraries_had_threads(tmp_path: Path) -> None:
    library = compiled(TEAM, tmp_path, "-fopenmp")
    done = python(OTHERS, "-Wignore", LIBRARY=str(library))
    assert done.returncode == 0, done.stderr
    in_child, in_parent = done.stdout.split()
    assert in_child == in_parent


# ---------------------------------------------------------------- while threads are at work

BESIDE = """
import os, signal, threading, time
import numpy as np, retrograd as rg

def tried(call):
    try:
        call()
    except RuntimeError as error:
        return str(error)
    return "done"

X, y = np.ones((300_000, 64), np.float32), np.ones((300_000, 10), np.float32)
nets = {name: rg.Network([64, 256, 256, 10]) for name in ("train", "read")}
few = rg.Network([64, 256, 256, 10]).predict(X[:3])

def train():
    rg.Trainer(nets["train"], rg.SGD(1e-4), n_threads=1).fit(X, y, epochs=100)

def read():
    while True:
        nets["read"].predict(X, n_threads=1)

for work in (train, read):
    threading.Thread(target=work, daemon=True).start()
for name, method in (("train", "predict"), ("read", "fit")):  # until each is at it
    net = nets[name]
    ours = rg.Trainer(net, rg.SGD(0.0))
    while tried(lambda: net.predict(X[:3]) if method == "predict" else ours.step(X[:3], y[:3])) == "done":
        time.sleep(0.001)

child = os.fork()
if child == 0:
    signal.alarm(20)
    # the reader is not here, so its network is free, and has its weights; the other one is torn in the midst of a step
    ok = np.array_equal(nets["read"].predict(X[:3]), few)
    ok = ok and tried(lambda: rg.Trainer(nets["read"], rg.SGD(0.1)).step(X[:3], y[:3])) == "done"
    ok = ok and tried(lambda: nets["train"].predict(X[:3])) == "this network was in training when this process was forked"
    net = rg.Network([64, 256, 256, 10])
    rg.Trainer(net, rg.SGD(1e-3)).fit(X[:1000], y[:1000], epochs=1)
    os._exit(0 if ok and np.isfinite(net.predict(X[:3])).all() else 3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
os._exit(status)
"""


def test_a_child_forked_while_other_threads_train_and_predict() -> None:
    done = python(BESIDE, "-Wignore")
    assert done.returncode == 0, done.stderr


ONE_THREAD = """
import os, signal
import numpy as np, retrograd as rg
from retrograd import _core

def team():
    net = rg.Network([20, 30, 5])
    net._forced_team = 3
    trainer = rg.Trainer(net, rg.SGD(0.1))
    trainer.fit(np.ones((50, 20)), np.ones((50, 5)), epochs=1)
    return trainer._last_team

def in_child(of):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(of())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

assert in_child(team) == 3  # no team so far: nothing is lost
assert team() == 3
assert in_child(team) == 1 and in_child(_core.max_threads) == 1
assert team() == 3
"""


def test_a_child_has_one_thread_where_its_parent_had_a_team() -> None:
    done = python(ONE_THREAD, "-Wignore")
    assert done.returncode == 0, done.stderr
