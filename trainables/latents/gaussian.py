"""Continuous latent variables: the encoder's hidden vector to a Gaussian posterior over z.

Shape suffixes: B sentences, H hidden, Z latent units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainables.latents.posteriors import Draw, GaussianPosterior, Posterior, ZeroPosterior
from trainables.parts.part import Part, require
from trainables.parts.sizes import Sizes, zeros


class LatentModule(nn.Module, ABC):
    """hidden_BH → posterior, and the prior where that has weights of its own."""

    @abstractmethod
    def forward(self, hidden_BH: Tensor) -> Posterior: ...

    @abstractmethod
    def sample_prior(self, like_BZ: Tensor, generator: torch.Generator | None = None) -> Draw:
        """Draws from p(z), one for each row of `like_BZ`, on its device."""

    def generator_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of p(z); all others belong to q(z|x)."""
        return iter(())


class Latent(Part, ABC):
    """Configuration of a latent variable."""

    gaussian: ClassVar[bool] = False
    """Whether its prior may be a Gaussian that depends on a label."""

    @abstractmethod
    def build(self, hidden_width: int, sizes: Sizes) -> LatentModule: ...

    def width(self, sizes: Sizes) -> int:
        """Z: how wide the vector is that the decoder is given."""
        return sizes.latent_size


@dataclass(frozen=True, kw_only=True)
class Gaussian(Latent, name="gaussian"):
    """A diagonal Gaussian posterior, its mean and log variance linear in the hidden vector.

    He et al. 2019 have no bias there. Without one the log variance can fall, as it does while the KL
    weight is near 0, only by saturating the encoder, which then says the same of every sentence.
    """

    posterior_bias: bool = True

    gaussian: ClassVar[bool] = True

    def build(self, hidden_width: int, sizes: Sizes) -> LatentModule:
        return _Gaussian(hidden_width, sizes.latent_size, self.posterior_bias)


@dataclass(frozen=True, kw_only=True)
class BatchNormGaussian(Gaussian, name="batch_norm"):
    """A Gaussian posterior whose means are batch-normalised to the standard deviation `mean_scale` (Zhu et
    al. 2020).

    The scale is fixed and the shift is learnt, so that over the corpus KL ≥ latent_size · mean_scale² / 2:
    the KL cannot vanish.
    """

    mean_scale: float = 0.5

    def __post_init__(self) -> None:
        require(self.mean_scale > 0, "mean_scale", "> 0", self.mean_scale)

    def build(self, hidden_width: int, sizes: Sizes) -> LatentModule:
        return _BatchNormGaussian(hidden_width, sizes.latent_size, self.posterior_bias, self.mean_scale)


@dataclass(frozen=True, kw_only=True)
class NoLatent(Latent, name="none"):
    """z = 0: the decoder alone, the collapsed baseline."""

    def build(self, hidden_width: int, sizes: Sizes) -> LatentModule:
        return _NoLatent(sizes.latent_size)


class _Gaussian(LatentModule):
    def __init__(self, hidden_width: int, latent_size: int, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_width, 2 * latent_size, bias=bias)

    def forward(self, hidden_BH: Tensor) -> GaussianPosterior:
        mean_BZ, log_variance_BZ = self.linear(hidden_BH).chunk(2, dim=1)
        return GaussianPosterior.standard(mean_BZ, log_variance_BZ)

    def sample_prior(self, like_BZ: Tensor, generator: torch.Generator | None = None) -> Draw:
        zero_BZ = torch.zeros_like(like_BZ)
        return GaussianPosterior.standard(zero_BZ, zero_BZ).sample(generator)


class _BatchNormGaussian(_Gaussian):
    def __init__(self, hidden_width: int, latent_size: int, bias: bool, scale: float) -> None:
        super().__init__(hidden_width, latent_size, bias)
        # With the usual eps of 1e-5 the KL vanishes after all, by means whose variance is far below that;
        # for one this small single precision does not do.
        self.norm = nn.BatchNorm1d(latent_size, affine=False, eps=1e-16, dtype=torch.float64)
        self.shift = nn.Parameter(torch.zeros(latent_size))
        self.scale = scale

    def forward(self, hidden_BH: Tensor) -> GaussianPosterior:
        mean_BZ, log_variance_BZ = self.linear(hidden_BH).chunk(2, dim=1)
        # A batch of one sentence has no variance: the corpus's so far stands in.
        alone = len(mean_BZ) == 1
        norm = self.norm.eval() if alone or not self.training else self.norm.train()
        normed_BZ = norm(mean_BZ.double()).to(mean_BZ)
        return GaussianPosterior.standard(self.scale * normed_BZ + self.shift, log_variance_BZ)


class _NoLatent(LatentModule):
    def __init__(self, latent_size: int) -> None:
        super().__init__()
        self.latent_size = latent_size

    def forward(self, hidden_BH: Tensor) -> ZeroPosterior:
        zero_BZ = zeros(len(hidden_BH), self.latent_size, like=hidden_BH)
        return ZeroPosterior.standard(zero_BZ, zero_BZ)

    def sample_prior(self, like_BZ: Tensor, generator: torch.Generator | None = None) -> Draw:
        return Draw(torch.zeros_like(like_BZ), torch.zeros_like(like_BZ))
