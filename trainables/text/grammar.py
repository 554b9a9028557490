"""The embedded corpus: readable English from a small grammar whose entropy is known exactly.

Two things are decided at the start of a sentence and show again at its end: the place in the actor, the
occasion in what is held. Two phrases that say nothing about either stand between. On some thousand sentences
a language model converges, and begins to overfit, before it has learnt to carry both that far; a latent
variable can. Posterior collapse and its cures show in minutes.

    in the galley after the recital , late in the evening , for the third time , the cook held the violin .
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from trainables.text.splits import Corpus, CorpusError, Split
from trainables.text.vocabulary import Vocabulary

Words = tuple[str, ...]


@dataclass(frozen=True)
class Theme:
    """Words that name it at the start of a sentence, and words that show it at the end: three synonyms each.

    No word of the grammar has two places in it.
    """

    named: Words
    shown: Words


def _themes(table: str) -> tuple[Theme, ...]:
    rows = (row.split(" / ") for row in table.strip().splitlines())
    return tuple(Theme(tuple(named.split()), tuple(shown.split())) for named, shown in rows)


# in the … / the …
PLACES = _themes("""
kitchen galley bakery / chef cook baker
barn meadow pasture / farmer shepherd milkmaid
hospital clinic ward / doctor nurse surgeon
harbour lagoon bay / sailor captain fisherman
library archive bookshop / librarian scholar archivist
fortress camp barracks / soldier general sergeant
forest woods jungle / hunter ranger trapper
laboratory institute observatory / chemist physicist scientist
""")

# after the … / held the …
OCCASIONS = _themes("""
recital concert rehearsal / violin cello flute
match tournament derby / ball racket trophy
wedding engagement betrothal / ring bouquet cake
harvest picking gleaning / basket sickle pumpkin
battle siege skirmish / sword shield helmet
auction sale bazaar / painting vase carpet
lecture lesson seminar / chalk notebook textbook
voyage crossing cruise / compass telescope rope
""")

THEMES = (PLACES, OCCASIONS)

FILLERS = tuple(
    tuple(filler.split())
    for filler in (
        "without saying a word",
        "late in the evening",
        "for the third time",
        "before the rain came down",
        "as far as one knew",
        "as if nothing had happened",
    )
)

_FILLER_PAIRS = tuple(permutations(FILLERS, 2))
_SYNONYMS = len(PLACES[0].named)
_SENTENCES = math.prod(map(len, THEMES)) * len(_FILLER_PAIRS) * _SYNONYMS ** (2 * len(THEMES))

# Every sentence has one derivation and all derivations are equally likely:
# 2 ln 8 (place, occasion) + ln 30 (ordered pair of fillers) + 4 ln 3 (synonyms) = 11.95 nats per sentence.
ENTROPY = math.log(_SENTENCES)

SENTENCES = (1400, 400, 1000)
"""In train, valid and test."""


def _sentence(filler_pair: tuple[Words, Words], named: Sequence[str], shown: Sequence[str]) -> Words:
    (place, occasion), (actor, thing) = named, shown
    first, second = filler_pair
    opening = ("in", "the", place, "after", "the", occasion)
    closing = ("the", actor, "held", "the", thing, ".")
    return (*opening, ",", *first, ",", *second, ",", *closing)


def embedded_corpus(seed: int = 0, sentences: tuple[int, int, int] = SENTENCES) -> Corpus:
    """Draw train, valid and test independently from the grammar.

    The vocabulary is the whole grammar's, in alphabetical order, so that no sentence has an unknown word and
    the entropy is the floor whatever the number of sentences. The label of a sentence is its place, named by
    the first of its synonyms; a model that is told it pays −log p(label) for that, so the floor holds for it
    too.

    Args:
        seed: not negative; each split has its own stream.
        sentences: number in train (at least 2), valid and test (at least 1).
    """
    if sentences[0] < 2 or min(sentences) < 1:
        raise CorpusError(f"train has at least 2 sentences, valid and test at least 1, got {sentences}")
    if seed < 0:
        raise CorpusError(f"a seed is not negative, got {seed}")
    streams = [np.random.default_rng([seed, split]) for split in range(3)]
    words = {word for table in THEMES for theme in table for word in (*theme.named, *theme.shown)}
    words.update(word for filler in FILLERS for word in filler)
    words.update(_sentence((FILLERS[0], FILLERS[1]), PLACES[0].named[:2], PLACES[0].shown[:2]))
    vocabulary = Vocabulary.build([sorted(words)], size=None)
    train, valid, test = (
        _sample(count, rng, vocabulary) for count, rng in zip(sentences, streams, strict=True)
    )
    places = tuple(place.named[0] for place in PLACES)
    return Corpus("embedded", "embedded", vocabulary, train, valid, test, places, ENTROPY)


def _sample(count: int, rng: np.random.Generator, vocabulary: Vocabulary) -> Split:
    kinds = (len(_FILLER_PAIRS), *map(len, THEMES), *[_SYNONYMS] * (2 * len(THEMES)))
    draws = rng.integers(0, kinds, size=(count, len(kinds)))
    sentences: list[list[int]] = []
    for filler_pair, place, occasion, *synonyms in draws.tolist():
        themes = (PLACES[place], OCCASIONS[occasion])
        named = [theme.named[synonym] for theme, synonym in zip(themes, synonyms[:2], strict=True)]
        shown = [theme.shown[synonym] for theme, synonym in zip(themes, synonyms[2:], strict=True)]
        sentences.append(vocabulary.encode(_sentence(_FILLER_PAIRS[filler_pair], named, shown)))
    return Split.from_ids(sentences, draws[:, 1].tolist())
