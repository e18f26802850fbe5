"""Dropout, noise on the inputs, the limit on norms: against PyTorch and NumPy with masks that are computed here.

Also the statistics of the masks, the same bits for any team and instruction set, and no effect outside of training.
"""

import copy
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import Array, assert_close, inputs, network, parameters, python, same_bits, targets
from retrograd import _core, reference

DROPOUT, NOISE = 3, 4  # what the generator's streams are for


def philox(seed: int, step: int, what: int, level: int, rows: int, units: int) -> Array:
    """Philox 4x32-10's numbers (rows, units) for one level of one step: block unit // 4 of counter {., row, step, stream}."""
    blocks = -(-units // 4)
    c = [
        np.broadcast_to(np.arange(blocks, dtype=np.uint64), (rows, blocks)),
        np.broadcast_to(np.arange(rows, dtype=np.uint64)[:, None], (rows, blocks)),
        np.full((rows, blocks), step & 0xFFFFFFFF, np.uint64),
        np.full((rows, blocks), what | level << 4 | (step >> 32) << 20, np.uint64),
    ]
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    keys = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> shift) ^ c[1] ^ np.uint64(keys[0]), p1 & low, (p0 >> shift) ^ c[3] ^ np.uint64(keys[1]), p0 & low]
        keys = [(keys[0] + 0x9E3779B9) & 0xFFFFFFFF, (keys[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, axis=-1).reshape(rows, 4 * blocks)[:, :units]


def mask(p: float, seed: int, step: int, level: int, rows: int, units: int) -> Array:
    """What dropout multiplies with."""
    return np.where(philox(seed, step, DROPOUT, level, rows, units) < round(p * 2**32), 0.0, 1 / (1 - p))


def normals(seed: int, step: int, rows: int, units: int, dtype: str = "float64") -> Array:
    """Box and Muller's numbers; float32 has room for 23 bits of the radius's number and of a quarter of the circle."""
    words = philox(seed, step, NOISE, 0, rows, units + units % 2).astype(np.int64)
    lost = 9 if dtype == "float32" else 0
    radius = np.sqrt(-2 * np.log(((words[:, 0::2] >> lost) + 0.5) / 2.0 ** (32 - lost)))
    angle = (words[:, 1::2] & (-128 if lost else -1)) / 2.0**30 - 0.5
    angle = angle * (np.pi / 2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(rows, -1)[:, :units]


@pytest.fixture
def torch() -> Iterator[Any]:
    """PyTorch on one thread, as a team that waits for small work spins; then on as many as before: the limit is OpenMP's."""
    module = pytest.importorskip("torch")
    threads = module.get_num_threads()
    module.set_num_threads(1)
    yield module
    module.set_num_threads(threads)


def identity_network(units: int, p: float, **options: Any) -> rg.Network:
    """The outputs are the hidden layer's, as dropout leaves them, and these are the inputs."""
    eye = [np.eye(units), np.eye(units)]
    layers = [units, rg.Dense(units, "identity", dropout=p), units]
    return rg.Network(layers, init=(eye, [np.zeros(units)] * 2), **options)


def test_philox_here_is_that_of_random123() -> None:
    assert philox(0, 0, 0, 0, 1, 4).tolist() == [[0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]]


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("seed", [0, 2**63 + 12345])
def test_the_masks_are_those_of_the_counter(p: float, dtype: str, seed: int) -> None:
    net = identity_network(37, p, seed=seed, dtype=dtype, input_dropout=0.3)
    net._core.set_steps((5 << 32) + 7)
    x = inputs(50, 37).astype(dtype)
    first = x * mask(0.3, seed, net.steps, 0, 50, 37).astype(dtype)
    second = first * mask(p, seed, net.steps, 1, 50, 37).astype(dtype)
    assert np.array_equal(net.forward(x, training=True), second)
    assert np.array_equal(net.a[1], first), "a shows the outputs before they are dropped"
    assert np.array_equal(net.a[0], x)
    assert np.array_equal(net.forward(x), x)


def test_statistics_of_the_masks() -> None:
    n, p = 512, 0.3
    net = identity_network(n, p)
    dropped = []
    for step in range(3):
        net._core.set_steps(step)
        out = net.forward(np.ones((n, n), np.float32), training=True)
        # the mean is kept: within 5 standard deviations
        assert abs(out.mean(dtype=float) - 1) < 5 * np.sqrt(p / (1 - p)) / n
        dropped.append(out == 0)
        assert np.all(dropped[-1] | (out == np.float32(1 / (1 - p))))
    rates = np.array(dropped)
    assert abs(rates.mean() - p) < 5 * np.sqrt(p * (1 - p) / rates.size)
    for axis in (1, 2):  # of each row, of each unit
        assert np.abs(rates.mean(axis=axis) - p).max() < 5.5 * np.sqrt(p * (1 - p) / n)
    # neighbours know nothing of each other: rows, units, steps, and the diagonal
    centred = (rates - p) / np.sqrt(p * (1 - p))
    for lag in ((0, 1, 0), (0, 0, 1), (0, 0, 2), (0, 0, 4), (0, 1, 1), (1, 0, 0), (0, 16, 0), (0, 0, 16)):
        ahead = centred[tuple(slice(k, None) for k in lag)]
        behind = centred[tuple(slice(None, -k or None) for k in lag)]
        assert abs((ahead * behind).mean()) < 5 / np.sqrt(ahead.size), lag


def test_layers_and_seeds_have_masks_of_their_own() -> None:
    n = 64
    eye, zero = [np.eye(n)] * 4, [np.zeros(n)] * 4
    net = rg.Network([n] * 5, activation="identity", init=(eye, zero), dropout=0.5, input_dropout=0.5)
    net.forward(np.ones((n, n)), training=True)
    for i, z in enumerate(net.z):  # what each layer leaves of what was left
        left = 0.5 ** (i + 1)
        assert abs(np.mean(z != 0) - left) < 5 * np.sqrt(left * (1 - left)) / n
    x = np.ones((n, n))
    zeros = [identity_network(n, 0.5, seed=seed).forward(x, training=True) == 0 for seed in (1, 2, 1 << 32)]
    assert all(0.4 < np.mean(zeros[i] == zeros[i - 1]) < 0.6 for i in range(3))


def test_noise_is_normal_and_that_of_the_counter() -> None:
    n = 512
    for dtype in ("float64", "float32"):
        eye, zero = [np.eye(n)], [np.zeros(n)]
        net = rg.Network([n, n], init=(eye, zero), input_noise=0.25, dtype=dtype, seed=3)
        net._core.set_steps(11)
        x = inputs(n, n).astype(dtype)
        noise = (net.forward(x, training=True).astype(float) - x) / 0.25
        tolerance = 1e-13 if dtype == "float64" else 1e-5
        assert_close(noise, normals(3, 11, n, n, dtype), tolerance)
        assert abs(noise.mean()) < 5 / n
        assert abs(noise.std() - 1) < 5 / n / np.sqrt(2)
        assert abs((noise**3).mean()) < 5 * np.sqrt(15) / n
        assert abs((noise**4).mean() - 3) < 5 * np.sqrt(96) / n
        for axis in (0, 1):
            ahead, behind = np.delete(noise, 0, axis), np.delete(noise, -1, axis)
            assert abs((ahead * behind).mean()) < 5 / n
        assert same_bits(net.forward(x), x)


# ---------------------------------------------------------------- PyTorch


CASES: dict[str, dict[str, Any]] = {
    "hidden": {"dropout": 0.4},
    "input": {"input_dropout": 0.2},
    "noise": {"input_noise": 0.3},
    "all": {"dropout": 0.5, "input_dropout": 0.25, "input_noise": 0.1},
}
SIZES = (13, 40, 21, 5)


def torch_loss(torch: Any, net: rg.Network, tensors: list[Any], x: Any, y: Array) -> Any:
    """The network's loss at its next step in PyTorch, tensors = weights and biases."""
    rows, depth = len(x), net.depth
    rate = [net.input_dropout, *(layer.dropout or 0.0 for layer in net.layers)]
    h = x + net.input_noise * torch.tensor(normals(net.seed, net.steps, rows, SIZES[0])) if net.input_noise else x
    for i in range(depth):
        if rate[i]:
            h = h * torch.tensor(mask(rate[i], net.seed, net.steps, i, rows, SIZES[i]))
        h = h @ tensors[i] + tensors[depth + i]
        if i < depth - 1:
            h = {"relu": torch.relu, "tanh": torch.tanh}[net.activations[i]](h)
    return torch.nn.functional.cross_entropy(h, torch.tensor(y))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("case", CASES)
def test_gradients_of_pytorch(torch: Any, case: str, activation: str) -> None:
    net = network(SIZES, "cross_entropy", activation=activation, dtype="float64", seed=5, **CASES[case])
    net._core.set_steps(9)
    X, y = inputs(50, 13), targets("cross_entropy", 50, 5)
    tensors = [torch.tensor(np.array(p), requires_grad=True) for p in parameters(net)]
    x = torch.tensor(X, requires_grad=True)
    loss = torch_loss(torch, net, tensors, x, y)
    loss.backward()
    net.forward(X, training=True)
    gradients = net.backward(y)
    assert_close(gradients.loss, loss.item(), 1e-10)
    for found, tensor in zip((*gradients.dw, *gradients.db, gradients.dx), [*tensors, x], strict=True):
        assert_close(found, tensor.grad.numpy(), 1e-10)


@pytest.mark.parametrize("case", CASES)
def test_training_of_pytorch(torch: Any, case: str) -> None:
    net = network(SIZES, "cross_entropy", dtype="float64", seed=5, **CASES[case])
    X, y = inputs(60, 13), targets("cross_entropy", 60, 5)
    tensors = [torch.tensor(np.array(p), requires_grad=True) for p in parameters(net)]
    optimizer = torch.optim.SGD(tensors, lr=0.1, momentum=0.9)
    trainer = rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=20, shuffle=False)
    for i in range(12):
        at = slice(i % 3 * 20, i % 3 * 20 + 20)
        net_at = copy.copy(net)
        net_at._core.set_steps(i)
        optimizer.zero_grad()
        torch_loss(torch, net_at, tensors, torch.tensor(X[at]), y[at]).backward()
        optimizer.step()
    trainer.fit(X, y, epochs=4)
    assert net.steps == 12
    for found, tensor in zip(parameters(net), tensors, strict=True):
        assert_close(found, tensor.detach().numpy(), 1e-10)


@pytest.mark.parametrize("case", CASES)
def test_gradcheck_with_frozen_masks(case: str) -> None:
    net = network([4, 7, 5, 3], "cross_entropy", activation="tanh", seed=2, **CASES[case])
    X, y = inputs(6, 4), targets("cross_entropy", 6, 3)
    result = rg.gradcheck(net, X, y, training=True)
    assert 0 < result.worst < 1e-6
    assert rg.gradcheck(net, X, y).errors != result.errors
    net.forward(X, training=True)
    assert np.any(net.backward(y).dw[1] != network([4, 7, 5, 3], "cross_entropy", activation="tanh", seed=2).weights[1])


# ---------------------------------------------------------------- normalisation

NORMS = {
    "layer": ("layer", "layer"),
    "batch": ("batch", "batch"),
    "both": ("layer", "batch"),
    "the other way": ("batch", "layer"),
    "one": (None, "batch"),
}


def normalising(norms: tuple[Any, Any], dtype: str = "float64", seed: int = 5, **options: Any) -> rg.Network:
    """A network whose gammas and betas are not 1 and 0."""
    layers = [13, rg.Dense(40, "tanh", norm=norms[0]), rg.Dense(21, "relu", norm=norms[1]), 5]
    net = network(layers, "cross_entropy", dtype=dtype, seed=seed, **options)
    rng = np.random.default_rng(8)
    for i, norm in enumerate(norms):
        if norm:
            n = net.sizes[i + 1]
            net.set_norm(i, gamma=1 + 0.3 * rng.standard_normal(n), beta=0.3 * rng.standard_normal(n))
    return net


def torch_twin(torch: Any, net: rg.Network) -> Any:
    """The same of PyTorch's modules, dropout left out."""
    modules: list[Any] = []
    for i, layer in enumerate(net.layers):
        linear = torch.nn.Linear(net.sizes[i], layer.units, dtype=torch.float64)
        linear.weight.data = torch.tensor(net.weights[i].T.copy())
        linear.bias.data = torch.tensor(net.biases[i].copy())
        modules.append(linear)
        if layer.norm:
            kind = torch.nn.LayerNorm if layer.norm == "layer" else torch.nn.BatchNorm1d
            norm = kind(layer.units, dtype=torch.float64)
            norm.weight.data = torch.tensor(np.array(net.gamma[i]))
            norm.bias.data = torch.tensor(np.array(net.beta[i]))
            if layer.norm == "batch":
                norm.running_mean = torch.tensor(np.array(net.running_mean[i]))
                norm.running_var = torch.tensor(np.array(net.running_var[i]))
            modules.append(norm)
        if i < net.depth - 1:
            modules.append({"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[net.activations[i]]())
    return torch.nn.Sequential(*modules)


def assert_same_as_torch(torch: Any, net: rg.Network, twin: Any) -> None:
    modules = iter(twin)
    for i, layer in enumerate(net.layers):
        linear = next(m for m in modules if isinstance(m, torch.nn.Linear))
        assert_close(net.weights[i], linear.weight.detach().numpy().T, 1e-10)
        assert_close(net.biases[i], linear.bias.detach().numpy(), 1e-10)
        if layer.norm:
            norm = next(modules)
            assert_close(net.gamma[i], norm.weight.detach().numpy(), 1e-10)
            assert_close(net.beta[i], norm.bias.detach().numpy(), 1e-10)
            if layer.norm == "batch":
                assert_close(net.running_mean[i], norm.running_mean.numpy(), 1e-10)
                assert_close(net.running_var[i], norm.running_var.numpy(), 1e-10)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rows", [5, 16, 50])  # of two rows, what batch normalisation lets back is nothing but rounding
@pytest.mark.parametrize("name", NORMS)
def test_normalisation_of_pytorch(torch: Any, name: str, rows: int, training: bool) -> None:
    net = normalising(NORMS[name])
    for i, norm in enumerate(NORMS[name]):
        if norm == "batch":
            n = net.sizes[i + 1]
            net.set_norm(i, running_mean=0.1 * inputs(1, n)[0], running_var=0.5 + inputs(1, n, seed=3)[0] ** 2)
    twin = torch_twin(torch, net).train(training)
    X, y = inputs(rows, 13), targets("cross_entropy", rows, 5)
    x = torch.tensor(X, requires_grad=True)
    out = twin(x)
    loss = torch.nn.functional.cross_entropy(out, torch.tensor(y))
    loss.backward()
    assert_close(net.forward(X, training=training), out.detach().numpy(), 1e-10)
    gradients = net.backward(y)
    assert_close(gradients.loss, loss.item(), 1e-10)
    assert_close(gradients.dx, x.grad.numpy(), 1e-10)
    modules = list(twin)
    for i, layer in enumerate(net.layers):
        at = [k for k, m in enumerate(modules) if isinstance(m, torch.nn.Linear)][i]
        assert_close(gradients.dw[i], modules[at].weight.grad.numpy().T, 1e-10)
        # batch normalisation takes the bias away again: its gradient is nothing but rounding
        noise = 1e-14 * np.abs(gradients.dw[i]).max() if training and layer.norm == "batch" else 0.0
        assert np.abs(gradients.db[i] - modules[at].bias.grad.numpy()).max() <= 1e-10 * np.abs(gradients.db[i]).max() + noise
        if layer.norm is None:
            assert gradients.dgamma[i] is None
            assert gradients.dbeta[i] is None
        else:
            assert_close(gradients.dgamma[i], modules[at + 1].weight.grad.numpy(), 1e-10)
            assert_close(gradients.dbeta[i], modules[at + 1].bias.grad.numpy(), 1e-10)
    assert_same_as_torch(torch, net, twin)  # the running means, too


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", NORMS)
def test_training_with_normalisation_of_pytorch(torch: Any, name: str, optimizer: str) -> None:
    net = normalising(NORMS[name])
    twin = torch_twin(torch, net)
    X, y = inputs(60, 13), targets("cross_entropy", 60, 5)
    if optimizer == "sgd":
        ours: Any = rg.SGD(0.1, momentum=0.9, weight_decay=0.01)
        theirs = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    else:  # eps large enough for the biases before batch normalisation, whose gradients are nothing but rounding
        ours = rg.Adam(0.01, eps=1e-4)
        theirs = torch.optim.Adam(twin.parameters(), lr=0.01, eps=1e-4)
    for i in range(12):
        at = slice(i % 3 * 20, i % 3 * 20 + 20)
        theirs.zero_grad()
        torch.nn.functional.cross_entropy(twin(torch.tensor(X[at])), torch.tensor(y[at])).backward()
        theirs.step()
    rg.Trainer(net, ours, batch_size=20, shuffle=False).fit(X, y, epochs=4)
    assert_same_as_torch(torch, net, twin)
    twin.eval()
    assert_close(net.predict_proba(X), torch.softmax(twin(torch.tensor(X)), 1).detach().numpy(), 1e-10)
    for rows in (1, 3, 16):
        expected = torch.softmax(twin(torch.tensor(X[:rows])), 1).detach().numpy()
        assert_close(net.predict_proba(X[:rows]), expected, 1e-10)
    expected = torch.nn.functional.cross_entropy(twin(torch.tensor(X)), torch.tensor(y)).item()
    assert_close(net.loss(X, y), expected, 1e-10)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NORMS)
def test_gradcheck_with_normalisation(name: str, training: bool) -> None:
    layers = [4, rg.Dense(7, "tanh", norm=NORMS[name][0]), rg.Dense(5, "sigmoid", norm=NORMS[name][1], dropout=0.3), 3]
    net = network(layers, "cross_entropy", seed=2)
    result = rg.gradcheck(net, inputs(6, 4), targets("cross_entropy", 6, 3), training=training)
    # the bias before batch normalisation has no gradient to compare
    none = {f"db[{i}]" for i, norm in enumerate(NORMS[name]) if training and norm == "batch"}
    errors = {where: error for where, error in result.errors.items() if where not in none}
    assert max(errors.values()) < 1e-6
    assert f"dgamma[{0 if NORMS[name][0] else 1}]" in errors
    assert "dbeta[1]" in errors


def test_batches_of_one_row_have_no_variance() -> None:
    net = normalising((None, "batch"))
    X, y = inputs(21, 13), targets("cross_entropy", 21, 5)
    before = parameters(net)
    trainer = rg.Trainer(net, rg.SGD(0.1), batch_size=20)
    with pytest.raises(ValueError, match="more than one row in every batch, got 21 rows in batches of 20"):
        trainer.fit(X, y, epochs=1)
    trainer.batch_size = 1
    with pytest.raises(ValueError, match="more than one row"):
        trainer.fit(X, y, epochs=1)
    with pytest.raises(ValueError, match="more than one row"):
        trainer.step(X[:1], y[:1])
    with pytest.raises(ValueError, match="more than one row in training, got 1"):
        net.forward(X[:1], training=True)
    assert same_bits(parameters(net), before)
    net.forward(X[:1])  # outside of training there is nothing to take a mean of
    net.backward(y[:1])
    trainer.step(X[:2], y[:2])
    normalising(("layer", "layer")).forward(X[:1], training=True)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_team_with_normalisation(name: str, dtype: str) -> None:
    def run(team: int) -> tuple[Any, ...]:
        net = normalising(NORMS[name], dtype, dropout=0.2)
        net._core.force_team(team)
        X, y = inputs(210, 13), targets("cross_entropy", 210, 5)
        for batch_size in (6, 16, 64, 210):
            trainer = rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=batch_size)
            history = trainer.fit(X, y, epochs=2)
            assert trainer._core.team() == team
        shown = net.predict_proba(X), net.predict_proba(X[:1]), net.loss(X, y), history.loss
        out = [net.forward(X, training=True)]
        gradients = net.backward(y)
        norms = [a for a in (*net.gamma, *net.beta, *net.running_mean, *net.running_var) if a is not None]
        found = [a for a in (*gradients.dgamma, *gradients.dbeta) if a is not None]
        return parameters(net), norms, shown, out, gradients.dw, gradients.db, gradients.dx, found

    one = run(1)
    for team in (2, 3, 4):
        assert same_bits(run(team), one), team


def test_the_settings_of_normalisation_are_kept() -> None:
    net = normalising(("batch", "layer"))
    X, y = inputs(20, 13), targets("cross_entropy", 20, 5)
    adam = rg.Adam(0.01)
    trainer = rg.Trainer(net, adam)
    for _ in range(3):
        trainer.step(X, y)
    assert [layer.norm for layer in net.layers] == ["batch", "layer", None]
    assert "norm=batch" in repr(net).splitlines()[2]
    assert "norm=layer" in repr(net).splitlines()[3]
    assert net.n_parameters == sum(p.size for p in parameters(net)) + 2 * 40 + 2 * 21
    twins = [pickle.loads(pickle.dumps(net)), copy.copy(net), normalising(("batch", "layer"), seed=9)]
    twins[-1].copy_from(net)

    def norms(n: rg.Network) -> list[Array]:
        return [a for a in (*n.gamma, *n.beta, *n.running_mean, *n.running_var) if a is not None]

    expected = norms(net), net.predict_proba(X)
    other = pickle.loads(pickle.dumps(adam))
    for twin in twins:
        assert same_bits((norms(twin), twin.predict_proba(X)), expected)
    assert np.any(net.gamma[0] != normalising(("batch", "layer")).gamma[0])
    trainer.step(X, y)
    rg.Trainer(twins[0], other).step(X, y)  # the state of gamma and beta travels with the optimiser
    assert same_bits((parameters(twins[0]), norms(twins[0])), (parameters(net), norms(net)))
    with pytest.raises(ValueError, match="expected norms"):
        net.copy_from(normalising(("layer", "layer")))
    with pytest.raises(ValueError, match="no normalisation"):
        reference.Network.like(net)


def test_divergence_puts_the_running_means_back() -> None:
    net = normalising(("batch", "batch"), "float32")
    X, y = inputs(40, 13), targets("cross_entropy", 40, 5)
    trainer = rg.Trainer(net, rg.SGD(0.1), batch_size=20)
    trainer.fit(X, y, epochs=1)
    before = net.running_mean[:2], net.running_var[:2], net.gamma[:2], parameters(net)
    trainer.optimizer.lr = 1e37
    with pytest.raises(rg.DivergenceError):
        trainer.fit(X, y, epochs=1)
    assert same_bits((net.running_mean[:2], net.running_var[:2], net.gamma[:2], parameters(net)), before)


def test_what_set_norm_refuses() -> None:
    net = normalising(("layer", "batch"))
    before = (net.gamma, net.beta, net.running_mean, net.running_var)
    refused: list[tuple[int, dict[str, Any], str]] = [
        (0, {"running_mean": np.zeros(40)}, "running_mean: layer 0 has none"),
        (2, {"gamma": np.ones(5)}, "gamma: layer 2 has none"),
        (3, {"gamma": np.ones(5)}, "layer: expected less than 3"),
        (0, {"gamma": np.ones(39)}, r"gamma: expected shape \(40,\), got \(39,\)"),
        (0, {"gamma": np.ones(40), "beta": np.full(40, np.nan)}, "beta"),
        (1, {"running_var": -np.ones(21)}, "running_var: expected no negative numbers"),
    ]
    for layer, given, message in refused:
        with pytest.raises(ValueError, match=message):
            net.set_norm(layer, **given)
    assert same_bits((net.gamma, net.beta, net.running_mean, net.running_var), before)
    with pytest.raises(ValueError, match="norm: expected one of layer, batch, got 'group'"):
        rg.Dense(3, norm="group")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="norm: it is for hidden layers"):
        rg.Network([3, 4, rg.Dense(2, norm="layer")])


# ---------------------------------------------------------------- norms


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_limit_on_norms(dtype: str) -> None:
    most = 1.4
    layers = [30, rg.Dense(50, "relu", max_norm=most), rg.Dense(20, "tanh"), 3]
    net = network(layers, dtype=dtype)
    plain = network([30, 50, rg.Dense(20, "tanh"), 3], dtype=dtype)
    X, y = inputs(40, 30), inputs(40, 3)
    rg.Trainer(net, rg.SGD(0.1)).step(X, y)
    rg.Trainer(plain, rg.SGD(0.1)).step(X, y)
    w = plain.weights[0].astype(float)
    norms = np.sqrt((w**2).sum(axis=0))
    assert np.any(norms > most)
    assert np.any(norms < most)
    assert_close(net.weights[0], w * np.minimum(1, most / norms), 1e-6 if dtype == "float32" else 1e-14)
    assert same_bits((net.weights[1:], net.biases), (plain.weights[1:], plain.biases))
    below = norms < most
    assert same_bits(net.weights[0][:, below], plain.weights[0][:, below])

    hand = network(layers, dtype=dtype)  # the update by hand keeps the limit too
    hand.forward(X, training=True)
    hand.backward(y)
    rg.SGD(0.1).step(hand)
    assert same_bits(parameters(hand), parameters(net))


# ---------------------------------------------------------------- the same bits

ALL: dict[str, Any] = {"dropout": 0.3, "input_dropout": 0.1, "input_noise": 0.2}


def trained(forced: int = 0, **options: Any) -> tuple[Any, ...]:
    layers = [21, rg.Dense(40, max_norm=1.0), rg.Dense(35, dropout=0.1), 6]
    net = network(layers, "cross_entropy", activation="tanh", **(ALL | options))
    net._core.force_team(forced)
    X, y = inputs(210, 21), targets("cross_entropy", 210, 6)
    for batch_size in (5, 16, 64, 210):
        trainer = rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=batch_size, advice=False)  # on noise
        history = trainer.fit(X, y, epochs=2)
        if forced:
            assert trainer._core.team() == forced
    out = net.forward(X, training=True)
    gradients = net.backward(y)
    return parameters(net), history.loss, out, gradients.dw, gradients.dx, net.predict_proba(X), net.steps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_team(dtype: str) -> None:
    one = trained(1, dtype=dtype)
    for team in (2, 3, 4):
        assert same_bits(trained(team, dtype=dtype), one), team


