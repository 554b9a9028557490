from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from orchestrator.analysis.frontier import (
    COLUMNS,
    area_gained,
    best_of_each_variant,
    configurations,
    default_reference,
    hypervolume,
)
from orchestrator.analysis.verdict import Verdict

Losses = dict[str, np.ndarray]


def run(trial_id: str, variant: str, kind: str, seed: int, total: float, *, kl: float = 0.0, knobs: str = "",
        decoder: str = "lstm", valid: float = math.nan, still: float = 0.0, units: float = 1.0,
        ) -> dict[str, object]:  # fmt: skip
    return {"trial_id": trial_id, "variant": variant, "kind": kind, "decoder": decoder, "seed": seed,
            "knobs": knobs, "nll": total - kl, "kl": kl, "nll_plus_kl": total,
            "valid_nll_plus_kl": valid, "still_to_gain": still, "active_units": units}  # fmt: skip


def baseline(trial_id: str, seed: int, total: float, decoder: str = "lstm") -> dict[str, object]:
    return run(trial_id, "language_model", "baseline", seed, total, decoder=decoder)


def flat(totals: Mapping[str, float], sentences: int = 5) -> Losses:
    """Losses without any noise between sentences."""
    return {name: np.full(sentences, total) for name, total in totals.items()}


def table(rows: Sequence[dict[str, object]], losses: Losses | None = None, **options: float) -> pd.DataFrame:
    if losses is None:
        losses = flat({str(row["trial_id"]): float(str(row["nll_plus_kl"])) for row in rows})
    return configurations(pd.DataFrame(rows), losses, **options)


def row_of(frame: pd.DataFrame, variant: str) -> pd.Series:
    rows = frame[frame["variant"] == variant]
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_frontier_is_of_nll_over_kl_whatever_their_sum() -> None:
    rows = [baseline("b", 0, 13.0), run("c", "vanilla", "trial", 0, 14.0, kl=3.0)]
    rows += [run("d", "beta", "trial", 0, 15.0, kl=4.0), run("e", "annealed", "trial", 0, 13.5, kl=0.2)]
    on_frontier = table(rows).set_index("trial_id")["on_frontier"]
    # NLL over KL: 13 at 0, 11 at 3, 11 at 4, 13.3 at 0.2
    assert on_frontier.to_dict() == {"b": True, "c": True, "d": False, "e": False}


def test_gain_and_its_standard_error_by_hand() -> None:
    losses = {
        "b1": np.array([10.0, 12.0, 14.0, 16.0]),
        "b2": np.array([10.4, 12.4, 14.4, 16.4]),
        "c1": np.array([9.0, 12.0, 13.0, 14.0]),
        "c2": np.array([9.0, 11.0, 13.0, 16.0]),
    }
    rows = [baseline("b1", 0, 13.0), baseline("b2", 1, 13.4)]
    rows += [run("c1", "vanilla", "trial", 0, 12.0, kl=2.0), run("c2", "vanilla", "trial", 1, 12.25, kl=2.5)]
    row = row_of(table(rows, losses, entropy_floor=10.0), "vanilla")
    # d = 1.2, 0.7, 1.2, 1.2: variance 0.0625 over 4 sentences; seeds: 0.08 / 2 and 0.03125 / 2
    assert row["gain"] == pytest.approx(13.2 - 12.125)
    assert row["gain_se"] == pytest.approx(math.sqrt(0.0625 / 4 + 0.04 + 0.015625))
    # sources: 3, 1 and 1 degrees of freedom
    t1, t3 = stats.t.isf(row["gain_p"] / 2, [1, 3])
    assert row["gain"] == pytest.approx(math.sqrt(0.015625 * t3**2 + 0.055625 * t1**2))
    assert row["gain_p_holm"] == row["gain_p"] > 0.05
    assert row["gain_verdict"] == Verdict.UNDECIDED
    assert row["gain_high"] - row["gain"] == pytest.approx(
        math.sqrt(0.015625 * stats.t.isf(0.025, 3) ** 2 + 0.055625 * stats.t.isf(0.025, 1) ** 2)
    )
    assert row["baseline_nll"] == pytest.approx(13.2)
    assert row["distance_to_floor"] == pytest.approx(2.125)
    assert (row["kl"], row["runs"], row["fresh"]) == (2.25, 2, True)
    assert row["kl_seed_se"] == pytest.approx(0.25)


