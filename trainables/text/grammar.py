"""The embedded corpus: readable English from a small grammar whose entropy is known exactly.

A topic chooses the place at the start of a sentence and the actor, the verb and the object at its end;
two phrases that say nothing about the topic stand between. A model of neighbouring words cannot carry the
topic that far without effort, a latent variable can: posterior collapse and its cure show in seconds.

    in the kitchen , without saying a word , late in the evening , the chef fried the fish .
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from trainables.text.splits import Corpus, CorpusError, Split
from trainables.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Topic:
    """Four slots with three synonyms each; no word occurs in two slots or two topics."""

    places: tuple[str, ...]
    actors: tuple[str, ...]
    verbs: tuple[str, ...]
    objects: tuple[str, ...]

    @property
    def slots(self) -> tuple[tuple[str, ...], ...]:
        return self.places, self.actors, self.verbs, self.objects


def _topic(row: str) -> Topic:
    places, actors, verbs, objects = (tuple(words.split()) for words in row.split(" / "))
    return Topic(places, actors, verbs, objects)


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

TOPICS = tuple(_topic(row) for row in _TOPIC_TABLE.strip().splitlines())

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
_SENTENCES = len(TOPICS) * len(_FILLER_PAIRS) * _SYNONYMS ** len(TOPICS[0].slots)

# Every sentence has one derivation and all derivations are equally likely:
# ln 8 (topic) + ln 30 (ordered pair of fillers) + 4 ln 3 (synonyms) = 9.88 nats per sentence.
ENTROPY = math.log(_SENTENCES)


def _sentence(filler_pair: tuple[tuple[str, ...], ...], slots: Sequence[str]) -> tuple[str, ...]:
    place, actor, verb, thing = slots
    first, second = filler_pair
    return ("in", "the", place, ",", *first, ",", *second, ",", "the", actor, verb, "the", thing, ".")


def embedded_corpus(seed: int = 0, sentences: tuple[int, int, int] = (3000, 1000, 1000)) -> Corpus:
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
    words = {word for topic in TOPICS for slot in topic.slots for word in slot}
    words.update(word for filler in FILLERS for word in filler)
    words.update(_sentence((FILLERS[0], FILLERS[1]), [slot[0] for slot in TOPICS[0].slots]))
    vocabulary = Vocabulary.build([sorted(words)], size=None)
    train, valid, test = (
        _sample(count, rng, vocabulary) for count, rng in zip(sentences, streams, strict=True)
    )
    topics = tuple(topic.places[0] for topic in TOPICS)
    return Corpus("embedded", "embedded", vocabulary, train, valid, test, topics, ENTROPY)


def _sample(count: int, rng: np.random.Generator, vocabulary: Vocabulary) -> Split:
    draws = rng.integers(0, (len(TOPICS), len(_FILLER_PAIRS), *[_SYNONYMS] * 4), size=(count, 6))
    sentences: list[list[int]] = []
    for topic, filler_pair, *synonyms in draws.tolist():
        slots = [words[synonym] for words, synonym in zip(TOPICS[topic].slots, synonyms, strict=True)]
        sentences.append(vocabulary.encode(_sentence(_FILLER_PAIRS[filler_pair], slots)))
    return Split.from_ids(sentences, draws[:, 0].tolist())
