"""Samplers by name and by import path, their first points, and that each learns what it is told of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from orchestrator.search.plan import SearchPlan
from orchestrator.search.samplers import _BUILDERS, Task, build, first_points
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sections import SAMPLERS
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.searched import final, finish, plan_of

NUMERIC: Mapping[str, BaseDistribution] = {"a": FloatDistribution(0, 1), "b": IntDistribution(1, 3)}
NAMED: Mapping[str, BaseDistribution] = {**NUMERIC, "c": CategoricalDistribution(["S", "M"])}


def test_every_name_of_the_spec_has_a_sampler() -> None:
    assert tuple(_BUILDERS) == SAMPLERS


@pytest.mark.parametrize(
    ("distributions", "trials", "sampler"),
    [
        (NUMERIC, 20, optuna.samplers.GPSampler),
        (NUMERIC, 151, optuna.samplers.TPESampler),
        (NAMED, 20, optuna.samplers.TPESampler),
    ],
)
def test_auto(distributions: Mapping[str, BaseDistribution], trials: int, sampler: type) -> None:
    assert type(build("auto", Task(0, distributions, trials))) is sampler


def test_any_sampler_by_its_import_path() -> None:
    found = build("optuna.samplers:QMCSampler", Task(5, NUMERIC, 3))
    assert isinstance(found, optuna.samplers.QMCSampler)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("optuna.samplers:NoSampler", "has no attribute 'NoSampler'"),
        ("no_such_package:Sampler", "No module named 'no_such_package'"),
        ("collections:OrderedDict", "which is no Optuna sampler"),
        ("optuna.samplers:PartialFixedSampler", "cannot be made from a seed alone"),
    ],
)
def test_a_path_that_leads_to_no_sampler(path: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        build(path, Task(0, NUMERIC, 3))


def test_a_sampler_that_cannot_do_this_is_refused_before_a_sweep() -> None:
    build("optuna.samplers:QMCSampler", Task(0, NUMERIC, 3, objectives=2))
    with pytest.raises(SpecError, match=r"CmaEsSampler cannot search this: .*multi-objective"):
        build("optuna.samplers:CmaEsSampler", Task(0, NUMERIC, 3, objectives=2))


def test_a_grid_needs_finitely_many() -> None:
    with pytest.raises(SpecError, match="grid needs choices or a step for each knob, a has neither"):
        build("grid", Task(0, NUMERIC, 3))


def test_a_grid_is_run_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "variants: [cyclical]\ntrials: 9\nreplicates: 0\nbaseline_seeds: 1\nsearch: {sampler: grid}\n"
        "knobs: {word_keep_rate: 1}\n"
        "ranges: {cycles: {choices: [2, 8]}, ramp_share: {choices: [0.25, 0.5, 1.0]}}\n"
    )
    asked = finish(SweepSearcher(SearchPlan.of(SweepSpec.load(file, {"name": "s"}))))
    found = [(plan.knobs["cycles"], plan.knobs["ramp_share"]) for plan in asked if plan.kind == "trial"]
    assert found == [(2, 0.25), (2, 0.5), (2, 1.0), (8, 0.25), (8, 0.5), (8, 1.0)]


def test_first_points() -> None:
    task = Task(0, NUMERIC, 3)
    assert first_points("tpe", task, {"a": 0.5, "b": 2}) == [{"a": 0.5, "b": 2}]
    assert first_points("tpe", task, {"a": 1.5, "b": 2}) == []  # outside
    finite = Task(0, {"b": IntDistribution(1, 3)}, 2)
    assert first_points("grid", finite, {"b": 3}) == [{"b": 1}, {"b": 2}]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2", "random", "optuna.samplers:NSGAIIISampler"])
@pytest.mark.parametrize("objective", ["frontier", "elbo"])
def test_a_searcher_with_each(sampler: str, objective: str) -> None:
    options = {"variants": "cyclical", "trials": 5, "replicates": 0}
    options |= {"sampler": sampler, "objective": objective}
    searchers = [SweepSearcher(plan_of(**options)) for _ in range(2)]
    asked = [finish(searcher) for searcher in searchers]
    assert asked[0] == asked[1]
    study = searchers[0]._studies["cyclical", ""].optuna
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    assert len({str(plan.knobs) for plan in asked[0] if plan.kind == "trial"}) == 5


def test_constraints_are_told() -> None:
    searcher = SweepSearcher(plan_of(variants="cyclical", trials=3, baseline_seeds=1))
    searcher.suggest("b")
    searcher.on_trial_complete("b", final(12.0, kl=0.0))
    for number, (loss, kl) in enumerate(((11.5, 2.0), (11.9, 0.1), (12.5, 3.0))):
        searcher.suggest(f"c{number}")
        searcher.on_trial_complete(f"c{number}", final(loss, kl))
    told = searcher._studies["cyclical", ""].optuna.trials
    assert [trial.values for trial in told] == [
        pytest.approx(values) for values in ([-2.5, 2.0], [-0.2, 0.1], [-2.5, 3.0])
    ]
    assert [list(trial.constraints.values()) for trial in told] == [
        pytest.approx(broken) for broken in ([-1.5, -0.5], [0.4, -0.1], [-2.5, 0.5])
    ]


def test_a_feasible_configuration_is_replicated_before_a_better_one_that_has_collapsed() -> None:
    searcher = SweepSearcher(plan_of(variants="cyclical", trials=2, baseline_seeds=1, replicates=1))
    searcher.suggest("b")
    searcher.on_trial_complete("b", final(12.0, kl=0.0))
    configs = [searcher.suggest(f"c{number}") for number in range(2)]
    searcher.on_trial_complete("c0", final(11.8, kl=0.01))
    searcher.on_trial_complete("c1", final(11.9, kl=1.5))
    assert searcher.suggest("r")["knobs"] == configs[1]["knobs"]