RUN = """
import hashlib, json
from test_regularisation import trained
def arrays(x):
    return [b for a in x for b in arrays(a)] if isinstance(x, (list, tuple)) else [x]
import numpy as np
found = [np.asarray(a).tobytes() for dtype in ("float32", "float64") for a in arrays(trained(2, dtype=dtype))]
print(json.dumps(hashlib.sha256(b"".join(found)).hexdigest()))
"""


def test_any_fused_isa() -> None:
    found = set()
    for isa in _core.available_isas():
        if isa == "baseline":
            continue
        done = python(RUN, RETROGRAD_ISA=isa)
        assert done.returncode == 0, done.stderr
        found.add(json.loads(done.stdout))
    assert len(found) == 1


def test_fit_in_parts_steps_and_stages_are_the_whole_fit() -> None:
    X, y = inputs(60, 21).astype(np.float32), targets("cross_entropy", 60, 6)

    def run(train: Callable[[rg.Network, rg.SGD], object]) -> list[Array]:
        net, sgd = network([21, 40, 6], "cross_entropy", **ALL), rg.SGD(0.1, momentum=0.9)
        train(net, sgd)
        assert net.steps == 6
        return parameters(net)

    def in_parts(net: rg.Network, sgd: rg.SGD) -> None:
        rg.Trainer(net, sgd, batch_size=20, shuffle=False).fit(X, y, epochs=1)
        rg.Trainer(net, sgd, batch_size=20, shuffle=False).fit(X, y, epochs=1)

    def by_steps(net: rg.Network, sgd: rg.SGD) -> None:
        trainer = rg.Trainer(net, sgd)
        for i in range(6):
            trainer.step(X[i % 3 * 20 :][:20], y[i % 3 * 20 :][:20])

    def by_hand(net: rg.Network, sgd: rg.SGD) -> None:
        for i in range(6):
            net.forward(X[i % 3 * 20 :][:20], training=True)
            net.backward(y[i % 3 * 20 :][:20])
            sgd.step(net)

    whole = run(lambda net, sgd: rg.Trainer(net, sgd, batch_size=20, shuffle=False).fit(X, y, epochs=2))
    for train in (in_parts, by_steps, by_hand):
        assert same_bits(run(train), whole), train.__name__


