"""What it costs to measure plans: a fit of one epoch of 100 steps by the same with the best plan forced.

    python tests/bench/measuring.py [--networks 8-64-64-4:32] [--pairs 20] [--threads N]

Before the first of each pair all that was found is forgotten, so it measures while it trains; the second is told the plan on
which a longer fit had settled. Each has a network of its own, and its time is that of the whole call. The figure is the lowest
time of the first by the lowest of the second.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import retrograd as rg
from retrograd import _core

STEPS = 100
# layers and batch: steps from some 5 us to some ms
NETWORKS = "16-32-4:32,64-64-10:32,8-64-64-4:32,4-128-128-2:64,784-128-10:64,100-256-256-1:256,784-1024-1024-10:128"
SETTLED = 400  # steps after which a plan is no longer looked for


# ---------------------------------------------------------------------------------------------- plans


def plan_of(trainer: rg.Trainer) -> tuple[int, str]:
    """The number and the name of the plan that a trainer has settled on."""
    names, best, _ = trainer._core.plan()
    return best, names[best]


def force(trainer: rg.Trainer, plan: int) -> None:
    """Have a trainer keep to a plan and measure nothing."""
    trainer.network._core.force_plan("fixed", plan)


# ---------------------------------------------------------------------------------------------- measured


def seconds_of(trainer: rg.Trainer, X: Any, y: Any) -> float:
    """The time of one epoch, its call included."""
    start = time.perf_counter()
    trainer.fit(X, y, epochs=1)
    return time.perf_counter() - start


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=NETWORKS, help="layers:batch, several with commas")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--threads", type=int, help="at most so many; default: as many as it takes")
    options = parser.parse_args()
    print(f"{_core.isa()}; one epoch of {STEPS} steps, measuring by forced")
    print(f"{'':<22}{'us a step':>10}{'lowest':>9}{'median':>9}   plan")
    for given in options.networks.split(","):
        layers, _, batch = given.partition(":")
        sizes, rows = [int(size) for size in layers.split("-")], STEPS * int(batch)
        random = np.random.default_rng(0)
        X = random.standard_normal((rows, sizes[0]), dtype=np.float32)
        y = random.standard_normal((rows, sizes[-1]), dtype=np.float32)

        def trainer(sizes: list[int] = sizes, batch: int = int(batch)) -> rg.Trainer:
            net = rg.Network(sizes)
            return rg.Trainer(
                net, rg.SGD(1e-4, momentum=0.9), batch_size=batch, n_threads=options.threads, progress=False, advice=False
            )

        settled = trainer()
        settled.fit(X, y, epochs=max(1, SETTLED // STEPS))
        best, named = plan_of(settled)
        times: dict[str, list[float]] = {"measuring": [], "forced": []}
        for pair in range(options.pairs):
            for name in sorted(times, reverse=pair % 2 == 0):  # the two take turns in being first
                one = trainer()
                if name == "forced":
                    force(one, best)
                _core.plans_forget()
                times[name].append(seconds_of(one, X, y))
        lowest = min(times["measuring"]) / min(times["forced"])
        median = statistics.median(a / b for a, b in zip(times["measuring"], times["forced"], strict=True))
        step = min(times["forced"]) / STEPS * 1e6
        print(f"{given:<22}{step:>10.1f}{lowest:>9.3f}{median:>9.3f}   {named}", flush=True)


if __name__ == "__main__":
    main()
