"""Discrete latent variables: a sentence as a few codes, each one of the entries of a codebook.

What `gumbel` and `vq` have in common, apart from both.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainables.latents.gaussian import Latent
from trainables.parts.part import require


@dataclass(frozen=True, kw_only=True)
class Discrete(Latent):
    """What all of them have: G = `codes` of a sentence, C = `codebook_size` entries that each is one of."""

    codes: int = 4
    codebook_size: int = 32

    def __post_init__(self) -> None:
        require(self.codes >= 1, "codes", ">= 1", self.codes)
        require(self.codebook_size >= 2, "codebook_size", ">= 2", self.codebook_size)
