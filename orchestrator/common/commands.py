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
    relative = os.path.relpath(beside)
    return str(beside) if relative.startswith(os.pardir + os.sep + os.pardir) else relative


def sweep_command(name: str, storage: Path, flag: str) -> list[str]:
    """The words of the command that does something with an earlier sweep: `--resume`, say."""
    place = [] if storage == Path.cwd() / "sweeps" else ["--storage", os.path.relpath(storage)]
    return [program("python"), "-m", "orchestrator.sweep", flag, name, *place]
