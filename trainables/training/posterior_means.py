"""The posterior mean space of He et al. (2019): where training has the model, and where the encoder.

For a scalar z each sentence is a point (μ_θ(x), μ_φ(x)): the mean of the model's own posterior p(z|x), by
quadrature, and the encoder's mean. On the diagonal the two agree. On the line μ_φ = 0 the encoder says the
same of every sentence, whatever the model knows: inference lags. At the origin both have collapsed.

Shape suffixes: N sentences, B of a batch, Z = 1 latent unit, P points of the grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.evaluation.evaluate import EVALUATION_BATCH
from trainables.latents.conditions import Unconditional
from trainables.latents.posteriors import LOG_2PI
from trainables.model.text_vae import TextVAE
from trainables.model.variant import Variant
from trainables.parts.part import KnobError, require
from trainables.text.batches import Batch, evaluation_batches
from trainables.text.splits import Split
from trainables.training.loop import Training

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Quadrature:
    """The rectangle rule for ∫ p(z) … dz with p(z) = N(0, 1): from −limit to limit, the step halved for each
    sentence until its mean moves by at most `tolerance`."""

    limit: float = 6.0
    coarsest: float = 0.2
    finest: float = 0.0125
    tolerance: float = 1e-4

    def points(self, step: float) -> Tensor:
        """z_P in float64, 0 in the middle."""
        half = round(self.limit / step)
        return torch.arange(-half, half + 1, dtype=torch.float64) * step


@dataclass(frozen=True, eq=False)
class MeanSpace:
    """N sentences after so many updates of a training.

    Attributes:
        update: updates done.
        model_N: μ_θ(x), the mean of p(z|x).
        encoder_N: μ_φ(x), the mean of q(z|x).
        kl: mean KL(q(z|x) ‖ p(z)), nats per sentence.
        nll: mean −log p(x) of the model by the same quadrature, nats per sentence.
        quadrature_error: the most that a μ_θ has moved when its step was last halved; what error is left is
            smaller still.
    """

    update: int
    model_N: FloatArray
    encoder_N: FloatArray
    kl: float
    nll: float
    quadrature_error: float

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
        if self.model_spread * self.encoder_spread == 0.0:
            return math.nan
        return float(np.corrcoef(self.model_N, self.encoder_N)[0, 1])

    @property
    def distance(self) -> float:
        """Root mean square of μ_φ − μ_θ: how far the sentences are from the diagonal."""
        return float(np.sqrt(np.mean((self.encoder_N - self.model_N) ** 2)))


@torch.no_grad()
def mean_space(
    model: TextVAE, split: Split, device: torch.device, *, update: int = 0, rule: Quadrature | None = None
) -> MeanSpace:
    """Both means of every sentence. Draws no random number; leaves the model in evaluation mode."""
    model.eval()
    rule = rule or Quadrature()
    model_N, moved_N = np.full(len(split), math.inf), np.empty(len(split))
    encoder_N, kl_N, nll_N = (np.empty(len(split)) for _ in range(3))
    for batch in evaluation_batches(split, EVALUATION_BATCH):
        posterior = model.posterior(batch.to(device))
        encoder_N[batch.indices_B] = posterior.mode().z_BZ[:, 0].cpu()
        kl_N[batch.indices_B] = posterior.kl().sum(1).cpu()
    open_M, step = np.arange(len(split)), rule.coarsest
    while len(open_M) and step >= rule.finest:
        means_M, nll_N[open_M] = _integrate(model, split.take(open_M), device, rule.points(step))
        moved_N[open_M] = np.abs(means_M - model_N[open_M])
        model_N[open_M] = means_M
        open_M, step = open_M[moved_N[open_M] > rule.tolerance], step / 2
    error = float(moved_N.max())
    return MeanSpace(update, model_N, encoder_N, float(kl_N.mean()), float(nll_N.mean()), error)


def posterior_mean(log_joint_BP: Tensor, z_P: Tensor) -> Tensor:
    """Σ_p z_p · softmax_p(log p(x, z_p)) for each sentence, in float64; the step cancels."""
    return log_joint_BP.softmax(1) @ z_P


def _integrate(
    model: TextVAE, split: Split, device: torch.device, z_P: Tensor
) -> tuple[FloatArray, FloatArray]:
    """E[z|x] and −log p(x) of each sentence on one grid."""
    means_N, nll_N = np.empty(len(split)), np.empty(len(split))
    for batch in evaluation_batches(split, EVALUATION_BATCH):
        log_joint_BP = _log_joint(model, batch.to(device), z_P)
        means_N[batch.indices_B] = posterior_mean(log_joint_BP, z_P)
        nll_N[batch.indices_B] = -log_joint_BP.logsumexp(1) - (z_P[1] - z_P[0]).log()
    return means_N, nll_N


def _log_joint(model: TextVAE, batch: Batch, z_P: Tensor) -> Tensor:
    """log p(x|z) + log p(z) on the CPU in float64, a point at a time: memory is that of a batch."""
    like_BZ = batch.tokens_BT.new_ones((len(batch.tokens_BT), 1), dtype=torch.float32)
    columns = [-model.reconstruction_nll(batch, z * like_BZ) for z in z_P.tolist()]
    return torch.stack(columns, 1).double().cpu() - 0.5 * (z_P.square() + LOG_2PI)


class MeanSpaceRecorder:
    """Looks at a training's posterior mean space at the start, after every `every`-th update, and at the end.

    It changes nothing: a training that is looked at goes on as it would have.

    Args:
        training: of a variant that passes `check_scalar`.
        split: the sentences to follow.
        every: updates between looks.

    Raises:
        KnobError: the variant's latent variable has no posterior mean space.
        ValueError: `every` is less than 1.
    """

    def __init__(
        self, training: Training, split: Split, *, every: int, rule: Quadrature | None = None
    ) -> None:
        check_scalar(training.variant)
        if every < 1:
            raise ValueError(f"every must be >= 1, got {every}")
        self.training, self.split, self.every, self.rule = training, split, every, rule
        self.last = training.epochs * training.steps_per_epoch

    def look(self) -> MeanSpace | None:
        """The space now, if it is time to look; to be called before the first update and after each one."""
        training, update = self.training, self.training.cost.optimizer_steps
        if update % self.every and update != self.last:
            return None
        was_training = training.model.training
        space = mean_space(training.model, self.split, training.device, update=update, rule=self.rule)
        training.model.train(was_training)
        return space


def check_scalar(variant: Variant) -> None:
    """Whether z is one Gaussian number with the prior N(0, 1).

    Raises:
        KnobError: the rule and what the variant has instead.
    """
    latent = variant.latent
    if not latent.gaussian:
        raise KnobError(f"{variant.name}: latent must be gaussian, got {latent.part_name!r}")
    if not isinstance(variant.condition, Unconditional):
        raise KnobError(f"{variant.name}: condition must be 'none', got {variant.condition.part_name!r}")
    require(variant.sizes.latent_size == 1, "latent_size", "1", variant.sizes.latent_size)
