"""The quick forms of calls that stand in users' loops: weights of rows, lists, arrays of other types, weights that are set.

Each does what the long form does, to the last bit, and takes nothing that the long form refuses. The forms of predict and
step for plain arrays: test_quick.py.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import ALL_LOSSES, Array, inputs, network, parameters, same_bits, targets

DTYPES = ["float32", "float64"]
RULES: list[Callable[..., rg.Optimizer]] = [rg.SGD, rg.Adam, rg.AdamW, rg.RMSprop, rg.Adagrad, rg.Lion]


def weights_of(rows: int) -> Array:
    """Weights of rows, float64, one of them 0."""
    found = np.random.default_rng(7).random(rows)
    found[rows // 2] = 0
    return found if rows > 1 else np.array([0.7])


def long_step(trainer: rg.Trainer, X: Any, y: Any, weights: Any = None) -> float:
    """A step by the long form."""
    by_batch = trainer.weights == "batch"
    data = trainer.network._examples(X, y, weights, zeros=not by_batch)
    result = trainer._epoch(data, trainer._options(len(data.rows)))
    divisor = result.weight if by_batch else len(data.rows)
    return result.loss / divisor if divisor else 0.0


def twins(loss: str, outputs: int, dtype: str = "float32", **options: Any) -> tuple[rg.Trainer, rg.Trainer]:
    """Two trainers that begin alike."""
    net = network([5, 9, outputs], loss, activation="tanh", dtype=dtype, seed=3)
    return tuple(rg.Trainer(copy.copy(net), rg.SGD(0.1, momentum=0.9), **options) for _ in range(2))  # type: ignore[return-value]


def quick(trainer: rg.Trainer, X: Any, y: Any, weights: Any = None) -> Any:
    """What the quick form answers; None where it leaves the work to the long form."""
    core = trainer.optimizer._bind(trainer.network)
    if weights is None:
        return trainer._core.step(core, X, y)
    return trainer._core.step_weighted(core, X, y, 0, weights, trainer.weights == "batch")


# ---------------------------------------------------------------- step


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("by", ["rows", "batch"])
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_a_step_with_weights_of_rows(loss: str, by: Any, dtype: str) -> None:
    for outputs in (2, 3) if loss in ("cross_entropy", "focal") else (1, 3):
        for rows in (1, 2, 17):
            X, y, w = inputs(rows, 5).astype(np.float32), targets(loss, rows, outputs), weights_of(rows)
            for given in (w, w.astype(np.float32), w[:, None], np.repeat(w, 2)[::2], w.tolist(), np.ceil(w).astype(int)):
                mine, other = twins(loss, outputs, dtype, weights=by)
                for _ in range(2):
                    assert quick(mine, X, y, given) == long_step(other, X, y, given)
                    assert same_bits(parameters(mine.network), parameters(other.network))


@pytest.mark.parametrize(
    "weights",
    [[1, -1, 1, 1], [1, np.nan, 1, 1], [1, np.inf, 1, 1], [1, 1e39, 1, 1], [1, 1, 1], ["1"] * 4, [[1, 1, 1, 1]]],
    ids=str,
)
def test_wrong_weights_of_rows_are_refused_and_change_nothing(weights: Any) -> None:
    trainer, other = twins("mse", 3)
    X, y = inputs(4, 5), targets("mse", 4, 3)
    assert quick(trainer, X, y, weights) is None
    with pytest.raises((ValueError, TypeError), match="sample_weight: expected"):
        trainer.step(X, y, weights)
    assert same_bits(parameters(trainer.network), parameters(other.network))


def test_weights_that_are_all_0_are_left_to_the_long_form() -> None:
    X, y = inputs(4, 5), targets("mse", 4, 3)
    by_rows, by_batch = twins("mse", 3)[0], twins("mse", 3, weights="batch")[0]
    assert quick(by_rows, X, y, np.zeros(4)) is None and by_rows.step(X, y, np.zeros(4)) == 0
    with pytest.raises(ValueError, match="only zeros"):
        by_batch.step(X, y, np.zeros(4))
    with pytest.raises(ValueError, match="only zeros"):
        by_rows.step(X, y, np.full(4, 1e-60))  # too small for the dtype, which is not 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_a_step_from_lists_and_arrays_of_other_types(loss: str, dtype: str) -> None:
    for outputs in (2, 3) if loss in ("cross_entropy", "focal") else (1, 3):
        for rows in (1, 6):
            X, y = inputs(rows, 5), targets(loss, rows, outputs)
            whole = np.rint(3 * X)
            for rows_given in (
                X,
                X.tolist(),
                tuple(map(tuple, X.tolist())),
                list(X),
                whole.astype(int),
                whole.astype(int).tolist(),
            ):
                answers = [y, y.tolist(), y.astype(np.float32).tolist() if y.dtype.kind == "f" else y.astype(np.int32)]
                if outputs == 1:
                    answers.append(y[:, 0])
                for given in answers:
                    mine, other = twins(loss, outputs, dtype)
                    assert quick(mine, rows_given, given) == long_step(other, rows_given, given)
                    assert same_bits(parameters(mine.network), parameters(other.network))


def test_rows_of_probabilities_take_the_short_way() -> None:
    y = np.random.default_rng(0).random((6, 3))
    y /= y.sum(axis=1, keepdims=True)
    for given in (y, y.astype(np.float32), np.eye(3)[[0, 2, 1, 1, 0, 2]].astype(int)):
        mine, other = twins("cross_entropy", 3)
        assert quick(mine, inputs(6, 5), given) == long_step(other, inputs(6, 5), given)
        assert same_bits(parameters(mine.network), parameters(other.network))


WRONG: dict[str, list[Any]] = {
    "cross_entropy": [
        [[0.5, 0.6, 0.1]] * 2,
        [[1.5, -0.5, 0]] * 2,
        [0, 3],
        [0, -1],
        [0.5, 0],
        [[0.5, 0.4, np.nan]] * 2,
        ["a", "b"],
    ],
    "poisson": [[[1, -1, 0]] * 2, [[1, np.inf, 0]] * 2],
    "hinge": [[[1], [2]], [[-1], [0]], [[0.5], [1]]],
    "binary_cross_entropy": [[[0, 1.5, 0]] * 2, [[0, -0.1, 0]] * 2],
    "mse": [
        [[0, 1e39, 0]] * 2,
        [[0, np.nan, 0]] * 2,
        [[0, 1, 0]] * 3,
        [[0, 1]] * 2,
        [[0, 1, 0], [0]],
        [[0, 1j, 0]] * 2,
        [[0, None, 0]] * 2,
    ],
}


@pytest.mark.parametrize("loss", WRONG)
def test_wrong_targets_are_refused_and_change_nothing(loss: str) -> None:
    for wrong in WRONG[loss]:
        mine, other = twins(loss, 1 if loss == "hinge" else 3)
        assert quick(mine, inputs(2, 5), wrong) is None, wrong
        with pytest.raises((ValueError, TypeError), match=r"y: expected"):
            mine.step(inputs(2, 5), wrong)
        assert same_bits(parameters(mine.network), parameters(other.network))


def test_ctrl_c_while_a_list_is_read_is_not_lost() -> None:
    class Pressed:
        def __float__(self) -> float:
            raise KeyboardInterrupt

        def __array__(self, *_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(twins("mse", 3)[0], [Pressed()], [[0.0, 0, 0]])


# ---------------------------------------------------------------- loss and the stages by hand


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_loss_and_stages_answer_as_the_long_way(loss: str, dtype: str) -> None:
    for outputs in (2, 3) if loss in ("cross_entropy", "focal") else (1, 3):
        for rows in (1, 7, 16, 40):
            X, y, w = inputs(rows, 5), targets(loss, rows, outputs), weights_of(rows)
            answers = []
            for forced in (0, 1):  # a forced team is not for the short way
                net = network([5, 9, outputs], loss, activation="tanh", dtype=dtype, seed=3)
                net._core.force_team(forced)
                assert (net._core.evaluate_quick(X, y, w) is None) == bool(forced)
                assert (net._core.forward_quick(X, False) is None) == bool(forced)
                trainer = rg.Trainer(net, rg.SGD(0.1))
                found = [net.loss(X, y), net.loss(X.tolist(), y.tolist(), sample_weight=w), *trainer.evaluate(X, y).values()]
                arrays = [net.forward(X)]
                for by in ("rows", "batch"):
                    g = net.backward(y, sample_weight=w, weights=by)  # type: ignore[arg-type]
                    found.append(g.loss)
                    arrays += [*g.dw, *g.db, g.dx]
                g = net.backward(dz=np.full((rows, outputs), 0.25))
                arrays += [*g.dw, *g.db, *g.delta, *net.z, *net.a]
                answers.append((found, arrays))
            assert answers[0][0] == answers[1][0]
            assert same_bits(answers[0][1], answers[1][1])


def test_work_that_is_not_small_takes_the_long_way() -> None:
    net = network([100, 100, 3])
    X, y = np.zeros((1000, 100), np.float32), np.zeros((1000, 3), np.float32)
    assert net._core.evaluate_quick(X, y, None) is None and net._core.forward_quick(X, False) is None
    net.forward(X)
    assert net._core.backward_quick(y, None, False) is None and not net._core.backward_dz_quick(y)


def test_outputs_that_are_not_finite_are_left_to_the_long_way() -> None:
    net = rg.Network([2, 1])
    net.set_weights([np.full((2, 1), 3e38)], [np.zeros(1)])
    X, y = np.full((1, 2), 9, np.float32), np.zeros(1, np.float32)
    assert net._core.evaluate_quick(X, y, None) is None
    with pytest.warns(rg.DataWarning, match="outputs for row 0"):
        assert net.loss(X, y) == np.inf


def test_stages_refuse_what_they_did() -> None:
    net = network([5, 9, 3])
    with pytest.raises(RuntimeError, match="call forward"):
        net.backward(np.zeros((2, 3)))
    for X in ([[np.nan] * 5], [[1.0] * 4], np.zeros((0, 5)), "abc"):
        with pytest.raises((ValueError, TypeError), match="X: expected"):
            net.forward(X)  # type: ignore[arg-type]
    net.forward(inputs(2, 5))
    for dz in (np.full((2, 3), np.nan), np.zeros((3, 3)), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="dz: expected"):
            net.backward(dz=dz)
    for wrong in (np.nan, np.inf, 1e39):
        with pytest.raises(ValueError, match="y: expected finite"):
            net.backward(np.array([[0, 0, 0], [0, wrong, 0]]))
    with pytest.raises(ValueError, match="sample_weight: expected"):
        net.backward(np.zeros((2, 3)), sample_weight=[1, -1])


# ---------------------------------------------------------------- weights that are set


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_that_come_in_any_form(dtype: str) -> None:
    rng = np.random.default_rng(5)
    net = rg.Network([5, rg.Dense(18, norm="batch"), rg.Dense(9, norm="layer"), 2], dtype=dtype)
    forms: list[Callable[[Array], Any]] = [
        np.asarray,
        lambda a: a.astype(np.float32),
        lambda a: a.astype(">f8"),
        np.asfortranarray,
        lambda a: np.rint(9 * a).astype(int),
        lambda a: a.tolist(),
        lambda a: a[::-1],
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    ]
    for form in forms:
        w, b = ([form(rng.random(array.shape)) for array in arrays] for arrays in (net.weights, net.biases))
        net.set_weights(w, tuple(b))
        for got, given in zip((*net.weights, *net.biases), (*w, *b), strict=True):
            assert same_bits(got, np.array(given, dtype=dtype))
        net.set_weights(w[::-1][::-1])
    state = net.state_dict()
    other = rg.Network([5, rg.Dense(18, norm="batch"), rg.Dense(9, norm="layer"), 2], dtype=dtype, seed=8)
    other.load_state_dict(state)
    assert same_bits(parameters(net), parameters(other)) and same_bits(list(net.gamma[:2]), list(other.gamma[:2]))


@pytest.mark.parametrize("which", [0, 3])
def test_one_wrong_array_of_several_changes_nothing(which: int) -> None:
    net = network([5, 9, 3])
    before, fresh = parameters(net), [np.ones(a.shape, np.float32) for a in parameters(net)]
    long, short = (np.ones((len(fresh[which]) + more, *fresh[which].shape[1:]), np.float32) for more in (1, -1))
    wrong: list[Any] = [
        long,
        short,
        np.full(fresh[which].shape, np.nan),
        np.full(fresh[which].shape, 1e39),
        np.ones((2, 2, 2)),
        "w",
        None,
    ]
    for array in wrong:
        given = [*fresh[:which], array, *fresh[which + 1 :]]
        assert not net._core.put_quick([0, 2, 1, 3], given)
        with pytest.raises((ValueError, TypeError), match=r"(weights\[0\]|biases\[1\]): expected"):
            net.set_weights(given[:2], given[2:])
        assert same_bits(parameters(net), before)
    assert not net._core.put_quick([0, 4], fresh[:2]) and not net._core.put_quick([0], fresh)


def test_variances_below_0_are_refused() -> None:
    net = rg.Network([2, rg.Dense(3, norm="batch"), 1])
    state = net.state_dict()
    wrong = copy.deepcopy(state)
    wrong["arrays"][0]["running_var"] = np.array([1, -1, 1], np.float32)
    wrong["arrays"][0]["w"] = np.ones((2, 3))
    with pytest.raises(ValueError, match="no negative numbers"):
        net.load_state_dict(wrong)
    assert same_bits(net.weights[0], state["arrays"][0]["w"])


def test_gradients_in_hand_survive_weights_that_are_set() -> None:
    state = network([5, 9, 3], seed=2).state_dict()
    changes: list[Callable[[rg.Network], None]] = [
        lambda net: net.set_weights([np.ones(w.shape) for w in net.weights]),
        lambda net: net.load_state_dict(state),
    ]
    for change in changes:
        net, twin = network([5, 9, 3]), network([5, 9, 3])
        found = []
        for one in (net, twin):
            one.forward(inputs(4, 5))
            found.append(one.backward(targets("mse", 4, 3)))
        change(net)
        assert same_bits(found[0].dx, found[1].dx)
    for again in (
        lambda: net.forward(inputs(2, 5)),
        lambda: net.backward(targets("mse", 4, 3)),
        lambda: net.backward(dz=np.ones((4, 3))),
    ):
        net.forward(inputs(4, 5))
        g = net.backward(dz=np.full((4, 3), 0.5))
        twin.copy_from(net)
        twin.forward(inputs(4, 5))
        expected = twin.backward(dz=np.full((4, 3), 0.5)).dw
        again()
        assert same_bits(g.dw, expected)


# ---------------------------------------------------------------- a rate that changes before every step


@pytest.mark.parametrize("rule", RULES)
def test_a_rate_that_changes_is_told_by_itself(rule: Callable[..., rg.Optimizer]) -> None:
    X, y = inputs(6, 5), targets("mse", 6, 3)
    nets = []
    for others in ((), ("weight_decay",)):  # a setting that is set, though to its value, has all of them told anew
        net = network([5, 9, 3])
        optimizer = rule(lr=0.1, weight_decay=0.1, groups=[rg.Group(0, lr_factor=0.5)])
        trainer = rg.Trainer(net, optimizer)
        for t in range(12):
            optimizer.lr = 0.01 / (1 + t)
            for name in others:
                setattr(optimizer, name, getattr(optimizer, name))
            assert optimizer._stale == ("all" if others else "lr")
            trainer.step(X, y)
        assert not optimizer._stale
        nets.append(parameters(net))
    assert same_bits(*nets)


def test_a_wrong_rate_is_refused_until_it_is_right() -> None:
    trainer = twins("mse", 3)[0]
    X, y = inputs(6, 5), targets("mse", 6, 3)
    trainer.step(X, y)
    before = parameters(trainer.network)
    for wrong in (-1.0, np.nan, np.inf, "fast", None, True):
        trainer.optimizer.lr = wrong  # type: ignore[assignment]
        for _ in range(2):
            with pytest.raises((ValueError, TypeError), match="lr: expected"):
                trainer.step(X, y)
    assert same_bits(parameters(trainer.network), before)
    trainer.optimizer.lr = np.float64(0.1)
    trainer.step(X, y)
    assert not same_bits(parameters(trainer.network), before)
