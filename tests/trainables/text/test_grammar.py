import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from tests.trainables.grammar_density import sentence_log_probability, sentences_with
from trainables.text.grammar import ENTROPY, FILLERS, PLACES, SENTENCES, THEMES, embedded_corpus
from trainables.text.splits import CorpusError, Split
from trainables.text.vocabulary import UNK, Vocabulary

SENTENCE = (
    "in the galley after the recital , without saying a word , late in the evening , "
    "the cook held the violin ."
)
IN_ALL = 8**2 * 30 * 3**4


def decode(vocabulary: Vocabulary, split: Split) -> list[tuple[str, ...]]:
    """Sentences without their marks."""
    ids, offsets = split.tokens.tolist(), split.offsets.tolist()
    return [tuple(vocabulary.decode(ids[start + 1 : end - 1])) for start, end in pairwise(offsets)]


def test_no_word_has_two_places() -> None:
    slots = [slot for table in THEMES for theme in table for slot in (theme.named, theme.shown)]
    words = [word for slot in slots for word in slot]
    assert [len(table) for table in THEMES] == [8, 8]
    assert {len(slot) for slot in slots} == {3}
    assert len(words) == len(set(words)) == 96
    frame = set(["in", "the", "after", ",", "held", "."])
    assert not set(words) & ({word for filler in FILLERS for word in filler} | frame)


def test_the_fillers_keep_what_is_named_out_of_the_sight_of_15_words() -> None:
    """From the first word that shows a theme back to the last that names it: the shortest way."""
    assert sorted(len(filler) for filler in FILLERS) == [4, 4, 4, 5, 5, 5]
    words = SENTENCE.split()
    assert words.index("cook") - words.index("galley") == 16
    assert words.index("violin") - words.index("recital") == 16


def test_entropy_by_hand() -> None:
    assert pytest.approx(2 * math.log(8) + math.log(30) + 4 * math.log(3)) == ENTROPY
    assert pytest.approx(11.9545, abs=1e-4) == ENTROPY


def test_entropy_by_enumeration() -> None:
    """Of the sentences with two of the synonyms and one of the 30 pairs of fillers."""
    sentences = list(sentences_with(FILLERS[1], FILLERS[4], synonyms=2))
    assert len(sentences) == len(set(sentences)) == 8**2 * 2**4
    assert {sentence_log_probability(sentence) for sentence in sentences[::7]} == {-ENTROPY}
    assert math.exp(-ENTROPY) * len(sentences) * 30 * 1.5**4 == pytest.approx(1.0)


def test_entropy_by_sampling() -> None:
    corpus = embedded_corpus(seed=3, sentences=(4000, 1, 1))
    samples = decode(corpus.vocabulary, corpus.train)
    assert -np.mean([sentence_log_probability(sentence) for sentence in samples]) == pytest.approx(ENTROPY)
    # −ln p is the same for all sentences, so check that the factors have the frequencies the entropy assumes.
    named = np.array([themes(words) for words in samples])
    assert chi_square(np.bincount(named @ [8, 1], minlength=64)) < 103.4  # 63 degrees of freedom, p = 0.001
    synonyms = np.array([synonyms_of(words) for words in samples])
    assert chi_square(np.bincount(synonyms @ 3 ** np.arange(4), minlength=81)) < 124.8  # 80
    pairs = [" ".join(words).split(" , ")[1:3] for words in samples]
    _, counts = np.unique([" , ".join(pair) for pair in pairs], return_counts=True)
    assert len(counts) == 30
    assert chi_square(counts) < 58.3  # 29 degrees of freedom


def slots_of(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """The words that name and show the place and the occasion."""
    return [(words[2], words[-5]), (words[5], words[-2])]


def themes(words: tuple[str, ...]) -> list[int]:
    pairs = zip(THEMES, slots_of(words), strict=True)
    return [next(n for n, theme in enumerate(table) if named in theme.named) for table, (named, _) in pairs]


def synonyms_of(words: tuple[str, ...]) -> list[int]:
    found: list[int] = []
    for table, number, (named, shown) in zip(THEMES, themes(words), slots_of(words), strict=True):
        found += [table[number].named.index(named), table[number].shown.index(shown)]
    return found


def chi_square(counts: npt.NDArray[np.int64]) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


def test_probability_of_one_sentence() -> None:
    assert sentence_log_probability(SENTENCE.split()) == pytest.approx(-math.log(IN_ALL))


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        ",",
        ", , , ,",
        SENTENCE.replace("cook", "farmer"),
        SENTENCE.replace("violin", "cake"),
        SENTENCE.replace("held", "violin"),
        SENTENCE.replace("galley", "moon"),
        SENTENCE.replace("late in the evening", "without saying a word"),
        SENTENCE.replace(" .", ""),
        SENTENCE.replace("in the galley", "at the galley"),
        SENTENCE.replace("in the galley", "galley"),
        SENTENCE.replace("in the galley", ""),
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
    assert corpus.label_names == tuple(place.named[0] for place in PLACES)
    assert sum(corpus.label_counts) == 1400
    assert [len(split) for split in (corpus.train, corpus.valid, corpus.test)] == list(SENTENCES)
    # The specials, the themes, and 27 words that stand in the fillers or the frame.
    assert len(corpus.vocabulary) == 4 + 96 + 27
    assert len(set(corpus.train.lengths.tolist())) == 3
    for split in (corpus.train, corpus.valid, corpus.test):
        assert not (split.tokens == UNK).any()
        sentences = decode(corpus.vocabulary, split)
        assert {sentence_log_probability(words) for words in sentences} == {-ENTROPY}
        assert split.labels is not None
        for words, label in zip(sentences, split.labels.tolist(), strict=True):
            assert words[2] in PLACES[label].named


def test_the_seed_decides_and_the_splits_are_independent() -> None:
    corpus, again, other = embedded_corpus(1), embedded_corpus(1), embedded_corpus(2)
    assert corpus.digest == again.digest
    assert corpus.digest != other.digest
    assert corpus.vocabulary == other.vocabulary
    samples = [decode(corpus.vocabulary, split)[:400] for split in (corpus.train, corpus.valid, corpus.test)]
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert sum(a == b for a, b in zip(samples[one], samples[two], strict=True)) <= 2


@pytest.mark.parametrize("sentences", [(1, 1, 1), (2, 0, 1), (2, 1, -1)])
def test_sizes_are_checked(sentences: tuple[int, int, int]) -> None:
    with pytest.raises(CorpusError, match=r"at least 2 .*, got \("):
        embedded_corpus(0, sentences)


def test_the_seed_is_checked() -> None:
    with pytest.raises(CorpusError, match="not negative, got -1"):
        embedded_corpus(-1)