def test_each_step_has_new_masks_and_the_seed_fixes_them() -> None:
    def run(seed: int) -> tuple[list[Array], float, float]:
        net = network([21, 40, 6], init=rg.Initializer("he"), biases=False, dropout=0.5, seed=seed)
        frozen = rg.Trainer(net, rg.SGD(0.0))
        X, y = inputs(50, 21), inputs(50, 6)
        return parameters(net), frozen.step(X, y), frozen.step(X, y)

    _, first, second = run(1)
    assert first != second
    assert run(1)[1:] == (first, second)
    assert run(2)[1] != first


# ---------------------------------------------------------------- outside of training


def test_nothing_is_dropped_outside_of_training() -> None:
    for rows in (1, 4, 16, 100):
        net, plain = network([21, 40, 6], "cross_entropy", **ALL), network([21, 40, 6], "cross_entropy")
        X, y = inputs(rows, 21), targets("cross_entropy", rows, 6)
        for answer in (lambda n, X=X: n.predict_proba(X), lambda n, X=X: n.predict(X), lambda n, X=X, y=y: n.loss(X, y)):
            assert same_bits(answer(net), answer(plain))
        assert same_bits(net.forward(X), plain.forward(X))
        assert same_bits((net.backward(y).dw, net.backward(y).dx), (plain.backward(y).dw, plain.backward(y).dx))
        assert not same_bits(net.forward(X, training=True), plain.forward(X, training=True))
        assert net.steps == 0


