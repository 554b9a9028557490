"""The outbox: an append-only file in the sweep's folder that every entry goes to first. Knows no MLflow.

A line is an entry. Beside it `outbox.delivered` says how far MLflow has them, and `outbox.refused.jsonl`
holds what MLflow would never take. Whoever kills the process loses nothing: the next one reads on.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.tracking.delivery.entries import (
    SWEEP,
    Change,
    Entry,
    Metrics,
    Opening,
    RunStatus,
    from_line,
    size,
    to_line,
)

logger = logging.getLogger(__name__)

FILE, DELIVERED, REFUSED = "outbox.jsonl", "outbox.delivered", "outbox.refused.jsonl"
MOST_LINES = 20_000
"""Entries in a window: what is held in memory at a time."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Window:
    """Entries that follow each other in the file, where the next one begins, and how many lines are none."""

    entries: list[Entry]
    end: int
    broken: int = 0


@dataclass(frozen=True)
class Waiting:
    """What is not delivered: metric points, and other entries."""

    points: int
    others: int


class Outbox:
    """The file of one sweep. Appending is for any thread, reading for one.

    Args:
        folder: of the sweep; an outbox that is there already is continued.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.openings: dict[str, Opening] = {}
        """How each run began, by trial id."""
        self.status: RunStatus | None = None
        """The sweep's last one."""
        self.latest_ms = 0
        """The latest time of an entry."""
        self._last_step: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()
        self._unwritten: list[bytes] = []
        self._refused = False
        self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        weakref.finalize(self, os.close, self._file)
        self._end = self._whole_lines()
        os.ftruncate(self._file, self._end)  # a line that a power cut left half written
        for _, entry in self._entries(0):
            if entry is not None:
                self._note(entry)

    @property
    def end(self) -> int:
        """Where the next entry will begin, in bytes."""
        return self._end

    @property
    def unwritten(self) -> int:
        """Entries that the disk has had no room for so far."""
        return len(self._unwritten)

    def held_back(self) -> list[Entry]:
        """Those entries."""
        return [from_line(line) for line in self._unwritten]

    def forget(self, count: int) -> None:
        """Gives up the first of those entries: they are delivered without having been written."""
        with self._lock:
            del self._unwritten[:count]

    def append(self, entry: Entry) -> None:
        """Writes the entry. What a full disk does not take is written with a later one."""
        line = to_line(entry)
        with self._lock:
            self._note(entry)
            self._unwritten.append(line)
            self._write()

    def is_new(self, run: str, key: str, step: int) -> bool:
        """Whether the metric of a run has no value at this step or a later one."""
        return step > self._last_step.get(run, {}).get(key, -1)

    def window(self, start: int) -> Window:
        """The entries from there on, at most `MOST_LINES`, none of the sweep's behind one of a trial's: what
        is said of the sweep after its trials has to come after them."""
        entries: list[Entry] = []
        end, broken = start, 0
        of_trials = False
        for end_of_line, entry in self._entries(start):
            if entry is None:
                self.refuse(f"the line that ends at byte {end_of_line}", "it is no entry")
                broken += 1
            elif of_trials and entry.run == SWEEP:
                break
            else:
                entries.append(entry)
                of_trials = of_trials or entry.run != SWEEP
            end = end_of_line
            if len(entries) == MOST_LINES:
                break
        return Window(entries, end, broken)

    def waiting(self, start: int) -> Waiting:
        """What lies from there on."""
        points = others = 0
        for _, entry in self._entries(start):
            counted = (0, 1) if entry is None else size(entry)
            points, others = points + counted[0], others + counted[1]
        unwritten = [size(entry) for entry in self.held_back()]
        return Waiting(
            points + sum(counted[0] for counted in unwritten),
            others + sum(counted[1] for counted in unwritten),
        )

    def delivered(self, parent_id: str, end: int) -> None:
        """Notes that the MLflow that has the parent run of this id has all entries before that byte."""
        target = self.folder / DELIVERED
        partial = target.with_name(f"{DELIVERED}.partial")
        try:
            note = {"parent": parent_id, "end": end, "refused": self._refused}
            partial.write_text(json.dumps(note), encoding="utf-8")
            os.replace(partial, target)
        except OSError as error:  # they are sent twice then, which does no harm
            logger.debug("no note of what is delivered: %s", error)

    def first_undelivered(self, parent_id: str) -> int:
        """Where to go on for the MLflow that has the parent run of this id: another one gets everything, and
        so does one that has refused something, which it may take now."""
        try:
            note = json.loads((self.folder / DELIVERED).read_text(encoding="utf-8"))
            known, end, refused = note["parent"], int(note["end"]), bool(note["refused"])
        except (OSError, ValueError, KeyError, TypeError):
            known, end, refused = "", 0, False
        if known == parent_id and not refused and 0 <= end <= self._end:
            return end
        (self.folder / REFUSED).unlink(missing_ok=True)  # written anew, if it comes to that
        return 0

    def refuse(self, what: str, reason: str) -> None:
        """Keeps what will never be delivered, with the reason."""
        self._refused = True
        try:
            with (self.folder / REFUSED).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"reason": reason, "refused": what}) + "\n")
        except OSError as error:
            logger.warning("cannot keep what MLflow refused (%s): %s", error, what)

    def write_rest(self) -> None:
        """Writes what could not be written before, if there is room now."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        while self._unwritten:
            line = self._unwritten[0]
            try:
                written = os.pwrite(self._file, line, self._end)
                if written < len(line):  # the disk is full: nobody shall read half a line
                    os.ftruncate(self._file, self._end)
                    raise OSError("the disk is full")
            except OSError as error:
                self._complain(error)
                return
            self._end += written
            del self._unwritten[0]

    def _complain(self, problem: object) -> None:
        if len(self._unwritten) == 1:
            logger.warning("cannot write %s (%s): it is tried again", self.folder / FILE, problem)

    def _note(self, entry: Entry) -> None:
        if isinstance(entry, Opening | Metrics | Change):
            self.latest_ms = max(self.latest_ms, entry.at_ms)
        match entry:
            case Opening():
                self.openings.setdefault(entry.run, entry)
            case Metrics():
                steps = self._last_step.setdefault(entry.run, {})
                steps.update((key, max(entry.step, steps.get(key, -1))) for key in entry.values)
            case Change(run=run, status=status) if run == SWEEP:
                self.status = status

    def _entries(self, start: int) -> Iterator[tuple[int, Entry | None]]:
        """Where each line from there on ends, with its entry; None if it is none."""
        place, rest = start, b""
        limit = self._end
        while place + len(rest) < limit:
            read = os.pread(self._file, min(_CHUNK, limit - place - len(rest)), place + len(rest))
            if not read:
                return
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                place += len(line) + 1
                yield place, _entry(line)

    def _whole_lines(self) -> int:
        """The length of the file up to its last line break."""
        end = os.fstat(self._file).st_size
        while end:
            first = max(0, end - _CHUNK)
            newline = os.pread(self._file, end - first, first).rfind(b"\n")
            if newline >= 0:
                return first + newline + 1
            end = first
        return 0


def _entry(line: bytes) -> Entry | None:
    try:
        return from_line(line)
    except ValueError:
        return None
