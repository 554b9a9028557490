"""Who is ahead at which budget: gain over cost, and the budgets where that changes.

All losses are the lowest validation NLL + KL so far, in nats per sentence: what a training that is stopped
there would be judged by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from orchestrator.analysis.equal_compute import TOKENS
from orchestrator.analysis.paired_test import FloatArray

_LOSS = "nll_plus_kl"


@dataclass(frozen=True)
class Stretch:
    """From a cost on one side is ahead by more than the margin, until the next stretch begins.

    Attributes:
        start: in tokens.
        ahead: whether the first of the two is.
    """

    start: float
    ahead: bool


def gain_over_cost(
    ours: Sequence[pd.DataFrame], theirs: Sequence[pd.DataFrame]
) -> tuple[FloatArray, FloatArray]:
    """Costs at which a run has an epoch, from where all have one, and the gain there: theirs less ours.

    Args:
        ours, theirs: each run's epochs: tokens so far and validation NLL + KL. A training that has ended
            stays with the best it has reached.
    """
    runs = [*ours, *theirs]
    if not ours or not theirs or any(run.empty for run in runs):
        return np.empty(0), np.empty(0)
    costs_C = np.unique(np.concatenate([run[TOKENS].to_numpy(dtype=np.float64) for run in runs]))
    costs_C = costs_C[costs_C >= max(float(run[TOKENS].iloc[0]) for run in runs)]
    best_C, base_C = (np.mean([_best_at(run, costs_C) for run in side], axis=0) for side in (ours, theirs))
    return costs_C, base_C - best_C


def stretches(costs_C: FloatArray, gains_C: FloatArray, margin: float) -> list[Stretch]:
    """Where either is ahead by more than `margin`; nearer than that nobody is, and the last one stays so."""
    found: list[Stretch] = []
    for cost, gain in zip(costs_C.tolist(), gains_C.tolist(), strict=True):
        if abs(gain) > margin and (not found or found[-1].ahead != (gain > 0)):
            found.append(Stretch(cost, gain > 0))
    return found


def _best_at(run: pd.DataFrame, costs_C: FloatArray) -> FloatArray:
    best = np.minimum.accumulate(run[_LOSS].to_numpy(dtype=np.float64))
    places = np.searchsorted(run[TOKENS].to_numpy(dtype=np.float64), costs_C, side="right") - 1
    return np.asarray(best[places])