def test_single_run_borrows_the_pooled_seed_variance() -> None:
    rows = [baseline("b1", 0, 13.0), baseline("b2", 1, 13.4)]  # variance 0.08, 1 degree of freedom
    rows += [
        run(f"v{s}", "vanilla", "trial", s, 13.0 + 0.1 * s) for s in range(3)
    ]  # variance 0.01, 2 degrees
    rows += [run("c", "cyclical", "trial", 7, 12.0, kl=1.0, knobs="cycles=4")]
    frame = table(rows)
    pooled = (0.08 * 1 + 0.01 * 2) / 3
    row = row_of(frame, "cyclical")
    assert row["gain_se"] == pytest.approx(math.sqrt(0.08 / 2 + pooled / 1))
    assert not row["fresh"]
    assert math.isnan(row["gain_p"])  # a picked run proves nothing
    assert row["gain_verdict"] == Verdict.NONE
    assert not row["beats_baseline"]
    assert frame["seed_noise_known"].all()


def test_seed_noise_unknown_when_every_configuration_ran_once() -> None:
    rows = [baseline("b", 0, 13.0), run("c", "annealed", "trial", 0, 12.0, knobs="anneal_delay=1")]
    frame = table(rows, {"b": np.array([12.0, 14.0]), "c": np.array([11.5, 12.5])})
    row = row_of(frame, "annealed")
    assert row["gain_se"] == pytest.approx(0.5)  # d = 0.5, 1.5: sd √0.5 over √2
    assert not frame["seed_noise_known"].any()


def test_replicates_replace_the_trial_that_they_repeat() -> None:
    knobs = "cycles=4 ramp_share=0.5"
    rows = [
        baseline("b1", 0, 13.0),
        baseline("b2", 1, 13.0),
        run("t", "cyclical", "trial", 42, 10.0, knobs=knobs),
    ]
    rows += [run(f"r{s}", "cyclical", "replicate", s, 12.0 + s, kl=1.0, knobs=knobs) for s in range(3)]
    row = row_of(table(rows), "cyclical")
    assert (row["nll_plus_kl"], row["runs"], row["fresh"], row["kind"]) == (13.0, 3, True, "replicate")
    assert row["trial_id"] == "t"


def test_repeating_a_seed_is_no_second_opinion() -> None:
    rows = [baseline("b", 0, 13.0)]
    rows += [run(name, "annealed", "trial", 42, 12.0, knobs="anneal_delay=1") for name in ("t1", "t2")]
    frame = table(rows)
    assert row_of(frame, "annealed")["runs"] == 1
    assert not frame["seed_noise_known"].any()


def test_runs_are_compared_with_the_baseline_of_their_decoder() -> None:
    rows = [baseline("b1", 0, 13.0), baseline("b2", 0, 14.0, decoder="dilated-S")]
    rows += [
        run("v", "vanilla", "trial", 0, 12.5),
        run("d", "dilated", "trial", 0, 12.5, decoder="dilated-S"),
    ]
    frame = table(rows)
    assert row_of(frame, "vanilla")["gain"] == pytest.approx(0.5)
    assert row_of(frame, "dilated")["gain"] == pytest.approx(1.5)
    assert list(frame[frame["kind"] == "baseline"]["gain"]) == [0.0, 0.0]
    assert not frame[frame["kind"] == "baseline"]["beats_baseline"].any()


def test_failed_replicate_leaves_no_mean_and_a_failed_baseline_is_left_out() -> None:
    rows = [baseline("b1", 0, 13.0), baseline("b2", 1, math.nan)]
    rows += [run("r1", "annealed", "replicate", 1, 11.0, knobs="k=1")]
    rows += [run("r2", "annealed", "replicate", 2, math.inf, knobs="k=1")]
    frame = table(rows)
    row = row_of(frame, "annealed")
    assert math.isnan(row["nll_plus_kl"])
    assert math.isnan(row["gain"])
    assert (row["runs"], row["failed"]) == (2, 1)
    assert not row["on_frontier"]
    assert not row["beats_baseline"]
    lm = row_of(frame, "language_model")
    assert (lm["baseline_nll"], lm["runs"], lm["failed"]) == (13.0, 1, 1)
    assert list(frame["variant"]) == ["language_model", "annealed"]  # unknown figures come last


