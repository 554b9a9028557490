"""Evaluation: reconstruction NLL, KL, and what z knows of the sentence.

Everything is measured in evaluation mode: no dropout, no word dropout, KL weight 1, no clamps. Figures
are in nats per sentence unless said otherwise.

Shape suffixes: N sentences of a split, B of a batch.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.common.metrics import SplitMetrics, standard_error
from trainables.evaluation.information import (
    active_units,
    codebook_perplexity,
    mutual_information,
    mutual_information_given,
    published_mutual_information,
)
from trainables.latents.posteriors import Posterior
from trainables.model.text_vae import TextVAE
from trainables.text.batches import evaluation_batches
from trainables.text.splits import Split

EVALUATION_BATCH = 64
EVALUATION_SEED = 20_190_501


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
