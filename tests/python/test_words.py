"""Lines of Keras, PyTorch and scikit-learn, and classes of a user's own: each wrong one gets a word that says what to write.

The commonest of them stand in promises/first_hour.txt, too.
"""

import copy
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs

X, LABELS = inputs(60, 4), np.arange(60) % 3
Y = (X[:, :1] > 0).astype(float)


def network() -> rg.Network:
    return rg.Network([4, 8, 3], loss="cross_entropy")


def trainer(**settings: Any) -> rg.Trainer:
    return rg.Trainer(network(), "adam", **settings)


def history() -> rg.History:
    return trainer(advice=False).fit(X, LABELS, epochs=1, validation_split=0.5, metrics=["f1"])


class Never(rg.Callback):
    evry = 5

    def on_step_end(self, trainer: Any, info: rg.StepInfo) -> None: ...


WRONG: list[tuple[Callable[[], Any], type[BaseException], str]] = [
    # the second argument of forward
    (lambda: network()(X, LABELS), TypeError, "training: expected True or False, got an array; the targets belong to net.b"),
    (lambda: network()(X, training="yes"), TypeError, "training: expected True or False, got 'yes'"),  # type: ignore[arg-type]
    (lambda: network()(X[:1], np.array([1])), TypeError, "training: expected True or False"),
    (lambda: network()(X, 1), TypeError, "training: expected True or False, got 1; write training=True"),
    (lambda: network().forward(X, None), TypeError, "training: expected True or False, got None"),  # type: ignore[arg-type]
    (lambda: network()(X, train=True), TypeError, "it is training=True"),  # type: ignore[call-arg]
    # callbacks
    (lambda: trainer(callbacks=[rg.EarlyStopping()]), TypeError, "fit(X, y, epochs=100, early_stopping=rg.EarlyStopping"),
    (lambda: trainer(callbacks=rg.CSVLogger("x")), TypeError, "write callbacks=[...]"),
    (lambda: trainer(callbacks=lambda t, h: None), TypeError, "write callbacks=[...]"),
    (lambda: trainer(callbacks=[rg.CSVLogger]), TypeError, "got the class CSVLogger; write CSVLogger(...)"),
    (lambda: trainer(callbacks=[rg.schedules.Cosine()]), TypeError, "schedule=rg.schedules.Cosine()"),
    (lambda: trainer(callbacks=[Never()]).fit(X, LABELS, epochs=1), rg.TrainingWarning, "every = 1 (there is 'evry': a slip?)"),
    (
        lambda: type("K", (rg.Callback,), {"on_epoch_end": lambda self, epoch, logs=None: None}),
        TypeError,
        "K.on_epoch_end: expected the arguments trainer, history, got epoch, logs as in Keras; epoch is history.epoch[-1]",
    ),
    (lambda: type("K", (rg.Callback,), {"on_train_begin": lambda self, logs=None: None}), TypeError, "got logs as in Keras"),
    # optimisers
    (lambda: rg.SGD(network(), lr=0.1), TypeError, "rg.Trainer(net, rg.Adam(lr=1e-3))"),  # type: ignore[misc]
    (lambda: rg.Adam(network().weights, lr=0.1), TypeError, "rg.Trainer(net, rg.Adam(lr=1e-3))"),  # type: ignore[misc]
    (lambda: rg.SGD(0.1, lr=0.1), TypeError, "SGD: expected lr once, got it by position and by name"),  # type: ignore[misc]
    (lambda: rg.SGD(network()), TypeError, "rg.Trainer(net, rg.SGD(lr=0.1))"),  # type: ignore[arg-type]
    (lambda: rg.Adam().step(), TypeError, "optimizer.step(net) after net.forward(X) and net.backward(y)"),  # type: ignore[call-arg]
    (lambda: rg.Adam().step(network(), []), TypeError, "expected the network alone"),  # type: ignore[call-arg]
    # other calls
    (lambda: trainer().evaluate(X), TypeError, "expected y: trainer.evaluate(X, y)"),  # type: ignore[call-arg]
    (lambda: trainer().evaluate(X, LABELS, class_weight={}), TypeError, "it is sample_weight="),  # type: ignore[call-arg]
    (lambda: rg.fit_lbfgs(network(), X, LABELS, 100), TypeError, "rg.fit_lbfgs(net, X, y, max_iter=100)"),  # type: ignore[misc]
    (lambda: rg.SWA(), TypeError, "expected from_epoch: rg.SWA(from_epoch=8)"),  # type: ignore[call-arg]
    (lambda: trainer(average="ema"), TypeError, "write average=rg.EMA(0.999)"),
    (lambda: trainer(verbose=1), TypeError, "write verbose=True"),
    (lambda: rg.Dense(64, 16), TypeError, "a layer takes its own units alone"),  # type: ignore[arg-type]
    (lambda: trainer().fit(X, LABELS, epochs=1, sample_weight="balanced"), TypeError, 'write class_weight="balanced"'),
    (lambda: trainer().fit(X, LABELS, epochs=1, class_weight=[1, 10, 1]), TypeError, "dict(enumerate("),  # type: ignore[arg-type]
    (lambda: trainer().evaluate(X, LABELS, metrics={"a": max}), TypeError, "rg.metrics.Metric(function, name)"),  # type: ignore[arg-type]
    (lambda: rg.lr_range_test(network(), X, LABELS, optimizer="adma"), ValueError, "did you mean 'Adam'"),
    # the history
    (lambda: history()["loss"], TypeError, "the lists are attributes, history.loss;"),
    (lambda: history()["val_f1"], TypeError, "history.column('val_f1')"),
    (lambda: list(history()), TypeError, "history.to_pandas()"),
    (lambda: history().metrics["f1"], KeyError, "it is metrics['val_f1'] on the validation data"),
    (lambda: history().plot("x.png"), TypeError, "history.plot()[0].figure.savefig('x.png')"),
    # modules
    (lambda: rg.losses.CrossEntropyLoss(), AttributeError, "rg.losses.CrossEntropy()"),  # type: ignore[attr-defined]
    (lambda: rg.losses.mse, AttributeError, "rg.losses.MSE()"),  # type: ignore[attr-defined]
    (lambda: rg.schedules.StepLR, AttributeError, "rg.schedules.Step(every=10)"),  # type: ignore[attr-defined]
    (lambda: rg.schedules.CosineAnnealingLR, AttributeError, "rg.schedules.Cosine()"),  # type: ignore[attr-defined]
    (lambda: rg.callbacks.EarlyStopping, AttributeError, "early_stopping=rg.EarlyStopping()"),  # type: ignore[attr-defined]
    (lambda: rg.metrics.accuracy_score, AttributeError, "rg.metrics.accuracy(y_true, y_pred)"),  # type: ignore[attr-defined]
    (lambda: rg.activations.relu, AttributeError, 'rg.Dense(128, "relu")'),  # type: ignore[attr-defined]
    (lambda: rg.losses.CrosEntropy, AttributeError, "did you mean 'CrossEntropy'?"),  # type: ignore[attr-defined]
    # data
    (lambda: rg.Trainer(rg.Network([4, 1], loss="bce"), "adam").fit(X, Y + 1, epochs=1), ValueError, "by y - 1"),
    (lambda: trainer().fit(X, LABELS - 1, epochs=1), ValueError, "labels begin with 0: y + 1"),
    (lambda: trainer().fit(iter(X), LABELS, epochs=1), TypeError, "got an iterator"),  # type: ignore[arg-type]
    (lambda: trainer().fit(np.where(X > 2, None, X), LABELS, epochs=1), TypeError, "holds None at row 19, column 3"),
    (lambda: network().load_state_dict({}), ValueError, "expected steps, arrays, got nothing"),
    (lambda: rg.Adam().load_state_dict({}), ValueError, "got nothing"),
    (lambda: rg.Network([4, 8, 3], init=network().weights), ValueError, "init=(net.weights, net.biases)"),  # type: ignore[arg-type]
    (lambda: rg.Network([4, 8, 3], init=list(network().weights)), TypeError, "got list; the arrays"),  # type: ignore[arg-type]
    (lambda: trainer().evaluate(X, LABELS, metrics=["top_4"]), ValueError, "expected top_1 to top_3 with 3 outputs, got top_4"),
    (
        lambda: trainer().evaluate(X, LABELS, sample_weight=LABELS, metrics=[lambda t, p: 0.0]),
        TypeError,
        "write def metric_1(y_true, y_pred, sample_weight=None)",
    ),
    # attributes of the trainer
    (lambda: setattr(trainer(), "epochs_done", "x"), TypeError, "epochs_done: expected an integer"),
    (lambda: setattr(trainer(), "epochs_done", -5), ValueError, "epochs_done: expected at least 0"),
    (lambda: setattr(trainer(), "history", "x"), TypeError, "history: expected a History"),
]


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_a_wrong_line_says_what_to_write(call: Callable[[], Any], kind: type[BaseException], message: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kind, match=re.escape(message)):
            call()


