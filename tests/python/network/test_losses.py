"""More activations and losses: values and gradients against float64 formulas (oracle.py), PyTorch, scikit-learn, differences.

Also their parameters, what predict says with each, extremes and bits.

They are those of MORE_ACTIVATIONS and MORE_PAIRS in helpers.py. The first ones are tested in all combinations in
test_stages.py, test_gradcheck.py and test_reference.py.
"""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import (
    ALL_LOSSES,
    HIDDEN_ACTIVATIONS,
    MORE_ACTIVATIONS,
    MORE_PAIRS,
    UPDATES,
    assert_close,
    inputs,
    network,
    parameters,
    python,
    same_bits,
    targets,
)
from oracle import DERIVATIVE, FUNCTION, forward_backward
from retrograd import _core, losses, reference
from sklearn import metrics

TOLERANCE = {"float64": 1e-10, "float32": 2e-5}
PARAMETERS: list[losses.Loss] = [
    losses.CrossEntropy(0.0),
    losses.CrossEntropy(0.1),
    losses.CrossEntropy(0.9),
    losses.Huber(0.25),
    losses.Huber(3.0),
    losses.Quantile(0.1),
    losses.Quantile(0.9),
    losses.Focal(0.0),
    losses.Focal(0.5),
    losses.Focal(1.0),
    losses.Focal(5.0),
]


def check(
    loss: str | losses.Loss, rows: int = 21, dtype: str = "float64", outputs: int = 5, y: Any = None, **options: Any
) -> None:
    """Loss, delta, dw, db and dx of one batch against NumPy."""
    name, parameter = losses.name_and_parameter(loss)
    net = network([7, 19, 18, outputs], loss, dtype=dtype, **options)
    X, y = inputs(rows, 7).astype(dtype), targets(name, rows, outputs) if y is None else y
    seen = y if y.dtype.kind == "i" else y.astype(dtype)
    expected = forward_backward(net.weights, net.biases, net.activations, name, X, seen, parameter=parameter)
    net.forward(X)
    found = net.backward(y)
    assert found.loss == pytest.approx(expected.loss, rel=TOLERANCE[dtype])
    assert net.loss(X, y) == pytest.approx(expected.loss, rel=TOLERANCE[dtype])
    for what in ("delta", "dw", "db"):
        for i, array in enumerate(getattr(found, what)):
            assert_close(array, getattr(expected, what)[i], TOLERANCE[dtype], f"{what}[{i}]")
    assert_close(found.dx, expected.dx, TOLERANCE[dtype], "dx")


# ---------------------------------------------------------------- formulas


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [3, 14, 40])  # rows with lanes = units; panels in part; several panels
@pytest.mark.parametrize("hidden", MORE_ACTIVATIONS)
def test_hidden_activations_equal_numpy(hidden: str, rows: int, dtype: str) -> None:
    check("mse", rows, dtype, activation=hidden)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("output", "loss"), MORE_PAIRS)
def test_outputs_and_losses_equal_numpy(output: str, loss: str, dtype: str) -> None:
    for rows in (3, 14, 40):
        check(loss, rows, dtype, activation="tanh", output_activation=output)
    if loss == "hinge":
        check(loss, 21, dtype, outputs=1, activation="tanh", output_activation=output)
        check(loss, 21, dtype, outputs=1, y=np.arange(21) % 2, activation="tanh", output_activation=output)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", PARAMETERS, ids=repr)
def test_parameters_equal_numpy(loss: losses.Loss, dtype: str) -> None:
    check(loss, dtype=dtype, activation="gelu")
    if loss.name in ("cross_entropy", "focal"):
        probabilities = np.random.default_rng(3).dirichlet(np.ones(5), 21)
        check(loss, y=probabilities, activation="tanh")


