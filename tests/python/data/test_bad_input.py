"""What must be refused, and how: a ValueError or TypeError that names the argument, what was expected and what was given.

Every test also checks that the network has not changed. How `fit` refuses during training: test_trainer.py.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import LOSSES, inputs, network, parameters, same_bits, targets
from hypothesis import assume, given
from hypothesis import strategies as st

ROWS, FEATURES, OUTPUTS = 12, 5, 3


@pytest.fixture(params=LOSSES)
def net(request: pytest.FixtureRequest) -> Iterator[rg.Network]:
    """A network after a forward pass, whose weights must be the same after the test."""
    made = network([FEATURES, 8, OUTPUTS], request.param)
    made.forward(inputs(ROWS, FEATURES))
    before = parameters(made), made.predict(inputs(4, FEATURES)), made.z
    yield made
    assert same_bits((parameters(made), made.predict(inputs(4, FEATURES)), made.z), before)


def good_y(net: rg.Network) -> np.ndarray:
    """Answers that the network's loss takes."""
    return targets(net.loss_name, ROWS, OUTPUTS)


def takes_x(net: rg.Network) -> dict[str, Callable[[Any], Any]]:
    """Everything that is given rows."""
    y = good_y(net)
    calls: dict[str, Callable[[Any], Any]] = {
        "predict": net.predict,
        "forward": lambda X: network([FEATURES, 8, OUTPUTS], net.loss_name).forward(X),
        "loss": lambda X: net.loss(X, y),
        "step": lambda X: rg.Trainer(net, rg.SGD(0.1)).step(X, y),
        "fit": lambda X: rg.Trainer(net, rg.SGD(0.1)).fit(X, y, epochs=1),
        "validation": lambda X: rg.Trainer(net, rg.SGD(0.1)).fit(inputs(ROWS, FEATURES), y, epochs=1, validation_data=(X, y)),
        "gradcheck": lambda X: rg.gradcheck(net, X, y),
    }
    if net.loss_name.endswith("cross_entropy"):
        calls["predict_proba"] = net.predict_proba
    return calls


def takes_y(net: rg.Network) -> dict[str, Callable[[Any], Any]]:
    """Everything that is given answers."""
    X = inputs(ROWS, FEATURES)
    return {
        "loss": lambda y: net.loss(X, y),
        "backward": net.backward,
        "step": lambda y: rg.Trainer(net, rg.SGD(0.1)).step(X, y),
        "fit": lambda y: rg.Trainer(net, rg.SGD(0.1)).fit(X, y, epochs=1),
        "validation": lambda y: rg.Trainer(net, rg.SGD(0.1)).fit(X, good_y(net), epochs=1, validation_data=(X, y)),
        "gradcheck": lambda y: rg.gradcheck(net, X, y),
    }


def refused(calls: dict[str, Callable[[Any], Any]], value: Any, error: type[Exception], message: str) -> None:
    """Each of the calls refuses the value with that error."""
    for name, call in calls.items():
        with pytest.raises(error, match=message):
            call(value)
            pytest.fail(f"{name} took it")


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    "shape",
    [
        (),
        (FEATURES,),
        (ROWS,),
        (ROWS, FEATURES - 1),
        (ROWS, FEATURES + 1),
        (FEATURES, ROWS),
        (ROWS, 0),
        (0, FEATURES - 1),
        (ROWS, FEATURES, 1),
    ],
)
def test_wrong_shape_of_x(net: rg.Network, shape: tuple[int, ...]) -> None:
    message = rf"X: expected shape \(rows, {FEATURES}\), got \({', ?'.join(map(str, shape))},?\)"
    refused(takes_x(net), np.zeros(shape), ValueError, message)


def test_a_single_row_gets_a_hint(net: rg.Network) -> None:
    refused(takes_x(net), np.zeros(FEATURES), ValueError, r"one row is X.reshape\(1, -1\)")


@given(shape=st.lists(st.integers(0, 14), max_size=4).map(tuple), loss=st.sampled_from(LOSSES))
def test_any_wrong_shape_of_x(shape: tuple[int, ...], loss: str) -> None:
    assume(len(shape) != 2 or shape[1] != FEATURES)
    refused(
        takes_x(network([FEATURES, 8, OUTPUTS], loss)), np.zeros(shape), ValueError, r"X: expected shape \(rows, 5\), got \("
    )


@given(shape=st.lists(st.integers(0, 14), max_size=4).map(tuple), loss=st.sampled_from(LOSSES))
def test_any_wrong_shape_of_y(shape: tuple[int, ...], loss: str) -> None:
    assume(shape != (ROWS, OUTPUTS))
    assume(loss != "cross_entropy" or shape not in ((ROWS,), (ROWS, 1)))
    net = network([FEATURES, 8, OUTPUTS], loss)
    net.forward(inputs(ROWS, FEATURES))
    refused(takes_y(net), np.zeros(shape), ValueError, r"y: expected .*shape \(.*, got \(")


