"""The sentences of a corpus as they were read, before words become ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainables.text.splits import CorpusError
from trainables.text.vocabulary import RESERVED


@dataclass(frozen=True, eq=False)
class Text:
    """The sentences of one file or of one split of a dataset; N ≥ 1.

    Args:
        place: the file, or the dataset and its split, as messages name it.
        sentences: N lists of words.
        labels: N labels as written, or None where there are none.
        lines: where each sentence stands: N lines of a file, from 1, or N rows of a dataset, from 0.
        dropped: rows that were left out before, because they are blank or have no label.

    Raises:
        CorpusError: there is no sentence, a sentence or a label is empty, or a word is reserved.
    """

    place: str
    sentences: Sequence[Sequence[str]]
    labels: Sequence[str] | None
    lines: Sequence[int]
    dropped: int = 0

    def __post_init__(self) -> None:
        if not self.sentences:
            raise CorpusError(f"a corpus file holds at least one sentence, got none: {self.place}")
        for i, words in enumerate(self.sentences):
            if not RESERVED.isdisjoint(words):
                word = next(word for word in words if word in RESERVED)
                where = self.where(i)
                raise CorpusError(
                    f"<s>, </s> and <pad> are reserved and stand in no text, got {word}: {where}"
                )
            if not words:
                form = (
                    "a sentence has words" if self.labels is None else "a labelled line is label<TAB>sentence"
                )
                raise CorpusError(f"{form}, got an empty sentence: {self.where(i)}")
            if self.labels is not None and not self.labels[i]:
                raise CorpusError(
                    f"a labelled line is label<TAB>sentence, got an empty label: {self.where(i)}"
                )

    def __len__(self) -> int:
        return len(self.sentences)

    def where(self, sentence: int) -> str:
        return f"{self.place}:{self.lines[sentence]}"

    def take(self, numbers: Sequence[int]) -> Text:
        """The sentences with these numbers, in this order."""
        return Text(
            self.place,
            [self.sentences[number] for number in numbers],
            None if self.labels is None else [self.labels[number] for number in numbers],
            [self.lines[number] for number in numbers],
            self.dropped,
        )

    def without(self, others: Iterable[Text]) -> Text:
        """The sentences that stand in none of the others.

        Raises:
            CorpusError: none is left.
        """
        known = {tuple(words) for other in others for words in other.sentences}
        return self.take([i for i, words in enumerate(self.sentences) if tuple(words) not in known])

    def share_in(self, other: Text) -> float:
        """Which share of the sentences stands in the other text too."""
        known = {tuple(words) for words in other.sentences}
        return sum(tuple(words) in known for words in self.sentences) / len(self)

    def hold_out(self, parts: int, seed: int) -> list[Text]:
        """What is left, and then `parts` texts of a tenth each, drawn at random, in the order of the file."""
        if len(self) < 4:
            raise CorpusError(f"a file to split has at least 4 sentences, got {len(self)}: {self.place}")
        tenth = max(1, len(self) // 10)
        shuffled: list[int] = np.random.default_rng([seed, 0]).permutation(len(self)).tolist()
        held_out = [shuffled[part * tenth : (part + 1) * tenth] for part in range(parts)]
        return [self.take(sorted(numbers)) for numbers in (shuffled[parts * tenth :], *held_out)]


@dataclass(frozen=True, eq=False)
class Texts:
    """The three splits of a corpus.

    Args:
        train, valid, test: all with labels or all without.
        vocabulary: the published words in their order, without special words; None where none is published
            and the words are counted in train.

    Raises:
        CorpusError: train has fewer than 2 sentences, or some splits have labels and some have none.
    """

    train: Text
    valid: Text
    test: Text
    vocabulary: Sequence[str] | None = None

    def __post_init__(self) -> None:
        train = self.train
        if len(train) < 2:
            raise CorpusError(f"train has at least 2 sentences, got {len(train)}: {train.place}")
        for text in (self.valid, self.test):
            if (text.labels is None) != (train.labels is None):
                labelled, plain = (text, train) if train.labels is None else (train, text)
                raise CorpusError(
                    f"all files of a corpus have labels or none has, got {labelled.place} with and"
                    f" {plain.place} without"
                )

    def deduplicated(self) -> Texts:
        """A sentence that stands in several splits is left in the last of train, valid, test alone.

        Raises:
            CorpusError: nothing is left of train or valid.
        """
        valid = self.valid.without([self.test])
        return replace(self, train=self.train.without([self.valid, self.test]), valid=valid)

    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures has to know, a sentence each."""
        found = []
        dropped = self.train.dropped + self.valid.dropped + self.test.dropped
        if dropped:
            found.append(f"rows left out, blank or without a label: {dropped:,}")
        share = self.test.share_in(self.train)
        if share:
            found.append(
                f"{100 * share:.2g} % of the test sentences stand in train too, which flatters every model;"
                " deduplicate: true leaves them in test alone"
            )
        return tuple(found)
