"""What became of all that a sweep had to say to MLflow."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.common.wording import plural


@dataclass(frozen=True)
class Delivery:
    """What became of all that was to be logged; `others` are params, tags, statuses, files.

    Attributes:
        points_delivered: metric points that this process has brought to MLflow.
        points_waiting, others_waiting: still in the outbox.
        points_refused, others_refused: what MLflow will never take.
        error: the first reason, if there is any.
    """

    points_delivered: int
    points_waiting: int
    others_waiting: int
    points_refused: int
    others_refused: int
    error: str | None

    @property
    def undelivered(self) -> bool:
        return bool(self.points_waiting or self.others_waiting)

    @property
    def complete(self) -> bool:
        return not (self.undelivered or self.points_refused or self.others_refused)

    def __str__(self) -> str:
        parts = [f"{plural(self.points_delivered, 'metric point')} delivered"]
        if self.undelivered:
            parts.append(f"{_both(self.points_waiting, self.others_waiting)} wait")
        if self.points_refused or self.others_refused:
            parts.append(f"{_both(self.points_refused, self.others_refused)} refused")
        text = "; ".join(parts)
        return text if self.complete else f"{text}: {self.error}"


def _both(points: int, others: int) -> str:
    return f"{plural(points, 'point')} and {others} other entr{'y' if others == 1 else 'ies'}"
