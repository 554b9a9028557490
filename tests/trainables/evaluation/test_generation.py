"""Decoding against enumeration and against the model's own probabilities."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import product

import pytest
import torch
from torch import Tensor

from trainables.evaluation import generation
from trainables.evaluation.generation import Sentence, ancestral, beam, greedy
from trainables.parts.decoders import Decoder, DilatedDecoder, LSTMDecoder
from trainables.parts.sizes import Sizes
from trainables.text.vocabulary import END, PAD, SPECIAL_WORDS, START, UNK, Vocabulary

VOCABULARY = Vocabulary((*SPECIAL_WORDS, "a", "b", "c"))
SAID = (UNK, 4, 5, 6)
SIZES = Sizes(embedding_size=6, hidden_size=9, latent_size=3)
DECODERS = (LSTMDecoder(), DilatedDecoder(dilation="1-2"))


class Speaker:
    """A decoder with random weights, large enough for its sentences to differ; `shifts` are added to the
    logits of words, and a label makes its word all but certain."""

    def __init__(self, decoder: Decoder, shifts: dict[int, float] | None = None) -> None:
        self.decoder = decoder.build(len(VOCABULARY), SIZES, SIZES.latent_size).eval()
        with torch.no_grad():
            for weight in self.decoder.parameters():
                weight.mul_(2.0)
        self.shift_V = torch.zeros(len(VOCABULARY))
        for word, shift in (shifts or {}).items():
            self.shift_V[word] = shift
        self.most_logits = 0

    def decode(self, inputs_BT: Tensor, z_BZ: Tensor, labels_B: Tensor | None = None) -> Tensor:
        logits_BTV = self.decoder(inputs_BT, z_BZ) + self.shift_V
        if labels_B is not None:
            logits_BTV[torch.arange(len(labels_B)), :, labels_B] += 1000.0
        self.most_logits = max(self.most_logits, logits_BTV.numel())
        return logits_BTV


def log_probability(model: Speaker, ids: tuple[int, ...], z_Z: Tensor) -> float:
    """−Σ cross-entropy over the words of one sentence, as a reconstruction NLL sums it."""
    inputs_1T = torch.tensor([(START, *ids[:-1])])
    with torch.no_grad():
        logits_TV = model.decode(inputs_1T, z_Z[None])[0]
    return -float(torch.nn.functional.cross_entropy(logits_TV, torch.tensor(ids), reduction="sum"))


def ended_sentences(limit: int) -> Iterator[tuple[int, ...]]:
    for words in range(limit):
        for prefix in product(SAID, repeat=words):
            yield (*prefix, END)


@pytest.fixture(params=DECODERS, ids=lambda decoder: decoder.part_name)
def model(request: pytest.FixtureRequest) -> Speaker:
    torch.manual_seed(5)
    return Speaker(request.param)


@pytest.fixture
def z_BZ() -> Tensor:
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(1))


def test_greedy_takes_the_most_probable_word_at_each_step(model: Speaker, z_BZ: Tensor) -> None:
    for z_Z, sentence in zip(z_BZ, greedy(model, z_BZ, limit=7), strict=True):
        words: tuple[int, ...] = ()
        while len(words) < 7 and words[-1:] != (END,):
            words = max(
                ((*words, word) for word in (*SAID, END)), key=lambda ids: log_probability(model, ids, z_Z)
            )
        assert sentence.ids == words


def test_a_wide_beam_finds_the_most_probable_sentence(model: Speaker, z_BZ: Tensor) -> None:
    limit = 4
    width = len((*SAID, END)) * len(SAID) ** (limit - 1)  # all continuations at the last step
    differs = 0
    for z_Z, sentence, easy in zip(
        z_BZ, beam(model, z_BZ, limit=limit, width=width), greedy(model, z_BZ, limit=limit), strict=True
    ):
        best = max(ended_sentences(limit), key=lambda ids: log_probability(model, ids, z_Z))
        assert sentence.ids == best
        assert sentence.log_probability == pytest.approx(log_probability(model, best, z_Z), abs=1e-4)
        differs += sentence.ids != easy.ids
    assert differs, "the test shows nothing where greedy finds it too"


def test_a_wider_beam_is_never_less_probable_than_greedy(model: Speaker, z_BZ: Tensor) -> None:
    quick = greedy(model, z_BZ, limit=12)
    for simple, found in zip(quick, beam(model, z_BZ, limit=12, width=40), strict=True):
        assert found.ended
        if simple.ended:
            assert found.log_probability >= simple.log_probability - 1e-9


def test_what_never_ends_is_cut_off_at_the_limit(z_BZ: Tensor) -> None:
    endless = Speaker(LSTMDecoder(), {END: -math.inf})
    for decode in (greedy, ancestral, beam):
        for sentence in decode(endless, z_BZ, torch.full((6,), 4), limit=5):
            assert sentence.ids == (4,) * 5
            assert not sentence.ended
            assert sentence.text(VOCABULARY) == "a a a a a"
            assert sentence.log_probability == pytest.approx(0.0, abs=1e-3)


def test_labels_and_latents_reach_their_own_sentences(model: Speaker, z_BZ: Tensor) -> None:
    labels_B = torch.tensor([4, END, 5, END, 6, END])
    for decode in (greedy, ancestral):
        sentences = decode(model, z_BZ, labels_B, limit=3)
        assert [sentence.ids for sentence in sentences] == [
            (END,) if label == END else (label,) * 3 for label in labels_B.tolist()
        ]
    found = beam(model, z_BZ, labels_B, limit=3)
    assert all(found[number].ids == (END,) for number in (1, 3, 5))
    alone = [decode(model, z_BZ[[number]], limit=9)[0] for number in range(6) for decode in (greedy, beam)]
    together = [pair for pairs in zip(*(d(model, z_BZ, limit=9) for d in (greedy, beam)), strict=True)
                for pair in pairs]  # fmt: skip
    assert [sentence.ids for sentence in alone] == [sentence.ids for sentence in together]


def test_log_probabilities_are_those_of_the_model(model: Speaker, z_BZ: Tensor) -> None:
    generator = torch.Generator().manual_seed(3)
    for sentences in (
        greedy(model, z_BZ, limit=9),
        ancestral(model, z_BZ, limit=9, generator=generator),
        beam(model, z_BZ, limit=9),
    ):
        for z_Z, sentence in zip(z_BZ, sentences, strict=True):
            expected = log_probability(model, sentence.ids, z_Z)
            assert sentence.log_probability == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.part_name)
def test_samples_come_as_often_as_the_model_says(decoder: Decoder) -> None:
    torch.manual_seed(5)
    model = Speaker(decoder, {PAD: -100.0, START: -100.0})
    draws, z_1Z = 20_000, torch.tensor([[0.3, -1.0, 0.5]])
    generator = torch.Generator().manual_seed(7)
    sentences = ancestral(model, z_1Z.expand(draws, -1), limit=3, generator=generator)
    counts = Counter(sentence.ids for sentence in sentences)
    outcomes = [*ended_sentences(3), *product(SAID, repeat=3)]
    assert set(counts) <= set(outcomes)
    total = 0.0
    for ids in outcomes:
        p = math.exp(log_probability(model, ids, z_1Z[0]))
        total += p
        # Normal bounds of a binomial count at 4.5 standard deviations; half a count of continuity.
        assert abs(counts[ids] - draws * p) <= 4.5 * math.sqrt(draws * p * (1 - p)) + 0.5
    assert total == pytest.approx(1.0, abs=1e-4)


def test_marks_are_never_said(z_BZ: Tensor) -> None:
    torch.manual_seed(5)
    model = Speaker(LSTMDecoder(), {PAD: 20.0, START: 20.0})
    for decode in (greedy, ancestral, beam):
        words = [word for sentence in decode(model, z_BZ, limit=8) for word in sentence.ids]
        assert words
        assert not {PAD, START} & set(words)


def test_memory_is_bounded_without_changing_the_result(
    model: Speaker, z_BZ: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = beam(model, z_BZ, limit=9)
    unbounded, model.most_logits = model.most_logits, 0
    monkeypatch.setattr(generation, "LOGITS_AT_ONCE", 2 * 9 * len(VOCABULARY))
    again = beam(model, z_BZ, limit=9)
    assert [sentence.ids for sentence in again] == [sentence.ids for sentence in everything]
    assert model.most_logits <= 2 * 9 * len(VOCABULARY) < unbounded


def test_text_has_no_marks() -> None:
    assert Sentence((4, UNK, 6, END), -1.0).text(VOCABULARY) == "a <unk> c"
    assert Sentence((END,), -1.0).text(VOCABULARY) == ""
