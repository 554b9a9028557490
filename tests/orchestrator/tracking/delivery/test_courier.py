"""The courier without MLflow: order, requests, trying again, giving up."""

import json
import logging
import time
from pathlib import Path

import pytest

from orchestrator.tracking.delivery import courier as tracking_courier
from orchestrator.tracking.delivery.courier import Refused
from orchestrator.tracking.delivery.entries import SWEEP, Change, Tags
from orchestrator.tracking.delivery.outbox import REFUSED
from orchestrator.tracking.delivery.outcome import Delivery
from orchestrator.tracking.delivery.requests import Content, Points
from tests.orchestrator.courier_post import Log, Post, delivered, point

pytestmark = pytest.mark.usefixtures("short_pauses")


def test_what_waits_for_a_run_travels_together(tmp_path: Path) -> None:
    store = Log()
    mail = Post(tmp_path, lambda: store)
    store.gate.clear()
    mail.post(point("a", 0))
    time.sleep(0.1)  # the first point is on its way
    mail.post(*(point("a", step) for step in range(1, 1500)))
    mail.post(Tags("a", {"t": "1"}), Tags("a", {"t": "2"}))
    store.gate.set()
    assert mail.courier.close(10) == delivered(1500)
    sizes = [len(got.points) for got in store.got if isinstance(got, Points)]
    assert sizes == [1, 1000, 499]
    assert store.got[-1] == Tags("a", {"t": "2"})
    assert store.steps == list(range(1500))


def test_the_sweep_ends_after_its_trials(tmp_path: Path) -> None:
    store = Log()
    mail = Post(tmp_path, lambda: store)
    for trial_id in ("a", "b"):
        mail.post(point(trial_id, 1), Change(trial_id, 1, "FINISHED"))
    mail.post(Change(SWEEP, 1, "FINISHED"))
    assert mail.courier.close(10).complete
    assert [got.run for got in store.got] == ["a", "a", "b", "b", SWEEP]


def test_an_outage_loses_nothing_and_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store = Log()
    store.failures += [OSError("refused: http://me:secret@host/")] * 7
    store.reachable = False
    mail = Post(tmp_path, lambda: store)
    mail.post(*(point("a", step) for step in range(10)))
    assert mail.courier.wait_connected(10) is None
    assert mail.courier.wait_idle(10)
    assert mail.courier.close(10) == delivered(10)
    assert store.steps == list(range(10))
    assert caplog.messages == [
        "cannot log to here: refused: http://host/; it waits in the outbox and is tried again",
        "here answers again",
    ]


def test_a_store_that_opens_at_the_third_attempt(tmp_path: Path) -> None:
    store, attempts = Log(), []

    def open_store() -> Log:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("not yet")
        return store

    mail = Post(tmp_path, open_store)
    mail.post(*(point("a", step) for step in range(5)))
    assert mail.courier.wait_idle(10)
    assert mail.courier.close(0) == delivered(5)


def test_a_request_that_always_fails_is_set_aside_so_that_others_get_through(tmp_path: Path) -> None:
    store = Log()
    store.poison = "bad"
    mail = Post(tmp_path, lambda: store)
    mail.post(Tags("a", {"bad": "1"}), point("b", 1), point("b", 2))
    assert mail.courier.wait_idle(10)
    assert mail.courier.close(0) == Delivery(2, 0, 0, 0, 1, "internal error")
    (kept,) = (tmp_path / REFUSED).read_text().splitlines()
    assert json.loads(kept) == {
        "reason": "internal error",
        "refused": "Tags(run='a', values={'bad': '1'}, kind='tags')",
    }


def test_a_request_that_fails_as_the_store_comes_back_is_kept(tmp_path: Path) -> None:
    """The last of many failures is followed by an answer: that is no reason to blame the request."""
    store = Log()
    store.failures += [OSError("down")] * 8
    answers = iter([False] * 7 + [True])
    store.answers = lambda: next(answers)  # type: ignore[method-assign]
    mail = Post(tmp_path, lambda: store)
    mail.post(*(point("a", step) for step in range(3)))
    assert mail.courier.wait_idle(10)
    assert mail.courier.close(0) == delivered(3)


def test_a_refused_request_is_set_aside_alone(tmp_path: Path) -> None:
    store = Log()
    store.failures.append(Refused("no such run"))
    mail = Post(tmp_path, lambda: store)
    mail.post(*(point("a", step) for step in range(3)))
    assert mail.courier.wait_idle(10)
    mail.post(point("a", 3), point("a", 4))
    delivery = mail.courier.close(10)
    assert delivery == Delivery(2, 0, 0, 3, 0, "no such run")
    assert not delivery.undelivered
    assert str(delivery) == "2 metric points delivered; 3 points and 0 other entries refused: no such run"


