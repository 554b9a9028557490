"""The outbox: takes what is to be written at once, and writes it from a thread that tries again.

Whoever posts never waits for a network or a database, and never sees an exception. Knows no MLflow.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orchestrator.tracking_limits import without_password
from orchestrator.tracking_mail import SWEEP, Letter, Mailbox

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S, CLOSING_PAUSE_S = 0.5, 15.0, 0.25
MOST_TRIES = 5
"""Times that a letter may fail while the store answers; it is dropped then, so that others get through."""
MOST_WAITING = 500_000
"""Points that may wait: about 100 MB, several days of an unreachable store."""


class Refused(Exception):  # noqa: N818
    """The store will never take this letter. Any other exception means: try again later."""


class Store(Protocol):
    """Where letters go."""

    def deliver(self, letter: Letter) -> int:
        """Writes the letter, creating its run if need be; the number of points that are in the store now.

        Raises:
            Refused: when trying again cannot help.
        """

    def answers(self) -> bool:
        """Whether the store can be reached."""


@dataclass(frozen=True)
class Delivery:
    """What became of all that was to be logged; `others` are params, tags, statuses and files."""

    points_logged: int
    points_lost: int
    others_lost: int
    error: str | None

    @property
    def complete(self) -> bool:
        return not self.points_lost and not self.others_lost

    def __str__(self) -> str:
        logged = f"{self.points_logged} metric points logged"
        if self.complete:
            return logged
        lost = f"{self.points_lost} points and {self.others_lost} other entries were not"
        return f"{logged}; {lost}: {self.error}"


class Outbox:
    """Mailboxes by run, emptied in turn by one background thread.

    Args:
        open_store: called in the thread, again and again until it succeeds.
        where: names the store in messages.
    """

    def __init__(self, open_store: Callable[[], Store], where: str) -> None:
        self._open_store, self._where = open_store, where
        self._boxes: dict[str, Mailbox] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._connected = False
        self._closed = False
        self._hurry, self._stop = threading.Event(), threading.Event()
        self._outage: str | None = None
        self._loss: str | None = None
        self._points_logged = self._points_lost = self._others_lost = self._waiting_points = 0

    def post(self, run: str, mail: Mailbox) -> None:
        """Puts the mail into the run's box; returns at once."""
        with self._changed:
            if self._closed:
                self._lose(len(mail.points), mail.size, "it came after the end")
                return
            if self._waiting_points + len(mail.points) > MOST_WAITING:
                self._lose(len(mail.points), 0, f"more than {MOST_WAITING} points were waiting")
                mail.points.clear()
            if not mail.points and not mail.size:
                return
            self._waiting_points += len(mail.points)
            self._boxes.setdefault(run, Mailbox()).add(mail)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="mlflow-outbox", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def lose(self, points: int, reason: str) -> None:
        """Notes that points were given up before they were posted."""
        with self._changed:
            self._lose(points, 0, reason)

    def wait_connected(self, timeout: float) -> str | None:
        """Waits until the store is open or a first attempt has failed; what is wrong, None if nothing is."""
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self._outage, timeout)
            if self._connected:
                return None
            return self._outage or f"{self._where} did not answer within {timeout:g} s"

    def wait_empty(self, timeout: float) -> bool:
        """Waits until all that was posted is settled; whether it is."""
        with self._changed:
            self._changed.wait_for(lambda: not self._boxes or self._stop.is_set(), timeout)
            return not self._boxes

    def waiting(self) -> dict[str, Mailbox]:
        """A copy of what is not settled yet."""
        with self._changed:
            return {run: box.copy() for run, box in self._boxes.items()}

    def close(self, timeout: float) -> Delivery:
        """Tries to deliver the rest for that many seconds, less if the store was never seen; then stops."""
        self._hurry.set()
        self.wait_empty(timeout)
        with self._changed:
            if not self._closed:
                self._closed = True
                for box in self._boxes.values():
                    reason = self._outage or f"{self._where} did not answer in time"
                    self._lose(len(box.points), box.size, reason)
            self._stop.set()
            self._changed.notify_all()
            return Delivery(self._points_logged, self._points_lost, self._others_lost, self._loss)

    def _lose(self, points: int, others: int, reason: str) -> None:
        self._points_lost += points
        self._others_lost += others
        if points + others and self._loss is None:
            self._loss = without_password(reason)

    def _work(self) -> None:
        store: Store | None = None
        tries: Counter[str] = Counter()
        pause = FIRST_PAUSE_S
        while letter := self._next_letter():
            hurried = self._hurry.is_set()
            try:
                store = store or self._open_store()
                self._settle(letter, points=store.deliver(letter))
            except Refused as refusal:
                self._settle(letter, refusal=str(refusal))
            except Exception as problem:
                answers = store is not None and store.answers()
                tries[letter.run] = tries[letter.run] + 1 if answers else 0
                if tries[letter.run] < MOST_TRIES:
                    self._note_outage(problem)
                    self._rest(pause, hurried)
                    pause = min(2 * pause, LONGEST_PAUSE_S)
                    continue
                self._settle(letter, refusal=str(problem))
            del tries[letter.run]
            pause = FIRST_PAUSE_S

    def _next_letter(self) -> Letter | None:
        """The next letter, waited for; None when it is time to stop."""
        with self._changed:
            while not self._stop.is_set():
                others = self._boxes.keys() - {SWEEP}
                for run, box in self._boxes.items():
                    if letter := box.letter(run, closing=run != SWEEP or not others):
                        self._boxes[run] = self._boxes.pop(run)  # to the end: the others come first now
                        return letter
                self._changed.wait()
        return None

    def _settle(self, letter: Letter, *, points: int = 0, refusal: str | None = None) -> None:
        """Takes the letter out of its box: it is delivered, or refused."""
        with self._changed:
            if self._stop.is_set():
                return  # counted as lost already
            box = self._boxes[letter.run]
            box.remove(letter)
            if not box.points and not box.size:
                del self._boxes[letter.run]
            self._waiting_points -= len(letter.points)
            self._points_logged += points
            ended, self._outage = self._outage, None
            self._connected = True
            if refusal is not None:
                self._lose(len(letter.points), letter.size, refusal)
            self._changed.notify_all()
        if ended:
            logger.info("%s answers again", self._where)
        if refusal is not None:
            logger.warning("%s refused an entry: %s", self._where, without_password(refusal))

    def _note_outage(self, problem: Exception) -> None:
        with self._changed:
            known, self._outage = self._outage, f"{self._where}: {without_password(str(problem))}"
            self._changed.notify_all()
        if known is None:
            logger.warning("cannot log to %s; the sweep goes on, logging is tried again", self._outage)

    def _rest(self, pause: float, hurried: bool) -> None:
        """Waits before the next attempt; gives up if the last one was hurried and none ever worked."""
        if not hurried:
            self._hurry.wait(pause)
        elif self._connected:
            self._stop.wait(CLOSING_PAUSE_S)
        else:
            with self._changed:
                self._stop.set()
                self._changed.notify_all()


def now_ms() -> int:
    return time.time_ns() // 1_000_000
