"""Objects of every kind that can be pickled, trained a little, and what each of them then answers.

`python tests/python/pickles/zoo.py` writes them into this folder, in the file of the present format, once: what is there stays,
because pickles of a format load for ever.
"""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import retrograd as rg
from retrograd._pickles import FORMAT

HERE = Path(__file__).parent


def rows() -> tuple[Any, Any]:
    """Forty rows of five inputs, and their labels; plain arithmetic, so that they are the same for ever."""
    i, j = np.arange(40)[:, None], np.arange(5)[None, :]
    return ((i * 7 + j * 3) % 11 - 5) / 5, (np.arange(40) * 5) % 3


def objects() -> dict[str, Any]:
    """The objects by name."""
    X, y = rows()
    layers = [5, rg.Dense(9, "tanh", norm="batch", dropout=0.2), rg.Dense(8, "gelu", norm="layer", max_norm=3.0, bias=False), 3]
    net = rg.Network(layers, loss=rg.losses.CrossEntropy(0.1), input_noise=0.1, input_dropout=0.1, seed=3, dtype="float64")
    schedule = rg.schedules.Cosine(per="step", warmup=2, length=23)
    trainer = rg.Trainer(net, rg.Adam(0.01, amsgrad=True), batch_size=8, schedule=schedule, average=rg.EMA(0.8), advice=False)
    trainer.fit(X, y, epochs=3, validation_data=(X, y), metrics=["f1"])
    single = rg.Network([5, 4, 1], loss="mse")
    sgd = rg.SGD(0.1, momentum=0.9, clip_norm=1.0, groups=[rg.Group(layers=0, lr_factor=0.5)])
    rg.Trainer(single, sgd).fit(X, y.astype(float), epochs=1)
    settings = [
        rg.Dense(4, "relu", dropout=0.1, bias_init=[1, 2, 3, 4]),
        rg.EMA(0.9),
        rg.EarlyStopping("val_loss", patience=3),
        rg.normal(0.2),
        rg.Group(params="biases", frozen=True),
        rg.losses.Huber(2.0),
        rg.losses.Focal(1.5),
        rg.metrics.Metric(rg.metrics.accuracy, "own"),
        rg.schedules.OneCycle(max_lr=0.1),
        rg.schedules.ReduceOnPlateau("loss", patience=2),
    ]
    return {"trainer": trainer, "network": single, "optimizer": sgd, "history": trainer.history, "settings": settings}


def answers(found: dict[str, Any]) -> dict[str, Any]:
    """What the objects answer, in text and numbers."""
    X, y = rows()
    trainer, optimizer = found["trainer"], found["optimizer"]
    momentum = [array.ravel() for pair in optimizer.state_dict()["momentum_buffer"] for array in pair]
    proba = trainer.network.predict_proba(X).tolist()
    before = trainer.history.to_dict()
    again = trainer.fit(X, y, epochs=2).loss
    return {
        "proba": proba,
        "epochs": before["epoch"],
        "loss": before["loss"],
        "averaged": trainer.averaged.weights[2].ravel().tolist(),
        "f1": before["metrics"]["val_f1"],
        "loss of two more epochs": again,
        "network": found["network"].predict(X).tolist(),
        "momentum": np.concatenate(momentum).tolist(),
        "history": found["history"].loss,
        "settings": [repr(one) for one in found["settings"]],
    }


def write() -> None:
    """Write the file of this format and its answers."""
    found = objects()
    target = HERE / f"format{FORMAT}.pickle"
    target.write_bytes(pickle.dumps(found, protocol=4))
    target.with_suffix(".json").write_text(json.dumps(answers(pickle.loads(target.read_bytes())), indent=0) + "\n")


if __name__ == "__main__":
    write()
