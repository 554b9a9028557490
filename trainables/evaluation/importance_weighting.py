"""The importance-weighted bound on −log p(x).

Shape suffixes: N sentences of a split, B of a batch, S samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.common.metrics import standard_error
from trainables.evaluation.evaluate import EVALUATION_BATCH, EVALUATION_SEED
from trainables.model.text_vae import TextVAE
from trainables.text.batches import Batch, evaluation_batches
from trainables.text.splits import Split

LOGITS_PER_CHUNK = {"cpu": 250_000, "cuda": 4_000_000}
"""What a core's cache holds, what a GPU is busy with."""
ROUND = 25
"""Samples between two looks at whether they suffice."""


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
    model: TextVAE,
    split: Split,
    device: torch.device,
    *,
    samples: int,
    sentences: int | None,
    tolerance: float = 0.0,
) -> ImportanceWeighted:
    """−log (1/S) Σ_s p(x, z_s) / q(z_s|x) with z_s ~ q(z|x) (Burda et al. 2016).

    On a fixed random sample of `sentences` of the split (all if it has fewer, and for None), the same for
    every model.
    Samples of z are taken in chunks of at most `LOGITS_PER_CHUNK` logits, but one at least; the
    mean is over all of them, whatever their number. Where the latent variable has a certain value (`vq`,
    and z = 0) the samples are all the same: one stands for them, and IW-NLL is NLL + KL.

    Args:
        samples: S of each sentence; with a tolerance the most of them.
        tolerance: S rises by `ROUND` until what sampling does to the mean over the sentences, bias and noise,
            is this share of its standard error over sentences; 0 takes all samples.
    """
    model.eval()
    generator = torch.Generator(device).manual_seed(EVALUATION_SEED)
    chosen = np.random.default_rng(EVALUATION_SEED).permutation(len(split))[:sentences]
    indices_N = np.sort(chosen).astype(np.int64)
    every = [
        Weights(model, batch.to(device))
        for batch in evaluation_batches(split.take(indices_N), EVALUATION_BATCH)
    ]
    certain = all(weights.posterior.certain for weights in every)
    most = 1 if certain else samples
    taken, iw_nll_N, variance_N = 0, np.empty(len(indices_N)), np.empty(len(indices_N))
    while taken < most:
        more = min(ROUND if tolerance else most, most - taken)
        for weights in every:
            weights.draw(more, generator)
            iw_nll_N[weights.batch.indices_B] = weights.iw_nll_B
            variance_N[weights.batch.indices_B] = weights.variance_B
        taken += more
        if tolerance and _settled(iw_nll_N, variance_N, tolerance):
            break
    return ImportanceWeighted(iw_nll_N, indices_N, samples if certain else taken)


def sampling_error(variance_N: NDArray[np.float64]) -> tuple[float, float]:
    """Bias and noise of the mean over sentences whose mean weights have that relative variance, in nats; by
    the delta method, the logarithm of a mean is biased by half of it."""
    return float(variance_N.mean()) / 2, math.sqrt(variance_N.sum()) / len(variance_N)


def _settled(iw_nll_N: NDArray[np.float64], variance_N: NDArray[np.float64], tolerance: float) -> bool:
    return math.hypot(*sampling_error(variance_N)) <= tolerance * standard_error(iw_nll_N)


class Weights:
    """A batch's sentences with the sums over S of their importance weights and of the squares."""

    def __init__(self, model: TextVAE, batch: Batch) -> None:
        self.model, self.batch = model, batch
        self.posterior = model.posterior(batch)
        self.samples = 0
        self.log_sum_B, self.log_squares_B = (
            torch.full((len(batch.tokens_BT),), -math.inf, dtype=torch.float64, device=batch.tokens_BT.device)
            for _ in range(2)
        )

    def draw(self, samples: int, generator: torch.Generator) -> None:
        """So many samples more of each sentence."""
        rows, positions = self.batch.tokens_BT.shape
        logits = rows * positions * self.model.vocabulary_size
        at_once = max(1, LOGITS_PER_CHUNK[self.batch.tokens_BT.device.type] // logits)
        for done in range(0, samples, at_once):
            times = min(at_once, samples - done)
            many = self.posterior.repeat(times)
            drawn = many.sample(generator)
            log_joint = -self.model.reconstruction_nll(self.batch.repeat(times), drawn.z_BZ)
            log_weights_SB = (log_joint + many.log_weight(drawn.value)).view(times, rows).double()
            self.log_sum_B = torch.logaddexp(self.log_sum_B, log_weights_SB.logsumexp(0))
            self.log_squares_B = torch.logaddexp(self.log_squares_B, (2 * log_weights_SB).logsumexp(0))
        self.samples += samples

    @property
    def iw_nll_B(self) -> NDArray[np.float64]:
        """−log of the mean weight, nats."""
        found_B: NDArray[np.float64] = (math.log(self.samples) - self.log_sum_B).cpu().numpy()
        return found_B

    @property
    def variance_B(self) -> NDArray[np.float64]:
        """Of the mean weight, over its square."""
        squares_B = (self.log_squares_B - 2 * self.log_sum_B).exp() - 1 / self.samples
        found_B: NDArray[np.float64] = squares_B.clamp(min=0).cpu().numpy()
        return found_B
