"""Which start of weights and biases learns best: small tasks of every kind, each with several seeds, for several rules.

    python tests/bench/inits.py [--mnist path/to/mnist.npz] [--seeds 5] [--first-seed 0] [--tasks sin,xor] [--rules 1,3]

A figure is the loss on rows that were not trained on: for numbers the squared error as a share of their variance, for
classes the cross-entropy, for counts half their deviance. The table has the median over the seeds for each task and
rule. Below it stands the geometric mean over the tasks of the ratio to the first rule, for the medians and for the worst
seeds, and on how many tasks a rule is within a tenth of the best. The package's default was chosen by it. The table is
printed and, with --out, written as JSON.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import machine
import numpy as np
import retrograd as rg
from retrograd.datasets import load_digits

Array = np.ndarray[Any, Any]


class Data(NamedTuple):
    """Rows to train on, and rows to measure on."""

    X: Array
    y: Array
    X_test: Array
    y_test: Array


# ---------------------------------------------------------------- rules

LIKE_RELU = ["relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "mish"]
LIKE_TANH = ["tanh", "sigmoid", "softsign", "softplus"]


@dataclass(frozen=True)
class Rule:
    """How the layers start: by activation in hidden layers (selu always by LeCun), the last one, and all biases."""

    like_relu: str | rg.Initializer
    like_tanh: str | rg.Initializer
    last: str | rg.Initializer
    biases: str = "uniform"

    def layers(self, sizes: Sequence[int], activation: str) -> list[int | rg.Dense]:
        """The layers of a network."""
        by_name = dict.fromkeys(LIKE_RELU, self.like_relu) | dict.fromkeys(LIKE_TANH, self.like_tanh)
        hidden = by_name.get(activation, "lecun_normal")
        dense = [rg.Dense(units, activation, hidden, bias_init=self.biases) for units in sizes[1:-1]]
        return [sizes[0], *dense, rg.Dense(sizes[-1], init=self.last, bias_init=self.biases)]


class Default(Rule):
    """What the package does by itself."""

    def layers(self, sizes: Sequence[int], activation: str) -> list[int | rg.Dense]:
        """The layers of a network."""
        return [sizes[0], *(rg.Dense(units, activation) for units in sizes[1:-1]), sizes[-1]]


RULES = {
    "He for relu, Glorot for tanh and the last, zeros": Rule("he_normal", "glorot_uniform", "glorot_uniform", "zeros"),
    "the same, uniform biases": Rule("he_normal", "glorot_uniform", "glorot_uniform"),
    "PyTorch's Linear": Rule("torch", "torch", "torch"),
    "PyTorch's weights, zeros": Rule("torch", "torch", "torch", "zeros"),
    "Glorot, uniform biases": Rule("glorot_uniform", "glorot_uniform", "glorot_uniform"),
    "LeCun, uniform biases": Rule("lecun_normal", "lecun_normal", "lecun_normal"),
    "orthogonal (gain sqrt(2), last 1), uniform biases": Rule(
        rg.Initializer("orthogonal", 2**0.5), rg.Initializer("orthogonal", 2**0.5), "orthogonal"
    ),
    "orthogonal (tanh 5/3), PyTorch's last": Rule("orthogonal", rg.Initializer("orthogonal", 5 / 3), "torch"),
    "He for relu, LeCun for tanh, PyTorch's last": Rule("he_normal", "lecun_normal", "torch"),
    "He, PyTorch's last, zeros": Rule("he_normal", "he_normal", "torch", "zeros"),
    "He (uniform), PyTorch's last": Rule("he_uniform", "he_uniform", "torch"),
    "He, PyTorch's last": Rule("he_normal", "he_normal", "torch"),
    "the default": Default("", "", ""),
}

# ---------------------------------------------------------------- data


def shared(X: Array, y: Array, seed: int, train: float = 0.75) -> Data:
    """Three quarters of the rows to train on, chosen by the seed; columns standardised, and numbers to be learned too."""
    order = np.random.default_rng(seed).permutation(len(X))
    a, b = np.split(order, [int(train * len(X))])
    X = (X - X[a].mean(axis=0)) / np.maximum(X[a].std(axis=0), 1e-9)
    if y.dtype.kind == "f":
        y = (y - y[a].mean(axis=0)) / y[a].std(axis=0)
    return Data(X[a], y[a], X[b], y[b])


def function(f: Callable[[Array], Array], inputs: int, rows: int) -> Callable[[int], Data]:
    """Rows uniform in [-1, 1]; measured on 2000 others."""

    def make(seed: int) -> Data:
        rng = np.random.default_rng(seed)
        X, X_test = rng.uniform(-1, 1, (rows, inputs)), rng.uniform(-1, 1, (2000, inputs))
        y, y_test = f(X), f(X_test)
        return Data(X, y, X_test, y_test)

    return make


def xor(seed: int) -> Data:
    """Is the product of two numbers above 0?"""
    return function(lambda X: (X[:, 0] * X[:, 1] > 0).astype(np.int64), 2, 400)(seed)


def spirals(seed: int) -> Data:
    """Two spirals of one turn and a half, with noise."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, 1200)
    r = np.sqrt(rng.uniform(0, 1, 1200))
    angle = 3 * np.pi * r + np.pi * label
    X = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1) + 0.02 * rng.standard_normal((1200, 2))
    return Data(X[:800], label[:800], X[800:], label[800:])


