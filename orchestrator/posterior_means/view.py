"""What the figures of the posterior mean space show, and how it is put into words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from orchestrator.common.wording import ABSENT, number
from trainables.text.splits import Int32Array
from trainables.training.posterior_means import MeanSpace

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
LAG_COLOUR = "#D55E00"

_COLUMNS = 6
_UNUSED, _LAGS = 0.05, 0.5  # of the model's spread; of the distance from the diagonal, in such spreads
_CONSTANT = 0.01


@dataclass(frozen=True, eq=False)
class View:
    """The spaces of each variant over the same updates, and which component of the mixture each sentence
    came from."""

    spaces: Mapping[str, Sequence[MeanSpace]]
    component_N: Int32Array
    components: tuple[str, ...]

    @property
    def limit(self) -> float:
        """Axes go from −limit to limit: multiples of a half that hold every point."""
        means = [
            means for spaces in self.spaces.values() for s in spaces for means in (s.model_N, s.encoder_N)
        ]
        return max(0.5, math.ceil(2.1 * float(np.abs(means).max())) / 2)

    @property
    def updates(self) -> list[int]:
        """The updates at which every variant was looked at."""
        common = set.intersection(*({s.update for s in spaces} for spaces in self.spaces.values()))
        return sorted(common)

    @property
    def columns(self) -> list[int]:
        """Which updates a picture shows: the first, the last, and between them ever longer steps."""
        first, *rest = self.updates
        if len(rest) < _COLUMNS:
            return self.updates
        wanted = np.geomspace(rest[0], rest[-1], _COLUMNS - 1)
        return sorted({first, *(min(rest, key=lambda update: abs(update - want)) for want in wanted)})

    def at(self, variant: str, update: int) -> MeanSpace:
        """A variant's space after so many updates."""
        return next(space for space in self.spaces[variant] if space.update == update)

    def summary(self) -> pd.DataFrame:
        """A row a variant and look: the spaces in numbers."""
        return pd.DataFrame(
            [
                {"variant": variant, "update": s.update, "model_spread": s.model_spread,
                 "encoder_spread": s.encoder_spread, "correlation": s.correlation, "distance": s.distance,
                 "kl": s.kl, "nll": s.nll, "quadrature_error": s.quadrature_error}
                for variant, spaces in self.spaces.items() for s in spaces
            ]
        )  # fmt: skip

    def points(self) -> pd.DataFrame:
        """A row a variant, look and sentence: both means."""
        sentences = range(len(self.component_N))
        names = [self.components[component] for component in self.component_N]
        return pd.concat(
            pd.DataFrame(
                {"variant": variant, "update": s.update, "sentence": sentences, "component": names,
                 "model_mean": s.model_N, "encoder_mean": s.encoder_N}
            )
            for variant, spaces in self.spaces.items() for s in spaces
        )  # fmt: skip


def figures(space: MeanSpace) -> str:
    """A space in a few numbers."""
    return (
        f"sd μ_θ {number(space.model_spread)}, sd μ_φ {number(space.encoder_spread)}, "
        f"correlation {correlation(space)}, KL {number(space.kl)}"
    )


def correlation(space: MeanSpace) -> str:
    """The correlation, or a dash where one of the means is all but the same for all sentences."""
    constant = min(space.model_spread, space.encoder_spread) < _CONSTANT
    return ABSENT if constant else number(space.correlation)


def verdict(variant: str, space: MeanSpace) -> str:
    """One sentence: whether inference lags, and the numbers that say so."""
    distance = f"distance from the diagonal {number(space.distance)}"
    return f"{variant}: {_judgement(space)}: {figures(space)}, {distance}"


def _judgement(space: MeanSpace) -> str:
    if space.model_spread < _UNUSED:
        return "the model does not use z"
    if space.distance > _LAGS * space.model_spread:
        return "inference lags behind the model"
    return "inference keeps up with the model"
