"""The entropy floor of the synthetic corpus: −log p(x) = −log ∫ p(z) p(x|z) dz on a grid, checked by halving.

The integrand is smooth and vanishes at the grid's border, where the rectangle rule converges faster than any
power of the step, provided the step resolves the posterior. Whether it does is checked for every sentence.

Shape suffixes: N sentences, L words, P points of a grid, Z = 2 latent units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.common.metrics import standard_error
from trainables.text.oracle import COMPONENTS, LSTMOracle, words_of
from trainables.text.splits import Int64Array, Split

LIMIT = 7.0
"""The grid covers [−7, 7]²: five standard deviations beyond the outermost means, all but 1e-6 of p(z)."""

_COARSEST, _FINEST, _NEGLIGIBLE = 1 / 4, 1 / 128, 18.0
_POINTS = 64  # of a chunk: its logits stay in a core's cache
_CHILDREN = torch.cartesian_prod(*[torch.tensor([-1, 0, 1])] * 2)


class NotConvergedError(ArithmeticError):
    """The oracle's posterior is narrower than the finest grid resolves."""


@dataclass(frozen=True, eq=False)
class Floor:
    """Mean −log p(x) of `sentences` sentences in nats per sentence, its standard error, and each value."""

    nats: float
    nats_se: float
    sentences: int
    nats_N: NDArray[np.float64]


def entropy_floor(
    oracle: LSTMOracle, split: Split, *, sentences: int = 200, tolerance: float = 1e-2
) -> Floor:
    """What no model can be below on average, measured on the first sentences of a split.

    On the same sentences a model's NLL lies above it but for chance: the paired difference is the model's
    divergence from the truth.

    Args:
        oracle: the one that the split was drawn from.
        sentences: the most to take.
        tolerance: nats by which the last halving of the step may move a sentence; what error is left is
            far smaller (at 1e-2 measured on 25 sentences: at most 0.002, on average 1e-4).

    Raises:
        NotConvergedError: a sentence still moves at a step of 1/128.
    """
    words_NL = words_of(split)[:sentences]
    nats_N = -np.array([log_marginal(oracle, words_L, tolerance) for words_L in words_NL])
    return Floor(float(nats_N.mean()), standard_error(nats_N), len(nats_N), nats_N)


@torch.no_grad()
def log_marginal(oracle: LSTMOracle, words_L: Int64Array, tolerance: float = 1e-2) -> float:
    """log p(x) of one sentence in nats. The step is halved until the value stands still.

    A finer grid keeps the points around which a coarser one has a point within 18 nats of its best.

    Raises:
        NotConvergedError: it still moves by more than `tolerance` at a step of 1/128.
    """
    words_1L = torch.from_numpy(words_L)[None]
    step, previous = _COARSEST, math.inf
    places = torch.arange(-round(LIMIT / step), round(LIMIT / step) + 1)
    places_PZ = torch.cartesian_prod(places, places)
    while True:
        z_PZ = places_PZ * step
        log_joint_P = _log_prior(z_PZ) + _log_likelihood(oracle, words_1L, z_PZ)
        value = float(log_joint_P.logsumexp(0)) + 2 * math.log(step)
        if abs(value - previous) < tolerance:
            return value
        if step == _FINEST:
            moved = abs(value - previous)
            raise NotConvergedError(
                f"halving the step moves log p(x) by less than {tolerance} nats, "
                f"got {moved:.2g} at a step of 1/{1 / step:.0f}"
            )
        counts_PZ = places_PZ[log_joint_P > log_joint_P.max() - _NEGLIGIBLE]
        places_PZ = torch.unique((2 * counts_PZ[:, None] + _CHILDREN).flatten(0, 1), dim=0)
        step, previous = step / 2, value


def _log_prior(z_PZ: Tensor) -> Tensor:
    means_KZ = torch.tensor(COMPONENTS, dtype=torch.float64)
    squares_PK = (z_PZ[:, None] - means_KZ).square().sum(2)
    return (-0.5 * squares_PK).logsumexp(1) - math.log(2 * math.pi * len(means_KZ))


def _log_likelihood(oracle: LSTMOracle, words_1L: Tensor, z_PZ: Tensor) -> Tensor:
    chunks = torch.split(z_PZ.float(), _POINTS)
    return torch.cat([oracle.log_likelihood(words_1L.expand(len(z_CZ), -1), z_CZ) for z_CZ in chunks])
