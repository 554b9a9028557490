"""Trials at a time, as the cluster grows and shrinks: a Ray Tune callback that looks every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from ray import tune
from ray.tune.experiment import Trial

from orchestrator.cluster.capacity import Capacity
from orchestrator.common.harmless import harmless
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec

SECONDS_BETWEEN_LOOKS = 2.0
PATIENCE_S = 60.0
"""So long nothing may run before it is said what is waited for."""


class Slots(tune.Callback):
    """How many trials run at a time, now and after each look.

    Args:
        spec: of the sweep; its `max_concurrent` goes before what fits.
        say: a line for people.

    Raises:
        SpecError: no node that is there, or may be started, can hold a trial.
    """

    def __init__(self, spec: SweepSpec, say: Callable[[str], None]) -> None:
        self.spec, self.say = spec, say
        self.capacity = Capacity.here()
        if problem := self.capacity.problem(spec.resources):
            raise SpecError(f"resources of a trial must fit on a node of the cluster, {problem}")
        self.changed: Callable[[int, int], object] = lambda fit, asked: None
        """Told how many trials fit and how many to ask for, when that has changed."""
        self._next_look = time.monotonic() + SECONDS_BETWEEN_LOOKS
        self._idle_since: float | None = None

    @property
    def fit(self) -> int:
        """Trials that run at a time on the cluster as it is; at least 1."""
        fits = max(1, self.capacity.fits(self.spec.resources))
        return fits if self.spec.max_concurrent is None else min(fits, self.spec.max_concurrent)

    @property
    def asked(self) -> int:
        """Trials to ask for, so that the cluster grows."""
        most = self.spec.max_concurrent
        return self.capacity.asks_for(self.spec.resources) if most is None else most

    def notes(self) -> list[str]:
        """What people should know before the first trial."""
        if self.spec.resources.share or not any(node.gpus for node in self.capacity.known):
            return []
        return ["there are GPUs and no trial asks for one: --gpus auto, or a share such as 0.25"]

    @harmless
    def on_step_end(self, iteration: int, trials: list[Trial], **info: object) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + SECONDS_BETWEEN_LOOKS
        before = (self.fit, self.asked)
        self.capacity = self.capacity.again()
        if (self.fit, self.asked) != before:
            self.changed(self.fit, self.asked)
        self._look_at_waiting(trials, now)

    def _look_at_waiting(self, trials: list[Trial], now: float) -> None:
        statuses = {trial.status for trial in trials}
        if Trial.RUNNING in statuses or Trial.PENDING not in statuses:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= PATIENCE_S:
            self._idle_since = now
            self.say(f"waiting for room: {self.capacity.waiting(self.spec.resources)}")
