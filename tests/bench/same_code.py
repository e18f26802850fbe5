"""Compare the machine code of two object files function by function, whatever order the functions stand in.

It answers whether a change of the sources changed what the processor runs. It measures no time, and it does not say
which of two different functions is better: `spills.py` and `compare.py` help there.
"""

import argparse
import difflib
import pathlib
import re
import subprocess
from collections.abc import Iterator

# "0000000000001a40 <name>:" begins a function; "    1a43:\tvmovups ..." is an instruction; "\t\t\t1a45: R_X86_64_PC32\tsym-0x4"
# a relocation of the instruction before it
HEAD = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s*(.*?)\s*$")
RELOCATION = re.compile(r"^\s*([0-9a-f]+): (R_\w+)\s+(\S+?)([+-]0x[0-9a-f]+)?$")
TARGET = re.compile(r"\b[0-9a-f]+ (<[^>]+>)")
PADDING = re.compile(r"^(data16|cs|nop|xchg +%ax,%ax)")
CONSTANTS = re.compile(r"^\.rodata\.cst(\d+)$")


def main() -> int:
    """Compare the objects that the command line names; 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=pathlib.Path, help="object file, not stripped")
    parser.add_argument("after", type=pathlib.Path, help="object file, not stripped")
    parser.add_argument("--show", metavar="NAME", help="print the differences of the functions whose name contains this")
    arguments = parser.parse_args()

    before, after = functions_of(arguments.before), functions_of(arguments.after)
    both = sorted(before.keys() & after.keys())
    different = [name for name in both if before[name] != after[name]]
    print(
        f"{len(before)} functions before, {len(after)} after: {len(both) - len(different)} identical, "
        f"{len(different)} different"
    )
    for title, names in (
        ("different", different),
        ("only before", sorted(before.keys() - after.keys())),
        ("only after", sorted(after.keys() - before.keys())),
    ):
        for name in names:
            print(f"{title}: {demangled(name)} ({len(before.get(name, []))} -> {len(after.get(name, []))} instructions)")
    if arguments.show:
        for name in different:
            if arguments.show in demangled(name):
                print("\n".join(difflib.unified_diff(before[name], after[name], demangled(name), lineterm="", n=2)))
    return 1 if different or before.keys() != after.keys() else 0


def functions_of(path: pathlib.Path) -> dict[str, list[str]]:
    """
    Disassemble an object file.

    Parameters
    ----------
    path : path
        An object file with its symbols.

    Returns
    -------
    dict
        The instructions of each function by its (mangled) name: without addresses, jumps relative to the function they
        end in, numbers from memory by their value, padding behind the last instruction left out.
    """
    functions: dict[str, list[str]] = {}
    sections: dict[str, bytes] = {}
    lines: list[tuple[int, str]] = []
    symbols: list[tuple[int, str, str]] = []  # of the instruction with this place in `lines`: relocation, symbol, addend
    name = None
    for line in [*output("objdump", "-dr", "--no-show-raw-insn", str(path)).splitlines(), "0 <end>:"]:
        if head := HEAD.match(line):
            if name is not None:
                functions[name] = list(normal(path, lines, symbols, sections))
            name, lines, symbols = head.group(1), [], []
        elif relocation := RELOCATION.match(line):
            place, kind, symbol, addend = relocation.groups()
            symbols.append((len(lines) - 1, kind, f"{symbol} {int(addend or '0', 16)} {place}"))
        elif instruction := INSTRUCTION.match(line):
            lines.append((int(instruction.group(1), 16), TARGET.sub(r"\1", instruction.group(2))))
    return functions


def normal(
    path: pathlib.Path, lines: list[tuple[int, str]], symbols: list[tuple[int, str, str]], sections: dict[str, bytes]
) -> Iterator[str]:
    """
    Bring one function into a form that does not depend on where it lies.

    Parameters
    ----------
    path : path
        The object file, for its constants.
    lines : list of tuple
        Address and text of each instruction.
    symbols : list of tuple
        Index of the instruction, kind of relocation, and "symbol addend address".
    sections : dict
        What has been read of the constants so far.

    Yields
    ------
    str
        An instruction.
    """
    referred: dict[int, str] = {}
    for index, kind, text in symbols:
        symbol, addend, place = text.split()
        after = lines[index + 1][0] if index + 1 < len(lines) else int(place, 16) + 4
        offset = int(addend) + (after - int(place, 16) if "PC" in kind or "PLT" in kind else 0)
        constants = CONSTANTS.match(symbol)
        if constants:  # which of the constants it is, by its bytes
            size = int(constants.group(1))
            content = sections.setdefault(symbol, section(path, symbol))
            start = offset // size * size
            referred[index] = f"{content[start : start + size].hex()}[{offset - start}]"
        elif symbol.startswith((".rodata", ".data", ".L")):  # tables of jumps, arrays: their content is not compared
            referred[index] = symbol.split(".LC")[0]
        else:
            referred[index] = f"{symbol}{offset:+}"
    last = len(lines)
    while last and PADDING.match(lines[last - 1][1]):
        last -= 1
    for index, (_, text) in enumerate(lines[:last]):
        if index in referred:  # the text holds an address that the linker will fill in
            text = re.sub(r"0x[0-9a-f]+\(%rip\)|<[^>]+>", "", text).split("#")[0].strip()
        yield f"{text} {referred.get(index, '')}".strip()


def section(path: pathlib.Path, name: str) -> bytes:
    """Read the content of a section of an object file."""
    rows = re.findall(r"^ [0-9a-f]+ ((?:[0-9a-f]{2,8} ){1,4})", output("objdump", "-s", "-j", name, str(path)), re.MULTILINE)
    return bytes.fromhex("".join(rows))


def demangled(name: str) -> str:
    """Write a function's name as the sources do."""
    return output("c++filt", name).strip()


def output(*command: str) -> str:
    """Run a command and return what it prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    raise SystemExit(main())
