"""The embedded grammar's density, written out: what its corpus and its entropy are checked against."""

import math
from collections.abc import Iterator, Sequence
from itertools import product

from trainables.text.grammar import _FILLER_PAIRS, ENTROPY, TOPICS, _sentence


def all_sentences() -> Iterator[tuple[str, ...]]:
    """Every sentence of the grammar once: 19,440, equally likely."""
    for topic in TOPICS:
        for filler_pair in _FILLER_PAIRS:
            for slots in product(*topic.slots):
                yield _sentence(filler_pair, slots)


def sentence_log_probability(words: Sequence[str]) -> float:
    """ln p(sentence) in nats under the grammar, −inf outside it; `words` without sentence marks."""
    clauses = " ".join(words).split(" , ")
    if len(clauses) != 4:
        return -math.inf
    opening, first, second, closing = (tuple(clause.split()) for clause in clauses)
    topics = [topic for topic in TOPICS if opening[-1:] and opening[-1] in topic.places]
    if not topics or (first, second) not in _FILLER_PAIRS or len(closing) != 6:
        return -math.inf
    slots = (opening[-1], closing[1], closing[2], closing[4])
    agree = all(word in synonyms for word, synonyms in zip(slots, topics[0].slots, strict=True))
    return -ENTROPY if agree and tuple(words) == _sentence((first, second), slots) else -math.inf
