"""Categorical codes through the Gumbel-softmax.

Shape suffixes: B sentences, H hidden, G codes of a sentence, C entries of the codebook, Z width of z.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.latents.codes import Discrete
from trainables.latents.gaussian import LatentModule
from trainables.latents.posteriors import Draw, Posterior
from trainables.parts.part import require
from trainables.parts.schedules import Progress
from trainables.parts.sizes import Sizes


@dataclass(frozen=True, kw_only=True)
class Gumbel(Discrete, name="gumbel"):
    """Categorical codes with a uniform prior, trained through the Gumbel-softmax (Jang et al. 2017).

    The temperature falls exponentially from `temperature_start` to `temperature_end` over the training.
    With `straight_through` the decoder is trained on the hard codes that it is evaluated with, the
    gradient going through the relaxed ones.
    """

    temperature_start: float = 1.0
    temperature_end: float = 0.5
    straight_through: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.temperature_start > 0, "temperature_start", "> 0", self.temperature_start)
        require(self.temperature_end > 0, "temperature_end", "> 0", self.temperature_end)

    def build(self, hidden_width: int, sizes: Sizes) -> LatentModule:
        return _Gumbel(hidden_width, sizes.latent_size, self)

    def temperature(self, progress: Progress) -> float:
        """The temperature at this point of the training."""
        done = progress.step / progress.total_steps
        return math.exp((1 - done) * math.log(self.temperature_start) + done * math.log(self.temperature_end))


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
