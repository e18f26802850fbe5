"""Builds parts of the core with CMake, for the commands of this folder."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
SOURCE = FOLDER.parents[1]


class Error(Exception):
    """Something that is missing or went wrong, in words for the terminal."""


def build(folder: pathlib.Path, targets: list[str]) -> pathlib.Path:
    """Configure and build targets of the project's CMakeLists.txt.

    Parameters
    ----------
    folder : path
        For the build; kept, so that the next time only what changed is built.
    targets : list of str

    Returns
    -------
    path
        The folder.

    Raises
    ------
    Error
        If there is no cmake, or the build failed.
    """
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    cmake, ninja = shutil.which("cmake", path=path), shutil.which("ninja", path=path)
    if not cmake:
        raise Error("cmake: not found (pip install cmake ninja, or the system's own)")
    options = ["-DRETROGRAD_PYTHON=OFF", "-DRETROGRAD_BENCH=ON", "-DCMAKE_BUILD_TYPE=Release"]
    if ninja:
        options += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    steps = [
        [cmake, "-S", str(SOURCE), "-B", str(folder), *options],
        [cmake, "--build", str(folder), "-j", str(os.cpu_count() or 1), "--target", *targets],
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for step in steps:
        done = subprocess.run(step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            tail = "\n".join(done.stdout.splitlines()[-30:])
            raise Error(f"the build of {', '.join(targets)} failed:\n{tail}")
    return folder
