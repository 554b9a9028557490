"""What waits to be written for one run, and how it is cut into requests. Knows no MLflow."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, Self

from orchestrator.tracking_limits import (
    LONGEST_PARAM,
    LONGEST_TAG,
    MOST_CHARACTERS,
    MOST_ENTRIES,
    MOST_POINTS,
    name_problem,
    shortened,
)

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

SWEEP = ""
"""The parent run's key among the runs of a sweep; the others are trial ids."""


@dataclass(frozen=True)
class Opening:
    """How a run is created if it does not exist yet."""

    name: str
    tags: Mapping[str, str]
    start_ms: int


@dataclass(frozen=True, slots=True)
class Point:
    """One metric value. The timestamp never changes, so a point that is sent twice is stored once."""

    key: str
    value: float
    step: int
    timestamp_ms: int


@dataclass(frozen=True)
class Change:
    """A run's new status."""

    status: Status
    at_ms: int


@dataclass(frozen=True)
class Letter:
    """One request for one run: exactly one of the last five is there."""

    run: str
    opening: Opening | None
    params: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[Point] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    change: Change | None = None
    artifact: Path | None = None

    @property
    def size(self) -> int:
        """Number of things in it that are not points."""
        return len(self.params) + len(self.tags) + (self.change is not None) + (self.artifact is not None)


@dataclass
class Mailbox:
    """All that waits for one run. Params never travel with metrics: a refused param would take them along."""

    opening: Opening | None = None
    params: dict[str, str] = field(default_factory=dict)
    points: deque[Point] = field(default_factory=deque)
    tags: dict[str, str] = field(default_factory=dict)
    change: Change | None = None
    artifacts: deque[Path] = field(default_factory=deque)

    @classmethod
    def describing(
        cls, *, params: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
    ) -> Self:
        """Params and tags cut to MLflow's limits; a tag names the params that had to be shortened.

        Raises:
            ValueError: for a param's name that MLflow would refuse.
        """
        params = params or {}
        mail = cls(tags={name: shortened(value, LONGEST_TAG) for name, value in (tags or {}).items()})
        for name, value in params.items():
            if problem := name_problem(name):
                raise ValueError(f"a param's {problem}")
            mail.params[name] = shortened(value, LONGEST_PARAM)
        if long := [name for name in params if mail.params[name] != params[name]]:
            mail.tags["orchestrator.shortened"] = shortened(", ".join(long), LONGEST_TAG)
        return mail

    @property
    def size(self) -> int:
        """Number of things waiting that are not points."""
        return len(self.params) + len(self.tags) + (self.change is not None) + len(self.artifacts)

    def copy(self) -> Mailbox:
        return Mailbox(
            self.opening,
            dict(self.params),
            self.points.copy(),
            dict(self.tags),
            self.change,
            self.artifacts.copy(),
        )

    def add(self, other: Mailbox) -> None:
        """Puts in what `other` holds; newer tags and a newer status take the place of older ones."""
        self.opening = self.opening or other.opening
        self.params |= other.params
        self.points += other.points
        self.tags |= other.tags
        self.change = other.change or self.change
        self.artifacts += other.artifacts

    def letter(self, run: str, *, closing: bool) -> Letter | None:
        """The next request, left in the box until `remove`; one that ends the run only with `closing`."""
        if self.params:
            return Letter(run, self.opening, params=_some(self.params))
        if self.points:
            return Letter(run, self.opening, points=tuple(islice(self.points, MOST_POINTS)))
        if self.tags:
            return Letter(run, self.opening, tags=_some(self.tags))
        if self.change and (closing or self.change.status == "RUNNING"):
            return Letter(run, self.opening, change=self.change)
        if self.artifacts:
            return Letter(run, self.opening, artifact=self.artifacts[0])
        return None

    def remove(self, letter: Letter) -> None:
        """Takes out what the letter held, unless something newer has taken its place."""
        for held, sent in ((self.params, letter.params), (self.tags, letter.tags)):
            for name, value in sent.items():
                if held.get(name) == value:
                    del held[name]
        for _ in letter.points:
            self.points.popleft()
        if self.change is letter.change:
            self.change = None
        if letter.artifact is not None:
            self.artifacts.popleft()


def _some(entries: Mapping[str, str]) -> dict[str, str]:
    """The first entries that fit into a request, one at least."""
    chosen: dict[str, str] = {}
    characters = 0
    for name, value in islice(entries.items(), MOST_ENTRIES):
        characters += len(name) + len(value)
        if chosen and characters > MOST_CHARACTERS:
            break
        chosen[name] = value
    return chosen
