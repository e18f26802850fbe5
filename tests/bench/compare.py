"""Measure retrograd beside its peers: `python tests/bench/compare.py` (see README.md in this folder).

Training and prediction in paired rounds, each engine in a process of its own; with --sweep, a grid of widths and batches.
Prints tables, and writes a JSON file and a picture. Nothing passes or fails here.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import signal
import statistics
import sys
import tempfile
import time
from typing import Any

import machine
import sweep
from core_build import Error
from engines import ENGINES, OURS, Task
from race import Pool, flops_of_step, installed
from retrograd.cli import bench as _bench
from retrograd.cli import machine as _machine

PREDICT_ROWS = (1, 100, 10_000)
PREDICTED = ("digits", "mnist")  # [64, 64, 10] and [784, 128, 10]
SKETCH_FLAGS = (
    "-O3 -fira-algorithm=priority -march=haswell -mtune=generic -fopenmp -ffp-contract=fast -fno-math-errno "
    "-fno-trapping-math -shared -fPIC -w"
)

Document = dict[str, Any]


def main() -> int:
    """Run the command; returns the exit code."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: what was measured is saved, the children are ended
    try:
        document = load(options.out)
        if options.draw:
            draw(document, options.out)
            return 0
        with tempfile.TemporaryDirectory(prefix="retrograd-bench-") as folder:
            library = compile_sketch(options.sketch, pathlib.Path(folder)) if options.sketch else ""
            return measure(options, document, library)
    except Error as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 1


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description="speed of retrograd beside its peers", epilog="See tests/bench/README.md.")
    names = ", ".join(_bench.WORKLOADS)
    parser.add_argument("--workloads", metavar="A,B", help=f"training, of {names}, or none; default: all")
    parser.add_argument("--predict", metavar="A,B", help=f"prediction, of {names} with relu, or none; default: digits,mnist")
    parser.add_argument("--engines", metavar="A,B", help=f"of {', '.join(ENGINES)}; default: all that are installed")
    parser.add_argument("--threads", metavar="1,2", help="default: 1 and all (--sweep: 1)")
    parser.add_argument("--rounds", type=_bench.positive, default=None, metavar="N", help="default: 5 (--sweep: 3)")
    parser.add_argument("--seconds", type=float, default=None, help="of a turn; default: 0.1 (--sweep: 0.02)")
    parser.add_argument("--sketch", type=pathlib.Path, metavar="PATH", help="a sketch's .cpp, to be compiled and compared too")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build/bench/speed.json"), metavar="PATH.json")
    parser.add_argument("--sweep", action="store_true", help="measure the grid of widths and batches instead")
    parser.add_argument("--widths", metavar="A,B", help="of the sweep")
    parser.add_argument("--batches", metavar="A,B", help="of the sweep")
    parser.add_argument("--budget", type=float, default=600.0, metavar="SECONDS", help="of the sweep; run again to go on")
    parser.add_argument("--draw", action="store_true", help="only draw the picture of what --out holds")
    options = parser.parse_args()

    def chosen(text: str | None, known: list[str], default: list[str]) -> list[str]:
        if text is None:
            return default
        found = [] if text == "none" else text.split(",")
        for name in found:
            if name not in known:
                parser.error(f"{name!r}: expected names of {', '.join(known)}")
        return found

    def numbers(text: str | None, default: list[int]) -> list[int]:
        try:
            return default if text is None else sorted({_bench.positive(part) for part in text.split(",")})
        except argparse.ArgumentTypeError as error:
            parser.error(str(error))

    relu = [name for name, workload in _bench.WORKLOADS.items() if workload.activation == "relu"]
    options.workloads = chosen(options.workloads, list(_bench.WORKLOADS), list(_bench.WORKLOADS))
    options.predict = chosen(options.predict, relu, list(PREDICTED))
    engines = list(sweep.ENGINES) if options.sweep else [name for name in ENGINES if name != "sketch"]
    if options.sketch:
        engines.append("sketch")
    options.engines = chosen(options.engines, list(ENGINES), engines)
    if options.sketch and "sketch" not in options.engines:
        options.engines.append("sketch")
    if "sketch" in options.engines and not options.sketch:
        parser.error("the sketch needs --sketch PATH")
    if OURS not in options.engines:
        options.engines.insert(0, OURS)
    options.threads = numbers(options.threads, [1] if options.sweep else _machine.default_threads())
    if options.threads[-1] > _machine.cpu_count():
        parser.error(f"--threads: expected at most {_machine.cpu_count()}, the CPUs there are")
    options.widths = tuple(numbers(options.widths, list(sweep.WIDTHS)))
    options.batches = tuple(numbers(options.batches, list(sweep.BATCHES)))
    options.rounds = options.rounds or (3 if options.sweep else 5)
    options.seconds = options.seconds or (0.02 if options.sweep else 0.1)
    return options