def test_without_baseline_or_losses_there_are_figures_but_no_verdict() -> None:
    row = row_of(table([run("v", "vanilla", "trial", 0, 12.5, kl=0.5)]), "vanilla")
    assert row["nll"] == 12.0
    assert row[["baseline_nll", "gain", "gain_se", "gain_p", "distance_to_floor"]].isna().all()
    assert row["on_frontier"]
    row = row_of(table([baseline("b", 0, 13.0), run("v", "vanilla", "trial", 0, 12.5)], {}), "vanilla")
    assert row["gain"] == 0.5
    assert math.isnan(row["gain_se"])
    assert not row["beats_baseline"]


def test_empty_table() -> None:
    frame = configurations(pd.DataFrame(), {})
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 0
    assert len(best_of_each_variant(frame)) == 0
    assert default_reference(frame) == (0.0, 0.0)
    assert hypervolume(frame, (1.0, 1.0)) == 0.0
    assert math.isnan(area_gained(frame))


def test_bad_input_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"must have the columns .*'knobs'.* got \['trial_id'\]"):
        configurations(pd.DataFrame({"trial_id": ["a"]}), {})
    rows = [baseline("b", 0, 13.0), run("v", "vanilla", "trial", 0, 12.5)]
    with pytest.raises(ValueError, match=r"same sentences, got shapes \[\(2,\), \(3,\)\]"):
        table(rows, {"b": np.zeros(2), "v": np.zeros(3)})


@pytest.mark.slow
def test_two_standard_errors_cover_the_true_gain() -> None:
    """Sentences of different difficulty, a trait of each configuration on each sentence, and seeds."""
    random = np.random.default_rng(0)
    true_gain, sentences, seeds, repeats = 0.3, 200, 6, 300
    covered, errors, gains = 0, [], []
    for _ in range(repeats):
        difficulty = random.normal(13.0, 4.0, sentences)
        rows, losses = [], {}
        for variant, kind, level in (("language_model", "baseline", 0.0), ("vanilla", "trial", -true_gain)):
            trait = random.normal(0.0, 1.0, sentences)
            for seed in range(seeds):
                name = f"{variant}{seed}"
                losses[name] = difficulty + level + trait + random.normal(0.0, 0.15)
                rows.append(run(name, variant, kind, seed, float(losses[name].mean())))
        row = row_of(configurations(pd.DataFrame(rows), losses), "vanilla")
        covered += abs(row["gain"] - true_gain) < 2 * row["gain_se"]
        errors.append(row["gain_se"])
        gains.append(row["gain"])
    expected = math.sqrt(2 * 1.0 / sentences + 2 * 0.15**2 / seeds)
    assert np.std(gains) == pytest.approx(expected, rel=0.1)
    assert np.mean(errors) == pytest.approx(expected, rel=0.05)
    assert 0.92 < covered / repeats < 0.98


def test_best_of_each_variant_prefers_fresh_figures_to_a_lucky_run() -> None:
    rows = [baseline("b", 0, 13.0)]
    rows += [
        run("t1", "annealed", "trial", 42, 11.0, knobs="k=1"),
        run("t2", "annealed", "trial", 42, 11.1, knobs="k=2"),
    ]
    rows += [run(f"r{s}", "annealed", "replicate", s, 11.6, knobs="k=1") for s in range(3)]
    rows += [
        run("t3", "cyclical", "trial", 42, 12.0, knobs="k=1"),
        run("t4", "cyclical", "trial", 42, 12.5, knobs="k=2"),
    ]
    best = best_of_each_variant(table(rows))
    assert list(best["variant"]) == ["annealed", "cyclical"]
    assert list(best["nll_plus_kl"]) == pytest.approx([11.6, 12.0])
    assert list(best["knobs"]) == ["k=1", "k=1"]


def test_a_failed_replicate_speaks_for_its_variant_before_a_lucky_single_run() -> None:
    rows = [baseline("b", 0, 13.0)]
    rows += [
        run("t1", "annealed", "trial", 42, 11.0, knobs="k=1"),
        run("t2", "annealed", "trial", 42, 11.1, knobs="k=2"),
        run("r1", "annealed", "replicate", 1, 11.6, knobs="k=1"),
        run("r2", "annealed", "replicate", 2, math.nan, knobs="k=1"),
    ]
    row = row_of(best_of_each_variant(table(rows)), "annealed")
    assert (row["knobs"], row["runs"], row["failed"]) == ("k=1", 2, 1)


