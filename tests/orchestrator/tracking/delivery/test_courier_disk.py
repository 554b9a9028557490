"""The courier and its file: a full disk, a broken line, a file that cannot be read for a moment."""

import os
import time
from collections import deque
from pathlib import Path

import pytest

from orchestrator.tracking.delivery import courier as tracking_courier
from orchestrator.tracking.delivery.entries import SWEEP, Change
from orchestrator.tracking.delivery.outbox import FILE, Outbox, Window
from orchestrator.tracking.delivery.outcome import Delivery
from tests.orchestrator.courier_post import Log, Post, delivered, point

pytestmark = pytest.mark.usefixtures("short_pauses")


def begun(folder: Path) -> tuple[Log, Post]:
    """A store that has got the first point of run "a"."""
    store = Log()
    mail = Post(folder, lambda: store)
    mail.post(point("a", 1))
    assert mail.courier.wait_idle(10)
    return store, mail


def test_a_broken_line_is_counted(tmp_path: Path) -> None:
    mail = Post(tmp_path, Log)
    mail.post(point("a", 1))
    assert mail.courier.close(10) == delivered(1)
    with (tmp_path / FILE).open("ab") as file:
        file.write(b"nonsense\n")
    again = Post(tmp_path, Log)
    again.courier.wake()
    assert again.courier.close(10) == Delivery(0, 0, 0, 0, 1, "a line of the outbox is no entry")


def test_what_a_full_disk_held_back_is_delivered_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, mail = begun(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda *_: 0)
        mail.post(point("a", 2))
        time.sleep(0.1)
    start = time.monotonic()
    assert mail.courier.close(30) == delivered(2)
    assert time.monotonic() - start < 5
    assert store.steps == [1, 2]


def test_what_a_full_disk_never_takes_goes_straight_on_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, mail = begun(tmp_path)
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    mail.post(point("a", 2), point("b", 1), Change(SWEEP, 1, "FINISHED"))
    assert mail.courier.close(10) == delivered(3)
    assert store.steps == [1, 2, 1]
    assert store.got[-1] == Change(SWEEP, 1, "FINISHED")


def test_what_neither_disk_nor_store_takes_is_told_to_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, mail = begun(tmp_path)
    store.reachable, store.failures = False, deque([OSError("gone")] * 10_000)
    mail.post(point("a", 2))
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    mail.post(point("a", 3), point("b", 1))
    said = "here: gone; the disk has no room for 2 of the entries, which are lost"
    assert mail.courier.close(0.2) == Delivery(1, 3, 0, 0, 0, said)
    assert Outbox(tmp_path).window(0).entries == [point("a", 1), point("a", 2)]


def test_a_file_that_cannot_be_read_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_courier, "LONGEST_PAUSE_S", 0.01)
    store = Log()
    mail = Post(tmp_path, lambda: store)
    window, failures = mail.outbox.window, [OSError(5, "Input/output error")] * 3

    def failing(start: int) -> Window:
        if failures:
            raise failures.pop()
        return window(start)

    mail.outbox.window = failing  # type: ignore[method-assign]
    mail.post(point("a", 1))
    assert mail.courier.wait_idle(10)
    assert mail.courier.close(10) == delivered(1)
