"""A home folder that cannot be written, as services and containers have.

Ray keeps a token there and matplotlib a cache: both are told of another place, before they are imported.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path


def do_without_home() -> None:
    """Does nothing where the home folder can be written."""
    try:
        home = Path.home()
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return
    except (OSError, RuntimeError):
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir(), f"matplotlib-{os.getuid()}")))
