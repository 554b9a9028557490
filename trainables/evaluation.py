"""Evaluation: reconstruction NLL, KL, and what z knows of the sentence.

Everything is measured in evaluation mode: no dropout, no word dropout, KL weight 1, no clamps. Figures
are in nats per sentence unless said otherwise.

Shape suffixes: N sentences of a split, B of a batch.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.batches import evaluation_batches
from trainables.information import (
    active_units,
    codebook_perplexity,
    mutual_information,
    mutual_information_given,
    published_mutual_information,
)
from trainables.model import TextVAE
from trainables.posteriors import Posterior
from trainables.splits import Split

EVALUATION_BATCH = 64
EVALUATION_SEED = 20_190_501


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


@torch.no_grad()
def evaluate(model: TextVAE, split: Split, device: torch.device) -> tuple[SplitMetrics, NDArray[np.float32]]:
    """Metrics on a split, and each sentence's NLL + KL as losses_N in the order of the split.

    The noise is the same at every call, so that epochs and trials are compared on the same draws.
    """
    model.eval()
    generator = torch.Generator(device).manual_seed(EVALUATION_SEED)
    nll_N, kl_N = (np.empty(len(split), dtype=np.float64) for _ in range(2))
    posteriors: list[Posterior] = []
    values: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in evaluation_batches(split, EVALUATION_BATCH):
        batch = batch.to(device)
        posterior = model.posterior(batch)
        draw = posterior.sample(generator)
        nll_N[batch.indices_B] = model.reconstruction_nll(batch, draw.z_BZ).cpu()
        kl_N[batch.indices_B] = posterior.kl().sum(1).cpu()
        posteriors.append(posterior)
        values.append(draw.value)
        if model.told and batch.labels_B is not None:
            labels.append(batch.labels_B)
    everything = type(posteriors[0]).concatenate(posteriors)
    value = torch.cat(values)
    information = (
        mutual_information_given(everything, value, torch.cat(labels).cpu().numpy())
        if labels
        else mutual_information(everything, value)
    )
    losses_N = nll_N + kl_N
    return SplitMetrics(
        nll=float(nll_N.mean()),
        kl=float(kl_N.mean()),
        nll_plus_kl=float(losses_N.mean()),
        nll_plus_kl_se=standard_error(losses_N),
        perplexity=math.exp(min(700.0, losses_N.sum() / split.words)),
        mutual_information=float(information.mean()),
        mutual_information_se=standard_error(information),
        mutual_information_sentences=len(split),
        mutual_information_cap=math.log(len(split)),
        mutual_information_batch=published_mutual_information(everything, value, split.by_length.counts_G),
        active_units=active_units(everything.shift_BGD),
        codebook_perplexity=codebook_perplexity(everything.mean_BGD),
    ), losses_N.astype(np.float32)


def standard_error(values_N: NDArray[np.float64]) -> float:
    """Standard error of the mean; 0 for a single value."""
    if len(values_N) < 2:
        return 0.0
    return float(values_N.std(ddof=1) / math.sqrt(len(values_N)))