def test_pass_without_training_after_one_with_it() -> None:
    net, plain = network([21, 40, 6], **ALL), network([21, 40, 6])
    X, y = inputs(30, 21), inputs(30, 6)
    net.forward(X, training=True)
    net.backward(y)
    net.forward(X)
    plain.forward(X)
    found, expected = net.backward(y), plain.backward(y)
    assert same_bits((found.dw, found.db, found.dx, found.delta), (expected.dw, expected.db, expected.dx, expected.delta))


# ---------------------------------------------------------------- settings


def test_settings_are_kept() -> None:
    layers = [21, rg.Dense(40, "tanh", dropout=0.1, max_norm=2.0), 30, rg.Dense(20, dropout=0.0), rg.Dense(6, max_norm=3.0)]
    net = network(layers, **ALL)
    rg.Trainer(net, rg.SGD(0.1)).step(inputs(20, 21), inputs(20, 6))
    assert [layer.dropout for layer in net.layers] == [0.1, 0.3, None, None]
    assert [layer.max_norm for layer in net.layers] == [2.0, None, None, 3.0]
    assert (net.input_dropout, net.input_noise, net.steps) == (0.1, 0.2, 1)
    for line, shown in zip(repr(net).splitlines()[2:], ("dropout=0.1  max_norm=2.0", "dropout=0.3", "", ""), strict=False):
        assert line.endswith(shown)
    assert "input_dropout=0.1, input_noise=0.2" in repr(net)
    X, y = inputs(20, 21), inputs(20, 6)
    twins = [pickle.loads(pickle.dumps(net)), copy.copy(net), copy.deepcopy(net)]
    expected = net.forward(X, training=True)
    rg.Trainer(net, rg.SGD(0.1)).step(X, y)
    for twin in twins:
        assert (twin.layers, twin.input_dropout, twin.input_noise, twin.steps) == (net.layers, 0.1, 0.2, 1)
        assert same_bits(twin.forward(X, training=True), expected)
        rg.Trainer(twin, rg.SGD(0.1)).step(X, y)
        assert same_bits(parameters(twin), parameters(net))
    spec = rg.Dense(4, "relu", dropout=0.5, max_norm=1)
    assert pickle.loads(pickle.dumps(spec)) == spec == copy.copy(spec)
    shown = "dropout=0.5, max_norm=1.0, norm=None, bias=True, bias_init=None"
    assert repr(spec) == f"Dense(units=4, activation='relu', init=None, {shown})"


