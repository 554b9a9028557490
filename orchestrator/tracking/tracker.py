"""The tracker: what a sweep tells MLflow. With the rooms below it alone it writes to MLflow.

A sweep is a parent run, each of its trials a child run. All that is said goes to the outbox in the sweep's
folder first and from there to MLflow, in a thread. Nothing here waits for MLflow or raises because of it, but
`start_sweep`, `connect` and `close`, which wait for as long as they are told to, and the links, which ask a
server for its version once.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from orchestrator.common.problems import without_password
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.tracking.delivery.clock import Clock
from orchestrator.tracking.delivery.courier import Courier, Store
from orchestrator.tracking.delivery.entries import (
    SWEEP,
    Aliases,
    Artifact,
    Change,
    Entry,
    Input,
    Metrics,
    Note,
    Opening,
    RunStatus,
    SavedModel,
    View,
    param_entries,
    tag_entries,
)
from orchestrator.tracking.delivery.outbox import Outbox, Waiting
from orchestrator.tracking.delivery.outcome import Delivery
from orchestrator.tracking.delivery.placeholders import EXPERIMENT as EXPERIMENT_ID
from orchestrator.tracking.delivery.placeholders import of_run
from orchestrator.tracking.server.limits import LONGEST_NAME, name_problem, shortened_markdown
from orchestrator.tracking.server.links import (
    KIND_TAG,
    absolute_uri,
    equals,
    is_server,
    sweep_link,
    ui_address,
)
from orchestrator.tracking.server.settings import QUIET, SHORT_TIMEOUTS, past_proxies, set_unless_set
from orchestrator.tracking.server.version import knows_view
from orchestrator.tracking.shown.note import NoteTargets
from orchestrator.tracking.shown.trial import trial_opening, trial_params
from orchestrator.tracking.shown.view import view, view_link, view_page, view_tag
from search_spaces.space import Distributions

EXPERIMENT = "text-vae-sweep"


class MlflowTracker:
    """Writes one sweep to MLflow from a background thread; continues those of an earlier run of the command.

    Args:
        tracking_uri: `sqlite:///…/mlflow.db`, or the address of an MLflow server.
        sweep: the name that ties the runs of a sweep together, before and after a resume.
        folder: the sweep's, where its outbox is.

    Raises:
        ValueError: for a name of a sweep that MLflow cannot search for.
        OSError: the outbox cannot be opened.
    """

    def __init__(self, tracking_uri: str, sweep: str, folder: Path) -> None:
        if not 0 < len(sweep) <= LONGEST_NAME:
            raise ValueError(f"a sweep's name must have 1 to {LONGEST_NAME} characters, got {sweep!r}")
        equals("sweep", sweep)
        tracking_uri = absolute_uri(tracking_uri)
        self.tracking_uri, self.sweep, self.folder = tracking_uri, sweep, folder
        self.experiment_id: str | None = None
        """Known once MLflow has answered."""
        self._outbox = Outbox(folder)
        self._clock = Clock(self._outbox.latest_ms)
        if SWEEP not in self._outbox.openings:
            self._outbox.append(Opening(SWEEP, self._clock.now_ms(), sweep, {KIND_TAG: "sweep"}))
        self._courier = Courier(self._outbox, self._open_store, f"MLflow at {without_password(tracking_uri)}")

    @property
    def link(self) -> str | None:
        """Link to the sweep's runs in the user interface; None while MLflow has not answered."""
        if self.experiment_id is None:
            return None
        return sweep_link(ui_address(self.tracking_uri), self.experiment_id, self.sweep)

    @property
    def comparison_link(self) -> str | None:
        """Link to charts of all trials: NLL over KL, knobs, curves; None while MLflow has not answered, and
        where it does not know such a view."""
        if self.experiment_id is None or not self._view_is_known:
            return None
        return view_link(ui_address(self.tracking_uri), self.experiment_id, self.sweep)

    def note_targets(self, trial_ids: Iterable[str], artifacts: Sequence[str], figure: str) -> NoteTargets:
        """What the sweep's note links to, with placeholders for ids."""
        table = sweep_link("", EXPERIMENT_ID, self.sweep).lstrip("/")
        return NoteTargets(
            EXPERIMENT_ID,
            of_run(SWEEP),
            {trial_id: of_run(trial_id) for trial_id in trial_ids},
            view_page(EXPERIMENT_ID, self.sweep) if self._view_is_known else table,
            artifacts,
            figure,
        )

    @cached_property
    def _view_is_known(self) -> bool:
        return knows_view(self.tracking_uri)

    def start_sweep(
        self,
        *,
        params: Mapping[str, str] | None = None,
        files: Sequence[Path] = (),
        text: Input | None = None,
        spaces: Mapping[str, Distributions] | None = None,
        trials: int = 0,
        wait_s: float = 15.0,
    ) -> str | None:
        """Opens MLflow and the parent run, or continues it; waits at most `wait_s` seconds for that.

        Args:
            files: what the sweep runs by: spec, environment.
            text: the corpus.
            spaces: the searched knobs of each variant, for the comparison of trials.
            trials: how many there will be, of all kinds.

        Returns:
            What is wrong if MLflow did not answer. The sweep can go on: logging is tried again.
        """
        self._prepare()
        self._post([*param_entries(SWEEP, params or {}), Change(SWEEP, self._clock.now_ms(), "RUNNING")])
        self._post([View(SWEEP, view_tag(self.sweep), view(self.sweep, spaces or {}, trials=trials))])
        self._post([text] if text is not None else [])
        self._post(self._artifacts(SWEEP, files))
        return self.connect(wait_s)

    def connect(self, wait_s: float) -> str | None:
        """Opens MLflow and begins to deliver what the outbox holds; waits at most that many seconds.

        It sets MLflow's environment variables of `QUIET`, and for a server those of `SHORT_TIMEOUTS`, unless
        they are set.

        Returns:
            What is wrong if MLflow did not answer.
        """
        self._prepare()
        self._courier.wake()
        return self._courier.wait_connected(wait_s)

    def start_trial(self, trial_id: str, plan: TrialPlan, number: int = 0) -> None:
        """Opens the trial's run, or continues it; `number` is its place in the sweep."""
        if trial_id not in self._outbox.openings:
            params = param_entries(trial_id, trial_params(plan))
            self._post([trial_opening(trial_id, plan, number, self._clock.now_ms()), *params])
        self._post([Change(trial_id, self._clock.now_ms(), "RUNNING")])

    def log_metrics(self, trial_id: str, metrics: Mapping[str, float], step: int) -> None:
        """Logs an epoch's metrics; a step that a metric has already had is skipped.

        Values that are not finite are dropped and the run is tagged `diverged`: MLflow's tables and
        filters cannot cope with them.
        """
        values, finite = self._checked(metrics)
        fresh = {name: value for name, value in values.items() if self._outbox.is_new(trial_id, name, step)}
        if fresh:
            self._post([Metrics(trial_id, self._clock.now_ms(), step, fresh)])
        if not finite:
            self.tag_trials({trial_id: {"diverged": "true"}})

    def tag_trials(self, of_trials: Mapping[str, Mapping[str, str]]) -> None:
        """Sets tags of trials, by trial id; also of trials that ended before the resume."""
        for trial_id, values in of_trials.items():
            self._post(tag_entries(trial_id, values))

    def log_tables(self, trial_id: str, paths: Sequence[Path]) -> None:
        """Logs JSON files with "columns" and "data", which the user interface shows as tables."""
        logged = [{"path": path.name, "type": "table"} for path in paths]
        self._post(tag_entries(trial_id, {"mlflow.loggedArtifacts": json.dumps(logged)}))
        self._post(self._artifacts(trial_id, paths))

    def log_model(self, trial_id: str, folder: Path, name: str, tags: Mapping[str, str]) -> None:
        """Logs the model that `models.saved.save_model` has written; registers it under the sweep's name.

        Args:
            tags: of the registered version.
        """
        place = str(folder.relative_to(self.folder))
        self._post([SavedModel(trial_id, place, name, self.sweep, tags)])

    def point_aliases(self, trials: Mapping[str, str]) -> None:
        """Lets aliases of the registered model point to the trials' versions (alias → trial id)."""
        self._post([Aliases(SWEEP, self.sweep, trials)])

    def end_trial(self, trial_id: str, status: RunStatus) -> None:
        """Ends the trial's run."""
        self._post([Change(trial_id, self._clock.now_ms(), status)])

    def finish_sweep(
        self,
        *,
        status: RunStatus,
        metrics: Mapping[str, float] | None = None,
        artifacts: Sequence[Path] = (),
        note: str | None = None,
    ) -> None:
        """Ends the parent run, after everything of the trials; runs of the sweep still open are KILLED.

        Args:
            metrics: a summary; a resumed sweep replaces that of the earlier run of the command.
            note: Markdown, shown above the run; with placeholders for ids.
        """
        values, _ = self._checked(metrics or {})
        self._post([Metrics(SWEEP, self._clock.now_ms(), 0, values)] if values else [])
        self._post([] if note is None else [Note(SWEEP, shortened_markdown(note))])
        self._post(self._artifacts(SWEEP, artifacts))
        self._post([Change(SWEEP, self._clock.now_ms(), status)])

    @property
    def ended(self) -> bool:
        """Whether the sweep has been told to have ended."""
        return self._outbox.status not in (None, "RUNNING")

    @property
    def closed(self) -> bool:
        """Whether the tracker has been closed."""
        return self._courier.closed

    @property
    def refused(self) -> bool:
        """Whether MLflow does not take the sweep at all: it has another one of this name."""
        return self._courier.turned_away

    def waiting(self) -> Waiting:
        """What is still to be delivered."""
        return self._courier.waiting()

    def close(self, patience: float, watch: Callable[[int, float], None] | None = None) -> Delivery:
        """Delivers the rest, as long as something arrives within that many seconds; what became of
        everything. Ends the tracker.

        Args:
            watch: told now and then how many points and other entries are settled, and for how many seconds
                nothing has arrived.
        """
        return self._courier.close(patience, watch)

    def _prepare(self) -> None:
        """What has to be before the thread begins."""
        os.environ.update(past_proxies(self.tracking_uri))
        set_unless_set(QUIET | SHORT_TIMEOUTS if is_server(self.tracking_uri) else QUIET)
        with suppress(Exception):  # imported here and not first in the thread; its failure shows there again
            import orchestrator.tracking.delivery.store  # noqa: F401

    def _post(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._outbox.append(entry)
        self._courier.wake()

    def _artifacts(self, run: str, paths: Sequence[Path]) -> list[Entry]:
        """The files, named relative to the sweep's folder, so that it can be moved before they are sent."""
        return [
            Artifact(
                run,
                str(path.relative_to(self.folder) if path.is_relative_to(self.folder) else path.absolute()),
            )
            for path in paths
        ]

    def _checked(self, metrics: Mapping[str, float]) -> tuple[dict[str, float], bool]:
        """The values that MLflow can hold, and whether all were finite."""
        values, finite = {}, True
        for name, value in metrics.items():
            if problem := name_problem(name):
                self._courier.note_refused(1, f"{name!r}: {value!r}", f"a metric's {problem}")
            elif math.isfinite(value):
                values[name] = float(value)
            else:
                finite = False
        return values, finite

    def _open_store(self) -> Store:
        from orchestrator.tracking.delivery.store import MlflowStore

        store = MlflowStore(self.tracking_uri, EXPERIMENT, self.sweep, self.folder, self._outbox.openings)
        self.experiment_id = store.experiment_id
        return store
