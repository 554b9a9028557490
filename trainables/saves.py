"""When a training in progress is saved.

A save costs some tens of milliseconds of the driver's time as well, which is more than an epoch of a toy; an
epoch of a large model takes minutes that nobody wants to lose with a spot instance.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

LEAST_S, MOST_S = 5.0, 600.0


@dataclass(frozen=True)
class Saves:
    """A save is due `epochs` after the last one, though not within `LEAST_S` of it, and at the end of any
    epoch `MOST_S` after it.

    Args:
        epochs: from one save to the next.
        epoch, at: when it was saved last, or began, the latter in seconds of `time.monotonic`.
    """

    epochs: int
    epoch: int = 0
    at: float = field(default_factory=time.monotonic)

    def due(self, epoch: int, now: float) -> bool:
        """Whether it is, at the end of this epoch."""
        since = now - self.at
        return since >= MOST_S or (since >= LEAST_S and epoch - self.epoch >= self.epochs)