@pytest.mark.parametrize("name", ["dropout", "input_dropout", "input_noise"])
def test_bad_settings_of_a_network(name: str) -> None:
    for value in (-0.1, float("nan"), *((1.0, 2) if "dropout" in name else (float("inf"),))):
        with pytest.raises(ValueError, match=name):
            rg.Network([3, 4, 2], **{name: value})
    for wrong in ("0.1", None, True, [0.1]):
        with pytest.raises(TypeError, match=name):
            rg.Network([3, 4, 2], **{name: wrong})


def test_bad_settings_of_a_layer() -> None:
    for value in (-0.1, 1, float("nan")):
        with pytest.raises(ValueError, match="dropout"):
            rg.Dense(3, dropout=value)
    for value in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="max_norm"):
            rg.Dense(3, max_norm=value)
    for wrong in ("1", True, [1]):
        with pytest.raises(TypeError, match="dropout"):
            rg.Dense(3, dropout=wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="max_norm"):
            rg.Dense(3, max_norm=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"dropout: it is for hidden layers, got 0\.5"):
        rg.Network([3, 4, rg.Dense(2, dropout=0.5)])
    assert rg.Network([3, 4, rg.Dense(2, dropout=0.0)], dropout=0.5).layers[0].dropout == 0.5


# ---------------------------------------------------------------- what goes wrong