@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("hidden", [*HIDDEN_ACTIVATIONS, *MORE_ACTIVATIONS])
def test_gradcheck_of_every_activation_and_loss(hidden: str, loss: str) -> None:
    # smaller weights than exponential would start with, so that exp of exp has derivatives that differences can find
    net = network([4, 6, 5, 3], loss, activation=hidden, seed=2, dtype="float64")
    net.set_weights([0.5 * w for w in net.weights])
    X, y = inputs(6, 4), targets(loss, 6, 3)
    result = rg.gradcheck(net, X, y)
    # the sum of delta over the labels of hinge may be zero to the last bit: then there is nothing to compare but rounding
    errors = [error for name, error in result.errors.items() if np.abs(gradient_named(net, X, y, name)).max() > 1e-9]
    assert len(errors) >= 4
    assert max(errors) < 1e-6


def gradient_named(net: rg.Network, X: np.ndarray, y: np.ndarray, name: str) -> np.ndarray:
    """The array that gradcheck calls so."""
    net.forward(X)
    found = net.backward(y)
    return found.dx if name == "dx" else getattr(found, name[:2])[int(name[3:-1])]


@pytest.mark.parametrize("loss", PARAMETERS, ids=repr)
def test_gradcheck_of_parameters(loss: losses.Loss) -> None:
    net = network([4, 7, 3], loss, activation="mish", dtype="float64")
    assert rg.gradcheck(net, inputs(6, 4), targets(loss.name, 6, 3)).worst < 1e-6


@pytest.mark.parametrize("loss", [*ALL_LOSSES, *PARAMETERS], ids=str)
def test_training_equals_the_reference(loss: str | losses.Loss) -> None:
    name = losses.name_and_parameter(loss)[0]
    for dtype, hidden in (("float64", MORE_ACTIVATIONS), ("float32", ("gelu",))):
        for activation in hidden:
            net = network([7, 20, 9, 4], loss, activation=activation, dtype=dtype)
            net.set_weights([0.3 * w for w in net.weights])
            other, sgd = reference.Network.like(net), reference.SGD(**UPDATES["momentum"] | {"lr": 0.01})
            X, y = inputs(50, 7), targets(name, 50, 4)
            history = rg.Trainer(net, rg.SGD(0.01, momentum=0.9), batch_size=12).fit(X, y, epochs=2)
            for epoch, value in enumerate(history.loss, 1):
                order = _core.permutation(net.seed, epoch, len(X))
                expected = reference.train_epoch(other, sgd, X, y, 12, order)
                assert value == pytest.approx(expected, rel=1e-10 if dtype == "float64" else 1e-4)
            for found, wanted in zip(parameters(net), (*other.weights, *other.biases), strict=True):
                assert_close(found, wanted, 1e-9 if dtype == "float64" else 1e-3)


# ---------------------------------------------------------------- PyTorch, scikit-learn


def torch_activation(torch: Any, name: str) -> Callable[[Any], Any]:
    """PyTorch's function of that name."""
    f = torch.nn.functional
    functions: dict[str, Callable[[Any], Any]] = {
        "gelu_tanh": lambda z: f.gelu(z, approximate="tanh"),
        "exponential": torch.exp,
        "softplus": lambda z: f.softplus(z, threshold=700),  # by default it is z beyond 20
    }
    return functions.get(name) or getattr(f, name)


@pytest.mark.parametrize("name", MORE_ACTIVATIONS)
def test_activations_equal_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    z = np.concatenate([np.linspace(-30, 30, 4001), [-600.0, 600.0, -1e-300, 1e-300, 0.0]])
    if name == "exponential":
        z = z[np.abs(z) < 100]
    net = rg.Network([1, 1, 1], activation=name, init=([[[1.0]], [[1.0]]], [[0.0], [0.0]]), dtype="float64")
    out = net.forward(z[:, None])
    dx = net.backward(dz=np.ones((len(z), 1))).dx
    of_torch = torch.tensor(z, requires_grad=True)
    value = torch_activation(torch, name)(of_torch)
    value.sum().backward()
    scale = np.maximum(1.0, np.abs(value.detach().numpy()))
    assert np.abs((out[:, 0] - value.detach().numpy()) / scale).max() < 1e-14
    slopes = of_torch.grad.numpy()
    scale = np.maximum(1.0, np.abs(slopes))
    assert np.abs((dx[:, 0] - slopes) / scale).max() < 1e-14


