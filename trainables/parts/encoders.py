"""Encoders: a sentence to one hidden vector.

All sentences of a batch are equally long: nothing is padded, and the last state and the mean are those of
words alone.

Shape suffixes: B sentences, T tokens with `<s>` and `</s>`, H hidden.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from trainables.parts.part import Part
from trainables.parts.sizes import Sizes, zeros


class Encoder(Part, ABC):
    """Configuration of an encoder; `build` makes the module tokens_BT → hidden_BH.

    Attributes:
        decoder_share: of the seconds of a training step those that a model without encoder takes, roughly:
            at 64/64/16 on a CPU, beside the dilated decoder.
    """

    decoder_share: ClassVar[float] = 1.0

    @abstractmethod
    def build(self, vocabulary_size: int, sizes: Sizes) -> nn.Module: ...

    @abstractmethod
    def width(self, sizes: Sizes) -> int:
        """H."""


@dataclass(frozen=True, kw_only=True)
class LSTMEncoder(Encoder, name="lstm"):
    """Embedding and one LSTM layer over the whole sentence; its last hidden state (He et al. 2019)."""

    decoder_share = 0.6

    def build(self, vocabulary_size: int, sizes: Sizes) -> nn.Module:
        return _LSTMEncoder(vocabulary_size, sizes)

    def width(self, sizes: Sizes) -> int:
        return sizes.hidden_size


@dataclass(frozen=True, kw_only=True)
class PooledEncoder(Encoder, name="pooled"):
    """The mean of the words' embeddings through a layer of tanh: it knows which words there are, and not in
    what order (the bag of words of Miao et al. 2016). It costs next to nothing beside an LSTM."""

    decoder_share = 0.9

    def build(self, vocabulary_size: int, sizes: Sizes) -> nn.Module:
        return _PooledEncoder(vocabulary_size, sizes)

    def width(self, sizes: Sizes) -> int:
        return sizes.hidden_size


@dataclass(frozen=True, kw_only=True)
class NoEncoder(Encoder, name="none"):
    """Sees nothing: for the language model."""

    def build(self, vocabulary_size: int, sizes: Sizes) -> nn.Module:
        return _NoEncoder()

    def width(self, sizes: Sizes) -> int:
        return 0


class _LSTMEncoder(nn.Module):
    def __init__(self, vocabulary_size: int, sizes: Sizes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, sizes.embedding_size)
        self.lstm = nn.LSTM(sizes.embedding_size, sizes.hidden_size, batch_first=True)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        _, (last_1BH, _) = self.lstm(self.embedding(tokens_BT))
        return last_1BH[0]  # type: ignore[no-any-return]


class _PooledEncoder(nn.Module):
    def __init__(self, vocabulary_size: int, sizes: Sizes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, sizes.embedding_size)
        self.hidden = nn.Linear(sizes.embedding_size, sizes.hidden_size)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        return self.hidden(self.embedding(tokens_BT).mean(1)).tanh()  # type: ignore[no-any-return]


class _NoEncoder(nn.Module):
    def forward(self, tokens_BT: Tensor) -> Tensor:
        return zeros(len(tokens_BT), 0, like=tokens_BT)