def test_a_step_refuses_settings_of_weights_as_fit_does() -> None:
    mine = trainer()
    mine.weights = "mean"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="weights: expected"):
        mine.step(X, LABELS)
    assert mine.optimizer.steps == 0


def test_who_sets_every_to_0_is_not_told() -> None:
    class Quiet(Never):
        every = 0

    own = Never()
    own.every = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer(callbacks=[Quiet(), own], advice=False).fit(X, LABELS, epochs=1)


def test_what_is_right_is_taken() -> None:
    net = network()
    for given in (True, np.True_, False, np.False_):
        assert net(X, given).shape == (60, 3)  # type: ignore[arg-type]
    assert rg.Network([4, 3], loss="CE").loss_name == "cross_entropy"
    for name in ("sgd", "SGD", "adam"):
        assert len(rg.lr_range_test(net, X, LABELS, optimizer=name, steps=5).lr) == 5
    init = rg.Network([4, 3, 3], init=([np.ones((4, 3)), np.ones((3, 3))], [np.ones(3), np.ones(3)]))
    assert (init.weights[1] == 1).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        late = Never()
        late.on_train_begin = lambda trainer: setattr(late, "every", 1)  # type: ignore[method-assign]
        trainer(callbacks=[late], advice=False).fit(X, LABELS, epochs=1)
    done = history()
    assert done.metrics["val_f1"] == done.column("val_f1") and dict(done.metrics) == done.metrics
    twin = pickle.loads(pickle.dumps(done))
    assert twin.to_dict() == done.to_dict() == rg.History.from_dict(done.to_dict()).to_dict()
    assert b"_ByName" not in pickle.dumps(done)
    for one in (twin, rg.History.from_dict(done.to_dict()), copy.deepcopy(done)):
        with pytest.raises(KeyError, match="val_f1"):
            _ = one.metrics["f1"]


