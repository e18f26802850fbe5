"""How far each feature of training is from its oracle: the worst absolute error, in float64, beside PyTorch or scikit-learn.

    python tests/bench/errors.py

Needs PyTorch and scikit-learn. The tests hold the bounds; this prints what the distances really are.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

sys.path.pop(0)  # PyTorch asks for Python's own profile, not for the one beside this file

import numpy as np
import retrograd as rg
import torch

F = torch.nn.functional
SIZES, BATCH, STEPS = [13, 40, 21, 4], 24, 100


def furthest(found: Any, expected: Any) -> float:
    """The largest distance between two lists of arrays."""
    return max(float(np.abs(np.asarray(f) - np.asarray(e)).max()) for f, e in zip(found, expected, strict=True))


def linears(net: rg.Network) -> list[Any]:
    """PyTorch's layers with the weights of ours."""
    layers = []
    for w, b in zip(net.weights, net.biases, strict=True):
        layer = torch.nn.Linear(*w.shape, dtype=torch.float64)
        layer.weight.data, layer.bias.data = torch.tensor(w.T.copy()), torch.tensor(b.copy())
        layers.append(layer)
    return layers


def weights_of(layers: list[Any]) -> list[Any]:
    """As ours are laid out."""
    return [layer.weight.detach().numpy().T for layer in layers] + [layer.bias.detach().numpy() for layer in layers]


def optimizers() -> Iterator[tuple[str, float]]:
    """100 steps of 13-40-21-4 with tanh."""
    cases: dict[str, tuple[Callable[[], rg.Optimizer], Callable[[Any], Any], float | None]] = {
        "SGD": (lambda: rg.SGD(0.05), lambda p: torch.optim.SGD(p, 0.05), None),
        "SGD, momentum, dampening, weight decay": (
            lambda: rg.SGD(0.05, 0.9, weight_decay=0.01, dampening=0.3),
            lambda p: torch.optim.SGD(p, 0.05, 0.9, dampening=0.3, weight_decay=0.01),
            None,
        ),
        "SGD, Nesterov": (lambda: rg.SGD(0.05, 0.9, True), lambda p: torch.optim.SGD(p, 0.05, 0.9, nesterov=True), None),
        "Adam": (lambda: rg.Adam(0.01), lambda p: torch.optim.Adam(p, 0.01), None),
        "Adam, amsgrad": (lambda: rg.Adam(0.01, amsgrad=True), lambda p: torch.optim.Adam(p, 0.01, amsgrad=True), None),
        "AdamW": (lambda: rg.AdamW(0.01), lambda p: torch.optim.AdamW(p, 0.01), None),
        "RMSprop": (lambda: rg.RMSprop(0.003), lambda p: torch.optim.RMSprop(p, 0.003), None),
        "RMSprop, momentum, centered": (
            lambda: rg.RMSprop(0.003, momentum=0.5, centered=True),
            lambda p: torch.optim.RMSprop(p, 0.003, momentum=0.5, centered=True),
            None,
        ),
        "Adagrad": (lambda: rg.Adagrad(0.05, 0.01), lambda p: torch.optim.Adagrad(p, 0.05, 0.01), None),
        "Adam, clip_norm": (lambda: rg.Adam(0.01, clip_norm=0.1), lambda p: torch.optim.Adam(p, 0.01), 0.1),
    }
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((BATCH * STEPS, SIZES[0])), rng.standard_normal((BATCH * STEPS, SIZES[-1]))
    for name, (ours, theirs, clip) in cases.items():
        net = rg.Network(SIZES, activation="tanh", dtype="float64", seed=1)
        layers = linears(net)
        rg.Trainer(net, ours(), batch_size=BATCH, shuffle=False).fit(X, y, epochs=1)
        model = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1], torch.nn.Tanh(), layers[2])
        optimizer = theirs(model.parameters())
        for start in range(0, len(X), BATCH):
            optimizer.zero_grad()
            F.mse_loss(model(torch.tensor(X[start : start + BATCH])), torch.tensor(y[start : start + BATCH])).backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
        yield name, furthest([*net.weights, *net.biases], weights_of(layers))


def by_hand(
    net: rg.Network, forward: Callable[[list[Any], Any], Any], loss: Callable[[Any], Any], y: Any, **more: Any
) -> float:
    """Loss and gradients of one batch."""
    X = np.random.default_rng(3).standard_normal((30, net.sizes[0]))
    layers, x = linears(net), torch.tensor(X, requires_grad=True)
    expected = loss(forward(layers, x))
    expected.backward()
    net.forward(X, **({"training": True} if any(layer.norm for layer in net.layers) else {}))
    found = net.backward(y, **more)
    gradients = [layer.weight.grad.numpy().T for layer in layers] + [layer.bias.grad.numpy() for layer in layers]
    return furthest([found.loss, found.dx, *found.dw, *found.db], [expected.item(), x.grad.numpy(), *gradients])


