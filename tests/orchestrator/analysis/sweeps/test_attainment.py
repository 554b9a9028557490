"""Attainment surfaces: hand-computed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from orchestrator.analysis.gain import FloatArray
from orchestrator.analysis.sweeps.attainment import attainment_sets, attainment_surfaces


def run(variant: str, kind: str, seed: int, kl: float, nll: float, knobs: str = "") -> dict[str, object]:
    return {
        "trial_id": f"{variant}{kind}{seed}{knobs}", "variant": variant, "kind": kind, "decoder": "lstm",
        "seed": seed, "knobs": knobs, "nll": nll, "kl": kl, "nll_plus_kl": nll + kl,
    }  # fmt: skip


BASELINES = [run("language_model", "baseline", seed, 0.0, 10.0 + seed) for seed in (0, 1)]


def as_lists(sets: list[FloatArray]) -> list[list[list[float]]]:
    return [sorted(points.tolist()) for points in sets]


def test_a_set_holds_what_each_configuration_attains_on_a_fresh_seed() -> None:
    runs = [
        *BASELINES,
        run("cyclical", "trial", 0, 9.0, 1.0, "cycles=2"),  # picked by its figures: no fresh seed
        *(run("cyclical", "replicate", seed, 2.0, 8.0 + seed, "cycles=2") for seed in (3, 1, 2)),
        *(run("vanilla", "trial", seed, 0.5, 11.0 + seed) for seed in range(4)),  # has no knobs to pick
    ]
    assert as_lists(attainment_sets(pd.DataFrame(runs))) == [
        [[0.0, 10.0], [0.5, 11.0], [2.0, 9.0]],
        [[0.0, 11.0], [0.5, 12.0], [2.0, 10.0]],
        [[0.0, 10.0], [0.5, 13.0], [2.0, 11.0]],  # two baselines for three seeds: the first again
    ]


def test_variants_without_knobs_alone_have_as_many_sets_as_runs() -> None:
    runs = [*BASELINES, *(run("vanilla", "trial", seed, 0.5, 11.0) for seed in range(4))]
    assert len(attainment_sets(pd.DataFrame(runs))) == 4


def test_what_failed_attains_nothing() -> None:
    replicates = [run("cyclical", "replicate", seed, 2.0, 8.0, "cycles=2") for seed in (1, 2)]
    replicates[1]["nll_plus_kl"] = replicates[1]["nll"] = math.nan
    sets = attainment_sets(pd.DataFrame([*BASELINES, *replicates]))
    assert as_lists(sets) == [[[0.0, 10.0], [2.0, 8.0]], [[0.0, 11.0]]]


@pytest.mark.parametrize("runs", [[], BASELINES, [run("cyclical", "trial", 0, 2.0, 8.0, "cycles=2")]])
def test_nothing_fresh_but_baselines_makes_no_set(runs: list[dict[str, object]]) -> None:
    assert attainment_sets(pd.DataFrame(runs)) == []


def surfaces(*sets: list[list[float]]) -> dict[str, list[list[float]]]:
    found = attainment_surfaces([np.array(points, dtype=np.float64) for points in sets])
    return {str(name): rows[["kl", "nll"]].to_numpy().tolist() for name, rows in found.groupby("surface")}


def test_surfaces_by_hand() -> None:
    """At KL 2 the sets reach 7, 8 and, by their point at 1.5, 7.5: best 7, median 7.5, worst 8. At KL 3 they
    reach 7, 6.5 and 7.5."""
    found = surfaces([[0, 10], [2, 7]], [[0, 10.2], [2, 8], [3, 6.5]], [[0, 9.9], [1.5, 7.5]])
    assert found == {
        "best": [[0.0, 9.9], [1.5, 7.5], [2.0, 7.0], [3.0, 6.5]],
        "median": [[0.0, 10.0], [2.0, 7.5], [3.0, 7.0]],
        "worst": [[0.0, 10.2], [2.0, 8.0], [3.0, 7.5]],
    }


@pytest.mark.parametrize(("count", "median"), [(2, 10.0), (3, 11.0), (4, 11.0), (5, 12.0)])
def test_the_median_is_what_half_of_the_seeds_attain(count: int, median: float) -> None:
    found = surfaces(*([[0.0, 10.0 + number]] for number in range(count)))
    assert found == {"best": [[0.0, 10.0]], "median": [[0.0, median]], "worst": [[0.0, 9.0 + count]]}


def test_a_single_seed_has_no_surfaces() -> None:
    assert attainment_surfaces([np.array([[0.0, 10.0]])]).empty
    assert list(attainment_surfaces([]).columns) == ["surface", "kl", "nll"]
