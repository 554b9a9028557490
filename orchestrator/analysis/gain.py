"""How sure a gain over the baseline is: its two sources of noise, test sentences and training seeds.

All standard errors are in nats per sentence, variances in squared nats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.paired_test import FloatArray, Noise, mean_noise, variance

Losses = Mapping[str, npt.ArrayLike]


def mean(values: FloatArray) -> float:
    """Mean that skips nothing: NaN as soon as one value is not finite."""
    return float(values.mean()) if len(values) and np.isfinite(values).all() else math.nan


def pooled_variance(samples: Sequence[FloatArray]) -> Noise:
    """Variance within the samples of two and more values, weighted by n − 1; NaN where there is none."""
    known = [(len(sample) - 1, variance(sample)) for sample in samples]
    known = [(weight, value) for weight, value in known if math.isfinite(value)]
    df = sum(n for n, _ in known)
    return Noise(sum(n * value for n, value in known) / df, df) if known else Noise(math.nan)


def seed_noise(totals: FloatArray, pooled: Noise) -> Noise:
    """Noise of the mean of ``totals`` (NLL + KL, one per run) over training seeds.

    A single run borrows the ``pooled`` variance; where nobody knows one (NaN), the answer is 0.
    """
    if math.isnan(pooled.variance):
        return Noise(0.0)
    return mean_noise(totals) if len(totals) > 1 else pooled


def sentence_noise(baseline: Sequence[str], runs: Sequence[str], losses: Losses) -> Noise:
    """Paired noise over test sentences of the difference between two means of runs (trial ids).

    var(d) / N with ddof = 1, d_i being the difference on sentence i; NaN where a run's losses are missing.
    """
    if any(name not in losses for name in (*baseline, *runs)):
        return Noise(math.nan)
    vectors = {name: np.asarray(losses[name], dtype=np.float64) for name in (*baseline, *runs)}
    shapes = sorted({vector.shape for vector in vectors.values()})
    if len(shapes) != 1 or len(shapes[0]) != 1:
        raise ValueError(
            f"losses must be vectors over the same sentences, got shapes {shapes} for {list(vectors)}"
        )
    with np.errstate(invalid="ignore"):  # a diverged run may hold infinities; the answer is then NaN
        theirs = np.mean([vectors[name] for name in baseline], axis=0)
        return mean_noise(np.asarray(theirs - np.mean([vectors[name] for name in runs], axis=0)))
