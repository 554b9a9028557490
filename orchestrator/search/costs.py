"""What a trial costs before any has run, in epochs of joint training: what plans and estimates go by.

An epoch of aggressive training takes some 40 times as many steps as another, so trials are not compared by
their number.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.length import Length
from trainables.variants import BASELINE

INNER_STEPS = 45.0
"""Inner steps an update until a sweep has shown its own: He et al.'s rule takes 40 to 44 on three corpora."""
LONGER, LONGER_WITH_KL, LONGER_WITHOUT_Z = 2.5, 3.0, 1.8
"""Epochs of a training that validation ends, as a multiple of the planned ones: with a latent variable, with
one that has not collapsed, and without any. Means of 267 trainings with an LSTM encoder and decoder; those of
docs/benchmarks/search.md, with a pooled encoder and a dilated decoder, have 2.8, 3.2 and 1.8."""


@dataclass(frozen=True)
class Trained:
    """What trainings of a variant have taken, on average: epochs, and the `cost` of them in epochs of joint
    training, inner steps counted."""

    epochs: float
    cost: float


@dataclass(frozen=True)
class Costs:
    """The costs of a sweep's trials, all of which have this length."""

    length: Length

    def epochs_of(self, variant: str, *, best: bool = False) -> float:
        """Of a training of the variant, or of its best configuration, as far as anyone can say before one has
        ended."""
        planned, most = self.length.planned, self.length.most
        longer = LONGER_WITHOUT_Z if variant == BASELINE else LONGER_WITH_KL if best else LONGER
        return planned if planned == most else min(float(most), longer * planned)

    def of(self, plan: TrialPlan) -> float:
        """Epochs of joint training that cost as much as the trial."""
        return self.guess(plan).cost

    def guess(self, plan: TrialPlan, again: float = 0.0) -> Trained:
        """What the trial will take, as far as anyone can say before one of its variant has ended; on average,
        where that share of the trials is the variant's best once more."""
        variant = plan.variant
        epochs = (1 - again) * self.epochs_of(variant) + again * self.epochs_of(variant, best=True)
        return Trained(epochs, epochs + INNER_STEPS * min(float(plan.build().updates.phase), epochs))
