"""Entries to requests: what travels together, in which order, within which limits."""

from orchestrator.tracking.delivery.entries import (
    SWEEP,
    Artifact,
    Change,
    Entry,
    Metrics,
    Opening,
    Params,
    Tags,
    View,
)
from orchestrator.tracking.delivery.requests import Point, Points, Request, requests


def metrics(run: str, step: int, count: int = 1) -> Metrics:
    return Metrics(run, 100 + step, step, {f"m{number}": float(step) for number in range(count)})


def test_steps_of_a_run_travel_together_although_others_lie_between() -> None:
    entries: list[Entry] = [metrics(run, step) for step in range(3) for run in ("a", "b")]
    assert list(requests(entries)) == [
        Request(Points(run, tuple(Point("m0", float(step), step, 100 + step) for step in range(3))), points=3)
        for run in ("a", "b")
    ]


def test_no_more_than_a_thousand_points_go_at_once() -> None:
    sent = list(requests([metrics("a", step, count=300) for step in range(8)]))
    assert [request.points for request in sent] == [1000, 1000, 400]
    points = [point for request in sent for point in request.content.points]  # type: ignore[union-attr]
    assert [(point.step, point.key) for point in points] == [
        (step, f"m{number}") for step in range(8) for number in range(300)
    ]


def test_of_a_run_the_opening_goes_first_and_the_last_status_last() -> None:
    entries: list[Entry] = [
        Change("a", 1, "RUNNING"),
        Tags("a", {"t": "1", "u": "1"}),
        Artifact("a", "x"),
        metrics("a", 1),
        Change("a", 2, "FINISHED"),
        Params("a", {"p": "1"}),
        Tags("a", {"t": "2"}),
        Params("a", {"q": "2"}),
        Opening("a", 0, "a", {}),
    ]
    sent = list(requests(entries))
    assert [request.content for request in sent] == [
        Opening("a", 0, "a", {}),
        Params("a", {"p": "1", "q": "2"}),
        Points("a", (Point("m0", 1.0, 1, 101),)),
        Tags("a", {"t": "2", "u": "1"}),
        Artifact("a", "x"),
        Change("a", 2, "FINISHED"),
    ]
    assert [(request.points, request.others) for request in sent] == [
        (0, 1),
        (0, 2),
        (1, 0),
        (0, 2),
        (0, 1),
        (0, 2),
    ]


def test_texts_are_split_by_number_and_by_length() -> None:
    entries: list[Entry] = [
        Params("a", {f"p{number}": "x" * 3000 for number in range(60)}),
        Tags("a", {f"t{number}": "" for number in range(150)}),
        View(SWEEP, "v", "x" * 200_000),
    ]
    sent = [(request.content, request.others) for request in requests(entries)]
    sizes = [(len(content.values), others) for content, others in sent[:4]]  # type: ignore[union-attr]
    assert sizes == [(33, 1), (27, 0), (100, 1), (50, 0)]
    assert sent[4] == (View(SWEEP, "v", "x" * 200_000), 1)
    assert len(sent) == 5
