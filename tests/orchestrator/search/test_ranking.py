"""Ranks against hand-computed ones, brute force, and that no order of the trials matters."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.search.objectives import Point
from orchestrator.search.ranking import Ranking, front_ranks, net_order

numbers = st.integers(-4, 4).map(float)
points = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8)


def test_one_front_after_the_other() -> None:
    assert front_ranks(np.array([[3.0, 3], [1, 1], [4, 4], [2, 2]])).tolist() == [2, 0, 3, 1]


def test_a_front_is_taken_in_its_breadth() -> None:
    line = np.array([[0.0, 10], [1, 9], [4, 6], [5, 5], [10, 0]])
    # The least first; (10, 0) is farthest; (5, 5) is 5√2 from both; of the rest (1, 9) is √2 from (0, 10) and
    # (4, 6) is √2 from (5, 5): equal, so the lesser value.
    assert net_order(line) == [0, 4, 3, 1, 2]
    assert front_ranks(line).tolist() == [0, 3, 4, 2, 1]


def test_the_collapsed_come_last_and_half_the_rank_is_the_elbo() -> None:
    collapsed, far, good, poor = Point(-0.5, 0.0), Point(-5.0, 4.9), Point(-3.0, 2.0), Point(1.0, 3.0)
    # One front of far 0, collapsed 1 (the farthest from it), good 2, and poor 3, which good dominates.
    # NLL + KL: good 0, collapsed 1, far 2, poor 3. Half and half: far 1, good 1, so the lower NLL + KL first.
    assert Ranking().order([collapsed, far, good, poor]) == [2, 1, 3, 0]
    assert Ranking(elbo_share=1.0).order([collapsed, far, good, poor]) == [2, 1, 3, 0]
    assert Ranking(kl_floor=0.0, elbo_share=1.0).order([collapsed, far, good, poor]) == [2, 0, 1, 3]


def test_no_trials() -> None:
    assert Ranking().order([]) == []


@given(points)
def test_fronts_by_brute_force(found: list[tuple[float, float]]) -> None:
    """Whoever is dominated stands behind all that dominate it."""
    ranks = front_ranks(np.array(found))
    assert sorted(ranks.tolist()) == list(range(len(found)))
    for (one, a), (other, b) in itertools.permutations(enumerate(found), 2):
        if a[0] <= b[0] and a[1] <= b[1] and a != b:
            assert ranks[one] < ranks[other]


@given(points.flatmap(lambda found: st.tuples(st.just(found), st.permutations(range(len(found))))))
def test_the_order_of_the_trials_does_not_matter(drawn: tuple[list[tuple[float, float]], list[int]]) -> None:
    found, shuffle = drawn
    trials = [Point(*pair) for pair in found]
    first = [trials[place] for place in Ranking().order(trials)]
    shuffled = [trials[place] for place in shuffle]
    assert [shuffled[place] for place in Ranking().order(shuffled)] == first


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@given(points)
def test_below_the_floor_is_behind(share: float, found: list[tuple[float, float]]) -> None:
    trials = [Point(*pair) for pair in found]
    below = [trials[place].kl < 0.5 for place in Ranking(elbo_share=share).order(trials)]
    assert below == sorted(below)
