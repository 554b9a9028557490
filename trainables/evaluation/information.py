"""What a posterior knows of the sentence: mutual information, active units, use of a codebook.

Shape suffixes: N sentences of a split, G groups of latent units, D numbers that describe a group.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.latents.posteriors import Posterior

PUBLISHED_BATCH = 32
ACTIVE_UNIT_VARIANCE = 0.01
PAIRS_PER_CHUNK = 4_000_000


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
        own = pairs.diagonal(start)
        terms.append(own - pairs.logsumexp(1) + math.log(sentences))
    information: NDArray[np.float64] = torch.cat(terms).cpu().numpy()
    return information


def mutual_information_given(
    posterior: Posterior, value: Tensor, labels_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The same within the sentences of each label: its mean estimates I_q(x; z | label). Label by label."""
    groups = [torch.from_numpy(np.flatnonzero(labels_N == label)) for label in np.unique(labels_N)]
    return np.concatenate([mutual_information(posterior.rows(rows), value[rows]) for rows in groups])


def batch_mutual_information(posterior: Posterior, value: Tensor) -> float:
    """I_q(x; z) as He et al. 2019 publish it: within groups of at most 32 sentences, mean over sentences.

    E_q[log q(z|x)] in closed form less the log of the mean of the group's posteriors at each sentence's draw.
    """
    total = 0.0
    for start in range(0, len(value), PUBLISHED_BATCH):
        group = slice(start, start + PUBLISHED_BATCH)
        own = posterior.rows(group)
        pairs = own.pairwise_log_density(value[group])
        aggregated = pairs.logsumexp(1) - math.log(len(pairs))
        total += float((own.negative_entropy().double() - aggregated).sum())
    return total / len(value)


def published_mutual_information(posterior: Posterior, value: Tensor, counts_G: NDArray[np.int64]) -> float:
    """The same over a split sorted by length, with so many sentences of each: no batch mixes lengths."""
    total, first = 0.0, 0
    for count in counts_G.tolist():
        rows = slice(first, first + count)
        total += count * batch_mutual_information(posterior.rows(rows), value[rows])
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
