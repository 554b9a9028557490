"""Sizes that encoder and decoder share. A part of its own, so that each knob stands in one part alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainables.parts.part import Part, require


@dataclass(frozen=True, kw_only=True)
class Sizes(Part):
    """Widths of the word embedding, of the hidden layers and of z."""

    embedding_size: int = 64
    hidden_size: int = 64
    latent_size: int = 16

    def __post_init__(self) -> None:
        for knob, value in self.knobs().items():
            require(value >= 1, knob, ">= 1", value)


def zeros(rows: int, columns: int, like: torch.Tensor) -> torch.Tensor:
    """A float matrix of zeros on the device of `like`."""
    return torch.zeros(rows, columns, device=like.device)
