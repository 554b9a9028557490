"""Opens an MLflow that is there already: within seconds or not at all, and without making anything."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.store.db.utils import create_sqlalchemy_engine

from orchestrator.common.addresses import sqlite_file
from orchestrator.common.problems import StoreError, reason, without_password
from orchestrator.tracking.server.links import is_server
from orchestrator.tracking.server.settings import LONG_TIMEOUTS, QUIET, SHORT_TIMEOUTS, past_proxies, settings

_TABLE = "experiments"
_SECONDS = 5.0


@contextmanager
def check_store(tracking_uri: str) -> Iterator[None]:
    """Checks that something answers there, then holds short timeouts for the block's first request.

    Raises:
        StoreError: nothing answers; also for what MLflow raises in the block.
    """
    place = without_password(tracking_uri)
    try:
        database = sqlite_file(tracking_uri)
        if database is not None:
            _check_file(database)
        elif not is_server(tracking_uri):
            _check_database(tracking_uri)
        with settings(SHORT_TIMEOUTS), settings(past_proxies(tracking_uri), over=True):
            yield
    except StoreError:
        raise
    except Exception as error:  # of MLflow, of a database's driver, of the network
        raise StoreError(
            f"the tracking URI must be that of an MLflow that answers, got {place}: {reason(error)}"
        ) from error


@contextmanager
def patient(tracking_uri: str) -> Iterator[None]:
    """Long timeouts in the block: a server that has answered may take its time over a thousand runs."""
    with settings(LONG_TIMEOUTS | QUIET), settings(past_proxies(tracking_uri), over=True):
        yield


def _check_file(database: Path) -> None:
    """MLflow would make a database that is missing, and try for minutes to open one that is broken."""
    if not database.is_file():
        raise StoreError(f"the tracking URI must be that of a database that exists, got no file {database}")
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=_SECONDS)) as opened:
            tables = opened.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [_TABLE]).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"the tracking URI must be that of a database, got {error}: {database}") from error
    if not tables:
        raise StoreError(f"the tracking URI must be that of a database of MLflow, got another: {database}")


def _check_database(tracking_uri: str) -> None:
    """One try at a database server, where MLflow makes ten."""
    parts = urlsplit(tracking_uri)
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), timeout=_SECONDS).close()
    if not parts.scheme.startswith(("postgresql", "mysql", "mssql")):
        return
    engine = create_sqlalchemy_engine(tracking_uri)  # type: ignore[no-untyped-call]
    try:
        engine.connect().close()
    finally:
        engine.dispose()