def test_picked_runs_are_chosen_on_validation() -> None:
    """By the gain over the decoder's own baseline, where validation is known; on test otherwise."""
    rows = [run("b1", "language_model", "baseline", 0, 13.0, valid=13.2)]
    rows += [run("b2", "language_model", "baseline", 1, 13.0, valid=13.4)]
    rows += [run("b3", "language_model", "baseline", 0, 15.0, valid=15.3, decoder="dilated-S")]
    rows += [
        run("t1", "annealed", "trial", 42, 11.0, knobs="k=1", valid=12.0),  # gains 1.3 on validation
        run("t2", "annealed", "trial", 42, 14.0, knobs="k=2", valid=13.9, decoder="dilated-S"),  # 1.4
        run("t3", "cyclical", "trial", 42, 12.0, knobs="k=1"),
        run("t4", "cyclical", "trial", 42, 12.5, knobs="k=2"),
    ]
    frame = table(rows)
    assert row_of(frame[frame["knobs"] == "k=1"], "annealed")["valid_gain"] == pytest.approx(1.3)
    best = best_of_each_variant(frame)
    assert dict(zip(best["variant"], best["trial_id"], strict=True)) == {"annealed": "t2", "cyclical": "t3"}
    without_baseline = best_of_each_variant(table([row for row in rows if row["kind"] == "trial"]))
    assert row_of(without_baseline, "annealed")["trial_id"] == "t1"


def points(kl: Sequence[float], nll: Sequence[float], baseline_nll: float = math.nan) -> pd.DataFrame:
    return pd.DataFrame({"kl": kl, "nll": nll, "baseline_nll": baseline_nll})


def test_hypervolume_by_hand() -> None:
    frame = points([0.0, 1.0, 2.0, 9.0, math.nan], [3.0, 2.0, 1.0, 0.0, 0.0])
    assert hypervolume(frame, (4.0, 4.0)) == pytest.approx(4 * 1 + 3 * 1 + 2 * 1)
    assert hypervolume(frame, (0.0, 0.0)) == 0.0


def test_area_gained_by_hand() -> None:
    assert area_gained(points([0.0], [13.0], 13.0)) == 0.0
    assert area_gained(points([3.0], [8.0], 13.0)) == pytest.approx(2.0)  # a triangle with legs 2
    # the second point is dominated: its triangle lies inside the first one's
    assert area_gained(points([1.0, 2.0], [9.0, 9.0], 13.0)) == pytest.approx(4.5)
    # legs 2 and 2 with corners (1, 10) and (2, 9): overlap at (2, 10) has legs 1
    assert area_gained(points([1.0, 2.0], [10.0, 9.0], 13.0)) == pytest.approx(2.0 + 2.0 - 0.5)
    assert area_gained(points([1.0, 9.0], [10.0, 9.0], 13.0)) == pytest.approx(2.0)
    assert area_gained(points([1.0], [10.0]), baseline_nll=12.0) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(5))
def test_areas_agree_with_counting_cells(seed: int) -> None:
    random = np.random.default_rng(seed)
    kl = random.uniform(0.0, 6.0, 12)
    nll = 10.0 - kl + random.normal(-0.5, 1.0, 12)
    cells = (np.arange(1600) + 0.5) * 10.0 / 1600
    x, y = np.meshgrid(cells, cells)
    dominated = np.zeros_like(x, dtype=bool)
    for a, b in zip(kl, nll, strict=True):
        dominated |= (x >= a) & (y >= b)
    cell = (10.0 / 1600) ** 2
    frame = points(kl.tolist(), nll.tolist(), 10.0)
    assert area_gained(frame) == pytest.approx(float((dominated & (x + y < 10.0)).sum()) * cell, abs=0.05)
    assert hypervolume(frame, (10.0, 10.0)) == pytest.approx(float(dominated.sum()) * cell, abs=0.15)


def test_default_reference() -> None:
    rows = [baseline("b1", 0, 13.0), baseline("b2", 0, 14.0, decoder="dilated-S")]
    rows += [run("v", "vanilla", "trial", 0, 900.0, kl=500.0)]
    assert default_reference(table(rows)) == (14.0, 14.0)
    assert default_reference(points([0.0, 4.0, 9.0], [10.0, 5.0, 6.0])) == pytest.approx((4.4, 11.0))
