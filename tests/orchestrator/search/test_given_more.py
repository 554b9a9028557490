"""A searcher that is given more to do, or knows something already."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import TrialState

from orchestrator.search.study import Known
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.search.trial_plan import TrialPlan
from tests.orchestrator.searched import finish, plan_of, value


@pytest.mark.parametrize("steps", [5, 12, 20])
def test_more_trials_and_a_variant_go_on_from_what_was_trained(tmp_path: Path, steps: int) -> None:
    """A sweep that was ended after so many trials, or had finished, and what it is asked for then."""
    before, after = plan_of(trials=3), plan_of(trials=5, variants="vanilla,cyclical,dilated")
    first = SweepSearcher(before)
    early: list[TrialPlan] = []
    while len(early) < steps and isinstance(config := first.suggest(f"t{len(early)}"), dict):
        early.append(TrialPlan.from_config(config))
        first.on_trial_complete(f"t{len(early) - 1}", value(config))
    first.save(str(tmp_path / "state"))
    second = SweepSearcher(after)
    second.restore(str(tmp_path / "state"))
    late = finish(second, start=len(early))
    both = Counter(repr((plan.variant, plan.knobs, plan.seed)) for plan in [*early, *late])
    assert set(both.values()) == {1}  # nothing twice
    trials = Counter(plan.variant for plan in [*early, *late] if plan.kind == "trial")
    assert trials == {"vanilla": 5, "cyclical": 5, "dilated": 5}
    baselines = Counter(plan.build().decoder_label for plan in [*early, *late] if plan.kind == "baseline")
    assert len(baselines) > 1  # those of the new variant's decoders, too
    assert set(baselines.values()) == {2}
    assert second.finished


def test_what_earlier_sweeps_know_is_not_asked_for_again() -> None:
    default = {"cycles": 4, "word_keep_rate": 1.0}
    known = [Known("cyclical", default, -1.0, 2.0), Known("cyclical", {**default, "cycles": 2}, 0.5, 0.1)]
    searcher = SweepSearcher(plan_of(variants="cyclical", trials=4, replicates=0))
    searcher.learn(known)
    asked = [plan for plan in finish(searcher) if plan.kind == "trial"]
    assert len(asked) == 4  # what is known costs nothing
    assert default not in [{knob: plan.knobs[knob] for knob in plan.searched} for plan in asked]
    told = searcher._studies["cyclical", ""].optuna.trials[1:3]  # behind the default, which is queued
    assert [trial.values for trial in told] == [[-1.0, 2.0], [0.5, 0.1]]
    assert [trial.state for trial in told] == [TrialState.COMPLETE] * 2
    assert [list(trial.constraints.values()) for trial in told] == [
        pytest.approx(broken) for broken in ([-1.5, 1.0], [0.4, 0.6])
    ]


def test_what_is_known_steers_the_search() -> None:
    """High keep rates are known to be good: most of the proposals are among them."""
    known = [
        Known(
            "cyclical",
            {"cycles": 1 + number % 10, "word_keep_rate": number / 30},
            -2.0 - 4 * number / 30,
            2.0,
        )
        for number in range(30)
    ]

    def kept(*, warm: bool) -> float:
        searcher = SweepSearcher(plan_of(variants="cyclical", trials=10, sampler="tpe", replicates=0))
        searcher.learn(known if warm else [])
        plans = [plan for plan in finish(searcher) if plan.kind == "trial"]
        return sum(float(plan.knobs["word_keep_rate"]) for plan in plans) / len(plans)

    assert kept(warm=True) > 0.8 > kept(warm=False)
