"""Whose turn it is where nothing is equal for all variants."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orchestrator.search.objectives import Point
from orchestrator.search.plan import SearchPlan
from orchestrator.search.study import VariantStudy
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.search.turns import Turns
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.searched import final, finish


def plan_of(**options: Any) -> SearchPlan:
    asked = {"variants": ["annealed", "cyclical", "aggressive"], "trials": 4, "replicates": 1, "seed": 3}
    search = {"equal": "nothing", "sampler": "random"}
    return SearchPlan.of(SweepSpec.model_validate({"name": "s", "search": search, **asked, **options}))


def asked_of(plan: SearchPlan, won: dict[str, float], at_once: int = 1) -> list[TrialPlan]:
    """The searched trials of a sweep in which each variant's trial number n ends n times so many nats below
    the baseline's 10, at a KL of 1."""
    searcher, count = SweepSearcher(plan), Counter[str]()
    running: list[tuple[str, TrialPlan]] = []
    asked: list[TrialPlan] = []
    while not searcher.finished:
        config = searcher.suggest(f"t{len(asked)}") if len(running) < at_once else None
        if isinstance(config, dict):
            asked.append(TrialPlan.from_config(config))
            running.append((f"t{len(asked) - 1}", asked[-1]))
            continue
        trial_id, trial = running.pop(0)
        count[trial.variant] += trial.kind == "trial"
        gain = won.get(trial.variant, 0.0) * count[trial.variant]
        searcher.on_trial_complete(trial_id, final(10.0 - gain))
    return [each for each in asked if each.kind == "trial"]


def test_each_has_one_trial_and_then_the_one_that_wins() -> None:
    asked = [each.variant for each in asked_of(plan_of(), {"cyclical": 1.0})]
    assert set(asked[:3]) == {"annealed", "cyclical", "aggressive"}
    # 4 + 4 trials of 50 epochs of joint training and 1 of 140, of which the first three take 240.
    assert asked[3:] == ["cyclical"] * 6


def test_the_costly_one_must_win_more() -> None:
    """One trial costs as much as 2.8 of the others."""
    both = {"annealed": 1.0, "aggressive": 1.0}
    count = Counter(each.variant for each in asked_of(plan_of(trials=20), both))
    assert count["annealed"] > 3 * count["aggressive"]


@pytest.mark.parametrize("at_once", [1, 3, 8])
@pytest.mark.parametrize("won", [{}, {"annealed": 1.0}, {"aggressive": 2.0}])
def test_all_of_the_compute_and_no_more(won: dict[str, float], at_once: int) -> None:
    plan = plan_of(trials=7)
    spent = sum(plan.price(each.variant) for each in asked_of(plan, won, at_once))
    pool = 7 * 50 + 7 * 50 + 2 * 140
    assert pool - 50 < spent <= pool


def test_where_nothing_is_won_all_have_the_same_compute() -> None:
    count = Counter(each.variant for each in asked_of(plan_of(trials=14), {}))
    assert abs(count["annealed"] - count["cyclical"]) <= 1
    assert abs(140 * count["aggressive"] - 50 * count["annealed"]) <= 140


def test_those_that_run_are_not_all_of_one() -> None:
    """Ten at a time, when one has won and the others nothing."""
    plan = plan_of(variants=["annealed", "cyclical"], trials=20)
    studies = [VariantStudy(each, plan) for each in plan.variants]
    turns = Turns(plan)
    for study in studies:
        study.ask()
        turns.ended(study, Point(-2.0, 1.0) if study.plan.variant == "annealed" else None)
    begun = Counter[str]()
    for _ in range(10):
        following = turns.in_turn(studies)[0]
        following.ask()
        begun[following.plan.variant] += 1
    assert begun == {"annealed": 7, "cyclical": 3}


def test_by_hand() -> None:
    plan = plan_of(variants=["annealed", "aggressive"], trials=4)
    annealed, aggressive = (VariantStudy(each, plan) for each in plan.variants)
    turns = Turns(plan)
    for study, point in ((annealed, Point(-3.0, 1.0)), (aggressive, Point(-4.0, 1.0))):
        study.ask()
        turns.ended(study, point)
    # The first has won 2, the second 4.5 − 2, both 4.5 for 190. As though one more had won twice the mean.
    promise = {"annealed": (2 + 4.5) / (50 + 95), "aggressive": (2.5 + 4.5) / (140 + 95)}
    assert [-turns.place(each)[1] for each in (annealed, aggressive)] == pytest.approx(list(promise.values()))
    annealed.ask()  # runs: costs, and has won nothing
    assert -turns.place(annealed)[1] == pytest.approx((2 + 4.5) / (50 + 50 + 95))
    turns.ended(annealed, Point(float("nan"), 1.0))  # its gain counts four fifths now, and three have won 4.5
    assert -turns.place(annealed)[1] == pytest.approx((0.8 * 2 + 3.0) / (0.8 * 50 + 50 + 80))


