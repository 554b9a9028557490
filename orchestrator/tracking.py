"""The tracker: what a sweep tells MLflow. With its `tracking_…` neighbours the only place that knows MLflow.

A sweep is a parent run, each of its trials a child run. Nothing here waits for MLflow or raises because
of it, but `start_sweep` and `close`, which wait for as long as they are told to.
"""

from __future__ import annotations

import json
import math
import os
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.records import TrialPlan
from orchestrator.tracking_limits import (
    LONGEST_NAME,
    name_problem,
    shortened_markdown,
    without_password,
)
from orchestrator.tracking_links import (
    KIND_TAG,
    absolute_uri,
    equals,
    is_server,
    sqlite_uri,
    sweep_link,
    ui_address,
    ui_command,
)
from orchestrator.tracking_mail import SWEEP, Change, Mailbox, Opening, Point, Status
from orchestrator.tracking_outbox import Delivery, Outbox, Store, now_ms
from orchestrator.tracking_trial import trial_opening, trial_params
from orchestrator.tracking_view import view, view_link, view_tag

__all__ = [
    "Delivery",
    "MlflowTracker",
    "Status",
    "sqlite_uri",
    "sweep_link",
    "ui_address",
    "ui_command",
    "view_link",
]

EXPERIMENT = "text-vae-sweep"
SHORT_TIMEOUTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""A request to a dead server then fails within seconds and is made again by us; MLflow's own: minutes."""


