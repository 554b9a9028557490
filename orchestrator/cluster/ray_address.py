"""Where Ray is to run, checked before anything is written: RAY_ADDRESS, or a folder on this machine.

Knows no Ray itself, which takes seconds to import.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from pathlib import Path

from orchestrator.spec.errors import SpecError

PATIENCE_S = 10.0
LONGEST_FOLDER = 37
"""A socket's path has at most 107 bytes, and Ray's own part of it 70: its session, with date and process."""
LEAST_FREE = 100_000_000
_PLACES = ("/tmp", "/var/tmp")
_ADDRESS = re.compile(r"(?:ray://)?(?P<host>[^/:\s]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")


def check_ray_address() -> None:
    """Checks that somebody answers where RAY_ADDRESS says, if it says so.

    Raises:
        SpecError: it is no address of Ray's, or nobody answers within `PATIENCE_S`.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    if not address or address == "local":
        return
    if address == "auto":
        known = Path(_usual_folder(), "ray", "ray_current_cluster")
        if not known.is_file():
            raise SpecError(f"RAY_ADDRESS=auto must find a running Ray, got none: {known} is missing")
        address = known.read_text(encoding="utf-8").strip()
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise SpecError(f"RAY_ADDRESS must be HOST:PORT, ray://HOST:PORT or auto, got {address!r}")
    try:
        socket.create_connection((match["host"].strip("[]"), int(match["port"])), PATIENCE_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise SpecError(
            f"RAY_ADDRESS must be that of a Ray that answers, got {address!r}: {reason};"
            " start it, or unset RAY_ADDRESS to use this machine"
        ) from None


def ray_folder() -> str | None:
    """Where a local Ray keeps its sockets and logs; None where its own choice will do.

    Raises:
        SpecError: the folder for temporary files is full or has too long a path, and there is no other.
    """
    usual = _usual_folder()
    problem = _problem(usual)
    if problem is None:
        return None
    for place in _PLACES:
        if place != usual and _problem(place) is None:
            return f"{place}/ray-{os.getuid()}"
    raise SpecError(f"TMPDIR must be a folder {problem}: {usual}")


def _problem(folder: str) -> str | None:
    """Why Ray cannot live there."""
    length = len(os.fsencode(folder))
    if length > LONGEST_FOLDER:
        rule = f"of at most {LONGEST_FOLDER} bytes, as Ray's sockets have long names"
        return f"{rule}, got {length}"
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return f"that can be written, got {error.strerror!r}"
    if free < LEAST_FREE:
        return f"with {LEAST_FREE // 10**6} MB free or more, got {free / 1e6:.0f} MB"
    return None


def _usual_folder() -> str:
    return os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
