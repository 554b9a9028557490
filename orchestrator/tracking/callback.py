"""The tracker as a Ray Tune callback: it runs in the driver's loop, so it never waits and never raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from orchestrator.analysis.results import ERROR
from orchestrator.common.harmless import harmless
from orchestrator.search.rungs import EARLY
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.tracking.delivery.entries import RunStatus
from orchestrator.tracking.server.links import FAILURE_TAG
from orchestrator.tracking.tracker import MlflowTracker


def _status(result: Mapping[str, Any]) -> RunStatus:
    """Of a trial that ended with this; KILLED also for one that was only begun."""
    failure = result.get("failure")
    if failure is None:
        return "FINISHED" if "final" in result else "KILLED"
    return "KILLED" if failure in EARLY else "FAILED"


class TrackingCallback(Callback):
    """Passes trials and their results to the tracker.

    A result holds "metrics" (name → value) and "epoch", the last one also "final" (name → value), that of
    a training that failed "failure" ("diverged", say) and "reason". `trial.config` is a
    `TrialPlan.config()`.
    """

    def __init__(self, tracker: MlflowTracker) -> None:
        self.tracker = tracker

    @harmless
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.tracker.start_trial(trial.trial_id, TrialPlan.from_config(trial.config), trials.index(trial))

    @harmless
    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        metrics = {**result.get("metrics", {}), **result.get("final", {})}
        step = int(result.get("epoch", result.get("training_iteration", 0)))
        if metrics:
            self.tracker.log_metrics(trial.trial_id, metrics, step)

    @harmless
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        result = trial.last_result
        if failure := result.get("failure"):
            tags = {str(failure): "true", FAILURE_TAG: str(failure)}
            tags["orchestrator.problem"] = str(result.get("reason"))
            self.tracker.tag_trials({trial.trial_id: tags})
        self.tracker.end_trial(trial.trial_id, _status(result))

    @harmless
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.on_trial_start(iteration, trials, trial)  # it may have failed before it came to that
        self.tracker.tag_trials({trial.trial_id: {FAILURE_TAG: ERROR}})
        self.tracker.end_trial(trial.trial_id, "FAILED")
