from __future__ import annotations

import pytest

from orchestrator.search.objectives import Elbo, Frontier, Point, front, objective_of, violation
from orchestrator.spec.sections import Search


def test_values_and_constraints_of_the_frontier() -> None:
    objective, point = Frontier(kl_floor=0.5, margin=0.2), Point(nll=-3.0, kl=2.0)
    assert (objective.values(point), objective.directions) == ([-3.0, 2.0], ["minimize"] * 2)
    assert objective.constraints(point) == {"kl": -1.5, "nll_plus_kl": pytest.approx(-1.2)}
    assert violation(objective, point) == 0


@pytest.mark.parametrize(
    ("nll", "kl", "broken"),
    [
        (0.0, 0.0, 0.5),  # collapsed: half a nat of KL is missing
        (-0.5, 0.5, 0.0),  # on both bounds
        (-0.4, 0.7, 0.3),  # 0.3 above the baseline
        (1.0, 0.1, 0.4 + 1.1),
    ],
)
def test_a_violation_is_the_nats_that_are_missing(nll: float, kl: float, broken: float) -> None:
    assert violation(Frontier(0.5, 0.0), Point(nll, kl)) == pytest.approx(broken)


def test_a_negative_margin_asks_for_a_gain() -> None:
    assert violation(Frontier(0.5, -0.3), Point(-2.0, 1.8)) == pytest.approx(0.1)


def test_the_sum_alone() -> None:
    point = Point(-1.0, 0.25)
    assert (Elbo().values(point), Elbo().constraints(point), violation(Elbo(), point)) == ([-0.75], {}, 0)
    assert Elbo().gain([point, Point(-3.0, 2.5), Point(0.5, 0.5)]) == 0.75
    assert Elbo().gain([Point(0.5, 0.5)]) == Elbo().gain([]) == 0


@pytest.mark.parametrize(
    ("points", "area"),
    [
        ([], 0.0),
        ([Point(0.0, 0.0)], 0.0),  # the collapsed baseline
        ([Point(-1.0, 2.0)], 0.0),  # above the baseline's line
        ([Point(-3.0, 1.0)], 2.0),  # 2 nats ahead: a triangle of 2 × 2 / 2
        ([Point(-1.5, 0.0)], 0.5),  # 1.5 ahead, of which the floor at 0.5 leaves a triangle of 1 × 1 / 2
        # From KL 1 to 2 the first is 1 to 0 ahead; from 2 on the other is 2 ahead.
        ([Point(-2.0, 1.0), Point(-4.0, 2.0)], 0.5 + 2.0),
        ([Point(-4.0, 2.0), Point(-2.0, 1.0), Point(-3.9, 3.0)], 2.5),  # the last is dominated
    ],
)
def test_the_gain_is_the_area_below_the_baselines_line(points: list[Point], area: float) -> None:
    assert Frontier(0.5, 0.0).gain(points) == pytest.approx(area)


def test_a_margin_moves_the_line() -> None:
    # 2 nats ahead of the baseline: 3 of a line that lies 1 above it, 1 of one that lies 1 below.
    assert Frontier(0.5, 1.0).gain([Point(-3.0, 1.0)]) == pytest.approx(4.5)
    assert Frontier(0.5, -1.0).gain([Point(-3.0, 1.0)]) == pytest.approx(0.5)


def test_what_the_spec_asks_for() -> None:
    assert objective_of(Search()) == Frontier(0.5, 0.0)
    assert objective_of(Search(objective="elbo")) == Elbo()
    assert objective_of(Search(kl_floor=1.5, margin=-0.1)) == Frontier(1.5, -0.1)


@pytest.mark.parametrize("nll", [float("nan"), float("inf")])
def test_a_point_that_is_not_finite(nll: float) -> None:
    assert not Point(nll, 1.0).finite
    assert Point(1.0, 1.0).finite


def test_the_front_has_what_no_other_is_as_good_as() -> None:
    ahead = [Point(-2.0, 1.0), Point(-4.0, 2.0)]
    behind = [Point(-1.9, 1.0), Point(-2.0, 1.5), Point(-4.0, 2.0), Point(-3.0, 3.0)]
    assert front([*behind, *ahead]) == front(ahead[::-1]) == ahead
    assert Frontier(0.5, 0.0).gain([*behind, *ahead]) == Frontier(0.5, 0.0).gain(ahead) == 2.5
