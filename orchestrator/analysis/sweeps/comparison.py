"""Sweeps compared with each other: their frontiers by quality indicators, their best configurations by tests.

Pure functions on data frames. NLL, KL and their sum are in nats per sentence, areas and hypervolumes in
squared nats; all are minimised but the gains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import moocore
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.analysis.frontier import area_gained, default_reference, hypervolume
from orchestrator.analysis.sweeps.attainment import attainment_sets, attainment_surfaces
from orchestrator.analysis.sweeps.tests import best_first, pair_tests
from orchestrator.common.wording import plural

INDICATORS = (
    "sweep", "trials", "baseline_nll", "hypervolume", "area_gained", "best_gain", "best_gain_se",
    "best_variant", "best_knobs", "best_fresh", "seeds",
)  # fmt: skip


@dataclass(frozen=True)
class ComparedSweep:
    """What a comparison needs of a sweep.

    Attributes:
        digest: of its corpus; None where nobody knows it. Sweeps with the same one share test sentences.
        configurations: from ``frontier.configurations``.
        runs: the table that they were made from.
        losses: NLL + KL of each test sentence by trial id.
    """

    name: str
    digest: str | None
    configurations: pd.DataFrame
    runs: pd.DataFrame
    losses: Mapping[str, NDArray[np.float64]]
    entropy_floor: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Several sweeps side by side.

    Attributes:
        reference: (KL, NLL) of the hypervolumes: the highest baseline of all sweeps in both.
        indicators: a row a sweep, see ``INDICATORS``: its number of runs with figures; its lowest baseline;
            hypervolume within ``reference``; area between frontier and collapsed line; gain of the best of
            all its configurations, see ``tests.best_first``; number of its attainment sets.
        epsilons: a row for each ordered pair: ``epsilon``, how many nats the ``first`` frontier lacks in both
            objectives to be nowhere worse than the ``second``; 0 or less where it is so already.
        surfaces: corners of each sweep's attainment surfaces: ``sweep``, ``surface``, ``kl``, ``nll``.
        tests: see ``tests.pair_tests``.
        cautions: what keeps figures from being compared, a sentence each.
    """

    sweeps: Sequence[ComparedSweep]
    reference: tuple[float, float]
    indicators: pd.DataFrame
    epsilons: pd.DataFrame
    surfaces: pd.DataFrame
    tests: pd.DataFrame
    cautions: Sequence[str]

    @classmethod
    def of(cls, sweeps: Sequence[ComparedSweep]) -> Comparison:
        """Compares two sweeps or more, of different names."""
        reference = common_reference([sweep.configurations for sweep in sweeps])
        sets = {sweep.name: attainment_sets(sweep.runs) for sweep in sweeps}
        surfaces = [
            attainment_surfaces(found).assign(sweep=name)[["sweep", "surface", "kl", "nll"]]
            for name, found in sets.items()
        ]
        rows = [_indicators(sweep, reference, len(sets[sweep.name])) for sweep in sweeps]
        return cls(
            sweeps,
            reference,
            pd.DataFrame(rows, columns=list(INDICATORS)),
            epsilons(sweeps),
            pd.concat(surfaces, ignore_index=True),
            pair_tests(sweeps),
            _cautions(sweeps, {name: len(found) for name, found in sets.items()}),
        )


def common_reference(tables: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """One reference point (KL, NLL) for several sweeps: the highest of each one's own in both objectives."""
    own = np.array([default_reference(table) for table in tables])
    return float(own[:, 0].max()), float(own[:, 1].max())


def epsilon(first: pd.DataFrame, second: pd.DataFrame) -> float:
    """How many nats the frontier of the first table lacks to be nowhere worse than that of the second.

    The additive ε indicator of Zitzler et al. (2003): max over the second's points of the least, over the
    first's, of the larger of both objectives' differences, first − second. NaN where a frontier is empty.
    """
    own, other = (_frontier(table) for table in (first, second))
    return float(moocore.epsilon_additive(own, ref=other)) if len(own) and len(other) else math.nan


def epsilons(sweeps: Sequence[ComparedSweep]) -> pd.DataFrame:
    """``epsilon`` of each ordered pair."""
    rows = [
        {"first": one.name, "second": two.name, "epsilon": epsilon(one.configurations, two.configurations)}
        for one, two in permutations(sweeps, 2)
    ]
    return pd.DataFrame(rows, columns=["first", "second", "epsilon"])


def _frontier(table: pd.DataFrame) -> NDArray[np.float64]:
    points: NDArray[np.float64] = table.loc[table["on_frontier"], ["kl", "nll"]].to_numpy(dtype=np.float64)
    return points


def _indicators(sweep: ComparedSweep, reference: tuple[float, float], seeds: int) -> dict[str, object]:
    table = sweep.configurations
    top = next((row for _, row in best_first(table).iterrows()), None)
    return {
        "sweep": sweep.name,
        "trials": int(np.isfinite(sweep.runs["nll_plus_kl"]).sum()) if len(sweep.runs) else 0,
        "baseline_nll": float(table["baseline_nll"].min()),
        "hypervolume": hypervolume(table, reference),
        "area_gained": area_gained(table),
        "best_gain": math.nan if top is None else float(top["gain"]),
        "best_gain_se": math.nan if top is None else float(top["gain_se"]),
        "best_variant": "" if top is None else str(top["variant"]),
        "best_knobs": "" if top is None else str(top["knobs"]),
        "best_fresh": top is not None and bool(top["fresh"]),
        "seeds": seeds,
    }


def _cautions(sweeps: Sequence[ComparedSweep], seeds: Mapping[str, int]) -> list[str]:
    found: list[str] = []
    for one, two in combinations(sweeps, 2):
        if one.digest != two.digest or one.digest is None:
            known = one.digest is not None and two.digest is not None
            relation = "have different corpora" if known else "are not known to have the same corpus"
            found.append(f"{one.name} and {two.name} {relation}: only their gains can be compared")
    found += [
        f"{sweep.name} has no baseline: it has neither gains nor an area gained"
        for sweep in sweeps
        if not np.isfinite(sweep.configurations["baseline_nll"]).any()
    ]
    found += [
        f"{name} has no attainment surfaces: they need 2 fresh seeds, it has {plural(count, 'set')} of them"
        for name, count in seeds.items()
        if count < 2
    ]
    return found
