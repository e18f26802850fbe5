"""Counts what the inner loops of the kernels keep on the stack: `python tests/bench/spills.py`.

A register tile is fast while its accumulators stay in registers; a compiler that puts some of them on the stack costs a
tenth of the speed or more, and no test of results sees it. This command disassembles the built kernels, finds the innermost
loops that multiply and add, counts their memory operands on the stack, and exits with 1 where there are too many.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from core_build import Error, build

KINDS = ("ForwardTile", "ForwardRowsTile", "DeltaTile", "DwTile", "DwRowsTile")

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S.*)$")
JUMP = re.compile(r"^(?:bnd )?j[a-z]+\s+([0-9a-f]+)\b")
TILE = re.compile(rf"::({'|'.join(KINDS)})<(float|double)(?:, [^>]*?(\d+)[^>]*)?>::run<(\d+), (\d+)>")
MULTIPLIES = re.compile(r"^v?(?:fn?m(?:add|sub)\d+|mul)p[sd]\b")
STACK_POINTER = re.compile(r"\(%rsp[,)]")
VECTOR = re.compile(r"%[xyz]mm")
FRAME_POINTER = re.compile(r"\(%rbp[,)]")


class Tile(NamedTuple):
    """One instantiation of a register tile."""

    isa: str
    kind: str
    type: str
    mode: str  # of the update in a dw tile: the number of its Mode
    height: int
    vectors: int


class Loop(NamedTuple):
    """The worst innermost loop of a tile."""

    stack: int  # operands on the stack
    vectors: int  # those of them that are vectors: accumulators, mostly; the others are pointers and counters
    multiplications: int  # instructions, for a sense of the loop's length


class Line(NamedTuple):
    """One instruction."""

    address: int
    text: str


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description="stack references in the kernels' inner loops", epilog="See README.md here.")
    parser.add_argument("objects", nargs="*", type=pathlib.Path, help="kernel objects, not stripped; default: builds them")
    parser.add_argument("--allow", type=int, default=0, metavar="N", help="references in a tile of full height; default: 0")
    parser.add_argument(
        "--allow-lower", type=int, metavar="N", help="the same for tiles down to half of the height; default: any number"
    )
    parser.add_argument("--isa", metavar="A,B", help="judge only these instruction sets")
    parser.add_argument("--vectors", action="store_true", help="judge only vectors on the stack, not pointers and counters")
    parser.add_argument("--all", action="store_true", help="print every tile")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/bench/cmake"), metavar="FOLDER")
    options = parser.parse_args()
    try:
        if not shutil.which("objdump"):
            raise Error("objdump: not found (it is in the package binutils)")
        objects = options.objects or built_objects(options.build)
        tiles: dict[Tile, Loop] = {}
        for path in objects:
            tiles.update(tiles_of(path))
    except Error as error:
        print(f"spills.py: {error}", file=sys.stderr)
        return 2
    if options.isa:
        tiles = {tile: loop for tile, loop in tiles.items() if tile.isa in options.isa.split(",")}
    if not tiles:
        print("spills.py: no register tile found; are the objects stripped?", file=sys.stderr)
        return 2
    return judge(tiles, options.allow, options.allow_lower, vectors=options.vectors, show_all=options.all)


def built_objects(folder: pathlib.Path) -> list[pathlib.Path]:
    """Build the kernels and return their objects.

    Parameters
    ----------
    folder : path
        Of the build.

    Returns
    -------
    list of path
    """
    build(folder, ["retrograd_core"])
    return sorted(folder.glob("CMakeFiles/retrograd_kernels_*.dir/cpp/kernels/kernels.cpp.o"))


def tiles_of(path: pathlib.Path) -> dict[Tile, Loop]:
    """Return the worst inner loop of every tile in an object.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        Of tiles without a loop (all unrolled, or none left) nothing.
    """
    isa = isa_of(path)
    found: dict[Tile, Loop] = {}
    for name, lines in functions(_output(["objdump", "-d", "-C", "--no-show-raw-insn", str(path)])):
        match = TILE.search(name)
        if not match:
            continue
        kind, type_, mode, height, vectors = match.groups()
        tile = Tile(isa, kind, type_, mode or "", int(height), int(vectors))
        for loop in inner_loops(lines):
            found[tile] = max(found.get(tile, loop), loop)
    return found


def isa_of(path: pathlib.Path) -> str:
    """Return the instruction set of an object by the one table that it exports."""
    match = re.search(r"\bkernels_(\w+)$", _output(["nm", "-C", "--defined-only", str(path)]), re.MULTILINE)
    return match.group(1) if match else path.stem


def functions(listing: str) -> Iterator[tuple[str, list[Line]]]:
    """Yield name and instructions of each function that objdump lists."""
    name, lines = "", list[Line]()
    for text in listing.splitlines():
        if head := FUNCTION.match(text):
            if lines:
                yield name, lines
            name, lines = head.group(1), []
        elif instruction := INSTRUCTION.match(text):
            lines.append(Line(int(instruction.group(1), 16), instruction.group(2)))
    if lines:
        yield name, lines


def inner_loops(lines: list[Line]) -> Iterator[Loop]:
    """Yield the loops of a function that multiply and hold no other loop; a loop is what a jump back spans."""
    place = {line.address: i for i, line in enumerate(lines)}
    spans = []
    for i, line in enumerate(lines):
        jump = JUMP.match(line.text)
        start = place.get(int(jump.group(1), 16)) if jump else None
        if start is not None and start <= i:
            spans.append((start, i))
    # %rbp is an ordinary register, but where the function makes it its frame
    framed = any(re.match(r"mov\s+%rsp,%rbp", line.text) for line in lines)
    for start, end in spans:
        if any(start <= s and e <= end and (s, e) != (start, end) for s, e in spans):
            continue
        texts = [line.text for line in lines[start : end + 1]]
        multiplications = sum(bool(MULTIPLIES.match(text)) for text in texts)
        if multiplications:
            stack = [t for t in texts if STACK_POINTER.search(t) or (framed and FRAME_POINTER.search(t))]
            yield Loop(len(stack), sum(bool(VECTOR.search(t)) for t in stack), multiplications)


def judge(tiles: dict[Tile, Loop], allow: int, allow_lower: int | None, *, vectors: bool, show_all: bool) -> int:
    """Print the table; returns 1 where a tile in use has more stack references than it may.

    Parameters
    ----------
    tiles : dict
    allow : int
        For the tallest of the widest tiles of each kind.
    allow_lower : int or None
        For those down to half of that height, which layers of more units than the tallest tile has rows are cut into. Lower
        ones serve smaller layers alone, and are never judged.
    vectors : bool
        Judge only vectors on the stack.
    show_all : bool
        Else: of each kind the tallest, and the worst of the others in use.

    Returns
    -------
    int
    """
    kinds: dict[tuple[str, str, str, str], list[Tile]] = {}
    for tile in sorted(tiles, key=lambda tile: (-tile.vectors, -tile.height)):
        kinds.setdefault(tile[:4], []).append(tile)
    bad = 0
    print(f"{'isa':<10}{'tile':<17}{'type':<8}{'mode':<6}{'rows x vectors':<16}{'on the stack':>12}{'vectors':>9}", end="")
    print(f"{'multiplications':>17}")
    for kind in sorted(kinds):
        full = kinds[kind][0]
        lower = [t for t in kinds[kind][1:] if t.vectors == full.vectors and 2 * t.height >= full.height]
        worst = max(lower, key=lambda tile: tiles[tile], default=None)
        for tile in kinds[kind]:
            loop = tiles[tile]
            limit = allow if tile == full else allow_lower if tile in lower else None
            too_many = limit is not None and (loop.vectors if vectors else loop.stack) > limit
            bad += too_many
            if show_all or too_many or tile == full or (tile == worst and loop.stack):
                role = "full height" if tile == full else "in use" if tile in lower else "small layers"
                size = f"{tile.height} x {tile.vectors}"
                print(f"{tile.isa:<10}{tile.kind:<17}{tile.type:<8}{tile.mode:<6}{size:<16}{loop.stack:>12}", end="")
                print(f"{loop.vectors:>9}{loop.multiplications:>17}   {role}{'  TOO MANY' if too_many else ''}")
    print(f"\n{len(tiles)} tiles with an inner loop; {bad} with too many {'vectors' if vectors else 'references'} on the stack")
    return 1 if bad else 0


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except subprocess.CalledProcessError as error:
        raise Error(f"{command[0]} failed: {error.stderr.strip()}") from None


if __name__ == "__main__":
    sys.exit(main())
