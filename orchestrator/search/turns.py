"""Whose turn it is: which variant's search has the next trial, and which has had all of its own.

First each has those of its own, the one that has had least of them first, in trials or in what they cost: an
equal share for each, or with `equal: nothing` a single trial. What is left of the compute, by a variant that
has fewer configurations or with `equal: nothing` nearly all of it, is shared: the next trial is of the
variant whose trials have lately moved the frontier most for what they cost. That is a bandit whose payoffs
fade. Of each variant it looks at what its trials have won over what they have cost, earlier ones with less
weight (discounted as by Kocsis & Szepesvári 2006), as though one more had won `OPTIMISM` times what trials
win on average: so one of which little is known is tried as well. Both numbers are those of
a replay as in docs/benchmarks/search.md, of trainings with an LSTM encoder: with discounts of 0.5 to 0.85 and
an optimism of a half to 2 it did much alike, without a discount it could do worse than equal shares.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from orchestrator.search.objectives import Point, front
from orchestrator.search.plan import SearchPlan
from orchestrator.search.study import VariantStudy

OPTIMISM, DISCOUNT = 2.0, 0.8


@dataclass
class _Arm:
    """What a variant's trials have won and cost, the latest with full weight, and how many have ended."""

    gain: float = 0.0
    cost: float = 0.0
    ended: int = 0


@dataclass
class Turns:
    """See the module. It knows what the searches' trials have won together, and can be pickled."""

    plan: SearchPlan
    _frontier: list[Point] = field(default_factory=list)
    _arms: dict[str, _Arm] = field(default_factory=dict)
    _won: float = 0.0

    def know(self, point: Point) -> None:
        """What an earlier sweep has found wins nothing any more."""
        self._frontier = front([*self._frontier, point])

    def ended(self, study: VariantStudy, point: Point | None) -> None:
        """A trial of that search has ended; without finite figures it has won nothing."""
        if study.is_baseline:
            return
        gain, before = self.plan.objective.gain, self._frontier
        if point is not None and point.finite:
            self.know(point)
        won = gain(self._frontier) - gain(before)
        arm = self._arms.setdefault(study.plan.variant, _Arm())
        arm.gain = DISCOUNT * arm.gain + won
        arm.cost = DISCOUNT * arm.cost + self.plan.price(study.plan.variant)
        arm.ended += 1
        self._won += won

    def goes_on(self, study: VariantStudy, studies: Collection[VariantStudy]) -> bool:
        """Whether that search may have another trial."""
        mine = study.asked < self.plan.own(study.plan)
        return mine or self.plan.affords_more(study.plan, self._asked(studies))

    def in_turn(self, studies: Collection[VariantStudy]) -> list[VariantStudy]:
        """The searches that go on, the next first."""
        return sorted((each for each in studies if self.goes_on(each, studies)), key=self.place)

    def planned(self, studies: Collection[VariantStudy]) -> dict[str, int]:
        """Number of trials by variant, the baseline's first, as far as is known by now."""
        return self.plan.planned(self._asked(studies))

    def place(self, study: VariantStudy) -> tuple[bool, float, float]:
        """The least of these is next: what has trials of its own left, then what promises most; of equals the
        one that has had least."""
        beyond = study.asked >= self.plan.own(study.plan)
        promise = self._promise(study) if beyond else 0.0
        return beyond, -promise, self.plan.turn_of(study.plan, study.asked)

    def _promise(self, study: VariantStudy) -> float:
        """What the next trial would win for its cost. Those that run count as though they won nothing, so
        that not all at a time are of one variant."""
        ended = sum(arm.ended for arm in self._arms.values())
        if not ended:
            return 0.0
        spent = sum(arm.ended * self.plan.price(variant) for variant, arm in self._arms.items())
        arm = self._arms.get(study.plan.variant, _Arm())
        running = (study.asked - arm.ended) * self.plan.price(study.plan.variant)
        return (arm.gain + OPTIMISM * self._won / ended) / (arm.cost + running + spent / ended)

    @staticmethod
    def _asked(studies: Collection[VariantStudy]) -> dict[str, int]:
        return {each.plan.variant: each.asked for each in studies if not each.is_baseline}