@given(shape=st.lists(st.integers(0, 14), max_size=4).map(tuple))
def test_any_wrong_shape_of_dz(shape: tuple[int, ...]) -> None:
    assume(shape != (ROWS, OUTPUTS))
    net = network([FEATURES, 8, OUTPUTS])
    net.forward(inputs(ROWS, FEATURES))
    with pytest.raises(ValueError, match=rf"dz: expected shape \({ROWS}, {OUTPUTS}\), got \("):
        net.backward(dz=np.zeros(shape))


def test_as_many_answers_as_rows(net: rg.Network) -> None:
    y = good_y(net)
    for wrong in (y[:-1], np.concatenate([y, y[:1]]), y[:0]):
        refused(takes_y(net), wrong, ValueError, rf"y: expected as many rows as X, shape \({ROWS},.*got \({len(wrong)},")


def test_no_rows(net: rg.Network) -> None:
    nothing = np.zeros((0, FEATURES))
    calls = takes_x(net)
    for name in ("predict", "predict_proba"):
        calls.pop(name, None)  # nothing is said of no rows
    refused(calls, nothing, ValueError, r"X: expected at least one row, got shape \(0, 5\)")


# ---------------------------------------------------------------- types

NO_NUMBERS = {
    "object": np.full((ROWS, FEATURES), None),
    "objects that are numbers": np.ones((ROWS, FEATURES), object),
    "str": np.full((ROWS, FEATURES), "1.0"),
    "bytes": np.full((ROWS, FEATURES), b"1.0"),
    "complex": np.ones((ROWS, FEATURES), complex),
    "datetime": np.zeros((ROWS, FEATURES), "datetime64[s]"),
    "structured": np.zeros((ROWS, FEATURES), [("a", float)]),
    "None": None,
    "a string": "abc",
    "a dict": {"a": 1},
    "a set": {1, 2},
    "huge integers": [[2**70] * FEATURES] * ROWS,
    "a network": rg.Network([2, 1]),
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_no_numbers(net: rg.Network, name: str) -> None:
    value = NO_NUMBERS[name]
    refused(takes_x(net), value, TypeError, "X: expected an array of real numbers, got ")
    for call in (lambda: net.backward(dz=value), lambda: net.set_weights([value, value])):
        if value is not None:
            with pytest.raises(TypeError, match=r"(dz|weights\[0\]): expected an array of real numbers, got "):
                call()
    calls = takes_y(net)
    if value is None:
        del calls["backward"], calls["gradcheck"]  # y may be left out of backward: test_either_y_or_dz
    refused(calls, value, TypeError, "y: expected an array of real numbers, got ")


def test_ragged_rows(net: rg.Network) -> None:
    ragged = [[1.0, 2.0], [3.0]]
    refused(takes_x(net), ragged, ValueError, "X: expected")
    refused(takes_y(net), ragged, ValueError, "y: expected")


def test_either_y_or_dz(net: rg.Network) -> None:
    with pytest.raises(TypeError, match="expected either y or dz, got neither"):
        net.backward()
    with pytest.raises(TypeError, match="expected either y or dz, got both"):
        net.backward(good_y(net), dz=np.zeros((ROWS, OUTPUTS)))


# ---------------------------------------------------------------- values

BAD_VALUES = [np.nan, np.inf, -np.inf]
PLACES = [(0, 0), (0, FEATURES - 1), (7, 2), (ROWS - 1, 0), (ROWS - 1, FEATURES - 1)]


@pytest.mark.parametrize("bad", BAD_VALUES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("layout", ["C", "F", "apart", "float16", ">f8", "list"])
def test_not_finite_in_x(net: rg.Network, place: tuple[int, int], bad: float, layout: str) -> None:
    X = inputs(ROWS, FEATURES)
    X[place] = bad
    given_x: Any = {
        "C": X,
        "F": np.asfortranarray(X),
        "apart": np.repeat(X, 2, axis=0)[::2],
        "float16": X.astype(np.float16),
        ">f8": X.astype(">f8"),
        "list": X.tolist(),
    }[layout]
    refused(takes_x(net), given_x, ValueError, rf"X: expected finite numbers, got {bad} at row {place[0]}, column {place[1]}$")


@given(
    rows=st.integers(1, 300),
    cols=st.integers(1, 70),
    dtype=st.sampled_from(["float32", "float64"]),
    source=st.sampled_from(["float32", "float64"]),
    bad=st.sampled_from(BAD_VALUES),
    data=st.data(),
)
def test_the_first_place_is_named_wherever_it_is(
    rows: int, cols: int, dtype: str, source: str, bad: float, data: st.DataObject
) -> None:
    X = np.ones((rows, cols), source)
    places = sorted(data.draw(st.lists(st.tuples(st.integers(0, rows - 1), st.integers(0, cols - 1)), min_size=1, max_size=4)))
    for place in places:
        X[place] = bad
    with pytest.raises(ValueError, match=rf"got {bad} at row {places[0][0]}, column {places[0][1]}$"):
        network([cols, 2], dtype=dtype).predict(X)


def test_a_large_array_is_searched_to_its_end() -> None:
    X = np.ones((200_000, 64), np.float32)
    net = rg.Network([64, 2])
    for place in ((199_999, 63), (100_000, 0), (0, 0)):
        X[place] = np.nan
        with pytest.raises(ValueError, match=rf"got nan at row {place[0]}, column {place[1]}$"):
            net.predict(X)


def test_masked_values() -> None:
    X, y = np.ma.array(inputs(ROWS, FEATURES)), np.ma.array(targets("mse", ROWS, OUTPUTS))
    net = network([FEATURES, 8, OUTPUTS])
    assert same_bits(net.predict(X), net.predict(X.data))  # nothing is masked so far
    X[1, 2] = y[3, 1] = np.ma.masked
    message = "expected an array without masked values, got 1 of them"
    refused(takes_x(net), X, ValueError, f"X: {message}")
    net.forward(inputs(ROWS, FEATURES))
    refused(takes_y(net), y, ValueError, f"y: {message}")


def test_numbers_too_large_for_float32() -> None:
    X = inputs(ROWS, FEATURES)
    X[3, 1] = 1e300
    net = network([FEATURES, 8, OUTPUTS])
    message = r"expected finite numbers that fit float32, got 1e\+300 at row 3, column 1$"
    in_float32 = {name: call for name, call in takes_x(net).items() if name != "gradcheck"}
    refused(in_float32, X, ValueError, f"X: {message}")
    refused(in_float32, X.astype(X.dtype.newbyteorder()), ValueError, f"X: {message}")  # converted before it is looked at
    wide = network([FEATURES, 8, OUTPUTS], dtype="float64")
    assert np.isfinite(wide.predict(X)).all()
    y = targets("mse", ROWS, OUTPUTS)
    y[3, 1] = 1e300
    net.forward(inputs(ROWS, FEATURES))
    in_float32 = {name: call for name, call in takes_y(net).items() if name != "gradcheck"}
    refused(in_float32 | {"dz": lambda v: net.backward(dz=v)}, y, ValueError, message)
    w = [np.array(v, np.float64) for v in net.weights]
    w[1][3, 1] = -1e300
    with pytest.raises(
        ValueError, match=r"weights\[1\]: expected finite numbers that fit float32, got -1e\+300 at row 3, column 1$"
    ):
        net.set_weights(w)


@pytest.mark.parametrize("bad", BAD_VALUES)
@pytest.mark.parametrize("place", [(0, 0), (7, 2), (ROWS - 1, OUTPUTS - 1)])
def test_not_finite_in_y_and_dz(net: rg.Network, place: tuple[int, int], bad: float) -> None:
    y = np.full((ROWS, OUTPUTS), 1 / OUTPUTS)
    y[place] = bad
    where = rf"expected finite numbers, got {bad} at row {place[0]}, column {place[1]}$"
    refused(takes_y(net), y, ValueError, f"y: {where}")
    with pytest.raises(ValueError, match=f"dz: {where}"):
        net.backward(dz=y)


def test_a_vector_names_the_row_alone() -> None:
    y = np.zeros(ROWS)
    y[4] = np.nan
    for loss in ("mse", "quadratic", "binary_cross_entropy"):
        net = network([FEATURES, 8, 1], loss)
        net.forward(inputs(ROWS, FEATURES))
        calls = takes_y(net)
        del calls["validation"]  # for other answers
        refused(calls, y, ValueError, r"y: expected finite numbers, got nan at row 4$")


@pytest.mark.parametrize("bad", BAD_VALUES)
def test_not_finite_in_weights(net: rg.Network, bad: float) -> None:
    for i in range(2):
        w = [np.array(v) for v in net.weights]
        w[i][2, 1] = bad
        message = rf"weights\[{i}\]: expected finite numbers, got {bad} at row 2, column 1$"
        with pytest.raises(ValueError, match=message):
            net.set_weights(w)
        with pytest.raises(ValueError, match=message):
            rg.Network([FEATURES, 8, OUTPUTS], init=(w, net.biases))
        b = [np.array(v) for v in net.biases]
        b[i][2] = bad
        with pytest.raises(ValueError, match=rf"biases\[{i}\]: expected finite numbers, got {bad} at row 2$"):
            net.set_weights(net.weights, b)


@pytest.mark.parametrize("row", [0, 5, ROWS - 1])
@pytest.mark.parametrize(
    "bad", [-1, OUTPUTS, 2**31 - 1, 2**31, 2**32, 2**63 - 1, -(2**31) - 1, 2.0**40, -1.0, 0.5, 1e300, np.nan, np.inf, -np.inf]
)
def test_wrong_labels(row: int, bad: float) -> None:
    net = network([FEATURES, 8, OUTPUTS], "cross_entropy")
    net.forward(inputs(ROWS, FEATURES))
    before = parameters(net)
    y: Any = targets("cross_entropy", ROWS, OUTPUTS).tolist()
    y[row] = bad
    shown = str(np.asarray(y)[row]).replace("+", r"\+")
    for labels in (y, np.array(y), np.array(y)[:, None]):
        message = rf"y: expected (integer )?labels 0 to {OUTPUTS - 1}, got {shown} at row {row}(;|$)"
        refused(takes_y(net), labels, ValueError, message)
    assert same_bits(parameters(net), before)


@pytest.mark.parametrize(("dtype", "bad"), [(np.uint64, 2**64 - 1), (np.uint32, 2**32 - 1), (np.int8, -128), (np.uint8, 255)])
def test_wrong_labels_of_any_integer_type(dtype: type, bad: int) -> None:
    net = network([FEATURES, 8, OUTPUTS], "cross_entropy")
    y = np.zeros(ROWS, dtype)
    y[5] = bad
    with pytest.raises(ValueError, match=rf"expected labels 0 to 2, got {bad} at row 5(;|$)"):
        net.loss(inputs(ROWS, FEATURES), y)


def test_rows_that_are_no_probabilities() -> None:
    net = network([FEATURES, 8, OUTPUTS], "cross_entropy")
    net.forward(inputs(ROWS, FEATURES))
    y = np.full((ROWS, OUTPUTS), 1 / 3)
    y[7] = [0.5, 0.5, 0.5]
    refused(
        takes_y(net), y, ValueError, "y: expected rows of probabilities that sum to 1, got a row that sums to 1.5 at row 7$"
    )
    y[7] = [1.5, -0.5, 0.0]
    refused(takes_y(net), y, ValueError, "y: expected rows of probabilities that sum to 1, got a negative number at row 7$")


@pytest.mark.parametrize("bad", [-0.1, 1.5, -1, 2])
def test_numbers_outside_of_0_to_1(bad: float) -> None:
    net = network([FEATURES, 8, OUTPUTS], "binary_cross_entropy")
    net.forward(inputs(ROWS, FEATURES))
    y = np.full((ROWS, OUTPUTS), 0.5)
    y[7, 2] = bad
    refused(takes_y(net), y, ValueError, rf"y: expected numbers from 0 to 1, got {float(bad)}\d* at row 7, column 2$")
    one = network([FEATURES, 1], "binary_cross_entropy")
    with pytest.raises(ValueError, match=rf"y: expected numbers from 0 to 1, got {float(bad)}\d* at row 7$"):
        one.loss(inputs(ROWS, FEATURES), y[:, 2])


@pytest.mark.parametrize(
    ("loss", "outputs", "good", "bad", "expected"),
    [
        ("poisson", 3, 2.0, -1.0, "numbers from 0"),
        ("hinge", 1, -1.0, 0.5, "-1 or 1, or 0 or 1"),
        ("hinge", 1, 1.0, 2.0, "-1 or 1, or 0 or 1"),
    ],
)
def test_numbers_that_a_loss_does_not_take(loss: str, outputs: int, good: float, bad: float, expected: str) -> None:
    net = network([FEATURES, 8, outputs], loss)
    net.forward(inputs(ROWS, FEATURES))
    y = np.full((ROWS, outputs), good)
    net.backward(y)
    y[7, -1] = bad
    refused(
        {name: call for name, call in takes_y(net).items() if name != "validation"},
        y,
        ValueError,
        rf"y: expected {expected}, got {bad} at row 7, column {outputs - 1}$",
    )


def test_hinge_with_several_outputs_takes_labels_alone() -> None:
    net = network([FEATURES, 8, OUTPUTS], "hinge")
    net.forward(inputs(ROWS, FEATURES))
    refused(
        takes_y(net), np.eye(OUTPUTS)[good_y(net)], ValueError, rf"y: expected shape \({ROWS},\) of labels, .* got \(12, 3\)"
    )


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize(
    ("weights", "biases", "message"),
    [
        ([np.zeros((5, 8))], None, "weights: expected 2 arrays, one for each layer, got 1"),
        ([np.zeros((5, 8)), np.zeros((8, 3)), np.zeros((3, 3))], None, "weights: expected 2 arrays, one for each layer, got 3"),
        ([np.zeros((8, 5)), np.zeros((8, 3))], None, r"weights\[0\]: expected shape \(5, 8\), got \(8, 5\)"),
        ([np.zeros((5, 8)), np.zeros(24)], None, r"weights\[1\]: expected shape \(8, 3\), got \(24,\)"),
        ([np.zeros((5, 8)), np.zeros((8, 3))], [np.zeros(8)], "biases: expected 2 arrays, one for each layer, got 1"),
        (
            [np.zeros((5, 8)), np.zeros((8, 3))],
            [np.zeros(8), np.zeros((3, 1))],
            r"biases\[1\]: expected shape \(3,\), got \(3, 1\)",
        ),
        ([np.zeros((5, 8)), np.zeros((8, 3))], [np.zeros(8), 0.0], r"biases\[1\]: expected shape \(3,\), got \(\)"),
    ],
)
def test_weights_that_do_not_fit(net: rg.Network, weights: Any, biases: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        net.set_weights(weights, biases)
    if biases is not None:
        with pytest.raises(ValueError, match=message):
            rg.Network([FEATURES, 8, OUTPUTS], init=(weights, biases))


@pytest.mark.parametrize("value", [None, 5, 1.5])
def test_weights_that_are_no_sequence(net: rg.Network, value: Any) -> None:
    with pytest.raises(TypeError, match="weights: expected"):
        net.set_weights(value)
    if value is not None:
        with pytest.raises(TypeError, match="biases: expected"):
            net.set_weights(net.weights, value)


def test_copy_from_what_does_not_fit(net: rg.Network) -> None:
    with pytest.raises(
        ValueError, match=r"copy_from: expected sizes \(5, 8, 3\) and dtype float32, got \(5, 9, 3\) and float32"
    ):
        net.copy_from(network([5, 9, 3]))
    with pytest.raises(ValueError, match=r"got \(5, 8, 3\) and float64"):
        net.copy_from(network([5, 8, 3], dtype="float64"))
    with pytest.raises(TypeError, match="copy_from: expected a Network, got ndarray"):
        net.copy_from(net.weights[0])  # type: ignore[arg-type]


# ---------------------------------------------------------------- names and settings

WRONG_NETWORKS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "activation": (
        lambda: rg.Network([3, 2], activation="snake"),
        ValueError,
        "activation: expected one of .*relu.*, got 'snake'",
    ),
    "activation empty": (lambda: rg.Network([3, 2], activation=""), ValueError, "activation: expected one of .*, got ''"),
    "activation type": (lambda: rg.Network([3, 2], activation=np.tanh), TypeError, "activation: expected a name, got <ufunc"),
    "output": (
        lambda: rg.Network([3, 2], output_activation="no"),
        ValueError,
        "output_activation: expected one of .*, got 'no'",
    ),
    "output type": (
        lambda: rg.Network([3, 2], output_activation=None),
        TypeError,
        "output_activation: expected a name, got None",
    ),
    "loss": (lambda: rg.Network([3, 2], loss="l2"), ValueError, "loss: expected one of .*mse.*, got 'l2'"),
    "loss type": (lambda: rg.Network([3, 2], loss=1), TypeError, "loss: expected a name or an object .*, got 1"),
    "loss class": (
        lambda: rg.Network([3, 2], loss=rg.losses.Huber),
        TypeError,
        r"loss: expected a name or an object, got a class; write loss=rg.losses.Huber\(\)",
    ),
    "delta": (lambda: rg.losses.Huber(0.0), ValueError, "delta: expected a finite number above 0, got 0"),
    "delta nan": (lambda: rg.losses.Huber(float("nan")), ValueError, "delta: expected a finite number .*, got nan"),
    "delta type": (lambda: rg.losses.Huber("1"), TypeError, "delta: expected a number, got '1'"),
    "q": (lambda: rg.losses.Quantile(1.0), ValueError, "q: expected a finite number above 0 and below 1, got 1.0"),
    "q zero": (lambda: rg.losses.Quantile(0), ValueError, "q: expected a finite number above 0 and below 1, got 0"),
    "gamma": (lambda: rg.losses.Focal(-0.5), ValueError, "gamma: expected a finite number from 0, got -0.5"),
    "smoothing": (lambda: rg.losses.CrossEntropy(1.0), ValueError, "label_smoothing: expected .* to below 1, got 1.0"),
    "hinge relu": (
        lambda: rg.Network([3, 2], output_activation="relu", loss="hinge"),
        ValueError,
        "output_activation: hinge .* expected identity, tanh or softsign, got 'relu'",
    ),
    "poisson relu": (
        lambda: rg.Network([3, 2], output_activation="relu", loss="poisson"),
        ValueError,
        "expected identity or exponential, got 'relu'",
    ),
    "focal one": (lambda: rg.Network([3, 1], loss="focal"), ValueError, "focal: expected at least 2 outputs, got 1"),
    "init": (lambda: rg.Network([3, 2], init="torched"), ValueError, "init: expected one of .*glorot.*, got 'torched'"),
    "init type": (lambda: rg.Network([3, 2], init=0.1), TypeError, "init: expected a name, got 0.1"),
    "init three": (
        lambda: rg.Network([3, 2], init=([], [], [])),
        ValueError,
        r"init: expected a pair \(weights, biases\), got 3",
    ),
    "init list": (lambda: rg.Network([3, 2], init=[np.zeros((3, 2)), np.zeros(2)]), TypeError, "init: expected"),
    "dtype": (lambda: rg.Network([3, 2], dtype="int32"), ValueError, "dtype: expected float32 or float64, got 'int32'"),
    "dtype half": (lambda: rg.Network([3, 2], dtype=np.float16), ValueError, "dtype: expected float32 or float64, got "),
    "dtype swapped": (lambda: rg.Network([3, 2], dtype=">f4"), ValueError, "dtype: expected float32 or float64, got '>f4'"),
    "dtype None": (lambda: rg.Network([3, 2], dtype=None), ValueError, "dtype: expected float32 or float64, got None"),
    "dtype name": (lambda: rg.Network([3, 2], dtype="single precision"), TypeError, "dtype: expected float32 or float64, got "),
    "seed": (lambda: rg.Network([3, 2], seed=-1), ValueError, "seed: expected at least 0, got -1"),
    "seed large": (
        lambda: rg.Network([3, 2], seed=2**64),
        ValueError,
        r"seed: expected less than 2\*\*64, got 18446744073709551616",
    ),
    "seed type": (lambda: rg.Network([3, 2], seed=1.0), TypeError, "seed: expected an integer, got 1.0"),
    "seed bool": (lambda: rg.Network([3, 2], seed=True), TypeError, "seed: expected an integer, got True"),
    "layers": (lambda: rg.Network(5), TypeError, "layers: expected a sequence .*, got 5"),
    "layers str": (lambda: rg.Network("784"), TypeError, "layers: expected a sequence .*, got '784'"),
    "layers none": (lambda: rg.Network([]), ValueError, r"layers: expected .*, got \[\]"),
    "layers one": (lambda: rg.Network([3]), ValueError, r"layers: expected .*, got \[3\]"),
    "layers Dense first": (
        lambda: rg.Network([rg.Dense(3), 2]),
        TypeError,
        "layers: expected the number of inputs first, got a Dense",
    ),
    "layers zero": (lambda: rg.Network([3, 0, 2]), ValueError, "layers: expected at least 1, got 0"),
    "layers no input": (lambda: rg.Network([0, 2]), ValueError, "layers: expected at least 1, got 0"),
    "layers negative": (lambda: rg.Network([3, -4, 2]), ValueError, "layers: expected at least 1, got -4"),
    "layers float": (lambda: rg.Network([3, 4.0, 2]), TypeError, "layers: expected an integer, got 4.0"),
    "layers bool": (lambda: rg.Network([3, True]), TypeError, "layers: expected an integer, got True"),
    "layers tuple": (lambda: rg.Network([3, (4, "relu"), 2]), TypeError, r"layers: expected an integer, got \(4, 'relu'\)"),
    "units": (lambda: rg.Dense(0), ValueError, "units: expected at least 1, got 0"),
    "units type": (lambda: rg.Dense("5"), TypeError, "units: expected an integer, got '5'"),
    "Dense activation": (lambda: rg.Dense(5, "snake"), ValueError, "activation: expected one of .*, got 'snake'"),
    "Dense activation type": (lambda: rg.Dense(5, 3), TypeError, "activation: expected a name, got 3"),
    "Dense init": (lambda: rg.Dense(5, init="torched"), ValueError, "init: expected one of .*, got 'torched'"),
    "softmax hidden": (lambda: rg.Network([3, rg.Dense(4, "softmax"), 2]), ValueError, "softmax is for the last layer"),
    "softmax all": (lambda: rg.Network([3, 4, 2], activation="softmax"), ValueError, "softmax is for the last layer"),
    "softmax relu": (
        lambda: rg.Network([3, 2], output_activation="relu", loss="cross_entropy"),
        ValueError,
        "expected identity or softmax, got 'relu'",
    ),
    "sigmoid tanh": (
        lambda: rg.Network([3, 2], output_activation="tanh", loss="binary_cross_entropy"),
        ValueError,
        "expected identity or sigmoid, got 'tanh'",
    ),
    "one class": (
        lambda: rg.Network([3, 1], loss="cross_entropy"),
        ValueError,
        "cross_entropy: expected at least 2 outputs, got 1",
    ),
    "no argument": (lambda: rg.Network([3, 2], "relu"), TypeError, "by name"),
    "Initializer": (lambda: rg.Initializer("torched"), ValueError, "init: expected one of .*, got 'torched'"),
    "Initializer type": (lambda: rg.Initializer(3), TypeError, "init: expected a name, got 3"),
    "normal": (lambda: rg.normal(-1.0), ValueError, "scale: expected a finite number .*, got -1.0"),
    "normal inf": (lambda: rg.normal(float("inf")), ValueError, "scale: expected a finite number .*, got inf"),
    "normal type": (lambda: rg.normal("1"), TypeError, "scale: expected a number, got '1'"),
}

WRONG_TRAINING: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "lr": (lambda: rg.SGD(-0.1), ValueError, "lr: expected a finite number from 0, got -0.1"),
    "lr nan": (lambda: rg.SGD(float("nan")), ValueError, "lr: expected a finite number .*, got nan"),
    "lr inf": (lambda: rg.SGD(float("inf")), ValueError, "lr: expected a finite number .*, got inf"),
    "lr type": (lambda: rg.SGD("0.1"), TypeError, "lr: expected a number, got '0.1'"),
    "lr bool": (lambda: rg.SGD(True), TypeError, "lr: expected a number, got True"),
    "lr none": (lambda: rg.SGD(), TypeError, "lr"),
    "momentum": (
        lambda: rg.SGD(0.1, momentum=1.0),
        ValueError,
        "momentum: expected a finite number from 0 to below 1, got 1.0",
    ),
    "momentum negative": (lambda: rg.SGD(0.1, momentum=-0.1), ValueError, "momentum: expected .*, got -0.1"),
    "momentum type": (lambda: rg.SGD(0.1, momentum=None), TypeError, "momentum: expected a number, got None"),
    "nesterov": (lambda: rg.SGD(0.1, nesterov=True), ValueError, "nesterov: expected momentum above 0, got 0"),
    "nesterov type": (lambda: rg.SGD(0.1, 0.9, nesterov=1), TypeError, "nesterov: expected True or False, got 1"),
    "decay": (lambda: rg.SGD(0.1, weight_decay=-1e-4), ValueError, "weight_decay: expected .*, got -0.0001"),
    "decay type": (lambda: rg.SGD(0.1, weight_decay=[1]), TypeError, r"weight_decay: expected a number, got \[1\]"),
    "step": (lambda: rg.SGD(0.1).step(3), TypeError, "expected a Network, got int"),
    "network": (lambda: rg.Trainer(3, rg.SGD(0.1)), TypeError, "network: expected a Network, got int"),
    "optimizer": (
        lambda: rg.Trainer(rg.Network([3, 2]), 0.1),
        TypeError,
        r"optimizer: expected an optimiser such as rg.Adam\(\), got float; write rg.SGD\(lr=0.1\)",
    ),
    "optimizer class": (
        lambda: rg.Trainer(rg.Network([3, 2]), rg.SGD),
        TypeError,
        r"optimizer: expected an optimiser such as rg.Adam\(\), got the class SGD; write rg.SGD\(lr=0.1\)",
    ),
    "batch_size": (lambda: trainer(batch_size=0), ValueError, "batch_size: expected at least 1, got 0"),
    "batch_size type": (lambda: trainer(batch_size=32.0), TypeError, "batch_size: expected an integer, got 32.0"),
    "shuffle": (lambda: trainer(shuffle=1), TypeError, "shuffle: expected True or False, got 1"),
    "n_threads": (lambda: trainer(n_threads=0), ValueError, "n_threads: expected at least 1, got 0"),
    "n_threads type": (lambda: trainer(n_threads="all"), TypeError, "n_threads: expected an integer, got 'all'"),
    "progress": (lambda: trainer(progress="yes"), ValueError, "progress: expected True, False or \"auto\", got 'yes'"),
    "progress number": (lambda: trainer(progress=0), ValueError, 'progress: expected True, False or "auto", got 0'),
    "n_threads of predict": (
        lambda: rg.Network([3, 2]).predict(np.zeros((1, 3)), n_threads=0),
        ValueError,
        "n_threads: .*, got 0",
    ),
    "n_threads of loss": (
        lambda: rg.Network([3, 2]).loss(np.zeros((1, 3)), np.zeros((1, 2)), n_threads=-1),
        ValueError,
        "n_threads: .*, got -1",
    ),
    "n_threads of forward": (
        lambda: rg.Network([3, 2]).forward(np.zeros((1, 3)), n_threads=1.5),
        TypeError,
        "n_threads: .*, got 1.5",
    ),
    "n_threads huge": (
        lambda: rg.Network([3, 2]).predict(np.zeros((1, 3)), n_threads=2**40),
        ValueError,
        "n_threads: expected .*, got 1099511627776",
    ),
    "epsilon": (
        lambda: rg.gradcheck(rg.Network([3, 2]), np.zeros((1, 3)), np.zeros((1, 2)), epsilon=0.0),
        ValueError,
        "epsilon: expected .*, got 0.0",
    ),
    "epochs": (lambda: fit(epochs=-1), ValueError, "epochs: expected at least 0, got -1"),
    "epochs type": (lambda: fit(epochs=2.0), TypeError, "epochs: expected an integer, got 2.0"),
    "tol": (lambda: fit(tol=-1e-3), ValueError, "tol: expected .*, got -0.001"),
    "tol type": (lambda: fit(tol="small"), TypeError, "tol: expected a number, got 'small'"),
    "patience": (lambda: fit(patience=0), ValueError, "patience: expected at least 1, got 0"),
    "validation": (lambda: fit(validation_data=5), TypeError, r"validation_data: expected a pair \(X, y\) or .*, got int"),
    "validation one": (
        lambda: fit(validation_data=(np.zeros((4, 3)),)),
        TypeError,
        r"validation_data: expected a pair \(X, y\) or \(X, y, sample_weight\), got ",
    ),
}


def trainer(**options: Any) -> rg.Trainer:
    """A trainer with one option of interest."""
    return rg.Trainer(rg.Network([3, 2]), rg.SGD(0.1), **options)


def fit(**options: Any) -> rg.History:
    """A small fit with one option of interest."""
    return trainer().fit(np.zeros((4, 3)), np.zeros((4, 2)), **{"epochs": 1} | options)


@pytest.mark.parametrize("name", WRONG_NETWORKS)
def test_wrong_networks(name: str) -> None:
    call, error, message = WRONG_NETWORKS[name]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", WRONG_TRAINING)
def test_wrong_training(name: str) -> None:
    call, error, message = WRONG_TRAINING[name]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("loss", ["mse", "quadratic"])
def test_outputs_that_are_no_probabilities(loss: str) -> None:
    with pytest.raises(
        ValueError, match=f"predict_proba: expected a loss or output_activation that gives probabilities, got '{loss}'"
    ):
        network([3, 2], loss).predict_proba(np.zeros((1, 3)))


def test_sizes_that_overflow() -> None:
    for sizes in ([2**40, 2**40], [3, 2**62], [2**62, 3], [10**18, 2], [2**63, 2], [2**31, 2**31, 1], [1, 2**62, 1]):
        for dtype in ("float32", "float64"):
            with pytest.raises(ValueError, match=r"too large: its size overflows|expected less than 2\*\*63"):
                rg.Network(sizes, dtype=dtype)


def test_shapes_too_large_for_memory() -> None:
    net = rg.Network([3, 2])
    rows = np.broadcast_to(np.float32(0), (2**50, 3))  # no memory of its own, but a copy would take 12 PiB
    with pytest.raises(ValueError, match=r"X: expected shape \(rows, 3\), got \(1125899906842624, 2\)"):
        net.predict(rows[:, :2])
    with pytest.raises(ValueError, match="y: expected as many rows as X"):
        net.loss(np.zeros((4, 3)), rows[: 2**20, :2])
    wide = np.broadcast_to(np.float32(0), (2**50, FEATURES))
    calls = takes_x(network([FEATURES, OUTPUTS]))
    del calls["gradcheck"]  # works on a float64 copy of its own, which is a MemoryError at once
    refused(calls, wide, ValueError, r"X: expected fewer than 2\*\*32 rows, got 1125899906842624")
    labels = np.broadcast_to(np.int64(0), (2**50,))
    with pytest.raises(ValueError, match="y: expected as many rows as X"):
        rg.Network([3, 2], loss="cross_entropy").loss(np.zeros((4, 3)), labels)


def test_the_core_trusts_nobody() -> None:
    """The extension also refuses what the Python layer never passes to it."""
    core = rg.Network([3, 2], loss="cross_entropy")._core
    X = np.zeros((4, 3), np.float32)
    wrong: list[tuple[Callable[[], Any], type[Exception]]] = [
        (lambda: core.predict(X[:, :2], False), ValueError),
        (lambda: core.predict(X[0], False), ValueError),
        (lambda: core.predict(X.astype(np.int64), False), TypeError),
        (lambda: core.predict(X.astype(">f4"), False), TypeError),
        (lambda: core.predict(np.asfortranarray(np.ones((4, 3), np.float32)), False), ValueError),
        (lambda: core.predict(X.tolist(), False), TypeError),
        (lambda: core.evaluate(X, np.array([0, 1, 2, 0], np.int32)), ValueError),
        (lambda: core.evaluate(X, np.array([0, 1, -1, 0], np.int32)), ValueError),
        (lambda: core.evaluate(X, np.zeros(3, np.int32)), ValueError),
        (lambda: core.evaluate(X, np.zeros((4, 3), np.float32)), ValueError),
        (lambda: core.get("w", 1), IndexError),
        (lambda: core.get("w", -1), IndexError),
        (lambda: core.get("gamma", 0), KeyError),
        (lambda: core.get("weights", 0), KeyError),
        (lambda: core.a(3), IndexError),
        (lambda: core.set("w", 0, np.zeros((2, 3), np.float32)), ValueError),
        (lambda: core.set("b", 0, np.zeros((2, 1), np.float32)), ValueError),
        (lambda: core.set("w", 0, np.zeros((3, 2))), TypeError),
        (lambda: core.force_team(-1), ValueError),
        (lambda: core.fill(0, "cauchy", 1.0, 0), ValueError),
        (lambda: type(core)([3, 2], ["swish"], "mse"), ValueError),
        (lambda: type(core)([3, 2], ["relu"], "l2"), ValueError),
        (lambda: core.evaluate(X, np.zeros(4, np.int32), row_weights=np.ones((3, 1), np.float32)), ValueError),
        (lambda: core.evaluate(X, np.zeros(4, np.int32), row_weights=np.ones(4, np.float32)), ValueError),
        (lambda: core.evaluate(X, np.zeros(4, np.int32), row_weights=np.ones((4, 1))), ValueError),
        (lambda: core.evaluate(X, np.zeros(4, np.int32), row_weights=[1.0] * 4), TypeError),
        (lambda: type(core)([3, 2], ["relu", "relu"], "mse"), ValueError),
        (lambda: type(core)([3], [], "mse"), ValueError),
        (lambda: type(core)([3, 0], ["relu"], "mse"), ValueError),
    ]
    for i, (call, error) in enumerate(wrong):
        with pytest.raises(error):
            call()
            pytest.fail(f"number {i} was taken")
