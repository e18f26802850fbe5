"""Where the time of a training step goes, by phase and thread: `python tests/bench/profile.py mnist --threads 2`.

Builds profile.cpp against the core (build/bench/cmake), measures the machine's peak, and runs it on one workload.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys

import machine
from core_build import Error, build
from retrograd import _core
from retrograd.cli import bench as _bench
from retrograd.cli import machine as _machine


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description="profile of one workload by phase", epilog="See tests/bench/README.md.")
    parser.add_argument("workload", choices=_bench.WORKLOADS)
    parser.add_argument("--threads", type=_bench.positive, default=1, metavar="N", help="pinned to as many CPUs; default: 1")
    parser.add_argument("--seconds", type=float, default=2.0, help="to measure; default: 2")
    parser.add_argument("--batch", type=_bench.positive, metavar="N", help="another batch than the workload's own")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/bench/cmake"), metavar="FOLDER")
    options = parser.parse_args()
    if options.threads > _machine.cpu_count():
        parser.error(f"--threads: expected at most {_machine.cpu_count()}, the CPUs there are")
    workload = _bench.WORKLOADS[options.workload]
    batch = options.batch or workload.batch_size
    try:
        program = build(options.build, ["retrograd_profile"]) / "tests" / "bench" / "retrograd_profile"
        meter = machine.PeakMeter()
    except Error as error:
        print(f"profile.py: {error}", file=sys.stderr)
        return 1
    meter.measure()
    peak = meter.gflops(_core.isa(), 1)
    meter.close()
    print(f"{options.workload}: {_bench.layers_text(workload.sizes)} {workload.activation}, batches of {batch}", end="")
    print(f"; peak of one thread {peak:.1f} GFLOP/s ({_core.isa()}, float32)", flush=True)
    arguments = [",".join(map(str, workload.sizes)), workload.activation, workload.loss, batch, workload.rows]
    arguments += [workload.momentum, options.threads, options.seconds, peak]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    return subprocess.run([program, *map(str, arguments)], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
