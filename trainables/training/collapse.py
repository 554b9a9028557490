"""Whether a training has collapsed: its latent variable is dead although the KL weight is whole.

It is no certain sign. Of the 267 recorded trainings of docs/benchmarks/search.md 37 had ten such epochs, and
none came back; of as many with an LSTM encoder and decoder 81, of which 17 had a KL above 0.5 in the end, and
4 a gain over their baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

from trainables.training.records import EpochMetrics

COLLAPSED = "collapsed"
"""The failure that a trial is given which was stopped for this."""
NOISE = 0.1
"""Mutual information below this is none, nats."""
_WHOLE = 0.99


def annealed(weights: Sequence[float]) -> int:
    """Epochs after which the KL weight stays within a hundredth of where it ends.

    Args:
        weights: of the last step of each planned epoch.
    """
    low = [epoch for epoch, weight in enumerate(weights, 1) if weight < _WHOLE * weights[-1]]
    return low[-1] if low else 0


def dead_epochs(history: Sequence[EpochMetrics], annealed: int) -> int:
    """For how many epochs in a row, up to the last, no unit was active and mutual information was noise.

    Args:
        annealed: the epochs before which nothing counts.
    """
    count = 0
    for epoch in reversed(history[annealed:]):
        if epoch.valid.active_units > 0 or epoch.valid.mutual_information >= NOISE:
            break
        count += 1
    return count