@pytest.mark.parametrize(
    ("loss", "make"),
    [
        ("mae", lambda n, z, t: n.functional.l1_loss(z, t)),
        ("huber", lambda n, z, t: n.HuberLoss()(z, t)),
        (losses.Huber(0.3), lambda n, z, t: n.HuberLoss(delta=0.3)(z, t)),
        ("poisson", lambda n, z, t: n.PoissonNLLLoss(log_input=True, full=False)(z, t)),
        ("hinge", lambda n, z, t: n.MultiMarginLoss()(z, t)),
        (losses.CrossEntropy(0.1), lambda n, z, t: n.CrossEntropyLoss(label_smoothing=0.1)(z, t)),
        ("cross_entropy", lambda n, z, t: n.CrossEntropyLoss()(z, t)),
    ],
    ids=str,
)
def test_losses_equal_pytorch(loss: str | losses.Loss, make: Any) -> None:
    torch = pytest.importorskip("torch")
    name = losses.name_and_parameter(loss)[0]
    z, t = 3 * inputs(40, 6), targets(name, 40, 6)
    net = rg.Network([6, 6], loss=loss, init=([np.eye(6)], [np.zeros(6)]), dtype="float64")
    net.forward(z)
    found = net.backward(t)
    of_torch = torch.tensor(z, requires_grad=True)
    value = make(torch.nn, of_torch, torch.tensor(t))
    value.backward()
    assert found.loss == pytest.approx(value.item(), rel=1e-13)
    assert_close(found.delta[0], of_torch.grad.numpy(), 1e-12)
    if name == "cross_entropy":
        p = np.random.default_rng(1).dirichlet(np.ones(6), 40)
        value = make(torch.nn, of_torch, torch.tensor(p))
        assert net.loss(z, p) == pytest.approx(value.item(), rel=1e-13)


def test_losses_equal_scikit_learn() -> None:
    a, y = inputs(50, 1), inputs(50, 1, seed=3)

    def of(loss: Any, y: Any, outputs: int = 1, a: np.ndarray = a) -> float:
        net = rg.Network([outputs, outputs], loss=loss, init=([np.eye(outputs)], [np.zeros(outputs)]), dtype="float64")
        return net.loss(a, y)

    assert of("mae", y) == pytest.approx(metrics.mean_absolute_error(y, a), rel=1e-13)
    for q in (0.1, 0.5, 0.8):
        assert of(losses.Quantile(q), y) == pytest.approx(metrics.mean_pinball_loss(y, a, alpha=q), rel=1e-13)
    sign = targets("hinge", 50, 1)
    assert of("hinge", sign) == pytest.approx(metrics.hinge_loss(sign[:, 0], a[:, 0]), rel=1e-13)
    assert of("hinge", (sign + 1) / 2) == of("hinge", sign)
    counts = targets("poisson", 50, 1)
    # the deviance is twice the loss, less what does not depend on the prediction
    least = np.mean(counts - counts * np.log(np.where(counts > 0, counts, 1)))
    deviance = metrics.mean_poisson_deviance(counts[:, 0], np.exp(a[:, 0]))
    assert of("poisson", counts) - least == pytest.approx(deviance / 2, rel=1e-12)


