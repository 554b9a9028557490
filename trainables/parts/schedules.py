"""KL weight schedules, in closed form over optimiser steps.

A schedule maps the progress of training to the weight of the KL term. Knobs are stated in epochs, so
that they mean the same on every corpus; the weight itself moves with every optimiser step.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from trainables.parts.part import Part, require


@dataclass(frozen=True)
class Progress:
    """Where training stands: `step` optimiser steps of the decoder are done out of `total_steps`.

    `nll_share` is the least that the running mean of the training NLL per word has come to, as a share of
    what it was at the first step. `full_batches` is N / batch size, what an epoch's steps would be if all
    batches were full.
    """

    step: int
    steps_per_epoch: int
    epochs: int
    nll_share: float = 1.0
    full_batches: float = 1.0

    @property
    def epoch(self) -> float:
        """Epochs done, with fractions."""
        return self.step / self.steps_per_epoch

    @property
    def published_epoch(self) -> float:
        """As He et al. 2019 count: with the step that begins, and N / batch size steps an epoch."""
        return (self.step + 1) / self.full_batches

    @property
    def total_steps(self) -> int:
        return self.steps_per_epoch * self.epochs


class Schedule(Part, ABC):
    """The weight of the KL term as a function of progress."""

    follows_nll: ClassVar[bool] = False
    """Whether `Progress.nll_share` has to be kept."""

    @abstractmethod
    def __call__(self, progress: Progress) -> float:
        """The weight at this point; schedules are pure functions."""


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule, name="constant"):
    """The same weight always; 1 gives the ELBO, another value the β-VAE (Higgins et al. 2017)."""

    beta: float = 1.0

    def __post_init__(self) -> None:
        require(self.beta >= 0, "beta", ">= 0", self.beta)

    def __call__(self, progress: Progress) -> float:
        return self.beta


@dataclass(frozen=True, kw_only=True)
class Balanced(Schedule, name="balanced"):
    """The weight falls with the reconstruction NLL, so that their balance stays as it was at the start.

    After Asperti & Trentin 2020, who divide a Gaussian decoder's squared error by its own running value
    γ², which never rises. For text the running NLL per word, as a share of the first step's, takes the
    place of γ².
    """

    beta: float = 1.0

    follows_nll: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(self.beta >= 0, "beta", ">= 0", self.beta)

    def __call__(self, progress: Progress) -> float:
        return self.beta * progress.nll_share


@dataclass(frozen=True, kw_only=True)
class Annealed(Schedule, name="annealed"):
    """From `kl_start` to 1, linearly or along a logistic curve (Bowman et al. 2016).

    Linear: the weight stays at `kl_start` for `anneal_delay` epochs, then gains `anneal_rate` per
    epoch. Logistic: the curve from `kl_start` to 1 whose tangent at its midpoint is that very ramp, so
    rate and delay mean the same for both shapes; where the ramp begins the logistic curve has covered
    12 % of the way, where it ends 88 %.

    With `published_steps` epochs are counted as in the code of He et al. 2019, who raise the weight before
    each update and by the steps that an epoch of full batches would have.
    """

    anneal_shape: str = "linear"
    anneal_rate: float = 0.1
    anneal_delay: float = 0.0
    kl_start: float = 0.0
    published_steps: bool = False

    shapes: ClassVar[dict[str, Callable[[float], float]]] = {
        "linear": lambda x: min(1.0, max(0.0, x)),
        "logistic": lambda x: 1.0 / (1.0 + math.exp(min(700.0, 2.0 - 4.0 * x))),
    }

    def __post_init__(self) -> None:
        require(
            self.anneal_shape in self.shapes,
            "anneal_shape",
            f"one of {', '.join(self.shapes)}",
            self.anneal_shape,
        )
        require(self.anneal_rate > 0, "anneal_rate", "> 0", self.anneal_rate)
        require(self.anneal_delay >= 0, "anneal_delay", ">= 0", self.anneal_delay)
        require(0 <= self.kl_start <= 1, "kl_start", "in [0, 1]", self.kl_start)

    def __call__(self, progress: Progress) -> float:
        way = 1.0 - self.kl_start
        if way == 0.0:
            return 1.0
        epoch = progress.published_epoch if self.published_steps else progress.epoch
        ramp = (epoch - self.anneal_delay) * self.anneal_rate / way
        return self.kl_start + way * self.shapes[self.anneal_shape](ramp)


@dataclass(frozen=True, kw_only=True)
class Cyclical(Schedule, name="cyclical"):
    """`cycles` equal cycles over the whole training (Fu et al. 2019).

    Within a cycle the weight rises linearly from 0 to 1 over the first `ramp_share` of it and stays at
    1, as it does beyond the planned length. A cycle is total_steps / cycles steps long, a fraction where
    that does not divide evenly; integer arithmetic keeps the position within the cycle exact.
    """

    cycles: int = 4
    ramp_share: float = 0.5

    def __post_init__(self) -> None:
        require(self.cycles >= 1, "cycles", ">= 1", self.cycles)
        require(0 < self.ramp_share <= 1, "ramp_share", "in (0, 1]", self.ramp_share)

    def __call__(self, progress: Progress) -> float:
        if progress.step >= progress.total_steps:
            return 1.0
        position = (progress.step * self.cycles) % progress.total_steps / progress.total_steps
        return min(1.0, position / self.ramp_share)
