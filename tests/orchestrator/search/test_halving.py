"""Successive halving by the searcher, without Ray: who pauses, who goes on, who is given up, what is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from optuna.trial import TrialState
from ray.tune.experiment import Trial

from orchestrator.search.plan import SearchPlan
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.searched import value

HALVING = {"eta": 2, "first": 2, "rungs": 2, "elbo_share": 1.0}


def plan_of(trials: int, **search: Any) -> SearchPlan:
    options = {"name": "s", "variants": "cyclical", "trials": trials, "replicates": 1, "baseline_seeds": 1}
    section = {"halving": HALVING, "sampler": "random", "kl_floor": 0.0, **search}
    return SearchPlan.of(SweepSpec.load(None, {**options, "search": section}))


def searched(trials: int, at_once: int = 10) -> SweepSearcher:
    """Behind its baseline, with as many trials running as may."""
    searcher = SweepSearcher(plan_of(trials))
    searcher.set_max_concurrency(at_once)
    searcher.on_trial_complete("b", value(searcher.suggest("b")))
    for number in range(min(trials, at_once)):
        assert searcher.suggest(f"t{number}")["kind"] == "trial"
    return searcher


def end(searcher: SweepSearcher, trial_id: str, nll: float = 30.0) -> None:
    figures = {"best/nll": nll, "best/kl": 1.0, "best/nll_plus_kl": nll + 1.0}
    searcher.on_trial_complete(trial_id, {f"final/{name}": found for name, found in figures.items()})


def states(searcher: SweepSearcher) -> list[TrialState]:
    return [trial.state for trial in searcher._studies["cyclical", ""].optuna.trials]


def test_one_of_two_goes_on_from_each_rung_and_the_others_are_pruned() -> None:
    searcher = searched(4)
    assert not searcher.reached("t0", 1, 9.0, 1.0)  # before the first rung
    assert searcher.reached("t0", 2, 9.0, 1.0)
    assert searcher.promotable() is None
    assert not searcher.reached("t1", 2, 8.0, 1.0)  # the better of two goes on at once
    assert searcher.reached("t2", 2, 8.5, 1.0)
    assert not searcher.reached("t3", 2, 7.0, 1.0)  # one of the best two of four
    assert searcher.running == {"t0", "t1", "t2", "t3"}
    assert searcher.reached("t1", 4, 7.9, 1.0)
    assert searcher.suggest("x") is None  # the replicate waits for all
    assert searcher.give_up() == []  # t3 may bring t1 on
    assert not searcher.reached("t3", 4, 6.0, 1.0)
    end(searcher, "t3")
    assert searcher.promotable() is None
    assert sorted(searcher.give_up()) == ["t0", "t1", "t2"]
    complete, pruned = TrialState.COMPLETE, TrialState.PRUNED
    assert states(searcher) == [pruned, pruned, pruned, complete]
    assert searcher.pauses.given_up["t0"] == (
        "paused 2 epochs behind the end of its annealing, and not among the best 1 of 2 of 4 there"
    )
    assert searcher.suggest("r")["kind"] == "replicate"
    assert not searcher.reached("r", 2, 99.0, 1.0)  # what others are compared with is never stopped
    end(searcher, "r")
    assert searcher.finished


def test_who_pauses_makes_room_and_a_promotion_goes_before_something_new() -> None:
    searcher = searched(5, at_once=2)
    assert searcher.suggest("x") is None
    assert searcher.reached("t0", 2, 9.0, 1.0)
    assert searcher.suggest("t2")["kind"] == "trial"
    assert not searcher.reached("t1", 2, 8.0, 1.0)
    assert searcher.reached("t2", 2, 8.5, 1.0)  # of three one goes on, and that is t1
    assert searcher.suggest("t3")["kind"] == "trial"
    assert searcher.reached("t3", 2, 9.5, 1.0)
    assert searcher.promotable() == "t2"  # of four two
    assert searcher.suggest("x") is None
    assert searcher.promote("t2")
    assert not searcher.promote("t0")  # no room


def test_a_variant_with_too_few_trials_comes_to_its_end() -> None:
    searcher = searched(1)
    for behind in (2, 4):  # nothing else runs, and of one none would go on
        assert not searcher.reached("t0", behind, 9.0, 1.0)
    end(searcher, "t0")
    assert searcher.suggest("r")["kind"] == "replicate"


def test_the_state_survives_a_restart(tmp_path: Path) -> None:
    first = searched(3)
    assert first.reached("t0", 2, 9.0, 1.0)
    assert not first.reached("t1", 2, 8.0, 1.0)
    assert first.reached("t2", 2, 8.5, 1.0)
    first.save(str(tmp_path / "state"))
    second = SweepSearcher(plan_of(3))
    second.restore(str(tmp_path / "state"))
    assert second.pauses.waiting.keys() == {"t0", "t2"}
    second.reconcile(
        SimpleNamespace(trial_id=name, status=status, last_result={})
        for name, status in (("b", Trial.TERMINATED), ("t1", Trial.PENDING), ("t2", Trial.PAUSED))
    )
    assert second.running == {"t1", "t2"}
    assert second.suggest("again")["variant"] == "cyclical"  # t0, which Tune has lost
    assert second.pauses.rungs["cyclical", ""].reached[0].keys() == {"t1", "t2"}


def test_a_cap_leaves_what_pauses_for_a_resume(tmp_path: Path) -> None:
    first = searched(3)
    assert first.reached("t0", 2, 9.0, 1.0)
    first.close()
    assert not first.reached("t1", 2, 10.0, 1.0)  # what runs is trained to its end
    assert not first.resting
    end(first, "t1")
    end(first, "t2")
    assert first.resting
    assert first.finished
    assert first.give_up() == []
    first.save(str(tmp_path / "state"))
    second = SweepSearcher(plan_of(3))
    second.restore(str(tmp_path / "state"))
    assert second.promotable() == "t0"  # the only one that has come to a rung


def test_without_halving_none_pauses() -> None:
    searcher = SweepSearcher(plan_of(2, halving=None))
    searcher.on_trial_complete("b", value(searcher.suggest("b")))
    searcher.suggest("t0")
    assert not searcher.reached("t0", 2, 9.0, 1.0)
