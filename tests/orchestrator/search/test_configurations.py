from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from ray.tune.search import Searcher

from orchestrator.search.configurations import (
    alike,
    configuration,
    inside,
    largest,
    middle,
    number_of,
    unseen,
)
from orchestrator.search.plan import SearchPlan
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.searched import final, plan_of

FINITE: Mapping[str, BaseDistribution] = {
    "a": CategoricalDistribution(["S", "M"]),
    "b": IntDistribution(1, 7, step=3),
    "c": FloatDistribution(0.1, 0.3, step=0.1),
}


def test_how_many_there_are() -> None:
    assert number_of(FINITE) == 2 * 3 * 3
    assert number_of({}) == 1
    assert number_of({"a": FloatDistribution(0.5, 0.5), "b": IntDistribution(1, 2)}) == 2
    assert number_of({"a": FloatDistribution(0, 1)}) == math.inf


@pytest.mark.parametrize(
    ("found", "value"),
    [
        (FINITE["a"], "S"),
        (FINITE["b"], 4),
        (IntDistribution(1, 2), 1),
        (FloatDistribution(0.1, 10.0, log=True), 1.0),
        (FloatDistribution(1.0, 4.0), 2.5),
    ],
)
def test_the_middle_of_a_range(found: BaseDistribution, value: object) -> None:
    assert middle(found) == pytest.approx(value)


@pytest.mark.parametrize(
    ("found", "value"),
    [
        (FINITE["a"], "M"),
        (FINITE["b"], 7),
        (FloatDistribution(0.1, 10.0, log=True), 10.0),
        (CategoricalDistribution([16, 256, 64]), 256),
        (CategoricalDistribution([None, 3]), 3),
    ],
)
def test_the_largest_of_a_range(found: BaseDistribution, value: object) -> None:
    assert largest(found) == value


def test_the_largest_models_of_a_sweep() -> None:
    spec = SweepSpec(
        name="s", variants={"dilated": {}, "vanilla": {}}, ranges={"hidden_size": {"choices": [512, 64]}}
    )
    found = {plan.variant: dict(plan.knobs) for plan in SearchPlan.of(spec).largest()}
    assert {variant: knobs["hidden_size"] for variant, knobs in found.items()} == {
        "language_model": 512, "dilated": 512, "vanilla": 512
    }  # fmt: skip
    assert found["dilated"]["dilation"] == "VL"


def test_every_one_is_found_once() -> None:
    seen = set()
    while (found := unseen(FINITE, seen)) is not None:
        assert all(distribution._contains(distribution.to_internal_repr(found[name]))
                   for name, distribution in FINITE.items())  # fmt: skip
        seen.add(configuration(found))
    assert len(seen) == 18
    assert configuration({"b": 1, "a": "S"}) == (("a", "S"), ("b", 1))


@pytest.mark.parametrize(
    ("ranges", "trials", "expected"),
    [({"dilation": ["S", "M"]}, 6, 2), ({"dilation": ["S", "M", "L"]}, 3, 3)],
)
def test_the_same_training_is_not_run_twice(ranges: dict[str, list[str]], trials: int, expected: int) -> None:
    own = {"ranges": ranges, "knobs": {"word_keep_rate": 1.0}}
    spec = SweepSpec(name="s", variants={"dilated": own}, trials=trials, baseline_seeds=1, replicates=1)
    plan = SearchPlan.of(spec)
    assert plan.planned()["dilated"] == expected + 1
    only = [f"dilated has only {expected} configurations, so it gets no more trials"]
    assert plan.cautions() == (only if expected < trials else [])
    searcher, asked = SweepSearcher(plan), []
    while (config := searcher.suggest(f"t{len(asked)}")) != Searcher.FINISHED:
        asked.append((config["kind"], str(config["knobs"]), config["seed"]))
        searcher.on_trial_complete(f"t{len(asked) - 1}", final(10.0 + len(asked)))
    assert len(asked) == len(set(asked)) == sum(plan.planned().values())


def test_what_is_proposed_once_more_is_told_its_value() -> None:
    own = {"ranges": {"cycles": [1, 3], "ramp_share": [0.5, 0.5]}, "knobs": {"word_keep_rate": 1.0}}
    spec = SweepSpec(name="s", variants={"cyclical": own}, trials=3, baseline_seeds=1, replicates=0)
    searcher = SweepSearcher(SearchPlan.of(spec))
    count = 0
    while (config := searcher.suggest(f"t{count}")) != Searcher.FINISHED:
        value = 10.0 + config["knobs"].get("cycles", 0)
        searcher.on_trial_complete(f"t{count}", final(value))
        count += 1
    told = searcher._studies["cyclical", ""].optuna.trials
    assert {trial.params["cycles"] for trial in told} == {1, 2, 3}
    assert all(sum(trial.values) == pytest.approx(trial.params["cycles"]) for trial in told)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"rate": 0.1, "size": 5, "shape": "a"}, {"rate": 0.102, "size": 5, "shape": "a"}, True),
        ({"rate": 0.1, "size": 5, "shape": "a"}, {"rate": 0.11, "size": 5, "shape": "a"}, False),  # 2 %
        ({"rate": 0.1, "size": 5, "shape": "a"}, {"rate": 0.1, "size": 6, "shape": "a"}, False),
        ({"rate": 0.1, "size": 5, "shape": "a"}, {"rate": 0.1, "size": 5, "shape": "b"}, False),
    ],
)
def test_configurations_that_are_all_but_the_same(
    one: dict[str, object], other: dict[str, object], same: bool
) -> None:
    distributions: Mapping[str, BaseDistribution] = {
        "rate": FloatDistribution(0.01, 1.0, log=True),  # ln 1.1 is 2 % of ln 100
        "size": IntDistribution(1, 9),
        "shape": CategoricalDistribution(["a", "b"]),
    }
    assert alike(configuration(one), configuration(other), distributions) is same


def test_trials_that_run_at_once_differ_though_nothing_is_feasible() -> None:
    searcher = SweepSearcher(
        plan_of(variants="cyclical", trials=9, sampler="gp", baseline_seeds=1, replicates=0)
    )
    searcher.suggest("b")
    searcher.on_trial_complete("b", final(10.0, kl=0.0))
    for number in range(4):
        searcher.suggest(f"t{number}")
        searcher.on_trial_complete(f"t{number}", final(12.0 + number, kl=0.1))
    (plan,) = searcher.plan.variants
    asked = [searcher.suggest(f"s{number}") for number in range(3)]
    found = [configuration({knob: config["knobs"][knob] for knob in config["searched"]}) for config in asked]
    assert not any(alike(*pair, plan.distributions) for pair in itertools.combinations(found, 2))


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"a": "S", "b": 4, "c": 0.2}, True),
        ({"a": "L", "b": 4, "c": 0.2}, False),  # not among the choices
        ({"a": "S", "b": 10, "c": 0.2}, False),  # beyond the range
        ({"a": "S", "b": 4}, False),  # not just these knobs
    ],
)
def test_what_lies_inside_the_ranges(params: Mapping[str, object], found: bool) -> None:
    assert inside(params, FINITE) is found
