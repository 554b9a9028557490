"""What a corpus is once it is read: flat arrays of word ids, cut into sentences.

Shape suffixes: T tokens, N sentences, G distinct lengths.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from trainables.text.vocabulary import END, START, Vocabulary

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


class CorpusError(ValueError):
    """A corpus that cannot be used: the rule, the value received, and where."""


@dataclass(frozen=True, eq=False)
class LengthGroups:
    """The sentences of a split, grouped by length, shortest first."""

    order_N: Int64Array  # sentence numbers; within a group they rise
    lengths_G: Int64Array  # tokens per sentence of the group, both sentence marks included
    starts_G: Int64Array  # a group's first place in order_N
    counts_G: Int64Array  # sentences in the group, at least 1


@dataclass(frozen=True, eq=False)
class Split:
    """Sentences of one split; sentence i is `tokens[offsets[i]:offsets[i + 1]]`.

    Every sentence begins with `<s>` and ends with `</s>`. Compared by identity;
    `Corpus.digest` compares content.

    Args:
        tokens: int32 [T], the word ids of all sentences.
        offsets: int64 [N + 1], rising from 0 to T.
        labels: int32 [N], places in `Corpus.label_names`, or None for an unlabelled corpus.
    """

    tokens: Int32Array
    offsets: Int64Array
    labels: Int32Array | None

    def __post_init__(self) -> None:
        assert self.tokens.dtype == np.int32
        assert self.offsets.dtype == np.int64
        assert tuple(self.offsets[[0, -1]]) == (0, self.tokens.size)
        assert self.labels is None or (self.labels.dtype == np.int32 and self.labels.shape == (len(self),))

    @classmethod
    def from_ids(cls, sentences: Sequence[Sequence[int]], labels: Sequence[int] | None) -> Split:
        """Build a split from word ids without sentence marks, which are added here."""
        lengths_N = np.fromiter((len(ids) + 2 for ids in sentences), np.int64, len(sentences))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths_N)])
        total = int(offsets[-1])
        flat = chain.from_iterable(chain((START,), ids, (END,)) for ids in sentences)
        tokens = np.fromiter(flat, np.int32, total)
        return cls(tokens, offsets, None if labels is None else np.asarray(labels, np.int32))

    def __len__(self) -> int:
        return int(self.offsets.size) - 1

    def take(self, indices_N: Int64Array) -> Split:
        """The split of these sentences, in this order."""
        lengths_N = self.lengths[indices_N]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths_N)])
        places_T = np.arange(offsets[-1]) + np.repeat(self.offsets[indices_N] - offsets[:-1], lengths_N)
        labels_N = None if self.labels is None else self.labels[indices_N]
        return Split(self.tokens[places_T], offsets, labels_N)

    @cached_property
    def lengths(self) -> Int64Array:
        """Tokens per sentence, int64 [N], both sentence marks included."""
        return np.diff(self.offsets)

    @property
    def words(self) -> int:
        """Predicted tokens of the split: `</s>` counts, `<s>` does not. The denominator of perplexity."""
        return int(self.tokens.size) - len(self)

    @cached_property
    def by_length(self) -> LengthGroups:
        """Sentence numbers grouped by length; what batches are cut from."""
        order_N = np.argsort(self.lengths, kind="stable")
        sorted_N = self.lengths[order_N]
        lengths_G, starts_G, counts_G = np.unique(sorted_N, return_index=True, return_counts=True)
        return LengthGroups(order_N, lengths_G, starts_G, counts_G)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Three splits over one vocabulary.

    Args:
        name: short, for tables: the folder's or the file's name, or "embedded".
        source: where it came from, as a spec says it.
        vocabulary: built from the training split.
        train, valid, test: share no sentence that stands once in the source.
        label_names: label index → name; empty for an unlabelled corpus.
        entropy_floor: exact entropy in nats per sentence where the distribution is known, else None.
            No model's expected NLL + KL lies below it.
        notes: what a reader of the figures has to know of the text, a sentence each.
    """

    name: str
    source: str
    vocabulary: Vocabulary
    train: Split
    valid: Split
    test: Split
    label_names: tuple[str, ...] = ()
    entropy_floor: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def longest(self) -> int:
        """Words of the longest sentence, its `</s>` counted: the most that a decoder predicts in a row."""
        return max(int(split.lengths.max()) for split in (self.train, self.valid, self.test)) - 1

    @property
    def label_counts(self) -> tuple[int, ...]:
        """Training sentences of each label; empty for an unlabelled corpus."""
        if self.train.labels is None:
            return ()
        return tuple(np.bincount(self.train.labels, minlength=len(self.label_names)).tolist())

    @cached_property
    def digest(self) -> str:
        """16 hex characters that change with any token, sentence boundary, label or vocabulary word."""
        content = hashlib.sha256()
        for split in (self.train, self.valid, self.test):
            for array, dtype in ((split.tokens, "<i4"), (split.offsets, "<i8"), (split.labels, "<i4")):
                # The size goes in front, or the border between two arrays could move unseen.
                content.update(b"none;" if array is None else f"{array.size};".encode())
                if array is not None:
                    content.update(array.astype(dtype).tobytes())
        content.update("\n".join(self.vocabulary.words).encode())
        return content.hexdigest()[:16]
