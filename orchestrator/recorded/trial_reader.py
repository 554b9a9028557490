"""Reads one trial of a finished sweep back from MLflow."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from orchestrator.common.environment import Environment
from orchestrator.common.problems import reason, without_password
from orchestrator.recorded.trial import NoTrialError, Points, RecordedTrial
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.sweep_spec import SPEC_FILE, SweepSpec
from orchestrator.tracking.about import ENVIRONMENT
from orchestrator.tracking.server.links import (
    FAILURE_TAG,
    KIND_TAG,
    PLAN_TAG,
    SWEEP_TAG,
    TRIAL_TAG,
    absolute_uri,
    equals,
)
from orchestrator.tracking.server.opening import check_store, patient
from orchestrator.tracking.tracker import EXPERIMENT
from trainables.common.hints import hint

_RUN_ID = re.compile(r"[0-9a-f]{32}")


def recorded_trial(tracking_uri: str, run: str) -> RecordedTrial:
    """The trial of that run.

    Args:
        run: a run's id, or `SWEEP/TRIALID`.

    Raises:
        NoTrialError: there is no such run, it is not a trial's, or something is not recorded.
        SpecError: the recorded spec is not valid, for this version of the program.
        StoreError: there is no MLflow there, or it does not answer within seconds.
    """
    tracking_uri = absolute_uri(tracking_uri)
    with check_store(tracking_uri):
        reader = _Reader(tracking_uri)
    try:
        with patient(tracking_uri):
            return reader.trial(reader.find(run))
    except (MlflowException, OSError) as error:
        place = without_password(tracking_uri)
        raise NoTrialError(f"{run} cannot be read from {place}: {reason(error)}") from error


class _Reader:
    def __init__(self, tracking_uri: str) -> None:
        self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        self._experiment = self._client.get_experiment_by_name(EXPERIMENT)

    def find(self, wanted: str) -> Run:
        sweep, slash, trial_id = wanted.rpartition("/")
        if slash:
            return self._of_sweep(sweep, trial_id)
        if not _RUN_ID.fullmatch(wanted):
            raise NoTrialError(f"RUN must be the id of an MLflow run or SWEEP/TRIALID, got {wanted!r}")
        try:
            run: Run = self._client.get_run(wanted)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise NoTrialError(f"RUN must be a run that MLflow knows, got {wanted!r}") from None
        return run

    def trial(self, run: Run) -> RecordedTrial:
        tags = run.data.tags
        sweep = tags.get(SWEEP_TAG)
        if sweep is None:
            raise NoTrialError(f"RUN must be a run of one of this program's sweeps, got {run.info.run_id!r}")
        if tags.get(KIND_TAG) == "sweep":
            trials = self._trials(sweep)
            raise NoTrialError(f"RUN must be a trial's, got the run of the sweep {sweep!r}; {trials}")
        if PLAN_TAG not in tags:
            raise NoTrialError(f"the run must have the tag {PLAN_TAG}, got none: an older version wrote it")
        parent = self._client.get_run(tags["mlflow.parentRunId"])
        spec, environment = self._files(parent)
        failed = run.info.status == "FAILED"
        return RecordedTrial(
            sweep=sweep,
            trial_id=tags[TRIAL_TAG],
            plan=TrialPlan.from_config(json.loads(tags[PLAN_TAG])),
            spec=spec,
            digest=parent.data.params.get("digest"),
            environment=environment,
            finished=run.info.status == "FINISHED",
            failure=tags.get(FAILURE_TAG, "diverged" if "diverged" in tags else "error") if failed else None,
            points=self._points(run),
        )

    def _of_sweep(self, sweep: str, trial_id: str) -> Run:
        found = self._search(f"{_condition(SWEEP_TAG, sweep)} AND {_condition(TRIAL_TAG, trial_id)}")
        if found:
            return found[0]
        if not self._search(_condition(SWEEP_TAG, sweep)):
            raise NoTrialError(f"RUN must be of a sweep that MLflow knows, got {sweep!r}")
        trials = self._trials(sweep, f"{sweep}/{trial_id}")
        raise NoTrialError(f"RUN must be a trial of the sweep {sweep!r}, got {trial_id!r}; {trials}")

    def _trials(self, sweep: str, wanted: str = "") -> str:
        """The nearest of the sweep's trials, or all."""
        runs = self._search(_condition(SWEEP_TAG, sweep))
        known = sorted(run.data.tags[TRIAL_TAG] for run in runs if TRIAL_TAG in run.data.tags)
        return hint(wanted, (f"{sweep}/{trial_id}" for trial_id in known))

    def _search(self, condition: str) -> list[Run]:
        if self._experiment is None:
            return []
        return list(self._client.search_runs([self._experiment.experiment_id], condition, max_results=1000))

    def _files(self, parent: Run) -> tuple[SweepSpec, Environment | None]:
        run_id = parent.info.run_id
        names = {file.path for file in self._client.list_artifacts(run_id)}
        if SPEC_FILE not in names:
            raise NoTrialError(f"the sweep's run must hold {SPEC_FILE}, got none: run {run_id}")
        with tempfile.TemporaryDirectory() as scratch:
            spec = SweepSpec.load(Path(self._client.download_artifacts(run_id, SPEC_FILE, scratch)))
            if ENVIRONMENT not in names:
                return spec, None
            text = Path(self._client.download_artifacts(run_id, ENVIRONMENT, scratch)).read_text("utf-8")
        try:
            return spec, Environment.from_json(text)
        except ValueError:  # of another version: then nothing is known
            return spec, None

    def _points(self, run: Run) -> Points:
        return {
            (key, point.step): point.value
            for key in run.data.metrics
            for point in self._client.get_metric_history(run.info.run_id, key)
        }


def _condition(tag: str, value: str) -> str:
    try:
        return equals(tag, value)
    except ValueError as error:
        raise NoTrialError(f"RUN: {error}") from None