def test_focal_of_gamma_0_is_cross_entropy_and_of_labels_is_of_rows() -> None:
    X, y = 4 * inputs(30, 4), targets("focal", 30, 4)
    by = {}
    for loss in ("cross_entropy", losses.Focal(0.0), losses.Focal(2.0)):
        net = rg.Network([4, 4], loss=loss, init=([np.eye(4)], [np.zeros(4)]), dtype="float64")
        net.forward(X)
        by[str(loss)] = net.backward(y)
        rows = net.backward(np.eye(4)[y])
        assert rows.loss == pytest.approx(by[str(loss)].loss, rel=1e-14)
        assert_close(rows.delta[0], by[str(loss)].delta[0], 1e-14)
    plain, zero, two = by.values()
    assert zero.loss == pytest.approx(plain.loss, rel=1e-13)
    assert_close(zero.delta[0], plain.delta[0], 1e-13)
    assert two.loss is not None and plain.loss is not None and two.loss < plain.loss


# ---------------------------------------------------------------- extremes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MORE_ACTIVATIONS)
def test_no_number_is_lost_far_from_zero(name: str, dtype: str) -> None:
    net = rg.Network([1, 1, 1], activation=name, init=([[[1.0]], [[1.0]]], [[0.0], [0.0]]), dtype=dtype)
    low = {"elu": -1.0, "selu": -1.7580993408473766, "softsign": -1.0}.get(name, 0.0)
    for far in (200.0, 1e4, 1e30, float(np.finfo(dtype).max)):
        if name == "exponential" and far > 700:
            continue
        if name == "selu":
            far /= 2  # 1.05 times the largest number is infinite
        net.forward(np.array([[-far], [far if name != "exponential" else 1.0]]))
        a, dx = net.a[1][:, 0], net.backward(dz=np.ones((2, 1))).dx[:, 0]
        assert np.isfinite(a).all() and np.isfinite(dx).all()
        assert a[0] == pytest.approx(low, abs=0.01)
        assert dx[0] == pytest.approx(0, abs=1e-4)
        if name not in ("softsign", "exponential"):
            assert dx[1] == pytest.approx(1.0507009873554805 if name == "selu" else 1, rel=1e-6)
            assert a[1] == pytest.approx(far * float(dx[1]), rel=1e-6)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "softplus", "exponential"])
def test_results_fall_gradually_to_zero(name: str) -> None:
    # where PyTorch's formulas give 0, or a number without a digit that is right
    z = -np.linspace(5, 13 if name == "gelu" else 86, 300)
    net = rg.Network([1, 1], output_activation=name, init=([[[1.0]]], [[0.0]]))
    z32 = z.astype(np.float32).astype(np.float64)
    exact = {"silu": z32 * np.exp(z32), "mish": z32 * np.exp(z32), "softplus": np.exp(z32)}  # but for e^z of it
    want = exact[name] if name in exact else FUNCTION[name](z32)
    found = net.forward(z32[:, None])[:, 0]
    near = np.abs(found / want - 1)
    assert near[-100:].max() < 2e-6


def test_derivatives_of_the_oracle_are_differences() -> None:
    z = np.linspace(-4, 4, 801)[:, None] + 1e-3
    for name in MORE_ACTIVATIONS:
        difference = (FUNCTION[name](z + 1e-5) - FUNCTION[name](z - 1e-5)) / 2e-5
        assert np.abs(difference - DERIVATIVE[name](z)).max() < 1e-7 * np.abs(DERIVATIVE[name](z)).max()


def test_far_logits_stay_finite() -> None:
    X = np.array([[1.0, -1.0], [-1.0, 1.0]])
    for loss in ("focal", losses.Focal(0.5), losses.Focal(0.0), losses.CrossEntropy(0.1), "hinge"):
        net = rg.Network([2, 2], loss=loss, init=([1e4 * np.eye(2)], [np.zeros(2)]))
        net.forward(X)
        for y in (np.array([0, 1]), np.array([1, 0])):
            found = net.backward(y)
            assert found.loss is not None and np.isfinite(found.loss) and np.isfinite(found.delta[0]).all()


# ---------------------------------------------------------------- what a network says


