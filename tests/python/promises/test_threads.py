"""How many threads a call gets, what a second Python thread may do at the same time, a forked child that trains.

Not here: that the bits do not depend on threads (test_bits.py), forked children at every entry point (test_fork.py), the end
of the interpreter (test_exit.py).
"""

import copy
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from entries import ENTRIES, FREE, Subject, settings
from helpers import inputs, network, parameters, python, same_bits, targets, within
from retrograd import _core
from threadpoolctl import threadpool_limits

needs_two = pytest.mark.skipif(_core.max_threads() < 2, reason="one thread is all there is here")

# ---------------------------------------------------------------- the size of the team


def team(rows: int = 600, n_threads: int | None = None) -> int:
    """Threads of an epoch of work that deserves several."""
    net = rg.Network([200, 300, 10])
    net._core.force_plan("fixed")  # the likeliest plan, whatever else keeps the machine busy
    trainer = rg.Trainer(net, rg.SGD(0.01), batch_size=300, n_threads=n_threads)
    trainer.fit(np.zeros((rows, 200)), np.zeros((rows, 10)), epochs=1)
    return trainer._core.team()


@needs_two
def test_large_work_takes_all_threads_and_n_threads_caps_it() -> None:
    assert team() == _core.max_threads()
    assert team(n_threads=1) == 1
    assert team(n_threads=2) == 2
    assert team(n_threads=1000) == _core.max_threads()


def test_small_work_takes_one_thread() -> None:
    for sizes, batch_size in (([2, 4, 1], 4), ([64, 64, 10], 8)):
        trainer = rg.Trainer(rg.Network(sizes), rg.SGD(0.01), batch_size=batch_size, n_threads=4, advice=False)
        trainer.fit(np.zeros((1000, sizes[0])), np.zeros((1000, sizes[-1])), epochs=1)
        assert trainer._core.team() == 1


@needs_two
def test_the_environment_counts_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert team() == _core.max_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert team() == _core.max_threads() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")
    assert team() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "nonsense")
    assert team() >= 2


@needs_two
def test_threadpoolctl_counts_at_each_call() -> None:
    with threadpool_limits(1, user_api="openmp"):
        assert team() == _core.max_threads() == 1
    assert team() == _core.max_threads() > 1


# ---------------------------------------------------------------- a second Python thread


def shares(rows: int, outputs: int) -> Any:
    """Targets from 0 to 1."""
    return within("sigmoid", inputs(rows, outputs))


@contextmanager
def training(net: rg.Network, rows: int) -> Iterator[threading.Thread]:
    """A thread that trains for about a second; the block starts when it is in the core, and ends after it."""
    X, y = inputs(rows, net.sizes[0]).astype(np.float32), shares(rows, net.sizes[-1]).astype(np.float32)
    failures: list[BaseException] = []

    def fit() -> None:
        try:
            rg.Trainer(net, rg.SGD(1e-3), batch_size=64, n_threads=1, advice=False).fit(X, y, epochs=1)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=fit)
    thread.start()
    try:
        while thread.is_alive():
            try:
                _ = net.biases  # holds the network for no longer than it holds the GIL, so it is never in the way
            except RuntimeError:
                break
        yield thread
    finally:
        thread.join()
    assert not failures


USES: dict[str, Callable[[rg.Network], Any]] = {
    "predict": lambda net: net.predict(inputs(3, 256)),
    "predict_proba": lambda net: net.predict_proba(inputs(3, 256)),
    "loss": lambda net: net.loss(inputs(3, 256), inputs(3, 10)),
    "weights": lambda net: net.weights,
    "biases": lambda net: net.biases,
    "set_weights": lambda net: net.set_weights([np.zeros((256, 512)), np.zeros((512, 512)), np.zeros((512, 10))]),
    "copy": copy.copy,
    "copy_from": lambda net: net.copy_from(rg.Network([256, 512, 512, 10])),
    "copy to": lambda net: rg.Network([256, 512, 512, 10]).copy_from(net),
    "forward": lambda net: net.forward(inputs(3, 256)),
    "fit": lambda net: rg.Trainer(net, rg.SGD(0.1)).fit(inputs(3, 256), shares(3, 10), epochs=1),
    "step": lambda net: rg.Trainer(net, rg.SGD(0.1)).step(inputs(3, 256), shares(3, 10)),
}


def test_a_network_in_training_belongs_to_one_thread() -> None:
    net = rg.Network([256, 512, 512, 10], output_activation="sigmoid")
    net.forward(inputs(5, 256))
    net.backward(inputs(5, 10))
    twin = copy.copy(net)
    with training(net, 20_000) as thread:
        for name, use in USES.items():
            assert thread.is_alive(), f"the training was over before {name}"
            with pytest.raises(RuntimeError, match="in use: another thread trains it"):
                use(net)
        for use in (lambda: net.z, lambda: rg.SGD(0.1).step(net)):
            with pytest.raises(RuntimeError):
                use()
        assert thread.is_alive()
    # and none of that has touched it
    with training(twin, 20_000):
        pass
    assert same_bits(parameters(net), parameters(twin))
    for use in USES.values():
        use(net)


