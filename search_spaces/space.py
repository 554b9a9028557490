"""SearchSpace: which knobs of a variant the search moves, and how far."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from optuna.distributions import BaseDistribution

from trainables.model.variant import Variant
from trainables.variants import load_variant

Distributions = Mapping[str, BaseDistribution]


@dataclass(frozen=True)
class Extent:
    """What ranges are scaled to: the epochs of a training, and the words of the corpus's longest sentence
    with its `</s>`, None where that is not known yet."""

    epochs: int
    longest: int | None = None


@dataclass(frozen=True)
class SearchSpace:
    """The knobs of `variant` that are searched.

    Knobs that are measured in epochs only mean something beside the length of the training, and sight only
    beside the length of the sentences, so the distributions are a function of both.
    """

    variant: Variant
    distributions: Callable[[Extent], Distributions]


def load_space(name: str) -> SearchSpace:
    """The search space of the variant of that name, which has a module of that name here.

    Raises:
        UnknownVariantError: naming the nearest, or all where none is near.
    """
    load_variant(name)
    space: SearchSpace = importlib.import_module(f"search_spaces.{name}").SPACE
    return space
