"""Rungs: which paused trial is worth more epochs; asynchronous successive halving for two objectives.

After Li et al. 2020 (ASHA) and Schmucker et al. 2021 (its multi-objective form), the promoting kind: a trial
that reaches a rung pauses there, and goes on when it is among the best ⌊n/η⌋ of the n that have reached it.
So nothing good is ended for being early. The epochs of a rung count from the end of the trial's annealing:
before it an annealed trial looks bad and a cyclical one goes up and down.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from orchestrator.search.objectives import Frontier, Point, objective_of
from orchestrator.search.prospects import DOMINATED
from orchestrator.search.ranking import Ranking
from orchestrator.spec.sections import Search
from trainables.training.collapse import COLLAPSED

NOT_PROMOTED = "not_promoted"
"""The failure of a trial that paused at a rung and never went on."""
EARLY = (COLLAPSED, DOMINATED, NOT_PROMOTED)
"""Failures that are none: what is known of these trials is that they were stopped."""


@dataclass(frozen=True)
class HalvingRule:
    """Where trials pause, and how many of them go on.

    Attributes:
        eta: one of so many goes on from each rung.
        first: epochs behind the end of the annealing of the first rung.
        rungs: how many there are; each has η times the epochs of the one before.
        ranking: which are the best.
    """

    eta: int = 3
    first: int = 4
    rungs: int = 2
    ranking: Ranking = field(default_factory=Ranking)

    @classmethod
    def of(cls, search: Search) -> HalvingRule | None:
        """That of a spec; None where trials are trained to their end."""
        asked, objective = search.halving, objective_of(search)
        if asked is None:
            return None
        ranking = (
            Ranking(objective.kl_floor, asked.elbo_share)
            if isinstance(objective, Frontier)
            else Ranking(0.0, 1.0)
        )
        return cls(asked.eta, asked.first, asked.rungs, ranking)

    @property
    def levels(self) -> tuple[int, ...]:
        """Epochs of each rung behind the end of the annealing."""
        return tuple(self.first * self.eta**rung for rung in range(self.rungs))


@dataclass
class Rungs:
    """The state of one search: what has reached each rung, and what has gone on from it."""

    rule: HalvingRule
    reached: list[dict[str, Point]] = field(default_factory=list)
    promoted: list[set[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reached = self.reached or [{} for _ in self.rule.levels]
        self.promoted = self.promoted or [set() for _ in self.rule.levels]

    def enter(self, trial_id: str, behind: int, point: Point) -> bool:
        """A trial has trained so many epochs behind the end of its annealing; whether it has come to a rung
        that it had not come to before. One that is trained on from an earlier checkpoint comes by the rungs
        behind it once more, and does not pause at these."""
        passed = [rung for rung, level in enumerate(self.rule.levels) if behind >= level]
        if not passed or trial_id in self.reached[passed[-1]]:
            return False
        self.reached[passed[-1]][trial_id] = point
        return True

    def promotable(self, waiting: Collection[str], least: int = 0) -> str | None:
        """The trial to go on with: of the highest rung that has one, the best that has not gone on yet and
        waits. From each rung that any has reached go at least so many: when no more trials come, one."""
        for here, promoted in zip(reversed(self.reached), reversed(self.promoted), strict=True):
            trial_ids = list(here)
            order = self.rule.ranking.order(list(here.values()))
            for place in order[: max(least, len(here) // self.rule.eta)]:
                if trial_ids[place] not in promoted and trial_ids[place] in waiting:
                    return trial_ids[place]
        return None

    def promote(self, trial_id: str) -> None:
        """The trial goes on from the highest rung that it has reached."""
        self.promoted[self._highest(trial_id)].add(trial_id)

    def forget(self, trial_id: str) -> None:
        """The trial is gone, and will be trained anew under another id."""
        for here in self.reached:
            here.pop(trial_id, None)

    def place(self, trial_id: str) -> str:
        """Where a trial paused, for people."""
        rung = self._highest(trial_id)
        among = f"not among the best 1 of {self.rule.eta} of {len(self.reached[rung])}"
        return f"paused {self.rule.levels[rung]} epochs behind the end of its annealing, and {among} there"

    def _highest(self, trial_id: str) -> int:
        return max(rung for rung, here in enumerate(self.reached) if trial_id in here)
