"""The searcher alone: what it asks for and in which order, what it learns, and that it survives a restore.

Trials are not trained here: a result is computed from the configuration.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray import cloudpickle
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from orchestrator.search.plan import SearchPlan
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials.trial_recovery import ReconcileCallback
from tests.orchestrator.searched import Result, final, finish, loss, plan_of, value


def study(searcher: SweepSearcher, variant: str = "cyclical") -> optuna.Study:
    return searcher._studies[variant, ""].optuna


def states(searcher: SweepSearcher, variant: str = "cyclical") -> list[TrialState]:
    return [trial.state for trial in study(searcher, variant).trials]


def after_baselines(searcher: SweepSearcher) -> SweepSearcher:
    for number in range(2):
        config = searcher.suggest(f"b{number}")
        assert config["kind"] == "baseline"
        searcher.on_trial_complete(f"b{number}", value(config))
    return searcher


def tune_trial(trial_id: str, status: str, result: Result | None = None) -> Any:
    """What `reconcile` looks at in Tune's trial."""
    return SimpleNamespace(trial_id=trial_id, status=status, last_result=result or {})


# -- order -------------------------------------------------------------------------------------------


def test_baselines_then_variants_in_turns_then_replicates() -> None:
    searcher = SweepSearcher(plan_of())
    asked = finish(searcher)
    assert [plan.kind for plan in asked] == ["baseline"] * 2 + ["trial"] * 10 + ["replicate"] * 2
    assert [plan.seed for plan in asked[:2]] == [7, 8]
    searched = asked[2:12]
    assert [plan.variant for plan in searched] == ["vanilla", "cyclical"] * 5
    assert [plan.seed for plan in searched[0::2]] == [7, 8, 9, 10, 11]  # no knobs to search: repeats
    assert [plan.seed for plan in searched[1::2]] == [7] * 5
    best = min(searched[1::2], key=lambda plan: loss(plan.config()))
    for number, replicate in enumerate(asked[12:]):
        assert (replicate.variant, replicate.knobs, replicate.seed) == ("cyclical", best.knobs, 8 + number)
        assert replicate.searched == best.searched == tuple(plan_of().variants[1].distributions)
    assert searcher.finished


@pytest.mark.parametrize("at_once", [1, 3, 20])
@pytest.mark.parametrize("variants", ["vanilla", "cyclical,dilated,annealed"])
@pytest.mark.parametrize("replicates", [0, 3])
def test_as_many_suggestions_as_planned(at_once: int, variants: str, replicates: int) -> None:
    plan = plan_of(variants=variants, replicates=replicates, trials=3)
    asked = finish(SweepSearcher(plan), at_once)
    assert Counter(trial.variant for trial in asked) == plan.planned()
    assert len(asked) == sum(plan.planned().values())


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_a_baseline_is_searched_first_and_its_best_run_on_fresh_seeds(tmp_path: Path, at_once: int) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("variants: [cyclical, dilated]\nranges: {dropout: [0.0, 0.9]}\n")
    options = {"trials": 3, "baseline_trials": 4, "baseline_seeds": 2, "replicates": 1, "max_replicates": 1}
    plan = SearchPlan.of(SweepSpec.load(file, {"name": "s", "seed": 7, **options}))
    decoders = len(plan.baselines)
    assert decoders > 1
    asked = finish(SweepSearcher(plan), at_once)
    assert Counter(trial.variant for trial in asked) == plan.planned()
    tried, seeds = asked[: 4 * decoders], asked[4 * decoders : 6 * decoders]
    assert {(trial.variant, trial.kind, trial.seed) for trial in tried} == {("language_model", "trial", 7)}
    assert [trial.seed for trial in seeds] == [8] * decoders + [9] * decoders
    assert {(trial.variant, trial.kind) for trial in seeds} == {("language_model", "baseline")}
    for place in range(decoders):
        label = seeds[place].build().decoder_label
        own = [trial for trial in tried if trial.build().decoder_label == label]
        best = min(own, key=lambda trial: loss(trial.config()))
        assert (seeds[place].knobs, seeds[place].label) == (best.knobs, best.label)
        assert seeds[place].knobs == seeds[place + decoders].knobs
    assert "language_model" not in {trial.variant for trial in asked[6 * decoders :]}


