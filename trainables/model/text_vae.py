"""The text VAE: encoder → latent → decoder, with word dropout.

Shape suffixes: B sentences, T tokens, Z width of z, G groups of latent units, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.latents.posteriors import Posterior
from trainables.parts.precision import Single, at_least_single
from trainables.parts.schedules import Progress
from trainables.parts.word_losses import word_losses
from trainables.text.batches import Batch
from trainables.text.vocabulary import UNK

if TYPE_CHECKING:
    from trainables.model.variant import Variant


@dataclass(frozen=True)
class TrainingTerms:
    """The objective's terms for a batch in nats: nll_B, kl_BG and what the latent variable adds to them."""

    nll_B: Tensor
    kl_BG: Tensor
    auxiliary: Tensor


class TextVAE(nn.Module):
    """A variant's model; the same weights come out of the same seed whatever the training procedure.

    Args:
        variant: its parts.
        vocabulary_size: V.
        label_counts: training sentences of each label; empty for an unlabelled corpus.

    Raises:
        KnobError: the parts cannot be combined, or need labels where there are none.
    """

    def __init__(self, variant: Variant, vocabulary_size: int, label_counts: Sequence[int] = ()) -> None:
        super().__init__()
        variant.check()
        sizes, condition, latent = variant.sizes, variant.condition, variant.latent
        self.vocabulary_size = vocabulary_size
        self.z_width = latent.width(sizes)
        self.encoder = variant.encoder.build(vocabulary_size, sizes)
        self.latent = latent.build(variant.encoder.width(sizes) + condition.width, sizes)
        self.decoder = variant.decoder.build(vocabulary_size, sizes, self.z_width + condition.width)
        self.condition = condition.build(label_counts, self.z_width if latent.gaussian else 0)
        variant.initialization.apply(self)
        self.condition.reset_prior()
        self.told = condition.width > 0
        self.word_keep_rate = variant.word_keep_rate
        self.precision = variant.precision

    def inference_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of q(z|x)."""
        generator = set(self.generator_parameters())
        return (parameter for parameter in self.parameters() if parameter not in generator)

    def generator_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of p(x|z) and p(z)."""
        yield from self.decoder.parameters()
        yield from self.latent.generator_parameters()
        yield from self.condition.generator_parameters()

    def posterior(self, batch: Batch) -> Posterior:
        """q(z|x) of whole sentences, against the prior."""
        with self._autocast(batch):
            encoded_BH = self.encoder(batch.tokens_BT)
        hidden_BH = self.condition.observe(at_least_single(encoded_BH), batch.labels_B)
        posterior: Posterior = self.latent(hidden_BH)
        return self.condition.with_prior(posterior, batch.labels_B)

    def sample_prior(
        self, sentences: int, labels_B: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """z_BZ from the prior, of the labels where the model is told them."""
        like_BZ = torch.zeros(sentences, self.z_width, device=next(self.decoder.parameters()).device)
        return self.condition.prior_draw(self.latent.sample_prior(like_BZ, generator).z_BZ, labels_B)

    def decode(self, inputs_BT: Tensor, z_BZ: Tensor, labels_B: Tensor | None = None) -> Tensor:
        """logits_BTV of the word after each of `inputs_BT`, which begin with `<s>`."""
        logits_BTV: Tensor = self.decoder(inputs_BT, self.condition.context(z_BZ, labels_B))
        return logits_BTV

    def reconstruction_nll(self, batch: Batch, z_BZ: Tensor) -> Tensor:
        """−log p(x|z) as nll_B, nats per sentence; `</s>` is counted, `<s>` is not. Where the model is told
        the label, −log p(label) is part of it."""
        inputs_BT, targets_BT = self.drop_words(batch.tokens_BT[:, :-1]), batch.tokens_BT[:, 1:]
        with self._autocast(batch):
            hidden_BTH = self.decoder.hidden(inputs_BT, self.condition.context(z_BZ, batch.labels_B))
        losses_N = word_losses(hidden_BTH.flatten(0, 1), self.decoder.output, targets_BT.flatten())
        return losses_N.view_as(targets_BT).sum(1) + self.condition.label_nll(batch.labels_B)

    def forward(self, batch: Batch, progress: Progress) -> TrainingTerms:
        """One draw of z a sentence."""
        posterior = self.posterior(batch)
        nll_B = self.reconstruction_nll(batch, posterior.training_draw(progress).z_BZ)
        return TrainingTerms(nll_B, posterior.kl(), posterior.auxiliary_loss())

    def reset_decoder(self, variant: Variant) -> None:
        """Gives the decoder new initial weights, from torch's global generator."""
        width = self.z_width + variant.condition.width
        fresh = variant.decoder.build(self.vocabulary_size, variant.sizes, width)
        variant.initialization.apply(fresh)
        self.decoder.load_state_dict(fresh.state_dict())

    def drop_words(self, inputs_BT: Tensor) -> Tensor:
        """Word dropout (Bowman et al. 2016): each decoder input but `<s>` becomes `<unk>` with
        probability 1 − `word_keep_rate`, in training only."""
        if not self.training or self.word_keep_rate == 1.0:
            return inputs_BT
        dropped = torch.rand(inputs_BT.shape, device=inputs_BT.device) >= self.word_keep_rate
        dropped[:, 0] = False
        return inputs_BT.masked_fill(dropped, UNK)

    def _autocast(self, batch: Batch) -> AbstractContextManager[object]:
        precision = self.precision if self.training else Single()
        return precision.autocast(batch.tokens_BT.device)
