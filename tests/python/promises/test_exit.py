"""The interpreter exits while daemon threads train and predict: the exit code is 0, whatever the threads were doing.

Each exit comes at another moment: during a call of the core, or at its end, when the thread asks for the GIL.
"""

import pytest
from helpers import LONG, python

LEAVE = """
import os, random, threading, time
import numpy as np, retrograd as rg

class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(0.1)  # lets the other thread ask for the GIL while the interpreter ends

if "LINGER" in os.environ:
    os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
else:
    slow = Slow()

work, rows = os.environ["WORK"], int(os.environ["ROWS"])
net = rg.Network([16, 64, 10])
X, y = np.zeros((rows, 16), np.float32), np.zeros((rows, 10), np.float32)
trainer = rg.Trainer(net, rg.SGD(0.001), advice=False)  # there is nothing to learn
begun = threading.Event()

def report(rows, loss):
    begun.set()
    for _ in range(10**9 if work == "in a report" else 1):
        pass

def reporting():
    state = trainer.optimizer._bind(net)
    options = trainer._options(32)
    options.snapshot, options.report = False, report
    net._core.force_team(2)
    trainer._core.epoch(state, X, y, None, options)

calls = {
    "fit": lambda: trainer.fit(X, y, epochs=3),
    "step": lambda: trainer.step(X, y),
    "predict": lambda: net.predict(X),
    "loss": lambda: net.loss(X, y),
    "stages": lambda: (net.forward(X), net.backward(y).dx, net.weights),
    "after a report": reporting,
    "in a report": reporting,
}

def forever():
    if "LINGER" in os.environ:  # it runs when nobody else does: not while the interpreter ends, but after that
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        calls[work]()

threading.Thread(target=forever, daemon=True).start()
if calls[work] is reporting:
    begun.wait()
time.sleep(float(os.environ.get("WITHIN", 0.15)) * random.random())
if "LINGER" in os.environ:  # the interpreter ends at once, the process a while later: it waits for a child
    import ctypes
    libc = ctypes.CDLL(None)
    os.posix_spawnp("sleep", ["sleep", os.environ["LINGER"]], os.environ)
    libc.__cxa_atexit(ctypes.cast(libc.wait, ctypes.c_void_p), None, None)
print("leaving", flush=True)
"""


@pytest.mark.parametrize("rows", [300, 20_000])
@pytest.mark.parametrize("work", ["fit", "step", "predict", "loss", "stages"])
def test_the_interpreter_leaves_while_a_daemon_thread_works(work: str, rows: int) -> None:
    for _ in range(20 if LONG else 1):
        done = python(LEAVE, WORK=work, ROWS=str(rows), OMP_NUM_THREADS="2")
        assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_the_interpreter_leaves_while_a_daemon_thread_makes_its_first_call() -> None:
    for _ in range(100 if LONG else 6):  # what is looked up once is looked up at import
        done = python(LEAVE, WORK="step", ROWS="300", WITHIN="0.0003", OMP_NUM_THREADS="2")
        assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


@pytest.mark.parametrize("work", ["after a report", "in a report"])
def test_the_interpreter_leaves_while_a_daemon_thread_reports_its_progress(work: str) -> None:
    for _ in range(20 if LONG else 1):
        done = python(LEAVE, WORK=work, ROWS="1000000")
        assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_a_daemon_thread_outlives_the_interpreter() -> None:
    """It must not ask for the GIL when all of Python has gone."""
    for _ in range(40 if LONG else 4):
        done = python(LEAVE, WORK="after a report", ROWS="1000000", LINGER="0.3")
        assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")
