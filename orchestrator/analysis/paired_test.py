"""How sure a difference between two configurations is: paired over test sentences, training seeds as noise.

All differences and standard errors are in nats per sentence, variances in squared nats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

FloatArray = npt.NDArray[np.float64]

FEWEST_SEEDS = 2
_SMALLEST_P = 1e-300


@dataclass(frozen=True)
class Noise:
    """One independent source of noise in a difference.

    Attributes:
        variance: estimate of what it adds to the variance of the difference.
        df: degrees of freedom of that estimate; infinite where it is known.
    """

    variance: float
    df: float = math.inf


@dataclass(frozen=True)
class Difference:
    """A difference of two means and the sources of its noise.

    The test is Banerjee's (1960, Sankhyā 22): with t_i the two-sided quantile of Student's t at level α with
    the degrees of freedom of source i, the interval ± √(Σ t_i² v_i) holds the true difference with a
    probability of at least 1 − α, whatever the sources' true variances are. Welch and Satterthwaite's
    approximation promises less: with three seeds a side, and sentences beside seeds, it rejects up to four
    times as many true nulls as it says at α = 0.005, which is where a correction for ten comparisons works.

    Attributes:
        value: first less second.
    """

    value: float
    noise: Sequence[Noise]

    @property
    def se(self) -> float:
        """Standard error."""
        return math.sqrt(sum(source.variance for source in self.noise))

    def half_width(self, alpha: float) -> float:
        """Of the interval that holds the true difference with a probability of at least 1 − alpha."""
        if math.isnan(self.se):
            return math.nan
        sources = [source for source in self.noise if source.variance > 0]
        return math.hypot(*(math.sqrt(each.variance) * _quantile(alpha, each.df) for each in sources))

    @property
    def p(self) -> float:
        """Two-sided: the least level at which the interval excludes 0; NaN where there is no noise at all."""
        if not (math.isfinite(self.value) and self.se > 0):
            return math.nan

        def excess(log_alpha: float) -> float:
            return self.half_width(math.exp(log_alpha)) - abs(self.value)

        lowest = math.log(_SMALLEST_P)
        if excess(lowest) < 0:
            return _SMALLEST_P
        return math.exp(float(optimize.brentq(excess, lowest, 0.0, xtol=1e-10)))


def paired_test(first: Sequence[npt.ArrayLike], second: Sequence[npt.ArrayLike]) -> Difference:
    """The difference of two configurations' mean NLL + KL, with three sources of noise.

    * sentences, paired: var(d) / N with N − 1 degrees of freedom, where d_i is the difference on sentence i
      between the means of the two configurations' runs;
    * training seeds: s² / n with n − 1 for each side, s² being the variance of the runs' means.

    What a seed does to single sentences stands in two of them, which errs on the safe side. Runs of two
    sweeps with the same seed share initial weights and batches; they are taken as independent, which errs on
    the safe side as well.

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
    seeds = [mean_noise(side.mean(axis=1)) for side in sides]
    return Difference(float(paired_N.mean()), [mean_noise(paired_N), *seeds])


def mean_noise(values: FloatArray) -> Noise:
    """That of the mean of independent values: s² / n with n − 1 degrees of freedom; NaN where there are fewer
    than two values or one is not finite."""
    return Noise(variance(values) / len(values) if len(values) else math.nan, len(values) - 1)


def variance(values: FloatArray) -> float:
    """Variance with ddof = 1; NaN for fewer than two values or a non-finite one."""
    return float(values.var(ddof=1)) if len(values) > 1 and np.isfinite(values).all() else math.nan


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


def _quantile(alpha: float, df: float) -> float:
    """Two-sided quantile of Student's t."""
    return -float(special.stdtrit(df, alpha / 2) if math.isfinite(df) else special.ndtri(alpha / 2))
