"""When a trial is given up: after so many failures without an epoch more in between.

Tune counts all failures of a trial. On spot instances a long trial loses its node again and again, goes on
from its checkpoint each time, and would be given up though nothing is wrong with it.
"""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from orchestrator.common.harmless import harmless

FAILURES_A_TRIAL = 3


class Retries(tune.Callback):
    """Gives a trial that has come further than before all of its tries back."""

    def __init__(self) -> None:
        self._furthest: dict[str, int] = {}

    @harmless
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if trial.trial_id not in self._furthest:  # also of a trial that failed before a resume
            self._renew(trial)

    @harmless
    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if _epochs(trial) > self._furthest.get(trial.trial_id, 0):
            self._renew(trial)

    def _renew(self, trial: Trial) -> None:
        self._furthest[trial.trial_id] = _epochs(trial)
        trial.max_failures = trial.run_metadata.num_failures + FAILURES_A_TRIAL


def _epochs(trial: Trial) -> int:
    return int((trial.last_result or {}).get("training_iteration", 0))