def friedman(seed: int) -> Data:
    """Friedman's first table: ten columns, of which five matter, with noise."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 1, (1500, 10))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    return shared(X, y + rng.standard_normal(1500), seed)


def clusters(seed: int) -> Data:
    """Five classes of unequal size, each of two clouds in 20 dimensions."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((5, 2, 20))
    y = rng.choice(5, 2000, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    X = centers[y, rng.integers(0, 2, 2000)] + 1.2 * rng.standard_normal((2000, 20))
    return shared(X, y, seed)


def counts(seed: int) -> Data:
    """Counts whose log rate is a function of five columns."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (1500, 5))
    y = rng.poisson(np.exp(1 + np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2])).astype(np.int64)
    return Data(X[:1000], y[:1000], X[1000:], y[1000:])


def digits(seed: int) -> Data:
    """The package's own images, 8 x 8."""
    (X, y), (X_test, y_test) = load_digits()
    return Data(X, y, X_test, y_test)


def digits_themselves(seed: int) -> Data:
    """The images as their own answers, as a share of their variance."""
    (X, _), (X_test, _) = load_digits()
    X, X_test = X - X.mean(axis=0), X_test - X.mean(axis=0)
    X, X_test = X / X.std(), X_test / X.std()
    return Data(X, X, X_test, X_test)


def bundled(name: str) -> Callable[[int], Data]:
    """A table that comes with scikit-learn."""

    def make(seed: int) -> Data:
        from sklearn import datasets

        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return shared(X, y, seed)

    return make


def mnist(path: str) -> Callable[[int], Data]:
    """Of MNIST 4000 images to train on, other ones for each seed, and 2000 of the test images."""
    with np.load(path) as file:
        X, X_test = (file[name].reshape(-1, 784) / np.float32(255) for name in ("x_train", "x_test"))
        y, y_test = (file[name].astype(np.int64) for name in ("y_train", "y_test"))

    def make(seed: int) -> Data:
        chosen = np.random.default_rng(seed).permutation(len(X))[:4000]
        return Data(X[chosen], y[chosen], X_test[:2000], y_test[:2000])

    return make


# ---------------------------------------------------------------- tasks


@dataclass(frozen=True)
class Task:
    """A network on data, and how it is trained."""

    data: Callable[[int], Data]
    sizes: list[int]
    activation: str
    epochs: int
    loss: str = "mse"
    optimizer: Callable[[], rg.Optimizer] = lambda: rg.Adam(3e-3)

    def run(self, rule: Rule, seed: int) -> float:
        """The loss on the rows that were not trained on."""
        data = self.data(seed)
        layers = rule.layers(self.sizes, self.activation)
        net = rg.Network(layers, loss=self.loss, seed=seed)  # type: ignore[arg-type]
        trainer = rg.Trainer(net, self.optimizer(), batch_size=32, n_threads=1, progress=False)
        try:
            trainer.fit(data.X, data.y, epochs=self.epochs)
        except rg.DivergenceError:
            return float("inf")
        loss, y = net.loss(data.X_test, data.y_test), data.y_test
        if self.loss == "mse":
            return loss / float(np.var(y, axis=0).mean())
        return loss - float(np.mean(y - y * np.log(np.maximum(y, 1)))) if self.loss == "poisson" else loss


def sgd() -> rg.Optimizer:
    """The README's."""
    return rg.SGD(0.05, momentum=0.9)


def wave(X: Array) -> Array:
    """A function of two numbers with hills and valleys."""
    return np.sin(4 * X[:, 0]) * np.cos(3 * X[:, 1]) + X[:, 0] * X[:, 1]


def tasks(mnist_path: str | None) -> dict[str, Task]:
    """All of them by name."""
    sine = function(lambda X: np.sin(8 * X[:, 0]), 1, 400)
    slow_sine = function(lambda X: np.sin(3 * X[:, 0]), 1, 400)
    step = function(lambda X: np.where(X[:, 0] > 0.3, 1.0, 0.0), 1, 400)
    plane = function(wave, 2, 800)
    table = {
        "sin, tanh": Task(sine, [1, 32, 32, 1], "tanh", 300),
        "sin, relu": Task(sine, [1, 32, 32, 1], "relu", 300),
        "sin, silu": Task(sine, [1, 32, 32, 1], "silu", 300),
        "sin(3x), sigmoid": Task(slow_sine, [1, 32, 32, 1], "sigmoid", 300),
        "step, relu": Task(step, [1, 32, 32, 1], "relu", 200),
        "step, tanh": Task(step, [1, 32, 32, 1], "tanh", 200),
        "2-D, tanh": Task(plane, [2, 32, 32, 1], "tanh", 100),
        "2-D, gelu": Task(plane, [2, 32, 32, 1], "gelu", 100),
        "2-D, elu": Task(plane, [2, 32, 32, 1], "elu", 100),
        "xor, tanh": Task(xor, [2, 8, 1], "tanh", 100, "binary_cross_entropy", sgd),
        "xor, relu": Task(xor, [2, 8, 1], "relu", 100, "binary_cross_entropy", sgd),
        "spirals, relu": Task(spirals, [2, 32, 32, 2], "relu", 60, "cross_entropy"),
        "spirals, tanh": Task(spirals, [2, 32, 32, 2], "tanh", 60, "cross_entropy"),
        "10 x 16, tanh": Task(plane, [2, *[16] * 10, 1], "tanh", 100),
        "10 x 16, relu": Task(plane, [2, *[16] * 10, 1], "relu", 100),
        "8 x 32, selu": Task(friedman, [10, *[32] * 8, 1], "selu", 30),
        "friedman, relu": Task(friedman, [10, 64, 64, 1], "relu", 30),
        "clusters, relu": Task(clusters, [20, 64, 5], "relu", 10, "cross_entropy"),
        "counts, relu": Task(counts, [5, 32, 1], "relu", 30, "poisson"),
        "digits, relu": Task(digits, [64, 128, 10], "relu", 5, "cross_entropy", sgd),
        "digits, 6 x 64 tanh": Task(digits, [64, *[64] * 6, 10], "tanh", 5, "cross_entropy", sgd),
        "2-D, softplus": Task(plane, [2, 32, 32, 1], "softplus", 100),
        "2-D, softsign": Task(plane, [2, 32, 32, 1], "softsign", 100),
        "digits, sigmoid": Task(digits, [64, 30, 10], "sigmoid", 20, "cross_entropy", sgd),
        "autoencoder, relu": Task(digits_themselves, [64, 32, 8, 32, 64], "relu", 15),
        "autoencoder, tanh": Task(digits_themselves, [64, 32, 8, 32, 64], "tanh", 15),
    }
    try:
        import sklearn  # noqa: F401
    except ImportError:
        print("scikit-learn is not installed: without its tables")
    else:
        table["diabetes, relu"] = Task(bundled("diabetes"), [10, 32, 1], "relu", 20, optimizer=lambda: rg.Adam(1e-3))
        table["cancer, tanh"] = Task(bundled("breast_cancer"), [30, 16, 2], "tanh", 10, "cross_entropy")
        table["wine, relu"] = Task(bundled("wine"), [13, 16, 3], "relu", 20, "cross_entropy")
    if mnist_path is None:
        print("without MNIST: --mnist names its file")
    else:
        table["MNIST, relu"] = Task(mnist(mnist_path), [784, 128, 10], "relu", 3, "cross_entropy")
    return table


def rounded(found: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, list[float]]]:
    """All losses to three digits."""
    return {task: {rule: [float(f"{x:.3g}") for x in losses] for rule, losses in of.items()} for task, of in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="which start of weights and biases learns best")
    parser.add_argument("--mnist", help="mnist.npz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--tasks", help="those whose names contain one of these words")
    parser.add_argument("--rules", help="those of these numbers")
    parser.add_argument("--out", help="a JSON file")
    options = parser.parse_args()
    table, rules = tasks(options.mnist), RULES
    if options.tasks:
        table = {name: task for name, task in table.items() if any(word in name for word in options.tasks.split(","))}
    if options.rules:
        names = list(RULES)
        rules = {names[int(number) - 1]: RULES[names[int(number) - 1]] for number in options.rules.split(",")}

    begin = time.perf_counter()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    found: dict[str, dict[str, list[float]]] = {}
    print(f"{'':<20}" + "".join(f"{number:>10}" for number in range(1, len(rules) + 1)))
    for name, task in table.items():
        found[name] = {rule: [task.run(RULES[rule], seed) for seed in seeds] for rule in rules}
        print(f"{name:<20}" + "".join(f"{np.median(losses):10.2g}" for losses in found[name].values()), flush=True)
    medians = np.array([[np.median(losses) for losses in of_task.values()] for of_task in found.values()])
    worst = np.array([[np.max(losses) for losses in of_task.values()] for of_task in found.values()])
    for title, values in {"mean ratio": medians, "... of the worst seeds": worst}.items():
        ratio = np.exp(np.log(values / values[:, :1]).mean(axis=0))
        print(f"{title:<20}" + "".join(f"{number:10.2f}" for number in ratio))
    near = (medians <= 1.1 * medians.min(axis=1, keepdims=True)).sum(axis=0)
    print(f"{'near the best':<20}" + "".join(f"{number:>10}" for number in near))
    print("\n" + "\n".join(f"{number:>2}  {name}" for number, name in enumerate(rules, 1)))
    print(f"{time.perf_counter() - begin:.0f} s")
    if options.out:
        report = {"version": rg.__version__, "machine": machine.describe(), "losses": rounded(found)}
        text = json.dumps(report, indent=1)
        with open(options.out, "w") as file:  # the seeds of a task and rule in one line
            file.write(re.sub(r"\[[^\[\]]*\]", lambda numbers: " ".join(numbers[0].split()), text) + "\n")


if __name__ == "__main__":
    main()
