"""One engine in a process of its own: `Worker` starts it and asks, `main` is what runs there. They talk in lines of JSON.

The child takes its CPUs before it loads anything: libraries count the CPUs, and start their threads, when they are
imported. It lives through all rounds of a task, so that engines can take turns without being loaded anew.
"""

from __future__ import annotations

import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PATIENCE = 900.0  # seconds for one answer; the slowest thing is PyTorch's compiler
SHORT_STEPS, SHORT_SECONDS = 50, 0.002  # a short fit has so many steps, and takes at least so long where there are rows
FEW_STEPS, LONG_SECONDS = 64, 2.0


class WorkerError(Exception):
    """The engine failed in its process; the text is the last line of what it said."""


class Worker:
    """An engine at so many threads, in a child process.

    Parameters
    ----------
    engine : str
    threads : int
        It is pinned to as many CPUs.
    library : str
        The compiled sketch, where that is the engine.
    """

    def __init__(self, engine: str, threads: int, library: str = "") -> None:
        environment = {**os.environ, **dict.fromkeys(VARIABLES, str(threads)), "JAX_PLATFORMS": "cpu"}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path[1:] if path)
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        # -P: a file of this folder (profile.py) must not stand for a module of Python's own
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, engine, str(threads), library],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def ask(self, what: str, **arguments: Any) -> Any:
        """Have the child do something and return its answer.

        Raises
        ------
        WorkerError
            The engine cannot do it, died, or took too long.
        """
        process = self._process
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps({"what": what, **arguments}).encode() + b"\n")
            process.stdin.flush()
            if not select.select([process.stdout], [], [], PATIENCE)[0]:
                process.kill()
                raise WorkerError(f"no answer within {PATIENCE:.0f} s")
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines()
            raise WorkerError(said[-1] if said else f"ended with code {process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["answer"]

    def close(self) -> None:
        """End the child."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


class Session:
    """What the child remembers between two questions."""

    def __init__(self, engine: str, threads: int, library: str) -> None:
        import engines

        self.engines, self.name, self.threads = engines, engine, threads
        self.engine = engines.ENGINES[engine]
        self.extra = {"library": library} if engine == "sketch" else {}
        __import__(self.engine.module)
        self.once: Callable[[], object] = lambda: None
        self.short: Callable[[], object] | None = None
        self.per_call = 1.0  # steps of a call of `once`
        self.short_steps = 1.0
        self.calls = 1
        self.first = 0.0
        self.result: object = None

    def version(self) -> str:
        """Return the version of the engine."""
        import importlib.metadata

        if self.name == "sketch":
            return "compiled here"
        return importlib.metadata.version({"sklearn": "scikit-learn"}.get(self.engine.module, self.engine.module))

    def train(self, task: dict[str, Any], seconds: float, short: bool) -> None:
        """Get ready to train, and find out how many epochs take `seconds`."""
        job = self.engines.Task(**task)
        X, y = self.engines.data_of(job)
        prepare = self.engine.train(job, **self.extra)
        self.per_call = -(-job.rows // job.batch_size)
        if self.name == "jax":
            self.per_call = job.rows // job.batch_size
        self._warm_up(prepare(X, y), seconds)
        if self.first > 5 * seconds and self.per_call > FEW_STEPS:  # an engine for which fewer steps are long enough
            self.per_call = FEW_STEPS
            rows = FEW_STEPS * job.batch_size
            self._warm_up(prepare(X[:rows], y[:rows]), seconds)
        self.short = None
        if short:
            step = self._seconds(self.once, 1) / self.per_call
            self.short_steps = min(job.rows // job.batch_size, max(SHORT_STEPS, int(SHORT_SECONDS / step)))
            if SHORT_STEPS * step > 0.5:  # of steps that long, fewer do
                self.short_steps = max(1, min(self.short_steps, int(0.5 / step)))
            rows = int(self.short_steps) * job.batch_size
            self.short = prepare(X[:rows], y[:rows])
            self.short()

    def predict(self, task: dict[str, Any], seconds: float) -> None:
        """Get ready to predict, and find out how many calls take `seconds`."""
        job = self.engines.Task(**task)
        if self.engine.predict is None:
            raise NotImplementedError(f"{self.name} does not predict")
        predict = self.engine.predict(job, **self.extra)
        X = self.engines.data_of(job)[0]
        labels = predict(X)
        assert labels.shape == (job.rows,), labels.shape
        self.per_call = 1
        self.short = None
        self._warm_up(lambda: predict(X), seconds)

    def turn(self) -> float:
        """Return the mean seconds of a step (a prediction) over one turn."""
        if self.calls > 1:  # the first milliseconds after a pause are slow: cold caches, sleeping cores and threads
            self.once()
        return self._seconds(self.once, self.calls) / self.calls / self.per_call

    def fastest(self, seconds: float) -> float:
        """Return the seconds of a step in the fastest of many short fits (predictions: of single calls)."""
        once, steps = (self.short, self.short_steps) if self.short else (self.once, self.per_call)
        best = float("inf")
        stop = time.perf_counter() + seconds
        while True:
            best = min(best, self._seconds(once, 1) / steps)
            if time.perf_counter() > stop:
                return best

    def team(self) -> int | None:
        """Return how many threads the last epoch really took, where the engine tells."""
        return self.result if isinstance(self.result, int) and self.name == self.engines.OURS else None

    def _warm_up(self, once: Callable[[], object], seconds: float) -> None:
        self.once = once
        self.calls = 1
        self.first = self._seconds(once, 1)
        if self.first > LONG_SECONDS and self.per_call < FEW_STEPS:  # nothing would be gained by knowing it better
            return
        self.first = self._seconds(once, 1)
        self.calls = max(1, int(seconds / self.first))
        if self.calls > 10:  # that one was too short to tell
            few = self.calls // 10
            self.calls = max(1, int(seconds * few / self._seconds(once, few)))

    def _seconds(self, once: Callable[[], object], calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            self.result = once()
        return time.perf_counter() - start


def main(engine: str, threads: int, library: str) -> None:
    """Answer questions from standard input until it ends."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is not an answer
    sys.path.append(str(pathlib.Path(__file__).resolve().parent))
    session: Session | None = None
    for line in sys.stdin:
        request = json.loads(line)
        what = request.pop("what")
        try:
            if session is None:
                session = Session(engine, threads, library)
            reply = {"answer": getattr(session, what)(**request)}
        except Exception as error:
            words = str(error).strip().splitlines()
            reply = {"error": f"{type(error).__name__}: {words[0] if words else ''}"}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
