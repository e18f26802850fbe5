"""The examples of the README: they run as they stand, one after the other, as a reader would type them."""

import re
from pathlib import Path

import numpy as np
import pytest
import retrograd as rg


def test_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    shown = capsys.readouterr().out
    accuracy = re.search(r"test accuracy: ([\d.]+)", shown)
    assert accuracy and float(accuracy[1]) > 0.95
    # control of training
    history, net, found = names["history"], names["net"], names["found"]
    assert isinstance(history, rg.History) and isinstance(net, rg.Network) and isinstance(found, rg.LRRange)
    assert str(found) in shown and str(history) in shown
    assert history.stopped_early and len(history) < 100 and len(history.step_lr) == len(history)
    assert history.best_epoch == history.epoch[int(np.argmax(history.metrics["val_f1"]))]
    X, y = names["X_test"], names["y_test"]
    assert rg.metrics.accuracy(y, net.predict(X)) > 0.95  # type: ignore[arg-type]
