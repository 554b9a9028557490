"""The embedded grammar's density, written out: what its corpus and its entropy are checked against."""

import math
from collections.abc import Iterator, Sequence
from itertools import product

from trainables.text.grammar import _FILLER_PAIRS, ENTROPY, OCCASIONS, PLACES, Theme, Words

FRAME = "in the {} after the {} , {} , {} , the {} held the {} ."


def sentences_with(first: Words, second: Words, *, synonyms: int) -> Iterator[tuple[str, ...]]:
    """Every sentence of the grammar with these fillers, of the first so many synonyms."""
    for place, occasion in product(PLACES, OCCASIONS):
        words = (place.named, occasion.named, place.shown, occasion.shown)
        for slots in product(*(slot[:synonyms] for slot in words)):
            fillers = " ".join(first), " ".join(second)
            yield tuple(FRAME.format(*slots[:2], *fillers, *slots[2:]).split())


def sentence_log_probability(words: Sequence[str]) -> float:
    """ln p(sentence) in nats under the grammar, −inf outside it; `words` without sentence marks."""
    clauses = " ".join(words).split(" , ")
    if len(clauses) != 4:
        return -math.inf
    opening, first, second, closing = (tuple(clause.split()) for clause in clauses)
    if (first, second) not in _FILLER_PAIRS or len(opening) != 6 or len(closing) != 6:
        return -math.inf
    named, shown = (opening[2], opening[5]), (closing[1], closing[4])
    themes = [_theme(table, word) for table, word in zip((PLACES, OCCASIONS), named, strict=True)]
    if not all(theme and word in theme.shown for theme, word in zip(themes, shown, strict=True)):
        return -math.inf
    fillers = " ".join(first), " ".join(second)
    whole = FRAME.format(*named, *fillers, *shown)
    return -ENTROPY if tuple(words) == tuple(whole.split()) else -math.inf


def _theme(table: tuple[Theme, ...], word: str) -> Theme | None:
    return next((theme for theme in table if word in theme.named), None)
