"""What training tells while it runs and afterwards: plain lines, CSV, TensorBoard; `evaluate`, net(X) and its state_dict."""

import copy
import csv
import io
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, parameters, same_bits
from sklearn import metrics as sk

X, LABELS, Y = inputs(40, 5), np.arange(40) % 3, inputs(40, 3, seed=4)


def trainer(loss: str = "cross_entropy", **options: Any) -> rg.Trainer:
    return rg.Trainer(rg.Network([5, 9, 3], loss=loss), rg.Adam(), batch_size=10, **options)


# ---------------------------------------------------------------- lines


def test_a_plain_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    history = trainer(verbose=True).fit(X, LABELS, epochs=2, validation_data=(X, LABELS), metrics=["f1"])
    seen = capsys.readouterr()
    lines = seen.out.splitlines()
    assert seen.err == "" and len(lines) == 2
    for i, line in enumerate(lines):
        figures = f"loss {history.loss[i]:.4g}, accuracy {history.metric[i]:.4g}, val_loss {history.val_loss[i]:.4g}, "
        figures += f"val_accuracy {history.val_metric[i]:.4g}, val_f1 {history.metrics['val_f1'][i]:.4g}, "
        assert line.startswith(f"epoch {i + 1}/2: {figures}") and line.endswith(" s")


def test_silent_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    trainer().fit(X, LABELS, epochs=2)
    assert capsys.readouterr() == ("", "")


def test_progress_without_tqdm_is_a_line_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    trainer(progress=True).fit(X, LABELS, epochs=2)
    seen = capsys.readouterr()
    assert seen.out == "" and [line[:11] for line in seen.err.splitlines()] == ["epoch 1/2: ", "epoch 2/2: "]
    trainer(progress=True, verbose=True).fit(X, LABELS, epochs=1)
    seen = capsys.readouterr()
    assert seen.err == "" and seen.out.startswith("epoch 1/1: loss ")


