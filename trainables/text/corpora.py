"""From a source to a corpus: everything is checked before any compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from trainables.text.grammar import SENTENCES, embedded_corpus
from trainables.text.named_corpora import NAMED_KINDS
from trainables.text.raw_text import Text, Texts
from trainables.text.sources import USUAL, CorpusSource, Embedded, PlainText, TextSource, parse_source
from trainables.text.splits import Corpus, CorpusError, Split
from trainables.text.vocabulary import SPECIAL_WORDS, Vocabulary

__all__ = ["KINDS", "USUAL", "Corpus", "CorpusError", "MakeSource", "Split", "load_corpus"]

MakeSource = Callable[[str], CorpusSource]
"""What stands behind "KIND:" to a source."""

_SPLITS = ("train", "valid", "test")
_LEAST_KNOWN = 0.5


def load_corpus(
    source: CorpusSource | Path | str | None,
    *,
    seed: int = 0,
    vocabulary_size: int | Literal["usual"] | None = USUAL,
    max_sentences: int | None = None,
    deduplicate: bool = False,
) -> Corpus:
    """Read a corpus, or draw the embedded one.

    Args:
        source: a source; text that names one (`embedded`, a path, `ptb:PATH`, `yahoo:PATH`, `yelp:PATH`,
            `snli:PATH`); a path; or None for the embedded corpus. A path is a folder with train, valid and
            test files (`train.txt` or `NAME.train.txt`; valid may be called dev or val), or one file, split
            80/10/10 at random. A line is a sentence of words separated by spaces, in all lines or in none
            of a file behind a label and a tab.
        seed: of the split of a single file, of the choice for `max_sentences`, and of the embedded corpus.
        vocabulary_size: the most words to keep, 4 special ones included, counted in the training sentences
            kept; None keeps all; "usual" is 10,000, or what the source says. A published vocabulary is kept
            as a whole; so is that of the embedded corpus, or its entropy would not hold.
        max_sentences: keep at most so many training sentences, and a tenth of it, at least 1, of valid and of
            test; chosen at random, in the order of the file. None keeps all.
        deduplicate: leave a sentence that stands in several splits in the last of them alone: copies of a
            test sentence are no training sentences. The embedded corpus is drawn from a distribution, in
            which copies have their place: it stays as it is.

    Raises:
        CorpusError: a file is missing, unreadable or badly formed, or an argument is out of its range.
    """
    source = _resolve(source)
    size = source.usual_vocabulary_size if vocabulary_size == USUAL else vocabulary_size
    _check_arguments(seed, size, max_sentences)
    limits = _limits(max_sentences)
    if isinstance(source, Embedded):
        return _embedded(seed, size, limits)
    assert isinstance(source, TextSource)
    try:
        texts = source.read(seed)
    except OSError as error:
        raise CorpusError(
            f"a corpus can be read, got {error.strerror!r}: {error.filename or source}"
        ) from error
    texts = texts.deduplicated() if deduplicate else texts
    label_names = _label_names(texts)
    texts = _chosen(texts, limits, seed)
    vocabulary = _vocabulary(texts, size)
    train, valid, test = (_encode(text, vocabulary, label_names) for text in _parts(texts))
    return Corpus(source.name, str(source), vocabulary, train, valid, test, label_names, notes=texts.notes())


def _resolve(source: CorpusSource | Path | str | None) -> CorpusSource:
    if source is None:
        return Embedded()
    if isinstance(source, Path):
        return PlainText(source)
    return parse_source(source, KINDS) if isinstance(source, str) else source


def _dataset(rest: str) -> CorpusSource:
    raise CorpusError(
        "datasets: is read by `python -m orchestrator.sweep` and `python -m orchestrator.train` alone,"
        f" got 'datasets:{rest}'"
    )


KINDS: Mapping[str, MakeSource] = {**NAMED_KINDS, "datasets": _dataset}
"""What the text of a source may begin with, see `parse_source`."""


def _check_arguments(seed: int, vocabulary_size: int | None, max_sentences: int | None) -> None:
    if seed < 0:
        raise CorpusError(f"a seed is not negative, got {seed}")
    if vocabulary_size is not None and vocabulary_size < 5:
        raise CorpusError(
            f"vocabulary_size is at least 5 (4 special words and one more), got {vocabulary_size}"
        )
    if max_sentences is not None and max_sentences < 2:
        raise CorpusError(f"max_sentences is at least 2, got {max_sentences}")


def _limits(max_sentences: int | None) -> tuple[int | None, int | None, int | None]:
    if max_sentences is None:
        return None, None, None
    tenth = max(1, max_sentences // 10)
    return max_sentences, tenth, tenth


def _embedded(seed: int, vocabulary_size: int | None, limits: tuple[int | None, ...]) -> Corpus:
    # The sentences are drawn independently, so the first ones are as random a choice as any other.
    train, valid, test = (
        size if limit is None else min(size, limit) for size, limit in zip(SENTENCES, limits, strict=True)
    )
    corpus = embedded_corpus(seed, (train, valid, test))
    _check_whole("the embedded corpus has", corpus.vocabulary, vocabulary_size)
    return corpus


def _check_whole(whose: str, vocabulary: Vocabulary, size: int | None) -> None:
    if size is not None and size < len(vocabulary):
        raise CorpusError(f"{whose} a vocabulary of {len(vocabulary)} words, got vocabulary_size {size}")


def _parts(texts: Texts) -> tuple[Text, Text, Text]:
    return texts.train, texts.valid, texts.test


def _chosen(texts: Texts, limits: tuple[int | None, ...], seed: int) -> Texts:
    train, valid, test = (
        text
        if limit is None
        else text.take(_choose(len(text), limit, np.random.default_rng([seed, 1, number])))
        for number, (text, limit) in enumerate(zip(_parts(texts), limits, strict=True))
    )
    return replace(texts, train=train, valid=valid, test=test)


def _choose(available: int, limit: int, rng: np.random.Generator) -> list[int]:
    chosen: list[int] = rng.permutation(available)[:limit].tolist()
    return sorted(chosen)


def _vocabulary(texts: Texts, size: int | None) -> Vocabulary:
    train = texts.train
    if texts.vocabulary is None:
        vocabulary = Vocabulary.build(train.sentences, size)
        if len(vocabulary) == len(SPECIAL_WORDS):
            raise CorpusError(f"the training sentences hold a word other than <unk>, got none: {train.place}")
        return vocabulary
    vocabulary = Vocabulary(SPECIAL_WORDS + tuple(texts.vocabulary))
    _check_whole("the corpus is published with", vocabulary, size)
    words = [word for sentence in train.sentences for word in sentence]
    known = sum(word in vocabulary.ids for word in words)
    if known < _LEAST_KNOWN * len(words):
        raise CorpusError(
            f"a published vocabulary has at least half of the training words, got {known} of {len(words)}:"
            f" {train.place}"
        )
    return vocabulary


def _label_names(texts: Texts) -> tuple[str, ...]:
    train = texts.train
    if train.labels is None:
        return ()
    known = set(train.labels)
    for split, text in zip(_SPLITS[1:], _parts(texts)[1:], strict=True):
        assert text.labels is not None
        for sentence, label in enumerate(text.labels):
            if label not in known:
                where = text.where(sentence)
                raise CorpusError(f"every label of {split} occurs in train, got {label!r}: {where}")
    return tuple(sorted(known))


def _encode(text: Text, vocabulary: Vocabulary, label_names: tuple[str, ...]) -> Split:
    labels = None
    if text.labels is not None:
        indices = {name: index for index, name in enumerate(label_names)}
        labels = [indices[label] for label in text.labels]
    return Split.from_ids([vocabulary.encode(words) for words in text.sentences], labels)