def test_predictions() -> None:
    X = inputs(30, 4)
    z = network([4, 3], "mae").forward(X)
    for loss in ("focal", "hinge"):
        assert np.array_equal(network([4, 3], loss).predict(X), z.argmax(axis=1))
    assert_close(network([4, 3], "focal").predict_proba(X), network([4, 3], "cross_entropy").predict_proba(X), 0)
    assert_close(network([4, 3], "poisson").predict(X), np.exp(z), 1e-6)
    for loss in ("mae", "huber", "quantile"):
        assert same_bits(network([4, 3], loss).predict(X), z)
    one = network([4, 1], "hinge")
    assert np.array_equal(one.predict(X), one.forward(X)[:, 0] > 0) and one.predict(X).dtype == np.int64
    rates = network([4, 3], "poisson", output_activation="exponential")
    assert same_bits(rates.predict(X), rates.forward(X))
    for loss in ("hinge", "poisson", "mae"):
        with pytest.raises(ValueError, match="predict_proba: expected"):
            network([4, 3], loss).predict_proba(X)


@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_metrics(loss: str) -> None:
    net = network([4, 9, 3], loss, dtype="float64")
    X, y = inputs(40, 4), targets(loss, 40, 3)
    metric = rg.Trainer(net, rg.SGD(0.0)).fit(X, y, epochs=1).metric[0]
    said = net.predict(X)
    if loss == "binary_cross_entropy":
        y = y > 0.5
    want = np.mean(said == y) if net.metric_name == "accuracy" else np.mean(np.abs(said - y))
    assert metric == pytest.approx(want, rel=1e-12)
    classifiers = ("cross_entropy", "binary_cross_entropy", "focal", "hinge")
    assert net.metric_name == ("accuracy" if loss in classifiers else "mae")


