"""How many fresh seeds a configuration gets, in rounds, and what each look at them costs in level.

The search asks for them and the analysis judges by them, so both have it from here.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from orchestrator.spec.sweep_spec import SweepSpec


@dataclass(frozen=True)
class SeedRounds:
    """How many fresh seeds a configuration gets: `first`, then half as many a round while it looks better
    than its baseline and that is not decided, up to `most`.

    Each round is a look at the data. The level is split over the looks, each with twice the part of the one
    before it, so that whatever stops the rounds, all looks together keep the level. Rounds of one seed would
    save a few seeds more and have less power, and a cluster would wait for one seed at a time.
    """

    first: int
    most: int

    @classmethod
    def of(cls, spec: SweepSpec) -> SeedRounds:
        """Those of a sweep."""
        return cls(spec.replicates, spec.most_replicates)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many seeds there are after each round: 3, 5, 6 of 3 and 6."""
        step = max(1, (self.first + 1) // 2)
        return (*range(self.first, self.most, step), self.most)

    def factor(self, runs: int) -> float:
        """What the p-value of a configuration with so many fresh seeds is multiplied by."""
        looks = len(self.counts)
        look = max(0, bisect_right(self.counts, runs) - 1)
        return (2.0**looks - 1) / 2.0**look
