"""The outbox without MLflow: order, requests, trying again, giving up."""

import logging
import threading
import time
from collections import deque
from pathlib import Path

import pytest

from orchestrator import tracking_outbox
from orchestrator.tracking_limits import name_problem, shortened, shortened_markdown, without_password
from orchestrator.tracking_mail import SWEEP, Change, Letter, Mailbox, Opening, Point
from orchestrator.tracking_outbox import Delivery, Outbox, Refused


class Log:
    """A store that notes what it gets, and fails as it is told."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.failures: deque[Exception] = deque()
        self.poison: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.reachable = True

    def deliver(self, letter: Letter) -> int:
        self.gate.wait()
        if self.failures:
            raise self.failures.popleft()
        if self.poison is not None and self.poison in letter.tags:
            raise RuntimeError("internal error")
        self.letters.append(letter)
        return len(letter.points)

    def answers(self) -> bool:
        return self.reachable


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_outbox, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(tracking_outbox, "CLOSING_PAUSE_S", 0.01)


def points(count: int, first: int = 0) -> deque[Point]:
    return deque(Point("nll", float(step), step, step) for step in range(first, first + count))


def test_what_waits_for_a_run_travels_together() -> None:
    store = Log()
    outbox = Outbox(lambda: store, "here")
    store.gate.clear()
    outbox.post("a", Mailbox(points=points(1)))
    time.sleep(0.05)  # the first point is on its way
    for step in range(1, 1500):
        outbox.post("a", Mailbox(points=points(1, step)))
    outbox.post("a", Mailbox(params={"p": "1"}, tags={"t": "1"}))
    outbox.post("a", Mailbox(tags={"t": "2"}))
    store.gate.set()
    assert outbox.close(10) == Delivery(1500, 0, 0, None)
    assert [len(letter.points) for letter in store.letters] == [1, 0, 1000, 499, 0]
    assert store.letters[1].params == {"p": "1"}
    assert store.letters[4].tags == {"t": "2"}
    steps = [point.step for letter in store.letters for point in letter.points]
    assert steps == list(range(1500))


def test_a_letter_holds_one_kind_of_thing_within_the_limits() -> None:
    box = Mailbox(Opening("n", {}, 0), {f"p{n}": "x" * 3000 for n in range(60)}, points(3))
    box.add(Mailbox(tags={f"t{n}": "" for n in range(150)}, change=Change("FINISHED", 1)))
    box.artifacts.append(Path("a"))
    letters = []
    while letter := box.letter("r", closing=True):
        letters.append(letter)
        box.remove(letter)
    assert box.size == 0
    kinds = [
        (len(letter.params), len(letter.points), len(letter.tags), letter.change is not None, letter.artifact)
        for letter in letters
    ]
    assert kinds == [
        (33, 0, 0, False, None),
        (27, 0, 0, False, None),
        (0, 3, 0, False, None),
        (0, 0, 100, False, None),
        (0, 0, 50, False, None),
        (0, 0, 0, True, None),
        (0, 0, 0, False, Path("a")),
    ]


def test_the_sweep_ends_after_its_trials() -> None:
    store = Log()
    outbox = Outbox(lambda: store, "here")
    store.gate.clear()
    outbox.post("a", Mailbox(tags={"first": ""}))  # on its way while the others are posted
    outbox.post(SWEEP, Mailbox(change=Change("FINISHED", 1)))
    for trial_id in ("a", "b"):
        outbox.post(trial_id, Mailbox(points=points(1), tags={"t": "1"}, change=Change("FINISHED", 1)))
    store.gate.set()
    assert outbox.close(10).complete
    assert [letter.run for letter in store.letters][-1] == SWEEP
    assert [letter.run for letter in store.letters].count("b") == 3


def test_an_outage_loses_nothing_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store = Log()
    store.failures += [OSError("refused: http://me:secret@host/")] * 7
    store.reachable = False
    outbox = Outbox(lambda: store, "here")
    for step in range(10):
        outbox.post("a", Mailbox(points=points(1, step)))
    assert outbox.wait_connected(10) in (None, "here: refused: http://host/")
    assert outbox.wait_empty(10)
    assert outbox.close(10) == Delivery(10, 0, 0, None)
    assert [point.step for letter in store.letters for point in letter.points] == list(range(10))
    for _ in range(200):
        if len(caplog.messages) > 1:
            break
        time.sleep(0.01)
    assert caplog.messages == [
        "cannot log to here: refused: http://host/; the sweep goes on, logging is tried again",
        "here answers again",
    ]


def test_a_store_that_opens_at_the_third_attempt() -> None:
    store, attempts = Log(), []

    def open_store() -> Log:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("not yet")
        return store

    outbox = Outbox(open_store, "here")
    outbox.post("a", Mailbox(points=points(5)))
    assert outbox.wait_empty(10)
    assert outbox.close(0) == Delivery(5, 0, 0, None)


def test_a_letter_that_always_fails_is_dropped_so_that_others_get_through() -> None:
    store = Log()
    store.poison = "bad"
    outbox = Outbox(lambda: store, "here")
    outbox.post("a", Mailbox(tags={"bad": "1"}))
    outbox.post("b", Mailbox(points=points(2)))
    assert outbox.wait_empty(10)
    assert outbox.close(0) == Delivery(2, 0, 1, "internal error")


def test_a_letter_that_fails_as_the_store_comes_back_is_kept() -> None:
    """The last of many failures is followed by an answer: that is no reason to blame the letter."""
    store = Log()
    store.failures += [OSError("down")] * 8
    answers = iter([False] * 7 + [True])
    store.answers = lambda: next(answers)  # type: ignore[method-assign]
    outbox = Outbox(lambda: store, "here")
    outbox.post("a", Mailbox(points=points(3)))
    assert outbox.wait_empty(10)
    assert outbox.close(0) == Delivery(3, 0, 0, None)


def test_failures_of_several_runs_are_not_added_up() -> None:
    store = Log()
    store.gate.clear()
    store.failures += [OSError("try again")] * 5
    outbox = Outbox(lambda: store, "here")
    for run in "abcde":
        outbox.post(run, Mailbox(points=points(1)))
    store.gate.set()
    assert outbox.wait_empty(10)
    assert outbox.close(0) == Delivery(5, 0, 0, None)
    assert {letter.run for letter in store.letters} == set("abcde")


def test_a_letter_that_always_fails_is_dropped_while_others_are_delivered() -> None:
    store = Log()
    store.poison = "bad"
    outbox = Outbox(lambda: store, "here")
    outbox.post("a", Mailbox(tags={"bad": "1"}))
    for step in range(1000):
        outbox.post("b", Mailbox(points=points(1, step)))
        if "a" not in outbox.waiting():
            break
        time.sleep(0.01)
    assert outbox.close(10) == Delivery(step + 1, 0, 1, "internal error")
    assert step < 900, "not only at the end"


def test_a_refused_letter_is_lost_alone() -> None:
    store = Log()
    store.failures.append(Refused("no such run"))
    outbox = Outbox(lambda: store, "here")
    outbox.post("a", Mailbox(points=points(3)))
    assert outbox.wait_empty(10)
    outbox.post("a", Mailbox(points=points(2)))
    delivery = outbox.close(10)
    assert delivery == Delivery(2, 3, 0, "no such run")
    assert str(delivery) == "2 metric points logged; 3 points and 0 other entries were not: no such run"


def test_a_store_that_hangs_holds_nobody_up() -> None:
    store = Log()
    store.gate.clear()
    outbox = Outbox(lambda: store, "here")
    start = time.monotonic()
    for step in range(1000):
        outbox.post("a", Mailbox(points=points(1, step)))
    assert time.monotonic() - start < 0.5
    assert outbox.wait_connected(0.05) == "here did not answer within 0.05 s"
    assert outbox.close(0.1) == Delivery(0, 1000, 0, "here did not answer in time")
    assert time.monotonic() - start < 1
    store.gate.set()
    time.sleep(0.05)
    assert outbox.close(0).points_lost == 1000, "what comes through later does not change the account"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_outbox, "MOST_WAITING", 10)
    store = Log()
    store.gate.clear()
    outbox = Outbox(lambda: store, "here")
    for step in range(15):
        outbox.post("a", Mailbox(points=points(1, step), tags={"t": str(step)}))
    store.gate.set()
    assert outbox.close(10) == Delivery(10, 5, 0, "more than 10 points were waiting")
    assert store.letters[-1].tags == {"t": "14"}


@pytest.mark.parametrize("name", ["nll", "test/nll", "best/nll_plus_kl", "a b:c.d-e", "ß"])
def test_names_that_mlflow_takes(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("name", ["", "nll+kl", "/a", "a//b", "../a", "a/./b", "a/", ".", "x" * 251])
def test_names_that_mlflow_refuses(name: str) -> None:
    assert name_problem(name) is not None


def test_texts() -> None:
    assert shortened("x" * 50, 50) == "x" * 50
    assert shortened("x" * 51, 50) == "x" * 21 + " … [shortened, 51 characters]"
    assert len(shortened("x" * 51, 50)) == 50
    assert shortened_markdown("a\n" * 50, 60) == "a\n" * 10 + "a\n\n*Shortened: 100 characters in all.*"
    assert without_password("see http://me:secret@host:1/x and postgresql://u:p@db/x") == (
        "see http://host:1/x and postgresql://db/x"
    )
