"""FreshSeeds: what a sweep runs behind its searches, on seeds that took no part in a selection.

Each variant's best configuration, as soon as its own search is over, and again while the test does not
decide; and the rest of the seeds of a baseline that such a configuration is compared with.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.search.plan import SearchPlan, Study
from orchestrator.search.trial_plan import Ended, TrialPlan


@dataclass
class FreshSeeds:
    """See the module. It can be pickled.

    Attributes:
        queued: what has not been begun.
        ended: what has come to its end, baselines and what is not searched among them.
        repeated: the searches whose best has been seen to.
        trained: what has been begun in all, by `TrialPlan.identity`, with its variant.
        round: how many have been asked for beyond the first.
    """

    plan: SearchPlan
    queued: deque[TrialPlan] = field(default_factory=deque)
    ended: list[Ended] = field(default_factory=list)
    repeated: set[Study] = field(default_factory=set)
    trained: dict[str, str] = field(default_factory=dict)
    round: int = 0

    def follow(self, plan: SearchPlan) -> bool:
        """Goes on under another plan; whether that asks for something else. What has been begun stays."""
        other = plan.planned() != self.plan.planned()
        if other:
            self.queued, self.repeated, self.round = deque(), set(), 0
        self.plan = plan
        return other

    @property
    def rounds_left(self) -> bool:
        """Whether there may be more rounds."""
        return self.round < len(self.plan.rounds.counts) - 1

    def planned(self, planned: Mapping[str, int]) -> dict[str, int]:
        """Number of trials by variant, as far as is known by now: beyond a variant's search that is what has
        been begun and what is queued, be it more or less than was planned."""
        known = Counter(self.trained.values()) + Counter(plan.variant for plan in self.queued)
        settled = {variant for variant, _ in self.repeated}
        return {
            variant: known[variant] if variant in settled else max(count, known[variant])
            for variant, count in planned.items()
        }

    def queue(self, plans: Iterable[TrialPlan]) -> None:
        """A seed of each before the next seed, and of these the dearest first, so that nothing long is begun
        last."""
        waiting = {plan.identity: plan for plan in (*self.queued, *self.untrained(plans))}
        order = sorted(waiting.values(), key=lambda plan: (plan.seed, -self.plan.price(plan.variant)))
        self.queued = deque(order)

    def untrained(self, plans: Iterable[TrialPlan]) -> list[TrialPlan]:
        """Those of which the same configuration has not been trained on the same seed."""
        return [plan for plan in plans if plan.identity not in self.trained]

    def repeat(self, best: Collection[TrialPlan], baselines: Mapping[Study, TrialPlan]) -> None:
        """These are the best of their searches: their replicates, and the baselines that they are compared
        with."""
        counts = {plan.variant: self.plan.repeats(plan) for plan in self.plan.variants}
        decoders = {plan.build().decoder_label for plan in best}
        self.queue(
            [
                *self.plan.baselines_of(baselines, decoders),
                *(self.plan.replicate(each, n) for each in best for n in range(counts[each.variant])),
            ]
        )

    def another_round(self, undecided: Sequence[TrialPlan]) -> None:
        """Fresh seeds for each of these; the last round if there is none."""
        counts = self.plan.rounds.counts
        numbers = range(counts[self.round], counts[self.round + 1])
        self.round = self.round + 1 if undecided else len(counts)
        self.queue(self.plan.replicate(plan, number) for number in numbers for plan in undecided)
