"""`python -m retrograd info`: versions, instruction set and threads of this installation."""

from __future__ import annotations

import argparse
import os
import platform

import numpy as np

from .. import _core
from .machine import blas, cpu_count, cpu_model


def run(arguments: argparse.Namespace) -> int:
    """Run `python -m retrograd info`; returns the exit code."""
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    chosen = os.environ.get("RETROGRAD_ISA")
    facts = {
        "retrograd": _core.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "NumPy": f"{np.__version__} ({blas()})",
        "platform": platform.platform(),
        "CPU": cpu_model(),
        "instruction set": f"{_core.isa()} in use{', chosen by RETROGRAD_ISA' if chosen else ''}",
        "available": ", ".join(_core.available_isas()),
        "CPUs": f"{os.cpu_count()}, of which {cpu_count()} for this process{_ranges(affinity)}",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        "threads at most": str(_core.max_threads()),
        "plans": "measured while training" if _core.plans_are_measured() else "the likeliest, by RETROGRAD_PLAN=default",
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
