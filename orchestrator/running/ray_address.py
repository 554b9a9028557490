"""Where Ray is to run, checked before anything is written: RAY_ADDRESS, or a folder on this machine.

Knows no Ray itself, which takes seconds to import.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
from pathlib import Path

from orchestrator.spec.errors import SpecError

PATIENCE_S = 10.0
LONGEST_FOLDER = 37
"""A socket's path has at most 107 bytes, and Ray's own part of it 70: its session, with date and process."""
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
    """Where a local Ray keeps its sockets; None where its own choice will do.

    Raises:
        SpecError: the folder for temporary files has too long a path, and there is no other.
    """
    usual = _usual_folder()
    if len(os.fsencode(usual)) <= LONGEST_FOLDER:
        return None
    for place in _PLACES:
        if os.access(place, os.W_OK | os.X_OK):
            return f"{place}/ray-{os.getuid()}"
    raise SpecError(
        f"TMPDIR must have at most {LONGEST_FOLDER} bytes, as Ray's sockets have long names,"
        f" got {len(os.fsencode(usual))}: {usual}"
    )


def _usual_folder() -> str:
    return os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