def test_a_sparse_array_and_missing_values_of_pandas() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"a sparse csr_matrix; write X.toarray\(\)"):
        trainer().fit(sparse.csr_matrix(X), LABELS, epochs=1)
    pandas = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match=r"holds <NA> at row 19, column 3: fill the gaps \(fillna\)"):
        trainer().fit(pandas.DataFrame(X).convert_dtypes().mask(X > 2), LABELS, epochs=1)


def test_a_state_goes_through_savez(tmp_path: Path) -> None:
    net, optimizer = network(), rg.Adam()
    rg.Trainer(net, optimizer).step(X, LABELS)
    state = net.state_dict()
    np.savez(tmp_path / "net.npz", steps=state["steps"], arrays=np.array(state["arrays"], dtype=object))
    twin = network()
    twin.load_state_dict(np.load(tmp_path / "net.npz", allow_pickle=True))
    assert twin.steps == 1 and all((a == b).all() for a, b in zip(twin.weights, net.weights, strict=True))
    with pytest.raises(TypeError, match="epochs: expected an integer"):
        trainer().fit(X, LABELS, epochs=np.array(1.0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({"callbacks": [lambda trainer: None]}, "A function in callbacks is called with the trainer and the history."),
        ({"schedule": lambda: 0.1}, "A function as schedule= is called with the number of the epoch"),
        (
            {"callbacks": [type("C", (rg.Callback,), {"every": 1, "on_step_end": lambda self: None})()]},
            "on_step_end is called with the trainer and a StepInfo",
        ),
        (
            {"callbacks": [type("C", (rg.Callback,), {"on_epoch_end": lambda self: None})()]},
            "on_epoch_end is called with the trainer and the history",
        ),
    ],
)
def test_a_function_with_other_arguments_gets_a_note(settings: dict[str, Any], note: str) -> None:
    with pytest.raises(TypeError) as caught:
        trainer(**settings).fit(X, LABELS, epochs=1)
    assert note in "".join(caught.value.__notes__)

    def wrong_within(*given: Any) -> float:
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine") as caught:
        trainer(schedule=wrong_within).fit(X, LABELS, epochs=1)
    assert not hasattr(caught.value, "__notes__")