def test_what_an_earlier_sweep_knew_wins_nothing() -> None:
    plan = plan_of()
    study, turns = VariantStudy(plan.variants[0], plan), Turns(plan)
    turns.know(Point(-5.0, 1.0))
    study.ask()
    turns.ended(study, Point(-4.0, 1.5))
    assert turns.place(study)[1] == 0


def test_what_is_planned_follows_what_is_asked() -> None:
    plan = plan_of(trials=4)
    searcher = SweepSearcher(plan)
    before = searcher.planned()
    # One each, a third of the 300 that are left of 540 in trials of 50 and of 140, and a replicate.
    assert before == {"language_model": 5, "annealed": 3 + 1, "cyclical": 3 + 1, "aggressive": 2 + 1}
    finish(searcher, at_once=1)
    after = searcher.planned()
    searched = {variant: count - 1 for variant, count in after.items() if variant != "language_model"}
    assert sum(plan.price(variant) * count for variant, count in searched.items()) <= 540
    assert after != before


def test_it_survives_a_restore(tmp_path: Path) -> None:
    plan = plan_of(trials=6)
    one, other = SweepSearcher(plan), SweepSearcher(plan)
    for number in range(9):  # the baselines, a trial of each, and one more: cyclical wins
        config = one.suggest(f"t{number}")
        one.on_trial_complete(f"t{number}", final(6.0 if config["variant"] == "cyclical" else 12.0))
    one.save(str(tmp_path / "state"))
    other.restore(str(tmp_path / "state"))
    following = [finish(searcher, 1, 9) for searcher in (one, other)]
    assert following[0] == following[1]
    assert [each.variant for each in following[0][:2]] == ["cyclical"] * 2


def test_repeats_of_a_variant_without_knobs_are_its_own() -> None:
    plan = plan_of(variants=["vanilla", "annealed", "cyclical"], trials=5)
    count = Counter(each.variant for each in asked_of(plan, {"annealed": 1.0}))
    assert count["vanilla"] == 5
    assert count["annealed"] + count["cyclical"] == 10


DILATED = {"knobs": {"word_keep_rate": 1.0}, "ranges": {"dilation": ["S", "M"]}}
"""Two configurations."""


@pytest.mark.parametrize("equal", ["compute", "trials", "nothing"])
def test_finitely_many_configurations_leave_theirs_to_the_others(equal: str) -> None:
    variants = {"dilated": DILATED, "annealed": {}, "cyclical": {}}
    plan = plan_of(variants=variants, trials=6, search={"equal": equal, "sampler": "random"})
    count = Counter(each.variant for each in asked_of(plan, {"cyclical": 1.0}))
    assert count["dilated"] == (1 if equal == "nothing" else 2)
    if equal == "nothing":
        assert count["cyclical"] + count["annealed"] == 17
    else:  # 6 each, and the 4 that dilated leaves
        assert count["annealed"] == 6
        assert count["cyclical"] == 10


def test_what_is_left_is_said_and_planned() -> None:
    search = {"equal": "compute", "sampler": "random"}
    plan = plan_of(variants={"dilated": DILATED, "annealed": {}}, trials=6, search=search)
    (caution,) = plan.cautions()
    assert caution == (
        "dilated has only 2 configurations, so it gets no more trials; what it leaves goes where the frontier"
        " still moves"
    )
    searcher = SweepSearcher(plan)
    planned = searcher.planned()
    assert planned == {"language_model": 5 + 2, "dilated": 2 + 1, "annealed": 10 + 1}
    asked = finish(searcher)
    picked = planned | {"language_model": 5 + 5}  # the best has the decoder that not all have
    assert searcher.planned() == picked
    assert len(asked) == sum(picked.values())


def test_where_nothing_is_left_equal_shares_are_as_they_were() -> None:
    search = {"equal": "compute", "sampler": "random"}
    plan = plan_of(trials=7, search=search)
    count = Counter(each.variant for each in asked_of(plan, {"cyclical": 5.0}, at_once=3))
    assert count == {"annealed": 7, "cyclical": 7, "aggressive": 2}


def test_it_is_said() -> None:
    assert plan_of().cautions() == [
        "after one trial of each variant the next is always of the one whose trials have lately moved the "
        "frontier most for their cost: what they have had is not equal"
    ]
