"""The text VAE: encoder → latent → decoder, with word dropout.

Shape suffixes: B sentences, T tokens, Z latent units, G groups of latent units, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.latents import GaussianPosterior
from trainables.vocabulary import UNK

if TYPE_CHECKING:
    from trainables.variant import Variant


class TextVAE(nn.Module):
    """A variant's model; the same weights come out of the same seed whatever the training procedure."""

    def __init__(self, variant: Variant, vocabulary_size: int) -> None:
        super().__init__()
        sizes = variant.sizes
        self.encoder = variant.encoder.build(vocabulary_size, sizes)
        self.latent = variant.latent.build(variant.encoder.width(sizes), sizes)
        self.decoder = variant.decoder.build(vocabulary_size, sizes)
        variant.initialization.apply(self)
        self.word_keep_rate = variant.word_keep_rate

    def inference_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of q(z|x)."""
        yield from self.encoder.parameters()
        yield from self.latent.parameters()

    def generator_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of p(x|z)."""
        yield from self.decoder.parameters()

    def posterior(self, tokens_BT: Tensor) -> GaussianPosterior:
        """q(z|x) of whole sentences `<s> … </s>`."""
        posterior: GaussianPosterior = self.latent(self.encoder(tokens_BT))
        return posterior

    def reconstruction_nll(self, tokens_BT: Tensor, z_BZ: Tensor) -> Tensor:
        """−log p(x|z) as nll_B, nats per sentence; `</s>` is counted, `<s>` is not."""
        logits_BTV = self.decoder(self.drop_words(tokens_BT[:, :-1]), z_BZ)
        targets_BT = tokens_BT[:, 1:]
        losses = functional.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten(), reduction="none")
        return losses.view_as(targets_BT).sum(1)

    def forward(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """One sample of z a sentence: nll_B and kl_BG, both in nats."""
        posterior = self.posterior(tokens_BT)
        return self.reconstruction_nll(tokens_BT, posterior.sample()[0]), posterior.kl()

    def drop_words(self, inputs_BT: Tensor) -> Tensor:
        """Word dropout (Bowman et al. 2016): each decoder input but `<s>` becomes `<unk>` with
        probability 1 − `word_keep_rate`, in training only."""
        if not self.training or self.word_keep_rate == 1.0:
            return inputs_BT
        dropped = torch.rand(inputs_BT.shape, device=inputs_BT.device) >= self.word_keep_rate
        dropped[:, 0] = False
        return inputs_BT.masked_fill(dropped, UNK)
