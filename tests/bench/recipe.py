"""MNIST by a recipe people use: 784-512-512-10 with dropout, Adam and a cosine schedule, beside PyTorch with the same recipe.

    python tests/bench/recipe.py path/to/mnist.npz [--epochs 20] [--threads 2] [--without-torch]

The file has x_train, y_train, x_test, y_test (uint8 images, labels). Both engines get the same initial weights, batches of the
same size, the same number of threads; dropout and the order of rows are each one's own. Test accuracy and time of the training.
"""

import argparse
import math
import sys
import time
from typing import Any

import numpy as np
import retrograd as rg

sys.path.pop(0)  # PyTorch asks for Python's own profile, not for the one beside this file

SIZES, BATCH, LR, DROP_INPUTS, DROP = [784, 512, 512, 10], 128, 1e-3, 0.1, 0.3


def ours(data: Any, epochs: int, threads: int) -> tuple[float, float, list[Any]]:
    """Test accuracy, seconds, and the weights and biases it began with."""
    x_train, y_train, x_test, y_test = data
    net = rg.Network(SIZES, loss="cross_entropy", dropout=DROP, input_dropout=DROP_INPUTS, seed=0)
    start = [*net.weights, *net.biases]
    trainer = rg.Trainer(net, rg.Adam(LR), batch_size=BATCH, schedule=rg.schedules.Cosine(per="step"), n_threads=threads)
    begin = time.perf_counter()
    trainer.fit(x_train, y_train, epochs=epochs)
    seconds = time.perf_counter() - begin
    return float(np.mean(net.predict(x_test) == y_test)), seconds, start


def theirs(data: Any, epochs: int, threads: int, start: list[Any]) -> tuple[float, float]:
    """PyTorch: no loader, its fused Adam, the rows shuffled by indexing."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x_train, y_train, x_test, y_test = (torch.from_numpy(np.asarray(part)) for part in data)
    layers: list[Any] = [torch.nn.Dropout(DROP_INPUTS)]
    depth = len(SIZES) - 1
    for i in range(depth):
        linear = torch.nn.Linear(SIZES[i], SIZES[i + 1])
        linear.weight.data, linear.bias.data = torch.tensor(start[i].T.copy()), torch.tensor(start[depth + i].copy())
        layers += [linear] if i == depth - 1 else [linear, torch.nn.ReLU(), torch.nn.Dropout(DROP)]
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), LR, fused=True)
    steps = math.ceil(len(x_train) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    begin = time.perf_counter()
    for _ in range(epochs):
        order = torch.randperm(len(x_train))
        for k in range(steps):
            rows = order[k * BATCH : (k + 1) * BATCH]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x_train[rows]), y_train[rows]).backward()
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - begin
    model.eval()
    with torch.no_grad():
        found = model(x_test).argmax(1)
    return float((found == y_test).float().mean()), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="MNIST with dropout, Adam and a cosine schedule, beside PyTorch")
    parser.add_argument("path", help="mnist.npz")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--without-torch", action="store_true")
    options = parser.parse_args()
    with np.load(options.path) as file:
        images = {name: (file[name].reshape(-1, 784) / np.float32(255)).astype(np.float32) for name in ("x_train", "x_test")}
        labels = {name: file[name].astype(np.int64) for name in ("y_train", "y_test")}
    data = images["x_train"], labels["y_train"], images["x_test"], labels["y_test"]
    accuracy, seconds, start = ours(data, options.epochs, options.threads)
    print(f"retrograd  {100 * accuracy:.2f} % of the test images, {seconds:.1f} s for {options.epochs} epochs")
    if not options.without_torch:
        accuracy, other = theirs(data, options.epochs, options.threads, start)
        print(f"PyTorch    {100 * accuracy:.2f} % of the test images, {other:.1f} s: {other / seconds:.2f} times ours")


if __name__ == "__main__":
    main()
