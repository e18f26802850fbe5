"""Several trainings at once beside the same trainings one after the other: at once must never be slower.

    python tests/bench/jobs.py --jobs 2,4 --rounds 5

Each job trains a network of its own: in threads of one process; in the processes of joblib, which tells each how many CPUs are
its own (where joblib is installed); in processes that know nothing of each other. All are warmed up before the clock starts.
Above 1, at once is faster.
"""

import argparse
import importlib.util
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
    net = rg.Network(sizes, seed=seed)
    trainer = rg.Trainer(net, rg.SGD(0.01, momentum=0.9), batch_size=batch, progress=False, advice=False)
    trainer.fit(X, y, epochs=2)
    return trainer._core.team()


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def kinds() -> list[str]:
    """What can run jobs here."""
    return ["threads", *(["joblib"] if importlib.util.find_spec("joblib") else []), "processes"]


@contextmanager
def pool(kind: str, jobs: int) -> Iterator[Callable[[str], Any]]:
    """A function that runs so many jobs of a workload at once."""
    if kind == "joblib":
        from joblib import Parallel, delayed

        with Parallel(n_jobs=jobs, backend="loky") as parallel:
            yield lambda name: parallel(delayed(train)(name, seed) for seed in range(jobs))
        return
    makes: Executor = (
        ThreadPoolExecutor(jobs) if kind == "threads" else ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    )
    with makes as executor:
        yield lambda name: list(executor.map(train, [name] * jobs, range(jobs)))


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
            for kind in kinds():
                with pool(kind, jobs) as run:
                    run(name)  # imports, threads, memory
                    ratios = []
                    for _ in range(args.rounds):
                        serial = seconds(lambda: [train(name, seed) for seed in range(jobs)])  # noqa: B023
                        ratios.append(serial / seconds(lambda: run(name)))  # noqa: B023
                low, high = min(ratios), max(ratios)
                print(f"{name:>18}  {jobs} {kind:<10} {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})", flush=True)


if __name__ == "__main__":
    main()
