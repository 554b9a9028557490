"""What a model is told of a sentence beside the sentence: nothing, or its label.

Shape suffixes: B sentences, H hidden, Z width of z, E width of the label's embedding, L labels.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from trainables.latents.posteriors import GaussianPosterior, Posterior
from trainables.parts.part import KnobError, Part, require


class ConditionModule(nn.Module):
    """Told nothing; the base of what is told something. All labels are indices labels_B."""

    def observe(self, hidden_BH: Tensor, labels_B: Tensor | None) -> Tensor:
        """What the posterior is computed from."""
        return hidden_BH

    def with_prior(self, posterior: Posterior, labels_B: Tensor | None) -> Posterior:
        """The posterior against p(z|label)."""
        return posterior

    def prior_draw(self, z_BZ: Tensor, labels_B: Tensor | None) -> Tensor:
        """A draw from N(0, I) as one from p(z|label)."""
        return z_BZ

    def context(self, z_BZ: Tensor, labels_B: Tensor | None) -> Tensor:
        """What the decoder is given: z, and what else it is told."""
        return z_BZ

    def label_nll(self, labels_B: Tensor | None) -> Tensor | float:
        """−log p(label) of each sentence in nats: what it costs to be told it."""
        return 0.0

    def reset_prior(self) -> None:
        """Lets training begin with the prior N(0, I), however the other weights begin."""

    def generator_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of p(z|label) and p(x|z, label); all others belong to q."""
        return iter(())


class Condition(Part, ABC):
    """Configuration of a condition."""

    @abstractmethod
    def build(self, label_counts: Sequence[int], prior_width: int) -> ConditionModule:
        """The module.

        Args:
            label_counts: sentences of each label in training; empty for an unlabelled corpus.
            prior_width: Z where the prior may depend on the label, else 0.
        """

    @property
    @abstractmethod
    def width(self) -> int:
        """E: what is added to the hidden vector and to z."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What it adds to a decoder's label, so that a baseline is told the same."""


@dataclass(frozen=True, kw_only=True)
class Unconditional(Condition, name="none"):
    """The sentence alone."""

    def build(self, label_counts: Sequence[int], prior_width: int) -> ConditionModule:
        return ConditionModule()

    @property
    def width(self) -> int:
        return 0

    @property
    def label(self) -> str:
        return ""


@dataclass(frozen=True, kw_only=True)
class GivenLabel(Condition, name="label"):
    """The label y given to encoder, prior and decoder (Sohn et al. 2015): KL(q(z|x, y) ‖ p(z|y)), p(x|z, y).

    To be told a label is worth nats, so −log p(y), by the label's share of the training sentences, counts
    as part of the reconstruction NLL: NLL + KL bounds −log p(x, y) and can be compared with models of x.
    """

    label_size: int = 8

    def __post_init__(self) -> None:
        require(self.label_size >= 1, "label_size", ">= 1", self.label_size)

    def build(self, label_counts: Sequence[int], prior_width: int) -> ConditionModule:
        if len(label_counts) == 0:
            raise KnobError("condition=label must have a corpus with labels, got one without")
        if min(label_counts) == 0:
            raise KnobError(
                "condition=label must have training sentences of every label, got none of"
                f" {list(label_counts).count(0)} of {len(label_counts)} labels"
            )
        return _GivenLabel(label_counts, self.label_size, prior_width)

    @property
    def width(self) -> int:
        return self.label_size

    @property
    def label(self) -> str:
        return "+label"


class _GivenLabel(ConditionModule):
    nll_L: Tensor

    def __init__(self, label_counts: Sequence[int], label_size: int, prior_width: int) -> None:
        super().__init__()
        labels = len(label_counts)
        self.observed = nn.Embedding(labels, label_size)
        self.told = nn.Embedding(labels, label_size)
        self.prior = nn.Embedding(labels, 2 * prior_width) if prior_width else None
        total = math.log(sum(label_counts))
        self.register_buffer("nll_L", torch.tensor([total - math.log(count) for count in label_counts]))

    def observe(self, hidden_BH: Tensor, labels_B: Tensor | None) -> Tensor:
        return torch.cat((hidden_BH, self.observed(labels_B)), dim=1)

    def with_prior(self, posterior: Posterior, labels_B: Tensor | None) -> Posterior:
        if self.prior is None:
            return posterior
        assert isinstance(posterior, GaussianPosterior)
        mean_BZ, log_variance_BZ = self.prior(labels_B).chunk(2, dim=1)
        return replace(posterior, prior_mean_BZ=mean_BZ, prior_log_variance_BZ=log_variance_BZ)

    def prior_draw(self, z_BZ: Tensor, labels_B: Tensor | None) -> Tensor:
        if self.prior is None:
            return z_BZ
        mean_BZ, log_variance_BZ = self.prior(labels_B).chunk(2, dim=1)
        return mean_BZ + (0.5 * log_variance_BZ).exp() * z_BZ  # type: ignore[no-any-return]

    def reset_prior(self) -> None:
        if self.prior is not None:
            nn.init.zeros_(self.prior.weight)

    def context(self, z_BZ: Tensor, labels_B: Tensor | None) -> Tensor:
        return torch.cat((z_BZ, self.told(labels_B)), dim=1)

    def label_nll(self, labels_B: Tensor | None) -> Tensor | float:
        return self.nll_L[labels_B]

    def generator_parameters(self) -> Iterator[nn.Parameter]:
        yield from self.told.parameters()
        if self.prior is not None:
            yield from self.prior.parameters()
