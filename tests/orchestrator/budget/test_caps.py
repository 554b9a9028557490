"""What is used, by hand, and the cap that it reaches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.budget.caps import Caps, Used
from orchestrator.spec.budget import Budget
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sections import Resources
from orchestrator.spec.sweep_spec import SweepSpec

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GPUS = Resources(cpus=2, gpus=0.5)


def test_hours_count_while_trials_run() -> None:
    used = Used().after(1.0, 2).after(3.0, 0).after(0.5, 4)
    assert (used.hours, used.trial_hours) == (1.5, 4.0)
    assert Caps(Budget(), GPUS).gpu_hours(used) == 2.0
    assert Caps(Budget(price=3.0), GPUS).cost(used) == 6.0
    assert Caps(Budget(price=0.25), Resources(cpus=2)).cost(used) == 2.0  # of CPUs
    assert Caps(Budget(), GPUS).cost(used) is None


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(), None),
        (Budget(max_hours=1.6, max_gpu_hours=2.1, price=3, max_cost=6.5), None),
        (Budget(max_tokens=5e6), "budget.max_tokens, 5e+06, is reached (5e+06)"),
        (Budget(max_hours=1.5), "budget.max_hours, 1.5, is reached (1.5)"),
        (Budget(max_gpu_hours=1.9), "budget.max_gpu_hours, 1.9, is reached (2)"),
        (Budget(price=3.0, max_cost=6.0), "budget.max_cost, 6, is reached (6)"),
        (Budget(deadline="2026-01-31T12:00:00+00:00"), "budget.deadline, "),
        (Budget(deadline="2026-01-31T12:00:01+00:00"), None),
    ],
)
def test_the_cap_that_is_reached(budget: Budget, said: str | None) -> None:
    found = Caps(budget, GPUS).reached(Used(1.5, 4.0, 5e6), NOW)
    assert found is None if said is None else str(found).startswith(said)


def test_a_deadline_is_local_unless_it_says_otherwise() -> None:
    assert Budget(deadline="2026-01-31T13:00+01:00").deadline_at == NOW
    local = Budget(deadline="2026-01-31T12:00").deadline_at
    assert local is not None
    assert local == datetime(2026, 1, 31, 12).astimezone()
    assert (
        Budget(deadline=str(Budget(deadline="2026-01-31").deadline)).deadline_at
        == datetime(2026, 1, 31).astimezone()
    )
    assert NOW + timedelta(hours=1) > NOW


@pytest.mark.parametrize(
    ("budget", "problem"),
    [
        ({"max_hours": 0.0}, "budget.max_hours must be > 0, got 0.0"),
        ({"max_cost": 3.0}, "budget.max_cost must come with a budget.price, got none"),
        (
            {"deadline": "soon"},
            "budget.deadline must be a date and time such as 2026-12-24T18:00, got 'soon'",
        ),
        ({"hours": 3}, "unknown key 'hours'"),
    ],
)
def test_a_budget_that_cannot_be(budget: dict[str, object], problem: str) -> None:
    with pytest.raises(SpecError) as error:
        SweepSpec.load(None, {"name": "s", "budget": budget})
    assert problem in str(error.value)
