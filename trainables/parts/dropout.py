"""Dropout whose mask costs a quarter of the random numbers on a CPU.

torch draws a float for each element, one after the other: a fifth of a small model's training step. Sixteen
bits decide as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_VALUES = 2**16
_A_WORD = 4  # masks of 16 bits in a random number of 64


class Dropout(nn.Module):
    """Sets each element to 0 with probability `p`, in training only, and divides the others by 1 − p.

    On a CPU `p` is rounded to a multiple of 2⁻¹⁶. The noise comes from torch's global generator.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.p)
        dropped = min(round(self.p * _VALUES), _VALUES - 1)
        words = torch.empty(-(-x.numel() // _A_WORD), dtype=torch.int64).random_(-(2**63), None)
        kept = torch.empty_like(x)  # as numbers: a mask of truth values costs three times the time
        torch.ge(words.view(torch.int16)[: x.numel()].view(x.shape), dropped - _VALUES // 2, out=kept)
        return x * kept.mul_(_VALUES / (_VALUES - dropped))
