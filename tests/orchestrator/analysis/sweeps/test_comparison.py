"""Indicators of sweeps against each other, hand-computed, and the tests between their best configurations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from orchestrator.analysis.sweeps.comparison import ComparedSweep, Comparison, common_reference, epsilon
from orchestrator.analysis.sweeps.tests import OVERALL, pair_tests
from tests.orchestrator.comparison_sweeps import compared, sweep_results


def points(*pairs: tuple[float, float], baseline: float = math.nan) -> pd.DataFrame:
    """A table of configurations on a frontier."""
    table = pd.DataFrame(pairs, columns=["kl", "nll"])
    return table.assign(on_frontier=True, baseline_nll=baseline)


def test_epsilon_by_hand() -> None:
    """To be nowhere worse than (0, 8) the first needs 2 nats at (0, 10); for (3, 6) it needs 1 at (2, 7).
    The other way round (0, 8) is there already, and (2, 7) is matched from (0, 8) or (3, 6) with 1."""
    one, two = points((0, 10), (2, 7)), points((0, 8), (3, 6))
    assert epsilon(one, two) == pytest.approx(2.0)
    assert epsilon(two, one) == pytest.approx(1.0)
    assert epsilon(one, one) == 0.0


def test_epsilon_is_negative_where_a_frontier_is_better_everywhere() -> None:
    assert epsilon(points((1, 5)), points((2, 7))) == pytest.approx(-1.0)
    assert epsilon(points((2, 7)), points((1, 5))) == pytest.approx(2.0)
    assert math.isnan(epsilon(points(), points((1, 1))))


def test_only_the_frontier_counts() -> None:
    table = points((0, 10), (2, 7))
    table.loc[0, "on_frontier"] = False
    assert epsilon(table, points((0, 10))) == pytest.approx(2.0)


def test_the_common_reference_is_the_highest_baseline() -> None:
    tables = [points((0, 10), (2, 7), baseline=10.0), points((0, 12), baseline=12.0)]
    assert common_reference(tables) == (12.0, 12.0)
    assert common_reference([points((1.0, 2.0)), points((2.0, 1.0))]) == pytest.approx((2.2, 2.2))


def test_indicators_by_hand() -> None:
    """Baselines at 13 (a) and 14 (b). a: (2, 9.5), a gain of 1.5; b: (2, 11.5), a gain of 0.5.

    Within (14, 14): a dominates 1 · 14 above its baseline's corner and (14 − 2) (13 − 9.5) below it, b
    nothing by its baseline and (14 − 2) (14 − 11.5) by the other.
    """
    found = Comparison.of([compared("a", 13.0, 11.5), compared("b", 14.0, 13.5)])
    assert found.reference == (pytest.approx(14.0), pytest.approx(14.0))
    table = found.indicators.set_index("sweep")
    assert table["hypervolume"].to_dict() == pytest.approx({"a": 14 + 12 * 3.5, "b": 12 * 2.5})
    assert table["area_gained"].to_dict() == pytest.approx({"a": 1.5**2 / 2, "b": 0.5**2 / 2})
    assert table["best_gain"].to_dict() == pytest.approx({"a": 1.5, "b": 0.5})
    assert list(table["best_variant"]) == ["cyclical", "cyclical"]
    assert list(table["trials"]) == [7, 7]
    assert list(table["seeds"]) == [3, 3]
    lacks = found.epsilons.set_index(["first", "second"])["epsilon"]
    assert lacks.to_dict() == pytest.approx({("a", "b"): 0.0, ("b", "a"): 2.0})
    assert found.cautions == []


def test_surfaces_of_each_sweep() -> None:
    """Three seeds without noise: all surfaces are the same two corners."""
    found = Comparison.of([compared("a", 13.0, 11.5), compared("b", 14.0, 13.5)])
    for (sweep, _), corners in found.surfaces.groupby(["sweep", "surface"]):
        level, nll = {"a": (13.0, 9.5), "b": (14.0, 11.5)}[str(sweep)]
        np.testing.assert_allclose(corners[["kl", "nll"]], [[0.0, level], [2.0, nll]])
    assert len(found.surfaces.groupby(["sweep", "surface"])) == 6


def test_cautions() -> None:
    one, two = compared("a", 13.0, 11.5), replace(compared("b", 14.0, 13.5), digest="other")
    bare = [result for result in sweep_results(0.0, 11.5) if result.plan.kind != "baseline"][:1]
    three = compared("c", results=bare)
    found = Comparison.of([one, two, three])
    assert found.cautions == [
        "a and b have different corpora: only their gains can be compared",
        "b and c have different corpora: only their gains can be compared",
        "c has no baseline: it has neither gains nor an area gained",
        "c has no attainment surfaces: they need 2 fresh seeds, it has 0 sets of them",
    ]
    assert math.isnan(found.indicators.set_index("sweep").loc["c", "area_gained"])


# -- tests -------------------------------------------------------------------------------------------


def test_the_best_configurations_are_tested() -> None:
    one = compared("a", 13.0, 11.5, noise=0.1, vanilla=True)
    two = compared("b", 13.0, 12.5, noise=0.1, vanilla=True, seed=9)
    found = pair_tests([one, two]).set_index("what")
    assert list(found.index) == [OVERALL, "vanilla"]  # cyclical is the best of all in both
    best = found.loc[OVERALL]
    assert (best["first_variant"], best["second_variant"]) == ("cyclical", "cyclical")
    assert (best["first_runs"], best["second_runs"]) == (3, 3)
    names = [f"r{seed}" for seed in (1, 2, 3)]
    direct = np.mean([one.losses[name] for name in names]) - np.mean([two.losses[name] for name in names])
    assert best["difference"] == pytest.approx(direct)
    assert best["p"] < 0.01
    assert found.loc["vanilla", "p"] > 0.01
    assert best["p_holm"] == pytest.approx(2 * best["p"])
    assert found.loc["vanilla", "p_holm"] == pytest.approx(max(found.loc["vanilla", "p"], 2 * best["p"]))
    assert (found["reason"] == "").all()


def test_why_there_is_no_test() -> None:
    one = compared("a", 13.0, 11.5, noise=0.1)

    def reason(two: ComparedSweep) -> str:
        table = pair_tests([one, two])
        assert table["p"].isna().all()
        assert table["p_holm"].isna().all()
        return str(table["reason"].iloc[0])

    assert reason(replace(one, name="b", digest="other")) == "different corpora"
    assert reason(replace(one, name="b", digest=None)) == "the corpus of a sweep is not known"
    assert reason(replace(one, name="b", losses={})) == "b has no losses of single sentences"
    short = {name: losses[:-1] for name, losses in one.losses.items()}
    assert reason(replace(one, name="b", losses=short)) == "different numbers of test sentences: 19, 20"
    single = [result for result in sweep_results(13.0, 11.5) if result.trial_id not in ("r2", "r3")]
    assert reason(compared("b", results=single)) == "b has 1 of the 2 seeds that a test needs"


def test_other_decoders_are_named() -> None:
    one, two = compared("a", 13.0, 11.5, noise=0.1), compared("b", 13.0, 11.5, noise=0.1, decoder="dilated")
    (row,) = pair_tests([one, two]).to_dict("records")
    assert row["reason"].startswith("decoders differ: lstm, dilated")
    assert math.isfinite(row["p"])


def test_nothing_to_test() -> None:
    assert pair_tests([compared("a", results=[]), compared("b", results=[])]).empty
