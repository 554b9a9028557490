"""Which parts cannot be combined, and why. What is not refused here may be combined freely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.codes import Discrete
from trainables.conditions import Unconditional
from trainables.encoders import NoEncoder
from trainables.latents import NoLatent
from trainables.updates import Aggressive
from trainables.vq import VectorQuantized

if TYPE_CHECKING:
    from trainables.variant import Variant


@dataclass(frozen=True)
class _Conflict:
    """`first` and `second` say whether a variant has the one and the other; the text says why not both."""

    first: Callable[[Variant], bool]
    second: Callable[[Variant], bool]
    text: str


def _blind(variant: Variant) -> bool:
    return isinstance(variant.encoder, NoEncoder)


def _without_z(variant: Variant) -> bool:
    return isinstance(variant.latent, NoLatent)


def _quantized(variant: Variant) -> bool:
    return isinstance(variant.latent, VectorQuantized)


def _discrete(variant: Variant) -> bool:
    return isinstance(variant.latent, Discrete)


def _aggressive(variant: Variant) -> bool:
    return isinstance(variant.updates, Aggressive)


def _pretrained(variant: Variant) -> bool:
    return variant.pretraining.pretraining_epochs > 0


_CONFLICTS = (
    _Conflict(
        _blind, lambda variant: not _without_z(variant), "encoder=none needs latent=none: nothing informs z"
    ),
    _Conflict(
        _without_z,
        lambda variant: not _blind(variant),
        "latent=none needs encoder=none: nothing is there to be inferred",
    ),
    _Conflict(
        _without_z,
        lambda variant: not variant.rate.is_elbo,
        "latent=none has no KL, so schedule, beta, free_bits and kl_target must be left as they are",
    ),
    _Conflict(
        _without_z,
        lambda variant: _aggressive(variant) or _pretrained(variant),
        "latent=none has no inference network, so there is none to train first"
        " (updates=aggressive, pretraining_epochs)",
    ),
    _Conflict(
        _quantized,
        lambda variant: not variant.rate.is_elbo or _pretrained(variant),
        "latent=vq takes no schedule, beta, free_bits, kl_target or pretraining_epochs: the rate of its codes"
        " gives the encoder no gradient",
    ),
    _Conflict(
        _discrete,
        lambda variant: not isinstance(variant.condition, Unconditional),
        "condition=label needs a Gaussian latent variable: the prior of codes knows no label",
    ),
    _Conflict(
        _aggressive,
        _pretrained,
        "updates=aggressive and pretraining_epochs exclude each other: both train the encoder first",
    ),
)


def conflicts(variant: Variant) -> Iterator[str]:
    """What cannot be combined in the variant, a sentence each."""
    return (found.text for found in _CONFLICTS if found.first(variant) and found.second(variant))
