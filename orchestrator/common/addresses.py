"""Addresses of SQLite files and paths of users, read as the libraries behind them read them.

SQLAlchemy, and so MLflow, decodes an address: `%20` is a blank, and what follows `?` is a query. A folder
whose name has such a sign must be escaped, or the runs go to another file without a word.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

SQLITE = "sqlite:///"
_ESCAPES = {ord(sign): f"%{ord(sign):02X}" for sign in "%?#"}


def sqlite_file(address: str) -> Path | None:
    """The file behind an SQLite address as an absolute path; None for other addresses."""
    if not address.startswith(SQLITE):
        return None
    return Path(os.path.abspath(unquote(address.removeprefix(SQLITE).partition("?")[0])))


def sqlite_address(file: Path) -> str:
    """The address that means this file."""
    return f"{SQLITE}{str(file.absolute()).translate(_ESCAPES)}"


def home_expanded(key: str, path: str) -> Path:
    """The path with `~` and `~user` replaced.

    Raises:
        ValueError: nobody knows that user's home; `key` says where the path came from.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        user = path.partition("/")[0]
        raise ValueError(
            f"{key} must begin with a home that exists, got {user!r}, whose home nobody knows: {path!r};"
            " begin with ./ if that is a file's name"
        ) from None


def utf8_path(key: str, path: Path) -> Path:
    """The path itself.

    Raises:
        ValueError: its name is not UTF-8, which neither MLflow nor Ray can hold.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{key} must be a path in UTF-8, got {os.fsencode(path)!r}") from None
    return path