def test_a_baseline_whose_search_finds_nothing_is_run_as_it_comes() -> None:
    spec = SweepSpec.model_validate({"name": "s", "variants": ["vanilla"], "ranges": {"dropout": [0.1, 0.5]}})
    searcher = SweepSearcher(SearchPlan.of(spec))
    for number in range(3):
        assert searcher.suggest(f"t{number}")["kind"] == "trial"
    assert searcher.suggest("b") is None  # before it is known which is best
    for number in range(3):
        searcher.on_trial_complete(f"t{number}", {"failure": "diverged"})
    config = searcher.suggest("b")
    assert (config["variant"], config["kind"], config["seed"]) == ("language_model", "baseline", 0)
    assert "dropout" not in config["knobs"]


def test_replicates_wait_for_their_own_search_alone() -> None:
    """So that nothing stands idle while the last trial of another variant runs."""
    searcher = after_baselines(SweepSearcher(plan_of(trials=1)))
    vanilla, cyclical = searcher.suggest("v"), searcher.suggest("c")
    assert (vanilla["variant"], cyclical["variant"]) == ("vanilla", "cyclical")
    assert searcher.suggest("r") is None
    searcher.on_trial_complete("c", value(cyclical))
    assert [searcher.suggest(f"r{number}")["kind"] for number in range(2)] == ["replicate"] * 2
    assert searcher.suggest("r2") is None  # vanilla is searched still
    searcher.on_trial_complete("v", value(vanilla))
    assert searcher.suggest("r2") == Searcher.FINISHED  # it has no knobs, so nothing to run again
    assert not searcher.finished  # two of them run
    assert searcher.running == {"r0", "r1"}
    for number in range(2):
        searcher.on_trial_complete(f"r{number}", value(cyclical))
    assert searcher.finished


def test_replicates_wait_for_the_baselines_that_decide_what_is_best() -> None:
    searcher = SweepSearcher(plan_of(trials=1, variants="cyclical", baseline_seeds=1))
    baseline = searcher.suggest("b")
    searcher.on_trial_complete("c", value(searcher.suggest("c")))
    assert searcher.suggest("r") is None
    searcher.on_trial_complete("b", value(baseline))
    assert searcher.suggest("r")["kind"] == "replicate"


def test_the_best_is_the_one_with_the_largest_gain_over_its_own_decoder(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(
        "variants: [dilated]\nbaseline_seeds: 1\ntrials: 4\nknobs: {word_keep_rate: 1}\n"
        "ranges: {dilation: [S, M]}\n"
    )
    searcher = SweepSearcher(SearchPlan.of(SweepSpec.load(file, {"name": "s"})))
    baselines = {}
    for name, nll_plus_kl in (("S", 14.0), ("M", 11.0)):
        config = searcher.suggest(f"b{name}")
        while config["knobs"].get("dilation") not in ("S", "M"):  # those of decoders that no trial has
            config = searcher.suggest(f"b{name}")
        baselines[config["knobs"]["dilation"]] = nll_plus_kl
        searcher.on_trial_complete(f"b{name}", final(nll_plus_kl))
    tried = []
    for number in range(2):  # more there are none
        config = searcher.suggest(f"t{number}")
        assert config["kind"] == "trial"
        dilation = config["knobs"]["dilation"]
        tried.append(dilation)
        searcher.on_trial_complete(f"t{number}", final({"S": 13.0, "M": 10.9}[dilation]))
    assert set(tried) == {"S", "M"}
    gains = {dilation: {"S": 13.0, "M": 10.9}[dilation] - loss for dilation, loss in baselines.items()}
    told = [sum(trial.values) for trial in study(searcher, "dilated").trials]
    assert told == pytest.approx([gains[dilation] for dilation in tried])
    assert searcher.suggest("r")["knobs"]["dilation"] == min(gains, key=lambda dilation: gains[dilation])


def test_the_default_comes_first_where_it_lies_in_the_ranges() -> None:
    default = {"cycles": 4, "word_keep_rate": 1.0}
    first = after_baselines(SweepSearcher(plan_of(variants="cyclical"))).suggest("c")
    assert {knob: first["knobs"][knob] for knob in default} == default
    (plan,) = plan_of(variants="cyclical").variants
    assert first["searched"] == list(plan.distributions)


def test_a_default_outside_the_ranges_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(
        "variants: [cyclical]\nranges: {cycles: {low: 6, high: 9}}\nbaseline_seeds: 1\ntrials: 4\n"
    )
    searcher = SweepSearcher(SearchPlan.of(SweepSpec.load(file, {"name": "s"})))
    searcher.suggest("b")
    assert [6 <= searcher.suggest(f"c{number}")["knobs"]["cycles"] <= 9 for number in range(4)] == [True] * 4


def test_the_same_seed_asks_the_same() -> None:
    first, again, other = (finish(SweepSearcher(plan_of(trials=6, seed=seed))) for seed in (7, 7, 8))
    assert first == again
    assert [plan.knobs for plan in first] != [plan.knobs for plan in other]


def test_the_limit_of_trials_at_a_time() -> None:
    searcher = SweepSearcher(plan_of())
    assert searcher.set_max_concurrency(2)
    configs = [searcher.suggest("a"), searcher.suggest("b")]
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("a", value(configs[0]))
    assert searcher.suggest("c")["kind"] == "trial"


# -- what is learnt ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "error", "state"),
    [
        (final(11.5), False, TrialState.COMPLETE),
        ({"failure": "diverged", "reason": "loss not finite"}, False, TrialState.PRUNED),
        (final(float("nan")), False, TrialState.PRUNED),
        (final(float("inf")), False, TrialState.PRUNED),
        (None, True, TrialState.FAIL),
        ({"epoch": 1, "metrics/nll": 12.0}, False, TrialState.FAIL),
        (None, False, TrialState.FAIL),
    ],
)
def test_what_the_study_is_told(result: Result | None, error: bool, state: TrialState) -> None:
    searcher = after_baselines(SweepSearcher(plan_of(variants="cyclical", trials=2)))
    first, second = searcher.suggest("c0"), searcher.suggest("c1")
    searcher.on_trial_complete("c0", result, error)
    searcher.on_trial_complete("c1", final(12.0))
    assert states(searcher) == [state, TrialState.COMPLETE]
    best = first if state == TrialState.COMPLETE else second
    assert searcher.suggest("r")["knobs"] == best["knobs"]  # NaN is no best