def activations() -> Iterator[tuple[str, float]]:
    """6-9-3, one batch of 30 rows: loss and all gradients."""
    functions = {
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "gelu": F.gelu,
        "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
        **{name: getattr(F, name) for name in ("relu", "leaky_relu", "elu", "selu", "silu", "mish", "softplus", "softsign")},
    }
    y = np.random.default_rng(4).standard_normal((30, 3))
    for name, f in functions.items():
        net = rg.Network([6, 9, 3], activation=name, dtype="float64", seed=2)
        yield name, by_hand(net, lambda own, x, f=f: own[1](f(own[0](x))), lambda a: F.mse_loss(a, torch.tensor(y)), y)


def focal(z: Any, labels: Any) -> Any:
    """Lin et al. (2017), gamma 2; PyTorch differentiates it."""
    log_p = F.log_softmax(z, 1).gather(1, labels[:, None])[:, 0]
    return -((1 - log_p.exp()) ** 2 * log_p).mean()


def losses() -> Iterator[tuple[str, float]]:
    """6-9-4 with tanh, one batch of 30 rows: loss and all gradients."""
    rng = np.random.default_rng(5)
    numbers, labels, counts = rng.standard_normal((30, 4)), rng.integers(0, 4, 30), rng.poisson(2.0, (30, 4)).astype(float)
    bits, weights = rng.random((30, 4)), rng.random(30)
    t, k, c, p, w = map(torch.tensor, (numbers, labels, counts, bits, weights))
    e = lambda z: t - z  # noqa: E731
    cases: dict[str, tuple[Any, Any, Callable[[Any], Any], dict[str, Any]]] = {
        "mse": ("mse", numbers, lambda z: F.mse_loss(z, t), {}),
        "mae": ("mae", numbers, lambda z: F.l1_loss(z, t), {}),
        "huber": (rg.losses.Huber(0.7), numbers, lambda z: F.huber_loss(z, t, delta=0.7), {}),
        "quantile": (rg.losses.Quantile(0.9), numbers, lambda z: torch.maximum(0.9 * e(z), -0.1 * e(z)).mean(), {}),
        "poisson": ("poisson", counts, lambda z: F.poisson_nll_loss(z, c), {}),
        "cross_entropy": ("cross_entropy", labels, lambda z: F.cross_entropy(z, k), {}),
        "label smoothing": (
            rg.losses.CrossEntropy(label_smoothing=0.1),
            labels,
            lambda z: F.cross_entropy(z, k, label_smoothing=0.1),
            {},
        ),
        "focal": ("focal", labels, lambda z: focal(z, k), {}),
        "hinge": ("hinge", labels, lambda z: F.multi_margin_loss(z, k), {}),
        "binary_cross_entropy": ("binary_cross_entropy", bits, lambda z: F.binary_cross_entropy_with_logits(z, p), {}),
        "cross_entropy, weights of rows": (
            "cross_entropy",
            labels,
            lambda z: (F.cross_entropy(z, k, reduction="none") * w).mean(),
            {"sample_weight": weights},
        ),
    }
    for name, (loss, y, expected, more) in cases.items():
        net = rg.Network([6, 9, 4], activation="tanh", loss=loss, dtype="float64", seed=2)
        yield name, by_hand(net, lambda own, x: own[1](torch.tanh(own[0](x))), expected, y, **more)


def norms() -> Iterator[tuple[str, float]]:
    """6-9-3, one batch of 30 rows in training: loss and all gradients."""
    y = np.random.default_rng(4).standard_normal((30, 3))
    for norm, make in (("layer", torch.nn.LayerNorm), ("batch", torch.nn.BatchNorm1d)):
        for name, f in (("tanh", torch.tanh), ("gelu", F.gelu)):
            net = rg.Network([6, rg.Dense(9, name, norm=norm), 3], dtype="float64", seed=2)  # type: ignore[arg-type]
            module = make(9, dtype=torch.float64)
            forward = lambda own, x, f=f, m=module: own[1](f(m(own[0](x))))  # noqa: E731
            yield f"{norm} norm, {name}", by_hand(net, forward, lambda a: F.mse_loss(a, torch.tensor(y)), y)


def main() -> None:
    print(f"retrograd {rg.__version__}, PyTorch {torch.__version__}, float64: worst absolute error\n")
    for what in (optimizers, activations, losses, norms):
        print(f"{what.__name__}: {(what.__doc__ or '').strip()}")
        for name, error in what():
            print(f"  {name:<42}{error:.1e}")


if __name__ == "__main__":
    main()
