"""`python -m retrograd`: a demonstration, the comparison with NumPy, and facts about this installation."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence

import numpy as np

from . import _bench, _core, _demo


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; default ``sys.argv[1:]``.

    Returns
    -------
    int
        Exit code: 0; 1 where reading, writing or a measurement failed; 2 on wrong usage; 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="python -m retrograd", description="Dense neural networks on a CPU.")
    parser.add_argument("--version", action="version", version=f"retrograd {_core.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="train on handwritten digits: accuracy, learning curve, speed beside NumPy")
    _demo.add_arguments(demo)
    demo.set_defaults(run=_demo.run)
    bench = commands.add_parser("bench", help="compare the speed with NumPy over a set of workloads")
    _bench.add_arguments(bench)
    bench.set_defaults(run=_bench.run)
    info = commands.add_parser("info", help="versions, instruction set, threads")
    info.set_defaults(run=run_info)
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone (`... | head`): be quiet, also when Python flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, RuntimeError) as error:
        print(f"{arguments.command}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{arguments.command}: interrupted", file=sys.stderr)
        return 130
    return code


def run_info(arguments: argparse.Namespace) -> int:
    """Run `python -m retrograd info`; returns the exit code."""
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    chosen = os.environ.get("RETROGRAD_ISA")
    facts = {
        "retrograd": _core.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "NumPy": f"{np.__version__} ({_bench.blas()})",
        "platform": platform.platform(),
        "CPU": _bench.cpu_model(),
        "instruction set": f"{_core.isa()} in use{', chosen by RETROGRAD_ISA' if chosen else ''}",
        "available": ", ".join(_core.available_isas()),
        "CPUs": f"{os.cpu_count()}, of which {_bench.cpu_count()} for this process{_ranges(affinity)}",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        "threads at most": str(_core.max_threads()),
        "OpenMP": _core.openmp(),
        "compiler": _core.compiler(),
    }
    for name, value in facts.items():
        print(f"{name:<16} {value}")
    return 0


def _ranges(cpus: list[int] | None) -> str:
    """CPU numbers as text, like " (0-3, 8)"."""
    if not cpus:
        return ""
    starts = [i for i in range(len(cpus)) if i == 0 or cpus[i] != cpus[i - 1] + 1]
    runs = [cpus[start:stop] for start, stop in zip(starts, [*starts[1:], len(cpus)], strict=True)]
    return f" ({', '.join(str(run[0]) if len(run) == 1 else f'{run[0]}-{run[-1]}' for run in runs)})"


if __name__ == "__main__":
    sys.exit(main())
