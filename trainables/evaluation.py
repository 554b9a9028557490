"""Evaluation: reconstruction NLL, KL, mutual information, active units, importance-weighted NLL.

Everything is measured in evaluation mode: no dropout, no word dropout, KL weight 1, no clamps. Figures
are in nats per sentence unless said otherwise.

Shape suffixes: N sentences of a split, B of a batch, S samples, G groups of latent units, D numbers that
describe a group.
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
from trainables.model import TextVAE
from trainables.posteriors import Draw, Posterior
from trainables.splits import Split

EVALUATION_BATCH = 64
EVALUATION_SEED = 20_190_501
PUBLISHED_BATCH = 32
LOGITS_PER_CHUNK = 4_000_000
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
        mutual_information_batch: as He et al. 2019 publish it: within batches of at most 32 sentences of
            equal length, at most ln 32 but for noise.
        active_units: latent units whose posterior mean varies by at least 0.01 over the split.
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
def evaluate(model: TextVAE, split: Split, device: torch.device) -> tuple[SplitMetrics, NDArray[np.float32]]:
    """Metrics on a split, and each sentence's NLL + KL as losses_N in the order of the split.

    The noise is the same at every call, so that epochs and trials are compared on the same draws.
    """
    model.eval()
    generator = torch.Generator(device).manual_seed(EVALUATION_SEED)
    nll_N, kl_N = (np.empty(len(split), dtype=np.float64) for _ in range(2))
    posteriors: list[Posterior] = []
    draws: list[Draw] = []
    for batch in evaluation_batches(split, EVALUATION_BATCH):
        batch = batch.to(device)
        posterior = model.posterior(batch)
        draw = posterior.sample(generator)
        nll_N[batch.indices_B] = model.reconstruction_nll(batch, draw.z_BZ).cpu()
        kl_N[batch.indices_B] = posterior.kl().sum(1).cpu()
        posteriors.append(posterior)
        draws.append(draw)
    everything = type(posteriors[0]).concatenate(posteriors)
    drawn = Draw(torch.cat([draw.value for draw in draws]), torch.cat([draw.z_BZ for draw in draws]))
    information = mutual_information(everything, drawn.value)
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
        mutual_information_batch=published_mutual_information(everything, drawn, split.by_length.counts_G),
        active_units=active_units(everything.mean_BGD),
        codebook_perplexity=codebook_perplexity(everything.mean_BGD),
    ), losses_N.astype(np.float32)


def mutual_information(posterior: Posterior, value: Tensor) -> NDArray[np.float64]:
    """log q(z_n|x_n) − log q(z_n) for each of N sentences' values, q(z) being the mean of all N posteriors.

    Its mean estimates I_q(x; z) (Hoffman & Johnson 2016). No term exceeds ln N, so a true value near
    ln N is underestimated: N and ln N are reported beside it. Work and memory are chunked, N² pairs.
    """
    sentences = len(value)
    rows = max(1, PAIRS_PER_CHUNK // sentences)
    terms: list[Tensor] = []
    for start in range(0, sentences, rows):
        pairs = posterior.pairwise_log_density(value[start : start + rows])
        own = pairs[torch.arange(len(pairs)), torch.arange(start, start + len(pairs))]
        terms.append(own - pairs.logsumexp(1) + math.log(sentences))
    information: NDArray[np.float64] = torch.cat(terms).cpu().numpy()
    return information


def batch_mutual_information(posterior: Posterior, draw: Draw) -> float:
    """I_q(x; z) as He et al. 2019 publish it: within groups of at most 32 sentences, mean over sentences.

    E_q[log q(z|x)] in closed form less the log of the mean of the group's posteriors at each sentence's draw.
    """
    total = 0.0
    for start in range(0, len(draw.value), PUBLISHED_BATCH):
        group = slice(start, start + PUBLISHED_BATCH)
        own = posterior.rows(group)
        pairs = own.pairwise_log_density(draw.value[group])
        aggregated = pairs.logsumexp(1) - math.log(len(pairs))
        total += float((own.negative_entropy().double() - aggregated).sum())
    return total / len(draw.value)


def published_mutual_information(posterior: Posterior, draw: Draw, counts_G: NDArray[np.int64]) -> float:
    """The same over a split sorted by length, with so many sentences of each: no batch mixes lengths."""
    total, first = 0.0, 0
    for count in counts_G.tolist():
        rows = slice(first, first + count)
        own = Draw(draw.value[rows], draw.z_BZ[rows])
        total += count * batch_mutual_information(posterior.rows(rows), own)
        first += count
    return total / first


def active_units(mean_NGD: Tensor) -> int:
    """Number of active latent units."""
    return int(active(mean_NGD).sum())


def active(mean_NGD: Tensor) -> Tensor:
    """Whether Var_x(μ_j) ≥ 0.01, for each latent unit j, as a mask G (Burda et al. 2016).

    For a code, whose mean is a vector of probabilities, the variances of its entries are added up.
    """
    if len(mean_NGD) < 2:
        return torch.zeros_like(mean_NGD[0, :, 0], dtype=torch.bool)
    return mean_NGD.var(dim=0).sum(1) >= ACTIVE_UNIT_VARIANCE


def codebook_perplexity(mean_NGD: Tensor) -> float | None:
    """exp H(code) over the split, mean over the G codes of a sentence; None for a continuous variable."""
    if mean_NGD.shape[2] == 1:
        return None
    share_GD = mean_NGD.double().mean(0)
    return float(torch.special.entr(share_GD).sum(1).exp().mean())


@torch.no_grad()
def importance_weighted_nll(
    model: TextVAE, split: Split, device: torch.device, *, samples: int, sentences: int | None
) -> ImportanceWeighted:
    """−log (1/S) Σ_s p(x, z_s) / q(z_s|x) with z_s ~ q(z|x) (Burda et al. 2016).

    On a fixed random sample of `sentences` of the split (all if it has fewer, and for None), the same for
    every model.
    Samples of z are taken in chunks, so that no more than `LOGITS_PER_CHUNK` logits are held at a time; the
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
        at_once = max(1, LOGITS_PER_CHUNK // (rows * positions * model.vocabulary_size))
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


def standard_error(values_N: NDArray[np.float64]) -> float:
    """Standard error of the mean; 0 for a single value."""
    if len(values_N) < 2:
        return 0.0
    return float(values_N.std(ddof=1) / math.sqrt(len(values_N)))
