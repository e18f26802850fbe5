"""Work done by default beside that by n_threads=1, while other processes keep the CPUs busy.

    python tests/bench/busy.py [--busy 0,1,2,4] [--networks 8-64-64-4,784-128-10] [--what step,fit,predict] [--against PATH]

A team that waits for a member without a core loses far more than it can win, so the default must notice. Default and one
thread take turns in one process (A B B A), each for --turn seconds, and what each has done in all its turns is divided by its
time. --against names the folder of another build's package: its default, in a process of its own, takes turns with this one's
where there are no busy processes.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import machine

NETWORKS = ("8-64-64-4", "64-64-10", "4-128-128-2", "784-128-10", "100-256-256-1", "784-1024-1024-10")
WHAT = ("step", "fit", "predict64", "predict1000")
BATCH = 64
EPOCH = 0.03  # seconds that an epoch of `fit` takes by one thread, if the rows are not too many for that
MOST_NUMBERS = 20_000_000  # in the rows of an epoch
FOREIGN = {"python": "while True: pass", "c": "int main() { for (volatile unsigned long i = 0;; ++i) {} }"}
DEFAULT, ONE = "default", "one"

Call = Callable[[], float]  # does some work and tells how much


# ---------------------------------------------------------------------------------------------- what is measured


def calls_of(network: str, what: str) -> dict[str, Call]:
    """The work by default and by one thread, each with a network of its own."""
    import numpy as np
    import retrograd as rg

    sizes = [int(size) for size in network.split("-")]
    random = np.random.default_rng(0)
    loss = "cross_entropy" if sizes[-1] == 10 else "mse"

    def rows_of(count: int) -> tuple[Any, Any]:
        X = random.standard_normal((count, sizes[0]), dtype=np.float32)
        y = random.standard_normal((count, sizes[-1]), dtype=np.float32)
        return X, random.integers(0, sizes[-1], count) if loss == "cross_entropy" else y

    def trainer(threads: int | None) -> Any:
        net, optimizer = rg.Network(sizes, loss=loss), rg.SGD(1e-4, momentum=0.9)
        return rg.Trainer(net, optimizer, batch_size=BATCH, n_threads=threads, progress=False, advice=False)

    trainers = {DEFAULT: trainer(None), ONE: trainer(1)}
    if what.startswith("predict"):
        X = rows_of(int(what.removeprefix("predict")))[0]
        net = trainers[ONE].network
        return {
            DEFAULT: lambda: len(net.predict(X)),
            ONE: lambda: len(net.predict(X, n_threads=1)),
        }
    X, y = rows_of(BATCH)

    def step(trainer: Any) -> float:
        trainer.step(X, y)
        return BATCH

    steps: dict[str, Call] = {name: functools.partial(step, one) for name, one in trainers.items()}
    if what == "step":
        return steps
    fastest = min(seconds_of(steps[ONE], 0.005) for _ in range(20))
    batches = max(2, min(round(EPOCH / fastest), MOST_NUMBERS // (BATCH * sizes[0])))
    many, answers = rows_of(batches * BATCH)

    def fit(trainer: Any) -> float:
        trainer.fit(many, answers, epochs=1)
        return len(many)

    return {name: functools.partial(fit, one) for name, one in trainers.items()}


def seconds_of(call: Call, least: float) -> float:
    """The mean seconds of a call over at least that many."""
    start, count = time.perf_counter(), 0
    while True:
        call()
        count += 1
        passed = time.perf_counter() - start
        if passed > least:
            return passed / count


def turn(call: Call, seconds: float) -> tuple[float, float]:
    """The work done in a turn, and the time that it took."""
    start, work = time.perf_counter(), 0.0
    while True:
        work += call()
        passed = time.perf_counter() - start
        if passed > seconds:
            return work, passed


def answer() -> None:
    """The child: answers one question a line, [name, seconds] with [work, time]; the first line names the work."""
    network, what = json.loads(sys.stdin.readline())
    calls = calls_of(network, what)
    for call in calls.values():
        turn(call, 0.05)
    for line in sys.stdin:
        name, seconds = json.loads(line)
        print(json.dumps(turn(calls[name], seconds)), flush=True)


class Child:
    """A process with the work of one network, of this package or of the one in another folder."""

    def __init__(self, network: str, what: str, package: str = "") -> None:
        paths = [package, *(path for path in sys.path[1:] if path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, "--child"],
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._say([network, what])

    def _say(self, question: list[Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def turn(self, name: str, seconds: float) -> tuple[float, float]:
        """Work and time of one turn."""
        assert self._process.stdout is not None
        self._say([name, seconds])
        work, passed = json.loads(self._process.stdout.readline())
        return work, passed

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def ratio(first: Callable[[float], tuple[float, float]], second: Callable[[float], tuple[float, float]], options: Any) -> float:
    """The work of the first in a second by that of the second, over all turns of both."""
    sums = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for _ in range(options.rounds):
        for is_first in (True, False, False, True):
            work, passed = (first if is_first else second)(options.turn)
            sums[is_first][0] += work
            sums[is_first][1] += passed
    return sums[True][0] / sums[True][1] / (sums[False][0] / sums[False][1])


# ---------------------------------------------------------------------------------------------- the others


@contextlib.contextmanager
def busy(count: int, kind: str) -> Iterator[None]:
    """So many foreign processes that compute without a pause, on the CPUs that this one may use."""
    with tempfile.TemporaryDirectory(prefix="retrograd-busy-") as folder:
        command = [sys.executable, "-c", FOREIGN["python"]]
        if kind == "c" and count:
            source, program = pathlib.Path(folder) / "busy.cpp", pathlib.Path(folder) / "busy"
            source.write_text(FOREIGN["c"])
            machine.compile_cpp(source, program, ["-O1"])
            command = [str(program)]
        others = [subprocess.Popen(command) for _ in range(count)]
        try:
            time.sleep(0.3 if count else 0)
            yield
        finally:
            for other in others:
                other.kill()
                other.wait()


def main() -> None:
    """Print a table for each number of busy processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--what", default=",".join(WHAT), help="predict: of 64 and of 1000 rows")
    parser.add_argument("--busy", default="0,1,2,4", help="numbers of foreign processes")
    parser.add_argument("--load", choices=FOREIGN, default="python", help="what they are written in")
    parser.add_argument("--turn", type=float, default=0.2, help="seconds; default: 0.2")
    parser.add_argument("--rounds", type=int, default=10, help="alternations A B B A; default: 10")
    parser.add_argument("--against", metavar="PATH", help="the folder that holds another build's package")
    options = parser.parse_args()
    kinds = options.what.replace("predict,", "predict64,predict1000,")
    kinds = kinds + "64,predict1000" if kinds.endswith("predict") else kinds
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{cpus} CPUs; work by default by that of one thread; {options.rounds} alternations of {options.turn} s")
    disturbance = machine.Disturbance()
    for count in map(int, options.busy.split(",")):
        columns = [*kinds.split(",")]
        print(f"\n{count} busy processes" if count else "\nno other process")
        print(f"{'':<18}" + "".join(f"{kind:>13}" for kind in columns), flush=True)
        for network in options.networks.split(","):
            print(f"{network:<18}", end="", flush=True)
            for kind in columns:
                child = Child(network, kind)
                child.turn(DEFAULT, 0.0)  # it is ready now
                with busy(count, options.load):
                    found = ratio(lambda s: child.turn(DEFAULT, s), lambda s: child.turn(ONE, s), options)  # noqa: B023
                text = f"{found:.2f}"
                if options.against and not count:
                    other = Child(network, kind, options.against)
                    beside = ratio(lambda s: child.turn(DEFAULT, s), lambda s: other.turn(DEFAULT, s), options)  # noqa: B023
                    other.close()
                    text += f" ({beside:.2f})"
                child.close()
                print(f"{text:>13}", end="", flush=True)
            print(flush=True)
    if options.against:
        print("\nin brackets: the default here by the default there")
    print(f"\nmachine: {json.dumps(disturbance.report())}")


if __name__ == "__main__":
    sys.path.append(str(pathlib.Path(__file__).resolve().parent))
    if "--child" in sys.argv:
        answer()
    else:
        main()
