"""The first hour of a new user: wrong lines that people write, each with the message that it gets.

The lines are in first_hour.txt, the messages in tests/FIRST_HOUR.md, which must be what really comes. To add a line,
write it into first_hour.txt; `RETROGRAD_WRITE=1 pytest tests/python/promises/test_first_hour.py` writes the page anew.
"""

import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg

LINES = Path(__file__).with_name("first_hour.txt").read_text(encoding="utf-8").split("\n# ", 1)[1].splitlines()
PAGE = Path(__file__).parents[2] / "FIRST_HOUR.md"
HEAD = """# The first hour

What people write in their first hour with the package, and what it answers. `python/promises/test_first_hour.py` runs each
line and holds this page equal to what comes; it also says how to add a line. `X` has 60 rows of 4 numbers, `labels` are 0, 1
and 2, `numbers` has 3 columns, `images` is (60, 28, 28); `net` is [4, 8, 3] with cross_entropy, `trainer` trains it with
`adam`, and `history` is that of an epoch.
"""


def names() -> dict[str, Any]:
    """What the lines use, new for each."""
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((60, 4)), np.arange(60) % 3
    adam = rg.Adam()
    trainer = rg.Trainer(rg.Network([4, 8, 3], loss="cross_entropy"), adam, batch_size=20)
    history = trainer.fit(X, labels, epochs=1)
    found = {"np": np, "rg": rg, "X": X, "labels": labels, "adam": adam, "trainer": trainer, "net": trainer.network}
    return found | {"history": history, "numbers": rng.standard_normal((60, 3)), "images": rng.random((60, 28, 28))}


def answer(line: str) -> str:
    """The error or the warning of the line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is made ready trains for one epoch, which may call for a word of its own
        ready = names()
        warnings.simplefilter("error")
        try:
            exec(line, ready)
        except Exception as error:
            return f"{type(error).__name__}: " + re.sub(r" at 0x\w+", "", str(error))
    return ""


CODE = [line for line in LINES[1:] if line and not line.startswith("# ")]


@pytest.mark.parametrize("line", CODE)
def test_a_wrong_line_gets_a_word(line: str) -> None:
    said = answer(line)
    assert re.match(r"(TypeError|ValueError|AttributeError|ImportError|\w+Warning): .{20}", said), said
    assert "incompatible function arguments" not in said and "unexpected keyword" not in said


def test_there_are_enough_lines() -> None:
    assert len(CODE) >= 40 and len(set(CODE)) == len(CODE)


def test_the_page_is_what_comes() -> None:
    parts = [HEAD, f"\n## {LINES[0]}\n"]
    for line in filter(None, LINES[1:]):
        parts.append(f"\n## {line[2:]}\n" if line.startswith("# ") else f"\n    {line}\n\n> {answer(line)}\n")
    page = "".join(parts)
    if os.environ.get("RETROGRAD_WRITE") == "1":
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page
