"""Importance of knobs: a function where one dominates, and what is said where nothing can be known."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from orchestrator.analysis.results import TrialResult
from orchestrator.analysis.sweeps.importance import FEWEST_TRIALS, Importance, behind, importances
from orchestrator.search.trial_plan import Kind, TrialPlan

SPACE = {
    "kl_start": FloatDistribution(1e-4, 1.0, log=True),
    "cycles": IntDistribution(1, 8),
    "decoder": CategoricalDistribution(["lstm", "dilated"]),
}


def result(number: int, kl: float, nll: float, kind: Kind = "trial", **knobs: object) -> TrialResult:
    plan = TrialPlan("cyclical" if knobs else "language_model", kind, knobs, 0, tuple(knobs))
    return TrialResult(f"t{number}", plan, {"test/kl": kl, "test/nll": nll}, {})


def search(count: int, seed: int = 0) -> list[TrialResult]:
    """NLL follows the logarithm of kl_start, KL the decoder; cycles do nothing."""
    rng = np.random.default_rng(seed)
    found = [result(-1, 0.0, 100.0, "baseline")]
    for number in range(count):
        start, cycles = 10 ** rng.uniform(-4, 0), int(rng.integers(1, 9))
        decoder = str(rng.choice(["lstm", "dilated"]))
        kl = 1.0 + 3.0 * (decoder == "dilated") + rng.normal(0, 0.05)
        nll = 50.0 + 2.0 * math.log10(start) + rng.normal(0, 0.1)
        found.append(result(number, kl, nll, kl_start=start, cycles=cycles, decoder=decoder))
    return found


def by_target(found: list[Importance]) -> dict[str, Importance]:
    assert {one.variant for one in found} == {"cyclical"}
    return {one.target: one for one in found}


def test_the_knob_that_matters_is_found() -> None:
    found = by_target(importances(search(40), {"cyclical": SPACE}))
    assert next(iter(found["nll"].shares)) == "kl_start"
    assert found["nll"].shares["kl_start"] > 0.9
    assert next(iter(found["kl"].shares)) == "decoder"
    assert found["kl"].shares["decoder"] > 0.9
    for one in found.values():
        assert (one.trials, one.reason) == (40, "")
        assert sum(one.shares.values()) == pytest.approx(1.0)
        assert set(one.shares) == set(SPACE)
    assert found["nll"].explained > 0.8


def test_the_same_trials_give_the_same_figures_and_optuna_stays_as_it_was() -> None:
    before = optuna.logging.get_verbosity()
    one, two = (importances(search(20), {"cyclical": SPACE}) for _ in range(2))
    assert one == two
    assert optuna.logging.get_verbosity() == before


def test_too_few_trials_give_no_number() -> None:
    found = importances(search(FEWEST_TRIALS - 1), {"cyclical": SPACE})
    assert [one.reason for one in found] == ["too few trials (9 of 10)"] * 3
    assert all(one.shares == {} for one in found)


def test_replicates_and_failures_do_not_count() -> None:
    trials = search(FEWEST_TRIALS)
    best = trials[1]
    again = [
        TrialResult(f"r{number}", TrialPlan("cyclical", "replicate", best.plan.knobs, number, ("cycles",)),
                    best.final, {})
        for number in range(5)
    ]  # fmt: skip
    failed = TrialResult("f", trials[-1].plan, {}, {}, None, "diverged")
    found = importances([*trials[:-1], failed, *again], {"cyclical": SPACE})
    assert found[0].reason == "too few trials (9 of 10)"


def test_noise_is_not_explained() -> None:
    rng = np.random.default_rng(3)
    noise = [
        result(number, *rng.normal(10, 1, 2), decoder="lstm", kl_start=10 ** rng.uniform(-4, 0),
               cycles=int(rng.integers(1, 9)))
        for number in range(30)
    ]  # fmt: skip
    found = by_target(importances(noise, {"cyclical": SPACE}))
    for target in ("nll", "kl"):
        assert found[target].reason == "the knobs explain nothing of it in 30 trials"
        assert found[target].explained < 0.1
        assert found[target].shares == {}


def test_a_figure_that_never_changes() -> None:
    same = [result(n, 0.0, 50.0 + n, kl_start=0.1, cycles=1 + n % 8, decoder="lstm") for n in range(12)]
    assert by_target(importances(same, {"cyclical": SPACE}))["kl"].reason == "the same in all trials"


def test_an_unknown_search_space() -> None:
    assert {one.reason for one in importances(search(12), {})} == {"its search space is not known"}


def test_trials_outside_the_stored_ranges() -> None:
    space = {"cyclical": SPACE | {"kl_start": FloatDistribution(0.5, 1.0)}}
    assert by_target(importances(search(20), space))["nll"].reason == "its trials do not fit its search space"


def test_a_knob_that_only_some_trials_have_is_left_out() -> None:
    trials = search(24)
    for trial in trials[1:9]:
        plan = trial.plan
        knobs = {knob: value for knob, value in plan.knobs.items() if knob != "cycles"}
        object.__setattr__(trial, "plan", TrialPlan(plan.variant, "trial", knobs, 0, tuple(knobs)))
    found = by_target(importances(trials, {"cyclical": SPACE}))
    assert set(found["nll"].shares) == {"kl_start", "decoder"}


def test_a_variant_without_searched_knobs_has_no_rows() -> None:
    assert importances([result(0, 0.0, 10.0, "baseline")], {}) == []


def test_behind_the_frontier_by_hand() -> None:
    """(3, 8) lies 1 behind (2, 7) in both; for (4, 12) it takes 2.5, until its NLL is that of (1, 9.5)."""
    points = np.array([[0.0, 10.0], [2.0, 7.0], [3.0, 8.0], [1.0, 9.5], [4.0, 12.0], [math.nan, 1.0]])
    np.testing.assert_allclose(behind(points), [0.0, 0.0, 1.0, 0.0, 2.5, math.nan])
