"""What a search minimises, and what it must keep to.

The product is a frontier of reconstruction NLL over KL, so these are two objectives. The collapsed point, no
KL and the baseline's NLL, lies on every such front, and a search left to itself drifts there: a floor on KL
keeps it away, and a margin above the baseline's NLL + KL keeps it from buying KL at any price.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from orchestrator.spec.sections import Search

Direction = Literal["minimize"]


@dataclass(frozen=True)
class Point:
    """What a training came to on validation, in nats per sentence.

    Attributes:
        nll: reconstruction NLL less the baseline's NLL + KL, that of the same decoder.
        kl: KL.
    """

    nll: float
    kl: float

    @property
    def nll_plus_kl(self) -> float:
        """NLL + KL less the baseline's: negative for a gain."""
        return self.nll + self.kl

    @property
    def finite(self) -> bool:
        return math.isfinite(self.nll) and math.isfinite(self.kl)


class Objective(Protocol):
    """Values, all minimised, and constraints, all kept where they are at most 0; what points that were
    found are worth together, 0 where none is feasible; and whether the best of a search has anything that
    fresh seeds could confirm."""

    @property
    def directions(self) -> list[Direction]: ...

    def values(self, point: Point) -> list[float]: ...

    def constraints(self, point: Point) -> Mapping[str, float]: ...

    def gain(self, points: Sequence[Point]) -> float: ...

    def is_worth_repeating(self, best: Point) -> bool: ...


@dataclass(frozen=True)
class Frontier:
    """NLL and KL, with at least `kl_floor` of KL, and NLL + KL at most `margin` above the baseline's."""

    kl_floor: float
    margin: float

    @property
    def directions(self) -> list[Direction]:
        return ["minimize", "minimize"]

    def values(self, point: Point) -> list[float]:
        return [point.nll, point.kl]

    def constraints(self, point: Point) -> Mapping[str, float]:
        return {"kl": self.kl_floor - point.kl, "nll_plus_kl": point.nll_plus_kl - self.margin}

    def gain(self, points: Sequence[Point]) -> float:
        """The area in nats² by which the points' frontier lies below the line on which NLL + KL is `margin`
        above the baseline's, from the floor on KL on.

        At a KL of r the frontier's NLL is the least of the points with KL at most r; the area is the integral
        of what that lies below margin − r.
        """
        area, least = 0.0, math.inf
        ordered = sorted(points, key=lambda point: point.kl)
        for place, point in enumerate(ordered):
            least = min(least, point.nll)
            begin = max(point.kl, self.kl_floor)
            end = min(ordered[place + 1].kl if place + 1 < len(ordered) else math.inf, self.margin - least)
            if end > begin:
                area += (self.margin - least) * (end - begin) - (end**2 - begin**2) / 2
        return area

    def is_worth_repeating(self, best: Point) -> bool:
        """Whether it uses its latent variable: what is compared with the baseline else is a second one."""
        return best.kl >= self.kl_floor


@dataclass(frozen=True)
class Elbo:
    """NLL + KL alone, less the baseline's."""

    @property
    def directions(self) -> list[Direction]:
        return ["minimize"]

    def values(self, point: Point) -> list[float]:
        return [point.nll_plus_kl]

    def constraints(self, point: Point) -> Mapping[str, float]:
        return {}

    def gain(self, points: Sequence[Point]) -> float:
        """By how many nats the lowest NLL + KL lies below the baseline's."""
        return max([0.0, *(-point.nll_plus_kl for point in points)])

    def is_worth_repeating(self, best: Point) -> bool:
        return True


def objective_of(search: Search) -> Objective:
    """What the spec asks for."""
    made: Mapping[str, Objective] = {
        "frontier": Frontier(search.kl_floor, search.margin),
        "elbo": Elbo(),
    }
    return made[search.objective]


def violation(objective: Objective, point: Point) -> float:
    """By how many nats the constraints are broken, in all; 0 where the point is feasible."""
    return sum(max(0.0, amount) for amount in objective.constraints(point).values())


def rank(objective: Objective, point: Point) -> tuple[float, float]:
    """The least of these is the best: what keeps to the constraints, then the lowest NLL + KL above the
    baseline's."""
    return violation(objective, point), point.nll_plus_kl


def front(points: Iterable[Point]) -> list[Point]:
    """Those that no other has both objectives as low as, by rising KL; one of each that are equal."""
    found, least = [], math.inf
    for point in sorted(points, key=lambda point: (point.kl, point.nll)):
        if point.nll < least:
            found.append(point)
            least = point.nll
    return found


def moves(objective: Objective, points: Sequence[Point], found: Sequence[Point]) -> bool:
    """Whether any of the points would add to what was found: to its gain, or as long as that has none, be
    better than the best of it."""
    if objective.gain(found) == 0:
        best = min((rank(objective, each) for each in found), default=(math.inf, math.inf))
        return any(rank(objective, point) < best for point in points)
    ahead = front(found)
    before = objective.gain(ahead)
    return any(objective.gain(front([*ahead, point])) > before for point in points)
