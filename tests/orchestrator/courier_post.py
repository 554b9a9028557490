"""An outbox with its courier, and a store that notes what it gets."""

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from orchestrator.tracking.delivery.courier import Courier
from orchestrator.tracking.delivery.entries import Entry, Metrics, Tags
from orchestrator.tracking.delivery.outbox import Outbox
from orchestrator.tracking.delivery.outcome import Delivery
from orchestrator.tracking.delivery.requests import Content, Points


class Log:
    """A store that notes what it gets, and fails as it is told."""

    def __init__(self, parent_id: str = "parent") -> None:
        self.parent_id = parent_id
        self.got: list[Content] = []
        self.failures: deque[Exception] = deque()
        self.poison: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.reachable = True

    def deliver(self, content: Content) -> None:
        self.gate.wait()
        if self.failures:
            raise self.failures.popleft()
        if self.poison is not None and isinstance(content, Tags) and self.poison in content.values:
            raise RuntimeError("internal error")
        self.got.append(content)

    def answers(self) -> bool:
        return self.reachable

    @property
    def steps(self) -> list[int]:
        return [point.step for got in self.got if isinstance(got, Points) for point in got.points]


class Post:
    """An outbox with its courier."""

    def __init__(self, folder: Path, open_store: Callable[[], Log]) -> None:
        self.outbox = Outbox(folder)
        self.courier = Courier(self.outbox, open_store, "here")

    def post(self, *entries: Entry) -> None:
        for entry in entries:
            self.outbox.append(entry)
        self.courier.wake()


def point(run: str, step: int) -> Metrics:
    return Metrics(run, step, step, {"nll": float(step)})


def delivered(points: int) -> Delivery:
    return Delivery(points, 0, 0, 0, 0, None)
