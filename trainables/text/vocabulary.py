"""Words and their ids. Ids are dense: 0 … V − 1, with the four special words first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

UNK, PAD, START, END = 0, 1, 2, 3
SPECIAL_WORDS = ("<unk>", "<pad>", "<s>", "</s>")
RESERVED = frozenset(SPECIAL_WORDS[index] for index in (PAD, START, END))
"""Words that stand in no text: they would forge a sentence mark or padding. "<unk>" may (PTB has it)."""


@dataclass(frozen=True)
class Vocabulary:
    """The words of a corpus; a word's place in `words` is its id.

    Example:
        >>> vocabulary = Vocabulary.build([["a", "b", "a"]], size=None)
        >>> vocabulary.words
        ('<unk>', '<pad>', '<s>', '</s>', 'a', 'b')
        >>> vocabulary.encode(["b", "c"])
        [5, 0]
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        specials = self.words[: len(SPECIAL_WORDS)]
        if specials != SPECIAL_WORDS:
            raise ValueError(f"a vocabulary begins with {SPECIAL_WORDS}, got {specials}")
        if len(self.ids) != len(self.words):
            word, count = Counter(self.words).most_common(1)[0]
            raise ValueError(f"the words of a vocabulary are distinct, got {word!r} {count} times")

    @classmethod
    def build(cls, sentences: Iterable[Sequence[str]], size: int | None) -> Vocabulary:
        """The most frequent words of `sentences`; words that are equally frequent go in code-point order.

        Args:
            sentences: tokenised, without sentence marks.
            size: the most words to keep, the four special ones included; None keeps all.
        """
        if size is not None and size <= len(SPECIAL_WORDS):
            raise ValueError(f"a vocabulary size is at least 5 (4 special words and one more), got {size}")
        counts = Counter(chain.from_iterable(sentences))
        for special in SPECIAL_WORDS:
            counts.pop(special, None)
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        kept = ranked if size is None else ranked[: size - len(SPECIAL_WORDS)]
        return cls(SPECIAL_WORDS + tuple(kept))

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """Word → id."""
        return {word: index for index, word in enumerate(self.words)}

    def encode(self, words: Iterable[str]) -> list[int]:
        """Ids of `words`, `UNK` for a word that is not in the vocabulary. Adds no sentence marks."""
        ids = self.ids
        return [ids.get(word, UNK) for word in words]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Words of `ids`, special words included."""
        found = list(ids)
        for index in found:
            if not 0 <= index < len(self.words):
                raise ValueError(f"a word id lies in 0 … {len(self.words) - 1}, got {index}")
        return [self.words[index] for index in found]

    def __len__(self) -> int:
        return len(self.words)
