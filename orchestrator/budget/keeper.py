"""BudgetKeeper: ends a sweep at its caps, as a Ray Tune callback that looks every second."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from orchestrator.budget.caps import Caps, Used
from orchestrator.common.harmless import harmless
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.sweep_spec import SweepSpec

SECONDS_BETWEEN_LOOKS = 1.0


class BudgetKeeper(tune.Callback):
    """Counts what is used over all resumes. At a cap no trial is begun any more; those that run finish, or
    with `at_cap: checkpoint` the sweep is interrupted as by Ctrl-C.

    Args:
        say: a line for people.
    """

    def __init__(self, spec: SweepSpec, searcher: SweepSearcher, say: Callable[[str], None]) -> None:
        self.caps = Caps(spec.budget, spec.resources)
        self.used = Used()
        self.ended: str | None = None
        """The cap that was reached."""
        self.interrupted = False
        self._searcher, self._say = searcher, say
        self._last = time.monotonic()
        self._tokens: dict[str, float] = {}

    @harmless
    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_LOOKS:
            return
        running = sum(trial.status == Trial.RUNNING for trial in trials)
        self.used = self.used.after((now - self._last) / 3600, running)
        self._last = now
        if self.ended is None and (cap := self.caps.reached(self.used, datetime.now().astimezone())):
            self._end(cap)

    @harmless
    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if "tokens" in result["metrics"]:
            tokens = result["metrics"]["tokens"]
            more = tokens - self._tokens.get(trial.trial_id, 0.0)
            self._tokens[trial.trial_id] = tokens
            self.used = replace(self.used, tokens=self.used.tokens + more)

    def get_state(self) -> dict[str, Any]:
        return {"used": self.used, "tokens": dict(self._tokens)}

    def set_state(self, state: dict[str, Any]) -> None:
        self.used, self._tokens = state["used"], state["tokens"]

    def _end(self, cap: str) -> None:
        self.ended = cap
        self._searcher.close()
        if self.caps.budget.at_cap == "finish":
            self._say(f"{cap}; no more trials are begun; those that run finish")
        else:
            self.interrupted = True
            signal.raise_signal(signal.SIGINT)
