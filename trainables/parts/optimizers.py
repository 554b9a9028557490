"""Optimisers and their learning-rate control."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from trainables.parts.part import Part, require

DECAYS = 3
"""Decays of a training whose length validation decides, where the optimiser has none of its own."""


class Descent(ABC):
    """Steps down the gradients that `parameters` have; one without a gradient stays as it is.

    The arithmetic is that of torch's optimisers. Their classes import torch's compiler, which takes every
    process two seconds before the first step, and sort their tensors by device and type at each.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], learning_rate: float) -> None:
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self.moments: dict[int, tuple[Tensor, ...]] = {}

    @torch.no_grad()
    def step(self) -> None:
        moved = {i: each.grad for i, each in enumerate(self.parameters) if each.grad is not None}
        if moved:
            self._step([self.parameters[i] for i in moved], list(moved.values()), list(moved))

    @abstractmethod
    def _step(self, parameters: list[Tensor], gradients: list[Tensor], moved: list[int]) -> None:
        """One step of these parameters, `moved` being where they stand among all."""

    def forget(self) -> None:
        """Forgets what is remembered of earlier gradients."""
        self.moments.clear()

    def state(self) -> dict[str, Any]:
        return {"learning_rate": self.learning_rate, "moments": self.moments}

    def restore(self, state: dict[str, Any]) -> None:
        self.learning_rate = state["learning_rate"]
        self.moments = {
            i: tuple(moment.to(self.parameters[i].device) for moment in moments)
            for i, moments in state["moments"].items()
        }


class PlainDescent(Descent):
    """Against the gradient, by the learning rate."""

    def _step(self, parameters: list[Tensor], gradients: list[Tensor], moved: list[int]) -> None:
        sgd(
            parameters,
            gradients,
            [None] * len(moved),
            fused=True,
            lr=self.learning_rate,
            momentum=0.0,
            dampening=0.0,
            weight_decay=0.0,
            nesterov=False,
            maximize=False,
        )


class AdamDescent(Descent):
    """With torch's constants: decay of the moments 0.9 and 0.999, ε 1e-8. The moments of a parameter are how
    many steps it has taken, the mean of its gradients, and that of their squares."""

    def _step(self, parameters: list[Tensor], gradients: list[Tensor], moved: list[int]) -> None:
        for i, parameter in zip(moved, parameters, strict=True):
            if i not in self.moments:
                none = torch.zeros((), device=parameter.device)
                self.moments[i] = (none, torch.zeros_like(parameter), torch.zeros_like(parameter))
        steps, means, squares = ([self.moments[i][which] for i in moved] for which in range(3))
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=self.learning_rate,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            weight_decay=0.0,
            amsgrad=False,
            maximize=False,
        )


@torch.no_grad()
def clip(parameters: Iterable[torch.nn.Parameter], norm: float) -> None:
    """Scales the gradients that there are so that their joint norm is at most `norm`, as torch's
    `clip_grad_norm_` does, without a look at any figure."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if gradients:
        found = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (norm / (found + 1e-6)).clamp(max=1.0))


@dataclass(frozen=True)
class DecayState:
    """What learning-rate control remembers between epochs; `reference` is the loss that an epoch must not
    exceed."""

    worse_epochs: int = 0
    decays: int = 0
    reference: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Optimizer(Part, ABC):
    """Configuration of an optimiser. The inference network and the generator get one each.

    Its control lowers the learning rate on a plateau, with a rollback to the best checkpoint, and ends the
    training: an epoch is worse if its validation NLL + KL is not lower by `decay_margin`, a share, than that
    of the last one that was not worse. After `decay_patience` worse epochs in a row, though never in the
    first `decay_from` epochs, the rate is multiplied by `decay_factor`, and the loss of that epoch is what
    the next are compared with. After `max_decays` decays training ends; with 0 there is no control.
    """

    learning_rate: float
    decay_factor: float
    decay_patience: int
    decay_margin: float
    decay_from: int
    max_decays: int

    def __post_init__(self) -> None:
        require(self.learning_rate > 0, "learning_rate", "> 0", self.learning_rate)
        require(0 < self.decay_factor < 1, "decay_factor", "in (0, 1)", self.decay_factor)
        require(self.decay_patience >= 1, "decay_patience", ">= 1", self.decay_patience)
        require(0 <= self.decay_margin < 1, "decay_margin", "in [0, 1)", self.decay_margin)
        require(self.decay_from >= 0, "decay_from", ">= 0", self.decay_from)
        require(self.max_decays >= 0, "max_decays", ">= 0", self.max_decays)

    @abstractmethod
    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Descent:
        """Its steps; `parameters` may be none at all, as a language model's encoder has."""

    def patient(self, epochs: int) -> Self:
        """The same with a control, from the end of the first `epochs` on."""
        decays = self.max_decays or DECAYS
        return replace(self, max_decays=decays, decay_from=max(self.decay_from, epochs))

    def after_epoch(self, state: DecayState, epoch: int, loss: float) -> DecayState:
        """The control's state after an epoch, counted from 1, with its validation NLL + KL; one more decay
        asks for a rollback and a lower rate."""
        if not loss > state.reference * (1 - self.decay_margin):
            return DecayState(decays=state.decays, reference=loss)
        worse = state.worse_epochs + 1
        if self.max_decays and worse >= self.decay_patience and epoch > self.decay_from:
            return DecayState(decays=state.decays + 1, reference=loss)
        return replace(state, worse_epochs=worse)

    def scale(self, state: DecayState) -> float:
        """Factor on the learning rate."""
        return self.decay_factor**state.decays

    def exhausted(self, state: DecayState) -> bool:
        """Whether learning-rate control ends the training."""
        return 0 < self.max_decays <= state.decays


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer, name="adam"):
    """Adam (Kingma & Ba 2015), at a constant rate unless `max_decays` or the training's length ask for its
    control."""

    learning_rate: float = 0.002
    decay_factor: float = 0.3
    decay_patience: int = 5
    decay_margin: float = 1e-4
    decay_from: int = 0
    max_decays: int = 0

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Descent:
        return AdamDescent(parameters, self.learning_rate)


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer, name="sgd"):
    """Plain SGD with the control of He et al. 2019."""

    learning_rate: float = 1.0
    decay_factor: float = 0.5
    decay_patience: int = 2
    decay_margin: float = 0.0
    decay_from: int = 15
    max_decays: int = 5

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Descent:
        return PlainDescent(parameters, self.learning_rate)
