"""Speed of the engine beside the NumPy reference: workloads, paired measurement, and `python -m retrograd bench`.

Engine and reference train in turn in one process, on the same data, with the same number of threads and pinned to as
many CPUs. The ratio is the median over the rounds, because what disturbs the machine for a while disturbs both. That
process is a child, because NumPy's BLAS takes its number of threads when it is loaded. No test depends on what is
measured here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core, reference
from ..network import Network
from ..optimizers import SGD
from ..training.trainer import Trainer
from .machine import blas, cpu_count, cpu_model, default_threads, machine

SECONDS_PER_TURN = 0.1  # an engine trains for so many epochs in its turn that it takes at least this long
PAUSE = 0.3  # seconds between turns: a BLAS's waiting threads spin on for a while, on cores that the other engine needs


class Workload(NamedTuple):
    """One epoch of mini-batch training: `rows` is their number in that epoch."""

    sizes: tuple[int, ...]
    activation: str
    loss: str
    batch_size: int
    rows: int
    momentum: float
    lr: float = 0.01
    weight_decay: float = 0.0


WORKLOADS = {
    "xor": Workload((2, 8, 2), "tanh", "cross_entropy", 4, 4096, 0.0),
    "rl": Workload((8, 64, 64, 4), "tanh", "mse", 32, 16384, 0.0),
    "digits": Workload((64, 64, 10), "relu", "cross_entropy", 32, 16384, 0.9),
    "nielsen": Workload((784, 30, 10), "sigmoid", "mse", 10, 20000, 0.0),
    "mnist": Workload((784, 128, 10), "relu", "cross_entropy", 64, 20032, 0.9),
    "tabular": Workload((100, 256, 256, 1), "relu", "mse", 256, 32768, 0.9),
    "wide": Workload((784, 1024, 1024, 10), "relu", "cross_entropy", 128, 4096, 0.9),
    "deep": Workload((128,) * 9 + (10,), "relu", "cross_entropy", 128, 16384, 0.9),
    "big": Workload((1024, 4096, 4096, 1000), "relu", "cross_entropy", 512, 1024, 0.0),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m retrograd bench`."""
    parser.add_argument(
        "--workloads", type=_workload_names, default=list(WORKLOADS), metavar="A,B", help=f"of {', '.join(WORKLOADS)}"
    )
    parser.add_argument("--threads", type=_thread_counts, default=None, metavar="1,2", help="default: 1 and all")
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="paired rounds, default 5")
    parser.add_argument("--json", action="store_true", help="print one JSON document, for machines")


def run(arguments: argparse.Namespace) -> int:
    """Run `python -m retrograd bench`; returns the exit code."""
    results = []
    if not arguments.json:
        print(f"retrograd {_core.__version__} ({_core.isa()}) beside its reference in NumPy {np.__version__} ({blas()})")
        print(f"{cpu_model()}; mini-batch SGD in float32, medians of {arguments.rounds} paired rounds\n")
        print(f"{'workload':<9}{'layers':<24}{'batch':>5} {'threads':>8}   {'rows/s':>11} {'NumPy':>11}", end="")
        print(f"   {'us/step':>9} {'NumPy':>9} {'ratio':>8}")
    for name in arguments.workloads:
        for threads in arguments.threads or default_threads():
            result = race_in_child(f"retrograd.cli.bench:race_workload:{name}", threads, arguments.rounds)
            results.append({"workload": name, **result})
            if not arguments.json:
                workload = WORKLOADS[name]
                ours, numpy = result["retrograd"], result["numpy"]
                print(f"{name:<9}{layers_text(workload.sizes):<24}{workload.batch_size:>5} {threads:>8}   ", end="")
                print(f"{ours['rows_per_second']:>11,.0f} {numpy['rows_per_second']:>11,.0f}   ", end="")
                print(
                    f"{_short(ours['us_per_step']):>9} {_short(numpy['us_per_step']):>9} {result['ratio']:>7.1f}x"
                    f"  {result['plan'].partition(' (')[0]}",
                    flush=True,
                )
    if arguments.json:
        print(json.dumps({"machine": machine(), "rounds": arguments.rounds, "results": results}, indent=2))
    return 0


def race_workload(name: str, threads: int, rounds: int) -> dict[str, Any]:
    """Race on a workload of the table, on random data."""
    workload = WORKLOADS[name]
    random = np.random.default_rng(0)
    X = random.standard_normal((workload.rows, workload.sizes[0]), dtype=np.float32)
    y: npt.NDArray[Any]
    if workload.loss == "cross_entropy":
        y = random.integers(0, workload.sizes[-1], workload.rows)
    else:
        y = random.standard_normal((workload.rows, workload.sizes[-1]), dtype=np.float32)
    return race(workload, X, y, threads, rounds)