def test_binary_hinge_takes_either_kind_of_answers() -> None:
    net = network([4, 9, 1], "hinge", dtype="float64")
    X, y = inputs(40, 4), targets("hinge", 40, 1)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    metric = trainer.fit(X, y[:, 0], epochs=200).metric
    assert metric[-1] > metric[0]
    assert np.mean(2 * net.predict(X) - 1 == y[:, 0]) > 0.8
    assert net.loss(X, (y + 1) // 2) == net.loss(X, y) == net.loss(X, y[:, 0])


def test_a_loss_is_kept_as_it_was_given() -> None:
    net = network([4, 9, 3], losses.Huber(delta=0.25), activation="gelu")
    assert net.loss_name == "huber" and net.loss_function == losses.Huber(0.25)
    assert "loss=Huber(delta=0.25)" in repr(net)
    X, y = inputs(20, 4), inputs(20, 3)
    for twin in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.loss_function == net.loss_function
        assert twin.loss(X, y) == net.loss(X, y) != network([4, 9, 3], "huber", activation="gelu").loss(X, y)
    assert network([4, 3], "huber").loss(X, y) == network([4, 3], losses.Huber()).loss(X, y)
    assert network([4, 3], "huber").loss_function == "huber"
    with pytest.raises(AttributeError):
        losses.Huber().delta = 2.0  # type: ignore[misc]
    assert losses.Quantile(np.float32(0.25)) == losses.Quantile(q=0.25)


def test_weights_start_as_suits_the_activation() -> None:
    for activation, variance in (("gelu", 2 / 400), ("elu", 2 / 400), ("selu", 1 / 400), ("softplus", 2 / 400)):
        net = rg.Network([400, 300, 2], activation=activation)
        assert net.weights[0].var() == pytest.approx(variance, rel=0.05)


# ---------------------------------------------------------------- bits

NETWORKS: list[tuple[list[int], str, str | losses.Loss]] = [
    ([9, 33, 20, 4], "gelu", losses.CrossEntropy(0.1)),
    ([20, 64, 3], "mish", "focal"),
    ([600, 40, 33, 2], "silu", "huber"),
    ([12, 100, 5], "gelu_tanh", "hinge"),
    ([12, 30, 5], "softplus", "poisson"),
    ([12, 30, 1], "selu", "quantile"),
]


@pytest.mark.parametrize(("sizes", "activation", "loss"), NETWORKS, ids=str)
def test_the_same_bits_for_any_team_and_any_slicing(sizes: list[int], activation: str, loss: Any) -> None:
    name = losses.name_and_parameter(loss)[0]
    X, y = inputs(150, sizes[0]), targets(name, 150, sizes[-1])
    for batch_size in (3, 16, 40):
        results = []
        for team in (1, 2, 4):
            net = network(sizes, loss, activation=activation)
            net._core.force_team(team)
            history = rg.Trainer(net, rg.SGD(0.001, momentum=0.9), batch_size=batch_size).fit(X, y, epochs=2)
            results.append((parameters(net), history.loss, history.metric, net.predict(X), net.loss(X, y)))
        assert same_bits(results[1], results[0]) and same_bits(results[2], results[0])
    whole = net.predict(X)
    for count in (1, 2, 5, 17, 40):
        assert same_bits(np.concatenate([net.predict(X[i : i + count]) for i in range(0, 150, count)]), whole)


BITS = """
import hashlib, sys
import numpy as np
import retrograd as rg
from retrograd import losses
digest = hashlib.sha256()
rng = np.random.default_rng(0)
for activation in ("gelu", "gelu_tanh", "silu", "mish", "elu", "selu", "softplus", "softsign"):
    for loss in ("mae", "huber", "quantile", "poisson", "hinge", "focal", losses.CrossEntropy(0.1)):
        net = rg.Network([9, 33, 20, 4], activation=activation, loss=loss)
        X = rng.standard_normal((70, 9))
        labels = loss in ("hinge", "focal") or not isinstance(loss, str)
        y = rng.integers(0, 4, 70) if labels else rng.integers(0, 4, (70, 4)).astype(float)
        history = rg.Trainer(net, rg.SGD(0.001, momentum=0.9), batch_size=13).fit(X, y, epochs=2, sample_weight=rng.random(70))
        for array in (*net.weights, *net.biases, net.predict(X), np.array(history.loss)):
            digest.update(array.tobytes())
print(digest.hexdigest())
"""


def test_the_same_bits_on_every_instruction_set_with_fused_multiply_add() -> None:
    isas = [isa for isa in _core.available_isas() if isa != "baseline"]
    if len(isas) < 2:
        pytest.skip("this CPU has one such instruction set")
    found = {python(BITS, RETROGRAD_ISA=isa).stdout for isa in isas}
    assert len(found) == 1 and len(found.pop()) == 65


# ---------------------------------------------------------------- a loss of one's own


def test_a_loss_of_ones_own_through_dz() -> None:
    """The README's example: log cosh, whose gradient is tanh."""
    X, y = inputs(40, 5), inputs(40, 2, seed=3)
    net = network([5, 16, 2], activation="gelu", dtype="float64")
    sgd = rg.SGD(0.5)

    def value() -> float:
        return float(np.log(np.cosh(net.forward(X) - y)).mean())

    first = value()
    for _ in range(50):
        e = net.forward(X) - y
        net.backward(dz=np.tanh(e) / e.size)
        sgd.step(net)
    assert value() < 0.5 * first
    e = net.forward(X) - y
    dw = net.backward(dz=np.tanh(e) / e.size).dw[0]
    weights = [np.array(w) for w in net.weights]
    difference = np.empty_like(dw)
    for i in np.ndindex(dw.shape):
        sides = []
        for step in (1e-5, -1e-5):
            changed = [w.copy() for w in weights]
            changed[0][i] += step
            net.set_weights(changed)
            sides.append(value())
        difference[i] = (sides[0] - sides[1]) / 2e-5
    assert_close(difference, dw, 1e-6)