def test_a_variant_of_which_nothing_finished_is_not_replicated() -> None:
    searcher = after_baselines(SweepSearcher(plan_of(variants="cyclical,annealed", trials=1)))
    for number, result in enumerate(({"failure": "diverged"}, final(12.0))):
        searcher.suggest(f"t{number}")
        searcher.on_trial_complete(f"t{number}", result)
    assert [searcher.suggest(f"r{number}")["variant"] for number in range(2)] == ["annealed"] * 2
    assert searcher.suggest("r2") == Searcher.FINISHED


def test_the_search_learns() -> None:
    searcher = SweepSearcher(plan_of(variants="cyclical", trials=40, replicates=0, sampler="tpe"))
    kept = [float(plan.knobs["word_keep_rate"]) for plan in finish(searcher) if plan.kind == "trial"]
    assert sum(kept[20:]) / 20 > 0.7
    assert states(searcher) == [TrialState.COMPLETE] * 40


# -- saved and restored --------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 3, 11])
def test_a_restored_searcher_goes_on_as_if_nothing_had_been(tmp_path: Path, steps: int) -> None:
    plan = plan_of(trials=6)
    whole = finish(SweepSearcher(plan), at_once=1)
    first = SweepSearcher(plan)
    for number, expected in enumerate(whole[:steps]):
        config = first.suggest(f"t{number}")
        assert TrialPlan.from_config(config) == expected
        first.on_trial_complete(f"t{number}", value(config))
    first.save(str(tmp_path / "state.pkl"))
    assert [path.name for path in tmp_path.iterdir()] == ["state.pkl"]
    second = SweepSearcher(plan)
    second.restore(str(tmp_path / "state.pkl"))
    pickled = cloudpickle.loads(cloudpickle.dumps(first))
    for restored in (second, pickled):
        assert finish(restored, at_once=1, start=steps) == whole[steps:]


def test_a_restore_keeps_the_new_limit(tmp_path: Path) -> None:
    first, second = (SweepSearcher(plan_of()) for _ in range(2))
    first.set_max_concurrency(1)
    first.suggest("a")
    first.save(str(tmp_path / "state.pkl"))
    second.set_max_concurrency(3)
    second.restore(str(tmp_path / "state.pkl"))
    assert [second.suggest(name) is not None for name in "bcd"] == [True, True, False]


