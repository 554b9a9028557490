"""Fixtures of the tracking's tests. MLflow is imported inside them: most tests here do without it."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.tracking.server.settings import QUIET, SHORT_TIMEOUTS
from tests import sweep_process

if TYPE_CHECKING:
    from tests.orchestrator.tracking_fixtures import Open, Reader

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when MLflow is imported
os.environ["HF_HUB_OFFLINE"] = "1"  # read when datasets is imported


@pytest.fixture(autouse=True)
def settings_of_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a tracker sets in the environment is taken back after the test."""
    for name in [*QUIET, *SHORT_TIMEOUTS, "NO_PROXY", "no_proxy"]:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A courier that hardly waits between its attempts."""
    from orchestrator.tracking.delivery import courier as tracking_courier

    monkeypatch.setattr(tracking_courier, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(tracking_courier, "CLOSING_PAUSE_S", 0.01)
    monkeypatch.setattr(tracking_courier, "LINGER_S", 0.01)
    monkeypatch.setattr(tracking_courier, "SET_ASIDE_S", 0.1)


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database as MLflow makes it, which takes a second or two: made once, copied for each test."""
    from mlflow import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def without_waiting_for_the_disk(connection: object, record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def folder(mlflow_database: Path, tmp_path: Path) -> Path:
    """A folder with an empty MLflow database."""
    from tests.orchestrator.database import copy_database

    copy_database(mlflow_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def opened(folder: Path) -> "Iterator[Open]":
    """Opens trackers of sweep "s", of the database in `folder` unless told otherwise."""
    from orchestrator.tracking.tracker import MlflowTracker
    from tests.orchestrator.database import sqlite_uri

    trackers: list[MlflowTracker] = []

    def open_tracker(uri: str | None = None, sweep: str = "s") -> MlflowTracker:
        outbox = folder / f"sweep-{sweep}"
        outbox.mkdir(exist_ok=True)
        trackers.append(MlflowTracker(uri or sqlite_uri(folder), sweep, outbox))
        return trackers[-1]

    yield open_tracker
    for tracker in trackers:
        tracker.close(0)


@pytest.fixture
def reader(folder: Path) -> "Reader":
    """Reads sweep "s" from the database in `folder`."""
    from tests.orchestrator.database import sqlite_uri
    from tests.orchestrator.tracking_fixtures import Reader

    return Reader(sqlite_uri(folder))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[sweep_process.Sweep, list[str]]:
    """A finished sweep of SMALL and what it printed; the third variant's trials diverge. Made once, by the
    first of the test processes that needs it: nobody changes it."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    above = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent
    folder = above / "small"
    with (above / "small.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep, printed = sweep_process.Sweep(folder), folder / "printed.txt"
        if not printed.exists():
            folder.mkdir()
            sweep_process.write_corpus(folder / "text.txt")
            (folder / "spec.yaml").write_text(sweep_process.SMALL)
            done = sweep.run("spec.yaml", "--name", "s")
            assert (done.returncode, done.stderr) == (0, "")
            assert sweep_process.processes_in(folder) == []  # none is left
            printed.write_text(done.stdout, encoding="utf-8")
    return sweep, printed.read_text(encoding="utf-8").splitlines()
