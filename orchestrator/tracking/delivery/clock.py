"""The times that MLflow is told.

MLflow takes the value with the latest time for the last one, and a run's length is the difference of two
times: a computer's clock that is put back, in the middle of a sweep or between it and its resume, would leave
an old summary in place and give runs of negative length.
"""

from __future__ import annotations

import time


class Clock:
    """Milliseconds since 1970, which go on evenly, whatever is done to the time of day, from the later of now
    and `latest_ms`. A computer's sleep counts."""

    def __init__(self, latest_ms: int = 0) -> None:
        self._start = max(time.time_ns() // 1_000_000, latest_ms + 1) - _elapsed_ms()

    def now_ms(self) -> int:
        return self._start + _elapsed_ms()


def _elapsed_ms() -> int:
    boot = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; elsewhere the monotonic clock counts sleep itself
    return (time.monotonic_ns() if boot is None else time.clock_gettime_ns(boot)) // 1_000_000
