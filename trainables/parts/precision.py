"""The number format that a model is trained in; it is evaluated in float32 whatever it was trained in.

Weights, their gradients, the optimiser, the latent variable and the objective are float32 always.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from trainables.parts.part import Part


class Precision(Part, ABC):
    """Configuration of the format of encoder and decoder in training."""

    @abstractmethod
    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Encoder and decoder run in it."""


@dataclass(frozen=True, kw_only=True)
class Single(Precision, name="fp32"):
    """IEEE 754 single precision."""

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        return nullcontext()


@dataclass(frozen=True, kw_only=True)
class BrainFloat(Precision, name="bf16"):
    """Matrix products of bfloat16 numbers, 8 bits of mantissa: fast where the machine has them (AMX or
    AVX512-bf16 on CPUs, tensor cores on GPUs), slower where it has not."""

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        return torch.autocast(device.type, torch.bfloat16)


def at_least_single(x: torch.Tensor) -> torch.Tensor:
    """`x` itself, or as float32 if it was shorter."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
