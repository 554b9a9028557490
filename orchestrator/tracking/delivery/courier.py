"""The courier: a background thread that brings the outbox's entries to MLflow, and tries again.

Knows no MLflow. Whoever appends to the outbox never waits for a network or a database and sees no exception.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from orchestrator.common.problems import reason, without_password
from orchestrator.tracking.delivery.outbox import Outbox, Waiting, Window
from orchestrator.tracking.delivery.outcome import Delivery
from orchestrator.tracking.delivery.requests import Content, Request, requests

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S, CLOSING_PAUSE_S = 0.5, 15.0, 0.25
LINGER_S = 3.0
"""Entries that follow within this time travel together."""
LOOK_S = 0.25
MOST_TRIES, SET_ASIDE_S = 5, 30.0
"""Times and seconds that a request may fail while the store answers; it is set aside then, so that others get
through, and sent again by the next process."""


class Refused(Exception):  # noqa: N818
    """The store will never take this. Any other exception means: try again later."""


class Store(Protocol):
    """Where entries go."""

    @property
    def parent_id(self) -> str:
        """What tells this store's record of the sweep from another store's."""

    def deliver(self, content: Content) -> None:
        """Writes it, creating its run if need be. What was written before is not written twice.

        Raises:
            Refused: when trying again cannot help.
        """

    def answers(self) -> bool:
        """Whether the store can be reached."""


class Courier:
    """Delivers from one background thread, in the order of the file, as few requests as that allows.

    Args:
        open_store: called in the thread, again and again until it succeeds or raises `Refused`.
        where: names the store in messages.
    """

    def __init__(self, outbox: Outbox, open_store: Callable[[], Store], where: str) -> None:
        self._outbox, self._open_store, self._where = outbox, open_store, where
        self._changed = threading.Condition()
        self._news, self._hurry, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._store: Store | None = None
        self._place = 0
        self._ahead = Waiting(0, 0)  # settled in the window at `_place`
        self._outage: str | None = None
        self._why: str | None = None
        self.turned_away = False
        """Whether the store will never open for this outbox."""
        self._points_delivered = self._points_refused = self._others_refused = 0
        self._settled = 0  # points and other entries, by this process

    def wake(self) -> None:
        """Says that there is something new in the outbox."""
        self._news.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mlflow-courier", daemon=True)
            self._thread.start()

    def note_refused(self, points: int, what: str, why: str) -> None:
        """Keeps what was refused before it was sent."""
        self._outbox.refuse(what, why)
        with self._changed:
            self._count_refused(points, 0, why)

    def wait_connected(self, timeout: float) -> str | None:
        """Waits until the store is open or a first attempt has failed; what is wrong, None if nothing is."""
        with self._changed:
            self._changed.wait_for(lambda: self._store or self._outage, timeout)
            if self._store is not None:
                return None
            return self._outage or f"{self._where} did not answer within {timeout:g} s"

    def wait_idle(self, timeout: float) -> bool:
        """Waits until all that is in the outbox is settled; whether it is."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._stop.is_set(), timeout)
            return self._idle

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._hurry.is_set()

    def waiting(self) -> Waiting:
        """What is still to be delivered."""
        with self._changed:
            lying = self._outbox.waiting(self._place)
            return Waiting(lying.points - self._ahead.points, lying.others - self._ahead.others)

    def close(self, patience: float, watch: Callable[[int, float], None] | None = None) -> Delivery:
        """Delivers the rest for as long as something arrives within that many seconds, less if the store was
        never seen; then stops. What is not delivered stays in the outbox.

        Args:
            watch: told now and then how much is settled of what waited when this was called, and for how many
                seconds nothing has arrived.
        """
        self._outbox.write_rest()
        self._hurry.set()
        self._news.set()  # that may be something new
        begun = settled = self._settled
        since = time.monotonic()
        while not self._stop.is_set() and not self.wait_idle(min(patience, LOOK_S)):
            if self._thread is None:
                break
            arrived = settled != self._settled
            if arrived:
                settled, since = self._settled, time.monotonic()
            silent_s = time.monotonic() - since
            if watch is not None:
                watch(settled - begun, silent_s)
            if not arrived and silent_s >= patience:
                break
        self._stop.set()
        self._news.set()
        self._outbox.write_rest()
        waiting = self.waiting()
        with self._changed:
            error = self._why
            if waiting.points or waiting.others:
                error = error or self._outage or f"{self._where} did not answer in time"
                if lost := self._outbox.unwritten:
                    error += f"; the disk has no room for {lost} of the entries, which are lost"
            return Delivery(
                self._points_delivered,
                waiting.points,
                waiting.others,
                self._points_refused,
                self._others_refused,
                error,
            )

    @property
    def _idle(self) -> bool:
        return self._store is not None and self._place == self._outbox.end and not self._outbox.unwritten

    def _work(self) -> None:
        store = self._opened()
        while store is not None and not self._stop.is_set():
            self._news.clear()
            window = self._window()
            if window is None:
                self._hurry.wait(LONGEST_PAUSE_S)
                continue
            if not window.entries and window.end == self._place:
                if self._hurry.is_set() and self._outbox.unwritten:
                    self._deliver_held_back(store)
                    continue
                self._news.wait()
                self._hurry.wait(LINGER_S)
                continue
            if window.broken:
                with self._changed:
                    self._count_refused(0, window.broken, "a line of the outbox is no entry")
            for request in requests(window.entries):
                if not self._delivered(store, request):
                    return
            self._advance(store, window.end)

    def _deliver_held_back(self, store: Store) -> None:
        """At the end what a full disk has never taken goes straight on."""
        entries = self._outbox.held_back()
        if all(self._delivered(store, request) for entry in entries for request in requests([entry])):
            with self._changed:
                self._outbox.forget(len(entries))
                self._ahead = Waiting(0, 0)
                self._changed.notify_all()

    def _window(self) -> Window | None:
        """What comes next; None if the file cannot be read just now."""
        try:
            return self._outbox.window(self._place)
        except OSError as problem:
            self._note_outage(problem)
            return None

    def _opened(self) -> Store | None:
        """The store; None when it is time to stop."""
        pause = FIRST_PAUSE_S
        while not self._stop.is_set():
            hurried = self._hurry.is_set()
            try:
                store = self._open_store()
            except Refused as refusal:
                self.turned_away, self._outage = True, str(refusal)
                self._stop_trying()
            except Exception as problem:
                self._note_outage(problem)
                if hurried:  # the last attempt was in a hurry, and none ever worked
                    self._stop_trying()
                self._hurry.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                place = self._outbox.first_undelivered(store.parent_id)
                with self._changed:
                    self._store, self._place = store, place
                    self._end_outage()
                return store
        return None

    def _delivered(self, store: Store, request: Request) -> bool:
        """Delivers the request, however long that takes; false when it is time to stop."""
        tries, since, pause = 0, time.monotonic(), FIRST_PAUSE_S
        while not self._stop.is_set():
            try:
                store.deliver(request.content)
            except Refused as refusal:
                return self._settle(request, refusal=str(refusal))
            except Exception as problem:
                if not store.answers():
                    tries, since = 0, time.monotonic()
                tries += 1
                if tries > MOST_TRIES and time.monotonic() - since >= SET_ASIDE_S:
                    return self._settle(request, refusal=reason(problem))
                self._note_outage(problem)
                if self._hurry.is_set():
                    self._stop.wait(CLOSING_PAUSE_S)
                else:
                    self._hurry.wait(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                return self._settle(request)
        return False

    def _settle(self, request: Request, *, refusal: str | None = None) -> bool:
        """The request is delivered, or refused; false if that came too late to be counted."""
        with self._changed:
            if self._stop.is_set():
                return False
            self._ahead = Waiting(self._ahead.points + request.points, self._ahead.others + request.others)
            self._settled += request.points + request.others
            if refusal is None:
                self._points_delivered += request.points
            else:
                self._count_refused(request.points, request.others, refusal)
            self._end_outage()
        if refusal is not None:
            self._outbox.refuse(str(request.content), refusal)
            logger.warning("%s refused an entry: %s", self._where, without_password(refusal))
        return True

    def _advance(self, store: Store, end: int) -> None:
        """All before `end` is settled."""
        self._outbox.delivered(store.parent_id, end)
        with self._changed:
            self._place, self._ahead = end, Waiting(0, 0)
            self._changed.notify_all()

    def _count_refused(self, points: int, others: int, why: str) -> None:
        self._points_refused += points
        self._others_refused += others
        self._why = self._why or without_password(why)

    def _note_outage(self, problem: Exception) -> None:
        with self._changed:
            known, self._outage = self._outage, f"{self._where}: {reason(problem)}"
            self._changed.notify_all()
        if known is None:
            logger.warning("cannot log to %s; it waits in the outbox and is tried again", self._outage)

    def _end_outage(self) -> None:
        ended, self._outage = self._outage, None
        self._changed.notify_all()
        if ended:
            logger.info("%s answers again", self._where)

    def _stop_trying(self) -> None:
        with self._changed:
            self._stop.set()
            self._changed.notify_all()
