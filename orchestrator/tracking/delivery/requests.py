"""Entries to requests: what waits for a run travels together, within MLflow's limits. Knows no MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from orchestrator.tracking.delivery.entries import (
    Aliases,
    Artifact,
    Change,
    Entry,
    Input,
    Metrics,
    Note,
    Opening,
    Params,
    SavedModel,
    Tags,
    View,
    size,
)
from orchestrator.tracking.server.limits import MOST_CHARACTERS, MOST_ENTRIES, MOST_POINTS


@dataclass(frozen=True, slots=True)
class Point:
    """One metric value."""

    key: str
    value: float
    step: int
    at_ms: int


@dataclass(frozen=True)
class Points:
    """Metric values of one run, of several steps."""

    run: str
    points: Sequence[Point]


Single = Opening | View | Input | Artifact | SavedModel | Aliases | Note
"""What is a request by itself."""
Content = Single | Params | Points | Tags | Change


@dataclass(frozen=True)
class Request:
    """One call of MLflow's, with the number of points and of other entries that are settled by it."""

    content: Content
    points: int = 0
    others: int = 0


def requests(entries: Sequence[Entry]) -> Iterator[Request]:
    """The entries as few requests, a run after the other in the order in which they first appear.

    Of a run its opening goes first and its status last. Params never travel with metrics: a refused param
    would take them along.
    """
    by_run: dict[str, list[Entry]] = {}
    for entry in entries:
        by_run.setdefault(entry.run, []).append(entry)
    for run, own in by_run.items():
        yield from _of_run(run, own)


def _of_run(run: str, entries: Sequence[Entry]) -> Iterator[Request]:
    yield from _each(entries, Opening)
    params = [entry for entry in entries if isinstance(entry, Params)]
    for values, settled in _merged([entry.values for entry in params]):
        yield Request(Params(run, values), others=settled)
    metrics = [entry for entry in entries if isinstance(entry, Metrics)]
    points = (
        Point(key, value, entry.step, entry.at_ms) for entry in metrics for key, value in entry.values.items()
    )
    while some := tuple(islice(points, MOST_POINTS)):
        yield Request(Points(run, some), points=len(some))
    tags = [entry for entry in entries if isinstance(entry, Tags)]
    for values, settled in _merged([entry.values for entry in tags]):
        yield Request(Tags(run, values), others=settled)
    for kind in (View, Input, Artifact, SavedModel, Aliases, Note):
        yield from _each(entries, kind)
    changes = [entry for entry in entries if isinstance(entry, Change)]
    if changes:
        yield Request(changes[-1], others=len(changes))


def _each(entries: Sequence[Entry], kind: type[Single]) -> Iterator[Request]:
    for entry in entries:
        if isinstance(entry, kind):
            yield Request(entry, others=size(entry)[1])


def _merged(parts: Sequence[Mapping[str, str]]) -> Iterator[tuple[Mapping[str, str], int]]:
    """All values, later ones over earlier ones, as many at a time as fit into a request; with the first of
    them the number of parts."""
    values = {name: value for part in parts for name, value in part.items()}
    settled = len(parts)
    while values:
        some = _some(values)
        yield some, settled
        values = {name: value for name, value in values.items() if name not in some}
        settled = 0


def _some(values: Mapping[str, str]) -> dict[str, str]:
    """The first values that fit into a request, one at least."""
    chosen: dict[str, str] = {}
    characters = 0
    for name, value in islice(values.items(), MOST_ENTRIES):
        characters += len(name) + len(value)
        if chosen and characters > MOST_CHARACTERS:
            break
        chosen[name] = value
    return chosen
