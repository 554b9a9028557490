"""The embedded grammar's density, written out: what its corpus and its entropy are checked against."""

import math
from collections.abc import Iterator, Sequence
from itertools import product

from trainables.text.grammar import _FILLER_PAIRS, ENTROPY, OCCASIONS, PLACES, WEATHERS, Theme, Words

FRAME = "on a {} day in the {} after the {} , {} , {} , the {} in the {} held the {} ."


def sentences_with(first: Words, second: Words, *, synonyms: int) -> Iterator[tuple[str, ...]]:
    """Every sentence of the grammar with these fillers, of the first so many synonyms."""
    for weather, place, occasion in product(WEATHERS, PLACES, OCCASIONS):
        words = (weather.named, place.named, occasion.named, place.shown, weather.shown, occasion.shown)
        for slots in product(*(slot[:synonyms] for slot in words)):
            fillers = " ".join(first), " ".join(second)
            yield tuple(FRAME.format(*slots[:3], *fillers, *slots[3:]).split())


def sentence_log_probability(words: Sequence[str]) -> float:
    """ln p(sentence) in nats under the grammar, −inf outside it; `words` without sentence marks."""
    clauses = " ".join(words).split(" , ")
    if len(clauses) != 4:
        return -math.inf
    opening, first, second, closing = (tuple(clause.split()) for clause in clauses)
    if (first, second) not in _FILLER_PAIRS or len(opening) != 10 or len(closing) != 9:
        return -math.inf
    named, shown = (opening[2], opening[6], opening[9]), (closing[4], closing[1], closing[7])
    themes = [_theme(table, word) for table, word in zip((WEATHERS, PLACES, OCCASIONS), named, strict=True)]
    if not all(theme and word in theme.shown for theme, word in zip(themes, shown, strict=True)):
        return -math.inf
    fillers = " ".join(first), " ".join(second)
    whole = FRAME.format(*named, *fillers, shown[1], shown[0], shown[2])
    return -ENTROPY if tuple(words) == tuple(whole.split()) else -math.inf


def _theme(table: tuple[Theme, ...], word: str) -> Theme | None:
    return next((theme for theme in table if word in theme.named), None)
