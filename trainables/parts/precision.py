"""The number format that a model is trained in; it is evaluated in float32 whatever it was trained in.

Weights, their gradients, the optimiser, the latent variable and the objective are float32 always.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
    AVX512-bf16 on CPUs, tensor cores on GPUs), much slower where it has not."""

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        wide = torch.autocast(device.type, torch.bfloat16)
        return wide if device.type != "cpu" or onednn_has_bfloat16() else _without_onednn(wide)


def onednn_has_bfloat16() -> bool:
    """Whether oneDNN computes in it on this CPU; if not, it refuses an LSTM."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextmanager
def _without_onednn(wide: AbstractContextManager[object]) -> Iterator[None]:
    with wide, torch.backends.mkldnn.flags(enabled=False, allow_tf32=None, fp32_precision=None):
        yield


def at_least_single(x: torch.Tensor) -> torch.Tensor:
    """`x` itself, or as float32 if it was shorter."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
