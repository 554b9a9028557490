"""What a training reports: figures of an epoch, final figures, cost."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.common.metrics import SplitMetrics
from trainables.evaluation.importance_weighting import ImportanceWeighted

RUNNING_DECAY = 0.99


@dataclass
class Cost:
    """What training has cost so far; `tokens` counts predicted words of updates and of inner steps."""

    optimizer_steps: int = 0
    inner_steps: int = 0
    tokens: int = 0
    seconds: float = 0.0


@dataclass
class RunningNLL:
    """Training NLL per word, for a KL weight that follows it: first value, running mean, its least value."""

    first: float = math.nan
    mean: float = math.nan
    least: float = math.nan

    def update(self, nll: float) -> None:
        """Takes in a batch's NLL per word."""
        if math.isnan(self.first):
            self.first = self.mean = self.least = nll
        self.mean += (1 - RUNNING_DECAY) * (nll - self.mean)
        self.least = min(self.least, self.mean)

    @property
    def share(self) -> float:
        """The least running mean as a share of the first value."""
        return 1.0 if math.isnan(self.first) else self.least / self.first


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch: validation figures, the objective's parts in training, the KL weight of the last step,
    the learning rate, and the cost so far."""

    epoch: int
    valid: SplitMetrics
    train_nll: float
    train_kl: float
    kl_weight: float
    learning_rate: float
    cost: Cost

    def named(self) -> dict[str, float]:
        """Metric names to values."""
        return (
            self.valid.named()
            | {"train/nll": self.train_nll, "train/kl": self.train_kl, "kl_weight": self.kl_weight}
            | {"learning_rate": self.learning_rate}
            | dataclasses.asdict(self.cost)
        )


@dataclass(frozen=True)
class FinalMetrics:
    """Figures at the best validation checkpoint, each test sentence's NLL + KL as losses_N, and how much
    lower a longer training would come on validation (see `convergence`), NaN where nobody can say."""

    best_epoch: int
    still_to_gain: float
    valid: SplitMetrics
    test: SplitMetrics
    importance_weighted: ImportanceWeighted
    losses_N: NDArray[np.float32]

    def named(self) -> dict[str, float]:
        """Metric names to values: "best/…" on validation, "test/…" on test."""
        weighted = self.importance_weighted
        return (
            {"best_epoch": self.best_epoch}
            | ({} if math.isnan(self.still_to_gain) else {"still_to_gain": self.still_to_gain})
            | self.valid.named("best/")
            | self.test.named("test/")
            | {"test/iw_nll": weighted.iw_nll, "test/iw_nll_se": weighted.iw_nll_se}
            | {"test/iw_samples": weighted.samples, "test/iw_sentences": weighted.sentences}
        )
