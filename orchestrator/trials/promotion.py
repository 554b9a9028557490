"""Promotion: asynchronous successive halving in Ray Tune, the promoting kind: trials pause, some go on.

Ray Tune forgets a scheduler's state when a driver is restarted. So this has none: the searcher knows who
pauses and who goes on, and its state travels in its checkpoint.
"""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from orchestrator.search.prospects import DOMINATED, why_dominated
from orchestrator.search.rungs import NOT_PROMOTED
from orchestrator.search.sweep_searcher import SweepSearcher


class Promotion(FIFOScheduler):
    """Pauses trials, lets them go on and ends them as the searcher says. A trial that pauses has been saved,
    holds nothing, and goes on wherever there is room."""

    def __init__(self, searcher: SweepSearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._searcher = searcher
        self._trials: dict[str, Trial] = {}
        self._number: dict[str, int] = {}
        self._dominated: dict[str, int] = {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """After a restart Tune takes what had paused for pending, and what had been given up while it paused
        too; the searcher knows better. And it remembers what was to become of a trial that was being saved
        as the driver stopped: it would carry that out at the trial's next save, wherever that one stands."""
        tune_controller._tune_controller._cached_trial_decisions.pop(trial.trial_id, None)
        self._trials[trial.trial_id] = trial
        self._number[trial.trial_id] = len(self._number)
        ended = trial.status in (Trial.TERMINATED, Trial.ERROR) and _has_result(trial)
        if trial.trial_id in self._searcher.pauses.given_up:
            self._mark(trial)
            trial.set_status(Trial.TERMINATED)  # type: ignore[no-untyped-call]
        elif trial.trial_id in self._searcher.pauses.waiting and not ended:
            trial.set_status(Trial.PAUSED)  # type: ignore[no-untyped-call]

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Of a flat result."""
        if "standing/behind" not in result:
            return self.CONTINUE
        behind, nll, kl = (result[f"standing/{name}"] for name in ("behind", "nll", "kl"))
        if self._searcher.is_dominated(trial.trial_id, behind, nll, kl):
            self._dominated[trial.trial_id] = behind
            return self.STOP
        return self.PAUSE if self._searcher.reached(trial.trial_id, behind, nll, kl) else self.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Tune has kept the last result by now, and neither the searcher nor any callback has seen that the
        trial has ended."""
        if (behind := self._dominated.pop(trial.trial_id, None)) is not None:
            trial.last_result.update(failure=DOMINATED, reason=why_dominated(behind))

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Called at every step of Tune's loop, so here those that pause are ended, too."""
        if self._settled:
            for trial_id in self._searcher.give_up():
                self._mark(self._trials[trial_id])
                tune_controller.stop_trial(self._trials[trial_id])
            if self._searcher.resting:  # a resume goes on with them
                for trial_id in self._searcher.pauses.waiting:
                    tune_controller.stop_trial(self._trials[trial_id])
        promoted = self._searcher.promotable()
        if promoted is not None and self._is_saved(promoted) and self._searcher.promote(promoted):
            return self._trials[promoted]
        # Of those that have not ended, as there may be thousands that have; the first that was added.
        pending = (trial for trial in tune_controller.get_live_trials() if trial.status == Trial.PENDING)
        return min(pending, key=lambda trial: self._number[trial.trial_id], default=None)

    @property
    def _settled(self) -> bool:
        """Whether all that pause have been saved."""
        return all(self._is_saved(trial_id) for trial_id in self._searcher.pauses.waiting)

    def _is_saved(self, trial_id: str) -> bool:
        return self._trials[trial_id].status == Trial.PAUSED

    def _mark(self, trial: Trial) -> None:
        reason = self._searcher.pauses.given_up[trial.trial_id]
        trial.last_result.update(failure=NOT_PROMOTED, reason=reason)


def _has_result(trial: Trial) -> bool:
    return bool(trial.last_result.get("final") or trial.last_result.get("failure"))
