"""Codes by nearest neighbour in a codebook.

Shape suffixes: B sentences, H hidden, G codes of a sentence, C entries of the codebook, D width of an entry,
N vectors of a batch, M sentences of another set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.latents.code_prior import CodePrior
from trainables.latents.codes import Discrete
from trainables.latents.gaussian import LatentModule
from trainables.latents.posteriors import Draw, Posterior
from trainables.parts.part import require
from trainables.parts.schedules import Progress
from trainables.parts.sizes import Sizes

USAGE_DECAY = 0.99
DEAD_SHARE = 0.1
"""A code is dead when it is used less than this share of what it would be if all were used alike."""


@dataclass(frozen=True, kw_only=True)
class VectorQuantized(Discrete, name="vq"):
    """Codes by nearest neighbour in a codebook, with an autoregressive prior (van den Oord et al. 2017).

    The gradient goes straight through the quantisation; codebook and encoder are drawn together by
    ‖sg[e] − c‖² + `commitment` ‖e − sg[c]‖². A sentence has one code vector of certain value, so its rate
    is −log p(codes). The prior learns that meanwhile; no gradient of it reaches the encoder. Entries that
    die out, and all of them at the start, are placed on what the encoder says of random sentences.
    """

    code_size: int = 8
    commitment: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.code_size >= 1, "code_size", ">= 1", self.code_size)
        require(self.commitment >= 0, "commitment", ">= 0", self.commitment)

    def build(self, hidden_width: int, sizes: Sizes) -> LatentModule:
        return _VectorQuantized(hidden_width, sizes.hidden_size, self)

    def width(self, sizes: Sizes) -> int:
        return self.codes * self.code_size


@dataclass(frozen=True)
class QuantizedPosterior(Posterior):
    """One certain code vector a sentence; a value is codes_BG."""

    encoded_BGD: Tensor
    quantized_BGD: Tensor
    codes_BG: Tensor
    log_prior_BG: Tensor
    config: VectorQuantized

    certain: ClassVar[bool] = True

    @property
    def mean_BGD(self) -> Tensor:
        return functional.one_hot(self.codes_BG, self.config.codebook_size).to(self.log_prior_BG)

    def sample(self, generator: torch.Generator | None = None) -> Draw:
        return self.mode()

    def mode(self) -> Draw:
        return Draw(self.codes_BG, self.quantized_BGD.flatten(1))

    def training_draw(self, progress: Progress) -> Draw:
        through = self.encoded_BGD + (self.quantized_BGD - self.encoded_BGD).detach()
        return Draw(self.codes_BG, through.flatten(1))

    def kl(self) -> Tensor:
        return -self.log_prior_BG

    def log_weight(self, value: Tensor) -> Tensor:
        return self.log_prior_BG.sum(1)

    def negative_entropy(self) -> Tensor:
        return torch.zeros_like(self.log_prior_BG[:, 0])

    def pairwise_log_density(self, value: Tensor) -> Tensor:
        same = torch.ones(len(value), len(self.codes_BG), dtype=torch.bool, device=value.device)
        for value_M, codes_B in zip(value.T, self.codes_BG.T, strict=True):
            same &= value_M[:, None] == codes_B
        return same.double().log()

    def auxiliary_loss(self) -> Tensor:
        to_code = (self.encoded_BGD.detach() - self.quantized_BGD).square().sum((1, 2))
        to_encoder = (self.encoded_BGD - self.quantized_BGD.detach()).square().sum((1, 2))
        return (to_code + self.config.commitment * to_encoder).mean()


class _VectorQuantized(LatentModule):
    usage_C: Tensor

    def __init__(self, hidden_width: int, prior_width: int, config: VectorQuantized) -> None:
        super().__init__()
        self.config = config
        self.linear = nn.Linear(hidden_width, config.codes * config.code_size)
        self.codebook = nn.Embedding(config.codebook_size, config.code_size)
        self.prior = CodePrior(config.codebook_size, prior_width)
        self.register_buffer("usage_C", torch.zeros(config.codebook_size))

    def forward(self, hidden_BH: Tensor) -> QuantizedPosterior:
        encoded_BGD = self.linear(hidden_BH).view(-1, self.config.codes, self.config.code_size)
        if self.training:
            self._revive(encoded_BGD.detach().flatten(0, 1))
        codes_BG = self._nearest(encoded_BGD.detach())
        if self.training:
            self._count(codes_BG)
        quantized_BGD = self.codebook(codes_BG)
        return QuantizedPosterior(
            encoded_BGD, quantized_BGD, codes_BG, self.prior.log_probability(codes_BG), self.config
        )

    def sample_prior(self, like_BZ: Tensor, generator: torch.Generator | None = None) -> Draw:
        codes_BG = self.prior.sample(len(like_BZ), self.config.codes, generator)
        return Draw(codes_BG, self.codebook(codes_BG).flatten(1))

    def generator_parameters(self) -> Iterator[nn.Parameter]:
        yield from self.prior.parameters()

    def _nearest(self, encoded_BGD: Tensor) -> Tensor:
        weight = self.codebook.weight.detach()
        distance_BGC = weight.square().sum(1) - 2.0 * encoded_BGD @ weight.T
        return distance_BGC.argmin(2)

    @torch.no_grad()
    def _revive(self, encoded_ND: Tensor) -> None:
        """Moves dead entries onto random vectors of the encoder; at the start all are dead."""
        fair = 1.0 / len(self.usage_C)
        dead = (self.usage_C < DEAD_SHARE * fair).nonzero()[:, 0]
        if len(dead):
            chosen = torch.randperm(len(encoded_ND), device=encoded_ND.device)[: len(dead)]
            dead = dead[: len(chosen)]  # no two entries in one place; the others wait for the next batch
            self.codebook.weight[dead] = encoded_ND[chosen]
            self.usage_C[dead] = fair

    @torch.no_grad()
    def _count(self, codes_BG: Tensor) -> None:
        used_C = torch.bincount(codes_BG.flatten(), minlength=len(self.usage_C)) / codes_BG.numel()
        self.usage_C.lerp_(used_C.to(self.usage_C), 1.0 - USAGE_DECAY)