def test_a_store_that_hangs_holds_nobody_up_and_the_next_process_delivers(tmp_path: Path) -> None:
    store = Log()
    store.gate.clear()
    mail = Post(tmp_path, lambda: store)
    start = time.monotonic()
    mail.post(*(point("a", step) for step in range(1000)), Tags("a", {"t": "1"}))
    assert time.monotonic() - start < 0.5
    delivery = mail.courier.close(0.1)
    assert delivery == Delivery(0, 1000, 1, 0, 0, "here did not answer in time")
    assert str(delivery) == (
        "0 metric points delivered; 1000 points and 1 other entry wait: here did not answer in time"
    )
    assert time.monotonic() - start < 2
    store.gate.set()
    time.sleep(0.05)
    assert mail.courier.close(0).points_waiting == 1000, "what comes through later is not counted"

    second = Log()
    again = Post(tmp_path, lambda: second)
    again.post(point("a", 1000))
    assert again.courier.close(10) == delivered(1001)
    assert second.steps == list(range(1001))


def test_a_store_that_never_opened_is_not_waited_for(tmp_path: Path) -> None:
    def open_store() -> Log:
        raise OSError("nobody is there")

    mail = Post(tmp_path, open_store)
    mail.post(point("a", 1))
    assert mail.courier.wait_connected(10) == "here: nobody is there"
    start = time.monotonic()
    assert mail.courier.close(60) == Delivery(0, 1, 0, 0, 0, "here: nobody is there")
    assert time.monotonic() - start < 5


def test_what_is_settled_of_a_window_is_not_counted_as_waiting(tmp_path: Path) -> None:
    """Two of three requests of a window arrive, then the store is gone."""
    store = Log()
    mail = Post(tmp_path, lambda: store)
    deliver = store.deliver

    def twice(content: Content) -> None:
        if len(store.got) == 2:
            raise OSError("gone")
        deliver(content)

    store.deliver, store.reachable = twice, False  # type: ignore[method-assign]
    for entry in (Tags("a", {"t": "1"}), point("b", 1), point("b", 2), point("c", 1), Tags("c", {"t": "1"})):
        mail.outbox.append(entry)
    mail.courier.wake()
    assert mail.courier.wait_connected(5) is None
    assert mail.courier.close(0.5) == Delivery(2, 1, 1, 0, 0, "here: gone")


def test_what_is_delivered_is_not_sent_again_but_to_another_store(tmp_path: Path) -> None:
    first, second, other = Log("one"), Log("one"), Log("another")
    for store, new in ((first, (1, 2)), (second, (3,)), (other, ())):
        mail = Post(tmp_path, lambda store=store: store)  # type: ignore[misc]
        mail.post(*(point("a", step) for step in new))
        assert mail.courier.close(10).complete
    assert (first.steps, second.steps, other.steps) == ([1, 2], [3], [1, 2, 3])


def test_closing_waits_for_as_long_as_something_arrives(tmp_path: Path) -> None:
    store = Log()
    mail = Post(tmp_path, lambda: store)
    deliver = store.deliver

    def slow(content: Content) -> None:
        time.sleep(0.1)
        deliver(content)

    store.deliver = slow  # type: ignore[method-assign]
    mail.post(*(point(f"t{number}", 1) for number in range(12)))
    assert mail.courier.close(0.3) == delivered(12)


def test_what_was_refused_is_sent_again_by_the_next_process(tmp_path: Path) -> None:
    first = Log()
    first.poison = "bad"
    mail = Post(tmp_path, lambda: first)
    mail.post(point("a", 1), Tags("a", {"bad": "1"}), point("a", 2))
    assert mail.courier.close(10).others_refused == 1

    second = Log()
    again = Post(tmp_path, lambda: second)
    again.courier.wake()
    assert again.courier.close(10) == delivered(2)
    assert Tags("a", {"bad": "1"}) in second.got
    assert not (tmp_path / REFUSED).exists()

    third = Log()
    last = Post(tmp_path, lambda: third)
    last.courier.wake()
    assert last.courier.close(10) == delivered(0)
    assert third.got == []


def test_a_passing_error_of_a_store_that_answers_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be read all the while, but not written: its disk is full, say."""
    monkeypatch.setattr(tracking_courier, "SET_ASIDE_S", 5.0)
    store = Log()
    store.failures += [OSError("database is locked")] * 20
    mail = Post(tmp_path, lambda: store)
    mail.post(point("a", 1), point("a", 2))
    assert mail.courier.close(10) == delivered(2)


def test_a_store_that_turns_the_sweep_away(tmp_path: Path) -> None:
    def open_store() -> Log:
        raise Refused("another sweep has the name")

    mail = Post(tmp_path, open_store)
    mail.post(point("a", 1))
    assert mail.courier.wait_connected(10) == "another sweep has the name"
    assert mail.courier.turned_away
    assert mail.courier.close(60) == Delivery(0, 1, 0, 0, 0, "another sweep has the name")


def test_closing_what_never_began_takes_no_time(tmp_path: Path) -> None:
    mail = Post(tmp_path, Log)
    start = time.monotonic()
    assert mail.courier.close(60) == delivered(0)
    assert time.monotonic() - start < 2