@pytest.mark.parametrize("suffix", ["F32", "F64"])
def test_every_entry_point_refuses_a_network_in_training(suffix: str) -> None:
    s, twin = Subject(suffix), Subject(suffix)
    X, y = np.tile(s.x, (200, 1)), np.tile(s.y, 200)
    options = _core.EpochOptions()
    options.batch_size, options.snapshot, options.epoch, options.n_threads = 64, False, 1, 1
    training_long = (X, y, None, options)
    for subject in (s, twin):
        subject.net.force_team(0)
        subject.optimizer.configure(settings("sgd", lr=1e-3, momentum=0.9, weight_decay=1e-3, nesterov=True), [])
    thread = threading.Thread(target=s.trainer.epoch, args=(s.optimizer, *training_long))
    thread.start()
    refused = 0
    while thread.is_alive() and refused == 0:
        try:
            s.net.steps()
        except RuntimeError:
            refused += 1
    for name in ENTRIES.keys() - FREE:
        with pytest.raises(RuntimeError, match="in use: another thread trains it"):
            ENTRIES[name](s)
            pytest.fail(f"{name} took it")
    for name in FREE - {"Optimizer.__init__", "Trainer.__init__"}:  # whose calls here use the network
        ENTRIES[name](s)
    assert thread.is_alive()
    thread.join()
    twin.trainer.epoch(twin.optimizer, *training_long)
    assert same_bits(s.parameters(), twin.parameters())  # nobody came between
    for call in ENTRIES.values():  # and it is free
        s.net.forward(s.x)
        s.net.backward(s.y)
        call(s)


def test_a_network_that_is_read_cannot_be_trained() -> None:
    net = rg.Network([256, 512, 512, 10])
    before = parameters(net)
    X = np.broadcast_to(inputs(1, 256).astype(np.float32), (60_000, 256))
    expected = net.predict(X[:16])
    with ThreadPoolExecutor() as pool:
        reader = pool.submit(net.predict, X, n_threads=1)
        while not reader.done():
            try:
                net.set_weights(before[:3], before[3:])  # holds the GIL too
            except RuntimeError:
                break
        for name in ("set_weights", "copy_from", "forward", "fit", "step"):
            with pytest.raises(RuntimeError, match="in use: another thread reads it"):
                USES[name](net)
        assert same_bits(net.weights, before[:3])  # reading beside a reader is fine
        assert same_bits(net.predict(X[:16]), expected)
        assert not reader.done()
    assert same_bits(reader.result()[-16:], expected)
    assert same_bits(parameters(net), before)


def test_many_threads_predict_at_once() -> None:
    net = network([20, 40, 5], "cross_entropy")
    X, y = inputs(300, 20), targets("cross_entropy", 300, 5)
    probabilities, labels, loss = net.predict_proba(X), net.predict(X), net.loss(X, y)

    def use(i: int) -> int:
        """A thousand answers, of one row and of many, on one thread and on teams; how many were right."""
        right = 0
        for k in range(i, i + 1000):
            rows = slice(None) if k % 8 == 0 else slice(k % 200, k % 200 + 1 + k % 40)
            if k % 2:
                right += same_bits(net.predict(X[rows]), labels[rows])
            else:
                right += same_bits(net.predict_proba(X[rows], n_threads=1 + k % 3), probabilities[rows])
        return right + (net.loss(X, y) == loss)

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(use, range(32))) == [1001] * 32


def test_many_threads_predict_in_teams_at_once() -> None:
    net = network([20, 40, 5], "cross_entropy")
    X = inputs(300, 20)
    expected = net.predict_proba(X)
    net._core.force_team(3)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: same_bits(net.predict_proba(X), expected), range(200)))


def test_networks_of_their_own_train_at_once() -> None:
    def train(seed: int) -> list[np.ndarray]:
        net = network([20, 40, 5], "cross_entropy", seed=seed)
        rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=16).fit(
            inputs(300, 20), targets("cross_entropy", 300, 5), epochs=5
        )
        return parameters(net)

    expected = [train(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert same_bits(list(pool.map(train, range(8))), expected)


def test_other_threads_run_while_one_trains() -> None:
    net = rg.Network([256, 512, 512, 10])
    turns = 0
    with training(net, 20_000) as thread:
        while thread.is_alive():
            time.sleep(0.001)
            turns += 1
    assert turns > 50  # with the GIL held, it would be a few


def test_an_epoch_waits_for_those_who_read_between_two() -> None:
    net = network([200, 300, 10])
    X, y = inputs(600, 200).astype(np.float32), inputs(600, 10)
    reads, refusals, done = 0, 0, threading.Event()

    def read() -> None:
        nonlocal reads, refusals
        while not done.is_set():
            try:
                net.predict(X)
                reads += 1
            except RuntimeError:
                refusals += 1

    def begin(trainer: rg.Trainer, history: rg.History) -> None:
        if len(history.epoch) == 1:
            thread.start()
        time.sleep(0.002)  # the network is free

    thread = threading.Thread(target=read)
    try:
        history = rg.Trainer(net, rg.SGD(1e-3), callbacks=[begin], advice=False).fit(X, y, epochs=60)
    finally:
        done.set()
        thread.join()
    assert history.epoch == list(range(1, 61)) and reads > 5 and refusals > 5


# ---------------------------------------------------------------- processes

FORK = """
import os
import numpy as np, retrograd as rg
from children import forked
X, y = np.random.default_rng(0).standard_normal((400, 200)), np.zeros((400, 10))

def train():
    net = rg.Network([200, 300, 10])
    rg.Trainer(net, rg.SGD(0.01, momentum=0.9), batch_size=200).fit(X, y, epochs=2)
    return b"".join(w.tobytes() for w in net.weights) + net.predict(X).tobytes()

expected = train()

def in_child(depth):  # and in a child of it
    if train() != expected:
        return 3
    return forked(lambda: in_child(depth - 1), 60) if depth > 1 else 0

os._exit(forked(lambda: in_child(2), 60))
"""


def test_a_forked_child_trains() -> None:
    done = python(FORK)
    assert done.returncode == 0, done.stderr  # Python >= 3.12 warns there of forks beside threads
