import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from tests.trainables.grammar_density import all_sentences, sentence_log_probability
from trainables.text.grammar import (
    ENTROPY,
    FILLERS,
    TOPICS,
    embedded_corpus,
)
from trainables.text.splits import CorpusError, Split
from trainables.text.vocabulary import UNK, Vocabulary

SENTENCE = "in the kitchen , without saying a word , late in the evening , the chef fried the fish ."


def decode(vocabulary: Vocabulary, split: Split) -> list[tuple[str, ...]]:
    """Sentences without their marks."""
    ids, offsets = split.tokens.tolist(), split.offsets.tolist()
    return [tuple(vocabulary.decode(ids[start + 1 : end - 1])) for start, end in pairwise(offsets)]


def test_the_slots_are_distinct_words() -> None:
    slots = [slot for topic in TOPICS for slot in topic.slots]
    words = [word for slot in slots for word in slot]
    assert len(TOPICS) == 8
    assert {len(slot) for slot in slots} == {3}
    assert len(words) == len(set(words)) == 96
    assert not set(words) & ({word for filler in FILLERS for word in filler} | {"in", "the", ",", "."})


def test_the_fillers_vary_in_length() -> None:
    assert sorted(len(filler) for filler in FILLERS) == [4, 4, 5, 6, 7, 7]
    assert len(set(FILLERS)) == 6


def test_entropy_by_hand() -> None:
    assert pytest.approx(math.log(8) + math.log(30) + 4 * math.log(3)) == ENTROPY
    assert pytest.approx(9.8751, abs=1e-4) == ENTROPY


def test_entropy_by_enumeration() -> None:
    sentences = list(all_sentences())
    assert len(sentences) == len(set(sentences)) == 19_440
    log_p = np.array([sentence_log_probability(sentence) for sentence in sentences])
    assert np.exp(log_p).sum() == pytest.approx(1.0, abs=1e-9)
    assert -(np.exp(log_p) * log_p).sum() == pytest.approx(ENTROPY, abs=1e-9)


def test_entropy_by_sampling() -> None:
    corpus = embedded_corpus(seed=3, sentences=(4000, 1, 1))
    samples = decode(corpus.vocabulary, corpus.train)
    assert -np.mean([sentence_log_probability(sentence) for sentence in samples]) == pytest.approx(ENTROPY)
    # −ln p is the same for all sentences, so check that the factors have the frequencies the entropy assumes.
    topics = np.array(
        [next(i for i, topic in enumerate(TOPICS) if words[2] in topic.places) for words in samples]
    )
    assert chi_square(np.bincount(topics, minlength=8)) < 24.3  # 7 degrees of freedom, p = 0.001
    synonyms = np.array([[slot_index(words, slot) for slot in range(4)] for words in samples])
    assert chi_square(np.bincount(synonyms @ [27, 9, 3, 1], minlength=81)) < 124.8  # 80 degrees of freedom
    pairs = [" ".join(words).split(" , ")[1:3] for words in samples]
    _, counts = np.unique([" , ".join(pair) for pair in pairs], return_counts=True)
    assert len(counts) == 30
    assert chi_square(counts) < 58.3  # 29 degrees of freedom


def slot_index(words: tuple[str, ...], slot: int) -> int:
    word = (words[2], words[-5], words[-4], words[-2])[slot]
    return next(topic.slots[slot].index(word) for topic in TOPICS if word in topic.slots[slot])


def chi_square(counts: npt.NDArray[np.int64]) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


def test_probability_of_one_sentence() -> None:
    assert sentence_log_probability(SENTENCE.split()) == pytest.approx(-math.log(19_440))


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        ",",
        ", , , ,",
        SENTENCE.replace("chef", "farmer"),
        SENTENCE.replace("fish", "cow"),
        SENTENCE.replace("fried", "fish"),
        SENTENCE.replace("kitchen", "moon"),
        SENTENCE.replace("late in the evening", "without saying a word"),
        SENTENCE.replace(" .", ""),
        SENTENCE.replace("in the kitchen", "at the kitchen"),
        SENTENCE.replace("in the kitchen", "kitchen"),
        SENTENCE.replace("in the kitchen", ""),
        SENTENCE + " .",
        "<s> " + SENTENCE + " </s>",
    ],
)
def test_sentences_outside_the_grammar_have_no_probability(sentence: str) -> None:
    assert sentence_log_probability(sentence.split(" ")) == -math.inf
    assert sentence_log_probability(sentence.split()) == -math.inf


def test_the_words_are_compared_one_by_one() -> None:
    assert sentence_log_probability([SENTENCE]) == -math.inf


def test_corpus() -> None:
    corpus = embedded_corpus()
    assert corpus.name == "embedded"
    assert corpus.entropy_floor == ENTROPY
    assert corpus.label_names == tuple(topic.places[0] for topic in TOPICS)
    assert sum(corpus.label_counts) == 3000
    assert [len(split) for split in (corpus.train, corpus.valid, corpus.test)] == [3000, 1000, 1000]
    # The specials, the slots, and 29 words that stand in the fillers or the frame.
    assert len(corpus.vocabulary) == 4 + 96 + 29
    assert len(set(corpus.train.lengths.tolist())) == 7
    for split in (corpus.train, corpus.valid, corpus.test):
        assert not (split.tokens == UNK).any()
        sentences = decode(corpus.vocabulary, split)
        assert {sentence_log_probability(words) for words in sentences} == {-ENTROPY}
        assert split.labels is not None
        for words, label in zip(sentences, split.labels.tolist(), strict=True):
            assert words[2] in TOPICS[label].places


def test_the_seed_decides_and_the_splits_are_independent() -> None:
    corpus, again, other = embedded_corpus(1), embedded_corpus(1), embedded_corpus(2)
    assert corpus.digest == again.digest
    assert corpus.digest != other.digest
    assert corpus.vocabulary == other.vocabulary
    samples = [decode(corpus.vocabulary, split)[:1000] for split in (corpus.train, corpus.valid, corpus.test)]
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert sum(a == b for a, b in zip(samples[one], samples[two], strict=True)) <= 2


@pytest.mark.parametrize("sentences", [(1, 1, 1), (2, 0, 1), (2, 1, -1)])
def test_sizes_are_checked(sentences: tuple[int, int, int]) -> None:
    with pytest.raises(CorpusError, match=r"at least 2 .*, got \("):
        embedded_corpus(0, sentences)


def test_the_seed_is_checked() -> None:
    with pytest.raises(CorpusError, match="not negative, got -1"):
        embedded_corpus(-1)
