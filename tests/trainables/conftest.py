"""Small corpora and small variants for the tests of models and training."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from trainables.model.variant import Variant
from trainables.text.grammar import embedded_corpus
from trainables.text.splits import Corpus, Split
from trainables.text.vocabulary import SPECIAL_WORDS, Vocabulary
from trainables.variants import load_variant

SMALL = {"embedding_size": 7, "hidden_size": 10, "latent_size": 3, "batch_size": 8}
FEW_STEPS = {"inner_limit": 5, "inner_window": 2}

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
    """Twelve words; sentences of 1 to 6 words in batches of uneven sizes, with three labels."""
    rng, label_rng = np.random.default_rng(8), np.random.default_rng(9)
    words = tuple("abcdefghijkl")

    def split(sentences: int) -> Split:
        lengths = rng.integers(1, 7, sentences)
        labels = label_rng.choice(3, sentences, p=(0.6, 0.3, 0.1)).tolist()
        return Split.from_ids([rng.integers(4, 16, length).tolist() for length in lengths], labels)

    vocabulary = Vocabulary(SPECIAL_WORDS + words)
    return Corpus("varied", "varied", vocabulary, split(45), split(21), split(17), ("x", "y", "z"))


@pytest.fixture(scope="session")
def unlabelled(varied: Corpus) -> Corpus:
    """`varied` without its labels."""
    splits = {name: replace(getattr(varied, name), labels=None) for name in ("train", "valid", "test")}
    return replace(varied, label_names=(), **splits)


@pytest.fixture(scope="session")
def small() -> MakeVariant:
    """small(name, knob=value, …): a variant with narrow layers, few inner steps if aggressive, and
    one epoch of pretraining if pretrained."""

    def make(name: str, **knobs: Any) -> Variant:
        variant = load_variant(name)
        few = {knob: value for knob, value in FEW_STEPS.items() if knob in variant.knobs()}
        few["pretraining_epochs"] = min(1, variant.pretraining.pretraining_epochs)
        return variant.with_knobs({**SMALL, **few, **knobs})

    return make
