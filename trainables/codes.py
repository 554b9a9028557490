"""Discrete latent variables: a sentence as a few codes, each one of the entries of a codebook.

Shape suffixes: B sentences, H hidden, G codes of a sentence, C entries of the codebook, D width of an entry,
Z width of z, M sentences of another set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.code_prior import CodePrior
from trainables.latents import Latent, LatentModule
from trainables.parts import require
from trainables.posteriors import Draw, Posterior
from trainables.schedules import Progress
from trainables.sizes import Sizes

USAGE_DECAY = 0.99
DEAD_SHARE = 0.1
"""A code is dead when it is used less than this share of what it would be if all were used alike."""


@dataclass(frozen=True, kw_only=True)
class Gumbel(Latent, name="gumbel"):
    """Categorical codes with a uniform prior, trained through the Gumbel-softmax (Jang et al. 2017).

    The temperature falls exponentially from `temperature_start` to `temperature_end` over the training.
    With `straight_through` the decoder is trained on the hard codes that it is evaluated with, the
    gradient going through the relaxed ones.
    """

    codes: int = 4
    codebook_size: int = 32
    temperature_start: float = 1.0
    temperature_end: float = 0.5
    straight_through: bool = True

    def __post_init__(self) -> None:
        _require_codes(self.codes, self.codebook_size)
        require(self.temperature_start > 0, "temperature_start", "> 0", self.temperature_start)
        require(self.temperature_end > 0, "temperature_end", "> 0", self.temperature_end)

    def build(self, hidden_width: int, sizes: Sizes) -> LatentModule:
        return _Gumbel(hidden_width, sizes.latent_size, self)

    def temperature(self, progress: Progress) -> float:
        """The temperature at this point of the training."""
        done = progress.step / progress.total_steps
        return math.exp((1 - done) * math.log(self.temperature_start) + done * math.log(self.temperature_end))


@dataclass(frozen=True, kw_only=True)
class VectorQuantized(Latent, name="vq"):
    """Codes by nearest neighbour in a codebook, with an autoregressive prior (van den Oord et al. 2017).

    The gradient goes straight through the quantisation; codebook and encoder are drawn together by
    ‖sg[e] − c‖² + `commitment` ‖e − sg[c]‖². A sentence has one code vector of certain value, so its rate
    is −log p(codes). The prior learns that meanwhile; no gradient of it reaches the encoder. Entries that
    die out, and all of them at the start, are placed on what the encoder says of random sentences.
    """

    codes: int = 4
    codebook_size: int = 32
    code_size: int = 8
    commitment: float = 0.25

    def __post_init__(self) -> None:
        _require_codes(self.codes, self.codebook_size)
        require(self.code_size >= 1, "code_size", ">= 1", self.code_size)
        require(self.commitment >= 0, "commitment", ">= 0", self.commitment)

    def build(self, hidden_width: int, sizes: Sizes) -> LatentModule:
        return _VectorQuantized(hidden_width, sizes.hidden_size, self)

    def width(self, sizes: Sizes) -> int:
        return self.codes * self.code_size


@dataclass(frozen=True)
class CategoricalPosterior(Posterior):
    """Independent codes with these log probabilities, against the uniform prior; a value is one-hot BGC."""

    log_probability_BGC: Tensor
    embed: nn.Linear
    config: Gumbel

    @property
    def mean_BGD(self) -> Tensor:
        return self.log_probability_BGC.exp()

    def sample(self, generator: torch.Generator | None = None) -> Draw:
        probability = self.mean_BGD.flatten(0, 1)
        codes = torch.multinomial(probability, 1, generator=generator)
        return self._draw(codes.view(self.log_probability_BGC.shape[:2]))

    def mode(self) -> Draw:
        return self._draw(self.log_probability_BGC.argmax(2))

    def training_draw(self, progress: Progress) -> Draw:
        noise = -torch.empty_like(self.log_probability_BGC).exponential_().log()
        relaxed = ((self.log_probability_BGC + noise) / self.config.temperature(progress)).softmax(2)
        if self.config.straight_through:
            hard = functional.one_hot(relaxed.argmax(2), relaxed.shape[2])
            relaxed = hard + (relaxed - relaxed.detach())
        return Draw(relaxed, self.embed(relaxed.flatten(1)))

    def kl(self) -> Tensor:
        negative_entropy_BG = (self.log_probability_BGC.exp() * self.log_probability_BGC).sum(2)
        return negative_entropy_BG + math.log(self.log_probability_BGC.shape[2])

    def log_weight(self, value: Tensor) -> Tensor:
        _, groups, entries = value.shape
        return -(value * self.log_probability_BGC).sum((1, 2)) - groups * math.log(entries)

    def negative_entropy(self) -> Tensor:
        return (self.log_probability_BGC.exp() * self.log_probability_BGC).sum((1, 2))

    def pairwise_log_density(self, value: Tensor) -> Tensor:
        return value.flatten(1).double() @ self.log_probability_BGC.flatten(1).double().T

    def _draw(self, codes_BG: Tensor) -> Draw:
        value = functional.one_hot(codes_BG, self.log_probability_BGC.shape[2]).to(self.log_probability_BGC)
        return Draw(value, self.embed(value.flatten(1)))


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


class _Gumbel(LatentModule):
    def __init__(self, hidden_width: int, latent_size: int, config: Gumbel) -> None:
        super().__init__()
        self.config = config
        self.linear = nn.Linear(hidden_width, config.codes * config.codebook_size)
        self.embed = nn.Linear(config.codes * config.codebook_size, latent_size, bias=False)

    def forward(self, hidden_BH: Tensor) -> CategoricalPosterior:
        return self._posterior(self.linear(hidden_BH))

    def sample_prior(self, like_BZ: Tensor, generator: torch.Generator | None = None) -> Draw:
        width = self.linear.out_features
        return self._posterior(like_BZ.new_zeros(len(like_BZ), width)).sample(generator)

    def generator_parameters(self) -> Iterator[nn.Parameter]:
        yield from self.embed.parameters()

    def _posterior(self, logits: Tensor) -> CategoricalPosterior:
        logits_BGC = logits.view(-1, self.config.codes, self.config.codebook_size)
        return CategoricalPosterior(logits_BGC.log_softmax(2), self.embed, self.config)


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
            chosen = torch.randint(len(encoded_ND), (len(dead),), device=encoded_ND.device)
            self.codebook.weight[dead] = encoded_ND[chosen]
            self.usage_C[dead] = fair

    @torch.no_grad()
    def _count(self, codes_BG: Tensor) -> None:
        used_C = torch.bincount(codes_BG.flatten(), minlength=len(self.usage_C)) / codes_BG.numel()
        self.usage_C.lerp_(used_C.to(self.usage_C), 1.0 - USAGE_DECAY)


def _require_codes(codes: int, codebook_size: int) -> None:
    require(codes >= 1, "codes", ">= 1", codes)
    require(codebook_size >= 2, "codebook_size", ">= 2", codebook_size)
