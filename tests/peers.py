"""Which versions of other libraries the long tier tests with: `peers.py newest` or `peers.py oldest` prints requirements.

The libraries and the oldest versions are those of pyproject.toml; PyTorch, with which tests compare, comes with the newest.
"""

import re
import sys
import tomllib
from pathlib import Path

WITH_OLDEST = ("pyparsing<3.2",)  # the oldest matplotlib uses names that later ones warn of
TOOLS = ("pytest", "hypothesis", "mypy", "ruff")  # whose versions no user depends on


def requirements(kind: str) -> list[str]:
    """The lines of a requirements file."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    every = sorted({*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)})
    lines = []
    for line in every:
        found = re.fullmatch(r"([\w-]+)>=([\d.]+)", line)
        if found is None:
            raise ValueError(f"pyproject.toml: expected lines like numpy>=1.26, got {line}")
        name, least = found.groups()
        lines.append(f"{name}=={least}.*" if kind == "oldest" and name not in TOOLS else name)
    return [*lines, "torch"] if kind == "newest" else [*lines, *WITH_OLDEST]


if __name__ == "__main__":
    if sys.argv[1:] not in (["newest"], ["oldest"]):
        sys.exit("usage: peers.py newest|oldest")
    print("\n".join(requirements(sys.argv[1])))
