"""The posterior mean space of He et al. (2019): where a training has model and inference network.

For a scalar z each sentence is a point (μ_θ(x), μ_φ(x)): the mean of the model's own posterior p(z|x), by
quadrature, and the encoder's mean. Where the points lie on a horizontal line the inference network says the
same of every sentence, on a vertical one the model ignores z; on the diagonal they agree.

Shape suffixes: N sentences, B of a batch, Z = 1 latent unit, P points of the grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.batches import evaluation_batches
from trainables.evaluation import EVALUATION_BATCH
from trainables.model import TextVAE
from trainables.splits import Split
from trainables.training import Training

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Points from −limit to limit for an integral over p(z) = N(0, 1)."""

    limit: float = 6.0
    step: float = 0.1

    def points(self) -> Tensor:
        """z_P in float64."""
        half = round(self.limit / self.step)
        return torch.arange(-half, half + 1, dtype=torch.float64) * self.step


@dataclass(frozen=True, eq=False)
class MeanSpace:
    """N sentences after so many updates of a training.

    Attributes:
        model_N: μ_θ(x), the mean of p(z|x).
        encoder_N: μ_φ(x), the mean of q(z|x).
        kl: mean KL(q(z|x) ‖ p(z)), nats per sentence.
        nll: mean −log p(x) of the model by the same quadrature, nats per sentence.
    """

    update: int
    model_N: FloatArray
    encoder_N: FloatArray
    kl: float
    nll: float

    @property
    def model_spread(self) -> float:
        """Standard deviation of μ_θ over the sentences."""
        return float(self.model_N.std())

    @property
    def encoder_spread(self) -> float:
        """Standard deviation of μ_φ over the sentences."""
        return float(self.encoder_N.std())

    @property
    def correlation(self) -> float:
        """Pearson's, of μ_θ and μ_φ; NaN where either is the same for all sentences."""
        spreads = self.model_spread * self.encoder_spread
        if spreads == 0.0:
            return math.nan
        return float(np.mean((self.model_N - self.model_N.mean()) * (self.encoder_N - self.encoder_N.mean())) / spreads)


@torch.no_grad()
def mean_space(
    model: TextVAE, split: Split, device: torch.device, *, update: int = 0, grid: Grid | None = None
) -> MeanSpace:
    """Both means of every sentence, in evaluation mode; draws no random number.

    Raises:
        ValueError: the model's z is not a scalar.
    """
    model.eval()
    z_P = (grid or Grid()).points()
    model_N, encoder_N, kl_N, nll_N = (np.empty(len(split)) for _ in range(4))
    for batch in evaluation_batches(split, EVALUATION_BATCH):
        batch = batch.to(device)
        posterior = model.posterior(batch)
        mean_BZ = posterior.mode().z_BZ
        columns = [-model.reconstruction_nll(batch, torch.full_like(mean_BZ, z)).double() for z in z_P.tolist()]
        log_joint_BP = torch.stack(columns, 1).cpu() - 0.5 * z_P.square()
        model_N[batch.indices_B] = log_joint_BP.softmax(1) @ z_P
        nll_N[batch.indices_B] = 0.5*math.log(2*math.pi) - math.log(float(z_P[1]-z_P[0])) - log_joint_BP.logsumexp(1)
        encoder_N[batch.indices_B] = mean_BZ[:, 0].cpu()
        kl_N[batch.indices_B] = posterior.kl().sum(1).cpu()
    return MeanSpace(update, model_N, encoder_N, float(kl_N.mean()), float(nll_N.mean()))
