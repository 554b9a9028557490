"""Sentences as text through a trained model: what it makes of each, and what each costs.

Shape suffixes: B sentences of a batch, N sentences asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trainables.common.hints import hint
from trainables.evaluation.evaluate import EVALUATION_BATCH, EVALUATION_SEED
from trainables.evaluation.generation import greedy
from trainables.evaluation.texts import LONGEST
from trainables.model.text_vae import TextVAE
from trainables.text.batches import evaluation_batches
from trainables.text.splits import Split
from trainables.text.vocabulary import RESERVED, Vocabulary


@dataclass(frozen=True)
class Reconstructed:
    """What a model makes of a sentence.

    Attributes:
        text: the most probable word at each step, given the posterior's most probable z; without marks, at
            most as long as the corpus's longest sentence.
        nll: −log p(x|z) in nats, `</s>` counted, at one draw of z from the posterior; where the model is told
            labels, −log p(label) is part of it.
        kl: KL(q(z|x) ‖ p(z)) in nats.
    """

    text: str
    nll: float
    kl: float


@dataclass(frozen=True, eq=False)
class Reconstructor:
    """A trained model with what it takes to read and to write text.

    Args:
        model: on any device.
        label_names: label index → name; empty for a corpus without labels.
        longest: words of the corpus's longest sentence, its `</s>` counted.
    """

    model: TextVAE
    vocabulary: Vocabulary
    label_names: tuple[str, ...]
    longest: int

    @torch.no_grad()
    def reconstruct(
        self, sentences: Sequence[str], labels: Sequence[str] | None = None
    ) -> list[Reconstructed]:
        """What the model makes of each sentence, in their order.

        A sentence is words with white space between; a word that is not in the vocabulary counts as `<unk>`.
        The figures are those of `evaluation.evaluate`, on the same draws: z is drawn from noise that is the
        same at every call and goes through the sentences in the evaluation's order, so that a whole test
        split gets exactly its figures. The NLL of a sentence therefore depends, as far as one draw of z
        does, on the sentences beside it; its KL and its reconstruction do not.

        Args:
            labels: a name for each sentence; for a model that is told labels, ignored by others.

        Raises:
            ValueError: a sentence without a word or with a reserved one, or an unknown label or none where
                the model is told one.
        """
        split = Split.from_ids(self._ids(sentences), self._labels(labels, len(sentences)))
        found: dict[int, Reconstructed] = {}
        if not len(split):
            return []
        self.model.eval()
        device = next(self.model.parameters()).device
        generator = torch.Generator(device).manual_seed(EVALUATION_SEED)
        for batch in evaluation_batches(split, EVALUATION_BATCH):
            batch = batch.to(device)
            posterior = self.model.posterior(batch)
            nll_B = self.model.reconstruction_nll(batch, posterior.sample(generator).z_BZ)
            kl_B = posterior.kl().sum(1)
            z_BZ = posterior.mode().z_BZ
            said = greedy(self.model, z_BZ, batch.labels_B, limit=min(self.longest, LONGEST))
            texts = [sentence.text(self.vocabulary) for sentence in said]
            figures = zip(texts, nll_B.tolist(), kl_B.tolist(), strict=True)
            found |= zip(batch.indices_B.tolist(), (Reconstructed(*each) for each in figures), strict=True)
        return [found[number] for number in range(len(split))]

    def _ids(self, sentences: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = []
        for number, sentence in enumerate(sentences, 1):
            words = sentence.split() if isinstance(sentence, str) else []
            if not words:
                raise ValueError(
                    "a sentence must be words with spaces between, at least one,"
                    f" got {sentence!r}: sentence {number} of {len(sentences)}"
                )
            if marks := sorted(RESERVED.intersection(words)):
                raise ValueError(
                    f"{', '.join(sorted(RESERVED))} are reserved and stand in no sentence,"
                    f" got {', '.join(marks)}: sentence {number} of {len(sentences)}"
                )
            ids.append(self.vocabulary.encode(words))
        return ids

    def _labels(self, labels: Sequence[str] | None, count: int) -> list[int] | None:
        if not self.model.told:
            return None
        if labels is None or len(labels) != count:
            got = "none" if labels is None else f"{len(labels)} for {count} sentences"
            raise ValueError(f"this model is told labels, so each sentence must have one, got {got}")
        numbers = {name: index for index, name in enumerate(self.label_names)}
        for number, label in enumerate(labels, 1):
            if label not in numbers:
                raise ValueError(
                    f"a label must be one of the corpus, got {label!r}: sentence {number} of {count};"
                    f" {hint(str(label), self.label_names)}"
                )
        return [numbers[label] for label in labels]
