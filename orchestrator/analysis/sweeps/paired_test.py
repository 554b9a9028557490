"""A test of whether two configurations differ: paired over test sentences, with training seeds as noise.

All differences and standard errors are in nats per sentence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from orchestrator.analysis.gain import FloatArray, variance

FEWEST_SEEDS = 2


@dataclass(frozen=True)
class PairedTest:
    """The difference of two means of NLL + KL and how surely it is not 0.

    Attributes:
        difference: first less second; negative where the first is better.
        se: its standard error.
        df: degrees of freedom, by Welch and Satterthwaite.
        t: difference / se.
        p: two-sided, from Student's t.
    """

    difference: float
    se: float
    df: float
    t: float
    p: float


def paired_test(first: Sequence[npt.ArrayLike], second: Sequence[npt.ArrayLike]) -> PairedTest:
    """Tests that two configurations have the same mean NLL + KL.

    The variance of the difference adds three components, each with degrees of freedom of its own:

    * sentences, paired: var(d) / N with N − 1, where d_i is the difference on sentence i between the means of
      the two configurations' runs;
    * training seeds: s² / n with n − 1 for each side, s² being the variance of the runs' means.

    Together they have (Σ v)² / Σ (v² / df) degrees of freedom: between two sides of three runs a few, where
    the seeds' noise prevails. What a seed does to single sentences stands in two components, so from three
    runs a side on the test errs on the safe side; with two it rejects 6.5 % of true nulls at 5 % (simulated).
    Runs of two sweeps with the same seed share initial weights and batches; the test takes them as
    independent, which errs on the safe side as well.

    Args:
        first, second: NLL + KL of each test sentence, one vector a run: same sentences, same order in all.

    Raises:
        ValueError: fewer than two runs a side, or vectors over different sentences.
    """
    sides = [np.array([np.asarray(run, dtype=np.float64) for run in runs]) for runs in (first, second)]
    if min(map(len, sides)) < FEWEST_SEEDS or sides[0].shape[1:] != sides[1].shape[1:] or sides[0].ndim != 2:
        shapes = [side.shape for side in sides]
        raise ValueError(f"both sides must have two runs over the same sentences, got shapes {shapes}")
    one, two = sides
    paired_N: FloatArray = one.mean(axis=0) - two.mean(axis=0)
    sentences = (variance(paired_N) / len(paired_N), len(paired_N) - 1)
    seeds = [(variance(side.mean(axis=1)) / len(side), len(side) - 1) for side in sides]
    components = [sentences, *seeds]
    total = sum(value for value, _ in components)
    difference = float(paired_N.mean())
    if total == 0:
        return PairedTest(difference, 0.0, math.nan, math.nan, math.nan)
    df = total**2 / sum(value**2 / free for value, free in components)
    t = difference / math.sqrt(total)
    return PairedTest(difference, math.sqrt(total), df, t, float(2 * stats.t.sf(abs(t), df)))


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """The p-values adjusted for their number after Holm (1979), in the same order; NaN stays and counts not.

    Whoever rejects what is at most α is wrong about any of them with a probability of at most α.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, math.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return adjusted
