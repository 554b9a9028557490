"""The keeper alone, with a clock of its own: no Ray runs here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from orchestrator.budget import keeper as module
from orchestrator.budget.keeper import BudgetKeeper
from orchestrator.search.plan import SearchPlan
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.sweep_spec import SweepSpec

RUNNING: list[Any] = [SimpleNamespace(status=Trial.RUNNING)] * 2 + [SimpleNamespace(status=Trial.PENDING)]


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def made(at_cap: str = "finish", **caps: Any) -> tuple[BudgetKeeper, SweepSearcher, list[str]]:
    said: list[str] = []
    spec = SweepSpec.load(None, {"name": "s", "variants": "vanilla", "budget": {"at_cap": at_cap, **caps}})
    searcher = SweepSearcher(SearchPlan.of(spec))
    return BudgetKeeper(spec, searcher, said.append), searcher, said


def test_at_a_cap_nothing_more_is_begun(clock: Clock) -> None:
    keeper, searcher, said = made(max_hours=0.5)
    assert isinstance(searcher.suggest("a"), dict)
    clock.now += 1000
    keeper.on_step_begin(0, RUNNING)
    assert keeper.used.trial_hours == pytest.approx(2 * 1000 / 3600)
    assert isinstance(searcher.suggest("b"), dict)
    clock.now += 900
    keeper.on_step_begin(1, RUNNING)
    assert said == [
        "budget.max_hours, 0.5, is reached (0.528); no more trials are begun; those that run finish"
    ]
    assert searcher.suggest("c") == Searcher.FINISHED
    assert not searcher.finished  # two of them run
    for trial in "ab":
        searcher.on_trial_complete(trial, error=True)
    assert searcher.finished
    clock.now += 900
    keeper.on_step_begin(2, RUNNING)
    assert len(said) == 1


def test_what_is_used_survives_a_resume_and_the_end_does_not(clock: Clock) -> None:
    first, _, _ = made(max_hours=0.5)
    clock.now += 2000
    first.on_step_begin(0, RUNNING)
    assert first.ended
    again, resumed, said = made(max_hours=1.0)
    again.set_state(first.get_state())
    clock.now += 600
    again.on_step_begin(0, RUNNING)
    assert again.used.hours == pytest.approx(2600 / 3600)
    assert isinstance(resumed.suggest("a"), dict)
    clock.now += 1200
    again.on_step_begin(0, RUNNING)
    assert (again.ended, len(said)) == ("budget.max_hours, 1, is reached (1.06)", 1)


def test_an_interrupt_where_the_running_trials_are_not_to_finish(clock: Clock) -> None:
    keeper, _, said = made("checkpoint", max_hours=0.1)
    clock.now += 500
    with pytest.raises(KeyboardInterrupt):
        keeper.on_step_begin(0, RUNNING)
    assert (keeper.interrupted, said) == (True, [])


def test_tokens_are_those_of_all_trials(clock: Clock) -> None:
    keeper, searcher, said = made(max_tokens=1000.0)
    for trial, tokens in (("a", 400.0), ("b", 500.0), ("a", 499.0)):
        one: Any = SimpleNamespace(trial_id=trial)
        keeper.on_trial_result(0, RUNNING, one, {"metrics": {"tokens": tokens}})
    assert keeper.used.tokens == 999.0
    another: Any = SimpleNamespace(trial_id="b")
    again, _, _ = made(max_tokens=1000.0)
    again.set_state(keeper.get_state())
    for each in (keeper, again):
        each.on_trial_result(0, RUNNING, another, {"metrics": {"tokens": 501.0}})
        clock.now += 2
        each.on_step_begin(1, RUNNING)
        assert each.ended == "budget.max_tokens, 1000, is reached (1e+03)"
    assert searcher.suggest("c") == Searcher.FINISHED
    assert len(said) == 1
