from __future__ import annotations

import math

import pandas as pd
import pytest

from orchestrator.analysis.equal_compute import baseline_budget, equal_compute
from orchestrator.analysis.frontier import configurations
from orchestrator.analysis.results import TrialResult, histories_by_trial, losses_by_trial, runs_frame
from orchestrator.reports.figures.curve_view import (
    PANELS,
    SO_FAR,
    Curve,
    cost_view,
    in_sight,
    panel_limits,
    training_curves,
)
from tests.orchestrator.sweep_results import small_sweep, trained


def curves_of(results: list[TrialResult]) -> list[Curve]:
    runs = runs_frame(results)
    return training_curves(configurations(runs, losses_by_trial(results)), runs, histories_by_trial(results))


def at_budget(results: list[TrialResult]) -> pd.DataFrame:
    runs = runs_frame(results)
    return equal_compute(runs, histories_by_trial(results), baseline_budget(runs))


def test_each_variants_best_configuration_on_its_fresh_seeds() -> None:
    curves = curves_of(small_sweep())
    assert [curve.name for curve in curves] == ["baseline, lstm", "aggressive", "annealed", "cyclical"]
    assert [len(curve.seeds) for curve in curves] == [2, 2, 2, 1]
    assert [curve.knobs for curve in curves[1:]] == ["kl_start=1", "kl_start=0.1", "cycles=4"]
    annealed = curves[2]
    assert annealed.seeds[0][SO_FAR].tolist() == [20.0, 15.0, 12.0, 12.0]
    assert annealed.mean[SO_FAR].tolist() == pytest.approx([21.0, 15.0, 12.5, 12.2])
    assert annealed.mean["nll_plus_kl"].tolist() == pytest.approx([21.0, 15.0, 12.5, 12.45])
    assert annealed.error[SO_FAR].tolist() == pytest.approx([1.0, 0.0, 0.5, 0.2])
    assert annealed.mean["epoch"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert curves[3].error[SO_FAR].isna().all()


def test_means_go_as_far_as_all_runs() -> None:
    broken = [
        trained("r0", "vq", "replicate", 1, [20.0, 15.0, 12.0], codebook_size=8),
        trained("r1", "vq", "replicate", 2, [18.0], failure="diverged", codebook_size=8),
    ]
    (curve,) = curves_of(broken)
    assert [len(seed) for seed in curve.seeds] == [3, 1]
    assert curve.mean[SO_FAR].tolist() == [19.0]
    at_once = trained("r1", "vq", "replicate", 2, [], failure="diverged", codebook_size=8)
    (curve,) = curves_of([broken[0], at_once])
    assert (len(curve.seeds), len(curve.mean)) == (1, 0)
    assert curves_of([at_once]) == []
    assert curves_of([]) == []


def test_the_view_over_cost() -> None:
    results = small_sweep()
    shown = cost_view(curves_of(results), at_budget(results))
    assert shown.budget == 400.0
    assert shown.logarithmic
    # 13.1 − 12.2; variances 0.02 and 0.08 over two seeds each; cyclical's one run borrows the pooled 0.04
    seeds = math.sqrt(0.02 / 2 + 0.08 / 2), math.sqrt(0.02 / 2 + (0.02 + 0.08) / 2)
    assert [f"{error:.2f}" for error in seeds] == ["0.22", "0.24"]
    assert shown.labels == [
        "13.10 baseline, lstm",
        "aggressive over the budget",
        "annealed −0.90 ± 0.22",
        "cyclical −0.20 ± 0.24",
    ]
    low, high = shown.limits
    assert 11.2 < low < 11.6 < 13.1 < high < 14.1
    usual = [result for result in results if result.plan.variant != "aggressive"]
    assert not cost_view(curves_of(usual), at_budget(usual)).logarithmic


def test_a_hopeless_training_does_not_squash_the_pictures() -> None:
    usual = curves_of(small_sweep())
    hopeless = trained("h", "beta", "trial", 0, [900.0, 800.0, 700.0, 600.0], beta=9)
    hopeless.history[3]["kl"] = 500.0  # type: ignore[index]
    curves = curves_of([*small_sweep(), hopeless])
    assert len(curves) == len(usual) + 1
    assert [curve.name for curve in in_sight(curves)] == [curve.name for curve in usual]
    table = at_budget(small_sweep())
    assert cost_view(curves, table).limits == cost_view(usual, table).limits
    assert panel_limits(curves, "kl") == panel_limits(usual, "kl")


def test_an_early_peak_leaves_the_panel() -> None:
    results = small_sweep()
    assert panel_limits(curves_of(results), "kl") == pytest.approx((-0.08, 2.12))
    results[8].history[0]["kl"] = 30.0  # type: ignore[index]
    assert panel_limits(curves_of(results), "kl") == pytest.approx((-0.24, 6.36))  # three times 2
    for name in PANELS:
        assert panel_limits([], name) == pytest.approx((-0.04, 1.06))


def test_without_epochs_there_is_nothing_to_show() -> None:
    shown = cost_view([], at_budget([]))
    assert (list(shown.labels), shown.budget, shown.logarithmic) == ([], None, False)
    assert shown.limits[0] < shown.limits[1]
