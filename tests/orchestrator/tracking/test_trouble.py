"""The tracker in trouble: databases that cannot be opened, drivers that were killed, what is handed on."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.running.delivery_view import deliver
from orchestrator.tracking.tracker import MlflowTracker
from tests.orchestrator.tracking_fixtures import Open, Reader, complete, delivered, plan


def test_nothing_is_left_running(opened: Open, reader: Reader) -> None:
    """Neither trials of this run of the command, nor those of a driver that was killed."""
    dead = opened()
    dead.start_sweep()
    dead.start_trial("t0", plan())
    assert delivered(dead, 30)
    tracker = opened()
    tracker.start_sweep()
    tracker.start_trial("t1", plan())
    tracker.start_trial("t2", plan())
    tracker.end_trial("t2", "FINISHED")
    tracker.finish_sweep(status="KILLED")
    assert tracker.close(30).complete
    statuses = {trial_id: run.info.status for trial_id, run in reader.trials().items()}
    assert statuses == {"t0": "KILLED", "t1": "KILLED", "t2": "FINISHED"}
    assert reader.parent().info.status == "KILLED"
    assert all(run.info.end_time >= run.info.start_time for run in reader.runs())


def test_an_experiment_that_was_deleted_comes_back(opened: Open, reader: Reader) -> None:
    tracker = opened()
    tracker.start_sweep()
    tracker.close(30)
    assert tracker.experiment_id is not None
    reader.client.delete_experiment(tracker.experiment_id)
    tracker = opened()
    assert tracker.start_sweep() is None
    tracker.close(30)
    assert reader.parent().info.status == "RUNNING"


def test_a_database_that_cannot_be_opened(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    tracker = opened(f"sqlite:///{tmp_path}/file/mlflow.db")
    problem = tracker.start_sweep(params={"a": "b"})
    assert problem is not None
    assert f"sqlite:///{tmp_path}/file/mlflow.db" in problem
    tracker.start_trial("t0", plan())
    tracker.log_metrics("t0", {"nll": 1.0, "kl": 2.0}, 1)
    tracker.end_trial("t0", "FINISHED")
    tracker.finish_sweep(status="FINISHED", artifacts=[tmp_path / "missing"])
    start = time.monotonic()
    delivery = tracker.close(30)
    assert time.monotonic() - start < 5, "a store that never answered is not waited for"
    assert (delivery.points_delivered, delivery.points_waiting) == (0, 2)
    assert delivery.others_waiting > 2
    assert delivery.error == problem
    assert tracker.link is None
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1, "one warning, not one an attempt"


def test_a_database_that_can_be_opened_later(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "later").write_text("")
    uri = f"sqlite:///{tmp_path}/later/mlflow.db"
    tracker = opened(uri)
    assert tracker.start_sweep() is not None
    tracker.start_trial("t0", plan())
    tracker.log_metrics("t0", {"nll": 1.0}, 1)
    (tmp_path / "later").unlink()
    assert delivered(tracker, 30)
    assert tracker.close(30) == complete(1)
    assert Reader(uri).history("t0", "nll") == [(1, 1.0)]


def test_a_locked_database_holds_nobody_up(opened: Open, reader: Reader, folder: Path) -> None:
    tracker = opened()
    assert tracker.start_sweep() is None
    with closing(sqlite3.connect(folder / "mlflow.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        tracker.start_trial("t0", plan())
        for epoch in range(100):
            tracker.log_metrics("t0", {"nll": float(epoch)}, epoch)
        tracker.end_trial("t0", "FINISHED")
        assert time.monotonic() - start < 0.5
        assert not delivered(tracker, 0.5)
        other.rollback()
    assert tracker.close(30) == complete(100)
    assert reader.history("t0", "nll") == [(epoch, float(epoch)) for epoch in range(100)]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, whatever Tune has left in this process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_control_c_ends_the_waiting(opened: Open, folder: Path) -> None:
    tracker = opened()
    assert tracker.start_sweep() is None
    with closing(sqlite3.connect(folder / "mlflow.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        tracker.start_trial("t0", plan())
        tracker.log_metrics("t0", {"nll": 1.0, "kl": 2.0}, 1)
        interrupt = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        interrupt.start()
        start = time.monotonic()
        delivery = deliver(tracker, Console(quiet=True), patience=60)
        assert time.monotonic() - start < 10
        interrupt.join()
        other.rollback()
    assert (delivery.points_delivered, delivery.points_waiting, delivery.undelivered) == (0, 2, True)


def test_lost_files_and_unknown_trials_are_counted(opened: Open, folder: Path) -> None:
    tracker = opened()
    tracker.start_sweep()
    tracker.tag_trials({"nobody": {"frontier": "true"}})
    tracker.finish_sweep(status="FINISHED", artifacts=[folder / "missing.png"])
    delivery = tracker.close(30)
    assert (delivery.points_refused, delivery.others_refused, delivery.undelivered) == (0, 2, False)
    assert delivery.error == "no run of trial 'nobody' in sweep 's'"
    tracker.log_metrics("t0", {"nll": 1.0}, 1)
    assert tracker.close(0).points_waiting == 1


def test_what_was_not_delivered_is_in_the_outbox(opened: Open, reader: Reader, folder: Path) -> None:
    """A driver is killed while the database is locked; its successor delivers what it left."""
    first = opened()
    first.start_sweep()
    first.start_trial("t0", plan())
    first.log_metrics("t0", {"nll": 1.0}, 1)
    delivered(first, 30)
    with closing(sqlite3.connect(folder / "mlflow.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        first.log_metrics("t0", {"nll": 2.0}, 2)
        first.start_trial("t1", plan(cycles=9))
        first.log_metrics("t1", {"nll": 1.0}, 1)
        first.end_trial("t1", "FINISHED")
        delivery = first.close(0)
        assert (delivery.points_waiting, delivery.undelivered) == (2, True)
    second = opened()
    second.start_sweep()
    second.start_trial("t0", plan())
    second.log_metrics("t0", {"nll": 3.0}, 3)
    assert second.close(30).complete
    assert reader.history("t0", "nll") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert reader.history("t1", "nll") == [(1, 1.0)]
    assert reader.trials()["t1"].info.status == "FINISHED"
    assert reader.trials()["t1"].data.params["cycles"] == "9"


def test_another_database_gets_everything(opened: Open, reader: Reader, folder: Path) -> None:
    """As it is found in the first one, times included; then the first one again, once more all of it."""
    first = opened()
    first.start_sweep(params={"epochs": "2"})
    first.start_trial("t0", plan())
    for epoch in (1, 2):
        first.log_metrics("t0", {"nll": 1.0 / epoch, "kl": 0.1}, epoch)
    first.end_trial("t0", "FINISHED")
    first.finish_sweep(status="FINISHED", metrics={"hypervolume": 1.0})
    assert first.close(30) == complete(5)
    elsewhere = f"sqlite:///{folder}/other.db"
    for uri in (elsewhere, None):
        again = opened(uri)
        assert again.ended
        assert again.connect(30) is None
        assert again.close(30) == complete(5)

    def stored(known: Reader) -> list[tuple[object, ...]]:
        run = known.trials()["t0"]
        histories = [known.client.get_metric_history(run.info.run_id, key) for key in ("nll", "kl")]
        points = [
            (point.key, point.step, point.value, point.timestamp) for found in histories for point in found
        ]
        about = (run.info.status, run.info.start_time, run.info.end_time, run.info.run_name)
        return [*sorted(points), about, tuple(sorted(run.data.params.items()))]

    here = stored(reader)
    assert len(here) == 6
    assert stored(Reader(elsewhere)) == here
    assert reader.parent().data.params == Reader(elsewhere).parent().data.params == {"epochs": "2"}
    assert Reader(elsewhere).parent().data.metrics == {"hypervolume": 1.0}


def test_another_sweep_of_the_same_name(opened: Open, reader: Reader, folder: Path) -> None:
    """Its folder is gone, or it is on another machine: the two would end each other's runs."""
    first = opened()
    first.start_sweep()
    first.start_trial("t0", plan())
    assert first.close(30).complete
    (folder / "elsewhere").mkdir()
    second = MlflowTracker(first.tracking_uri, "s", folder / "elsewhere")
    problem = second.start_sweep()
    assert problem is not None
    assert problem.startswith("a sweep's name must be new in MLflow, got 's', which one has that began at 20")
    assert second.refused
    second.finish_sweep(status="FAILED")
    assert second.close(30).undelivered
    assert reader.parent().info.status == reader.trials()["t0"].info.status == "RUNNING"


def test_a_parent_that_was_deleted_gets_its_trials_back(opened: Open, reader: Reader) -> None:
    first = opened()
    first.start_sweep()
    for trial_id in ("t0", "t1"):
        first.start_trial(trial_id, plan())
        first.log_metrics(trial_id, {"nll": 1.0}, 1)
        first.end_trial(trial_id, "FINISHED")
    assert first.close(30).complete
    before = {trial_id: run.info.run_id for trial_id, run in reader.trials().items()}
    reader.client.delete_run(reader.parent().info.run_id)
    second = opened()
    second.start_sweep()
    second.finish_sweep(status="FINISHED")
    assert second.close(30).complete
    parent, trials = reader.parent().info, reader.trials()
    assert {trial_id: run.info.run_id for trial_id, run in trials.items()} == before
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {parent.run_id}
    assert reader.history("t0", "nll") == [(1, 1.0)]


def test_importing_starts_nothing() -> None:
    program = (
        "import os, sys, threading\n"
        "before = dict(os.environ)\n"
        "import orchestrator.tracking.tracker, orchestrator.tracking.shown.view\n"
        "assert dict(os.environ) == before\n"
        "assert threading.active_count() == 1\n"
        "assert not {'mlflow', 'ray'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
