"""Letters to MLflow requests: the module that talks to MLflow. Used from the outbox's thread alone."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException

from orchestrator.tracking_links import KIND_TAG, SWEEP_TAG, TRIAL_TAG, database_file, equals
from orchestrator.tracking_mail import SWEEP, Change, Letter, Opening, Point
from orchestrator.tracking_outbox import Refused

logger = logging.getLogger(__name__)

_TRY_AGAIN = {401, 403, 408, 429}
"""HTTP statuses below 500 that may go away by themselves."""


class MlflowStore:
    """The runs of one sweep, found by their tags or created.

    Args:
        tracking_uri: for sqlite the database is created, with artifacts in `mlartifacts` beside it.
        opening: for the sweep's parent run.

    Raises:
        Exception: whatever keeps MLflow from being used.
    """

    def __init__(self, tracking_uri: str, experiment: str, sweep: str, opening: Opening) -> None:
        database = database_file(tracking_uri)
        if database is not None:
            _prepare(database)
            tracking_uri = f"sqlite:///{database}"
        self._sweep = sweep
        self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        self.experiment_id = self._open_experiment(experiment, database)
        self._ids: dict[str, str] = {}
        self._found: dict[str, Run] = {}
        self._status: dict[str, str] = {}
        self._logged: dict[tuple[str, str], set[int]] = {}
        self._run_id(SWEEP, opening)

    def deliver(self, letter: Letter) -> int:
        """See `Store.deliver`."""
        with _refusals():
            run_id = self._run_id(letter.run, letter.opening)
            if letter.params:
                self._log_params(letter.run, run_id, letter.params)
            if letter.points:
                self._log_points(letter.run, run_id, letter.points)
            if letter.tags:
                tags = [RunTag(key, value) for key, value in letter.tags.items()]
                self._client.log_batch(run_id, tags=tags)
            if letter.change is not None:
                self._change(letter.run, run_id, letter.change)
            if letter.artifact is not None:
                if not letter.artifact.is_file():
                    raise Refused(f"no file {letter.artifact}")
                self._client.log_artifact(run_id, str(letter.artifact))
        return len(letter.points)

    def answers(self) -> bool:
        """See `Store.answers`."""
        try:
            self._client.get_experiment(self.experiment_id)
        except Exception:
            return False
        return True

    def tag_experiment(self, name: str, value: str) -> None:
        """Sets a tag that the sweep can do without."""
        try:
            self._client.set_experiment_tag(self.experiment_id, name, value)
        except MlflowException as error:
            logger.warning("no tag %s: %s", name, error)

    def _open_experiment(self, name: str, database: Path | None) -> str:
        experiment: Experiment | None = self._client.get_experiment_by_name(name)
        if experiment is None:
            place = None if database is None else (database.parent / "mlartifacts").as_uri()
            try:
                return str(self._client.create_experiment(name, artifact_location=place))
            except MlflowException:  # someone else may have been faster
                experiment = self._client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        if experiment.lifecycle_stage != "active":
            self._client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _run_id(self, run: str, opening: Opening | None) -> str:
        """The run's id. It is looked for first: a sweep may be resumed, an answer may have been lost."""
        if run in self._ids:
            return self._ids[run]
        mark = equals(KIND_TAG, "sweep") if run == SWEEP else equals(TRIAL_TAG, run)
        found = next(self._search(mark), None)
        if found is not None:
            self._found[run] = found
        elif opening is None:
            raise Refused(f"no run of trial {run!r} in sweep {self._sweep!r}")
        else:
            tags = {SWEEP_TAG: self._sweep, **opening.tags}
            if run != SWEEP:
                tags |= {TRIAL_TAG: run, "mlflow.parentRunId": self._ids[SWEEP]}
            found = self._client.create_run(self.experiment_id, opening.start_ms, tags, opening.name)
        self._status[run] = found.info.status
        self._ids[run] = str(found.info.run_id)
        return self._ids[run]

    def _search(self, condition: str) -> Iterator[Run]:
        """The sweep's runs with the condition, oldest first."""
        condition = f"{equals(SWEEP_TAG, self._sweep)} AND {condition}"
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id],
                condition,
                ViewType.ACTIVE_ONLY,
                1000,
                ["attributes.start_time ASC"],
                token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _log_params(self, run: str, run_id: str, params: Mapping[str, str]) -> None:
        """Params never change in MLflow: those from before the resume stay, with a warning if they differ."""
        logged: Mapping[str, str] = self._found[run].data.params if run in self._found else {}
        for name in params.keys() & logged.keys():
            if params[name] != logged[name]:
                where = f"trial {run}" if run else f"sweep {self._sweep}"
                logger.warning("%s of %s stays %r in MLflow, now %r", name, where, logged[name], params[name])
        new = [Param(name, value) for name, value in params.items() if name not in logged]
        if new:
            self._client.log_batch(run_id, params=new)

    def _log_points(self, run: str, run_id: str, points: Sequence[Point]) -> None:
        new = [point for point in points if run == SWEEP or point.step not in self._steps(run, point.key)]
        if new:
            metrics = [Metric(point.key, point.value, point.timestamp_ms, point.step) for point in new]
            self._client.log_batch(run_id, metrics=metrics)

    def _steps(self, run: str, key: str) -> set[int]:
        """The steps of a metric that were logged before the resume."""
        if run not in self._found or key not in self._found[run].data.metrics:
            return set()
        if (run, key) not in self._logged:
            history = self._client.get_metric_history(self._ids[run], key)
            self._logged[run, key] = {metric.step for metric in history}
        return self._logged[run, key]

    def _change(self, run: str, run_id: str, change: Change) -> None:
        if change.status == "RUNNING":
            if self._status[run] != "RUNNING":
                self._client.update_run(run_id, status="RUNNING")
        else:
            if run == SWEEP:
                self._end_leftovers(run_id, change.at_ms)
            self._client.set_terminated(run_id, change.status, change.at_ms)
        self._status[run] = change.status

    def _end_leftovers(self, sweep_run_id: str, at_ms: int) -> None:
        """Trials of a driver that was killed would stay RUNNING for ever."""
        for left in list(self._search("attributes.status = 'RUNNING'")):
            if left.info.run_id != sweep_run_id:
                self._client.set_terminated(left.info.run_id, "KILLED", at_ms)


def _prepare(database: Path) -> None:
    """Switches the database to a write-ahead log, which stays on: batches take a fraction of the time.

    It also finds out at once whether the file can be used; MLflow would try for minutes.
    """
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # its errors are reported by us
    database.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(database, timeout=5)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
    except sqlite3.Error as error:
        raise OSError(f"{error}: {database}") from error


@contextmanager
def _refusals() -> Iterator[None]:
    """Turns MLflow's errors that will be the same next time into `Refused`."""
    try:
        yield
    except MlflowException as error:
        status: int = error.get_http_status_code()  # type: ignore[no-untyped-call]
        if status < 500 and status not in _TRY_AGAIN:
            raise Refused(str(error)) from error
        raise
