"""Decoders: z and the words before to logits of the next word.

What else a decoder is told (`latents.conditions`) stands behind z in the same vector; its width is given to
`build`.

Shape suffixes: B sentences, T positions, E embedding, H hidden, Z width of that vector, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import zip_longest
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainables.parts.convolutions import KERNEL, CausalBlock
from trainables.parts.dropout import Dropout
from trainables.parts.part import KnobError, Part, require
from trainables.parts.products import Linear
from trainables.parts.sizes import Sizes


class DecoderModule(nn.Module, ABC):
    """(inputs_BT, z_BZ) → logits_BTV by way of hidden_BTH, of which `output` is linear."""

    output: nn.Linear

    @abstractmethod
    def hidden(self, inputs_BT: Tensor, z_BZ: Tensor) -> Tensor:
        """hidden_BTH."""

    def forward(self, inputs_BT: Tensor, z_BZ: Tensor) -> Tensor:
        return self.output(self.hidden(inputs_BT, z_BZ))  # type: ignore[no-any-return]


class Decoder(Part, ABC):
    """Configuration of a decoder."""

    skip_connections: bool

    @abstractmethod
    def build(self, vocabulary_size: int, sizes: Sizes, context_width: int) -> DecoderModule: ...

    @property
    @abstractmethod
    def label(self) -> str:
        """What tells decoders apart when trials are compared with their baseline."""


@dataclass(frozen=True, kw_only=True)
class LSTMDecoder(Decoder, name="lstm"):
    """One LSTM layer with z at the start state and at every step (He et al. 2019).

    c0 = W z without bias, h0 = tanh(c0), input [embedding; z]; `dropout` on embedding and output. With
    `skip_connections` the output layer sees h + U z (Dieng et al. 2019).
    """

    dropout: float = 0.0
    skip_connections: bool = False

    def __post_init__(self) -> None:
        _require_dropout(self.dropout)

    @property
    def label(self) -> str:
        return "lstm"

    def build(self, vocabulary_size: int, sizes: Sizes, context_width: int) -> DecoderModule:
        return _LSTMDecoder(vocabulary_size, sizes, context_width, self)


@dataclass(frozen=True, kw_only=True)
class DilatedDecoder(Decoder, name="dilated"):
    """Dilated causal convolutions of kernel 3 with z at every step (Yang et al. 2017).

    `dilation` is S, M, L or VL as in the paper (receptive fields 15, 63, 125 and 187 words) or a list
    such as "1-2-4-8". The fewer words the decoder sees, the more it needs z. With `skip_connections` a
    linear map of z is added behind every block (Dieng et al. 2019).
    """

    dilation: str = "S"
    dropout: float = 0.0
    skip_connections: bool = False

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

    def build(self, vocabulary_size: int, sizes: Sizes, context_width: int) -> DecoderModule:
        return _DilatedDecoder(vocabulary_size, sizes, context_width, self)


def _require_dropout(dropout: float) -> None:
    require(0 <= dropout < 1, "dropout", "in [0, 1)", dropout)


class _LSTMDecoder(DecoderModule):
    def __init__(self, vocabulary_size: int, sizes: Sizes, context_width: int, config: LSTMDecoder) -> None:
        super().__init__()
        hidden = sizes.hidden_size
        self.embedding = nn.Embedding(vocabulary_size, sizes.embedding_size)
        self.start = nn.Linear(context_width, hidden, bias=False)
        self.lstm = nn.LSTM(sizes.embedding_size + context_width, hidden, batch_first=True)
        self.output = nn.Linear(hidden, vocabulary_size, bias=False)
        self.dropout = Dropout(config.dropout)
        self.skip = nn.Linear(context_width, hidden, bias=False) if config.skip_connections else None

    def hidden(self, inputs_BT: Tensor, z_BZ: Tensor) -> Tensor:
        embedded_BTE = self.dropout(self.embedding(inputs_BT))
        z_BTZ = z_BZ.unsqueeze(1).expand(-1, inputs_BT.shape[1], -1)
        cell_1BH = self.start(z_BZ).unsqueeze(0)
        state = (cell_1BH.tanh(), cell_1BH)
        hidden_BTH, _ = self.lstm(torch.cat((embedded_BTE, z_BTZ), dim=2), state)
        if self.skip is not None:
            hidden_BTH = hidden_BTH + self.skip(z_BZ).unsqueeze(1)
        return self.dropout(hidden_BTH)  # type: ignore[no-any-return]


class _DilatedDecoder(DecoderModule):
    def __init__(
        self, vocabulary_size: int, sizes: Sizes, context_width: int, config: DilatedDecoder
    ) -> None:
        super().__init__()
        hidden = sizes.hidden_size
        self.embedding = nn.Embedding(vocabulary_size, sizes.embedding_size)
        self.input = Linear(sizes.embedding_size + context_width, hidden)
        self.blocks = nn.Sequential(*(CausalBlock(hidden, dilation) for dilation in config.dilations))
        self.output = nn.Linear(hidden, vocabulary_size)
        self.dropout = Dropout(config.dropout)
        layers = len(config.dilations) if config.skip_connections else 0
        self.skips = nn.ModuleList(nn.Linear(context_width, hidden, bias=False) for _ in range(layers))

    def hidden(self, inputs_BT: Tensor, z_BZ: Tensor) -> Tensor:
        embedded_BTE = self.dropout(self.embedding(inputs_BT))
        z_BTZ = z_BZ.unsqueeze(1).expand(-1, inputs_BT.shape[1], -1)
        hidden_BTH = self.input(torch.cat((embedded_BTE, z_BTZ), dim=2))
        for block, skip in zip_longest(self.blocks, self.skips):
            hidden_BTH = block(hidden_BTH)
            if skip is not None:
                hidden_BTH = hidden_BTH + skip(z_BZ).unsqueeze(1)
        return self.dropout(hidden_BTH)  # type: ignore[no-any-return]
