"""The importance-weighted bound on −log p(x).

Shape suffixes: N sentences of a split, B of a batch, S samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.common.metrics import standard_error
from trainables.evaluation.evaluate import EVALUATION_BATCH, EVALUATION_SEED
from trainables.model.text_vae import TextVAE
from trainables.text.batches import evaluation_batches
from trainables.text.splits import Split

LOGITS_PER_CHUNK = {"cpu": 250_000, "cuda": 4_000_000}
"""What a core's cache holds, what a GPU is busy with."""


@dataclass(frozen=True)
class ImportanceWeighted:
    """IW-NLL, an upper bound on −log p(x) that tightens with `samples`, of N sentences of a split.

    `indices_N` are their numbers in the split, in rising order; `iw_nll_N` goes with them.
    """

    iw_nll_N: NDArray[np.float64]
    indices_N: NDArray[np.int64]
    samples: int

    @property
    def iw_nll(self) -> float:
        """Mean over the sentences."""
        return float(self.iw_nll_N.mean())

    @property
    def iw_nll_se(self) -> float:
        """Standard error of that mean over sentences."""
        return standard_error(self.iw_nll_N)

    @property
    def sentences(self) -> int:
        """N."""
        return len(self.iw_nll_N)


@torch.no_grad()
def importance_weighted_nll(
    model: TextVAE, split: Split, device: torch.device, *, samples: int, sentences: int | None
) -> ImportanceWeighted:
    """−log (1/S) Σ_s p(x, z_s) / q(z_s|x) with z_s ~ q(z|x) (Burda et al. 2016).

    On a fixed random sample of `sentences` of the split (all if it has fewer, and for None), the same for
    every model.
    Samples of z are taken in chunks of at most `LOGITS_PER_CHUNK` logits, but one at least; the
    mean is over all of them, whatever their number. Where the latent variable has a certain value (`vq`,
    and z = 0) the samples are all the same: one stands for them, and IW-NLL is NLL + KL.
    """
    model.eval()
    generator = torch.Generator(device).manual_seed(EVALUATION_SEED)
    chosen = np.random.default_rng(EVALUATION_SEED).permutation(len(split))[:sentences]
    indices_N = np.sort(chosen).astype(np.int64)
    iw_nll_N = np.empty(len(indices_N))
    for batch in evaluation_batches(split.take(indices_N), EVALUATION_BATCH):
        batch = batch.to(device)
        rows, positions = batch.tokens_BT.shape
        at_once = max(1, LOGITS_PER_CHUNK[device.type] // (rows * positions * model.vocabulary_size))
        posterior = model.posterior(batch)
        drawn = 1 if posterior.certain else samples
        log_weights: list[Tensor] = []
        for done in range(0, drawn, at_once):
            times = min(at_once, drawn - done)
            many = posterior.repeat(times)
            draw = many.sample(generator)
            log_joint = -model.reconstruction_nll(batch.repeat(times), draw.z_BZ)
            log_weights.append((log_joint + many.log_weight(draw.value)).view(times, rows))
        log_weights_SB = torch.cat(log_weights).double()
        iw_nll_N[batch.indices_B] = (math.log(drawn) - log_weights_SB.logsumexp(0)).cpu()
    return ImportanceWeighted(iw_nll_N, indices_N, samples)