def test_divergence_puts_weights_and_steps_back() -> None:
    net = network([21, 40, 6], **ALL)
    trainer = rg.Trainer(net, rg.SGD(0.1), batch_size=10)
    X, y = inputs(50, 21), inputs(50, 6)
    trainer.fit(X, y, epochs=1)
    before, steps = parameters(net), net.steps
    trainer.optimizer.lr = 1e30
    with pytest.raises(rg.DivergenceError):
        trainer.fit(X, y, epochs=20)
    assert all(np.isfinite(p).all() for p in parameters(net))
    with pytest.raises(rg.DivergenceError):
        trainer.fit(X, y, epochs=1)
    assert net.steps == steps
    assert same_bits(parameters(net), before)


def test_noise_helps_against_learning_by_heart() -> None:
    # 40 rows of two clouds that overlap, and a network that can learn them by heart
    rng = np.random.default_rng(0)

    def cloud(rows: int) -> tuple[Array, Array]:
        labels = rng.integers(0, 2, rows)
        return rng.standard_normal((rows, 20)) + 0.5 * labels[:, None], labels

    train, test = cloud(40), cloud(4000)

    def losses(**options: Any) -> tuple[float, float]:
        net = rg.Network([20, 64, 2], loss="cross_entropy", seed=1, **options)
        rg.Trainer(net, rg.SGD(0.05, momentum=0.9), batch_size=20).fit(*train, epochs=100)
        return net.loss(*train), net.loss(*test)

    (seen, unseen), (noisy_seen, noisy_unseen) = losses(), losses(input_noise=1.0)
    assert noisy_seen > seen
    assert noisy_unseen < 0.9 * unseen


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_normalisation_folds_into_weights_for_inference(dtype: str) -> None:
    layers = [6, rg.Dense(20, "gelu", norm="batch"), rg.Dense(9, "tanh", norm="layer"), rg.Dense(17, norm="batch"), 3]
    net = rg.Network(layers, loss="cross_entropy", dtype=dtype, dropout=0.1, seed=3)
    X, y = inputs(200, 6), np.random.default_rng(0).integers(0, 3, 200)
    rg.Trainer(net, rg.Adam(0.01), batch_size=20).fit(X, y, epochs=3)
    before = parameters(net)
    folded = net.folded()
    assert [layer.norm for layer in folded.layers] == [None, "layer", None, None]
    assert [layer.dropout for layer in folded.layers] == [layer.dropout for layer in net.layers]
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(folded.predict_proba(X), net.predict_proba(X), atol=tolerance)
    assert not np.allclose(folded.weights[0], net.weights[0])
    assert same_bits(parameters(net), before)
    plain = rg.Network([6, 8, 3], loss="cross_entropy", dtype=dtype)
    assert same_bits(parameters(plain.folded()), parameters(plain))
