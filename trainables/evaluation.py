"""Evaluation: reconstruction NLL, KL, mutual information, active units, importance-weighted NLL.

Everything is measured in evaluation mode: no dropout, no word dropout, KL weight 1, no clamps. Figures
are in nats per sentence unless said otherwise.

Shape suffixes: N sentences of a split, B of a batch, S samples, Z latent units.
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
from trainables.latents import GaussianPosterior
from trainables.model import TextVAE
from trainables.splits import Split

EVALUATION_BATCH = 64
EVALUATION_SEED = 20_190_501
ACTIVE_UNIT_VARIANCE = 0.01
PAIRS_PER_CHUNK = 4_000_000


@dataclass(frozen=True)
class SplitMetrics:
    """Figures of a model on a split.

    Attributes:
        nll: reconstruction NLL −E_q[log p(x|z)], one sample of z a sentence.
        kl: KL(q(z|x) ‖ p(z)).
        nll_plus_kl: the negative ELBO, and `nll_plus_kl_se` the standard error of its mean.
        perplexity: exp of nll_plus_kl per word, `</s>` counted.
        mutual_information: I_q(x; z) over the whole split, at most `mutual_information_cap` = ln N.
        active_units: latent units whose posterior mean varies by at least 0.01 over the split.
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
    active_units: int

    def named(self, prefix: str = "") -> dict[str, float]:
        """Metric names to values; `prefix` is "test/", say."""
        return {prefix + name: value for name, value in dataclasses.asdict(self).items()}


@dataclass(frozen=True)
class ImportanceWeighted:
    """IW-NLL, an upper bound on −log p(x) that tightens with `samples`, on `sentences` of a split."""

    iw_nll: float
    iw_nll_se: float
    samples: int
    sentences: int


@torch.no_grad()
def evaluate(model: TextVAE, split: Split, device: torch.device) -> tuple[SplitMetrics, NDArray[np.float32]]:
    """Metrics on a split, and each sentence's NLL + KL as losses_N in the order of the split.

    The noise is the same at every call, so that epochs and trials are compared on the same draws.
    """
    model.eval()
    generator = torch.Generator(device).manual_seed(EVALUATION_SEED)
    nll_N, kl_N = (np.empty(len(split), dtype=np.float64) for _ in range(2))
    posteriors: list[GaussianPosterior] = []
    z: list[Tensor] = []
    for batch in evaluation_batches(split, EVALUATION_BATCH):
        tokens_BT = batch.tokens_BT.to(device)
        posterior = model.posterior(tokens_BT)
        z_BZ = posterior.sample(generator=generator)[0]
        nll_N[batch.indices_B] = model.reconstruction_nll(tokens_BT, z_BZ).cpu()
        kl_N[batch.indices_B] = posterior.kl().sum(1).cpu()
        posteriors.append(posterior)
        z.append(z_BZ)
    everything = type(posteriors[0]).concatenate(posteriors)
    information = mutual_information(everything, torch.cat(z))
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
        active_units=active_units(everything.mean_BZ),
    ), losses_N.astype(np.float32)


def mutual_information(posterior: GaussianPosterior, z_NZ: Tensor) -> NDArray[np.float64]:
    """log q(z_n|x_n) − log q(z_n) for each of N sentences, q(z) being the mean of all N posteriors.

    Its mean estimates I_q(x; z) (Hoffman & Johnson 2016). No term exceeds ln N, so a true value near
    ln N is underestimated: N and ln N are reported beside it. Work and memory are chunked, N² pairs.
    """
    sentences = len(z_NZ)
    rows = max(1, PAIRS_PER_CHUNK // sentences)
    terms: list[Tensor] = []
    for start in range(0, sentences, rows):
        pairs = posterior.pairwise_log_density(z_NZ[start : start + rows])
        own = pairs[torch.arange(len(pairs)), torch.arange(start, start + len(pairs))]
        terms.append(own - pairs.logsumexp(1) + math.log(sentences))
    information: NDArray[np.float64] = torch.cat(terms).cpu().numpy()
    return information


def active_units(mean_NZ: Tensor) -> int:
    """Number of latent units j with Var_x(μ_j) ≥ 0.01 (Burda et al. 2016)."""
    if len(mean_NZ) < 2:
        return 0
    return int((mean_NZ.var(dim=0) >= ACTIVE_UNIT_VARIANCE).sum())


@torch.no_grad()
def importance_weighted_nll(
    model: TextVAE, split: Split, device: torch.device, *, samples: int, sentences: int
) -> ImportanceWeighted:
    """−log (1/S) Σ_s p(x, z_s) / q(z_s|x) with z_s ~ q(z|x) (Burda et al. 2016).

    On a fixed random sample of `sentences` of the split (all if it has fewer), the same for every model,
    with the standard error of the mean over them. Samples of z are taken one at a time: memory is that
    of a batch.
    """
    model.eval()
    generator = torch.Generator(device).manual_seed(EVALUATION_SEED)
    chosen_N = np.random.default_rng(EVALUATION_SEED).permutation(len(split))[:sentences]
    nll: list[Tensor] = []
    for batch in evaluation_batches(split.take(chosen_N), EVALUATION_BATCH):
        tokens_BT = batch.tokens_BT.to(device)
        posterior = model.posterior(tokens_BT)
        log_weights: list[Tensor] = []
        for _ in range(samples):
            z_1BZ = posterior.sample(generator=generator)
            log_likelihood_B = -model.reconstruction_nll(tokens_BT, z_1BZ[0])
            log_weights.append(log_likelihood_B + posterior.log_weight(z_1BZ)[0])
        log_weights_SB = torch.stack(log_weights).double()
        nll.append(math.log(samples) - log_weights_SB.logsumexp(0))
    nll_N = torch.cat(nll).cpu().numpy()
    return ImportanceWeighted(float(nll_N.mean()), standard_error(nll_N), samples, len(nll_N))


def standard_error(values_N: NDArray[np.float64]) -> float:
    """Standard error of the mean; 0 for a single value."""
    if len(values_N) < 2:
        return 0.0
    return float(values_N.std(ddof=1) / math.sqrt(len(values_N)))