# ---------------------------------------------------------------- classes of a user's own


def test_a_subclass_does_not_turn_the_protection_off() -> None:
    class MyTrainer(rg.Trainer):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.momentum = 3

        def rename(self) -> None:
            self.batchsize = 1

    class MySGD(rg.SGD): ...

    class MyNetwork(rg.Network):
        @classmethod
        def made(cls) -> "MyNetwork":
            net = cls([4, 3], loss="mse")
            net.dropout = 0.3
            return net

    mine, net = MyTrainer(network(), MySGD(0.1)), MyNetwork([4, 3])
    for thing, name, message in (
        (mine, "batchsize", "did you mean 'batch_size'?"),
        (mine, "lr", "trainer.optimizer.lr"),
        (mine, "learning_rate", "trainer.optimizer.lr"),
        (mine.optimizer, "momentumm", "did you mean 'momentum'?"),
        (mine.optimizer, "learning_rate", "optimizer.lr"),
        (net, "dropout", "fixed when the network is made"),
    ):
        with pytest.raises(AttributeError, match=re.escape(message)):
            setattr(thing, name, 1)
        assert not hasattr(thing, name)
    for twin in (mine, copy.copy(mine), pickle.loads(pickle.dumps(MySGD0()))):
        twin.anything, twin.other = 1, 2
    mine.momentum, mine.batch_size, mine.optimizer.momentum = 4, 5, 0.5  # type: ignore[attr-defined]
    mine.rename()
    assert mine.batchsize == 1 and MyNetwork.made().dropout == 0.3


class MySGD0(rg.SGD):
    def __init__(self) -> None:
        super().__init__(0.1)


@pytest.mark.parametrize("name", ["forward", "loss", "backward"])
def test_a_method_of_a_network_that_training_passes_by(name: str) -> None:
    mine = type("Mine", (rg.Network,), {name: lambda self, *given: None})
    with pytest.warns(rg.TrainingWarning, match=rf"Mine\.{name} is never called by the trainer"):
        rg.Trainer(mine([4, 3]), "adam")


def test_methods_that_training_does_not_need() -> None:
    with pytest.warns(rg.TrainingWarning, match=r"Mine\.step is never called by the trainer"):
        rg.Trainer(network(), type("Mine", (rg.SGD,), {"step": lambda self, network: None})(0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rg.Trainer(type("Mine", (rg.Network,), {"predict": lambda self, X: None})([4, 3]), type("O", (rg.SGD,), {})(0.1))


def test_classes_without_what_they_need() -> None:
    class S(rg.schedules.Schedule):
        def __call__(self, epoch: int) -> float:
            return 0.1

    class L(rg.losses.Loss):
        name = "mine"

    class O(rg.Optimizer):  # noqa: E742
        lr = 0.1

    class N(rg.Network):
        def __init__(self) -> None:
            self.mine = 1

    class T(rg.Trainer):
        def __init__(self) -> None: ...

    class Sub(N): ...

    with pytest.raises(TypeError, match=r"schedule: S has no rates: .*schedule=lambda epoch"):
        trainer(schedule=S())
    with pytest.raises(NotImplementedError, match="S has no rates"):
        S().rates(0.1, 3)
    for loss in (L(), rg.losses.Loss(), type("L", (rg.losses.Loss,), {})()):
        with pytest.raises(TypeError, match=r"loss: L\w* is none of the core's; .*net.backward\(dz="):
            rg.Network([4, 3], loss=loss)
    with pytest.raises(TypeError, match=r"O: expected one of SGD, Adam, .* no rules of your own"):
        O()
    for kind, base in ((N, "Network"), (Sub, "Network"), (T, "Trainer")):
        with pytest.raises(TypeError, match=rf"expected a call of super\(\).__init__\(...\) with the arguments of {base}$"):
            kind()


# ---------------------------------------------------------------- what a notebook shows


def test_modules_show_their_public_names_alone() -> None:
    for module in (rg.losses, rg.schedules, rg.metrics, rg.callbacks, rg.optimizers, rg.activations):
        shown = [name for name in dir(module) if not name.startswith("_")]
        assert shown == sorted(module.__all__)
    assert not {"Any", "TYPE_CHECKING"} & set(dir(rg)) and {"Trainer", "fit_lbfgs", "losses"} <= set(dir(rg))