def test_a_bar_and_lines_together(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    trainer(progress=True, verbose=True).fit(X, LABELS, epochs=2)
    seen = capsys.readouterr()
    assert seen.out.count("epoch ") == 2 and "rows/s" in seen.err


def test_verbose_may_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    one = trainer()
    one.verbose = True
    one.fit(X, LABELS, epochs=1)
    assert "epoch 1/1" in capsys.readouterr().out
    one.verbose = 2  # type: ignore[assignment]
    with pytest.raises(TypeError, match="verbose: expected True or False, got 2"):
        one.fit(X, LABELS, epochs=1)


# ---------------------------------------------------------------- CSV


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_csv_has_the_figures_of_the_history(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    seen_meanwhile = []
    logger = rg.CSVLogger(path)
    look = lambda trainer, history: seen_meanwhile.append(len(read(path)))  # noqa: E731
    one = trainer(callbacks=[logger, look])
    history = one.fit(X, LABELS, epochs=3, validation_split=0.5, metrics=["f1"], gradient_norms=True)
    rows = read(path)
    assert seen_meanwhile == [1, 2, 3]  # each line is there as soon as its epoch is over
    figures = {"loss": history.loss, "accuracy": history.metric, "val_loss": history.val_loss, "lr": history.lr}
    figures |= {"val_accuracy": history.val_metric, "val_f1": history.metrics["val_f1"], "seconds": history.seconds}
    figures |= {f"gradient_norm_{layer}": norms for layer, norms in history.gradient_norms.items()}
    assert set(rows[0]) == {"epoch", *figures}
    for name, values in figures.items():
        assert [float(row[name]) for row in rows] == values, name
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    # a second fit goes on; a new logger begins anew, or adds lines
    one.fit(X, LABELS, epochs=2, validation_split=0.5, metrics=["f1"], gradient_norms=True)
    assert [row["epoch"] for row in read(path)] == ["1", "2", "3", "4", "5"]
    trainer(callbacks=[rg.CSVLogger(path)]).fit(X, LABELS, epochs=1)
    assert len(read(path)) == 1
    trainer(callbacks=[rg.CSVLogger(path, append=True)]).fit(X, LABELS, epochs=2)
    assert [row["epoch"] for row in read(path)] == ["1", "1", "2"]
    with pytest.raises(ValueError, match=r"run.csv: expected the columns epoch, loss, accuracy, val_loss"):
        trainer(callbacks=[rg.CSVLogger(path, append=True)]).fit(X, LABELS, epochs=2, validation_split=0.5)


def test_a_csv_that_cannot_be_written(tmp_path: Path) -> None:
    one = trainer(callbacks=[rg.CSVLogger(tmp_path / "no" / "run.csv")])
    before = parameters(one.network)
    with pytest.raises(FileNotFoundError):
        one.fit(X, LABELS, epochs=1)
    assert same_bits(parameters(one.network), before)


def test_loggers_are_copied_and_pickled(tmp_path: Path) -> None:
    one = trainer(callbacks=[rg.CSVLogger(tmp_path / "a.csv"), rg.TensorBoard(tmp_path / "board")])
    for twin in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert [type(callback).__name__ for callback in twin.callbacks] == ["CSVLogger", "TensorBoard"]


# ---------------------------------------------------------------- TensorBoard


def test_without_tensorboardx_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    one = trainer(callbacks=[rg.TensorBoard(tmp_path)])
    with pytest.raises(ImportError, match=r"pip install retrograd\[tensorboard\]"):
        one.fit(X, LABELS, epochs=1)
    assert one.network.steps == 0


class FakeWriter:
    """Stands in for tensorboardX's writer."""

    def __init__(self, folder: str) -> None:
        self.folder, self.closed = folder, False
        self.said: list[tuple[str, float, int]] = []
        WRITERS.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.said.append((name, value, step))

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True


WRITERS: list[FakeWriter] = []


def test_what_tensorboard_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = type(sys)("tensorboardX")
    module.SummaryWriter = FakeWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    WRITERS.clear()
    history = trainer(callbacks=[rg.TensorBoard(tmp_path)]).fit(X, LABELS, epochs=2, validation_split=0.5, metrics=["f1"])
    train, validation = WRITERS
    assert train.closed and validation.closed
    assert [Path(writer.folder).name for writer in WRITERS] == ["train", "validation"]
    assert ("loss", history.loss[1], 2) in train.said and ("lr", history.lr[0], 1) in train.said
    assert ("accuracy", history.val_metric[0], 1) in validation.said
    assert ("f1", history.metrics["val_f1"][1], 2) in validation.said


def test_files_that_tensorboard_reads(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto import event_pb2

    history = trainer(callbacks=[rg.TensorBoard(tmp_path)]).fit(X, LABELS, epochs=3, validation_split=0.5)
    found: dict[tuple[str, str], list[float]] = {}
    for run in ("train", "validation"):
        (path,) = (tmp_path / run).iterdir()
        data, at = path.read_bytes(), 0
        while at < len(data):  # TFRecord: length, its checksum, the event, its checksum
            length = int.from_bytes(data[at : at + 8], "little")
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            for value in event.summary.value:
                found.setdefault((run, value.tag), []).append(value.simple_value)
            at += length + 16
    assert found["train", "loss"] == pytest.approx(history.loss, rel=1e-6)
    assert found["validation", "accuracy"] == pytest.approx(history.val_metric, rel=1e-6)


# ---------------------------------------------------------------- evaluate, net(X), state_dict


def test_evaluate_has_the_figures_of_scikit_learn() -> None:
    one = trainer()
    one.fit(X, LABELS, epochs=3)
    before = pickle.dumps(one.network)
    weight = np.random.default_rng(0).random(40)
    found = one.evaluate(X, LABELS, metrics=["f1", "auc", "acc"], sample_weight=weight)
    weight = weight.astype(np.float32).astype(np.float64)  # as the network of float32 takes them
    p, labels = one.network.predict_proba(X), one.network.predict(X)
    assert list(found) == ["loss", "accuracy", "f1", "auc"]
    shares = p / p.sum(axis=1, keepdims=True, dtype=np.float64)  # scikit-learn wants them to sum to 1 in float64
    assert found["loss"] == pytest.approx(sk.log_loss(LABELS, shares, sample_weight=weight), rel=1e-5)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(LABELS, labels, sample_weight=weight), rel=1e-6)
    assert found["f1"] == pytest.approx(sk.f1_score(LABELS, labels, average="macro", sample_weight=weight), rel=1e-12)
    ovr = [sk.roc_auc_score(LABELS == k, p[:, k], sample_weight=weight) for k in range(3)]
    assert found["auc"] == pytest.approx(np.mean(ovr), rel=1e-12)
    assert pickle.dumps(one.network) == before and one.epochs_done == 3
    numbers = trainer("mse").evaluate(X, Y)
    assert list(numbers) == ["loss", "mae"]
    with pytest.raises(ValueError, match="y: expected as many rows"):
        one.evaluate(X, LABELS[:-1])
    with pytest.raises(ValueError, match="metrics: expected one of"):
        one.evaluate(X, LABELS, metrics=["f2"])


def test_a_call_of_the_network_is_forward() -> None:
    net = rg.Network([5, 9, 3], dropout=0.5)
    assert same_bits(net(X), net.forward(X)) and same_bits(net(X, training=True), net.forward(X, True))
    assert same_bits(net(X, n_threads=1), net(X))
    net(X)
    assert net.backward(Y).loss is not None  # it keeps what backward needs


def test_the_state_of_a_network() -> None:
    layers = [5, rg.Dense(9, norm="batch"), rg.Dense(4, norm="layer"), 3]
    net, other = rg.Network(layers), rg.Network(layers, seed=1)
    rg.Trainer(net, "adam").fit(X, Y, epochs=2)
    state = net.state_dict()
    other.load_state_dict(state)
    assert same_bits(other.predict(X), net.predict(X)) and other.steps == net.steps
    held = pickle.dumps(state)
    rg.Trainer(net, "adam").fit(X, Y, epochs=1)
    assert pickle.dumps(state) == held  # a copy
    before = pickle.dumps(other)
    wrong = copy.deepcopy(state)
    wrong["arrays"][2]["w"] = np.zeros((3, 3))
    for bad, error in ((wrong, ValueError), ({}, ValueError), (None, TypeError), (rg.Network([5, 3]).state_dict(), ValueError)):
        with pytest.raises(error):
            other.load_state_dict(bad)  # type: ignore[arg-type]
    assert pickle.dumps(other) == before


def test_lines_go_where_stdout_is_at_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    trainer(verbose=True).fit(X, LABELS, epochs=1)
    assert stream.getvalue().startswith("epoch 1/1: loss ")
