"""How long trainings of earlier sweeps were, so that a plan need not guess where validation ends them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.common.problems import StoreError
from orchestrator.recorded.sweep_reader import SweepReader
from orchestrator.search.costs import Trained
from orchestrator.search.plan import SearchPlan
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.text.batches import count_batches
from trainables.text.splits import Corpus

SWEEPS = 5


@dataclass(frozen=True)
class EarlierLengths:
    """What the trainings of each variant took in these sweeps, the latest first."""

    sweeps: tuple[str, ...] = ()
    trained: Mapping[str, Trained] = field(default_factory=dict)

    @property
    def epochs(self) -> dict[str, float]:
        """By variant."""
        return {variant: each.epochs for variant, each in self.trained.items()}

    @classmethod
    def of(cls, spec: SweepSpec, plan: SearchPlan, corpus: Corpus) -> EarlierLengths:
        """From the sweeps in MLflow over the same text and of the same length: trainings that have the fixed
        knobs of `plan`. None where there is no MLflow yet, or it does not answer."""
        try:
            found = SweepReader(spec.tracking_uri).trainings(corpus.digest, str(spec.epochs), SWEEPS)
        except StoreError:
            return cls()
        fixed = [(each.variant, each.knobs) for each in (*plan.baselines, *plan.variants)]
        trained: dict[str, list[Trained]] = defaultdict(list)
        used = []
        for sweep, trainings in found.items():
            alike = [each for each in trainings if (each.plan.variant, _fixed(each.plan)) in fixed]
            used += [sweep] if alike else []
            for each in alike:
                an_epoch = count_batches(corpus.train, each.plan.build().batch_size)
                epochs = each.optimizer_steps / an_epoch
                trained[each.plan.variant].append(Trained(epochs, epochs + each.inner_steps / an_epoch))
        return cls(tuple(used), {variant: _mean(several) for variant, several in trained.items()})


def _fixed(plan: TrialPlan) -> Mapping[str, object]:
    return {knob: value for knob, value in plan.knobs.items() if knob not in plan.searched}


def _mean(several: list[Trained]) -> Trained:
    return Trained(
        statistics.fmean(each.epochs for each in several), statistics.fmean(each.cost for each in several)
    )
