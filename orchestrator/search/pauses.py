"""Pauses: the searched trials of a sweep that pause at a rung, those that went on, those given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.search.objectives import Point
from orchestrator.search.plan import Study, study_of
from orchestrator.search.rungs import HalvingRule, Rungs
from orchestrator.search.trial_plan import Asked


@dataclass
class Pauses:
    """See the module. Without a rule no trial ever pauses.

    Attributes:
        waiting: what pauses, by trial id.
        given_up: trials that paused and will not go on, and where that was, for people.
    """

    rule: HalvingRule | None
    waiting: dict[str, Asked] = field(default_factory=dict)
    given_up: dict[str, str] = field(default_factory=dict)
    rungs: dict[Study, Rungs] = field(default_factory=dict)

    def enter(self, trial_id: str, asked: Asked, behind: int, point: Point) -> bool:
        """A trial stands at this point, so many epochs behind the end of its annealing; whether it pauses."""
        if self.rule is None:
            return False
        rungs = self.rungs.setdefault(study_of(asked.plan), Rungs(self.rule))
        if not rungs.enter(trial_id, behind, point):
            return False
        self.waiting[trial_id] = asked
        return True

    def promotable(self, is_idle: Callable[[Study], bool]) -> str | None:
        """The trial to go on with next. When nothing else of a search will happen, the best of each of its
        rungs goes on, of however few, so that every variant comes to its end."""
        if not self.waiting:
            return None
        found = (
            rungs.promotable(self.waiting.keys(), least=int(is_idle(study)))
            for study, rungs in self.rungs.items()
        )
        return next((trial_id for trial_id in found if trial_id is not None), None)

    def promote(self, trial_id: str) -> Asked:
        """The trial pauses no longer."""
        asked = self.waiting.pop(trial_id)
        self.rungs[study_of(asked.plan)].promote(trial_id)
        return asked

    def forget(self, trial_id: str) -> Asked:
        """The trial never paused, as if it had not come to any rung."""
        asked = self.waiting.pop(trial_id)
        self.rungs[study_of(asked.plan)].forget(trial_id)
        return asked

    def give_up(self, is_idle: Callable[[Study], bool]) -> dict[str, Asked]:
        """Those of idle searches will wait for ever; which they are."""
        ended = {id_: asked for id_, asked in self.waiting.items() if is_idle(study_of(asked.plan))}
        self.waiting = {id_: asked for id_, asked in self.waiting.items() if id_ not in ended}
        self.given_up |= {
            trial_id: self.rungs[study_of(asked.plan)].place(trial_id) for trial_id, asked in ended.items()
        }
        return ended
