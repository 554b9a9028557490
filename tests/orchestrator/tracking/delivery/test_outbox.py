"""The outbox file: what is written stays, what is half written goes, what is delivered is known."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.tracking.delivery import outbox as tracking_outbox
from orchestrator.tracking.delivery.entries import SWEEP, Change, Entry, Metrics, Opening, Tags, to_line
from orchestrator.tracking.delivery.outbox import DELIVERED, FILE, REFUSED, Outbox, Waiting


def metrics(run: str, step: int) -> Metrics:
    return Metrics(run, step, step, {"nll": float(step), "kl": 1.0})


def filled(folder: Path, *entries: Entry) -> Outbox:
    outbox = Outbox(folder)
    for entry in entries:
        outbox.append(entry)
    return outbox


def test_what_was_appended_is_read_by_the_next_process(tmp_path: Path) -> None:
    entries = [Opening("a", 1, "n", {}), metrics("a", 1), metrics("a", 2), Change(SWEEP, 3, "RUNNING")]
    filled(tmp_path, *entries[:2])
    again = filled(tmp_path, *entries[2:])
    window = again.window(0)
    assert window.entries == entries[:3]
    assert again.window(window.end).entries == entries[3:]
    assert (tmp_path / FILE).read_bytes() == b"".join(map(to_line, entries))
    third = Outbox(tmp_path)
    assert third.openings == {"a": entries[0]}
    assert third.status == "RUNNING"
    assert third.end == again.end == (tmp_path / FILE).stat().st_size
    assert third.waiting(0) == Waiting(4, 2)
    assert third.waiting(third.end) == Waiting(0, 0)


def test_a_step_is_new_once(tmp_path: Path) -> None:
    outbox = filled(tmp_path, metrics("a", 3), metrics("a", 2), Metrics("b", 1, 1, {"nll": 1.0}))
    for known in (outbox, Outbox(tmp_path)):
        new = [known.is_new(run, key, 3) for run, key in (("a", "nll"), ("a", "test/nll"), ("b", "nll"))]
        assert new == [False, True, True]
        assert known.is_new("a", "nll", 4)
        assert not known.is_new("b", "nll", 1)


def test_half_a_line_is_cut_off(tmp_path: Path) -> None:
    filled(tmp_path, metrics("a", 1))
    with (tmp_path / FILE).open("ab") as file:
        file.write(to_line(metrics("a", 2))[:-5])
    outbox = filled(tmp_path, metrics("a", 3))
    assert outbox.window(0).entries == [metrics("a", 1), metrics("a", 3)]


def test_lines_that_are_longer_than_what_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_outbox, "_CHUNK", 7)
    entries = [metrics("a", step) for step in range(20)]
    filled(tmp_path, *entries)
    assert Outbox(tmp_path).window(0).entries == entries


def test_a_line_that_is_no_entry_is_kept_apart(tmp_path: Path) -> None:
    filled(tmp_path, metrics("a", 1))
    with (tmp_path / FILE).open("ab") as file:
        file.write(b"nonsense\n")
    outbox = filled(tmp_path, metrics("a", 2))
    assert outbox.waiting(0) == Waiting(4, 1)
    window = outbox.window(0)
    assert window.entries == [metrics("a", 1), metrics("a", 2)]
    assert window.end == outbox.end
    (refused,) = (tmp_path / REFUSED).read_text().splitlines()
    assert json.loads(refused)["reason"] == "it is no entry"


def test_a_window_ends_before_what_is_said_of_the_sweep_after_its_trials(tmp_path: Path) -> None:
    sweep, trial = Tags(SWEEP, {"t": "1"}), metrics("a", 1)
    outbox = filled(tmp_path, sweep, sweep, trial, trial, sweep, trial)
    windows, place = [], 0
    while place < outbox.end:
        window = outbox.window(place)
        windows.append(window.entries)
        place = window.end
    assert windows == [[sweep, sweep, trial, trial], [sweep, trial]]


def test_a_window_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_outbox, "MOST_LINES", 3)
    outbox = filled(tmp_path, *(metrics("a", step) for step in range(7)))
    first = outbox.window(0)
    second = outbox.window(first.end)
    steps = [[entry.step for entry in window.entries] for window in (first, second)]  # type: ignore[union-attr]
    assert steps == [[0, 1, 2], [3, 4, 5]]


def test_where_to_go_on(tmp_path: Path) -> None:
    outbox = filled(tmp_path, metrics("a", 1), metrics("a", 2))
    assert outbox.first_undelivered("parent") == 0
    middle = len(to_line(metrics("a", 1)))
    outbox.delivered("parent", middle)
    again = Outbox(tmp_path)
    assert again.first_undelivered("parent") == middle
    outbox.refuse("a tag", "too long")
    outbox.delivered("parent", middle)
    assert again.first_undelivered("parent") == 0, "it may be taken now"
    assert again.first_undelivered("another server's") == 0
    for nonsense in ("", "[]", '{"parent": "parent"}', '{"parent": "parent", "end": 1000000}'):
        (tmp_path / DELIVERED).write_text(nonsense)
        assert again.first_undelivered("parent") == 0


def test_a_full_disk_keeps_entries_waiting_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """First half a line fits, then nothing; the write itself is what a full disk does to it."""
    outbox = filled(tmp_path, metrics("a", 1))
    real, room = os.pwrite, [30]

    def full(file: int, line: bytes, place: int) -> int:
        written = real(file, line[: room[0]], place) if room[0] else 0
        room[0] -= written
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written

    monkeypatch.setattr(os, "pwrite", full)
    for step in (2, 3, 4):
        outbox.append(metrics("a", step))
    assert outbox.window(0).entries == [metrics("a", 1)]
    assert outbox.unwritten == 3
    assert outbox.waiting(0) == Waiting(8, 0)
    assert not outbox.is_new("a", "nll", 4)
    assert len([record for record in caplog.records if "tried again" in record.message]) == 1
    assert Outbox(tmp_path).window(0).entries == [metrics("a", 1)]
    monkeypatch.setattr(os, "pwrite", real)
    outbox.append(metrics("a", 5))
    assert Outbox(tmp_path).window(0).entries == [metrics("a", step) for step in range(1, 6)]


def test_a_killed_process_leaves_what_it_appended(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal\n"
        "from orchestrator.tracking.delivery.entries import Metrics\n"
        "from orchestrator.tracking.delivery.outbox import Outbox\n"
        f"outbox = Outbox(pathlib.Path({str(tmp_path)!r}))\n"
        "for step in range(1000): outbox.append(Metrics('a', step, step, {'nll': step / 3}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -9
    entries = Outbox(tmp_path).window(0).entries
    assert entries == [Metrics("a", step, step, {"nll": step / 3}) for step in range(1000)]