def measure(options: argparse.Namespace, document: Document, library: str) -> int:
    """Measure what the options ask for, add it to the document, and draw it; returns the exit code."""
    here = machine.describe()
    if document and not machine.same_machine(document["machine"], here):
        raise Error("--out holds numbers of another machine or instruction set; name another file")
    meter = machine.PeakMeter(document.get("peak"))
    meter.measure()
    document.update(machine=here, peak=meter.best, notes=[])
    document.setdefault("engines", {})
    disturbance = machine.Disturbance()
    names, notes = installed(options.engines)
    document["notes"] += notes
    print(f"retrograd {here['retrograd']} ({here['isa']}, {here['compiler']}) on {here['cpu']}, {here['cpus']} CPUs")
    for threads in options.threads:
        print(f"peak at {threads} threads: {meter.gflops(here['isa'], threads):,.1f} GFLOP/s in float32 ({here['isa']})")
    for note in notes:
        print(f"({note})")
    try:
        for threads in options.threads:
            pool = Pool(list(names), threads, library)
            try:
                document["engines"].update(pool.versions())
                if options.sweep:
                    run_sweep(options, document, pool, meter)
                else:
                    run_tasks(options, document, pool, meter)
            finally:
                document["notes"] += pool.notes
                pool.close()
    finally:
        meter.measure()
        meter.close()
        set_shares(document)
        document["disturbance"] = disturbance.report()
        save(document, options.out)
    if options.sweep:
        print("\n" + sweep.report(document["sweep"], here["isa"], meter.best))
    print(f"\nstolen by other guests: {100 * document['disturbance']['stolen']:.1f} % of CPU time", end="")
    print(f"; load {document['disturbance']['load_15_minutes']}")
    draw(document, options.out)
    return 0


