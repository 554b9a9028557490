"""In which order the trials of a sweep are begun, and when the last one ends.

What a plan foretells and what a running sweep has left are both made of this.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from trainables.variants import BASELINE


def in_turns(planned: Mapping[str, int], begun: Mapping[str, int]) -> list[tuple[str, int]]:
    """Variant and number within it of the trials that have not begun, in the order in which they will: the
    baselines first, then the variants in turns. Both arguments are by variant; of one that is not in `begun`
    none has."""
    places = [
        (variant != BASELINE, number / count, variant, number)
        for variant, count in planned.items()
        for number in range(begun.get(variant, 0), count)
    ]
    return [(variant, number) for _, _, variant, number in sorted(places, key=lambda place: place[:2])]


def makespan(running: Sequence[float], to_come: Iterable[float], slots: int) -> float:
    """When the last one ends, if each begins as soon as a slot is free."""
    ends = sorted(running)
    heapq.heapify(ends)
    last = max(ends, default=0.0)
    for seconds in to_come:
        begin = heapq.heappop(ends) if len(ends) >= slots else 0.0
        heapq.heappush(ends, begin + seconds)
        last = max(last, begin + seconds)
    return last
