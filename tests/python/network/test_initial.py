"""How weights and biases start: rules by name, arrays, the default, and that the numbers have the same bits everywhere.

Not here: the bias that waits for the data (test_prior.py), the older initialisers (test_network.py).
"""

import math
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import parameters, python, same_bits

# ---------------------------------------------------------------- biases


def spread(array: Any, bound: float) -> None:
    """Uniform in +-bound, as far as a few hundred numbers can show."""
    array = np.asarray(array, np.float64)
    assert np.abs(array).max() <= bound * (1 + 1e-7)
    assert np.abs(array).max() > 0.95 * bound and abs(array.mean()) < 5 * bound / math.sqrt(3 * array.size)
    assert array.std() == pytest.approx(bound / math.sqrt(3), rel=0.15)


def test_uniform_biases() -> None:
    net = rg.Network([9, 400, 300], bias_init="uniform")
    spread(net.biases[0], 1 / 3)
    spread(net.biases[1], 1 / 20)
    other = rg.Network([9, 400, 300], bias_init="uniform", seed=1)
    assert not np.isin(other.biases[0], net.biases[0]).any()
    assert not np.isin(net.biases[0][:300] * 9**0.5, net.biases[1] * 400**0.5).any()  # layers have their own numbers


@pytest.mark.parametrize("rule", ["zeros", "uniform", "prior"])
def test_biases_leave_the_weights_alone(rule: str) -> None:
    net = rg.Network([5, 8, 3], bias_init=rule)
    assert same_bits(net.weights, rg.Network([5, 8, 3]).weights)


def test_zeros() -> None:
    assert not any(b.any() for b in rg.Network([5, 8, 3], bias_init="zeros").biases)


def test_a_layers_own_rule_comes_first() -> None:
    net = rg.Network([5, rg.Dense(8, bias_init="zeros"), 3], bias_init="uniform")
    assert not net.biases[0].any() and net.biases[1].all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_of_biases(dtype: str) -> None:
    b = [np.arange(4.0), np.array([0.1, -0.2])]
    for layers, option in (
        ([3, 4, 2], b),
        ([3, 4, 2], tuple(b)),
        ([3, 4, 2], [list(b[0]), b[1].astype(np.float32).astype(np.float64)]),
        ([3, rg.Dense(4, bias_init=b[0]), rg.Dense(2, bias_init=b[1])], None),
        ([3, rg.Dense(4, bias_init=b[0]), 2], [np.ones(4), b[1]]),
    ):
        net = rg.Network(layers, bias_init=option, dtype=dtype)  # type: ignore[arg-type]
        assert np.allclose(net.biases[0], b[0], atol=0) and np.allclose(net.biases[1], b[1], rtol=1e-6)
    net = rg.Network([3, 4, 2], bias_init=[None, b[1]], dtype=dtype)
    assert same_bits(net.biases[0], rg.Network([3, 4, 2], dtype=dtype).biases[0])


def test_a_dense_with_an_array_can_be_compared_and_hashed() -> None:
    one, same, other = (rg.Dense(2, bias_init=b) for b in (np.array([1, 2]), [1.0, 2.0], [1.0, 3.0]))
    assert one == same and one != other and hash(one) == hash(same)


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ("zero", ValueError, "bias_init: expected one of zeros, uniform, prior, got 'zero'"),
        (0.5, TypeError, "bias_init: expected one of zeros, uniform, prior or a sequence of arrays, got 0.5"),
        ([[0, 0, 0, 0]], ValueError, "bias_init: expected 2 arrays, one for each layer, got 1"),
        ([[0, 0, 0], [0, 0]], ValueError, r"bias_init\[0\]: expected shape \(4,\), got \(3,\)"),
        ([None, [0, math.nan]], ValueError, r"bias_init\[1\]: expected finite numbers, got nan"),
        ([None, ["a", "b"]], TypeError, r"bias_init\[1\]: expected one of zeros, uniform, prior or an array of 2 numbers"),
        (["prior", None], ValueError, 'bias_init: "prior" is for the last layer alone, got it in layer 0'),
    ],
)
def test_refused_biases(option: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rg.Network([3, 4, 2], bias_init=option)


def test_refused_biases_of_a_layer() -> None:
    with pytest.raises(ValueError, match=r"bias_init: expected shape \(4,\), got \(3,\)"):
        rg.Dense(4, bias_init=[0, 0, 0])
    with pytest.raises(ValueError, match="bias_init: expected one of zeros, uniform, prior, got 'ones'"):
        rg.Dense(4, bias_init="ones")
    with pytest.raises(ValueError, match='bias_init: "prior" is for the last layer alone, got it in layer 0'):
        rg.Network([3, rg.Dense(4, bias_init="prior"), 2])
    with pytest.raises(ValueError, match="bias_init of layer 1: expected finite numbers that fit float32, got 1e"):
        rg.Network([3, 4, rg.Dense(2, bias_init=[1e300, 0])])
    pair = ([np.zeros((3, 2))], [np.zeros(2)])
    for layers, option in (([3, 2], "zeros"), ([3, rg.Dense(2, bias_init="zeros")], None)):
        with pytest.raises(ValueError, match="bias_init: expected None where init is a pair, which has the biases"):
            rg.Network(layers, init=pair, bias_init=option)  # type: ignore[arg-type]


# ---------------------------------------------------------------- weights


def test_torch_is_the_start_of_a_linear_layer_there() -> None:
    # torch.nn.Linear: kaiming_uniform_(weight, a=sqrt(5)), which is uniform in +-1/sqrt(fan_in), and so are its biases
    net = rg.Network([16, 300, 100], init="torch", activation="tanh")
    for w, b, fan_in in zip(net.weights, net.biases, (16, 300), strict=True):
        spread(w, fan_in**-0.5)
        spread(b, fan_in**-0.5)
    assert not any(b.any() for b in rg.Network([16, 300, 100], init="torch", bias_init="zeros").biases)
    layer = rg.Network([16, rg.Dense(300, init="torch"), 100], bias_init="zeros")
    assert same_bits(layer.weights[0], net.weights[0]) and not layer.biases[0].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("fan_in", "fan_out"), [(1, 1), (1, 7), (7, 1), (16, 16), (20, 33), (33, 20), (64, 100), (130, 130)])
