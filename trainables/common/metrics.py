"""Figures of a model on a split of the corpus, in nats per sentence unless said otherwise."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SplitMetrics:
    """Figures of a model on a split.

    Attributes:
        nll: reconstruction NLL −E_q[log p(x|z)], one sample of z a sentence.
        kl: KL(q(z|x) ‖ p(z)).
        nll_plus_kl: the negative ELBO, and `nll_plus_kl_se` the standard error of its mean.
        perplexity: exp of nll_plus_kl per word, `</s>` counted.
        mutual_information: I_q(x; z) over the whole split, at most `mutual_information_cap` = ln N; of a
            model that is told the label I_q(x; z | label).
        mutual_information_batch: as He et al. 2019 publish it: within batches of at most 32 sentences of
            equal length, at most ln 32 but for noise.
        active_units: latent units whose posterior mean, less the prior's, varies by at least 0.01 over the
            split.
        codebook_perplexity: of a discrete latent variable: exp of the entropy of a code over the split, mean
            over the codes of a sentence; at most the size of the codebook.
    """

    nll: float
    kl: float
    nll_plus_kl: float
    nll_plus_kl_se: float
    perplexity: float
    mutual_information: float
    mutual_information_se: float
    mutual_information_sentences: int
    mutual_information_cap: float
    mutual_information_batch: float
    active_units: int
    codebook_perplexity: float | None = None

    def named(self, prefix: str = "") -> dict[str, float]:
        """Metric names to values; `prefix` is "test/", say."""
        values = dataclasses.asdict(self).items()
        return {prefix + name: value for name, value in values if value is not None}


def standard_error(values_N: NDArray[np.float64]) -> float:
    """Standard error of the mean; 0 for a single value."""
    if len(values_N) < 2:
        return 0.0
    return float(values_N.std(ddof=1) / math.sqrt(len(values_N)))
