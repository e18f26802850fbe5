"""The commands of `python -m retrograd` and how they end: exit codes, Ctrl-C, a reader that has gone."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .. import _core
from . import bench, demo, info


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; default ``sys.argv[1:]``.

    Returns
    -------
    int
        Exit code: 0; 1 where reading, writing or a measurement failed; 2 on wrong usage; 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="python -m retrograd", description="Dense neural networks on a CPU.")
    parser.add_argument("--version", action="version", version=f"retrograd {_core.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    of_demo = commands.add_parser("demo", help="train on handwritten digits: accuracy, learning curve, speed beside NumPy")
    demo.add_arguments(of_demo)
    of_demo.set_defaults(run=demo.run)
    of_bench = commands.add_parser("bench", help="compare the speed with NumPy over a set of workloads")
    bench.add_arguments(of_bench)
    of_bench.set_defaults(run=bench.run)
    of_info = commands.add_parser("info", help="versions, instruction set, threads")
    of_info.set_defaults(run=info.run)
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # our reader has gone (`... | head`): stay quiet, also when Python flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, RuntimeError) as error:
        print(f"{arguments.command}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{arguments.command}: interrupted", file=sys.stderr)
        return 130
    return code
