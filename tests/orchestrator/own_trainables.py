"""Trainables of the tests' own under the project's searcher and a real Ray Tune. It is what the programs that
start a Ray for them have in common."""

from __future__ import annotations

from collections.abc import Sequence

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.stopper import NoopStopper

from orchestrator.cluster.slots import Slots
from orchestrator.search.plan import SearchPlan
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials.outcomes import Outcomes
from orchestrator.trials.tune_trials import run_trials
from trainables.text.grammar import embedded_corpus


def trained(
    spec: SweepSpec,
    trainable: type[tune.Trainable],
    searcher: SweepSearcher | None = None,
    callbacks: Sequence[tune.Callback] = (),
    *,
    slots: Slots | None = None,
    resume: bool = False,
) -> list[Trial]:
    """The trials of the sweep, as `run_trials` gives them; the spec's folder has been prepared."""
    return run_trials(
        spec,
        embedded_corpus(0, (20, 10, 10)),
        searcher or SweepSearcher(SearchPlan.of(spec)),
        Outcomes(spec.checkpoint_folder),
        NoopStopper(),
        callbacks,
        slots=slots or Slots(spec, print),
        resume=resume,
        trainable=trainable,
    )
