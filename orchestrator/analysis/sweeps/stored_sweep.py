"""A sweep as it was read back from where it was recorded. Knows no MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from optuna.distributions import BaseDistribution

from orchestrator.analysis.results import TrialResult
from orchestrator.search.objectives import Objective
from orchestrator.search.rounds import SeedRounds


@dataclass(frozen=True)
class StoredSweep:
    """What is left of a sweep when its folder is gone.

    Attributes:
        run_id: of MLflow's parent run.
        status: MLflow's: RUNNING, FINISHED, FAILED, KILLED.
        title: corpus and name, as over the sweep's own figures.
        corpus_digest: None where it was not recorded; sweeps with the same one share their test sentences.
        entropy_floor: of the corpus in nats per sentence, None where it is unknown.
        results: the trials in the sweep's order.
        rounds: how the number of fresh seeds was decided; None where it was not recorded.
        objective: what was searched for; None where it was not recorded.
        length: of each training, in words; None where it was not recorded.
        distributions: what was searched, by variant and knob.
        notes: what is missing, a sentence each.
    """

    name: str
    experiment_id: str
    run_id: str
    status: str
    title: str
    corpus_digest: str | None
    entropy_floor: float | None
    results: tuple[TrialResult, ...]
    rounds: SeedRounds | None = None
    objective: Objective | None = None
    length: str | None = None
    distributions: Mapping[str, Mapping[str, BaseDistribution]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
