from __future__ import annotations

import math

import pandas as pd
import pytest

from orchestrator.analysis.comparison import FAILED, TEST, checked_runs, compared, grouped, non_dominated

FIGURES = ("nll", "kl", "nll_plus_kl", "valid_nll_plus_kl", "cost")


def run(trial_id: str, variant: str, kind: str, seed: int, total: float, **more: object) -> dict[str, object]:
    about = {"trial_id": trial_id, "variant": variant, "kind": kind, "decoder": "lstm", "seed": seed}
    figures = {"nll": total - 1.0, "kl": 1.0, "nll_plus_kl": total, "cost": 10.0 * seed}
    return about | {"knobs": ""} | figures | more


def runs() -> pd.DataFrame:
    """Baselines at 13, 13.4 and one that failed; a configuration picked at 10, replicated at 12 and 12.5."""
    rows = [run("b0", "language_model", "baseline", 0, 13.0)]
    rows += [run("b1", "language_model", "baseline", 1, 13.4)]
    rows += [run("b2", "language_model", "baseline", 2, math.nan, late=True)]
    rows += [run("t", "beta", "trial", 0, 10.0, knobs="beta=0.5", late=True)]
    rows += [run("r1", "beta", "replicate", 1, 12.0, knobs="beta=0.5", late=True)]
    rows += [run("r2", "beta", "replicate", 2, 12.5, knobs="beta=0.5", late=False)]
    frame = pd.DataFrame(rows)
    return checked_runs(frame, FIGURES).assign(late=frame["late"].eq(True))


def test_the_runs_that_speak_for_a_configuration() -> None:
    found = {group.key: group for group in grouped(runs())}
    assert list(found) == [("beta", "lstm", "beta=0.5"), ("language_model", "lstm", "")]
    picked, baseline = found.values()
    assert (picked.trial_id, picked.names) == ("t", ["r1", "r2"])
    assert picked.values("cost").tolist() == [10.0, 20.0]
    assert (baseline.names, len(baseline.eligible)) == (["b0", "b1"], 3)


def test_what_was_tried_for_a_baseline_is_no_configuration() -> None:
    """Tried at 11 and 12 on the search's seed; the better one is the baseline, at 12.6 and 12.8 on others."""
    knobs = {"knobs": "dropout=0.1"}
    rows = [run("l0", "language_model", "trial", 0, 11.0, **knobs)]
    rows += [run("l1", "language_model", "trial", 0, 12.0, knobs="dropout=0.4")]
    rows += [run(f"b{seed}", "language_model", "baseline", seed, 12.4 + seed / 5, **knobs) for seed in (1, 2)]
    rows += [run("v", "vanilla", "trial", seed, 12.5, knobs="dropout=0.2") for seed in (0, 1)]
    table = compared(checked_runs(pd.DataFrame(rows), FIGURES), FIGURES, None)
    assert table[["variant", "knobs", "kind", "runs"]].to_numpy().tolist() == [
        ["vanilla", "dropout=0.2", "trial", 2],
        ["language_model", "dropout=0.1", "baseline", 2],
    ]
    assert table["nll_plus_kl"].tolist() == pytest.approx([12.5, 12.7])
    assert table["gain"].tolist() == pytest.approx([0.2, 0.0])


def test_without_losses_the_error_is_that_of_the_seeds() -> None:
    table = compared(runs(), FIGURES, None)
    beta, baseline = (row for _, row in table.iterrows())
    # baselines: variance 0.08 over 2, the configuration: 0.125 over 2
    assert beta["gain"] == pytest.approx(13.2 - 12.25)
    assert beta["gain_se"] == pytest.approx(math.sqrt(0.04 + 0.0625))
    assert beta["baseline_runs"] == 2
    assert [(noise.variance, noise.df) for noise in beta[TEST].noise] == [
        (pytest.approx(0.04), 1),
        (pytest.approx(0.0625), 1),
    ]
    assert baseline[TEST] is None
    assert (beta["cost"], beta["runs"], beta["fresh"]) == (15.0, 2, True)
    assert (baseline["cost"], baseline["runs"], baseline[FAILED]) == (5.0, 2, 1)


def test_flags_are_counted_over_the_runs_that_count() -> None:
    table = compared(runs(), FIGURES, None, counts=(FAILED, "late"))
    assert table[[FAILED, "late"]].to_numpy().tolist() == [[0, 1], [1, 1]]
    assert table["runs"].tolist() == [2, 2]


def test_non_dominated_keeps_ties_and_the_baseline_and_drops_what_is_not_finite() -> None:
    kl = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, math.nan, 3.0, 0.0]
    nll = [13.7, 13.7, 12.0, 12.0, 12.0, 9.0, 1.0, -math.inf, 14.0]
    assert non_dominated(kl, nll).tolist() == [True, True, True, True, False, True, False, False, False]
    assert non_dominated([], []).tolist() == []
    assert non_dominated([math.nan], [1.0]).tolist() == [False]
