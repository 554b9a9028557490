"""Empirical attainment surfaces: what a sweep attains on how many of its training seeds.

Fonseca, Grunert da Fonseca and Paquete (2005), by moocore. Both objectives, KL and NLL in nats per sentence,
are minimised. A point is attained on a seed if a configuration trained with it is at least as good in both.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import pandas as pd

from orchestrator.analysis.comparison import Configuration, checked_runs, grouped
from orchestrator.analysis.frontier import FIGURES
from orchestrator.analysis.paired_test import FloatArray
from trainables.variants import BASELINE

SURFACES = {"best": 0.0, "median": 50.0, "worst": 100.0}
"""Percentiles of the seeds that attain a surface's points: one at least, half of them, all."""
FEWEST_SEEDS = 2
COLUMNS = ("surface", "kl", "nll")


def attainment_sets(runs: pd.DataFrame) -> list[FloatArray]:
    """One set of points (KL, NLL) for each fresh training seed of a sweep.

    The k-th set holds the k-th run, by seed, of each configuration whose figures are fresh: replicates, and
    variants that have no knobs to pick. There are as many sets as a replicated configuration has runs, or
    where none is replicated a variant without knobs. Seeds are paired by their order alone, since nothing but
    the initial weights and the batches depends on them.

    The collapsed point belongs to every set, for a language model can be had whatever the seed: the k-th
    baseline run, from the first again where there are fewer. What failed attains nothing. A set without any
    point, where even the baselines failed, is left out.

    Args:
        runs: a row a run: the columns of ``comparison.IDENTITY``, NLL, KL and their sum.
    """
    if runs.empty:
        return []
    groups = grouped(checked_runs(runs, FIGURES))
    baselines = [group for group in groups if group.key[0] == BASELINE]
    replicated = [group for group in groups if (group.eligible["kind"] == "replicate").all()]
    plain = [group for group in groups if group.key[0] != BASELINE and group.key[2] == ""]
    seeds = max((len(group.eligible) for group in replicated or plain), default=0)
    fresh = [_points(group) for group in (*replicated, *plain)]
    collapsed = [_finite(_points(group)) for group in baselines]
    sets = [
        [points[number] for points in fresh if number < len(points)]
        + [points[number % len(points)] for points in collapsed if len(points)]
        for number in range(seeds)
    ]
    finite = [_finite(np.array(points).reshape(-1, 2)) for points in sets]
    return [points for points in finite if len(points)]


def attainment_surfaces(sets: Sequence[FloatArray]) -> pd.DataFrame:
    """The corners of the best, the median and the worst surface, by rising KL; none for a single set.

    Of an even number of sets the median is what half of them attain.

    Args:
        sets: from ``attainment_sets``.
    """
    if len(sets) < FEWEST_SEEDS:
        return pd.DataFrame({"surface": [], "kl": [], "nll": []}).astype({"surface": "str"})
    numbers = np.repeat(np.arange(len(sets)), [len(points) for points in sets])
    found = moocore.eaf(np.concatenate(sets), numbers, percentiles=list(SURFACES.values()))
    parts = [
        pd.DataFrame({"surface": name, "kl": rows[:, 0], "nll": rows[:, 1]})
        for name, percentile in SURFACES.items()
        if len(rows := found[np.isclose(found[:, 2], percentile)])
    ]
    return pd.concat(parts, ignore_index=True).sort_values(
        ["surface", "kl"], kind="stable", ignore_index=True
    )


def _points(group: Configuration) -> FloatArray:
    rows = group.eligible.sort_values("seed", kind="stable")
    points: FloatArray = rows[["kl", "nll"]].to_numpy(dtype=np.float64)
    return points


def _finite(points: FloatArray) -> FloatArray:
    kept: FloatArray = points[np.isfinite(points).all(axis=1)]
    return kept
