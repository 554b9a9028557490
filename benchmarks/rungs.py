"""Rungs: which paused trial is worth more epochs; asynchronous successive halving for two objectives.

After Li et al. 2020 (ASHA) and Schmucker et al. 2021 (its multi-objective form), the promoting kind: a trial
that reaches a rung pauses there, and goes on when it is among the best ⌊n/η⌋ of the n that have reached it.
So nothing good is ended for being early. The epochs of a rung count from the end of the trial's annealing:
before it an annealed trial looks bad and a cyclical one goes up and down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.ranking import Ranking
from orchestrator.search.objectives import Point


@dataclass(frozen=True)
class Halving:
    """The rule.

    Attributes:
        eta: one of so many goes on from each rung.
        first: epochs behind the end of the annealing of the first rung.
        rungs: how many there are; each has η times the epochs of the one before.
    """

    eta: int = 3
    first: int = 4
    rungs: int = 2
    ranking: Ranking = field(default_factory=Ranking)

    @property
    def levels(self) -> tuple[int, ...]:
        """Epochs of each rung behind the end of the annealing."""
        return tuple(self.first * self.eta**rung for rung in range(self.rungs))

    def rung_of(self, epochs: int) -> int | None:
        """The rung that is reached just after so many epochs behind the annealing's end."""
        return self.levels.index(epochs) if epochs in self.levels else None


@dataclass
class Rungs:
    """The state of one search: what has reached each rung, and what has gone on from it."""

    rule: Halving
    reached: list[dict[str, Point]] = field(default_factory=list)
    promoted: list[set[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reached = self.reached or [{} for _ in self.rule.levels]
        self.promoted = self.promoted or [set() for _ in self.rule.levels]

    def enter(self, rung: int, trial_id: str, point: Point) -> None:
        """A trial has reached a rung, with this."""
        self.reached[rung][trial_id] = point

    def promotable(self) -> str | None:
        """The trial to go on with: of the highest rung that has one, the best that has not gone on yet."""
        for rung in reversed(range(len(self.reached))):
            here: Mapping[str, Point] = self.reached[rung]
            trial_ids: Sequence[str] = list(here)
            best = self.rule.ranking.order(list(here.values()))[: len(here) // self.rule.eta]
            for place in best:
                if trial_ids[place] not in self.promoted[rung]:
                    return trial_ids[place]
        return None

    def promote(self, trial_id: str) -> None:
        """The trial goes on from the highest rung that it has reached."""
        rung = max(rung for rung, here in enumerate(self.reached) if trial_id in here)
        self.promoted[rung].add(trial_id)
