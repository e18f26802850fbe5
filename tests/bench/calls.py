"""What calls in users' loops cost beside the core's work in them: a small network, one row and 32 rows.

    python tests/bench/calls.py [--only step,loss] [--seconds 0.3]

For each call its us, those of the calls into the core that do the work, and the difference: what Python, checks and
conversions cost. All are the lowest of many short runs.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import retrograd as rg

SIZES = [4, 16, 2]
LR = 1e-9  # nothing is to be learned

Call = Callable[[], object]
Row = tuple[str, Call, Call]  # name, call, and what the core does in it


def lowest(call: Call, seconds: float) -> float:
    """The seconds of the fastest of many short runs, for one call."""
    best, count, stop = float("inf"), 20, time.perf_counter() + seconds
    while (start := time.perf_counter()) < stop:
        for _ in range(count):
            call()
        best = min(best, (time.perf_counter() - start) / count)
    return best


def weights() -> Iterator[Row]:
    """Weights that are set, copied and read."""
    net, other = rg.Network(SIZES), rg.Network(SIZES, seed=1)
    core: Any = net._core
    w, b = ([np.array(array) for array in arrays] for arrays in (net.weights, net.biases))
    places = [(name, layer) for name in ("w", "b") for layer in range(2)]

    def put() -> None:
        for (name, layer), array in zip(places, [*w, *b], strict=True):
            core.set(name, layer, array)

    yield "set_weights", lambda: net.set_weights(w, b), put
    doubles = [[array.astype(float) for array in arrays] for arrays in (w, b)]
    yield "set_weights, float64", lambda: net.set_weights(*doubles), put
    lists = [[array.tolist() for array in arrays] for arrays in (w, b)]
    yield "set_weights, lists", lambda: net.set_weights(*lists), put
    yield "copy_from", lambda: net.copy_from(other), lambda: core.copy_from(other._core, 1.0)
    yield "copy_from, tau", lambda: net.copy_from(other, tau=0.005), lambda: core.copy_from(other._core, 0.005)
    yield "state_dict", net.state_dict, lambda: [core.get(*place) for place in places]
    state = net.state_dict()
    yield "load_state_dict", lambda: net.load_state_dict(state), put
    yield "weights", lambda: net.weights, lambda: [core.get("w", layer) for layer in range(2)]


def batch(rows: int) -> tuple[Any, Any, Any]:
    """Random rows, answers and weights of rows."""
    random = np.random.default_rng(0)
    X, y = (random.standard_normal((rows, size), dtype=np.float32) for size in (SIZES[0], SIZES[-1]))
    return X, y, random.random(rows, np.float32)


def steps(rows: int, optimizer: rg.Optimizer) -> Iterator[Row]:
    """Steps on one batch."""
    X, y, weights = batch(rows)
    X64, y64, xs, ys = X.astype(float), y.astype(float), X.tolist(), y.tolist()
    trainer = rg.Trainer(rg.Network(SIZES), optimizer, progress=False, advice=False)
    core, bound = trainer._core, optimizer._bind(trainer.network)
    name = f"step, {type(optimizer).__name__}, {rows}"

    def least() -> object:
        return core.step(bound, X, y, 0)

    def with_rate() -> None:
        optimizer.lr = LR
        trainer.step(X, y)

    def with_decay() -> None:
        optimizer.weight_decay = 0.0
        trainer.step(X, y)

    yield name, lambda: trainer.step(X, y), least
    yield f"{name}, lr set", with_rate, least
    yield f"{name}, weight_decay set", with_decay, least
    yield f"{name}, weights of rows", lambda: trainer.step(X, y, weights), least
    yield f"{name}, float64", lambda: trainer.step(X64, y64), least
    yield f"{name}, lists", lambda: trainer.step(xs, ys), least


def others(rows: int) -> Iterator[Row]:
    """Prediction, evaluation and the stages by hand."""
    X, y, weights = batch(rows)
    column, xs, net = weights.reshape(-1, 1), X.tolist(), rg.Network(SIZES)
    core: Any = net._core
    trainer = rg.Trainer(net, rg.SGD(LR), progress=False, advice=False)
    yield f"predict, {rows}", lambda: net.predict(X), lambda: core.predict_quick(X, 0)
    yield f"predict, {rows}, lists", lambda: net.predict(xs), lambda: core.predict_quick(X, 0)
    yield f"loss, {rows}", lambda: net.loss(X, y), lambda: core.evaluate(X, y, 0, None)
    yield f"evaluate, {rows}", lambda: trainer.evaluate(X, y), lambda: core.evaluate(X, y, 0, None)
    yield f"forward, {rows}", lambda: net.forward(X), lambda: (core.forward(X, 0, False), core.output())
    net.forward(X)
    yield f"backward, {rows}", lambda: net.backward(y), lambda: core.backward(y, 0, None, False)
    yield f"backward, {rows}, dz", lambda: net.backward(dz=y), lambda: core.backward_dz(y, 0)
    weighted = f"backward, {rows}, weights of rows"
    yield weighted, lambda: net.backward(y, sample_weight=weights), lambda: core.backward(y, 0, column, False)
    bound = trainer.optimizer._bind(net)
    yield f"optimizer.step, {rows}", lambda: trainer.optimizer.step(net), lambda: core.apply(bound, 0)


def calls() -> Iterator[Row]:
    """All of them."""
    yield from weights()
    for rows in (1, 32):
        for optimizer in (rg.SGD(LR, momentum=0.9), rg.Adam(LR)):
            yield from steps(rows, optimizer)
        yield from others(rows)


def main() -> None:
    """Print a line for each call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names that begin like one of these, with commas")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each; default: 0.2")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    print(f"{'us':<36}{'call':>9}{'core':>9}{'beside':>9}")
    for name, call, core in calls():
        if not name.startswith(tuple(options.only.split(","))):
            continue
        mine, least = lowest(call, options.seconds), lowest(core, options.seconds)
        print(f"{name:<36}{mine * 1e6:>9.2f}{least * 1e6:>9.2f}{(mine - least) * 1e6:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
