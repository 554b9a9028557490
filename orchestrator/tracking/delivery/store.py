"""Entries to MLflow requests: the module that talks to MLflow. Used from the courier's thread alone."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from functools import singledispatchmethod
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    InputTag,
    Metric,
    Param,
    Run,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException

from orchestrator.common.addresses import sqlite_address, sqlite_file
from orchestrator.tracking.delivery.courier import Refused
from orchestrator.tracking.delivery.entries import (
    SWEEP,
    Aliases,
    Artifact,
    Change,
    Input,
    Note,
    Opening,
    Params,
    SavedModel,
    Tags,
    View,
)
from orchestrator.tracking.delivery.placeholders import filled
from orchestrator.tracking.delivery.requests import Content, Points
from orchestrator.tracking.models.registry import latest_version, log_model, point_aliases, register
from orchestrator.tracking.server.links import KIND_TAG, SWEEP_TAG, TRIAL_TAG, equals
from orchestrator.tracking.server.settings import ONCE, UPLOAD, settings

logger = logging.getLogger(__name__)

_FINAL = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"}
"""What MLflow itself says of a request that is wrong. A database in trouble is BAD_REQUEST to it, and a
gateway's 404 is ENDPOINT_NOT_FOUND: these may go away."""


class MlflowStore:
    """The runs of one sweep, found by their tags or created.

    Args:
        tracking_uri: for sqlite the database is created, with artifacts in `mlartifacts` beside it.
        folder: the sweep's; artifacts are named relative to it.
        openings: how each run is created, the sweep's parent run under `SWEEP`; more may be added later.

    Raises:
        Refused: MLflow has another sweep of this name.
        Exception: whatever keeps MLflow from being used.
    """

    def __init__(
        self, tracking_uri: str, experiment: str, sweep: str, folder: Path, openings: Mapping[str, Opening]
    ) -> None:
        database = sqlite_file(tracking_uri)
        if database is not None:
            _prepare(database)
            tracking_uri = sqlite_address(database)
        self._sweep, self._folder, self._openings = sweep, folder, openings
        self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        self.experiment_id = self._open_experiment(experiment, database)
        self._ids: dict[str, str] = {}
        self._found: dict[str, Run] = {}
        self._status: dict[str, str] = {}
        self._tried: set[str] = set()
        self._is_new = next(self._search(None), None) is None
        self._run_id(SWEEP)

    @property
    def parent_id(self) -> str:
        """Id of the sweep's parent run."""
        return self._ids[SWEEP]

    def deliver(self, content: Content) -> None:
        """See `Store.deliver`."""
        with _refusals():
            self._write(content, self._run_id(content.run))

    def answers(self) -> bool:
        """See `Store.answers`."""
        try:
            self._client.get_experiment(self.experiment_id)
        except Exception:
            return False
        return True

    @singledispatchmethod
    def _write(self, content: Content, run_id: str) -> None:
        raise TypeError(f"MLflow has no place for {content!r}")

    @_write.register
    def _(self, content: Opening, run_id: str) -> None:
        """Looking for the run has made it."""

    @_write.register
    def _(self, content: Params, run_id: str) -> None:
        """Params never change in MLflow: those that it has stay, with a warning if they differ."""
        run, params = content.run, content.values
        logged: Mapping[str, str] = self._found[run].data.params if run in self._found else {}
        for name in params.keys() & logged.keys():
            if params[name] != logged[name]:
                where = f"trial {run}" if run else f"sweep {self._sweep}"
                logger.warning("%s of %s stays %r in MLflow, now %r", name, where, logged[name], params[name])
        new = [Param(name, value) for name, value in params.items() if name not in logged]
        if new:
            self._client.log_batch(run_id, params=new)

    @_write.register
    def _(self, content: Points, run_id: str) -> None:
        points = content.points
        metrics = [Metric(point.key, point.value, point.at_ms, point.step) for point in points]
        self._client.log_batch(run_id, metrics=metrics)

    @_write.register
    def _(self, content: Tags, run_id: str) -> None:
        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in content.values.items()])

    @_write.register
    def _(self, content: View, run_id: str) -> None:
        self._client.set_experiment_tag(self.experiment_id, content.name, content.value)

    @_write.register
    def _(self, content: Input, run_id: str) -> None:
        source = json.dumps({"corpus": content.source})
        dataset = Dataset(content.name, content.digest, "corpus", source, None, content.profile)
        context = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(run_id, [DatasetInput(dataset, [context])])

    @_write.register
    def _(self, content: Artifact, run_id: str) -> None:
        path = self._folder / content.path
        if not path.is_file():
            raise Refused(f"no file {path}")
        with settings(UPLOAD, over=True):
            self._client.log_artifact(run_id, str(path))

    @_write.register
    def _(self, content: SavedModel, run_id: str) -> None:
        folder = self._folder / content.folder
        if not folder.is_dir():
            raise Refused(f"no model {folder}")
        tags = {SWEEP_TAG: self._sweep, TRIAL_TAG: content.run}
        model_id = log_model(self._client, self.experiment_id, run_id, folder, content.name, tags=tags)
        register(self._client, content.registered_name, model_id, run_id, content.tags)

    @_write.register
    def _(self, content: Aliases, run_id: str) -> None:
        versions = {
            alias: latest_version(self._client, content.registered_name, self._run_id(trial_id))
            for alias, trial_id in content.trials.items()
        }
        known = {alias: version for alias, version in versions.items() if version is not None}
        point_aliases(self._client, content.registered_name, known)

    @_write.register
    def _(self, content: Note, run_id: str) -> None:
        text = filled(content.text, self.experiment_id, self._run_id)
        self._client.set_tag(run_id, "mlflow.note.content", text)

    @_write.register
    def _(self, content: Change, run_id: str) -> None:
        run, status = content.run, content.status
        if status == "RUNNING":
            if self._status[run] != "RUNNING":
                self._client.update_run(run_id, status="RUNNING")
        else:
            if run == SWEEP:
                self._end_leftovers(run_id, content.at_ms)
            self._client.set_terminated(run_id, status, content.at_ms)
        self._status[run] = status

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

    def _run_id(self, run: str) -> str:
        """The run's id. It is looked for before it is made: a sweep may be resumed, an answer may have been
        lost. Of a sweep that has just been made there is none yet."""
        if run in self._ids:
            return self._ids[run]
        mark = equals(KIND_TAG, "sweep") if run == SWEEP else equals(TRIAL_TAG, run)
        looking = run == SWEEP or not self._is_new or run in self._tried
        found = next(self._search(mark), None) if looking else None
        self._tried.add(run)
        if found is not None:
            self._found[run] = found
            if run == SWEEP:
                self._check_same(found)
            elif found.data.tags.get("mlflow.parentRunId") != self._ids[SWEEP]:
                self._client.set_tag(found.info.run_id, "mlflow.parentRunId", self._ids[SWEEP])
        elif run not in self._openings:
            raise Refused(f"no run of trial {run!r} in sweep {self._sweep!r}")
        else:
            opening = self._openings[run]
            tags = {SWEEP_TAG: self._sweep, **opening.tags}
            if run != SWEEP:
                tags |= {TRIAL_TAG: run, "mlflow.parentRunId": self._ids[SWEEP]}
            with settings(ONCE, over=True):  # sent again by MLflow's client it would make two
                found = self._client.create_run(self.experiment_id, opening.at_ms, tags, opening.name)
        self._status[run] = found.info.status
        self._ids[run] = str(found.info.run_id)
        return self._ids[run]

    def _check_same(self, parent: Run) -> None:
        """Two sweeps would end each other's runs, and a report would mix them."""
        began_ms = self._openings[SWEEP].at_ms
        if parent.info.start_time != began_ms:
            other, own = (datetime.fromtimestamp(ms / 1000) for ms in (parent.info.start_time, began_ms))
            raise Refused(
                f"a sweep's name must be new in MLflow, got {self._sweep!r}, which one has that began at"
                f" {other:%Y-%m-%d %H:%M:%S} (this one: {own:%Y-%m-%d %H:%M:%S}): choose another --name, or"
                " delete its runs there"
            )

    def _search(self, condition: str | None) -> Iterator[Run]:
        """The sweep's runs with the condition, oldest first."""
        of_sweep = equals(SWEEP_TAG, self._sweep)
        condition = of_sweep if condition is None else f"{of_sweep} AND {condition}"
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

    def _end_leftovers(self, sweep_run_id: str, at_ms: int) -> None:
        """Trials of a driver that was killed would stay RUNNING for ever."""
        for left in list(self._search("attributes.status = 'RUNNING'")):
            run = left.data.tags.get(TRIAL_TAG, SWEEP)
            if self._ids.get(run, left.info.run_id) != left.info.run_id:
                self._client.delete_run(left.info.run_id)  # made twice: an answer was lost
            elif left.info.run_id != sweep_run_id:
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
        if error.error_code in _FINAL:
            raise Refused(str(error)) from error
        raise
