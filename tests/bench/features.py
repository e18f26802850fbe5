"""What each feature of training costs: an epoch with it by an epoch of plain SGD with momentum, paired, on one thread.

    python tests/bench/features.py [--layers 784,128,10] [--batch 64] [--rounds 9] [--threads 1] [--only adam,dropout]

Features take turns in rounds, and ratios are taken within a round. The table is printed and, with --out, written as JSON.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

import machine
import numpy as np
import retrograd as rg

LR = 1e-4  # nothing is to be learned

# name: settings of the network, of its hidden layers, the optimiser, settings of fit, of the trainer
Feature = tuple[dict[str, Any], dict[str, Any], Callable[[], rg.Optimizer], dict[str, Any], dict[str, Any]]


def momentum() -> rg.Optimizer:
    """What all is held against."""
    return rg.SGD(LR, momentum=0.9)


def features() -> dict[str, Feature]:
    """The first is the measure of all others."""
    optimizers: dict[str, Callable[[], rg.Optimizer]] = {
        "SGD with momentum": momentum,
        "SGD": lambda: rg.SGD(LR),
        "SGD, weight decay": lambda: rg.SGD(LR, momentum=0.9, weight_decay=1e-4),
        "Adam": lambda: rg.Adam(LR),
        "AdamW": lambda: rg.AdamW(LR),
        "Adam, amsgrad": lambda: rg.Adam(LR, amsgrad=True),
        "RMSprop": lambda: rg.RMSprop(LR),
        "Adagrad": lambda: rg.Adagrad(LR),
        "Lion": lambda: rg.Lion(LR),
        "clip_norm": lambda: rg.SGD(LR, momentum=0.9, clip_norm=1.0),
        "clip_value": lambda: rg.SGD(LR, momentum=0.9, clip_value=1.0),
        "l1": lambda: rg.SGD(LR, momentum=0.9, groups=[rg.Group(l1=1e-5)]),
        "first layer frozen": lambda: rg.SGD(LR, momentum=0.9, groups=[rg.Group(0, frozen=True)]),
    }
    table: dict[str, Feature] = {name: ({}, {}, make, {}, {}) for name, make in optimizers.items()}
    networks: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "dropout 0.2": ({"dropout": 0.2}, {}),
        "dropout, inputs too": ({"dropout": 0.2, "input_dropout": 0.1}, {}),
        "input noise": ({"input_noise": 0.1}, {}),
        "max_norm": ({}, {"max_norm": 3.0}),
        "layer norm": ({}, {"norm": "layer"}),
        "batch norm": ({}, {"norm": "batch"}),
        **{
            name: ({}, {"activation": name}) for name in ("tanh", "sigmoid", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish")
        },
        "label smoothing": ({"loss": rg.losses.CrossEntropy(label_smoothing=0.1)}, {}),
        "focal loss": ({"loss": "focal"}, {}),
    }
    table |= {name: (*settings, momentum, {}, {}) for name, settings in networks.items()}
    table["weights of rows"] = ({}, {}, momentum, {"class_weight": "balanced"}, {})
    table["gradient norms"] = ({}, {}, momentum, {"gradient_norms": True}, {})
    table["EMA of steps"] = ({}, {}, momentum, {}, {"average": rg.EMA(0.99)})
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="what each feature of training costs")
    parser.add_argument("--layers", default="784,128,10")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", help="these alone, beside plain SGD with momentum")
    parser.add_argument("--out", help="a JSON file")
    options = parser.parse_args()
    sizes = [int(size) for size in options.layers.split(",")]
    rows = options.batch * options.steps
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((rows, sizes[0]), dtype=np.float32), rng.integers(0, sizes[-1], rows)
    table = features()
    base = next(iter(table))
    if options.only:
        table = {name: table[name] for name in [base, *options.only.split(",")]}

    runs: dict[str, Callable[[], float]] = {}
    for name, (network, hidden, optimizer, fit, settings) in table.items():
        layers = [sizes[0], *(rg.Dense(units, **hidden) for units in sizes[1:-1]), sizes[-1]]
        net = rg.Network(layers, **{"loss": "cross_entropy"} | network)  # type: ignore[arg-type]
        trainer = rg.Trainer(
            net, optimizer(), batch_size=options.batch, n_threads=options.threads, progress=False, advice=False, **settings
        )

        def run(trainer: rg.Trainer = trainer, fit: dict[str, Any] = fit) -> float:
            return min(trainer.fit(X, y, epochs=2, **fit).seconds)

        run()
        runs[name] = run
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            seconds[name].append(run())
    print(f"{rg.__version__}, {sizes}, batch {options.batch}, {options.threads} thread(s), medians of {options.rounds} rounds")
    print(f"{base}: {statistics.median(seconds[base]) / options.steps * 1e6:.1f} us a step\n")
    found = {}
    for name in list(runs)[1:]:
        ratios = [mine / plain for mine, plain in zip(seconds[name], seconds[base], strict=True)]
        found[name] = {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
        print(f"{name:<22}{found[name]['median']:6.2f}   ({min(ratios):.2f} to {max(ratios):.2f})")
    if options.out:
        about = {"layers": sizes, "batch": options.batch, "threads": options.threads, "machine": machine.describe()}
        with open(options.out, "w") as file:
            json.dump(about | {"base": base, "features": found}, file, indent=1)


if __name__ == "__main__":
    main()
