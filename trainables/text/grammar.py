"""The embedded corpus: readable English from a small grammar whose entropy is known exactly.

Two things are decided at the start of a sentence and show again at its end: the weather in the opening and in
what the actor wears, a topic in the place and in actor, verb and object. Two phrases that say nothing about
either stand between. From some hundred sentences to each combination a language model does not learn to
carry both that far, though it converges; a latent variable does. Posterior collapse and its cures show in
minutes.

    on a rainy day , in the galley , without saying a word , late in the evening ,
    the cook in the poncho fried the fish .
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
class Topic:
    """Four slots with three synonyms each; no word of the grammar occurs in two slots."""

    places: Words
    actors: Words
    verbs: Words
    objects: Words

    @property
    def slots(self) -> tuple[Words, ...]:
        return self.places, self.actors, self.verbs, self.objects


@dataclass(frozen=True)
class Weather:
    """Two slots with three synonyms each."""

    days: Words
    garments: Words

    @property
    def slots(self) -> tuple[Words, ...]:
        return self.days, self.garments


def _slots(row: str) -> list[Words]:
    return [tuple(words.split()) for words in row.split(" / ")]


# place / actor / verb / object
_TOPIC_TABLE = """
kitchen galley bakery / chef cook baker / fried roasted burned / fish onion omelette
barn meadow pasture / farmer shepherd milkmaid / fed milked tethered / cow goat sheep
hospital clinic ward / doctor nurse surgeon / treated bandaged examined / patient wound ankle
harbour lagoon bay / sailor captain fisherman / anchored steered moored / ship yacht ferry
library archive bookshop / librarian scholar archivist / catalogued borrowed read / book atlas manuscript
fortress camp barracks / soldier general sergeant / loaded fired polished / cannon rifle musket
forest woods jungle / hunter ranger trapper / tracked chased spotted / deer wolf bear
laboratory institute observatory / chemist physicist scientist / measured heated cooled / crystal sample alloy
"""

# day / garment
_WEATHER_TABLE = """
snowy frosty wintry / scarf parka mittens
rainy showery drizzly / raincoat poncho oilskin
sunny torrid sweltering / sunhat sandals visor
windy gusty blustery / anorak windbreaker balaclava
foggy misty hazy / cloak trenchcoat ulster
festive joyful merry / garland crown sash
mournful tearful doleful / veil armband shroud
muddy marshy sodden / galoshes waders gumboots
"""

TOPICS = tuple(Topic(*_slots(row)) for row in _TOPIC_TABLE.strip().splitlines())
WEATHERS = tuple(Weather(*_slots(row)) for row in _WEATHER_TABLE.strip().splitlines())

FILLERS = tuple(
    tuple(filler.split())
    for filler in (
        "without saying a word",
        "late in the evening",
        "before the rain came down",
        "as far as anyone could tell",
        "for the third time in a week",
        "as if nothing had happened at all",
    )
)

_FILLER_PAIRS = tuple(permutations(FILLERS, 2))
_SYNONYMS = len(TOPICS[0].places)
_SLOTS = len(TOPICS[0].slots) + len(WEATHERS[0].slots)
_SENTENCES = len(WEATHERS) * len(TOPICS) * len(_FILLER_PAIRS) * _SYNONYMS**_SLOTS

# Every sentence has one derivation and all derivations are equally likely:
# 2 ln 8 (weather, topic) + ln 30 (ordered pair of fillers) + 6 ln 3 (synonyms) = 14.15 nats per sentence.
ENTROPY = math.log(_SENTENCES)

SENTENCES = (1200, 600, 1000)
"""In train, valid and test."""


def _sentence(filler_pair: tuple[Words, Words], weather: Sequence[str], topic: Sequence[str]) -> Words:
    (day, garment), (place, actor, verb, thing) = weather, topic
    first, second = filler_pair
    opening = ("on", "a", day, "day", ",", "in", "the", place)
    closing = ("the", actor, "in", "the", garment, verb, "the", thing, ".")
    return (*opening, ",", *first, ",", *second, ",", *closing)


def embedded_corpus(seed: int = 0, sentences: tuple[int, int, int] = SENTENCES) -> Corpus:
    """Draw train, valid and test independently from the grammar.

    The vocabulary is the whole grammar's, in alphabetical order, so that no sentence has an unknown word and
    the entropy is the floor whatever the number of sentences. The label of a sentence is its topic, named by
    its first place; a model that is told it pays −log p(label) for that, so the floor holds for it too.

    Args:
        seed: not negative; each split has its own stream.
        sentences: number in train (at least 2), valid and test (at least 1).
    """
    if sentences[0] < 2 or min(sentences) < 1:
        raise CorpusError(f"train has at least 2 sentences, valid and test at least 1, got {sentences}")
    if seed < 0:
        raise CorpusError(f"a seed is not negative, got {seed}")
    streams = [np.random.default_rng([seed, split]) for split in range(3)]
    slots = [slot for topic in TOPICS for slot in topic.slots]
    slots += [slot for weather in WEATHERS for slot in weather.slots]
    words = {word for slot in slots for word in slot}
    words.update(word for filler in FILLERS for word in filler)
    words.update(_sentence((FILLERS[0], FILLERS[1]), WEATHERS[0].days[:2], TOPICS[0].places[:1] * 4))
    vocabulary = Vocabulary.build([sorted(words)], size=None)
    train, valid, test = (
        _sample(count, rng, vocabulary) for count, rng in zip(sentences, streams, strict=True)
    )
    topics = tuple(topic.places[0] for topic in TOPICS)
    return Corpus("embedded", "embedded", vocabulary, train, valid, test, topics, ENTROPY)


def _sample(count: int, rng: np.random.Generator, vocabulary: Vocabulary) -> Split:
    kinds = (len(WEATHERS), len(TOPICS), len(_FILLER_PAIRS), *[_SYNONYMS] * _SLOTS)
    draws = rng.integers(0, kinds, size=(count, len(kinds)))
    sentences: list[list[int]] = []
    for weather, topic, filler_pair, *synonyms in draws.tolist():
        slots = (*WEATHERS[weather].slots, *TOPICS[topic].slots)
        words = [slot[synonym] for slot, synonym in zip(slots, synonyms, strict=True)]
        sentences.append(vocabulary.encode(_sentence(_FILLER_PAIRS[filler_pair], words[:2], words[2:])))
    return Split.from_ids(sentences, draws[:, 1].tolist())
