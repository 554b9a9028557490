"""Whether a training has converged: how much lower its validation NLL + KL would still come, in nats."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_FEWEST_EPOCHS = 4
_STEEPEST = 0.8
"""Above this ratio of two improvements in a row there is no limit to be seen, or noise alone; what is left is
then taken for four times the last improvement."""


def still_to_gain(losses: Sequence[float], rates: Sequence[float] = (), *, ended: bool = False) -> float:
    """An estimate of the improvement that a longer training would bring, in the unit of the losses.

    Args:
        losses: validation NLL + KL of each epoch that may be the best.
        rates: the learning rate of each.
        ended: the training was ended by a rule that lowers the rate whenever nothing improves any more, and
            gives up in the end.

    With b(e) the lowest loss of the first e of E epochs it is the larger of two figures: the improvement over
    the last quarter of the epochs, and r / (1 − r) times that over the last half, r being its ratio to the
    improvement over the quarter before: b(E/4) − b(E/2). The latter is exact for a curve that falls as a
    power of the epoch, −0.33 or steeper, and too high for one that falls exponentially. What a curve does not
    announce, a step down after a plateau, no rule can see.

    Where the learning rate's control has ended the training, it is what the last lower rate still brought:
    one more would bring less. NaN for fewer than four epochs or where a loss is not finite.
    """
    if len(losses) < _FEWEST_EPOCHS or not np.isfinite(losses).all():
        return math.nan
    best = np.minimum.accumulate(np.asarray(losses, dtype=np.float64))
    if ended and rates and rates[-1] < rates[0]:
        lowered = int(np.flatnonzero(np.asarray(rates) > rates[-1])[-1])
        return float(best[lowered] - best[-1])
    epochs = len(best)
    quarter, half, whole = (float(best[math.ceil(epochs * share) - 1]) for share in (0.25, 0.5, 1.0))
    before, last = quarter - half, half - whole
    late = float(best[math.floor(epochs * 0.75) - 1]) - whole
    if last == 0:
        return 0.0
    ratio = min(_STEEPEST, last / before) if before > 0 else _STEEPEST
    return max(late, last * ratio / (1 - ratio))
