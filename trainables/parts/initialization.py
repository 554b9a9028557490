"""Initial weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import nn

from trainables.parts.part import Part, require


class Initialization(Part, ABC):
    """How a freshly built model's weights are set."""

    @abstractmethod
    def apply(self, model: nn.Module) -> None:
        """Sets the weights in place, from torch's global generator."""


@dataclass(frozen=True, kw_only=True)
class Default(Initialization, name="default"):
    """What torch gives each layer: scaled by fan-in, embeddings N(0, 1)."""

    def apply(self, model: nn.Module) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Uniform(Initialization, name="uniform"):
    """U(±init_range) for every parameter, U(±embedding_range) for embeddings (He et al. 2019)."""

    init_range: float = 0.01
    embedding_range: float = 0.1

    def __post_init__(self) -> None:
        require(self.init_range > 0, "init_range", "> 0", self.init_range)
        require(self.embedding_range > 0, "embedding_range", "> 0", self.embedding_range)

    def apply(self, model: nn.Module) -> None:
        for parameter in model.parameters():
            nn.init.uniform_(parameter, -self.init_range, self.init_range)
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                nn.init.uniform_(module.weight, -self.embedding_range, self.embedding_range)
