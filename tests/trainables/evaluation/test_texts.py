"""What is shown of a model: the right sentences, labels and latents in the right rows."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainables.conftest import MakeVariant
from trainables.evaluation import texts
from trainables.evaluation.generation import beam, greedy
from trainables.evaluation.texts import Texts, write_texts
from trainables.latents.posteriors import GaussianPosterior
from trainables.model.text_vae import TextVAE
from trainables.text.batches import Batch
from trainables.text.splits import Corpus
from trainables.text.vocabulary import END

CPU = torch.device("cpu")


class Parrot(torch.nn.Module):
    """z holds a sentence's words one by one, and the decoder says them: what is decoded shows which z it
    was. A label, where one is told, is said first."""

    def __init__(self, corpus: Corpus, told: bool) -> None:
        super().__init__()
        self.told = told
        self.words, self.width = len(corpus.vocabulary), corpus.longest

    def posterior(self, batch: Batch) -> GaussianPosterior:
        said_BT = batch.tokens_BT[:, 1:].float()
        z_BZ = torch.nn.functional.pad(said_BT, (0, self.width - said_BT.shape[1]), value=END)
        return GaussianPosterior.standard(z_BZ, torch.zeros_like(z_BZ))

    def sample_prior(
        self, sentences: int, labels_B: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        z_BZ = torch.full((sentences, self.width), float(END))
        z_BZ[:, 0] = torch.arange(sentences) + 4
        return z_BZ

    def decode(self, inputs_BT: Tensor, z_BZ: Tensor, labels_B: Tensor | None = None) -> Tensor:
        said_BT = z_BZ[:, : inputs_BT.shape[1]].round().long()
        if labels_B is not None:
            said_BT = torch.cat((labels_B.unsqueeze(1) + 4, said_BT), dim=1)[:, : inputs_BT.shape[1]]
        return 100.0 * torch.nn.functional.one_hot(said_BT, self.words)


def sentences(corpus: Corpus) -> list[str]:
    test = corpus.test
    return [
        " ".join(corpus.vocabulary.decode(test.tokens[start + 1 : end - 1].tolist()))
        for start, end in pairwise(test.offsets.tolist())
    ]


def parroted(corpus: Corpus, *, told: bool = False) -> Texts:
    parrot: TextVAE = Parrot(corpus, told)  # type: ignore[assignment]
    return write_texts(parrot, corpus, CPU)


def test_reconstructions_stand_beside_their_sentences(embedded: Corpus) -> None:
    found = parroted(embedded).reconstructions
    assert len(found) == texts.RECONSTRUCTIONS
    all_labels = [embedded.label_names[label] for label in embedded.test.labels]
    known = dict(zip(sentences(embedded), all_labels, strict=True))
    for row in found:
        assert set(vars(row.decoded).values()) == {row.sentence}
        assert known[row.sentence] == row.label
    assert len({row.sentence for row in found}) > 1


def test_a_way_begins_at_one_sentence_and_ends_at_the_other(embedded: Corpus) -> None:
    found = parroted(embedded).interpolations
    assert len(found) == texts.PAIRS * texts.STEPS
    for start in range(0, len(found), texts.STEPS):
        way = found[start : start + texts.STEPS]
        assert [point.share for point in way] == pytest.approx(np.linspace(0, 1, texts.STEPS), abs=1e-3)
        assert len({(point.first, point.second) for point in way}) == 1
        assert way[0].decoded.greedy == way[0].first
        assert way[-1].decoded.beam == way[0].second != way[0].first
        ends = (
            embedded.vocabulary.encode(way[0].first.split()),
            embedded.vocabulary.encode(way[0].second.split()),
        )
        third = [round(0.8 * a + 0.2 * b) for a, b in zip(*ends, strict=False)]  # on the line, by hand
        said = embedded.vocabulary.encode(way[1].decoded.greedy.split())
        shorter = min(len(said), len(third), *map(len, ends))
        assert said[:shorter] == third[:shorter]


def test_samples_from_the_prior(embedded: Corpus) -> None:
    found = parroted(embedded).samples
    assert [row.decoded.greedy for row in found] == list(embedded.vocabulary.words[4 : 4 + texts.SAMPLES])
    assert {row.label for row in found} == {""}


def test_labels_are_told_to_prior_and_decoder(embedded: Corpus) -> None:
    found = parroted(embedded, told=True)
    names = embedded.label_names
    assert [row.label for row in found.samples] == [names[n % len(names)] for n in range(texts.SAMPLES)]

    def told(label: str) -> str:
        return embedded.vocabulary.words[4 + names.index(label)]

    for sample in found.samples:
        assert sample.decoded.beam.split()[0] == told(sample.label)
    for row in found.reconstructions:
        assert row.decoded.sample == f"{told(row.label)} {row.sentence}"
    known = dict(zip(sentences(embedded), (names[label] for label in embedded.test.labels), strict=True))
    for point in found.interpolations:
        assert known[point.first] == known[point.second]
        assert point.decoded.greedy.split()[0] == told(known[point.first])


def test_the_texts_of_a_model_are_its_own_decodings(small: MakeVariant, embedded: Corpus) -> None:
    torch.manual_seed(3)
    model = TextVAE(small("vanilla"), len(embedded.vocabulary)).train()
    torch.manual_seed(4)
    found = write_texts(model, embedded, CPU)
    torch.manual_seed(5)
    assert write_texts(model, embedded, CPU) == found
    generator = torch.Generator().manual_seed(texts.TEXTS_SEED)
    z_BZ = model.sample_prior(texts.SAMPLES, generator=generator)
    for decode, name in ((greedy, "greedy"), (beam, "beam")):
        said = [one.text(embedded.vocabulary) for one in decode(model, z_BZ, limit=embedded.longest)]
        assert [getattr(row.decoded, name) for row in found.samples] == said


@pytest.mark.parametrize("name", ["conditional", "vq", "gumbel", "dilated"])
def test_every_kind_of_model_has_texts(small: MakeVariant, embedded: Corpus, name: str) -> None:
    variant = small(name)
    model = TextVAE(variant, len(embedded.vocabulary), embedded.label_counts)
    found = write_texts(model, embedded, CPU)
    assert (len(found.samples), len(found.reconstructions)) == (
        texts.SAMPLES,
        texts.RECONSTRUCTIONS,
    )


def test_few_unlabelled_sentences(small: MakeVariant, unlabelled: Corpus) -> None:
    few = replace(unlabelled, test=unlabelled.test.take(np.arange(3)))
    found = write_texts(TextVAE(small("vanilla"), 16), few, CPU)
    assert [len(found.reconstructions), len(found.interpolations)] == [3, texts.STEPS]
    assert {row.label for row in found.reconstructions} == {""}
