"""Facts about the machine and about what is installed: CPUs, threads, BLAS, versions."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np

from .. import _core


def default_threads() -> list[int]:
    """Return one thread and all threads, once where that is the same."""
    return sorted({1, all_threads()})


def all_threads() -> int:
    """Return the threads that the engine may use here, at most one for each CPU."""
    return min(_core.max_threads(), cpu_count())


def cpu_count() -> int:
    """Return the number of CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Return versions, CPU and instruction set, for a report."""
    return {
        "retrograd": _core.__version__,
        "isa": _core.isa(),
        "openmp": _core.openmp(),
        "compiler": _core.compiler(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cpus": cpu_count(),
    }


def cpu_model() -> str:
    """Return the name of the CPU, as far as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def blas() -> str:
    """Return name and version of the BLAS that NumPy was built with."""
    config: Any = np.show_config(mode="dicts")  # type: ignore[no-untyped-call, func-returns-value, unused-ignore]
    found = config.get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name', 'unknown BLAS')} {found.get('version', '')}".strip()
