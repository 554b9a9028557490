"""Update rules: which parameters step, and when.

An `Updates` part is configuration; `rule()` makes the object that carries the rule's state through one
training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from trainables.common.metrics import SplitMetrics
from trainables.parts.part import Part, require
from trainables.text.batches import Batch


@dataclass(frozen=True)
class BatchLoss:
    """Sums over a batch, detached: nats of the objective, of the NLL and of the KL; words."""

    objective: Tensor
    nll: Tensor
    kl: Tensor
    words: int


class Learner(Protocol):
    """What an update rule may do with a training in progress."""

    def gradients(self, batch: Batch, *, inference_alone: bool = False) -> BatchLoss:
        """Fresh gradients of the objective on this batch, clipped jointly over all parameters, or those of
        the inference network alone."""

    def step_inference(self) -> None:
        """An optimiser step of the inference network."""

    def step_generator(self) -> None:
        """An optimiser step of the generator."""

    def random_batch(self) -> Batch:
        """A random training batch."""


@dataclass
class RuleState:
    """State of a rule: inner steps done, whether it is aggressive, the best mutual information so far."""

    inner_steps: int = 0
    aggressive: bool = False
    best_mutual_information: float = float("-inf")


class Rule(ABC):
    """An update rule during one training."""

    def __init__(self, aggressive: bool = False) -> None:
        self.state = RuleState(aggressive=aggressive)

    @abstractmethod
    def update(self, learner: Learner, batch: Batch) -> BatchLoss:
        """One step of the generator with what goes with it; the loss is that of the last gradients."""

    @abstractmethod
    def after_epoch(self, epochs_done: int, valid: SplitMetrics) -> None:
        """Looks at the validation metrics after each epoch."""


class Updates(Part, ABC):
    """Configuration of an update rule."""

    @abstractmethod
    def rule(self) -> Rule: ...

    @property
    def phase(self) -> int:
        """Epochs with inner steps, at most."""
        return 0


@dataclass(frozen=True, kw_only=True)
class Joint(Updates, name="joint"):
    """Inference network and generator step together."""

    def rule(self) -> Rule:
        return _JointRule()


@dataclass(frozen=True, kw_only=True)
class Aggressive(Updates, name="aggressive"):
    """Aggressive training of the lagging inference network (He et al. 2019, algorithm 1).

    While the aggressive phase lasts, each update first trains the inference network alone: on the
    update's batch, then on random ones, until the mean loss per word over a window of `inner_window`
    steps exceeds that of the window before, at most `inner_limit` steps; then the generator steps alone.
    The phase ends for good after `aggressive_epochs` epochs, or earlier when the validation mutual
    information has fallen below its best by more than `mi_margin` of its standard errors.

    The published rule is a margin of 0 with `published_mi`: the mutual information within batches, which
    must not fall below 0 nor below its last value. The first noisy drop triggers it. The published code
    takes at most 99 inner steps.

    In an inner step all gradients are taken, and clipped jointly, as published, though the generator does not
    step. With `inner_alone` those of the inference network are taken alone, and so clipped by their own norm:
    the same steps where nothing is clipped, and longer ones where the joint norm exceeds the limit.
    """

    aggressive_epochs: int = 1
    inner_limit: int = 100
    inner_window: int = 15
    mi_margin: float = 2.0
    published_mi: bool = False
    inner_alone: bool = False

    def __post_init__(self) -> None:
        require(self.aggressive_epochs >= 0, "aggressive_epochs", ">= 0", self.aggressive_epochs)
        require(self.inner_limit >= 1, "inner_limit", ">= 1", self.inner_limit)
        require(self.inner_window >= 1, "inner_window", ">= 1", self.inner_window)
        require(self.mi_margin >= 0, "mi_margin", ">= 0", self.mi_margin)

    def rule(self) -> Rule:
        return _AggressiveRule(self)

    @property
    def phase(self) -> int:
        return self.aggressive_epochs


class _JointRule(Rule):
    def update(self, learner: Learner, batch: Batch) -> BatchLoss:
        loss = learner.gradients(batch)
        learner.step_inference()
        learner.step_generator()
        return loss

    def after_epoch(self, epochs_done: int, valid: SplitMetrics) -> None:
        pass


class _AggressiveRule(_JointRule):
    def __init__(self, config: Aggressive) -> None:
        super().__init__(aggressive=config.aggressive_epochs > 0)
        self.config = config
        if config.published_mi:
            self.state.best_mutual_information = 0.0

    def update(self, learner: Learner, batch: Batch) -> BatchLoss:
        if not self.state.aggressive:
            return super().update(learner, batch)
        self._train_inference(learner, batch)
        loss = learner.gradients(batch)
        learner.step_generator()
        return loss

    def _train_inference(self, learner: Learner, batch: Batch) -> None:
        previous = float("inf")
        window: list[BatchLoss] = []
        for _ in range(self.config.inner_limit):
            window.append(learner.gradients(batch, inference_alone=self.config.inner_alone))
            learner.step_inference()
            self.state.inner_steps += 1
            if len(window) == self.config.inner_window:
                nats = float(torch.stack([loss.objective for loss in window]).double().sum())
                mean = nats / sum(loss.words for loss in window)
                if mean > previous:
                    return
                previous, window = mean, []
            batch = learner.random_batch()

    def after_epoch(self, epochs_done: int, valid: SplitMetrics) -> None:
        if not self.state.aggressive:
            return
        published = self.config.published_mi
        information = valid.mutual_information_batch if published else valid.mutual_information
        margin = self.config.mi_margin * valid.mutual_information_se
        fell = information < self.state.best_mutual_information - margin
        self.state.best_mutual_information = max(self.state.best_mutual_information, information)
        self.state.aggressive = not fell and epochs_done < self.config.aggressive_epochs
