"""A trial as a finished sweep has recorded it: what was asked for, with what, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.common.environment import Environment
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.sweep_spec import SweepSpec

Points = Mapping[tuple[str, int], float]
"""Metric and epoch to value."""


@dataclass(frozen=True)
class RecordedTrial:
    """One trial of a sweep.

    Attributes:
        digest: of the corpus; None where none is recorded.
        environment: what the sweep ran with; None where that is not recorded.
        finished: whether it was trained to its end.
        failure: why it failed, such as "diverged"; None where it did not.
        points: its metrics, those of a later examination too.
    """

    sweep: str
    trial_id: str
    plan: TrialPlan
    spec: SweepSpec
    digest: str | None
    environment: Environment | None
    finished: bool
    failure: str | None
    points: Points


class NoTrialError(ValueError):
    """What was asked for is not the recorded run of a trial, or lacks what it takes to train it again."""
