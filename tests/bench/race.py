"""Paired rounds: the engines of one task take turns, and ratios are taken within a round."""

from __future__ import annotations

import importlib.util
import itertools
import statistics
import sys
import time
from typing import Any

from engines import ENGINES, OURS
from retrograd.cli import bench as _bench
from worker import Worker, WorkerError

LONG_US = 3e5  # steps that long have no faster ones among them


def flops_of_step(sizes: tuple[int, ...] | list[int], rows: float, training: bool = True) -> float:
    """Return the useful multiply-add operations of a step: forward, dw, and delta for all layers but the first.

    Parameters
    ----------
    sizes : sequence of int
    rows : float
        Of the batch.
    training : bool
        False: the forward pass alone.
    """
    products = [a * b for a, b in itertools.pairwise(sizes)]
    return 2.0 * rows * (3 * sum(products) - products[0] if training else sum(products))


def installed(names: list[str]) -> tuple[list[str], list[str]]:
    """Return the engines that can run here, and a note for each that cannot."""
    found, notes = [], []
    for name in names:
        if importlib.util.find_spec(ENGINES[name].module):
            found.append(name)
        else:
            notes.append(f"{name} is skipped: {ENGINES[name].module} is not installed")
    return found, notes


class Pool:
    """A child process for each engine, all at the same number of threads.

    Parameters
    ----------
    names : list of str
    threads : int
    library : str
        The compiled sketch, or "".
    """

    def __init__(self, names: list[str], threads: int, library: str = "") -> None:
        self.names, self.threads, self.library = names, threads, library
        self.notes: list[str] = []
        self._workers: dict[str, Worker] = {}

    def ask(self, name: str, what: str, **arguments: Any) -> Any:
        """Ask one engine; a child that failed is replaced, so that the next task finds a sound one."""
        if name not in self._workers:
            self._workers[name] = Worker(name, self.threads, self.library)
        try:
            return self._workers[name].ask(what, **arguments)
        except WorkerError:
            self._workers.pop(name).close()
            raise

    def race(
        self, what: str, title: str, arguments: dict[str, Any], *, rounds: int, fastest: float, pause: float
    ) -> dict[str, Any]:
        """Let the engines get ready, then take turns.

        Parameters
        ----------
        what : str
            "train" or "predict".
        title : str
            For the notes.
        arguments : dict
            Of that question.
        rounds : int
            One turn for each engine in each; every second round runs in the opposite order.
        fastest : float
            Seconds, in each round, in which ours (and the sketch) look for their fastest short fit. 0: none.
        pause : float
            Seconds before each turn: the waiting threads of some engines go on spinning for a while.

        Returns
        -------
        dict
            "us": for each engine its us a step in each round; "ratios": for each peer its median, min and max; "fastest":
            us a step, for each engine that looked; "team": threads that ours took.
        """
        ready = []
        for name in self.names:
            searches = fastest > 0 and name in (OURS, "sketch")
            if what == "predict" and ENGINES[name].predict is None:
                continue
            self._doing(f"{title}: {name} gets ready")
            try:
                self.ask(name, what, **arguments, **({"short": searches} if what == "train" else {}))
                ready.append(name)
            except WorkerError as error:
                self._note(f"{name} cannot {what} {title}: {error}")
        us: dict[str, list[float]] = {name: [] for name in ready}
        best: dict[str, float] = {}
        for number in range(rounds):
            for name in ready[:: 1 if number % 2 == 0 else -1]:
                if name not in us:
                    continue
                time.sleep(pause)
                self._doing(f"{title}: round {number + 1}, {name}")
                try:
                    us[name].append(1e6 * self.ask(name, "turn"))
                    if fastest > 0 and name in (OURS, "sketch") and us[name][-1] < LONG_US:
                        best[name] = min(best.get(name, float("inf")), 1e6 * self.ask(name, "fastest", seconds=fastest))
                except WorkerError as error:
                    self._note(f"{name} gave up on {title}: {error}")
                    del us[name]
        self._doing("")
        result: dict[str, Any] = {"us": {name: [round(t, 4) for t in times] for name, times in us.items()}}
        result["fastest"] = {name: round(t, 4) for name, t in best.items()}
        result["ratios"] = {}
        if OURS in us:
            result["team"] = self.ask(OURS, "team") if what == "train" else None
            for name in us:
                if name != OURS:
                    result["ratios"][name] = ratio(us[OURS], us[name])
        return result

    def versions(self) -> dict[str, str]:
        """Return the version of each engine that starts; one that does not is dropped, with a note."""
        found = {}
        for name in list(self.names):
            try:
                found[name] = str(self.ask(name, "version"))
            except WorkerError as error:
                self.names.remove(name)
                self._note(f"{name} is skipped: {error}")
        return found

    def close(self) -> None:
        """End all children."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    @staticmethod
    def _doing(text: str) -> None:
        """Show what is under way, on a terminal; the next line overwrites it."""
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def _note(self, text: str) -> None:
        self.notes.append(text)
        print(f"  ({text})", file=sys.stderr, flush=True)


def ratio(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Return median, min and max over rounds of their time by ours."""
    values = [b / a for a, b in zip(ours, theirs, strict=True)]
    return {"median": round(statistics.median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


def default_pause(threads: int) -> float:
    """Return the pause between turns of a sweep: with one CPU no thread is left that could spin."""
    return _bench.PAUSE / 3 if threads > 1 else 0.0
