"""Latent variables: the encoder's hidden vector to a posterior over z.

Shape suffixes: B sentences, H hidden, Z latent units, G groups of them (for a Gaussian G = Z),
S samples, M sentences of another set. Densities and KL are in nats.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from trainables.parts import Part
from trainables.sizes import Sizes, zeros

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class GaussianPosterior:
    """q(z|x) = N(mean, diag exp(log_variance)) for each of B sentences; the prior is N(0, I)."""

    mean_BZ: Tensor
    log_variance_BZ: Tensor

    @classmethod
    def concatenate(cls, posteriors: Sequence[Self]) -> Self:
        """The posteriors of several batches as one."""
        means = torch.cat([posterior.mean_BZ for posterior in posteriors])
        return cls(means, torch.cat([posterior.log_variance_BZ for posterior in posteriors]))

    def sample(self, samples: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """z_SBZ, reparameterised, so that gradients reach mean and variance."""
        shape = (samples, *self.mean_BZ.shape)
        noise_SBZ = torch.randn(
            shape, generator=generator, device=self.mean_BZ.device, dtype=self.mean_BZ.dtype
        )
        return self.mean_BZ + (0.5 * self.log_variance_BZ).exp() * noise_SBZ

    def kl(self) -> Tensor:
        """KL(q(z_g|x) ‖ p(z_g)) as kl_BG, in closed form."""
        log_variance = self.log_variance_BZ
        return 0.5 * (self.mean_BZ.square() + log_variance.exp() - 1.0 - log_variance)

    def log_weight(self, z_SBZ: Tensor) -> Tensor:
        """log p(z) − log q(z|x) as a matrix SB."""
        standard_SBZ = (z_SBZ - self.mean_BZ) * (-0.5 * self.log_variance_BZ).exp()
        return 0.5 * (standard_SBZ.square() + self.log_variance_BZ - z_SBZ.square()).sum(-1)

    def pairwise_log_density(self, z_MZ: Tensor) -> Tensor:
        """log q(z_m | x_b) for every pair, as a matrix MB; in float64, by two matrix products."""
        z, mean = z_MZ.double(), self.mean_BZ.double()
        log_variance = self.log_variance_BZ.double()
        precision_BZ = (-log_variance).exp()
        squares_MB = (
            z.square() @ precision_BZ.T
            - 2.0 * z @ (mean * precision_BZ).T
            + (mean.square() * precision_BZ).sum(1)
        )
        return -0.5 * (squares_MB + log_variance.sum(1) + z.shape[1] * LOG_2PI)


class ZeroPosterior(GaussianPosterior):
    """The prior itself as posterior, with z pinned to 0: KL, mutual information and active units are 0."""

    def sample(self, samples: int = 1, generator: torch.Generator | None = None) -> Tensor:
        return torch.zeros_like(self.mean_BZ).expand(samples, -1, -1)

    def log_weight(self, z_SBZ: Tensor) -> Tensor:
        return torch.zeros_like(z_SBZ[..., 0])


class Latent(Part, ABC):
    """Configuration of a latent variable; `build` makes the module hidden_BH → posterior."""

    @abstractmethod
    def build(self, hidden_width: int, sizes: Sizes) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True)
class Gaussian(Latent, name="gaussian"):
    """A diagonal Gaussian posterior, its mean and log variance linear in the hidden vector.

    He et al. 2019 have no bias there. Without one the log variance can fall, as it does while the KL
    weight is near 0, only by saturating the encoder, which then says the same of every sentence.
    """

    posterior_bias: bool = True

    def build(self, hidden_width: int, sizes: Sizes) -> nn.Module:
        return _Gaussian(hidden_width, sizes.latent_size, self.posterior_bias)


@dataclass(frozen=True, kw_only=True)
class NoLatent(Latent, name="none"):
    """z = 0: the decoder alone, the collapsed baseline."""

    def build(self, hidden_width: int, sizes: Sizes) -> nn.Module:
        return _NoLatent(sizes.latent_size)


class _Gaussian(nn.Module):
    def __init__(self, hidden_width: int, latent_size: int, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_width, 2 * latent_size, bias=bias)

    def forward(self, hidden_BH: Tensor) -> GaussianPosterior:
        mean_BZ, log_variance_BZ = self.linear(hidden_BH).chunk(2, dim=1)
        return GaussianPosterior(mean_BZ, log_variance_BZ)


class _NoLatent(nn.Module):
    def __init__(self, latent_size: int) -> None:
        super().__init__()
        self.latent_size = latent_size

    def forward(self, hidden_BH: Tensor) -> ZeroPosterior:
        zero_BZ = zeros(len(hidden_BH), self.latent_size, like=hidden_BH)
        return ZeroPosterior(zero_BZ, zero_BZ)
