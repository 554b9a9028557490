"""Ray Tune's actors, simulated: as many as one likes in one process, on a clock of their own.

The trainables are real objects, and what they do is done when its turn comes; only their time does not pass.
So all that is left of a sweep's wall time is what the driver itself needs.
"""

from __future__ import annotations

import heapq
import itertools
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ray.air.execution._internal.tracked_actor import TrackedActor


class _Handle:
    """What Tune takes for the handle of an actor: its methods are called at once."""

    def __init__(self, trainable: Any) -> None:
        self.trainable = trainable

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self.trainable, name))


class SimulatedActors:
    """In the place of Ray's manager of actors in a TuneController.

    Attributes:
        slots: actors at a time.
        seconds_of: what a method of a trainable takes on the simulated clock.
        now: that clock, seconds.
        outside: real seconds spent in the trainables, which on a cluster other machines spend.
    """

    slots = 1
    seconds_of: Callable[[Any, str], float] = staticmethod(lambda trainable, method: 0.0)
    now = 0.0
    outside = 0.0
    busy = 0.0

    def __init__(self, resource_manager: object) -> None:
        self._events: list[tuple[float, int, TrackedActor, Callable[[], None]]] = []
        self._number = itertools.count()
        self._waiting: dict[TrackedActor, tuple[Any, dict[str, Any], Any]] = {}
        self._dropped: set[int] = set()
        self._tasks: dict[TrackedActor, set[int]] = defaultdict(set)
        # Tune reads the actor of a trial out of this.
        self._live_actors_to_ray_actors_resources: dict[TrackedActor, tuple[Any, Any]] = {}

    def add_actor(
        self,
        cls: Any,
        kwargs: dict[str, Any],
        resource_request: Any,
        *,
        on_start: Any = None,
        on_stop: Any = None,
        on_error: Any = None,
    ) -> TrackedActor:
        actor = TrackedActor(uuid.uuid4().int, on_start=on_start, on_stop=on_stop, on_error=on_error)
        self._waiting[actor] = (cls.__ray_metadata__.modified_class, kwargs, resource_request)
        return actor

    def schedule_actor_task(
        self,
        tracked_actor: TrackedActor,
        method_name: str,
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        on_result: Any = None,
        on_error: Any = None,
        _return_future: bool = False,
    ) -> int:
        trainable = self._live_actors_to_ray_actors_resources[tracked_actor][0].trainable
        seconds = type(self).seconds_of(trainable, method_name)
        type(self).busy += seconds

        def run() -> None:
            begin = time.perf_counter()
            result = getattr(trainable, method_name)(*(args or ()), **(kwargs or {}))
            type(self).outside += time.perf_counter() - begin
            if on_result is not None:
                on_result(tracked_actor, result)

        number = self._at(seconds, tracked_actor, run)
        self._tasks[tracked_actor].add(number)
        return number

    def remove_actor(self, tracked_actor: TrackedActor, kill: bool = False, stop_future: Any = None) -> bool:
        if tracked_actor in self._waiting:
            del self._waiting[tracked_actor]
            return False
        if tracked_actor not in self._live_actors_to_ray_actors_resources:
            return False

        def stopped() -> None:
            self._live_actors_to_ray_actors_resources.pop(tracked_actor, None)
            if tracked_actor._on_stop:
                tracked_actor._on_stop(tracked_actor)

        self._at(0.0, tracked_actor, stopped)
        return True

    def next(self, timeout: float | None = None) -> bool:
        while self._waiting and len(self._live_actors_to_ray_actors_resources) < self.slots:
            actor, (cls, kwargs, request) = next(iter(self._waiting.items()))
            del self._waiting[actor]
            begin = time.perf_counter()
            self._live_actors_to_ray_actors_resources[actor] = (_Handle(cls(**kwargs)), request)
            type(self).outside += time.perf_counter() - begin
            self._at(0.0, actor, lambda actor=actor: actor._on_start(actor))  # type: ignore[misc]
        while self._events:
            when, number, actor, run = heapq.heappop(self._events)
            if number in self._dropped:
                self._dropped.discard(number)
                continue
            self._tasks[actor].discard(number)
            type(self).now = when
            run()
            return True
        return False

    def clear_actor_task_futures(self, tracked_actor: TrackedActor) -> None:
        self._dropped |= self._tasks.pop(tracked_actor, set())

    def is_actor_started(self, tracked_actor: TrackedActor) -> bool:
        return tracked_actor in self._live_actors_to_ray_actors_resources

    def is_actor_failed(self, tracked_actor: TrackedActor) -> bool:
        return False

    def get_live_actors_resources(self) -> dict[str, float]:
        counter: Counter[str] = Counter()
        for _, request in self._live_actors_to_ray_actors_resources.values():
            for bundle in request.bundles:
                counter.update(bundle)
        return dict(counter)

    @property
    def num_live_actors(self) -> int:
        return len(self._live_actors_to_ray_actors_resources)

    @property
    def num_pending_actors(self) -> int:
        return len(self._waiting)

    @property
    def num_actor_tasks(self) -> int:
        return sum(map(len, self._tasks.values()))

    @property
    def num_total_actors(self) -> int:
        return self.num_live_actors + self.num_pending_actors

    def cleanup(self) -> None:
        self._waiting.clear()
        self._live_actors_to_ray_actors_resources.clear()

    def _at(self, seconds: float, actor: TrackedActor, run: Callable[[], None]) -> int:
        number = next(self._number)
        heapq.heappush(self._events, (self.now + seconds, number, actor, run))
        return number
