"""Narrow networks with Adam, beside the peak, a sketch of what one core can do, and JAX.

    python tests/bench/narrow.py [--shapes 4-32-16-4] [--threads 1,2] [--sketch path/to/narrow.cpp] [--jax path/to/python]

Prints us an epoch of 10000 rows (the lowest of many short turns), and which share of one thread's peak the useful multiply-adds
of that epoch are. The sketch (one thread, AVX2) is compiled as its first lines say. JAX scans over the batches of an epoch, or
over 20 epochs where the batch is all rows, within one compiled call; --jax names an interpreter that has it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

ROWS = 10_000
SHAPES: list[tuple[str, str, int]] = [
    ("4-32-16-4", "tanh", 100),
    ("4-32-16-4", "tanh", 1000),
    ("4-32-16-4", "tanh", ROWS),
    *((shape, "relu", batch) for shape in ("16-16-16-16", "32-32-32-32", "64-64-64-64") for batch in (32, 512)),
    ("24-48-20-3", "relu", 200),
]
RATE = 1e-3
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Epochs = Callable[[], float]  # trains for some epochs and tells the seconds of one


# ---------------------------------------------------------------------------------------------- in the child


def data_of(sizes: list[int]) -> tuple[Any, Any]:
    """Random rows and answers."""
    import numpy as np

    random = np.random.default_rng(0)
    X = random.standard_normal((ROWS, sizes[0]), dtype=np.float32)
    return X, random.standard_normal((ROWS, sizes[-1]), dtype=np.float32)


def ours(sizes: list[int], activation: str, batch: int, threads: int) -> Epochs:
    """This package: a call of `fit`."""
    import retrograd as rg

    net, (X, y) = rg.Network(sizes, activation=activation), data_of(sizes)
    trainer = rg.Trainer(net, rg.Adam(RATE), batch_size=batch, n_threads=threads, progress=False, advice=False)
    return lambda: min(trainer.fit(X, y, epochs=5).seconds)


def jax_scan(sizes: list[int], activation: str, batch: int, threads: int) -> Epochs:
    """JAX, with Adam written out, and the batches of an epoch shuffled where there are several."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    f = {"tanh": jnp.tanh, "relu": jax.nn.relu}[activation]
    random = np.random.default_rng(1)
    start = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        w = random.standard_normal((fan_in, fan_out), dtype=np.float32) / np.float32(fan_in**0.5)
        start.append((jnp.asarray(w), jnp.zeros(fan_out, jnp.float32)))
    X, y = map(jnp.asarray, data_of(sizes))
    steps = ROWS // batch
    epochs = 20 if steps == 1 else 1  # in one call

    def loss_of(parameters: Any, x: Any, t: Any) -> Any:
        *hidden, (w, b) = parameters
        for v, c in hidden:
            x = f(x @ v + c)
        return jnp.square(x @ w + b - t).mean()

    def step(state: Any, rows: Any) -> Any:
        parameters, m, v, power1, power2 = state
        x, t = (X, y) if steps == 1 else (X[rows], y[rows])
        loss, g = jax.value_and_grad(loss_of)(parameters, x, t)
        power1, power2 = power1 * 0.9, power2 * 0.999
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)

        def moved(w: Any, m: Any, v: Any) -> Any:
            return w - RATE / (1 - power1) * m / (jnp.sqrt(v / (1 - power2)) + 1e-8)

        return (jax.tree.map(moved, parameters, m, v), m, v, power1, power2), loss

    def call(state: Any, key: Any) -> Any:
        order = jnp.zeros((epochs, 1), jnp.int32)
        if steps > 1:
            order = jax.random.permutation(key, ROWS)[: steps * batch].reshape(steps, batch)
        return jax.lax.scan(step, state, order)

    run = jax.jit(call)
    zeros = jax.tree.map(jnp.zeros_like, start)
    state: Any = (start, zeros, zeros, jnp.float32(1), jnp.float32(1))
    key = jax.random.key(0)

    def train() -> float:
        nonlocal state, key
        begin = time.perf_counter()
        key, now = jax.random.split(key)
        state, losses = run(state, now)
        losses.block_until_ready()
        return (time.perf_counter() - begin) / epochs * ROWS / (steps * batch)

    train()
    return train


def answer(engine: str, threads: int) -> None:
    """The child: a line [sizes, activation, batch, seconds] is answered with the seconds of the fastest epoch."""
    if hasattr(os, "sched_setaffinity"):  # before anything counts the CPUs
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    ready: dict[str, Epochs] = {}
    for line in sys.stdin:
        *task, seconds = json.loads(line)
        if line not in ready:
            ready = {line: {"ours": ours, "jax": jax_scan}[engine](*task, threads)}
        stop, best = time.perf_counter() + seconds, float("inf")
        while time.perf_counter() < stop:
            best = min(best, ready[line]())
        print(json.dumps(best), flush=True)


