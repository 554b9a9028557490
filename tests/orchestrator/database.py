"""The database that the tests' trackers write to and their readers read."""

import sqlite3
from contextlib import closing
from pathlib import Path

from orchestrator.common.addresses import sqlite_address


def sqlite_uri(folder: Path) -> str:
    """The address of `mlflow.db` in the folder."""
    return sqlite_address(folder.resolve() / "mlflow.db")


def copy_database(one: Path, other: Path) -> None:
    """Artifacts stay where they are."""
    with closing(sqlite3.connect(one)) as source, closing(sqlite3.connect(other)) as target:
        source.backup(target)
