"""Decoders: z and the words before to logits of the next word.

Shape suffixes: B sentences, T positions, E embedding, H hidden, Z latent, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.parts import KnobError, Part, require
from trainables.sizes import Sizes

KERNEL = 3


class Decoder(Part, ABC):
    """Configuration of a decoder; `build` makes the module (inputs_BT, z_BZ) → logits_BTV."""

    @abstractmethod
    def build(self, vocabulary_size: int, sizes: Sizes) -> nn.Module: ...

    @property
    @abstractmethod
    def label(self) -> str:
        """What tells decoders apart when trials are compared with their baseline."""


@dataclass(frozen=True, kw_only=True)
class LSTMDecoder(Decoder, name="lstm"):
    """One LSTM layer with z at the start state and at every step (He et al. 2019).

    c0 = W z without bias, h0 = tanh(c0), input [embedding; z]; `dropout` on embedding and output.
    """

    dropout: float = 0.0

    def __post_init__(self) -> None:
        _require_dropout(self.dropout)

    @property
    def label(self) -> str:
        return "lstm"

    def build(self, vocabulary_size: int, sizes: Sizes) -> nn.Module:
        return _LSTMDecoder(vocabulary_size, sizes, self.dropout)


@dataclass(frozen=True, kw_only=True)
class DilatedDecoder(Decoder, name="dilated"):
    """Dilated causal convolutions of kernel 3 with z at every step (Yang et al. 2017).

    `dilation` is S, M, L or VL as in the paper (receptive fields 15, 63, 125 and 187 words) or a list
    such as "1-2-4-8". The fewer words the decoder sees, the more it needs z.
    """

    dilation: str = "S"
    dropout: float = 0.0

    named: ClassVar[dict[str, tuple[int, ...]]] = {
        "S": (1, 2, 4),
        "M": (1, 2, 4, 8, 16),
        "L": (1, 2, 4, 8, 16) * 2,
        "VL": (1, 2, 4, 8, 16) * 3,
    }

    def __post_init__(self) -> None:
        _require_dropout(self.dropout)
        _ = self.dilations  # raises KnobError

    @property
    def dilations(self) -> tuple[int, ...]:
        """The dilation of each block.

        Raises:
            KnobError: if `dilation` is neither a name nor a list of positive integers.
        """
        if self.dilation in self.named:
            return self.named[self.dilation]
        parts = self.dilation.split("-")
        if not all(part.isdecimal() and int(part) >= 1 for part in parts):
            rule = f"one of {', '.join(self.named)} or a list of integers >= 1 such as 1-2-4"
            raise KnobError(f"dilation must be {rule}, got {self.dilation!r}")
        return tuple(int(part) for part in parts)

    @property
    def receptive_field(self) -> int:
        """Number of words that can influence a prediction."""
        return 1 + (KERNEL - 1) * sum(self.dilations)

    @property
    def label(self) -> str:
        return f"dilated-{self.dilation}"

    def build(self, vocabulary_size: int, sizes: Sizes) -> nn.Module:
        return _DilatedDecoder(vocabulary_size, sizes, self.dilations, self.dropout)


def _require_dropout(dropout: float) -> None:
    require(0 <= dropout < 1, "dropout", "in [0, 1)", dropout)


class _LSTMDecoder(nn.Module):
    def __init__(self, vocabulary_size: int, sizes: Sizes, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, sizes.embedding_size)
        self.start = nn.Linear(sizes.latent_size, sizes.hidden_size, bias=False)
        self.lstm = nn.LSTM(sizes.embedding_size + sizes.latent_size, sizes.hidden_size, batch_first=True)
        self.output = nn.Linear(sizes.hidden_size, vocabulary_size, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs_BT: Tensor, z_BZ: Tensor) -> Tensor:
        embedded_BTE = self.dropout(self.embedding(inputs_BT))
        z_BTZ = z_BZ.unsqueeze(1).expand(-1, inputs_BT.shape[1], -1)
        cell_1BH = self.start(z_BZ).unsqueeze(0)
        state = (cell_1BH.tanh(), cell_1BH)
        hidden_BTH, _ = self.lstm(torch.cat((embedded_BTE, z_BTZ), dim=2), state)
        return self.output(self.dropout(hidden_BTH))  # type: ignore[no-any-return]


class _DilatedDecoder(nn.Module):
    def __init__(
        self, vocabulary_size: int, sizes: Sizes, dilations: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, sizes.embedding_size)
        self.input = nn.Linear(sizes.embedding_size + sizes.latent_size, sizes.hidden_size)
        self.blocks = nn.Sequential(*(_Block(sizes.hidden_size, dilation) for dilation in dilations))
        self.output = nn.Linear(sizes.hidden_size, vocabulary_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs_BT: Tensor, z_BZ: Tensor) -> Tensor:
        embedded_BTE = self.dropout(self.embedding(inputs_BT))
        z_BTZ = z_BZ.unsqueeze(1).expand(-1, inputs_BT.shape[1], -1)
        hidden_BTH = self.blocks(self.input(torch.cat((embedded_BTE, z_BTZ), dim=2)))
        return self.output(self.dropout(hidden_BTH))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """1×1 → ReLU → dilated causal convolution → ReLU → 1×1, half as wide inside, plus skip.

    As matrix products over the last axis, the kernel's three taps side by side: at the small widths that
    are trained on a CPU 1.7 times as fast as `Conv1d`, at 512 channels slower
    (docs/benchmarks/dilated_block.md).
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        inside = max(1, channels // 2)
        self.dilation = dilation
        self.narrow = nn.Linear(channels, inside)
        self.dilated = nn.Linear(KERNEL * inside, inside)
        self.widen = nn.Linear(inside, channels)

    def forward(self, x_BTH: Tensor) -> Tensor:
        positions = x_BTH.shape[1]
        past = (KERNEL - 1) * self.dilation
        narrow = functional.pad(self.narrow(x_BTH).relu(), (0, 0, past, 0))
        starts = range(0, past + 1, self.dilation)
        taps = torch.cat([narrow[:, start : start + positions] for start in starts], dim=2)
        return x_BTH + self.widen(self.dilated(taps).relu())  # type: ignore[no-any-return]
