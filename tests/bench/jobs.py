"""Several trainings at once beside the same trainings one after the other: at once must never be slower.

    python tests/bench/jobs.py --jobs 2,4 --rounds 5

Each job trains a network of its own. Threads share one process, processes (joblib's loky where it is installed, else
multiprocessing with spawn) are warmed up before the clock starts. Above 1, at once is faster.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import numpy as np
import retrograd as rg
from retrograd import _core

# sizes, rows, batch: a step too small for two threads, one that takes a team, one that fills the machine
WORKLOADS: dict[str, tuple[list[int], int, int]] = {
    "8-64-64-4": ([8, 64, 64, 4], 40_000, 32),
    "784-128-10": ([784, 128, 10], 20_000, 64),
    "784-1024-1024-10": ([784, 1024, 1024, 10], 2560, 128),
}


def train(name: str, seed: int) -> int:
    """One job; the number of threads that it had."""
    sizes, rows, batch = WORKLOADS[name]
    rng = np.random.default_rng(seed)
    X, y = rng.random((rows, sizes[0]), np.float32), rng.random((rows, sizes[-1]), np.float32)
    trainer = rg.Trainer(rg.Network(sizes, seed=seed), rg.SGD(0.01, momentum=0.9), batch_size=batch, progress=False)
    trainer.fit(X, y, epochs=2)
    return trainer._last_team


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextmanager
def pool(kind: str, jobs: int) -> Iterator[Executor]:
    """A pool of that many threads or processes."""
    if kind == "threads":
        with ThreadPoolExecutor(jobs) as executor:
            yield executor
        return
    try:
        from joblib.externals.loky import get_reusable_executor
    except ImportError:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as executor:
            yield executor
        return
    executor = get_reusable_executor(jobs)
    yield executor
    executor.shutdown()


def main() -> None:
    """Prints a line for each workload, kind of pool and number of jobs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--jobs", default="2,4")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()

    print(f"{_core.max_threads()} threads, {_core.isa()}; serial time by time at once: median (lowest to highest round)")
    for name in args.workloads.split(","):
        for jobs in map(int, args.jobs.split(",")):
            for kind in ("threads", "processes"):
                with pool(kind, jobs) as executor:
                    run = lambda: list(executor.map(train, [name] * jobs, range(jobs)))  # noqa: B023, E731
                    run()  # imports, threads, memory
                    ratios = []
                    for _ in range(args.rounds):
                        serial = seconds(lambda: [train(name, seed) for seed in range(jobs)])  # noqa: B023
                        ratios.append(serial / seconds(run))
                low, high = min(ratios), max(ratios)
                print(f"{name:>18}  {jobs} {kind:<10} {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})", flush=True)


if __name__ == "__main__":
    main()