def run_tasks(options: argparse.Namespace, document: Document, pool: Pool, meter: machine.PeakMeter) -> None:
    """Train, then predict, at the pool's number of threads."""
    peers = [name for name in pool.names if name != OURS]
    isa = document["machine"]["isa"]
    for what, chosen in (("train", options.workloads), ("predict", options.predict)):
        if not chosen:
            continue
        print(f"\n{what}, {pool.threads} threads; ours in us, then each peer's time by ours: median (min to max)")
        print(f"{'workload':<15}{'layers':<22}{'rows':>6}{'us':>11}{'fastest':>11}{'of peak':>9}", end="")
        print("".join(f"{name:>26}" for name in peers if what == "train" or ENGINES[name].predict), flush=True)
        for name in chosen:
            for rows in PREDICT_ROWS if what == "predict" else [_bench.WORKLOADS[name].batch_size]:
                task = task_of(name, pool.threads, rows if what == "predict" else None)
                meter.measure(0.02)
                result = pool.race(
                    what,
                    f"{name} ({rows} rows)",
                    {"task": task._asdict(), "seconds": options.seconds},
                    rounds=options.rounds,
                    fastest=2 * options.seconds,
                    pause=_bench.PAUSE if pool.threads > 1 else _bench.PAUSE / 3,
                )
                steps = -(-task.rows // task.batch_size)
                flops = flops_of_step(task.sizes, task.rows / steps, what == "train")
                entry = {
                    "workload": name,
                    "threads": pool.threads,
                    "sizes": task.sizes,
                    "batch": rows,
                    "flops": flops,
                    "rounds": options.rounds,
                    "seconds": options.seconds,
                    **result,
                }
                replace(document.setdefault(what, []), entry)
                show(entry, peers, what, meter.gflops(isa, pool.threads))
                save(document, options.out)


def run_sweep(options: argparse.Namespace, document: Document, pool: Pool, meter: machine.PeakMeter) -> None:
    """Measure points of the grid until the budget is spent."""
    isa = document["machine"]["isa"]
    todo = sweep.grid(options.widths, options.batches, meter.gflops(isa, pool.threads))
    print(f"\nsweep, {pool.threads} threads: {len(todo)} points", flush=True)
    until = time.monotonic() + options.budget / len(options.threads)
    left = sweep.run(
        document.setdefault("sweep", []),
        pool,
        todo,
        isa=isa,
        peak=meter.best,
        rounds=options.rounds,
        seconds=options.seconds,
        until=until,
        save=lambda: save(document, options.out),
    )
    if left:
        print(f"the budget is spent; {left} points are left for another run with the same --out")


def task_of(name: str, threads: int, predicted_rows: int | None) -> Task:
    """Return the task of a workload: an epoch of training, or the prediction of so many rows."""
    w = _bench.WORKLOADS[name]
    rows, batch = (w.rows, w.batch_size) if predicted_rows is None else (predicted_rows, predicted_rows)
    return Task(list(w.sizes), w.activation, w.loss, batch, rows, w.momentum, w.lr, threads)


def show(entry: dict[str, Any], peers: list[str], what: str, gflops: float) -> None:
    """Print a line of the table."""
    ours = entry["us"].get(OURS)
    print(f"{entry['workload']:<15}{_bench.layers_text(tuple(entry['sizes'])):<22}{entry['batch']:>6}", end="")
    if ours:
        best = best_of(entry)
        print(f"{short(statistics.median(ours)):>11}{short(best):>11}{entry['flops'] / best / 10 / gflops:>7.1f} %", end="")
    else:
        print(f"{'-':>11}{'-':>11}{'-':>9}", end="")
    for name in peers:
        if what == "predict" and not ENGINES[name].predict:
            continue
        r = entry["ratios"].get(name)
        print(f"{'{} ({} to {})'.format(*map(short, (r['median'], r['min'], r['max']))) if r else '-':>26}", end="")
    team, sketch = entry.get("team"), entry["fastest"].get("sketch")
    notes = [f"{team} of {entry['threads']} threads"] if team and team != entry["threads"] else []
    notes += [f"sketch's fastest: {short(min(sketch, *entry['us']['sketch']))}"] if sketch and "sketch" in entry["us"] else []
    print(f"   ({'; '.join(notes)})" if notes else "", flush=True)


def best_of(entry: dict[str, Any]) -> float:
    """Return the fastest us a step of ours that was seen in any way."""
    return float(min([*entry["us"][OURS], entry["fastest"].get(OURS, float("inf"))]))


def set_shares(document: Document) -> None:
    """Set each result's share of the peak anew: the peak may have risen since."""
    isa = document["machine"]["isa"]
    for what in ("train", "predict"):
        for entry in document.get(what, []):
            if entry["us"].get(OURS):
                gflops = machine.peak_of(document["peak"], isa, entry["threads"])
                entry["best_us"] = best_of(entry)
                entry["share_of_peak"] = round(entry["flops"] / entry["best_us"] / 1e3 / gflops, 4)
    for point in document.get("sweep", []):
        if "gflops" in point:
            point["share_of_peak"] = round(point["gflops"] / machine.peak_of(document["peak"], isa, point["threads"]), 4)


def replace(entries: list[dict[str, Any]], entry: dict[str, Any]) -> None:
    """Put the result in the place of an older one of the same task, if there is one."""
    key = ("workload", "threads", "batch")
    entries[:] = [old for old in entries if any(old[k] != entry[k] for k in key)] + [entry]


def compile_sketch(source: pathlib.Path, folder: pathlib.Path) -> str:
    """Compile the sketch into a library that ctypes can load; returns its path."""
    if not source.is_file():
        raise Error(f"--sketch: expected a C++ file, got {source}")
    library = folder / "sketch.so"
    machine.compile_cpp(source, library, SKETCH_FLAGS.split())
    return str(library)


def load(path: pathlib.Path) -> Document:
    """Return what an earlier run left, or nothing."""
    if not path.exists():
        return {}
    try:
        document: Document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Error(f"--out: {path} is not a JSON file of this command ({error})") from None
    return document


def save(document: Document, path: pathlib.Path) -> None:
    """Write the document so that an interrupted run leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def draw(document: Document, path: pathlib.Path) -> None:
    """Draw the picture beside the JSON file, where matplotlib is installed."""
    try:
        import picture
    except ImportError:
        print(f"numbers: {path}; no picture: matplotlib is not installed")
        return
    image = path.with_suffix(".png")
    picture.draw(document, image)
    print(f"numbers: {path}\npicture: {image}")


def short(number: float) -> str:
    """Return a number with three digits or, from 1000 on, whole."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


if __name__ == "__main__":
    sys.exit(main())