class MlflowTracker:
    """Writes one sweep to MLflow from a background thread; continues those of an earlier run of the command.

    Args:
        tracking_uri: `sqlite:///…/mlflow.db`, or the address of an MLflow server.
        sweep: the name that ties the runs of a sweep together, before and after a resume.

    Raises:
        ValueError: for a name of a sweep that MLflow cannot search for.
    """

    def __init__(self, tracking_uri: str, sweep: str) -> None:
        if not 0 < len(sweep) <= LONGEST_NAME:
            raise ValueError(f"a sweep's name must have 1 to {LONGEST_NAME} characters, got {sweep!r}")
        equals("sweep", sweep)
        tracking_uri = absolute_uri(tracking_uri)
        self.tracking_uri, self.sweep = tracking_uri, sweep
        self.experiment_id: str | None = None
        """Known once MLflow has answered."""
        self._outbox = Outbox(self._open_store, f"MLflow at {without_password(tracking_uri)}")
        self._opening = Opening(sweep, {KIND_TAG: "sweep"}, now_ms())
        self._knobs: tuple[str, ...] = ()
        self._openings: dict[str, Opening] = {}
        self._last_step: dict[tuple[str, str], int] = {}

    @property
    def link(self) -> str | None:
        """Link to the sweep's runs in the user interface; None while MLflow has not answered."""
        if self.experiment_id is None:
            return None
        return sweep_link(ui_address(self.tracking_uri), self.experiment_id, self.sweep)

    @property
    def comparison_link(self) -> str | None:
        """Link to charts of all trials: NLL over KL, knobs, curves; None while MLflow has not answered."""
        if self.experiment_id is None:
            return None
        return view_link(ui_address(self.tracking_uri), self.experiment_id, self.sweep)

    def start_sweep(
        self,
        *,
        params: Mapping[str, str] | None = None,
        spec_path: Path | None = None,
        knobs: Sequence[str] = (),
        wait_s: float = 15.0,
    ) -> str | None:
        """Opens MLflow and the parent run, or continues it; waits at most `wait_s` seconds for that.

        For a server it sets MLflow's environment variables for short timeouts, unless they are set.

        Args:
            knobs: the searched ones, for the comparison of trials.

        Returns:
            What is wrong if MLflow did not answer. The sweep can go on: logging is tried again.
        """
        if is_server(self.tracking_uri):
            for name, value in SHORT_TIMEOUTS.items():
                os.environ.setdefault(name, value)
        self._knobs = tuple(knobs)
        with suppress(Exception):  # imported here and not first in the thread; its failure shows there again
            import orchestrator.tracking_store  # noqa: F401
        mail = Mailbox.describing(params=params)
        mail.change = Change("RUNNING", now_ms())
        if spec_path is not None:
            mail.artifacts.append(spec_path)
        self._outbox.post(SWEEP, mail)
        return self._outbox.wait_connected(wait_s)

    def start_trial(self, trial_id: str, plan: TrialPlan) -> None:
        """Opens the trial's run, or continues it."""
        mail = Mailbox()
        if trial_id not in self._openings:
            self._openings[trial_id] = trial_opening(plan, now_ms())
            mail = Mailbox.describing(params=trial_params(plan))
        mail.change = Change("RUNNING", now_ms())
        self._post(trial_id, mail)

    def log_metrics(self, trial_id: str, metrics: Mapping[str, float], step: int) -> None:
        """Logs an epoch's metrics; a step that a metric has already had is skipped.

        Values that are not finite are dropped and the run is tagged `diverged`: MLflow's tables and
        filters cannot cope with them.
        """
        points, finite = self._points(metrics, step)
        fresh = [point for point in points if point.step > self._last_step.get((trial_id, point.key), -1)]
        self._last_step |= {(trial_id, point.key): point.step for point in fresh}
        self._post(trial_id, Mailbox(points=deque(fresh), tags={} if finite else {"diverged": "true"}))

    def tag_trials(self, tags: Mapping[str, Mapping[str, str]]) -> None:
        """Sets tags of trials, by trial id; also of trials that ended before the resume."""
        for trial_id, of_trial in tags.items():
            self._post(trial_id, Mailbox.describing(tags=of_trial))

    def log_tables(self, trial_id: str, paths: Sequence[Path]) -> None:
        """Logs JSON files with "columns" and "data", which the user interface shows as tables."""
        logged = [{"path": path.name, "type": "table"} for path in paths]
        mail = Mailbox.describing(tags={"mlflow.loggedArtifacts": json.dumps(logged)})
        mail.artifacts += paths
        self._post(trial_id, mail)

    def end_trial(self, trial_id: str, status: Status) -> None:
        """Ends the trial's run."""
        self._post(trial_id, Mailbox(change=Change(status, now_ms())))

    def finish_sweep(
        self,
        *,
        status: Status,
        metrics: Mapping[str, float] | None = None,
        artifacts: Sequence[Path] = (),
        note: str | None = None,
    ) -> None:
        """Ends the parent run, after everything of the trials; runs of the sweep still open are KILLED.

        Args:
            metrics: a summary; a resumed sweep replaces that of the earlier run of the command.
            note: Markdown, shown above the run.
        """
        mail = Mailbox()
        mail.points += self._points(metrics or {}, 0)[0]
        if note is not None:
            mail.tags["mlflow.note.content"] = shortened_markdown(note)
        mail.artifacts += artifacts
        mail.change = Change(status, now_ms())
        self._outbox.post(SWEEP, mail)

    def close(self, timeout: float) -> Delivery:
        """Delivers the rest, for at most that many seconds; what became of everything. Ends the tracker."""
        return self._outbox.close(timeout)

    def undelivered(self) -> dict[str, Mailbox]:
        """What still waits for each trial: to be kept where a resume finds it."""
        return {run: box for run, box in self._outbox.waiting().items() if run != SWEEP}

    def redeliver(self, waiting: Mapping[str, Mailbox]) -> None:
        """Takes over what was left undelivered before the resume; harmless if it was delivered after all."""
        for trial_id, box in waiting.items():
            if box.opening is not None:
                self._openings.setdefault(trial_id, box.opening)
            fresh = [
                point for point in box.points if point.step > self._last_step.get((trial_id, point.key), -1)
            ]
            for point in fresh:
                self._last_step[trial_id, point.key] = point.step
            self._post(trial_id, replace(box, points=deque(fresh)))

    def _post(self, trial_id: str, mail: Mailbox) -> None:
        mail.opening = self._openings.get(trial_id)
        self._outbox.post(trial_id, mail)

    def _points(self, metrics: Mapping[str, float], step: int) -> tuple[list[Point], bool]:
        """The points that MLflow can hold, and whether all values were finite."""
        points, finite, timestamp_ms = [], True, now_ms()
        for name, value in metrics.items():
            if problem := name_problem(name):
                self._outbox.lose(1, f"a metric's {problem}")
            elif math.isfinite(value):
                points.append(Point(name, float(value), int(step), timestamp_ms))
            else:
                finite = False
        return points, finite

    def _open_store(self) -> Store:
        from orchestrator.tracking_store import MlflowStore

        store = MlflowStore(self.tracking_uri, EXPERIMENT, self.sweep, self._opening)
        store.tag_experiment(view_tag(self.sweep), view(self.sweep, self._knobs))
        self.experiment_id = store.experiment_id
        return store
