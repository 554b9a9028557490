"""Commands that a message tells the user to type.

On the ground floor, because every room that says what to do next needs them.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def program(name: str) -> str:
    """How the user's shell finds a program of this Python's environment.

    The bare name where the environment is activated, else the path: `.venv/bin/mlflow`.
    """
    beside = Path(sys.executable).parent / name
    found = shutil.which(name)
    if not beside.exists() or (found is not None and Path(found) == beside):
        return name
    return from_here(beside)


def from_here(path: str | Path) -> str:
    """The path as one would type it here: relative, unless it climbs more than once."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir + os.sep + os.pardir) else relative


def sweep_command(name: str, storage: Path, flag: str) -> list[str]:
    """The words of the command that does something with an earlier sweep: `--resume`, say."""
    place = [] if storage == Path.cwd() / "sweeps" else ["--storage", from_here(storage)]
    return [program("python"), "-m", "orchestrator.sweep", flag, name, *place]
