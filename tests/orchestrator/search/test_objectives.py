from __future__ import annotations

import pytest

from orchestrator.search.objectives import Elbo, Frontier, Point, objective_of, violation
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


def test_what_the_spec_asks_for() -> None:
    assert objective_of(Search()) == Frontier(0.5, 0.0)
    assert objective_of(Search(objective="elbo")) == Elbo()
    assert objective_of(Search(kl_floor=1.5, margin=-0.1)) == Frontier(1.5, -0.1)


@pytest.mark.parametrize("nll", [float("nan"), float("inf")])
def test_a_point_that_is_not_finite(nll: float) -> None:
    assert not Point(nll, 1.0).finite
    assert Point(1.0, 1.0).finite
