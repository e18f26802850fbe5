"""`python -m retrograd demo`: handwritten digits from data to accuracy, learning curve and speed, in a few seconds."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datasets import load_digits
from ..history import History
from ..network import Network
from ..optimizers import SGD
from ..training.trainer import Trainer
from . import bench
from .machine import all_threads

# Over 12 seeds: 98.7 % of the test images on average, 98.3 % at worst; without the shifted copies, about 97 %.
RECIPE = bench.Workload(
    (64, 128, 10), "relu", "cross_entropy", batch_size=32, rows=7185, momentum=0.9, lr=0.05, weight_decay=3e-4
)
EPOCHS = 20
EPOCHS_PER_LINE = 2  # where there is no progress bar
SPEED_ROUNDS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m retrograd demo`."""
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("learning_curve.png"),
        metavar="FILE",
        help="where the learning curve goes, as PNG (default: learning_curve.png)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `python -m retrograd demo`; returns the exit code."""
    if arguments.output.is_dir() or not arguments.output.absolute().parent.is_dir():
        print(f"demo: error: --output: expected a file in a folder that exists, got {arguments.output}", file=sys.stderr)
        return 2
    (X, y), (X_test, y_test) = load_digits()
    X, y = with_shifted_copies(X, y)
    print(f"Handwritten digits: {len(X_test)} test images; {len(X)} for training, four of five shifted by half a pixel.\n")
    network = Network(list(RECIPE.sizes), activation=RECIPE.activation, loss=RECIPE.loss, seed=0)
    optimizer = SGD(RECIPE.lr, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay)
    print(f"{network}\n{optimizer}, batch_size={RECIPE.batch_size}\n")

    history = train(Trainer(network, optimizer, batch_size=RECIPE.batch_size), X, y, (X_test, y_test))
    right = int((network.predict(X_test) == y_test).sum())
    seconds = sum(history.seconds)
    print(f"\nTest accuracy {right / len(y_test):.2%} ({right} of {len(y_test)}) after {seconds:.2f} s of training.")
    print(save_curve(history, arguments.output))
    threads = all_threads()
    print(f"\nThe same training in NumPy (retrograd.reference), in turn, medians of {SPEED_ROUNDS} rounds:", flush=True)
    result = bench.race_in_child("retrograd.cli.demo:race_demo", threads, SPEED_ROUNDS)
    on = f"{threads} thread{'s' if threads > 1 else ''} each"
    print(f"  retrograd {result['retrograd']['rows_per_second']:>11,.0f} rows/s")
    print(f"  NumPy     {result['numpy']['rows_per_second']:>11,.0f} rows/s")
    print(f"  retrograd is {result['ratio']:.1f} times as fast, {on}.")
    return 0


def with_shifted_copies(
    X: npt.NDArray[np.float32], y: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the images with four copies of each, moved by half a pixel to the right, left, bottom and top.

    Parameters
    ----------
    X : float32 array, (rows, 64)
    y : integer array, (rows,)

    Returns
    -------
    X, y : arrays, (5 * rows, 64) and (5 * rows,)
    """
    padded = np.pad(X.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    image = padded[:, 1:-1, 1:-1]
    neighbours = (padded[:, 1:-1, :-2], padded[:, 1:-1, 2:], padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
    moved = [(image + neighbour) / 2 for neighbour in neighbours]  # half a pixel: the mean of a pixel and its neighbour
    return np.concatenate([image, *moved]).reshape(-1, 64), np.tile(y, 5)


def train(trainer: Trainer, X: npt.NDArray[Any], y: npt.NDArray[Any], validation_data: tuple[Any, Any]) -> History:
    """Train for all epochs, showing a progress bar where one can be shown, else a line every few epochs."""
    if sys.stderr.isatty() and importlib.util.find_spec("tqdm"):
        return trainer.fit(X, y, epochs=EPOCHS, validation_data=validation_data)
    history = History()
    while len(history) < EPOCHS:
        history.extend(trainer.fit(X, y, epochs=EPOCHS_PER_LINE, validation_data=validation_data))
        print(
            f"epoch {history.epoch[-1]:>2}/{EPOCHS}  loss {history.loss[-1]:.4f}  accuracy {history.metric[-1]:.2%}  "
            f"test loss {history.val_loss[-1]:.4f}  test accuracy {history.val_metric[-1]:.2%}  "
            f"{history.rows_per_second[-1]:>9,.0f} rows/s",
            flush=True,
        )
    return history


def save_curve(history: History, path: Path) -> str:
    """Write the learning curve as PNG; returns a line that says where, or why not."""
    try:
        import matplotlib
    except ImportError:
        return "Learning curve skipped: it needs matplotlib (pip install retrograd[plot])."
    matplotlib.use("Agg")  # a file is written, so no display is needed
    axes = history.plot()
    axes[0].figure.savefig(path, dpi=150, format="png")
    return f"Learning curve written to {path}"


def race_demo(threads: int, rounds: int) -> dict[str, Any]:
    """Race on the demonstration's own training: same data, network and optimiser."""
    (X, y), _ = load_digits()
    X, y = with_shifted_copies(X, y)
    return bench.race(RECIPE, X, y, threads, rounds)
