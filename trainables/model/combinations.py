"""Which parts cannot be combined, and why. What is not refused here may be combined freely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from trainables.latents.codes import Discrete
from trainables.latents.conditions import Condition, Unconditional
from trainables.latents.gaussian import BatchNormGaussian, Latent, NoLatent
from trainables.latents.vq import VectorQuantized
from trainables.parts.encoders import Encoder, NoEncoder
from trainables.parts.pretraining import Pretraining
from trainables.parts.rates import Rate
from trainables.parts.updates import Aggressive, Updates


class Combination(Protocol):
    """The parts of a variant that do not go with all others."""

    @property
    def encoder(self) -> Encoder: ...
    @property
    def latent(self) -> Latent: ...
    @property
    def condition(self) -> Condition: ...
    @property
    def rate(self) -> Rate: ...
    @property
    def updates(self) -> Updates: ...
    @property
    def pretraining(self) -> Pretraining: ...
    @property
    def batch_size(self) -> int: ...


@dataclass(frozen=True)
class _Conflict:
    """`first` and `second` say whether a variant has the one and the other; the text says why not both."""

    first: Callable[[Combination], bool]
    second: Callable[[Combination], bool]
    text: str


def _blind(parts: Combination) -> bool:
    return isinstance(parts.encoder, NoEncoder)


def _without_z(parts: Combination) -> bool:
    return isinstance(parts.latent, NoLatent)


def _quantized(parts: Combination) -> bool:
    return isinstance(parts.latent, VectorQuantized)


def _discrete(parts: Combination) -> bool:
    return isinstance(parts.latent, Discrete)


def _aggressive(parts: Combination) -> bool:
    return isinstance(parts.updates, Aggressive)


def _pretrained(parts: Combination) -> bool:
    return parts.pretraining.pretraining_epochs > 0


_CONFLICTS = (
    _Conflict(
        _blind, lambda parts: not _without_z(parts), "encoder=none needs latent=none: nothing informs z"
    ),
    _Conflict(
        _without_z,
        lambda parts: not _blind(parts),
        "latent=none needs encoder=none: nothing is there to be inferred",
    ),
    _Conflict(
        _without_z,
        lambda parts: not parts.rate.is_elbo,
        "latent=none has no KL, so schedule, beta, free_bits and kl_target must be left as they are",
    ),
    _Conflict(
        _without_z,
        lambda parts: _aggressive(parts) or _pretrained(parts),
        "latent=none has no inference network, so there is none to train first"
        " (updates=aggressive, pretraining_epochs)",
    ),
    _Conflict(
        _quantized,
        lambda parts: not parts.rate.is_elbo or _pretrained(parts),
        "latent=vq takes no schedule, beta, free_bits, kl_target or pretraining_epochs: the rate of its codes"
        " gives the encoder no gradient",
    ),
    _Conflict(
        _discrete,
        lambda parts: not isinstance(parts.condition, Unconditional),
        "condition=label needs a Gaussian latent variable: the prior of codes knows no label",
    ),
    _Conflict(
        lambda parts: isinstance(parts.latent, BatchNormGaussian),
        lambda parts: parts.batch_size < 2,
        "latent=batch_norm needs batch_size >= 2: one sentence has no variance to normalise by",
    ),
    _Conflict(
        _aggressive,
        _pretrained,
        "updates=aggressive and pretraining_epochs exclude each other: both train the encoder first",
    ),
)


def conflicts(parts: Combination) -> Iterator[str]:
    """What cannot be combined in the variant, a sentence each."""
    return (found.text for found in _CONFLICTS if found.first(parts) and found.second(parts))
