"""Variants, one file each, found by its name: a recipe of parts, with its paper.

A variant only combines; it computes nothing, and knows neither its search space nor how it is trained.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

from trainables.common.hints import hint

if TYPE_CHECKING:  # the names alone do not need torch
    from trainables.model.variant import Variant

BASELINE = "language_model"
"""The collapsed baseline: run always, no variant to choose."""


class UnknownVariantError(ValueError):
    """No variant of that name."""


@functools.cache
def variant_names() -> tuple[str, ...]:
    """Names of all variants: the modules of `trainables.variants`."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load_variant(name: str) -> Variant:
    """The variant of that name.

    Raises:
        UnknownVariantError: naming the nearest, or all where none is near.
    """
    if name not in variant_names():
        raise UnknownVariantError(f"no variant {name!r}; {hint(name, variant_names())}")
    variant: Variant = importlib.import_module(f"trainables.variants.{name}").VARIANT
    return variant