def race(workload: Workload, X: npt.NDArray[Any], y: npt.NDArray[Any], threads: int, rounds: int) -> dict[str, Any]:
    """Train with the engine and with the NumPy reference, in turn.

    Parameters
    ----------
    workload : Workload
    X, y : arrays, (rows, features) and targets
    threads : int
        Cap on the engine's team. NumPy's BLAS has what it was loaded with: see `race_in_child`.
    rounds : int
        Each engine gets one turn in a round; the two take turns in being first.

    Returns
    -------
    dict
        "threads", "rounds", "ratio" (median over rounds of NumPy's time by the engine's), "ratios" (all of them),
        "plan" (how the engine's steps are done, and why), and for "retrograd" and "numpy" each: "rows_per_second" and
        "us_per_step" (medians) and "epochs_per_turn".
    """
    network = Network(list(workload.sizes), activation=workload.activation, loss=workload.loss)
    optimizer = SGD(workload.lr, momentum=workload.momentum, weight_decay=workload.weight_decay)
    trainer = Trainer(network, optimizer, batch_size=workload.batch_size, n_threads=threads, progress=False, advice=False)
    twin = reference.Network.like(network)
    twin_optimizer = reference.SGD(workload.lr, momentum=workload.momentum, weight_decay=workload.weight_decay)
    order = np.random.default_rng(0)

    def engine_turn(epochs: int) -> None:
        trainer.fit(X, y, epochs=epochs)

    def numpy_turn(epochs: int) -> None:
        for _ in range(epochs):
            reference.train_epoch(twin, twin_optimizer, X, y, workload.batch_size, order.permutation(len(X)))

    turns = {"retrograd": engine_turn, "numpy": numpy_turn}
    epochs = {name: _epochs_per_turn(turn) for name, turn in turns.items()}
    times: dict[str, list[float]] = {name: [] for name in turns}
    for round_number in range(rounds):
        for name in sorted(turns, reverse=round_number % 2 == 0):
            time.sleep(PAUSE)
            if epochs[name] > 1:  # the first milliseconds after a pause are slow: cold caches, sleeping cores and threads
                turns[name](1)
            times[name].append(_seconds(turns[name], epochs[name]) / epochs[name])
    ratios = [theirs / ours for ours, theirs in zip(times["retrograd"], times["numpy"], strict=True)]
    result: dict[str, Any] = {
        "threads": threads,
        "rounds": rounds,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "plan": trainer.plan,
    }
    steps = -(-len(X) // workload.batch_size)
    for name, values in times.items():
        seconds = statistics.median(values)
        result[name] = {
            "rows_per_second": len(X) / seconds,
            "us_per_step": 1e6 * seconds / steps,
            "epochs_per_turn": epochs[name],
        }
    return result


def race_in_child(what: str, threads: int, rounds: int) -> dict[str, Any]:
    """Run a race in a process of its own that has so many threads and, where the system allows it, as many CPUs.

    Parameters
    ----------
    what : str
        "module:function" or "module:function:argument"; the function is called with the argument, if any, then
        `threads` and `rounds`, and returns what JSON can hold.
    threads, rounds : int

    Returns
    -------
    dict
        What the function returned.

    Raises
    ------
    RuntimeError
        If the child failed; the message ends with what it wrote.
    """
    variables = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    )
    environment = {**os.environ, **dict.fromkeys(variables, str(threads))}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # the same package, wherever it is
    command = [sys.executable, "-P", "-c", _CHILD, what, str(threads), str(rounds)]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if child.returncode:
        raise RuntimeError(f"the measurement {what} at {threads} threads failed:\n{child.stderr.strip()}")
    result: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return result


# The child pins itself first and imports later: a BLAS starts its threads when NumPy is imported,
# with the CPUs of that moment.
_CHILD = """
import importlib, json, os, sys
what, threads, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
module, function, *argument = what.split(":")
print(json.dumps(getattr(importlib.import_module(module), function)(*argument, threads, rounds)))
"""


def layers_text(sizes: tuple[int, ...]) -> str:
    """Return layer sizes as text: 784-128-10, and 128-(8x128)-10 where a size comes often."""
    text: list[str] = []
    i = 0
    while i < len(sizes):
        run_length = 1
        while i + run_length < len(sizes) and sizes[i + run_length] == sizes[i]:
            run_length += 1
        text.append(f"({run_length}x{sizes[i]})" if run_length > 2 else "-".join([str(sizes[i])] * run_length))
        i += run_length
    return "-".join(text)


def positive(text: str) -> int:
    """Return the number of an option that has to be 1 or more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return number


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _thread_counts(text: str) -> list[int]:
    counts = [positive(part) for part in text.split(",")]
    if max(counts) > cpu_count():
        raise argparse.ArgumentTypeError(f"expected at most {cpu_count()} threads, the CPUs there are, got {max(counts)}")
    return counts


def _workload_names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in WORKLOADS:
            raise argparse.ArgumentTypeError(f"expected names of {', '.join(WORKLOADS)}, got {name!r}")
    return names


def _seconds(turn: Callable[[int], None], epochs: int) -> float:
    start = time.perf_counter()
    turn(epochs)
    return time.perf_counter() - start


def _epochs_per_turn(turn: Callable[[int], None]) -> int:
    """Find how many epochs make a turn long enough to be timed; also warms everything up."""
    turn(1)
    return max(1, int(SECONDS_PER_TURN / _seconds(turn, 1)) + 1)
