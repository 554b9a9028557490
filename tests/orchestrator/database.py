"""The database that the tests' trackers write to and their readers read."""

from pathlib import Path

from orchestrator.common.addresses import sqlite_address


def sqlite_uri(folder: Path) -> str:
    """The address of `mlflow.db` in the folder."""
    return sqlite_address(folder.resolve() / "mlflow.db")
