"""Which of several unfinished trials to train on, by NLL and KL at once.

Non-dominated sorting orders fronts (Deb et al. 2002), and within a front points are taken far from those
taken before (the ε-net order of Salinas et al. 2021 that Schmucker et al. 2021 promote by), so that a front
is kept in all its breadth. That alone would keep the collapsed end of it: trials below the floor on KL come
last, and half of a rank is that by NLL + KL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.search.objectives import Point

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """An order of trials, the best first.

    Args:
        kl_floor: trials below it come last, nats per sentence.
        elbo_share: the share of a rank that is that by NLL + KL; the rest is that by the fronts.
    """

    kl_floor: float = 0.5
    elbo_share: float = 0.5

    def order(self, points: Sequence[Point]) -> list[int]:
        """The points' places in the sequence, from the best to the worst."""
        if not points:
            return []
        values = np.array([[point.nll, point.kl] for point in points], dtype=np.float64)
        sums = values.sum(axis=1)
        below = values[:, 1] < self.kl_floor
        score = (1 - self.elbo_share) * front_ranks(values) + self.elbo_share * _ranks(sums)
        return [int(place) for place in np.lexsort((values[:, 1], sums, score, below))]


def front_ranks(values: Values) -> NDArray[np.int64]:
    """Each row's place when whole fronts are taken one after the other, and of a front its ε-net order.

    Args:
        values: a row a point, a column an objective, all minimised.
    """
    ranks = np.empty(len(values), dtype=np.int64)
    left, taken = np.arange(len(values)), 0
    while len(left):
        front = left[_non_dominated(values[left])]
        for place in net_order(values[front]):
            ranks[front[place]] = taken
            taken += 1
        left = np.setdiff1d(left, front)
    return ranks


def net_order(values: Values) -> list[int]:
    """The least row by its first objective, then always the one that is farthest from all that were taken.

    Distances are those of the objectives as they are: both are nats. Equal distances are decided by the
    values, so the order of the rows does not matter.
    """
    by_value = np.lexsort(values.T[::-1])
    order = [int(by_value[0])]
    nearest = np.full(len(values), np.inf)
    while len(order) < len(values):
        nearest = np.minimum(nearest, np.linalg.norm(values - values[order[-1]], axis=1))
        nearest[order] = -1.0
        order.append(int(by_value[int(np.argmax(nearest[by_value]))]))
    return order


def _non_dominated(values: Values) -> NDArray[np.bool_]:
    no_worse = (values[:, None, :] <= values[None, :, :]).all(axis=2)
    better = (values[:, None, :] < values[None, :, :]).any(axis=2)
    found: NDArray[np.bool_] = np.logical_not((no_worse & better).any(axis=0))
    return found


def _ranks(values: Values) -> NDArray[np.int64]:
    """Competition ranks: equal values have equal ones."""
    return np.searchsorted(np.sort(values), values)