# ---------------------------------------------------------------------------------------------- in the parent


@contextlib.contextmanager
def child(engine: str, threads: int, python: str) -> Iterator[Callable[..., float]]:
    """A function that asks a process of that engine for the seconds of an epoch."""
    environment = {**os.environ, **dict.fromkeys(VARIABLES, str(threads)), "JAX_PLATFORMS": "cpu"}
    command = [python, "-P", __file__, "--child", engine, str(threads)]
    process = subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None

    def ask(*task: Any) -> float:
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        return float(json.loads(process.stdout.readline()))

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait()


def compiled(sketch: pathlib.Path, folder: str) -> pathlib.Path:
    """The sketch's program, with the flags that the comment at its top names."""
    import machine

    top = " ".join(line.removeprefix("//").strip() for line in sketch.read_text(encoding="utf-8").splitlines()[:3])
    build = re.search(r"g\+\+ ([^;)]*)", top)
    program = pathlib.Path(folder) / "narrow"
    machine.compile_cpp(sketch, program, build.group(1).split() if build else ["-O3", "-march=haswell"])
    return program


def sketched(program: pathlib.Path, shape: str, activation: str, batch: int) -> float:
    """The sketch's seconds of an epoch."""
    command = [str(program), shape, activation, str(batch), str(ROWS)]
    if hasattr(os, "sched_setaffinity"):
        command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"([\d.]+) us an epoch", text)
    assert found, text
    return float(found.group(1)) * 1e-6


def main() -> None:
    """Print a table."""
    import machine
    from race import flops_of_step
    from retrograd import _core

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", help="of those in the table; default: all")
    parser.add_argument("--batches", help="of those in the table; default: all")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--turn", type=float, default=0.3, help="seconds; default: 0.3")
    parser.add_argument("--rounds", type=int, default=3, help="in which all take turns; default: 3")
    parser.add_argument("--sketch", type=pathlib.Path, help="the narrow sketch, a C++ file")
    parser.add_argument("--jax", default="", help="an interpreter with JAX; default: this one, if it has it")
    options = parser.parse_args()
    counts = [int(count) for count in options.threads.split(",")]
    chosen = [
        (shape, activation, batch)
        for shape, activation, batch in SHAPES
        if (not options.shapes or shape in options.shapes.split(","))
        and (not options.batches or str(batch) in options.batches.split(","))
    ]
    interpreter = options.jax or (sys.executable if importlib.util.find_spec("jax") else "")

    with contextlib.ExitStack() as stack:
        meter = machine.PeakMeter()
        stack.callback(meter.close)
        program = compiled(options.sketch, stack.enter_context(tempfile.TemporaryDirectory())) if options.sketch else None
        engines = {f"{count} thread{'s' * (count > 1)}": child("ours", count, sys.executable) for count in counts}
        if interpreter:
            engines["JAX"] = child("jax", 1, interpreter)
        askers = {name: stack.enter_context(engine) for name, engine in engines.items()}
        names = [*askers, *(["sketch"] if program else [])]
        disturbance = machine.Disturbance()
        print(f"{_core.isa()}, float32, Adam, mse, {ROWS} rows; us an epoch and % of the peak of one thread; JAX by one thread")
        print(f"{'':<12}{'':<6}{'batch':>6}" + "".join(f"{name:>20}" for name in names), flush=True)
        for shape, activation, batch in chosen:
            sizes = [int(size) for size in shape.split("-")]
            best = dict.fromkeys(names, float("inf"))
            for _ in range(options.rounds):
                meter.measure(0.05)
                for name, ask in askers.items():
                    best[name] = min(best[name], ask(sizes, activation, batch, options.turn))
                if program:
                    best["sketch"] = min(best["sketch"], sketched(program, shape, activation, batch))
            peak = meter.gflops(_core.isa(), 1)
            print(f"{shape:<12}{activation:<6}{batch:>6}", end="")
            for name in names:
                share = flops_of_step(sizes, ROWS) / best[name] / 1e9 / peak
                print(f"{best[name] * 1e6:>14.0f} {share:>4.0%}", end="")
            first = best[names[0]]
            print("   " + ", ".join(f"{name} {best[name] / first:.2f}" for name in names[1:]), flush=True)
        print(f"peak {meter.gflops(_core.isa(), 1):.1f} GFLOP/s; behind each line: times by that of {names[0]}")
        print(f"machine: {json.dumps(disturbance.report())}")


if __name__ == "__main__":
    sys.path.append(str(pathlib.Path(__file__).resolve().parent))
    if "--child" in sys.argv:
        answer(sys.argv[2], int(sys.argv[3]))
    else:
        main()