def test_orthogonal(fan_in: int, fan_out: int, dtype: str) -> None:
    w = rg.Network([fan_in, fan_out], init=rg.Initializer("orthogonal", 3.0), dtype=dtype).weights[0].astype(np.float64)
    product = w.T @ w if fan_in >= fan_out else w @ w.T
    assert np.abs(product - 9 * np.eye(len(product))).max() < (1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize(
    ("activation", "gain"), [("relu", 2**0.5), ("gelu", 2**0.5), ("tanh", 2**0.5), ("identity", 1.0), ("selu", 1.0)]
)
def test_gain_of_an_orthogonal_start(activation: str, gain: float) -> None:
    w = rg.Network([40, 30, 20], activation=activation, init="orthogonal", dtype="float64").weights
    assert np.abs(w[0].T @ w[0] - gain**2 * np.eye(30)).max() < 1e-13
    assert np.abs(w[1].T @ w[1] - np.eye(20)).max() < 1e-13  # identity


def test_orthogonal_starts_are_spread_over_all_of_them() -> None:
    # of a uniform orthogonal matrix every entry has the variance 1/n, and determinants of both signs occur
    found = [rg.Network([5, 5], init="orthogonal", seed=seed, dtype="float64").weights[0] for seed in range(300)]
    assert np.mean(np.square(found), axis=0) == pytest.approx(np.full((5, 5), 0.2), abs=0.06)
    assert 100 < sum(np.linalg.det(w) > 0 for w in found) < 200


START = """
import hashlib
import retrograd as rg
net = rg.Network([300, 200, 250, 10], init="orthogonal", bias_init="uniform", dtype="float64")
print(hashlib.sha256(b"".join(a.tobytes() for a in (*net.weights, *net.biases))).hexdigest())
"""
# Basic operations in double, each rounded by itself: the same on every CPU.
START_BITS = "ddded87a3cb33234681e0ea73433585e759a59840d91a05f4934d34416e9f12d"


@pytest.mark.parametrize("isa", ["baseline", None])
@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_a_start_has_the_same_bits_everywhere(threads: str, isa: str | None) -> None:
    ran = python(START, OMP_NUM_THREADS=threads, **({} if isa is None else {"RETROGRAD_ISA": isa}))
    assert ran.stdout.strip() == START_BITS, ran.stderr


# ---------------------------------------------------------------- the default


@pytest.mark.parametrize(
    ("activation", "init"),
    [("relu", "he"), ("tanh", "he"), ("sigmoid", "he"), ("gelu", "he"), ("selu", "lecun"), ("identity", "lecun")],
)
def test_default(activation: str, init: str) -> None:
    net = rg.Network([9, 40, 30, 20], activation=activation)
    named = rg.Network([9, 40, 30, rg.Dense(20, init="torch")], activation=activation, init=init, bias_init="uniform")
    assert same_bits(parameters(net), parameters(named))


def test_zero_weights_have_zero_biases() -> None:
    assert not any(p.any() for p in parameters(rg.Network([5, 4, 3], init="zeros")))
    net = rg.Network([5, rg.Dense(4, init="zeros"), 3], bias_init="uniform")
    assert net.biases[0].all()


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_few_inputs_are_no_obstacle(activation: str) -> None:
    """With biases that begin at zero this ends at 0.47 for tanh, of a variance of 0.51."""
    x = np.linspace(-1, 1, 400).reshape(-1, 1)
    y = np.sin((3 if activation == "sigmoid" else 8) * x)
    losses = []
    for seed in range(3):
        net = rg.Network([1, 32, 32, 1], activation=activation, seed=seed)
        losses.append(rg.Trainer(net, rg.Adam(3e-3)).fit(x, y, epochs=300).loss[-1])
    assert np.median(losses) < (1e-3 if activation == "tanh" else 1e-2)
