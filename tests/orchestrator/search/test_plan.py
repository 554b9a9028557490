from __future__ import annotations

from typing import Any

import pytest

from orchestrator.search.plan import SearchPlan
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.search.trial_plan import TrialPlan, short
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.searched import finish
from trainables.training.presets import EMBEDDED


def plan_of(**options: Any) -> SearchPlan:
    asked = {"variants": "vanilla,cyclical", "trials": 4, "baseline_seeds": 3, "replicates": 2, "seed": 5}
    return SearchPlan.of(SweepSpec.load(None, {"name": "s", **asked, **options}))


def test_planned_counts_the_baselines_first() -> None:
    planned = plan_of().planned()
    assert planned == {"language_model": 3, "vanilla": 4, "cyclical": 6}
    assert list(planned) == ["language_model", "vanilla", "cyclical"]


def test_a_variant_without_searched_knobs_is_not_replicated() -> None:
    plan = plan_of()
    vanilla, cyclical = plan.variants
    assert (plan.repeats(vanilla), plan.repeats(cyclical)) == (0, 2)
    fixed = plan_of(set=["cycles=2", "ramp_share=0.5", "word_keep_rate=1"])
    assert fixed.planned() == {"language_model": 3, "vanilla": 4, "cyclical": 4}


def test_all_decoders_of_a_seed_before_the_next_seed() -> None:
    plan = plan_of(variants="vanilla,dilated", baseline_seeds=2)
    trials = list(plan.baselines_of({}))
    decoders = len(plan.baselines)
    assert decoders > 1
    assert len(trials) == plan.planned()["language_model"] == 2 * decoders
    assert [trial.seed for trial in trials] == [5] * decoders + [6] * decoders
    assert [trial.knobs for trial in trials[:decoders]] == [trial.knobs for trial in trials[decoders:]]
    assert len({trial.build().decoder.label for trial in trials}) == decoders
    assert {(trial.variant, trial.kind, trial.searched) for trial in trials} == {
        ("language_model", "baseline", ())
    }


def test_seeds_of_searched_trials_and_replicates() -> None:
    plan = plan_of(set=["posterior_bias=false"])
    vanilla, cyclical = plan.variants
    found = {"cycles": 3, "word_keep_rate": 0.25}
    assert [plan.searched_trial(vanilla, number, {}).seed for number in range(3)] == [5, 6, 7]
    trials = [plan.searched_trial(cyclical, number, found) for number in range(3)]
    assert [trial.seed for trial in trials] == [5] * 3
    assert trials[0].knobs == {
        **EMBEDDED.knobs,
        **EMBEDDED.by_variant["cyclical"],
        "posterior_bias": False,
        **found,
    }
    assert trials[0].searched == ("cycles", "word_keep_rate")
    again = [plan.replicate(trials[0], number) for number in range(2)]
    assert [trial.seed for trial in again] == [6, 7]  # none that took part in the search
    assert {trial.kind for trial in again} == {"replicate"}
    assert {trial.label for trial in again} == {"cycles=3 word_keep_rate=0.25"}


@pytest.mark.parametrize("value", [0.123456, 3, "logistic", 1.0, 1e-5])
def test_knobs_as_text(value: object) -> None:
    shown = {0.123456: "0.1235", 3: "3", "logistic": "logistic", 1.0: "1", 1e-5: "1e-05"}
    assert short(value) == shown[value]  # type: ignore[index]


def test_a_plan_as_tunes_configuration_and_back() -> None:
    plan = TrialPlan("cyclical", "trial", {"cycles": 3, "word_keep_rate": 0.5}, 9, ("cycles",))
    assert TrialPlan.from_config(plan.config()) == plan
    assert plan.label == "cycles=3"
    assert plan.build().knobs()["cycles"] == 3
    assert plan.build().knobs()["word_keep_rate"] == 0.5


def test_a_search_of_what_the_baseline_has_fixed_is_said() -> None:
    said = {"name": "s", "variants": ["vanilla", "cyclical"]}
    assert SearchPlan.of(SweepSpec.model_validate(said)).cautions() == []
    ranges = {"learning_rate": [0.001, 0.01], "cycles": [1, 3]}
    assert SearchPlan.of(SweepSpec.model_validate({**said, "ranges": ranges})).cautions() == []
    unfair = SweepSpec.model_validate({**said, "ranges": ranges, "baseline_trials": 0})
    assert SearchPlan.of(unfair).cautions() == [
        f"{name} searches learning_rate, its baseline does not: some gain may be theirs"
        for name in ("vanilla", "cyclical")
    ]
    own = {"vanilla": {"ranges": {"dropout": [0.0, 0.5]}}}
    assert SearchPlan.of(SweepSpec.model_validate({"name": "s", "variants": own})).cautions() == [
        "vanilla searches dropout, its baseline does not: some gain may be theirs"
    ]


def test_a_baseline_has_as_many_trials_as_a_variant_unless_told_otherwise() -> None:
    spec = {"name": "s", "variants": ["vanilla"], "ranges": {"dropout": [0.0, 0.5]}, "baseline_seeds": 3}

    def planned(**said: int) -> dict[str, int]:
        return SearchPlan.of(
            SweepSpec.model_validate({**spec, **said, "trials": 4, "replicates": 2})
        ).planned()

    assert planned() == {"language_model": 4 + 3, "vanilla": 4 + 2}
    assert planned(baseline_trials=6) == {"language_model": 6 + 3, "vanilla": 4 + 2}
    assert planned(baseline_trials=0) == {"language_model": 3, "vanilla": 4 + 2}


def test_equal_compute_gives_a_costly_variant_fewer_trials() -> None:
    # Epochs of joint training: 20 planned × 2.5 = 50, and 45 more for each of 2 aggressive epochs.
    variants = "annealed,cyclical,aggressive"
    plan = plan_of(variants=variants, trials=7, set=["aggressive_epochs=2"])
    by_name = {each.variant: each for each in plan.variants}
    assert [plan.trials_of(by_name[name]) for name in ("annealed", "cyclical")] == [7, 7]
    assert plan.trials_of(by_name["aggressive"]) == round(7 * 50 / 140) == 2
    assert plan.cautions()[-1] == (
        "aggressive gets 2 trials of 7, as one costs some 2.8 times as much as one of joint training"
        " (search.equal: trials gives it all)"
    )
    assert plan_of(variants=variants, trials=1).planned()["aggressive"] == 1 + 2  # never none; two replicates
    assert plan_of(variants="aggressive", trials=7).planned()["aggressive"] == 7 + 2  # none is cheaper


def test_equal_trials_on_demand() -> None:
    said = {"name": "s", "variants": ["annealed", "cyclical", "aggressive"], "search": {"equal": "trials"}}
    assert SearchPlan.of(SweepSpec.model_validate({**said, "trials": 7})).planned()["aggressive"] == 7 + 3


def test_whenever_it_is_ended_all_have_had_the_same() -> None:
    # One aggressive trial costs as much as 2.8 of the others: 140 epochs of joint training and 50.
    plan = plan_of(variants="annealed,aggressive", trials=9, set=["aggressive_epochs=2"], baseline_seeds=1)
    asked = [each.variant for each in finish(SweepSearcher(plan)) if each.kind == "trial"]
    assert asked[:7] == ["annealed", "aggressive", *["annealed"] * 2, "aggressive", *["annealed"] * 2]
    for count in range(3, 12):
        costs = {
            "annealed": 50 * asked[:count].count("annealed"),
            "aggressive": 140 * asked[:count].count("aggressive"),
        }
        assert abs(costs["annealed"] - costs["aggressive"]) <= 140
