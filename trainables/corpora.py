"""From a folder or a file of text, or from nothing, to a corpus: everything is checked before any compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.grammar import embedded_corpus
from trainables.reading import TextFile, find_split_files, read_text_file
from trainables.splits import Corpus, CorpusError, Split
from trainables.vocabulary import SPECIAL_WORDS, Vocabulary

__all__ = ["Corpus", "CorpusError", "Split", "load_corpus"]

_SPLITS = ("train", "valid", "test")
_EMBEDDED_SENTENCES = (3000, 1000, 1000)


def load_corpus(
    path: Path | str | None,
    *,
    seed: int = 0,
    vocabulary_size: int | None = 10_000,
    max_sentences: int | None = None,
) -> Corpus:
    """Read a corpus, or draw the embedded one.

    Args:
        path: a folder with train, valid and test files (`train.txt` or `NAME.train.txt`; valid may be called
            dev or val), or one file, split 80/10/10 at random, or None for the embedded corpus. A line is a
            sentence of words separated by spaces, in all lines or in none of a file behind a label and a tab.
        seed: of the split of a single file, of the choice for `max_sentences`, and of the embedded corpus.
        vocabulary_size: the most words to keep, 4 special ones included, counted in the training sentences
            kept; None keeps all. The embedded corpus needs its 225, or its entropy would not hold.
        max_sentences: keep at most so many training sentences, and a tenth of it, at least 1, of valid and of
            test; chosen at random, in the order of the file. None keeps all.

    Raises:
        CorpusError: a file is missing, unreadable or badly formed, or an argument is out of its range.
    """
    _check_arguments(seed, vocabulary_size, max_sentences)
    limits = _limits(max_sentences)
    if path is None:
        return _embedded(seed, vocabulary_size, limits)
    try:
        location = Path(path).expanduser()
        texts = _read(location, seed)
    except OSError as error:
        raise CorpusError(
            f"a corpus can be read, got {error.strerror!r}: {error.filename or path}"
        ) from error
    label_names = _label_names(texts)
    texts = [
        text.take(_choose(len(text), limit, np.random.default_rng([seed, 1, number])))
        for number, (text, limit) in enumerate(zip(texts, limits, strict=True))
    ]
    vocabulary = Vocabulary.build(texts[0].sentences, vocabulary_size)
    if len(vocabulary) == len(SPECIAL_WORDS):
        raise CorpusError(f"the training sentences hold a word other than <unk>, got none: {texts[0].path}")
    train, valid, test = (_encode(text, vocabulary, label_names) for text in texts)
    name = location.resolve().name if location.is_dir() else location.stem
    return Corpus(name, str(path), vocabulary, train, valid, test, label_names)


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
        size if limit is None else min(size, limit)
        for size, limit in zip(_EMBEDDED_SENTENCES, limits, strict=True)
    )
    corpus = embedded_corpus(seed, (train, valid, test))
    if vocabulary_size is not None and vocabulary_size < len(corpus.vocabulary):
        raise CorpusError(
            f"the embedded corpus has a vocabulary of {len(corpus.vocabulary)} words,"
            f" got vocabulary_size {vocabulary_size}"
        )
    return corpus


def _read(path: Path, seed: int) -> list[TextFile]:
    """Train, valid and test, in this order."""
    if path.is_dir():
        texts = [read_text_file(file) for file in find_split_files(path)]
        if len(texts[0]) < 2:
            raise CorpusError(f"train has at least 2 sentences, got {len(texts[0])}: {texts[0].path}")
        for text in texts[1:]:
            if (text.labels is None) != (texts[0].labels is None):
                with_labels, without = (text, texts[0]) if texts[0].labels is None else (texts[0], text)
                raise CorpusError(
                    f"all files of a corpus have labels or none has, got {with_labels.path} with and"
                    f" {without.path} without"
                )
        return texts
    if not path.exists():
        raise CorpusError(f"a corpus is a folder or a text file, got a path that does not exist: {path}")
    if not path.is_file():
        raise CorpusError(f"a corpus is a folder or a text file, got neither: {path}")
    return _split(read_text_file(path), seed)


def _split(text: TextFile, seed: int) -> list[TextFile]:
    if len(text) < 4:
        raise CorpusError(f"a file to split has at least 4 sentences, got {len(text)}: {text.path}")
    tenth = max(1, len(text) // 10)
    shuffled: list[int] = np.random.default_rng([seed, 0]).permutation(len(text)).tolist()
    parts = shuffled[2 * tenth :], shuffled[:tenth], shuffled[tenth : 2 * tenth]
    return [text.take(sorted(part)) for part in parts]


def _choose(available: int, limit: int | None, rng: np.random.Generator) -> list[int]:
    chosen: list[int] = rng.permutation(available)[:limit].tolist()
    return sorted(chosen)


def _label_names(texts: list[TextFile]) -> tuple[str, ...]:
    train = texts[0]
    if train.labels is None:
        return ()
    known = set(train.labels)
    for split, text in zip(_SPLITS[1:], texts[1:], strict=True):
        assert text.labels is not None
        for sentence, label in enumerate(text.labels):
            if label not in known:
                where = text.where(sentence)
                raise CorpusError(f"every label of {split} occurs in train, got {label!r}: {where}")
    return tuple(sorted(known))


def _encode(text: TextFile, vocabulary: Vocabulary, label_names: tuple[str, ...]) -> Split:
    labels = None
    if text.labels is not None:
        indices = {name: index for index, name in enumerate(label_names)}
        labels = [indices[label] for label in text.labels]
    return Split.from_ids([vocabulary.encode(words) for words in text.sentences], labels)
