"""Prospects: what is stopped, by hand-computed courses; and by the searcher, without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from orchestrator.search.objectives import Elbo, Frontier, Point, moves
from orchestrator.search.plan import SearchPlan
from orchestrator.search.prospects import DOMINATED, LEAST, MARGIN, Course, Prospects
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.searched import final

OBJECTIVE = Frontier(kl_floor=0.5, margin=0.0)
FOUND = [Point(-4.0, 2.0), Point(-2.0, 1.0)]


def ended() -> Prospects:
    """One that won 1 nat of NLL for half a nat of KL behind its second epoch, and one that won half a nat."""
    prospects = Prospects()
    for trial_id, behind, nll, kl in (("a", 2, -3.0, 1.5), ("a", 3, -3.9, 2.0), ("b", 2, -1.5, 1.0)):
        prospects.stands(trial_id, behind, Point(nll, kl))
    prospects.ends("a", FOUND[0])
    prospects.ends("b", FOUND[1])
    return prospects


@pytest.mark.parametrize(
    ("point", "adds"),
    [
        (Point(-4.1, 2.0), True),  # 0.1 below one of them
        (Point(-3.9, 2.0), False),
        (Point(-3.5, 1.4), True),  # between the two, below the line from the one to the other
        (Point(-2.0, 1.9), False),  # no gain that the first has not
        (Point(-9.0, 0.1), True),  # its NLL holds from the floor on
        (Point(1.0, 0.1), False),
    ],
)
def test_what_moves_a_frontier(point: Point, adds: bool) -> None:
    assert moves(OBJECTIVE, [point], FOUND) is adds


@given(st.lists(st.tuples(st.floats(-5, 0), st.floats(0, 5)), min_size=1, max_size=30), st.floats(0, 9))
def test_what_is_no_better_than_another_moves_nothing(found: list[tuple[float, float]], more: float) -> None:
    points = [Point(nll, kl) for nll, kl in found]
    worse = [Point(each.nll + more, each.kl + more) for each in points]
    if OBJECTIVE.gain(points) > 0:
        assert not moves(OBJECTIVE, worse, points)


def test_while_nothing_is_feasible_what_comes_closer_moves_it() -> None:
    found = [Point(0.0, 0.1)]  # breaks the floor by 0.4, and the margin by 0.1
    assert moves(OBJECTIVE, [Point(0.0, 0.2)], found) is False  # as far, and a higher sum
    assert moves(OBJECTIVE, [Point(-0.2, 0.2)], found)  # by 0.3 alone
    assert moves(OBJECTIVE, [Point(9.0, 0.0)], [])
    assert moves(Elbo(), [Point(0.5, 0.0)], [Point(0.6, 0.0)])
    assert not moves(Elbo(), [Point(0.7, 0.0)], [Point(0.6, 0.0)])


def test_what_was_left_of_a_training() -> None:
    course = Course({2: Point(-3.0, 1.5), 4: Point(-3.9, 2.0)}, Point(-4.0, 1.75))
    assert course.rest(2) == Point(-1.0, 0.25)
    assert course.rest(3) is None  # it was lost meanwhile and went on from a checkpoint
    assert course.rest(5) == Course({}, Point(-4.0, 1.75)).rest(1) == Point(0.0, 0.0)


@pytest.mark.parametrize(
    ("behind", "point", "stopped"),
    [
        (2, Point(-3.1, 1.4), False),  # half as much again as a's rest brings it to (-4.6, 2.15)
        (2, Point(-1.2, 1.6), True),  # to (-2.7, 2.35) or (-1.95, 1.6): either is dominated
        (2, Point(-1.3, 1.6), False),  # to (-2.05, 1.6)
        (3, Point(-3.1, 1.4), False),  # as it stands it lies between the two
        (3, Point(-1.9, 1.0), False),  # a's rest of 0.1 nats, and half of it, is enough; b had ended
        (3, Point(-1.8, 1.0), True),  # and here it is not
        (4, Point(-1.95, 1.0), True),  # both had ended
        (1, Point(9.0, 9.0), False),  # nobody knows what was left there
    ],
)
def test_a_training_is_stopped_where_no_rest_would_do(behind: int, point: Point, stopped: bool) -> None:
    assert ended().is_dominated(OBJECTIVE, behind, point, FOUND) is stopped


def test_it_takes_two_that_have_ended() -> None:
    prospects = Prospects()
    for number in range(LEAST):
        assert not prospects.is_dominated(OBJECTIVE, 1, Point(9.0, 9.0), FOUND)
        prospects.ends(str(number), Point(-2.0, 1.0))
    assert prospects.is_dominated(OBJECTIVE, 1, Point(9.0, 9.0), FOUND)


def test_what_diverged_or_was_stopped_is_no_measure() -> None:
    prospects = Prospects()
    prospects.stands("a", 1, Point(0.0, 1.0))
    prospects.ends("a", Point(float("nan"), 1.0))
    assert (prospects.ended, prospects.running) == ([], {})


def nats(low: int, high: int) -> st.SearchStrategy[float]:
    """In 64ths, so that sums are exact."""
    return st.integers(64 * low, 64 * high).map(lambda count: count / 64)


@given(st.lists(st.tuples(nats(-2, 0), nats(-2, 0)), min_size=2, max_size=5), nats(-5, 0), nats(0, 5))
def test_what_improves_as_an_earlier_one_did_to_the_frontier_is_never_stopped(
    rests: list[tuple[float, float]], nll: float, kl: float
) -> None:
    prospects = Prospects()
    for number, (by_nll, by_kl) in enumerate(rests):
        prospects.stands(str(number), 1, Point(-1.0 - by_nll, 2.5 - by_kl))
        prospects.ends(str(number), Point(-1.0, 2.5))
    for by_nll, by_kl in rests:
        if moves(OBJECTIVE, [Point(nll + MARGIN * by_nll, max(0.0, kl + MARGIN * by_kl))], FOUND):
            assert not prospects.is_dominated(OBJECTIVE, 1, Point(nll, kl), FOUND)


def searched(**search: Any) -> SweepSearcher:
    """Behind its baseline, whose NLL + KL is 10: two of cyclical's trials ended a nat below it, the third
    runs, and vanilla's, which have nothing to search."""
    options = {"name": "s", "variants": "cyclical,vanilla", "trials": 3, "replicates": 1, "baseline_seeds": 1}
    search = {"sampler": "random", "stop_dominated": True, **search}
    searcher = SweepSearcher(SearchPlan.of(SweepSpec.load(None, {**options, "search": search})))
    searcher.set_max_concurrency(10)
    assert searcher.suggest("b")["kind"] == "baseline"
    assert not searcher.is_dominated("b", 3, 99.0, 0.0)
    searcher.on_trial_complete("b", final(10.0, 0.0))
    asked = {}
    while (config := searcher.suggest(name := str(len(asked)))) is not None:
        asked[name] = config["variant"]
    cyclical = [name for name, variant in asked.items() if variant == "cyclical"]
    for name in cyclical[:2]:
        assert not searcher.is_dominated(name, 3, 9.0, 1.5)
        searcher.on_trial_complete(name, final(9.0))  # 1 nat of NLL and half a nat of KL were left
    return searcher


def running(searcher: SweepSearcher, variant: str) -> str:
    return next(name for name, asked in searcher._running.items() if asked.plan.variant == variant)


def test_the_searcher_stops_a_searched_trial_and_prunes_it(tmp_path: Path) -> None:
    searcher = searched()
    trial = running(searcher, "cyclical")
    assert not searcher.is_dominated(trial, 3, 9.4, 1.8)  # 1.5 times that: (-2.1, 1.05) for (-2, 1)
    assert searcher.is_dominated(trial, 3, 9.6, 1.8)
    assert not searcher.is_dominated(running(searcher, "vanilla"), 3, 99.0, 1.5)
    searcher.save(str(tmp_path / "state"))
    restored = SweepSearcher(searcher.plan)
    restored.restore(str(tmp_path / "state"))
    assert restored.is_dominated(trial, 3, 9.6, 1.8)
    restored.on_trial_complete(trial, {"failure": DOMINATED})
    states = [each.state for each in restored._studies["cyclical", ""].optuna.trials]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED]


def test_nothing_is_stopped_where_that_is_not_asked_for() -> None:
    searcher = searched(stop_dominated=False)
    assert not searcher.is_dominated(running(searcher, "cyclical"), 3, 99.0, 1.5)
