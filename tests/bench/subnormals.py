"""How much numbers below the normal range slow down training and prediction: at most twice the time is the promise.

    python tests/bench/subnormals.py --rounds 15

The same network on the same number of rows, once with numbers of about 1, once with inputs, weights, or both so small that
they or their products are subnormal. Steps with a learning rate of 0, so that they stay so. Ratios are paired in rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import retrograd as rg
from retrograd import _core

CASES = {  # scale of inputs, of weights
    "inputs": (1e-41, 1.0),
    "weights": (1.0, 1e-41),
    "products": (1e-20, 1e-20),
    "all": (1e-41, 1e-41),
}
NETWORKS = {"8-64-64-4": ([8, 64, 64, 4], 32), "784-128-10": ([784, 128, 10], 64), "256-512-512-10": ([256, 512, 512, 10], 128)}


def calls(sizes: list[int], batch: int, activation: str, inputs: float, weights: float) -> dict[str, Callable[[], object]]:
    """A training and a prediction with numbers of that size."""
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((16 * batch, sizes[0])) * inputs).astype(np.float32)
    net = rg.Network(sizes, activation=activation)
    net.set_weights([w * np.float32(weights) for w in net.weights])
    y = (rng.standard_normal((len(X), sizes[-1])) * weights).astype(np.float32)
    optimizer, off = rg.SGD(0.0, momentum=0.9), {"shuffle": False, "progress": False, "advice": False}
    trainer = rg.Trainer(net, optimizer, batch_size=batch, n_threads=1, **off)
    return {"fit": lambda: trainer.fit(X, y, epochs=2), "predict": lambda: net.predict(X, n_threads=1)}


def seconds(call: Callable[[], object]) -> float:
    """The faster of two."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Prints a line for each network, activation and kind of small numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()

    print(f"{_core.isa()}, 1 thread; time by that of ordinary numbers: median (lowest to highest round)")
    worst = 0.0
    for name, (sizes, batch) in NETWORKS.items():
        for activation in ("relu", "tanh", "sigmoid"):
            ordinary = calls(sizes, batch, activation, 1.0, 1.0)
            for case, scales in CASES.items():
                small = calls(sizes, batch, activation, *scales)
                for what, call in small.items():
                    call()
                    ratios = [seconds(call) / seconds(ordinary[what]) for _ in range(args.rounds)]
                    median = statistics.median(ratios)
                    worst = max(worst, median)
                    shown = f"{median:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                    print(f"{name:>16} {activation:<8} {case:<9} {what:<8} {shown}", flush=True)
    print(f"worst median: {worst:.2f}")


if __name__ == "__main__":
    main()
