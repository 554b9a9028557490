"""How sure a gain over the baseline is: its two sources of noise, test sentences and training seeds.

All standard errors are in nats per sentence, variances in squared nats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Losses = Mapping[str, npt.ArrayLike]

SIGNIFICANT = 3.0
"""A gain counts when it exceeds this many of its standard errors."""


def mean(values: FloatArray) -> float:
    """Mean that skips nothing: NaN as soon as one value is not finite."""
    return float(values.mean()) if len(values) and np.isfinite(values).all() else math.nan


def variance(values: FloatArray) -> float:
    """Variance with ddof = 1; NaN for fewer than two values or a non-finite one."""
    return float(values.var(ddof=1)) if len(values) > 1 and np.isfinite(values).all() else math.nan


def pooled_variance(samples: Sequence[FloatArray]) -> float:
    """Variance within the samples of two and more values, weighted by n − 1; NaN where there is none."""
    known = [(len(sample) - 1, variance(sample)) for sample in samples]
    known = [(weight, value) for weight, value in known if math.isfinite(value)]
    return sum(n * value for n, value in known) / sum(n for n, _ in known) if known else math.nan


def seed_se(totals: FloatArray, pooled: float) -> float:
    """Standard error of the mean of ``totals`` (NLL + KL, one per run) over training seeds.

    A single run borrows the ``pooled`` variance; where nobody knows one (NaN), the answer is 0.
    """
    if math.isnan(pooled):
        return 0.0
    return math.sqrt((variance(totals) if len(totals) > 1 else pooled) / len(totals))


def sentence_se(baseline: Sequence[str], runs: Sequence[str], losses: Losses) -> float:
    """Paired standard error over test sentences of the difference between two means of runs (trial ids).

    sd(d) / √N with ddof = 1, d_i being the difference on sentence i; NaN where a run's losses are missing.
    """
    if any(name not in losses for name in (*baseline, *runs)):
        return math.nan
    vectors = {name: np.asarray(losses[name], dtype=np.float64) for name in (*baseline, *runs)}
    shapes = sorted({vector.shape for vector in vectors.values()})
    if len(shapes) != 1 or len(shapes[0]) != 1:
        raise ValueError(
            f"losses must be vectors over the same sentences, got shapes {shapes} for {list(vectors)}"
        )
    with np.errstate(invalid="ignore"):  # a diverged run may hold infinities; the answer is then NaN
        theirs = np.mean([vectors[name] for name in baseline], axis=0)
        difference = np.asarray(theirs - np.mean([vectors[name] for name in runs], axis=0))
    return math.sqrt(variance(difference) / len(difference)) if len(difference) else math.nan
