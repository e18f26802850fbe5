"""The commands `python -m retrograd info`, `bench` and `demo`: what they print, and how they refuse a wrong call."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import retrograd as rg
from helpers import environment
from retrograd import _core


def command(*arguments: str, cwd: Path, **others: str) -> subprocess.CompletedProcess[str]:
    """python -m retrograd, away from the source tree."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "retrograd", *arguments],
        env=environment(**others),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_info(tmp_path: Path) -> None:
    done = command("info", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for part in (
        rg.__version__,
        np.__version__,
        f"{_core.isa()} in use",
        _core.openmp(),
        _core.compiler(),
        *_core.available_isas(),
    ):
        assert part in done.stdout, part
    limited = command("info", cwd=tmp_path, OMP_NUM_THREADS="1").stdout
    assert re.search(r"^threads at most +1$", limited, re.MULTILINE)


def test_bench_for_machines(tmp_path: Path) -> None:
    done = command("bench", "--workloads", "xor", "--threads", "1", "--rounds", "1", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["machine"]["isa"] == _core.isa() and found["rounds"] == 1
    (result,) = found["results"]
    assert result["workload"] == "xor" and result["threads"] == 1 and result["ratio"] > 0
    assert result["retrograd"]["rows_per_second"] > 0 and result["numpy"]["rows_per_second"] > 0


def test_bench_for_people(tmp_path: Path) -> None:
    done = command("bench", "--workloads", "xor", "--threads", "1", "--rounds", "1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    # the ratio, then how steps are done
    assert re.search(r"^xor +2-8-2 +4 +1 .*\dx  (small network|narrow), 1 thread$", done.stdout, re.MULTILINE)


def test_demo(tmp_path: Path) -> None:
    done = command("demo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    accuracy = re.search(r"Test accuracy ([\d.]+)%", done.stdout)
    assert accuracy and float(accuracy[1]) >= 97
    assert re.search(r"retrograd is [\d.]+ times as fast", done.stdout)
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["learning_curve.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "command"),
        (["fly"], "invalid choice"),
        (["bench", "--workloads", "chess"], "expected names of xor.*'chess'"),
        (["bench", "--threads", "0"], "expected a whole number of at least 1"),
        (["bench", "--rounds", "many"], "expected a whole number of at least 1, got 'many'"),
        (["demo", "--output", "no/such/folder/curve.png"], "folder.*no/such/folder"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version(tmp_path: Path) -> None:
    done = command("--help", cwd=tmp_path)
    assert done.returncode == 0 and all(name in done.stdout for name in ("demo", "bench", "info"))
    assert command("--version", cwd=tmp_path).stdout == f"retrograd {rg.__version__}\n"
