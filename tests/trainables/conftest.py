"""Small corpora and small variants for the tests of models and training."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from trainables.grammar import embedded_corpus
from trainables.splits import Corpus, Split
from trainables.variant import Variant, load_variant
from trainables.vocabulary import SPECIAL_WORDS, Vocabulary

SMALL = {"embedding_size": 7, "hidden_size": 10, "latent_size": 3, "batch_size": 8}
FEW_INNER_STEPS = {"inner_limit": 5, "inner_window": 2}

MakeVariant = Callable[..., Variant]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(20)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def embedded() -> Corpus:
    return embedded_corpus(3, (96, 40, 30))


@pytest.fixture(scope="session")
def varied() -> Corpus:
    """Twelve words; sentences of 1 to 6 words in batches of uneven sizes."""
    rng = np.random.default_rng(8)
    words = tuple("abcdefghijkl")

    def split(sentences: int) -> Split:
        lengths = rng.integers(1, 7, sentences)
        return Split.from_ids([rng.integers(4, 16, length).tolist() for length in lengths], None)

    vocabulary = Vocabulary(SPECIAL_WORDS + words)
    return Corpus("varied", "varied", vocabulary, split(45), split(21), split(17))


@pytest.fixture(scope="session")
def small() -> MakeVariant:
    """small(name, knob=value, …): a variant with narrow layers and, if aggressive, few inner steps."""

    def make(name: str, **knobs: Any) -> Variant:
        variant = load_variant(name)
        few = {knob: value for knob, value in FEW_INNER_STEPS.items() if knob in variant.knobs()}
        return variant.with_knobs({**SMALL, **few, **knobs})

    return make
