"""Fresh seeds: their order, and one round at a time: who is asked about, who gets one more, when it ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ray.tune.search import Searcher

from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.search.trial_plan import Ended, TrialPlan
from tests.orchestrator.searched import finish, plan_of, value


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_a_fresh_seed_of_each_before_the_next_and_the_dearest_first(at_once: int) -> None:
    """So that nothing long is begun last, and a sweep that is cut short has done the same for all."""
    plan = plan_of(variants="annealed,dilated,aggressive", trials=3)
    assert plan.price("aggressive") > 2 * plan.price("dilated")
    asked = finish(SweepSearcher(plan), at_once)
    late = [(trial.seed, trial.variant) for trial in asked if trial.kind == "replicate"]
    assert len(late) == 6
    queued = late[at_once - 1 :]  # those before were begun while a search still ran
    assert queued == sorted(queued, key=lambda each: (each[0], -plan.price(each[1])))


def test_more_seeds_each_round_for_what_is_not_decided() -> None:
    looks: list[list[str]] = []

    def undecided(ended: Sequence[Ended]) -> list[TrialPlan]:
        """Cyclical at the first two looks, annealed at the first."""
        looks.append([f"{each.plan.kind} {each.plan.variant}" for each in ended])
        replicates = {each.plan.variant: each.plan for each in ended if each.plan.kind == "replicate"}
        return [replicates[name] for name in ("cyclical", "annealed")[: 3 - len(looks)]]

    plan = plan_of(variants="vanilla,cyclical,annealed", trials=2, replicates=4, max_replicates=13)
    searcher = SweepSearcher(plan, undecided)
    asked = finish(searcher, 2)
    more = asked[sum(plan.planned().values()) :]
    assert [(trial.variant, trial.kind, trial.seed) for trial in more] == [
        *[(variant, "replicate", seed) for seed in (12, 13) for variant in ("cyclical", "annealed")],
        *[("cyclical", "replicate", seed) for seed in (14, 15)],
    ]
    fresh = ["baseline language_model"] * 2 + ["trial vanilla"] * 2
    assert sorted(looks[0]) == sorted([*fresh, *["replicate cyclical", "replicate annealed"] * 4])
    assert [len(look) for look in looks] == [12, 16, 18]
    assert searcher.finished


@pytest.mark.parametrize(("most", "rounds"), [(2, 0), (3, 1), (5, 3)])
def test_there_are_no_more_seeds_than_allowed(most: int, rounds: int) -> None:
    def undecided(ended: Sequence[Ended]) -> list[TrialPlan]:
        return [next(each.plan for each in ended if each.plan.kind == "replicate")]

    plan = plan_of(variants="cyclical", trials=2, replicates=2, max_replicates=most)
    assert len(finish(SweepSearcher(plan, undecided))) == sum(plan.planned().values()) + rounds


def test_a_round_waits_for_all_of_the_one_before() -> None:
    plan = plan_of(variants="cyclical", trials=1, replicates=2, max_replicates=3, baseline_seeds=1)
    searcher = SweepSearcher(plan, lambda ended: [ended[-1].plan])
    for name in ("b", "c"):
        searcher.on_trial_complete(name, value(searcher.suggest(name)))
    first, second = searcher.suggest("r0"), searcher.suggest("r1")
    assert searcher.suggest("r2") is None
    searcher.on_trial_complete("r0", value(first))
    assert searcher.suggest("r2") is None
    searcher.on_trial_complete("r1", value(second))
    assert searcher.suggest("r2")["seed"] == 10
    assert searcher.suggest("r3") == Searcher.FINISHED
