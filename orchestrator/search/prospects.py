"""Prospects: whether an unfinished training may still come to its search's frontier.

What is left of it is taken to be what was left of one of those that ended, from as many epochs behind the end
of their annealing on, and half as much again. Where none of these would bring it to the frontier, it is
dominated by what is there. Before its annealing has ended nothing is said: until then an annealed training
looks bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.common.wording import plural
from orchestrator.search.objectives import Objective, Point, moves

DOMINATED = "dominated"
"""The failure that a trial is given which was stopped for this."""
LEAST, MARGIN = 2, 1.5
"""So many must have ended before anything is said, and so many times what was left of them is taken to be
left. With one, or without a margin, searches of the replay came to 2 to 5 % less."""


@dataclass(frozen=True)
class Course:
    """A training that has ended: where its best epoch stood so many epochs behind the end of the annealing,
    and where it ended; NLL and KL on validation, nats per sentence."""

    standings: dict[int, Point]
    final: Point

    def rest(self, behind: int) -> Point | None:
        """What NLL and KL changed by from there to the end, 0 if it had ended by then; None if not known."""
        if not self.standings or behind > max(self.standings):
            return Point(0.0, 0.0)
        then = self.standings.get(behind)
        return then and Point(self.final.nll - then.nll, self.final.kl - then.kl)


@dataclass
class Prospects:
    """Those of one search. It can be pickled.

    Attributes:
        running: where each unfinished training stood, by trial id.
        ended: what was trained to its end.
    """

    running: dict[str, dict[int, Point]] = field(default_factory=dict)
    ended: list[Course] = field(default_factory=list)

    def stands(self, trial_id: str, behind: int, point: Point) -> None:
        """A training's best epoch, so many epochs behind the end of its annealing."""
        self.running.setdefault(trial_id, {})[behind] = point

    def ends(self, trial_id: str, final: Point | None) -> None:
        """It has come to this, or to nothing that others could be measured by."""
        standings = self.running.pop(trial_id, {})
        if final is not None and final.finite:
            self.ended.append(Course(standings, final))

    def is_dominated(self, objective: Objective, behind: int, point: Point, found: Sequence[Point]) -> bool:
        """Whether no rest of those that ended would bring a training that stands there to the frontier of
        what has been found; never before `LEAST` have ended. `point` and `found` are beside the baseline."""
        rests = [rest for course in self.ended if (rest := course.rest(behind)) is not None]
        ahead = [
            Point(point.nll + MARGIN * rest.nll, max(0.0, point.kl + MARGIN * rest.kl)) for rest in rests
        ]
        return len(ahead) >= LEAST and not moves(objective, ahead, found)


def why_dominated(behind: int) -> str:
    """Of a trial that was stopped so many epochs behind the end of its annealing, for people."""
    return (
        f"{plural(behind, 'epoch')} behind the end of its annealing: half as much again as was left of its"
        " variant's earlier trials there would not bring it to their frontier"
    )
