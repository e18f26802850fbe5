"""Networks [w, w, w] over a grid of widths and batches: where is the engine slow, and where does its speed jump?"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

from engines import OURS, Task
from machine import Peak, peak_of
from race import Pool, default_pause, flops_of_step

# Odd widths and multiples of 8, also on both sides of powers of two, where caches and padding make trouble.
WIDTHS = (
    *(1, 2, 3, 5, 7, 8, 11, 13, 16, 17, 20, 24, 31, 32, 40, 48, 56, 63, 64, 65, 72, 80, 96, 100, 112, 120, 128, 129, 136),
    *(160, 192, 200, 248, 255, 256, 264, 320, 384, 448, 500, 504, 512, 520, 640, 768, 784, 1000, 1016, 1024, 1032, 1536),
    *(2040, 2048, 2056, 3001, 3072, 4096, 4104, 6144, 8192),
)
BATCHES = (1, 2, 3, 4, 7, 8, 10, 15, 16, 17, 24, 32, 40, 48, 64, 96, 100, 128, 192, 256, 512, 1000, 1024, 2048, 4096)
# These come first, so that a small budget covers the whole field.
COARSE_WIDTHS = (
    *(1, 3, 8, 16, 24, 31, 32, 64, 65, 72, 100, 128, 136, 192, 256, 264, 384, 512, 520, 784, 1000, 1024, 1032, 2048, 2056),
    *(4096, 8192),
)
COARSE_BATCHES = (1, 4, 10, 16, 17, 32, 64, 100, 128, 256, 512, 2048)
ENGINES = (OURS, "numpy", "torch", "jax")
LONGEST = 2.0  # seconds that a step may take
EPOCH_SECONDS, MOST_STEPS = 0.01, 1024  # an epoch is long enough to hide what comes once in it (the call, the snapshot)
SLOWER, JUMP = 1.05, 1.30

Point = dict[str, Any]


def guess_seconds(width: int, batch: int, gflops: float) -> float:
    """Return about what a step takes: arithmetic at half of the peak, weights through memory, and a call."""
    return flops_of_step((width,) * 3, batch) / (0.5e9 * gflops) + 24.0 * width * width / 30e9 + 3e-7


def task_of(width: int, batch: int, threads: int, gflops: float) -> Task:
    """Return the task of a point: regression with relu in between, as many steps as make an epoch worth timing."""
    steps = min(MOST_STEPS, max(1, round(EPOCH_SECONDS / guess_seconds(width, batch, gflops))))
    return Task([width] * 3, "relu", "mse", batch, steps * batch, 0.0, 1e-3, threads)


def grid(widths: tuple[int, ...], batches: tuple[int, ...], gflops: float) -> list[tuple[int, int]]:
    """Return (width, batch) of all points that are not too long, a coarse grid first, and in it the short ones first."""
    points = [(w, b) for w in widths for b in batches if guess_seconds(w, b, gflops) <= LONGEST]

    def place(point: tuple[int, int]) -> tuple[bool, float]:
        width, batch = point
        return not (width in COARSE_WIDTHS and batch in COARSE_BATCHES), guess_seconds(width, batch, gflops)

    return sorted(points, key=place)


def run(
    points: list[Point],
    pool: Pool,
    todo: list[tuple[int, int]],
    *,
    isa: str,
    peak: Peak,
    rounds: int,
    seconds: float,
    until: float,
    save: Callable[[], None],
) -> int:
    """Measure the points of the grid that `points` lacks, and add them to it.

    Parameters
    ----------
    points : list of dict
        Those known already.
    pool : Pool
    todo : list of (width, batch)
    isa : str
    peak : dict
    rounds : int
    seconds : float
        Of a turn.
    until : float
        The time, by `time.monotonic`, at which no new point is begun.
    save : function
        Called after each point.

    Returns
    -------
    int
        Points of the grid that are still to be measured.
    """
    gflops = peak_of(peak, isa, pool.threads)
    known = {(p["threads"], p["width"], p["batch"]): p for p in points}
    wanted = set(pool.names)
    left = [(w, b) for w, b in todo if wanted - set(known.get((pool.threads, w, b), {}).get("asked", ()))]
    for number, (width, batch) in enumerate(left):
        if time.monotonic() > until:
            return len(left) - number
        task = task_of(width, batch, pool.threads, gflops)._asdict()
        result = pool.race(
            "train",
            f"[{width}, {width}, {width}] with batches of {batch}",
            {"task": task, "seconds": seconds},
            rounds=rounds,
            fastest=seconds,
            pause=default_pause(pool.threads),
        )
        point = {"threads": pool.threads, "width": width, "batch": batch, "asked": sorted(wanted), **result}
        best = min([*result["us"].get(OURS, []), result["fastest"].get(OURS, float("inf"))])
        if best < float("inf"):
            point["best_us"] = best
            point["gflops"] = round(flops_of_step((width,) * 3, batch) / best / 1e3, 3)
        old = known.get((pool.threads, width, batch))
        if old:  # it lacked an engine, and a pair is only a pair within one race
            points.remove(old)
        points.append(point)
        save()
        share = f"{100 * point['gflops'] / gflops:5.1f} %" if "gflops" in point else "    - "
        ratios = "  ".join(f"{name} {r['median']:.2f}x" for name, r in result["ratios"].items())
        print(f"  {width:>5} x {batch:<5}{best:>12,.2f} us {share}   {ratios}", flush=True)
    return 0


def slower_points(points: list[Point]) -> Iterator[tuple[Point, str, float]]:
    """Yield each point where a peer is faster by more than 5 %, with the fastest peer and the ratio of its time to ours."""
    for point in points:
        ratios = {name: r["median"] for name, r in point["ratios"].items()}
        if ratios:
            name = min(ratios, key=lambda name: ratios[name])
            if ratios[name] * SLOWER < 1:
                yield point, name, ratios[name]


def jumps(points: list[Point]) -> Iterator[tuple[Point, Point, float]]:
    """Yield neighbours, both at multiples of 8, where a larger one takes over 30 % more time for each useful operation.

    Neighbours differ in width or in batch, at most by a factor of two, and are next to one another among the points that
    were measured at multiples of 8.
    """
    known = {(p["threads"], p["width"], p["batch"]): p for p in points if "gflops" in p}
    eights = {key: p for key, p in known.items() if key[1] % 8 == 0 and key[2] % 8 == 0}
    for along in (1, 2):
        lines: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for key in eights:
            lines.setdefault((key[0], key[3 - along]), []).append(key)
        for line in lines.values():
            line.sort()
            for small, large in itertools.pairwise(line):
                rise = eights[small]["gflops"] / eights[large]["gflops"]
                if rise > JUMP and large[along] <= 2 * small[along]:
                    yield eights[small], eights[large], rise


def report(points: list[Point], isa: str, peak: Peak) -> str:
    """Return the findings as text."""
    lines = [f"{len(points)} points"]
    for threads in sorted({p["threads"] for p in points}):
        mine = [p for p in points if p["threads"] == threads]
        gflops = peak_of(peak, isa, threads)
        slow = sorted(slower_points(mine), key=lambda found: found[2])
        lines.append(f"\n{threads} threads: {len(slow)} of {len(mine)} points are slower than the fastest peer by over 5 %")
        lines += [
            f"  width {p['width']:>5}  batch {p['batch']:>5}  {p['best_us']:>12,.2f} us  {name} takes {r:.2f} of our time"
            for p, name, r in slow
            if "best_us" in p
        ]
        found = sorted(jumps(mine), key=lambda jump: -jump[2])
        lines.append(f"{threads} threads: {len(found)} jumps of over 30 % in time per useful operation, at multiples of 8")
        for small, large, rise in found:
            from_, to = (f"{p['width']} x {p['batch']} ({100 * p['gflops'] / gflops:.0f} % of peak)" for p in (small, large))
            lines.append(f"  {from_} -> {to}: +{100 * (rise - 1):.0f} %")
    return "\n".join(lines)
