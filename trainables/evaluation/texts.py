"""What a model says: samples from the prior, reconstructions, and the way from one sentence to another.

Shape suffixes: B sentences, N sentences of the test split, Z width of z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.evaluation.generation import ancestral, beam, greedy
from trainables.model.text_vae import TextVAE
from trainables.text.batches import evaluation_batches
from trainables.text.splits import Corpus, Int32Array, Int64Array
from trainables.text.vocabulary import END, START

SAMPLES = 10
RECONSTRUCTIONS = 8
PAIRS = 3
LONGEST = 60  # words of a decoded text; decoding costs the square
STEPS = 6
"""Points on the way between two sentences, both ends included."""
TEXTS_SEED = 20_190_502


@dataclass(frozen=True)
class Decoded:
    """One z in three decodings."""

    greedy: str
    sample: str
    beam: str


@dataclass(frozen=True)
class PriorSample:
    """z from the prior; `label` is what the model was told, empty where it is told none."""

    label: str
    decoded: Decoded


@dataclass(frozen=True)
class Reconstruction:
    """A test sentence, and its posterior's most probable z decoded; `label` is empty where there is none."""

    label: str
    sentence: str
    decoded: Decoded


@dataclass(frozen=True)
class Waypoint:
    """z on the straight line between two sentences' most probable z, `share` of the way from the first."""

    first: str
    second: str
    share: float
    decoded: Decoded


@dataclass(frozen=True)
class Texts:
    """All that is shown of a model; the waypoints of a pair of sentences follow each other."""

    samples: Sequence[PriorSample]
    reconstructions: Sequence[Reconstruction]
    interpolations: Sequence[Waypoint]


@torch.no_grad()
def write_texts(model: TextVAE, corpus: Corpus, device: torch.device) -> Texts:
    """Texts of a trained model; the test sentences and the random draws are the same for every model.

    Of a model that is told labels the samples from the prior go through them one after the other, and the two
    sentences of an interpolation have the same.
    """
    model.eval()
    writer = _Writer(model, corpus, device)
    order_N = np.random.default_rng(TEXTS_SEED).permutation(len(corpus.test))
    pairs = _pairs(order_N, corpus.test.labels if model.told else None)
    return Texts(
        writer.samples(),
        writer.reconstructions(order_N[:RECONSTRUCTIONS]),
        [waypoint for first, second in pairs for waypoint in writer.way(first, second)],
    )


class _Writer:
    def __init__(self, model: TextVAE, corpus: Corpus, device: torch.device) -> None:
        self.model, self.corpus, self.device = model, corpus, device
        self.generator = torch.Generator(device).manual_seed(TEXTS_SEED)

    def samples(self) -> list[PriorSample]:
        names = self.corpus.label_names if self.model.told else ("",)
        label_B = np.arange(SAMPLES) % len(names)
        z_BZ = self.model.sample_prior(SAMPLES, self._told(label_B), self.generator)
        decoded = self._decoded(z_BZ, label_B)
        return [PriorSample(names[label], text) for label, text in zip(label_B, decoded, strict=True)]

    def reconstructions(self, numbers_B: Int64Array) -> list[Reconstruction]:
        decoded = self._decoded(self._modes(numbers_B), self._labels(numbers_B))
        return [
            Reconstruction(self._label(number), self._sentence(number), text)
            for number, text in zip(numbers_B, decoded, strict=True)
        ]

    def way(self, first: int, second: int) -> list[Waypoint]:
        shares = torch.linspace(0, 1, STEPS, device=self.device)
        z_first, z_second = self._modes(np.array([first, second]))
        z_BZ = torch.lerp(z_first, z_second, shares.unsqueeze(1))
        decoded = self._decoded(z_BZ, self._labels(np.full(STEPS, first)))
        return [
            Waypoint(self._sentence(first), self._sentence(second), round(share, 3), text)
            for share, text in zip(shares.tolist(), decoded, strict=True)
        ]

    def _decoded(self, z_BZ: Tensor, label_B: Int64Array | None) -> list[Decoded]:
        labels_B, longest = self._told(label_B), min(self.corpus.longest, LONGEST)
        columns = (
            greedy(self.model, z_BZ, labels_B, limit=longest),
            ancestral(self.model, z_BZ, labels_B, limit=longest, generator=self.generator),
            beam(self.model, z_BZ, labels_B, limit=longest),
        )
        words = self.corpus.vocabulary
        return [Decoded(*(said.text(words) for said in row)) for row in zip(*columns, strict=True)]

    def _modes(self, numbers_B: Int64Array) -> Tensor:
        """The most probable z of these test sentences, in their order."""
        batches = list(evaluation_batches(self.corpus.test.take(numbers_B), len(numbers_B)))
        z_BZ = torch.cat([self.model.posterior(batch.to(self.device)).mode().z_BZ for batch in batches])
        place_B = np.argsort(np.concatenate([batch.indices_B for batch in batches]))
        return z_BZ[torch.from_numpy(place_B).to(self.device)]

    def _labels(self, numbers_B: Int64Array) -> Int64Array | None:
        labels_N = self.corpus.test.labels
        return None if labels_N is None else labels_N[numbers_B].astype(np.int64)

    def _told(self, label_B: Int64Array | None) -> Tensor | None:
        if not self.model.told or label_B is None:
            return None
        return torch.from_numpy(label_B).to(self.device)

    def _label(self, number: int) -> str:
        labels_N = self.corpus.test.labels
        return "" if labels_N is None else self.corpus.label_names[labels_N[number]]

    def _sentence(self, number: int) -> str:
        test = self.corpus.test
        ids = test.tokens[test.offsets[number] : test.offsets[number + 1]].tolist()
        return " ".join(self.corpus.vocabulary.decode(word for word in ids if word not in (START, END)))


def _pairs(order_N: Int64Array, labels_N: Int32Array | None) -> list[tuple[int, int]]:
    """The first `PAIRS` pairs of sentences in this order, of one label where there are labels."""
    waiting: dict[int, int] = {}
    pairs: list[tuple[int, int]] = []
    for number in order_N.tolist():
        label = 0 if labels_N is None else int(labels_N[number])
        if label in waiting:
            pairs.append((waiting.pop(label), number))
        else:
            waiting[label] = number
    return pairs[:PAIRS]
