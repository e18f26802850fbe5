"""The lists of tests/README.md and tests/FAULTS.md: everything that they cite exists."""

import re
from pathlib import Path

import pytest

TESTS = next(folder for folder in Path(__file__).parents if (folder / "FAULTS.md").exists())
FAULTS = (TESTS / "FAULTS.md").read_text(encoding="utf-8")
TEXTS = [path for path in sorted(TESTS.rglob("*")) if path.suffix in (".md", ".py", ".cpp", ".h", ".txt", ".sh")]


def test_faults_are_numbered_in_order() -> None:
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", FAULTS, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 60


def test_every_fault_that_is_cited_is_in_the_list() -> None:
    listed = set(re.findall(r"^\| (\d+) \|", FAULTS, re.MULTILINE))
    cited = {
        number
        for path in TEXTS
        for group in re.findall(r"FAULTS (\d+(?:, \d+)*)", path.read_text(encoding="utf-8"))
        for number in group.split(", ")
    }
    assert len(cited) >= 20 and cited <= listed, sorted(cited - listed)


@pytest.mark.parametrize("name", ["FAULTS.md", "README.md"])
def test_every_file_that_is_named_exists(name: str) -> None:
    text = (TESTS / name).read_text(encoding="utf-8")
    named = {Path(path).name for path in re.findall(r"`([\w/]+\.(?:py|cpp|h|md|txt))`", text)}
    there = {path.name for folder in (TESTS, TESTS.parent / "cpp") for path in folder.rglob("*")}
    assert len(named) > 20 and sorted(named - there) == []
