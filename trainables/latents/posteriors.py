"""Posteriors over the latent variable of a batch: draws, rate, densities.

Shape suffixes: B sentences, Z width of z, G groups of latent units (of a Gaussian its units, of a code its
positions), D numbers that describe a group (of a Gaussian 1, of a code its entries C), M sentences of
another set. Densities, rates and losses are in nats.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from trainables.parts.schedules import Progress

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Draw:
    """A value of the latent variable for each of B sentences, and z_BZ, which the decoder is given for it."""

    value: Tensor
    z_BZ: Tensor


class Posterior(ABC):
    """q(z|x) of B sentences, with the prior that it is measured against: a frozen dataclass of tensors."""

    certain: ClassVar[bool] = False
    """Whether every draw is the same."""

    @property
    @abstractmethod
    def mean_BGD(self) -> Tensor:
        """The mean of the value; of a code the probabilities of its entries."""

    @property
    def shift_BGD(self) -> Tensor:
        """The mean less the prior's."""
        return self.mean_BGD

    @abstractmethod
    def sample(self, generator: torch.Generator | None = None) -> Draw:
        """A draw from q(z|x); gradients reach its parameters where the draw depends on them smoothly."""

    @abstractmethod
    def mode(self) -> Draw:
        """The most probable value."""

    @abstractmethod
    def kl(self) -> Tensor:
        """KL(q(z_g|x) ‖ p(z_g)) as kl_BG, in closed form."""

    @abstractmethod
    def log_weight(self, value: Tensor) -> Tensor:
        """log p(z) − log q(z|x) of a value for each sentence, as a vector B."""

    @abstractmethod
    def pairwise_log_density(self, value: Tensor) -> Tensor:
        """log q(z_m | x_b) of M values for each of B sentences, as a matrix MB in float64."""

    @abstractmethod
    def negative_entropy(self) -> Tensor:
        """E_q[log q(z|x)] as a vector B, in closed form."""

    def training_draw(self, progress: Progress) -> Draw:
        """The draw that training goes through; a discrete latent relaxes it."""
        return self.sample()

    def auxiliary_loss(self) -> Tensor:
        """What the training objective has beside NLL and rate, a scalar in nats per sentence."""
        return torch.zeros((), device=self.mean_BGD.device)

    @classmethod
    def concatenate(cls, posteriors: Sequence[Self]) -> Self:
        """The posteriors of several batches as one."""
        first = posteriors[0]
        return first._with_tensors(
            lambda name: torch.cat([getattr(posterior, name) for posterior in posteriors])
        )

    def repeat(self, times: int) -> Self:
        """The posterior with all B sentences once more and again, as of a batch of times · B."""
        return self._with_tensors(lambda name: torch.cat([getattr(self, name)] * times))

    def rows(self, chosen: slice | Tensor) -> Self:
        """The posterior of some of the sentences."""
        return self._with_tensors(lambda name: getattr(self, name)[chosen])

    def _with_tensors(self, changed: Callable[[str], Tensor]) -> Self:
        names = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        tensors = [name for name in names if isinstance(getattr(self, name), Tensor)]
        return dataclasses.replace(self, **{name: changed(name) for name in tensors})  # type: ignore[type-var]


@dataclass(frozen=True)
class GaussianPosterior(Posterior):
    """N(mean, diag exp(log_variance)) against N(prior_mean, diag exp(prior_log_variance)) of B sentences."""

    mean_BZ: Tensor
    log_variance_BZ: Tensor
    prior_mean_BZ: Tensor
    prior_log_variance_BZ: Tensor

    @classmethod
    def standard(cls, mean_BZ: Tensor, log_variance_BZ: Tensor) -> Self:
        """Against the prior N(0, I)."""
        zero_BZ = torch.zeros_like(mean_BZ)
        return cls(mean_BZ, log_variance_BZ, zero_BZ, zero_BZ)

    @property
    def mean_BGD(self) -> Tensor:
        return self.mean_BZ.unsqueeze(2)

    @property
    def shift_BGD(self) -> Tensor:
        return (self.mean_BZ - self.prior_mean_BZ).unsqueeze(2)

    def sample(self, generator: torch.Generator | None = None) -> Draw:
        mean_BZ = self.mean_BZ
        noise_BZ = torch.randn(mean_BZ.shape, generator=generator, device=mean_BZ.device, dtype=mean_BZ.dtype)
        z_BZ = mean_BZ + (0.5 * self.log_variance_BZ).exp() * noise_BZ
        return Draw(z_BZ, z_BZ)

    def mode(self) -> Draw:
        return Draw(self.mean_BZ, self.mean_BZ)

    def kl(self) -> Tensor:
        excess = self.log_variance_BZ - self.prior_log_variance_BZ
        distance = (self.mean_BZ - self.prior_mean_BZ).square() * (-self.prior_log_variance_BZ).exp()
        return 0.5 * (distance + excess.exp() - 1.0 - excess)

    def log_weight(self, value: Tensor) -> Tensor:
        own = _squares(value, self.mean_BZ, self.log_variance_BZ) + self.log_variance_BZ
        prior = _squares(value, self.prior_mean_BZ, self.prior_log_variance_BZ) + self.prior_log_variance_BZ
        return 0.5 * (own - prior).sum(1)

    def negative_entropy(self) -> Tensor:
        return -0.5 * (1.0 + LOG_2PI + self.log_variance_BZ).sum(1)

    def pairwise_log_density(self, value: Tensor) -> Tensor:
        """In one product, as M · B numbers are many: z² and z by what the density multiplies them with."""
        z, mean_BZ, log_variance_BZ = value.double(), self.mean_BZ.double(), self.log_variance_BZ.double()
        precision_BZ = (-log_variance_BZ).exp()
        rest_B = (mean_BZ.square() * precision_BZ + log_variance_BZ + LOG_2PI).sum(1)
        factors = torch.cat((-0.5 * precision_BZ, mean_BZ * precision_BZ), dim=1)
        return torch.addmm(-0.5 * rest_B, torch.cat((z.square(), z), dim=1), factors.T)


class ZeroPosterior(GaussianPosterior):
    """The prior itself as posterior, with z pinned to 0: KL, mutual information and active units are 0."""

    certain: ClassVar[bool] = True

    def sample(self, generator: torch.Generator | None = None) -> Draw:
        return self.mode()

    def kl(self) -> Tensor:
        return torch.zeros_like(self.mean_BZ)

    def log_weight(self, value: Tensor) -> Tensor:
        return torch.zeros_like(value[:, 0])

    def negative_entropy(self) -> Tensor:
        return -0.5 * LOG_2PI * torch.ones_like(self.mean_BZ).sum(1)  # the density at its only value


def _squares(value: Tensor, mean_BZ: Tensor, log_variance_BZ: Tensor) -> Tensor:
    return (value - mean_BZ).square() * (-log_variance_BZ).exp()
