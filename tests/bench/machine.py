"""The machine that is measured: its peak (peak.cpp), its description, and how much other guests took from it."""

from __future__ import annotations

import datetime
import os
import pathlib
import shutil
import subprocess
import tempfile
from typing import Any

from core_build import FOLDER, Error
from retrograd.cli import machine as _machine

Peak = dict[str, dict[str, dict[str, float]]]  # GFLOP/s by instruction set, type and number of threads (as text: JSON keys)


def compile_cpp(source: pathlib.Path, output: pathlib.Path, flags: list[str]) -> None:
    """Compile one file with g++, or the compiler that CXX names.

    Parameters
    ----------
    source, output : path
    flags : list of str

    Raises
    ------
    Error
        If there is no compiler, or it refused the file.
    """
    compiler = os.environ.get("CXX", "g++")
    if not shutil.which(compiler):
        raise Error(f"{compiler}: not found; it compiles {source.name} (CXX names another compiler)")
    done = subprocess.run([compiler, *flags, "-o", str(output), str(source)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Error(f"{compiler} refused {source.name}:\n{done.stderr.strip()}")


class PeakMeter:
    """Measures the peak, as often as it is asked, and keeps the highest: what disturbs can only lower it.

    Parameters
    ----------
    known : dict
        From earlier runs on the same machine.

    Attributes
    ----------
    best : dict
        GFLOP/s: best["avx2"]["float32"]["1"].
    """

    def __init__(self, known: Peak | None = None) -> None:
        self.best: Peak = known or {}
        self._folder = tempfile.TemporaryDirectory(prefix="retrograd-peak-")
        self._program = pathlib.Path(self._folder.name) / "peak"
        flags = ["-O3", "-std=c++17", "-fopenmp", "-ffp-contract=fast"]
        compile_cpp(FOLDER / "peak.cpp", self._program, flags)

    def measure(self, seconds: float = 0.1) -> None:
        """Run the program once, `seconds` for each line of its output."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
        done = subprocess.run([self._program, str(seconds)], env=environment, capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            isa, kind, threads, gflops = line.split()
            by_threads = self.best.setdefault(isa, {}).setdefault(kind, {})
            by_threads[threads] = max(by_threads.get(threads, 0.0), float(gflops))

    def gflops(self, isa: str, threads: int, kind: str = "float32") -> float:
        """Return the peak of so many threads; between one and all it is in proportion to one."""
        return peak_of(self.best, isa, threads, kind)

    def close(self) -> None:
        """Remove the program."""
        self._folder.cleanup()


def peak_of(peak: Peak, isa: str, threads: int, kind: str = "float32") -> float:
    """Return the GFLOP/s of an instruction set at so many threads, as `PeakMeter.best` holds them."""
    by_threads = peak[isa][kind]
    return by_threads.get(str(threads), by_threads["1"] * threads)


def describe() -> dict[str, Any]:
    """Return CPU, instruction set in use, caches, versions and date, for a report that may be read elsewhere."""
    found = _machine.machine()
    found["compiler_here"] = _first_line([os.environ.get("CXX", "g++"), "--version"])
    found["caches"] = _caches()
    found["revision"] = _first_line(["git", "-C", str(FOLDER), "describe", "--always", "--dirty"])
    found["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    return found


def same_machine(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether numbers measured on both may stand in one table."""
    return all(a.get(key) == b.get(key) for key in ("cpu", "cpus", "isa"))


class Disturbance:
    """What the machine did beside this job, from the moment that this is made."""

    def __init__(self) -> None:
        self._start = _cpu_ticks()

    def report(self) -> dict[str, float]:
        """Return the share of CPU time that the hypervisor gave to others (stolen), and the load of the last minutes."""
        ticks = [now - then for now, then in zip(_cpu_ticks(), self._start, strict=True)]
        total = sum(ticks)
        stolen = ticks[7] / total if total else 0.0
        return {"stolen": round(stolen, 4), "load_15_minutes": round(os.getloadavg()[2], 2)}


def _cpu_ticks() -> list[int]:
    try:
        with open("/proc/stat", encoding="ascii") as file:
            return [int(word) for word in file.readline().split()[1:9]]
    except OSError:
        return []


def _first_line(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("\n")[0].strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _caches() -> dict[str, str]:
    """Return size by level, as Linux tells it of the first CPU."""
    found = {}
    for index in sorted(pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        found[f"L{level}" + ("" if kind == "Unified" else f" {kind.lower()}")] = size
    return found