# -- reconciled with Tune's trials after a crash -------------------------------------------------------


def test_trials_that_tune_has_lost_are_asked_for_once_more() -> None:
    searcher = SweepSearcher(plan_of(variants="cyclical", trials=2, baseline_seeds=1))
    baseline, *trials = (searcher.suggest(name) for name in ("b", "c0", "c1"))
    ReconcileCallback(searcher).on_step_begin(0, [tune_trial("c1", Trial.RUNNING)])
    searcher.on_trial_complete("c1", value(trials[1]))
    assert [searcher.suggest("b again"), searcher.suggest("c0 again")] == [baseline, trials[0]]
    assert searcher.suggest("r") is None
    for name, config in (("b again", baseline), ("c0 again", trials[0])):
        searcher.on_trial_complete(name, value(config))
    assert searcher.suggest("r")["kind"] == "replicate"
    assert states(searcher) == [TrialState.COMPLETE] * 2


def test_trials_that_ended_without_a_word_are_told() -> None:
    searcher = SweepSearcher(plan_of(variants="cyclical", trials=4, baseline_seeds=1))
    configs = {name: searcher.suggest(name) for name in ("b", "c0", "c1", "c2", "c3")}
    searcher.reconcile(
        [
            tune_trial("b", Trial.TERMINATED, {"final": {"best/nll": 12.0 - 1, "best/kl": 1.0}}),
            tune_trial("c0", Trial.TERMINATED, {"final": {"best/nll": 11.0 - 1, "best/kl": 1.0}}),
            tune_trial("c1", Trial.TERMINATED, {"failure": "diverged"}),
            tune_trial("c2", Trial.ERROR),
            tune_trial("c3", Trial.PENDING),
            tune_trial("unheard of", Trial.RUNNING),
        ]
    )
    assert [state.name for state in states(searcher)] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    searcher.on_trial_complete("unheard of", final(1.0))
    searcher.on_trial_complete("c3", final(13.0))
    assert searcher.suggest("r")["knobs"] == configs["c0"]["knobs"]


def test_a_failed_trial_that_tune_runs_again_counts() -> None:
    searcher = after_baselines(SweepSearcher(plan_of(variants="cyclical", trials=2)))
    configs = [searcher.suggest(f"c{number}") for number in range(2)]
    searcher.on_trial_complete("c0", error=True)
    searcher.on_trial_complete("c1", final(12.0))
    searcher.reconcile([tune_trial("c0", Trial.PENDING), tune_trial("c1", Trial.TERMINATED)])
    assert searcher.suggest("r") is None  # the search goes on
    searcher.on_trial_complete("c0", final(11.0))
    told = study(searcher).trials
    assert [trial.state.name for trial in told] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert told[2].params == told[0].params
    assert searcher.suggest("r")["knobs"] == configs[0]["knobs"]


def test_reconciling_at_the_start_changes_nothing() -> None:
    searcher = SweepSearcher(plan_of())
    callback = ReconcileCallback(searcher)
    callback.on_step_begin(0, [])
    config = searcher.suggest("b")
    callback.on_step_begin(1, [])  # once only: "b" is in nobody's list yet
    assert searcher.suggest("c") != config


def test_the_gain_over_the_own_baseline_decides_not_the_decoder() -> None:
    ranges = {"dilation": ["S", "M"]}
    spec = SweepSpec(
        name="s", variants={"dilated": {"ranges": ranges, "knobs": {"word_keep_rate": 1.0}}}, trials=6
    )
    searcher = SweepSearcher(SearchPlan.of(spec))
    baseline = {"S": 12.0, "M": 10.0}
    trained = {"S": 11.0, "M": 9.8}  # M is better in all, S gains more
    asked, told = [], 0
    while (config := searcher.suggest(f"t{told}")) != Searcher.FINISHED:
        losses = baseline if config["kind"] == "baseline" else trained
        dilation = config["knobs"].get("dilation")
        asked.append((config["kind"], dilation))
        result = final(losses[dilation]) if dilation else final(12.5)
        searcher.on_trial_complete(f"t{told}", result)
        told += 1
    assert [dilation for kind, dilation in asked if kind == "replicate"] == ["S"] * 3
    values = {trial.params["dilation"]: sum(trial.values) for trial in study(searcher, "dilated").trials}
    assert values == {"S": pytest.approx(-1.0), "M": pytest.approx(-0.2)}
